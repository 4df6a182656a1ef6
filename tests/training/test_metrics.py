from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, r2_score

from convoi import Network, nn
from convoi.ops import CrossEntropy, MeanSquaredError
from convoi.training.metrics import Metrics
from convoi.training.objective import Objective

BATCHES = (slice(0, 7), slice(7, 8), slice(8, 20))


def objective(loss, outputs):
    return Objective.of(Network(nn.Dense(outputs), (4,), random_state=0), loss, "fit")


def figures(target, prediction, y, weight):
    """Return the metrics of 20 samples that are added in three batches."""
    metrics = Metrics.of(target, y, np.arange(len(y)), weight)
    sums = metrics.zeros()
    for rows in BATCHES:
        metrics.add(
            sums,
            loss=float(weight[rows].sum()) * 0.5,
            loss_weight=float(weight[rows].sum()),
            prediction=prediction[rows],
            target=y[rows],
            weight=weight[rows],
        )
    return metrics.result(sums)


def test_accuracy_is_scikit_learn_s():
    rng = np.random.default_rng(0)
    logits, y, weight = rng.normal(size=(20, 3)), rng.integers(3, size=20), rng.random(20)
    accuracy = figures(objective(CrossEntropy(), 3), logits, y, weight)["accuracy"]
    expected = accuracy_score(y, logits.argmax(axis=1), sample_weight=weight)
    assert accuracy == pytest.approx(expected)


@pytest.mark.parametrize("outputs", [1, 3])
def test_r2_is_scikit_learn_s(outputs):
    rng = np.random.default_rng(0)
    y, weight = rng.normal(size=(20, outputs)) + 1e3, rng.random(20)
    prediction = y + rng.normal(size=y.shape)
    r2 = figures(objective(MeanSquaredError(), outputs), prediction, y, weight)["r2"]
    assert r2 == pytest.approx(r2_score(y, prediction, sample_weight=weight))


@pytest.mark.parametrize("error", [0.0, 1.0])
def test_r2_of_constant_targets_is_scikit_learn_s(error):
    y = np.full((20, 1), 2.0)
    r2 = figures(objective(MeanSquaredError(), 1), y + error, y, np.ones(20))["r2"]
    assert r2 == r2_score(y, y + error)


def test_accuracy_counts_positions():
    network = Network(nn.Conv(2, 1), (1, 4), random_state=0)
    metrics = Metrics.of(
        Objective.of(network, CrossEntropy(), "fit"), np.zeros((1, 4)), np.arange(1), np.ones(1)
    )
    sums = metrics.zeros()
    logits = np.zeros((1, 2, 4))
    logits[0, 1, 0] = 1  # class 1 at the first position, class 0 at the others
    metrics.add(
        sums,
        loss=1.0,
        loss_weight=1.0,
        prediction=logits,
        target=np.zeros((1, 4)),
        weight=np.ones(1),
    )
    assert metrics.result(sums) == {"loss": 1.0, "accuracy": 0.75}


def test_the_loss_is_the_weighted_mean():
    rng = np.random.default_rng(0)
    y, weight = np.zeros(20, int), rng.random(20)
    assert figures(objective(CrossEntropy(), 3), np.zeros((20, 3)), y, weight)["loss"] == (
        pytest.approx(0.5)
    )


@pytest.mark.parametrize(("loss", "y"), [(CrossEntropy(), [0]), (MeanSquaredError(), [[0, 0]])])
def test_nothing_has_no_figures(loss, y):
    metrics = Metrics.of(objective(loss, 2), np.array(y), np.arange(1), np.ones(1))
    assert all(math.isnan(value) for value in metrics.result(metrics.zeros()).values())
