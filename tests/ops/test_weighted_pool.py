"""Blurred and stochastic pooling."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from convoi import ops
from convoi.errors import ArgumentError

SEED = np.uint64(5)


def sampled(size=(2, 2), stream=0, **others):
    stride = others.get("stride", size)
    return ops.StochasticPoolSampled(size, stride, ((0, 0),) * len(size), stream)


def test_a_blur_is_a_convolution_with_binomial_weights(rng):
    x = rng.standard_normal((1, 1, 9, 10))
    y = ops.BlurPool((3, 5), (2, 1), ((0, 0), (0, 0))).reference(x)
    kernel = np.outer([1, 2, 1], [1, 4, 6, 4, 1]) / 64
    np.testing.assert_allclose(y[0, 0], signal.convolve(x[0, 0], kernel, "valid")[::2])


def test_a_blur_keeps_a_constant_at_the_border_too():
    op = ops.BlurPool((4, 3), (2, 2), ((1, 2), (2, 0)))
    np.testing.assert_allclose(op.reference(np.full((1, 2, 5, 6), 3.0)), 3.0)


def test_a_blur_moves_less_than_a_stride_when_its_input_is_shifted(rng):
    x = rng.standard_normal((1, 1, 64))
    shifted = np.roll(x, 1, axis=-1)
    size = (5,)
    blur = ops.BlurPool(size, (2,), ((0, 0),))
    blurred = blur.reference(shifted) - blur.reference(x)
    strided = shifted[..., ::2] - x[..., ::2]
    assert np.square(blurred).mean() < 0.2 * np.square(strided).mean()


def test_stochastic_pooling_takes_a_positive_value_of_the_window(rng):
    x = rng.standard_normal((4, 3, 8, 6))
    y = sampled().reference(x, SEED)
    blocks = x.reshape(4, 3, 4, 2, 3, 2).transpose(0, 1, 2, 4, 3, 5).reshape(*y.shape, 4)
    taken = (blocks == y[..., None]).any(axis=-1) & (y > 0)
    nothing = (blocks <= 0).all(axis=-1) & (y == 0)
    assert np.all(taken ^ nothing)


def test_values_are_taken_as_often_as_their_share():
    x = np.tile(np.array([1.0, 3.0, 0.0, 4.0]), (50, 200)).reshape(50, 200, 2, 2)
    y = sampled().reference(x, SEED)
    for value, share in ((1.0, 1 / 8), (3.0, 3 / 8), (0.0, 0.0), (4.0, 1 / 2)):
        deviation = np.sqrt(share * (1 - share) / y.size)
        assert abs((y == value).mean() - share) <= 4 * deviation


def test_predictions_are_the_expected_value(rng):
    x = rng.uniform(0, 1, (1, 1, 4, 4))
    expected = ops.StochasticPool((2, 2), (2, 2), ((0, 0),) * 2).reference(x)
    many = sampled().reference(np.repeat(x, 4000, axis=0), SEED)
    np.testing.assert_allclose(many.mean(axis=0), expected[0], atol=0.03)


def test_windows_without_positive_values_are_zero_and_infinities_show():
    x = np.array([-1.0, 0.0, np.inf, 1.0, np.nan, 2.0]).reshape(1, 1, 6)
    for y in (
        sampled((2,)).reference(x, SEED),
        ops.StochasticPool((2,), (2,), ((0, 0),)).reference(np.where(np.isinf(x), np.nan, x)),
    ):
        np.testing.assert_array_equal(y[0, 0], [0, np.nan, np.nan])


@pytest.mark.parametrize("change", [{"seed": np.uint64(6)}, {"stream": 1}])
def test_seeds_and_streams_take_other_values(change, rng):
    x = rng.uniform(0, 1, (1, 1, 40, 40))
    one = sampled().reference(x, SEED)
    other = sampled(stream=change.get("stream", 0)).reference(x, change.get("seed", SEED))
    assert 0.4 < (one != other).mean() < 0.9


def test_half_precision_takes_what_single_precision_takes(rng):
    x = rng.uniform(0, 1, (2, 3, 8, 8)).astype(np.float16)
    half, single = (sampled().reference(x.astype(t), SEED) for t in (np.float16, np.float32))
    np.testing.assert_array_equal(half, single)


def test_a_blur_refuses_windows_whose_weights_it_could_not_sum():
    constant = np.full((1, 1, 21, 21, 21), 2.0)
    blur = ops.BlurPool((21,) * 3, (1,) * 3, ((0, 0),) * 3)
    np.testing.assert_allclose(blur.reference(constant), 2.0)
    with pytest.raises(ArgumentError, match="'size' parameter of BlurPool must be at most 21"):
        ops.BlurPool((22,), (2,), ((0, 0),))
