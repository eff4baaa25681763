"""What the benchmark scripts share: calls in a process of their own, and sections of README.md."""

from __future__ import annotations

import multiprocessing
import os
import platform
import resource
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cytomrd

README = Path(__file__).with_name("README.md")
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
HEAD = """# Benchmarks

Every figure here was written by the script named in its section. To repeat one, install the package (or set
`PYTHONPATH` to the project's root) with FlowKit, FlowIO and flowsom, and run the script; it replaces its own section.
Real and nasty files are looked for in `../shared/data`. Times on a shared machine drift by half within an hour: the
ratios within one section were taken in one session, interleaved, and are what counts.
"""


def call_isolated(function, *arguments, seconds: float = 20, memory: int = 4 << 30) -> tuple[str, Any]:
    """Call ``function`` in a forked process with limits on time and memory.

    Returns ``(how, result)``: ``("done", what it returned)``, ``("hang", None)`` or ``("killed", exit code)``.
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_limited, args=(theirs, memory, function, arguments))
    process.start()
    theirs.close()
    try:
        outcome = ("done", ours.recv()) if ours.poll(seconds) else ("hang", None)
    except EOFError:
        outcome = ("killed", None)
    process.kill()
    process.join()
    return outcome if outcome[0] != "killed" else ("killed", process.exitcode)


def _limited(pipe, memory: int, function, arguments) -> None:
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (in_use + memory, in_use + memory))
    warnings.simplefilter("ignore")
    pipe.send(function(*arguments))


def setting(*packages: str) -> str:
    """Machine and versions, in one line."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    versions = ", ".join([f"cytomrd {cytomrd.__version__}", *(f"{p} {version(p)}" for p in packages)])
    cores = len(os.sched_getaffinity(0))
    return f"{model}, {cores} cores, {platform.system()}, Python {platform.python_version()}, {versions}."


def table(head: tuple[str, ...], rows: list[tuple]) -> str:
    """A Markdown table; all columns but the first are aligned right if their cells are numbers."""
    numeric = [all(isinstance(row[i], int | float) for row in rows) for i in range(len(head))]
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(" ---: " if n else " --- " for n in numeric) + "|"]
    lines += [
        "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows
    ]
    return "\n".join(lines)


def _cell(value) -> str:
    return str(value).replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def write_section(title: str, body: str) -> None:
    """Put a section into README.md in place of the one of the same title, and print it."""
    print(body)
    text = README.read_text() if README.exists() else HEAD
    before, _, rest = text.partition(f"\n## {title}\n")
    after = rest.partition("\n## ")
    behind = f"\n## {after[2]}" if after[1] else ""
    README.write_text(f"{before.rstrip()}\n\n## {title}\n\n{body.strip()}\n{behind}")
