from __future__ import annotations

import numpy as np
import pytest

from convoi import Network, nn
from convoi.errors import ArgumentError, ArgumentTypeError, DataError, ShapeError
from convoi.graph import resize

LAYERS = {
    "causal": nn.networks.tcn(2, 3, depth=3, per_step=True),
    "same": nn.networks.fcn(2, 3, per_step=True),
    "valid": nn.Sequential(nn.Conv(3, 7), nn.ReLU(), nn.Conv(2, 4)),
    "strided": nn.Sequential(
        nn.Conv(3, 5, stride=3, padding=2), nn.MaxPool(3, stride=2, padding=1), nn.Conv(2, 4)
    ),
    "wide padding": nn.Sequential(nn.Conv(3, 3, padding=5), nn.AveragePool(3, stride=1, padding=1)),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("length", [37, 100, 333])
def test_parts_give_what_the_whole_recording_gives(name, length):
    network = Network(LAYERS[name], (2, 64), dtype="float64", random_state=0)
    x = np.random.default_rng(0).standard_normal((2, length))
    whole = Network(
        resize(network.graph, (length,)), dtype="float64", parameters=network.parameters
    )(x[np.newaxis])[0]
    for part in (1, 97):
        np.testing.assert_allclose(network.predict_long(x, part=part), whole, atol=1e-12)


def test_a_mapped_recording_is_labelled_in_the_memory_of_parts(tmp_path):
    network = Network(nn.networks.tcn(2, 4, depth=2, per_step=True), (1, 64), threads=1)
    recording = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (1, 300_000))
    recording[:] = np.random.default_rng(0).standard_normal((1, 300_000))
    out = np.lib.format.open_memmap(tmp_path / "y.npy", "w+", np.float32, (2, 300_000))
    assert network.predict_long(recording, out=out) is out
    np.testing.assert_array_equal(out, network.predict_long(np.array(recording)))


def test_one_channel_needs_no_axis():
    network = Network(LAYERS["same"], (1, 64), random_state=0)
    np.testing.assert_array_equal(
        network.predict_long(np.ones(50)), network.predict_long(np.ones((1, 50)))
    )


@pytest.mark.parametrize(
    ("recording", "options", "error", "message"),
    [
        (np.ones((3, 50)), {}, ShapeError, r"shape \(2, time\)"),
        (np.ones((2, 5)), {}, DataError, "has 5 time steps, .* at least 10"),
        (np.full((2, 50), "a"), {}, ArgumentTypeError, "'recording'"),
        (np.ones((2, 50)), {"part": 0}, ArgumentError, "'part'"),
        (np.ones((2, 50)), {"out": np.ones((2, 50))}, ShapeError, r"'out' .* \(2, 41\)"),
        (np.ones((2, 50)), {"out": [1]}, ArgumentTypeError, "'out'"),
    ],
)
def test_arguments_are_checked(recording, options, error, message):
    with pytest.raises(error, match=message):
        Network(LAYERS["valid"], (2, 64)).predict_long(recording, **options)


def test_a_network_for_whole_series_is_refused():
    with pytest.raises(ArgumentError, match="per_step=True"):
        Network(nn.networks.fcn(2, 3), (1, 20)).predict_long(np.ones(50))
