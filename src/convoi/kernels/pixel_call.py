"""The entries of a pixel-lane correlation that Python calls: arrays in, taps sorted, tasks done.

A call of NumPy code costs about a microsecond for each address and each small array that is made
on the way. So the entries take the array objects themselves, find their data, and put the taps
in the order of use. One does all tasks on this thread, the other only prepares them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convoi.codegen.builder import Module
from convoi.codegen.types import I8, I64, POINTER, Scalar, Value, Vector
from convoi.kernels.base import CallArguments, load_functions
from convoi.kernels.pixel_pack import ELEMENTS
from convoi.kernels.pixel_tables import GRID
from convoi.runtime.native_function import INTERPRETER

if TYPE_CHECKING:
    from convoi.codegen.builder import Function
    from convoi.codegen.target import Target
    from convoi.codegen.types import Index
    from convoi.kernels.pixel_correlate import PixelCorrelate
    from convoi.runtime.linker import Address

_COPIED = Vector(I64, 8)


@dataclass(frozen=True)
class PixelCall:
    """Functions that Python calls with array objects.

    ``call(x, kernel, y, scratch)``, in the interpreter's calling convention, computes y and
    returns it, or returns None where an array's data is not aligned to its elements. It is bound
    to an array of words: the grid's record, complete but for the addresses of the input, the
    weights and the output, and then what :data:`INTERPRETER` lists. The scratch memory is an
    address, or 0 for memory on the stack.

    ``prepare(given, grid, weights, x, kernel, y)`` writes the complete record, and the weights;
    all but the first, the address of the given record, are addresses of array objects.
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
        call = module.function(symbol, [POINTER, POINTER, I64], POINTER, exported=True)
        self._emit_call(call, body.name)
        prepare = module.function(f"{symbol}_prepare", [POINTER] * 6, exported=True)
        given, grid, weights, *arrays = prepare.arguments
        x, kernel, y = (self._data(prepare, array) for array in arrays)
        grid, weights = self._data(prepare, grid), self._data(prepare, weights)
        self._emit_record(prepare, given, (grid, weights), (x, kernel, y))
        prepare.ret()
        return module

    def _data(self, f: Function, array: Value) -> Value:
        return f.load(f.at(array, self.data_offset, I8), POINTER)

    def _emit_call(self, f: Function, body: str) -> None:
        bound, arguments, _ = f.arguments
        given = self._data(f, bound)
        objects = [f.load(f.at(arguments, i, POINTER), POINTER) for i in range(4)]

        def word(number: int, type_: Scalar = I64) -> Value:
            return f.load(f.at(given, number, I64), type_)

        def function(number: int) -> str:
            return word(GRID.words + number, POINTER).text

        x, kernel, y = (self._data(f, array) for array in objects[:3])
        element = ELEMENTS[self.correlate.element].size
        source = ELEMENTS[self.correlate.source].size
        odd = [
            f.integer("and", f.convert("ptrtoint", pointer, I64), size - 1)
            for pointer, size in ((x, source), (kernel, element))
        ]
        result = f.emit(POINTER, "alloca ptr")
        f.store(word(GRID.words + INTERPRETER.none, POINTER), result)
        grid = f.emit(POINTER, f"alloca [{GRID.words} x i64], align 64")
        with f.when(f.compare("eq", f.integer("or", *odd), 0)):
            address = function(INTERPRETER.address)
            scratch = f.emit(POINTER, f"call ptr {address}(ptr {objects[3].text})")
            nowhere = f.compare("eq", f.convert("ptrtoint", scratch, I64), 0)
            size = f.select(nowhere, word(GRID.stack), f.value(0))
            stack = f.emit(POINTER, f"alloca i8, i64 {size.text}, align 64")
            scratch = f.select(nowhere, stack, scratch)
            lets_go = f.compare("ne", word(GRID.lets_go), 0)
            state = f.emit(POINTER, "alloca ptr")
            with f.when(lets_go):
                f.store(f.emit(POINTER, f"call ptr {function(INTERPRETER.release)}()"), state)
            weights = f.at(scratch, word(GRID.weights_at), I8)
            self._emit_record(f, given, (grid, weights), (x, kernel, y))
            listed = f"ptr {grid.text}, ptr {scratch.text}, i64 0, i64 {word(GRID.tasks).text}"
            f.emit_void(f"call void @{body}({listed}, i64 1)")
            with f.when(lets_go):
                held = f.load(state, POINTER)
                f.emit_void(f"call void {function(INTERPRETER.take)}(ptr {held.text})")
            f.store(objects[2], result)
        returned = f.load(result, POINTER)
        f.emit_void(f"call void {function(INTERPRETER.reference)}(ptr {returned.text})")
        f.ret(returned)

    def _emit_record(
        self,
        f: Function,
        given: Value,
        made: tuple[Value, Value],
        data: tuple[Value, Value, Value],
    ) -> None:
        """Write the complete record, and the taps in the order of use."""
        grid, weights = made
        x, taps, y = data
        element = ELEMENTS[self.correlate.element]

        def copy(word: Index, _: list[Value]) -> None:
            f.store(f.load(f.at(given, word, I64), _COPIED), f.at(grid, word, I64))

        f.loop(GRID.words, copy, step=_COPIED.lanes)
        order = f.load(f.at(given, GRID.order, I64), POINTER)

        def tap(number: Index, _: list[Value]) -> None:
            place = f.load(f.at(order, number, I64), I64)
            f.store(f.load(f.at(taps, place, element), element), f.at(weights, number, element))

        f.loop(f.load(f.at(given, GRID.weight_count, I64), I64), tap)
        f.store(x, f.at(grid, GRID.source, I64))
        f.store(weights, f.at(grid, GRID.weights, I64))
        f.store(y, f.at(grid, GRID.output, I64))


def call_addresses(call: PixelCall, target: Target) -> tuple[Address, ...]:
    """Return the addresses of both functions, loaded as long as they are held."""
    symbol = "c" + hashlib.sha256(f"{call!r} {target!r}".encode()).hexdigest()[:40]
    symbols = (symbol, f"{symbol}_prepare")
    return load_functions(f"{call!r}", symbols, lambda: call.module(symbol), target)
