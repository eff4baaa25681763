"""A small valid study as plain tables, without events: 6 subjects, made of numbers that a reader can follow."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from datetime import datetime, timedelta
from pathlib import Path

from cytomrd import schema
from cytomrd.schema import table_to_csv

START = datetime(2026, 1, 5, 10, 0)
LEVELS = (1.5e8, 1.5e8, 3e8, 3e8, 6e8, 6e8)
SUBJECTS = tuple(f"S{i:02d}" for i in range(1, 7))
# CAR+ NK cells/uL at the lowest level, by time in days; the levels multiply it.
BLOOD = ((-0.5, 0.0), (0.1, 4.0), (1.0, 10.0), (3.0, 6.0), (6.9, 1.5), (7.2, 9.0), (8.0, 14.0), (10.0, 8.0),
         (14.0, 3.0), (21.0, 0.8), (28.0, 0.2))  # fmt: skip
MARROW = ((-3.0, 0.0), (14.0, 2.0), (28.0, 0.5))
TOML = """\
id = "NCT06045091"
title = "A plain study"
data_cutoff = 2026-06-30
dose_levels = [1.5e8, 3e8, 6e8]
runs = ["runs/one"]
"""


def moment(index: int, day: float) -> str:
    """Time of a subject's day, to the minute."""
    return (START + timedelta(days=2 * index + day)).isoformat(timespec="minutes")


def date(index: int, day: float) -> str:
    """Date of a subject's day."""
    return moment(index, day)[:10]


def plain_tables() -> dict[str, list[dict[str, object]]]:
    """Every table of the study, as rows of cells."""
    tables: dict[str, list[dict[str, object]]] = {
        name: [] for name in ("subjects", "dosing", "samples", "cbc", "resp_labs", "marrow", "imaging", "events",
                              "vitals", "therapy", "followup")
    }  # fmt: skip
    for i, subject in enumerate(SUBJECTS):
        _of_subject(tables, i, subject)
    return tables


def _of_subject(tables, i, subject):
    def add(table, **cells):
        tables[table].append({"USUBJID": subject, **cells})

    tables["subjects"].append(
        {"STUDYID": "NCT06045091", "USUBJID": subject, "DX": "MM", "COHORT": LEVELS[i],
         "MTYPE": "FLC" if i == 5 else "IGG", "INVOLVED_LC": "KAPPA", "WEIGHT_BL": 70 + i, "AGE": 60 + i,
         "SEX": "FM"[i % 2], "RFICDTC": date(i, -20), "DLTEVAL": "Y"}
    )  # fmt: skip
    for number, day in ((1, 0), (2, 7)):
        add("dosing", EXSEQ=number, EXSTDTC=moment(i, day), EXENDTC=moment(i, day + 0.02), EXDOSE=LEVELS[i] * 1.02,
            PLANNED_DAY=day)  # fmt: skip
    for matrix, code, profile in (("BLOOD", "PB", BLOOD), ("BONE MARROW", "BM", MARROW)):
        for day, _ in profile:
            reference = 0 if day < 0 else 1 if day < 6.5 else 2
            add("samples", SAMPLEID=f"{subject}-{code}-{day:g}", VISIT=f"D{day:g}", PLANNED_DAY=round(day),
                DOSE_REF=reference, PREDOSE="Y" if day < 0 or 6.5 < day < 7 else "N", MATRIX=matrix,
                COLLDTC=moment(i, day), ACQDTC=moment(i, day + 0.2), STATUS="OK", REASON="")  # fmt: skip
    for visit, day, factor in (("SCREENING", -10, 1.0), ("D28", 28, 0.4), ("D56", 56, 0.05)):
        at = {"VISIT": visit, "LBDTC": date(i, day)}
        tests = {"MCPROT": (3.0 * factor, "g/dL", "SERUM"), "MPROTEXR": (100 * factor, "mg/day", "URINE"),
                 "KLCFR": (200 * factor, "mg/L", "SERUM"), "LLCFR": (10, "mg/L", "SERUM"),
                 "KLCLLCFR": (20 * factor, "1", "SERUM"), "SIFE": ("POSITIVE", "", "SERUM"),
                 "CREAT": (1.0, "mg/dL", "SERUM"), "HGB": (9.5, "g/dL", "BLOOD"), "NEUT": (2.0, "10^9/L", "BLOOD"),
                 "PLAT": (100, "10^9/L", "BLOOD"), "BILI": (0.8, "mg/dL", "SERUM"), "ALT": (30, "U/L", "SERUM"),
                 "AST": (25, "U/L", "SERUM")}  # fmt: skip
        for code, (value, unit, specimen) in tests.items():
            add("resp_labs", **at, LBTESTCD=code, LBORRES=value, LBORRESU=unit, LBSPEC=specimen, LBNRLO="",
                LBNRHI=40 if code in ("ALT", "AST") else "", SPURIOUS="")  # fmt: skip
    for day, crp, il6 in ((-1, 5, "<2"), (1, 60, 300), (3, 40, 120), (7.5, 30, 80), (14, 6, 4)):
        at = {"VISIT": f"D{day:g}", "LBDTC": moment(i, day), "LBSPEC": "SERUM"}
        add("resp_labs", **at, LBTESTCD="CRP", LBORRES=crp, LBORRESU="mg/L")
        add("resp_labs", **at, LBTESTCD="INTLK6", LBORRES=il6, LBORRESU="pg/mL")
    for visit, day, percent in (("SCREENING", -10, 40), ("D28", 28, 10)):
        add("marrow", VISIT=visit, BMDTC=date(i, day), PC_PCT=percent, PC_METHOD="BIOPSY", FIRST_PULL="Y")
        add("imaging", VISIT=visit, IMDTC=date(i, day), MODALITY="PETCT", SPD_MM2=0, NEW_LESION="N")
    for visit, day, weight, ecog in (("SCREENING", -10, 70, 1), ("D14", 14, 66, 1), ("D28", 28, 62, 2)):
        add("vitals", VISIT=visit, VSDTC=date(i, day), VSTESTCD="WEIGHT", VSORRES=weight + i, VSORRESU="kg")
        add("vitals", VISIT=visit, VSDTC=date(i, day), VSTESTCD="ECOG", VSORRES=ecog, VSORRESU="")
    add("vitals", VISIT="SCREENING", VSDTC=date(i, -10), VSTESTCD="SPO2", VSORRES=97, VSORRESU="%")
    add("vitals", VISIT="SCREENING", VSDTC=date(i, -10), VSTESTCD="LVEF", VSORRES=60, VSORRESU="%")
    add("events", AEDECOD="Pyrexia", AESTDTC=date(i, 1), AEENDTC=date(i, 3), AETOXGR=1 + i % 3, AEREL="RELATED",
        AESER="N", DLTFL="N", ASTCTGR="")  # fmt: skip
    if i == 4:
        add("events", AEDECOD="Cytokine release syndrome", AESTDTC=date(i, 8), AEENDTC=date(i, 12), AETOXGR=4,
            AEREL="RELATED", AESER="Y", DLTFL="Y", ASTCTGR=4)  # fmt: skip
    add("therapy", NACTDT=date(i, 80) if i == 0 else "", NACTTRT="")
    add("followup", LSTALVDT=date(i, 90), DTHDT=date(i, 95) if i == 1 else "", DTHCAUS="Myeloma" if i == 1 else "")


def _flow_rows() -> tuple[list[dict], list[dict]]:
    car, mrd = [], []
    for i, subject in enumerate(SUBJECTS):
        scale = LEVELS[i] / LEVELS[0]
        for matrix, profile in (("PB", BLOOD), ("BM", MARROW)):
            for day, value in profile:
                row = dict.fromkeys(c.name for c in schema.CAR_NK)
                cells = value * scale * (1 + 0.1 * i)
                who = {"sample_id": f"{subject}-{matrix}-{day:g}", "subject_id": subject, "visit": f"D{day:g}",
                       "day": day, "collected_at": moment(i, day)}  # fmt: skip
                car.append(row | who | {"matrix": matrix, "cells_per_ul": cells, "lloq_cells_per_ul": 0.1,
                                        "method": "single_platform", "flags": "",
                                        "status": "QUANTIFIED" if value else "BELOW_LOD"})  # fmt: skip
                if matrix == "BM":
                    clonal = {-3.0: 3000, 14.0: 100, 28.0: 5}[day]
                    mrd.append(dict.fromkeys(c.name for c in schema.MRD) | who | {
                        "n_nucleated": 4_000_000, "n_plasma_cells": clonal + 500, "n_normal_pc": 500,
                        "n_clonal_pc": clonal, "mrd_fraction": clonal / 4e6, "ci_low": 0.0,
                        "ci_high": 1e-3, "lod": 5e-6, "lloq": 1.25e-5,
                        "status": "POSITIVE" if clonal > 20 else "NEGATIVE", "flags": ""})  # fmt: skip
    return car, mrd


def csv_of(rows: list[dict[str, object]]) -> str:
    """Rows as CSV; the columns are those of any row."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def write_plain_study(folder: Path, tables: dict[str, list[dict]] | None = None, toml: str = TOML) -> Path:
    """Write the study; other tables or another study.toml take the place of the valid ones."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.toml").write_text(toml, "utf-8")
    for name, rows in (plain_tables() if tables is None else tables).items():
        (folder / f"{name}.csv").write_text(csv_of(rows) if rows else "SAMPLEID,WBC,LYMPH_PCT,CBCDTC\n", "utf-8")
    results = folder / "runs" / "one" / "results"
    results.mkdir(parents=True, exist_ok=True)
    car, mrd = _flow_rows()
    outputs = {}
    for name, columns, rows in (("car_nk", schema.CAR_NK, car), ("mrd", schema.MRD, mrd)):
        text = table_to_csv(columns, rows)
        (results / f"{name}.csv").write_text(text, "utf-8", newline="")
        outputs[f"{name}.csv"] = hashlib.sha256(text.encode()).hexdigest()
    (results / "provenance.json").write_text(json.dumps({"cytomrd": "0.1.0", "outputs": outputs}), "utf-8")
    return folder
