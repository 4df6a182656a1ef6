"""Tiled convolution: between full sharing and none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convoi import ops
from convoi.errors import ArgumentError, ShapeError
from tests.cases import tiled
from tests.strategies import convolutions, input_shapes, tiled_convolutions

SPATIAL = input_shapes(ranks=(1, 2, 3))
FEW = settings(max_examples=30)


@st.composite
def conv_examples(draw):
    shape = draw(SPATIAL)
    return shape, draw(convolutions(shape))


@st.composite
def tiled_examples(draw):
    shape = draw(SPATIAL)
    return shape, draw(tiled_convolutions(shape))


def as_tiled(conv: ops.Conv, tile: ops.Shape, *, shared_bias: bool = True) -> ops.TiledConv:
    window = (conv.kernel, conv.stride, conv.padding, conv.dilation)
    return ops.TiledConv(
        conv.filters,
        *window,
        tile,
        conv.groups,
        bias=conv.bias,
        shared_bias=shared_bias,
        flip=conv.flip,
    )


def arrays_for(op, shape, n=2):
    rng = np.random.default_rng(5)
    x = rng.standard_normal((n, *shape))
    parameters = [rng.standard_normal(spec.shape) for spec in op.parameters(shape)]
    return x, parameters, rng.standard_normal((n, *op.infer_shape(shape)))


@FEW
@given(conv_examples())
def test_a_tile_of_one_position_is_a_convolution(example):
    shape, conv = example
    ones = (1,) * len(conv.kernel)
    op = as_tiled(conv, ones, shared_bias=False)
    x, parameters, dy = arrays_for(conv, shape)
    placed = [p.reshape(*p.shape, *ones) for p in parameters]
    np.testing.assert_allclose(op.reference(x, *placed), conv.reference(x, *parameters), atol=1e-11)
    linear, of_conv = replace(op, bias=False), replace(conv, bias=False)
    dx = ops.TiledConvBackwardData(linear, shape).reference(dy, placed[0])
    expected = ops.ConvBackwardData(of_conv, shape).reference(dy, parameters[0])
    np.testing.assert_allclose(dx, expected, atol=1e-11)
    dw = ops.TiledConvBackwardWeight(linear).reference(x, dy)
    expected = ops.ConvBackwardWeight(of_conv).reference(x, dy)
    np.testing.assert_allclose(dw.reshape(expected.shape), expected, atol=1e-11)
    db = ops.TileSum(ones).reference(dy)
    np.testing.assert_allclose(db.ravel(), ops.ChannelSum().reference(dy), atol=1e-11)


@FEW
@given(conv_examples(), st.data())
def test_equal_weights_at_all_places_are_a_convolution_and_their_gradients_add_up(example, data):
    shape, conv = example
    positions = conv.infer_shape(shape)[1:]
    tile = tuple(data.draw(st.integers(1, p)) for p in positions)
    op = as_tiled(conv, tile)
    x, parameters, dy = arrays_for(conv, shape)
    weight = parameters[0].reshape(*parameters[0].shape, *(1,) * len(tile))
    weight = np.broadcast_to(weight, op.weight_shape(shape[0]))
    y = op.reference(x, weight, *parameters[1:])
    np.testing.assert_allclose(y, conv.reference(x, *parameters), atol=1e-11)
    linear, of_conv = replace(op, bias=False, shared_bias=False), replace(conv, bias=False)
    dw = ops.TiledConvBackwardWeight(linear).reference(x, dy)
    expected = ops.ConvBackwardWeight(of_conv).reference(x, dy)
    np.testing.assert_allclose(dw.sum(axis=tuple(range(-len(tile), 0))), expected, atol=1e-11)


@FEW
@given(tiled_examples())
def test_each_position_is_what_the_convolution_with_its_weights_is_there(example):
    shape, op = example
    x, (weight, *bias), _ = arrays_for(op, shape)
    y = op.reference(x, weight, *bias)
    for position in np.ndindex(*y.shape[2:]):
        place = tuple(p % t for p, t in zip(position, op.tile, strict=True))
        expected = op.conv.reference(x, weight[(..., *place)])[(..., *position)]
        if bias:
            expected = expected + (bias[0] if op.shared_bias else bias[0][(..., *place)])
        np.testing.assert_allclose(y[(..., *position)], expected, atol=1e-11)
        if sum(position) > 4:
            break


def test_costs_as_much_as_the_convolution_and_has_more_parameters():
    local = tiled(8, (3, 3), (6, 6))
    assert local.cost((2, 8, 8)).multiply_adds == local.conv.cost((2, 8, 8)).multiply_adds
    assert local.cost((2, 8, 8)).parameters == 36 * (8 * 2 * 9 + 8)


def test_refuses_a_tile_that_is_larger_than_the_output():
    with pytest.raises(ShapeError, match=r"the tile \(4,\) is larger than the output, which has"):
        tiled(2, (3,), (4,)).infer_shape((1, 5))


@pytest.mark.parametrize("tile", [(0,), (2, 2), (1.5,), 2])
def test_refuses_a_tile_without_an_integer_per_axis(tile):
    with pytest.raises(ArgumentError, match="'tile' parameter of TiledConv must be"):
        tiled(2, (3,), tile)
