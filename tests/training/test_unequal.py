from __future__ import annotations

import numpy as np
import pytest

from convoi import Network, nn
from convoi.errors import ArgumentError, DataError
from convoi.training import Callback, evaluate, fit
from convoi.training.randomness import Order

QUICK = {"epochs": 3, "batch_size": 8, "random_state": 0, "verbose": False}


def slopes(count=40, seed=0):
    """Return rising and falling series of 5 to 30 time steps, and which is which."""
    rng = np.random.default_rng(seed)
    y = rng.integers(2, size=count)
    series = [
        np.linspace(0, 2 * label - 1, length) + rng.normal(0, 0.2, length)
        for label, length in zip(y, rng.integers(5, 31, count), strict=True)
    ]
    return nn.UnequalSeries.of(series), y


def new_network(**options):
    return Network(nn.networks.fcn(2, 4), (1, 32), random_state=0, **options)


def test_a_network_learns_from_series_of_unequal_length():
    X, y = slopes()
    network = new_network()
    fit(network, X, y, **{**QUICK, "epochs": 15}, validation_data=0.2)
    assert evaluate(network, X, y)["accuracy"] > 0.9


def test_the_same_seed_gives_the_same_bits_on_any_number_of_threads():
    X, y = slopes()
    networks = [new_network(threads=threads) for threads in (1, 2)]
    for network in networks:
        fit(network, X, y, **QUICK)
    for name, array in networks[0].parameters.items():
        np.testing.assert_array_equal(networks[1].parameters[name], array)


def test_batches_are_of_similar_lengths_and_hold_every_series_once():

    sizes = np.repeat([8, 64, 16], 10)
    batches = Order(0, np.arange(30), 7, sizes).batches(0)
    np.testing.assert_array_equal(np.sort(np.concatenate(batches)), np.arange(30))
    assert max(map(len, batches)) - min(map(len, batches)) <= 1
    assert sum(np.unique(sizes[rows]).size > 1 for rows in batches) <= 2


def test_a_resumed_run_ends_with_the_same_bits(tmp_path):
    X, y = slopes()
    whole, resumed = new_network(), new_network()
    fit(whole, X, y, **QUICK, checkpoint=tmp_path / "whole.ckpt")
    path = tmp_path / "run.ckpt"

    class Interrupt(Callback):
        def on_epoch_end(self, state):
            if state.epoch == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(resumed, X, y, **QUICK, checkpoint=path, callbacks=[Interrupt()])
    fit(resumed, X, y, **QUICK, checkpoint=path, resume=True)
    for name, array in whole.parameters.items():
        np.testing.assert_array_equal(resumed.parameters[name], array)


def test_augmentation_is_refused():
    X, y = slopes()
    with pytest.raises(ArgumentError, match="unequal lengths"):
        fit(new_network(), X, y, **QUICK, augment="light")


def test_the_series_with_a_missing_value_is_named():
    X, y = slopes()
    X.series[3][0, 2] = np.nan
    with pytest.raises(DataError, match="in series 3"):
        fit(new_network(), X, y, **QUICK)


def test_a_network_with_outputs_for_time_steps_is_refused():
    X, y = slopes()
    network = Network(nn.networks.fcn(2, 4, per_step=True), (1, 32))
    with pytest.raises(ArgumentError, match="one output for each series"):
        fit(network, X, np.zeros((len(y), 32), int), **QUICK)
