"""The data that everything is measured on: seeded events, their files, and the four gates of the whole pass."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import numpy as np

from cytomrd.fcs.writer import write_fcs
from cytomrd.gating.gates import Dimension, EllipsoidGate, GatingStrategy, PolygonGate, RectangleGate
from cytomrd.preprocess.compensation import Spillover
from cytomrd.preprocess.transforms import Logicle

__all__ = ["DETECTORS", "FILE_KINDS", "FLUOROCHROMES", "LOGICLE", "Events", "bench_strategy", "circle", "scratch"]

FLUOROCHROMES = tuple(f"FL{i}-A" for i in range(1, 11))
DETECTORS = ("FSC-A", "SSC-A", *FLUOROCHROMES, "FSC-W", "Time")
LOGICLE = Logicle(T=262144, W=0.5, M=4.5, A=0)
CHUNK = 1_000_000
# How one event is stored: numpy's type of the bytes, $DATATYPE, $PnB, $PnR.
FILE_KINDS = {
    "float32": ("f4", "F", 32, 262144),
    "int16": ("u2", "I", 16, 1024),
    "int24": ("u4", "I", 24, 2**18),
    "int32": ("u4", "I", 32, 2**20),
}


def spillover() -> Spillover:
    """A made-up matrix of the ten fluorochromes, up to 8 % between any two."""
    mixed = np.random.default_rng(1).uniform(0, 0.08, (10, 10))
    return Spillover(FLUOROCHROMES, np.where(np.eye(10) > 0, 1.0, mixed), "bench")


def circle(x: float, y: float, rx: float, ry: float, n_vertices: int = 20) -> tuple[tuple[float, float], ...]:
    """A polygon of ``n_vertices`` on an ellipse around (x, y)."""
    angles = np.linspace(0, 2 * np.pi, n_vertices, endpoint=False)
    return tuple((float(x + rx * np.cos(a)), float(y + ry * np.sin(a))) for a in angles)


def bench_strategy() -> GatingStrategy:
    """Four gates: a polygon on scatter; a rectangle, an ellipsoid and a polygon on compensated logicle axes."""

    def dim(i: int) -> Dimension:
        return Dimension(f"FL{i}-A", "matrix", "logicle")

    covariance = ((0.1, 0.02, 0.0), (0.02, 0.1, 0.01), (0.0, 0.01, 0.1))
    gates = (
        PolygonGate("singlets", (Dimension("FSC-A"), Dimension("SSC-A")), circle(80000, 50000, 90000, 60000)),
        RectangleGate("bright", (dim(2), dim(3)), (0.4, 0.2), (None, 0.9), "singlets"),
        EllipsoidGate("cluster", (dim(4), dim(5), dim(6)), (0.5, 0.5, 0.5), covariance, 1.0, "singlets"),
        PolygonGate("drawn", (dim(7), dim(8)), circle(0.5, 0.5, 0.3, 0.3), "bright"),
    )
    return GatingStrategy(gates, {"logicle": LOGICLE}, {"matrix": spillover()})


class Events:
    """``n_events`` seeded events of 14 channels.

    Parameters
    ----------
    n_events
        Number of events.
    folder
        Where files are written when they are asked for.
    rows
        Events to take instead, float32 (n_events, 14).
    """

    def __init__(self, n_events: int, folder: Path, rows: np.ndarray | None = None):
        self.n_events = n_events
        self.folder = folder
        self._rows = rows

    @property
    def rows(self) -> np.ndarray:
        """float32 (n_events, 14), as a file stores them."""
        if self._rows is None:
            self._rows = np.concatenate(list(self.chunks()))
        return self._rows

    def chunks(self) -> Iterator[np.ndarray]:
        """The rows in pieces, made one at a time where they are not in memory."""
        for number, first in enumerate(range(0, self.n_events, CHUNK)):
            n = min(CHUNK, self.n_events - first)
            yield _draw(number, first, n) if self._rows is None else self._rows[first : first + n]

    @cached_property
    def linear(self) -> np.ndarray:
        """float64 (10, n_events): the compensated fluorochromes, as columns."""
        return np.ascontiguousarray((self.rows[:, 2:12].astype(np.float64) @ spillover().inverse).T)

    @cached_property
    def positions(self) -> np.ndarray:
        """float64 (3, n_events): three of ``linear`` on the logicle scale, exact."""
        return LOGICLE.apply(self.linear[:3])

    @cached_property
    def cells(self) -> np.ndarray:
        """float64 (n_events, 10): all of ``linear`` on the logicle scale, an event a row, as clustering wants them."""
        return np.ascontiguousarray(LOGICLE.apply(self.linear).T)

    @property
    def nodes(self) -> np.ndarray:
        """float64 (100, 10): a hundred of ``cells``, in the place of a trained map."""
        return self.cells[np.random.default_rng(3).choice(self.n_events, 100, replace=False)]

    def slice(self, first: int, stop: int) -> Events:
        """Some of the events, as a set of their own; what was worked out already is copied."""
        chosen = Events(stop - first, self.folder, self.rows[first:stop])
        for name in ("linear", "positions"):
            if name in self.__dict__:
                chosen.__dict__[name] = np.ascontiguousarray(self.__dict__[name][:, first:stop])
        return chosen

    def file(self, kind: str = "float32", byte_order: str = "<") -> Path:
        """Path of an FCS file of these events, written when first asked for; integers are made up within $PnR."""
        path = self.folder / f"{kind}{'be' if byte_order == '>' else 'le'}_{self.n_events}.fcs"
        if not path.exists():
            if (kind, byte_order) == ("float32", "<"):
                write_fcs(path, self.chunks(), DETECTORS, n_events=self.n_events)
            else:
                _write_plain(path, self.stored(kind, byte_order), kind, byte_order)
        return path

    def stored(self, kind: str, byte_order: str) -> np.ndarray:
        """What the DATA segment of such a file holds: (n_events, 14), for int24 bytes (n_events, 14, 3)."""
        dtype, datatype, _, value_range = FILE_KINDS[kind]
        if datatype == "F":
            return self.rows.astype(byte_order + dtype)
        shape = (self.n_events, len(DETECTORS))
        values = np.random.default_rng(2).integers(0, value_range, shape, dtype=np.uint32)
        stored = values.astype(byte_order + dtype)
        if kind != "int24":
            return stored
        whole = stored.view(np.uint8).reshape(*shape, 4)
        return np.ascontiguousarray(whole[:, :, 1:] if byte_order == ">" else whole[:, :, :3])

    def forget_files(self) -> None:
        """Delete this set's files: they may lie in memory."""
        for path in self.folder.glob(f"*_{self.n_events}.fcs"):
            path.unlink()


@contextmanager
def scratch(n_bytes: int) -> Iterator[Path]:
    """A temporary folder, in memory where the machine has room for so much, so that disks are not what is measured."""
    memory = Path("/dev/shm")
    usable = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > n_bytes
    with tempfile.TemporaryDirectory(prefix="cytomrd-bench-", dir=memory if usable else None) as folder:
        yield Path(folder)


def _draw(number: int, first: int, n: int) -> np.ndarray:
    """One chunk: scatter from gamma laws, fluorochromes of a dim and a bright population each, a rising time."""
    rng = np.random.default_rng([0, number])
    rows = np.empty((n, len(DETECTORS)), dtype=np.float32)
    rows[:, 0] = rng.gamma(6, 12000, n)
    rows[:, 1] = rng.gamma(3, 12000, n)
    for j in range(len(FLUOROCHROMES)):
        dim = rng.normal(50, 150, n)
        bright = np.exp(rng.normal(8 + 0.2 * j, 0.6, n))
        rows[:, 2 + j] = np.where(rng.random(n) < 0.3, bright, dim)
    rows[:, 12] = rng.normal(60000, 4000, n)
    rows[:, 13] = np.arange(first, first + n) / 1000
    return rows


def _write_plain(path: Path, stored: np.ndarray, kind: str, byte_order: str) -> None:
    """An FCS 3.1 file of one width and byte order; our writer knows only the usual ones."""
    _, datatype, bits, value_range = FILE_KINDS[kind]
    keywords = {
        "$BEGINANALYSIS": "0", "$ENDANALYSIS": "0", "$BEGINSTEXT": "0", "$ENDSTEXT": "0",
        "$BEGINDATA": "@" * 12, "$ENDDATA": "#" * 12, "$MODE": "L", "$NEXTDATA": "0", "$DATATYPE": datatype,
        "$BYTEORD": "4,3,2,1" if byte_order == ">" else "1,2,3,4",
        "$PAR": str(len(DETECTORS)), "$TOT": str(len(stored)),
    }  # fmt: skip
    for i, name in enumerate(DETECTORS, 1):
        keywords |= {f"$P{i}N": name, f"$P{i}B": str(bits), f"$P{i}R": str(value_range), f"$P{i}E": "0,0"}
    text = "|" + "".join(f"{key}|{value}|" for key, value in keywords.items())
    begin = 256 + len(text)
    end = begin + stored.nbytes - 1
    text = text.replace("@" * 12, f"{begin:012d}").replace("#" * 12, f"{end:012d}")
    # HEADER has 8 digits an offset; a longer file says 0 there and gives its offsets in TEXT.
    in_header = (begin, end) if end < 10**8 else (0, 0)
    offsets = (256, begin - 1, *in_header, 0, 0)
    head = ("FCS3.1    " + "".join(f"{offset:>8}" for offset in offsets)).ljust(256) + text
    with path.open("wb") as file:
        file.write(head.encode("ascii"))
        file.write(memoryview(stored).cast("B"))
        file.write(b"00000000")
