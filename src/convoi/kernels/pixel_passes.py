"""The passes of a transform whose elements are whole vectors.

A length is a product of radices. Forward, a pass of radix r on a part of n elements takes those
``m = n / r`` apart, and turns the q-th of what comes out:

    y[q m + k] = exp(-2 pi i q k / n) sum over p of  exp(-2 pi i p q / r) x[p m + k]

which leaves r parts of m elements for the next pass. Backward, the passes are undone one by one
from the last to the first, but for the division by r. So one direction begins with the order of
frequencies in which the other one ends. C. Van Loan, *Computational Frameworks for the Fast
Fourier Transform*, 1992, chapters 1.9 and 2.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

from convoi.codegen.types import I64, POINTER, Value, Vector, constant
from convoi.kernels.pixel_tables import PASS

if TYPE_CHECKING:
    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index

Complex: TypeAlias = tuple[Value, Value]
"""Vectors of real and of imaginary parts."""
RADICES = (4, 3, 2)


def multiplied(f: Function, z: Complex, w: Complex, *, conjugate: bool = False) -> Complex:
    """Return z w, or z times the conjugate of w."""
    cross = [f.fmul(z[1], w[1]), f.fmul(z[0], w[1])]
    minus = 1 if conjugate else 0
    cross[minus] = f.emit(z[0].type, f"fneg {z[0].type} {cross[minus].text}")
    return f.fma(z[0], w[0], cross[0]), f.fma(z[1], w[0], cross[1])


def run_passes(
    f: Function,
    source: tuple[Value, Value, Value],
    target: tuple[Value, Value, Value],
    passes: Value,
    vector: Vector,
    *,
    backward: bool,
) -> None:
    """Transform vectors that lie a pitch apart.

    Source and target are the addresses of real and imaginary parts, and the pitch in elements;
    they may be the same memory. `passes` is the address of a record for each pass, after a word
    with their number.
    """
    count = f.load(passes, I64)

    def one(number: Index, carried: list[Value]) -> list[Value]:
        number = f.sub(f.sub(count, 1), number) if backward else number
        record = f.at(passes, f.add(f.mul(number, PASS.words), 1), I64)

        def word(at: int) -> Value:
            return f.load(f.at(record, at, I64), I64)

        radix, part, parts = word(PASS.radix), word(PASS.part), word(PASS.parts)
        turns = f.load(f.at(record, PASS.turns, I64), POINTER)
        for size in RADICES:
            with f.when(f.compare("eq", radix, size)):
                emitter = _Pass(f, carried, target, vector, size, backward=backward)
                emitter.loops(part, parts, turns)
        return list(target)

    # After the first pass everything is in the target.
    f.loop(count, one, source)


class _Pass:
    """One pass of a known radix."""

    def __init__(
        self,
        f: Function,
        source: list[Value],
        target: tuple[Value, Value, Value],
        vector: Vector,
        radix: int,
        *,
        backward: bool,
    ) -> None:
        self.f, self.vector, self.radix, self.backward = f, vector, radix, backward
        self.source, self.target = source, target

    def loops(self, part: Value, parts: Value, turns: Value) -> None:
        """Do all butterflies; those of elements that are turned alike share the turns."""
        f, radix = self.f, self.radix
        plain = f.compare("eq", part, 1)
        whole = f.value(f.mul(part, radix))

        def alone(b: Index, _: list[Value]) -> None:
            self._butterfly(f.mul(b, whole), part, [])

        def position(k: Index, _: list[Value]) -> None:
            entry = f.at(turns, f.mul(k, 2 * (radix - 1)), self.vector.element)
            loaded = [
                f.broadcast(f.at(entry, n, self.vector.element), self.vector)
                for n in range(2 * (radix - 1))
            ]
            pairs = list(zip(loaded[::2], loaded[1::2], strict=True))
            f.loop(parts, lambda b, _: self._butterfly(f.add(f.mul(b, whole), k), part, pairs))

        with f.when(plain):
            f.loop(parts, alone)
        with f.when(f.compare("ne", part, 1)):
            f.loop(part, position)

    def _butterfly(self, first: Index, part: Value, turns: list[Complex]) -> None:
        f, element = self.f, self.vector.element
        places = [f.add(first, f.mul(part, q)) for q in range(self.radix)]
        re, im, pitch = self.source
        offsets = [f.mul(place, pitch) for place in places]
        values = [
            (
                f.load(f.at(re, offset, element), self.vector),
                f.load(f.at(im, offset, element), self.vector),
            )
            for offset in offsets
        ]
        if self.backward:
            for q, turn in enumerate(turns, 1):
                values[q] = multiplied(f, values[q], turn, conjugate=True)
        values = self._sums(values)
        if not self.backward:
            for q, turn in enumerate(turns, 1):
                values[q] = multiplied(f, values[q], turn)
        re, im, pitch = self.target
        offsets = [f.mul(place, pitch) for place in places]
        for offset, value in zip(offsets, values, strict=True):
            f.store(value[0], f.at(re, offset, element))
            f.store(value[1], f.at(im, offset, element))

    # Transforms of so many elements -----------------------------------------------------------

    def _sums(self, x: list[Complex]) -> list[Complex]:
        return {2: self._two, 3: self._three, 4: self._four}[self.radix](x)

    def _add(self, a: Complex, b: Complex) -> Complex:
        return self.f.fadd(a[0], b[0]), self.f.fadd(a[1], b[1])

    def _sub(self, a: Complex, b: Complex) -> Complex:
        return self.f.fsub(a[0], b[0]), self.f.fsub(a[1], b[1])

    def _plus_minus_i(self, a: Complex, b: Complex) -> tuple[Complex, Complex]:
        """Return a - i b and a + i b, exchanged when going backward."""
        f = self.f
        minus = (f.fadd(a[0], b[1]), f.fsub(a[1], b[0]))
        plus = (f.fsub(a[0], b[1]), f.fadd(a[1], b[0]))
        return (plus, minus) if self.backward else (minus, plus)

    def _two(self, x: list[Complex]) -> list[Complex]:
        return [self._add(x[0], x[1]), self._sub(x[0], x[1])]

    def _three(self, x: list[Complex]) -> list[Complex]:
        f = self.f
        half, root = (constant(self.vector, n) for n in (-0.5, math.sqrt(0.75)))
        total, difference = self._add(x[1], x[2]), self._sub(x[1], x[2])
        middle = (f.fma(total[0], half, x[0][0]), f.fma(total[1], half, x[0][1]))
        turned = (f.fmul(difference[0], root), f.fmul(difference[1], root))
        return [self._add(x[0], total), *self._plus_minus_i(middle, turned)]

    def _four(self, x: list[Complex]) -> list[Complex]:
        even, odd = self._add(x[0], x[2]), self._add(x[1], x[3])
        second, fourth = self._plus_minus_i(self._sub(x[0], x[2]), self._sub(x[1], x[3]))
        return [self._add(even, odd), second, self._sub(even, odd), fourth]
