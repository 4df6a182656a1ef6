from __future__ import annotations

import numpy as np
import pytest

from convoi import Network, nn
from convoi.errors import ArgumentError
from convoi.graph import INPUT, run
from convoi.inspection import feature_maps

RNG = np.random.default_rng(0)
NETWORKS = {
    "image": (
        nn.Sequential(
            nn.Conv(5, 3, padding="same"),
            nn.BatchNorm(),
            nn.ReLU(),
            nn.Residual(nn.Sequential(nn.Conv(5, 3, padding="same"), nn.Dropout(0.5))),
            nn.MaxPool(2),
            nn.Flatten(),
            nn.Dense(7),
            nn.ReLU(),
            nn.Dense(3),
        ),
        (2, 9, 8),
    ),
    "series": (nn.Sequential(nn.Conv(3, 5), nn.GlobalAveragePool()), (2, 17)),
    "one layer": (nn.Conv(3, 3), (1, 6, 6)),
    "rows": (nn.Sequential(nn.Dense(4), nn.Tanh(), nn.Dense(2)), (5,)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_has_the_output_of_the_definition(name):
    network = Network(*NETWORKS[name], random_state=0)
    X = RNG.normal(size=(3, *network.input_shape)).astype(np.float32)
    expected = run(network.graph, {INPUT: X}, network.parameters)
    maps = feature_maps(network, X)
    assert list(maps) == [node.name for node in network.graph.nodes]
    for layer, values in maps.items():
        np.testing.assert_allclose(values, expected[layer], rtol=1e-4, atol=1e-5)


def test_new_parameters_count_at_once():
    network = Network(nn.Dense(2), (3,), random_state=0)
    before = feature_maps(network, np.ones((1, 3)))
    network.parameters = {name: 2 * array for name, array in network.parameters.items()}
    (name,) = before
    np.testing.assert_allclose(feature_maps(network, np.ones((1, 3)))[name], 2 * before[name])


def test_some_layers_can_be_asked_for():
    network = Network(*NETWORKS["image"], random_state=0)
    assert list(feature_maps(network, np.zeros((2, 2, 9, 8)), ["0", "8"])) == ["0", "8"]


@pytest.mark.parametrize("layers", [["nothing"], []])
def test_unknown_layers_are_refused(layers):
    network = Network(nn.Dense(2), (3,), random_state=0)
    with pytest.raises(ArgumentError, match="layers"):
        feature_maps(network, np.zeros((1, 3)), layers)
