"""Self-organising maps, the mapping of events and AnnData on disk, against flowsom, scikit-learn, faiss and anndata.

    python benchmarks/clustering.py [--events 1000000] [--rounds 5]

Every round runs each way in turn, so that a busy moment of the machine hits all of them; round r uses seed r for all.
The events are a simulated marrow of ten channels on the panel's scales, float32. Errors are computed by the same
float64 code for all. Ways whose package is not installed are left out.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from common import setting, table, write_section

from cytomrd.gating.apply import ArrayDataset, transform_events
from cytomrd.gating.clustering import SelfOrganisingMap, fit_som_batch, map_events, topographic_error
from cytomrd.gating.fit import fit_gates
from cytomrd.panel.library import read_panel
from cytomrd.panel.matching import match_channels
from cytomrd.run.clusters_h5ad import EventTable, write_event_table
from cytomrd.simulate import LAWS, draw_donor, simulate_marrow_tube

CHANNELS = ("FSC-A", "SSC-A", "CD138", "CD27", "CD38", "CD56", "CD45", "CD19", "CD117", "CD81")
GRID = (10, 10)
N_TOPOLOGY = 50_000


def marrow(n_events: int) -> np.ndarray:
    """Events of a simulated marrow on the panel's scales, in random order: float32 (n_events, 10)."""
    law = LAWS["clinical"]
    tube = simulate_marrow_tube(law, draw_donor(law, 11), n_events, 0.006, tube="1", random_state=21)
    panel = read_panel("euroflow-mm-mrd")
    dataset = ArrayDataset(tube.scale_events, tube.detectors, tube.spillover)
    match = match_channels(panel.tube("1"), tube.detectors, tube.markers)
    fitted = fit_gates(dataset, panel, "1", match=match, spillover=tube.spillover)
    axes = [fitted.axes[m] for m in CHANNELS]
    events = transform_events(dataset.events, dataset.detectors, axes, fitted.strategy, tube.spillover)
    return np.random.default_rng(0).permutation(events.astype(np.float32))


def ways_to_train() -> dict:
    """Functions (events, seed) that train a map, map the events and return the nodes."""

    def ours(events, seed, **options):
        return SelfOrganisingMap(GRID, random_state=seed, **options).fit(events).nodes_

    ways = {}
    if find_spec("flowsom"):
        from flowsom.models.batch.som_estimator import BatchSOMEstimator
        from flowsom.models.som_estimator import SOMEstimator

        ways["flowsom"] = lambda events, seed: SOMEstimator(seed=seed).fit(events).codes
        ways["flowsom, its batch rule"] = lambda events, seed: BatchSOMEstimator(seed=seed).fit(events).codes
    ways["cytomrd, online rule"] = partial(ours, rule="online")
    ways["cytomrd, batch rule, 1 thread"] = partial(ours, rule="batch")
    ways["cytomrd, batch rule, 2 threads"] = partial(ours, rule="batch", n_threads=2)
    from sklearn.cluster import KMeans

    def k_means(events, seed):
        model = KMeans(GRID[0] * GRID[1], init="random", n_init=1, max_iter=10, random_state=seed)
        return model.fit(events).cluster_centers_

    ways["scikit-learn KMeans, 10 iterations (no map)"] = k_means
    return ways


def ways_to_map(nodes: np.ndarray) -> dict:
    """Functions (events) that return the nearest node of each event and, but for one, the distance."""
    from scipy.spatial import cKDTree
    from sklearn.metrics import pairwise_distances_argmin_min

    ways = {
        "cytomrd, 1 thread": lambda events: map_events(events, nodes)[0],
        "cytomrd, 2 threads": lambda events: map_events(events, nodes, 2)[0],
    }
    if find_spec("flowsom"):
        from flowsom.models._som import map_data_to_codes

        ways["flowsom"] = lambda events: map_data_to_codes(events, nodes)[0]
    ways["scikit-learn pairwise_distances_argmin_min"] = lambda e: pairwise_distances_argmin_min(e, nodes.astype("f4"))[
        0
    ]
    ways["scipy cKDTree"] = lambda events: cKDTree(nodes).query(events)[1]
    if find_spec("faiss"):
        import faiss

        index = faiss.IndexFlatL2(nodes.shape[1])
        index.add(nodes.astype(np.float32))

        def search(events, n_threads):
            faiss.omp_set_num_threads(n_threads)
            return index.search(events, 1)[1][:, 0]

        ways["faiss IndexFlatL2, 1 thread"] = partial(search, n_threads=1)
        ways["faiss IndexFlatL2, 2 threads"] = partial(search, n_threads=2)
    return ways


def nearest_in_float64(events: np.ndarray, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nearest node and distance by the plain rule, channel by channel."""
    best, least = np.zeros(len(events), dtype=np.int64), np.full(len(events), np.inf)
    for k, node in enumerate(np.asarray(nodes, dtype=np.float64)):
        square = np.zeros(len(events))
        for j, place in enumerate(node):
            square += (events[:, j].astype(np.float64) - place) ** 2
        closer = square < least
        best[closer], least[closer] = k, square[closer]
    return best, np.sqrt(least)


def measure(ways: dict, arguments, rounds: int) -> tuple[dict[str, list[float]], dict[str, list]]:
    """Seconds and results of each way, round by round; arguments(r) are those of round r."""
    seconds, results = {name: [] for name in ways}, {name: [] for name in ways}
    for r in range(rounds):
        for name, run in ways.items():
            started = time.perf_counter()
            result = run(*arguments(r))
            seconds[name].append(time.perf_counter() - started)
            results[name].append(result)
    return seconds, results


def map_errors(events: np.ndarray, nodes: np.ndarray) -> tuple[float, float]:
    """Quantisation error and topographic error."""
    return float(map_events(events, nodes)[1].mean()), topographic_error(events[:N_TOPOLOGY], nodes, GRID)


def training_table(events: np.ndarray, rounds: int) -> str:
    """Time and error of each way to train."""
    ways = ways_to_train()
    measure(ways, lambda r: (events[:2000], r), 1)
    seconds, nodes = measure(ways, lambda r: (events, r), rounds)
    errors = {name: np.array([map_errors(events, n) for n in found]) for name, found in nodes.items()}
    measured = next(iter(ways))
    rows = []
    for name in ways:
        error, torn = errors[name].mean(axis=0)
        spread = errors[name][:, 0].std()
        ratio = f"{np.median(seconds[measured]) / np.median(seconds[name]):.1f}"
        ratio += f" ({min(seconds[measured]) / min(seconds[name]):.1f})"
        more = 100 * (error / errors[measured][:, 0].mean() - 1)
        shown = f"{error:.5f} ± {spread:.5f}", f"{more:+.2f} %", "" if "no map" in name else f"{torn:.3f}"
        rows.append((name, f"{np.median(seconds[name]):.2f} s", f"{min(seconds[name]):.2f} s", ratio, *shown))
    head = (
        "fit and map",
        "median",
        "least",
        f"times faster than {measured} (at best)",
        "quantisation error",
        "against it",
        "topographic error",
    )
    return table(head, rows)


def mapping_table(events: np.ndarray, rounds: int) -> str:
    """Speed of each way to map, and how many labels differ from the plain float64 rule."""
    # as float32 holds them, since some of the ways take no others
    nodes = fit_som_batch(events, GRID).astype(np.float32).astype(np.float64)
    ways = ways_to_map(nodes)
    measure(ways, lambda r: (events[:2000],), 1)
    seconds, labels = measure(ways, lambda r: (events,), rounds)
    truth = nearest_in_float64(events, nodes)[0]
    ours = np.median(seconds["cytomrd, 1 thread"])
    rows = [
        (
            name,
            f"{len(events) / np.median(seconds[name]) / 1e6:.2f}",
            f"{len(events) / min(seconds[name]) / 1e6:.2f}",
            f"{np.median(seconds[name]) / ours:.2f}",
            int((np.asarray(labels[name][0]).astype(np.int64) != truth).sum()),
        )
        for name in ways
    ]
    head = ("map to 100 nodes", "million events/s", "at best", "time as a multiple of ours", "labels unlike float64")
    return table(head, rows)


def writing_table(events: np.ndarray, rounds: int, folder: str | None) -> str:
    """Time to write the events as AnnData, X and two layers, against the raw bytes."""
    import anndata
    import pandas as pd

    n = len(events)
    numbers = np.arange(n)
    cluster = np.zeros(n, dtype=np.int32)
    values = np.concatenate([events, events[:, :4]], axis=1)
    var = {"marker": [f"m{j}" for j in range(values.shape[1])]}

    def raw(path):
        with path.open("wb") as file:
            for _ in range(3):
                values.tofile(file)

    def plain(path):
        obs = pd.DataFrame({"event": numbers, "cluster": cluster}, index=pd.Index(numbers.astype(str)))
        data = anndata.AnnData(X=values, obs=obs, var=pd.DataFrame(var, index=pd.Index(var["marker"])))
        data.layers["raw"] = data.layers["compensated"] = values
        data.write_h5ad(path)

    def ours(path):
        labels = (cluster.astype(np.int8), ("root",))
        event_table = EventTable(values, numbers, cluster, cluster, labels, "a.fcs", var, {})
        chunks = ((i, values[i : i + 131_072], values[i : i + 131_072]) for i in range(0, n, 131_072))
        write_event_table(path, event_table, chunks)

    def read(path):
        assert anndata.read_h5ad(path).shape == values.shape

    with tempfile.TemporaryDirectory(dir=folder) as place:
        theirs, own = Path(place) / "plain.h5ad", Path(place) / "ours.h5ad"
        ways = {
            "raw bytes": lambda: raw(Path(place) / "raw"),
            "AnnData and write_h5ad": lambda: plain(theirs),
            "cytomrd, with X as a third layer": lambda: ours(own),
            "read what anndata wrote": lambda: read(theirs),
            "read what cytomrd wrote": lambda: read(own),
        }
        seconds, _ = measure(ways, lambda r: (), rounds + 1)
    medians = {name: float(np.median(s[1:])) for name, s in seconds.items()}
    rows = [(name, f"{m:.2f} s", f"{m / medians['raw bytes']:.1f}") for name, m in medians.items()]
    return table((f"{n:,} x {values.shape[1]}, X and two layers, float32", "median", "times the raw bytes"), rows)


def main() -> None:
    """Measure and write the section of README.md."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", default=None)
    options = parser.parse_args()
    events = marrow(options.events)
    peers = [p for p, module in (("flowsom", "flowsom"), ("faiss-cpu", "faiss")) if find_spec(module)]
    trained = training_table(events, options.rounds)
    mapped = mapping_table(events, 3 * options.rounds)
    written = writing_table(events, options.rounds, options.folder)
    write_section(
        "Clustering",
        f"`python benchmarks/clustering.py`: a simulated marrow of {options.events:,} events x {len(CHANNELS)} "
        f"channels, float32, grid {GRID[0]}x{GRID[1]}, 10 passes; medians of {options.rounds} interleaved rounds "
        "(three times as many for the mapping), a seed a round. Errors are means over the seeds, ± their SD. "
        f"Load of the machine at the end: {os.getloadavg()[0]:.1f}.\n"
        f"{setting('numpy', 'numba', 'scikit-learn', 'scipy', 'anndata', *peers)}\n\n"
        f"{trained}\n\nThe topographic error is the fraction of events whose two nearest nodes are not neighbours on "
        f"the grid.\n\n{mapped}\n\n{written}",
    )


if __name__ == "__main__":
    main()
