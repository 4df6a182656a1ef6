"""Running a pixel-lane kernel over its tasks, on this thread or with the workers."""

from __future__ import annotations

import ctypes
import functools
import math
import os
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convoi.config import overridden
from convoi.kernels.workers import worker_pool
from convoi.runtime.buffers import address_of, aligned_zeros
from convoi.runtime.plan import Argument, Buffer, Chunking, KernelCall, Plan, Segment, Space
from convoi.runtime.program import Instance
from convoi.runtime.threads import default_threads

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from convoi.codegen.target import Target
    from convoi.runtime.linker import Address

_KERNEL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
_POINTERS = ctypes.c_void_p * 2


@dataclass(frozen=True)
class NativeKernel:
    """A kernel that can be called."""

    address: Address
    function: Callable[[object, int, int, int], None]


@functools.lru_cache(maxsize=256)
def native_kernel(address: Address) -> NativeKernel:
    """Return the kernel at an address."""
    return NativeKernel(address, _KERNEL(address))


CONVOYS_PER_THREAD = 16
"""So many portions of the tasks per thread: enough for the last ones to end together."""
MOST_INSTANCES = 8
"""Programs that are kept with their scratch memory."""
SMALLEST_SCRATCH = 2**16
MOST_KEPT = 2**24
"""Bytes of scratch memory that are kept for the next call; more is given back."""


THREADS_HOLD = 1.0
"""Seconds for which the number of processors that the process may use is taken to hold: asking
for it takes a tenth of a millisecond."""


class _Usable:
    """How many threads the process may use, asked for now and then."""

    until = -math.inf
    threads = 1

    @classmethod
    def forget(cls) -> None:
        """Ask again: a child process may be one of many that share the processors."""
        cls.until = -math.inf


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_Usable.forget)


def usable_threads() -> int:
    """Return how many threads a call may use that does not say."""
    if overridden():
        return default_threads()
    now = time.monotonic()
    if now > _Usable.until:
        _Usable.threads = default_threads()
        _Usable.until = now + THREADS_HOLD
    return _Usable.threads


class _Scratch(threading.local):
    """The scratch memory of a thread that calls kernels itself."""

    def __init__(self) -> None:
        self.memory = aligned_zeros(0, "uint8")
        self.start = 0

    def address(self, size: int) -> int:
        if self.memory.size < size:
            self.memory = aligned_zeros(size, "uint8")
            self.start = int(self.memory.ctypes.data)
        return self.start


SCRATCH = _Scratch()
"""Of each thread."""


@dataclass(frozen=True)
class _ProgramKey:
    address: Address
    scratch: int
    convoy: int
    threads: int


class _Programs:
    """Programs that are free to be used, the most recently used last."""

    def __init__(self) -> None:
        self._free: OrderedDict[_ProgramKey, Instance] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: _ProgramKey) -> Instance:
        with self._lock:
            instance = self._free.pop(key, None)
        return instance or Instance(_plan(key), key.threads)

    def give(self, key: _ProgramKey, instance: Instance) -> None:
        with self._lock:
            self._free[key] = instance
            while len(self._free) > MOST_INSTANCES:
                self._free.popitem(last=False)


_PROGRAMS = _Programs()


def _plan(key: _ProgramKey) -> Plan:
    call = KernelCall("correlate", key.address, (Argument("grid"), Argument("scratch")))
    buffers = (Buffer("grid", Space.EXTERNAL, 0), Buffer("scratch", Space.THREAD, key.scratch))
    return Plan((Segment((call,), key.convoy),), buffers, Chunking(most=None))


def run_tasks(
    kernel: NativeKernel,
    grid: NDArray[np.int64],
    tasks: int,
    *,
    scratch: int,
    threads: int,
    target: Target,
) -> None:
    """Let a kernel do all tasks of a grid.

    Parameters
    ----------
    kernel : NativeKernel
        What does the tasks.
    grid : array of int64
        The record of :mod:`convoi.kernels.pixel_tables`.
    tasks : int
        How many there are.
    scratch : int
        Bytes of memory that each thread needs.
    threads : int
        The most threads to use.
    target : Target
        Whose workers help.
    """
    if threads == 1 or tasks == 1:
        large = aligned_zeros(scratch, "uint8") if scratch > MOST_KEPT else None
        address = SCRATCH.address(scratch) if large is None else large.ctypes.data
        kernel.function(_POINTERS(address_of(grid), address), 0, tasks, 1)
        return
    size = SMALLEST_SCRATCH
    while size < scratch:
        size *= 2
    convoy = 1
    while tasks > convoy * threads * CONVOYS_PER_THREAD:
        convoy *= 2
    key = _ProgramKey(kernel.address, size, convoy, threads)
    instance = _PROGRAMS.take(key)
    try:
        instance.prepare(tasks)
        instance.run(worker_pool(target), {"grid": address_of(grid)})
    finally:
        if size * threads <= MOST_KEPT:
            _PROGRAMS.give(key, instance)
