from __future__ import annotations

import numpy as np
import pytest

from convoi import Network, nn
from convoi.inspection.family import KINDS, exchanged, lenet_like, member

TOPOLOGY = nn.Sequential(
    nn.Conv(4, 3, stride=2, padding=1),
    nn.Residual(nn.Sequential(nn.Conv(4, 3, padding=1), nn.ReLU()), nn.Conv(4, 1)),
    nn.Parallel(nn.Conv(2, 2), nn.Sequential(nn.Conv(3, 2, dilation=1, bias=False))),
    nn.Flatten(),
    nn.Dense(3),
)
SHAPE = (2, 9, 8)


def own_layers(kind, tile=2):
    """Return the outputs of the exchanged layers, by path."""
    graph = nn.trace(member(TOPOLOGY, kind, tile), SHAPE)
    names = [node.name for node in graph.nodes]
    paths = exchanged(TOPOLOGY)
    return {
        p: graph.shape([n for n in names if n == p or n.startswith(p + ".")][-1]) for p in paths
    }


def test_convolutions_are_found_wherever_layers_are_nested():
    assert exchanged(TOPOLOGY) == ["0", "1.body.0", "1.shortcut", "2.branches.0", "2.branches.1.0"]
    assert exchanged(nn.Conv(1, 3)) == [""]
    assert exchanged(nn.Dense(3)) == []


@pytest.mark.parametrize("kind", KINDS)
def test_all_members_have_the_same_shapes(kind):
    assert own_layers(kind) == own_layers("convolutional")


@pytest.mark.parametrize("kind", KINDS)
def test_all_members_compute_and_train(kind):
    network = Network(member(TOPOLOGY, kind), SHAPE, random_state=0)
    X = np.random.default_rng(0).uniform(size=(4, *SHAPE))
    loss, gradients = network.loss_and_gradients(X, np.arange(4) % 3)
    assert np.isfinite(loss)
    assert all(gradient.any() for gradient in gradients.values())


def test_parameters_grow_from_the_convolutional_to_the_dense_member():
    counts = [
        Network(member(nn.Conv(4, 3), kind), (2, 8, 8)).summary(show=False).parameters
        for kind in reversed(KINDS)
    ]
    assert counts == [4 * (18 + 1), 4 * 4 * (18 + 1), 36 * 4 * (18 + 1), 36 * 4 * (2 * 64 + 1)]


def test_local_and_convolutional_members_have_the_same_connections():
    sums = {
        kind: Network(member(nn.Conv(4, 3, padding=1), kind), (2, 8, 8)).summary(show=False)
        for kind in KINDS
    }
    assert sums["local"].connections == sums["tiled"].connections
    assert sums["local"].connections == sums["convolutional"].connections == 4 * 2 * 22**2
    assert sums["dense"].connections == 4 * 64 * 2 * 64


def test_a_tile_larger_than_the_output_shares_nothing():
    counts = [
        Network(member(nn.Conv(1, 3), kind, 9), (1, 5, 4)).summary(show=False).parameters
        for kind in ("tiled", "local")
    ]
    assert counts[0] == counts[1]


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 28, 28), (1, 40), (1, 3, 3), (2, 5, 6, 7)])
def test_the_default_topology_takes_inputs_of_any_size(shape):
    assert nn.trace(lenet_like(shape, 7), shape).outputs
