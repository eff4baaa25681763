"""Events of a file as one array: all of them, a range, or chosen ones in any order.

A large range is read by a few threads, each its own part of it into its own part of the array. Half of the time
goes into new memory (page faults) and into copying from the cache of the file, and both run side by side. Events
are decoded one by one, so the result does not depend on the number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from cytomrd.errors import FcsError

if TYPE_CHECKING:
    from cytomrd.fcs.data import Decoder
    from cytomrd.fcs.dataset import FcsDataset

__all__ = ["read_array"]

TRANSPOSED_EVENTS = 2048
STRETCH = 16384
MAX_THREADS = 4
BYTES_PER_THREAD = 4 << 20


def read_array(
    tube: FcsDataset,
    columns: list[int],
    events: slice | Sequence[int] | np.ndarray | None,
    dtype: np.dtype,
    out: np.ndarray | None,
    threads: int | None,
) -> np.ndarray:
    """What `FcsDataset.read_events` returns, for columns by index."""
    _check_dtype(tube, dtype)
    if events is None or isinstance(events, slice):
        wanted = range(tube.n_events)[slice(None) if events is None else events]
        if wanted.step == 1:
            result = _result(out, (len(wanted), len(columns)), dtype)
            _read_range(tube, columns, wanted, result, threads)
            return result
        events = wanted
    indices = _indices(np.asarray(events), tube.n_events)
    result = _result(out, (len(indices), len(columns)), dtype)
    _read_chosen(tube, columns, indices, result)
    return result


def _check_dtype(tube: FcsDataset, dtype: np.dtype) -> None:
    native = tube.native_dtype
    if dtype in (np.float64, np.float32, native):
        return
    largest = max((c.mask or 0 for c in tube.channels), default=0)
    if dtype.kind != native.kind or native.kind != "u" or np.iinfo(dtype).max < largest:
        raise FcsError(f"dtype {dtype} is wanted; allowed are float64, float32 and {native}", keyword="DATA")


def _result(out: np.ndarray | None, shape: tuple[int, int], dtype: np.dtype) -> np.ndarray:
    if out is None:
        try:
            return np.empty(shape, dtype=dtype)
        except MemoryError:
            raise FcsError(
                f"{shape[0]} x {shape[1]} values of {dtype} are more than the memory holds; read fewer, or by blocks",
                keyword="DATA",
                byte_offset=0,
            ) from None
    if out.shape != shape or out.dtype != dtype or not out.flags.c_contiguous or not out.flags.writeable:
        raise FcsError(
            f"out has shape {out.shape} and dtype {out.dtype}; a contiguous array of {shape} and {dtype} is wanted",
            keyword="DATA",
        )
    return out


def _read_range(tube: FcsDataset, columns: list[int], events: range, result: np.ndarray, threads: int | None) -> None:
    if not events:
        return
    decoder = tube.decoder(len(events))

    def read(part: range) -> None:
        _read_part(tube, decoder, columns, part, result[part.start - events.start : part.stop - events.start])

    first, *others = [events] if decoder.is_sequential else _parts(events, result.nbytes, threads)
    if not others:
        read(first)
        return
    try:
        with ThreadPoolExecutor(len(others)) as pool:
            running = [pool.submit(read, part) for part in others]
            read(first)
            # Of several errors the one of the first events is raised, as one thread alone would.
            for part in running:
                part.result()
    except RuntimeError:  # the system gives no more threads
        read(events)


def _parts(events: range, n_bytes: int, threads: int | None) -> list[range]:
    """Contiguous parts of ``events``, one for each thread that is worth its start."""
    n = _available() if threads is None else max(1, threads)
    n = max(1, min(n, n_bytes // BYTES_PER_THREAD, len(events)))
    edges = [len(events) * i // n for i in range(n + 1)]
    return [events[first:last] for first, last in pairwise(edges)]


def _available() -> int:
    """Processors that this process may use, ``MAX_THREADS`` at most: the disk and the memory are shared by all."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MAX_THREADS, usable)


def _read_part(tube: FcsDataset, decoder: Decoder, columns: list[int], events: range, result: np.ndarray) -> None:
    whole = columns == list(range(tube.n_channels))
    if whole and decoder.stored_dtype is not None:
        tube.fill_rows(decoder, events, result)
        return
    for first, values in tube.blocks(TRANSPOSED_EVENTS, events.start, events.stop):
        at = first - events.start
        result[at : at + values.shape[1]] = (values if whole else values[columns]).T


def _indices(events: np.ndarray, n_events: int) -> np.ndarray:
    if events.dtype == bool:
        events = np.flatnonzero(events) if len(events) == n_events else np.array([-1])
    events = events.astype(np.int64) if events.size else np.empty(0, dtype=np.int64)
    if events.size and (events.min() < 0 or events.max() >= n_events):
        raise FcsError(f"an event index is outside 0 to {n_events - 1}", keyword="DATA")
    return events


def _read_chosen(tube: FcsDataset, columns: list[int], events: np.ndarray, result: np.ndarray) -> None:
    order = np.argsort(events, kind="stable")
    ascending = events[order]
    done = 0
    while done < len(ascending):
        # Stretches without a wanted event are skipped.
        start = int(ascending[done])
        last = int(np.searchsorted(ascending, start + STRETCH))
        for first, values in tube.blocks(STRETCH, start, int(ascending[last - 1]) + 1):
            low, high = np.searchsorted(ascending, [first, first + values.shape[1]])
            picked = values[np.ix_(columns, ascending[low:high] - first)]
            result[order[low:high]] = picked.T
        done = last
