"""Aligned memory."""

from __future__ import annotations

import numpy as np
import pytest

from convoi.runtime.buffers import address_of, aligned_zeros, round_up


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64", "int64"])
@pytest.mark.parametrize("size", [1, 15, 1000, 300_000])
def test_memory_is_zero_and_begins_at_a_cache_line(size: int, dtype: str) -> None:
    array = aligned_zeros(size, dtype)
    assert array.shape == (size,)
    assert array.dtype == np.dtype(dtype)
    assert array.ctypes.data % 64 == 0
    assert not array.any()


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 4), np.float32),
        np.zeros((3, 4), np.float16)[::2, ::-1],
        np.zeros((0, 5)),
        np.frombuffer(b"read-only", np.uint8),
        np.zeros(3, [("index", np.int64), ("axes", [("flip", np.int64)], (2,))]),
        np.zeros((), np.bool_),
        np.zeros(5, ">f4"),
    ],
    ids=["whole", "strided", "empty", "read-only", "records", "scalar", "foreign"],
)
def test_an_address_is_that_of_the_first_element(array: np.ndarray) -> None:
    assert address_of(array) == array.ctypes.data


def test_another_alignment_may_be_asked_for() -> None:
    assert aligned_zeros(10, alignment=4096).ctypes.data % 4096 == 0


@pytest.mark.parametrize(("size", "expected"), [(0, 0), (1, 64), (64, 64), (65, 128)])
def test_sizes_are_rounded_up_to_whole_granules(size: int, expected: int) -> None:
    assert round_up(size, 64) == expected
