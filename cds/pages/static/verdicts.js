// Verdicts on findings: by button, or J and K to step through the findings and A, D or N to say what one thinks.
"use strict";

const findings = document.getElementById("findings");
const VERDICTS = { a: "agree", d: "disagree", n: "not_assessable" };
let current = -1;

async function say(group, verdict) {
  const said = group.parentElement.querySelector(".said");
  try {
    const response = await fetch(`/api/v1/studies/${findings.dataset.study}/verdicts`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ finding: group.dataset.verdictOn, verdict }),
    });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const kept = await response.json();
    for (const button of group.children) button.setAttribute("aria-pressed", String(button.value === kept.verdict));
    said.textContent = `${kept.said_by}, just now`;
  } catch (error) {
    said.textContent = `not kept: ${error.message}`;
  }
}

function step(by) {
  const rows = [...findings.querySelectorAll("tr[data-finding]")].filter((row) => row.offsetParent !== null);
  if (!rows.length) return;
  current = (current + by + rows.length) % rows.length;
  rows.forEach((row, number) => row.classList.toggle("current", number === current));
  rows[current].scrollIntoView({ block: "nearest" });
}

function onVerdictKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
  if (event.key === "j") step(1);
  else if (event.key === "k") step(-1);
  else if (VERDICTS[event.key]) {
    const group = findings.querySelector("tr.current .verdict");
    if (group) say(group, VERDICTS[event.key]);
  }
}

if (findings?.dataset.study) {
  for (const group of findings.querySelectorAll(".verdict")) {
    for (const button of group.children) {
      button.disabled = false;
      button.addEventListener("click", () => say(group, button.value));
    }
  }
  document.addEventListener("keydown", onVerdictKey);
}
