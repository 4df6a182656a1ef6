from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convoi import inspection
from convoi.errors import ArgumentError, DataError, ShapeError


def expected_error(p, y, bins):
    """Return the expected calibration error, prediction by prediction."""
    total = 0.0
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y
    for b in range(bins):
        low, high = b / bins, (b + 1) / bins
        inside = [i for i, c in enumerate(confidence) if low < c <= high]
        if inside:
            gap = abs(np.mean([right[i] for i in inside]) - np.mean(confidence[inside]))
            total += gap * len(inside) / len(p)
    return total


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), n=st.integers(1, 60), k=st.integers(2, 5), bins=st.integers(1, 9))
def test_the_error_is_that_of_the_definition(seed, n, k, bins):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(k), n)
    y = rng.integers(0, k, n)
    found = inspection.calibration(p, y, bins=bins)
    assert found.expected_error == pytest.approx(expected_error(p, y, bins), abs=1e-9)
    assert found.count.sum() == n
    assert len(found.edges) == bins + 1


def test_who_is_sure_and_right_has_no_error():
    found = inspection.calibration(np.eye(3), [0, 1, 2])
    assert found.expected_error == 0
    assert (found.count[-1], found.accuracy[-1], found.confidence[-1]) == (3, 1, 1)
    assert np.isnan(found.accuracy[0])


def test_refuses_what_are_no_probabilities():
    with pytest.raises(DataError, match="must have rows that sum to 1"):
        inspection.calibration([[2.0, -1.0]], [0])
    with pytest.raises(DataError, match="must have rows that sum to 1"):
        inspection.calibration([[np.nan, 0.5]], [0])
    with pytest.raises(DataError, match="at least one prediction"):
        inspection.calibration(np.zeros((0, 2)), [])
    with pytest.raises(ShapeError, match=r"Got \(1, 2\) and \(2,\)"):
        inspection.calibration([[0.5, 0.5]], [0, 1])
    with pytest.raises(ArgumentError, match="class numbers from 0 to 1"):
        inspection.calibration([[0.5, 0.5]], [2])
