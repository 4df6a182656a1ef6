"""Pooling, against SciPy's filters and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage

from convoi import ops
from convoi.errors import ArgumentError, ShapeError
from tests.cases import cases, make_inputs, pool


def at_windows(op, filtered):
    """Pick the windows' positions out of a filter that is aligned with the low corner."""
    out = op.infer_shape(filtered.shape[1:])[1:]
    starts = (slice(0, p * s, s) for p, s in zip(out, op.stride, strict=True))
    return filtered[(slice(None), slice(None), *starts)]


def low_corner(op):
    """Return the origin that aligns a filter of scipy.ndimage with the window's low corner."""
    return (0, 0, *(-(size // 2) for size in op.size))


@pytest.mark.parametrize("case", cases(lambda op: isinstance(op, ops.MaxPool)))
def test_max_agrees_with_scipy(case, rng):
    (x,) = make_inputs(case, rng)
    op = case.op
    padded = np.pad(x, ((0, 0), (0, 0), *op.padding), constant_values=-np.inf)
    filtered = scipy.ndimage.maximum_filter(
        padded, size=(1, 1, *op.size), origin=low_corner(op), mode="constant", cval=-np.inf
    )
    unpadded = ops.MaxPool(op.size, op.stride, ((0, 0),) * len(op.size))
    np.testing.assert_array_equal(op.reference(x), at_windows(unpadded, filtered))


@pytest.mark.parametrize("case", cases(lambda op: isinstance(op, ops.AveragePool)))
def test_average_agrees_with_scipy(case, rng):
    (x,) = make_inputs(case, rng)
    op = case.op

    def sums(values):
        padded = np.pad(values, ((0, 0), (0, 0), *op.padding))
        return scipy.ndimage.correlate(
            padded, np.ones((1, 1, *op.size)), origin=low_corner(op), mode="constant"
        )

    counts = np.prod(op.size) if op.count_padding else np.maximum(sums(np.ones_like(x)), 1)
    unpadded = ops.AveragePool(op.size, op.stride, ((0, 0),) * len(op.size))
    expected = at_windows(unpadded, sums(x) / counts)
    np.testing.assert_allclose(op.reference(x), expected, atol=1e-12)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.5])
def test_lp_is_the_norm_of_each_window(p, rng):
    x = rng.standard_normal((2, 3, 6))
    expected = np.linalg.norm(x.reshape(2, 3, 2, 3), ord=p, axis=-1)
    np.testing.assert_allclose(pool(ops.LpPool, (3,), p=p).reference(x), expected)


def test_padding_never_wins_a_maximum():
    x = np.full((1, 1, 3), -5.0)
    np.testing.assert_array_equal(
        pool(ops.MaxPool, (2,), stride=1, padding=1).reference(x), [[[-5.0] * 4]]
    )


def test_a_window_with_nan_has_no_maximum():
    x = np.array([[[1.0, np.nan, 2.0, 3.0]]])
    np.testing.assert_array_equal(pool(ops.MaxPool, (2,)).reference(x), [[[np.nan, 3.0]]])


def test_the_first_of_equal_maxima_takes_the_gradient():
    op = pool(ops.MaxPool, (2, 2))
    x = np.array([[[[1.0, 3.0], [3.0, 3.0]]]])
    y = op.reference(x)
    dx = ops.MaxPoolBackward(op).reference(x, y, np.full_like(y, 7.0))
    np.testing.assert_array_equal(dx, [[[[0.0, 7.0], [0.0, 0.0]]]])


def test_a_position_takes_the_gradients_of_all_windows_that_it_wins():
    op = pool(ops.MaxPool, (3,), stride=1)
    x = np.array([[[0.0, 1.0, 5.0, 2.0, 3.0]]])
    dx = ops.MaxPoolBackward(op).reference(x, op.reference(x), np.array([[[1.0, 10.0, 100.0]]]))
    np.testing.assert_array_equal(dx, [[[0.0, 0.0, 111.0, 0.0, 0.0]]])


def test_minus_infinity_at_an_edge_does_not_lose_its_gradient_to_padding():
    op = pool(ops.MaxPool, (2,), stride=2, padding=((1, 1),))
    x = np.full((1, 1, 2), -np.inf)
    dx = ops.MaxPoolBackward(op).reference(x, op.reference(x), np.ones((1, 1, 2)))
    np.testing.assert_array_equal(dx, [[[1.0, 1.0]]])


def test_average_shares_its_gradient_among_the_positions_inside():
    op = pool(ops.AveragePool, (2,), stride=2, padding=((1, 0),))
    dx = ops.AveragePoolBackward(op, (1, 3)).reference(np.array([[[6.0, 8.0]]]))
    np.testing.assert_array_equal(dx, [[[6.0, 4.0, 4.0]]])


def test_lp_of_zeros_has_no_gradient():
    op = pool(ops.LpPool, (2,))
    x = np.zeros((1, 1, 4))
    dx = ops.LpPoolBackward(op).reference(x, op.reference(x), np.ones((1, 1, 2)))
    np.testing.assert_array_equal(dx, np.zeros_like(x))


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 5), (2, 2, 3, 4)])
def test_global_pools_equal_a_window_over_everything(shape, rng):
    x = rng.standard_normal((2, *shape))
    for op in (ops.GlobalAveragePool(), ops.GlobalMaxPool()):
        windowed = op.windowed(shape).reference(x)
        np.testing.assert_allclose(op.reference(x), windowed.reshape(2, shape[0]))


def test_padding_must_be_smaller_than_the_window():
    with pytest.raises(ArgumentError, match=r"'padding' .* smaller than the window \(2,\)"):
        pool(ops.MaxPool, (2,), padding=((0, 2),))


@pytest.mark.parametrize("p", [0.5, np.inf, np.nan])
def test_p_must_give_a_norm(p):
    with pytest.raises(ArgumentError, match="'p' parameter of LpPool must be"):
        pool(ops.LpPool, (2,), p=p)


def test_refuses_a_window_larger_than_the_input():
    message = (
        r"MaxPool: the window \(5,\) is larger than the padded input \(4,\)\. .* smaller window"
    )
    with pytest.raises(ShapeError, match=message):
        pool(ops.MaxPool, (5,), padding=((1, 0),)).infer_shape((2, 3))


def test_global_pools_refuse_an_input_without_positions():
    with pytest.raises(ShapeError, match=r"GlobalMaxPool: expected .* got \(3,\). Remove it"):
        ops.GlobalMaxPool().infer_shape((3,))


def test_refuses_a_gradient_of_another_shape():
    back = ops.MaxPoolBackward(pool(ops.MaxPool, (2,)))
    with pytest.raises(ShapeError, match=r"expected an output of shape \(3, 2\), got \(3, 4\)"):
        back.infer_shape((3, 4), (3, 4), (3, 4))
