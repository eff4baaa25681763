// Elements made in code: text from files only ever becomes a text node, never markup.

/** An element: `h("p", {class: "line"}, "text", child)`; handlers as `onclick`, booleans as attributes. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** The same for shapes of a drawing. */
export function s(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children);
  return element;
}

export const $ = (id) => document.getElementById(id);

/** A drawing that the server made, as an element; it is our own markup, its text escaped where it was made. */
export function drawing(markup) {
  const parsed = new DOMParser().parseFromString(markup, "text/html").querySelector("svg");
  return document.importNode(parsed, true);
}

/** A mark made of characters that stands in for no word. */
export const silent = (text) => h("span", { "aria-hidden": "true" }, text);

/** Put children into an element, keeping the focus where it was, by the `data-key` of what held it. */
export function refill(element, ...children) {
  const held = element.contains(document.activeElement) ? document.activeElement.closest("[data-key]") : null;
  const key = held?.dataset.key;
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  if (key) [...element.querySelectorAll("[data-key]")].find((e) => e.dataset.key === key)?.focus({ preventScroll: true });
}

/** Say something to a screen reader, and show it in the bar. */
export function say(text, kind = "") {
  const line = $("said");
  line.textContent = text;
  line.className = kind;
}
