"""Instances of plans: memory, batches of any size, kernels exchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from convoi.runtime import program as programs
from convoi.runtime.plan import Argument, Buffer, Chunking, Plan, Segment, Space
from convoi.runtime.program import Instance
from tests.runtime.recording import BUFFERS, CHUNK, Recorder, new_pool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convoi.runtime.threads import Pool


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    pool = new_pool()
    yield pool
    pool.close()


def instance_of(recorder: Recorder, *arguments: Argument, threads: int = 1) -> Instance:
    segment = Segment((recorder.kernel("k", *arguments),), convoy=4)
    return Instance(Plan((segment,), BUFFERS, Chunking(8, 1)), threads)


def test_memory_is_zero_aligned_and_large_enough() -> None:
    instance = instance_of(Recorder(), threads=3)
    instance.prepare(10)
    sizes = {"fixed": 64, "batch": 10 * 256, "thread": 3 * 128, "chunk": 8 * 64}
    for name, size in sizes.items():
        memory = instance.memory(name)
        assert memory.size == size
        assert memory.ctypes.data % 64 == 0
        assert not memory.any()


def test_memory_grows_with_the_batch_and_never_shrinks() -> None:
    instance = instance_of(Recorder(), CHUNK)
    sizes = []
    for samples in (3, 10, 2, 10, 11):
        instance.prepare(samples)
        sizes.append(instance.memory("batch").size // 256)
    assert sizes == [3, 10, 10, 10, 11]


def test_what_no_sample_needs_takes_no_memory_however_many_there_are() -> None:
    buffers = (*BUFFERS[:1], Buffer("batch", Space.BATCH, 0), *BUFFERS[2:])
    instance = Instance(Plan((), buffers, Chunking(None)), threads=1)
    instance.prepare(10**12)
    assert instance.memory("batch").size == 64


def test_growing_batches_pass_whole(pool: Pool) -> None:
    recorder = Recorder()
    argument = Argument("batch", offset=128, per_sample=64)
    instance = instance_of(recorder, argument)
    for samples in (1, 7, 3, 20, 19, 0, 20):
        recorder.calls.clear()
        instance.prepare(samples)
        instance.run(pool, {"caller": 0})
        passed = sorted(sample for call in recorder.calls for sample in call.samples)
        assert passed == list(range(samples))
        memory = instance.memory("batch")
        begin, capacity = memory.ctypes.data, memory.size // 256
        for call in recorder.calls:
            assert call.pointers[0] == begin + 128 * capacity + 64 * call.first


def test_after_memory_has_run_out_an_instance_still_works(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder()
    instance = instance_of(recorder, Argument("batch", per_sample=256), CHUNK)
    instance.prepare(4)

    def fail(size: int, *_: object) -> None:
        raise MemoryError(size)

    with monkeypatch.context() as patch:
        patch.setattr(programs, "aligned_zeros", fail)
        with pytest.raises(MemoryError):
            instance.prepare(100)
    instance.prepare(4)
    instance.run(pool, {"caller": 0})
    begin = instance.memory("batch").ctypes.data
    assert sorted(call.pointers[0] - begin for call in recorder.calls) == [0, 256, 512, 768]


def test_instances_share_their_fixed_memory_and_nothing_else() -> None:
    first = instance_of(Recorder())
    second = Instance(first.plan, 1, first.fixed_memory())
    assert second.memory("fixed") is first.memory("fixed")
    assert second.memory("thread") is not first.memory("thread")


def test_another_kernel_can_take_the_place_of_one(pool: Pool) -> None:
    recorder = Recorder()
    instance = instance_of(recorder)
    instance.prepare(2)
    instance.set_kernel("k", recorder.kernel("other").address)
    instance.run(pool, {"caller": 0})
    assert {call.kernel for call in recorder.calls} == {"other"}


def test_every_external_buffer_must_be_given(pool: Pool) -> None:
    instance = instance_of(Recorder(), Argument("caller"))
    instance.prepare(2)
    with pytest.raises(KeyError, match="caller"):
        instance.run(pool, {})


@pytest.mark.parametrize("threads", [1, 3])
def test_a_timed_run_does_the_same_and_tells_seconds(pool: Pool, threads: int) -> None:
    recorder = Recorder()
    segments = tuple(Segment((recorder.kernel(name),), convoy=2) for name in "abc")
    instance = Instance(Plan(segments, BUFFERS, Chunking(None)), threads)
    instance.prepare(9)
    seconds = instance.run_timed(pool, {"caller": 0})
    assert len(seconds) == 3
    assert min(seconds) > 0
    assert "".join(call.kernel for call in recorder.calls) == "a" * 5 + "b" * 5 + "c" * 5
