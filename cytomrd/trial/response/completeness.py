"""Complete response: every item documented and met, or the words for what held it back."""

from __future__ import annotations

from collections.abc import Sequence

from cytomrd.trial.response.assessment import Assessment, Parameter
from cytomrd.trial.response.criteria import ResponseCriteria
from cytomrd.trial.response.reasons import Reason, with_unit

__all__ = ["completed_level"]


def completed_level(
    baseline: Assessment,
    now: Assessment,
    level: str,
    *,
    criteria: ResponseCriteria,
    measurable: Sequence[Parameter],
) -> tuple[str, Reason]:
    """``CR`` or ``sCR`` where every item is documented and met; else ``level``, with what is open or not met.

    An item that is missing is as good as one not met: a response is never better than what was shown.
    """
    open_items = _complete_items(baseline, now, criteria, measurable)
    if open_items:
        return level, Reason("ife", "CR_ITEM", level, f"no CR: {'; '.join(open_items)}")
    met = f"immunofixation negative, {with_unit('bm', now.bm)}, no plasmacytoma"
    if now.serum:
        met += f" (though electrophoresis still gives {now.serum:.6g} g/L)"
    open_items = _stringent_items(now, criteria)
    if open_items:
        return "CR", Reason("ife", "CR", "CR", f"{met}; no sCR: {'; '.join(open_items)}")
    return "sCR", Reason("ife", "SCR", "sCR", f"{met}; light chain ratio normal and no clonal cells")


def _complete_items(
    baseline: Assessment, now: Assessment, c: ResponseCriteria, measurable: Sequence[Parameter]
) -> list[str]:
    items = [
        f"{where} immunofixation {'not done' if value is None else 'positive'}"
        for where, value in (("serum", now.sife), ("urine", now.uife))
        if value != "NEG"
    ]
    if now.bm is None or now.bm >= c.cr_marrow_below_percent:
        items.append(f"{with_unit('bm', now.bm)} (needs below {c.cr_marrow_below_percent:g} %)")
    # Where there was no plasmacytoma at baseline, none has to be looked for again.
    if now.spd or (baseline.spd and now.spd is None):
        items.append(with_unit("spd", now.spd))
    if not {"serum", "urine"} & set(measurable) and "flc" in measurable and not now.ratio_normal:
        items.append(_ratio(now))
    if c.disease == "PCL" and now.blood_pc_percent != 0:
        items.append(with_unit("blood_pc_percent", now.blood_pc_percent))
    return items


def _stringent_items(now: Assessment, c: ResponseCriteria) -> list[str]:
    items = [] if now.ratio_normal else [_ratio(now)]
    if c.disease == "MM":
        return items if now.clonal_bm == "ABSENT" else [*items, _clonal(now)]
    for where, negative in (("marrow", now.bm_flow_negative), ("blood", now.blood_flow_negative)):
        if not negative:
            items.append(f"{where} by flow {'not done' if negative is None else 'positive'}")
    return items


def _ratio(now: Assessment) -> str:
    return f"light chain ratio {'not done' if now.ratio_normal is None else 'abnormal'}"


def _clonal(now: Assessment) -> str:
    said = {None: "not done", "NE": "not evaluable", "PRESENT": "present"}[now.clonal_bm]
    return f"clonal cells by immunohistochemistry {said}"
