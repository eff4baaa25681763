"""Response criteria as data: every threshold has a name, a version knows its source, a study may change single ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cytomrd.errors import QuantificationError

__all__ = ["CRITERIA", "LEVELS", "ResponseCriteria", "above", "at_least", "lower_level", "read_criteria"]

# From worst to best; NE (not evaluable) is outside the order.
LEVELS = ("PD", "SD", "MR", "PR", "VGPR", "CR", "sCR")

Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ResponseCriteria(BaseModel):
    """One version of the criteria; the defaults are IMWG 2016.

    Falls are fractions of the baseline, rises fractions of the nadir. ``disease`` chooses the rules of myeloma
    (``MM``) or of plasma cell leukaemia (``PCL``). ``nadir`` is the lowest value recorded so far, or with
    ``"confirmed"`` the lowest that two consecutive values did not exceed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = "imwg-2016"
    disease: Literal["MM", "PCL"] = "MM"
    reference: str = "Kumar 2016, doi:10.1016/S1470-2045(16)30206-6"

    measurable_serum_g_per_l: Positive = 10.0
    measurable_urine_mg_per_24h: Positive = 200.0
    measurable_flc_mg_per_l: Positive = 100.0
    measurable_marrow_percent: Positive = 10.0

    mr_serum_fall: Share = 0.25
    mr_urine_fall: Share = 0.5
    pr_serum_fall: Share = 0.5
    pr_urine_fall: Share = 0.9
    pr_urine_below_mg_per_24h: Amount = 200.0
    pr_flc_fall: Share = 0.5
    pr_marrow_fall: Share = 0.5
    pr_marrow_baseline_percent: Amount = 30.0
    pr_plasmacytoma_fall: Share = 0.5
    vgpr_serum_fall: Share = 0.9
    vgpr_flc_fall: Share = 0.9
    vgpr_urine_below_mg_per_24h: Amount = 100.0
    cr_marrow_below_percent: Amount = 5.0

    # Rises above the nadir that are progression; ">" is asked of PCL where IMWG asks ">=".
    pd_rise: Share = 0.25
    pd_rise_strict: bool = False
    pd_serum_g_per_l: Amount = 5.0
    pd_serum_high_nadir_g_per_l: Amount = 50.0
    pd_serum_high_g_per_l: Amount = 10.0
    pd_urine_mg_per_24h: Amount = 200.0
    pd_flc_mg_per_l: Amount = 100.0
    pd_marrow_points: Amount = 10.0
    pd_plasmacytoma_rise: Amount = 0.5
    pd_diameter_rise: Amount = 0.5
    pd_diameter_from_mm: Amount = 10.0
    pd_circulating_rise: Amount = 0.5
    pd_circulating_per_ul: Amount = 200.0
    nadir: Literal["lowest", "confirmed"] = "lowest"

    # Plasma cell leukaemia alone: most that a partial response may leave, and the rise in blood that is progression.
    pr_marrow_at_most_percent: Amount = 25.0
    pr_blood_at_most_percent: Amount = 5.0
    pd_blood_points: Amount = 5.0


CRITERIA = {
    "imwg-2016": ResponseCriteria(),
    "pcl-imwg": ResponseCriteria(
        id="pcl-imwg",
        disease="PCL",
        reference="PMC7873074, table 1 (IMWG consensus on plasma cell leukaemia)",
        pd_rise_strict=True,
    ),
}


def read_criteria(name: str, changes: Mapping[str, object] | None = None) -> ResponseCriteria:
    """The criteria of that name, with single thresholds changed.

    Raises
    ------
    QuantificationError
        If there is no such version, threshold, or value.

    Examples
    --------
    >>> from cytomrd.trial.response.criteria import read_criteria
    >>> read_criteria("imwg-2016", {"measurable_serum_g_per_l": 5}).measurable_serum_g_per_l
    5.0
    """
    if name not in CRITERIA:
        raise QuantificationError(f"criteria {name!r}: known are {', '.join(sorted(CRITERIA))}")
    try:
        return ResponseCriteria(**{**CRITERIA[name].model_dump(), **(changes or {})})
    except ValidationError as error:
        details = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise QuantificationError(
            f"criteria {name} with {dict(changes or {})}: {details}; known thresholds are "
            f"{', '.join(ResponseCriteria.model_fields)}"
        ) from None


def lower_level(*levels: str) -> str:
    """The worst of several levels, NE left out; NE if that leaves none."""
    return min((level for level in levels if level != "NE"), key=LEVELS.index, default="NE")


# 5.1 - 0.1 is 4.999... in binary: a rise of exactly 5 g/L must count as one. Measured values have few digits.
def at_least(value: float, bound: float) -> bool:
    """``value >= bound`` for numbers that came about by decimal arithmetic."""
    return value > bound or math.isclose(value, bound, rel_tol=1e-9, abs_tol=1e-9)


def above(value: float, bound: float) -> bool:
    """``value > bound`` for numbers that came about by decimal arithmetic."""
    return value > bound and not math.isclose(value, bound, rel_tol=1e-9, abs_tol=1e-9)
