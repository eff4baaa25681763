"""A sample on the bench: numbers are those of a whole analysis with the moved gate, and no edit is lost."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

import cytomrd.run.gate_file as gate_file_module
from cytomrd.errors import ReviewError, StaleEditError
from cytomrd.fcs.dataset import open_fcs
from cytomrd.gating.apply import apply_gates
from cytomrd.gating.gating_ml import read_gating_ml
from cytomrd.review.edits import (
    CallCluster,
    MoveBound,
    MoveCut,
    MoveGate,
    MoveVertex,
    ResetAll,
    ResetGate,
    ReshapePolygon,
    edit_from_json,
    edit_to_json,
)
from cytomrd.review.views import numbers_of
from cytomrd.run.finish import analyse_marrow

from .conftest import reviewed

CUT = MoveCut("1", "CD38:bright", 0.80)


def value_of(bench, name: str, tube: str = "") -> object:
    """One number as kept."""
    return next(n.new for n in bench.numbers() if (n.name, n.tube) == (name, tube))


def analysed_with(bench, monkeypatch, change) -> object:
    """The oracle: the marrow analysed from its files on, with ``change(fitted)`` right after each tube's fit."""
    fit = gate_file_module.fit_gates

    def changed(dataset, panel, tube_id, **options):
        return change(fit(dataset, panel, tube_id, **options), tube_id)

    monkeypatch.setattr(gate_file_module, "fit_gates", changed)
    settings = bench.marrow.settings.model_copy(update={"gate_draws": 0})
    planned = bench.marrow.planned
    return analyse_marrow(planned, bench.panel, settings, folder=planned.files[0].path.parent)


def moved_in(fitted, moves: dict, cuts: dict):
    """Gates by name with fields replaced, and cuts with other values."""
    gates = tuple(replace(g, **moves[g.name]) if g.name in moves else g for g in fitted.strategy.gates)
    decisions = tuple(replace(d, value=cuts.get(d.name, d.value)) for d in fitted.decisions)
    return replace(fitted, strategy=replace(fitted.strategy, gates=gates), decisions=decisions)


def test_unedited_numbers_are_the_automatic_ones(opened):
    run, bench, *_ = opened
    assert bench.version == 0
    assert not any(n.changed or n.automatic != n.new for n in bench.numbers())
    with (run.results / "mrd.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    for name in ("n_nucleated", "n_plasma_cells", "n_clonal_pc", "status"):
        assert str(value_of(bench, name)) == row[name]
    assert [c.call for c in bench.clusters()] == [c.call for c in bench.automatic.clones.clusters]


def test_a_moved_corner_gives_the_numbers_of_a_whole_analysis(opened, monkeypatch):
    _, bench, ada, *_ = opened
    gate = next(g for g in bench.gates("2") if g.name == "cells")
    corner = min(range(len(gate.vertices)), key=lambda i: abs(gate.vertices[i][0] - 0.3))
    x, y = gate.vertices[corner]
    edit = MoveVertex("2", "cells", corner, x, y + 0.3)
    preview = bench.preview(edit)
    vertices = (*gate.vertices[:corner], (x, y + 0.3), *gate.vertices[corner + 1 :])
    oracle = analysed_with(
        bench, monkeypatch, lambda f, tube: moved_in(f, {"cells": {"vertices": vertices}} if tube == "2" else {}, {})
    )
    assert preview.result.files[1].count("cells") != bench.automatic.files[1].count("cells")
    assert_same(preview.result, oracle)
    kept = bench.keep(edit, who=ada, version=0, why="debris")
    assert_same(kept.preview.result, oracle, medians=True)


def test_a_moved_cut_gives_the_numbers_of_a_whole_analysis(opened, monkeypatch):
    _, bench, *_ = opened

    def follow(fitted, tube):
        if tube != "1":
            return fitted
        old = next(d.value for d in fitted.decisions if d.name == "CD38:bright")
        axis, moves, cuts = fitted.axes["CD38"], {}, {"CD38:bright": 0.80}
        for g in fitted.strategy.gates:
            if axis in getattr(g, "dimensions", ()) and hasattr(g, "minimum"):
                at = g.dimensions.index(axis)
                moves[g.name] = {
                    side: tuple(0.80 if i == at and b == old else b for i, b in enumerate(getattr(g, side)))
                    for side in ("minimum", "maximum")
                }
        return moved_in(fitted, moves, cuts)

    result = bench.preview(CUT).result
    assert result.files[0].count("cd38_bright") > bench.automatic.files[0].count("cd38_bright")
    assert_same(result, analysed_with(bench, monkeypatch, follow))


def assert_same(one, other, *, medians: bool = False):
    """Two results agree in every number of the tables, and in the label of every plasma cell."""
    assert [n for n in numbers_of(one, one, other) if n.changed] == []
    assert one.clones.clusters == other.clones.clusters
    for a, b in zip(one.files, other.files, strict=True):
        assert np.array_equal(a.rare[0].events, b.rare[0].events)
        assert np.array_equal(a.rare[0].labels, b.rare[0].labels)
        if medians:
            assert a.populations == b.populations


def test_a_glance_counts_gates_rightly_and_keeps_the_labels(opened):
    _, bench, *_ = opened
    edit = MoveBound("1", "pc_both_bright", "CD138", "minimum", 0.48)
    glance = bench.preview(edit, glance=True)
    full = bench.preview(edit)
    assert (glance.settled, full.settled) == (False, True)
    gates = [n for n in glance.numbers if n.group != "mrd"]
    assert gates == [n for n in full.numbers if n.group != "mrd"]
    assert glance.result.mrd.n_plasma_cells == full.result.mrd.n_plasma_cells
    for seen, found, before in zip(glance.result.files, full.result.files, bench.automatic.files, strict=True):
        known = dict(zip(before.rare[0].events, before.rare[0].labels, strict=True))
        cells = seen.rare[0]
        assert np.array_equal(cells.events, found.rare[0].events)
        assert all(known.get(e, label) == label for e, label in zip(cells.events, cells.labels, strict=True))
    assert bench.preview(edit, glance=True).settled, "what is known already is not guessed"


def test_a_shared_bound_moves_in_every_gate_and_in_the_cut(opened):
    _, bench, *_ = opened
    linked = bench.preview(MoveBound("1", "cd38_bright", "CD38", "minimum", 0.8)).result
    cut = bench.preview(CUT).result
    assert_same(linked, cut)
    alone = bench.preview(MoveBound("1", "cd38_bright", "CD38", "minimum", 0.8, linked=False)).result
    assert alone.files[0].count("cd38_bright") == cut.files[0].count("cd38_bright")
    assert alone.files[0].count("cd38_not_bright") == bench.automatic.files[0].count("cd38_not_bright")


def test_gates_can_be_moved_reshaped_and_reset(opened):
    _, bench, ada, *_ = opened
    gate = next(g for g in bench.gates("1") if g.name == "singlets")
    dy = 0.02
    moved = MoveGate("1", "singlets", {"FSC-H": dy})
    reshaped = ReshapePolygon("1", "singlets", tuple((x, y + dy) for x, y in gate.vertices))
    assert_same(bench.preview(moved).result, bench.preview(reshaped).result)
    bench.keep(moved, who=ada, version=0)
    bench.keep(CUT, who=ada, version=1)
    assert [g.name for g in bench.gates("1") if g.changed][:2] == ["singlets", "cd38_bright"]
    bench.keep(ResetGate("1", "cd38_bright"), who=ada, version=2)
    assert [g.name for g in bench.gates("1") if g.changed] == ["singlets"]
    bench.keep(ResetAll(), who=ada, version=3)
    assert not any(g.changed for g in bench.gates("1"))
    assert not any(n.automatic != n.new for n in bench.numbers())


def test_undo_and_redo_go_all_the_way_and_are_entries_themselves(opened):
    run, bench, ada, bob, _ = opened
    places = [bench.automatic.files[0].count("cd38_bright")]
    for i, value in enumerate((0.8, 0.78, 0.76)):
        bench.keep(MoveCut("1", "CD38:bright", value), who=ada, version=i)
        places.append(value_of(bench, "cd38_bright n_events", "1"))
    assert len(set(places)) == 4
    for i, place in enumerate(reversed(places[:-1])):
        bench.undo(who=bob, version=3 + i, why="look again")
        assert value_of(bench, "cd38_bright n_events", "1") == place
    assert (bench.may_undo, bench.may_redo) == (False, True)
    with pytest.raises(ReviewError, match="nothing to undo"):
        bench.undo(who=bob, version=6)
    bench.redo(who=bob, version=6)
    assert value_of(bench, "cd38_bright n_events", "1") == places[1]
    bench.keep(MoveCut("1", "CD38:bright", 0.79), who=ada, version=7)
    assert not bench.may_redo
    assert [e.action for e in run.trail.entries()] == ["cut"] * 3 + ["undo"] * 3 + ["redo", "cut"]
    assert run.trail.check() == ()


def test_nothing_is_lost_when_the_server_starts_again(opened, run_folder):
    run, bench, ada, *_ = opened
    bench.keep(CUT, who=ada, version=0, why="dim")
    bench.keep(CallCluster(bench.clusters()[0].id, "normal"), who=ada, version=1)
    run.close()
    with reviewed(run_folder) as again:
        other = again.workbench("BM")
        assert (other.version, other.may_undo) == (2, True)
        assert other.numbers() == bench.numbers()
        assert other.clusters() == bench.clusters()


def test_of_two_windows_the_second_is_told_what_changed(opened, run_folder):
    _, bench, ada, bob, _ = opened
    with reviewed(run_folder) as elsewhere:
        other = elsewhere.workbench("BM")
        bench.keep(CUT, who=ada, version=0)
        for window in (bench, other):
            with pytest.raises(StaleEditError) as caught:
                window.keep(MoveCut("1", "CD38:bright", 0.7), who=bob, version=0)
            assert [(e.who, e.target) for e in caught.value.entries] == [("Ada", "tube 1: CD38:bright")]
        assert other.version == 1
        assert other.numbers() == bench.numbers()
        other.keep(MoveCut("1", "CD38:bright", 0.7), who=bob, version=1)
    assert [e.new for e in bench.trail()] != []
    assert not list(bench._versions.folder.glob(".*")), "refused versions leave nothing"


def test_a_version_holds_the_numbers_and_gates_and_the_automatic_results_stay(opened):
    run, bench, ada, *_ = opened
    before = {p: p.read_bytes() for p in sorted(run.results.rglob("*")) if p.is_file()}
    kept = bench.keep(CUT, who=ada, version=0)
    with (kept.folder / "mrd.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert int(row["n_clonal_pc"]) == bench.result().mrd.n_clonal_pc
    strategy = read_gating_ml(kept.folder / "gates-tube-1.xml")
    found = apply_gates(open_fcs(run.folder / "BM_1.fcs"), strategy)
    assert found.count("cd38_bright") == value_of(bench, "cd38_bright n_events", "1")
    assert json.loads(kept.entry.new)["seal"] == bench._versions.manifest(1)["seal"]
    assert before == {p: p.read_bytes() for p in sorted(run.results.rglob("*")) if p.is_file()}


def test_a_call_moves_the_events_of_its_cluster_and_no_others(opened):
    _, bench, ada, *_ = opened
    clonal = next(c for c in bench.clusters() if c.call == "clonal")
    rest = next(c for c in bench.clusters() if c.call == "normal")
    n_clonal, n_normal = bench.result().mrd.n_clonal_pc, bench.result().mrd.n_normal_pc
    n = sum(rest.n_events.values())
    result = bench.keep(CallCluster(rest.id, "clonal"), who=ada, version=0, why="aberrant").preview.result
    assert result.mrd.n_clonal_pc == pytest.approx(n_clonal + n, abs=0.1 * n + 3)
    assert any(f.startswith("CALLED_BY_PERSON") for f in result.flags)
    view = next(c for c in bench.clusters() if c.id == rest.id)
    assert (view.call, view.automatic_call, view.called_by) == ("clonal", "normal", "Ada")
    bench.keep(CallCluster(rest.id, "not_sure"), who=ada, version=1)
    assert bench.result().mrd.n_indeterminate_pc == pytest.approx(n, abs=0.1 * n + 3)
    bench.keep(CallCluster(rest.id, "normal"), who=ada, version=2)
    assert (bench.result().mrd.n_clonal_pc, bench.result().mrd.n_normal_pc) == (n_clonal, n_normal)
    bench.keep(CallCluster(clonal.id, "normal"), who=ada, version=3)
    assert bench.result().mrd.n_clonal_pc < n_clonal
    labels = {t: bench.rare(t) for t in bench.tubes}
    for cells in labels.values():
        assert len(cells.events) == len(cells.labels) == len(cells.clusters) == len(cells.transformed)


def test_a_call_follows_its_events_through_a_moved_gate(opened):
    _, bench, ada, *_ = opened
    rest = max((c for c in bench.clusters() if c.call == "normal"), key=lambda c: sum(c.n_events.values()))
    bench.keep(CallCluster(rest.id, "not_sure"), who=ada, version=0)
    bench.keep(MoveGate("2", "singlets", {"FSC-H": 0.001}), who=ada, version=1)
    assert [c.called_by for c in bench.clusters()].count("Ada") + len(bench.notes) == 1
    assert bench.notes == () or "not used" in bench.notes[0]


@pytest.mark.parametrize(
    "edit",
    [
        MoveVertex("1", "cells", 999, 0.0, 0.0),
        MoveVertex("1", "cd38_bright", 0, 0.0, 0.0),
        MoveVertex("9", "cells", 0, 0.0, 0.0),
        MoveVertex("1", "no such gate", 0, 0.0, 0.0),
        MoveGate("1", "plasma_cells", {"CD38": 0.1}),
        MoveGate("1", "cells", {"CD38": 0.1}),
        MoveBound("1", "cd38_bright", "CD38", "maximum", 0.9),
        MoveBound("1", "cd38_bright", "CD3", "minimum", 0.9),
        MoveCut("1", "no such cut", 0.5),
        CallCluster("ZZ", "normal"),
    ],
    ids=repr,
)
def test_an_edit_that_does_not_fit_is_refused_with_what_would(opened, edit):
    run, bench, ada, *_ = opened
    with pytest.raises(ReviewError):
        bench.preview(edit)
    with pytest.raises(ReviewError):
        bench.keep(edit, who=ada, version=0)
    assert run.trail.head()[0] == 0


def test_an_edit_that_changes_nothing_is_no_entry(opened):
    run, bench, ada, *_ = opened
    with pytest.raises(ReviewError, match="changes nothing"):
        bench.keep(ResetAll(), who=ada, version=0)
    assert run.trail.head()[0] == 0


def test_density_counts_every_event_of_a_population(opened):
    _, bench, *_ = opened
    for population in ("root", "nucleated", "plasma_cells"):
        image = bench.density("2", population, "CD38", "CD138", bins=64)
        n = 30_000 if population == "root" else bench.result().files[1].count(population)
        assert image.counts.shape == (64, 64)
        assert abs(image.n_events - n) <= (2 if population == "root" else 0)
    wider = bench.density("1", "cd38_bright", "CD38", "CD138", edit=CUT)
    assert wider.n_events == bench.preview(CUT).result.files[0].count("cd38_bright")
    with pytest.raises(ReviewError, match="no population"):
        bench.density("2", "no such", "CD38", "CD138")
    with pytest.raises(ReviewError, match="no marker"):
        bench.density("2", "root", "CD38", "CD3")


def test_one_rare_event_is_shown_in_every_channel(opened):
    _, bench, *_ = opened
    cells = bench.rare("2")
    values = {v.marker: v for v in bench.rare_event("2", int(cells.events[0]))}
    for marker in ("CD38", "CD138", "CD19"):
        assert values[marker].transformed == pytest.approx(cells.transformed[0, cells.markers.index(marker)])
    with pytest.raises(ReviewError, match="no event"):
        bench.rare_event("2", 10**9)


def test_a_file_that_changed_since_it_was_gated_is_not_reviewed(run_folder):
    path = run_folder / "BM_1.fcs"
    raw = bytearray(path.read_bytes())
    raw[-50] ^= 1
    path.write_bytes(raw)
    with reviewed(run_folder) as run, pytest.raises(ReviewError, match=r"BM_1\.fcs: changed since"):
        run.workbench("BM")


def test_unknown_samples_and_runs_are_refused(run_folder, tmp_path):
    with reviewed(run_folder) as run, pytest.raises(ReviewError, match="no sample"):
        run.workbench("../BM")
    from cytomrd.errors import RunError

    with pytest.raises(RunError, match="no finished run"), reviewed(tmp_path / "nothing"):
        pass


EDITS = [
    MoveVertex("1", "cells", 3, 0.1, 0.2),
    MoveGate("1", "cells", {"FSC-A": 0.1}),
    MoveBound("1", "g", "CD38", "minimum", 0.5),
    ReshapePolygon("1", "g", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))),
    CUT,
    ResetGate("1", "g"),
    ResetAll(),
    CallCluster("A", "not_sure"),
]


@pytest.mark.parametrize("edit", EDITS, ids=repr)
def test_edits_go_through_json_unchanged(edit):
    assert edit_from_json(json.loads(json.dumps(edit_to_json(edit)))) == edit


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {"kind": "__class__"},
        {"kind": "MoveCut", "tube": "1", "cut": "c"},
        {"kind": "MoveCut", "tube": "1", "cut": "c", "value": float("nan")},
        {"kind": "MoveCut", "tube": "1", "cut": "c", "value": True},
        {"kind": "MoveCut", "tube": "1", "cut": "c", "value": "0.5"},
        {"kind": "MoveCut", "tube": 1, "cut": "c", "value": 0.5},
        {"kind": "MoveCut", "tube": "1", "cut": "c", "value": 0.5, "more": 1},
        {"kind": "MoveVertex", "tube": "1", "gate": "g", "vertex": 1.5, "x": 0, "y": 0},
        {"kind": "ReshapePolygon", "tube": "1", "gate": "g", "vertices": [[0, 0], [1, 1]]},
        {"kind": "ReshapePolygon", "tube": "1", "gate": "g", "vertices": [[0, 0]] * 2000},
        {"kind": "ReshapePolygon", "tube": "1", "gate": "g", "vertices": "abc"},
        {"kind": "MoveGate", "tube": "1", "gate": "g", "by": {}},
        {"kind": "CallCluster", "cluster": "A", "call": "indeterminate"},
        {"kind": "MoveBound", "tube": "1", "gate": "g", "marker": "m", "side": "name", "value": 1},
    ],
    ids=str,
)
def test_what_is_no_edit_is_refused(data):
    with pytest.raises(ReviewError):
        edit_from_json(data)
