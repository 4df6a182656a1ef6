"""Batch normalisation and standardisation."""

from __future__ import annotations

import numpy as np
import pytest

from convoi import ops
from convoi.errors import ArgumentError, ShapeError
from convoi.ops import ParameterKind


@pytest.fixture
def x(rng):
    return 3 + 2 * rng.standard_normal((6, 4, 5, 3))


def test_moments_are_mean_and_biased_variance_over_batch_and_positions(x):
    flat = np.moveaxis(x, 1, 0).reshape(4, -1)
    expected = [flat.mean(axis=1), flat.var(axis=1)]
    np.testing.assert_allclose(ops.BatchMoments().reference(x), expected)


def test_normalising_with_the_moments_gives_mean_zero_and_variance_one(x):
    moments = ops.BatchMoments().reference(x)
    y = ops.BatchNormalize(eps=0.0).reference(x, moments, np.ones(4), np.zeros(4), None, None)
    np.testing.assert_allclose(y.mean(axis=(0, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(axis=(0, 2, 3)), 1)


def test_uses_the_running_statistics(x, rng):
    weight, bias, mean, variance = rng.uniform(0.5, 2.0, (4, 4))
    column = (1, 4, 1, 1)
    expected = (x - mean.reshape(column)) / np.sqrt(variance.reshape(column) + 1e-3)
    expected = expected * weight.reshape(column) + bias.reshape(column)
    y = ops.BatchNorm(eps=1e-3).reference(x, weight, bias, mean, variance)
    np.testing.assert_allclose(y, expected)


def test_equals_training_where_running_statistics_are_those_of_the_batch(x):
    moments = ops.BatchMoments().reference(x)
    weight, bias = np.arange(1.0, 5.0), np.arange(4.0)
    trained = ops.BatchNormalize().reference(x, moments, weight, bias, None, None)
    np.testing.assert_allclose(trained, ops.BatchNorm().reference(x, weight, bias, *moments))


def test_the_gradient_does_not_change_mean_or_scale(x, rng):
    moments, dy = ops.BatchMoments().reference(x), rng.standard_normal(x.shape)
    sums = ops.BatchNormGradientSums(0.0).reference(x, moments, dy)
    dx = ops.BatchNormBackward(0.0).reference(x, moments, dy, sums, np.ones(4))
    np.testing.assert_allclose(dx.sum(axis=(0, 2, 3)), 0, atol=1e-10)
    np.testing.assert_allclose((dx * x).sum(axis=(0, 2, 3)), 0, atol=1e-10)


def test_running_statistics_are_not_trained():
    kinds = {spec.role: spec.kind.trainable for spec in ops.BatchNorm().parameters((4, 5))}
    assert kinds == {"weight": True, "bias": True, "running_mean": False, "running_var": False}


def test_standardize_has_mean_zero_and_variance_one(x):
    moments = ops.BatchMoments().reference(x)
    y = ops.Standardize().reference(x, moments[0], np.sqrt(moments[1]))
    np.testing.assert_allclose(ops.BatchMoments().reference(y), [[0] * 4, [1] * 4], atol=1e-12)


def test_statistics_of_the_data_are_not_trained():
    kinds = [spec.kind for spec in ops.Standardize().parameters((4, 5))]
    assert kinds == [ParameterKind.MEAN, ParameterKind.DEVIATION]
    assert not any(kind.trainable for kind in kinds)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        (
            {"momentum": 1.5},
            "'momentum' parameter of BatchNorm .* less than or equal to 1. Got 1.5",
        ),
        (
            {"eps": -1e-5},
            "'eps' parameter of BatchNorm must be a number greater than or equal to 0",
        ),
        ({"eps": np.nan}, "'eps' parameter of BatchNorm"),
    ],
)
def test_refuses_attributes_without_a_meaning(attributes, message):
    with pytest.raises(ArgumentError, match=message):
        ops.BatchNorm(**attributes)


def test_refuses_moments_of_other_channels():
    with pytest.raises(ShapeError, match=r"expected moments of shape \(2, 4\), got \(2, 3\)"):
        ops.BatchNormalize().infer_shape((4, 5), (2, 3))


def test_there_is_no_third_row():
    with pytest.raises(ShapeError, match=r"Row: there is no row 2 in an input of shape \(2, 5\)"):
        ops.Row(2).infer_shape((2, 5))
