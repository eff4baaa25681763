// Questions the page asks: a reason to keep, what exactly is signed, the keys.

import { $, h } from "./dom.js";

/** Ask with a form; gives the values, or null where it was closed. `send` may refuse: its reason is shown, nothing typed is lost. */
export function ask({ title, body, fields = [], confirm, send }) {
  const dialog = $("dialog"), before = document.activeElement;
  return new Promise((resolve) => {
    const refusal = h("p", { class: "refusal", role: "alert" });
    const inputs = fields.map(field);
    const form = h("form", { method: "dialog" },
      h("h2", { id: "dialog-title" }, title), ...[body].flat(), ...inputs.map(([row]) => row), refusal,
      h("div", { class: "buttons" },
        h("button", { type: "button", onclick: () => done(null) }, confirm ? "Cancel" : "Close"),
        confirm ? h("button", { type: "submit", class: "first" }, confirm) : null));
    const done = (value) => { dialog.close(); dialog.replaceChildren(); before?.focus?.(); resolve(value); };
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const values = Object.fromEntries(inputs.map(([, name, read]) => [name, read()]));
      refusal.textContent = "";
      form.querySelectorAll("button").forEach((b) => { b.disabled = true; });
      try {
        done(send ? await send(values) : values);
      } catch (error) {
        refusal.textContent = error.message;
        form.querySelectorAll("button").forEach((b) => { b.disabled = false; });
      }
    });
    dialog.oncancel = (event) => { event.preventDefault(); done(null); };
    dialog.replaceChildren(form);
    dialog.showModal();
    (form.querySelector("input, textarea") ?? form.querySelector("button")).focus();
  });
}

let made = 0;
function field({ name, label, kind = "text", value = "", options = [], hint = "", required = false }) {
  made += 1;
  const id = `field-${made}`, about = hint ? `${id}-hint` : null;
  const note = hint ? h("p", { class: "hint", id: about }, hint) : null;
  if (kind === "choice") {
    const row = h("fieldset", {}, h("legend", {}, label), ...options.map(([v, word], i) =>
      h("label", { class: "choice" }, h("input", { type: "radio", name: id, value: v, checked: i === 0, required }), " ", word)), note);
    return [row, name, () => row.querySelector("input:checked")?.value ?? ""];
  }
  const input = kind === "long" ? h("textarea", { id, rows: 3, required, "aria-describedby": about, maxlength: 4000 }, value)
    : h("input", { id, type: kind, value, required, "aria-describedby": about, autocomplete: "off", spellcheck: "false", maxlength: 4000 });
  return [h("div", { class: "field" }, h("label", { for: id }, label), input, note), name, () => input.value];
}
