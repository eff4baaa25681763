// The plot pane: what is shown on which channels, the gates on it, the one under the hand, and what the pointer meets.

import { post } from "./api.js";
import { $, drawing, h, refill, s } from "./dom.js";
import { GateEditor } from "./editor.js";
import { outline } from "./shape.js";

const REACH = 9;  // pixels within which a cell is met

export class PlotPane {
  /** @param actions {choose, view, apply, bound, reset, pick} */
  constructor(actions) {
    this.actions = actions;
    this.editor = null;
    this.turn = 0;
  }

  /** Ask for the plot of `view` and show it; of several that are asked for the last is shown, and none under a moving hand. */
  async show(sample, view, edit) {
    const mine = ++this.turn;
    if (JSON.stringify(view) !== JSON.stringify(this.view)) this.letGo();
    $("plot").setAttribute("aria-busy", "true");
    const size = Math.max(240, Math.min(560, $("plot").clientWidth - 60));
    const asked = { sample: sample.id, tube: view.tube, population: view.population, x: view.x, y: view.y, size, edit };
    const plot = await post("/read/plot", asked);
    while (mine === this.turn && this.editor?.busy) await new Promise((resolve) => { setTimeout(resolve, 150); });
    if (mine !== this.turn) return;
    Object.assign(this, { sample, view, plot });
    this.controls();
    this.draw();
    this.panel();
    $("plot").dataset.gate = `${view.tube} ${view.gate}`;
    $("plot").removeAttribute("aria-busy");
  }

  /** Another plot is on its way: the gate of this one can no longer be moved. */
  letGo() {
    this.editor?.leave();
    this.editor?.layer.remove();
    this.editor = null;
  }

  tube() { return this.sample.tubes.find((one) => one.id === this.view.tube); }
  population(name) { return this.tube().populations.find((one) => one.name === name); }

  controls() {
    const { view } = this, axes = this.tube().axes;
    const channel = (axis, word) => h("label", {}, h("span", {}, word), h("select", {
      "data-key": `axis ${axis}`, onchange: (event) => this.actions.view({ ...view, [axis]: event.target.value }),
    }, ...axes.map((one) => h("option", { value: one.marker, selected: one.marker === view[axis], disabled: one.marker === view[axis === "x" ? "y" : "x"] }, one.label))));
    refill($("controls"),
      h("label", { class: "wide" }, h("span", {}, "Events of"), h("select", { "data-key": "population", onchange: (event) => this.actions.view({ ...view, population: event.target.value }) },
        h("option", { value: "root", selected: view.population === "root" }, "all events"),
        ...this.tube().populations.map((p) => h("option", { value: p.name, selected: p.name === view.population }, p.title)))),
      channel("x", "Across"), channel("y", "Up"));
    $("plot-title").textContent = `${this.population(view.gate)?.title ?? "Plot"}, tube ${view.tube}`;
  }

  draw() {
    const { plot, view } = this, svg = drawing(plot.svg);
    const had = this.editor?.layer === document.activeElement, held = this.editor?.gate.name === view.gate ? this.editor.held : null;
    const px = (points) => points.map(([x, y]) => [
      plot.area.left + (x - plot.x.low) / (plot.x.high - plot.x.low) * plot.area.width,
      plot.area.top + (1 - (y - plot.y.low) / (plot.y.high - plot.y.low)) * plot.area.height]);
    svg.setAttribute("role", "group");
    svg.append(s("clipPath", { id: "inside" }, s("rect", { x: plot.area.left, y: plot.area.top, width: plot.area.width, height: plot.area.height })));
    for (const gate of plot.gates.filter((one) => one.name !== view.gate)) {
      for (const points of gate.shape ? [outline(gate.shape, plot)] : gate.outlines) {
        svg.append(s("path", { class: "gate other", "clip-path": "url(#inside)", d: "M" + px(points).map((p) => p.join(" ")).join("L") + "Z", onclick: (event) => { event.stopPropagation(); this.actions.view({ ...view, gate: gate.name }); } }, s("title", {}, `${gate.title} ${gate.percent}`)));
      }
    }
    this.editor?.leave();
    const active = plot.gates.find((one) => one.name === view.gate);
    this.ring = s("circle", { class: "ring", r: 8, visibility: "hidden" });
    svg.append(this.ring);
    svg.addEventListener("click", (event) => { if (!event.target.closest(".editor")) this.meet(event, svg); });
    this.editor = active?.shape ? new GateEditor({ plot, svg, gate: active, apply: (shape) => this.actions.apply(view, shape), click: (event) => this.meet(event, svg), held }) : null;
    if (active && !active.shape) for (const points of active.outlines) svg.append(s("path", { class: "gate active", "clip-path": "url(#inside)", d: "M" + px(points).map((p) => p.join(" ")).join("L") + "Z" }));
    if (active) this.label(svg, active, px(active.shape ? outline(active.shape, plot) : active.outlines.flat()));
    $("plot").replaceChildren(svg);
    if (had) this.editor?.layer.focus({ preventScroll: true });
    this.mark(this.picked);
  }

  /** The gate's name and its share of what is shown, at its upper edge and inside the plot. */
  label(svg, gate, points) {
    const { left, top, width } = this.plot.area, text = `${gate.title} ${gate.percent}`, half = Math.min(text.length * 3.4, width / 2);
    const xs = points.map((p) => Math.max(left, Math.min(left + width, p[0]))), y = Math.max(top, Math.min(...points.map((p) => p[1])));
    const x = Math.max(left + half, Math.min(left + width - half, (Math.min(...xs) + Math.max(...xs)) / 2));
    svg.append(s("text", { class: "percent mid", x, y: y + 15 }, text));
  }

  /** A click on the plot: the rare cell nearest to it, if one is near. */
  meet(event, svg) {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    let best = null, least = REACH;
    for (const group of this.plot.dots) {
      group.at.forEach(([x, y], i) => {
        const distance = Math.hypot(x - at.x, y - at.y);
        if (distance < least) { least = distance; best = group.events[i]; }
      });
    }
    if (best !== null) this.actions.pick(this.view.tube, best);
  }

  /** Ring a cell that stands on the plot. */
  mark(picked) {
    this.picked = picked;
    if (!this.ring) return;
    for (const group of picked && picked.tube === this.view.tube ? this.plot.dots : []) {
      const i = group.events.indexOf(picked.event);
      if (i < 0) continue;
      this.ring.setAttribute("cx", group.at[i][0]);
      this.ring.setAttribute("cy", group.at[i][1]);
      this.ring.setAttribute("visibility", "visible");
      return;
    }
    this.ring.setAttribute("visibility", "hidden");
  }

  /** The chosen gate in words and numbers, for who would rather type. */
  panel() {
    const gate = this.population(this.view.gate), place = $("gate");
    if (!gate) { refill(place); return; }
    const on = this.plot.gates.find((one) => one.name === gate.name);
    const hint = gate.kind === "boolean" ? `Made of other gates: ${gate.words}.`
      : on?.shape ? "Drag it, or press g and use the arrow keys." : "Not drawn on these channels.";
    refill(place,
      h("div", { class: "bar" }, h("h3", {}, gate.title), h("span", { class: "meta" }, `${gate.now} events${gate.percent ? `, ${gate.percent} of its parent` : ""}`),
        gate.kind === "boolean" ? null : h("button", { type: "button", "data-key": "reset", disabled: !gate.edited, onclick: () => this.actions.reset(this.view) }, "Reset to automatic")),
      h("p", { class: "hint" }, hint),
      gate.shared.length ? h("label", { class: "choice" }, h("input", { type: "checkbox", id: "linked", checked: this.linked !== false, "data-key": "linked", onchange: (event) => { this.linked = event.target.checked; } }),
        ` Move a shared cut in every gate that has it (${gate.shared.join(", ")})`) : null,
      gate.bounds.length ? h("div", { class: "bounds" }, ...gate.bounds.map((bound, i) => h("label", {}, bound.label, " ",
        h("input", { type: "number", step: "any", value: bound.value, "data-key": `bound ${i}`, onchange: (event) => { if (event.target.value !== "") this.actions.bound(this.view, bound, Number(event.target.value)); } })))) : null);
  }
}
