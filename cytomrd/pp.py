"""Preprocessing on AnnData, step by step, as scanpy users are used to: ``cm.pp``.

Each function takes what :func:`cytomrd.read_fcs` gives and changes it in place, or changes and returns a copy
(``copy=True``). Values go into layers ``raw``, ``compensated`` and ``transformed``, and ``X`` holds the last of
them; verdicts on events go into boolean columns of ``obs``, and never remove an event; settings and findings go into
``uns["cytomrd"]``. It is the same code that :func:`cytomrd.gate` and ``cytomrd gate`` run.

Examples
--------
>>> import tempfile, cytomrd as cm
>>> from pathlib import Path
>>> from cytomrd.simulate.demo import write_example_tube
>>> with tempfile.TemporaryDirectory() as folder:
...     tube = cm.read_fcs(write_example_tube(Path(folder) / "marrow.fcs", n_events=20_000))
>>> cm.pp.compensate(tube)
>>> cm.pp.transform(tube, "euroflow-mm-mrd", tube="2")
>>> cm.pp.margin_events(tube)
>>> cm.pp.time_qc(tube)
>>> cm.pp.singlets(tube)
>>> sorted(tube.layers), sorted(tube.obs)
(['compensated', 'raw', 'transformed'], ['margin', 'singlet', 'time_removed'])
>>> good = tube[tube.obs["singlet"] & ~tube.obs["time_removed"]]
>>> 0.8 < good.n_obs / tube.n_obs < 1.0
True
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np

from cytomrd.errors import CompensationError, GateError
from cytomrd.gating.apply import ArrayDataset, apply_gates, transform_events
from cytomrd.gating.fit import fit_singlets
from cytomrd.gating.fit.sampling import read_sample
from cytomrd.gating.fit.scales import fit_axes
from cytomrd.gating.gate import anndata_tube, match_tube
from cytomrd.gating.gates import Dimension, GatingStrategy, PolygonGate
from cytomrd.panel import Panel
from cytomrd.preprocess.compensation import Spillover
from cytomrd.preprocess.margins import upper_margin
from cytomrd.preprocess.time_qc import check_time
from cytomrd.preprocess.transforms import Linear, Transform

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["compensate", "margin_events", "singlets", "time_qc", "transform"]


def compensate(data: AnnData, spillover: Spillover | None = None, *, copy: bool = False) -> AnnData | None:
    """Compensate: fills ``layers["compensated"]`` and ``X`` from ``layers["raw"]``.

    Parameters
    ----------
    data
        From :func:`cytomrd.read_fcs`.
    spillover
        The matrix; by default the file's own.
    copy
        Return a changed copy and leave ``data`` as it is.

    Returns
    -------
    AnnData or None
        The copy, where one is asked for.

    Raises
    ------
    CompensationError
        If there is no matrix, or it does not fit the channels.

    Examples
    --------
    >>> import numpy as np, tempfile, cytomrd as cm
    >>> from cytomrd.preprocess.compensation import Spillover
    >>> path = tempfile.mkdtemp() + "/two.fcs"
    >>> cm.write_fcs(path, np.array([[100.0, 10.0], [0.0, 50.0]]), ["FITC-A", "PE-A"])
    >>> tube = cm.read_fcs(path)
    >>> cm.pp.compensate(tube, Spillover(("FITC-A", "PE-A"), np.array([[1.0, 0.1], [0.0, 1.0]])))
    >>> tube.layers["compensated"].tolist()
    [[100.0, 0.0], [0.0, 50.0]]
    """
    data = data.copy() if copy else data
    tube = anndata_tube(data)
    matrix = spillover if spillover is not None else tube.spillover
    if matrix is None:
        raise CompensationError("the file brings no spillover matrix; give one, see cytomrd.preprocess.compensation")
    strategy = GatingStrategy((), spillovers={"given": matrix})
    axes = [Dimension(detector, "given") for detector in tube.detectors]
    data.layers["compensated"] = transform_events(tube.events, tube.detectors, axes, strategy)
    data.X = data.layers["compensated"].copy()
    _note(data, "compensation", {"source": matrix.source, "detectors": list(matrix.detectors), "matrix": matrix.matrix})
    return data if copy else None


def transform(
    data: AnnData,
    scales: Mapping[str, Transform] | Panel | str | PathLike,
    *,
    tube: str | None = None,
    copy: bool = False,
) -> AnnData | None:
    """Put channels on their scales: fills ``layers["transformed"]`` and ``X``.

    Taken from ``layers["compensated"]`` where :func:`compensate` has run, else from ``layers["raw"]``.

    Parameters
    ----------
    data
        From :func:`cytomrd.read_fcs`.
    scales
        Detector to scale; or a panel, its id or its path, whose scales are then set as for gating (the logicle width
        from the negatives). Channels without a scale keep their values.
    tube
        Tube within the panel; recognised from the markers when left out.
    copy
        Return a changed copy and leave ``data`` as it is.

    Returns
    -------
    AnnData or None
        The copy, where one is asked for.

    Raises
    ------
    GateError
        If a detector is not there.
    PanelError
        If the markers do not fit the panel.

    Examples
    --------
    >>> import numpy as np, tempfile, cytomrd as cm
    >>> from cytomrd.preprocess.transforms import Asinh
    >>> path = tempfile.mkdtemp() + "/two.fcs"
    >>> cm.write_fcs(path, np.array([[100.0, 262144.0], [1.0, 0.0]]), ["FSC-A", "PE-A"])
    >>> tube = cm.read_fcs(path)
    >>> cm.pp.transform(tube, {"PE-A": Asinh()})
    >>> tube.X.round(6).tolist()
    [[100.0, 1.0], [1.0, 0.0]]
    """
    data = data.copy() if copy else data
    by_detector = dict(scales) if isinstance(scales, Mapping) else _panel_scales(data, scales, tube)
    missing = [detector for detector in by_detector if detector not in data.var_names]
    if missing:
        raise GateError(f"no channel {', '.join(missing)}; there are {', '.join(data.var_names)}")
    values = data.layers["compensated" if "compensated" in data.layers else "raw"].copy()
    for detector, scale in by_detector.items():
        column = data.var_names.get_loc(detector)
        values[:, column] = scale.apply(values[:, column])
    data.layers["transformed"] = values
    data.X = values.copy()
    # Lists, since h5ad takes no slash in a key and detectors may have one.
    _note(data, "scales", {"detectors": list(by_detector), "scales": [str(scale) for scale in by_detector.values()]})
    return data if copy else None


def margin_events(data: AnnData, channels: Sequence[str] = ("FSC-A", "SSC-A"), *, copy: bool = False) -> AnnData | None:
    """Mark events at the top of a scatter channel: ``obs["margin"]``.

    A finding, not a verdict: bright cells reach the top of fluorescence channels rightly.

    Parameters
    ----------
    data
        From :func:`cytomrd.read_fcs`.
    channels
        Detectors to look at; those that are not there are passed over.
    copy
        Return a changed copy and leave ``data`` as it is.

    Returns
    -------
    AnnData or None
        The copy, where one is asked for.

    Raises
    ------
    GateError
        If none of the channels is there.

    Examples
    --------
    >>> import numpy as np, tempfile, cytomrd as cm
    >>> path = tempfile.mkdtemp() + "/one.fcs"
    >>> cm.write_fcs(path, np.array([[100.0], [1023.0]]), ["FSC-A"], ranges=[1024])
    >>> tube = cm.read_fcs(path)
    >>> cm.pp.margin_events(tube)
    >>> tube.obs["margin"].tolist()
    [False, True]
    """
    data = data.copy() if copy else data
    tube = anndata_tube(data)
    found = [c for c in channels if c in tube.detectors]
    if not found or not tube.channels:
        raise GateError(
            f"no channel of {', '.join(channels)} with a known range; there are {', '.join(tube.detectors)}"
        )
    columns = [tube.detectors.index(c) for c in found]
    edges = [upper_margin(tube.channels[column]) for column in columns]
    data.obs["margin"] = (tube.events[:, columns] >= edges).any(axis=1)
    _note(data, "margin_channels", found)
    return data if copy else None


def time_qc(data: AnnData, channel: str = "Time", *, copy: bool = False) -> AnnData | None:
    """Mark events of stretches that a clog, a bubble or a shifted signal has spoilt: ``obs["time_removed"]``.

    Rate and signal are judged as in gating (:func:`cytomrd.preprocess.time_qc.check_time`), on the channels that
    :func:`transform` has put on a scale.

    Parameters
    ----------
    data
        From :func:`cytomrd.read_fcs`, transformed.
    channel
        The time channel; any case.
    copy
        Return a changed copy and leave ``data`` as it is.

    Returns
    -------
    AnnData or None
        The copy, where one is asked for. ``uns["cytomrd"]["time_qc"]`` holds the intervals, the drift and the reasons.

    Raises
    ------
    GateError
        If there is no such channel, or nothing was transformed.

    Examples
    --------
    >>> import numpy as np, tempfile, cytomrd as cm
    >>> from cytomrd.preprocess.transforms import Linear
    >>> signal = np.random.default_rng(0).normal(500, 50, 20_000)
    >>> signal[5000:6000] += 300
    >>> path = tempfile.mkdtemp() + "/clog.fcs"
    >>> cm.write_fcs(path, np.column_stack([np.arange(20_000.0), signal]), ["Time", "PE-A"])
    >>> tube = cm.read_fcs(path)
    >>> cm.pp.transform(tube, {"PE-A": Linear(T=1000)})
    >>> cm.pp.time_qc(tube)
    >>> 900 < int(tube.obs["time_removed"].sum()) < 1200
    True
    """
    data = data.copy() if copy else data
    scaled = [str(d) for d in data.uns.get("cytomrd", {}).get("scales", {}).get("detectors", ())]
    if "transformed" not in data.layers or not scaled:
        raise GateError("time QC looks at signals on their scales; call cytomrd.pp.transform first")
    clock = next((i for i, name in enumerate(data.var_names) if name.casefold() == channel.casefold()), None)
    if clock is None:
        raise GateError(f"no channel {channel!r}; there are {', '.join(data.var_names)}")
    times = np.asarray(data.layers["raw"])[:, clock]
    signals = np.asarray(data.layers["transformed"])[:, [data.var_names.get_loc(d) for d in scaled]]
    sample = read_sample(ArrayDataset(np.column_stack([times, signals]), (channel, *scaled)))
    qc = check_time(sample[:, 0], sample[:, 1:], tuple(scaled))
    removed = np.zeros(data.n_obs, dtype=bool)
    for start, stop in qc.removed:
        removed |= (times >= start) & (times < stop)
    data.obs["time_removed"] = removed
    intervals = np.array(qc.removed, dtype=np.float64).reshape(-1, 2)
    _note(data, "time_qc", {"removed": intervals, "drift": qc.drift, "notes": list(qc.notes)})
    return data if copy else None


def singlets(
    data: AnnData,
    x: str = "FSC-A",
    y: str = "FSC-H",
    *,
    width: float = 4.0,
    doublets: str = "below",
    copy: bool = False,
) -> AnnData | None:
    """Mark single cells by two pulse measures of one signal: ``obs["singlet"]``.

    Parameters
    ----------
    data
        From :func:`cytomrd.read_fcs`.
    x, y
        The two detectors.
    width, doublets
        As for :func:`cytomrd.gating.fit.fit_singlets`: half-width of the band in robust SDs, and the
        side on which doublets lie: ``"below"`` for height against area, ``"above"`` for area against height.
    copy
        Return a changed copy and leave ``data`` as it is.

    Returns
    -------
    AnnData or None
        The copy, where one is asked for. ``uns["cytomrd"]["singlets"]`` holds the polygon, in units of ``top``.

    Raises
    ------
    GateError
        If a channel is not there, or the evidence is too thin to fit the band.

    Examples
    --------
    >>> import numpy as np, tempfile, cytomrd as cm
    >>> random = np.random.default_rng(0)
    >>> area = random.uniform(50_000, 150_000, 5000)
    >>> height = area * random.normal(0.8, 0.02, 5000)
    >>> height[:200] *= 0.6
    >>> path = tempfile.mkdtemp() + "/pulses.fcs"
    >>> cm.write_fcs(path, np.column_stack([area, height]), ["FSC-A", "FSC-H"])
    >>> tube = cm.read_fcs(path)
    >>> cm.pp.singlets(tube)
    >>> single = tube.obs["singlet"].to_numpy()
    >>> int(single[:200].sum()), 4700 < int(single.sum()) <= 4800
    (0, True)
    """
    data = data.copy() if copy else data
    tube = anndata_tube(data)
    missing = [c for c in (x, y) if c not in tube.detectors]
    if missing:
        raise GateError(f"no channel {', '.join(missing)}; there are {', '.join(tube.detectors)}")
    pair = tube.events[:, [tube.detectors.index(x), tube.detectors.index(y)]]
    # One scale for both, since it is their ratio that is followed; it holds every event, and ranges need not be known.
    top = float(2.0 ** np.ceil(np.log2(np.max(pair, where=np.isfinite(pair), initial=1.0))))
    scale = Linear(T=top)
    pulses = ArrayDataset(pair, (x, y))
    sample = read_sample(pulses)
    vertices = fit_singlets(scale.apply(sample[:, 0]), scale.apply(sample[:, 1]), width=width, doublets=doublets)
    gate = PolygonGate("singlet", (Dimension(x, transform="top"), Dimension(y, transform="top")), vertices)
    data.obs["singlet"] = apply_gates(pulses, GatingStrategy((gate,), {"top": scale})).members("singlet")
    _note(data, "singlets", {"channels": [x, y], "vertices": np.array(vertices), "top": top})
    return data if copy else None


def _panel_scales(data: AnnData, panel: Panel | str | PathLike, tube: str | None) -> dict[str, Transform]:
    """Scales by detector, as gating sets them."""
    events = anndata_tube(data)
    _, spec, match = match_tube(events, panel, tube)
    used = data.uns.get("cytomrd", {}).get("compensation")
    spillover = None
    if used is not None and "compensated" in data.layers:
        spillover = Spillover(tuple(map(str, used["detectors"])), np.asarray(used["matrix"]), str(used["source"]))
    axes = fit_axes(spec, match.detector_of, events, read_sample(events), spillover)
    return {d.channel: axes.transforms[d.transform] for d in axes.dimensions.values() if d.transform is not None}


def _note(data: AnnData, key: str, value) -> None:
    data.uns["cytomrd"] = {**data.uns.get("cytomrd", {}), key: value}
