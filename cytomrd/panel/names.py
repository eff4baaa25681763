"""How the names of channels are compared: any case, spaces and punctuation aside.

Labels in files come as ``CD38``, ``cd 38``, ``CD38 FITC``, ``FITC-CD38-A`` or
``CD38-FITC (HIT2)``. A label is reduced to words of letters and digits; a name
fits it when the words that are left over only say how the marker is stained or
measured. Digits never join across a gap, so ``CD3`` and ``CD38`` stay apart.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

__all__ = ["canonical", "compact", "is_decoration", "name_fits", "pulse_of", "scatter_signal"]

# "pe cy7" reads as one word or as two, so a long row of them has very many readings: no label needs more than this.
MAX_WORDS = 100

_GREEK = str.maketrans({"κ": "kappa", "λ": "lambda", "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta"})

# Fluorochromes and dyes as the words of a canonical label; a blank in a pattern may be missing in the label.
_FLUOROCHROMES = (
    "fitc|rd1|ecd|gfp|dapi|pi|7 aad|percp|percp cy5 5|percp cyanine5 5|percp vio ddd|percp ef 710|percp efluor 710",
    "pe|pc5|pc7|pc5 5|pe cy5|pe cy7|pe cy5 5|pe cyanine5|pe cyanine7|pe cyanine5 5|pe texas red|pe txred|pe tr",
    "pe cf594|pe dazzle 594|pe fire ddd|pe vio ddd|pe alexa ddd|pe alexa fluor ddd",
    "apc|apc cy7|apc cyanine7|apc h7|apc c750|apc r700|apc vio ddd|apc fire ddd|apc ef 780|apc efluor 780",
    "apc a ddd|apc af ddd|apc alexa ddd|apc alexa fluor ddd|aa ddd|af ddd|alexa ddd|alexa fluor ddd",
    "cy3|cy5|cy7|cy5 5|bv ddd|buv ddd|bb ddd|byg ddd|byb ddd|rb ddd|ry ddd|r 718|v 450|v 500|sb ddd|super bright ddd",
    "brilliant violet ddd|brilliant ultra violet ddd|brilliant blue ddd|real blue ddd|real yellow ddd",
    "pacific blue|pac blue|pb|pacific orange|pac orange|po|krome orange|kro|ko|am cyan|ef ddd|efluor ddd",
    "vio blue|vio green|vio ddd|vio bright fitc|vio bright ddd|qdot ddd|qd ddd|spark blue ddd|spark nir ddd",
    "spark violet ddd|nova blue ddd|nova yellow ddd|nova red ddd|nova fluor blue ddd|cf ddd|fvs ddd",
    "zombie aqua|zombie green|zombie nir|zombie red|zombie violet|zombie yellow|zombie uv",
)
_GLUE = "|".join(_FLUOROCHROMES).replace("ddd", r"\d{3}").replace(" ", " ?")

# Mass cytometry: "167-CD38", "CD38_167Er", "CD38(Er167)Di". A bare number is a mass only in front of the marker,
# so that "CD16+56" is not CD16; cadmium needs its "Di", so that it is not a CD number.
_MASS = r"(?:89|9\d|1\d\d|20\d)"
_METALS = "y|pd|in|rh|la|ce|pr|nd|sm|eu|gd|tb|dy|ho|er|tm|yb|lu|ir|pt|bi"
_MEASURES = (
    "a|h|w|area|height|width|int|integral|peak|comp|lin|log|lin ?[ahw]|log ?[ahw]|di|dual"
    rf"|{_MASS}(?:{_METALS}|cd)(?: ?di)?|(?:{_METALS}) ?{_MASS}(?: ?di)?|cd{_MASS} ?di"
)
# A blank parts a decoration from the name; a fluorochrome may also touch it.
_BEFORE = re.compile(rf"(?:(?:{_GLUE}|{_MEASURES}|{_MASS}) )*(?:{_GLUE})?")
_AFTER = re.compile(rf"(?:{_GLUE})?(?: (?:{_GLUE}|{_MEASURES}))*")
_NOTHING = re.compile(rf"(?:(?:{_GLUE}|{_MEASURES}|(?:fl|uv|yg|[bvryg]l?) ?\d{{1,3}})(?: |$))*")


def canonical(label: str) -> str:
    """Lower-case words of letters and digits, one blank between them; empty when there is none.

    Examples
    --------
    >>> from cytomrd.panel.names import canonical
    >>> canonical("CD14+CD19"), canonical(" PerCP-Cy5.5 "), canonical("cyIgκ")
    ('cd14 cd19', 'percp cy5 5', 'cyigkappa')
    """
    folded = unicodedata.normalize("NFKC", label).casefold().translate(_GREEK)
    return " ".join(re.findall(r"[^\W_]+", folded))


def compact(label: str) -> str:
    """The canonical label without its gaps, except those between two digits: equal for labels that fit alike."""
    return re.sub(r"(?<!\d) | (?!\d)", "", canonical(label))


@lru_cache(maxsize=4096)
def _pattern(words: str) -> re.Pattern:
    """A canonical name in which gaps may come and go, but never between two digits."""
    out = []
    for i, char in enumerate(words):
        previous = words[i - 1] if i else " "
        if char == " ":
            out.append(" ?")
        elif previous == " " or (previous.isdigit() and char.isdigit()):
            out.append(re.escape(char))
        else:
            out.append(" ?" + re.escape(char))
    return re.compile("".join(out).removeprefix(" ?"))


def is_decoration(label: str) -> bool:
    """Whether a label names no marker at all: empty, or only fluorochromes, detectors and pulse measures.

    Examples
    --------
    >>> from cytomrd.panel.names import is_decoration
    >>> is_decoration("FITC-A"), is_decoration("CD38 FITC"), is_decoration(" ")
    (True, False, True)
    """
    words = canonical(label)
    return len(words) <= MAX_WORDS and _NOTHING.fullmatch(words) is not None


def name_fits(name: str, label: str, decorations: Iterable[str] = ()) -> int:
    """How well a marker's name fits a label of a file: 2 exactly, 1 with decorations, 0 not at all.

    Parameters
    ----------
    name
        The marker or one of its aliases.
    label
        ``$PnS`` or ``$PnN`` of the file.
    decorations
        Further words that the label may carry: the channel's own fluorochrome, clone, lot.

    Examples
    --------
    >>> from cytomrd.panel.names import name_fits
    >>> [name_fits("CD38", label) for label in ("cd-38", "FITC CD38", "CD3", "CD38 extra")]
    [2, 1, 0, 0]
    """
    words, wanted = canonical(label), canonical(name)
    if not words or not wanted:
        return 0
    own = [canonical(d) for d in decorations]
    for found in _pattern(wanted).finditer(words):
        before, after = words[: found.start()], words[found.end() :]
        if not before and not after:
            return 2
        if len(words) > MAX_WORDS:
            return 0
        if _digits_meet(before, words[found.start()]) or _digits_meet(words[found.end() - 1], after):
            continue
        if _is_around(_BEFORE, before, own) and _is_around(_AFTER, after, own):
            return 1
    return 0


def _digits_meet(left: str, right: str) -> bool:
    return left[-1:].isdigit() and right[:1].isdigit()


def _is_around(pattern: re.Pattern, words: str, own: list[str]) -> bool:
    """Whether words beside a name are decorations, once the channel's own are taken out."""
    for word in own:
        if word:
            words = re.sub(rf"(?<![^ ]){re.escape(word)}(?![^ ])", "", words)
    words = re.sub(" +", " ", words)
    words = words.lstrip() if pattern is _BEFORE else words.rstrip()
    return pattern.fullmatch(words) is not None


_PULSES = {
    "a": "A",
    "area": "A",
    "int": "A",
    "integral": "A",
    "h": "H",
    "height": "H",
    "peak": "H",
    "w": "W",
    "width": "W",
    "tof": "W",
}


def pulse_of(label: str) -> tuple[str, str, str]:
    """Split a label into what is measured, its pulse (``A``, ``H``, ``W``, empty) and ``lin``, ``log`` or empty.

    Examples
    --------
    >>> from cytomrd.panel.names import pulse_of
    >>> pulse_of("FS INT LIN"), pulse_of("SSC-H"), pulse_of("FL1 LogA"), pulse_of("FL 2 Log")
    (('fs', 'A', 'lin'), ('ssc', 'H', ''), ('fl1', 'A', 'log'), ('fl 2', '', 'log'))
    """
    words = canonical(label).split()
    pulse = scale = ""
    while len(words) > 1:
        joined = re.fullmatch(r"(lin|log)([ahw])", words[-1])
        if joined and not pulse and not scale:
            scale, pulse = joined[1], _PULSES[joined[2]]
        elif words[-1] in _PULSES and not pulse:
            pulse = _PULSES[words[-1]]
        elif words[-1] in ("lin", "log") and not scale:
            scale = words[-1]
        else:
            break
        words.pop()
    return " ".join(words), pulse, scale


_SIGNALS = {"fsc": "FSC", "fs": "FSC", "forward scatter": "FSC", "ssc": "SSC", "ss": "SSC", "side scatter": "SSC"}
_LASER = r"(\d{3}|\d|b|v|r|y|uv|yg)"


def scatter_signal(label: str) -> tuple[str, str, str, str] | None:
    """What a scatter label says: signal, pulse, scale, and the laser or number beside it; None for other labels.

    Examples
    --------
    >>> from cytomrd.panel.names import scatter_signal
    >>> scatter_signal("SSC-B-A"), scatter_signal("FS Lin"), scatter_signal("CD38")
    (('SSC', 'A', '', 'b'), ('FSC', '', 'lin', ''), None)
    """
    base, pulse, scale = pulse_of(label)
    for name, signal in _SIGNALS.items():
        found = re.fullmatch(rf"(?:{_LASER} ?)?{name} ?{_LASER}?", base)
        if found:
            return signal, pulse, scale, found[1] or found[2] or ""
    return None
