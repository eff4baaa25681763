"""Rows of the benchmark's table. Their names are a contract with whoever reads the JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from cytomrd.bench.agreement import Agreement

__all__ = ["Row", "find_row"]


@dataclass(eq=False)
class Row:
    """One implementation of one kernel; ``ratio`` is its speed as a multiple of that of ``ratio_to``.

    Attributes
    ----------
    gb_per_s
        Bytes of input in 1e9 a second.
    fraction_of_bandwidth
        ``gb_per_s`` over that of memcpy on this machine.
    peak_memory_mb
        Memory that one call adds at most; ``memory_of`` says how it was seen: ``allocations`` of Python and
        numpy, or the ``process``, measured in one of its own.
    resident_mb
        All memory of that process at its highest.
    seconds, seconds_min, rounds
        Median and least time of a call, and how many were timed.
    cpu_seconds, cpu_ratio
        Median processor time of a call, and the ratio in it where both have one thread: on a busy machine
        the clock flatters what is short.
    mismatches, max_error, agrees
        How the results of this implementation and of ``ratio_to`` compare; where they disagree there is no ratio.
    note
        Why something is missing.
    """

    kernel: str
    implementation: str
    n_events: int | None = None
    events_per_s: float | None = None
    gb_per_s: float | None = None
    fraction_of_bandwidth: float | None = None
    ratio_to: str | None = None
    ratio: float | None = None
    peak_memory_mb: float | None = None
    threads: int | None = None
    seconds: float | None = None
    seconds_min: float | None = None
    rounds: int | None = None
    cpu_seconds: float | None = None
    cpu_ratio: float | None = None
    mismatches: int | None = None
    max_error: float | None = None
    agrees: bool | None = None
    memory_of: str | None = None
    resident_mb: float | None = None
    note: str = ""

    def compared(self, other: Row, agreement: Agreement) -> Row:
        """This row with its ratio to another implementation's."""
        one_thread = self.threads == 1 and other.threads in (1, None)
        values = asdict(self) | {
            "ratio_to": other.implementation,
            "mismatches": agreement.mismatches,
            "max_error": agreement.max_error,
            "agrees": agreement.holds,
            "ratio": other.seconds / self.seconds if agreement.holds else None,
            "cpu_ratio": other.cpu_seconds / max(self.cpu_seconds, 1e-9) if agreement.holds and one_thread else None,
        }
        if not agreement.holds:
            values["note"] = _join(self.note, f"results differ from {other.implementation}'s: no ratio")
        return Row(**values)


def _join(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


def find_row(rows: Iterable[Row], kernel: str, implementation: str, **wanted) -> Row | None:
    """The first row of a kernel and implementation whose other columns are as wanted."""
    for row in rows:
        if (row.kernel, row.implementation) == (kernel, implementation) and all(
            getattr(row, name) == value for name, value in wanted.items()
        ):
            return row
    return None
