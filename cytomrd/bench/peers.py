"""How the benchmark reaches the peers: one function a case, each returning a call that is ready to be timed.

A peer that is not installed raises `ImportError` here, and becomes a row that says so.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count

import numpy as np

from cytomrd.bench.events import DETECTORS, FLUOROCHROMES, Events, bench_strategy, spillover
from cytomrd.bench.ours import (
    BLOCK,
    BOX_HIGH,
    BOX_LOW,
    COVARIANCE,
    DISTANCE_SQUARE,
    DIVIDER,
    DRAWN,
    MEAN,
    N_BINS,
    N_PASSES,
    memberships,
    within,
)
from cytomrd.fcs.dataset import open_fcs
from cytomrd.gating.gating_ml_export import gate_ids, write_gating_ml
from cytomrd.preprocess.transforms import Asinh, Biexponential, Transform

Run = Callable[[], object]


def flowkit_session(events: Events) -> Run:
    """FlowKit end to end: sample, session, analysis, counts; the same gates, through Gating-ML."""
    import flowkit

    path, strategy = events.file(), bench_strategy()
    gates = events.folder / "gates.xml"
    write_gating_ml(strategy, gates)
    names = {identifier: name for name, identifier in gate_ids(strategy).items()}

    def run() -> dict[str, int]:
        # An id of our own: FlowKit keeps one of several samples with the same $FIL.
        sample = flowkit.Sample(path, sample_id="bench")
        session = flowkit.Session(str(gates), [sample])
        session.analyze_samples(use_mp=False)
        results = session.get_gating_results("bench")
        return {names[gate]: int(results.get_gate_count(gate, at)) for gate, at in session.get_gate_ids()}

    return run


def memcpy(events: Events) -> Run:
    """The bytes of the events copied into memory that is warm."""
    source = np.frombuffer(events.rows, dtype=np.uint8)
    target = np.empty_like(source)
    return lambda: np.copyto(target, source)


def fromfile(events: Events, kind: str, byte_order: str) -> Run:
    """The bytes as they are, into new memory."""
    path = events.file(kind, byte_order)
    structure = open_fcs(path).structure
    begin = structure.header.base + structure.data.begin
    # 3-byte integers are no type of numpy's
    raw = {"float32": "f4", "int16": "u2", "int24": "u1", "int32": "u4"}[kind]
    dtype = np.dtype(byte_order + raw)
    count = structure.data.size // dtype.itemsize
    return lambda: np.fromfile(path, dtype=dtype, count=count, offset=begin)


def flowio_read(events: Events, kind: str, byte_order: str) -> Run:
    """A whole file as FlowIO's array."""
    import flowio

    path = events.file(kind, byte_order)
    return lambda: flowio.FlowData(str(path)).as_array()


def flowkit_read(events: Events, kind: str, byte_order: str) -> Run:
    """A whole file as a FlowKit sample."""
    import flowkit

    path = events.file(kind, byte_order)
    return lambda: flowkit.Sample(path, sample_id="bench").get_events(source="raw")


def numpy_decode(events: Events) -> Run:
    """Blocks of rows to float64 columns with numpy, into memory that is used again."""
    path = events.file()
    structure = open_fcs(path).structure
    begin = structure.header.base + structure.data.begin
    columns = np.empty((len(DETECTORS), BLOCK))

    def run() -> float:
        total, left = 0.0, events.n_events
        with path.open("rb") as file:
            file.seek(begin)
            while left:
                n = min(BLOCK, left)
                rows = np.fromfile(file, dtype="<f4", count=n * len(DETECTORS)).reshape(n, len(DETECTORS))
                columns[:, :n] = rows.T
                total += float(columns[0, n - 1] + columns[-1, 0])
                left -= n
        return total

    return run


def flowutils_compensate(events: Events) -> Run:
    """Ten of fourteen channels; rows in, rows out."""
    import flowutils.compensate

    rows, matrix = events.rows.astype(np.float64), np.array(spillover().matrix)
    indices = list(range(2, 12))
    return lambda: flowutils.compensate.compensate(rows, matrix, indices)


def flowutils_scale(events: Events, transform: Transform) -> Run:
    """One channel onto a scale."""
    import flowutils.transforms

    x = events.linear[0]
    if isinstance(transform, Asinh):
        return lambda: flowutils.transforms.asinh(x, None, transform.T, transform.M, transform.A)
    scale = getattr(flowutils.transforms, type(transform).__name__.lower())
    return lambda: scale(x, None, transform.T, transform.M, transform.W, transform.A)


def flowkit_biexponential(events: Events, transform: Biexponential) -> Run:
    """FlowKit's FlowJo biexponential; its table has 4096 channels."""
    import flowkit

    x = events.linear[0]
    parameters = transform.negative, transform.width, transform.positive, transform.max_value
    theirs = flowkit.transforms.WSPBiexTransform(*parameters)
    return lambda: theirs.apply(x)


def _frame(events: Events, n_axes: int):
    """The axes as FlowKit's gates take them, and their dimensions."""
    import flowkit
    import pandas as pd

    names = FLUOROCHROMES[:n_axes]
    frame = pd.DataFrame(np.ascontiguousarray(events.positions[:n_axes].T), columns=names)
    return frame, [flowkit.Dimension(name) for name in names]


def flowkit_rectangle(events: Events) -> Run:
    """FlowKit's rectangle gate on three axes."""
    import flowkit

    frame, _ = _frame(events, 3)
    sides = [
        flowkit.Dimension(name, range_min=low, range_max=high)
        for name, low, high in zip(FLUOROCHROMES[:3], BOX_LOW, BOX_HIGH, strict=True)
    ]
    return partial(flowkit.gates.RectangleGate("box", sides).apply, frame)


def flowutils_polygon(events: Events) -> Run:
    """The function below FlowKit's polygon gate."""
    import flowutils.gating

    points, vertices = np.ascontiguousarray(events.positions[:2].T), np.array(DRAWN)
    return lambda: flowutils.gating.points_in_polygon(vertices, points)


def flowkit_polygon(events: Events) -> Run:
    """FlowKit's polygon gate."""
    import flowkit

    frame, dimensions = _frame(events, 2)
    return partial(flowkit.gates.PolygonGate("drawn", dimensions, np.array(DRAWN)).apply, frame)


def flowutils_ellipsoid(events: Events) -> Run:
    """The function below FlowKit's ellipsoid gate."""
    import flowutils.gating

    points = np.ascontiguousarray(events.positions[:3].T)
    return lambda: flowutils.gating.points_in_ellipsoid(COVARIANCE, MEAN, DISTANCE_SQUARE, points)


def flowkit_ellipsoid(events: Events) -> Run:
    """FlowKit's ellipsoid gate."""
    import flowkit

    frame, dimensions = _frame(events, 3)
    return partial(flowkit.gates.EllipsoidGate("cluster", dimensions, MEAN, COVARIANCE, DISTANCE_SQUARE).apply, frame)


def flowkit_quadrant(events: Events) -> Run:
    """FlowKit's quadrant gate; bool (4, n_events) in our order."""
    import flowkit

    frame, _ = _frame(events, 2)
    axes = FLUOROCHROMES[:2]
    dividers = [
        flowkit.QuadrantDivider(f"divider {name}", name, "uncompensated", [at])
        for name, at in zip(axes, DIVIDER, strict=True)
    ]
    ids = [divider.id for divider in dividers]
    sides = [((None, at), (at, None)) for at in DIVIDER]
    cells = [flowkit.gates.Quadrant(str(cell), ids, [sides[0][cell % 2], sides[1][cell // 2]]) for cell in range(4)]
    gate = flowkit.gates.QuadrantGate("four", dividers, cells)

    def run() -> list[np.ndarray]:
        members = gate.apply(frame)
        return [members[str(cell)] for cell in range(4)]

    return run


def flowkit_boolean(events: Events) -> Run:
    """FlowKit's boolean gate on three known populations."""
    import flowkit
    import pandas as pd

    known = {(name, "root"): row for name, row in zip("ABC", memberships(events).astype(bool), strict=True)}
    frame = pd.DataFrame(known)
    refs = [{"ref": name, "path": ("root",), "complement": name == "B"} for name in "ABC"]
    gate = flowkit.gates.BooleanGate("some", "and", refs)
    return lambda: np.asarray(gate.apply(frame))


def numpy_histogram_1d(events: Events) -> Run:
    """numpy.histogram."""
    x = within(events)[0]
    return lambda: np.histogram(x, bins=N_BINS, range=(0.0, 1.0))[0]


def numpy_histogram_2d(events: Events) -> Run:
    """numpy.histogram2d."""
    x, y = within(events)
    return lambda: np.histogram2d(x, y, bins=N_BINS, range=((0.0, 1.0), (0.0, 1.0)))[0]


def numpy_moments(events: Events) -> Run:
    """numpy.mean and numpy.cov of the chosen columns."""
    positions, chosen = events.positions[:3], memberships(events)[0].astype(bool)

    def run() -> np.ndarray:
        inside = positions[:, chosen]
        return np.vstack([inside.mean(axis=1), np.cov(inside)])

    return run


def flowsom_som(events: Events) -> Run:
    """FlowSOM's estimator: training and the mapping of all events; a new seed for each call, as ours."""
    from flowsom.models import SOMEstimator

    x, maps, seeds = events.cells, [], count()
    SOMEstimator(rlen=1, seed=0).fit(x[:200])  # compiles, at every start anew

    def run() -> tuple[np.ndarray, list[np.ndarray]]:
        maps.append(SOMEstimator(rlen=N_PASSES, seed=next(seeds)).fit(x).codes)
        return x, maps

    return run


def flowsom_map(events: Events) -> Run:
    """FlowSOM's mapping to known nodes."""
    from flowsom.models import SOMEstimator

    x, nodes = events.cells, events.nodes
    estimator = SOMEstimator(rlen=1, seed=0).fit(x[:200])
    estimator.codes = nodes
    return lambda: (x, nodes, estimator.predict(x))


def sklearn_map(events: Events) -> Run:
    """scikit-learn's nearest of some points."""
    from sklearn.metrics import pairwise_distances_argmin

    x, nodes = events.cells, events.nodes
    return lambda: (x, nodes, pairwise_distances_argmin(x, nodes))


def faiss_map(events: Events) -> Run:
    """faiss' exact index, float32."""
    import faiss

    x, nodes = events.cells, events.nodes
    rows = x.astype(np.float32)
    faiss.omp_set_num_threads(1)
    index = faiss.IndexFlatL2(nodes.shape[1])
    index.add(nodes.astype(np.float32))
    return lambda: (x, nodes, index.search(rows, 1)[1].ravel())
