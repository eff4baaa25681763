"""Spillover matrices: what they mean, checking them, and compensating with them."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from cytomrd.errors import CompensationError

__all__ = ["Spillover", "format_spillover_csv", "parse_spillover", "read_spillover_csv", "spillover_of_keywords"]

# In the order of preference: the standard's own keyword, BD's of FCS 3.0, FlowJo's, FCS 3.0's.
SPILLOVER_KEYWORDS = ("$SPILLOVER", "SPILL", "SPILLOVER", "$COMP")
MAX_CSV_BYTES = 4 << 20
_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?\s*")


@dataclass(frozen=True, eq=False)
class Spillover:
    """A spillover matrix: row = fluorochrome, column = detector that sees it.

    Attributes
    ----------
    detectors
        The detectors (``$PnN``) of the columns, and of the rows in the same order.
    matrix
        Array of shape (n_detectors, n_detectors), float64. Row i is the signal of
        fluorochrome i in each detector, as a fraction of its own detector.
    source
        Where it came from, for the report: ``"$SPILLOVER"``, a file name, ...

    Raises
    ------
    CompensationError
        If names repeat, the shape does not fit, a value is not finite, or the
        matrix is singular.
    """

    detectors: tuple[str, ...]
    matrix: np.ndarray
    source: str = "given"

    def __post_init__(self):
        matrix = np.array(self.matrix, dtype=np.float64)
        matrix.setflags(write=False)
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "detectors", tuple(self.detectors))
        n = len(self.detectors)
        if len(set(self.detectors)) != n:
            raise CompensationError(f"spillover matrix ({self.source}): a detector is named twice: {self.detectors}")
        if matrix.shape != (n, n):
            raise CompensationError(f"spillover matrix ({self.source}): {n} detectors, but a matrix {matrix.shape}")
        if not np.isfinite(matrix).all():
            raise CompensationError(f"spillover matrix ({self.source}): a value is not finite")
        if not np.isfinite(self.condition_number) or self.condition_number > 1e8:
            raise CompensationError(
                f"spillover matrix ({self.source}): condition number {self.condition_number:.3g}; it cannot be inverted"
            )

    @property
    def condition_number(self) -> float:
        """Ratio of the largest to the smallest singular value; 1 is no spillover."""
        return float(np.linalg.cond(self.matrix)) if len(self.detectors) else 1.0

    @property
    def is_identity(self) -> bool:
        """True where nothing would change: the file was exported compensated, or never set up."""
        return bool(np.array_equal(self.matrix, np.eye(len(self.detectors))))

    @cached_property
    def inverse(self) -> np.ndarray:
        """``compensated = raw @ inverse``, array of shape (n_detectors, n_detectors), read-only."""
        inverse = np.linalg.inv(self.matrix)
        inverse.flags.writeable = False
        return inverse


def parse_spillover(text: str, source: str = "$SPILLOVER") -> Spillover:
    """Read the text of ``$SPILLOVER`` (FCS 3.1, section 3.2.21): ``n,name1,...,namen,`` then n x n numbers by row.

    Parameters
    ----------
    text
        The keyword's value.
    source
        The keyword, for messages and the report.

    Raises
    ------
    CompensationError
        If it is not of this form, or the matrix cannot be used.

    Examples
    --------
    >>> from cytomrd.preprocess.compensation import parse_spillover
    >>> parse_spillover("2,FITC-A,PE-A,1,0.1,0.02,1").matrix.tolist()
    [[1.0, 0.1], [0.02, 1.0]]
    """
    parts = text.split(",")
    n_text = parts[0].strip()
    n = int(n_text) if re.fullmatch("[0-9]{1,9}", n_text) else 0
    if n < 1 or len(parts) != 1 + n + n * n:
        raise CompensationError(
            f"spillover matrix ({source}): {n_text[:20]!r} detectors stated, {len(parts) - 1} entries follow; "
            f"n names and n x n numbers are wanted. Correct the keyword, or give the matrix as a CSV file"
        )
    return Spillover(tuple(parts[1 : n + 1]), _numbers(parts[n + 1 :], source).reshape(n, n), source)


def spillover_of_keywords(keywords: Mapping[str, str], detectors: Sequence[str]) -> Spillover | None:
    """The spillover matrix among a file's keywords; None where there is none.

    Parameters
    ----------
    keywords
        Upper-case keywords of the file.
    detectors
        Its ``$PnN``. Names in the matrix must be among them, letter by letter; numbers in their
        place (Accuri C6) are taken as parameter numbers.

    Raises
    ------
    CompensationError
        If a matrix cannot be used, names something that is no detector, or two keywords differ.
    """
    found = []
    for key in SPILLOVER_KEYWORDS:
        text = keywords.get(key, "").strip()
        if text and text != "0":
            found.append(_for_detectors(parse_spillover(text, key), detectors))
    for other in found[1:]:
        if other.detectors != found[0].detectors or not np.array_equal(other.matrix, found[0].matrix):
            raise CompensationError(
                f"spillover matrix: {found[0].source} and {other.source} of the file differ; give one as a CSV"
            )
    return found[0] if found else None


def read_spillover_csv(path: str | os.PathLike) -> Spillover:
    """Read a spillover matrix from a CSV file.

    The header row names the detectors. A first column of names is optional (its header is then empty
    or free); rows follow in the order of the columns.

    Raises
    ------
    CompensationError
        If the file cannot be read, rows and columns do not fit, or the matrix cannot be used.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from cytomrd.preprocess.compensation import read_spillover_csv
    >>> path = pathlib.Path(tempfile.mkdtemp(), "matrix.csv")
    >>> _ = path.write_text("FITC-A,PE-A\\n1,0.1\\n0.02,1\\n")
    >>> read_spillover_csv(path).detectors
    ('FITC-A', 'PE-A')
    """
    path = Path(path)
    source = path.name
    rows = _csv_rows(path, source)
    if len(rows) < 2:
        raise CompensationError(f"spillover matrix ({source}): a header row and one row per detector are wanted")
    header, body = rows[0], rows[1:]
    n = len(body)
    has_names = len(header) == n + 1
    detectors = tuple(header[1:] if has_names else header)
    widths = {len(row) for row in body}
    # A table without a corner cell (R's write.table) has rows one longer than its header.
    if len(header) == n and widths == {n + 1}:
        has_names = True
    if len(detectors) != n or widths != {n + has_names}:
        raise CompensationError(
            f"spillover matrix ({source}): {len(header)} columns in the header, {n} rows of {sorted(widths)} entries; "
            "as many rows as detectors are wanted, each with one number per detector"
        )
    for i, row in enumerate(body):
        if has_names and row[0] != detectors[i]:
            raise CompensationError(
                f"spillover matrix ({source}): row {i + 1} is named {row[0]!r}, column {i + 1} {detectors[i]!r}; "
                "rows must follow the order of the columns"
            )
    numbers = [value for row in body for value in row[has_names:]]
    return Spillover(detectors, _numbers(numbers, source).reshape(n, n), source)


def format_spillover_csv(spillover: Spillover) -> str:
    """The CSV that `read_spillover_csv` reads back exactly: a header of detectors, and each row's name first."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["", *spillover.detectors])
    for name, row in zip(spillover.detectors, spillover.matrix.tolist(), strict=True):
        writer.writerow([name, *map(repr, row)])
    return out.getvalue()


def _for_detectors(spillover: Spillover, detectors: Sequence[str]) -> Spillover:
    known = set(detectors)
    names = spillover.detectors
    missing = [name for name in names if name not in known]
    if not missing:
        return spillover
    numbers = [int(name) for name in names if re.fullmatch("[0-9]{1,6}", name)]
    if len(missing) == len(names) == len(numbers) and all(1 <= k <= len(detectors) for k in numbers):
        by_number = tuple(detectors[k - 1] for k in numbers)
        return Spillover(by_number, spillover.matrix, f"{spillover.source}, by parameter number")
    hint = ""
    if any(d.startswith(("Comp-", "FJComp-")) for d in detectors):
        hint = " The file was exported compensated; it needs no compensation."
    raise CompensationError(
        f"spillover matrix ({spillover.source}): {missing[0]!r} is no detector of the file, which has "
        f"{', '.join(map(repr, detectors))}; names must match letter by letter.{hint}"
    )


def _numbers(texts: Sequence[str], source: str) -> np.ndarray:
    for text in texts:
        if not _NUMBER.fullmatch(text):
            raise CompensationError(f"spillover matrix ({source}): {text[:40]!r} is not a number")
    return np.array([float(text) for text in texts])


def _csv_rows(path: Path, source: str) -> list[list[str]]:
    try:
        if not path.is_file() or path.stat().st_size > MAX_CSV_BYTES:
            raise CompensationError(f"spillover matrix ({source}): no file of at most {MAX_CSV_BYTES} bytes is there")
        with path.open(newline="", encoding="utf-8-sig") as handle:
            return [row for row in csv.reader(handle) if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CompensationError(f"spillover matrix ({source}): cannot be read as CSV ({error})") from None
