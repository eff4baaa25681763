// The numbers of the whole sample: what was kept beside what the gates give now.

import { drawing, h, refill } from "./dom.js";

export function showVerdict(place, sample, waits) {
  const v = sample.verdict;
  refill(place,
    waits ? h("p", { class: "unkept" }, "With the change that is not kept yet:") : null,
    h("p", { class: "verdict" }, h("span", { class: `status ${v.need} ${sample.assay}` }, drawing(v.mark), h("span", {}, v.word)), " ", h("strong", {}, v.sentence)),
    ...v.numbers.map((line, i) => h("p", { class: i ? "line" : "line first" }, line)));
}

/** A number stays on one line; words may take more. */
const width = (text) => (text.length > 24 ? "words" : "num");

/** Rows that changed stand first, old -> new; the others after them. */
export function showNumbers(place, sample) {
  const changed = sample.figures.filter((f) => f.changed), same = sample.figures.filter((f) => !f.changed);
  refill(place,
    changed.length ? h("table", { class: "changes" },
      h("caption", {}, "Changed, and not kept yet"),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Number"), h("th", { scope: "col", class: "num" }, "Kept"), h("th", { scope: "col", class: "num" }, "Now"))),
      h("tbody", {}, ...changed.map((f) => h("tr", { "data-figure": f.name },
        h("th", { scope: "row" }, f.name), h("td", { class: width(f.kept) }, h("del", {}, f.kept)), h("td", { class: width(f.now) }, h("ins", {}, f.now)))))) : null,
    h("dl", { class: "values" }, ...same.map((f) => h("div", { "data-figure": f.name }, h("dt", {}, f.name), h("dd", {}, h("b", {}, f.now), f.note ? h("span", {}, f.note) : null)))));
}
