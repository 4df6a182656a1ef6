from __future__ import annotations

import numpy as np
import pytest

from convoi.data import ArraySource, ImageFiles, Subset, as_sample_source
from convoi.errors import ArgumentTypeError
from tests.data.files import images, save_image

X = images(6)[:, np.newaxis]


@pytest.fixture(params=["array", "subset", "files"])
def source(request, tmp_path):
    """Return each kind of source, with the samples X."""
    if request.param == "array":
        return as_sample_source(X)
    if request.param == "subset":
        return Subset(as_sample_source(X[::-1]), np.arange(5, -1, -1))
    return ImageFiles([save_image(tmp_path / f"{i}.png", x[0]) for i, x in enumerate(X)])


class TestEverySource:
    def test_shape_dtype_and_length(self, source):
        assert source.shape == X.shape
        assert source.dtype == X.dtype
        assert len(source) == len(X)

    @pytest.mark.parametrize("indices", [[0], [3, 1, 3], [-1, 0], range(6), np.array([2, 5], "u1")])
    def test_take_gives_the_samples_in_the_order_asked_for(self, source, indices):
        result = source.take(indices)
        np.testing.assert_array_equal(result, X[np.asarray(indices)])
        assert result.dtype == X.dtype

    def test_take_gives_a_copy(self, source):
        source.take([0, 1])[:] = 0
        np.testing.assert_array_equal(source.take([0, 1]), X[:2])

    def test_taking_nothing_gives_an_empty_batch(self, source):
        assert source.take([]).shape == (0, 1, 5, 7)

    @pytest.mark.parametrize("index", [6, -7])
    def test_numbers_out_of_range_are_refused(self, source, index):
        with pytest.raises(IndexError, match=f"Sample {index} is out of range .* of 6 samples"):
            source.take([0, index])

    @pytest.mark.parametrize("indices", [[0.5], [[0, 1]], [True, False], 3])
    def test_other_indices_are_refused(self, source, indices):
        with pytest.raises(IndexError, match="taken by a one-dimensional array of integers"):
            source.take(indices)

    def test_it_can_be_made_an_array(self, source):
        np.testing.assert_array_equal(np.asarray(source), X)
        assert np.asarray(source, np.float32).dtype == np.float32


class TestAsSampleSource:
    def test_arrays_are_wrapped_without_copying(self):
        assert np.shares_memory(as_sample_source(X).array, X)

    def test_sources_are_kept(self):
        source = as_sample_source(X)
        assert as_sample_source(source) is source

    def test_nested_lists_are_arrays(self):
        assert as_sample_source([[[1.0, 2.0]]]).shape == (1, 1, 2)

    @pytest.mark.parametrize("samples", [3, "digits", None, {}])
    def test_other_things_are_refused(self, samples):
        message = rf"Samples must be .*\. Got {type(samples).__name__} instead"
        with pytest.raises(ArgumentTypeError, match=message):
            as_sample_source(samples)


def test_an_array_source_converts_what_is_taken():
    source = ArraySource(np.arange(6, dtype=">i2").reshape(2, 1, 3), np.dtype(np.float32))
    assert source.dtype == np.float32
    assert source.take([1]).tolist() == [[[3.0, 4.0, 5.0]]]
    assert source.take([1]).dtype == np.float32


def test_a_subset_of_a_subset_refers_to_the_right_samples():
    inner = Subset(as_sample_source(X), np.array([5, 3, 1]))
    np.testing.assert_array_equal(Subset(inner, np.array([2, 0])).take([0, 1]), X[[1, 5]])
