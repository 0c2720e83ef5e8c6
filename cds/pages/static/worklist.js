// Renews the rows of the worklist while the page is visible.
"use strict";

const RENEW_MS = 15000;

async function renew() {
  if (document.hidden) return;
  try {
    const response = await fetch("/", { headers: { Accept: "text/html" } });
    if (!response.ok) return;
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html").getElementById("rows");
    const rows = document.getElementById("rows");
    const focused = document.activeElement?.getAttribute?.("href");
    rows.replaceWith(document.importNode(fresh, true));
    if (focused) document.querySelector(`#rows a[href="${CSS.escape(focused)}"]`)?.focus();
  } catch {
    // The service is away; the rows on screen stay, and the next round tries again.
  }
}

setInterval(renew, RENEW_MS);
