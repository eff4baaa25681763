"""Progression: what has risen above its lowest value, by how much, and whether that alone is enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from cytomrd.trial.response.assessment import Assessment, Parameter
from cytomrd.trial.response.criteria import ResponseCriteria, above, at_least
from cytomrd.trial.response.reasons import UNITS, Reason

__all__ = ["BIOCHEMICAL", "find_progression"]

# Progression seen in these alone waits for a second assessment.
BIOCHEMICAL = frozenset({"serum", "urine", "dflc"})


@dataclass(frozen=True, slots=True)
class _Rise:
    """A value with its nadir, and the criteria they are held against."""

    name: str
    nadir: float
    value: float
    criteria: ResponseCriteria

    @property
    def by(self) -> float:
        return self.value - self.nadir

    def by_share(self, share: float, strict: bool) -> bool:
        """Whether the rise is that share of the nadir; at a nadir of 0 or less the absolute rule stands alone."""
        if self.nadir <= 0:
            return True
        return (above if strict else at_least)(self.by, share * self.nadir)

    def reason(self, rule: str, needed: str) -> Reason:
        label, unit = UNITS[self.name]
        share = f" (+{100 * self.by / self.nadir:.4g} %)" if self.nadir > 0 else ""
        text = (
            f"{label} {self.value:.6g}{unit}: {self.by:+.6g}{unit}{share} on the nadir {self.nadir:.6g}; PD is {needed}"
        )
        return Reason(self.name, rule, "PD", text)


def find_progression(
    baseline: Assessment,
    earlier: Sequence[Assessment],
    now: Assessment,
    *,
    criteria: ResponseCriteria,
    measurable: Sequence[Parameter],
) -> tuple[Reason, ...]:
    """Every rule of progression that ``now`` meets against the lowest value of baseline and ``earlier``.

    Serum and urine count whether or not they were measurable at the start; light chains only where neither was;
    marrow only where light chains were not either; the count of circulating cells only where nothing was. In plasma
    cell leukaemia marrow and blood always count.
    """
    rules: list[tuple[str, Callable[[_Rise], Reason | None]]] = [("serum", _serum), ("urine", _urine)]
    pcl = criteria.disease == "PCL"
    if not {"serum", "urine"} & set(measurable):
        rules.append(("dflc", _dflc))
    if pcl:
        rules += [("bm", _marrow_pcl), ("blood_pc_percent", _blood_pcl)]
    elif not {"serum", "urine", "flc"} & set(measurable):
        rules.append(("bm", _marrow))
    if not measurable:
        rules.append(("circulating_pc_per_ul", _circulating))
    rules += [("spd", _plasmacytoma), ("longest_diameter_mm", _diameter)]
    found = []
    for name, rule in rules:
        value, nadir = getattr(now, name), _nadir(name, [baseline, *earlier], criteria)
        if value is not None and nadir is not None:
            found.append(rule(_Rise(name, nadir, value, criteria)))
    if now.new_lesion:
        found.append(Reason("new_lesion", "NEW_LESION", "PD", "a new lesion on imaging"))
    return tuple(reason for reason in found if reason is not None)


def _nadir(name: str, so_far: Sequence[Assessment], criteria: ResponseCriteria) -> float | None:
    """Lowest value so far, errors left out; None where there is none.

    The published words are "lowest confirmed response value", but a value from a patient in stable disease has no
    response to confirm, and trials take the lowest value recorded. ``nadir = "confirmed"`` asks for two in a row.
    """
    values = [getattr(a, name) for a in so_far if not a.is_spurious(name)]
    values = [v for v in values if v is not None]
    if criteria.nadir == "confirmed" and name in BIOCHEMICAL and len(values) > 1:
        return min(values[0], *(max(pair) for pair in pairwise(values)))
    return min(values, default=None)


def _serum(rise: _Rise) -> Reason | None:
    c = rise.criteria
    if at_least(rise.nadir, c.pd_serum_high_nadir_g_per_l) and at_least(rise.by, c.pd_serum_high_g_per_l):
        needed = f"+{c.pd_serum_high_g_per_l:g} g/L on a nadir of at least {c.pd_serum_high_nadir_g_per_l:g}"
        return rise.reason("RISE_HIGH_NADIR", needed)
    if at_least(rise.by, c.pd_serum_g_per_l) and rise.by_share(c.pd_rise, c.pd_rise_strict):
        return rise.reason("RISE", _needed(rise, f"at least +{c.pd_serum_g_per_l:g} g/L"))
    return None


def _urine(rise: _Rise) -> Reason | None:
    c = rise.criteria
    if at_least(rise.by, c.pd_urine_mg_per_24h) and rise.by_share(c.pd_rise, c.pd_rise_strict):
        return rise.reason("RISE", _needed(rise, f"at least +{c.pd_urine_mg_per_24h:g} mg/24 h"))
    return None


def _dflc(rise: _Rise) -> Reason | None:
    c = rise.criteria
    if above(rise.by, c.pd_flc_mg_per_l) and rise.by_share(c.pd_rise, c.pd_rise_strict):
        return rise.reason("RISE", _needed(rise, f"more than +{c.pd_flc_mg_per_l:g} mg/L"))
    return None


def _marrow(rise: _Rise) -> Reason | None:
    c = rise.criteria
    if at_least(rise.by, c.pd_marrow_points) and rise.by_share(c.pd_rise, c.pd_rise_strict):
        return rise.reason("RISE", _needed(rise, f"at least +{c.pd_marrow_points:g} points"))
    return None


def _marrow_pcl(rise: _Rise) -> Reason | None:
    c = rise.criteria
    relative = rise.nadir > 0 and above(rise.by, c.pd_rise * rise.nadir)
    if relative or at_least(rise.by, c.pd_marrow_points):
        return rise.reason("RISE", f"more than +{100 * c.pd_rise:g} %, or at least +{c.pd_marrow_points:g} points")
    return None


def _blood_pcl(rise: _Rise) -> Reason | None:
    c = rise.criteria
    if above(rise.by, c.pd_blood_points):
        return rise.reason("RISE", f"more than +{c.pd_blood_points:g} points")
    return None


def _circulating(rise: _Rise) -> Reason | None:
    c = rise.criteria
    if at_least(rise.by, c.pd_circulating_per_ul) and rise.by_share(c.pd_circulating_rise, False):
        needed = f"+{100 * c.pd_circulating_rise:g} % and at least +{c.pd_circulating_per_ul:g}/uL"
        return rise.reason("RISE", needed)
    return None


def _plasmacytoma(rise: _Rise) -> Reason | None:
    share = rise.criteria.pd_plasmacytoma_rise
    if rise.nadir == 0 and rise.value > 0:
        return rise.reason("APPEARED", "any where there was none")
    if rise.nadir > 0 and at_least(rise.by, share * rise.nadir):
        return rise.reason("RISE", f"+{100 * share:g} %")
    return None


def _diameter(rise: _Rise) -> Reason | None:
    c = rise.criteria
    if above(rise.nadir, c.pd_diameter_from_mm) and at_least(rise.by, c.pd_diameter_rise * rise.nadir):
        return rise.reason("RISE", f"+{100 * c.pd_diameter_rise:g} % of a lesion above {c.pd_diameter_from_mm:g} mm")
    return None


def _needed(rise: _Rise, absolute: str) -> str:
    c = rise.criteria
    if rise.nadir <= 0:
        return f"{absolute} alone where the nadir is 0"
    return f"{'more than' if c.pd_rise_strict else 'at least'} +{100 * c.pd_rise:g} % and {absolute}"
