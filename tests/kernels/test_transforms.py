"""Scales against their published formulas, FlowKit's peers, and their own inverses."""

from __future__ import annotations

import math

import naive_gates
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytomrd.errors import GateError
from cytomrd.kernels import transforms as kernels
from cytomrd.preprocess.transforms import (
    Asinh,
    Biexponential,
    FlowJoLog,
    Hyperlog,
    Linear,
    Log,
    Logicle,
    scale_constants,
)

PARAMETERS = [
    (262144.0, 0.5, 4.5, 0.0),
    (1000.0, 1.0, 4.0, 0.5),
    (4194304.0, 1.0, 4.5, -0.5),
    (1e7, 0.3, 6.0, 1.0),
    (262144.0, 2.25, 4.5, 0.0),
]
INVERTIBLE = [
    Logicle(),
    Logicle(1e7, 0.0, 6.0, 1.0),
    Hyperlog(),
    Asinh(A=1.0),
    Linear(A=100.0),
    Biexponential(0.5, -100.0),
]


@pytest.fixture
def values() -> np.ndarray:
    rng = np.random.default_rng(20240611)
    spread = 10 ** rng.uniform(-4, 6, 300)
    return np.concatenate([spread, -spread, rng.normal(0, 200, 300), [0.0, -0.0, 262144.0]])


@pytest.mark.parametrize("parameters", PARAMETERS)
@pytest.mark.parametrize(("scale", "oracle"), [(Logicle, naive_gates.logicle), (Hyperlog, naive_gates.hyperlog)])
def test_root_of_the_published_formula(scale, oracle, parameters, values):
    expected = [oracle(x, *parameters) for x in values]
    np.testing.assert_allclose(scale(*parameters).apply(values), expected, rtol=0, atol=2e-14)


@pytest.mark.parametrize("parameters", [*PARAMETERS, (262144.0, 0.0, 4.5, 0.0)])
def test_logicle_and_hyperlog_equal_flowutils(parameters, values):
    flowutils = pytest.importorskip("flowutils.transforms")
    T, W, M, A = parameters
    np.testing.assert_allclose(
        Logicle(*parameters).apply(values), flowutils.logicle(values, None, T, M, W, A), atol=1e-12
    )
    if W > 0:
        np.testing.assert_allclose(
            Hyperlog(*parameters).apply(values), flowutils.hyperlog(values, None, T, M, W, A), atol=1e-12
        )


@pytest.mark.parametrize("scale", INVERTIBLE, ids=str)
@given(x=st.floats(-5e4, 2.5e5))
@settings(max_examples=60, deadline=None)
def test_inverse_undoes_apply(scale, x):
    if isinstance(scale, Biexponential):
        x = min(max(x, scale_constants(scale).table[0, 0]), 262144.0)
    assert float(scale.inverse(scale.apply(x))) == pytest.approx(x, abs=1e-8 * max(abs(x), 1.0))


@pytest.mark.parametrize("scale", [*INVERTIBLE, FlowJoLog()], ids=str)
def test_scales_rise(scale, values):
    positions = scale.apply(np.sort(values))
    assert (np.diff(positions) >= 0).all()


@pytest.mark.parametrize("scale", [Logicle(), Hyperlog(), Asinh(), Linear()], ids=str)
def test_non_finite_values_keep_their_meaning(scale):
    positions = scale.apply([np.nan, np.inf, -np.inf])
    assert math.isnan(positions[0])
    assert positions[1] == np.inf
    assert positions[2] == -np.inf


@pytest.mark.parametrize("scale", [Logicle(), Hyperlog()], ids=str)
@pytest.mark.parametrize("x", [5e-324, 1e-310, 1e-30, 1e30, 1e199, 1e201, 1e300])
def test_far_values_converge(scale, x):
    assert float(scale.inverse(scale.apply(x))) == pytest.approx(x, rel=1e-12, abs=1e-13)
    middle = float(scale.apply(0.0))
    assert float(scale.apply(-x)) - middle == pytest.approx(middle - float(scale.apply(x)), abs=1e-13)


def test_logarithms_below_their_foot():
    assert np.isnan(Log().apply(-1.0))
    assert Log().apply(0.0) == -np.inf
    assert FlowJoLog(offset=2.0).apply([-5.0, 0.0, 2.0]).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("negative", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("width", [-1.0, -10.0, -100.0, -1000.0])
@pytest.mark.parametrize(("positive", "top"), [(4.418539922, 262144.0), (5.5, 3162277.66016838)])
def test_biexponential_equals_flowkits(negative, width, positive, top, values):
    module = pytest.importorskip("flowkit._models.transforms._wsp_transforms")
    theirs = module.WSPBiexTransform(negative, width, positive, top)
    ours = Biexponential(negative, width, positive, top)
    np.testing.assert_allclose(ours.apply(values), theirs.apply(values), rtol=0, atol=1e-8)


def test_biexponential_is_straight_between_the_points_of_its_table(values):
    scale = Biexponential(0.0, -100.0)
    table = scale_constants(scale).table
    assert scale.apply(table[0]) == pytest.approx(table[1], abs=1e-12)
    np.testing.assert_allclose(scale.apply(values), np.interp(values, table[0], table[1]), atol=1e-10)


@pytest.mark.parametrize("scale", [*INVERTIBLE, Log(), FlowJoLog()], ids=str)
def test_compiled_equals_plain_python(scale, values):
    constants = scale_constants(scale)
    x = np.abs(values[:40])
    plain = np.empty_like(x)
    kernels.transform_column.py_func(x, *constants, plain)
    assert plain == pytest.approx(scale.apply(x), rel=1e-14, abs=1e-15)
    kernels.inverse_column.py_func(scale.apply(x), *constants, plain)
    assert plain == pytest.approx(scale.inverse(scale.apply(x)), rel=1e-13, abs=1e-12)


@pytest.mark.parametrize(
    ("scale", "parameters"),
    [(Logicle, {"T": 0.0}), (Logicle, {"W": 3.0}), (Logicle, {"T": np.nan}), (Hyperlog, {"W": 0.0}), (Log, {"M": 0.0}),
     (Linear, {"A": -262144.0}), (FlowJoLog, {"offset": 0.0}), (Biexponential, {"width": 10.0})],
)  # fmt: skip
def test_impossible_parameters_are_refused(scale, parameters):
    with pytest.raises(GateError, match="out of range"):
        scale(**parameters)
