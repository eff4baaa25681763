"""Results in standard units: laboratory values and vital signs, as written and as kept."""

from __future__ import annotations

from difflib import get_close_matches

import pandas as pd

from cytomrd.samplesheet.cells import read_number
from cytomrd.trial.study.problems import Problems
from cytomrd.trial.study.units import LAB_TESTS, VITAL_TESTS, Test, factor_of

__all__ = ["standard_labs", "standard_vitals"]

_WORDS = {"positive": "POSITIVE", "pos": "POSITIVE", "negative": "NEGATIVE", "neg": "NEGATIVE"}


def standard_labs(labs: pd.DataFrame, problems: Problems) -> pd.DataFrame:
    """The table with the results in standard units beside those written.

    Added columns: ``LBSTRESN`` (number, NaN where below the limit or a word), ``LBSTRESC`` (text), ``LBSTRESU``
    (unit), ``LBLLOQ`` (x of ``<x``), ``BLQ``, ``LBSTNRLO`` and ``LBSTNRHI``.
    """
    made = []
    for row in labs.to_dict("records"):
        test = LAB_TESTS.get(str(row["LBTESTCD"]).upper())
        made.append(_standard_lab(row, test, problems))
    added = pd.DataFrame(
        made, columns=["LBTESTCD", "LBSTRESN", "LBSTRESC", "LBSTRESU", "LBLLOQ", "BLQ", "LBSTNRLO", "LBSTNRHI"]
    )
    types = {"LBSTRESN": float, "LBLLOQ": float, "BLQ": bool, "LBSTNRLO": float, "LBSTNRHI": float}
    added = added.astype(types)
    out = labs.drop(columns=["LBTESTCD", "row"]).assign(**{name: added[name].to_numpy() for name in added})
    order = [c for c in labs.columns if c != "row"] + [c for c in added if c != "LBTESTCD"]
    return out[order].assign(row=labs["row"].to_numpy())


def _standard_lab(row: dict, test: Test | None, problems: Problems) -> dict:
    number, nan = int(row["row"]), float("nan")
    made = {
        "LBTESTCD": row["LBTESTCD"],
        "LBSTRESN": nan,
        "LBSTRESC": "",
        "LBSTRESU": "",
        "LBLLOQ": nan,
        "BLQ": False,
        "LBSTNRLO": nan,
        "LBSTNRHI": nan,
    }
    if test is None:
        if row["LBTESTCD"]:
            close = get_close_matches(row["LBTESTCD"].upper(), LAB_TESTS, n=1)
            what = f"{row['LBTESTCD']!r} is not a test of a study"
            remedy = f"did you mean {close[0]!r}?" if close else f"the tests are {', '.join(LAB_TESTS)}"
            problems.at("resp_labs", number, "LBTESTCD").refuse("UNKNOWN_TEST", row["LBTESTCD"], what, remedy=remedy)
        return made
    made |= {"LBTESTCD": test.code, "LBSTRESU": test.unit}
    factor = _factor(("resp_labs", number, "LBORRESU"), test, row["LBORRESU"], problems)
    where = ("resp_labs", number, "LBORRES")
    if test.kind == "word":
        return made | {"LBSTRESC": _word(where, test, row["LBORRES"], problems)}
    below, value = _number(where, test, row["LBORRES"], problems)
    if value is None or factor is None:
        return made
    value *= factor
    _check_plausible(where, test, value, row["LBORRES"], row["LBORRESU"], problems)
    limits = {"LBSTNRLO": row["LBNRLO"] * factor, "LBSTNRHI": row["LBNRHI"] * factor}
    if below:
        return made | limits | {"LBSTRESC": f"<{value:.10g}", "LBLLOQ": value, "BLQ": True}
    return made | limits | {"LBSTRESN": value, "LBSTRESC": f"{value:.10g}"}


def _factor(where: tuple[str, int, str], test: Test, unit: str, problems: Problems) -> float | None:
    factor = factor_of(test, unit)
    if factor is None:
        allowed = ", ".join(u or "none" for u in test.factors)
        what = f"unit {unit!r} of {test.code} is not known" if unit else f"{test.code} has no unit"
        remedy = f"write one of {allowed}; values are kept in {test.unit or 'words'}"
        problems.at(*where).refuse("UNKNOWN_UNIT", unit, what, remedy=remedy)
    return factor


def _word(where: tuple[str, int, str], test: Test, text: str, problems: Problems) -> str:
    word = _WORDS.get(text.casefold(), "")
    if not word and text:
        what = f"{text!r} of {test.code} is neither POSITIVE nor NEGATIVE"
        remedy = "write one of them, or leave the row out where there is no result"
        problems.at(*where).refuse("BAD_VALUE", text, what, remedy=remedy)
    return word


def _number(where: tuple[str, int, str], test: Test, text: str, problems: Problems) -> tuple[bool, float | None]:
    """Whether the result is below a limit, and the number (None where there is none)."""
    below = text.startswith("<")
    digits = text[1:].strip() if below else text
    if not digits:
        return below, None
    try:
        value = float(read_number(-1e300, 1e300)(digits, False))
    except ValueError:
        what = f"{text!r} of {test.code} is neither a number nor <x"
        remedy = "write digits with a decimal point, or < and the limit; the unit goes to its own column"
        problems.at(*where).refuse("BAD_VALUE", text, what, remedy=remedy)
        return below, None
    if value < 0 or (below and value == 0):
        what, remedy = f"{text} of {test.code} is negative", "correct it; what is below the limit is written <x"
        problems.at(*where).refuse("NEGATIVE", text, what, remedy=remedy)
        return below, None
    return below, value


def _check_plausible(where, test: Test, value: float, text: str, unit: str, problems: Problems) -> None:
    if not test.low <= value <= test.high:
        what = f"{text} {unit} of {test.code} is {value:g} {test.unit}, outside {test.low:g} to {test.high:g}".replace(
            "  ", " "
        )
        problems.at(*where).doubt("IMPLAUSIBLE", text, what, remedy="correct the value or its unit")


def standard_vitals(vitals: pd.DataFrame, problems: Problems) -> pd.DataFrame:
    """The table with ``VSSTRESN`` and ``VSSTRESU``: the result in the unit that its test is kept in."""
    values, units = [], []
    for row in vitals.to_dict("records"):
        test = VITAL_TESTS.get(row["VSTESTCD"])
        factor, value = None, row["VSORRES"]
        where = ("vitals", int(row["row"]), "VSORRES")
        if test is not None:
            factor = _factor(("vitals", int(row["row"]), "VSORRESU"), test, row["VSORRESU"], problems)
        if factor is None or pd.isna(value):
            values.append(float("nan"))
        else:
            values.append(value * factor)
            _check_plausible(where, test, value * factor, f"{value:g}", row["VSORRESU"], problems)
            if test.code == "ECOG" and value != int(value):
                what, remedy = f"{value:g} is not an ECOG grade", "write a whole number from 0 to 5"
                problems.at(*where).refuse("BAD_VALUE", value, what, remedy=remedy)
        units.append(test.unit if test is not None else "")
    rest = vitals.drop(columns="row").assign(VSSTRESN=pd.Series(values, dtype=float), VSSTRESU=units)
    return rest.assign(row=vitals["row"].to_numpy())
