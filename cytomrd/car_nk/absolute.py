"""Cells per microlitre: how much blood one counted event stands for, or why that cannot be said.

Three ways: counting beads in the same tube (single platform), an instrument that measures the volume it
drew (volumetric), or the leukocyte count of a haematology analyser (dual platform).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from cytomrd.errors import QuantificationError

__all__ = ["DualPlatform", "EventConcentration", "SinglePlatform", "Volumetric", "volume_ul_from_keyword"]

# A leukocyte count in 10^9/L: after lymphodepletion 0.01 is seen, in leukaemia a few hundred.
WBC_RANGE_10E9_PER_L = (0.01, 500.0)
# Poisson error of the beads alone is 3 % here; fewer are used, and flagged.
MIN_BEADS = 1_000
# Manufacturers whose $VOL is not in nanolitres, as FCS 3.1 section 3.2.20 asks. Cytek Aurora writes microlitres.
VOL_UNIT_BY_CYTOMETER = {"aurora": "uL", "northern lights": "uL"}


@dataclass(frozen=True, slots=True)
class EventConcentration:
    """What one counted event stands for.

    Attributes
    ----------
    method
        ``single_platform``, ``volumetric``, ``dual_platform`` or ``none``.
    per_event_per_ul
        Cells per microlitre that one event stands for; None where it cannot be said.
    n_reference
        Events of the count it is relative to (beads, leukocytes), whose Poisson error goes into the
        interval; None for a measured volume.
    flags
        Reasons for a refusal, and warnings: ``"CODE: words"``.
    """

    method: Literal["single_platform", "volumetric", "dual_platform", "none"]
    per_event_per_ul: float | None = None
    n_reference: int | None = None
    flags: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class SinglePlatform:
    """Counting beads of a known number, added to a measured volume of blood, lysed and not washed.

    Attributes
    ----------
    n_beads
        Bead events counted.
    beads_per_tube, bead_lot
        From the bead manufacturer's label; the number belongs to the lot.
    sample_volume_ul
        Undiluted sample put into the tube.
    dilution
        Of the sample before that; 1 is undiluted.
    washed
        True for bulk-lysed or washed tubes, which lose cells and beads unequally: refused.
    """

    n_beads: int | None
    beads_per_tube: float | None
    bead_lot: str | None
    sample_volume_ul: float | None
    dilution: float | None = 1.0
    washed: bool = False

    def concentration(self, n_leukocytes: int = 0) -> EventConcentration:
        """Cells per microlitre of one event: beads per tube / bead events / volume x dilution.

        Examples
        --------
        >>> from cytomrd.car_nk.absolute import SinglePlatform
        >>> SinglePlatform(10_000, 50_000, "L1", 100.0).concentration().per_event_per_ul
        0.05
        """
        refusals = []
        if self.washed:
            refusals.append("WASHED_TUBE: bulk-lysed or washed tubes give no absolute count")
        if self.n_beads is None:
            refusals.append(
                "NO_BEADS: no cluster of beads was found, or the panel has none; no cells per uL. Were beads added?"
            )
        elif self.n_beads <= 0:
            refusals.append("ZERO_BEADS: no bead was counted; no cells per uL. Were beads added to this tube?")
        if not _positive(self.beads_per_tube):
            refusals.append(f"BEADS_PER_TUBE_INVALID: beads_per_tube is {self.beads_per_tube}, must be above 0")
        elif self.n_beads is not None and self.n_beads > self.beads_per_tube:
            refusals.append(
                f"BEADS_EXCEED_TUBE: {self.n_beads} beads counted of {self.beads_per_tube:g} in the tube; check the lot"
            )
        if not (self.bead_lot or "").strip():
            refusals.append("BEAD_LOT_MISSING: the beads per tube belong to a lot; give bead_lot for cells per uL")
        refusals += _volume_problems(self.sample_volume_ul, self.dilution, "sample_volume_ul")
        if refusals:
            return EventConcentration("single_platform", flags=tuple(refusals))
        per_event = self.beads_per_tube / self.n_beads / self.sample_volume_ul * self.dilution
        few = self.n_beads < MIN_BEADS
        flags = (f"FEW_BEADS: {self.n_beads} beads counted, {MIN_BEADS} are advised",) if few else ()
        return EventConcentration("single_platform", per_event, int(self.n_beads), flags)


@dataclass(frozen=True, slots=True)
class Volumetric:
    """An instrument that measures the volume it drew.

    Attributes
    ----------
    volume_ul
        Volume drawn, in microlitres (see :func:`volume_ul_from_keyword`).
    dilution
        Microlitres of what was drawn per microlitre of sample; 1 is undiluted.
    """

    volume_ul: float | None
    dilution: float | None = 1.0

    def concentration(self, n_leukocytes: int = 0) -> EventConcentration:
        """Cells per microlitre of one event: dilution / volume.

        Examples
        --------
        >>> from cytomrd.car_nk.absolute import Volumetric
        >>> round(2193 * Volumetric(30.5).concentration().per_event_per_ul, 1)
        71.9
        """
        refusals = _volume_problems(self.volume_ul, self.dilution, "$VOL")
        if refusals:
            return EventConcentration("volumetric", flags=tuple(refusals))
        return EventConcentration("volumetric", self.dilution / self.volume_ul)


@dataclass(frozen=True, slots=True)
class DualPlatform:
    """The leukocyte count of a haematology analyser, shared out by the gated fractions.

    Attributes
    ----------
    wbc_10e9_per_l
        Leukocytes, 10^9 per litre (the same as thousands per microlitre).
    collected_at, cbc_at
        When the sample and the blood count were drawn; both with or both without a time zone.
    same_denominator
        False where the analyser's class (such as one without nucleated red cells) is not what the gated
        leukocytes are: refused.
    max_cbc_age_h
        Hours between the two beyond which the count is refused.
    """

    wbc_10e9_per_l: float | None
    collected_at: datetime | None
    cbc_at: datetime | None
    same_denominator: bool = True
    max_cbc_age_h: float = 24.0

    def concentration(self, n_leukocytes: int) -> EventConcentration:
        """Cells per microlitre of one event: leukocytes per microlitre / gated leukocytes.

        Examples
        --------
        >>> from datetime import datetime
        >>> from cytomrd.car_nk.absolute import DualPlatform
        >>> drawn = datetime(2024, 5, 2, 9)
        >>> DualPlatform(7.0, drawn, drawn).concentration(100_000).per_event_per_ul
        0.07
        """
        refusals = self._wbc_problems() + self._age_problems()
        if not self.same_denominator:
            refusals.append("DENOMINATOR_MISMATCH: the gated leukocytes are not the class that the analyser counted")
        if n_leukocytes < 1:
            refusals.append("NO_LEUKOCYTES: no leukocyte was gated, so the blood count cannot be shared out")
        if refusals:
            return EventConcentration("dual_platform", flags=tuple(refusals))
        return EventConcentration("dual_platform", self.wbc_10e9_per_l * 1000.0 / n_leukocytes, int(n_leukocytes))

    def _wbc_problems(self) -> list[str]:
        wbc, (low, high) = self.wbc_10e9_per_l, WBC_RANGE_10E9_PER_L
        if wbc is None or wbc != wbc:
            return ["WBC_MISSING: give wbc_10e9_per_l, or counting beads, for cells per uL"]
        if not low <= wbc <= high:
            hint = f"; {wbc:g} cells per uL would be {wbc / 1000:g}" if wbc > high else ""
            return [f"WBC_UNIT: wbc_10e9_per_l is {wbc:g}, plausible is {low:g} to {high:g} x 10^9/L{hint}"]
        return []

    def _age_problems(self) -> list[str]:
        if self.collected_at is None or self.cbc_at is None:
            return ["CBC_TIME_UNKNOWN: give collected_at and cbc_at; the blood count must be within 24 h of the sample"]
        if (self.collected_at.tzinfo is None) != (self.cbc_at.tzinfo is None):
            return ["CBC_TIME_UNKNOWN: only one of collected_at and cbc_at has a time zone; write both the same way"]
        hours = abs((self.collected_at - self.cbc_at).total_seconds()) / 3600.0
        if hours > self.max_cbc_age_h:
            return [f"CBC_TOO_OLD: {hours:.1f} h between blood count and sample, allowed are {self.max_cbc_age_h:g} h"]
        return []


def volume_ul_from_keyword(vol: float | str, *, unit: Literal["nL", "uL"] | None = None, cytometer: str = "") -> float:
    """Microlitres from an FCS file's ``$VOL``.

    The standard (FCS 3.1) asks for nanolitres, some manufacturers write microlitres. Say which with ``unit``;
    otherwise ``cytometer`` (``$CYT``) decides where it is known, and the standard where it is not.

    Raises
    ------
    QuantificationError
        If the keyword is not a positive number, or its unit cannot be told.

    Examples
    --------
    >>> from cytomrd.car_nk.absolute import volume_ul_from_keyword
    >>> volume_ul_from_keyword("30.5", cytometer="Aurora"), volume_ul_from_keyword("120000")
    (30.5, 120.0)
    """
    try:
        value = float(vol)
    except (TypeError, ValueError):
        value = float("nan")
    if not _positive(value):
        raise QuantificationError(f"$VOL is {vol!r}: need a volume above 0; without it use beads or a blood count")
    known = next((u for name, u in VOL_UNIT_BY_CYTOMETER.items() if name in cytometer.lower()), "nL")
    unit = unit or known
    if unit not in ("nL", "uL"):
        raise QuantificationError(f"unit {unit!r} of $VOL: need 'nL' or 'uL'")
    volume = value / 1000.0 if unit == "nL" else value
    if volume < 1.0:
        raise QuantificationError(
            f"$VOL {value:g} read as {unit} is {volume:g} uL, less than any instrument draws: say which unit it is in"
        )
    return volume


def _volume_problems(volume: float | None, dilution: float | None, name: str) -> list[str]:
    problems = []
    if not _positive(volume):
        problems.append(f"VOLUME_INVALID: {name} is {volume}, must be above 0 uL; no cells per uL")
    if not _positive(dilution) or dilution < 1.0:
        problems.append(f"DILUTION_INVALID: dilution is {dilution}, must be 1 (undiluted) or more")
    return problems


def _positive(value: float | None) -> bool:
    return value is not None and 0.0 < value < float("inf")
