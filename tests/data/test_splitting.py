from __future__ import annotations

import numpy as np
import pytest

from convoi.data import train_validation_split
from convoi.errors import ArgumentError, DataError


def test_every_sample_is_in_one_part():
    train, validation = train_validation_split(np.arange(30) % 3, 0.2, random_state=0)
    assert sorted([*train, *validation]) == list(range(30))


def test_each_class_has_its_proportion():
    y = np.array([0] * 80 + [1] * 20)
    _, validation = train_validation_split(y, 0.25, random_state=0)
    assert np.bincount(y[validation]).tolist() == [20, 5]


def test_values_are_split_without_classes():
    train, validation = train_validation_split(np.linspace(0, 1, 10), 0.25, random_state=0)
    assert (len(train), len(validation)) == (7, 3)
    train, validation = train_validation_split(np.zeros((10, 2)), 0.5, random_state=0)
    assert (len(train), len(validation)) == (5, 5)


@pytest.mark.parametrize(
    "make", [lambda: 3, lambda: np.random.RandomState(3), lambda: np.random.default_rng(3)]
)
def test_the_same_randomness_gives_the_same_split(make):
    y = np.arange(100) % 2
    first, second = (train_validation_split(y, 0.3, make())[1] for _ in range(2))
    other = train_validation_split(y, 0.3, 4)[1]
    assert first.tolist() == second.tolist() != other.tolist()


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_a_fraction_out_of_bounds_is_refused(fraction):
    with pytest.raises(ArgumentError, match="'fraction' parameter of train_validation_split"):
        train_validation_split([0, 1, 0, 1], fraction)


@pytest.mark.parametrize(("y", "label"), [([0, 0, 0, 1], "1"), (["a", "b", "b", "b"], "'a'")])
def test_a_class_of_one_sample_is_named(y, label):
    with pytest.raises(DataError, match=f"Class {label} has one sample only"):
        train_validation_split(y, 0.5)


def test_a_part_smaller_than_the_number_of_classes_is_refused():
    message = "Setting 2 of 20 samples aside leaves one part with 2 samples for 5 classes"
    with pytest.raises(DataError, match=message):
        train_validation_split(np.arange(20) % 5, 0.1)


@pytest.mark.parametrize("y", [[], [1], 3])
def test_a_single_sample_cannot_be_split(y):
    with pytest.raises(DataError, match="at least two samples"):
        train_validation_split(y, 0.5)
