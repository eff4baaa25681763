"""CDISC controlled terminology: the codelists that the trial's datasets use, shipped as published.

A subset of the NCI EVS release of CDISC terminology (codelists of SDTM for findings, response, PK and cell
phenotyping). Where a codelist may be extended, a sponsor's term is allowed and marked as such in Define-XML.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

__all__ = ["CodeList", "Term", "codelist", "codelists", "paired_name"]


@dataclass(frozen=True)
class Term:
    """One submission value, its NCI concept code, and other words for it."""

    value: str
    code: str
    synonyms: tuple[str, ...] = ()


@dataclass(frozen=True)
class CodeList:
    """A codelist by its short name (``LBTESTCD``); ``extensible`` says whether a sponsor may add terms."""

    short_name: str
    name: str
    code: str
    extensible: bool
    terms: Mapping[str, Term]

    def __contains__(self, value: str) -> bool:
        return value in self.terms


@cache
def codelists() -> Mapping[str, CodeList]:
    """All codelists of the subset by short name.

    Examples
    --------
    >>> from cytomrd.trial.cdisc.terms import codelists
    >>> "CMAX" in codelists()["PKPARMCD"]
    True
    """
    packed = resources.files("cytomrd.trial.cdisc").joinpath("ct_subset.csv.gz").read_bytes()
    heads: dict[str, dict[str, str]] = {}
    terms: dict[str, dict[str, Term]] = {}
    for row in csv.DictReader(io.StringIO(gzip.decompress(packed).decode("utf-8"))):
        own = terms.setdefault(row["clst_code"], {})
        if row["is_clst"] == "TRUE":
            heads[row["clst_code"]] = row
        elif row["term"]:  # the subset lost the term NA (C48660), which no dataset here needs
            own[row["term"]] = Term(
                row["term"], row["code"], tuple(s.strip() for s in row["syn"].split(";") if s.strip())
            )
    lists = (
        CodeList(head["term"], head["name"], code, head["ext"] == "TRUE", MappingProxyType(terms[code]))
        for code, head in heads.items()
    )
    return MappingProxyType({entry.short_name: entry for entry in lists})


def codelist(short_name: str) -> CodeList:
    """One codelist.

    Raises
    ------
    KeyError
        If the subset does not have it; the message lists what it has.
    """
    known = codelists()
    if short_name not in known:
        raise KeyError(f"no codelist {short_name!r}; there are {', '.join(sorted(known))}")
    return known[short_name]


def paired_name(codes: str, names: str, value: str) -> str:
    """The name that goes with a code, as ``CPTEST`` with ``CPTESTCD``: the two lists share their concepts.

    Examples
    --------
    >>> from cytomrd.trial.cdisc.terms import paired_name
    >>> paired_name("PKPARMCD", "PKPARM", "CMAX")
    'Max Conc'
    """
    concept = codelist(codes).terms[value].code
    return next(term.value for term in codelist(names).terms.values() if term.code == concept)
