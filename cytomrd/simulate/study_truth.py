"""The truth of the demo study: what a perfect analysis of its files and tables would find."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise

from cytomrd.simulate.blood import NK_LABELS
from cytomrd.simulate.study_clinic import last_seen
from cytomrd.simulate.study_flow import BEADS_PER_TUBE, SAMPLE_VOLUME_UL, Specimen
from cytomrd.simulate.study_subjects import RESPONSE_DAYS, StudySubject
from cytomrd.simulate.truth import MarrowTruth, TubeTruth, blood_status

__all__ = ["curve_truth", "endpoint_truth", "sample_truth"]

HORIZON_D = 28.0
_RESPONSES = ("PR", "VGPR", "CR", "sCR")


def sample_truth(specimen: Specimen, tubes: Sequence[TubeTruth]) -> dict[str, object]:
    """What is truly in one specimen's tubes: counts, concentration or fraction, status."""
    row: dict[str, object] = {
        "sample_id": specimen.sample_id, "USUBJID": specimen.subject.usubjid, "kind": specimen.kind,
        "visit": specimen.visit, "planned_day": f"{specimen.planned_day:g}",
        "time_d": f"{_time_d(specimen):.10g}", "n_car_nk": "", "n_nk": "", "car_nk_per_ul": "", "car_nk_fraction": "",
        "n_nucleated": "", "n_clonal_pc": "", "mrd_fraction": "", "status": "",
    }  # fmt: skip
    if specimen.kind == "mrd":
        light_chain = specimen.subject.light_chain.lower()
        truth = MarrowTruth.of(specimen.sample_id, specimen.subject.usubjid, tubes, light_chain, specimen.subject.clone)
        return row | {
            "n_nucleated": truth.n_nucleated, "n_clonal_pc": truth.n_clonal_pc,
            "mrd_fraction": f"{truth.mrd_fraction:.10g}", "status": truth.status,
        }  # fmt: skip
    counts, n_nk = tubes[0].counts, tubes[0].total(NK_LABELS)
    n_car = counts["car_nk"]
    row |= {"n_car_nk": n_car, "n_nk": n_nk, "car_nk_fraction": f"{n_car / n_nk:.10g}", "status": blood_status(n_car)}
    if specimen.kind == "blood":
        row["car_nk_per_ul"] = f"{n_car / counts['bead'] * BEADS_PER_TUBE / SAMPLE_VOLUME_UL:.10g}"
    return row


def _time_d(specimen: Specimen) -> float:
    return (specimen.collected_at - specimen.subject.first_infusion) / timedelta(days=1)


def curve_truth(subject: StudySubject, rows: Sequence[dict[str, object]]) -> dict[str, object]:
    """Cmax, Tmax and AUC to day 28 of a subject's blood on the times drawn, from the true concentrations.

    Written apart from the toolkit's own NCA. Each infusion has its own interval, since nothing is interpolated
    across a dose; the sample before an infusion stands at its start. Trapezoids, logarithmic where the curve falls;
    a sample that cannot be quantified counts 0 before the first of its interval that can, ends the area after the
    last one, and is left out between two. The area is empty where the cells were not followed to day 28 or until
    they were gone.
    """
    second = (subject.second_infusion - subject.first_infusion) / timedelta(days=1)
    drawn = sorted(
        (
            {"DAY 0": 0.0, "DAY 7": second}.get(str(r["visit"]), float(r["time_d"])),
            float(r["car_nk_per_ul"]) if r["status"] == "QUANTIFIED" else 0.0,
        )
        for r in rows
        if r["kind"] == "blood"
    )
    quantified = [(t, c) for t, c in drawn if c > 0]
    if not quantified:
        return {"USUBJID": subject.usubjid, "cmax": "0", "tmax_d": "", "auc_0_28d": "0", "tlast_d": ""}
    cmax = max(c for _, c in quantified)
    followed = drawn[-1][0] >= HORIZON_D or drawn[-1][1] == 0
    intervals = ([p for p in drawn if p[0] <= second], [p for p in drawn if p[0] >= second])
    return {
        "USUBJID": subject.usubjid,
        "cmax": f"{cmax:.10g}",
        "tmax_d": f"{next(t for t, c in quantified if c == cmax):.10g}",
        "auc_0_28d": f"{sum(_area(_seen(points)) for points in intervals):.10g}" if followed else "",
        "tlast_d": f"{quantified[-1][0]:.10g}",
    }


def _seen(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """An interval's points up to the last that could be quantified, without those between two that could not."""
    seen = [i for i, (_, c) in enumerate(points) if c > 0]
    return [p for i, p in enumerate(points) if seen and (i <= seen[0] or (p[1] > 0 and i <= seen[-1]))]


def _area(points: list[tuple[float, float]]) -> float:
    """Area to the last point; where it lies after day 28, to the value on the logarithmic line at day 28."""
    area = 0.0
    for (t0, c0), (t1, c1) in pairwise(points):
        if t1 > HORIZON_D:
            falling = 0 < c1 < c0
            part = (HORIZON_D - t0) / (t1 - t0)
            t1, c1 = HORIZON_D, c0 * (c1 / c0) ** part if falling else c0 + (c1 - c0) * part
        area += (t1 - t0) * ((c0 - c1) / math.log(c0 / c1) if 0 < c1 < c0 else (c0 + c1) / 2)
    return area


def endpoint_truth(subject: StudySubject) -> dict[str, object]:
    """Best response, onset, progression and the times to each endpoint, in days with the first infusion as day 1."""
    responded = subject.best_response in _RESPONSES
    pd_day = RESPONSE_DAYS[subject.pd] if subject.pd else None
    pfs_day, pfs_event = _progression(subject, pd_day)
    os_day = (last_seen(subject) - subject.on_day(0)).days
    row: dict[str, object] = {
        "USUBJID": subject.usubjid, "best_response": subject.best_response, "onset_visit": subject.onset,
        "pd_visit": subject.pd, "pfs_days": pfs_day + 1, "pfs_event": int(pfs_event), "os_days": os_day + 1,
        "os_event": int(subject.death_day is not None), "dor_days": "", "dor_event": "",
    }  # fmt: skip
    if responded:
        row |= {"dor_days": pfs_day - RESPONSE_DAYS[subject.onset] + 1, "dor_event": int(pfs_event)}
    return row


def _progression(subject: StudySubject, pd_day: int | None) -> tuple[int, bool]:
    """Day of progression or death, or of the last assessment before a new therapy."""
    if pd_day is not None:
        return pd_day, True
    if subject.death_day is not None:
        return subject.death_day, True
    limit = subject.new_therapy_day
    days = [RESPONSE_DAYS[v] for v in subject.assessments if limit is None or RESPONSE_DAYS[v] < limit]
    return max(days), False
