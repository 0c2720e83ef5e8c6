// Forms that send what they hold as JSON and then show the page anew; and the button that ends the reading of a film.
"use strict";

function valueOf(field) {
  if (field.type === "checkbox") return field.checked;
  if (field.type === "datetime-local") return field.value ? new Date(field.value).toISOString() : undefined;
  return field.value === "" && field.tagName === "SELECT" ? null : field.value;
}

async function post(address, body) {
  const response = await fetch(address, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (response.ok) return response.json();
  if (response.status === 401) throw new Error("you are signed out; load the page anew");
  const problem = await response.json().catch(() => ({}));
  throw new Error(problem.detail ?? `status ${response.status}`);
}

async function onSubmit(event) {
  event.preventDefault();
  const form = event.target;
  const fields = [...form.elements].filter((field) => field.name);
  try {
    await post(form.dataset.post, Object.fromEntries(fields.map((field) => [field.name, valueOf(field)])));
    location.reload();
  } catch (error) {
    form.querySelector(".said").textContent = `not kept: ${error.message}`;
  }
}

async function endReading() {
  const button = document.getElementById("done");
  const done = button.dataset.done === "true";
  try {
    await post(`/api/v1/studies/${button.dataset.study}/reading`, { done });
    if (done) location.href = `/next?after=${encodeURIComponent(location.pathname)}`;
    else location.reload();
  } catch (error) {
    button.textContent = `not kept: ${error.message}`;
  }
}

for (const form of document.querySelectorAll("form[data-post]")) form.addEventListener("submit", onSubmit);
const done = document.getElementById("done");
if (done) {
  done.addEventListener("click", endReading);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    if (event.key === "x") endReading();
    else if (event.key === "u") location.href = "/";
  });
}
