from __future__ import annotations

import io
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from convoi import inspection, nn
from convoi.errors import ArgumentError, ArgumentTypeError, DataError, ShapeError
from convoi.inspection import CurvePoint
from convoi.inspection.compare import samples_needed

RNG = np.random.default_rng(0)
TINY = nn.Sequential(nn.Conv(3, 3), nn.ReLU(), nn.MaxPool(2), nn.Flatten(), nn.Dense(2))


def bars(n):
    """Return images in which a bar lies or stands, and which of them it is."""
    y = np.arange(n) % 2
    X = RNG.uniform(0, 0.3, (n, 1, 8, 8))
    for image, standing in zip(X[:, 0], y, strict=True):
        place = RNG.integers(0, 7)
        (image.T if standing else image)[place : place + 2] += 1
    return X, np.array(["lying", "standing"])[y]


@pytest.fixture(scope="module")
def found():
    X, y = bars(96)
    return inspection.compare(
        X, y, layers=TINY, test_data=bars(60), fractions=(0.25, 1), epochs=12, batch_size=16
    )


def test_every_member_is_trained_with_the_same_budget(found):
    assert [variant.kind for variant in found] == ["dense", "local", "tiled", "convolutional"]
    assert (found.training_samples, found.test_samples) == (96, 60)
    assert (found.steps, found.batch_size) == (12 * 6, 16)
    assert all([p.samples for p in variant.curve] == [24, 96] for variant in found)
    assert all(0 <= p.accuracy <= 1 for variant in found for p in variant.curve)
    assert found["convolutional"].accuracy > 0.8


def test_costs_are_those_of_the_networks(found):
    for variant in found:
        tree = inspection.family.member(TINY, variant.kind)
        summary = nn.Network(tree, (1, 8, 8)).summary(show=False, batch_size=16)
        assert variant.parameters == summary.parameters
        assert variant.multiply_adds == summary.multiply_adds
        assert variant.training_bytes == summary.training_memory.total_bytes
        assert variant.layers.parameters == summary.parameters - (27 * 2 + 2)
        assert variant.training_seconds > 0


def test_savings_are_ratios_of_the_exchanged_layers(found):
    ratios = {(s.figure, s.without, s.with_idea): s.ratio for s in found.savings}
    assert ratios["connections", "dense", "local"] == 64 / 9
    assert ratios["parameters", "local", "convolutional"] == 36
    assert ratios["parameters", "local", "tiled"] == 9
    samples = found["local"].samples_needed, found["convolutional"].samples_needed
    assert ratios["samples", "local", "convolutional"] == samples[0] / samples[1]


def test_the_target_is_what_every_member_reaches(found):
    assert found.target_accuracy == min(variant.accuracy for variant in found)
    assert all(variant.samples_needed is not None for variant in found)


def test_the_table_has_a_column_for_each_member(found):
    text = io.StringIO()
    found.show(text)
    for word in ("convolutional", "Accuracy", "on 24 samples", "Memory to train", "times fewer"):
        assert word in text.getvalue()


def test_records_are_frozen_and_become_plain_data(found):
    with pytest.raises(FrozenInstanceError):
        found["dense"].accuracy = 1.0
    plain = found.as_dict()
    assert plain["variants"][0]["curve"][1]["samples"] == 96
    assert plain["savings"][0]["idea"] == "sparse interactions"
    assert plain["savings"][0]["ratio"] == found.savings[0].ratio
    with pytest.raises(KeyError):
        found["sparse"]


def test_the_same_seed_gives_the_same_figures():
    X, y = bars(40)
    options = {"layers": TINY, "kinds": ["tiled"], "fractions": [1.0], "epochs": 1}
    one, other = (inspection.compare(X, y, random_state=3, **options) for _ in range(2))
    assert one["tiled"].curve == other["tiled"].curve
    assert (one.training_samples, one.test_samples) == (30, 10)


def test_what_is_no_saving_is_said_to_be_none():
    saving = inspection.Saving("an idea", "samples", "local", "convolutional", 100.0, 250.0)
    assert saving.ratio == 0.4
    assert str(saving) == "An idea (local to convolutional): samples 100 to 250, 2.5 times more"


def test_learning_curves_are_read_between_their_points():
    curve = (CurvePoint(10, 0.5), CurvePoint(100, 0.7), CurvePoint(1000, 0.9))
    assert samples_needed(curve, 0.8) == pytest.approx(100 * 10**0.5)
    assert samples_needed(curve, 0.7) == pytest.approx(100)
    assert samples_needed(curve, 0.3) == 10
    assert samples_needed(curve, 0.95) is None


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"kinds": []}, ArgumentTypeError, "'kinds' parameter of compare"),
        ({"kinds": ["sparse"]}, ArgumentError, "'kinds' parameter of compare must be one of"),
        ({"fractions": (0.5,)}, ArgumentError, "'fractions' parameter.*the last is 1"),
        ({"fractions": (0, 1)}, ArgumentError, "'fractions' parameter"),
        ({"layers": nn.Dense(2)}, ArgumentError, "must hold a Conv"),
        ({"layers": 3}, ArgumentTypeError, "'layers' parameter of compare must be a layer"),
        ({"test_data": 3}, ArgumentTypeError, "'test_data' parameter"),
        ({"epochs": 0}, ArgumentError, "'epochs' parameter"),
        ({"learning_rate": 0}, ArgumentError, "'learning_rate' parameter"),
        ({"random_state": None}, ArgumentTypeError, "'random_state' parameter"),
    ],
)
def test_arguments_that_cannot_be_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        inspection.compare(*bars(16), **options)


def test_data_that_cannot_be_compared_on_are_refused():
    X, y = bars(16)
    with pytest.raises(ShapeError, match="an axis of one channel"):
        inspection.compare(X[:, 0, 0], y)
    with pytest.raises(DataError, match="at least two classes"):
        inspection.compare(X[::2], y[::2])
    with pytest.raises(DataError, match="a class for each sample"):
        inspection.compare(X, y[:3])
    with pytest.raises(ArgumentTypeError, match="integers or texts"):
        inspection.compare(X, np.linspace(0, 1, 16))
    with pytest.raises(ShapeError, match="'test_data' of compare"):
        inspection.compare(X, y, test_data=(X[..., 1:], y))
    with pytest.raises(DataError, match="a class that the training data lack"):
        inspection.compare(X, y, test_data=(X, np.full(16, "slanting")))
    X[5, 0, 0, 0] = np.nan
    with pytest.raises(DataError, match="Sample 5 of X, y has a value that is NaN"):
        inspection.compare(X, y)


def test_members_that_are_too_large_are_refused_before_anything_is_trained():
    X = np.zeros((8, 3, 100, 100), np.uint8)
    with pytest.raises(ArgumentError, match=r"dense member would have [\d,]+ parameters"):
        inspection.compare(X, np.arange(8) % 2)
