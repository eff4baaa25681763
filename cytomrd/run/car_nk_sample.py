"""CAR+ NK cells of a sample within a run: its control, its absolute count, its row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cytomrd.car_nk.absolute import DualPlatform, SinglePlatform, Volumetric, volume_ul_from_keyword
from cytomrd.car_nk.background import Background, choose_background
from cytomrd.car_nk.quantify import AbsoluteMethod, quantify_car_nk
from cytomrd.car_nk.spread import NegativeReach, background_at_reach, negative_reach
from cytomrd.errors import CytomrdError, QuantificationError
from cytomrd.fcs.dataset import open_fcs
from cytomrd.gating.fit import ControlCut, fit_control_cut, fit_gates
from cytomrd.panel import CarNkSpec, Panel
from cytomrd.run.model import FileResult, SampleResult
from cytomrd.run.plan import PlannedFile
from cytomrd.run.settings import RunSettings
from cytomrd.run.spillover import file_spillover

# NK cells that nothing resembles: hardly one should go with myeloma and granulocytes.
MIN_NK_BEFORE, MIN_NK_KEPT = 100, 0.8
# Cells near the NK gate that may be NK cells, beyond this part of those counted, make the count of NK cells doubtful.
MAX_UNSURE = 0.2
# Beads and a blood count of the same blood agree within this factor, or one of them is not what it is taken for.
MAX_DISAGREEMENT = 1.5

__all__ = ["SubjectControl", "finish_car_nk", "subject_control"]


@dataclass(frozen=True)
class SubjectControl:
    """The control that sets the CAR threshold of a subject's series; ``reason`` says why there is none.

    ``subject_id`` is that of its row, ``contents`` the SHA-256 of each file that was read for it.
    """

    role: str = ""
    file: str = ""
    subject_id: str = ""
    cut: ControlCut | None = None
    reason: str = ""
    contents: Mapping[str, str] = field(default_factory=dict)


def subject_control(
    controls: tuple[PlannedFile, ...], panels: dict[str, Panel], settings: RunSettings, folder
) -> SubjectControl:
    """The first control that yields a threshold; they come in order of preference."""
    reasons, contents = [], {}
    for control in controls:
        try:
            cut, contents[control.row.file] = _control_cut(control, panels[control.panel_id], settings, folder)
        except (CytomrdError, OSError) as error:
            reasons.append(f"{control.row.file}: {error}")
            continue
        passed_over = f"passed over {'; '.join(reasons)}" if reasons else ""
        row = control.row
        return SubjectControl(row.role, row.file, row.subject_id or "", cut, passed_over, contents)
    return SubjectControl(reason="; ".join(reasons))


def _control_cut(control: PlannedFile, panel: Panel, settings: RunSettings, folder) -> tuple[ControlCut, str]:
    """The threshold that a control gives, and the SHA-256 of its file."""
    spec = panel.car_nk
    dataset = open_fcs(control.path, strict=settings.strict)
    spillover = file_spillover(dataset, settings, folder)
    seed = settings.random_state
    fitted = fit_gates(dataset, panel, control.tube, match=control.match, spillover=spillover, random_state=seed)
    cut = next(c for c in panel.cuts if c.name == spec.car_cut)
    source = f"{control.row.role.replace('_', '-')} control {control.row.file}"
    threshold = fit_control_cut(
        dataset, fitted, spec.car_cut, population=spec.nk, quantile=cut.quantile, width=cut.width, spillover=spillover,
        source=source, random_state=seed,
    )  # fmt: skip
    return threshold, dataset.sha256


def finish_car_nk(sample: SampleResult, panel: Panel, control: SubjectControl | None) -> SampleResult:
    """Quantify one sample. A count that cannot be defended is refused with its reason as a flag."""
    spec = panel.car_nk
    if len(sample.files) != 1:
        files = ", ".join(f.row.file for f in sample.files)
        raise QuantificationError(
            f"sample {sample.sample_id} has {len(sample.files)} tubes ({files}); one is allowed: beads and volumes "
            "belong to a tube. Give each tube a sample_id of its own"
        )
    file = sample.files[0]
    row = file.row
    reach = _reach(file, spec, control)
    background, flags = _background(file, spec, control, reach)
    absolute, refused = _absolute(file, spec)
    result = quantify_car_nk(
        file.count(spec.leukocytes),
        file.count(spec.nk),
        file.count(spec.car_nk),
        background=background,
        absolute=absolute,
        spec=spec,
        matrix=row.matrix or "PB",
        n_car_t=file.count(spec.car_t) if file.gates(spec.car_t) else None,
        collected_at=row.collected_at,
        acquired_at=row.acquired_at or file.acquired_at,
        refusal=_refusal(file, spec) or (reach.refusal if reach is not None else ""),
        flags=(*flags, *refused, *_doubts(file, spec), *_disagreement(file, spec, absolute)),
    )
    result = replace(result, **_intensities(file, spec))
    return replace(sample, car_nk=result, flags=result.flags)


def _background(
    file: FileResult, spec: CarNkSpec, control: SubjectControl | None, reach: NegativeReach | None
) -> tuple[Background | None, tuple[str, ...]]:
    """The background that the subject's control gives this sample, and what a reader must know of it."""
    flags = []
    row = file.row
    if control is not None and control.reason:
        flags.append(f"CONTROL_NOT_USED: {control.reason}")
    if row.role == "pre_infusion":
        flags.append("CONTROL: this is the pre-infusion sample")
    cut = control.cut if control is not None else None
    controls = {control.role: (cut.n_positive, cut.n_events)} if cut is not None else {}
    background = choose_background(controls, spec)
    if cut is not None and control.subject_id != (row.subject_id or ""):
        flags.append(f"CONTROL_OF_ANOTHER: {control.file} is a control of {control.subject_id or 'no subject'}")
    if background is not None and reach is not None and not reach.refusal:
        background, spread = background_at_reach(background, cut, reach, file.count(spec.nk))
        flags += [spread] if spread else []
    return background, tuple(flags)


def _reach(file: FileResult, spec: CarNkSpec, control: SubjectControl | None) -> NegativeReach | None:
    """How near this sample's negative NK cells come to the control's threshold."""
    marker = _car_marker(file, spec)
    cells = next((c for c in file.rare if c.population == spec.nk and marker in c.markers), None)
    if cells is None or control is None or control.cut is None or control.file == file.row.file:
        return None
    return negative_reach(control.cut, cells.compensated[:, cells.markers.index(marker)])


def _car_marker(file: FileResult, spec: CarNkSpec) -> str | None:
    return next((d.marker for d in file.decisions if d.name == spec.car_cut and d.value is not None), None)


def _intensities(file: FileResult, spec: CarNkSpec) -> dict[str, float | None]:
    medians = next((p.median_intensity for p in file.populations if p.population == spec.car_nk), {})
    return {"median_car": medians.get(_car_marker(file, spec)), "median_cd16": medians.get("CD16")}


def _doubts(file: FileResult, spec: CarNkSpec) -> tuple[str, ...]:
    """What makes the count of NK cells doubtful."""
    flags = []
    cd56 = next((d for d in file.decisions if d.name == "CD56" and d.status == "fallback"), None)
    if cd56 is not None:
        flags.append(f"NK_CUT: CD56 does not part NK cells from others here, their count may be far off: {cd56.reason}")
    if spec.nk_unsure is None or not file.gates(spec.nk_unsure):
        return tuple(flags)
    unsure, nk = file.count(spec.nk_unsure), file.count(spec.nk)
    if unsure > MAX_UNSURE * nk:
        share = f"{100 * unsure / nk:.2g} % of them" if nk else "and there are none"
        flags.append(
            f"NK_DOUBTFUL: {unsure} cells near the NK cells ({share}) are dendritic cells and basophils, or dim NK "
            "cells; they are not counted"
        )
    return tuple(flags)


def _disagreement(file: FileResult, spec: CarNkSpec, absolute: AbsoluteMethod | None) -> tuple[str, ...]:
    """A flag where blood leukocytes by beads or by volume are far from the blood count of the same day."""
    row, n = file.row, file.count(spec.leukocytes)
    if (
        n == 0
        or row.matrix == "BM"
        or row.wbc_10e9_per_l is None
        or not isinstance(absolute, SinglePlatform | Volumetric)
    ):
        return ()
    analyser = DualPlatform(row.wbc_10e9_per_l, row.collected_at, row.cbc_at, max_cbc_age_h=spec.max_cbc_age_h)
    by_analyser, here = (method.concentration(n).per_event_per_ul for method in (analyser, absolute))
    if by_analyser is None or here is None or 1.0 / MAX_DISAGREEMENT <= here / by_analyser <= MAX_DISAGREEMENT:
        return ()
    counted = n * here / 1000.0
    return (
        f"COUNTS_DISAGREE: {counted:.3g} x 10^9/L leukocytes in this tube, {row.wbc_10e9_per_l:g} by the blood count: "
        "check beads, volumes, dilution and what each counts as leukocytes",
    )


def _refusal(file: FileResult, spec: CarNkSpec) -> str:
    """Why the gates of this tube give no count of CAR+ NK cells that can be defended, or nothing."""
    if not file.gates(spec.car_nk):
        return "NO_CAR_CUT: no control, and too few NK cells to see where their negative peak ends"
    if spec.nk_before is None or spec.nk_after is None:
        return ""
    before, after = file.count(spec.nk_before), file.count(spec.nk_after)
    if before < MIN_NK_BEFORE or after >= MIN_NK_KEPT * before:
        return ""
    return (
        f"NK_LOST: only {after} of {before} {spec.nk_before} events were left as NK cells, {100 * MIN_NK_KEPT:g} % are "
        "needed; a cut against myeloma or granulocytes runs through them: look at the gates"
    )


def _absolute(file: FileResult, spec: CarNkSpec) -> tuple[AbsoluteMethod | None, tuple[str, ...]]:
    """How events become cells per microlitre: beads where the sheet speaks of them, then $VOL, then the CBC."""
    row = file.row
    if row.beads_per_tube is not None or row.bead_lot:
        beads = file.count(spec.beads) if spec.beads is not None and file.gates(spec.beads) else None
        dilution = 1.0 if row.dilution is None else row.dilution
        return SinglePlatform(beads, row.beads_per_tube, row.bead_lot, row.sample_volume_ul, dilution), ()
    refused: tuple[str, ...] = ()
    if file.volume_keyword is not None:
        try:
            volume = volume_ul_from_keyword(file.volume_keyword, cytometer=file.cytometer)
            return Volumetric(volume, 1.0 if row.dilution is None else row.dilution), ()
        except QuantificationError as error:
            refused = (f"VOLUME_INVALID: {error}",)
    if row.wbc_10e9_per_l is not None:
        dual = DualPlatform(row.wbc_10e9_per_l, row.collected_at, row.cbc_at, max_cbc_age_h=spec.max_cbc_age_h)
        return dual, refused
    missing = "NO_ABSOLUTE_COUNT: no beads_per_tube, $VOL or wbc_10e9_per_l; fractions alone"
    return None, (*refused, missing)
