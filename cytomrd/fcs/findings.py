"""What the reader noticed about a file: graded findings, and the log that collects them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cytomrd.errors import FcsError
from cytomrd.fcs.text import printable

__all__ = ["Finding", "FindingLog", "quoted"]

Grade = Literal["note", "repaired", "refused"]
MAX_SHOWN = 120
MAX_FINDINGS = 1000


def quoted(value: str | None) -> str:
    """A keyword's value for a message; "nothing" where the keyword is missing."""
    return "nothing" if value is None else repr(value)


@dataclass(frozen=True, slots=True)
class Finding:
    """One departure from the FCS standard.

    Attributes
    ----------
    grade
        ``"note"``: harmless. ``"repaired"``: read with a correction that the file
        itself proves; refused in strict mode. ``"refused"``: cannot be read without guessing.
    keyword
        The FCS keyword, or ``"HEADER"``, ``"TEXT"``, ``"DATA"``, ``"FILE"``.
    byte_offset
        Where in the file, in bytes from its start, or None.
    seen, expected, remedy
        What the file says, what the standard allows, and what was or should be done.

    Examples
    --------
    >>> from cytomrd.fcs.findings import Finding
    >>> print(Finding("repaired", "$NEXTDATA", 402, "''", "an offset or 0", "read as 0"))
    repaired: $NEXTDATA at byte 402: seen '', expected an offset or 0; read as 0
    """

    grade: Grade
    keyword: str
    byte_offset: int | None
    seen: str
    expected: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.grade}: {self.text}"

    @property
    def text(self) -> str:
        """The finding without its grade, safe to print."""
        where = "" if self.byte_offset is None else f" at byte {self.byte_offset}"
        seen = printable(self.seen, max_length=MAX_SHOWN)
        keyword = printable(self.keyword, max_length=MAX_SHOWN)
        return f"{keyword}{where}: seen {seen}, expected {self.expected}; {self.remedy}"


class FindingLog:
    """Collects findings while a file is read. In strict mode a repair is a refusal."""

    def __init__(self, *, strict: bool = False):
        self.strict = strict
        self._findings: dict[Finding, None] = {}

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings so far, in the order met, each once."""
        return tuple(self._findings)

    def _add(self, finding: Finding) -> None:
        # A hostile file must not fill the memory with complaints about it.
        if len(self._findings) < MAX_FINDINGS:
            self._findings[finding] = None

    def note(self, keyword: str, byte_offset: int | None, *, seen: str, expected: str, remedy: str) -> None:
        """Record something harmless."""
        self._add(Finding("note", keyword, byte_offset, seen, expected, remedy))

    def repair(self, keyword: str, byte_offset: int | None, *, seen: str, expected: str, remedy: str) -> None:
        """Record a correction; raise `FcsError` in strict mode."""
        if self.strict:
            raise self.refusal(keyword, byte_offset, seen=seen, expected=expected, remedy=f"strict mode: not {remedy}")
        self._add(Finding("repaired", keyword, byte_offset, seen, expected, remedy))

    def refusal(self, keyword: str, byte_offset: int | None, *, seen: str, expected: str, remedy: str) -> FcsError:
        """The error to raise, with the finding as its message."""
        finding = Finding("refused", keyword, byte_offset, seen, expected, remedy)
        return FcsError(finding.text, keyword=keyword, byte_offset=byte_offset)

    def extend(self, other: FindingLog) -> None:
        """Take over the findings of another log."""
        for finding in other.findings:
            self._add(finding)
