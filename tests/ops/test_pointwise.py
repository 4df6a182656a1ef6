"""Activations and softmax, against SciPy and at their extremes."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import scipy.stats

from convoi import ops
from convoi.errors import ArgumentError
from tests.cases import CASES

X = np.concatenate([np.linspace(-9, 9, 181), [-50.0, -3.0, -0.0, 3.0, 50.0]])[None]
POINTWISE = list(dict.fromkeys(case.op for case in CASES if isinstance(case.op, ops.Pointwise)))


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        (ops.ReLU(), np.clip(X, 0, None)),
        (ops.LeakyReLU(0.1), np.where(X < 0, 0.1 * X, X)),
        (ops.ELU(0.5), np.where(X < 0, 0.5 * np.expm1(X), X)),
        (ops.GELU(), X * scipy.stats.norm.cdf(X)),
        (ops.SiLU(), X * scipy.special.expit(X)),
        (ops.HardSwish(), X * np.clip(X + 3, 0, 6) / 6),
        (ops.HardSigmoid(), np.clip(X + 3, 0, 6) / 6),
        (ops.Sigmoid(), scipy.special.expit(X)),
        (ops.Tanh(), 1 - 2 * scipy.special.expit(-2 * X)),
    ],
    ids=str,
)
def test_agrees_with_its_definition(op, expected):
    np.testing.assert_allclose(op.reference(X), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("op", POINTWISE, ids=str)
def test_nan_stays_nan(op):
    assert np.isnan(op.reference(np.array([[np.nan]]))).all()


@pytest.mark.parametrize("op", POINTWISE, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_values_do_not_overflow(op, dtype):
    x = np.array([[-1e4, 1e4]], dtype)
    y = op.reference(x)
    saved = x if op.derivative_of == "input" else y
    slope = ops.PointwiseBackward(op).reference(saved, np.ones_like(x))
    assert np.isfinite(y).all()
    assert np.isfinite(slope).all()


def test_sigmoid_is_exact_in_its_lower_tail():
    x = np.array([[-300.0]])
    np.testing.assert_allclose(ops.Sigmoid().reference(x), np.exp(x), rtol=1e-14)


@pytest.mark.parametrize(
    ("op", "x", "slope"),
    [
        (ops.ReLU(), 0.0, 0.0),
        (ops.LeakyReLU(0.1), 0.0, 0.1),
        (ops.ELU(0.5), 0.0, 0.5),
        (ops.HardSwish(), -3.0, 0.0),
        (ops.HardSigmoid(), 3.0, 0.0),
    ],
)
def test_has_the_lower_slope_at_a_kink(op, x, slope):
    x = np.array([[x]])
    saved = x if op.derivative_of == "input" else op.reference(x)
    assert ops.PointwiseBackward(op).reference(saved, np.ones((1, 1))) == slope


@pytest.mark.parametrize("cls", [ops.LeakyReLU, ops.ELU])
def test_a_negative_slope_is_refused(cls):
    with pytest.raises(ArgumentError, match="must be a number greater than or equal to 0"):
        cls(-0.1)


@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 3, 2)])
def test_softmax_agrees_with_scipy(shape, rng):
    x = 10 * rng.standard_normal((2, *shape))
    np.testing.assert_allclose(ops.Softmax().reference(x), scipy.special.softmax(x, axis=1))


def test_softmax_does_not_overflow():
    y = ops.Softmax().reference(np.array([[1e4, 0.0, -1e4]]))
    np.testing.assert_array_equal(y, [[1.0, 0.0, 0.0]])
