"""Kernels written in Python, which record how programs call them."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field

from convoi.codegen.target import current_target
from convoi.kernels.base import native_loops
from convoi.runtime.plan import Argument, Buffer, KernelCall, Space
from convoi.runtime.threads import Pool

SIGNATURE = ctypes.CFUNCTYPE(None, ctypes.POINTER(ctypes.c_void_p), *[ctypes.c_int64] * 5)


@dataclass(frozen=True)
class Call:
    """One call, as the kernel saw it."""

    kernel: str
    pointers: tuple[int, ...]
    first: int
    count: int
    fresh: int
    begin: int
    end: int

    @property
    def samples(self) -> range:
        return range(self.first, self.first + self.count)

    @property
    def units(self) -> range:
        return range(self.begin, self.end)


@dataclass
class Recorder:
    """Makes kernel calls, and collects what became of them in the order of time."""

    calls: list[Call] = field(default_factory=list)
    _alive: list[object] = field(default_factory=list)

    def kernel(
        self, name: str, *arguments: Argument, units: int = 1, shares: int | None = None
    ) -> KernelCall:
        def run(pointers, *numbers: int) -> None:
            found = tuple(pointers[i] or 0 for i in range(len(arguments)))
            self.calls.append(Call(name, found, *numbers))

        function = SIGNATURE(run)
        self._alive.append(function)
        address = ctypes.cast(function, ctypes.c_void_p).value or 0
        shares = units if shares is None else shares
        return KernelCall(name, address, arguments, units=units, shares=shares)

    def of(self, name: str) -> list[Call]:
        return [call for call in self.calls if call.kernel == name]


CHUNK = Argument("chunk")
"""Leads to the memory of the chunk, which tells chunks apart."""
BUFFERS = (
    Buffer("fixed", Space.FIXED, 24),
    Buffer("batch", Space.BATCH, 256),
    Buffer("thread", Space.THREAD, 100),
    Buffer("chunk", Space.CHUNK, 8),
    Buffer("caller", Space.EXTERNAL, 0),
)


def new_pool() -> Pool:
    """Return a pool of its own; the test closes it."""
    return Pool(native_loops(current_target()))
