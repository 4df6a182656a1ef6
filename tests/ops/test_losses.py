"""Losses, against SciPy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
from sklearn.metrics import log_loss, mean_absolute_error, mean_squared_error

from convoi import ops
from convoi.errors import ArgumentError, ShapeError


@pytest.fixture
def values(rng):
    return rng.standard_normal((2, 6, 4, 3))


def equal(n):
    return np.full(n, 1 / n)


def test_cross_entropy_agrees_with_scikit_learn(rng):
    logits, target = 3 * rng.standard_normal((20, 5)), rng.integers(5, size=20)
    loss = ops.CrossEntropy().reference(logits, target, equal(20)).sum()
    probabilities = scipy.special.softmax(logits, axis=1)
    assert loss == pytest.approx(log_loss(target, probabilities, labels=range(5)))


def test_cross_entropy_averages_over_positions(rng):
    logits, target = rng.standard_normal((2, 5, 3, 4)), rng.integers(5, size=(2, 3, 4))
    at_each = ops.CrossEntropy().reference(
        np.moveaxis(logits, 1, -1).reshape(-1, 5), target.ravel(), np.ones(24)
    )
    expected = at_each.reshape(2, 12).mean(axis=1)
    np.testing.assert_allclose(ops.CrossEntropy().reference(logits, target, np.ones(2)), expected)


def test_label_smoothing_mixes_in_the_mean_over_all_classes(rng):
    logits, target = rng.standard_normal((4, 5)), np.array([0, 4, 2, 2])
    logs = scipy.special.log_softmax(logits, axis=1)
    expected = -0.9 * logs[np.arange(4), target] - 0.1 * logs.mean(axis=1)
    np.testing.assert_allclose(
        ops.CrossEntropy(0.1).reference(logits, target, np.ones(4)), expected
    )


def test_cross_entropy_does_not_overflow():
    logits = np.array([[1e4, 0.0], [-1e4, 1e4]])
    target = np.array([0, 0])
    np.testing.assert_array_equal(
        ops.CrossEntropy().reference(logits, target, np.ones(2)), [0.0, 2e4]
    )
    gradient = ops.LossBackward(ops.CrossEntropy()).reference(logits, target, np.ones(2))
    np.testing.assert_array_equal(gradient, [[0.0, 0.0], [-1.0, 1.0]])


@pytest.mark.parametrize(
    ("loss", "oracle"),
    [
        (ops.MeanSquaredError(), mean_squared_error),
        (ops.MeanAbsoluteError(), mean_absolute_error),
        (ops.Huber(0.7), lambda x, t: scipy.special.huber(0.7, x - t).mean()),
    ],
)
def test_agrees_with_its_oracle(loss, oracle, values):
    prediction, target = values
    total = loss.reference(prediction, target, equal(6)).sum()
    assert total == pytest.approx(oracle(prediction.ravel(), target.ravel()))


@pytest.mark.parametrize("loss", [ops.MeanSquaredError(), ops.MeanAbsoluteError(), ops.Huber()])
def test_a_weight_scales_loss_and_gradient(loss, values):
    weight = np.array([0.0, 1.0, 2.0, 0.5, 3.0, 1.0])
    once, back = loss.reference(*values, np.ones(6)), ops.LossBackward(loss)
    np.testing.assert_allclose(loss.reference(*values, weight), weight * once)
    slopes = back.reference(*values, np.ones(6))
    expected = weight.reshape(-1, 1, 1) * slopes
    np.testing.assert_allclose(back.reference(*values, weight), expected)


def test_the_absolute_error_is_flat_at_zero():
    zero = np.zeros((1, 3))
    np.testing.assert_array_equal(
        ops.LossBackward(ops.MeanAbsoluteError()).reference(zero, zero, np.ones(1)), zero
    )


def test_cross_entropy_takes_class_numbers_per_position():
    assert ops.CrossEntropy().target_shape((10, 4, 4)) == (4, 4)
    with pytest.raises(ShapeError, match=r"CrossEntropy: expected a target of shape \(4,\)"):
        ops.CrossEntropy().infer_shape((10, 4), (10, 4), ())


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_refuses_a_smoothing_that_is_no_share(smoothing):
    with pytest.raises(ArgumentError, match="'label_smoothing' parameter of CrossEntropy must"):
        ops.CrossEntropy(smoothing)


def test_refuses_a_delta_of_zero():
    with pytest.raises(ArgumentError, match=r"'delta' .* greater than 0. Got 0 instead"):
        ops.Huber(0)
