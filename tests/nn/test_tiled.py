"""Dense, local, tiled and convolutional layers are one family; what sharing weights gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convoi import nn
from convoi.errors import ArgumentTypeError, ShapeError
from tests.strategies import input_shapes

FEW = settings(max_examples=12)


@st.composite
def geometries(draw):
    """Draw an input shape, and the arguments of a layer that slides a kernel over it."""
    shape = draw(input_shapes(ranks=(1, 2)))
    groups = draw(st.sampled_from([g for g in range(1, shape[0] + 1) if shape[0] % g == 0]))
    filters = groups * draw(st.sampled_from([1, 2, 3] if groups > 3 else [1, 4, 17]))
    kernel = tuple(draw(st.integers(1, min(3, extent))) for extent in shape[1:])
    others = {
        "stride": draw(st.integers(1, 2)),
        "padding": draw(st.sampled_from(["valid", "same", 1])),
        "groups": groups,
        "bias": draw(st.booleans()),
        "flip": draw(st.booleans()),
    }
    return shape, (filters, kernel), others


def results(network, X, y):
    """Return output and gradients."""
    _, gradients = network.loss_and_gradients(X, y, loss="mean_squared")
    return network(X), gradients


def compare(one, other, parameters):
    """Require two networks to be the same, given the second one's parameters."""
    other.parameters = parameters
    rng = np.random.default_rng(0)
    X = rng.standard_normal((3, *one.input_shape))
    y = rng.standard_normal((3, *one.output_shape))
    (output, gradients), (expected, wanted) = results(other, X, y), results(one, X, y)
    np.testing.assert_allclose(output, expected, atol=1e-12)
    for name, gradient in wanted.items():
        np.testing.assert_allclose(gradients[name].ravel(), gradient.ravel(), atol=1e-12)


@FEW
@given(geometries())
def test_a_tile_of_one_is_a_convolution(geometry):
    shape, positional, others = geometry
    conv = nn.Network(nn.Conv(*positional, **others), shape, dtype="float64", random_state=0)
    layer = nn.TiledConv(*positional, tile=1, **others)
    tiled = nn.Network(layer, shape, dtype="float64")
    ones = (1,) * (len(shape) - 1)
    placed = {name: p.reshape(*p.shape, *ones) for name, p in conv.parameters.items()}
    compare(conv, tiled, placed)


@FEW
@given(geometries())
def test_a_tile_as_large_as_the_output_is_locally_connected(geometry):
    shape, positional, others = geometry
    layer = nn.LocallyConnected(*positional, **others)
    local = nn.Network(layer, shape, dtype="float64", random_state=0)
    tile = local.output_shape[1:]
    tiled = nn.Network(nn.TiledConv(*positional, tile=tile, **others), shape, dtype="float64")
    compare(local, tiled, local.parameters)


@FEW
@given(geometries())
def test_each_position_of_a_local_layer_has_a_convolutions_output(geometry):
    shape, positional, others = geometry
    layer = nn.LocallyConnected(*positional, **others)
    local = nn.Network(layer, shape, dtype="float64", random_state=0)
    conv = nn.Network(nn.Conv(*positional, **others), shape, dtype="float64")
    X = np.random.default_rng(1).standard_normal((2, *shape))
    y = local(X)
    last = tuple(p - 1 for p in y.shape[2:])
    for place in {(0,) * len(last), last, tuple(p // 2 for p in last)}:
        conv.parameters = {name: p[(..., *place)] for name, p in local.parameters.items()}
        np.testing.assert_allclose(y[(..., *place)], conv(X)[(..., *place)], atol=1e-12)


def shifted(layer):
    """Return the outputs of two such layers for an input, and for the input moved by a step."""
    layers = nn.Sequential(layer, nn.Tanh(), layer)
    network = nn.Network(layers, (2, 14, 13), dtype="float64", random_state=0)
    X = np.random.default_rng(2).standard_normal((4, 2, 14, 13))
    return network(X), network(np.roll(X, (1, 2), axis=(2, 3)))


def test_convolutions_are_equivariant_away_from_the_border():
    output, moved = shifted(nn.Conv(2, 3))
    np.testing.assert_allclose(moved[:, :, 1:, 2:], output[:, :, :-1, :-2], rtol=0, atol=1e-14)


def test_tiled_convolutions_are_equivariant_to_shifts_by_a_tile():
    output, moved = shifted(nn.TiledConv(2, 3, tile=(1, 2)))
    np.testing.assert_allclose(moved[:, :, 1:, 2:], output[:, :, :-1, :-2], rtol=0, atol=1e-14)
    output, moved = shifted(nn.TiledConv(2, 3, tile=2))
    assert np.abs(moved[:, :, 1:, 2:] - output[:, :, :-1, :-2]).max() > 0.1


def test_local_layers_are_not_equivariant():
    output, moved = shifted(nn.LocallyConnected(2, 3))
    assert np.abs(moved[:, :, 1:, 2:] - output[:, :, :-1, :-2]).max() > 0.1


def test_weights_start_with_the_variance_of_a_convolutions():
    network = nn.Network(nn.LocallyConnected(16, 5), input_shape=(4, 20, 20), random_state=0)
    assert network.parameters["weight"].var() == pytest.approx(1 / (4 * 25), rel=0.02)


def test_a_local_network_is_the_same_after_it_is_saved_and_loaded(tmp_path):
    layers = nn.Sequential(
        nn.LocallyConnected(4, 3, bias="shared"),
        nn.ReLU(),
        nn.StochasticPool(2),
        nn.TiledConv(5, 2, tile=2),
        nn.BlurPool(3),
        nn.FractionalMaxPool(1.5),
        nn.AdaptiveAveragePool(2),
    )
    network = nn.Network(layers, input_shape=(1, 14, 14), random_state=0)
    network.save(tmp_path / "local.safetensors")
    loaded = nn.load(tmp_path / "local.safetensors")
    X = np.random.default_rng(0).standard_normal((3, 1, 14, 14))
    np.testing.assert_array_equal(loaded(X), network(X))


def test_a_bias_that_is_no_word_and_no_boolean_has_the_wrong_type():
    with pytest.raises(ArgumentTypeError, match="'bias' parameter of TiledConv must be True"):
        nn.TiledConv(4, 3, tile=2, bias=1)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.LocallyConnected(4, 9), "the kernel .* is larger than the padded input"),
        (nn.TiledConv(4, 3, tile=(2, 2)), "the input has one spatial axis, but tile="),
        (nn.FractionalMaxPool((2.0, 2.0)), "the input has one spatial axis, but ratio="),
        (nn.AdaptiveMaxPool((2, 2)), "the input has one spatial axis, but output_size="),
    ],
)
def test_shapes_that_do_not_fit_are_refused(layer, message):
    with pytest.raises(ShapeError, match=message):
        nn.trace(layer, (1, 8))
