// Light or dark: what the system says, unless the reader chose.
"use strict";

const THEME = "roentgen-theme";

function storedTheme() {
  try {
    return localStorage.getItem(THEME);
  } catch {
    return null;
  }
}

function shownTheme() {
  return storedTheme() ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

if (storedTheme()) document.documentElement.dataset.theme = storedTheme();

document.addEventListener("DOMContentLoaded", () => {
  document.getElementById("theme").addEventListener("click", () => {
    const next = shownTheme() === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem(THEME, next);
    } catch {
      // A browser without storage keeps the choice for this page only.
    }
  });
});
