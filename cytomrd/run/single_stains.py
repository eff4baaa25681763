"""The compensation controls of a run folder: which files they are, what stains each, and their events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from cytomrd.errors import CompensationError, CytomrdError, GateError, RunError
from cytomrd.fcs.channels import Channel
from cytomrd.fcs.dataset import FcsDataset, open_fcs
from cytomrd.gating.fit.singlets import find_singlets
from cytomrd.panel.names import canonical, pulse_of, scatter_signal
from cytomrd.preprocess.positives import brightest_detector
from cytomrd.preprocess.stain_tube import StainTube
from cytomrd.run.stain_names import detector_of_stain, detectors_named_in, says_control, says_unstained
from cytomrd.samplesheet import SAMPLESHEET_NAME, SampleRow, find_fcs_files, load_samplesheet

__all__ = ["ControlFile", "ControlPlan", "matrix_detectors", "plan_controls", "read_stain_tube"]

# What instruments record beside light.
_NO_LIGHT = {"time", "event", "event count", "event number", "event length", "pulse width", "width", "tof", "flags"}
_TUBE_KEYWORDS = ("TUBE NAME", "$SMNO", "SAMPLE ID", "$CELLS", "$SRC", "$FIL")
MAX_DOUBLETS = 0.5
_SETTINGS = (("V", "voltage"), ("G", "gain"), ("E", "amplification"))


@dataclass(frozen=True, eq=False)
class ControlFile:
    """One control: its file, and the stain with its detector (both empty for unstained cells)."""

    name: str
    dataset: FcsDataset
    stain: str = ""
    detector: str = ""


@dataclass(frozen=True, eq=False)
class ControlPlan:
    """The controls of a run, checked against each other.

    Attributes
    ----------
    stains, unstained
        Single stains in the order of their files; unstained tubes (their events count together).
    detectors, scatter
        Columns of the matrix, and the two scatter channels to gate on (empty where a file lacks them).
    notes
        What was assumed.
    """

    stains: tuple[ControlFile, ...]
    unstained: tuple[ControlFile, ...]
    detectors: tuple[str, ...]
    scatter: tuple[str, ...]
    notes: tuple[str, ...] = ()


def plan_controls(folder: str | Path, *, spectral: bool = False, strict: bool = False) -> ControlPlan:
    """Find the single stains and unstained tubes of a run folder.

    With a samplesheet its roles ``single_stain`` and ``unstained`` say which they are. Without one, files are
    recognised by the one marker that they are labelled with, by their name, or by the tube's name. In spectral
    files no detector belongs to a stain: the samplesheet must name the stains, and their ``detector`` stays empty.

    Raises
    ------
    RunError
        If the folder holds no single stain.
    CompensationError
        If a stain fits no detector or several, or the files differ in detectors or settings.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RunError(f"{folder} is not a folder; give the folder that holds the single stains")
    notes: list[str] = []
    if (folder / SAMPLESHEET_NAME).exists():
        stains, unstained = _of_samplesheet(folder, spectral, strict, notes)
        where = f"{folder / SAMPLESHEET_NAME} has no row of role single_stain"
    elif spectral:
        stains, unstained, where = [], [], f"{folder / SAMPLESHEET_NAME} is missing"
    else:
        stains, unstained = _recognised(folder, strict, notes)
        where = f"no file in {folder} is labelled or named as a single stain"
    if not stains:
        raise RunError(
            f"{where}; list the controls in {SAMPLESHEET_NAME} with role single_stain and the column stain "
            "(marker or detector), and unstained cells with role unstained"
        )
    everything = [*stains, *unstained]
    detectors = _shared_detectors(everything, spectral)
    for control in stains:
        if control.detector and control.detector not in detectors:
            raise CompensationError(
                f"{control.name}: {control.detector!r} is not among the detectors to compensate, "
                f"{', '.join(detectors)}; state the one of the same pulse measure"
            )
    _refuse_other_settings(everything, detectors)
    return ControlPlan(tuple(stains), tuple(unstained), detectors, _shared_scatter(everything), tuple(notes))


def read_stain_tube(
    dataset: FcsDataset, detectors: Sequence[str], scatter: Sequence[str], *, name: str, stain: str, detector: str
) -> StainTube:
    """Single cells of a control, linear: log amplifiers and gains are undone.

    Doublets are left out where the file has two pulse measures of a scatter signal: two cells in a pulse have the
    autofluorescence of both, and may be a stained and an unstained one.

    Parameters
    ----------
    dataset
        The opened file.
    detectors, scatter
        Channels of the matrix and of the scatter gate.
    name, stain, detector
        As in `StainTube`.
    """
    channel = dict(zip(dataset.detectors, dataset.channels, strict=True))
    tops = [np.array([_top(channel[c]) for c in names]) for names in (detectors, scatter)]
    steps = np.array([np.log(10.0) * channel[d].decades / channel[d].range for d in detectors])
    values = dataset.read_events(detectors)
    beside = dataset.read_events(scatter) if scatter else np.empty((len(values), 0))
    single, notes = _single_cells(dataset)
    return StainTube(name, values[single], beside[single], stain, detector, *tops, steps, notes)


def _single_cells(dataset: FcsDataset) -> tuple[np.ndarray | slice, tuple[str, ...]]:
    """Which events are single cells, and what to say of it; all of them where no two pulse measures tell."""
    pair = _pulse_pair(dataset)
    if pair is None:
        return slice(None), ()
    channel = dict(zip(dataset.detectors, dataset.channels, strict=True))
    area, other = (dataset.read_events((name,))[:, 0] / _top(channel[name]) for name in pair)
    doublets = "above" if _pulse(channel[pair[1]]) == "W" else "below"
    try:
        single = find_singlets(area, other, doublets=doublets)
    except GateError as error:
        return slice(None), (f"doublets were not looked for: {error}",)
    share = 1.0 - float(single.mean())
    if share > MAX_DOUBLETS:
        why = f"{share:.0%} of the events would be doublets by {' and '.join(pair)}: none was left out, look at the two"
        return slice(None), (why,)
    return single, (f"{share:.1%} of the events are doublets by {' and '.join(pair)} and were left out",)


def _pulse_pair(dataset: FcsDataset) -> tuple[str, str] | None:
    """Area and height of forward scatter, else of side scatter, else area and width; linear, and of one laser."""
    measures: dict[tuple[str, str], dict[str, str]] = {}
    for channel in dataset.channels:
        said = scatter_signal(channel.detector) or scatter_signal(channel.marker)
        if said and said[2] != "log" and channel.decades == 0:
            measures.setdefault((said[0], said[3]), {}).setdefault(said[1], channel.detector)
    for other in ("H", "W"):
        for key in sorted(measures):
            if {"A", other} <= measures[key].keys():
                return measures[key]["A"], measures[key][other]
    return None


def _pulse(channel: Channel) -> str:
    return (scatter_signal(channel.detector) or scatter_signal(channel.marker))[1]


def _top(channel: Channel) -> float:
    """The value from which on a channel counts as saturated: the last of its range."""
    if channel.decades > 0:
        return 0.9999 * 10.0 ** (channel.decades * (channel.range - 1) / channel.range) * channel.offset
    return 0.9999 * (channel.range - 1) / channel.gain


def _of_samplesheet(
    folder: Path, spectral: bool, strict: bool, notes: list[str]
) -> tuple[list[ControlFile], list[ControlFile]]:
    rows = load_samplesheet(folder).rows
    unstained = [ControlFile(r.file, open_fcs(folder / r.file, strict=strict)) for r in rows if r.role == "unstained"]
    stains, problems = [], []
    for row in (r for r in rows if r.role == "single_stain"):
        dataset = open_fcs(folder / row.file, strict=strict)
        if spectral:
            stains.append(ControlFile(row.file, dataset, row.stain))
            continue
        found = _settle(detector_of_stain(row.stain, *_light(dataset)))
        if not found:
            found, source = _labelled_elsewhere(row.stain, dataset, folder, rows)
            if len(found) == 1:
                notes.append(f"{row.file}: {row.stain} is {found[0]}, as {source} labels it")
        if len(found) == 1:
            stains.append(ControlFile(row.file, dataset, row.stain, found[0]))
            continue
        why = f"fits several detectors ({', '.join(found)})" if found else "fits no detector"
        problems.append(
            f"row {row.row}, stain: {row.stain!r} {why} of {row.file}, which has {_listed(dataset)}; "
            "write the detector's name"
        )
    if problems:
        raise CompensationError("\n".join(problems))
    return stains, unstained


def _labelled_elsewhere(
    stain: str, dataset: FcsDataset, folder: Path, rows: Sequence[SampleRow]
) -> tuple[tuple[str, ...], str]:
    """The detector that another file of the run labels with the stain: controls often carry no markers."""
    here = set(dataset.detectors)
    for row in rows:
        try:
            detectors, markers = _light(open_fcs(folder / row.file))
        except (CytomrdError, OSError):
            continue
        labelled = [(d, m) for d, m in zip(detectors, markers, strict=True) if m and d in here]
        found = _settle(detector_of_stain(stain, *zip(*labelled, strict=True))) if labelled else ()
        if found:
            return found, row.file
    return (), ""


def _recognised(folder: Path, strict: bool, notes: list[str]) -> tuple[list[ControlFile], list[ControlFile]]:
    stains, unstained, unclear, other = [], [], [], []
    for name in find_fcs_files(folder):
        try:
            dataset = open_fcs(folder / name, strict=strict)
        except (CytomrdError, OSError) as error:
            notes.append(f"{name}: cannot be read and was left out: {error}")
            continue
        stem = PurePosixPath(name).stem
        tube = " ".join(dataset.keywords.get(key, "") for key in _TUBE_KEYWORDS)
        if says_unstained(stem) or (says_unstained(tube) and not _settle(detectors_named_in(stem, *_light(dataset)))):
            unstained.append(ControlFile(name, dataset))
            notes.append(f"{name}: taken for unstained cells, by its name")
            continue
        detector, how = _by_label_or_name(stem, dataset)
        if detector:
            stains.append(ControlFile(name, dataset, detector, detector))
            notes.append(f"{name}: taken for the single stain of {detector}, by {how}")
        elif says_control(f"{stem} {tube}"):
            unclear.append((name, dataset))
        else:
            other.append(name)
    for name, dataset in unclear:
        detector = _brightest(dataset, unstained)
        if detector is None:
            other.append(name)
            continue
        stains.append(ControlFile(name, dataset, detector, detector))
        notes.append(f"{name}: its name says no stain; taken for that of {detector}, where it is brightest")
    if other:
        notes.append(f"not taken for controls: {', '.join(other)}")
    return stains, unstained


def _by_label_or_name(stem: str, dataset: FcsDataset) -> tuple[str, str]:
    detectors, markers = _light(dataset)
    labelled = _settle([d for d, m in zip(detectors, markers, strict=True) if m])
    if len(labelled) == 1:
        return labelled[0], "its one labelled channel"
    found = _settle(detectors_named_in(stem, detectors, markers))
    if len(found) == 1:
        return found[0], "its name"
    for key in _TUBE_KEYWORDS:
        found = _settle(detectors_named_in(dataset.keywords.get(key, ""), detectors, markers))
        if len(found) == 1 and says_control(f"{stem} {dataset.keywords.get('$SRC', '')}"):
            return found[0], f"its keyword {key}"
    return "", ""


def _brightest(dataset: FcsDataset, unstained: Sequence[ControlFile]) -> str | None:
    if not unstained:
        return None
    detectors = matrix_detectors(dataset)
    if not set(detectors) <= set(unstained[0].dataset.detectors):
        return None
    column = brightest_detector(dataset.read_events(detectors), unstained[0].dataset.read_events(detectors))
    return None if column is None else detectors[column]


def _light(dataset: FcsDataset) -> tuple[list[str], list[str]]:
    """Detectors and markers of the channels that measure fluorescence."""
    kept = [c for c in dataset.channels if _is_light(c)]
    return [c.detector for c in kept], [c.marker for c in kept]


def _is_light(channel: Channel) -> bool:
    names = (channel.detector, channel.marker)
    return not channel.is_time and not any(
        scatter_signal(n) or canonical(n) in _NO_LIGHT or pulse_of(n)[0] in _NO_LIGHT for n in names if n
    )


def _settle(found: Sequence[str]) -> tuple[str, ...]:
    """One pulse measure of a detector that comes as several: area before none, height and width."""
    bases = {pulse_of(d)[0] for d in found}
    if len(found) > 1 and len(bases) == 1:
        return tuple(sorted(found, key=lambda d: ("A", "", "H", "W").index(pulse_of(d)[1])))[:1]
    return tuple(found)


def matrix_detectors(dataset: FcsDataset, *, spectral: bool = False) -> tuple[str, ...]:
    """The detectors to compensate: those of the file's own matrix, else of the pulse measure that most have."""
    try:
        if dataset.spillover is not None and not spectral:
            return dataset.spillover.detectors
    except CompensationError:
        pass  # a matrix that cannot be used is no guide; a better one is being made
    detectors, _ = _light(dataset)
    by_pulse: dict[str, list[str]] = {}
    for name in detectors:
        by_pulse.setdefault(pulse_of(name)[1], []).append(name)
    return tuple(max((by_pulse.get(pulse, []) for pulse in ("A", "", "H")), key=len))


def _shared_detectors(controls: Sequence[ControlFile], spectral: bool) -> tuple[str, ...]:
    first = matrix_detectors(controls[0].dataset, spectral=spectral)
    if len(first) < 2:
        raise CompensationError(
            f"{controls[0].name}: {len(first)} fluorescence detectors ({', '.join(first) or 'none'}); compensation is "
            "between two or more"
        )
    for control in controls:
        missing = [d for d in first if d not in control.dataset.detectors]
        if missing:
            raise CompensationError(
                f"{control.name}: lacks {', '.join(missing)}, which {controls[0].name} has; all controls must be "
                "recorded with the same detectors"
            )
    return first


def _shared_scatter(controls: Sequence[ControlFile]) -> tuple[str, ...]:
    """Forward and side scatter that all files have, area before height; nothing where one of the two is missing."""
    shared = set.intersection(*(set(c.dataset.detectors) for c in controls))
    chosen = []
    for signal in ("FSC", "SSC"):
        measures = []
        for channel in controls[0].dataset.channels:
            said = scatter_signal(channel.detector) or scatter_signal(channel.marker)
            if said and said[0] == signal and channel.detector in shared and said[1] != "W":
                # linear before log, plain before another laser's
                measures.append((said[2] == "log", ("A", "", "H").index(said[1]), said[3] != "", channel.detector))
        if measures:
            chosen.append(min(measures)[-1])
    return tuple(chosen) if len(chosen) == 2 else ()


def _refuse_other_settings(controls: Sequence[ControlFile], detectors: Sequence[str]) -> None:
    """A matrix holds for one setting of the detectors."""
    for detector in detectors:
        for key, word in _SETTINGS:
            seen: dict[str, str] = {}
            for control in controls:
                number = control.dataset.detectors.index(detector) + 1
                text = control.dataset.keywords.get(f"$P{number}{key}", "").strip()
                if text:
                    seen.setdefault(text, control.name)
            if len(seen) > 1:
                said = ", ".join(f"{text} in {name}" for text, name in seen.items())
                raise CompensationError(
                    f"{detector}: the {word} differs between the controls ({said}); a matrix holds for one setting: "
                    "record them alike"
                )


def _listed(dataset: FcsDataset) -> str:
    return ", ".join(f"{d} ({m})" if m else d for d, m in zip(*_light(dataset), strict=True))
