// A gate under the hand, over a plot that the server drew: by mouse, pen or finger, and by keyboard alone.

import { s, say } from "./dom.js";
import { handles, moved, nearestEdge, outline, withCorner, withoutCorner } from "./shape.js";

const PAUSE_MS = 700;  // after the last key the gate is applied; Enter does so at once
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const HELP = "Arrow keys move it, with Shift in big steps. Comma and full stop choose a corner or an edge. "
  + "Plus adds a corner, Delete takes one away. Enter applies, Escape takes back.";

export class GateEditor {
  /** @param plot what the server said of the plot  @param svg its drawing  @param apply called with the gate's new shape
   *  @param click called with the event of a press that moved nothing  @param held the handle that was held before */
  constructor({ plot, svg, gate, apply, click, held }) {
    Object.assign(this, { plot, svg, gate, apply, click });
    this.axes = { x: plot.x, y: plot.y };
    this.shape = gate.shape;
    this.held = held ?? handles(this.shape, this.axes)[0].key;
    this.layer = s("g", { class: "editor", tabindex: 0, role: "application", "aria-roledescription": "gate editor" });
    this.svg.append(this.layer);
    this.layer.addEventListener("keydown", (event) => this.key(event));
    this.layer.addEventListener("blur", () => this.settle());
    this.layer.addEventListener("pointerdown", (event) => this.down(event));
    this.layer.addEventListener("dblclick", (event) => this.addAt(event));
    this.draw();
  }

  get changed() { return this.shape !== this.gate.shape; }

  /** Whether the gate is in a hand, or was just moved by a key and not yet sent. */
  get busy() { return Boolean(this.stop || this.timer); }

  px([x, y]) {
    const { left, top, width, height } = this.plot.area;
    const part = (v, axis) => (v - axis.low) / (axis.high - axis.low);
    return [left + part(x, this.axes.x) * width, top + (1 - part(y, this.axes.y)) * height];
  }

  at(event) {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.svg.getScreenCTM().inverse());
    const { left, top, width, height } = this.plot.area;
    const { x, y } = this.axes;
    return [x.low + (point.x - left) / width * (x.high - x.low), y.low + (1 - (point.y - top) / height) * (y.high - y.low)];
  }

  draw() {
    const line = "M" + outline(this.shape, this.axes).map((p) => this.px(p).map((v) => v.toFixed(1)).join(" ")).join("L") + "Z";
    const all = handles(this.shape, this.axes);
    if (!all.some((handle) => handle.key === this.held)) this.held = all[0].key;
    const many = all.length > 16;
    this.layer.replaceChildren(
      s("path", { class: "grip", "clip-path": "url(#inside)", d: line, "data-handle": "whole" }),
      s("path", { class: this.changed ? "gate active changed" : "gate active", "clip-path": "url(#inside)", d: line }),
      ...all.filter((handle) => this.onPlot(handle)).map((handle) => this.knob(handle, many)),
    );
    this.layer.setAttribute("aria-label", `${this.gate.title}, ${this.spoken()} ${HELP}`);
  }

  onPlot({ at: [x, y] }) {
    const slack = 0.002;
    return [[x, this.axes.x], [y, this.axes.y]].every(([v, axis]) => v >= axis.low - slack && v <= axis.high + slack);
  }

  knob(handle, many) {
    const [cx, cy] = this.px(handle.at);
    const css = `knob ${handle.along}${handle.key === this.held ? " held" : ""}`;
    const hit = s("circle", { class: "hit", cx, cy, r: many ? 8 : 14 });
    if (handle.along === "both" || handle.key === "whole") {
      const mark = handle.key === "whole" ? s("path", { class: css, d: `M${cx - 6} ${cy}h12M${cx} ${cy - 6}v12` })
        : s("circle", { class: css, cx, cy, r: many ? 2.6 : 4.5 });
      return s("g", { "data-handle": handle.key }, hit, mark);
    }
    const { left, top, width, height } = this.plot.area;
    const line = handle.along === "x" ? `M${cx} ${top}V${top + height}` : `M${left} ${cy}H${left + width}`;
    return s("g", { "data-handle": handle.key, class: `edge ${handle.along}` },
      s("path", { class: "hit line", d: line }), s("path", { class: css.replace("knob", "cutline"), d: line }), hit,
      s("circle", { class: css, cx, cy, r: 5 }));
  }

  /** Where what is held stands, on the linear scale, in words. */
  spoken() {
    const handle = handles(this.shape, this.axes).find((one) => one.key === this.held);
    const value = (axis, v) => `${axis.label} ${linear(axis, v)}`;
    const where = handle.along === "x" ? value(this.axes.x, handle.at[0]) : handle.along === "y" ? value(this.axes.y, handle.at[1])
      : `${value(this.axes.x, handle.at[0])}, ${value(this.axes.y, handle.at[1])}`;
    return `${handle.word}: ${where}.`;
  }

  down(event) {
    const grip = event.target.closest("[data-handle]");
    if (!grip || event.button > 0) return;
    event.preventDefault();
    this.layer.focus({ preventScroll: true });
    this.held = grip.dataset.handle;
    if (this.held === "whole" && !handles(this.shape, this.axes).some((one) => one.key === "whole")) {
      this.held = handles(this.shape, this.axes)[0].key;
    }
    const from = this.at(event), before = this.shape, id = event.pointerId;
    this.layer.setPointerCapture(id);
    const move = (e) => {
      if (this.shape === before && Math.hypot(e.clientX - event.clientX, e.clientY - event.clientY) < 3) return;
      const [x, y] = this.at(e);
      this.shape = moved(before, this.held, x - from[0], y - from[1], this.axes);
      this.draw();
      say(this.spoken(), "moving");
    };
    const end = (e) => {
      this.layer.removeEventListener("pointermove", move);
      this.stop = null;
      if (e?.type !== "pointerup") return;
      if (this.shape === before) this.click(e);
      else this.settle();
    };
    this.stop = () => { this.shape = before; end(); this.draw(); };
    this.layer.addEventListener("pointermove", move);
    this.layer.addEventListener("pointerup", end, { once: true });
    this.layer.addEventListener("pointercancel", () => this.stop?.(), { once: true });
    this.draw();
  }

  addAt(event) {
    if (this.shape.kind !== "polygon") return;
    this.shape = withCorner(this.shape, nearestEdge(this.shape, this.at(event)));
    this.draw();
    this.settle();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const all = handles(this.shape, this.axes), i = all.findIndex((one) => one.key === this.held);
    const corner = this.held.startsWith("corner") ? Number(this.held.split(" ")[1]) : -1;
    if (ARROWS[event.key]) this.nudge(ARROWS[event.key], event.shiftKey ? 32 : 256);
    else if (event.key === "." || event.key === ",") this.held = all[(i + (event.key === "." ? 1 : all.length - 1)) % all.length].key;
    else if (event.key === "+" && this.shape.kind === "polygon") this.reshape(withCorner(this.shape, Math.max(corner, 0)));
    else if (event.key === "Delete" && corner >= 0) this.reshape(withoutCorner(this.shape, corner));
    else if (event.key === "Enter") this.settle();
    else if (event.key === "Escape") this.takeBack();
    else return;
    event.preventDefault();
    event.stopPropagation();
    this.draw();
    say(this.spoken(), "moving");
  }

  nudge([dx, dy], parts) {
    const { x, y } = this.axes;
    this.reshape(moved(this.shape, this.held, dx * (x.high - x.low) / parts, dy * (y.high - y.low) / parts, this.axes));
  }

  reshape(shape) {
    this.shape = shape;
    this.wait(PAUSE_MS);
  }

  wait(ms) {
    clearTimeout(this.timer);
    this.timer = ms === null ? null : setTimeout(() => this.settle(), ms);
  }

  takeBack() {
    this.wait(null);
    if (this.stop) this.stop();
    this.shape = this.gate.shape;
  }

  /** The plot is drawn anew: nothing more is sent from here. */
  leave() {
    this.wait(null);
    this.sent = this.shape;
  }

  /** The gate is let go: its new shape goes to the server. */
  settle() {
    this.wait(null);
    if (!this.changed || this.stop || this.sent === this.shape) return;
    if (JSON.stringify(this.shape) === JSON.stringify(this.gate.shape)) return;
    this.sent = this.shape;
    this.apply(this.shape);
  }
}

/** A position on a scale as a linear value, three figures, from the axis' table. */
export function linear(axis, value) {
  const part = Math.max(0, Math.min(1, (value - axis.low) / (axis.high - axis.low))) * (axis.linear.length - 1);
  const i = Math.min(Math.floor(part), axis.linear.length - 2);
  const v = axis.linear[i] + (part - i) * (axis.linear[i + 1] - axis.linear[i]);
  return Math.abs(v) < 100 ? v.toFixed(1) : Number(v.toPrecision(4)).toLocaleString("en");
}
