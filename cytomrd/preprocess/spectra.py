"""Reference spectra from single stains, and how well they tell the fluorochromes apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cytomrd.errors import CompensationError
from cytomrd.preprocess.positives import MIN_EVENTS, brightest_detector, find_reference
from cytomrd.preprocess.scatter_region import fit_region
from cytomrd.preprocess.single_stains import StainFit, fit_stain
from cytomrd.preprocess.spillover_checks import Check
from cytomrd.preprocess.stain_tube import StainTube
from cytomrd.preprocess.unmixing import SpectralReference, unmix

__all__ = ["AUTOFLUORESCENCE", "SpectralFit", "check_spectra", "fit_spectra"]

AUTOFLUORESCENCE = "Autofluorescence"
ALIKE = 0.98
HIGH_CONDITION = 25.0
CROSSTALK = 0.01


@dataclass(frozen=True, eq=False)
class SpectralFit:
    """Reference spectra and what they rest on.

    Attributes
    ----------
    reference
        One spectrum a stain, then autofluorescence where unstained cells are given.
    stains
        The single stains in the reference's order.
    crosstalk
        Shape (n_stains, n_names): median abundance that a stain's positives show of each spectrum, above that of
        their negatives, per their own; 0 on the diagonal.
    residual
        Shape (n_stains,): median root mean square of what unmixing leaves of a stain's positives, per their own
        abundance.
    """

    reference: SpectralReference
    stains: tuple[StainFit, ...]
    crosstalk: np.ndarray
    residual: np.ndarray


def fit_spectra(
    stains: Sequence[StainTube],
    detectors: Sequence[str],
    unstained: StainTube | None = None,
    *,
    source: str = "single stains",
) -> SpectralFit:
    """Fit the spectra of single-stain tubes; each is scaled to 1 in its brightest detector.

    Parameters
    ----------
    stains
        One tube a fluorochrome; ``detector`` may be empty, for its brightest.
    detectors
        Names of the columns of all tubes' ``values``.
    unstained
        Unstained cells: they give the negatives and the spectrum of autofluorescence. Without them each tube must
        hold a clear negative fraction, and autofluorescence is no spectrum of its own.
    source
        Where the spectra are said to come from.

    Raises
    ------
    CompensationError
        With every tube that cannot be used; or if two spectra cannot be told apart.
    """
    detectors = tuple(detectors)
    names = [t.stain or t.name for t in stains]
    if len(set(names)) != len(names) or AUTOFLUORESCENCE in names:
        raise CompensationError(
            f"each stain needs one tube and a name of its own (not {AUTOFLUORESCENCE!r}); given: {', '.join(names)}"
        )
    fits, problems = [], []
    for tube in stains:
        try:
            at_peak = tube if tube.detector else replace(tube, detector=_peak(tube, detectors, unstained))
            fits.append(fit_stain(at_peak, detectors, unstained, method="regression"))
        except CompensationError as error:
            problems.append(str(error))
    if problems or not fits:
        listed = "\n".join(f"  {p}" for p in problems)
        raise CompensationError(f"{len(problems)} of {len(stains)} single stains cannot be used:\n{listed}")
    spectra = [f.slopes.values for f in fits]
    if unstained is not None and len(unstained.values) >= MIN_EVENTS:
        names.append(AUTOFLUORESCENCE)
        spectra.append(_autofluorescence(unstained))
    reference = SpectralReference(tuple(names), detectors, np.array(spectra), source)
    return SpectralFit(reference, tuple(fits), *_left_over(fits, reference))


def _peak(tube: StainTube, detectors: Sequence[str], unstained: StainTube | None) -> str:
    clean = tube.finite().unsaturated()
    if unstained is not None:
        negative = unstained.finite().values
    else:
        # The detector that varies most is one in which the stained part lies far above the rest.
        widest = int(np.argmax(np.subtract(*np.quantile(clean.values, [0.98, 0.02], axis=0))))
        _, reference, _ = find_reference(replace(clean, detector=detectors[widest]), None, widest)
        negative = reference.values
    column = brightest_detector(clean.values, negative) if len(clean.values) else None
    if column is None:
        raise CompensationError(f"{tube.name}: no positives: the tube is brighter than its negatives in no detector")
    return detectors[column]


def _autofluorescence(unstained: StainTube) -> np.ndarray:
    """Median of the unstained cells of the main scatter population, scaled to 1 at its highest."""
    tube = unstained.finite().unsaturated()
    middle = np.median(tube.values[fit_region(tube.scatter).contains(tube.scatter)], axis=0)
    return middle / np.abs(middle).max() if np.abs(middle).max() > 0 else middle


def _left_over(fits: Sequence[StainFit], reference: SpectralReference) -> tuple[np.ndarray, np.ndarray]:
    crosstalk, residual = [], []
    for k, fit in enumerate(fits):
        positive = unmix(fit.positive[fit.slopes.kept], reference)
        negative = unmix(fit.negative, reference)
        rise = np.median(positive.abundances, axis=0) - np.median(negative.abundances, axis=0)
        own = rise[k]
        rise[k] = 0.0
        crosstalk.append(rise / own)
        residual.append(float(np.median(positive.residual_rms)) / own)
    return np.array(crosstalk), np.array(residual)


def check_spectra(fit: SpectralFit) -> tuple[Check, ...]:
    """What was checked, warnings first."""
    reference = fit.reference
    found = []
    number = reference.condition_number
    one, other, cosine = reference.most_alike()
    alike = f"most alike are {one} and {other} (cosine {cosine:.3f})"
    level = "warning" if number > HIGH_CONDITION or (cosine > ALIKE and len(reference.names) > 1) else "ok"
    found.append(Check(level, f"condition number {number:.3g} (1: all spectra are orthogonal); {alike}"))
    for stain, row in zip(fit.stains, fit.crosstalk, strict=True):
        worst = int(np.argmax(np.abs(row)))
        if abs(row[worst]) > CROSSTALK:
            found.append(
                Check(
                    "warning",
                    f"{stain.tube}: cells stained with {stain.stain} alone show {row[worst]:.1%} of "
                    f"{reference.names[worst]} after unmixing; its positives are no pure stain, or more "
                    "autofluorescent than the negatives",
                )
            )
    if len(found) == 1:
        found.append(Check("ok", f"no stain shows more than {CROSSTALK:.0%} of another after unmixing"))
    if AUTOFLUORESCENCE not in reference.names:
        found.append(Check("note", "no unstained tube: autofluorescence is not one of the spectra"))
    found += [Check("note", f"{stain.tube}: {note}") for stain in fit.stains for note in stain.notes]
    return tuple(sorted(found, key=lambda c: ("warning", "note", "ok").index(c.level)))
