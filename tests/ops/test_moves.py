"""Operations that merge, split, move and repeat values."""

from __future__ import annotations

import numpy as np
import pytest

from convoi import ops
from convoi.errors import ArgumentError, ShapeError


def test_add_adds_from_left_to_right():
    values = [np.array([[v]], np.float32) for v in (1e8, -1e8, 1.0)]
    assert ops.Add().reference(*values) == 1.0


def test_flatten_has_channels_slowest():
    x = np.arange(12.0).reshape(1, 2, 3, 2)
    np.testing.assert_array_equal(ops.Flatten().reference(x), [np.arange(12.0)])
    np.testing.assert_array_equal(ops.Unflatten((2, 3, 2)).reference(x.reshape(1, 12)), x)


def test_upsample_repeats_every_value():
    x = np.array([[[[1.0, 2.0]]]])
    expected = [[[[1, 1, 1, 2, 2, 2], [1, 1, 1, 2, 2, 2]]]]
    np.testing.assert_array_equal(ops.Upsample((2, 3)).reference(x), expected)


def test_upsample_backward_sums_over_blocks():
    dy = np.arange(8.0).reshape(1, 1, 2, 4)
    np.testing.assert_array_equal(ops.UpsampleBackward((2, 2)).reference(dy), [[[[10.0, 18.0]]]])


def test_crop_undoes_zero_pad(rng):
    x, padding = rng.standard_normal((2, 3, 4, 5)), ((1, 2), (0, 3))
    padded = ops.ZeroPad(padding).reference(x)
    assert padded.sum() == pytest.approx(x.sum())
    np.testing.assert_array_equal(ops.Crop(padding).reference(padded), x)


def test_slices_of_a_concatenation_are_its_parts(rng):
    first, second = rng.standard_normal((2, 3, 4)), rng.standard_normal((2, 5, 4))
    joined = ops.Concatenate().reference(first, second)
    np.testing.assert_array_equal(ops.ChannelSlice(0, 3).reference(joined), first)
    np.testing.assert_array_equal(ops.ChannelSlice(3, 8).reference(joined), second)


def test_channel_pad_puts_zeros_around_a_slice(rng):
    x = rng.standard_normal((2, 5, 3))
    padded = ops.ChannelPad(2, 1).reference(x)
    np.testing.assert_array_equal(ops.ChannelSlice(2, 7).reference(padded), x)
    assert not padded[:, [0, 1, 7]].any()


@pytest.mark.parametrize(
    ("op", "shapes", "message"),
    [
        (ops.Add(), [(3, 4), (3, 5)], "Add: expected all inputs of shape (3, 4), got (3, 5)."),
        (ops.Concatenate(), [(3, 4), (3, 5)], "Concatenate: expected inputs that differ in their"),
        (ops.ChannelSlice(1, 4), [(3, 4)], "ChannelSlice: the channels 1 to 4 are not in an input"),
        (ops.Unflatten((2, 3)), [(7,)], "Unflatten: expected an input of shape (6,), got (7,)."),
        (ops.Crop(((2, 2),)), [(3, 4)], "Crop: cutting ((2, 2),) off the spatial axes (4,) leaves"),
        (ops.UpsampleBackward((2,)), [(3, 5)], "UpsampleBackward: the spatial axes (5,) are not"),
        (ops.Upsample((2,)), [(3, 5, 5)], "Upsample: expected an input of shape (channels, time)"),
        (ops.Softmax(), [()], "Softmax: expected an input of shape (channels, *spatial), got ()."),
    ],
)
def test_refuses_shapes_that_do_not_fit(op, shapes, message):
    with pytest.raises(ShapeError) as error:
        op.infer_shape(*shapes)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ops.ChannelSlice(3, 3), "'stop' parameter of ChannelSlice must be an integer"),
        (lambda: ops.ChannelPad(-1, 0), "'before' parameter of ChannelPad must be an integer"),
        (lambda: ops.Unflatten(()), "'shape' parameter of Unflatten must be a shape"),
        (lambda: ops.Upsample((0,)), "'scale' parameter of Upsample must be a tuple"),
        (lambda: ops.ZeroPad((1, 1)), "'padding' parameter of ZeroPad must be a tuple"),
    ],
)
def test_refuses_attributes_without_a_meaning(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()
