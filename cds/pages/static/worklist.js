// The worklist: rows renewed without flicker while the page is visible, and keys to move through them.
"use strict";

const RENEW_MS = 5000;
let etag = "";
let current = "";

const links = () => [...document.querySelectorAll("#rows .row-link")];

function mark() {
  for (const link of links()) {
    link.closest("tr").classList.toggle("current", link.getAttribute("href") === current);
  }
}

function step(by) {
  const all = links();
  if (!all.length) return;
  const at = all.findIndex((link) => link.getAttribute("href") === current);
  const next = at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.max(0, Math.min(all.length - 1, at + by));
  current = all[next].getAttribute("href");
  all[next].focus({ preventScroll: true });
  all[next].closest("tr").scrollIntoView({ block: "nearest" });
  mark();
}

async function renew() {
  if (document.hidden) return;
  try {
    const headers = etag ? { "If-None-Match": etag } : {};
    const response = await fetch(location.pathname + location.search, { headers });
    if (response.status === 401) location.reload();
    if (!response.ok) return;
    etag = response.headers.get("ETag") ?? "";
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html").getElementById("rows");
    const rows = document.getElementById("rows");
    if (rows.innerHTML === fresh.innerHTML) return;
    const focused = document.activeElement?.getAttribute?.("href");
    rows.replaceChildren(...document.importNode(fresh, true).childNodes);
    mark();
    if (focused) document.querySelector(`#rows a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  } catch {
    // The service is away; the rows on screen stay, and the next round tries again.
  }
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
  if (event.key === "j" || event.key === "ArrowDown") step(1);
  else if (event.key === "k" || event.key === "ArrowUp") step(-1);
  else if (event.key === "Enter" && current && document.activeElement === document.body) location.href = current;
  else if (/^[1-8]$/.test(event.key)) document.querySelectorAll("#rows .views a")[event.key - 1]?.click();
  else return;
  event.preventDefault();
});
document.addEventListener("focusin", (event) => {
  if (event.target.matches("#rows .row-link")) {
    current = event.target.getAttribute("href");
    mark();
  }
});
// The first row is at hand without a key.
current = links()[0]?.getAttribute("href") ?? "";
mark();
setInterval(renew, RENEW_MS);
