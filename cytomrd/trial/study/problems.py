"""What is wrong with a study folder: table, row, value seen, what is allowed, and the remedy."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Place", "Problem", "Problems"]


@dataclass(frozen=True)
class Problem:
    """One problem of one row.

    Attributes
    ----------
    table, row, column
        Where: the CSV's name, the row as a spreadsheet counts (header 1; 0 for the table as a whole), the column.
    code
        What kind of problem, such as ``DUPLICATE_TEST``.
    seen
        The value seen.
    what, remedy
        What is wrong, with what is allowed; and what to do.
    grade
        ``error`` keeps every table from being written; ``warning`` is a remark.
    acceptable
        Whether ``study.toml`` may accept it: the value can be used as it stands.
    key
        The id to accept it by. It changes with any cell of the row and with what the row is compared to, so that an
        acceptance never outlives the values that it was given for; where the row stands does not matter.
    """

    table: str
    row: int
    column: str
    code: str
    seen: str
    what: str
    remedy: str
    grade: Literal["error", "warning"]
    acceptable: bool
    key: str

    def __str__(self) -> str:
        place = f"{self.table}, row {self.row}" if self.row else self.table
        column = f", {self.column}" if self.column else ""
        text = f"{place}{column}: {self.what}; {self.remedy}"
        if self.seen not in text:
            text += f"; seen: {self.seen!r}"
        accept = f" (to accept it: {self.key})" if self.acceptable and self.grade == "error" else ""
        return text + accept


@dataclass
class Problems:
    """Collects problems; knows the cells of every row, for the ids."""

    found: list[Problem] = field(default_factory=list)
    cells: dict[tuple[str, int], tuple[str, ...]] = field(default_factory=dict)

    def at(self, table: str, row: int = 0, column: str = "") -> Place:
        """Where the next problem is."""
        return Place(self, table, int(row), column)

    def sorted(self, tables: Iterable[str]) -> tuple[Problem, ...]:
        """All problems in the order of the tables and rows."""
        order = {name: number for number, name in enumerate(tables)}
        return tuple(sorted(self.found, key=lambda p: (order.get(p.table, -1), p.table, p.row, p.column, p.code)))


@dataclass(frozen=True)
class Place:
    """A cell, row or table, to say of it what is wrong."""

    problems: Problems
    table: str
    row: int
    column: str

    def refuse(self, code: str, seen: object, what: str, *, remedy: str) -> None:
        """Nothing can be made of the value: it must be corrected."""
        self._add(code, seen, what, remedy, grade="error", acceptable=False)

    def doubt(self, code: str, seen: object, what: str, *, remedy: str) -> None:
        """The value can hardly be right: it must be corrected, or accepted in study.toml."""
        self._add(code, seen, what, remedy, grade="error", acceptable=True)

    def warn(self, code: str, seen: object, what: str, *, remedy: str) -> None:
        """The value stands; the tables say so once."""
        self._add(code, seen, what, remedy, grade="warning", acceptable=False)

    def _add(self, code: str, seen: object, what: str, remedy: str, **kind) -> None:
        cells = self.problems.cells.get((self.table, self.row), ())
        said = re.sub(r"\brow \d+", "row", what)
        parts = (self.table, code, self.column, str(seen), said, *cells)
        digest = hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
        key = f"{self.table}-{code.lower().replace('_', '-')}-{digest[:8]}"
        problem = Problem(self.table, self.row, self.column, code, str(seen), what, remedy, key=key, **kind)
        if problem not in self.problems.found:
            self.problems.found.append(problem)
