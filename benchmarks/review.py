"""How long a person waits: from the end of a drag to the numbers of a two-tube marrow, on all its events.

The marrow is simulated, gated as any other, and opened for review. Each drag moves another gate to another place, so
that nothing of it was seen before. What is timed is the engine alone; the page adds its own.

Run: python benchmarks/review.py [--events 1e6,5e6] [--drags 24] [--plasma-cells 0.001]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from common import setting, table, write_section

from cytomrd.cli.main import cytomrd
from cytomrd.errors import ReviewError
from cytomrd.review.edits import Edit, MoveBound, MoveGate, MoveVertex
from cytomrd.review.run import open_review
from cytomrd.review.workbench import Workbench
from cytomrd.simulate import CLONES, LAWS, draw_donor, simulate_marrow_tube

TITLE = "Moving gates: `review.py`"
SAMPLE = "BM"
CLONAL = 2e-5
# How far a drag goes on the transformed scale, at most.
REACH = 0.05


def main() -> None:
    """Measure and write the section."""
    options = read_options(__doc__, drags=24)
    rows = []
    for folder, n_events in gated_marrows(options):
        rows += measure(folder, n_events, options.drags, options.seed)
    load = os.getloadavg()[0]
    write_section(TITLE, report(rows, options, load))


def read_options(doc: str, drags: int) -> argparse.Namespace:
    """The options of a benchmark of moved gates."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--events", default="1e6,5e6")
    parser.add_argument("--drags", type=int, default=drags, help="Of each marrow, or of each gate on the page.")
    parser.add_argument("--plasma-cells", type=float, default=0.001)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=None, help="Where the marrows are made, and kept.")
    return parser.parse_args()


def gated_marrows(options: argparse.Namespace) -> Iterator[tuple[Path, int]]:
    """Run folder and events a tube of each marrow, gated; they go with the last one unless a folder is named."""
    with tempfile.TemporaryDirectory() as passing:
        for n_events in (int(float(n)) for n in options.events.split(",")):
            folder = (options.folder or Path(passing)) / str(n_events)
            if not (folder / "results").exists():
                write_marrow(folder, n_events, options.plasma_cells, options.seed)
                cytomrd.main(["gate", str(folder), "-j", "2", "-q"], standalone_mode=False)
            yield folder, n_events


def write_marrow(folder: Path, n_events: int, plasma_cells: float, seed: int) -> None:
    """A run folder with one marrow in two tubes."""
    import cytomrd as cm

    folder.mkdir(parents=True, exist_ok=True)
    law = LAWS["clinical"]
    donor = draw_donor(law, seed)
    lines = ["file,sample_id,subject_id,day,matrix,panel,tube,pull"]
    for number in ("1", "2"):
        tube = simulate_marrow_tube(
            law, donor, n_events, plasma_cells, clone=CLONES["typical"], n_clonal=round(CLONAL * n_events),
            tube=number, random_state=100 * seed + int(number),
        )  # fmt: skip
        cm.write_fcs(
            folder / f"{SAMPLE}_{number}.fcs", tube.events, tube.detectors, markers=tube.markers,
            ranges=[tube.top] * len(tube.detectors), spillover=tube.spillover, timestep=tube.timestep_s,
        )  # fmt: skip
        lines.append(f"{SAMPLE}_{number}.fcs,{SAMPLE},S1,28,BM,euroflow-mm-mrd,{number},1")
    (folder / "samplesheet.csv").write_text("\n".join(lines) + "\n", "utf-8")


def drags(bench: Workbench, n: int, seed: int) -> list[Edit]:
    """Gates of both tubes in turn, each moved as its kind can be."""
    rng = np.random.default_rng(seed)
    gates = [(t, g) for t in bench.tubes for g in bench.gates(t) if g.kind in ("polygon", "rectangle") and g.plot]
    found = []
    for i in rng.permutation(np.resize(np.arange(len(gates)), n)):
        tube, gate = gates[i]
        by = float(rng.uniform(-REACH, REACH))
        if gate.kind == "polygon":
            corner = int(rng.integers(len(gate.vertices)))
            x, y = gate.vertices[corner]
            move = MoveVertex(tube, gate.name, corner, x, y + by)
            found.append(move if rng.random() < 0.5 else MoveGate(tube, gate.name, {gate.axes[1]: by}))
        else:
            values = {s: dict(zip(gate.axes, getattr(gate, s), strict=True)) for s in ("minimum", "maximum")}
            sides = [(m, s, v) for s, of_side in values.items() for m, v in of_side.items() if v is not None]
            marker, side, value = sides[int(rng.integers(len(sides)))]
            found.append(MoveBound(tube, gate.name, marker, side, value + by))
    return found


def measure(folder: Path, n_events: int, n_drags: int, seed: int) -> list[tuple]:
    """Rows of the table for one marrow: seconds of the clock and of the processor."""
    run = open_review(folder)
    begun = time.perf_counter()
    bench = run.workbench(SAMPLE)
    bench.clusters()
    opened = time.perf_counter() - begun
    automatic = bench.automatic.mrd.n_plasma_cells
    bench.preview(drags(bench, 1, seed + 1000)[0])
    times = []
    for edit in drags(bench, n_drags, seed):
        try:
            cpu = time.process_time()
            glance = bench.preview(edit, glance=True)
            between = time.process_time()
            settled = bench.preview(edit)
            times.append((glance.seconds, between - cpu, settled.seconds, time.process_time() - between))
        except ReviewError as error:  # a bound dragged past another is refused: not what is timed
            print(f"{edit}: {error}")
    begun = time.perf_counter()
    for tube in bench.tubes:
        bench.density(tube, "nucleated", "CD38", "CD138")
    image = (time.perf_counter() - begun) / len(bench.tubes)
    run.close()
    found = np.array(times)
    middle, most = np.median(found, axis=0), found.max(axis=0)
    return [
        (
            f"2 x {n_events:,}", automatic, len(times),
            *(f"{m:.2f} ({top:.2f})" for m, top in zip(middle, most, strict=True)), f"{opened:.1f}", f"{image:.2f}",
        )
    ]  # fmt: skip


def report(rows: list[tuple], options, load: float) -> str:
    """The section."""
    head = (
        "marrow", "plasma cells", "drags", "counts s", "of a processor s", "then settled s", "of a processor s",
        "to open s", "a density image s",
    )  # fmt: skip
    return (
        f"{setting('numpy', 'numba')}\n\nSeconds, median (longest), from an edit to its numbers: first every count of "
        f"every population, with and without time QC, on all events of the tube, and MRD with the plasma cells "
        f"labelled as they were; then all of it with the clusters of plasma cells found and judged again. "
        f"Seed {options.seed}, {datetime.now(UTC):%Y-%m-%d}. The load of the machine was {load:.1f} on "
        f"{len(os.sched_getaffinity(0))} processors; beside the time by the clock stands what the process used of one "
        f"processor.\n\n"
        f"{table(head, rows)}\n"
    )


if __name__ == "__main__":
    main()
