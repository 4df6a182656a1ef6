"""Calling one kernel on arrays, and the kernel that shows how fast a core can multiply and add."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from convoi.codegen.types import constant
from convoi.errors import CompilationError
from convoi.kernels.base import CallArguments, Kernel, kernel_address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convoi.codegen.builder import Function
    from convoi.codegen.target import Target
    from convoi.codegen.types import Value, Vector


class NativeCall:
    """A kernel with the arrays that it works on."""

    def __init__(
        self, kernel: Kernel, arrays: Sequence[NDArray[Any]], count: int, target: Target
    ) -> None:
        if len(arrays) != kernel.pointer_count():
            message = f"{kernel} takes {kernel.pointer_count()} arrays, got {len(arrays)}."
            raise CompilationError(message)
        integer = ctypes.c_int64
        signature = ctypes.CFUNCTYPE(None, ctypes.c_void_p, integer, integer, integer)
        self._address = kernel_address(kernel, target)  # held, or the kernel may be unloaded
        self._function = signature(self._address)
        self._arrays = arrays
        self._pointers = (ctypes.c_void_p * len(arrays))(*(a.ctypes.data for a in arrays))
        self._table = ctypes.addressof(self._pointers)
        self.count = count

    def __call__(self) -> None:
        """Run the kernel once."""
        self._function(self._table, 0, self.count, 1)


@dataclass(frozen=True)
class IndependentProducts(Kernel):
    """Multiply-adds that wait for nothing but themselves, ``count`` times; loads nothing.

        acc[i] += a * b        for each accumulator i

    As many accumulators as the longest pipeline needs: two units with a latency of five cycles.
    What it reaches is the most that any kernel of multiply-adds can.
    """

    vector: Vector
    accumulators: int = 12
    unrolled: int = 8
    """Products of each accumulator per turn of the loop."""

    arguments: ClassVar[tuple[str, ...]] = ("factors", "sums")

    @property
    def products(self) -> int:
        """Multiply-adds of elements per count."""
        return self.accumulators * self.unrolled * self.vector.lanes

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loop, and the store that lets no product be left out."""
        factors, out = pointers
        element, lanes = self.vector.element, self.vector.lanes
        a, b = (f.load(f.at(factors, i * lanes, element), self.vector) for i in range(2))

        def turn(_: object, sums: list[Value]) -> list[Value]:
            for _ in range(self.unrolled):
                sums = [f.fma(a, b, total) for total in sums]
            return sums

        zeros = [constant(self.vector, 0.0)] * self.accumulators
        for i, total in enumerate(f.loop(call.count, turn, zeros)):
            f.store(total, f.at(out, i * lanes, element))
