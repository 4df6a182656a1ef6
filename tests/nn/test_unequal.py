from __future__ import annotations

import numpy as np
import pytest

from convoi import Network, nn
from convoi.errors import ArgumentError, ArgumentTypeError, DataError, ShapeError
from convoi.graph import resize
from convoi.nn.unequal import UnequalSeries, padded_length


@pytest.fixture
def network():
    return Network(nn.networks.fcn(3, 4), (2, 20), random_state=0)


@pytest.fixture
def series():
    rng = np.random.default_rng(0)
    return [rng.standard_normal((2, length)) for length in (5, 33, 7, 6, 33, 100)]


def test_paddings_grow_by_half_and_by_a_third():
    lengths = sorted({padded_length(length) for length in range(1, 100)})
    assert lengths == [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128]
    assert all(length <= padded_length(length) for length in range(1, 3000))


def test_each_series_gives_what_it_gives_alone(network, series):
    outputs = network.predict_unequal(series)
    for x, output in zip(series, outputs, strict=True):
        alone = Network(resize(network.graph, x.shape[1:]), parameters=network.parameters)
        np.testing.assert_allclose(output, alone(x[np.newaxis])[0], atol=1e-6)


def test_the_other_series_do_not_change_a_bit(network, series):
    outputs = network.predict_unequal(series)
    for number in range(len(series)):
        np.testing.assert_array_equal(network.predict_unequal([series[number]])[0], outputs[number])
    np.testing.assert_array_equal(network.predict_unequal(series[::-1]), outputs[::-1])


def test_outputs_for_time_steps_come_in_a_list(series):
    network = Network(nn.networks.fcn(3, 4, per_step=True), (2, 20), random_state=0)
    outputs = network.predict_unequal(series)
    assert [output.shape for output in outputs] == [(3, x.shape[1]) for x in series]


def test_parameters_can_change_between_predictions(network, series):
    before = network.predict_unequal(series)
    network.parameters = {name: 2 * array for name, array in network.parameters.items()}
    assert (network.predict_unequal(series) != before).any()


def test_one_channel_needs_no_axis():
    network = Network(nn.networks.fcn(3, 4), (1, 20), random_state=0)
    x = np.arange(9.0)
    np.testing.assert_array_equal(network.predict_unequal([x]), network.predict_unequal([[x]]))


@pytest.mark.parametrize(
    ("series", "error", "message"),
    [
        ([], DataError, "at least one series"),
        ([np.ones((2, 3)), np.ones((1, 3))], ShapeError, "Series 0 has 2, and series 1 has 1"),
        ([np.ones((2, 3, 1))], ShapeError, r"Series 0 .* Got \(2, 3, 1\)"),
        ([np.ones((2, 3)), np.ones((2, 0))], DataError, "Series 1 .* no time steps"),
        ([np.array(["a", "b"])], ArgumentTypeError, "Series 0 .* real numbers"),
    ],
)
def test_series_are_checked(series, error, message):
    with pytest.raises(error, match=message):
        UnequalSeries.of(series)


def test_other_channels_are_refused(network):
    with pytest.raises(ShapeError, match="have 1 channels, and the network takes 2"):
        network.predict_unequal([np.ones(9)])


def test_the_series_that_is_too_short_is_named():
    network = Network(nn.Sequential(nn.Conv(2, 5), nn.GlobalAveragePool()), (1, 20))
    with pytest.raises(DataError, match=r"Series 1 of X has 4 time steps, .* at least 5"):
        network.predict_unequal([np.ones(9), np.ones(4)])


def test_a_layer_for_one_length_is_named():
    network = Network(nn.Sequential(nn.Flatten(), nn.Dense(2)), (1, 20))
    with pytest.raises(ArgumentError, match="works on one length only"):
        network.predict_unequal([np.ones(9)])
