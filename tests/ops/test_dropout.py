"""Dropout and its random bits."""

from __future__ import annotations

import numpy as np
import pytest

from convoi import ops
from convoi.errors import ArgumentError
from convoi.ops.dropout import element_bits, mix64, sample_keys


def mask(rate=0.5, stream=0, seed=1, shape=(4, 50), samples=3):
    x = np.ones((samples, *shape))
    return ops.DropoutMasked(rate, stream).reference(x, np.uint64(seed)) != 0


def test_mixing_is_splitmix64():
    # The first outputs of the generator for the seed 1234567, whose state grows by a constant.
    state = np.array([1234567], np.uint64)
    outputs = []
    for _ in range(3):
        outputs.append(int(mix64(state)[0]))
        state = state + np.uint64(0x9E3779B97F4A7C15)
    assert outputs == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_the_bits_follow_the_written_steps():
    (key,) = sample_keys(np.uint64(9), stream=3, samples=1)
    a, b, low = int(key) & 0xFFFFFFFF, int(key) >> 32, 2**32
    for element, bits in enumerate(element_bits(np.array([key]), 20)[0]):
        h = (element + a) % low
        h = (h ^ (h >> 16)) * 0x85EBCA6B % low ^ b
        h = (h ^ (h >> 13)) * 0xC2B2AE35 % low
        assert int(bits) == h ^ (h >> 16)


def test_keys_follow_the_written_formula():
    def mixed(value):
        return int(mix64(np.array([value], np.uint64))[0])

    keys = sample_keys(np.uint64(2**63 + 5), stream=7, samples=3)
    assert keys.tolist() == [mixed(mixed(2**63 + 5) ^ (7 << 32 | i)) for i in range(3)]


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_drops_the_given_share(rate):
    kept = mask(rate, shape=(100, 100), samples=10)
    deviation = np.sqrt(rate * (1 - rate) / kept.size)
    assert abs(kept.mean() - (1 - rate)) < 4 * deviation


def test_keeps_the_expected_value():
    x = np.ones((1, 100_000))
    y = ops.DropoutMasked(0.5, 0).reference(x, np.uint64(0))
    assert set(np.unique(y)) == {0.0, 2.0}
    assert y.mean() == pytest.approx(1, abs=0.02)


def test_rate_zero_keeps_everything(rng):
    x = rng.standard_normal((3, 50))
    np.testing.assert_array_equal(ops.DropoutMasked(0.0, 0).reference(x, np.uint64(3)), x)


@pytest.mark.parametrize("change", [{"seed": 2}, {"seed": 1 + 2**32}, {"stream": 1}])
def test_seeds_and_streams_give_independent_masks(change):
    one, other = mask(shape=(100, 100)), mask(shape=(100, 100), **change)
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] == pytest.approx(0, abs=0.03)


def test_samples_have_independent_masks():
    masks = mask(shape=(10_000,), samples=8).reshape(8, -1)
    correlations = np.corrcoef(masks)[np.triu_indices(8, k=1)]
    assert np.abs(correlations).max() < 0.05


def test_neighbouring_elements_are_independent():
    kept = mask(shape=(100_000,), samples=1)[0].astype(float)
    for distance in (1, 2, 16, 256):
        pairs = np.corrcoef(kept[:-distance], kept[distance:])
        assert pairs[0, 1] == pytest.approx(0, abs=0.02)


def test_bits_are_uniform():
    bits = element_bits(sample_keys(np.uint64(11), 0, 16), 4096).ravel()
    counts, _ = np.histogram(bits, bins=256, range=(0, 2**32))
    expected = bits.size / 256
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert 255 - 4 * np.sqrt(510) < chi_square < 255 + 4 * np.sqrt(510)


def test_elements_are_counted_in_the_order_of_channels_then_positions():
    flat, grid = mask(shape=(24,)), mask(shape=(2, 3, 4))
    np.testing.assert_array_equal(flat.reshape(grid.shape), grid)


def test_the_gradient_passes_where_the_value_did(rng):
    op, seed = ops.DropoutMasked(0.5, 4), np.uint64(8)
    x, dy = rng.uniform(1, 2, (2, 3, 40))
    np.testing.assert_array_equal(op.reference(x, seed) == 0, op.reference(dy, seed) == 0)


def test_a_dropped_element_is_zero_whatever_it_was():
    x = np.full((1, 100), np.nan)
    y = ops.DropoutMasked(0.5, 0).reference(x, np.uint64(1))
    assert set(np.unique(np.nan_to_num(y, nan=1.0))) == {0.0, 1.0}


@pytest.mark.parametrize("rate", [-0.1, 1.0, np.nan])
def test_refuses_a_rate_that_is_no_probability_below_one(rate):
    with pytest.raises(ArgumentError, match="'rate' parameter of Dropout must be"):
        ops.Dropout(rate)
