from __future__ import annotations

import numpy as np
import pytest

from convoi import nn
from convoi.errors import ArgumentError, ArgumentTypeError
from convoi.nn.initialize import initial_parameters, seed_sequence

FLOAT32 = np.dtype("float32")


def parameters_of(layers, shape, random_state=0, dtype=FLOAT32):
    return initial_parameters(nn.trace(layers, shape), random_state, dtype)


def test_weights_before_a_rectifier_have_twice_the_variance():
    layers = nn.Sequential(nn.Conv(512, 3), nn.BatchNorm(), nn.ReLU(), nn.Flatten(), nn.Dense(500))
    parameters = parameters_of(layers, (20, 3, 3))
    hidden, last = parameters["0.weight"], parameters["4.weight"]
    assert hidden.mean() == pytest.approx(0, abs=3e-3)
    assert hidden.var() == pytest.approx(2 / (20 * 9), rel=0.02)
    assert last.var() == pytest.approx(1 / 512, rel=0.02)


def test_a_rectifier_after_the_addition_of_a_residual_layer_counts():
    layers = nn.Sequential(nn.Residual(nn.Dense(500)), nn.GELU(), nn.Dense(500), nn.Sigmoid())
    parameters = parameters_of(layers, (500,))
    assert parameters["0.body.weight"].var() == pytest.approx(2 / 500, rel=0.02)
    assert parameters["2.weight"].var() == pytest.approx(1 / 500, rel=0.02)


def test_fan_in_counts_the_channels_of_a_group():
    layers = nn.Sequential(nn.Conv(4096, 3, groups=4, padding=1), nn.ReLU())
    weight = parameters_of(layers, (16, 3, 3))["0.weight"]
    assert weight.var() == pytest.approx(2 / (4 * 9), rel=0.02)


def test_all_other_parameters_are_zero_or_one():
    layers = nn.Sequential(nn.Standardize(), nn.Conv(2, 3), nn.BatchNorm())
    parameters = parameters_of(layers, (3, 8))
    constants = {
        name: set(array.tolist()) for name, array in parameters.items() if name != "1.weight"
    }
    assert constants == {
        "0.mean": {0},
        "0.std": {1},
        "1.bias": {0},
        "2.weight": {1},
        "2.bias": {0},
        "2.running_mean": {0},
        "2.running_var": {1},
    }


def test_the_same_seed_gives_the_same_weights():
    first, second, other = (parameters_of(nn.Dense(5), (7,), seed)["weight"] for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


def test_no_seed_gives_other_weights_every_time():
    first, second = (parameters_of(nn.Dense(5), (7,), None)["weight"] for _ in range(2))
    assert (first != second).any()


def test_layers_without_weights_and_later_layers_do_not_change_a_weight():
    short = parameters_of(nn.Sequential(nn.Dense(5), nn.ReLU(), nn.Dense(5)), (7,))
    long = parameters_of(
        nn.Sequential(nn.Dropout(0.1), nn.Dense(5), nn.ReLU(), nn.Dense(5), nn.Dense(3)), (7,)
    )
    np.testing.assert_array_equal(short["0.weight"], long["1.weight"])
    np.testing.assert_array_equal(short["2.weight"], long["3.weight"])


def test_both_dtypes_have_the_same_numbers():
    single = parameters_of(nn.Dense(5), (7,))["weight"]
    double = parameters_of(nn.Dense(5), (7,), dtype=np.dtype("float64"))["weight"]
    assert double.dtype == np.float64
    np.testing.assert_array_equal(single, double.astype(np.float32))


@pytest.mark.parametrize(
    "make", [np.random.default_rng, np.random.RandomState, np.random.SeedSequence]
)
def test_generators_and_seed_sequences_are_seeds(make):
    first, second = (parameters_of(nn.Dense(5), (7,), make(3))["weight"] for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("make", [np.random.default_rng, np.random.RandomState])
def test_a_generator_gives_other_weights_the_next_time(make):
    generator = make(3)
    first, second = (parameters_of(nn.Dense(5), (7,), generator)["weight"] for _ in range(2))
    assert (first != second).any()


@pytest.mark.parametrize("random_state", [1.5, "0", True, [1]])
def test_a_seed_of_another_type_is_refused(random_state):
    with pytest.raises(ArgumentTypeError, match="'random_state' parameter of Network"):
        seed_sequence(random_state)


def test_a_negative_seed_is_refused():
    with pytest.raises(ArgumentError, match="greater than or equal to 0"):
        seed_sequence(-1)
