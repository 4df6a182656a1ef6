"""Several networks trained together are what each would be alone."""

from __future__ import annotations

import copy
import os
import signal
import threading

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from convoi import Network, config, nn
from convoi.errors import ArgumentError, ArgumentTypeError, DataError, DivergenceError
from convoi.nn.unequal import UnequalSeries
from convoi.training import EarlyStopping, fit, fit_many

SHAPE = (1, 16)


def samples(count=60):
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=count)
    return rng.normal(size=(count, *SHAPE)).astype(np.float32) + y[:, None, None], y


def networks(count, width=4):
    layers = nn.Sequential(
        nn.Conv(width, 3), nn.BatchNorm(), nn.ReLU(), nn.Dropout(0.2), nn.GlobalAveragePool(),
        nn.Dense(2),
    )  # fmt: skip
    return [Network(layers, SHAPE, random_state=i) for i in range(count)]


def same(first, second):
    ours, theirs = first.parameters, second.parameters
    return all(np.array_equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_folds_are_bit_identical_to_training_each_alone(threads):
    X, y = samples()
    together, alone = networks(3), networks(3)
    splits = list(StratifiedKFold(3).split(X, y))
    options = {"epochs": 2, "batch_size": 16, "augment": "light", "class_weight": "balanced"}
    histories = fit_many(
        together, X, y, splits=iter(splits), random_state=5, threads=threads, **options
    )
    for network, (train, test), history, joint in zip(
        alone, splits, histories, together, strict=True
    ):
        data = {"validation_data": (X[test], y[test])}
        assert fit(network, X[train], y[train], random_state=5, **data, **options) == history
        assert same(network, joint)


def test_points_of_a_grid_may_differ_in_all_that_is_given_as_a_list():
    X, y = samples()
    together, alone = networks(2) + networks(1, width=5), networks(2) + networks(1, width=5)
    grid = {
        "epochs": [1, 2, 3],
        "batch_size": [8, 16, 32],
        "learning_rate": [0.1, 0.01, None],
        "optimizer": ["sgd", "adam", "adamw"],
        "schedule": ["constant", "cosine", "step"],
        "augment": [None, "light", None],
        "random_state": [1, 2, 3],
    }
    stopping = EarlyStopping(patience=1)
    histories = fit_many(
        together, X, y, validation_data=0.25, early_stopping=stopping, threads=2, **grid
    )
    for i, network in enumerate(alone):
        point = {name: values[i] for name, values in grid.items()}
        history = fit(network, X, y, validation_data=0.25, early_stopping=stopping, **point)
        assert history == histories[i]
        assert same(network, together[i])


def test_series_of_unequal_length():
    rng = np.random.default_rng(0)
    series = UnequalSeries.of([rng.normal(size=(1, n)) for n in (9, 14, 16, 12, 10, 16)], "X")
    layers = nn.Sequential(nn.Conv(4, 3), nn.ReLU(), nn.GlobalAveragePool(), nn.Dense(2))
    together = [Network(layers, SHAPE, random_state=i) for i in range(2)]
    alone = [Network(layers, SHAPE, random_state=i) for i in range(2)]
    y = [0, 1, 0, 1, 0, 1]
    fit_many(together, series, y, epochs=2, random_state=0, batch_size=3, threads=2)
    for network, joint in zip(alone, together, strict=True):
        fit(network, series, y, epochs=2, random_state=0, batch_size=3)
        assert same(network, joint)


def test_the_settings_of_the_caller_hold_in_all_threads():
    X, y = samples()
    together, alone = networks(2), networks(2)
    with config.override(cpu="x86-64-v2", threads=2):
        fit_many(together, X, y, epochs=1, random_state=0)
        for network, joint in zip(alone, together, strict=True):
            fit(network, X, y, epochs=1, random_state=0)
            assert same(network, joint)


def test_no_more_threads_are_busy_than_asked_for():
    X, y = samples()
    seen = set()

    class Source:
        shape, dtype = X.shape, X.dtype

        def take(self, indices):
            seen.add(sum(t.name.startswith("convoi-fit") for t in threading.enumerate()))
            return X[indices]

    fit_many(networks(5), Source(), y, epochs=1, random_state=0, threads=2)
    assert max(seen) <= 2


def test_a_diverging_network_leaves_the_others_alone():
    X, y = samples()
    rates = [0.01, 1e30, 0.01]
    together = networks(3)
    options = {"epochs": 2, "learning_rate": rates, "random_state": 0, "optimizer": "sgd"}
    first, second, third = fit_many(together, X, y, errors="return", threads=2, **options)
    assert isinstance(second, DivergenceError)
    assert len(first) == len(third) == 2
    with pytest.raises(DivergenceError, match="diverged"):
        fit_many(networks(3), X, y, threads=2, **options)


def test_ctrl_c_ends_all_runs_between_two_steps():
    X, y = samples()
    together = networks(4)
    before = [network.parameters["0.weight"] for network in together]

    def changed():
        return [
            n.parameters["0.weight"] is not old for n, old in zip(together, before, strict=True)
        ]

    class Source:
        shape, dtype = X.shape, X.dtype
        interrupted = False

        def take(self, indices):
            if not self.interrupted and changed()[:2] == [True, True]:
                self.interrupted = True
                os.kill(os.getpid(), signal.SIGINT)
            return X[indices]

    with pytest.raises(KeyboardInterrupt):
        fit_many(together, Source(), y, epochs=10**6, batch_size=8, threads=2)
    assert changed() == [True, True, False, False]


def test_a_line_for_each_network_is_printed_when_asked_for(capsys):
    X, y = samples()
    fit_many(networks(2), X, y, epochs=1, random_state=0, threads=1, verbose=True)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["network 1 of 2", "network 2 of 2"]
    assert "1 epochs, loss" in lines[0]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"networks": []}, ArgumentError, "at least one network"),
        ({"networks": 3}, ArgumentTypeError, "a sequence of networks"),
        ({"networks": ["net"]}, ArgumentTypeError, "a Network"),
        ({"epochs": [1]}, ArgumentError, "a list with one for each of the 2 networks"),
        ({"epochs": 0}, ArgumentError, "epochs"),
        ({"errors": "ignore"}, ArgumentError, "'raise', 'return'"),
        ({"verbose": 2}, ArgumentError, "verbose"),
        ({"splits": [([0], [1])]}, ArgumentError, "each of the 2 networks. Got 1"),
        ({"splits": [([0], [60])] * 2}, DataError, "from 0 to 59. Got 60 in the pair of network 0"),
        ({"splits": [([0], [-1])] * 2}, DataError, "Got -1"),
        ({"splits": [([0], [])] * 2}, ArgumentTypeError, "none of them empty"),
        ({"splits": [([0.5], [1])] * 2}, ArgumentTypeError, "arrays of row numbers"),
        ({"splits": [([0],)] * 2}, ArgumentTypeError, "pairs"),
        ({"splits": [([0], [1])] * 2, "validation_data": 0.2}, ArgumentError, "Give either"),
    ],
)
def test_refusals(changes, error, words):
    X, y = samples()
    options = {"networks": networks(2), "epochs": 1, **changes}
    with pytest.raises(error, match=words):
        fit_many(options.pop("networks"), X, y, **options)


def test_a_network_cannot_be_trained_twice_at_a_time():
    X, y = samples()
    (network,) = networks(1)
    with pytest.raises(ArgumentError, match="each network once"):
        fit_many([network, network], X, y, epochs=1)
    fit_many([network, copy.copy(network)], X, y, epochs=1)
