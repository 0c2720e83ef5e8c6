// Drawing on the film where a finding lies: drag a box, or click a region of the model to pick it.
"use strict";

const canvas = document.getElementById("drawing");
const SMALLEST = 0.01;

// Resolves to a box in fractions of the film, or to null when it was given up with Escape.
function drawnBox() {
  const film = document.getElementById("layers");
  const field = document.getElementById("stage");
  const box = canvas.querySelector("rect");
  const shapes = document.getElementById("regions");
  return new Promise((resolve) => {
    let from = null;
    const at = (event) => {
      const area = film.getBoundingClientRect();
      const inside = (value) => Math.max(0, Math.min(1, value));
      return [inside((event.clientX - area.left) / area.width), inside((event.clientY - area.top) / area.height)];
    };
    const show = (to) => {
      const [x0, y0] = [Math.min(from[0], to[0]), Math.min(from[1], to[1])];
      const [x1, y1] = [Math.max(from[0], to[0]), Math.max(from[1], to[1])];
      for (const [name, value] of Object.entries({ x: x0, y: y0, width: x1 - x0, height: y1 - y0 })) {
        box.setAttribute(name, value);
      }
      return { x0, y0, x1, y1 };
    };
    const picked = (event) => {
      const shape = [...shapes.children].find(
        (one) => !one.hasAttribute("hidden") && one.isPointInFill(new DOMPoint(...at(event))),
      );
      if (!shape) return null;
      const { x, y, width, height } = shape.getBBox();
      return { x0: x, y0: y, x1: x + width, y1: y + height };
    };
    const end = (result) => {
      for (const [name, handler] of Object.entries(handlers)) field.removeEventListener(name, handler);
      document.removeEventListener("keydown", onEscape, true);
      field.classList.remove("drawing");
      canvas.toggleAttribute("hidden", true);
      resolve(result);
    };
    const onEscape = (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      end(null);
    };
    const handlers = {
      pointerdown: (event) => {
        from = at(event);
        field.setPointerCapture(event.pointerId);
        show(from);
        canvas.toggleAttribute("hidden", false);
      },
      pointermove: (event) => from && show(at(event)),
      pointerup: (event) => {
        if (!from) return;
        const drawn = show(at(event));
        const large = drawn.x1 - drawn.x0 >= SMALLEST && drawn.y1 - drawn.y0 >= SMALLEST;
        const result = large ? drawn : picked(event);
        from = null;
        if (result) end(result);
      },
    };
    field.classList.add("drawing");
    for (const [name, handler] of Object.entries(handlers)) field.addEventListener(name, handler);
    document.addEventListener("keydown", onEscape, true);
  });
}

// Adds the box to the regions on the film, as drawn by a person.
function keepBox(finding, { x0, y0, x1, y1 }) {
  const shapes = document.getElementById("regions");
  for (const old of shapes.querySelectorAll(`.person[data-finding="${CSS.escape(finding)}"]`)) old.remove();
  const shape = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [name, value] of Object.entries({ x: x0, y: y0, width: x1 - x0, height: y1 - y0, class: "person" })) {
    shape.setAttribute(name, value);
  }
  shape.dataset.finding = finding;
  shapes.append(shape);
}
