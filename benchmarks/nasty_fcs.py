"""Files that set traps: what cytomrd, FlowIO and FlowKit make of each.

    python benchmarks/nasty_fcs.py [FOLDER]

FOLDER (default ``../shared/data/nasty-fcs``) holds the files and ``manifest.json``, which says of each whether it
must be read ("read"), refused ("reject"), or either, and the true numbers and keywords. Each file is read in a
process of its own with 20 s and 4 GB.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from common import SHARED, call_isolated, setting, table, write_section

COLUMNS = (
    "right",
    "of these refused",
    "refused, though legal",
    "foreign exception",
    "silently wrong",
    "wrongly accepted",
    "hang or out of memory",
)
# The manifest's scaled values and ours differ in the last digit of 10**x.
SCALED_TOLERANCE = 5e-16


def read_cytomrd(path: str):
    """Values, the function that looks up a keyword, and detectors."""
    import cytomrd

    tube = cytomrd.open_fcs(path)
    return tube.read_events(), tube.keywords.get, list(tube.detectors)


def read_flowio(path: str):
    """As `read_cytomrd`, by FlowIO."""
    import flowio

    data = flowio.FlowData(path)
    return data.as_array(), without_dollar(data.text), list(data.pnn_labels)


def read_flowkit(path: str):
    """As `read_cytomrd`, by FlowKit."""
    import flowkit

    sample = flowkit.Sample(path)
    return sample.get_events("raw"), without_dollar(sample.metadata), list(sample.pnn_labels)


def without_dollar(keywords):
    """Look-up in FlowIO's keywords, which it keeps in lower case without ``$``."""
    return lambda key: keywords.get(key.lstrip("$").lower())


def own_errors(reader: str) -> tuple[type[Exception], ...]:
    """Exceptions by which a reader says on purpose that it refuses."""
    if reader == "cytomrd":
        from cytomrd.errors import FcsError

        return (FcsError,)
    from flowio.exceptions import FlowIOException

    if reader == "FlowIO":
        return (FlowIOException,)
    from flowkit.exceptions import FlowKitException

    return (FlowIOException, FlowKitException)


READERS = {"cytomrd": read_cytomrd, "FlowIO": read_flowio, "FlowKit": read_flowkit}


def judge(reader: str, path: str, case: dict) -> tuple[str, str]:
    """What happened ("exact", "different", "own error", "foreign exception"), and details."""
    try:
        values, keyword, names = READERS[reader](path)
    except own_errors(reader) as error:
        return "own error", str(error).split("\n")[0][:200]
    except MemoryError:
        return "out of memory", ""
    except Exception as error:
        return "foreign exception", f"{type(error).__name__}: {error}"[:200]
    truth = case["pre"] if case["pre"] is not None else case["truth"]
    tolerance = SCALED_TOLERANCE if case["pre"] is not None else 0
    if truth is None or np.shape(values) != np.shape(truth):
        return "different", f"shape {np.shape(values)}"
    if not np.allclose(values, np.array(truth, dtype=float), rtol=tolerance, atol=0, equal_nan=True):
        return "different", "numbers"
    wrong = [key for key, value in case["meta"].items() if keyword(key) != value]
    if wrong or (case["names"] and names != case["names"]):
        return "different", f"keywords {wrong}" if wrong else f"names {names}"
    return "exact", ""


def verdict(want: str, what: str) -> str:
    """The column of the table for what happened to a file of which ``want`` was asked."""
    if what in ("hang", "killed", "out of memory"):
        return "hang or out of memory"
    if what == "foreign exception":
        return what
    if what == "own error":
        return "refused, though legal" if want == "read" else "of these refused"
    if want == "reject":
        return "wrongly accepted"
    return "right" if what == "exact" else "silently wrong"


def main() -> int:
    """Run all readers on all files; exit code 1 if cytomrd has a fault."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else SHARED / "nasty-fcs"
    cases = json.loads((folder / "manifest.json").read_text())
    import flowkit  # noqa: F401  (before forking, so that each process starts at once)

    import cytomrd.kernels.decode  # noqa: F401

    rows, faults = [], {}
    for reader in READERS:
        counts = dict.fromkeys(COLUMNS, 0)
        for name, case in cases.items():
            how, result = call_isolated(judge, reader, str(folder / case["file"]), case)
            what, details = result if how == "done" else (how, "")
            column = verdict(case["want"], what)
            counts[column] += 1
            if column not in ("right", "of these refused"):
                faults.setdefault((name, case["want"]), {})[reader] = f"{column}: {details}" if details else column
        counts["right"] += counts["of these refused"]
        rows.append((reader, *counts.values()))
    listed = [(*file, *(by.get(reader, "") for reader in READERS)) for file, by in faults.items()]
    write_section(
        "Nasty FCS files",
        f"`python benchmarks/nasty_fcs.py`: {len(cases)} files, each with one trap, and what each reader makes of "
        f"them.\n{setting('FlowIO', 'FlowKit', 'numpy')}\n\n{table(('reader', *COLUMNS), rows)}\n\n"
        '"Right" is exact numbers and keywords, or a refusal by the reader\'s own error where the file must or may '
        "be refused. Each file is read in a process of its own with 20 s and 4 GB.\n\n"
        "<details><summary>Faults, file by file</summary>\n\n"
        f"{table(('file', 'wanted', *READERS), listed)}\n\n</details>",
    )
    return int(any("cytomrd" in by for by in faults.values()))


if __name__ == "__main__":
    sys.exit(main())
