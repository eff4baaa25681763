// What was written down: signatures and whether they hold, comments, the trail.

import { h, refill } from "./dom.js";

/** Signatures in one line for the top of the page, and in full below. */
export function showSignatures(line, place, sample) {
  const all = sample.signatures;
  const stand = all.length ? all.map((one) => h("span", { class: `seal ${one.valid ? "valid" : "void"}`, title: one.short },
    h("span", { "aria-hidden": "true" }, one.valid ? "✓ " : "✕ "), one.short)) : [h("span", { class: "seal none" }, "Not signed")];
  refill(line, h("span", { class: "seals" }, ...stand));
  refill(place, all.length ? h("ul", { class: "records" }, ...all.map((one) => h("li", { class: one.valid ? "valid" : "void" },
    h("p", {}, h("b", {}, one.valid ? "Valid. " : "Not valid. "), one.words),
    ...one.reasons.map((reason) => h("p", { class: "reason" }, reason)),
    h("p", { class: "meta" }, one.when)))) : h("p", { class: "line" }, "Nobody has signed this sample."));
}

export function showComments(place, sample) {
  refill(place, sample.comments.length ? h("ul", { class: "records" }, ...sample.comments.map((one) =>
    h("li", {}, h("p", { class: "said" }, one.why), h("p", { class: "meta" }, `${one.who}, ${one.when}`)))) : null);
}

/** The trail, newest first: who, when, what, the old value and the new, why. */
export function showTrail(place, state, trail) {
  state.textContent = trail.state;
  state.className = trail.holds ? "meta" : "refusal";
  refill(place, h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Trail" }, h("table", { class: "trail" },
    h("thead", {}, h("tr", {}, ...["No.", "When", "Who", "What", "Old value", "New value", "Why"].map((t) => h("th", { scope: "col" }, t)))),
    h("tbody", {}, ...trail.entries.map((e) => h("tr", {},
      h("th", { scope: "row" }, e.number), h("td", { "data-head": "When" }, e.when), h("td", { "data-head": "Who" }, e.who), h("td", { "data-head": "What" }, e.what),
      h("td", { class: "value", "data-head": "Old" }, e.old), h("td", { class: "value", "data-head": "New" }, e.new), h("td", { class: "why", "data-head": "Why" }, e.why)))))));
}
