from __future__ import annotations

import weakref

import numpy as np
import pytest
from numpy.random import default_rng

from convoi import Network, nn
from convoi.errors import DivergenceError
from convoi.ops import CrossEntropy
from convoi.training import (
    SGD,
    Augment,
    Callback,
    EarlyStopping,
    SampleSource,
    evaluate,
    fit,
    loop,
)
from convoi.training.stepping import RunStep
from tests.training.examples import (
    CLASSES,
    classifier,
    images,
    linear_data,
    regressor,
    same_bits,
)

PLAIN_SGD = SGD(momentum=0)


class Source:
    """An array that is no ndarray."""

    def __init__(self, array):
        self.array = array
        self.shape = array.shape
        self.dtype = array.dtype
        self.largest = 0

    def take(self, indices):
        self.largest = max(self.largest, len(indices))
        return self.array[indices]


def trained(X=None, y=None, **settings):
    """Return the network and the history after a short run."""
    if X is None:
        X, y = images()
    network = classifier()
    defaults = {"epochs": 3, "batch_size": 10, "learning_rate": 0.02, "random_state": 0}
    return network, fit(network, X, y, **(defaults | settings))


def least_squares(**settings):
    """Return a linear model after a few epochs of full-batch gradient descent."""
    X, y = linear_data()
    network = regressor()
    defaults = {
        "epochs": 3,
        "batch_size": len(X),
        "optimizer": PLAIN_SGD,
        "learning_rate": 0.1,
        "schedule": "constant",
        "loss": "mean_squared",
        "random_state": 0,
    }
    fit(network, X, y, **(defaults | settings))
    return network


def test_a_classifier_learns():
    network, history = trained(epochs=20)
    X, y = images(samples=60, seed=1)
    assert history.best.metrics["accuracy"] > 0.9
    assert np.mean(network(X).argmax(axis=1) == y) > 0.9


def test_a_regressor_learns():
    X, y = linear_data(outputs=2)
    network = regressor(outputs=2)
    history = fit(network, X, y, epochs=60, learning_rate=0.2, loss="mean_squared", random_state=0)
    assert history.best.metrics["r2"] > 0.95
    assert history.epochs[-1].metrics["loss"] < history.epochs[0].metrics["loss"] / 10


def test_a_step_of_gradient_descent_is_learning_rate_times_gradient():
    X, y = linear_data()
    network = regressor()
    before = network.parameters
    _, gradients = network.loss_and_gradients(X, y, "mean_squared")
    fit(
        network,
        X,
        y,
        epochs=1,
        batch_size=len(X),
        optimizer=PLAIN_SGD,
        learning_rate=0.25,
        schedule="constant",
        loss="mean_squared",
    )
    for name, value in network.parameters.items():
        assert value == pytest.approx(before[name] - 0.25 * gradients[name], rel=1e-5, abs=1e-6)


def test_the_learning_rate_of_each_step_follows_the_schedule():
    rates = []

    class Notes(Callback):
        def on_batch_end(self, state):
            rates.append(state.learning_rate)

    _, history = trained(epochs=2, schedule="one_cycle", learning_rate=1e-3, callbacks=[Notes()])
    assert len(rates) == 10  # 5 steps in each of 2 epochs
    assert max(rates) == pytest.approx(1e-3)
    assert rates[0] == pytest.approx(1e-3 / 25)
    assert [record.learning_rate for record in history.epochs] == [rates[4], rates[9]]


def test_the_same_seed_gives_the_same_bits():
    (first, one), (second, two) = (trained(augment="strong") for _ in range(2))
    assert same_bits(first.parameters, second.parameters)
    assert one == two


@pytest.mark.parametrize("threads", [2, 3])
def test_the_number_of_threads_changes_no_bit(threads):
    first, one = trained(threads=1, augment="light", validation_data=0.25)
    second, two = trained(threads=threads, augment="light", validation_data=0.25)
    assert same_bits(first.parameters, second.parameters)
    assert one == two


def test_a_run_computes_as_exactly_as_its_network_unless_told_otherwise():
    layers = nn.Sequential(nn.Conv(16, 3), nn.Conv(16, 3), nn.Flatten(), nn.Dense(3))
    X, y = default_rng(0).normal(size=(8, 1, 12, 12)), np.arange(8) % 3

    def fitted(network_precision, precision):
        network = Network(layers, (1, 12, 12), random_state=0, precision=network_precision)
        fit(network, X, y, epochs=1, random_state=0, precision=precision)
        return network.parameters

    high = fitted("high", None)
    assert same_bits(high, fitted("default", "high"))
    assert not same_bits(high, fitted("default", None))


@pytest.mark.parametrize("settings", [{"random_state": 1}, {"augment": Augment(shift=1)}])
def test_another_seed_or_augmentation_gives_another_network(settings):
    assert not same_bits(trained()[0].parameters, trained(**settings)[0].parameters)


def test_an_open_seed_gives_another_network_each_time():
    networks = [trained(random_state=None)[0].parameters for _ in range(2)]
    assert not same_bits(*networks)


def test_a_generator_is_a_seed():
    networks = [trained(random_state=default_rng(5))[0].parameters for _ in range(2)]
    assert same_bits(*networks)


@pytest.mark.parametrize("kind", ["source", "memory map", "float64", "strided"])
def test_the_way_samples_are_held_changes_no_bit(kind, tmp_path):
    X, y = images()
    expected, _ = trained(X, y)
    if kind == "source":
        X = Source(X)
    elif kind == "memory map":
        mapped = np.memmap(tmp_path / "X", X.dtype, "w+", shape=X.shape)
        mapped[:] = X
        X = mapped
    elif kind == "float64":
        X = X.astype(np.float64)
    else:
        X = np.repeat(X, 2, axis=0)[::2, :, ::1]
    network, _ = trained(X, y)
    assert same_bits(network.parameters, expected.parameters)


def test_a_source_is_never_asked_for_more_than_a_batch():
    X, y = images()
    source: SampleSource = Source(X)
    trained(source, y, batch_size=10, validation_data=0.25)
    assert 0 < source.largest <= 10


def test_integers_are_samples():
    X, y = images()
    X = (X.clip(0, 2) * 100).astype(np.uint8)
    first, _ = trained(X, y)
    second, _ = trained(X.astype(np.float32), y)
    assert same_bits(first.parameters, second.parameters)


def test_samples_without_weight_do_not_count():
    X, y = linear_data()
    weight = np.ones(len(X))
    weight[20:] = 0
    weighted = least_squares(sample_weight=weight)
    network = regressor()
    fit(
        network,
        X[:20],
        y[:20],
        epochs=3,
        batch_size=20,
        optimizer=PLAIN_SGD,
        learning_rate=0.1,
        schedule="constant",
        loss="mean_squared",
    )
    for name, value in network.parameters.items():
        assert weighted.parameters[name] == pytest.approx(value, rel=1e-4, abs=1e-6)


def test_a_batch_without_weight_changes_nothing_but_the_statistics():
    X, y = linear_data()
    network = regressor()
    weight = np.zeros(len(X))
    weight[0] = 1
    history = fit(
        network,
        X,
        y,
        epochs=1,
        batch_size=1,
        optimizer=PLAIN_SGD,
        learning_rate=0.1,
        schedule="constant",
        loss="mean_squared",
        sample_weight=weight,
    )
    single = regressor()
    fit(
        single,
        X[:1],
        y[:1],
        epochs=1,
        optimizer=PLAIN_SGD,
        learning_rate=0.1,
        schedule="constant",
        loss="mean_squared",
    )
    assert same_bits(network.parameters, single.parameters)
    assert np.isfinite(history.best.metrics["loss"])


def test_class_weights_are_sample_weights_in_the_loss_only():
    X, y = images()
    first, one = trained(X, y, class_weight={0: 3.0, 2: 0.5})
    second, two = trained(X, y, sample_weight=np.array([3.0, 1.0, 0.5])[y])
    assert same_bits(first.parameters, second.parameters)
    assert one.epochs[0].metrics["loss"] == two.epochs[0].metrics["loss"]
    assert one.epochs[0].metrics["accuracy"] != two.epochs[0].metrics["accuracy"]


def test_validation_measures_the_network_after_each_epoch():
    X, y = images(seed=1)
    network, history = trained(validation_data=(X, y))
    measured = evaluate(network, X, y)
    record = history.epochs[-1].metrics
    assert list(record) == ["loss", "accuracy", "validation_loss", "validation_accuracy"]
    assert record["validation_loss"] == pytest.approx(measured["loss"], rel=1e-6)
    assert record["validation_accuracy"] == measured["accuracy"]


def test_validation_samples_may_have_weights():
    X, y = images(seed=1)
    weight = np.linspace(0, 1, len(X))
    network, history = trained(validation_data=(X, y, weight))
    measured = evaluate(network, X, y, sample_weight=weight)
    assert history.epochs[-1].metrics["validation_loss"] == pytest.approx(measured["loss"])


def test_validation_leaves_the_training_as_it_is():
    assert same_bits(trained()[0].parameters, trained(validation_data=images(seed=1))[0].parameters)


def test_a_fraction_is_set_aside_and_not_trained_on():
    X, y = images()
    read = []
    trained_on = []

    class Noting(Source):
        def take(self, indices):
            read.extend(indices)
            return super().take(indices)

    class LastBatch(Callback):
        def on_batch_end(self, state):
            if state.step == state.steps_per_epoch:
                trained_on.extend(read)

    _, history = trained(Noting(X), y, epochs=1, validation_data=0.25, callbacks=[LastBatch()])
    assert history.monitor == "validation_loss"
    assert len(trained_on) == 36
    assert sorted(read) == list(range(48))


def test_a_run_stops_when_it_no_longer_improves():
    _, history = trained(
        epochs=50,
        learning_rate=1e-30,
        early_stopping=EarlyStopping(patience=2, min_delta=1.0),
    )
    assert history.reason == "early_stopping"
    assert len(history) == 3


def test_the_parameters_of_the_best_epoch_are_restored():
    kept = []

    class Keep(Callback):
        def on_epoch_end(self, state):
            kept.append(state.network.parameters)

    X, y = images()
    network, history = trained(
        X,
        y,
        epochs=6,
        optimizer="sgd",
        learning_rate=0.5,
        schedule="constant",
        validation_data=images(samples=9, seed=3),
        early_stopping=EarlyStopping(patience=6),
        callbacks=[Keep()],
    )
    assert history.best.epoch < 6  # else the test shows nothing
    assert same_bits(network.parameters, kept[history.best.epoch - 1])


def test_the_last_parameters_stay_if_the_best_are_not_wanted():
    stopping = EarlyStopping(restore_best=False)
    assert same_bits(trained(early_stopping=stopping)[0].parameters, trained()[0].parameters)


def test_another_figure_may_be_monitored():
    _, history = trained(
        validation_data=0.25, early_stopping=EarlyStopping(monitor="validation_accuracy")
    )
    assert history.monitor == "validation_accuracy"


def test_callbacks_are_told_what_happens():
    told = []

    class Listener(Callback):
        def on_train_begin(self, state):
            told.append(("begin", state.epoch, state.epochs, state.steps_per_epoch))

        def on_batch_end(self, state):
            told.append(("batch", state.epoch, state.step, state.samples))

        def on_epoch_end(self, state):
            told.append(("epoch", state.epoch, state.records[-1].metrics == state.metrics))

        def on_train_end(self, state):
            told.append(("end", state.epoch))

    trained(epochs=2, batch_size=24, callbacks=[Listener()])
    assert told == [
        ("begin", 0, 2, 2),
        ("batch", 0, 1, 24),
        ("batch", 0, 2, 48),
        ("epoch", 1, True),
        ("batch", 1, 1, 24),
        ("batch", 1, 2, 48),
        ("epoch", 2, True),
        ("end", 2),
    ]


def test_figures_are_those_of_the_steps_so_far_whenever_they_are_read(monkeypatch):
    told = []

    class Reader(Callback):
        def on_batch_end(self, state):
            told.append((state.step, dict(state.metrics)))

    settings = {"epochs": 2, "batch_size": 7, "augment": "light"}
    _, unread = trained(**settings)
    _, read = trained(**settings, callbacks=[Reader()])
    monkeypatch.setattr(loop, "MOST_AHEAD", 2)
    _, in_pairs = trained(**settings)
    assert unread == read == in_pairs
    per_epoch = -(-48 // 7)
    assert [step for step, _ in told] == [*range(1, per_epoch + 1)] * 2
    assert len({figures["loss"] for _, figures in told}) == len(told)
    for record, (_, figures) in zip(read.epochs, told[per_epoch - 1 :: per_epoch], strict=True):
        assert record.metrics == figures


def test_predictions_of_the_steps_ahead_take_little_memory(monkeypatch):
    most = []
    of = RunStep.of

    def noted(*arguments):
        step = of(*arguments)
        held.add(step)
        most.append(sum(step.prepared.prediction.nbytes for step in held))
        return step

    held = weakref.WeakSet()
    monkeypatch.setattr(RunStep, "of", noted)
    monkeypatch.setattr(loop, "BYTES_AHEAD", 3 * 6 * CLASSES * 4)
    trained(epochs=1, batch_size=6)
    assert max(most) <= 2 * 3 * 6 * CLASSES * 4  # those of before may wait for the collector


@pytest.mark.parametrize(("moment", "epochs"), [("on_batch_end", 1), ("on_epoch_end", 1)])
def test_a_callback_can_end_the_run(moment, epochs):
    stopper = type("Stopper", (Callback,), {moment: lambda _, state: state.stop()})()
    _, history = trained(callbacks=[stopper])
    assert history.reason == "callback"
    assert len(history) == epochs


def test_an_exception_of_a_callback_reaches_the_caller():
    class Broken(Callback):
        def on_epoch_end(self, state):
            raise RuntimeError(f"after epoch {state.epoch}")

    with pytest.raises(RuntimeError, match="after epoch 1"):
        trained(callbacks=[Broken()])


def test_label_smoothing_is_an_option_of_the_loss():
    _, history = trained(loss=CrossEntropy(label_smoothing=0.1), validation_data=0.25)
    assert np.isfinite(history.best.metrics["validation_loss"])


def test_a_network_of_one_sample_and_one_batch_is_trained():
    X, y = images(samples=1)
    network = Network(
        nn.Sequential(nn.Flatten(), nn.Dense(3)), input_shape=(1, 6, 6), random_state=0
    )
    assert len(fit(network, X, y, epochs=2)) == 2


def test_a_run_that_diverges_says_so_and_keeps_the_last_complete_epoch():
    X, y = linear_data()
    network = regressor()
    finite = []

    class Keep(Callback):
        def on_epoch_end(self, state):
            finite.append(state.network.parameters)

    with pytest.raises(DivergenceError) as caught:
        fit(
            network,
            X,
            y,
            epochs=200,
            optimizer="sgd",
            learning_rate=100.0,
            schedule="constant",
            loss="mean_squared",
            callbacks=[Keep()],
            random_state=0,
        )
    message = str(caught.value)
    assert message.startswith("The training diverged: the ")
    assert message.endswith(
        "Lower the 'learning_rate' parameter of fit (it is 100; try 10), limit gradients with the "
        "optimizer's clip_norm=1.0, or bring X to a smaller scale."
    )
    assert same_bits(network.parameters, finite[-1])


def test_clipping_keeps_the_step_short():
    X, y = linear_data()
    network = regressor()
    before = network.parameters
    fit(
        network,
        1e3 * X,
        y,
        epochs=1,
        batch_size=len(X),
        optimizer=SGD(momentum=0, clip_norm=1.0),
        learning_rate=0.5,
        schedule="constant",
        loss="mean_squared",
    )
    after = network.parameters
    moved = np.sqrt(sum(np.sum((after[name] - before[name]) ** 2) for name in after))
    assert moved == pytest.approx(0.5, rel=1e-4)
