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

from convoi.checks import check_integer
from convoi.config import settings
from convoi.runtime.buffers import address_of, aligned_zeros
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
    prepare: int
    execute: int
    work: int
    serve: int
    wake: int


@dataclass
class Pool:
    """Threads that wait in native code, awake and then asleep, for programs to help with.

    One program at a time has the workers; a program that finds them taken runs on its caller's
    thread alone. Calls release the interpreter's lock, and workers never ask for it before they
    end. After a fork the child begins with no workers.
    """

    loops: NativeLoops
    _workers: list[threading.Thread] = field(default_factory=list)
    _busy: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        integer, pointer = ctypes.c_int64, ctypes.c_void_p
        self._run = ctypes.CFUNCTYPE(None, pointer, integer)(self.loops.run)
        self._prepare = ctypes.CFUNCTYPE(None, pointer)(self.loops.prepare)
        self._execute = ctypes.CFUNCTYPE(None, pointer, pointer)(self.loops.execute)
        self._work = ctypes.CFUNCTYPE(None, pointer, integer, integer)(self.loops.work)
        self._serve = ctypes.CFUNCTYPE(None, pointer, integer, integer)(self.loops.serve)
        self._wake = ctypes.CFUNCTYPE(None, pointer)(self.loops.wake)
        self._begin()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._begin)
        atexit.register(self.close)

    def _begin(self) -> None:
        """Begin with no workers, and a gate that nobody knows."""
        self._workers = []
        self._busy = threading.Lock()
        self._gate = aligned_zeros(GATE.words, "int64")
        self._gate_address = address_of(self._gate)
        self._gate_words = self._gate.data
        self._prepare(self._gate_address)

    def execute(self, program: int, threads: int) -> None:
        """Run the program whose table lies at an address, on at most so many threads."""
        if threads == 1 or not self._busy.acquire(blocking=False):
            self._run(program, 0)
            return
        try:
            if len(self._workers) < threads - 1:
                self._start(threads - 1)
            self._gate_words[GATE.threads] = threads
            self._execute(self._gate_address, program)
        finally:
            self._busy.release()

    def _start(self, workers: int) -> None:
        """Have so many workers. Where no more can be started, programs do with fewer."""
        while len(self._workers) < workers:
            number = len(self._workers) + 1
            arguments = (self._gate_address, number, IDLE_SPINS)
            name = f"convoi-{number}"
            thread = threading.Thread(target=self._serve, args=arguments, name=name, daemon=True)
            # Listed first: an interrupt must not leave a worker behind whose number is free.
            self._workers.append(thread)
            try:
                thread.start()
            except RuntimeError:
                self._workers.pop()
                return

    def close(self) -> None:
        """Let all workers end; the next program starts new ones."""
        with self._busy:
            self._gate[GATE.stop] = 1
            self._wake(self._gate_address)
            for worker in self._workers:
                if worker.ident is not None:
                    worker.join()
            self._begin()
