"""Which detector a stain's name, a file's name or a tube's name means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cytomrd.panel.names import canonical, compact, name_fits, pulse_of

__all__ = ["detector_of_stain", "detectors_named_in", "says_control", "says_unstained"]

# Dyes that share a detector on common instruments: a tube called by one is that of the detector called by another.
_SAME_DETECTOR = (
    "fitc|alexa fluor 488|alexa 488|af 488|gfp|bb 515|cfse|vio bright fitc|vio bright 515|fl1",
    "pe|rd1|phycoerythrin|alexa fluor 555|af 555|fl2",
    "pe texas red|pe tr|ecd|pe cf594|pe dazzle 594|texas red",
    "percp cy5 5|percp cyanine5 5|percp|7 aad|percp ef 710|percp efluor 710|percp vio 700|bb 700|pe cy5 5|pc5 5|fl3",
    "pe cy5|pc5|pe cyanine5",
    "pe cy7|pc7|pe cyanine7|pe vio 770",
    "apc|alexa fluor 647|alexa 647|af 647|ef 660|efluor 660|cy5|fl4",
    "alexa fluor 700|alexa 700|af 700|apc r700|apc a 700|apc alexa fluor 700|r 718",
    "apc cy7|apc cyanine7|apc h7|apc fire 750|apc ef 780|apc efluor 780|apc a 750|apc alexa fluor 750|apc c750|"
    "apc vio 770",
    "pacific blue|pac blue|pb|v 450|bv 421|brilliant violet 421|ef 450|efluor 450|vio blue|alexa fluor 405|af 405|dapi",
    "v 500|bv 510|brilliant violet 510|krome orange|kro|ko|am cyan|pacific orange|vio green|alexa fluor 430|af 430",
    "bv 605|brilliant violet 605|qdot 605|qd 605",
    "bv 650|brilliant violet 650|qdot 655|qd 655",
    "bv 711|brilliant violet 711|qdot 705|qd 705",
    "bv 785|brilliant violet 785|bv 786|qdot 800|qd 800",
)
_FAMILIES = [frozenset(compact(name) for name in line.split("|")) for line in _SAME_DETECTOR]
_UNSTAINED = {compact(w) for w in (
    "unstained", "unstain", "unst", "nil", "blank", "no stain", "non stained", "not stained", "negative",
    "negative control", "autofluorescence", "unlabelled", "unlabeled", "cells only", "universal negative",
)}  # fmt: skip
_CONTROL = {"comp", "compensation", "single", "singlestain", "ss", "stain", "control", "controls", "comps"}
MAX_WORDS = 40


def detector_of_stain(stain: str, detectors: Sequence[str], markers: Sequence[str]) -> tuple[str, ...]:
    """Detectors that the ``stain`` of a samplesheet can mean, best kind of match alone; several are ambiguous.

    Parameters
    ----------
    stain
        A detector, a marker, or a fluorochrome.
    detectors, markers
        ``$PnN`` and ``$PnS`` of the channels to choose from.

    Examples
    --------
    >>> from cytomrd.run.stain_names import detector_of_stain
    >>> detectors, markers = ["Alexa Fluor 488-A", "PE-A"], ["", "CD38 PE"]
    >>> [detector_of_stain(s, detectors, markers) for s in ("PE-A", "pe", "CD38", "FITC")]
    [('PE-A',), ('PE-A',), ('PE-A',), ('Alexa Fluor 488-A',)]
    """
    wanted = compact(stain)
    kinds = (
        [d for d in detectors if d == stain],
        [d for d in detectors if compact(d) == wanted],
        [d for d in detectors if _base(d) == wanted],
        [d for d, m in zip(detectors, markers, strict=True) if m and name_fits(stain, m)],
        [d for d, m in zip(detectors, markers, strict=True) if m and wanted in _names_of(m)],
        [d for d in detectors if wanted in _names_of(d)],
    )
    return next((tuple(found) for found in kinds if found), ())


def detectors_named_in(text: str, detectors: Sequence[str], markers: Sequence[str]) -> tuple[str, ...]:
    """Detectors that a file's or tube's name speaks of, by the longest stretch of words that names any.

    Examples
    --------
    >>> from cytomrd.run.stain_names import detectors_named_in
    >>> detectors_named_in("Compensation-APC-Cy7", ["Alexa Fluor 647-A", "APC-Cy7-A"], ["", ""])
    ('APC-Cy7-A',)
    """
    for span in _spans(text):
        found = detector_of_stain(span, detectors, markers)
        if found:
            return found
    return ()


def says_unstained(text: str) -> bool:
    """Whether a name says that nothing was stained."""
    return any(compact(span) in _UNSTAINED for span in _spans(text))


def says_control(text: str) -> bool:
    """Whether a name says that the tube is a compensation control."""
    return any(compact(span) in _CONTROL for span in _spans(text))


def _spans(text: str) -> Iterable[str]:
    """Stretches of up to five words, the longest first."""
    words = canonical(text).split()[:MAX_WORDS]
    for length in range(min(5, len(words)), 0, -1):
        for start in range(len(words) - length + 1):
            yield " ".join(words[start : start + length])


def _base(detector: str) -> str:
    """The detector without its pulse measure, for comparing."""
    return compact(pulse_of(detector)[0])


def _names_of(label: str) -> frozenset[str]:
    base = _base(label)
    return next((family for family in _FAMILIES if base in family), frozenset({base}))
