"""Fast convolution: fewer multiplications than products of a window, by Winograd's forms.

Along an axis, m outputs of a 3-tap correlation need m + 2 multiplications instead of 3 m. Over two
axes the transforms are applied along both, and products of transformed inputs and weights are
summed over channels as ordinary matrix products, one per transformed position f:

    V[f][t][c] = B^T x B     M[f][t][k] = sum over c of U[f][k, c] V[f][t][c]     y = A^T M A

for a block of tiles t, with the matrices of :mod:`convoi.kernels.winograd_forms`. The same holds
for the gradient with respect to the input, with the weights turned round. Along further axes
nothing is transformed: their taps are summed as input channels are (:mod:`convoi.kernels.tiling`).

Kernels of many taps have spectra in place of Winograd's polynomials, and the rest is the same:
:mod:`convoi.kernels.fourier_forms`.

Reference: A. Lavin and S. Gray, "Fast algorithms for convolutional neural networks", CVPR 2016.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from convoi.codegen.types import Index, Value, constant
from convoi.kernels.base import CallArguments, Kernel
from convoi.kernels.epilogue_pool import NO_POOL, EpiloguePool
from convoi.kernels.epilogue_sums import NO_SUMS, AddStored, EpilogueSums
from convoi.kernels.expression import IDENTITY, Expression
from convoi.kernels.fast_tiles import (
    Block,
    BlockWalk,
    Stream,
    TilePlace,
    Validity,
    each_run,
    grid_offsets,
    prefetch_ahead,
    tile_start,
    transform_tiles,
)
from convoi.kernels.forms import form_named
from convoi.kernels.sharing import Bounds, Units, within
from convoi.kernels.tiling import Tiling, stacked, tile_stride

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from convoi.codegen.builder import Function
    from convoi.kernels.layout import Layout
    from convoi.kernels.transforms import Place

BY_CHANNELS_BYTES = 1 << 20
"""Transformed weights from which each thread reads a part of them for all tiles, instead of all for
some tiles, and transforms all inputs: that is a hundredth of the products then."""


@dataclass(frozen=True)
class ProductTile:
    """A register tile of the matrix products: vectors of output channels, tiles."""

    blocks: tuple[int, ...]
    """Vectors of output channels per block of weights."""
    tiles: int


@dataclass(frozen=True)
class FastCorrelate(Kernel):
    """The kernel.

    Pointers: x, U, [bias], epilogue tensors, scratch, the pool's extra output, y, those of the
    sums. ``U`` lies as ``[f][block][input channel][output channel of the block]``. The scratch
    memory holds V and M of a block, :attr:`scratch_elements` elements.
    """

    x: Layout
    y: Layout
    """The output, or what is pooled of it: then tiles consist of whole windows."""
    tiling: Tiling
    offset: tuple[int, ...]
    """Input position that the first tap of output 0 meets, per axis."""
    product: ProductTile
    bias: bool = False
    epilogue: Expression = IDENTITY
    tensors: tuple[Layout, ...] = ()
    divided: bool = False
    """Whether threads may share the blocks of tiles and of output channels."""
    sums: EpilogueSums = NO_SUMS
    """Made over what is stored; only kernels that are not divided make any."""
    pool: EpiloguePool = NO_POOL
    """What is stored instead of the positions; only kernels that make no sums have one."""

    def pointer_count(self) -> int:
        """Return how many pointers it takes."""
        extra = len(self.tensors) + len(self.pool.extra) + len(self.sums.arguments)
        return 4 + self.bias + extra

    @property
    def _stored(self) -> tuple[Layout, ...]:
        """What is written."""
        return (*self.pool.extra, self.y)

    @property
    def samples_at_once(self) -> int:
        """Those of a block."""
        return self.tiling.samples

    @property
    def scratch_elements(self) -> int:
        """Elements of scratch memory."""
        return self.tiling.scratch(self._v) + self.tiling.scratch(self.y)

    @property
    def _v(self) -> Layout:
        """How the channels of a transformed tile lie."""
        return stacked(self.x, self.tiling.stacked)

    @property
    def _channels_in_all(self) -> int:
        """Input channels, as often as taps are stacked."""
        return self.tiling.stacked * self.x.channels

    @property
    def units(self) -> int:
        """Rows of blocks of tiles (in one row of tiles: blocks) times blocks of channels."""
        return self.tiling.strips * len(self.product.blocks) if self.divided else 1

    @property
    def by_channels(self) -> bool:
        """Whether threads share the channels first, so that each reads few of many weights."""
        size = self.tiling.positions * self._channels_in_all * self.y.stride * self.y.element.size
        return self.divided and size >= BY_CHANNELS_BYTES and len(self.product.blocks) > 1

    def _channels(self, f: Function, call: CallArguments, strip: Index) -> Bounds:
        """Return the blocks of channels that a call does in a strip.

        By channels, unit ``block * strips + strip`` is one block in one strip.
        """
        strips = self.tiling.strips
        if not self.by_channels:
            return Units.of(f, call, strips, len(self.product.blocks), divided=True).inner(strip)

        def block(unit: Index) -> Index:
            above = f.add(unit, f.sub(strips - 1, strip))
            return above if strips == 1 else f.integer("udiv", above, strips)

        return block(call.begin), block(call.end)

    @property
    def work(self) -> int:
        """Products of a sample, and half as much for transforms."""
        tiling = self.tiling
        tiles = tiling.grids * math.prod(tiling.tiles)
        return 3 * tiles * tiling.positions * self._channels_in_all * self.y.stride // 2

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loop over blocks: transform, multiply, transform back."""
        (x, u, *rest), sums = self.sums.split(pointers)
        bias = rest.pop(0) if self.bias else None
        scratch = rest.pop(len(self.tensors))
        add_stored = self.sums.begin(f, self.y, sums, call)
        units = Units.of(
            f, call, self.tiling.strips, len(self.product.blocks), divided=self.divided
        )
        strips = units.outer if self.divided and not self.by_channels else None
        walk = BlockWalk(f, self.tiling, strips)
        form = form_named(self.tiling.form)

        def one(block: Block) -> None:
            if not self.divided:
                some(block, None)
                return
            channels = self._channels(f, call, walk.strip(block))
            with f.when(f.compare("slt", f.value(channels[0]), channels[1])):
                some(block, channels)

        def some(block: Block, channels: Bounds | None) -> None:
            shifts = self.tiling.shifts(self.x)
            transform_tiles(walk, block, x, self.x, self.offset, form.input, scratch, shifts)
            products = f.at(scratch, self.tiling.scratch(self._v), self.x.element)
            streams = [Stream(p, t) for p, t in zip(rest, self.tensors, strict=False)]
            streams.append(Stream(rest[-1], self.y, write=True))
            prefetch = prefetch_ahead(f, self.tiling, block, streams)
            self._multiply(f, block, channels, (u, scratch, products), prefetch)
            self._transform_back(walk, block, channels, products, bias, rest, add_stored)

        walk.blocks(call.count, one)

    def _multiply(
        self,
        f: Function,
        block: Block,
        some: Bounds | None,
        memory: tuple[Value, Value, Value],
        prefetch: Callable[[Index], None],
    ) -> None:
        """Emit M[f] = V[f] U[f] for all transformed positions f, and some blocks of channels."""
        u, v, products = memory
        element, lanes = self.y.element, self.y.lanes
        channels = self._channels_in_all
        group_sizes = [(size, len(list(g))) for size, g in itertools.groupby(self.product.blocks)]

        def one_position(number: Index, _: object) -> None:
            prefetch(number)
            v_here = f.at(v, f.mul(number, self.tiling.plane(self._v)), element)
            m_here = f.at(products, f.mul(number, self.tiling.plane(self.y)), element)
            u_here = f.at(u, f.mul(number, channels * self.y.stride), element)
            first = number_of_block = 0
            for size, repeated in group_sizes:
                width = size * lanes
                u_group = f.at(u_here, first * channels, element)
                m_group = f.at(m_here, first, element)

                def one_block(
                    b: Index,
                    _: object,
                    size: int = size,
                    width: int = width,
                    u_group: Value = u_group,
                    m_group: Value = m_group,
                ) -> None:
                    u_block = f.at(u_group, f.mul(b, width * channels), element)
                    m_block = f.at(m_group, f.mul(b, width), element)
                    each_run(
                        f,
                        block.tiles,
                        self.product.tiles,
                        lambda t, tiles: self._tile(f, size, tiles, t, u_block, v_here, m_block),
                    )

                bounds = within(f, some, number_of_block, repeated) if some else (0, repeated)
                f.loop(bounds[1], one_block, start=bounds[0])
                first += repeated * width
                number_of_block += repeated

        f.loop(self.tiling.positions, one_position)

    def _tile(  # noqa: PLR0917 - the operands of a matrix product
        self, f: Function, size: int, tiles: int, first: Index, u: Value, v: Value, m: Value
    ) -> None:
        """Emit a register tile: acc[k][t] += U[k] * V[t], over all input channels and taps."""
        element, vector, lanes = self.y.element, self.y.vector, self.y.lanes
        v_tile = f.at(v, f.mul(first, tile_stride(self._v)), element)

        def tap(i: Index, sums: list[Value]) -> list[Value]:
            u_tap = f.at(u, f.mul(i, self.x.channels * size * lanes), element)
            v_tap = f.at(v_tile, f.mul(i, self.x.stride), element)
            return f.loop(self.x.channels, partial(channel, u_tap, v_tap), sums)

        def channel(u: Value, v: Value, c: Index, sums: list[Value]) -> list[Value]:
            sums = list(sums)
            u_here = f.at(u, f.mul(c, size * lanes), element)
            v_here = f.at(v, c, element)
            weights = [f.load(f.at(u_here, k * lanes, element), vector) for k in range(size)]
            for t in range(tiles):
                value = f.broadcast(f.at(v_here, t * tile_stride(self._v), element), vector)
                for k in range(size):
                    i = k * tiles + t
                    sums[i] = f.fma(value, weights[k], sums[i])
            return sums

        sums = f.loop(self.tiling.stacked, tap, [constant(vector, 0.0)] * (size * tiles))
        m_tile = f.at(m, f.mul(first, tile_stride(self.y)), element)
        for k in range(size):
            for t in range(tiles):
                f.store(
                    sums[k * tiles + t],
                    f.at(m_tile, t * tile_stride(self.y) + k * lanes, element),
                )

    def _transform_back(  # noqa: PLR0917 - what is read, and where to
        self,
        walk: BlockWalk,
        block: Block,
        some: Bounds | None,
        products: Value,
        bias: Value | None,
        memory: Sequence[Value],
        add_stored: AddStored,
    ) -> None:
        """Emit y = f(A^T M A + bias), tile by tile; memory is what is read and what is stored."""
        f, layout = walk.f, self.y
        form = form_named(self.tiling.form)
        element, vector = layout.element, layout.vector
        plane = self.tiling.plane(layout)
        layouts = (*self.tensors, *self._stored)
        places = self.tiling.places(form.size)
        begin: Index = 0
        end: Index = layout.stride
        if some is not None:
            # All blocks but the last one have as many channels as the first.
            width = self.product.blocks[0] * layout.lanes
            begin, end = (f.minimum(f.mul(b, width), layout.stride) for b in some)

        def one(place: TilePlace) -> None:
            none = (0,) * len(layout.spatial)
            starts = [tile_start(f, t, place, self.tiling, none) for t in self.tensors]
            starts += [
                tile_start(f, t, place, self.tiling, none, window=self.pool.size)
                for t in self._stored
            ]
            validity = Validity(f, self.tiling, place)

            def channels(k: Index, _: object) -> None:
                base = f.at(products, f.add(f.mul(place.number, tile_stride(layout)), k), element)
                values = {
                    where: f.load(f.at(base, number * plane, element), vector)
                    for number, where in enumerate(places)
                }
                for axis in self.tiling.axes:
                    values = form.output.along(f, values, axis)
                shift = None if bias is None else f.load(f.at(bias, k, element), vector)
                ends = [
                    f.at(pointer, f.add(start, k), t.element)
                    for pointer, start, t in zip(memory, starts, layouts, strict=True)
                ]
                self._store(f, values, validity, shift, ends, partial(add_stored, k))

            f.loop(end, channels, start=begin, step=layout.lanes)

        walk.tiles(block, one)

    def _store(  # noqa: PLR0917 - what is stored, and where
        self,
        f: Function,
        values: dict[Place, Value],
        validity: Validity,
        bias: Value | None,
        ends: Sequence[Value],
        add_stored: Callable[[Sequence[Value]], None],
    ) -> None:
        """Emit the epilogue, the stores and the sums, for the windows that are on the grid."""
        layouts = (*self.tensors, *self._stored)
        outputs = form_named(self.tiling.form).outputs
        offsets = [grid_offsets(layout, outputs, self.tiling) for layout in layouts]
        memory = list(zip(ends, offsets, layouts, strict=True))
        tensors, stored = memory[: len(self.tensors)], memory[len(self.tensors) :]

        def result(where: Place) -> Value:
            value = values[where]
            if bias is not None:
                value = f.fadd(value, bias)
            extra = [
                f.load(f.at(end, offset[where], layout.element), layout.vector)
                for end, offset, layout in tensors
            ]
            return self.epilogue.emit(f, [value, *extra])

        def store(window: Place, members: Sequence[Place]) -> Value:
            results = self.pool.emit(f, [result(where) for where in members])
            for value, (end, offset, layout) in zip(results, stored, strict=True):
                f.store(value, f.at(end, offset[window], layout.element))
            return results[-1]

        windows: dict[Place, list[Place]] = {}
        for where in sorted(values):
            window = tuple(p // self.pool.side(axis) for axis, p in enumerate(where))
            windows.setdefault(window, []).append(where)
        # A window counts if its last position does.
        groups: dict[tuple[int | None, ...], list[Place]] = {}
        for window, members in windows.items():
            groups.setdefault(validity.bounds(members[-1]), []).append(window)
        for bounds, some in groups.items():
            condition = validity.condition(bounds)
            if isinstance(condition, Value):
                with f.when(condition):
                    add_stored([store(window, windows[window]) for window in some])
            elif condition:
                add_stored([store(window, windows[window]) for window in some])
