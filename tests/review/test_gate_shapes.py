"""A gate's new shape on the page becomes exactly one edit, or is refused."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from cytomrd.errors import ReviewError
from cytomrd.preprocess.transforms import Logicle
from cytomrd.review.edits import MoveBound, MoveGate, MoveVertex, ReshapePolygon, edit_from_json, edit_to_json
from cytomrd.review.web.gate_shapes import edit_of_shape, edit_of_value, shape_of

CORNERS = ((0.1, 0.2), (0.5, 0.2), (0.5, 0.8), (0.1, 0.8))


def _view(kind, axes, **more):
    given = {
        "name": "g",
        "title": "The gate",
        "vertices": (),
        "minimum": (),
        "maximum": (),
        "outlines": lambda x, y: [],
    }
    return SimpleNamespace(**(given | {"kind": kind, "axes": axes} | more))


POLYGON = _view("polygon", ("FSC-A", "SSC-A"), vertices=CORNERS)
RECTANGLE = _view("rectangle", ("CD38", "SSC-A", "CD45"), minimum=(0.7, None, 0.1), maximum=(None, 0.33, 0.9))
CUT = _view("rectangle", ("Time",), minimum=(-1e30,), maximum=(None,))
CIRCLE = _view("ellipse", ("FSC-A", "SSC-A"), outlines=lambda x, y: [np.array(CORNERS)])


def _axis(marker):
    return SimpleNamespace(marker=marker, transform=Logicle())


def _shape(view, x, y):
    return shape_of(view, _axis(x), _axis(y))


def _bench(view):
    axes = {marker: _axis(marker) for marker in (*view.axes, "CD45", "SSC-A")}
    return SimpleNamespace(tubes=("1",), gates=lambda tube: (view,), axes=lambda tube: axes)


def _edit(view, x, y, shape, **more):
    asked = json.loads(json.dumps({"tube": "1", "gate": "g", "x": x, "y": y, "shape": shape} | more))
    return edit_of_shape(_bench(view), asked)


def _moved(points, *changes):
    points = [list(p) for p in points]
    for i, dx, dy in changes:
        points[i] = [points[i][0] + dx, points[i][1] + dy]
    return {"kind": "polygon", "points": points}


def test_one_corner_is_a_vertex():
    edit = _edit(POLYGON, "FSC-A", "SSC-A", _moved(CORNERS, (2, 0.05, -0.1)))
    assert (type(edit), edit.vertex) == (MoveVertex, 2)
    assert (edit.x, edit.y) == (0.55, pytest.approx(0.7))


def test_axes_the_other_way_round_stay_the_gates_own():
    shape = _shape(POLYGON, "SSC-A", "FSC-A")
    assert shape["points"][1] == [0.2, 0.5]
    edit = _edit(POLYGON, "SSC-A", "FSC-A", _moved(shape["points"], (1, 0.1, 0.0)))
    assert edit == MoveVertex("1", "g", 1, 0.5, pytest.approx(0.3))
    whole = _edit(POLYGON, "SSC-A", "FSC-A", _moved(shape["points"], *((i, 0.1, 0.02) for i in range(4))))
    assert whole.by == {"SSC-A": pytest.approx(0.1), "FSC-A": pytest.approx(0.02)}


def test_all_corners_alike_is_the_whole_gate():
    edit = _edit(POLYGON, "FSC-A", "SSC-A", _moved(CORNERS, *((i, 0.1, -0.05) for i in range(4))))
    assert type(edit) is MoveGate
    assert edit.by == {"FSC-A": pytest.approx(0.1), "SSC-A": pytest.approx(-0.05)}


def test_any_other_change_is_a_new_form():
    two = _edit(POLYGON, "FSC-A", "SSC-A", _moved(CORNERS, (0, 0.1, 0), (2, 0.1, 0)))
    more = _edit(POLYGON, "FSC-A", "SSC-A", {"kind": "polygon", "points": [*CORNERS, (0.05, 0.5)]})
    assert type(two) is type(more) is ReshapePolygon
    assert len(more.vertices) == 5
    assert edit_from_json(json.loads(json.dumps(edit_to_json(more)))) == more


def test_a_gate_that_did_not_move_is_no_edit():
    for view, shape in ((POLYGON, _moved(CORNERS)), (RECTANGLE, _shape(RECTANGLE, "CD38", "SSC-A"))):
        assert _edit(view, *view.axes[:2], shape) is None


@pytest.mark.parametrize(
    "points",
    [None, [], [[0, 0], [1, 1]], [[0, 0, 0]] * 4, [[0, "a"]] * 4, [[0, 1e300]] * 4, [[0, None]] * 4, [[0, 1]] * 501],
)
def test_what_is_no_outline_is_refused(points):
    with pytest.raises(ReviewError):
        _edit(POLYGON, "FSC-A", "SSC-A", {"kind": "polygon", "points": points})


def test_one_edge_is_a_bound():
    edit = _edit(RECTANGLE, "CD38", "SSC-A", {"kind": "interval", "x": [0.75, None], "y": [None, 0.33]})
    assert edit == MoveBound("1", "g", "CD38", "minimum", 0.75, True)
    alone = _edit(RECTANGLE, "SSC-A", "CD38", {"kind": "interval", "x": [None, 0.4], "y": [0.7, None]}, linked=False)
    assert alone == MoveBound("1", "g", "SSC-A", "maximum", 0.4, False)


def test_an_open_side_stays_open():
    edit = _edit(RECTANGLE, "CD38", "SSC-A", {"kind": "interval", "x": [0.75, 0.9], "y": [0.0, 0.33]})
    assert edit == MoveBound("1", "g", "CD38", "minimum", 0.75, True)
    assert _shape(CUT, "Time", "SSC-A") is None


def test_a_shifted_rectangle_is_the_whole_gate():
    edit = _edit(RECTANGLE, "CD45", "SSC-A", {"kind": "interval", "x": [0.2, 1.0], "y": [None, 0.38]})
    assert edit == MoveGate("1", "g", {"CD45": pytest.approx(0.1), "SSC-A": pytest.approx(0.05)})


def test_two_edges_of_their_own_are_refused_with_what_to_do():
    for x, y in (([0.2, 0.85], [None, 0.33]), ([0.2, 0.9], [None, 0.4])):
        with pytest.raises(ReviewError, match=r"one edge .* at a time"):
            _edit(RECTANGLE, "CD45", "SSC-A", {"kind": "interval", "x": x, "y": y})


@pytest.mark.parametrize("value", ["0.5", None, True, 1e300, [0.5]])
def test_a_bound_that_is_no_number_is_refused(value):
    with pytest.raises(ReviewError):
        _edit(RECTANGLE, "CD38", "SSC-A", {"kind": "interval", "x": [value, None], "y": [None, 0.33]})


def test_a_gate_elsewhere_has_no_shape_here():
    assert _shape(POLYGON, "FSC-A", "CD45") is None
    assert _shape(RECTANGLE, "FSC-A", "CD19") is None
    for shape in (None, {"kind": "polygon", "points": CORNERS}, {"kind": "interval"}):
        with pytest.raises(ReviewError):
            _edit(POLYGON, "FSC-A", "CD45", shape)


def test_an_ellipse_moves_as_a_whole_alone():
    shape = {"kind": "ellipse", "points": [[x + 0.1, y] for x, y in CORNERS]}
    assert _edit(CIRCLE, "FSC-A", "SSC-A", shape) == MoveGate("1", "g", {"FSC-A": pytest.approx(0.1), "SSC-A": 0.0})
    with pytest.raises(ReviewError, match="as a whole"):
        _edit(CIRCLE, "FSC-A", "SSC-A", _moved(CORNERS, (0, 0.1, 0.1)) | {"kind": "ellipse"})


def test_a_typed_value_is_a_position_on_the_scale():
    asked = {"tube": "1", "gate": "g", "marker": "CD38", "side": "minimum", "value": 5000}
    edit = edit_of_value(_bench(RECTANGLE), asked)
    assert edit.value == pytest.approx(float(Logicle().apply(5000.0)))
    for wrong in ({"value": "5000"}, {"value": float("nan")}, {"side": "middle"}, {"marker": "CD19"}, {"gate": "no"}):
        with pytest.raises(ReviewError):
            edit_of_value(_bench(RECTANGLE), asked | wrong)


def test_unknown_tubes_and_gates_are_refused():
    for wrong in ({"tube": "9"}, {"tube": None}, {"gate": "../x"}, {"gate": None}):
        with pytest.raises(ReviewError, match=r"no (tube|gate)"):
            _edit(POLYGON, "FSC-A", "SSC-A", _moved(CORNERS, (0, 0.1, 0)), **wrong)
