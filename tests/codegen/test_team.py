"""Threads that share each call: which units are done, when, by whom, in whose memory."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convoi.runtime.pacing import Pace
from convoi.runtime.plan import Argument, Buffer, Chunking, Extent, Plan, Segment, Space
from convoi.runtime.program import Instance
from tests.runtime.recording import BUFFERS, Recorder, new_pool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convoi.runtime.threads import Pool

MEMORY = (*BUFFERS, Buffer("own", Space.THREAD, 64, private=True))


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    pool = new_pool()
    yield pool
    pool.close()


@pytest.fixture(scope="module", autouse=True)
def always_shared() -> Iterator[None]:
    """Let no trial of the other way decide."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pace, "note", lambda *_: None)
        yield


def instance_of(segments, samples: int, threads: int) -> Instance:
    instance = Instance(Plan(tuple(segments), MEMORY, Chunking(None)), threads)
    instance.prepare(samples)
    return instance


def run(pool: Pool, segments, samples: int = 1, threads: int = 2) -> Instance:
    instance = instance_of(segments, samples, threads)
    instance.run(pool, {"caller": 0})
    return instance


def units_of(recorder: Recorder, name: str) -> list[int]:
    return sorted(itertools.chain(*(call.units for call in recorder.of(name))))


@given(units=st.integers(1, 40), threads=st.integers(2, 5))
def test_every_unit_of_a_call_is_done_once(pool: Pool, units: int, threads: int) -> None:
    recorder = Recorder()
    run(pool, [Segment((recorder.kernel("k", units=units),), convoy=1)], threads=threads)
    assert units_of(recorder, "k") == list(range(units))
    assert len(recorder.calls) == min(units, threads)


def test_no_more_threads_share_a_call_than_are_worth_it(pool: Pool) -> None:
    recorder = Recorder()
    call = recorder.kernel("k", units=20, shares=2)
    run(pool, [Segment((call,), convoy=1)], threads=4)
    assert {call.units for call in recorder.calls} == {range(10), range(10, 20)}


def test_a_call_begins_when_the_one_before_is_done_by_all_threads(pool: Pool) -> None:
    recorder = Recorder()
    first = (recorder.kernel("a", units=7), recorder.kernel("b"), recorder.kernel("c"))
    second = (recorder.kernel("d", units=3), recorder.kernel("e", units=9))
    instance = instance_of([Segment(first, convoy=1), Segment(second, convoy=1)], 1, threads=3)
    for _ in range(50):
        recorder.calls.clear()
        instance.run(pool, {"caller": 0})
        assert "".join(call.kernel for call in recorder.calls) == "aaabcdddeee"


def test_calls_of_one_part_that_follow_one_another_are_one_stage(pool: Pool) -> None:
    recorder = Recorder()
    calls = [recorder.kernel(name, units=1 + (name == "c")) for name in "abcde"]
    instance = run(pool, [Segment(tuple(calls), convoy=1)])
    assert instance._stages[:, :3].tolist() == [[0, 2, 1], [2, 1, 2], [3, 2, 1]]


def test_convoys_follow_one_another(pool: Pool) -> None:
    recorder = Recorder()
    calls = tuple(recorder.kernel(name, units=4) for name in "ab")
    run(pool, [Segment(calls, convoy=2)], samples=3, threads=4)
    passed = [(call.kernel, call.first, call.count) for call in recorder.calls]
    assert passed == [
        *[("a", 0, 2)] * 4,
        *[("b", 0, 2)] * 4,
        *[("a", 2, 1)] * 4,
        *[("b", 2, 1)] * 4,
    ]


@pytest.mark.parametrize(
    ("samples", "threads", "shared"),
    [(1, 1, False), (1, 2, True), (2, 2, False), (3, 2, True), (4, 3, True), (7, 8, False),
     (5, 8, True), (11, 2, False)],
)  # fmt: skip
def test_calls_are_shared_where_whole_samples_would_leave_threads_waiting(
    samples: int, threads: int, shared: bool
) -> None:
    segment = Segment((Recorder().kernel("k", units=9),), convoy=1)
    assert instance_of([segment], samples, threads)._shared is shared


def test_nothing_is_shared_where_no_call_has_units(pool: Pool) -> None:
    recorder = Recorder()
    instance = run(pool, [Segment((recorder.kernel("k"),), convoy=1)], threads=3)
    assert not instance._shared
    assert len(recorder.calls) == 1


def test_sums_over_several_chunks_and_steps_that_run_once_are_not_shared() -> None:
    call = Recorder().kernel("k", units=5)
    once = Segment((call,), 4, extent=Extent.FIXED, units=4)
    summed = Plan((Segment((call,), 1),), MEMORY, Chunking(4, 1))
    for plan, samples in ((summed, 3), (Plan((once,), MEMORY, Chunking(None)), 1)):
        instance = Instance(plan, 2)
        instance.prepare(samples)
        assert not instance._shared
    instance = Instance(summed, 2)
    instance.prepare(1)
    assert instance._shared


@pytest.mark.parametrize("samples", [1, 2, 4, 7])
def test_a_batch_of_one_chunk_is_shared(samples: int) -> None:
    call = Recorder().kernel("k", units=5)
    plan = Plan((Segment((call,), 1),), MEMORY, Chunking(4, 7))
    for threads in (1, 2, 3):
        instance = Instance(plan, threads)
        instance.prepare(samples)
        assert instance._shared is (threads > 1)


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_take_chunks_of_what_runs_once_between_calls_that_they_share(
    pool: Pool, threads: int
) -> None:
    recorder = Recorder()
    first, last = (Segment((recorder.kernel(name, units=9),), 1) for name in "ac")
    once = Segment((recorder.kernel("b"),), 2, extent=Extent.FIXED, units=7)
    plan = Plan((first, once, last), MEMORY, Chunking(4, 1))
    instance = Instance(plan, threads)
    for _ in range(3):
        recorder.calls.clear()
        instance.prepare(1)
        instance.run(pool, {"caller": 0})
        assert instance._team
        assert (
            "".join(call.kernel for call in recorder.calls)
            == "a" * threads + "bbbb" + "c" * threads
        )
        assert units_of(recorder, "a") == units_of(recorder, "c") == list(range(9))
        assert sorted(call.first for call in recorder.of("b")) == [0, 1, 3, 5]


def test_few_samples_of_a_convoy_are_spread_over_the_threads(pool: Pool) -> None:
    recorder = Recorder()
    run(pool, [Segment((recorder.kernel("k"),), convoy=8, granule=4)], samples=6, threads=3)
    assert sorted((call.first, call.count) for call in recorder.calls) == [(0, 2), (2, 2), (4, 2)]


def test_threads_share_activations_and_have_scratch_memory_of_their_own(pool: Pool) -> None:
    recorder = Recorder()
    kernel = recorder.kernel("k", Argument("thread"), Argument("own"), units=2)
    instance = instance_of([Segment((kernel,), convoy=1)], 1, threads=2)
    shared, own = (instance.memory(name).ctypes.data for name in ("thread", "own"))
    for _ in range(20):
        instance.run(pool, {"caller": 0})
    assert {call.pointers[0] for call in recorder.calls} == {shared}
    assert {call.pointers[1] - own for call in recorder.calls} <= {0, 64}


def test_values_lie_apart_and_halos_are_left_alone_where_threads_share(pool: Pool) -> None:
    recorder = Recorder()
    value = Argument("thread", offset=8, apart=24)
    memory = (*MEMORY, Buffer("apart", Space.TEAM, 64))
    clear = replace(recorder.kernel("clear", value), clears=True, needless=True)
    segment = Segment((clear, recorder.kernel("k", value, units=2)), convoy=5)
    instance = Instance(Plan((segment,), memory, Chunking(None)), 4)
    instance.prepare(2)
    instance.run(pool, {"caller": 0})
    place = instance.memory("apart").ctypes.data + 24
    assert [(c.kernel, c.count, c.pointers) for c in recorder.calls] == [("k", 1, (place,))] * 4
    recorder.calls.clear()
    instance.prepare(4)
    instance.run(pool, {"caller": 0})
    assert {call.pointers[0] for call in recorder.calls} <= {
        instance.memory("thread").ctypes.data + 8 + 128 * thread for thread in range(4)
    }
    assert [len(recorder.of(name)) for name in ("clear", "k")] == [4, 4]


def test_calls_that_are_too_small_to_share_clear_what_they_need(pool: Pool) -> None:
    recorder = Recorder()
    clear = replace(recorder.kernel("clear", Argument("thread")), clears=True)
    small, large = recorder.kernel("small"), recorder.kernel("large", units=2)
    run(pool, [Segment((clear, small, clear, large), convoy=1)])
    assert [call.kernel for call in recorder.calls[:2]] == ["clear", "small"]
    assert sorted(call.kernel for call in recorder.calls[2:]) == ["clear", "large", "large"]


def test_runs_go_the_way_that_is_quicker(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    segment = Segment((recorder.kernel("k", Argument("thread"), units=2),), convoy=1)
    instance = instance_of([segment], 1, threads=2)
    for shares, calls in ((True, 2), (False, 1), (True, 2)):
        monkeypatch.setattr(Pace, "shares", lambda _, shares=shares: shares)
        recorder.calls.clear()
        instance.run(pool, {"caller": 0})
        assert len(recorder.calls) == calls
        assert units_of(recorder, "k") == [0, 1]


def test_without_workers_the_caller_does_all_parts(pool: Pool) -> None:
    recorder = Recorder()
    calls = tuple(recorder.kernel(name, Argument("own"), units=6) for name in "ab")
    instance = instance_of([Segment(calls, convoy=1)], 1, threads=3)
    with pool._busy:
        instance.run(pool, {"caller": 0})
    assert "".join(call.kernel for call in recorder.calls) == "aaabbb"
    assert units_of(recorder, "a") == list(range(6))
    assert {call.pointers[0] for call in recorder.calls} == {instance.memory("own").ctypes.data}


def test_a_worker_that_comes_late_goes_on_where_the_others_are(pool: Pool) -> None:
    recorder = Recorder()
    instance = run(pool, [Segment((recorder.kernel("k", units=4),), convoy=1)], threads=2)
    done = len(recorder.calls)
    pool._run(instance._address, 1)
    assert len(recorder.calls) == done


def test_a_shared_program_can_be_timed_by_segments_and_calls(pool: Pool) -> None:
    recorder = Recorder()
    segments = [Segment((recorder.kernel(name, units=4),), convoy=1) for name in "ab"]
    instance = instance_of(segments, 1, threads=2)
    assert len(instance.run_timed(pool, {"caller": 0})) == 2
    assert len(instance.run_calls(pool, {"caller": 0})) == 2
    assert [units_of(recorder, name) for name in "ab"] == [[0, 0, 1, 1, 2, 2, 3, 3]] * 2
