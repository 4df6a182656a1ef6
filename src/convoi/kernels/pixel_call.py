"""The entry of a pixel-lane correlation that Python calls: arrays in, taps sorted, all tasks done.

A call of NumPy code costs about a microsecond for each address and each small array that is made
on the way. So the entry takes the array objects themselves, finds their data, and puts the taps
in the order of use, all in one native call on this thread.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convoi.codegen.builder import Module
from convoi.codegen.types import I8, I64, POINTER, Scalar, Value
from convoi.kernels.base import CallArguments, load_functions
from convoi.kernels.pixel_pack import ELEMENTS
from convoi.kernels.pixel_tables import GRID

if TYPE_CHECKING:
    from convoi.codegen.builder import Function
    from convoi.codegen.target import Target
    from convoi.codegen.types import Index
    from convoi.kernels.pixel_correlate import PixelCorrelate
    from convoi.runtime.linker import Address


@dataclass(frozen=True)
class PixelCall:
    """A function ``call(grid, scratch, x, kernel, y)``: the last three are array objects.

    The grid's record is complete but for the addresses of the input, the weights and the output.
    Weights are written behind the scratch memory of the tasks.
    """

    correlate: PixelCorrelate
    data_offset: int
    """Bytes from the beginning of an array object to the address of its data."""

    def module(self, symbol: str) -> Module:
        """Return the code."""
        module = Module()
        body = module.function(f"{symbol}_body", [POINTER, POINTER, *[I64] * 3], noalias=True)
        self.correlate.emit(body, body.arguments[:2], CallArguments(*body.arguments[2:]))
        body.ret()
        entry = module.function(symbol, [POINTER] * 5, exported=True)
        self._emit_entry(entry, body.name)
        return module

    def _emit_entry(self, f: Function, body: str) -> None:
        given, scratch, x, kernel, y = f.arguments
        element = ELEMENTS[self.correlate.element]
        grid = f.emit(POINTER, f"alloca [{GRID.words} x i64], align 64")

        def copy(word: Index, _: list[Value]) -> None:
            f.store(f.load(f.at(given, word, I64), I64), f.at(grid, word, I64))

        f.loop(GRID.words, copy)

        def word(number: int, type_: Scalar = I64) -> Value:
            return f.load(f.at(given, number, I64), type_)

        def data(array: Value) -> Value:
            return f.load(f.at(array, self.data_offset, I8), POINTER)

        weights = f.at(scratch, word(GRID.weights_at), I8)
        taps, order = data(kernel), word(GRID.order, POINTER)

        def tap(number: Index, _: list[Value]) -> None:
            place = f.load(f.at(order, number, I64), I64)
            f.store(f.load(f.at(taps, place, element), element), f.at(weights, number, element))

        f.loop(word(GRID.weight_count), tap)
        f.store(data(x), f.at(grid, GRID.source, I64))
        f.store(weights, f.at(grid, GRID.weights, I64))
        f.store(data(y), f.at(grid, GRID.output, I64))
        arguments = f"ptr {grid.text}, ptr {scratch.text}, i64 0, i64 {word(GRID.tasks).text}"
        f.emit_void(f"call void @{body}({arguments}, i64 1)")
        f.ret()


def call_address(call: PixelCall, target: Target) -> Address:
    """Return the address of the function, loaded as long as it is held."""
    symbol = "c" + hashlib.sha256(f"{call!r} {target!r}".encode()).hexdigest()[:40]
    return load_functions(f"{call!r}", (symbol,), lambda: call.module(symbol), target)[0]
