"""A robust ellipse around the main cluster on two channels."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from cytomrd.errors import GateError
from cytomrd.kernels.gates import points_in_ellipsoid
from cytomrd.kernels.moments import add_moments, mean_and_covariance

__all__ = ["fit_ellipse"]

MIN_EVENTS = 50
CORE = 0.8
N_STEPS = 60


def fit_ellipse(points: np.ndarray, *, coverage: float = 0.99) -> tuple[np.ndarray, np.ndarray, float]:
    """Fit the ellipse that holds ``coverage`` of a Gaussian main cluster.

    It starts at the densest place and alternates between the events within the current
    80 % ellipse and their mean and covariance (scaled for the truncation), so
    that other clusters and stray events do not widen it.

    Parameters
    ----------
    points
        Array of shape (n_events, 2), transformed scale.
    coverage
        Fraction of the cluster inside, 0 to 1.

    Returns
    -------
    mean
        Array of shape (2,).
    covariance
        Array of shape (2, 2).
    distance_square
        The squared Mahalanobis distance of the outline.

    Raises
    ------
    GateError
        With fewer than 50 events, or when they lie on a line.

    Examples
    --------
    >>> import numpy as np
    >>> from cytomrd.gating.fit import fit_ellipse
    >>> points = np.random.default_rng(0).normal([0.4, 0.6], [0.02, 0.05], (2000, 2))
    >>> mean, covariance, distance_square = fit_ellipse(points)
    >>> [float(v) for v in mean.round(1)], round(distance_square, 2)
    ([0.4, 0.6], 9.21)
    """
    points = np.asarray(points, dtype=np.float64)
    points = points[np.isfinite(points).all(axis=1)]
    if len(points) < MIN_EVENTS:
        raise GateError(f"ellipse: {len(points)} events, {MIN_EVENTS} are needed")
    mean = _densest(points)
    scale = 1.4826 * np.median(np.abs(points - mean), axis=0)
    if not (scale > 1e-9).all():
        raise GateError("ellipse: the events lie on a line, so there is no cluster to enclose")
    covariance = np.diag((0.5 * scale) ** 2)
    # A Gaussian's core within squared distance c holds CORE of it; truncation shrinks its covariance by this factor.
    core = -2.0 * np.log(1.0 - CORE)
    shrink = 1.0 - (1.0 - CORE) * core / (2.0 * CORE)
    columns, inside = np.ascontiguousarray(points.T), np.empty(len(points), dtype=np.uint8)
    for _ in range(N_STEPS):
        if not np.linalg.eigvalsh(covariance).min() > 1e-12:
            break
        inside[:] = 1
        points_in_ellipsoid(columns, mean, np.linalg.inv(covariance), core, inside.size, inside)
        sums, products = np.zeros(2), np.zeros((2, 2))
        n_inside = add_moments(columns, inside, mean, inside.size, sums, products)
        if n_inside < MIN_EVENTS // 2:
            covariance = covariance * 1.5
            continue
        new_mean, of_core = mean_and_covariance(n_inside, mean, sums, products)
        new_covariance = of_core / shrink
        moved = np.abs(new_mean - mean).max() + np.abs(new_covariance - covariance).max()
        mean, covariance = new_mean, new_covariance
        if moved < 1e-7:
            break
    if not np.linalg.eigvalsh(covariance).min() > 1e-12:
        raise GateError("ellipse: the events lie on a line, so there is no cluster to enclose")
    return mean, covariance, float(-2.0 * np.log(1.0 - min(coverage, 1.0 - 1e-9)))


def _densest(points: np.ndarray) -> np.ndarray:
    low, high = np.quantile(points, (0.001, 0.999), axis=0)
    high = np.maximum(high, low + 1e-6)
    counts, x, y = np.histogram2d(points[:, 0], points[:, 1], bins=96, range=list(zip(low, high, strict=True)))
    density = gaussian_filter(counts, 2.5, mode="constant")
    i, j = np.unravel_index(int(np.argmax(density)), density.shape)
    return np.array([(x[i] + x[i + 1]) / 2, (y[j] + y[j + 1]) / 2])
