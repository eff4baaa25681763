"""A clone followed through visits: alike, expected by chance, moved; the call itself is never touched."""

from __future__ import annotations

import numpy as np
import pytest

from cytomrd.mrd.tracking import CloneTrack, compare_tube, track_flags

MARKERS = ("CD19", "CD56", "CD45", "CD27", "CyIgKappa", "CyIgLambda")
CLONE, NORMAL = np.array([0.2, 0.7, 0.3, 0.35, 0.7, 0.25]), np.array([0.6, 0.25, 0.6, 0.6, 0.45, 0.45])


def cells(rng, centre, n, sd=0.05):
    return centre + sd * rng.standard_normal((n, len(MARKERS)))


def compare(later, is_clonal, *, n_earlier=200, seed=0):
    rng = np.random.default_rng(seed)
    return compare_tube(
        cells(rng, CLONE, n_earlier), cells(rng, NORMAL, 1_000, 0.08), later, is_clonal, markers=MARKERS
    )


def codes(tube):
    return {f.partition(":")[0] for f in track_flags(CloneTrack("screening", "BM0", (tube,)))}


@pytest.mark.parametrize("n_earlier", [12, 60, 3_000])
def test_most_of_the_same_clone_is_alike_and_normal_cells_are_not(n_earlier):
    rng = np.random.default_rng(1)
    later = np.vstack([cells(rng, NORMAL, 900, 0.08), cells(rng, CLONE + 0.02, 300)])
    found = compare(later, np.repeat([False, True], [900, 300]), n_earlier=n_earlier)
    assert 0.85 * 300 < found.n_clonal_alike <= 300
    assert found.n_uncalled_alike <= 3
    assert found.n_expected < 2
    assert codes(found) == {"TRACKED"}


def test_cells_alike_that_were_not_called_ask_for_a_person():
    rng = np.random.default_rng(2)
    later = np.vstack([cells(rng, NORMAL, 900, 0.08), cells(rng, CLONE, 12)])
    found = compare(later, np.zeros(912, dtype=bool))
    assert found.n_clonal == 0
    assert found.n_uncalled_alike >= 9
    assert codes(found) == {"TRACKED", "ALIKE_UNCALLED"}


def test_a_clone_that_changed_is_said_with_the_marker():
    rng = np.random.default_rng(3)
    shifted = CLONE + np.array([0.0, -0.4, 0, 0, 0, 0])
    found = compare(cells(rng, shifted, 100), np.ones(100, dtype=bool))
    assert found.moved == ("CD56 lower",)
    assert codes(found) == {"TRACKED", "CLONE_CHANGED"}


def test_normal_cells_that_lie_in_the_region_are_expected_there():
    rng = np.random.default_rng(4)
    found = compare_tube(
        cells(rng, NORMAL, 100), cells(rng, NORMAL, 500), cells(rng, NORMAL, 400), np.zeros(400, bool), markers=MARKERS
    )
    assert found.n_expected == pytest.approx(found.n_uncalled_alike, rel=0.1)
    assert codes(found) == {"TRACKED"}


def test_an_empty_later_sample():
    found = compare(np.empty((0, 6)), np.zeros(0, dtype=bool))
    assert (found.n_clonal, found.n_clonal_alike, found.n_uncalled_alike, found.n_expected) == (0, 0, 0, 0.0)
