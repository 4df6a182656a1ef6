from __future__ import annotations

import numpy as np
import pytest

from convoi import Network, inspection, nn
from convoi.errors import ArgumentError, ArgumentTypeError, ShapeError
from convoi.graph import INPUT, run
from convoi.inspection import feature_maps
from tests.inspection.networks import samples, small

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


def test_kernels_are_a_copy_of_the_weight():
    network = small()
    found = inspection.kernels(network, "0")
    np.testing.assert_array_equal(found, network.parameters["0.weight"])
    found[:] = 0
    assert network.parameters["0.weight"].any()


def test_kernels_of_a_convolution_lie_as_they_are_laid_over_the_input():
    network = Network(nn.Sequential(nn.Conv(1, 3, flip=True, bias=False)), (1, 3, 3))
    kernel = inspection.kernels(network, "0")[0, 0]
    image = np.random.default_rng(0).normal(size=(3, 3))
    assert network(image[None, None]).item() == pytest.approx((kernel * image).sum(), rel=1e-5)


def test_refuses_what_is_no_layer_and_what_has_no_kernels():
    network = small()
    with pytest.raises(ArgumentError, match=r"'layer' parameter of kernels .* Got '9' instead"):
        inspection.kernels(network, "9")
    with pytest.raises(ArgumentError, match=r"one of \['0', '4', '7'\]\. Got '2' instead, a Tanh"):
        inspection.kernels(network, "2")
    with pytest.raises(ArgumentError, match="'layers' parameter of feature_maps"):
        inspection.feature_maps(network, samples(), "0")
    with pytest.raises(ArgumentTypeError, match="must be a Network"):
        inspection.kernels("network", "0")
    with pytest.raises(ShapeError, match="samples X must have the shape"):
        inspection.feature_maps(network, samples(shape=(1, 8, 8)))
