// The film viewer: window and level, inversion, zoom, heatmap and regions; and the marks of the report beside it.
"use strict";

const stage = document.getElementById("stage");
const film = document.getElementById("film");
const layers = document.getElementById("layers");
const heatmap = document.getElementById("heatmap");
const regions = document.getElementById("regions");
const note = document.getElementById("stage-note");
const overlays = [...document.querySelectorAll('input[name="overlay"]')];
const slider = (id) => document.getElementById(id);

const view = { zoom: 1, x: 0, y: 0, inverted: false, last: "" };

function place() {
  const limit = (view.zoom - 1) / 2;
  view.x = Math.max(-limit, Math.min(limit, view.x));
  view.y = Math.max(-limit, Math.min(limit, view.y));
  layers.style.transform = `translate(${view.x * 100}%, ${view.y * 100}%) scale(${view.zoom})`;
  stage.classList.toggle("zoomed", view.zoom > 1);
}

function zoom(factor) {
  view.zoom = Math.max(1, Math.min(8, view.zoom * factor));
  place();
}

// A grey value g in 0-1 is shown as (g - level) / width + 0.5, upside down when inverted.
function applyWindow() {
  const level = slider("level").value / 100;
  const width = slider("width").value / 100;
  const sign = view.inverted ? -1 : 1;
  for (const part of document.querySelectorAll("#window feComponentTransfer > *")) {
    part.setAttribute("slope", sign / width);
    part.setAttribute("intercept", 0.5 - (sign * level) / width);
  }
  const plain = level === 0.5 && width === 1 && !view.inverted;
  film.style.filter = plain ? "" : "url(#window)";
  document.getElementById("invert").setAttribute("aria-pressed", String(view.inverted));
}

function selected() {
  return overlays.find((input) => input.checked)?.value ?? "";
}

function select(finding) {
  for (const input of overlays) input.checked = input.value === finding;
  showOverlay();
}

function showOverlay() {
  const finding = selected();
  if (finding) view.last = finding;
  if (heatmap) {
    heatmap.hidden = !finding;
    if (finding) heatmap.src = `${heatmap.dataset.base}${encodeURIComponent(finding)}.png?max_side=1024`;
    heatmap.style.opacity = slider("opacity").value / 100;
  }
  if (regions) {
    regions.toggleAttribute("hidden", !finding || !slider("show-regions").checked);
    for (const shape of regions.children) shape.toggleAttribute("hidden", shape.dataset.finding !== finding);
  }
  const name = overlays.find((input) => input.checked)?.dataset.display;
  note.textContent = finding ? `Heatmap: ${name}` : "";
  for (const element of document.querySelectorAll("[data-finding]")) {
    element.classList.toggle("selected", finding !== "" && element.dataset.finding === finding);
  }
}

function reset() {
  Object.assign(view, { zoom: 1, x: 0, y: 0, inverted: false });
  slider("level").value = 50;
  slider("width").value = 100;
  slider("enhancement").value = "";
  film.src = film.dataset.base;
  place();
  applyWindow();
}

function toggleInversion() {
  view.inverted = !view.inverted;
  applyWindow();
}

function toggleRegions() {
  const box = slider("show-regions");
  if (!box) return;
  box.checked = !box.checked;
  showOverlay();
}

const KEYS = {
  i: toggleInversion,
  h: () => overlays.length && select(selected() ? "" : view.last || overlays[1]?.value || ""),
  r: toggleRegions,
  "+": () => zoom(1.25),
  "=": () => zoom(1.25),
  "-": () => zoom(0.8),
  0: reset,
};
const MOVES = { ArrowLeft: [0.05, 0], ArrowRight: [-0.05, 0], ArrowUp: [0, 0.05], ArrowDown: [0, -0.05] };

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, select, textarea")) return;
  const move = document.activeElement === stage && view.zoom > 1 ? MOVES[event.key] : undefined;
  if (move) {
    view.x += move[0];
    view.y += move[1];
    place();
  } else if (KEYS[event.key]) {
    KEYS[event.key]();
  } else {
    return;
  }
  event.preventDefault();
}

function dragToMove() {
  let from = null;
  stage.addEventListener("pointerdown", (event) => {
    if (view.zoom === 1) return;
    from = { x: event.clientX, y: event.clientY };
    stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener("pointermove", (event) => {
    if (!from) return;
    view.x += (event.clientX - from.x) / layers.offsetWidth;
    view.y += (event.clientY - from.y) / layers.offsetHeight;
    from = { x: event.clientX, y: event.clientY };
    place();
  });
  for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, () => (from = null));
  stage.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15);
    },
    { passive: false },
  );
}

function start() {
  document.querySelector(".tools").hidden = false;
  for (const id of ["level", "width"]) slider(id).addEventListener("input", applyWindow);
  for (const input of overlays) input.addEventListener("change", showOverlay);
  slider("opacity")?.addEventListener("input", showOverlay);
  slider("show-regions")?.addEventListener("change", showOverlay);
  slider("enhancement").addEventListener("change", (event) => {
    film.src = film.dataset.base + (event.target.value ? `&enhancement=${encodeURIComponent(event.target.value)}` : "");
  });
  document.getElementById("invert").addEventListener("click", toggleInversion);
  document.getElementById("zoom-in").addEventListener("click", () => zoom(1.25));
  document.getElementById("zoom-out").addEventListener("click", () => zoom(0.8));
  document.getElementById("reset").addEventListener("click", reset);
  document.addEventListener("keydown", onKey);
  for (const button of document.querySelectorAll("[data-show]")) {
    button.addEventListener("click", () => {
      select(button.dataset.show);
      document.getElementById("viewer").scrollIntoView({ block: "start" });
    });
  }
  dragToMove();
  showOverlay();
}

if (stage) start();
