"""Laboratory and vital tests: the unit in which each is kept, and the factors of the units that are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["LAB_TESTS", "VITAL_TESTS", "Test", "factor_of"]


@dataclass(frozen=True)
class Test:
    """One test: its name, the unit it is kept in, and factors from other units to it (in lower case).

    ``kind`` is ``number`` or ``word`` (POSITIVE, NEGATIVE); ``high`` is the largest plausible value.
    """

    code: str
    name: str
    unit: str
    factors: dict[str, float]
    kind: Literal["number", "word"] = "number"
    low: float = 0.0
    high: float = 1e300


_PER_LITRE = {"g/l": 1.0, "g/dl": 10.0, "mg/dl": 0.01, "mg/l": 0.001}
_MG_PER_LITRE = {"mg/l": 1.0, "mg/dl": 10.0, "g/l": 1000.0}
_PER_DAY = {"mg/day": 1.0, "mg/24h": 1.0, "mg/24 h": 1.0, "g/day": 1000.0, "g/24h": 1000.0, "g/24 h": 1000.0}
_CYTOKINE = {"ng/l": 1.0, "pg/ml": 1.0, "ug/l": 1000.0, "ng/ml": 1000.0}
_CELLS = {"10^9/l": 1.0, "10^3/ul": 1.0}
_NONE = {"": 1.0, "1": 1.0, "ratio": 1.0}

LAB_TESTS: dict[str, Test] = {
    test.code: test
    for test in (
        Test("MCPROT", "Monoclonal protein", "g/L", _PER_LITRE, high=150),
        Test("MPROTEXR", "Monoclonal protein excretion rate", "mg/day", _PER_DAY, high=60_000),
        Test("KLCFR", "Free kappa light chains", "mg/L", _MG_PER_LITRE, high=200_000),
        Test("LLCFR", "Free lambda light chains", "mg/L", _MG_PER_LITRE, high=200_000),
        Test("KLCLLCFR", "Free kappa to free lambda", "1", _NONE, high=1e6),
        Test("SIFE", "Serum immunofixation", "", _NONE, kind="word"),
        Test("UIFE", "Urine immunofixation", "", _NONE, kind="word"),
        Test("IGG", "Immunoglobulin G", "g/L", _PER_LITRE, high=200),
        Test("IGA", "Immunoglobulin A", "g/L", _PER_LITRE, high=200),
        Test("IGD", "Immunoglobulin D", "g/L", _PER_LITRE, high=200),
        Test("CA", "Calcium", "mg/L", {**_MG_PER_LITRE, "mmol/l": 40.078}, high=250),
        Test("CREAT", "Creatinine", "mg/L", {**_MG_PER_LITRE, "umol/l": 0.113118}, high=300),
        Test("HGB", "Haemoglobin", "g/L", {"g/l": 1.0, "g/dl": 10.0}, high=250),
        Test("CRP", "C-reactive protein", "mg/L", _MG_PER_LITRE, high=1000),
        Test("INTLK6", "Interleukin 6", "ng/L", _CYTOKINE, high=1e7),
        Test("INTLK15", "Interleukin 15", "ng/L", _CYTOKINE, high=1e7),
        Test("GZMB", "Granzyme B", "ng/L", _CYTOKINE, high=1e7),
        Test("BILI", "Bilirubin", "mg/L", {**_MG_PER_LITRE, "umol/l": 0.584662}, high=700),
        Test("ALT", "Alanine aminotransferase", "U/L", {"u/l": 1.0, "iu/l": 1.0}, high=50_000),
        Test("AST", "Aspartate aminotransferase", "U/L", {"u/l": 1.0, "iu/l": 1.0}, high=50_000),
        Test("NEUT", "Neutrophils", "10^9/L", _CELLS, high=200),
        Test("PLAT", "Platelets", "10^9/L", _CELLS, high=5000),
        Test("PLSTCELE", "Plasma cells of leukocytes, smear of blood", "%", {"%": 1.0}, high=100),
        Test("PLSTCE", "Plasma cells in blood", "10^6/L", {"10^6/l": 1.0, "/ul": 1.0, "1/ul": 1.0, "10^9/l": 1000.0}),
    )
}

VITAL_TESTS: dict[str, Test] = {
    test.code: test
    for test in (
        Test("WEIGHT", "Body weight", "kg", {"kg": 1.0, "lb": 0.45359237, "g": 0.001}, low=20, high=400),
        Test("ECOG", "ECOG performance status", "", _NONE, high=5),
        Test("SPO2", "Oxygen saturation", "%", {"%": 1.0}, high=100),
        Test("LVEF", "Left ventricular ejection fraction", "%", {"%": 1.0}, high=100),
    )
}


def factor_of(test: Test, unit: str) -> float | None:
    """What a value in ``unit`` is multiplied with to be in the test's own; None for a unit that is not known.

    Examples
    --------
    >>> from cytomrd.trial.study.units import LAB_TESTS, factor_of
    >>> factor_of(LAB_TESTS["MCPROT"], "g/dL"), factor_of(LAB_TESTS["KLCFR"], "mg/dL")
    (10.0, 10.0)
    """
    folded = unit.strip().replace("µ", "u").replace("μ", "u").replace("×", "").casefold()
    return test.factors.get(folded)
