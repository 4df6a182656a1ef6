from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from convoi import Network, nn
from convoi.explorer.connections import connect

CASES = [
    (5, 3, 1, "same"),
    (8, 3, 1, "valid"),
    (8, 4, 2, "same"),
    (9, 5, 3, "valid"),
    (6, 1, 1, "same"),
]


def layers(inputs, taps, stride, padding, tile=2):
    made = connect(inputs, taps, stride=stride, padding=padding, tile=tile)
    return {layer.kind: layer for layer in made}


def matrix(layer, inputs, weights):
    """Return the layer as a matrix, its weights having these values."""
    dense = np.zeros((layer.outputs, inputs))
    for i, o, weight in layer.edges:
        dense[o, i] = weights[weight]
    return dense


def responses(network, inputs):
    """Return what each output makes of a one at each input."""
    impulses = np.eye(inputs)[:, np.newaxis]
    zero = network(np.zeros((1, 1, inputs)))
    return (network(impulses) - zero).reshape(inputs, -1).T


NETWORK_LAYERS = {
    "convolutional": nn.Conv,
    "tiled": partial(nn.TiledConv, tile=2),
    "local": nn.LocallyConnected,
}


@pytest.mark.parametrize("kind", NETWORK_LAYERS)
@pytest.mark.parametrize(("inputs", "taps", "stride", "padding"), CASES)
def test_layers_are_connected_as_those_of_networks_are(kind, inputs, taps, stride, padding):
    made = NETWORK_LAYERS[kind](1, taps, stride=stride, padding=padding)
    network = Network(made, (1, inputs), dtype="float64", random_state=0)
    # Places in the tile come last: the weights of a place become neighbours.
    weights = network.parameters["weight"].reshape(taps, -1).T.ravel()
    layer = layers(inputs, taps, stride, padding)[kind]
    expected = matrix(layer, inputs, weights)
    np.testing.assert_allclose(responses(network, inputs), expected, atol=1e-12)
    assert layer.biases == network.parameters["bias"].size
    if padding == "valid":  # else some weights only see the padding
        assert layer.weights == network.parameters["weight"].size


@pytest.mark.parametrize(("inputs", "taps", "stride", "padding"), CASES)
def test_the_dense_layer_has_the_weights_of_the_network_layer(inputs, taps, stride, padding):
    layer = layers(inputs, taps, stride, padding)["dense"]
    network = Network(nn.Dense(layer.outputs), (inputs,), random_state=0)
    assert len(layer.edges) == layer.weights == network.parameters["weight"].size
    assert layer.weights + layer.biases == network.summary(show=False).parameters


@pytest.mark.parametrize(("inputs", "taps", "stride", "padding"), CASES)
def test_the_local_layer_has_the_same_connections_and_a_weight_for_each(
    inputs, taps, stride, padding
):
    made = layers(inputs, taps, stride, padding)
    pairs = {kind: {(i, o) for i, o, _ in layer.edges} for kind, layer in made.items()}
    assert pairs["local"] == pairs["tiled"] == pairs["convolutional"]
    assert made["local"].weights == len(made["local"].edges)


@pytest.mark.parametrize(("tile", "same"), [(1, "convolutional"), (16, "local")])
def test_the_tiled_layer_lies_between_the_local_and_the_convolutional_one(tile, same):
    made = layers(8, 3, 1, "valid", tile=tile)
    assert made["tiled"].edges == made[same].edges
    assert made["tiled"].biases == made[same].biases
