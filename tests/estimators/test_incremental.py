from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from convoi import ImageClassifier
from convoi.errors import DivergenceError
from convoi.training import SGD, Augment
from tests.estimators.examples import bars, tiny

QUICK = {"network": tiny, "batch_size": 60, "augment": None, "random_state": 0}


def weights(classifier):
    return classifier.network_.parameters["1.weight"]


def test_the_state_of_the_optimiser_outlives_a_call():
    X, y = bars()
    classifier = ImageClassifier(**QUICK, optimizer=SGD(momentum=0.9), learning_rate=0.01)
    positions = []
    for _ in range(3):
        classifier.partial_fit(X, y)
        positions.append(weights(classifier))
    first, second = (np.abs(end - start).mean() for start, end in pairwise(positions))
    assert second > 1.3 * first  # the second step goes on with the first
    assert classifier._incremental[0].steps == 3


def test_another_optimiser_starts_anew():
    X, y = bars()
    classifier = ImageClassifier(**QUICK).partial_fit(X, y)
    classifier.set_params(optimizer="sgd").partial_fit(X, y)
    assert set(classifier._incremental[0].slots) == {"momentum"}


def test_calls_use_other_orders_and_the_same_ones_again():
    X, y = bars()

    def positions():
        classifier = ImageClassifier(**{**QUICK, "batch_size": 20, "augment": Augment(shift=1)})
        return [weights(classifier.partial_fit(X, y)).copy() for _ in range(2)]

    np.testing.assert_array_equal(positions(), positions())


def test_fit_forgets_the_state():
    X, y = bars()
    classifier = ImageClassifier(**QUICK, epochs=1).partial_fit(X, y).fit(X, y)
    assert classifier._incremental is None
    assert classifier.partial_fit(X, y)._incremental[0].steps == 1


def test_large_data_are_read_batch_by_batch(monkeypatch):
    X, y = bars()
    parameters = {**QUICK, "batch_size": 20}
    expected = weights(ImageClassifier(**parameters).partial_fit(X, y))
    monkeypatch.setattr("convoi.estimators.training_set.GATHERED_BYTES", 100)
    np.testing.assert_array_equal(
        weights(ImageClassifier(**parameters).partial_fit(X, y)), expected
    )


def test_a_call_that_diverges_leaves_the_network_as_it_was():
    X, y = bars()
    classifier = ImageClassifier(**QUICK, optimizer="sgd").partial_fit(X, y)
    before = weights(classifier).copy()
    classifier.set_params(learning_rate=1e38, batch_size=10)
    with pytest.raises(DivergenceError, match="Lower the 'learning_rate' parameter"):
        classifier.partial_fit(X, y)
    np.testing.assert_array_equal(weights(classifier), before)
