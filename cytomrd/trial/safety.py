"""Safety: dose-limiting toxicity (P1), adverse events (S8, S13), cytokine release and neurotoxicity."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from cytomrd.trial.groups import dose_groups, interval_name, level_name, rate_cells
from cytomrd.trial.study import Study
from cytomrd.trial.table import TrialTable

__all__ = ["adverse_event_tables", "dlt_tables"]

RELATED = ("Y", "RELATED", "PROBABLE", "POSSIBLE")
GRADES = (1, 2, 3, 4, 5)
ASTCT = {
    "CRS": ("cytokine release syndrome", "crs"),
    "ICANS": ("immune effector cell-associated neurotoxicity syndrome", "icans"),
}
ANCHORS = ("first", "last")


def dlt_tables(study: Study) -> tuple[TrialTable, ...]:
    """P1: treated, evaluable and with a dose-limiting toxicity, by dose level, from either infusion."""
    choices = study.settings.choices
    listing = [_dlt_of(study, subject, anchor) for anchor in ANCHORS for subject in study.treated]
    rows = []
    for anchor in sorted(ANCHORS, key=lambda a: a != choices.dlt_anchor):
        own = {entry["USUBJID"]: entry for entry in listing if entry["anchor"] == anchor}
        for level, subjects in dose_groups(study, study.treated).items():
            evaluable = [s for s in subjects if own[s]["evaluable"]]
            with_dlt = [s for s in evaluable if own[s]["value"]]
            rates = rate_cells(len(with_dlt), len(evaluable), choices.confidence)
            rows.append(
                {"anchor": f"{anchor} infusion", "dose_level": level, "treated": len(subjects),
                 "evaluable": rates.pop("of"), "with_dlt": rates.pop("n")} | rates
            )  # fmt: skip
    notes = (
        f"The window is {choices.dlt_window_d} days, from the first infusion: to day {choices.dlt_window_d} after the "
        f"first or after the last infusion. study.toml names the {choices.dlt_anchor} infusion; both are shown. "
        "Of a single infusion, the first is the last.",
        "Evaluable: as DLTEVAL in subjects.csv; where it is empty, with a DLT, or followed to the end of the window.",
        f"{interval_name(choices.confidence)} by Clopper and Pearson over the evaluable subjects.",
    )
    words = {"DLT_OUTSIDE_WINDOW": "is outside the window", "DLT_NOT_EVALUABLE": "is of a subject with DLTEVAL N"}
    footnotes = tuple(
        f"{e['USUBJID']}, {e['anchor']} infusion: a DLT {words[e['flags']]} and is not counted ({e['inputs']})."
        for e in listing
        if e["flags"]
    )
    return (
        TrialTable("p1_dlt", "Dose-limiting toxicity", pd.DataFrame(rows), notes, footnotes, pd.DataFrame(listing)),
    )


def _dlt_of(study: Study, subject: str, anchor: str) -> dict[str, object]:
    """Whether a subject is evaluable and had a DLT in the window of one anchor, and from what that follows."""
    first = study.first_infusion[subject].normalize()
    start = first
    second = study.infusion(2)
    if anchor == "last" and subject in second.index:
        start = second[subject].normalize()
    end = start + pd.Timedelta(days=study.settings.choices.dlt_window_d)
    events = study.events[(study.events["USUBJID"] == subject) & (study.events["DLTFL"] == "Y")]
    inside = events[(events["AESTDTC"] >= first) & (events["AESTDTC"] < end + pd.Timedelta(days=1))]
    said = study.subjects.set_index("USUBJID").loc[subject, "DLTEVAL"]
    followed = _last_contact(study, subject)
    evaluable = said == "Y" if said else bool(len(inside)) or (followed is not None and followed >= end)
    rule = "DLTEVAL of subjects.csv" if said else "a DLT, or followed to the end of the window"
    found = [f"{e.AEDECOD} grade {e.AETOXGR} on {e.AESTDTC:%Y-%m-%d}" for e in events.itertuples()]
    found.append(f"window {first:%Y-%m-%d} to {end:%Y-%m-%d}")
    if followed is not None:
        found.append(f"followed to {followed:%Y-%m-%d}")
    flag = "DLT_OUTSIDE_WINDOW" if len(events) > len(inside) else ""
    if len(inside) and not evaluable:
        flag = "DLT_NOT_EVALUABLE"
    return {
        "USUBJID": subject,
        "dose_level": level_name(study.dose_level[subject]),
        "anchor": anchor,
        "quantity": "DLT in the window",
        "value": len(inside) > 0,
        "evaluable": evaluable,
        "rule": rule,
        "inputs": "; ".join(found),
        "flags": flag,
    }


def _last_contact(study: Study, subject: str) -> pd.Timestamp | None:
    row = study.followup[study.followup["USUBJID"] == subject]
    last = row[["LSTALVDT", "DTHDT"]].max(axis=1).max() if len(row) else pd.NaT
    return None if pd.isna(last) else last


def adverse_event_tables(study: Study) -> tuple[TrialTable, ...]:
    """S8 and S13: subjects with events, by term at the worst grade, of grade 3 or more; CRS and ICANS; the listing."""
    events = _emergent(study)
    severe = events[(events["AETOXGR"] >= 3).fillna(False)]
    return (
        _overview(study, events),
        _by_term(study, events, "s8_adverse_events_by_term", "Adverse events by term at the worst grade", GRADES),
        _by_term(study, severe, "s13_grade_3_by_term", "Adverse events of grade 3 or more", (3, 4, 5)),
        _astct(study, events),
        _event_listing(study),
    )


def _treatment_emergent(study: Study) -> pd.Series:
    """Events that began on the day of the first infusion or later."""
    start = pd.to_datetime(study.events["USUBJID"].map(study.first_infusion)).dt.normalize()
    return study.events["AESTDTC"] >= start


def _emergent(study: Study) -> pd.DataFrame:
    return study.events[_treatment_emergent(study)]


def _overview(study: Study, events: pd.DataFrame) -> TrialTable:
    related, serious = events["AEREL"].isin(RELATED), events["AESER"] == "Y"
    severe, dlt = events["AETOXGR"] >= 3, events["DLTFL"] == "Y"
    kinds = {
        "any": events["row"] > 0,
        "related": related,
        "serious": serious,
        "serious and related": serious & related,
        "grade 3 or more": severe,
        "grade 3 or more and related": severe & related,
        "grade 4 or more": events["AETOXGR"] >= 4,
        "grade 5": events["AETOXGR"] == 5,
        "dose-limiting": dlt,
    }
    rows = [
        {"events": kind, "dose_level": level}
        | _subjects_with(events[mask.fillna(False)], subjects, study)
        | {"n_events": int(events[mask.fillna(False)]["USUBJID"].isin(subjects).sum())}
        for kind, mask in kinds.items()
        for level, subjects in dose_groups(study, study.treated).items()
    ]
    notes = (
        "Subjects with at least one treatment-emergent event: begun on the day of the first infusion or later.",
        f"Related: {', '.join(RELATED)}. Percentages over the treated, with an exact "
        f"{interval_name(study.settings.choices.confidence)} (Clopper and Pearson).",
    )
    return TrialTable("s8_adverse_events", "Adverse events: overview", pd.DataFrame(rows), notes)


def _subjects_with(events: pd.DataFrame, subjects: Sequence[str], study: Study) -> dict[str, object]:
    n = len(set(events["USUBJID"]) & set(subjects))
    return rate_cells(n, len(subjects), study.settings.choices.confidence)


def _by_term(study: Study, events: pd.DataFrame, name: str, title: str, grades: Sequence[int]) -> TrialTable:
    events = events.assign(term=events["AEDECOD"].str.strip())
    spelled: dict[str, str] = {}
    for term in events["term"]:
        spelled.setdefault(term.casefold(), term)
    events["term"] = events["term"].str.casefold()
    worst = events.groupby(["term", "USUBJID"])["AETOXGR"].max()
    rows = []
    for term in sorted(spelled, key=lambda t: (-len(worst[t]), t)):
        for level, subjects in dose_groups(study, study.treated).items():
            own = worst[term][worst[term].index.isin(subjects)]
            row = {"term": spelled[term], "dose_level": level} | rate_cells(
                len(own), len(subjects), study.settings.choices.confidence
            )
            rows.append(row | {f"worst_grade_{g}": int((own == g).sum()) for g in grades})
    columns = ["term", "dose_level", "n", "of", "percent", "ci_low_percent", "ci_high_percent"]
    data = pd.DataFrame(rows, columns=[*columns, *(f"worst_grade_{g}" for g in grades)])
    notes = ("A subject counts once for a term, at the worst grade (CTCAE v5). Treatment-emergent events alone.",)
    return TrialTable(name, title, data, notes)


def _astct(study: Study, events: pd.DataFrame) -> TrialTable:
    rows = []
    for name, terms in ASTCT.items():
        own = events[events["AEDECOD"].str.strip().str.casefold().isin(terms)]
        worst = own.groupby("USUBJID")["ASTCTGR"].max()
        for level, subjects in dose_groups(study, study.treated).items():
            of_level = worst[worst.index.isin(subjects)]
            row = {"event": name, "dose_level": level} | _subjects_with(own, subjects, study)
            row |= {f"worst_grade_{g}": int((of_level == g).sum()) for g in GRADES}
            rows.append(row | {"not_graded": int(of_level.isna().sum())})
    notes = ("Graded by ASTCT 2019 (ASTCTGR), a subject once at the worst grade.",)
    return TrialTable("s8_crs_icans", "Cytokine release syndrome and ICANS", pd.DataFrame(rows), notes)


def _event_listing(study: Study) -> TrialTable:
    events = study.events
    data = pd.DataFrame(
        {
            "USUBJID": events["USUBJID"],
            "dose_level": events["USUBJID"].map(study.dose_level).map(level_name),
            "term": events["AEDECOD"],
            "onset": events["AESTDTC"].dt.strftime("%Y-%m-%d"),
            "end": events["AEENDTC"].dt.strftime("%Y-%m-%d"),
            "study_day": study.study_day(events["USUBJID"], events["AESTDTC"]),
            "grade": events["AETOXGR"],
            "astct_grade": events["ASTCTGR"],
            "relation": events["AEREL"],
            "serious": events["AESER"],
            "dlt": events["DLTFL"],
            "treatment_emergent": _treatment_emergent(study),
            "row": events["row"],
        }
    )
    notes = ("Study day 1 is the day of the first infusion; row is that of events.csv.",)
    return TrialTable("s8_adverse_event_listing", "Adverse events: every event", data, notes)
