"""CAR+ NK cells of a sample within a run: its control, its absolute count, its row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cytomrd.car_nk.absolute import DualPlatform, SinglePlatform, Volumetric, volume_ul_from_keyword
from cytomrd.car_nk.background import choose_background
from cytomrd.car_nk.quantify import AbsoluteMethod, quantify_car_nk
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

__all__ = ["SubjectControl", "finish_car_nk", "subject_control"]


@dataclass(frozen=True)
class SubjectControl:
    """The control that sets the CAR threshold of a subject's series; ``reason`` says why there is none.

    ``contents`` is the SHA-256 of each file that was read for it.
    """

    role: str = ""
    file: str = ""
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
        return SubjectControl(control.row.role, control.row.file, cut, passed_over, contents)
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
    flags = []
    if control is not None and control.reason:
        flags.append(f"CONTROL_NOT_USED: {control.reason}")
    cut = control.cut if control is not None else None
    controls = {control.role: (cut.n_positive, cut.n_events)} if cut is not None else {}
    if row.role == "pre_infusion":
        flags.append("CONTROL: this is the pre-infusion sample")
    absolute, refused = _absolute(file, spec)
    result = quantify_car_nk(
        file.count(spec.leukocytes),
        file.count(spec.nk),
        file.count(spec.car_nk),
        background=choose_background(controls, spec),
        absolute=absolute,
        spec=spec,
        matrix=row.matrix or "PB",
        n_car_t=file.count(spec.car_t) if file.gates(spec.car_t) else None,
        collected_at=row.collected_at,
        acquired_at=row.acquired_at or file.acquired_at,
        refusal=_refusal(file, spec),
        flags=(*flags, *refused),
    )
    return replace(sample, car_nk=result, flags=result.flags)


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
