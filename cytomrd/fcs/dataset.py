"""Data sets of FCS files: opened lazily, read a block at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from cytomrd.errors import CytomrdError, FcsError
from cytomrd.fcs.arrays import read_array
from cytomrd.fcs.channels import Channel
from cytomrd.fcs.data import Decoder
from cytomrd.fcs.findings import Finding, FindingLog
from cytomrd.fcs.source import ByteSource, sha256_of
from cytomrd.fcs.structure import DataSetSummary, Structure, read_structure
from cytomrd.fcs.text import printable, read_number
from cytomrd.preprocess.compensation import Spillover, spillover_of_keywords

if TYPE_CHECKING:
    import numpy.typing as npt
    from anndata import AnnData

__all__ = ["FcsDataset", "open_fcs", "read_fcs"]

BLOCK_EVENTS = 16384


@dataclass(frozen=True, eq=False)
class FcsDataset:
    """One data set of an FCS file. Nothing of its events is held in memory, and no file stays open.

    Attributes
    ----------
    path
        The file.
    index
        Which of its data sets this is, from 0.
    structure
        What HEADER and TEXT say, checked.
    """

    path: Path
    index: int
    structure: Structure = field(repr=False)

    @property
    def version(self) -> str:
        """``"FCS2.0"`` to ``"FCS3.2"``."""
        return self.structure.header.version

    @property
    def keywords(self) -> Mapping[str, str]:
        """Keywords in upper case with their values as written (no key is added or changed)."""
        return MappingProxyType(self.structure.keywords.values)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The columns, in the file's order."""
        return self.structure.channels

    @property
    def detectors(self) -> tuple[str, ...]:
        """``$PnN`` of each channel; no two are equal."""
        return tuple(c.detector for c in self.channels)

    @property
    def markers(self) -> tuple[str, ...]:
        """``$PnS`` of each channel, empty where there is none."""
        return tuple(c.marker for c in self.channels)

    @property
    def n_events(self) -> int:
        """Events, counted from the bytes and equal to ``$TOT``."""
        return self.structure.n_events

    @property
    def n_channels(self) -> int:
        """Number of columns."""
        return len(self.channels)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What departs from the standard, in the order met."""
        return self.structure.findings

    @property
    def datasets(self) -> int:
        """How many data sets the file holds."""
        return len(self.structure.summaries)

    @property
    def summaries(self) -> tuple[DataSetSummary, ...]:
        """All data sets of the file in short. Some instruments store the same cells twice: never add them up."""
        return self.structure.summaries

    @property
    def size_bytes(self) -> int:
        """Size of the file."""
        return self.structure.fingerprint[2]

    @property
    def timestep(self) -> float | None:
        """``$TIMESTEP``: seconds per unit of the time channel as stored; `blocks` has applied it."""
        return self.structure.timestep

    @property
    def volume_ul(self) -> float | None:
        """``$VOL`` in microlitres (the file has nanolitres), or None."""
        volume = read_number(self.keywords.get("$VOL", ""))
        return None if volume is None or volume <= 0 else volume / 1000

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the whole file; with the relative path it is the file's identity (never ``$FIL``)."""
        digest = sha256_of(self.path)
        self._same_file().close()
        return digest

    @cached_property
    def spillover(self) -> Spillover | None:
        """The file's own spillover matrix, or None where it has none.

        Raises
        ------
        CompensationError
            If there is one and it cannot be used: it does not parse, names a detector that
            the file lacks, or cannot be inverted; or two keywords give different ones.
        """
        return spillover_of_keywords(self.keywords, self.detectors)

    def blocks(
        self, n_events: int = BLOCK_EVENTS, start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Read events in order, a block at a time.

        Parameters
        ----------
        n_events
            Events per block at most; fewer at the end, or where a block would exceed 64 MB.
        start, stop
            First event, and the one behind the last; all by default.

        Yields
        ------
        first_event : int
            Index of the block's first event.
        values : array of shape (n_channels, n), float64, C-contiguous
            Scale values: after ``$PnR`` masks, ``$PnE``, ``$PnG``, and ``$TIMESTEP`` on time.
            The array is reused: copy what must outlive the step.

        Raises
        ------
        FcsError
            If the file changed since it was opened, or cannot be read.
        """
        stop = self.n_events if stop is None else stop
        if not 0 <= start <= stop <= self.n_events or n_events < 1:
            raise FcsError(
                f"events {start} to {stop} in blocks of {n_events} are wanted, allowed are 0 to {self.n_events} "
                "in blocks of at least 1",
                keyword="DATA",
            )
        return self._blocks(n_events, range(start, stop))

    def _blocks(self, n_events: int, events: range) -> Iterator[tuple[int, np.ndarray]]:
        if not events:
            return
        with self._same_file() as source:
            decoder = self.decoder(len(events))
            yield from decoder.blocks(source, self._data_begin, self.structure.data.size, events, n_events)

    def fill_rows(self, decoder: Decoder, events: range, out: np.ndarray) -> None:
        """Decode a contiguous range of events, not empty, into ``out`` (n_events, n_channels)."""
        with self._same_file() as source:
            decoder.fill_rows(source, self._data_begin, events, out)

    def decoder(self, n_events: int) -> Decoder:
        """What turns the bytes of ``n_events`` events into scale values."""
        return Decoder(self.channels, self.structure.layout, self.timestep, n_events)

    @property
    def _data_begin(self) -> int:
        return self.structure.header.base + self.structure.data.begin

    def _same_file(self) -> ByteSource:
        source = ByteSource(self.path)
        if source.fingerprint != self.structure.fingerprint:
            source.close()
            raise FcsError(
                f"{printable(str(self.path))}: the file changed after it was opened; open it again", keyword="FILE"
            )
        return source

    def read_events(
        self,
        channels: Sequence[str | int] | None = None,
        events: slice | Sequence[int] | None = None,
        *,
        dtype: npt.DTypeLike = np.float64,
        out: np.ndarray | None = None,
        threads: int | None = None,
    ) -> np.ndarray:
        """Read scale values into one array.

        Parameters
        ----------
        channels
            Detector names or column indices; all by default.
        events
            A slice, or indices in any order; all by default.
        dtype
            ``np.float64``; ``np.float32`` to halve the memory, rounded where the values need more; or an unsigned
            type that holds all values, for files of integers without gain, log amplifier or time step.
            `native_dtype` is the smallest exact one, and the fastest.
        out
            Array of shape (n_events, n_channels) and of ``dtype`` to fill; memory that is used again is faster
            than memory that is new.
        threads
            How many read a large range at the same time; by default as many as there are processors for this
            process, 4 at most. The result is the same.

        Returns
        -------
        array of shape (n_events, n_channels), dtype

        Raises
        ------
        FcsError
            If a channel or an event is not in the file, ``dtype`` cannot hold the values, or ``out`` does not fit.
        """
        columns = list(range(self.n_channels)) if channels is None else self._columns(channels)
        return read_array(self, columns, events, np.dtype(dtype), out, threads)

    @property
    def native_dtype(self) -> np.dtype:
        """The smallest type in which `read_events` gives all values exactly."""
        decoder = self.decoder(0)
        stored = decoder.stored_dtype
        return stored if stored is not None and decoder.is_plain else np.dtype(np.float64)

    def _columns(self, channels: Sequence[str | int]) -> list[int]:
        detectors = self.detectors
        places = {detector: i for i, detector in enumerate(detectors)}
        columns = [places.get(c, -1) if isinstance(c, str) else int(c) for c in channels]
        for channel, column in zip(channels, columns, strict=True):
            if not 0 <= column < len(detectors):
                raise FcsError(
                    f"no channel {printable(str(channel))!r}; the file has {', '.join(map(printable, detectors))}",
                    keyword="$PnN",
                )
        return columns


def open_fcs(path: str | os.PathLike, *, dataset: int = 0, strict: bool = False) -> FcsDataset:
    """Open a data set of an FCS file (2.0 to 3.2) without reading its events.

    Parameters
    ----------
    path
        The file.
    dataset
        Which data set, where the file holds several; the first by default.
    strict
        Refuse what would be repaired.

    Raises
    ------
    FcsError
        If the file is no FCS file, or cannot be read without guessing.

    Examples
    --------
    >>> import numpy as np, tempfile, cytomrd as cm
    >>> path = tempfile.mkdtemp() + "/two.fcs"
    >>> cm.write_fcs(path, np.array([[1.0, 2.5], [3.0, 4.5]]), ["FSC-A", "FITC-A"], markers=["", "CD38"])
    >>> tube = cm.open_fcs(path)
    >>> tube.n_events, tube.detectors, tube.markers
    (2, ('FSC-A', 'FITC-A'), ('', 'CD38'))
    >>> for first_event, values in tube.blocks():
    ...     print(first_event, values[1])
    0 [2.5 4.5]
    """
    path = Path(path)
    try:
        with ByteSource(path) as source:
            return FcsDataset(path, dataset, read_structure(source, dataset, FindingLog(strict=strict)))
    except CytomrdError as error:
        error.add_note(f"file: {printable(str(path), max_length=300)}")
        raise


def read_fcs(path: str | os.PathLike, *, dataset: int = 0, strict: bool = False) -> AnnData:
    """Read a data set of an FCS file whole.

    Parameters
    ----------
    path, dataset, strict
        As for `open_fcs`.

    Returns
    -------
    AnnData
        Events x channels. ``X`` and ``layers["raw"]`` hold scale values (after ``$PnR`` masks, ``$PnE``,
        ``$PnG`` and ``$TIMESTEP``) as float64; ``var_names`` are detectors, ``var["marker"]`` markers;
        ``uns["cytomrd"]`` has ``keywords``, ``findings``, ``sha256``, ``version`` and ``n_non_finite``.

    Raises
    ------
    FcsError
        If the file cannot be read without guessing.

    Examples
    --------
    >>> import numpy as np, tempfile, cytomrd as cm
    >>> path = tempfile.mkdtemp() + "/two.fcs"
    >>> cm.write_fcs(path, np.array([[1.0, 2.5], [3.0, 4.5]]), ["FSC-A", "FITC-A"], markers=["", "CD38"])
    >>> cm.read_fcs(path)[:, "FITC-A"].X.ravel().tolist()
    [2.5, 4.5]
    """
    import pandas as pd
    from anndata import AnnData

    tube = open_fcs(path, dataset=dataset, strict=strict)
    values = tube.read_events()
    var = pd.DataFrame(
        {
            "marker": list(tube.markers),
            "range": [c.range for c in tube.channels],
            "gain": [c.gain for c in tube.channels],
            "decades": [c.decades for c in tube.channels],
            "offset": [c.offset for c in tube.channels],
        },
        index=pd.Index(list(tube.detectors), dtype=object),
    )
    obs = pd.DataFrame(index=pd.RangeIndex(tube.n_events).astype(str))
    uns = {
        "keywords": dict(tube.keywords),
        "findings": [str(f) for f in tube.findings],
        "sha256": tube.sha256,
        "version": tube.version,
        "n_non_finite": int((~np.isfinite(values)).any(axis=1).sum()),
    }
    return AnnData(X=values, obs=obs, var=var, layers={"raw": values.copy()}, uns={"cytomrd": uns})
