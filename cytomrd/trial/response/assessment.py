"""What was found at one assessment, in fixed units, and what of the disease was measurable at the start."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date as Date
from typing import Literal

from cytomrd.errors import QuantificationError
from cytomrd.trial.response.criteria import ResponseCriteria

__all__ = ["Assessment", "Parameter", "measurable_parameters", "read_assessment"]

Parameter = Literal["serum", "urine", "flc", "marrow"]

_AMOUNTS = (
    "serum", "urine", "iflc", "uflc", "bm", "spd", "longest_diameter_mm", "circulating_pc_per_ul", "blood_pc_percent",
)  # fmt: skip
_FLAGS = ("ratio_normal", "new_lesion", "bm_flow_negative", "blood_flow_negative", "igd_above_normal")
_PERCENT = ("bm", "blood_pc_percent")
_FIXATION = {"POS": "POS", "POSITIVE": "POS", "NEG": "NEG", "NEGATIVE": "NEG"}
_CLONAL = ("ABSENT", "PRESENT", "NE")


@dataclass(frozen=True, slots=True)
class Assessment:
    """One assessment; None where a thing was not examined.

    Attributes
    ----------
    date
        A date, or a day as a number.
    visit
        Name of the visit.
    serum
        M protein by electrophoresis, g/L.
    urine
        M protein, mg/24 h.
    iflc, uflc
        Involved and uninvolved free light chain, mg/L.
    ratio_normal
        Whether the ratio of kappa to lambda is within the reference range.
    sife, uife
        Immunofixation of serum and urine, ``"POS"`` or ``"NEG"``.
    bm
        Plasma cells in marrow by morphology (never flow), %.
    clonal_bm
        Clonal plasma cells by immunohistochemistry, ``"ABSENT"``, ``"PRESENT"`` or ``"NE"``. Absent is kappa to
        lambda at most 4:1 (kappa disease) or at least 1:2 (lambda disease) among at least 100 plasma cells.
    spd
        Sum over plasmacytomas of the products of their diameters, mm2; 0 where there is none.
    longest_diameter_mm
        Of the largest plasmacytoma.
    new_lesion
        Whether imaging showed a new one.
    circulating_pc_per_ul, blood_pc_percent
        Plasma cells in blood: count, and % of leukocytes on the smear.
    bm_flow_negative, blood_flow_negative
        No clonal plasma cell by flow cytometry (plasma cell leukaemia).
    spurious
        Names of values that the investigator holds for laboratory errors: they set no nadir.
    heavy_chain
        At baseline: ``"IGG"``, ``"IGD"``, ...; ``igd_above_normal`` goes with IgD.
    """

    date: Date | float | None = None
    visit: str = ""
    serum: float | None = None
    urine: float | None = None
    iflc: float | None = None
    uflc: float | None = None
    ratio_normal: bool | None = None
    sife: str | None = None
    uife: str | None = None
    bm: float | None = None
    clonal_bm: str | None = None
    spd: float | None = None
    longest_diameter_mm: float | None = None
    new_lesion: bool | None = None
    circulating_pc_per_ul: float | None = None
    blood_pc_percent: float | None = None
    bm_flow_negative: bool | None = None
    blood_flow_negative: bool | None = None
    spurious: frozenset[str] = field(default_factory=frozenset)
    heavy_chain: str = ""
    igd_above_normal: bool | None = None

    def __post_init__(self):
        for name in _AMOUNTS:
            value = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, (bool, str)) or not math.isfinite(value) or value < 0:
                raise QuantificationError(f"{name} {value!r}: need a number of at least 0, or None where not examined")
            if name in _PERCENT and value > 100:
                raise QuantificationError(f"{name} {value}: a percentage is at most 100")
        for name in _FLAGS:
            if getattr(self, name) not in (None, True, False):
                raise QuantificationError(f"{name} {getattr(self, name)!r}: need True, False or None")
        for name in ("sife", "uife"):
            if getattr(self, name) not in (None, "POS", "NEG"):
                raise QuantificationError(f"{name} {getattr(self, name)!r}: need POS, NEG or None")
        if self.clonal_bm not in (None, *_CLONAL):
            raise QuantificationError(f"clonal_bm {self.clonal_bm!r}: need {', '.join(_CLONAL)} or None")

    @property
    def dflc(self) -> float | None:
        """Involved minus uninvolved free light chain, mg/L."""
        return None if self.iflc is None or self.uflc is None else self.iflc - self.uflc

    def updated(self, values: Mapping[str, object]) -> Assessment:
        """This assessment with other values in some of its fields."""
        return replace(self, **values)

    def is_spurious(self, name: str) -> bool:
        """Whether the value ``name`` is held for an error; ``dflc`` is one if a light chain is."""
        return bool(self.spurious & ({"iflc", "uflc", "dflc"} if name == "dflc" else {name}))


_NAMES = tuple(f.name for f in fields(Assessment))


def read_assessment(given: Assessment | Mapping[str, object]) -> Assessment:
    """An assessment from a mapping with the names of :class:`Assessment`.

    ``spurious`` may be True, which means every value of the assessment.

    Raises
    ------
    QuantificationError
        If a name is unknown or a value impossible.
    """
    if isinstance(given, Assessment):
        return given
    values = dict(given)
    unknown = sorted(set(values) - set(_NAMES))
    if unknown:
        raise QuantificationError(f"{', '.join(unknown)}: no part of an assessment; known are {', '.join(_NAMES)}")
    for name in ("sife", "uife"):
        if isinstance(values.get(name), str):
            values[name] = _FIXATION.get(values[name].strip().upper(), values[name])
    spurious = values.get("spurious") or ()
    if isinstance(spurious, str):
        spurious = (spurious,)
    values["spurious"] = frozenset(_AMOUNTS if spurious is True else spurious)
    wrong = sorted(values["spurious"] - {*_AMOUNTS, "dflc"})
    if wrong:
        raise QuantificationError(f"spurious {', '.join(wrong)}: no value of that name; known are {_AMOUNTS}")
    return Assessment(**values)


def measurable_parameters(baseline: Assessment, criteria: ResponseCriteria) -> tuple[Parameter, ...]:
    """What the response is judged by: serum and urine; free light chains if neither; marrow if not those either.

    IgD disease, whose M protein is small, is measurable with any M protein and IgD above normal. Empty where nothing
    is measurable.
    """
    found: list[Parameter] = []
    if baseline.serum is not None:
        igd = baseline.heavy_chain == "IGD" and baseline.igd_above_normal and baseline.serum > 0
        if igd or baseline.serum >= criteria.measurable_serum_g_per_l:
            found.append("serum")
    if baseline.urine is not None and baseline.urine >= criteria.measurable_urine_mg_per_24h:
        found.append("urine")
    if found:
        return tuple(found)
    enough = baseline.iflc is not None and baseline.iflc >= criteria.measurable_flc_mg_per_l
    abnormal = baseline.ratio_normal is not None and not baseline.ratio_normal
    if enough and abnormal and (baseline.dflc or 0.0) > 0:
        return ("flc",)
    if baseline.bm is not None and baseline.bm >= criteria.measurable_marrow_percent:
        return ("marrow",)
    return ()
