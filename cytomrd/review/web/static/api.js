// Requests to the server, each with the session's word; and its messages, as they come.

// Names this window, so that it need not be told of what it did itself.
export const WINDOW = crypto.getRandomValues(new Uint32Array(2)).join("-");
const csrf = document.querySelector("meta[name=csrf]").content;

export class Refused extends Error {
  constructor(message, status, body) {
    super(message);
    this.status = status;
    this.body = body;
  }
}

async function answer(response) {
  if (response.status === 401) {
    location.assign("/sign-in");  // the server was started anew, or the day is over; what was kept is kept
    throw new Refused("Sign in again.", 401, {});
  }
  let body = {};
  try { body = await response.json(); } catch { /* an answer that is no JSON says enough by its status */ }
  if (!response.ok) throw new Refused(body.error || `The server answered ${response.status}.`, response.status, body);
  return body;
}

async function request(path, options) {
  try {
    return await answer(await fetch(path, { credentials: "same-origin", redirect: "error", ...options }));
  } catch (error) {
    if (error instanceof Refused || error.name === "AbortError") throw error;
    throw new Refused("The server does not answer. What was kept is kept; start it again and reload.", 0, {});
  }
}

export const post = (path, body, signal = undefined) => request(path, {
  method: "POST",
  signal,
  headers: { "Content-Type": "application/json", "X-Csrf-Token": csrf, "X-Window": WINDOW },
  body: JSON.stringify(body),
});

/** Messages from the server; the line is taken up again when it breaks. */
export function listen(onMessage, onState) {
  let wait = 500;
  function open() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}/messages`);
    socket.addEventListener("open", () => { wait = 500; onState(true); });
    socket.addEventListener("message", (event) => onMessage(JSON.parse(event.data)));
    socket.addEventListener("close", () => {
      onState(false);
      setTimeout(open, wait);
      wait = Math.min(2 * wait, 10000);
    });
  }
  open();
}
