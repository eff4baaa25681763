"""What must hold between the parts of a panel, beyond the type of each field.

The checks work on the plain mapping, as TOML gives it, and pass over whatever
has the wrong type, so that they can list their problems beside those of the
fields. Each problem says where it is, as a path into the mapping.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from cytomrd.panel.names import canonical, compact, scatter_signal

__all__ = ["ROOT", "PanelInconsistency", "Problem", "find_problems", "nearest", "parse_phenotype"]

ROOT = "root"
DEFAULT_BOUNDS = (0.05, 0.95)
_MRD_POPULATIONS = {"nucleated": "nucleated", "plasma_cells": "plasma_cells"}
_CAR_NK_POPULATIONS = {
    "leukocytes": "leukocytes",
    "nk": "nk",
    "t_cells": "t_cells",
    "car_nk": "car_nk",
    "car_t": "car_t",
    "beads": "beads",
}
_CHANNEL_KEYS = {
    **dict.fromkeys(("singlets", "cells", "polygon", "ellipse"), ("channels",)),
    "range": ("channel",),
}


@dataclass(frozen=True)
class Problem:
    """Something wrong at ``path`` of a panel, in words that say what to do."""

    path: tuple[str | int, ...]
    message: str


class PanelInconsistency(ValueError):
    """Parts of a panel that do not fit together; ``problems`` lists all of them."""

    def __init__(self, problems: list[Problem]):
        super().__init__("; ".join(p.message for p in problems))
        self.problems = tuple(problems)


def parse_phenotype(phenotype: str) -> tuple[tuple[str, bool], ...]:
    """Split ``"CD3- CD38:bright+"`` into ``(("CD3", False), ("CD38:bright", True))``.

    Raises
    ------
    ValueError
        If a word does not end in ``+`` or ``-``, or a cut occurs twice.

    Examples
    --------
    >>> from cytomrd.panel.model import parse_phenotype
    >>> parse_phenotype("CD3- CD56+")
    (('CD3', False), ('CD56', True))
    """
    signs: dict[str, bool] = {}
    for word in phenotype.split():
        if word[-1] not in "+-" or len(word) < 2:
            raise ValueError(f"phenotype {phenotype!r}: {word!r} must be a cut followed by + or -")
        if word[:-1] in signs:
            raise ValueError(f"phenotype {phenotype!r} names the cut {word[:-1]!r} twice")
        signs[word[:-1]] = word[-1] == "+"
    if not signs:
        raise ValueError("an empty phenotype selects nothing in particular")
    return tuple(signs.items())


def nearest(word: str, known) -> str:
    """``"; did you mean 'cells'?"``, or what there is when nothing is near."""
    known = sorted({str(k) for k in known})
    close = get_close_matches(str(word), known, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there is {', '.join(known)}" if known else ""


def find_problems(panel: Mapping) -> list[Problem]:
    """Every inconsistency of a panel given as a plain mapping.

    Parameters
    ----------
    panel
        As ``tomllib`` reads it, or as ``Panel.model_dump`` writes it.

    Returns
    -------
    list of Problem
        Empty for a sound panel. What has a wrong type is passed over here.
    """
    view = _View(panel)
    checks = (_ids, _tubes, _cuts, _populations, _assay, _mrd, _car_nk)
    return [problem for check in checks for problem in check(view)]


class _View:
    """The named parts of a panel, without what has the wrong type."""

    def __init__(self, panel: Mapping):
        self.panel = panel
        self.tubes = dict(_tables(panel, "tubes"))
        self.cuts = dict(_tables(panel, "cuts"))
        self.populations = dict(_tables(panel, "populations"))
        self.channels_of = {i: dict(_tables(tube, "channels")) for i, tube in self.tubes.items()}
        self.markers_of: dict[str, dict[str, bool]] = {}
        for i, tube in self.tubes.items():
            required = {_text(c, "marker"): c.get("required", True) is not False for c in self.channels_of[i].values()}
            self.markers_of[_text(tube, "id")] = required
        self.markers = {m for tube in self.markers_of.values() for m in tube}
        self.cut_of = {_text(c, "name"): c for c in self.cuts.values()}
        self.names = {ROOT, *(_text(p, "name") for p in self.populations.values())}

    def tubes_of(self, population: Mapping) -> set[str]:
        return set(_texts(population, "tubes")) or set(self.markers_of)

    def gated_in(self, name: str) -> set[str]:
        """The tubes in which a population is gated."""
        if name == ROOT:
            return set(self.markers_of)
        found = [p for p in self.populations.values() if _text(p, "name") == name]
        return self.tubes_of(found[0]) if found else set()


def _tables(mapping: Mapping, key: str) -> Iterator[tuple[int, Mapping]]:
    items = mapping.get(key)
    for i, item in enumerate(items if isinstance(items, (list, tuple)) else ()):
        if isinstance(item, Mapping):
            yield i, item


def _text(mapping: Mapping, key: str, default: str = "") -> str:
    value = mapping.get(key, default)
    return value if isinstance(value, str) else default


def _texts(mapping: Mapping, key: str) -> tuple[str, ...]:
    value = mapping.get(key)
    return tuple(v for v in value if isinstance(v, str)) if isinstance(value, (list, tuple)) else ()


def _interval(mapping: Mapping, key: str) -> tuple[float, float] | None:
    value = mapping.get(key)
    if isinstance(value, (list, tuple)) and len(value) == 2 and all(isinstance(v, (int, float)) for v in value):
        return tuple(value)
    return None


def _ids(view: _View) -> Iterator[Problem]:
    ident = _text(view.panel, "id")
    if "id" in view.panel and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", ident):
        yield Problem(("id",), f"id {ident!r}: use letters, digits, '.', '_' and '-', beginning with a letter or digit")
    named = (("tube", "id", view.tubes), ("cut", "name", view.cuts), ("population", "name", view.populations))
    for what, key, items in named:
        seen: dict[str, int] = {}
        for i, item in items.items():
            name = _text(item, key)
            if name in seen and name:
                yield Problem((f"{what}s", i, key), f"{what} {name!r} is defined twice; names must differ")
            seen.setdefault(name, i)
            if key in item and not name.strip():
                yield Problem((f"{what}s", i, key), f"a {what} needs a name")


def _tubes(view: _View) -> Iterator[Problem]:
    for i, tube in view.tubes.items():
        owner: dict[str, str] = {}
        for j, channel in view.channels_of[i].items():
            marker, path = _text(channel, "marker"), ("tubes", i, "channels", j)
            if "marker" in channel and not canonical(marker):
                yield Problem((*path, "marker"), f"marker {marker!r} has no letter or digit to match by")
            if channel.get("role") == "scatter" and marker and (scatter_signal(marker) or ("", ""))[1] == "":
                said = f"scatter channel {marker!r}: use FSC or SSC with -A, -H or -W; the file's own name is an alias"
                yield Problem((*path, "marker"), said)
            names = [("marker", marker), *(("aliases", a) for a in _texts(channel, "aliases"))]
            for key, name in names:
                other = owner.setdefault(compact(name), marker)
                if canonical(name) and (other != marker or (key == "marker" and j != _first(view, i, marker))):
                    clash = f"{name!r} already names the channel of {other!r}; a file's channel could be either"
                    yield Problem((*path, key), f"tube {_text(tube, 'id')!r}: {clash}")
        known = view.markers_of[_text(tube, "id")]
        groups = tube.get("one_of")
        for k, group in enumerate(groups if isinstance(groups, (list, tuple)) else ()):
            path = ("tubes", i, "one_of", k)
            for marker in group if isinstance(group, (list, tuple)) else ():
                if marker not in known:
                    yield Problem(path, f"one_of: no channel {marker!r} in this tube{nearest(marker, known)}")
                elif known[marker]:
                    yield Problem(path, f"one_of: {marker!r} is required anyway; give its channel required = false")


def _first(view: _View, tube: int, marker: str) -> int:
    return next(j for j, c in view.channels_of[tube].items() if _text(c, "marker") == marker)


def _cuts(view: _View) -> Iterator[Problem]:
    for i, cut in view.cuts.items():
        name, path = _text(cut, "name"), ("cuts", i)
        if any(c.isspace() for c in name) or name[-1:] in ("+", "-"):
            remedy = "no blanks, and no + or - at the end, so that a phenotype can use it"
            yield Problem((*path, "name"), f"cut {name!r}: {remedy}")
        marker = _text(cut, "marker")
        if marker and marker not in view.markers:
            near = nearest(marker, view.markers)
            yield Problem((*path, "marker"), f"cut {name!r}: no channel {marker!r} in any tube{near}")
        on = _text(cut, "on")
        if on and on not in view.names:
            yield Problem((*path, "on"), f"cut {name!r}: no population {on!r}{nearest(on, view.names)}")
        negatives = _text(cut, "negatives")
        if negatives and negatives not in view.names:
            yield Problem(
                (*path, "negatives"), f"cut {name!r}: no population {negatives!r}{nearest(negatives, view.names)}"
            )
        bounds = _interval({"bounds": DEFAULT_BOUNDS, **cut}, "bounds")
        if bounds and not bounds[0] < bounds[1]:
            yield Problem((*path, "bounds"), f"cut {name!r}: bounds {list(bounds)} must rise")
        value = cut.get("value")
        needs = [k for k in ("method", "fallback") if cut.get(k) == "fixed"]
        if needs and value is None:
            yield Problem((*path, needs[0]), f'cut {name!r}: {needs[0]} = "fixed" needs a value')
        if bounds and isinstance(value, (int, float)) and not bounds[0] <= value <= bounds[1]:
            yield Problem((*path, "value"), f"cut {name!r}: value {value} is outside its bounds {list(bounds)}")


def _populations(view: _View) -> Iterator[Problem]:
    before = {ROOT}
    for i, population in view.populations.items():
        name, path = _text(population, "name"), ("populations", i)
        if name == ROOT or name[:1] in ("_", "!") or "/" in name:
            rule = f"not {ROOT!r}, no '/' in it, and not beginning with '_' or '!'"
            yield Problem((*path, "name"), f"population {name!r}: {rule}")
        for tube in _texts(population, "tubes"):
            if tube not in view.markers_of:
                near = nearest(tube, view.markers_of)
                yield Problem((*path, "tubes"), f"population {name!r}: no tube {tube!r}{near}")
        parent = _text(population, "parent", ROOT)
        yield from _stands_before(view, population, (*path, "parent"), parent, before, "parent")
        gate = population.get("gate")
        if isinstance(gate, Mapping):
            yield from _gate(view, population, gate, path, before)
        for marker in _texts(population, "plot"):
            if marker not in view.markers:
                near = nearest(marker, view.markers)
                yield Problem((*path, "plot"), f"population {name!r}: no channel {marker!r} to plot{near}")
        before.add(name)


def _stands_before(view, population, path, name, before, what) -> Iterator[Problem]:
    """``name`` must be defined earlier, and be gated in every tube of ``population``."""
    own = _text(population, "name")
    if name not in before:
        if name in view.names:
            yield Problem(path, f"population {own!r}: {what} {name!r} is defined after it; move it up")
        else:
            yield Problem(path, f"population {own!r}: no {what} {name!r} before it{nearest(name, before)}")
        return
    lacking = sorted((view.tubes_of(population) & set(view.markers_of)) - view.gated_in(name))
    if lacking:
        said = f"{what} {name!r} is not gated in tube {', '.join(lacking)}; give both the same tubes"
        yield Problem(path, f"population {own!r}: {said}")


def _gate(view: _View, population: Mapping, gate: Mapping, path, before) -> Iterator[Problem]:
    name, kind = _text(population, "name"), _text(gate, "kind")
    path = (*path, "gate")
    for key in _CHANNEL_KEYS.get(kind, ()):
        markers = (_text(gate, key),) if key == "channel" else _texts(gate, key)
        for marker in markers:
            yield from _carried(view, population, (*path, key), marker)
        if len(markers) == 2 and markers[0] == markers[1]:
            yield Problem((*path, key), f"population {name!r}: two different channels, not {markers[0]!r} twice")
    if kind == "cells":
        yield from _cells(view, population, gate, path, before)
    if kind == "range":
        low, high = gate.get("minimum"), gate.get("maximum")
        if low is None and high is None:
            yield Problem(path, f"population {name!r}: a range needs a minimum, a maximum or both")
        elif isinstance(low, (int, float)) and isinstance(high, (int, float)) and not low < high:
            yield Problem(path, f"population {name!r}: minimum {low} must be below maximum {high}")
    if kind == "boolean":
        operands = _texts(gate, "of")
        if gate.get("operator") == "not" and len(operands) != 1:
            yield Problem((*path, "of"), f"population {name!r}: 'not' takes one operand, {len(operands)} given")
        for operand in operands:
            yield from _stands_before(view, population, (*path, "of"), operand.removeprefix("!"), before, "operand")
    if kind == "phenotype":
        yield from _phenotype(view, population, gate, (*path, "phenotype"), before)
    if kind == "time" and not any(c.get("role") == "time" for t in view.channels_of.values() for c in t.values()):
        yield Problem(path, f'population {name!r}: no channel has role = "time"')


def _phenotype(view: _View, population: Mapping, gate: Mapping, path, before) -> Iterator[Problem]:
    name = _text(population, "name")
    try:
        signs = parse_phenotype(_text(gate, "phenotype"))
    except ValueError as error:
        if isinstance(gate.get("phenotype"), str):
            yield Problem(path, f"population {name!r}: {error}")
        return
    for word, _ in signs:
        yield from _cut_of_gate(view, population, word, path, before)


def _cells(view: _View, population: Mapping, gate: Mapping, path, before) -> Iterator[Problem]:
    name = _text(population, "name")
    if _text(gate, "leukocytes"):
        yield from _cut_of_gate(view, population, gate["leukocytes"], (*path, "leukocytes"), before)
    bounds = _interval(gate, "bounds")
    if bounds and not 0 < bounds[0] < bounds[1]:
        yield Problem((*path, "bounds"), f"population {name!r}: bounds {list(bounds)} must be positive and rise")


def _cut_of_gate(view: _View, population: Mapping, word: str, path, before) -> Iterator[Problem]:
    """A gate's cut must exist, be found on what stands before the gate, and on a marker that its tubes carry."""
    cut = view.cut_of.get(word)
    if cut is None:
        yield Problem(path, f"population {_text(population, 'name')!r}: no cut {word!r}{nearest(word, view.cut_of)}")
        return
    if _text(cut, "on") in view.names:
        yield from _stands_before(view, population, path, _text(cut, "on"), before, f"cut {word!r} is found on")
    yield from _carried(view, population, path, _text(cut, "marker"))


def _carried(view: _View, population: Mapping, path, marker: str) -> Iterator[Problem]:
    """Each tube of the population must carry the marker, for certain unless the population is optional."""
    name = _text(population, "name")
    if marker not in view.markers:
        if marker and path[-1] != "phenotype":
            near = nearest(marker, view.markers)
            yield Problem(path, f"population {name!r}: no channel {marker!r} in any tube{near}")
        return
    for tube in sorted(view.tubes_of(population) & set(view.markers_of)):
        if marker not in view.markers_of[tube]:
            said = f"tube {tube!r} has no channel {marker!r}; limit the population by tubes"
            yield Problem(path, f"population {name!r}: {said}")
        elif not view.markers_of[tube][marker] and population.get("optional") is not True:
            said = f"{marker!r} is required = false in tube {tube!r}, so a file may lack it; add optional = true"
            yield Problem(path, f"population {name!r}: {said}")


def _assay(view: _View) -> Iterator[Problem]:
    assay = view.panel.get("assay")
    for section in ("mrd", "car_nk"):
        if assay == section and not isinstance(view.panel.get(section), Mapping):
            yield Problem(("assay",), f'assay = "{section}" needs a section [{section}]')


def _named_populations(view: _View, section: str, fields: Mapping[str, str]) -> Iterator[Problem]:
    spec = view.panel[section]
    for field, default in fields.items():
        name = spec.get(field, default)
        if not isinstance(name, str):
            continue
        if name not in view.names:
            path = (section, field) if field in spec else (section,)
            yield Problem(path, f"{section}: no population {name!r} for {field}{nearest(name, view.names)}")
        elif view.gated_in(name) < set(view.markers_of):
            yield Problem((section, field), f"{section}: {field} {name!r} must be gated in every tube")


def _limits(spec: Mapping, section: str) -> Iterator[Problem]:
    lod, lloq = spec.get("lod_events", 20), spec.get("lloq_events", 50)
    if isinstance(lod, int) and isinstance(lloq, int) and lod > lloq:
        yield Problem((section,), f"{section}: lod_events {lod} is above lloq_events {lloq}")


def _mrd(view: _View) -> Iterator[Problem]:
    spec = view.panel.get("mrd")
    if not isinstance(spec, Mapping):
        return
    yield from _named_populations(view, "mrd", _MRD_POPULATIONS)
    yield from _limits(spec, "mrd")
    chains = [_text(spec, k, d) for k, d in (("kappa_marker", "CyIgKappa"), ("lambda_marker", "CyIgLambda"))]
    for tube, markers in view.markers_of.items():
        if len(set(chains) & set(markers)) == 1:
            yield Problem(("mrd",), f"mrd: tube {tube!r} has one of {' and '.join(chains)}; a ratio needs both")
    interval = _interval(spec, "kappa_lambda_normal")
    if interval and not 0 < interval[0] < interval[1]:
        said = f"mrd: kappa_lambda_normal {list(interval)} must be positive and rise"
        yield Problem(("mrd", "kappa_lambda_normal"), said)
    seen = set()
    for i, antigen in _tables(spec, "antigens"):
        marker, path = _text(antigen, "marker"), ("mrd", "antigens", i)
        if marker and marker not in view.markers:
            near = nearest(marker, view.markers)
            yield Problem((*path, "marker"), f"mrd: no channel {marker!r} in any tube{near}")
        elif marker and marker not in view.cut_of:
            said = f"mrd: antigen {marker!r} needs a cut of the same name, between negative and positive"
            yield Problem((*path, "marker"), said)
        if marker in seen:
            yield Problem((*path, "marker"), f"mrd: antigen {marker!r} is given twice")
        seen.add(marker)
        yield from _fraction_range(antigen, (*path, "normal_range"), "normal_range", marker)
    for i, item in _tables(spec, "hemodilution"):
        name = _text(item, "population")
        if name and name not in view.names:
            said = f"mrd: no population {name!r}{nearest(name, view.names)}"
            yield Problem(("mrd", "hemodilution", i, "population"), said)
        yield from _fraction_range(item, ("mrd", "hemodilution", i, "expected_range"), "expected_range", name)


def _fraction_range(item: Mapping, path, key: str, name: str) -> Iterator[Problem]:
    interval = _interval(item, key)
    if interval and not 0 <= interval[0] <= interval[1] <= 1:
        said = f"{key} {list(interval)} of {name!r} must be fractions from 0 to 1 that rise, not percent"
        yield Problem(path, f"mrd: {said}")


def _car_nk(view: _View) -> Iterator[Problem]:
    spec = view.panel.get("car_nk")
    if not isinstance(spec, Mapping):
        return
    optional = {k: "" for k in ("nk_before", "nk_after", "nk_unsure") if spec.get(k)}
    yield from _named_populations(view, "car_nk", _CAR_NK_POPULATIONS | optional)
    yield from _limits(spec, "car_nk")
    cut = _text(spec, "car_cut", "CAR")
    if cut not in view.cut_of:
        yield Problem(("car_nk",), f"car_nk: no cut {cut!r} for car_cut{nearest(cut, view.cut_of)}")
    interval = _interval(spec, "usual_background")
    if interval and not 0 <= interval[0] <= interval[1] <= 1:
        said = f"car_nk: usual_background {list(interval)} must be fractions from 0 to 1 that rise"
        yield Problem(("car_nk", "usual_background"), said)
