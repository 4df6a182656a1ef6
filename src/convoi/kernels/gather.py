"""Copying elements in another order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from convoi.codegen.types import FLOATS, I32, I64, Vector
from convoi.kernels.base import CallArguments, Kernel
from convoi.kernels.transpose import transpose

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index, Value

GRANULE_BYTES = 64
"""Bytes of the output that count as one sample."""


@dataclass(frozen=True)
class Gather(Kernel):
    """``output[granule, i] = source[index[i]]``, and the granule of each ``index`` is told, too.

    The samples are records of int32: the number of a granule, 64 bytes of the output, and where in
    the source each of its elements comes from. Weights are packed anew for backward passes in this
    way; an index that leads to an element which is always zero fills lanes without a weight.

    Elements are moved one by one: on a Zen 4, the gather instruction of AVX-512 takes 1.0 to 1.6
    times as long, that of AVX2 0.8 to 1.0 times, and the latency of the cache rules for both.
    """

    arguments: ClassVar[tuple[str, ...]] = ("source", "records", "output")

    dtype: str

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loop over granules."""
        source, records, output = pointers
        element = FLOATS[self.dtype]
        count = GRANULE_BYTES // element.size

        def granule(number: Index, _: list[Value]) -> None:
            record = f.at(records, f.mul(number, 1 + count), I32)
            to, *places = (
                f.convert("zext", f.load(f.at(record, i, I32), I32), I64) for i in range(1 + count)
            )
            values = [f.load(f.at(source, place, element), element) for place in places]
            first = f.mul(to, count)
            for i, value in enumerate(values):
                f.store(value, f.at(output, f.add(first, i), element))

        f.loop(call.count, granule)


BLOCK_WORDS = 4


@dataclass(frozen=True)
class TransposeBlocks(Kernel):
    """``output[output_j + i] = source[source_i + j]`` for square blocks of elements.

    The samples are blocks, records of int32: where a block of the source begins, how far its rows
    are apart, and the same for the output. Blocks are transposed in registers.
    """

    arguments: ClassVar[tuple[str, ...]] = ("source", "blocks", "output")

    dtype: str
    lanes: int
    streaming: bool = False
    """Whether the output is written past the caches, which would not hold it."""

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loop over blocks."""
        source, blocks, output = pointers
        element = FLOATS[self.dtype]
        vector = Vector(element, self.lanes)

        def block(number: Index, _: list[Value]) -> None:
            record = f.at(blocks, f.mul(number, BLOCK_WORDS), I32)
            start, step, to, to_step = (
                f.convert("zext", f.load(f.at(record, i, I32), I32), I64)
                for i in range(BLOCK_WORDS)
            )
            rows = [
                f.load(f.at(source, f.add(start, f.mul(step, i)), element), vector)
                for i in range(self.lanes)
            ]
            for i, column in enumerate(transpose(f, rows, vector)):
                at = f.at(output, f.add(to, f.mul(to_step, i)), element)
                f.store(column, at, align=vector.size, streaming=self.streaming)

        f.loop(call.count, block)
