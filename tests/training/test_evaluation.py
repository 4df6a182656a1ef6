from __future__ import annotations

import numpy as np
import pytest

from convoi.errors import ArgumentError, DataError
from convoi.training import evaluate
from tests.training.examples import classifier, images, linear_data, regressor, same_bits


class Source:
    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.largest = 0

    def take(self, indices):
        self.largest = max(self.largest, len(indices))
        return self.array[indices]


def test_loss_and_accuracy_are_those_of_the_predictions():
    X, y = images()
    network = classifier()
    logits = network(X).astype(np.float64)
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(y)), y]
    figures = evaluate(network, X, y)
    assert figures == {
        "loss": pytest.approx(losses.mean(), rel=1e-6),
        "accuracy": np.mean(logits.argmax(axis=1) == y),
    }


def test_values_have_r2():
    X, y = linear_data()
    network = regressor()
    error = network(X) - y
    figures = evaluate(network, X, y[:, 0], loss="mean_squared")
    assert figures["loss"] == pytest.approx(np.mean(error**2), rel=1e-6)
    assert figures["r2"] == pytest.approx(1 - np.mean(error**2) / y.var(), rel=1e-6)


@pytest.mark.parametrize("batch_size", [1, 7, 48, 1000])
def test_the_batch_size_does_not_matter(batch_size):
    X, y = images()
    network = classifier()
    expected = evaluate(network, X, y)
    figures = evaluate(network, X, y, batch_size=batch_size)
    assert figures == {name: pytest.approx(value) for name, value in expected.items()}


def test_a_source_is_read_in_batches():
    X, y = images()
    source = Source(X)
    assert evaluate(classifier(), source, y, batch_size=10) == evaluate(
        classifier(), X, y, batch_size=10
    )
    assert source.largest == 10


def test_samples_count_by_their_weight():
    X, y = images()
    weight = np.zeros(len(X))
    weight[5:9] = 2
    network = classifier()
    figures = evaluate(network, X, y, sample_weight=weight)
    expected = evaluate(network, X[5:9], y[5:9])
    assert figures == {name: pytest.approx(value) for name, value in expected.items()}


def test_the_network_is_left_as_it_is():
    X, y = images()
    network = classifier()
    before = network.parameters
    evaluate(network, X, y)
    assert same_bits(network.parameters, before)


def test_messages_speak_of_evaluate():
    X, y = images()
    with pytest.raises(DataError, match="The 'y' parameter of evaluate must be an array of shape"):
        evaluate(classifier(), X, y[:5])
    with pytest.raises(ArgumentError, match="The 'batch_size' parameter of evaluate"):
        evaluate(classifier(), X, y, batch_size=0)
