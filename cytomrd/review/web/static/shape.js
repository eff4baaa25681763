// Gates as shapes on the scales of a plot: their handles, what moving one gives, and their outline. No drawing here.
//
// A polygon is {kind, points}; an interval {kind, x: [low, high] or null, y: the same}, an open side null;
// an ellipse {kind, points}, its outline, which moves as a whole.

const SIDES = [["x", 0, "left edge"], ["x", 1, "right edge"], ["y", 0, "lower edge"], ["y", 1, "upper edge"]];

/** What can be taken hold of: {key, word, at: [x, y], along: "x", "y" or "both"}; the whole gate first. */
export function handles(shape, axes) {
  const points = outline(shape, axes);
  const middle = [mean(points.map((p) => p[0])), mean(points.map((p) => p[1]))];
  const all = [{ key: "whole", word: "whole gate", at: middle, along: freedom(shape) }];
  if (shape.kind === "polygon") {
    shape.points.forEach((p, i) => all.push({ key: `corner ${i}`, word: `corner ${i + 1} of ${shape.points.length}`, at: p, along: "both" }));
  } else if (shape.kind === "interval") {
    for (const [axis, end, word] of SIDES) {
      const value = shape[axis]?.[end];
      if (value === null || value === undefined) continue;
      all.push({ key: `${axis} ${end}`, word, at: axis === "x" ? [value, middle[1]] : [middle[0], value], along: axis });
    }
    if (all.length === 2) all.shift();  // one cut: the line itself is the gate
  }
  return all;
}

function freedom(shape) {
  if (shape.kind !== "interval") return "both";
  const bound = (side) => side && side.some((v) => v !== null);
  return bound(shape.x) && bound(shape.y) ? "both" : bound(shape.x) ? "x" : "y";
}

/** The shape after a handle was moved by (dx, dy) on the scales. */
export function moved(shape, key, dx, dy, axes) {
  if (key === "whole") return shifted(shape, dx, dy, axes);
  const [what, at] = key.split(" ");
  const i = Number(at);
  if (what === "corner") {
    const points = shape.points.map((p) => [...p]);
    points[i] = [inside(points[i][0] + dx, axes.x), inside(points[i][1] + dy, axes.y)];
    return { ...shape, points };
  }
  const side = [...shape[what]];
  side[i] = inside(side[i] + (what === "x" ? dx : dy), axes[what]);
  const least = (axes[what].high - axes[what].low) / 500;
  if (side[0] !== null && side[1] !== null && side[1] - side[0] < least) side[i] = i ? side[0] + least : side[1] - least;
  return { ...shape, [what]: side };
}

function shifted(shape, dx, dy, axes) {
  if (shape.kind !== "interval") {
    const fitX = fitting(shape.points.map((p) => p[0]), dx, axes.x);
    const fitY = fitting(shape.points.map((p) => p[1]), dy, axes.y);
    return { ...shape, points: shape.points.map(([x, y]) => [x + fitX, y + fitY]) };
  }
  const side = (values, by, axis) => values && values.map((v) => (v === null ? null : v + fitting(values.filter((w) => w !== null), by, axis)));
  return { ...shape, x: side(shape.x, dx, axes.x), y: side(shape.y, dy, axes.y) };
}

/** So much of a step that a part of the gate stays on the plot, to be taken hold of again. */
function fitting(values, by, axis) {
  const rest = (axis.high - axis.low) / 50;
  return Math.max(axis.low + rest - Math.max(...values), Math.min(by, axis.high - rest - Math.min(...values)));
}

const inside = (value, axis) => Math.max(axis.low, Math.min(axis.high, value));
const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

/** A new corner half way along the edge after corner i. */
export function withCorner(shape, i) {
  const p = shape.points[i], q = shape.points[(i + 1) % shape.points.length];
  const points = [...shape.points];
  points.splice(i + 1, 0, [(p[0] + q[0]) / 2, (p[1] + q[1]) / 2]);
  return { ...shape, points };
}

/** The polygon without a corner; three must stay. */
export function withoutCorner(shape, i) {
  return shape.points.length > 3 ? { ...shape, points: shape.points.filter((_, k) => k !== i) } : shape;
}

/** The edge of a polygon nearest to a point, as the corner that it begins at. */
export function nearestEdge(shape, [x, y]) {
  const distance = (p, q) => {
    const [ux, uy] = [q[0] - p[0], q[1] - p[1]];
    const t = Math.max(0, Math.min(1, ((x - p[0]) * ux + (y - p[1]) * uy) / (ux * ux + uy * uy || 1)));
    return Math.hypot(p[0] + t * ux - x, p[1] + t * uy - y);
  };
  const all = shape.points.map((p, i) => distance(p, shape.points[(i + 1) % shape.points.length]));
  return all.indexOf(Math.min(...all));
}

/** The outline as a closed row of points; an open side runs to the limit of its axis. */
export function outline(shape, axes) {
  if (shape.kind !== "interval") return shape.points;
  const [x0, x1] = [shape.x?.[0] ?? axes.x.low, shape.x?.[1] ?? axes.x.high];
  const [y0, y1] = [shape.y?.[0] ?? axes.y.low, shape.y?.[1] ?? axes.y.high];
  return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]];
}
