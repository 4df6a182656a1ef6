"""How many threads there are, and the pool of workers."""

from __future__ import annotations

import ctypes
import itertools
import math
import multiprocessing
import os
import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from convoi.codegen.types import I64, POINTER, VOID
from convoi.config import override
from convoi.errors import ArgumentError, ArgumentTypeError
from convoi.runtime import threads as runtime_threads
from convoi.runtime.plan import Argument, Chunking, KernelCall, Plan, Segment
from convoi.runtime.program import Instance
from convoi.runtime.tables import GATE
from convoi.runtime.threads import default_threads, resolve_threads
from tests.codegen.native import compiled
from tests.runtime.recording import BUFFERS, SIGNATURE, Recorder, new_pool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Value
    from convoi.runtime.threads import Pool

# How many -------------------------------------------------------------------------------------


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Make a machine of 12 cores without limits, whose control groups are files of the test."""
    monkeypatch.delenv("CONVOI_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(12)), raising=False)
    monkeypatch.setattr(runtime_threads, "_CGROUPS", tmp_path)
    monkeypatch.setattr(runtime_threads, "_OWN_CGROUP", tmp_path / "own")
    monkeypatch.setattr(runtime_threads, "_in_worker_process", lambda: False)
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.usefixtures("machine")
def test_without_limits_the_affinity_counts() -> None:
    assert default_threads() == 12


@pytest.mark.usefixtures("machine")
def test_without_affinities_the_cores_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert default_threads() == 5


@pytest.mark.usefixtures("machine")
def test_the_setting_comes_before_all_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_threads, "_in_worker_process", lambda: True)
    monkeypatch.setenv("CONVOI_THREADS", "30")
    assert default_threads() == 30
    with override(threads=3):
        assert default_threads() == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [("400000 100000", 4), ("150000 100000", 2), ("10000 100000", 1), ("max 100000", 12)],
)
def test_the_quota_of_the_control_group_limits(machine: Path, text: str, expected: int) -> None:
    write(machine / "cpu.max", text + "\n")
    assert default_threads() == expected


def test_the_tightest_of_the_groups_around_the_process_counts(machine: Path) -> None:
    write(machine / "own", "1:cpuset:/ignored\n0::/user.slice/session\n")
    write(machine / "cpu.max", "900000 100000")
    write(machine / "user.slice" / "cpu.max", "300000 100000")
    write(machine / "user.slice" / "session" / "cpu.max", "max 100000")
    write(machine / "ignored" / "cpu.max", "100000 100000")
    assert default_threads() == 3


def test_groups_outside_of_the_namespace_are_left_alone(machine: Path) -> None:
    write(machine / "own", "0::/../../other\n")
    write(machine / "cpu.max", "200000 100000")
    assert default_threads() == 2


@pytest.mark.parametrize(("quota", "expected"), [("250000", 3), ("-1", 12)])
def test_the_quota_of_version_1_limits(machine: Path, quota: str, expected: int) -> None:
    write(machine / "cpu" / "cpu.cfs_quota_us", quota)
    write(machine / "cpu" / "cpu.cfs_period_us", "100000")
    assert default_threads() == expected


@pytest.mark.parametrize("text", ["", "nonsense", "1 2 3", "100000 0x"])
def test_files_of_another_form_limit_nothing(machine: Path, text: str) -> None:
    write(machine / "cpu.max", text)
    write(machine / "own", text)
    assert default_threads() == 12


def test_the_limits_of_this_machine_can_be_read() -> None:
    assert 0 < runtime_threads._cgroup_limit() <= math.inf


@pytest.mark.parametrize(
    ("name", "daemon", "parent", "expected"),
    [
        ("MainProcess", False, None, False),
        ("LokyProcess-3", False, None, True),
        ("Process-1", True, None, True),
        ("SpawnProcess-1", False, object(), True),
    ],
)
def test_worker_processes_of_parallel_runs_are_known(
    name: str, daemon: bool, parent: object, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = SimpleNamespace(name=name, daemon=daemon)
    monkeypatch.setattr(multiprocessing, "current_process", lambda: process)
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: parent)
    assert runtime_threads._in_worker_process() is expected


@pytest.mark.usefixtures("machine")
def test_worker_processes_use_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_threads, "_in_worker_process", lambda: True)
    assert default_threads() == 1


def test_a_given_number_of_threads_is_checked() -> None:
    assert resolve_threads(7, "Owner") == 7
    with pytest.raises(ArgumentError, match="'threads' parameter of Owner"):
        resolve_threads(0, "Owner")
    with pytest.raises(ArgumentTypeError, match="'threads' parameter of Owner"):
        resolve_threads("two", "Owner")  # type: ignore[arg-type]


# The pool -------------------------------------------------------------------------------------


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = new_pool()
    yield pool
    pool.close()


def samples_passed(recorder: Recorder) -> list[int]:
    return sorted(itertools.chain(*(call.samples for call in recorder.calls)))


def prepared(recorder: Recorder, samples: int, threads: int) -> Instance:
    segments = tuple(
        Segment((recorder.kernel(name, Argument("thread")),), convoy=3) for name in "ab"
    )
    instance = Instance(Plan(segments, BUFFERS, Chunking(None)), threads)
    instance.prepare(samples)
    return instance


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_every_sample_passes_once_with_any_number_of_threads(pool: Pool, threads: int) -> None:
    recorder = Recorder()
    instance = prepared(recorder, 50, threads)
    for _ in range(20):
        recorder.calls.clear()
        instance.run(pool, {"caller": 0})
        assert samples_passed(recorder) == sorted([*range(50), *range(50)])


def test_workers_are_started_when_they_are_needed_and_kept(pool: Pool) -> None:
    recorder = Recorder()
    few, many = prepared(recorder, 10, 2), prepared(recorder, 10, 4)
    counts = []
    for instance in (few, many, few):
        instance.run(pool, {"caller": 0})
        counts.append(len(pool._workers))
    assert counts == [1, 3, 3]


def test_a_closed_pool_starts_anew(pool: Pool) -> None:
    recorder = Recorder()
    instance = prepared(recorder, 10, 3)
    instance.run(pool, {"caller": 0})
    workers = list(pool._workers)
    pool.close()
    assert not any(thread.is_alive() for thread in workers)
    recorder.calls.clear()
    instance.run(pool, {"caller": 0})
    assert samples_passed(recorder) == sorted([*range(10), *range(10)])


def test_a_sleeping_worker_wakes_for_the_next_program(pool: Pool) -> None:
    recorder = Recorder()  # held while its kernels may run
    prepared(recorder, 10, 3).run(pool, {"caller": 0})
    while pool._gate[GATE.sleepers] < 2:  # they go to sleep within milliseconds
        pass
    meeting = threading.Barrier(3, timeout=60)
    kernel = SIGNATURE(lambda *_: meeting.wait())
    call = KernelCall("meet", ctypes.cast(kernel, ctypes.c_void_p).value or 0, ())
    instance = Instance(Plan((Segment((call,), 1),), BUFFERS, Chunking(None)), 3)
    instance.prepare(3)
    instance.run(pool, {"caller": 0})  # each of the three calls waits for the other two
    assert not meeting.broken


def test_workers_that_a_program_does_not_ask_for_sleep_on(pool: Pool) -> None:
    others, recorder = Recorder(), Recorder()
    prepared(others, 10, 4).run(pool, {"caller": 0})
    few = prepared(recorder, 10, 2)
    for _ in range(50):
        few.run(pool, {"caller": 0})
    places = {call.pointers[0] - few.memory("thread").ctypes.data for call in recorder.calls}
    assert places <= {0, 128}


def test_where_no_thread_can_be_started_the_caller_does_all(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    recorder = Recorder()
    prepared(recorder, 10, 4).run(pool, {"caller": 0})
    assert samples_passed(recorder) == sorted([*range(10), *range(10)])


def test_a_program_that_finds_the_workers_taken_runs_on_its_caller_alone(pool: Pool) -> None:
    recorder = Recorder()
    instance = prepared(recorder, 10, 3)
    with pool._busy:
        instance.run(pool, {"caller": 0})
    assert samples_passed(recorder) == sorted([*range(10), *range(10)])
    assert {call.pointers[0] for call in recorder.calls} == {instance.memory("thread").ctypes.data}


def test_many_callers_at_once_get_what_they_asked_for(pool: Pool) -> None:
    def work() -> None:
        recorder = Recorder()
        instance = prepared(recorder, 30, 3)
        for _ in range(10):
            recorder.calls.clear()
            instance.run(pool, {"caller": 0})
            results.append(samples_passed(recorder) == sorted([*range(30), *range(30)]))

    results: list[bool] = []
    callers = [threading.Thread(target=work) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert results == [True] * 40


def wait_for_flag(f: Function) -> None:
    """Emit a kernel that sets its int64 to 1, waits until it has another value, and adds 1."""
    flag = f.load(f.arguments[0], POINTER)
    waited = f.emit(POINTER, "alloca i64")
    f.store(f.value(0), waited)
    f.fetch_add(flag, 1)

    def again() -> Value:
        count = f.value(f.add(f.load(waited, I64), 1))
        f.store(count, waited)
        waiting = f.compare("eq", f.load_acquire(flag), 1)
        # Where nobody can change the flag, the test fails after some seconds.
        return f.integer("and", waiting, f.compare("slt", count, 2**32))

    f.repeat(again)
    f.fetch_add(flag, 1)


def test_other_python_threads_go_on_while_a_program_runs(pool: Pool) -> None:
    flag = np.zeros(1, np.int64)
    kernel = compiled([POINTER], VOID, wait_for_flag)
    address = ctypes.cast(kernel, ctypes.c_void_p).value or 0
    call = KernelCall("wait", address, (Argument("caller"),))
    instance = Instance(Plan((Segment((call,), 1),), BUFFERS, Chunking(None)), threads=1)
    instance.prepare(1)
    runner = threading.Thread(target=instance.run, args=(pool, {"caller": flag.ctypes.data}))
    runner.start()
    while flag[0] == 0:
        pass
    flag[0] = 10
    runner.join()
    assert flag[0] == 11


FORKING = """
import os, sys, warnings
import numpy as np
from convoi import ops
from convoi.compiler import InferenceProgram
from convoi.graph import Builder

warnings.simplefilter("ignore", DeprecationWarning)  # forking a process with threads
build = Builder.for_network((3,))
graph = build.finish(build.layer("0", ops.Dense(2), "input"))
program = InferenceProgram(graph, threads=3)
program.load({"0.weight": np.ones((2, 3)), "0.bias": np.zeros(2)})
X = np.arange(600.0).reshape(200, 3)
before = program(X)
pool = program._pool
pool._busy.acquire()  # as if another thread ran a program: the child must not wait for it
child = os.fork()
if child == 0:
    build = Builder.for_network((3,))
    other = build.finish(build.layer("0", ops.Dense(7), "input"))
    fresh = InferenceProgram(other, threads=2)  # compiles in the child
    fresh.load({"0.weight": np.ones((7, 3)), "0.bias": np.zeros(7)})
    same = np.array_equal(program(X), before) and np.array_equal(fresh(X)[:, :2], before)
    alive = [worker.is_alive() for worker in pool._workers]
    sys.exit(0 if same and alive == [True, True] else 1)
_, status = os.waitpid(child, 0)
pool._busy.release()
assert os.waitstatus_to_exitcode(status) == 0, status
assert np.array_equal(program(X), before)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_runs_programs_and_exits() -> None:
    subprocess.run([sys.executable, "-c", FORKING], check=True, timeout=120)
