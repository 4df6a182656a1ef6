from __future__ import annotations

import numpy as np
import pytest

from convoi import Network, nn
from convoi.codegen.target import current_target
from convoi.compiler import InferenceProgram
from convoi.compiler.peak import measured_peak, peak_call
from convoi.compiler.timing import time_layers

LAYERS = nn.Sequential(
    nn.Standardize(),
    nn.Residual(nn.Sequential(nn.Conv(16, 3, padding=1), nn.BatchNorm(), nn.ReLU())),
    nn.Dropout(0.5),
    nn.GlobalAveragePool(),
    nn.Dense(4),
)
SHAPE = (16, 32, 32)


@pytest.fixture
def network():
    return Network(LAYERS, SHAPE, random_state=0)


@pytest.mark.parametrize("batch_size", [1, 50])
def test_time_stands_at_the_layers_that_kernels_are_for(network, batch_size):
    seconds = time_layers(network.graph, "float32", network.parameters, batch_size=batch_size)
    names = [node.name for node in network.graph.nodes]
    assert list(seconds) == ["input", *names, "output"]
    assert seconds["1.body.0"] > 0
    assert [seconds[name] for name in ("1.body.1", "1.body.2", "2")] == [0, 0, 0]


def test_layers_without_a_kernel_take_no_time():
    layers = nn.Sequential(nn.Conv(2, 3), nn.Flatten(), nn.Dense(2), nn.Dropout(0.1))
    network = Network(layers, (1, 5, 5), random_state=0)
    seconds = time_layers(network.graph, "float64", network.parameters, batch_size=2)
    assert seconds["3"] == 0


def test_timing_leaves_the_program_as_it_was(network):
    program = InferenceProgram(network.graph, threads=2)
    program.load(network.parameters)
    X = np.random.default_rng(0).uniform(size=(70, *SHAPE)).astype(np.float32)
    before = program(X)
    times = program.time_tasks(X[:5])
    assert {"pack", "output"} < set(times)
    assert np.array_equal(program(X), before)


def test_the_peak_is_that_of_the_products_that_are_asked_for():
    call, products = peak_call(current_target(), "float64", 10_000)
    assert products == call.count * (products // call.count)
    assert abs(products - 10_000) < 1_000
    assert measured_peak("float64", rounds=2) > 1e6
