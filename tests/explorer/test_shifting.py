from __future__ import annotations

import numpy as np
import pytest

from convoi.explorer.fields import Fields
from convoi.explorer.shifting import shift_input, shifted_by


def shift(**fields):
    return shift_input(Fields({"kernel": {"name": "sobel"}, **fields}))


@pytest.mark.parametrize("sample", ["digit-3", "ecg"])
@pytest.mark.parametrize("right", [-20, 1, 5])
def test_with_the_other_end_coming_in_the_outputs_move_exactly(sample, right):
    result = shift(sample=sample, right=right)
    before, after = map(np.array, result["outputs"])
    np.testing.assert_array_equal(after, np.roll(before, right, axis=-1))
    assert result["difference"]["everywhere"] == 0
    assert result["difference"]["interior"] in {0, None}


def test_with_zeros_coming_in_the_interior_moves_exactly_and_the_border_does_not():
    result = shift(sample="ramp", right=2, down=-1, surroundings="constant")
    assert result["difference"]["interior"] == 0
    assert result["difference"]["everywhere"] > 1


def test_a_shift_beyond_the_input_leaves_no_interior():
    result = shift(sample="disc", right=30, surroundings="constant")
    assert result["difference"]["interior"] is None
    assert not np.any(result["inputs"][1])


@pytest.mark.parametrize("windows", ["apart", "overlapping"])
@pytest.mark.parametrize("pool", [1, 3, 4])
def test_pooled_values_are_the_largest_of_their_windows(pool, windows):
    result = shift(sample="digit-8", right=1, pool=pool, windows=windows)
    step = pool if windows == "apart" else 1
    for outputs, pooled in zip(result["outputs"], result["pooled"], strict=True):
        views = np.lib.stride_tricks.sliding_window_view(np.array(outputs), (pool, pool))
        np.testing.assert_array_equal(pooled, views[::step, ::step].max(axis=(2, 3)))


def test_fewer_pooled_values_change_than_outputs():
    changed = shift(
        sample="digit-3", kernel={"name": "laplacian"}, right=1, pool=4, windows="overlapping"
    )["changed"]
    assert changed["pooled"] < changed["outputs"] / 2


def test_shares_count_the_values_that_changed():
    result = shift(values=[0, 0, 1, 0], rank=1, kernel={"values": [1]}, right=1, pool=1)
    assert result["changed"] == {"input": 0.5, "outputs": 0.5, "pooled": 0.5}
    assert result["largest"] == [1, 1]


@pytest.mark.parametrize("steps", [(1, 0), (0, -2), (3, 3), (-9, 1)])
def test_zeros_come_in_where_values_left(steps):
    values = np.arange(1, 21).reshape(4, 5)
    moved = shifted_by(values, steps, "constant")
    for place in np.ndindex(values.shape):
        source = tuple(np.subtract(place, steps))
        inside = all(0 <= i < n for i, n in zip(source, values.shape, strict=True))
        assert moved[place] == (values[source] if inside else 0)
