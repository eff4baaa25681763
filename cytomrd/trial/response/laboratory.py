"""Laboratory results of one visit as an assessment: M protein, light chains, immunofixation, plasma cells in blood."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from cytomrd.trial.response.assessment import Assessment
from cytomrd.trial.study.settings import ResponseThresholds

__all__ = ["assessment_of_labs", "baseline_labs", "grouped_labs"]

# Blood and the 24 h urine of one visit may come in on different days.
VISIT_DAYS = 7
# Below its limit an M protein is not there; a light chain is taken at the limit, so that it cannot make a response.
ABSENT_BELOW_LIMIT = {"MCPROT": "serum", "MPROTEXR": "urine", "PLSTCELE": "blood_pc_percent",
                      "PLSTCE": "circulating_pc_per_ul"}  # fmt: skip
CHAINS = {"KAPPA": ("KLCFR", "LLCFR"), "LAMBDA": ("LLCFR", "KLCFR")}
FIXATION = {"SIFE": "sife", "UIFE": "uife"}
TESTS = (*ABSENT_BELOW_LIMIT, *CHAINS["KAPPA"], "KLCLLCFR", *FIXATION, "IGD")

Rows = list[dict[str, object]]


def _used(labs: pd.DataFrame) -> Rows:
    """Rows of the tests that response is judged by, in order of time; those held for errors come last of a day."""
    rows = labs[labs["LBTESTCD"].isin(TESTS) & labs["LBDTC"].notna()].to_dict("records")
    return sorted(rows, key=lambda r: (r["LBDTC"].normalize(), _spurious(r), r["LBDTC"], r["row"]))


def _spurious(row: dict) -> bool:
    return pd.notna(row["SPURIOUS"]) and bool(row["SPURIOUS"])


def baseline_labs(labs: pd.DataFrame, start: pd.Timestamp) -> Rows:
    """The last result of each test on or before the start of the first infusion, errors left out."""
    last = {r["LBTESTCD"]: r for r in _used(labs[labs["LBDTC"] <= start]) if not _spurious(r)}
    return list(last.values())


def grouped_labs(labs: pd.DataFrame) -> list[Rows]:
    """Results that make one assessment: of one visit (or day), within a week, each test once.

    A second result on the same day is there only if one of the two is held for an error; the other one counts.
    """
    groups: list[Rows] = []
    for row in _used(labs):
        day = row["LBDTC"].normalize()
        if groups:
            group, first = groups[-1], groups[-1][0]["LBDTC"].normalize()
            known = next((r for r in group if r["LBTESTCD"] == row["LBTESTCD"]), None)
            near = (day - first).days <= VISIT_DAYS and row["VISIT"] == group[0]["VISIT"]
            if known is not None and known["LBDTC"].normalize() == day:
                continue
            if known is None and (near or day == first):
                group.append(row)
                continue
        groups.append([row])
    return groups


def assessment_of_labs(rows: Iterable[dict], who: pd.Series, settings: ResponseThresholds) -> Assessment:
    """Results as one assessment, dated by the first; ``who`` is the subject's row of subjects.csv."""
    by_test = {r["LBTESTCD"]: r for r in rows}
    values: dict[str, object] = {"heavy_chain": who["MTYPE"]}
    names = dict(ABSENT_BELOW_LIMIT)
    if who["INVOLVED_LC"] in CHAINS:
        names |= dict(zip(CHAINS[who["INVOLVED_LC"]], ("iflc", "uflc"), strict=True))
    for test, name in names.items():
        if test in by_test:
            values[name] = _amount(by_test[test], 0.0 if test in ABSENT_BELOW_LIMIT else None)
    for test, name in FIXATION.items():
        word = by_test[test]["LBSTRESC"] if test in by_test else ""
        values[name] = {"POSITIVE": "POS", "NEGATIVE": "NEG"}.get(word)
    values["ratio_normal"] = _ratio_normal(by_test, settings)
    igd = by_test.get("IGD")
    if igd is not None and pd.notna(igd["LBSTNRHI"]):
        values["igd_above_normal"] = bool(igd["LBSTRESN"] > igd["LBSTNRHI"])
    values["spurious"] = frozenset(names[t] for t, r in by_test.items() if t in names and _spurious(r))
    if by_test:
        first = min(by_test.values(), key=lambda r: r["LBDTC"])
        values |= {"date": first["LBDTC"].date(), "visit": first["VISIT"]}
    return Assessment(**values)


def _amount(row: dict, below_limit: float | None) -> float | None:
    if row["BLQ"]:
        return float(row["LBLLOQ"]) if below_limit is None else below_limit
    return float(row["LBSTRESN"]) if pd.notna(row["LBSTRESN"]) else None


def _ratio_normal(by_test: dict[str, dict], settings: ResponseThresholds) -> bool | None:
    """Whether kappa to lambda is normal: the ratio reported with its range, else that of the chains."""
    low, high, ratio = settings.ratio_low, settings.ratio_high, None
    if "KLCLLCFR" in by_test:
        row = by_test["KLCLLCFR"]
        low = float(row["LBSTNRLO"]) if pd.notna(row["LBSTNRLO"]) else low
        high = float(row["LBSTNRHI"]) if pd.notna(row["LBSTNRHI"]) else high
        ratio = _amount(row, None)
    if ratio is None and {"KLCFR", "LLCFR"} <= set(by_test):
        kappa, lamda = (_amount(by_test[t], None) for t in ("KLCFR", "LLCFR"))
        if kappa is not None and lamda:
            ratio = kappa / lamda
    return None if ratio is None else low <= ratio <= high
