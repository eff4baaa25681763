"""Where stained cells lie on forward and side scatter, so that they are compared with unstained cells like them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["ScatterCells", "ScatterRegion", "fit_region", "one_population_share"]

N_BINS = 64
HALF = 0.5
WIDE = 0.1
# A quantile of 0.995 needs a few hundred cells.
EVENTS_PER_CELL = 300
MAX_CELLS_A_SIDE = 6


def _log(scatter: np.ndarray) -> np.ndarray:
    """Scatter on a logarithmic scale, shape (n, 2); what is not above zero lies at the lower end."""
    return np.log(np.maximum(scatter, 1.0))


@dataclass(frozen=True, eq=False)
class ScatterRegion:
    """A connected region of the scatter plane, on a grid over the logarithms of both signals.

    Attributes
    ----------
    low, high
        Corners of the grid, arrays of shape (2,), logarithms of scatter.
    mask
        bool, shape (n_bins, n_bins): which cells of the grid belong to it. None for everything,
        where the files have no two scatter signals.
    """

    low: np.ndarray | None = None
    high: np.ndarray | None = None
    mask: np.ndarray | None = None

    def contains(self, scatter: np.ndarray) -> np.ndarray:
        """Which events of shape (n, 2) lie in it, bool of shape (n,)."""
        if self.mask is None:
            return np.ones(len(scatter), dtype=bool)
        at, inside = _bins(_log(scatter), self.low, self.high)
        return inside & self.mask[at[:, 0], at[:, 1]]


def fit_region(scatter: np.ndarray, *, weights: np.ndarray | None = None, level: float = HALF) -> ScatterRegion:
    """The scatter population of most of these events: around the highest density, down to ``level`` of it.

    Parameters
    ----------
    scatter
        Shape (n, 2): the events that shall be in it, e.g. the positives; (n, 0) for files without scatter.
    weights
        Shape (n,): how much each of them counts in choosing the peak; all alike by default.
    level
        Density at the border as a fraction of the highest. At half of it the shoulders and bridges of
        neighbouring populations, whose autofluorescence differs, stay outside.
    """
    if scatter.shape[1] < 2 or len(scatter) == 0:
        return ScatterRegion()
    from scipy import ndimage

    at = _log(scatter)
    low, high = np.quantile(at, 0.005, axis=0), np.quantile(at, 0.995, axis=0)
    margin = 0.25 * (high - low) + 1e-3
    low, high = low - margin, high + margin
    spread = np.subtract(*np.quantile(at, [0.75, 0.25], axis=0)) / 1.349
    width = np.clip(spread * len(at) ** (-1 / 6) * N_BINS / (high - low), 1.0, N_BINS / 8)
    grid = {"bins": N_BINS, "range": [(low[0], high[0]), (low[1], high[1])]}
    density = ndimage.gaussian_filter(np.histogram2d(at[:, 0], at[:, 1], **grid)[0], width)
    counting = density
    if weights is not None:
        counting = ndimage.gaussian_filter(np.histogram2d(at[:, 0], at[:, 1], weights=weights, **grid)[0], width)
    peak = np.unravel_index(int(counting.argmax()), density.shape)
    pieces, _ = ndimage.label(density > level * density[peak])
    return ScatterRegion(low, high, pieces == pieces[peak])


def one_population_share(scatter: np.ndarray) -> float:
    """Share of the events that lie in the main scatter population, out to a tenth of its density."""
    region = fit_region(scatter, level=WIDE)
    return float(region.contains(scatter).mean()) if len(scatter) else 0.0


def _bins(at: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    position = np.floor((at - low) / (high - low) * N_BINS)
    inside = ((position >= 0) & (position < N_BINS)).all(axis=1)
    return np.where(inside[:, None], position, 0).astype(np.int64), inside


class ScatterCells:
    """The scatter plane in cells that hold equally many of some events; without scatter there is one cell.

    Autofluorescence goes with size and granularity: what is bright for an unstained lymphocyte is dim for a
    macrophage, so brightness is judged within a cell.
    """

    def __init__(self, scatter: np.ndarray):
        side = int(np.sqrt(len(scatter) / EVENTS_PER_CELL)) if scatter.shape[1] == 2 else 1
        self._n = int(np.clip(side, 1, MAX_CELLS_A_SIDE))
        inner = np.linspace(0, 1, self._n + 1)[1:-1]
        if self._n == 1:
            return
        at = _log(scatter)
        self._columns = np.quantile(at[:, 0], inner)
        column = np.digitize(at[:, 0], self._columns)
        # Log amplifiers give few distinct values, so that a column may be empty: it takes the borders of all.
        self._rows = [
            np.quantile(at[column == k, 1] if (column == k).any() else at[:, 1], inner) for k in range(self._n)
        ]

    def index(self, scatter: np.ndarray) -> np.ndarray:
        """Number of the cell of each event, shape (n,)."""
        if self._n == 1:
            return np.zeros(len(scatter), dtype=np.int64)
        at = _log(scatter)
        column = np.digitize(at[:, 0], self._columns)
        rows = np.zeros(len(at), dtype=np.int64)
        for k in range(self._n):
            rows[column == k] = np.digitize(at[column == k, 1], self._rows[k])
        return column * self._n + rows

    def quantile(self, scatter: np.ndarray, values: np.ndarray, q: float) -> np.ndarray:
        """Quantile of ``values`` (n,) in each cell, shape (n_cells,); that of all where a cell is nearly empty."""
        cell = self.index(scatter)
        overall = np.quantile(values, q)
        inside = [values[cell == k] for k in range(self._n**2)]
        return np.array(
            [np.quantile(v, q) if len(v) * (1 - q) >= 1 else max(overall, v.max(initial=overall)) for v in inside]
        )
