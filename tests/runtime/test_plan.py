"""Plans: chunks of batches, bytes of buffers, calls that cannot be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convoi.errors import CompilationError
from convoi.runtime.plan import Buffer, Chunking, Extent, KernelCall, Plan, Segment, Space
from tests.runtime.recording import BUFFERS, CHUNK


@given(samples=st.integers(0, 500), most=st.integers(1, 8), fewest=st.integers(1, 40))
def test_chunks_have_as_many_samples_as_are_worth_it(samples: int, most: int, fewest: int) -> None:
    chunks = Chunking(most, fewest).count(samples, convoy=3)
    assert 1 <= chunks <= most
    assert chunks == 1 or samples > (chunks - 1) * fewest


@given(samples=st.integers(0, 500), most=st.integers(1, 8), small=st.integers(1, 16))
def test_a_batch_that_does_not_fill_two_chunks_makes_smaller_ones(
    samples: int, most: int, small: int
) -> None:
    chunking = Chunking(most, 16, small)
    assert chunking.is_small(samples) == (samples < 32)
    alike = Chunking(most, small if samples < 32 else 16)
    assert chunking.count(samples, convoy=3) == alike.count(samples, convoy=3)


@pytest.mark.parametrize(("units", "expected"), [(0, 1), (1, 1), (4, 1), (5, 2), (9, 3)])
def test_a_fixed_extent_is_cut_into_chunks_of_at_most_a_convoy(units: int, expected: int) -> None:
    assert Segment((), 4, extent=Extent.FIXED, units=units).fixed_chunks == expected


def test_a_kernel_with_too_many_pointers_is_refused() -> None:
    with pytest.raises(CompilationError, match="'wide' takes 33 pointers, and programs pass at mo"):
        KernelCall("wide", 1, (CHUNK,) * 33)


def test_a_plan_tells_the_bytes_of_each_space() -> None:
    plan = Plan((), BUFFERS, Chunking(None))
    assert {space: plan.bytes_of(space) for space in Space} == {
        Space.FIXED: 24,
        Space.BATCH: 256,
        Space.THREAD: 100,
        Space.TEAM: 0,
        Space.CHUNK: 8,
        Space.EXTERNAL: 0,
    }


@pytest.mark.parametrize(("size", "expected"), [(0, 0), (1, 64), (64, 64), (65, 128)])
def test_a_unit_of_a_buffer_takes_whole_cache_lines(size: int, expected: int) -> None:
    assert Buffer("b", Space.CHUNK, size).unit_bytes == expected
