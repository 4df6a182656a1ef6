"""The native loops: which samples each kernel is called with, in what order, by whom."""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convoi.codegen.types import F32, POINTER, VOID
from convoi.runtime.plan import Argument, Chunking, Extent, KernelCall, Plan, Segment
from convoi.runtime.program import Instance
from convoi.runtime.tables import GATE
from tests.codegen.native import compiled
from tests.runtime.recording import BUFFERS, CHUNK, Recorder, new_pool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convoi.runtime.threads import Pool
    from tests.runtime.recording import Call


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    pool = new_pool()
    yield pool
    pool.close()


def run(pool: Pool, segments, samples, chunking=None, threads=1) -> Instance:
    instance = Instance(Plan(tuple(segments), BUFFERS, chunking or Chunking(None)), threads)
    instance.prepare(samples)
    instance.run(pool, {"caller": 0})
    return instance


def by_chunk(calls: list[Call]) -> list[list[Call]]:
    chunks = defaultdict(list)
    for call in calls:
        chunks[call.pointers[0]].append(call)
    return [chunks[pointer] for pointer in sorted(chunks)]


@st.composite
def chunkings(draw: st.DrawFn) -> tuple[Chunking, int]:
    """Draw a chunking and a granule that goes with it."""
    granule = draw(st.sampled_from([1, 2, 8]))
    samples = granule * draw(st.integers(1, 4))
    return Chunking(draw(st.integers(1, 8)), samples, draw(st.integers(0, samples))), granule


@given(
    samples=st.integers(1, 100),
    convoy=st.integers(1, 20),
    chunking=chunkings(),
    threads=st.integers(1, 3),
)
def test_convoys_cover_each_chunk_once_and_in_order(
    pool: Pool, samples: int, convoy: int, chunking: tuple[Chunking, int], threads: int
) -> None:
    recorder = Recorder()
    plan, granule = chunking
    segment = Segment((recorder.kernel("k", CHUNK),), convoy, granule)
    run(pool, [segment], samples, plan, threads)
    chunks = by_chunk(recorder.calls)
    assert len(chunks) == plan.count(samples, convoy)
    covered = itertools.chain(*(call.samples for calls in chunks for call in calls))
    assert list(covered) == list(range(samples))
    for calls in chunks:
        assert plan.is_small(samples) or calls[0].first % granule == 0
        assert [call.fresh for call in calls] == [1] + [0] * (len(calls) - 1)
        assert all(call.count == convoy for call in calls[:-1])
        assert 0 < calls[-1].count <= convoy


@given(samples=st.integers(1, 60), convoy=st.integers(1, 9), threads=st.integers(1, 3))
def test_without_sums_every_sample_passes_once(
    pool: Pool, samples: int, convoy: int, threads: int
) -> None:
    recorder = Recorder()
    run(pool, [Segment((recorder.kernel("k"),), convoy)], samples, threads=threads)
    passed = sorted(itertools.chain(*(call.samples for call in recorder.calls)))
    assert passed == list(range(samples))
    assert max(call.count for call in recorder.calls) <= convoy


def test_a_batch_of_nothing_calls_nothing(pool: Pool) -> None:
    recorder = Recorder()
    run(pool, [Segment((recorder.kernel("k"),), 4)], 0)
    assert recorder.calls == []


def test_a_convoy_passes_all_calls_of_a_segment_before_the_next(pool: Pool) -> None:
    recorder = Recorder()
    kernels = tuple(recorder.kernel(name) for name in "abc")
    run(pool, [Segment(kernels, convoy=2)], 5)
    assert "".join(call.kernel for call in recorder.calls) == "abc" * 3
    passed = [[call.samples for call in recorder.of(name)] for name in "abc"]
    assert passed[0] == passed[1] == passed[2]


def test_a_segment_begins_when_the_one_before_is_done_by_all_threads(pool: Pool) -> None:
    recorder = Recorder()
    segments = [Segment((recorder.kernel(name),), convoy=1) for name in "abc"]
    run(pool, segments, 20, threads=3)
    assert "".join(call.kernel for call in recorder.calls) == "a" * 20 + "b" * 20 + "c" * 20


def test_a_segment_of_fixed_extent_runs_over_its_units_whatever_the_batch(pool: Pool) -> None:
    recorder = Recorder()
    segment = Segment((recorder.kernel("k", CHUNK),), 4, extent=Extent.FIXED, units=10)
    run(pool, [segment], 3, Chunking(1))
    covered = itertools.chain(*(call.samples for call in recorder.calls))
    assert sorted(covered) == list(range(10))
    assert all(call.fresh for call in recorder.calls)


def test_pointers_move_with_samples_chunks_and_threads(pool: Pool) -> None:
    recorder = Recorder()
    arguments = (
        Argument("fixed", offset=8),
        Argument("batch", offset=64, per_sample=128),
        Argument("thread", offset=4),
        Argument("chunk"),
        Argument("chunk", whole=True),
        Argument("fixed", per_chunk=16),
        Argument("caller", offset=5, per_sample=2),
    )
    segment = Segment((recorder.kernel("k", *arguments),), convoy=3)
    instance = Instance(Plan((segment,), BUFFERS, Chunking(2, 1)), threads=1)
    instance.prepare(8)
    instance.run(pool, {"caller": 10**6})
    begin = {
        name: instance.memory(name).ctypes.data for name in ("fixed", "batch", "thread", "chunk")
    }
    for call in recorder.calls:
        chunk = int(call.first >= 4)
        assert call.pointers == (
            begin["fixed"] + 8,
            # Values of a batch lie one after the other, each for all samples.
            begin["batch"] + 64 * 8 + 128 * call.first,
            begin["thread"] + 4,
            begin["chunk"] + 64 * chunk,
            begin["chunk"],
            begin["fixed"] + 16 * chunk,
            10**6 + 5 + 2 * call.first,
        )


def test_each_thread_has_memory_of_its_own(pool: Pool) -> None:
    recorder = Recorder()
    segment = Segment((recorder.kernel("k", Argument("thread")),), convoy=1)
    instance = run(pool, [segment], 50, threads=3)
    begin = instance.memory("thread").ctypes.data
    places = {call.pointers[0] - begin for call in recorder.calls}
    assert places <= {0, 128, 256}


def test_a_program_finishes_without_workers_that_never_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool = new_pool()
    monkeypatch.setattr(pool, "_start", lambda _: None)
    recorder = Recorder()
    segments = [Segment((recorder.kernel(name),), convoy=2) for name in "ab"]
    run(pool, segments, 10, threads=4)
    assert len(recorder.calls) == 10


def test_a_worker_that_comes_late_touches_nothing(pool: Pool) -> None:
    recorder = Recorder()
    instance = run(pool, [Segment((recorder.kernel("k"),), convoy=2)], 4)
    calls = len(recorder.calls)
    gate = np.zeros(GATE.words, np.int64)
    gate[GATE.threads] = 8
    gate[GATE.program] = instance._program.ctypes.data
    gate[GATE.generation] = 2
    pool._work(gate.ctypes.data, 1, 100)
    assert len(recorder.calls) == calls
    assert gate[GATE.active] == 0


def test_a_worker_takes_part_once_in_a_program_that_is_open(pool: Pool) -> None:
    recorder = Recorder()
    segment = Segment((recorder.kernel("k", Argument("thread")),), convoy=1)
    instance = Instance(Plan((segment,), BUFFERS, Chunking(None)), threads=3)
    instance.prepare(3)
    instance._bind({"caller": 0})
    gate = np.zeros(GATE.words, np.int64)
    gate[GATE.threads] = 3
    gate[GATE.program] = instance._program.ctypes.data
    gate[GATE.generation] = 1
    pool._work(gate.ctypes.data, 2, 100)
    begin = instance.memory("thread").ctypes.data
    assert [(call.first, call.pointers[0] - begin) for call in recorder.calls] == [
        (first, 2 * 128) for first in range(3)
    ]


@pytest.mark.parametrize("thread", range(4))
def test_every_other_thread_begins_with_the_last_chunk(pool: Pool, thread: int) -> None:
    recorder = Recorder()
    segment = Segment((recorder.kernel("k"),), convoy=2)
    instance = Instance(Plan((segment,), BUFFERS, Chunking(None)), threads=4)
    instance.prepare(10)
    instance._bind({"caller": 0})
    pool._run(instance._program.ctypes.data, thread)
    taken = [call.first for call in recorder.calls]
    assert taken == ([8, 6, 4, 2, 0] if thread % 2 else [0, 2, 4, 6, 8])


def test_a_worker_that_is_not_invited_stays_out(pool: Pool) -> None:
    recorder = Recorder()
    instance = Instance(
        Plan((Segment((recorder.kernel("k"),), 1),), BUFFERS, Chunking(None)), threads=1
    )
    instance.prepare(3)
    instance._bind({"caller": 0})
    gate = np.zeros(GATE.words, np.int64)
    gate[GATE.threads] = 2
    gate[GATE.program] = instance._program.ctypes.data
    gate[GATE.generation] = 1
    pool._work(gate.ctypes.data, 2, 100)
    assert recorder.calls == []


def test_a_stopped_worker_returns_at_once(pool: Pool) -> None:
    gate = np.zeros(GATE.words, np.int64)
    gate[GATE.stop] = 1
    pool._work(gate.ctypes.data, 1, 2**62)


def test_denormals_are_zero_inside_a_program_and_only_there(pool: Pool) -> None:
    tiny = np.array([1e-40, 7.0], np.float32)

    def halve(f):
        place = f.load(f.arguments[0], POINTER)
        half = f.fmul(f.load(place, F32), f.load(f.at(place, 1, F32), F32))
        f.store(half, f.at(place, 1, F32))

    function = compiled([POINTER], VOID, halve)
    address = int.from_bytes(bytes(function), "little")
    call = KernelCall("halve", address, (Argument("caller"),))
    instance = Instance(Plan((Segment((call,), 1),), BUFFERS, Chunking(None)), threads=1)
    instance.prepare(1)
    instance.run(pool, {"caller": tiny.ctypes.data})
    assert tiny[1] == 0
    assert tiny[0] * np.float32(0.5) > 0
