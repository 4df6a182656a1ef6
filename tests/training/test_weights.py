from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_sample_weight

from convoi import Network, nn
from convoi.errors import ArgumentError, ArgumentTypeError, DataError
from convoi.ops import CrossEntropy, MeanSquaredError
from convoi.training.objective import Objective
from convoi.training.weights import class_weights, sample_weights

NETWORK = Network(nn.Dense(3), input_shape=(4,), random_state=0)
CLASSES = Objective.of(NETWORK, CrossEntropy(), "fit")


def test_samples_have_the_same_weight_by_default():
    assert sample_weights(None, 3, "fit").tolist() == [1, 1, 1]


def test_weights_may_be_integers_or_booleans():
    assert sample_weights([True, False], 2, "fit").tolist() == [1, 0]


@pytest.mark.parametrize(
    ("weight", "error", "message"),
    [
        (
            [1.0, -2.0, 1.0],
            DataError,
            (
                "The 'sample_weight' parameter of fit must be finite and not negative. "
                "Got -2.0 for sample 1 instead."
            ),
        ),
        (
            [1.0, 1.0, np.nan],
            DataError,
            (
                "The 'sample_weight' parameter of fit must be finite and not negative. "
                "Got nan for sample 2 instead."
            ),
        ),
        (
            [0, 0, 0],
            DataError,
            (
                "The 'sample_weight' parameter of fit must not be zero for every sample. "
                "Give a positive weight to those that count."
            ),
        ),
        (
            [1.0, 1.0],
            DataError,
            (
                "The 'sample_weight' parameter of fit must be an array of shape (3,), one weight "
                "for each sample. Got an array of shape (2,) and dtype float64 instead."
            ),
        ),
        (
            ["a", "b", "c"],
            ArgumentTypeError,
            (
                "The 'sample_weight' parameter of fit must be an array of numbers. "
                "Got ['a', 'b', 'c'] instead."
            ),
        ),
    ],
)
def test_weights_that_cannot_be_used_are_refused(weight, error, message):
    with pytest.raises(error) as caught:
        sample_weights(weight, 3, "fit")
    assert str(caught.value) == message


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.int8])
def test_balanced_weights_are_scikit_learn_s(dtype):
    y = np.array([0, 0, 0, 2, 0, 2], dtype)
    weights = class_weights("balanced", y, CLASSES, "fit")
    assert weights[y.astype(int)] == pytest.approx(compute_sample_weight("balanced", y))


def test_balanced_weights_of_boolean_classes():
    y = np.array([False, True, True, True])
    network = Network(nn.Dense(2), input_shape=(4,), random_state=0)
    target = Objective.of(network, CrossEntropy(), "fit")
    assert class_weights("balanced", y, target, "fit") == pytest.approx([2, 2 / 3])


def test_classes_that_a_mapping_leaves_out_have_weight_one():
    assert class_weights({2: 5}, np.array([0, 2]), CLASSES, "fit").tolist() == [1, 1, 5]


def test_a_sequence_gives_all_weights():
    assert class_weights((1, 2, 0), np.array([0, 2]), CLASSES, "fit").tolist() == [1, 2, 0]


def test_no_weights_are_none():
    assert class_weights(None, np.array([0, 2]), CLASSES, "fit") is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            "equal",
            (
                "The 'class_weight' parameter of fit must be 'balanced', a mapping from class "
                "codes to weights, or 3 weights. Got 'equal' instead."
            ),
        ),
        (
            [1.0, 2.0],
            (
                "The 'class_weight' parameter of fit must be 'balanced', a mapping from class "
                "codes to weights, or 3 weights. Got [1.0, 2.0] instead."
            ),
        ),
        (
            {3: 1.0},
            (
                "The 'class_weight' parameter of fit must be an integer greater than or equal to 0 "
                "and less than or equal to 2. Got 3 instead."
            ),
        ),
        (
            {0: -1.0},
            (
                "The 'class_weight' parameter of fit must be a number greater than or equal to 0. "
                "Got -1.0 instead."
            ),
        ),
        (
            {0: 0, 2: 0},
            (
                "The 'class_weight' parameter of fit must not be zero for every class that occurs. "
                "Give a positive weight to those that count."
            ),
        ),
    ],
)
def test_class_weights_that_cannot_be_used_are_refused(given, message):
    with pytest.raises(ArgumentError) as caught:
        class_weights(given, np.array([0, 2]), CLASSES, "fit")
    assert str(caught.value) == message


def test_values_have_no_class_weights():
    target = Objective.of(NETWORK, MeanSquaredError(), "fit")
    with pytest.raises(ArgumentError, match=r"needs one class for each sample.* sample_weight"):
        class_weights("balanced", np.zeros((2, 3)), target, "fit")
