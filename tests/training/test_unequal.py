from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax

from convoi import Network, nn
from convoi.errors import ArgumentError, ArgumentTypeError, DataError
from convoi.ops import CrossEntropy
from convoi.training import Augment, Callback, evaluate, fit
from convoi.training.randomness import Order
from convoi.training.unequal import UnequalAugment, as_unequal_samples

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


def test_augmentation_stays_within_each_series():
    X = nn.UnequalSeries.of([np.arange(1.0, 7), np.arange(1.0, 12)])
    batch = as_unequal_samples(X, new_network(), "X", "fit").batch(np.arange(2))
    augment = UnequalAugment(Augment(shift=3, flip=True))
    for seed in range(20):
        changed = augment(batch, np.random.default_rng(seed)).array[:, 0]
        for row, length in zip(changed, X.lengths, strict=True):
            assert not row[length:].any()
            kept = row[row > 0]
            assert len(kept) >= length - 3
            assert np.ptp(np.diff(kept)) == 0  # consecutive values, in one order or the other
    np.testing.assert_array_equal(batch.array[0, 0, :6], np.arange(1, 7))


def test_a_box_is_cut_out_of_each_series():
    X = nn.UnequalSeries.of([np.ones(8), np.ones(30)])
    batch = as_unequal_samples(X, new_network(), "X", "fit").batch(np.arange(2))
    changed = UnequalAugment("strong")(batch, np.random.default_rng(0)).array[:, 0]
    assert 0 < np.count_nonzero(changed[0]) < 8
    assert 0 < np.count_nonzero(changed[1]) < 30


def test_a_network_learns_from_augmented_series():
    X, y = slopes()
    network = new_network()
    fit(network, X, y, **{**QUICK, "epochs": 15}, augment="light")
    assert evaluate(network, X, y)["accuracy"] > 0.9


def test_a_shift_beyond_the_shortest_series_is_refused():
    X, y = slopes()
    with pytest.raises(ArgumentError, match="'shift'"):
        fit(new_network(), X, y, **QUICK, augment=Augment(shift=8))


def test_the_series_with_a_missing_value_is_named():
    X, y = slopes()
    X.series[3][0, 2] = np.nan
    with pytest.raises(DataError, match="in series 3"):
        fit(new_network(), X, y, **QUICK)


def pulses(count=30, seed=0):
    """Return noise with a higher part, and for each step whether it belongs to that."""
    rng = np.random.default_rng(seed)
    series, labels = [], []
    for length in rng.integers(12, 60, count):
        label = np.zeros(length, int)
        label[rng.integers(length - 6) :][: rng.integers(6, 20)] = 1
        series.append(rng.standard_normal(length) + 4 * label)
        labels.append(label)
    return nn.UnequalSeries.of(series), labels


def segmenting(length=64, **options):
    layers = nn.networks.tcn(2, width=8, depth=2, per_step=True)
    return Network(layers, (1, length), random_state=0, **options)


def test_the_steps_of_series_of_unequal_length_are_labelled():
    X, y = pulses()
    network = segmenting()
    settings = {**QUICK, "epochs": 10, "learning_rate": 0.02}
    history = fit(network, X, y, **settings, validation_data=0.2)
    found = evaluate(network, X, y)
    outputs = network.predict_unequal(X)
    own = [np.mean(out.argmax(0) == label) for out, label in zip(outputs, y, strict=True)]
    losses = [
        -np.mean(log_softmax(out.astype(float), axis=0)[label, np.arange(len(label))])
        for out, label in zip(outputs, y, strict=True)
    ]
    assert found["accuracy"] == pytest.approx(np.mean(own))
    assert found["accuracy"] > 0.9
    assert found["loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert history.best.metrics["validation_accuracy"] > 0.8


@pytest.mark.parametrize("length", [33, 48])
def test_padding_changes_nothing_in_a_step_of_a_labelled_series(length):
    X, y = pulses(4)
    x, label = np.resize(X.series[0], (1, length)), np.resize(y[0], length)
    loss = CrossEntropy(label_smoothing=0.1)
    settings = {**QUICK, "optimizer": "sgd", "loss": loss}
    alone, padded = segmenting(length, dtype="float64"), segmenting(dtype="float64")
    first = fit(alone, x[np.newaxis], label[np.newaxis], **settings)
    second = fit(padded, nn.UnequalSeries.of([x]), [label], **settings)
    for name, array in alone.parameters.items():
        np.testing.assert_allclose(padded.parameters[name], array, rtol=1e-9, atol=1e-12)
    for one, other in zip(first.epochs, second.epochs, strict=True):
        assert one.metrics["loss"] == pytest.approx(other.metrics["loss"], rel=1e-9)
        assert one.metrics["accuracy"] == pytest.approx(other.metrics["accuracy"])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda y: y[1:], DataError, "a list of 30 arrays"),
        (len, ArgumentTypeError, "a list of 30 arrays"),
        (lambda y: [*y[:2], y[2][1:], *y[3:]], DataError, "for series 2, one for each output"),
        (lambda y: [*y[:2], y[2] + 5, *y[3:]], DataError, "for sample 2 instead"),
        (lambda y: [*y[:2], y[2] - 1, *y[3:]], DataError, "Got -1 for sample 2"),
        (lambda y: [label / 2 for label in y], ArgumentTypeError, "class codes"),
    ],
)
def test_labels_of_steps_are_checked(change, error, message):
    X, y = pulses()
    with pytest.raises(error, match=message):
        fit(segmenting(), X, change(y), **QUICK)


def smoothed(count=40, seed=0):
    """Return noise, and for each step the mean of the last three and a difference."""
    rng = np.random.default_rng(seed)
    series = [rng.standard_normal(length) for length in rng.integers(12, 60, count)]
    padded = [np.pad(x, (2, 0)) for x in series]
    values = [np.stack([(p[:-2] + p[1:-1] + p[2:]) / 3, p[2:] - p[:-2] + 1]) for p in padded]
    return nn.UnequalSeries.of(series), values


def test_values_for_the_steps_of_series_of_unequal_length_are_learned():
    X, y = smoothed()
    network = segmenting()
    settings = {**QUICK, "epochs": 30, "learning_rate": 0.02, "loss": "mean_squared"}
    history = fit(network, X, y, **settings, validation_data=0.2)
    found = evaluate(network, X, y, loss="mean_squared")
    outputs = network.predict_unequal(X)
    squares = np.mean(
        [np.mean((o - v) ** 2, axis=1) for o, v in zip(outputs, y, strict=True)], axis=0
    )
    mean = np.mean([v.mean(axis=1) for v in y], axis=0)[:, np.newaxis]
    spread = np.mean([np.mean((v - mean) ** 2, axis=1) for v in y], axis=0)
    assert found["loss"] == pytest.approx(squares.mean(), rel=1e-5)
    assert found["r2"] == pytest.approx(np.mean(1 - squares / spread), rel=1e-5)
    assert found["r2"] > 0.95
    assert history.best.metrics["validation_r2"] > 0.9


@pytest.mark.parametrize("loss", ["mean_squared", "mean_absolute", "huber"])
@pytest.mark.parametrize("length", [33, 48])
def test_padding_changes_nothing_in_a_step_towards_values(length, loss):
    X, y = smoothed(4)
    x, values = np.resize(X.series[0], (1, length)), np.resize(y[0], (2, length))
    settings = {**QUICK, "optimizer": "sgd", "loss": loss}
    alone, padded = segmenting(length, dtype="float64"), segmenting(dtype="float64")
    first = fit(alone, x[np.newaxis], values[np.newaxis], **settings)
    second = fit(padded, nn.UnequalSeries.of([x]), [values], **settings)
    for name, array in alone.parameters.items():
        np.testing.assert_allclose(padded.parameters[name], array, rtol=1e-9, atol=1e-12)
    for one, other in zip(first.epochs, second.epochs, strict=True):
        assert one.metrics["loss"] == pytest.approx(other.metrics["loss"], rel=1e-9)


def test_one_value_for_each_step_needs_no_axis_of_outputs():
    X, y = smoothed()
    networks = []
    for values in ([v[0] for v in y], [v[:1] for v in y]):
        layers = nn.networks.tcn(1, width=8, depth=2, per_step=True)
        networks.append(Network(layers, (1, 64), random_state=0))
        fit(networks[-1], X, values, **QUICK, loss="mean_squared")
    for name, array in networks[0].parameters.items():
        np.testing.assert_array_equal(networks[1].parameters[name], array)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda y: y[1:], DataError, "a list of 40 arrays, the values"),
        (lambda y: [*y[:2], y[2][:, 1:], *y[3:]], DataError, "values for series 2, one for each"),
        (lambda y: [*y[:2], y[2][0], *y[3:]], DataError, "values for series 2, one for each"),
        (lambda y: [*y[:2], y[2] * np.nan, *y[3:]], DataError, "NaN, infinite .* for sample 2"),
        (lambda y: [v.astype(str) for v in y], ArgumentTypeError, "numbers for series 0"),
    ],
)
def test_values_for_steps_are_checked(change, error, message):
    X, y = smoothed()
    with pytest.raises(error, match=message):
        fit(segmenting(), X, change(y), **QUICK, loss="mean_squared")


def test_samples_with_labels_for_steps_are_not_moved():
    X, y = pulses()
    with pytest.raises(ArgumentError, match="would move the samples"):
        fit(segmenting(), X, y, **QUICK, augment="light")
