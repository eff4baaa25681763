"""A CDISC dataset: its variables with type, label and terminology, and its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["CdiscDataset", "Variable", "dataset", "iso_precision", "text_length"]

Kind = Literal["text", "iso", "date", "integer", "float"]
Origin = Literal["Collected", "Derived", "Assigned", "Protocol", "Predecessor"]


@dataclass(frozen=True)
class Variable:
    """One variable of a dataset.

    Attributes
    ----------
    name, label
        As the implementation guide has them: at most 8 and 40 characters.
    kind
        ``text``, ``integer`` or ``float``; ``iso`` is a date or time as ISO 8601 text (SDTM's ``--DTC``), ``date`` a
        :class:`datetime.date` (ADaM's ``*DT``).
    codelist
        Short name of the CDISC codelist that its values come from (:mod:`cytomrd.trial.cdisc.terms`).
    terms
        The sponsor's own list where no CDISC codelist fits.
    key
        Place in the dataset's natural key, from 1; 0 for a variable outside it.
    origin
        Where the values come from, in Define-XML's words.
    comment
        How a derived value came about, or which rule chose it.
    required
        True where no value may be missing.
    """

    name: str
    label: str
    kind: Kind = "text"
    codelist: str = ""
    terms: tuple[str, ...] = ()
    key: int = 0
    origin: Origin = "Collected"
    comment: str = ""
    required: bool = False


@dataclass(frozen=True)
class CdiscDataset:
    """One SDTM domain or ADaM dataset. ``rows`` hold one value a variable, in order; a missing value is None.

    ``model`` is ``SDTM`` or ``ADaM``; ``structure`` says in words what a record is.
    """

    name: str
    label: str
    model: Literal["SDTM", "ADaM"]
    class_name: str
    structure: str
    variables: tuple[Variable, ...]
    rows: tuple[tuple[Any, ...], ...] = field(default=())

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the key variables, in the order of the key."""
        return tuple(v.name for v in sorted((v for v in self.variables if v.key), key=lambda v: v.key))

    def column(self, name: str) -> tuple[Any, ...]:
        """All values of one variable."""
        index = [v.name for v in self.variables].index(name)
        return tuple(row[index] for row in self.rows)

    def records(self) -> list[dict[str, Any]]:
        """Rows as mappings by variable name."""
        names = [v.name for v in self.variables]
        return [dict(zip(names, row, strict=True)) for row in self.rows]


def dataset(shape: CdiscDataset, records: Sequence[Mapping[str, Any]]) -> CdiscDataset:
    """A shape filled with records, sorted by its key; a variable that a record does not name is missing there.

    Raises
    ------
    ValueError
        If a record names a variable that the shape does not have.

    Examples
    --------
    >>> from cytomrd.trial.cdisc.model import CdiscDataset, Variable, dataset
    >>> shape = CdiscDataset("DM", "Demographics", "SDTM", "SPECIAL PURPOSE", "One record per subject",
    ...                      (Variable("USUBJID", "Unique Subject Identifier", key=1),))
    >>> dataset(shape, [{"USUBJID": "S2"}, {"USUBJID": "S1"}]).rows
    (('S1',), ('S2',))
    """
    names = [v.name for v in shape.variables]
    for record in records:
        if unknown := sorted(set(record) - set(names)):
            raise ValueError(f"{shape.name} has no variable {', '.join(unknown)}; it has {', '.join(names)}")
    order = [names.index(name) for name in shape.keys]
    rows = [tuple(record.get(name) for name in names) for record in records]
    rows.sort(key=lambda row: tuple(_sortable(row[i]) for i in order))
    return CdiscDataset(
        shape.name, shape.label, shape.model, shape.class_name, shape.structure, shape.variables, tuple(rows)
    )


def _sortable(value: Any) -> tuple[int, Any]:
    """Missing before numbers before text."""
    if value is None:
        return (0, 0)
    return (2, value) if isinstance(value, str) else (1, value)


def iso_precision(values: Sequence[str | None]) -> str:
    """``date`` or ``datetime`` where all of a variable's ISO 8601 texts are one of them, else ``""``."""
    lengths = {len(v) for v in values if v is not None}
    if lengths and lengths <= {10}:
        return "date"
    return "datetime" if lengths and lengths <= {16, 19} else ""


def text_length(values: Sequence[str | None]) -> int:
    """Length of the longest text, at least 1."""
    return max([1, *(len(v) for v in values if v is not None)])
