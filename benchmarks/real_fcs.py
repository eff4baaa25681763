"""Real files: every FCS file of a folder opens or is refused with a reason, and gives FlowIO's numbers.

    python benchmarks/real_fcs.py [FOLDER]

FOLDER is ``../shared/data`` by default. Every data set of every file is read by cytomrd and by FlowIO, each file in
a process of its own with 60 s and 8 GB. Exit code 1 if numbers differ without an explanation in ``EXPLAINED``.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from common import SHARED, call_isolated, setting, table, write_section

SUFFIXES = {".fcs", ".lmd", ".001", ".002", ".003", ".004", ".005"}
MAGIC = b"FCS"
LAST_DIGIT = 3e-16  # numpy's powers, which FlowIO takes for log amplifiers, differ in it from processor to processor
# Where the numbers differ, what decoding the bytes by hand shows.
EXPLAINED = {
    "Guava": "ours: $PnE=4.0,1.0 stands on floats, where it is not allowed. The HLog columns hold log10 of the HLin "
    "columns (they agree to 0.002), so they are read as stored; FlowIO raises 10 to them once more",
}


def examine(path: str) -> dict:
    """What both readers make of a file: plain texts and numbers that fit through a pipe."""
    import cytomrd
    from cytomrd.errors import FcsError

    try:
        tubes = [cytomrd.open_fcs(path)]
        tubes += [cytomrd.open_fcs(path, dataset=i) for i in range(1, tubes[0].datasets)]
        ours = [tube.read_events() for tube in tubes]
    except FcsError as error:
        theirs, how = _flowio(path, [])
        return {"ours": f"refused: {error.args[0]}", "findings": [], "theirs": "reads it" if theirs else how}
    found = {
        "ours": f"{len(ours)} data sets of {', '.join(str(len(o)) for o in ours)} events"
        if len(ours) > 1
        else f"{len(ours[0])} events",
        "findings": _in_short(tubes[0].findings),
    }
    theirs, how = _flowio(path, ours)
    if not theirs:
        return found | {"theirs": how}
    same = len(ours) == len(theirs) and all(map(_equal, ours, theirs))
    result = "equal" if same else _difference(ours, theirs, tubes[0].detectors)
    return found | {"theirs": f"{result} (with {how})" if how else result}


def _in_short(findings) -> list[str]:
    """Findings that are no notes, those of one kind together."""
    kinds = Counter((re.sub(r"(?<=^.P)\d+", "n", f.keyword), f.remedy) for f in findings if f.grade != "note")
    return [f"{keyword}: {remedy}" + (f" ({n} times)" if n > 1 else "") for (keyword, remedy), n in kinds.items()]


def _flowio(path: str, ours: list[np.ndarray]) -> tuple[list[np.ndarray], str]:
    """FlowIO's data sets and the options with which it gives them: those that make them equal, or read at all."""
    import flowio

    lenient = {"ignore_offset_error": True, "ignore_offset_discrepancy": True}
    found, reason = [], ""
    for options in ({}, lenient, lenient | {"use_header_offsets": True}):
        try:
            theirs = [data.as_array() for data in flowio.read_multiple_data_sets(path, **options)]
        except Exception as error:  # whatever it is, there is nothing to compare
            reason = reason or f"{type(error).__name__}: {error}"[:120]
            continue
        if len(ours) == len(theirs) and all(map(_equal, ours, theirs)):
            return theirs, ", ".join(options)
        found.append((theirs, ", ".join(options)))
    return found[0] if found else ([], reason)


def _equal(ours: np.ndarray, theirs: np.ndarray) -> bool:
    return ours.shape == theirs.shape and np.allclose(ours, theirs, rtol=LAST_DIGIT, atol=0, equal_nan=True)


def _difference(ours, theirs, detectors) -> str:
    if len(ours) != len(theirs):
        return f"different: {len(theirs)} data sets"
    if ours[0].shape != theirs[0].shape:
        return f"different: shape {theirs[0].shape}"
    columns = np.flatnonzero(~np.isclose(ours[0], theirs[0], rtol=LAST_DIGIT, atol=0, equal_nan=True).all(axis=0))
    if not len(columns):
        return "different in a later data set"
    return "different in " + ", ".join(detectors[j] for j in columns[:6])


def real_files(folder: Path) -> list[Path]:
    """All files that are FCS by name or by their first bytes, traps made by hand left out."""
    paths = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and "nasty-fcs" not in p.parts):
        with path.open("rb") as file:
            is_fcs = file.read(3) == MAGIC
        if is_fcs or path.suffix.lower() in SUFFIXES:
            paths.append(path)
    return paths


def explanation(path: Path, theirs: str) -> str:
    """Why the numbers differ; empty where they do not, or where nobody knows."""
    if not theirs.startswith("different"):
        return ""
    return next((why for key, why in EXPLAINED.items() if key in path.name), "")


def main() -> int:
    """Examine every file and write the section of README.md."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else SHARED
    import flowio  # noqa: F401  (before forking, so that each process starts at once)

    import cytomrd.fcs.dataset
    import cytomrd.kernels.decode  # noqa: F401

    rows, counts, unexplained = [], Counter(), []
    for path in real_files(folder):
        how, result = call_isolated(examine, str(path), seconds=60, memory=8 << 30)
        if how != "done":
            result = {"ours": how, "findings": [], "theirs": ""}
        ours, theirs = result["ours"], result["theirs"]
        refused = not ours[0].isdigit()
        known = next((k for k in ("equal", "different") if theirs.startswith(k)), "opened, not read by FlowIO")
        outcome = "refused" if refused else "equal, with FlowIO's leniency" if theirs[5:].strip() else known
        if known != "equal" and not refused:
            outcome = known
        counts[outcome] += 1
        why = explanation(path, theirs)
        if outcome == "different" and not why:
            unexplained.append(path.name)
        if refused or result["findings"] or outcome != "equal":
            place, findings = str(path.relative_to(folder)), "; ".join(result["findings"])
            rows.append((place, ours, findings, f"{theirs}. {why}" if why else theirs))
    summary = table(("files", "outcome"), [(n, outcome) for outcome, n in counts.most_common()])
    write_section(
        "Real FCS files",
        f"`python benchmarks/real_fcs.py`: {sum(counts.values())} real files, every data set read by cytomrd and by "
        "FlowIO, numbers compared exactly (up to the last digit of 10**x).\n"
        f"{setting('FlowIO', 'numpy')}\n\n{summary}\n\n"
        "<details><summary>Files that are refused, repaired, or not equal</summary>\n\n"
        f"{table(('file', 'cytomrd', 'findings', 'FlowIO'), rows)}\n\n</details>",
    )
    print("unexplained:", unexplained or "none")
    return int(bool(unexplained))


if __name__ == "__main__":
    sys.exit(main())
