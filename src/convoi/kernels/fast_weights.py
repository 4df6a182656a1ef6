"""The transforms of weights, and the gradient of weights, of fast convolution.

    U[f][k, c] = G w[k, c] G^T                                   (FastWeights)
    dU[f][k, c] = sum over tiles t of (A dy A^T)[f][t, k] (B^T x B)[f][t, c]
                                                                 (FastWeightGradient)
    dw[k, c] = G^T (sum over chunks of dU[k, c]) G               (FastGradientFinish)

Products are summed over the batch in the transformed domain and transformed back once per step.
Weights lie as in :class:`~convoi.kernels.weights.WeightLayout`, U and dU as
``[f][block][input channel][output channel of the block]``.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from convoi.codegen.types import I64, Index, Value, constant
from convoi.kernels.base import CallArguments, Kernel
from convoi.kernels.fast_tiles import (
    Block,
    BlockWalk,
    Stream,
    prefetch_ahead,
    transform_tiles,
)
from convoi.kernels.forms import form_named
from convoi.kernels.layout import Layout
from convoi.kernels.tiling import Tiling, stacked, tile_stride
from convoi.runtime.buffers import ALIGNMENT, round_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from convoi.codegen.builder import Function
    from convoi.kernels.sharing import Bounds
    from convoi.kernels.transforms import Place
    from convoi.kernels.weight_gradient import GradientTile
    from convoi.kernels.weights import WeightLayout

SUMS_AT_ONCE = 12
"""Sums over chunks that grow side by side, in registers."""


def transformed_size(layout: WeightLayout, form: str, rank: int) -> int:
    """Return the elements of U or dU, rounded up to cache lines."""
    granule = ALIGNMENT // 4
    channels = stacked_taps(layout, form, rank) * layout.inputs
    size = form_named(form).size ** rank * sum(layout.blocks) * layout.lanes * channels
    return round_up(size, granule)


def stacked_taps(layout: WeightLayout, form: str, rank: int) -> int:
    """Return the taps that are not transformed: each is a set of input channels to U."""
    return int(layout.taps // form_named(form).taps ** rank)


@dataclass(frozen=True)
class _Weights(Kernel):
    """What the passes over weights share; their samples are input channels, tap by stacked tap."""

    weights: WeightLayout
    form: str
    rank: int
    dtype: str
    turned: bool
    """Whether taps are taken in reverse order."""

    @property
    def vectors(self) -> Layout:
        """The layout of a vector per output channel."""
        return Layout(self.weights.outputs, (), self.weights.lanes, self.dtype)

    def taps(self) -> Iterator[tuple[Place, int]]:
        """Iterate over the transformed taps and where each lies behind the first."""
        taps = form_named(self.form).taps
        last = taps**self.rank - 1
        for number, place in enumerate(itertools.product(range(taps), repeat=self.rank)):
            yield place, last - number if self.turned else number

    def places(self) -> list[Place]:
        """Return the transformed positions in their order."""
        return list(itertools.product(range(form_named(self.form).size), repeat=self.rank))

    def each_vector(
        self, f: Function, channel: Index, body: Callable[[Index, int, Index, int], None]
    ) -> None:
        """Run the body for every vector of output channels.

        It gets where tap 0 of the channel lies among the weights and the elements from tap to
        tap, and the same for transformed position 0 of U.
        """
        layout = self.weights
        stack = stacked_taps(layout, self.form, self.rank)
        total = sum(layout.blocks) * layout.lanes * layout.inputs * stack
        tap = f.quotient(channel, layout.inputs) if stack > 1 else 0
        row = f.sub(stack - 1, tap) if self.turned else tap
        # The weights of a tap are those of all input channels.
        among_weights = f.add(
            f.mul(row, layout.taps // stack * layout.inputs),
            f.sub(channel, f.mul(tap, layout.inputs)),
        )
        first = 0
        for size, group in itertools.groupby(layout.blocks):
            repeated = len(list(group))
            width = size * layout.lanes

            def one(b: Index, _: object, size: int = size, first: int = first) -> None:
                width = size * layout.lanes
                start = f.add(first * layout.inputs, f.mul(b, width * layout.inputs))
                weight = f.add(f.mul(start, layout.taps), f.mul(among_weights, width))
                to = f.add(f.mul(start, stack), f.mul(channel, width))

                def vector(v: Index, _: object) -> None:
                    lane = f.mul(v, layout.lanes)
                    body(f.add(weight, lane), width * layout.inputs, f.add(to, lane), total)

                f.loop(size, vector)

            f.loop(repeated, one)
            first += repeated * width


@dataclass(frozen=True)
class FastWeights(_Weights):
    """Transform weights. Pointers: weights, U."""

    arguments: ClassVar[tuple[str, ...]] = ("weights", "u")

    streaming: bool = False
    """Whether U is written past the caches; its vectors are aligned to their size then."""

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loop over input channels."""
        weights, u = pointers
        element, vector = self.vectors.element, self.vectors.vector
        transform = form_named(self.form).weight

        def one(weight: Index, tap_step: int, to: Index, position_step: int) -> None:
            source, target = f.at(weights, weight, element), f.at(u, to, element)
            values = {
                place: f.load(f.at(source, number * tap_step, element), vector)
                for place, number in self.taps()
            }
            for axis in range(self.rank):
                values = transform.along(f, values, axis)
            align = vector.size if self.streaming else None
            for number, place in enumerate(self.places()):
                to_place = f.at(target, number * position_step, element)
                f.store(values[place], to_place, align=align, streaming=self.streaming)

        f.loop(
            call.count,
            lambda c, _: self.each_vector(f, f.add(call.first, c), one),
        )


@dataclass(frozen=True)
class FastGradientFinish(_Weights):
    """Sum dU over the chunks in their order and transform back.

    Pointers: dU of the first chunk, the number of chunks (int64), dw.
    """

    arguments: ClassVar[tuple[str, ...]] = ("du", "chunks", "dw")

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loop over input channels."""
        du, chunks, dw = pointers
        element, vector = self.vectors.element, self.vectors.vector
        transform = form_named(self.form).weight.transposed
        number_of_chunks = f.load(chunks, I64)
        chunk_size = transformed_size(self.weights, self.form, self.rank)

        def one(weight: Index, tap_step: int, source: Index, position_step: int) -> None:
            first = f.at(du, source, element)

            def summed(numbers: Sequence[int]) -> list[Value]:
                def load(chunk: Index) -> list[Value]:
                    here = f.at(first, f.mul(chunk, chunk_size), element)
                    return [f.load(f.at(here, i * position_step, element), vector) for i in numbers]

                return f.loop(
                    number_of_chunks,
                    lambda chunk, totals: [
                        f.fadd(a, b) for a, b in zip(totals, load(chunk), strict=True)
                    ],
                    load(0),
                    start=1,
                )

            numbers = range(len(self.places()))
            groups = [numbers[i : i + SUMS_AT_ONCE] for i in numbers[::SUMS_AT_ONCE]]
            sums = [total for group in groups for total in summed(group)]
            values = dict(zip(self.places(), sums, strict=True))
            for axis in range(self.rank):
                values = transform.along(f, values, axis)
            target = f.at(dw, weight, element)
            for place, number in self.taps():
                f.store(values[place], f.at(target, number * tap_step, element))

        f.loop(
            call.count,
            lambda c, _: self.each_vector(f, f.add(call.first, c), one),
        )


@dataclass(frozen=True)
class FastWeightGradient(Kernel):
    """Sum dU over the samples of a chunk. Pointers: x, dy, scratch, dU.

    The scratch memory holds both transforms of a block, :attr:`scratch_elements` elements. Beyond
    its positions, dy has a halo as wide as the last tiles need.
    """

    arguments: ClassVar[tuple[str, ...]] = ("x", "dy", "scratch", "du")

    x: Layout
    dy: Layout
    weights: WeightLayout
    tiling: Tiling
    """Of the outputs: dy."""
    offset: tuple[int, ...]
    tile: GradientTile
    divided: bool = False
    """Whether threads may share the products; each transforms all tiles."""

    @property
    def units(self) -> int:
        """Transformed positions."""
        return self.tiling.positions if self.divided else 1

    @property
    def work(self) -> int:
        """Products of a sample."""
        tiling = self.tiling
        channels = tiling.stacked * self.x.channels
        tiles = tiling.grids * math.prod(tiling.tiles)
        return tiles * tiling.positions * channels * self.dy.stride

    @property
    def scratch_elements(self) -> int:
        """Elements of scratch memory."""
        return self.tiling.scratch(self._v) + self.tiling.scratch(self.dy)

    @property
    def _v(self) -> Layout:
        """How the channels of a transformed tile of x lie."""
        return stacked(self.x, self.tiling.stacked)

    @property
    def samples_at_once(self) -> int:
        """Those of a block."""
        return self.tiling.samples

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loop over blocks: transform both, multiply and sum."""
        x, dy, scratch, du = pointers
        walk = BlockWalk(f, self.tiling)
        form = form_named(self.tiling.form)
        none = (0,) * len(self.dy.spatial)

        def one(block: Block) -> None:
            shifts = self.tiling.shifts(self.x)
            transform_tiles(walk, block, x, self.x, self.offset, form.input, scratch, shifts)
            gradients = f.at(scratch, self.tiling.scratch(self._v), self.x.element)
            transform_tiles(walk, block, dy, self.dy, none, form.output.transposed, gradients)
            begins = f.compare("ne", call.fresh, 0)
            for index in (block.sample, block.row, block.column):
                if isinstance(index, Value):
                    begins = f.integer("and", begins, f.compare("eq", index, 0))
                elif index != 0:
                    begins = constant(begins.type, 0)
            streams = [Stream(x, self.x), Stream(dy, self.dy)]
            prefetch = prefetch_ahead(f, self.tiling, block, streams)
            positions = (call.begin, call.end) if self.divided else (0, self.tiling.positions)
            self._multiply(f, block, positions, (scratch, gradients, du), begins, prefetch)

        walk.blocks(call.count, one)

    def _multiply(  # noqa: PLR0917 - the operands of the products
        self,
        f: Function,
        block: Block,
        positions: Bounds,
        memory: tuple[Value, Value, Value],
        begins: Value,
        prefetch: Callable[[Index], None],
    ) -> None:
        """Emit dU[f] += V[f]^T D[f] for some transformed positions f."""
        v, d, du = memory
        element, lanes = self.dy.element, self.dy.lanes
        channels = self.weights.inputs * self.tiling.stacked
        total = sum(self.weights.blocks) * lanes * channels

        def one_position(number: Index, _: object) -> None:
            prefetch(number)
            v_here = f.at(v, f.mul(number, self.tiling.plane(self._v)), element)
            d_here = f.at(d, f.mul(number, self.tiling.plane(self.dy)), element)
            du_here = f.at(du, f.mul(number, total), element)
            first = 0
            for size, group in itertools.groupby(self.weights.blocks):
                repeated = len(list(group))
                width = size * lanes

                def one_block(
                    b: Index, _: object, size: int = size, first: int = first, width: int = width
                ) -> None:
                    start = f.add(first, f.mul(b, width))
                    for vector in range(0, size, self.tile.vectors):
                        vectors = min(self.tile.vectors, size - vector)
                        self._channel_tiles(
                            f,
                            (vectors, width, block.tiles),
                            v_here,
                            f.at(d_here, f.add(start, vector * lanes), element),
                            f.at(du_here, f.add(f.mul(start, channels), vector * lanes), element),
                            begins,
                        )

                f.loop(repeated, one_block)
                first += repeated * width

        f.loop(positions[1], one_position, start=positions[0])

    def _channel_tiles(  # noqa: PLR0917 - the operands of the products
        self,
        f: Function,
        shape: tuple[int, int, Index],
        v: Value,
        d: Value,
        du: Value,
        begins: Value,
    ) -> None:
        """Emit the loop over tiles of input channels, tap by stacked tap."""
        channels, step = self.weights.inputs, self.tile.channels
        whole = channels // step * step
        element, width = self.dy.element, shape[1]

        def tap(i: Index, _: object) -> None:
            v_tap = f.at(v, f.mul(i, self.x.stride), element)
            du_tap = f.at(du, f.mul(i, channels * width), element)

            def tile(c: Index, size: int) -> None:
                self._tile(f, (*shape, size), c, v_tap, d, du_tap, begins)

            f.loop(whole, lambda c, _: tile(c, step), step=step)
            if channels > whole:
                tile(whole, channels - whole)

        f.loop(self.tiling.stacked, tap)

    def _tile(  # noqa: PLR0917 - the operands of the products
        self,
        f: Function,
        shape: tuple[int, int, Index, int],
        channel: Index,
        v: Value,
        d: Value,
        du: Value,
        begins: Value,
    ) -> None:
        """Emit a register tile: acc[c][k] = sum of V[t][c] * D[t][k] over the block's tiles.

        It is added to dU at the end: a sum of sums rounds less than a long one.
        """
        vectors, width, tiles, channels = shape
        element, vector, lanes = self.dy.element, self.dy.vector, self.dy.lanes
        target = f.at(du, f.mul(channel, width), element)
        ends = [
            f.at(target, c * width + k * lanes, element)
            for c in range(channels)
            for k in range(vectors)
        ]
        zero = constant(vector, 0.0)
        v_here = f.at(v, channel, element)

        def one(t: Index, sums: list[Value]) -> list[Value]:
            sums = list(sums)
            d_tile = f.at(d, f.mul(t, tile_stride(self.dy)), element)
            v_tile = f.at(v_here, f.mul(t, tile_stride(self._v)), element)
            gradients = [f.load(f.at(d_tile, k * lanes, element), vector) for k in range(vectors)]
            for c in range(channels):
                value = f.broadcast(f.at(v_tile, c, element), vector)
                for k in range(vectors):
                    i = c * vectors + k
                    sums[i] = f.fma(value, gradients[k], sums[i])
            return sums

        for total, end in zip(f.loop(tiles, one, [zero] * len(ends)), ends, strict=True):
            before = f.select(begins, zero, f.load(end, vector))
            f.store(f.fadd(before, total), end)
