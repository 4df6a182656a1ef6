from __future__ import annotations

import numpy as np
import pytest

from convoi import nn, ops
from convoi.errors import ArgumentError, ArgumentTypeError, DataError, ShapeError
from convoi.nn.losses import check_sample_weight, check_target, loss_operation

FLOAT32 = np.dtype("float32")


@pytest.mark.parametrize("name", nn.LOSSES)
def test_a_loss_is_found_by_its_name(name):
    assert loss_operation(name, "fit") == nn.LOSSES[name]


def test_a_loss_may_be_an_operation():
    assert loss_operation(ops.Huber(2.0), "fit") == ops.Huber(2.0)


def test_an_unknown_loss_lists_the_names():
    expected = (
        "The 'loss' parameter of fit must be one of 'cross_entropy', 'mean_squared', "
        "'mean_absolute', 'huber', or a loss operation. Got 'hinge' instead."
    )
    with pytest.raises(ArgumentError) as error:
        loss_operation("hinge", "fit")
    assert str(error.value) == expected


@pytest.mark.parametrize("loss", [None, 3, ops.ReLU()])
def test_a_loss_of_another_type_is_refused(loss):
    with pytest.raises(ArgumentTypeError, match="'loss' parameter of fit"):
        loss_operation(loss, "fit")


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, bool])
def test_class_numbers_become_int64(dtype):
    target = check_target(ops.CrossEntropy(), np.array([0, 1, 1], dtype), 3, (2,), FLOAT32)
    assert target.dtype == np.int64
    np.testing.assert_array_equal(target, [0, 1, 1])


def test_class_numbers_may_stand_at_every_position():
    target = check_target(ops.CrossEntropy(), np.zeros((3, 5), int), 3, (2, 5), FLOAT32)
    assert target.shape == (3, 5)


def test_targets_become_the_dtype_of_the_network():
    target = check_target(ops.MeanSquaredError(), [[1, 2]], 1, (2,), FLOAT32)
    assert target.dtype == np.float32


def test_targets_of_one_output_may_be_a_row():
    target = check_target(ops.MeanSquaredError(), [1.0, 2.0], 2, (1,), FLOAT32)
    np.testing.assert_array_equal(target, [[1.0], [2.0]])


@pytest.mark.parametrize(
    ("loss", "y", "error", "message"),
    [
        (
            ops.CrossEntropy(),
            [0, 2],
            DataError,
            (
                "The class numbers y must be between 0 and 1, for a network with 2 outputs. Sample "
                "1 has 2."
            ),
        ),
        (
            ops.CrossEntropy(),
            [-1, 0],
            DataError,
            (
                "The class numbers y must be between 0 and 1, for a network with 2 outputs. Sample "
                "0 has -1."
            ),
        ),
        (
            ops.CrossEntropy(),
            [0.0, 1.0],
            ArgumentTypeError,
            (
                "The class numbers y must be integers. Got an array of shape (2,) and dtype "
                "float64 instead."
            ),
        ),
        (
            ops.CrossEntropy(),
            [0, 1, 1],
            ShapeError,
            (
                "The class numbers y must have the shape (2,) for 2 samples and a network with "
                "outputs of shape (2,). Got an array of shape (3,) and dtype int64 instead."
            ),
        ),
        (
            ops.Huber(),
            [[1.0, 2.0], [np.nan, 1.0]],
            DataError,
            "The targets y must be finite. Sample 1 has NaN or infinity. Leave such samples out.",
        ),
        (
            ops.Huber(),
            [1.0, 2.0],
            ShapeError,
            (
                "The targets y must have the shape (2, 2) for 2 samples and a network with outputs "
                "of shape (2,). Got an array of shape (2,) and dtype float64 instead."
            ),
        ),
        (
            ops.Huber(),
            [["a", "b"], ["c", "d"]],
            ArgumentTypeError,
            (
                "The targets y must be real numbers. Got an array of shape (2, 2) and dtype <U1 "
                "instead."
            ),
        ),
    ],
)
def test_targets_that_cannot_be_used_are_refused(loss, y, error, message):
    with pytest.raises(error) as raised:
        check_target(loss, y, 2, (2,), FLOAT32)
    assert str(raised.value) == message


def test_weights_are_divided_by_their_sum():
    weight = check_sample_weight([1, 3], 2, FLOAT32)
    assert weight.dtype == np.float32
    np.testing.assert_array_equal(weight, [0.25, 0.75])


def test_no_weights_are_equal_weights():
    np.testing.assert_array_equal(check_sample_weight(None, 4, FLOAT32), [0.25] * 4)


@pytest.mark.parametrize(
    ("weight", "error", "message"),
    [
        ([1.0], ShapeError, r"must have the shape \(2,\), one number for each sample"),
        ([1.0, -1.0], DataError, r"must be finite and at least 0\. Sample 1 has -1\.0\."),
        ([np.nan, 1.0], DataError, r"Sample 0 has nan\."),
        ([0.0, 0.0], DataError, "must not be 0 for all samples"),
        (["a", "b"], ArgumentTypeError, "must be real numbers"),
    ],
)
def test_weights_that_cannot_be_used_are_refused(weight, error, message):
    with pytest.raises(error, match=message):
        check_sample_weight(weight, 2, FLOAT32)
