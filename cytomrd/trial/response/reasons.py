"""Why a decision was taken: the parameter, the rule, and the values in words."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["UNITS", "Reason", "with_unit"]

UNITS = {
    "serum": ("serum M protein", " g/L"),
    "urine": ("urine M protein", " mg/24 h"),
    "dflc": ("dFLC", " mg/L"),
    "bm": ("marrow plasma cells", " %"),
    "spd": ("plasmacytoma SPD", " mm2"),
    "longest_diameter_mm": ("longest diameter", " mm"),
    "circulating_pc_per_ul": ("circulating plasma cells", "/uL"),
    "blood_pc_percent": ("plasma cells on the smear", " %"),
}


@dataclass(frozen=True, slots=True)
class Reason:
    """One rule that was applied.

    Attributes
    ----------
    parameter
        What was looked at: ``serum``, ``urine``, ``dflc``, ``bm``, ``ife``, ``spd``, ``new_lesion``...
    rule
        Short name of the rule, such as ``FALL``, ``RISE``, ``MISSING``.
    outcome
        The level that it allows at most, or ``PD``, or ``NE``.
    text
        The values and thresholds, for a note or a listing.
    """

    parameter: str
    rule: str
    outcome: str
    text: str


def with_unit(name: str, value: float | None) -> str:
    """``"serum M protein 12 g/L"``."""
    label, unit = UNITS[name]
    return f"{label} not done" if value is None else f"{label} {value:.6g}{unit}"
