"""Checks of the runs' results against the study: each belongs to a sample of samples.csv and agrees with it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pandas as pd

from cytomrd.trial.study.flow import MATRIX_OF
from cytomrd.trial.study.problems import Problems
from cytomrd.trial.study.showing import shown

if TYPE_CHECKING:
    from cytomrd.trial.study.study import Study

__all__ = ["check_flow"]


def check_flow(study: Study, problems: Problems) -> None:
    """Collect what does not agree between results and samples."""
    samples = study.samples.drop_duplicates("SAMPLEID").set_index("SAMPLEID")
    for name, table in (("mrd", study.flow_mrd), ("car_nk", study.flow_car_nk)):
        seen: dict[str, str] = {}
        for row in table.to_dict("records"):
            file, sample = f"{row['run']}/results/{name}.csv", row["sample_id"]
            where = (file, row["row"], "sample_id")
            if sample in seen:
                problems.at(*where).refuse(
                    "TWO_RUNS",
                    sample,
                    f"sample {sample!r} has results in {seen[sample]} too",
                    remedy="name only one of the runs in study.toml",
                )
            seen[sample] = row["run"]
            if sample in samples.index:
                _check_sample(study, file, row, samples.loc[sample], problems)
            elif row["subject_id"]:
                problems.at(*where).refuse(
                    "UNKNOWN_SAMPLE",
                    sample,
                    f"sample {sample!r} of subject {row['subject_id']!r} is not in samples.csv",
                    remedy="add it there, or correct sample_id in the run's samplesheet and gate again",
                )
            else:
                problems.at(*where).warn(
                    "NO_SUBJECT",
                    sample,
                    f"sample {sample!r} names no subject and is not in samples.csv; its results are left out",
                    remedy="add it there if it belongs to the study",
                )
    with_results = set(study.flow_mrd["sample_id"]) | set(study.flow_car_nk["sample_id"])
    for row in study.samples.to_dict("records"):
        if row["STATUS"] == "OK" and row["SAMPLEID"] and row["SAMPLEID"] not in with_results:
            problems.at("samples", row["row"], "SAMPLEID").warn(
                "NO_FLOW_RESULT",
                row["SAMPLEID"],
                (
                    f"sample {row['SAMPLEID']!r} has no result in any run of study.toml, so it is missing "
                    "from the tables"
                ),
                remedy="gate it, or give its status and reason",
            )


def _check_sample(study: Study, file: str, row: dict, sample: pd.Series, problems: Problems) -> None:
    pairs = [("subject_id", row["subject_id"], sample["USUBJID"])]
    if row.get("matrix"):
        pairs.append(("matrix", MATRIX_OF.get(row["matrix"], row["matrix"]), sample["MATRIX"]))
    for column, said, expected in pairs:
        if said and expected and said != expected:
            problems.at(file, row["row"], column).refuse(
                "FLOW_DISAGREES",
                said,
                f"{column} {said!r} of sample {row['sample_id']!r} is {expected!r} in samples.csv",
                remedy="correct samples.csv, or the run's samplesheet and gate again",
            )
    if sample["STATUS"] not in ("", "OK"):
        problems.at(file, row["row"], "sample_id").warn(
            "UNUSABLE_SAMPLE",
            row["sample_id"],
            (
                f"sample {row['sample_id']!r} has results, but STATUS {sample['STATUS']} ({sample['REASON']}); "
                "they are left out"
            ),
            remedy="check the status",
        )
    taken = pd.Timestamp(datetime.fromisoformat(row["collected_at"])) if row["collected_at"] else pd.NaT
    if taken is not pd.NaT and taken.tzinfo is not None:
        return  # the samplesheet's time has a zone and the study's has none: they cannot be compared
    if pd.notna(taken) and pd.notna(sample["COLLDTC"]) and abs((taken - sample["COLLDTC"]).total_seconds()) > 60:
        problems.at(file, row["row"], "collected_at").doubt(
            "FLOW_DISAGREES",
            row["collected_at"],
            f"collected at {shown(taken)} in the run and {shown(sample['COLLDTC'])} in samples.csv",
            remedy="correct one of them; the tables use samples.csv",
        )
