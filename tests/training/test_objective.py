from __future__ import annotations

import numpy as np
import pytest

from convoi import Network, nn
from convoi.errors import ArgumentError, ArgumentTypeError, DataError
from convoi.ops import CrossEntropy, MeanSquaredError
from convoi.training.objective import Objective


def objective(layers, loss, input_shape=(4,)):
    return Objective.of(Network(layers, input_shape, random_state=0), loss, "fit")


def classes(count=3):
    return objective(nn.Dense(count), CrossEntropy())


def positions():
    """Three classes at each of four positions."""
    return objective(nn.Conv(3, 1), CrossEntropy(), (1, 4))


def numbers(count=1):
    return objective(nn.Dense(count), MeanSquaredError())


@pytest.mark.parametrize("dtype", [np.int8, np.uint64, np.int32, bool])
def test_class_codes_are_integers_of_any_kind(dtype):
    y = np.array([1, 0, 1], dtype)
    targets = classes().targets(y, 3, "fit")
    assert targets is y
    assert classes().batch_targets(targets, np.array([0, 1])).tolist() == [1, 0]
    assert classes().batch_targets(targets, np.array([0, 1])).dtype == np.int64


def test_there_is_a_class_for_each_position():
    y = np.array([[0, 1, 2, 0], [2, 2, 1, 0]])
    assert positions().targets(y, 2, "fit").shape == (2, 4)


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_values_for_one_output_may_have_one_axis(shape):
    assert numbers().targets(np.zeros(shape), 3, "fit").shape == (3, 1)


def test_values_become_the_network_s_dtype_batch_by_batch():
    assert numbers().batch_targets(np.array([[1], [2]]), np.array([1])).dtype == np.float32


@pytest.mark.parametrize(
    ("target", "y", "message"),
    [
        (
            classes(),
            [0, 1],
            (
                "The 'y' parameter of fit must be an array of shape (3,), for 3 samples. Got an "
                "array of shape (2,) and dtype int64 instead. Give one target for each sample."
            ),
        ),
        (
            classes(),
            np.eye(3, dtype=int),
            (
                "The 'y' parameter of fit must be an array of shape (3,), for 3 samples. Got an "
                "array of shape (3, 3) and dtype int64 instead. For one-hot targets give "
                "y.argmax(axis=1)."
            ),
        ),
        (
            classes(),
            [[0], [1], [2]],
            (
                "The 'y' parameter of fit must be an array of shape (3,), for 3 samples. Got an "
                "array of shape (3, 1) and dtype int64 instead. Give y.reshape((3,))."
            ),
        ),
        (
            classes(),
            [0, 3, 1],
            (
                "The 'y' parameter of fit must hold class codes from 0 to 2, as the network has 3 "
                "outputs. Got 3 for sample 1 instead. Number the classes from 0, or give the "
                "network as many outputs as there are classes."
            ),
        ),
        (
            classes(),
            [0, 2, -1],
            (
                "The 'y' parameter of fit must hold class codes from 0 to 2, as the network has 3 "
                "outputs. Got -1 for sample 2 instead. Number the classes from 0, or give the "
                "network as many outputs as there are classes."
            ),
        ),
        (
            numbers(2),
            [1.0, 2.0, 3.0],
            (
                "The 'y' parameter of fit must be an array of shape (3, 2), for 3 samples. Got an "
                "array of shape (3,) and dtype float64 instead."
            ),
        ),
        (
            numbers(),
            [1.0, np.nan, np.nan],
            (
                "The 'y' parameter of fit has a value that is NaN, infinite or beyond float32 for "
                "sample 1. Remove or repair the sample."
            ),
        ),
        (
            numbers(),
            [1.0, 2.0, 1e39],
            (
                "The 'y' parameter of fit has a value that is NaN, infinite or beyond float32 for "
                "sample 2. Remove or repair the sample."
            ),
        ),
    ],
)
def test_targets_that_do_not_fit_are_refused(target, y, message):
    with pytest.raises(DataError) as caught:
        target.targets(y, 3, "fit")
    assert str(caught.value) == message


def test_the_position_of_a_wrong_class_is_found():
    with pytest.raises(DataError, match="Got 7 for sample 1 instead"):
        positions().targets([[0, 1, 2, 0], [0, 0, 7, 0]], 2, "fit")


@pytest.mark.parametrize(
    ("target", "y", "message"),
    [
        (
            classes(),
            [0.0, 1.0, 2.0],
            (
                "The 'y' parameter of fit must be class codes, integers from 0 to 2. Got an array "
                "of shape (3,) and dtype float64 instead. Give y.astype(int), or a loss for values "
                "such as 'mean_squared'."
            ),
        ),
        (
            classes(),
            ["a", "b", "c"],
            (
                "The 'y' parameter of fit must be class codes, integers from 0 to 2. Got an array "
                "of shape (3,) and dtype <U1 instead. Number the classes: numpy.unique(y, "
                "return_inverse=True)[1]."
            ),
        ),
        (
            numbers(),
            ["a", "b", "c"],
            "The 'y' parameter of fit must be an array of numbers. Got ['a', 'b', 'c'] instead.",
        ),
    ],
)
def test_targets_of_another_type_are_refused(target, y, message):
    with pytest.raises(ArgumentTypeError) as caught:
        target.targets(y, 3, "fit")
    assert str(caught.value) == message


def test_cross_entropy_needs_an_output_for_each_class():
    with pytest.raises(ArgumentError) as caught:
        classes(1)
    assert str(caught.value) == (
        "The loss 'cross_entropy' of fit needs one output for each class, two at least. The "
        "network's output shape is (1,). Let it end in one output per class, or choose a loss for "
        "values, such as 'mean_squared'."
    )


def test_cross_entropy_after_a_softmax_is_refused():
    with pytest.raises(ArgumentError) as caught:
        objective(nn.Sequential(nn.Dense(3), nn.Softmax()), CrossEntropy())
    assert str(caught.value) == (
        "The loss 'cross_entropy' of fit takes logits and contains the softmax. The network ends "
        "in Softmax. Remove that layer."
    )


def test_losses_are_computed_in_float64():
    prediction = np.zeros((2, 3), np.float32)
    losses = classes().losses(prediction, np.array([0, 2]), np.array([1.0, 0.5]))
    assert losses.dtype == np.float64
    assert losses == pytest.approx(np.log(3) * np.array([1.0, 0.5]), abs=1e-15)
