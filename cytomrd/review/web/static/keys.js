// Keys of the whole page. A letter alone never acts while something is typed.

const TYPING = "input, textarea, select";

const SWITCH = "cytomrd review: letters off";

/** Whether single letters act; who dictates or types by voice may switch them off. */
export const keysAreOn = () => localStorage.getItem(SWITCH) === null;
export const switchKeys = (on) => (on ? localStorage.removeItem(SWITCH) : localStorage.setItem(SWITCH, "1"));

/** @param actions name -> function: undo, redo, keep, discard, next, previous, sign, help, comment */
export function bindKeys(actions) {
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]") || event.defaultPrevented) return;
    const third = event.getModifierState("AltGraph");  // brackets lie on it on many keyboards
    const control = (event.ctrlKey || event.metaKey) && !third, typing = event.target.closest?.(TYPING);
    if (typing && event.target.tagName !== "SELECT") return;
    let action = null;
    if (control && event.key.toLowerCase() === "z") action = event.shiftKey ? "redo" : "undo";
    else if (control && event.key.toLowerCase() === "y") action = "redo";
    else if (control || (event.altKey && !third) || typing || !keysAreOn()) return;
    else action = { "[": "previous", "]": "next", u: "undo", r: "redo", k: "keep", d: "discard", g: "gate", s: "sign", c: "comment", "?": "help" }[event.key];
    if (!action || !actions[action]) return;
    event.preventDefault();
    actions[action]();
  });
}

export const KEYS = [
  ["[ and ]", "sample before, sample after"],
  ["g", "to the gate on the plot"],
  ["Arrows", "move the gate, or the corner or edge that is held; with Shift in big steps"],
  [", and .", "hold the corner or edge before, after"],
  ["+ and Delete", "add a corner, take one away"],
  ["Enter, Escape", "apply at once; take back"],
  ["u or Ctrl+Z", "undo"],
  ["r or Ctrl+Shift+Z", "redo"],
  ["k, d", "keep the changes, discard them"],
  ["c, s", "comment, sign"],
  ["?", "this list"],
];
