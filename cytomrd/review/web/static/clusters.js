// Clusters of rare cells: what the program called them, what a person calls them, and every cell of them.

import { h, refill } from "./dom.js";

const CALLS = [["clonal", "clonal"], ["normal", "normal"], ["not_sure", "not sure"]];

/** @param call called with (cluster, call)  @param inspect called with (tube, cluster) */
export function showClusters(place, sample, { call, inspect }) {
  if (!sample.clusters.length) {
    refill(place, h("p", { class: "line" }, sample.assay === "mrd" ? "No cluster: no plasma cells in any tube." : "This panel has no clusters to call."));
    return;
  }
  refill(place, h("div", { class: "scroll low", tabindex: 0, role: "region", "aria-label": "Clusters" }, h("table", { class: "clusters" },
    h("thead", {}, h("tr", {}, ...["Cluster", "Cells", "What it is like", "Automatic", "Called"].map((t) => h("th", { scope: "col" }, t)))),
    h("tbody", {}, ...sample.clusters.map((c) => h("tr", { "data-cluster": c.id },
      h("th", { scope: "row" }, c.title),
      h("td", { "data-head": "Cells" }, ...c.cells.map(([tube, words]) => h("div", {}, h("button", { type: "button", class: "link", "data-key": `look ${tube} ${c.id}`, title: "Look at every one of them", onclick: () => inspect(tube, c.id) }, words)))),
      h("td", { class: "like", "data-head": "Like" }, c.like, c.reason ? h("small", {}, c.reason) : null), h("td", { "data-head": "Automatic" }, c.automatic),
      h("td", { "data-head": "Called" }, buttons(c, call))))))));
}

function buttons(c, call) {
  return h("div", { class: "calls", role: "group", "aria-label": `Call ${c.title}` },
    ...CALLS.map(([value, word]) => h("button", {
      type: "button", class: `call ${value}`, "data-key": `${value} ${c.id}`, "aria-pressed": c.now === value ? "true" : "false",
      onclick: () => { if (c.now !== value) call(c.id, value); },
    }, h("span", { class: `key ${value === "not_sure" ? "unsure" : value}`, "aria-hidden": "true" }), word)),
    c.called ? h("small", {}, `by ${c.called}`) : null);
}

/** A table of single cells with their values in every channel; pages of it are asked for as they are wanted. */
export function showCells(place, cells, { page, pick }) {
  const last = cells.first + cells.rows.length;
  refill(place,
    h("div", { class: "bar" }, h("h4", {}, cells.title),
      h("span", { class: "meta" }, `${cells.n ? cells.first + 1 : 0}–${last} of ${cells.n.toLocaleString("en")}`),
      h("button", { type: "button", "data-key": "cells before", disabled: cells.first === 0, onclick: () => page(Math.max(0, cells.first - cells.size)) }, "Before"),
      h("button", { type: "button", "data-key": "cells after", disabled: last >= cells.n, onclick: () => page(last) }, "After")),
    h("div", { class: "scroll low", tabindex: 0, role: "region", "aria-label": cells.title }, h("table", { class: "cells" },
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Event"), h("th", { scope: "col" }, "Called"), ...cells.columns.map((c) => h("th", { scope: "col", class: "num" }, c)))),
      h("tbody", {}, ...cells.rows.map((row) => h("tr", { class: row.event === cells.picked ? "picked" : null },
        h("th", { scope: "row" }, h("button", { type: "button", class: "link", "data-key": `cell ${row.event}`, title: "Show it on the plot", onclick: () => pick(row.event) }, String(row.event))),
        h("td", {}, h("span", { class: `key ${row.kind}`, "aria-hidden": "true" }), row.word), ...row.values.map((v) => h("td", { class: "num" }, v))))))));
}
