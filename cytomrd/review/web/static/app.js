// The page: one sample at a time, as kept or with one change that is not kept yet.

import { listen, post, WINDOW } from "./api.js";
import { showCells, showClusters } from "./clusters.js";
import { ask } from "./dialogs.js";
import { $, h, refill, say } from "./dom.js";
import { bindKeys, keysAreOn, KEYS, switchKeys } from "./keys.js";
import { showNumbers, showVerdict } from "./numbers.js";
import { PlotPane } from "./plot.js";
import { showComments, showSignatures, showTrail } from "./records.js";
import { showTree } from "./tree.js";
import { work } from "./work.js";

const state = { samples: [], id: null, sample: null, edit: null, view: null, cells: null };

// What is not kept outlives a reload of this window, sample by sample.
const storage = {
  key: (what) => `${what} ${document.title} ${state.id}`,
  read: (what) => JSON.parse(sessionStorage.getItem(storage.key(what)) ?? "null"),
  write: (what, value) => (value ? sessionStorage.setItem(storage.key(what), JSON.stringify(value)) : sessionStorage.removeItem(storage.key(what))),
};

const asked = (more = {}) => ({ sample: state.id, edit: state.edit, ...more });
const pane = new PlotPane({ view: setView, apply: applyShape, bound: applyBound, reset: resetGate, pick });

// ------------------------------------------------------------------ showing

async function open(id) {
  Object.assign(state, { id, edit: null, cells: null });
  pane.picked = null;
  location.hash = encodeURIComponent(id);
  $("sample").value = id;
  state.view = storage.read("view");
  refill($("cells"));
  refill($("cell"));
  await change(storage.read("edit"), "Opening the sample …");
  await trail();
}

/** Show the sample with an edit that is not kept, or as it is kept (null). */
async function change(edit, words = "Applying to all events …", path = "/read/sample", more = {}) {
  const before = state.edit;
  const answer = await work(words, (signal) => post(path, { ...asked(more), edit }, signal));
  if (!answer) {
    if (!state.sample || state.sample.id !== state.id) return edit ? change(null, words) : undefined;
    return plot(before);
  }
  const sample = answer.sample ?? answer;
  state.edit = "edit" in answer ? answer.edit : edit;
  storage.write("edit", state.edit);
  show(sample);
  return plot(state.edit);
}

function show(sample) {
  state.sample = sample;
  $("title").textContent = sample.id;
  $("facts").textContent = sample.facts;
  showSignatures($("seals"), $("signatures"), sample);
  showVerdict($("verdict"), sample, Boolean(state.edit));
  showNumbers($("numbers"), sample);
  showClusters($("clusters"), sample, { call, inspect });
  showComments($("comments"), sample);
  const said = $("said"), waits = Boolean(state.edit), changed = sample.figures.filter((f) => f.changed);
  document.body.classList.toggle("waits", waits);
  $("undo").disabled = !waits && !sample.undo;
  $("redo").disabled = waits || !sample.redo;
  $("keep").disabled = $("discard").disabled = !waits;
  $("sign").disabled = waits;
  if (!waits && said.className === "waiting") say("As kept.");
  if (waits) {
    const mrd = changed.find((f) => f.key === "mrd_fraction");
    say(`${mrd ? `MRD ${mrd.kept} → ${mrd.now}. ` : changed.length ? "" : "No number of the sample changes. "}${changed.length ? `${changed.length} numbers changed` : ""}${sample.seconds ? ` in ${sample.seconds} s` : ""}. Not kept yet. ${sample.notes.join(" ")}`, "waiting");
  }
  tree();
}

function tree() { showTree($("tree"), state.sample, state.view && { tube: state.view.tube, population: state.view.gate }, choose); }

async function plot(edit) {
  state.view = fitting(state.view) ?? firstView();
  tree();
  try {
    await pane.show(state.sample, state.view, edit);
  } catch (error) { if (error.name !== "AbortError") say(error.message, "refusal"); }
}

async function trail() {
  try { showTrail($("trail"), $("trail-state"), await post("/read/trail", asked())); } catch (error) { say(error.message, "refusal"); }
}

// ------------------------------------------------------------------ what is looked at

function fitting(view) {
  const tube = view && state.sample.tubes.find((one) => one.id === view.tube);
  const has = (name) => name === "root" || tube?.populations.some((p) => p.name === name);
  const axis = (marker) => tube?.axes.some((one) => one.marker === marker);
  return view && has(view.population) && has(view.gate) && axis(view.x) && axis(view.y) && view.x !== view.y ? view : null;
}

function firstView() {
  const tube = state.sample.tubes[0], all = tube.populations;
  return viewOf(tube, all.find((p) => p.name.includes("cd38_bright")) ?? all.find((p) => p.plot) ?? all[0]);
}

/** A gate as the panel looks at it: its parent's events on the gate's own channels. */
function viewOf(tube, gate) {
  const known = tube.axes.map((one) => one.marker);
  const wish = [...(gate.plot ?? []), ...gate.axes, "SSC-A", ...known].filter((m) => known.includes(m));
  const [x, y] = [...new Set(wish)];
  return { tube: tube.id, gate: gate.name, population: gate.parent, x, y };
}

function choose(tubeId, name) {
  const tube = state.sample.tubes.find((one) => one.id === tubeId);
  setView(viewOf(tube, tube.populations.find((p) => p.name === name)));
}

function setView(view) {
  state.view = view;
  storage.write("view", view);
  return plot(state.edit);
}

// ------------------------------------------------------------------ what a person does

/** One change at a time: another gate or cluster waits until this change is kept or discarded, and says so. */
function inTheWay(target) {
  const { edit } = state;
  if (!edit || (target.cluster ? edit.cluster === target.cluster : edit.tube === target.tube && edit.gate === target.gate)) return false;
  const what = edit.cluster ? `cluster ${edit.cluster}` : `${edit.gate ?? edit.cut} of tube ${edit.tube}`;
  say(`Keep or discard the change of ${what} first; nothing else was changed.`, "refusal");
  plot(edit);
  return true;
}

function applyShape({ tube, gate, x, y }, shape) {
  if (inTheWay({ tube, gate })) return undefined;
  return change(state.edit, undefined, "/read/shape", { tube, gate, x, y, shape, linked: $("linked")?.checked ?? true });
}

function applyBound({ tube, gate }, bound, value) {
  if (inTheWay({ tube, gate })) return undefined;
  return change(state.edit, undefined, "/read/shape", { tube, gate, marker: bound.marker, side: bound.side, value, linked: $("linked")?.checked ?? true });
}

function resetGate({ tube, gate }) { return inTheWay({ tube, gate }) ? undefined : change({ kind: "ResetGate", tube, gate }); }
function call(cluster, value) { return inTheWay({ cluster }) ? undefined : change({ kind: "CallCluster", cluster, call: value }); }

async function discard() {
  if (!state.edit) return;
  await change(null);
  say("Discarded. The numbers are those that were kept.");
}

/** Write something down on top of the version that is shown; the sample comes back as it then is. */
async function write(path, body) {
  const sample = await post(path, { sample: state.id, version: state.sample.version, ...body });
  state.edit = null;
  storage.write("edit", null);
  show(sample);
  await Promise.all([plot(null), trail(), list()]);
  return sample;
}

async function keep() {
  if (!state.edit) return;
  const changed = state.sample.figures.filter((f) => f.changed);
  let stale = false;
  const kept = await ask({
    title: "Keep this change",
    body: h("ul", {}, ...(changed.length ? changed.map((f) => h("li", {}, `${f.name}: ${f.kept} → ${f.now}`)) : [h("li", {}, "No number of the sample changes.")])),
    fields: [{ name: "why", label: "Why", kind: "long", hint: "Stands in the trail beside the old value and the new." }],
    confirm: "Keep",
    send: (values) => write("/write/keep", { edit: state.edit, why: values.why }).catch((error) => { stale = error.status === 409; throw error; }),
  });
  if (kept) say(`Kept as version ${kept.version}.`, "done");
  else if (stale) await change(state.edit);
}

async function step(path, word) {
  if (state.edit && word === "Undone") { await discard(); return; }
  if (state.edit) { say("Keep or discard the change first."); return; }
  const done = await work(`${word} …`, () => write(path, {}));
  if (done) say(`${word}: version ${done.version}.`, "done");
  else await change(null);
}

async function comment() {
  const done = await ask({
    title: "Comment", fields: [{ name: "text", label: "Comment on this sample", kind: "long", required: true }], confirm: "Write down",
    send: (values) => post("/write/comment", { sample: state.id, ...values }),
  });
  if (done) { showComments($("comments"), done); await trail(); say("The comment is written down.", "done"); }
}

async function sign() {
  if (state.edit) { say("Keep or discard the change first: only what is kept can be signed."); return; }
  try {
    const what = await post("/read/signing", { sample: state.id });
    const done = await ask({
      title: "Sign this sample",
      body: signingWords(what),
      fields: [
        { name: "meaning", label: "I sign that I have", kind: "choice", options: [["reviewed", "reviewed it"], ["approved", "approved it, after another person's review"]] },
        { name: "token", label: "Your token, once more", kind: "password", required: true },
      ],
      confirm: "Sign",
      send: (values) => write("/write/sign", { ...values, version: what.version }),
    });
    if (done) say("Signed.", "done");
  } catch (error) { say(error.message, "refusal"); }
}

function signingWords(what) {
  return [
    h("div", { class: "signing" }, h("p", {}, h("b", {}, `${state.id}: ${what.sentence}`)), ...what.numbers.map((line) => h("p", {}, line)),
      h("p", { class: "hint" }, `Version ${what.version}. Changed by people: `, what.changes.join("; ")), h("p", { class: "hint" }, what.inputs.join("; "))),
    h("p", { class: "hint" }, "The signature holds for exactly this result, its gates and these files, and is void after any change."),
  ];
}

async function inspect(tube, cluster, more = {}) {
  const cells = await work("Reading cells …", (signal) => post("/read/cells", asked({ tube, cluster, ...more }), signal));
  if (!cells) return;
  cells.picked = pane.picked?.tube === tube ? pane.picked.event : null;
  showCells($("cells"), cells, { page: (first) => inspect(tube, cluster, { first }), pick: (event) => pick(tube, event) });
}

async function pick(tube, event) {
  const cell = await work("Reading the cell …", (signal) => post("/read/cell", asked({ tube, event }), signal));
  if (!cell) return;
  const there = fitting({ ...state.view, tube });
  if (tube !== state.view.tube && there) await setView(there);
  pane.mark({ tube, event });
  refill($("cell"), h("div", { class: "bar" }, h("h3", {}, `Event ${cell.event}, tube ${tube}: ${cell.word}`), h("button", { type: "button", onclick: () => { refill($("cell")); pane.mark(null); } }, "Close")),
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Values of this cell" }, h("table", { class: "narrow" },
      h("thead", {}, h("tr", {}, ...["Channel", "Marker", "Recorded", "Compensated", "On its scale"].map((t, i) => h("th", { scope: "col", class: i > 1 ? "num" : null }, t)))),
      h("tbody", {}, ...cell.values.map((v) => h("tr", {}, h("th", { scope: "row" }, v.channel), h("td", {}, v.marker), h("td", { class: "num" }, v.raw), h("td", { class: "num" }, v.compensated), h("td", { class: "num" }, v.transformed)))))));
  say(`Event ${event} of tube ${tube}: ${cell.word}.`);
}

// ------------------------------------------------------------------ the whole page

async function list() {
  state.samples = (await post("/read/samples", {})).samples;
  refill($("sample"), ...state.samples.map((one) => h("option", { value: one.id, selected: one.id === state.id },
    `${one.id}${one.visit ? ` · ${one.visit}` : ""} · ${one.status}${one.edits ? ` · ${one.edits} kept` : ""}${one.signed ? ` · ${one.signed}` : ""}`)));
}

function go(by) {
  const i = state.samples.findIndex((one) => one.id === state.id), next = state.samples[i + by];
  if (next) open(next.id);
  else say(by > 0 ? "This is the last sample." : "This is the first sample.");
}

function help() {
  const own = h("input", { type: "checkbox", checked: keysAreOn(), onchange: (event) => switchKeys(event.target.checked) });
  return ask({ title: "Keys", body: [h("dl", { class: "keys" }, ...KEYS.map(([key, what]) => h("div", {}, h("dt", {}, key), h("dd", {}, what)))), h("label", { class: "choice" }, own, " Single letters act")] });
}

/** Another window kept something: show it, and say so; a change of this window that is not kept stays. */
async function heard(message) {
  if (message.window === WINDOW || message.sample !== state.id || !state.sample || message.entry <= state.sample.entry) return;
  await change(state.edit, "Somebody changed this sample; reading it …");
  await trail();
  say(`${message.who}: ${message.what}. What is shown includes it.`, "news");
}

/** The line to the server broke or stands again; what was said meanwhile was missed, so the sample is read anew. */
async function connected(stands) {
  const again = stands && document.body.classList.contains("cut-off");
  document.body.classList.toggle("cut-off", !stands);
  if (!again || !state.sample) return;
  await change(state.edit, "Connected again; reading the sample …");
  await trail();
}

for (const [id, action] of Object.entries({ previous: () => go(-1), next: () => go(1), undo: () => step("/write/undo", "Undone"), redo: () => step("/write/redo", "Done again"), keep, discard, sign, comment, help })) {
  $(id).addEventListener("click", action);
}
$("sample").addEventListener("change", (event) => open(event.target.value));
bindKeys({ previous: () => go(-1), next: () => go(1), undo: () => step("/write/undo", "Undone"), redo: () => step("/write/redo", "Done again"), keep, discard, sign, comment, help, gate: () => pane.editor?.layer.focus() });
document.querySelector("form.person").addEventListener("submit", () => sessionStorage.clear());  // the next person begins anew
listen(heard, connected);
await list();
const wished = decodeURIComponent(location.hash.slice(1));
if (state.samples.length) await open(state.samples.some((one) => one.id === wished) ? wished : state.samples[0].id);
else say("No sample of this run can be reviewed.");
