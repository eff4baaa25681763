"""Where a population stands in the gate tree, from the runs' ``populations.csv``, for CPGATDEF."""

from __future__ import annotations

import csv

from cytomrd.trial.study import Study
from cytomrd.trial.study.tables import sha256_of

__all__ = ["gate_definitions"]

MAX_TEXT = 200


def gate_definitions(study: Study) -> dict[tuple[str, str, str], str]:
    """Gates of each population, joined by ``|``, by run, sample and population.

    A run without the table, or whose table is not the one that its provenance names, gives none. A path that is too
    long for a variable loses gates in its middle, marked by ``..``.
    """
    found: dict[tuple[str, str, str], str] = {}
    for run, provenance in study.provenance.items():
        path = study.folder / run / "results" / "populations.csv"
        if not path.is_file() or sha256_of(path) != provenance.get("outputs", {}).get("populations.csv"):
            continue
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                gates = row["gate_path"].removeprefix("root/").split("/")
                found.setdefault((run, row["sample_id"], row["population"]), _joined(gates))
    return found


def _joined(gates: list[str]) -> str:
    whole = "|".join(gates)
    kept = list(gates)
    while len(whole) > MAX_TEXT and len(kept) > 2:
        kept.pop(len(kept) // 2)
        middle = len(kept) // 2
        whole = "|".join([*kept[:middle], "..", *kept[middle:]])
    return whole[:MAX_TEXT]
