from __future__ import annotations

import numpy as np
import pytest

from convoi import inspection
from convoi.errors import ArgumentError, DataError
from tests.inspection.networks import definition, samples, small


@pytest.mark.parametrize("shape", [(2, 9, 8), (2, 20)])
@pytest.mark.parametrize("layer", ["2", "5"])
def test_the_strongest_answers_come_first(layer, shape):
    network, X = small(shape), samples(300, shape)
    maps = definition(network, X)[layer][:, 1].reshape(300, -1)
    want = np.argsort(-maps.max(axis=1), kind="stable")[:4]
    found = inspection.top_patches(network, X, layer, 1, count=4)
    assert [patch.sample for patch in found] == want.tolist()
    for patch in found:
        assert patch.activation == pytest.approx(maps[patch.sample].max(), rel=1e-9)


@pytest.mark.parametrize("layer", ["0", "4"])
def test_only_what_is_in_the_box_matters(layer):
    network, X = small(), samples(20)
    for patch in inspection.top_patches(network, X, layer, 0, count=5):
        outside = X[patch.sample : patch.sample + 1] + 100.0
        outside[(0, slice(None), *patch.box)] = patch.pixels
        value = definition(network, outside)[layer][(0, 0, *patch.position)]
        assert value == pytest.approx(patch.activation, rel=1e-9)


def test_a_unit_without_positions_sees_the_whole_sample():
    X = samples(5)
    (best,) = inspection.top_patches(small(), X, "7", 2, count=1)
    assert best.position == ()
    assert best.box == (slice(0, 9), slice(0, 8))
    np.testing.assert_array_equal(best.pixels, X[best.sample])


def test_there_are_no_more_patches_than_samples():
    assert len(inspection.top_patches(small(), samples(2), "0", 0, count=9)) == 2


def test_refuses_units_that_are_none():
    with pytest.raises(ArgumentError, match="'unit' parameter of top_patches must be less than 4"):
        inspection.top_patches(small(), samples(), "0", 4)
    with pytest.raises(DataError, match="top_patches needs at least one sample"):
        inspection.top_patches(small(), samples(0), "0", 0)
