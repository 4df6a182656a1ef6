"""Calls that were made before: the same results and the same errors as the first time."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import convoi
from convoi.errors import ArgumentError, ArgumentTypeError, ShapeError
from convoi.signal.calls import DirectCall, remembered_call
from convoi.signal.running import SCRATCH


def recalled(x, kernel, **options):
    given = {
        "mode": "full", "boundary": "constant", "fill_value": 0, "axes": None, "stride": 1,
        "dilation": 1, "method": "auto", "threads": None, **options,
    }  # fmt: skip
    return remembered_call(
        True, x.shape, x.strides, x.dtype, kernel.shape, kernel.strides, kernel.dtype,
        *given.values(),
    )  # fmt: skip


@pytest.mark.parametrize("dtype", ["int64", "float32", "float64"])
@pytest.mark.parametrize(("shape", "taps"), [((50,), (7,)), ((9, 20), (3, 4)), ((2, 9, 8), (3, 3))])
def test_the_second_call_gives_what_the_first_gave(dtype, shape, taps):
    generator = np.random.default_rng(0)
    x, kernel = (generator.integers(-9, 9, n).astype(dtype) for n in (shape, taps))
    assert isinstance(recalled(x, kernel), DirectCall)
    expected = convoi.convolve(x.tolist(), kernel.tolist())
    for _ in range(2):
        np.testing.assert_array_equal(convoi.convolve(x, kernel), expected)
    np.testing.assert_array_equal(
        convoi.correlate(x, kernel[..., ::-1]), convoi.correlate(x, kernel[..., ::-1].copy())
    )


def test_other_numbers_give_other_results():
    x = np.arange(10.0)
    assert convoi.convolve(x, np.array([1.0, 2]))[3] == 7
    assert convoi.convolve(x + 1, np.array([1.0, 3]))[3] == 13


def test_strides_are_part_of_what_is_remembered():
    x = np.arange(40.0)
    kernel = np.array([1.0, 10, 100, 1000])
    for step in (1, -1, 2, -2):
        for taps in (kernel, kernel[::-1], kernel[::2]):
            y = convoi.convolve(x[::step], taps)
            np.testing.assert_array_equal(y, np.convolve(x[::step], taps))


def test_arrays_that_are_not_aligned_are_copied():
    raw = np.zeros(8 * 21 + 1, np.uint8)[1:]
    x = raw.view(np.float64)
    x[:] = np.arange(21)
    assert not x.flags.aligned
    for _ in range(2):
        np.testing.assert_array_equal(
            convoi.convolve(x, np.ones(3)), np.convolve(np.arange(21), np.ones(3))
        )


def test_results_are_new_arrays():
    x = np.arange(10.0)
    first = convoi.convolve(x, np.ones(3))
    kept = first.copy()
    assert convoi.convolve(x * 2, np.ones(3)) is not first
    np.testing.assert_array_equal(first, kept)


def test_errors_stay_errors():
    x, kernel = np.ones(10), np.ones(3)
    for _ in range(2):
        convoi.convolve(x, kernel)
        with pytest.raises(ArgumentTypeError, match="'stride'"):
            convoi.convolve(x, kernel, stride=1.0)
        with pytest.raises(ArgumentError, match="'mode'"):
            convoi.convolve(x, kernel, mode="whole")
        with pytest.raises(ShapeError, match="length 3"):
            convoi.convolve(x[:2], kernel, mode="valid")


def test_subclasses_go_the_full_way():
    x = np.ma.masked_array(np.arange(6.0), mask=[0, 0, 1, 0, 0, 0])
    plain = np.arange(6.0)
    kernel = np.ones(2)
    assert np.isfinite(convoi.convolve(plain, kernel)).all()
    assert np.isnan(convoi.convolve(x, kernel)).sum() == 2


def test_an_outer_product_is_found_among_other_kernels():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(400, 400))
    lines = generator.normal(size=(2, 31))
    for kernel in (generator.normal(size=(31, 31)), np.outer(*lines)):
        y = convoi.convolve(x, kernel, mode="same")
        direct = convoi.convolve(x, kernel, mode="same", method="direct")
        np.testing.assert_allclose(y, direct, atol=1e-10)


@pytest.mark.parametrize("method", ["direct", "overlap-add", "auto"])
def test_threads_share_a_batch_that_was_seen_before(method):
    generator = np.random.default_rng(0)
    x, kernel = generator.normal(size=(40, 64, 64)), generator.normal(size=(9, 9))
    one = convoi.convolve(x, kernel, method=method, threads=1)
    for _ in range(3):
        y = convoi.convolve(x, kernel, method=method, threads=2)
        np.testing.assert_allclose(y, one, atol=1e-11)


def test_options_of_other_types_are_not_taken_for_those_seen_before():
    x, kernel = np.ones(10), np.ones(3)
    for _ in range(2):
        convoi.convolve(x, kernel, stride=1, threads=1)
        with pytest.raises(ArgumentTypeError, match="'dilation'"):
            convoi.convolve(x, kernel, dilation=1.0)
        with pytest.raises(ArgumentTypeError, match="'threads'"):
            convoi.convolve(x, kernel, threads=1.0)
        with pytest.raises(ArgumentTypeError, match="'fill_value'"):
            convoi.convolve(x, kernel, fill_value="0")


def test_several_threads_call_at_once():
    generator = np.random.default_rng(0)
    x, kernel = generator.normal(size=(300, 300)), generator.normal(size=(5, 5))
    expected = convoi.convolve(x, kernel)
    results = []
    workers = [
        threading.Thread(target=lambda: results.append(convoi.convolve(x, kernel, threads=1)))
        for _ in range(8)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(results) == 8
    for y in results:
        np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16"])
@pytest.mark.parametrize("taps", [3, 31, 200])
def test_pieces_read_in_place_are_those_that_were_copied(dtype, taps):
    generator = np.random.default_rng(0)
    raw, kernel = (generator.integers(-99, 99, n).astype(dtype) for n in (60_000, taps))
    for start in (0, 1, 7):  # outputs and inputs lie at all kinds of addresses
        x = raw[start:]
        y = convoi.convolve(x, kernel, method="direct", threads=1)
        np.testing.assert_array_equal(y, np.convolve(x, kernel))


@pytest.mark.parametrize("out", [None, np.empty(1000)])
@pytest.mark.parametrize("threads", [1, 2])
def test_memory_that_other_calls_left_is_not_written_beyond_its_end(out, threads, monkeypatch):
    memory = np.full(2**17, 7, np.uint8)
    start = -memory.ctypes.data % 64 + 64
    monkeypatch.setattr(SCRATCH, "memory", memory[:8])  # of a call that needed little
    monkeypatch.setattr(SCRATCH, "start", memory.ctypes.data + start)
    x, kernel = np.arange(1000.0), np.ones(31)
    options = {"mode": "same", "method": "direct", "threads": threads, "out": out}
    for _ in range(2):
        y = convoi.convolve(x, kernel, **options)
        np.testing.assert_allclose(y, np.convolve(x, kernel, mode="same"))
    assert (memory == 7).all()
