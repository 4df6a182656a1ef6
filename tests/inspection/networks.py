"""Small networks, samples and oracles in NumPy."""

from __future__ import annotations

import numpy as np

from convoi import Network, nn
from convoi.graph import INPUT, run


def small(shape=(1, 9, 8), outputs=3, **options):
    """Return a network with a batch norm that has seen something, for images or series."""
    layers = nn.Sequential(
        nn.Conv(4, 3, padding="same"),
        nn.BatchNorm(),
        nn.Tanh(),
        nn.MaxPool(2),
        nn.Conv(5, 3),
        nn.Sigmoid(),
        nn.GlobalAveragePool(),
        nn.Dense(outputs),
    )
    network = Network(layers, shape, random_state=0, **{"dtype": "float64", **options})
    rng = np.random.default_rng(0)
    moved = {
        name: rng.uniform(0.5, 1.5, array.shape) if name.startswith("1.") else array
        for name, array in network.parameters.items()
    }
    network.parameters = moved
    return network


def samples(count=6, shape=(1, 9, 8), seed=1):
    return np.random.default_rng(seed).normal(size=(count, *shape))


def definition(network, X):
    """Return all values of a network by its definition."""
    return run(network.graph, {INPUT: np.asarray(X, np.float64)}, network.parameters)


def output_by_definition(network, X):
    return definition(network, X)[network.graph.outputs[0]]
