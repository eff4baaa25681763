"""How long a person waits at the page: from the release of the mouse to the new numbers of a two-tube marrow.

The marrow is that of `review.py`. A headless Chromium drags a gate back and forth, each time to another place, and
the page itself takes the time between the release and the numbers it then shows.

Run: python benchmarks/review_page.py [--events 1e6,5e6] [--drags 12] [--plasma-cells 0.001]
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from common import setting, table, write_section
from review import SAMPLE, gated_marrows, read_options

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
from report.browser import chromium
from reviewing import STOPWATCH, ReviewPage
from serving_review import serving

from cytomrd.review.run import open_review

TITLE = "Moving gates on the page: `review_page.py`"
# Gate, handle and step in pixels: two that change the denominator, and one that changes the plasma cells.
DRAGS = (("cells", "whole", 6), ("singlets", "whole", 4), ("cd38_bright", "x 0", 9))


def main() -> None:
    """Measure and write the section."""
    options = read_options(__doc__, drags=12)
    rows = []
    for folder, n_events in gated_marrows(options):
        rows += measure(folder, n_events, options.drags)
    write_section(TITLE, report(rows, options))


def measure(folder: Path, n_events: int, n_drags: int) -> list[tuple]:
    """A row of the table for each gate."""
    rows = []
    run = open_review(folder)
    token = run.people.add(f"benchmark {datetime.now(UTC):%H%M%S%f}", "analyst")
    with serving(run) as desk, chromium() as browser:
        page = ReviewPage(browser.new_context(viewport={"width": 1280, "height": 900}), desk.address, token)
        page.page.evaluate(STOPWATCH)
        n_plasma_cells = run.workbench(SAMPLE).automatic.mrd.n_plasma_cells
        for gate, handle, step in DRAGS:
            page.choose("2", gate)
            page.drag(handle, step)  # the first of a gate also warms up
            page.page.evaluate("() => { window.took = []; }")
            for i in range(n_drags):
                page.drag(handle, step + 3 * i if i % 2 else -step - 2 * i - 1)
            took = np.array(page.page.evaluate("window.took")) / 1000
            rows.append(
                (f"2 x {n_events:.0e}", n_plasma_cells, gate, len(took), f"{np.median(took):.2f}", f"{took.max():.2f}")
            )
            page.page.click("#discard")
            page.page.wait_for_selector("body:not(.waits)")
    run.close()
    return rows


def report(rows: list[tuple], options) -> str:
    """The section."""
    head = ("marrow", "plasma cells", "gate moved", "drags", "median s", "longest s")
    return (
        f"{setting('tornado', 'playwright')}\n\nSeconds from the release of the mouse to the numbers on the page, "
        f"seed {options.seed}, {datetime.now(UTC):%Y-%m-%d}; load of the machine {os.getloadavg()[0]:.1f} with "
        f"{len(os.sched_getaffinity(0))} processors.\n\n{table(head, rows)}\n"
    )


if __name__ == "__main__":
    main()
