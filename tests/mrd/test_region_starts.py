"""Where clones are looked for."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_plasma import CLONES, SPEC, TUNED, simulate, without_cd38

from cytomrd.mrd.phenotype import AntigenScore
from cytomrd.mrd.region_cells import Cells
from cytomrd.mrd.region_clone import Start
from cytomrd.mrd.region_starts import with_settled
from cytomrd.mrd.standard import standardise


@pytest.fixture(scope="module")
def marrow():
    """A clone of fifteen cells a tube, and its middle in standard units."""
    cells, truth = simulate(TUNED[0], 3, n_normal=1_500, n_clonal=15, clone="typical_lambda", poisson=False)
    view = standardise(cells, SPEC)
    return view, middle_of(view, truth)


def middle_of(view, truth):
    place = np.zeros(len(view.markers))
    for x, columns, clonal in zip(view.x, view.columns, truth, strict=True):
        place[columns] = np.median(x[clonal > 0], axis=0)
    return place


def cells_of(view):
    return Cells.measured(view.blocks, (54.0, 36.0), [], view.floor)


def beside(place, part):
    antigens = tuple(AntigenScore(m, "reduced", True, -5.0) for m in ("CD19", "CD27", "CD81"))
    return Start(np.repeat((place * part)[None], 2, axis=0), antigens, 7)


def test_places_beside_a_clone_settle_on_it_once(marrow):
    view, place = marrow
    starts = [beside(place, 0.75), beside(place, 0.8)]
    found = with_settled(starts, cells_of(view), view)
    assert found[:2] == starts
    assert len(found) == 3
    assert np.abs(found[2].centre.mean(axis=0) - place).mean() < 0.6
    assert found[2].tried == 7
    assert found[2].n_aberrant >= 3


def test_a_place_that_settles_among_normal_cells_is_no_start(marrow):
    view, place = marrow
    starts = [beside(place, 0.0)]
    assert with_settled(starts, cells_of(view), view) == starts


@pytest.mark.parametrize("cd138, looked_for", [("+", True), ("-", False)])
def test_cells_with_neither_cd38_nor_cd138_are_no_start(cd138, looked_for, monkeypatch):
    """Other cells that the gates let through have one light chain by chance; a clone may have lost one of the two."""
    monkeypatch.setitem(CLONES, "stranger", without_cd38(cd138))
    cells, truth = simulate(TUNED[0], 6, n_normal=2_000, n_clonal=15, clone="stranger", poisson=False)
    view = standardise(cells, SPEC)
    starts = [beside(middle_of(view, truth), 0.9)]
    assert (len(with_settled(starts, cells_of(view), view)) == 2) is looked_for
