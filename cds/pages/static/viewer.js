// The film viewer: window and level in the film's whole depth, inversion, zoom, heatmap, outlines, regions, and an
// earlier film beside; and the marks of the report.
"use strict";

const byId = (id) => document.getElementById(id);
const stage = byId("stage");
const film = byId("film");
const deep = byId("deep");
const layers = byId("layers");
const heatmap = byId("heatmap");
const regions = byId("regions");
const note = byId("stage-note");
const priorFilm = byId("prior-film");
const overlays = [...document.querySelectorAll('input[name="overlay"]')];

const view = { zoom: 1, x: 0, y: 0, inverted: false, last: "", windowing: false };
// The film's own pixels once they are loaded: values in 0-65535, and the window that the first picture shows.
let pixels = null;
let loading = null;

function place() {
  const limit = (view.zoom - 1) / 2;
  view.x = Math.max(-limit, Math.min(limit, view.x));
  view.y = Math.max(-limit, Math.min(limit, view.y));
  for (const moved of document.querySelectorAll(".layers")) {
    moved.style.transform = `translate(${view.x * 100}%, ${view.y * 100}%) scale(${view.zoom})`;
  }
  stage.classList.toggle("zoomed", view.zoom > 1);
  if (view.zoom > 1.5) loadDepth();
}

function zoom(factor) {
  view.zoom = Math.max(1, Math.min(8, view.zoom * factor));
  place();
}

// A grey value g is shown as (g - level) / width + 0.5, upside down when inverted; g is 0 to 1 in the first picture.
function applyWindow() {
  const level = byId("level").value / 100;
  const width = byId("width").value / 100;
  const sign = view.inverted ? -1 : 1;
  for (const part of document.querySelectorAll("#window feComponentTransfer > *")) {
    part.setAttribute("slope", sign / width);
    part.setAttribute("intercept", 0.5 - (sign * level) / width);
  }
  const plain = level === 0.5 && width === 1 && !view.inverted;
  for (const picture of [film, priorFilm]) if (picture) picture.style.filter = plain ? "" : "url(#window)";
  byId("invert").setAttribute("aria-pressed", String(view.inverted));
  byId("window-note").textContent = plain ? "" : `L ${Math.round(100 * level)} W ${Math.round(100 * width)}`;
  if (!plain) loadDepth();
  drawDepth(level, width);
}

// Draws the film's own values through the window; a table of all values keeps it fast.
function drawDepth(level, width) {
  const shown = pixels !== null && byId("enhancement").value === "";
  deep.toggleAttribute("hidden", !shown);
  film.classList.toggle("covered", shown);
  if (!shown) return;
  const table = new Uint32Array(65536);
  for (let value = 0; value < 65536; value += 1) {
    const grey = (value / 65535 - pixels.level) / pixels.width + 0.5;
    let out = Math.max(0, Math.min(1, (grey - level) / width + 0.5));
    if (view.inverted) out = 1 - out;
    const byte = Math.round(255 * out);
    table[value] = 0xff000000 | (byte << 16) | (byte << 8) | byte;
  }
  const picture = pixels.context.createImageData(deep.width, deep.height);
  const target = new Uint32Array(picture.data.buffer);
  for (let at = 0; at < target.length; at += 1) target[at] = table[pixels.values[at]];
  pixels.context.putImageData(picture, 0, 0);
}

// Fetches the film's own pixels, once; until they are there, and where they cannot be had, the first picture stands in.
function loadDepth() {
  if (!film.dataset.pixels) return;
  loading ??= (async () => {
    try {
      const response = await fetch(film.dataset.pixels);
      if (!response.ok) return;
      const head = (name) => Number(response.headers.get(`Film-${name}`));
      const values = new Uint16Array(await response.arrayBuffer());
      deep.width = head("Columns");
      deep.height = head("Rows");
      pixels = { values, level: head("Level"), width: head("Width"), context: deep.getContext("2d") };
      stage.dataset.depth = head("Bits");
      applyWindow();
    } catch {
      // The service is away; the first picture stays.
    }
  })();
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
    if (finding) heatmap.src = `${heatmap.dataset.base}${encodeURIComponent(finding)}.png?max_side=512`;
    heatmap.style.opacity = byId("opacity").value / 100;
  }
  showRegions();
  const name = overlays.find((input) => input.checked)?.dataset.display;
  note.textContent = finding ? `Heatmap: ${name}` : "";
  for (const element of document.querySelectorAll("mark[data-finding]")) {
    element.classList.toggle("selected", finding !== "" && element.dataset.finding === finding);
  }
}

function showRegions() {
  const finding = selected();
  const wanted = byId("show-regions")?.checked ?? true;
  regions.toggleAttribute("hidden", !wanted);
  for (const shape of regions.children) {
    shape.toggleAttribute("hidden", !(shape.dataset.finding === finding || shape.classList.contains("person")));
  }
}

function showMasks() {
  const masks = byId("masks");
  if (!masks) return;
  masks.toggleAttribute("hidden", !byId("show-masks").checked);
  masks.style.opacity = byId("mask-opacity").value / 100;
}

function showPrior() {
  const chosen = byId("prior").value;
  const beside = byId("prior-stage");
  beside.toggleAttribute("hidden", !chosen);
  byId("stages").classList.toggle("two", chosen !== "");
  if (!chosen) return;
  priorFilm.src = `/api/v1/studies/${encodeURIComponent(chosen)}/film.png?max_side=1600`;
  byId("prior-note").textContent = byId("prior").selectedOptions[0].textContent;
}

function reset() {
  Object.assign(view, { zoom: 1, x: 0, y: 0, inverted: false });
  byId("level").value = 50;
  byId("width").value = 100;
  byId("enhancement").value = "";
  film.src = film.dataset.base;
  place();
  applyWindow();
}

function toggleInversion() {
  view.inverted = !view.inverted;
  applyWindow();
}

function toggleWindowing() {
  view.windowing = !view.windowing;
  byId("windowing").setAttribute("aria-pressed", String(view.windowing));
  stage.classList.toggle("windowing", view.windowing);
}

function toggle(id) {
  const box = byId(id);
  if (!box) return;
  box.checked = !box.checked;
  box.dispatchEvent(new Event("change"));
}

const KEYS = {
  i: toggleInversion,
  w: toggleWindowing,
  h: () => overlays.length && select(selected() ? "" : view.last || overlays[1]?.value || ""),
  r: () => toggle("show-regions"),
  m: () => toggle("show-masks"),
  "+": () => zoom(1.25),
  "=": () => zoom(1.25),
  "-": () => zoom(0.8),
  0: reset,
};
const MOVES = { ArrowLeft: [0.05, 0], ArrowRight: [-0.05, 0], ArrowUp: [0, 0.05], ArrowDown: [0, -0.05] };

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input:not([type=radio]):not([type=checkbox]), select, textarea")) return;
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

// Dragging moves a zoomed film; with the right button, or when windowing, it sets window (across) and level (down).
function dragOn(target) {
  let from = null;
  target.addEventListener("contextmenu", (event) => event.preventDefault());
  target.addEventListener("pointerdown", (event) => {
    if (target.classList.contains("drawing")) return;
    const windowing = event.button === 2 || view.windowing;
    if (!windowing && view.zoom === 1) return;
    from = { x: event.clientX, y: event.clientY, windowing };
    target.setPointerCapture(event.pointerId);
  });
  target.addEventListener("pointermove", (event) => {
    if (!from) return;
    const across = (event.clientX - from.x) / layers.offsetWidth;
    const down = (event.clientY - from.y) / layers.offsetHeight;
    if (from.windowing) {
      byId("width").value = Number(byId("width").value) + 150 * across;
      byId("level").value = Number(byId("level").value) + 100 * down;
      applyWindow();
    } else {
      view.x += across;
      view.y += down;
      place();
    }
    Object.assign(from, { x: event.clientX, y: event.clientY });
  });
  for (const end of ["pointerup", "pointercancel"]) target.addEventListener(end, () => (from = null));
  target.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey && !event.metaKey && document.activeElement !== stage) return;
      event.preventDefault();
      zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15);
    },
    { passive: false },
  );
  target.addEventListener("dblclick", () => {
    if (target.classList.contains("drawing")) return;
    view.zoom = view.zoom > 1 ? 1 : 2;
    place();
  });
}

function onRegion(event) {
  const finding = event.target.dataset.finding;
  if (!finding || stage.classList.contains("drawing")) return;
  document.dispatchEvent(new CustomEvent("finding", { detail: finding }));
}

function start() {
  document.querySelector(".tools").hidden = false;
  for (const id of ["level", "width"]) byId(id).addEventListener("input", applyWindow);
  for (const input of overlays) input.addEventListener("change", showOverlay);
  byId("opacity")?.addEventListener("input", showOverlay);
  byId("show-regions")?.addEventListener("change", showOverlay);
  byId("show-masks")?.addEventListener("change", showMasks);
  byId("mask-opacity")?.addEventListener("input", showMasks);
  byId("prior")?.addEventListener("change", showPrior);
  byId("enhancement").addEventListener("change", (event) => {
    film.src = film.dataset.base + (event.target.value ? `&enhancement=${encodeURIComponent(event.target.value)}` : "");
    applyWindow();
  });
  byId("windowing").addEventListener("click", toggleWindowing);
  byId("invert").addEventListener("click", toggleInversion);
  byId("zoom-in").addEventListener("click", () => zoom(1.25));
  byId("zoom-out").addEventListener("click", () => zoom(0.8));
  byId("reset").addEventListener("click", reset);
  regions.addEventListener("click", onRegion);
  document.addEventListener("keydown", onKey);
  for (const button of document.querySelectorAll("[data-show]")) {
    button.addEventListener("click", () => {
      select(button.dataset.show);
      document.dispatchEvent(new CustomEvent("finding", { detail: button.dataset.show }));
    });
  }
  dragOn(stage);
  if (byId("prior-stage")) dragOn(byId("prior-stage"));
  showOverlay();
  showMasks();
}

if (stage) start();
