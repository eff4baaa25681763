"""Spectral unmixing: how much of each fluorochrome makes up an event's spectrum, by least squares."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cytomrd.errors import CompensationError

__all__ = ["SpectralReference", "Unmixed", "format_spectra_csv", "photon_weights", "read_spectra_csv", "unmix"]

MAX_CONDITION = 1e6
MAX_CSV_BYTES = 4 << 20
BLOCK_EVENTS = 8192


@dataclass(frozen=True, eq=False)
class SpectralReference:
    """The spectra that events are made of.

    Attributes
    ----------
    names
        Fluorochromes, and autofluorescence where it is one of the spectra.
    detectors
        ``$PnN`` of the detectors, at least as many as there are spectra.
    spectra
        Shape (n_names, n_detectors), float64: signal in each detector per signal in the spectrum's brightest.
    source
        Where they came from, for messages.

    Raises
    ------
    CompensationError
        If names repeat, shapes do not fit, a value is not finite, or two mixtures could not be told apart.
    """

    names: tuple[str, ...]
    detectors: tuple[str, ...]
    spectra: np.ndarray
    source: str = "given"

    def __post_init__(self):
        spectra = np.array(self.spectra, dtype=np.float64)
        spectra.setflags(write=False)
        object.__setattr__(self, "spectra", spectra)
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "detectors", tuple(self.detectors))
        shape = (len(self.names), len(self.detectors))
        for what, names in (("spectrum", self.names), ("detector", self.detectors)):
            if len(set(names)) != len(names):
                raise CompensationError(f"spectra ({self.source}): a {what} is named twice: {', '.join(names)}")
        if spectra.shape != shape or not 1 <= shape[0] <= shape[1]:
            raise CompensationError(
                f"spectra ({self.source}): {shape[0]} names and {shape[1]} detectors, but an array {spectra.shape}; at "
                "least as many detectors as spectra are wanted"
            )
        if not np.isfinite(spectra).all() or (np.abs(spectra).max(axis=1) == 0).any():
            raise CompensationError(f"spectra ({self.source}): a spectrum is zero, or a value is not finite")
        if not self.condition_number <= MAX_CONDITION:
            alike = self.most_alike()
            raise CompensationError(
                f"spectra ({self.source}): condition number {self.condition_number:.3g}; they cannot be told apart "
                f"(most alike: {alike[0]} and {alike[1]}, cosine {alike[2]:.4f})"
            )

    @property
    def similarity(self) -> np.ndarray:
        """Cosine of the angle between each two spectra, shape (n_names, n_names); 1 is the same shape."""
        unit = self._unit
        return unit @ unit.T

    @property
    def condition_number(self) -> float:
        """Of the spectra scaled to unit length: 1 where all are orthogonal. Instruments call it complexity."""
        return float(np.linalg.cond(self._unit))

    @property
    def _unit(self) -> np.ndarray:
        return self.spectra / np.linalg.norm(self.spectra, axis=1, keepdims=True)

    def most_alike(self) -> tuple[str, str, float]:
        """The two spectra that are hardest to tell apart, and their cosine."""
        if len(self.names) < 2:
            return self.names[0], self.names[0], 1.0
        cosine = np.tril(self.similarity, -1)
        i, j = np.unravel_index(int(np.argmax(cosine)), cosine.shape)
        return self.names[j], self.names[i], float(cosine[i, j])


@dataclass(frozen=True, eq=False)
class Unmixed:
    """Abundances of each spectrum in each event, and what they leave unexplained.

    Attributes
    ----------
    abundances
        Shape (n_events, n_names): signal of each fluorochrome in its brightest detector.
    residual_rms
        Shape (n_events,): root mean square over the detectors of what the spectra leave, in signal.
    """

    abundances: np.ndarray
    residual_rms: np.ndarray


def unmix(events: np.ndarray, reference: SpectralReference, *, weights: np.ndarray | None = None) -> Unmixed:
    """Unmix events by least squares.

    Parameters
    ----------
    events
        Shape (n_events, n_detectors), linear signal, columns as ``reference.detectors``.
    reference
        The spectra.
    weights
        None for ordinary least squares; shape (n_detectors,) for the same weights in every event; or
        (n_events, n_detectors), e.g. from `photon_weights`. At or above 0 and finite.

    Raises
    ------
    CompensationError
        If shapes do not fit, or weights leave fewer detectors than spectra.

    Examples
    --------
    >>> import numpy as np
    >>> from cytomrd.preprocess.unmixing import SpectralReference, unmix
    >>> reference = SpectralReference(("FITC", "PE"), ("B1", "B2", "B3"), [[1, 0.4, 0.1], [0.1, 1, 0.6]])
    >>> unmix(np.array([[105.0, 90.0, 40.0]]), reference).abundances.round(6).tolist()
    [[100.0, 50.0]]
    """
    events = np.asarray(events, dtype=np.float64)
    if events.ndim != 2 or events.shape[1] != len(reference.detectors):
        raise CompensationError(f"events {events.shape} do not have the {len(reference.detectors)} detectors")
    if weights is not None:
        weights = np.asarray(weights, dtype=np.float64)
        if weights.shape not in ((events.shape[1],), events.shape):
            raise CompensationError(f"weights {weights.shape} fit neither the detectors nor the events {events.shape}")
        if not (np.isfinite(weights).all() and (weights >= 0).all()):
            raise CompensationError("a weight is below 0 or not finite")
    solve = _by_event if weights is not None and weights.ndim == 2 else _at_once
    abundances = solve(events, reference, weights)
    left = events - abundances @ reference.spectra
    return Unmixed(abundances, np.sqrt((left**2).mean(axis=1)))


def photon_weights(events: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Weights of detectors whose variance is that of the dark signal plus the light's own.

    Parameters
    ----------
    events
        Shape (n_events, n_detectors).
    noise
        Shape (n_detectors,): SD without light, above 0.
    """
    return 1.0 / (np.asarray(noise, dtype=np.float64) ** 2 + np.maximum(events, 0.0))


def _at_once(events: np.ndarray, reference: SpectralReference, weights: np.ndarray | None) -> np.ndarray:
    """One pseudo-inverse for all events."""
    root = np.ones(events.shape[1]) if weights is None else np.sqrt(weights)
    _refuse_few_detectors(int((root > 0).sum()), reference)
    if np.linalg.matrix_rank(reference.spectra * root) < len(reference.names):
        raise _not_told_apart(reference)
    return (events * root) @ np.linalg.pinv(reference.spectra * root)


def _by_event(events: np.ndarray, reference: SpectralReference, weights: np.ndarray) -> np.ndarray:
    """Normal equations of each event, a block at a time."""
    _refuse_few_detectors(int((weights > 0).sum(axis=1).min(initial=events.shape[1])), reference)
    out = np.empty((len(events), len(reference.names)))
    for start in range(0, len(events), BLOCK_EVENTS):
        here = slice(start, start + BLOCK_EVENTS)
        weighted = weights[here, None, :] * reference.spectra
        right = (weighted @ events[here, :, None])[..., 0]
        try:
            out[here] = np.linalg.solve(weighted @ reference.spectra.T, right[..., None])[..., 0]
        except np.linalg.LinAlgError:
            raise _not_told_apart(reference) from None
    return out


def _not_told_apart(reference: SpectralReference) -> CompensationError:
    return CompensationError(
        f"spectra ({reference.source}): they cannot be told apart by the detectors that have a weight above 0"
    )


def _refuse_few_detectors(n: int, reference: SpectralReference) -> None:
    if n < len(reference.names):
        raise CompensationError(f"{n} detectors have a weight above 0, {len(reference.names)} spectra need as many")


def format_spectra_csv(reference: SpectralReference) -> str:
    """A CSV that `read_spectra_csv` reads back exactly: a header of detectors, and each row's name first."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["", *reference.detectors])
    for name, row in zip(reference.names, reference.spectra.tolist(), strict=True):
        writer.writerow([name, *map(repr, row)])
    return out.getvalue()


def read_spectra_csv(path: str | os.PathLike) -> SpectralReference:
    """Read spectra: the header row names the detectors, each further row a spectrum, its name first.

    Raises
    ------
    CompensationError
        If the file cannot be read, or the spectra cannot be used.
    """
    path = Path(path)
    try:
        if not path.is_file() or path.stat().st_size > MAX_CSV_BYTES:
            raise CompensationError(f"spectra ({path.name}): no file of at most {MAX_CSV_BYTES} bytes is there")
        with path.open(newline="", encoding="utf-8-sig") as handle:
            rows = [row for row in csv.reader(handle) if any(cell.strip() for cell in row)]
        header, body = rows[0], rows[1:]
        spectra = np.array([[float(cell) for cell in row[1:]] for row in body])
    except (OSError, UnicodeDecodeError, csv.Error, ValueError, IndexError) as error:
        raise CompensationError(f"spectra ({path.name}): cannot be read as a table of numbers ({error})") from None
    return SpectralReference(tuple(row[0].strip() for row in body), tuple(header[1:]), spectra, path.name)
