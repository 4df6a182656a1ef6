from __future__ import annotations

import threading

import numpy as np
import pytest

from convoi.errors import ArgumentTypeError, DataError, ShapeError
from convoi.training.samples import as_samples, read_batches

FLOAT32 = np.dtype(np.float32)


class Source:
    """A source that notes what is asked of it."""

    def __init__(self, array):
        self.array = array
        self.taken = []
        self.threads = set()

    @property
    def shape(self):
        return self.array.shape

    @property
    def dtype(self):
        return self.array.dtype

    def take(self, indices):
        self.taken.append(list(indices))
        self.threads.add(threading.get_ident())
        return self.array[indices]


def samples_of(X, input_shape=(1, 4), dtype=FLOAT32):
    return as_samples(X, input_shape, dtype, "X", "fit")


def array(samples=6, dtype=np.float32):
    return np.arange(samples * 4).reshape(samples, 1, 4).astype(dtype)


def values(batch):
    return batch.array[batch.indices]


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool, np.float16, np.float32, np.float64])
def test_an_array_is_read_where_it_is(dtype):
    X = array(dtype=dtype)[:, :, ::-1]
    batch = samples_of(X).batch(np.array([4, 1]))
    assert batch.array is X
    assert batch.indices.tolist() == batch.rows.tolist() == [4, 1]


def test_nested_lists_are_samples():
    assert samples_of([[[1, 2, 3, 4]]]).count == 1


@pytest.mark.parametrize("dtype", [">f4", ">i2", np.longdouble])
def test_dtypes_that_programs_do_not_read_are_converted(dtype):
    X = array().astype(dtype)
    converted = samples_of(X).batch(np.array([0])).array
    assert converted.dtype.isnative
    assert converted.dtype.itemsize <= 8
    assert np.array_equal(converted, X)


def test_a_memory_map_is_read_batch_by_batch(tmp_path):
    X = np.memmap(tmp_path / "X", np.dtype(">f4"), "w+", shape=(6, 1, 4))
    X[:] = array()
    batch = samples_of(X).batch(np.array([5, 0]))
    assert not isinstance(batch.array, np.memmap)
    assert batch.rows.tolist() == [5, 0]
    assert np.array_equal(values(batch), array()[[5, 0]])


def test_a_source_is_asked_for_one_batch_after_another():
    source = Source(array())
    rows = [np.array([3, 0]), np.array([1, 5]), np.array([2])]
    read = [values(batch) for batch in read_batches(samples_of(source), rows)]
    assert source.taken == [[3, 0], [1, 5], [2]]
    assert all(np.array_equal(got, array()[want]) for got, want in zip(read, rows, strict=True))


def test_a_batch_is_read_in_another_thread_while_the_one_before_it_is_used():
    source = Source(array(samples=8))
    batches = read_batches(samples_of(source), [np.array([row]) for row in range(8)])
    for number, _ in enumerate(batches):
        assert len(source.taken) <= number + 2
    assert source.threads.isdisjoint({threading.get_ident()})
    assert len(source.threads) == 1


def test_closing_the_iterator_ends_the_reading():
    source = Source(array(samples=8))
    batches = read_batches(samples_of(source), [np.array([row]) for row in range(8)])
    next(batches)
    batches.close()
    assert len(source.taken) == 2


def test_an_error_of_the_source_reaches_the_reader():
    class Broken(Source):
        def take(self, indices):
            raise OSError(f"samples {indices} are gone")

    with pytest.raises(OSError, match="are gone"):
        next(read_batches(samples_of(Broken(array())), [np.array([0])]))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused_with_its_sample(bad):
    X = array(samples=5)
    X[3, 0, 2] = X[4, 0, 0] = bad
    with pytest.raises(DataError) as caught:
        samples_of(X)
    assert str(caught.value) == (
        "The 'X' parameter of fit has a value that is NaN, infinite or beyond float32 in sample 3. "
        "Remove or repair the sample."
    )


def test_a_bad_sample_is_found_far_into_an_array():
    X = np.zeros((300_000, 1, 4), np.float32)
    X[299_998, 0, 1] = np.nan
    with pytest.raises(DataError, match="in sample 299998"):
        samples_of(X)


def test_a_value_beyond_float32_is_refused_in_float32_only():
    X = array(dtype=np.float64)
    X[2] = 1e300
    with pytest.raises(DataError, match="beyond float32 in sample 2"):
        samples_of(X)
    assert samples_of(X, dtype=np.dtype(np.float64)).count == 6


def test_a_bad_sample_of_a_source_is_named_by_its_number_there():
    X = array()
    X[4] = np.nan
    with pytest.raises(DataError, match="in sample 4"):
        samples_of(Source(X)).batch(np.array([2, 4]))


def test_a_source_that_returns_another_shape_is_refused():
    class Transposed(Source):
        def take(self, indices):
            return super().take(indices).transpose(1, 0, 2)

    with pytest.raises(DataError) as caught:
        samples_of(Transposed(array())).batch(np.array([2, 4]))
    assert str(caught.value) == (
        "The 'take' method of the 'X' parameter of fit must return a numeric array of shape "
        "(2, 1, 4) for 2 indices. Got shape (1, 2, 4) and dtype float32 instead."
    )


@pytest.mark.parametrize(
    ("shape", "input_shape", "message"),
    [
        (
            (5, 3),
            (1, 4),
            (
                "The 'X' parameter of fit must have the shape (n, 1, 4) that the network takes. "
                "Got an array of shape (5, 3) instead."
            ),
        ),
        (
            (5, 8, 8),
            (1, 8, 8),
            (
                "The 'X' parameter of fit must have the shape (n, 1, 8, 8) that the network takes. "
                "Got an array of shape (5, 8, 8) instead. "
                "Add the axis of channels: X[:, numpy.newaxis]."
            ),
        ),
        (
            (5, 8, 9, 3),
            (3, 8, 9),
            (
                "The 'X' parameter of fit must have the shape (n, 3, 8, 9) that the network takes. "
                "Got an array of shape (5, 8, 9, 3) instead. "
                "Bring the channels to the front: numpy.moveaxis(X, -1, 1)."
            ),
        ),
        (
            (3, 8, 9),
            (3, 8, 9),
            (
                "The 'X' parameter of fit must have the shape (n, 3, 8, 9) that the network takes. "
                "Got an array of shape (3, 8, 9) instead. "
                "For a single sample, give X[numpy.newaxis]."
            ),
        ),
        (
            (),
            (4,),
            (
                "The 'X' parameter of fit must have the shape (n, 4) that the network takes. "
                "Got an array of shape () instead."
            ),
        ),
    ],
)
@pytest.mark.parametrize("kind", [np.zeros, lambda shape: Source(np.zeros(shape))])
def test_another_shape_is_refused(kind, shape, input_shape, message):
    with pytest.raises(ShapeError) as caught:
        samples_of(kind(shape), input_shape)
    assert str(caught.value) == message


def test_no_samples_are_refused():
    with pytest.raises(DataError) as caught:
        samples_of(np.zeros((0, 1, 4)))
    assert str(caught.value) == (
        "The 'X' parameter of fit must have the shape (n, 1, 4) with at least one sample. "
        "Got shape (0, 1, 4) instead."
    )


@pytest.mark.parametrize("X", [np.zeros((2, 1, 4), complex), np.full((2, 1, 4), "a"), None])
def test_what_is_not_numeric_is_refused(X):
    with pytest.raises(ArgumentTypeError, match="'X' parameter of fit must be a numeric array"):
        samples_of(X)
