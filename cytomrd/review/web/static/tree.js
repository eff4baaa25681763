// The gating tree: every population with its count, what changed beside what was kept.

import { h, refill } from "./dom.js";

/** @param choose called with (tube, population) */
export function showTree(place, sample, shown, choose) {
  refill(place, ...sample.tubes.map((tube) => h("section", { class: "tube" },
    h("h3", {}, tube.title),
    h("p", { class: "file" }, tube.file),
    h("ul", { class: "tree" }, ...tube.populations.map((p) => leaf(tube, p, shown, choose))))));
}

function leaf(tube, p, shown, choose) {
  const here = shown && shown.tube === tube.id && shown.population === p.name;
  return h("li", { class: p.changed ? "changed" : "" },
    h("button", {
      type: "button", class: `node depth-${Math.min(p.depth, 9)}`, "data-key": `${tube.id} ${p.name}`, "aria-current": here ? "true" : null,
      onclick: () => choose(tube.id, p.name),
    },
    h("span", { class: "name" }, p.title, p.edited ? h("span", { class: "tag" }, "moved") : null),
    h("span", { class: "count" }, p.changed ? [h("del", {}, p.kept), " ", h("ins", {}, p.now)] : p.now, h("small", {}, p.percent))));
}
