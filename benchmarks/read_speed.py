"""Reading speed against ``np.fromfile``, and the time and memory to open a 4 GiB file.

    python benchmarks/read_speed.py [--events 2000000] [--rounds 15] [--folder /dev/shm]

Every round reads the same file by each way in turn, so that a busy moment of the machine hits all of them; the
ratio is that of the medians. ``np.fromfile`` takes the same bytes as they are, into new memory.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import call_isolated, setting, table, write_section

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
from naive_fcs import build_fcs, channel_keywords

import cytomrd

N_CHANNELS = 14
BYTE_ORDERS = {"little": "1,2,3,4", "big": "4,3,2,1"}
# Name: bits, data type, $PnR. Integers use the lower bits only, so that every value is masked.
KINDS = {
    "float32": (32, "F", 262144),
    "int16": (16, "I", 1024),
    "int24": (24, "I", 2**18),
    "int32": (32, "I", 2**20),
}


def write_file(path: Path, kind: str, byte_order: str, n_events: int) -> None:
    """A file of random events."""
    bits, datatype, value_range = KINDS[kind]
    rng = np.random.default_rng(0)
    if datatype == "F":
        order = "<" if byte_order == "little" else ">"
        rows = rng.normal(1000, 300, (n_events, N_CHANNELS)).astype(f"{order}f4").tobytes()
    else:
        rows = rng.bytes(n_events * N_CHANNELS * bits // 8)
    keywords = channel_keywords(
        [bits] * N_CHANNELS,
        [value_range] * N_CHANNELS,
        n_events=n_events,
        datatype=datatype,
        byte_order=BYTE_ORDERS[byte_order],
    )
    path.write_bytes(build_fcs(rows, keywords))


def ways_to_read(path: Path, kind: str) -> dict:
    """Functions that read the whole file; the first is the measure."""
    tube = cytomrd.open_fcs(path)
    n_bytes = tube.structure.data.size
    begin = tube.structure.header.base + tube.structure.data.begin
    raw = {"int16": np.uint16, "int24": np.uint8, "int32": np.uint32}.get(kind, np.float32)
    native = tube.native_dtype
    kept = np.empty((tube.n_events, N_CHANNELS), dtype=native)
    kept64 = np.empty((tube.n_events, N_CHANNELS))

    def blocks():
        for _ in tube.blocks():
            pass

    return {
        "np.fromfile": lambda: np.fromfile(path, dtype=raw, count=n_bytes // np.dtype(raw).itemsize, offset=begin),
        "native, new memory": lambda: cytomrd.open_fcs(path).read_events(dtype=native),
        "native, memory used again": lambda: cytomrd.open_fcs(path).read_events(dtype=native, out=kept),
        "float64, new memory": lambda: cytomrd.open_fcs(path).read_events(),
        "float64, memory used again": lambda: cytomrd.open_fcs(path).read_events(out=kept64),
        "float64 columns, by blocks": blocks,
    }


def measure(path: Path, kind: str, rounds: int) -> tuple[list[float], str]:
    """Medians in milliseconds by way of reading, the measure first, and the native type."""
    ways = ways_to_read(path, kind)
    times = {name: [] for name in ways}
    for i in range(rounds + 1):
        for name, read in ways.items():
            started = time.perf_counter()
            result = read()
            seconds = time.perf_counter() - started
            del result
            if i:  # the first round compiles and warms the cache of the file
                times[name].append(1000 * seconds)
    return [float(np.median(t)) for t in times.values()], str(cytomrd.open_fcs(path).native_dtype)


def write_huge(path: Path, kind: str) -> None:
    """A sparse file of more than 4 GiB: its head, and a hole where the events are."""
    bits, datatype, value_range = KINDS.get(kind, KINDS["int16"])
    row_bytes = N_CHANNELS * bits // 8
    n_events = (4 << 30) // row_bytes + 1
    keywords = channel_keywords(
        [bits] * N_CHANNELS,
        [value_range] * N_CHANNELS,
        n_events=n_events,
        datatype=datatype,
        byte_order=BYTE_ORDERS["big"],
        amplification=["4,1"] * N_CHANNELS if kind == "int16, log amplifiers" else None,
    )
    head = build_fcs(b"", keywords, header_data=(0, 0), tail=b"")
    begin = len(head)
    wrong, right = f"{begin - 1:012d}".encode(), f"{begin + n_events * row_bytes - 1:012d}".encode()
    path.write_bytes(head.replace(b"$ENDDATA|" + wrong, b"$ENDDATA|" + right))
    os.truncate(path, begin + n_events * row_bytes)


def open_huge(path: str) -> tuple[float, float]:
    """Milliseconds and megabytes more to open a file, list its channels and read its first 1,000 events."""
    before = _resident()
    started = time.perf_counter()
    tube = cytomrd.open_fcs(path)
    names = [(c.detector, c.marker) for c in tube.channels]
    values = tube.read_events(events=slice(0, 1000))
    milliseconds = 1000 * (time.perf_counter() - started)
    assert values.shape == (1000, len(names))
    return milliseconds, (_resident() - before) / 1e6


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Measure and write the section of README.md."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--folder", default=None)
    options = parser.parse_args()
    import cytomrd.fcs.dataset  # noqa: F401  (imports are not part of opening a file)

    rows, opened = [], []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "file.fcs"
        for kind in (*KINDS, "int16, log amplifiers"):
            write_huge(path, kind)
            # forked before numba is loaded, so that its load would count
            results = [call_isolated(open_huge, str(path))[1] for _ in range(7)]
            opened.append((kind, *(f"{np.median(column):.1f}" for column in zip(*results, strict=True))))
        names = None
        for kind in KINDS:
            for byte_order in BYTE_ORDERS:
                write_file(path, kind, byte_order, options.events)
                medians, native = measure(path, kind, options.rounds)
                names = names or list(ways_to_read(path, kind))
                ratios = [f"{m / medians[0]:.2f}" for m in medians[1:]]
                rows.append((f"{kind}, {byte_order} endian", native, f"{medians[0]:.1f} ms", *ratios))
    write_section(
        "Reading speed",
        f"`python benchmarks/read_speed.py`: {options.events:,} events x {N_CHANNELS} channels, whole file, medians of "
        f"{options.rounds} interleaved rounds as multiples of `np.fromfile` of the same bytes (less is faster). "
        "Integers are masked to the bits of `$PnR`. The native type is `FcsDataset.native_dtype`.\n"
        f"{setting('numpy', 'numba')}\n\n{table(('file', 'native type', *names), rows)}\n\n"
        "Opening a sparse file of 4 GiB (14 channels, big endian): structure, channels and the first 1,000 events as "
        "float64, imports done before, median of 7 processes.\n\n"
        f"{table(('file', 'milliseconds', 'MB more resident'), opened)}",
    )


if __name__ == "__main__":
    main()
