"""The PK parameters: label, unit, CDISC code, what each is made from, and by which rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cytomrd.trial.nca.analysis import NcaResult

__all__ = ["PARAMETERS", "Parameter", "all_needs", "parameter_values"]

UnitKind = Literal["concentration", "time", "area", "moment", "rate", "percent", "none"]
UNITS = {
    "concentration": "{conc}",
    "time": "d",
    "area": "{conc}*d",
    "moment": "{conc}*d^2",
    "rate": "1/d",
    "percent": "%",
    "none": "",
}


@dataclass(frozen=True)
class Parameter:
    """One PK parameter.

    Attributes
    ----------
    name
        The field of :class:`NcaResult`.
    code
        CDISC PKPARMCD; empty where there is none.
    needs
        Names of the parameters that it is made from; ``profile`` is the cleaned profile.
    geometric
        Whether a geometric mean says anything; times are summarised by median and range.
    """

    name: str
    label: str
    kind: UnitKind
    code: str
    needs: tuple[str, ...]
    rule: str
    geometric: bool = False

    def unit(self, concentration: str = "cells/uL") -> str:
        """The unit, for concentrations in ``concentration``."""
        return UNITS[self.kind].format(conc=concentration)


P = Parameter
PROFILE = ("profile",)
PARAMETERS: dict[str, Parameter] = {
    p.name: p
    for p in (
        P("cmax", "Cmax", "concentration", "CMAX", PROFILE, "highest value of the profile; 0 where all are BLQ", True),
        P("tmax_d", "Tmax", "time", "TMAX", PROFILE, "time of Cmax, the first of ties"),
        P("clast", "Clast", "concentration", "CLST", PROFILE, "last quantifiable value"),
        P("tlast_d", "Tlast", "time", "TLST", PROFILE, "time of the last quantifiable value"),
        P("auc_last", "AUC 0-Tlast", "area", "AUCLST", ("profile", "tlast_d"),
          "linear-up/log-down from 0 to Tlast", True),
        P("auc_0_28d", "AUC 0-28 d", "area", "AUCINT", ("profile", "auc_last", "tlast_d", "lambda_z"),
          "to day 28: observed or interpolated; to Tlast where BLQ was seen after it; else extrapolated, at most 20 %",
          True),
        P("auc_0_28d_extrapolated_percent", "AUC 0-28 d extrapolated", "percent", "", ("auc_0_28d", "lambda_z"),
          "part of AUC 0-28 d beyond the last sample"),
        P("auc_all", "AUC all", "area", "AUCALL", PROFILE, "AUC 0-Tlast and the triangle to the first BLQ after it",
          True),
        P("lambda_z", "lambda z", "rate", "LAMZ", ("profile", "tmax_d"),
          "slope of ln(value) on time over the last 3 or more points after Tmax with the best adjusted R2"),
        P("half_life_d", "Half-life", "time", "LAMZHL", ("lambda_z",), "ln 2 / lambda z"),
        P("lambda_z_n_points", "lambda z points", "none", "LAMZNPT", ("lambda_z",), "points of the line"),
        P("lambda_z_r2", "lambda z R2", "none", "R2", ("lambda_z",), "of the line; flagged below 0.9"),
        P("lambda_z_r2_adjusted", "lambda z adjusted R2", "none", "R2ADJ", ("lambda_z",), "of the line"),
        P("lambda_z_low_d", "lambda z from", "time", "LAMZLL", ("lambda_z",), "time of the line's first point"),
        P("lambda_z_high_d", "lambda z to", "time", "LAMZUL", ("lambda_z",), "time of the line's last point"),
        P("lambda_z_span", "lambda z span", "none", "LAMZSPN", ("lambda_z_low_d", "lambda_z_high_d", "half_life_d"),
          "half-lives between the line's ends; flagged below 2"),
        P("clast_predicted", "Clast predicted", "concentration", "", ("lambda_z", "tlast_d"), "the line at Tlast"),
        P("auc_inf_observed", "AUC infinity observed", "area", "AUCIFO", ("auc_last", "clast", "lambda_z"),
          "AUC 0-Tlast + Clast / lambda z", True),
        P("auc_inf_predicted", "AUC infinity predicted", "area", "AUCIFP", ("auc_last", "clast_predicted", "lambda_z"),
          "AUC 0-Tlast + predicted Clast / lambda z", True),
        P("extrapolated_percent", "AUC infinity extrapolated", "percent", "AUCPEO", ("auc_inf_observed", "auc_last"),
          "part of AUC infinity observed beyond Tlast; flagged above 20 %"),
        P("aumc_last", "AUMC 0-Tlast", "moment", "AUMCLST", ("profile", "tlast_d"), "area under time x value to Tlast",
          True),
        P("mrt_last_d", "MRT 0-Tlast", "time", "MRTEVLST", ("aumc_last", "auc_last"), "AUMC 0-Tlast / AUC 0-Tlast"),
        P("cmax_by_dose", "Cmax of each infusion", "concentration", "CMAX", PROFILE,
          "highest value from an infusion to the next", True),
        P("auc_by_dose", "AUC of each infusion", "area", "AUCINT", ("profile", "auc_0_28d"),
          "AUC [0, t2) and [t2, 28] at the actual t2, with the value before infusion 2 at t2; none: not calculated",
          True),
    )
}  # fmt: skip


def all_needs(name: str) -> tuple[str, ...]:
    """Everything that a parameter rests on, nearest first.

    Examples
    --------
    >>> from cytomrd.trial.nca.parameters import all_needs
    >>> all_needs("half_life_d")
    ('lambda_z', 'profile', 'tmax_d')
    """
    found: dict[str, None] = {}
    queue = list(PARAMETERS[name].needs)
    while queue:
        need = queue.pop(0)
        if need not in found:
            found[need] = None
            queue += PARAMETERS[need].needs if need in PARAMETERS else ()
    return tuple(found)


def parameter_values(result: NcaResult) -> dict[str, float | int | None]:
    """Every parameter of a result by name, those of each infusion as ``cmax_dose_1``, ``auc_dose_2``."""
    values: dict[str, float | int | None] = {}
    for name in PARAMETERS:
        value = getattr(result, name)
        if name.endswith("_by_dose"):
            values |= {f"{name.removesuffix('_by_dose')}_dose_{k}": v for k, v in enumerate(value, start=1)}
        else:
            values[name] = value
    return values
