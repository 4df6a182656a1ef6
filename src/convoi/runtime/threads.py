"""Worker threads: how many there may be, and the pool that lends them to programs."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import math
import multiprocessing
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from convoi.checks import check_integer
from convoi.config import settings
from convoi.runtime.tables import GATE

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")
IDLE_SPINS = 40_000
"""Pauses that a worker waits for the next program before it goes to sleep: about 1 ms, so the
workers stay awake between the steps of a training run and no longer."""


def default_threads() -> int:
    """Return how many threads a program uses unless told otherwise.

    ``CONVOI_THREADS`` if it is set; one inside a worker process of a parallel run (joblib,
    multiprocessing), whose parent already occupies the cores; else the cores that this process may
    use by its affinity and by the limit of its control group.
    """
    configured = settings().threads
    if configured is not None:
        return configured
    if _in_worker_process():
        return 1
    return max(1, math.ceil(min(_affinity(), _cgroup_limit())))


def resolve_threads(threads: int | None, owner: str) -> int:
    """Return a number of threads from what a user passed."""
    if threads is None:
        return default_threads()
    return check_integer(threads, "threads", owner, minimum=1)


def _in_worker_process() -> bool:
    process = multiprocessing.current_process()
    return (
        multiprocessing.parent_process() is not None
        or process.daemon
        or process.name.startswith("LokyProcess")
    )


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cgroup_limit() -> float:
    """Return the number of cores that the control groups grant, infinity without a limit.

    A group's limit holds for the groups inside it: in version 2, all from the process's own to
    the root are asked. References: cgroups(7); the kernel's "Control Group v2".
    """
    limits = [_quota(folder / "cpu.max") for folder in _own_groups()]
    version1 = _CGROUPS / "cpu"
    limits.append(_quota(version1 / "cpu.cfs_quota_us", version1 / "cpu.cfs_period_us"))
    return min(limits)


def _own_groups() -> list[Path]:
    """Return the folders of the process's control groups of version 2, the root last."""
    own = Path("/")
    with contextlib.suppress(OSError, ValueError):
        for line in _OWN_CGROUP.read_text().splitlines():
            number, _, path = line.split(":", 2)
            if number == "0" and ".." not in path:
                own = Path(path)
    return [_CGROUPS / group.relative_to("/") for group in (own, *own.parents)]


def _quota(*files: Path) -> float:
    """Return the cores that files with a time and its period grant, infinity without a limit."""
    with contextlib.suppress(OSError, ValueError):
        quota, period = (word for file in files for word in file.read_text().split())
        if quota != "max" and int(quota) > 0:
            return int(quota) / int(period)
    return math.inf


@dataclass(frozen=True)
class NativeLoops:
    """Addresses of the executor's functions."""

    run: int
    execute: int
    work: int


@dataclass
class _Worker:
    thread: threading.Thread
    wake: threading.Semaphore
    asleep: bool = False


@dataclass
class Pool:
    """Threads that wait, in native code and then asleep, for programs to help with.

    One program at a time has the workers; a program that finds them taken runs on its caller's
    thread alone. Calls release the GIL. After a fork the child begins with no workers.
    """

    loops: NativeLoops
    _workers: list[_Worker] = field(default_factory=list)
    _busy: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._gate = np.zeros(GATE.words, np.int64)
        self._gate_address = self._gate.ctypes.data
        integer, pointer = ctypes.c_int64, ctypes.c_void_p
        self._run = ctypes.CFUNCTYPE(None, pointer, integer)(self.loops.run)
        self._execute = ctypes.CFUNCTYPE(None, pointer, pointer)(self.loops.execute)
        self._work = ctypes.CFUNCTYPE(None, pointer, integer, integer)(self.loops.work)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget_workers)
        atexit.register(self.close)

    def execute(self, program: int, threads: int) -> None:
        """Run the program whose table lies at an address, on at most so many threads."""
        if threads == 1 or not self._busy.acquire(blocking=False):
            self._run(program, 0)
            return
        try:
            self._wake(threads - 1)
            self._gate[GATE.threads] = threads
            self._execute(self._gate_address, program)
        finally:
            self._busy.release()

    def _wake(self, workers: int) -> None:
        """Let workers take part. Where no more can be started, the program does with fewer."""
        with contextlib.suppress(RuntimeError):
            while len(self._workers) < workers:
                self._workers.append(self._start(len(self._workers) + 1))
        for worker in self._workers[:workers]:
            if worker.asleep:
                worker.asleep = False
                worker.wake.release()

    def _start(self, number: int) -> _Worker:
        wake = threading.Semaphore(0)
        thread = threading.Thread(
            target=self._serve, args=(number,), name=f"convoi-{number}", daemon=True
        )
        worker = _Worker(thread, wake)
        worker.thread.start()
        return worker

    def _serve(self, number: int) -> None:
        """Wait for programs: awake for a while, then asleep until woken."""
        gate = self._gate
        while not gate[GATE.stop]:
            self._work(self._gate_address, number, IDLE_SPINS)
            if number > len(self._workers):  # the list is appended to after the start
                continue
            worker = self._workers[number - 1]
            worker.asleep = True
            # While this thread waited for the interpreter's lock, a program may have begun whose
            # caller took it for awake.
            if gate[GATE.generation] % 2:
                worker.asleep = False
                continue
            # A program that starts right here goes without this worker, and is right all the same.
            worker.wake.acquire()

    def _forget_workers(self) -> None:
        self._workers = []
        self._busy = threading.Lock()
        self._gate = np.zeros(GATE.words, np.int64)
        self._gate_address = self._gate.ctypes.data

    def close(self) -> None:
        """Let all workers end; the next program starts new ones."""
        with self._busy:
            workers, gate = self._workers, self._gate
            gate[GATE.stop] = 1
            for worker in workers:
                worker.wake.release()
            for worker in workers:
                worker.thread.join()
            self._forget_workers()
