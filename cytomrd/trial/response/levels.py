"""The level of one assessment: the lowest that a measurable parameter allows, then the items of a complete response."""

from __future__ import annotations

from collections.abc import Sequence

from cytomrd.trial.response.assessment import Assessment, Parameter
from cytomrd.trial.response.completeness import completed_level
from cytomrd.trial.response.criteria import LEVELS, ResponseCriteria, at_least, lower_level
from cytomrd.trial.response.reasons import Reason, with_unit

__all__ = ["judge_level"]

Judged = tuple[str, tuple[Reason, ...]]


def judge_level(
    baseline: Assessment, now: Assessment, *, criteria: ResponseCriteria, measurable: Sequence[Parameter]
) -> Judged:
    """Level from ``SD`` to ``sCR``, or ``NE``, with its reasons; progression is judged elsewhere and goes before."""
    reasons = [_PARAMETERS[name](baseline, now, criteria) for name in measurable]
    missing = tuple(r for r in reasons if r.outcome == "NE")
    if missing:
        return "NE", missing
    if criteria.disease == "PCL":
        seen = [_marrow_left(now, criteria), _blood_left(now, criteria)]
        reasons += [r for r in seen if r is not None]
    if not reasons:
        what = "nothing was measurable at baseline" if not measurable else "neither marrow nor blood was examined"
        return "NE", (Reason("", "NOT_MEASURABLE", "NE", what),)
    if "serum" in measurable and "urine" not in measurable and lower_level(*_outcomes(reasons)) == "VGPR":
        reasons.append(_urine_left(now, criteria))
    if baseline.spd and lower_level(*_outcomes(reasons)) != "SD":
        reasons.append(_plasmacytoma(baseline, now, criteria))
        if reasons[-1].outcome == "NE":
            return "NE", tuple(reasons)
    if criteria.disease == "PCL" and None in seen:
        reasons.append(_one_below(lower_level(*_outcomes(reasons)), now))
    level = lower_level(*_outcomes(reasons))
    # By light chains or marrow alone a parameter may become normal with a smaller fall than VGPR asks for.
    if LEVELS.index(level) >= LEVELS.index("VGPR" if {"serum", "urine"} & set(measurable) else "PR"):
        level, reason = completed_level(baseline, now, level, criteria=criteria, measurable=measurable)
        reasons.append(reason)
    return level, tuple(reasons)


def _outcomes(reasons: Sequence[Reason]) -> list[str]:
    return [r.outcome for r in reasons]


def _by_fall(name: str, before: float, value: float | None, steps: Sequence[tuple[str, float]]) -> Reason:
    """Level by the fall from baseline; ``steps`` from the best: (level, fall needed)."""
    if value is None:
        return Reason(name, "MISSING", "NE", f"{with_unit(name, None)}, but measurable at baseline")
    fall = (before - value) / before
    level, needed = next(((level, n) for level, n in steps if at_least(fall, n)), ("SD", steps[-1][1]))
    rule = f"below {100 * needed:g} %" if level == "SD" else f"at least {100 * needed:g} %"
    change = f"{100 * fall:.4g} % below" if fall >= 0 else f"{-100 * fall:.4g} % above"
    text = f"{with_unit(name, value)}, {change} the baseline {before:.6g}: {level} ({rule})"
    return Reason(name, "FALL", level, text)


def _serum(baseline: Assessment, now: Assessment, c: ResponseCriteria) -> Reason:
    steps = [("VGPR", c.vgpr_serum_fall), ("PR", c.pr_serum_fall)]
    if c.disease == "MM":
        steps.append(("MR", c.mr_serum_fall))
    return _by_fall("serum", baseline.serum, now.serum, steps)


def _urine(baseline: Assessment, now: Assessment, c: ResponseCriteria) -> Reason:
    value = now.urine
    for level, limit in (("VGPR", c.vgpr_urine_below_mg_per_24h), ("PR", c.pr_urine_below_mg_per_24h)):
        # In plasma cell leukaemia PR asks for the low value and the fall, in myeloma for either.
        if value is not None and value < limit and (level == "VGPR" or c.disease == "MM"):
            return Reason("urine", "BELOW", level, f"{with_unit('urine', value)}: {level} (below {limit:g})")
    steps = [("PR", c.pr_urine_fall)] if c.disease == "PCL" else [("PR", c.pr_urine_fall), ("MR", c.mr_urine_fall)]
    found = _by_fall("urine", baseline.urine, value, steps)
    if found.outcome == "PR" and c.disease == "PCL" and value >= c.pr_urine_below_mg_per_24h:
        text = f"{with_unit('urine', value)}: SD (PR also needs below {c.pr_urine_below_mg_per_24h:g})"
        return Reason("urine", "NOT_BELOW", "SD", text)
    return found


def _flc(baseline: Assessment, now: Assessment, c: ResponseCriteria) -> Reason:
    return _by_fall("dflc", baseline.dflc, now.dflc, [("VGPR", c.vgpr_flc_fall), ("PR", c.pr_flc_fall)])


def _marrow(baseline: Assessment, now: Assessment, c: ResponseCriteria) -> Reason:
    found = _by_fall("bm", baseline.bm, now.bm, [("PR", c.pr_marrow_fall)])
    if found.outcome == "PR" and baseline.bm < c.pr_marrow_baseline_percent:
        text = f"{with_unit('bm', now.bm)}: SD (PR by marrow needs a baseline of {c.pr_marrow_baseline_percent:g} %)"
        return Reason("bm", "LOW_BASELINE", "SD", text)
    return found


_PARAMETERS = {"serum": _serum, "urine": _urine, "flc": _flc, "marrow": _marrow}


def _urine_left(now: Assessment, c: ResponseCriteria) -> Reason:
    """VGPR needs little urine M protein also where it was not measurable; a negative immunofixation shows that too."""
    limit = c.vgpr_urine_below_mg_per_24h
    if now.urine is None and now.uife != "NEG":
        return Reason("urine", "MISSING", "PR", f"urine not documented: PR (VGPR needs below {limit:g} mg/24 h)")
    if now.urine is not None and now.urine >= limit:
        return Reason("urine", "NOT_BELOW", "PR", f"{with_unit('urine', now.urine)}: PR (VGPR needs below {limit:g})")
    shown = "urine immunofixation negative" if now.urine is None else with_unit("urine", now.urine)
    return Reason("urine", "BELOW", "VGPR", f"{shown}: VGPR (below {limit:g})")


def _plasmacytoma(baseline: Assessment, now: Assessment, c: ResponseCriteria) -> Reason:
    """A plasmacytoma at baseline must have shrunk for any response."""
    if now.spd is None:
        return Reason("spd", "MISSING", "NE", "plasmacytoma at baseline not measured again: no response can be told")
    needed = c.pr_plasmacytoma_fall
    found = _by_fall("spd", baseline.spd, now.spd, [("VGPR", needed)])
    text = f"{with_unit('spd', now.spd)}, baseline {baseline.spd:.6g} (a response needs a fall of {100 * needed:g} %)"
    return Reason("spd", "FALL", found.outcome, text)


def _marrow_left(now: Assessment, c: ResponseCriteria) -> Reason | None:
    """Plasma cell leukaemia: what the marrow allows; None where it was not examined."""
    if now.bm is None:
        return None
    level = "VGPR" if now.bm < c.cr_marrow_below_percent else "PR" if now.bm <= c.pr_marrow_at_most_percent else "SD"
    limits = f"below {c.cr_marrow_below_percent:g} % VGPR or better, at most {c.pr_marrow_at_most_percent:g} % PR"
    return Reason("bm", "LEFT", level, f"{with_unit('bm', now.bm)}: {level} ({limits})")


def _blood_left(now: Assessment, c: ResponseCriteria) -> Reason | None:
    """Plasma cell leukaemia: what the smear allows; None where it was not examined."""
    left = now.blood_pc_percent
    if left is None:
        return None
    level = "VGPR" if left == 0 else "PR" if left <= c.pr_blood_at_most_percent else "SD"
    limits = f"none VGPR or better, at most {c.pr_blood_at_most_percent:g} % PR"
    return Reason("blood_pc_percent", "LEFT", level, f"{with_unit('blood_pc_percent', left)}: {level} ({limits})")


def _one_below(level: str, now: Assessment) -> Reason:
    """Plasma cell leukaemia: marrow or smear not examined costs one level (there is no MR)."""
    lower = {"VGPR": "PR", "PR": "SD", "SD": "SD"}[level]
    what = " and ".join(w for w, v in (("marrow", now.bm), ("blood smear", now.blood_pc_percent)) if v is None)
    return Reason("bm" if now.bm is None else "blood_pc_percent", "MISSING", lower, f"{what} not examined: {lower}")
