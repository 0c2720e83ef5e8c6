// Verdicts on findings: by button, or J and K to step through the findings and A, D, C or N to say what one thinks.
"use strict";

const findings = document.getElementById("findings");
const VERDICTS = { a: "agree", d: "disagree", c: "corrected", n: "not_assessable" };
let current = 0;

function rows() {
  return [...findings.querySelectorAll(".finding-row")].filter((row) => row.querySelector(".verdict") && row.offsetParent);
}

async function say(group, verdict) {
  const said = group.parentElement.querySelector(".said");
  const body = { finding: group.dataset.verdictOn, verdict };
  if (verdict === "corrected") {
    said.textContent = "drag a box on the film, or click a region; Escape gives up";
    const box = await drawnBox();
    if (!box) {
      said.textContent = "";
      return;
    }
    body.regions = [box];
  }
  try {
    const response = await fetch(`/api/v1/studies/${findings.dataset.study}/verdicts`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(response.status === 401 ? "you are signed out; load the page anew" : `status ${response.status}`);
    const kept = await response.json();
    for (const button of group.children) button.setAttribute("aria-pressed", String(button.value === kept.verdict));
    if (body.regions) keepBox(body.finding, body.regions[0]);
    said.textContent = `${kept.said_by.replace(/ \(.+ at https?:.+\)$/, "")}, just now`;
  } catch (error) {
    said.textContent = `not kept: ${error.message}`;
  }
}

function frame(scroll) {
  const shown = rows();
  for (const row of findings.querySelectorAll(".finding-row")) row.classList.toggle("current", row === shown[current]);
  if (scroll) shown[current]?.scrollIntoView({ block: "nearest" });
}

function step(by) {
  const count = rows().length;
  if (!count) return;
  current = (current + by + count) % count;
  frame(true);
  const heatmap = rows()[current].querySelector("[data-show]");
  if (heatmap) select(heatmap.dataset.show);
}

function onVerdictKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input:not([type=radio]):not([type=checkbox]), select, textarea")) return;
  if (event.key === "j") step(1);
  else if (event.key === "k") step(-1);
  else if (VERDICTS[event.key]) {
    const group = rows()[current]?.querySelector(".verdict");
    if (group) say(group, VERDICTS[event.key]);
  } else return;
  event.preventDefault();
}

if (findings?.dataset.study) {
  for (const group of findings.querySelectorAll(".verdict")) {
    for (const button of group.children) {
      button.disabled = false;
      button.addEventListener("click", () => say(group, button.value));
    }
  }
  for (const details of findings.querySelectorAll("details")) details.addEventListener("toggle", () => frame(false));
  document.addEventListener("keydown", onVerdictKey);
  document.addEventListener("finding", (event) => {
    const at = rows().findIndex((row) => row.dataset.finding === event.detail);
    if (at < 0) return;
    current = at;
    frame(true);
  });
  frame(false);
  document.documentElement.dataset.ready = "true";
}
