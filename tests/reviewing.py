"""What a person does on the review page, step by step, for tests and the benchmark."""

from __future__ import annotations

import pytest

WAIT_MS = 120_000

# Time from the release of the mouse to the new numbers, as the page itself sees it.
STOPWATCH = """() => {
  window.took = [];
  let released = null;
  document.addEventListener("pointerup", () => { released = performance.now(); }, true);
  new MutationObserver(() => {
    if (released !== null) { window.took.push(performance.now() - released); released = null; }
  }).observe(document.getElementById("numbers"), { childList: true, subtree: true });
}"""


class ReviewPage:
    """The page in a browser window, with the names that a person would use."""

    def __init__(self, context, address, token: str):
        self.page = context.new_page()
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.set_default_timeout(WAIT_MS)
        self.page.goto(f"{address.url}#token={token}")
        self.ready()

    def ready(self) -> None:
        """Wait until the sample, its plot and its trail are there."""
        self.page.wait_for_selector("#plot svg")
        self.page.wait_for_selector("#trail table", state="attached")
        self.idle()

    def idle(self) -> None:
        """Wait until nothing is under way."""
        self.page.wait_for_function("() => !document.querySelector('body[aria-busy], #plot[aria-busy]')")

    def choose(self, tube: str, population: str) -> None:
        """Choose a gate in the tree."""
        self.page.click(f'#tree [data-key="{tube} {population}"]')
        self.page.wait_for_selector(f'#tree [data-key="{tube} {population}"][aria-current]')
        self.page.wait_for_selector(f'#plot[data-gate="{tube} {population}"]:not([aria-busy])')
        self.idle()

    def drag(self, handle: str, dx: float, dy: float = 0.0) -> None:
        """Drag a handle of the gate by so many pixels, and wait for the numbers."""
        knob = self.page.locator(f'#plot [data-handle="{handle}"] circle.hit').first
        knob.evaluate("element => element.scrollIntoView({ block: 'center' })")
        box = knob.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        mouse = self.page.mouse
        mouse.move(x, y)
        mouse.down()
        mouse.move(x + dx / 2, y + dy / 2, steps=3)
        mouse.move(x + dx, y + dy, steps=3)
        self.page.evaluate("() => { document.getElementById('said').className = ''; }")
        mouse.up()
        self.page.wait_for_selector("#said.refusal, #said.waiting")
        assert not self.page.locator("#said.refusal").count(), self.said()
        self.idle()

    def number(self, name: str) -> str:
        """A number of the sample as the page shows it now."""
        row = self.page.locator(f'#numbers [data-figure="{name}"]')
        return row.locator("ins, b").first.inner_text()

    def kept_number(self, name: str) -> str | None:
        """The kept value beside a number that changed; None where it did not."""
        old = self.page.locator(f'#numbers [data-figure="{name}"] del')
        return old.inner_text() if old.count() else None

    def keep(self, why: str = "") -> None:
        """Keep the change, with a reason."""
        self.page.click("#keep")
        self.page.fill("#dialog textarea", why)
        self.page.click("#dialog button.first")
        self.page.wait_for_selector("#dialog", state="hidden")
        self.page.wait_for_selector("body:not(.waits)")
        self.idle()

    def said(self) -> str:
        """The line in the bar."""
        return self.page.locator("#said").inner_text()

    def step(self, name: str) -> None:
        """Press undo or redo, and wait."""
        n = self.page.locator("#trail tbody tr").count()
        self.page.click(f"#{name}")
        self.page.wait_for_function("n => document.querySelectorAll('#trail tbody tr').length > n", arg=n)
        self.idle()

    def call(self, cluster: str, word: str) -> None:
        """Call a cluster."""
        self.page.click(f'#clusters [data-key="{word} {cluster}"]')
        self.page.wait_for_selector("body.waits")
        self.idle()

    def sign(self, token: str, meaning: str = "reviewed") -> None:
        """Fill in the dialog and sign; a refusal leaves the dialog open."""
        if not self.page.locator("#dialog[open]").count():
            self.page.click("#sign")
            self.page.wait_for_selector("#dialog .signing")
        self.page.check(f'#dialog input[value="{meaning}"]')
        self.page.fill("#dialog input[type=password]", token)
        self.page.click("#dialog button.first")
        self.page.wait_for_function(
            "() => !document.querySelector('#dialog[open]') || document.querySelector('#dialog .refusal').textContent"
        )

    def trail(self) -> list[str]:
        """What each entry of the trail says, newest first."""
        return self.page.locator("#trail tbody tr").all_inner_texts()


def severe(page) -> list[str]:
    """What axe-core finds on the page that is serious or critical."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{v['id']}: {v['help']}: {', '.join(str(n['target']) for n in v['nodes'][:5])}"
        for v in found
        if v["impact"] in ("serious", "critical")
    ]
