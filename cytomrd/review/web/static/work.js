// Work that takes a while: said after a moment, with the time it has taken, and it can be stopped.

import { $, say } from "./dom.js";

const PATIENCE_MS = 200;
let current = null;

/** Run `task(signal)`; a new one of the same kind stops the one before. Gives undefined where it was stopped. */
export async function work(words, task) {
  current?.abort();
  const mine = new AbortController(), started = performance.now();
  current = mine;
  const tick = () => { $("work-words").textContent = `${words} ${((performance.now() - started) / 1000).toFixed(0)} s`; };
  const shown = setTimeout(() => { $("work").hidden = false; tick(); }, PATIENCE_MS), clock = setInterval(tick, 500);
  document.body.setAttribute("aria-busy", "true");
  try {
    return await task(mine.signal);
  } catch (error) {
    if (error.name === "AbortError") { if (current === mine) say("Stopped. Nothing was changed."); return undefined; }
    say(error.message, "refusal");
    return undefined;
  } finally {
    clearTimeout(shown);
    clearInterval(clock);
    if (current === mine) {
      current = null;
      $("work").hidden = true;
      document.body.removeAttribute("aria-busy");
    }
  }
}

$("stop").addEventListener("click", () => current?.abort());
