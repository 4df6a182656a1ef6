"""Winograd's convolution with 3-tap kernels: fewer multiplications than products of a window.

Along an axis, m outputs of a 3-tap correlation need m + 2 multiplications instead of 3 m:

    y = A^T ((G w) * (B^T x))

with the matrices below; over two axes the transforms are applied along both, and products of
transformed inputs and weights are summed over channels as ordinary matrix products, one per
transformed position f:

    V[f][t][c] = B^T x B     M[f][t][k] = sum over c of U[f][k, c] V[f][t][c]     y = A^T M A

for a block of tiles t. The same holds for the gradient with respect to the input, with the
weights turned round.

Reference: A. Lavin and S. Gray, "Fast algorithms for convolutional neural networks", CVPR 2016.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convoi.codegen.builder import Function
from convoi.codegen.types import Index, Value, constant
from convoi.kernels.base import CallArguments, Kernel
from convoi.kernels.expression import Expression
from convoi.kernels.layout import Layout

Matrix = tuple[tuple[float, ...], ...]
Place = tuple[int, ...]

TAPS = 3


@dataclass(frozen=True)
class Form:
    """The matrices of F(m, 3)."""

    outputs: int
    input: Matrix
    """B transposed."""
    output: Matrix
    """A transposed."""
    weight: Matrix
    """G."""

    @property
    def size(self) -> int:
        """Inputs of a tile, and products: m + 2."""
        return self.outputs + TAPS - 1


FORMS = {
    4: Form(
        4,
        (
            (4, 0, -5, 0, 1, 0),
            (0, -4, -4, 1, 1, 0),
            (0, 4, -4, -1, 1, 0),
            (0, -2, -1, 2, 1, 0),
            (0, 2, -1, -2, 1, 0),
            (0, 4, 0, -5, 0, 1),
        ),
        ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1)),
        (
            (1 / 4, 0, 0),
            (-1 / 6, -1 / 6, -1 / 6),
            (-1 / 6, 1 / 6, -1 / 6),
            (1 / 24, 1 / 12, 1 / 6),
            (1 / 24, -1 / 12, 1 / 6),
            (0, 0, 1),
        ),
    ),
    2: Form(
        2,
        ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
        ((1, 1, 1, 0), (0, 1, -1, -1)),
        ((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1)),
    ),
}


def transposed(matrix: Matrix) -> Matrix:
    """Return a matrix with its axes exchanged."""
    return tuple(zip(*matrix, strict=True))


def weight_matrix(form: Form, rank: int) -> NDArray[np.float64]:
    """Return the matrix ``(transformed positions, taps)`` that transforms a kernel's weights."""
    matrix = np.array(form.weight)
    result = np.ones((1, 1))
    for _ in range(rank):
        result = np.kron(result, matrix)
    return result


def apply_along(
    f: Function, matrix: Matrix, values: dict[Place, Value], axis: int
) -> dict[Place, Value]:
    """Emit the product of a matrix with the values along one axis of their grid."""
    lines: dict[Place, dict[int, Value]] = {}
    for place, value in values.items():
        rest = (*place[:axis], *place[axis + 1 :])
        lines.setdefault(rest, {})[place[axis]] = value
    results = {}
    for rest, line in lines.items():
        for i, row in enumerate(matrix):
            place = (*rest[:axis], i, *rest[axis:])
            results[place] = combine(f, row, [line[j] for j in range(len(row))])
    return results


def combine(f: Function, factors: Sequence[float], values: Sequence[Value]) -> Value:
    """Emit the sum of some vectors times constants."""
    total: Value | None = None
    for factor, value in sorted(
        zip(factors, values, strict=True), key=lambda pair: abs(pair[0]) != 1
    ):
        if factor == 0:
            continue
        if total is None:
            total = value if factor == 1 else f.fmul(value, constant(value.type, factor))
        elif factor == 1:
            total = f.fadd(total, value)
        elif factor == -1:
            total = f.fsub(total, value)
        else:
            total = f.fma(value, constant(value.type, factor), total)
    return total if total is not None else constant(values[0].type, 0)


@dataclass(frozen=True)
class Tiling:
    """How the outputs are cut into tiles, and tiles into blocks that are computed together."""

    form: int
    """Outputs of a tile along each axis."""
    spatial: tuple[int, ...]
    """Positions of the output."""
    samples: int = 1
    """Samples of a block; more than one only if a block covers whole samples."""
    rows: int = 1
    columns: int = 1
    """Tiles of a block along the last two axes."""

    @property
    def tiles(self) -> tuple[int, int]:
        """Rows and columns of tiles of a sample."""
        per_axis = [-(-extent // self.form) for extent in self.spatial]
        return (1, per_axis[0]) if len(per_axis) == 1 else (per_axis[0], per_axis[1])

    @property
    def block(self) -> int:
        """Tiles of a block."""
        return self.samples * self.rows * self.columns

    @property
    def positions(self) -> int:
        """Transformed positions of a tile."""
        return int(FORMS[self.form].size ** len(self.spatial))

    def reach(self, offset: Sequence[int], extents: Sequence[int]) -> tuple[tuple[int, int], ...]:
        """Return the halo that the input needs, whose position ``offset`` meets output 0."""
        found = []
        for start, extent, output in zip(offset, extents, self.spatial, strict=True):
            tiles = -(-output // self.form)
            last = self.form * tiles + TAPS - 2 + start
            found.append((max(0, -start), max(0, last - (extent - 1))))
        return tuple(found)


class BlockWalk:
    """The loops over blocks of tiles, and over the tiles of a block."""

    def __init__(self, f: Function, tiling: Tiling) -> None:
        self.f = f
        self.tiling = tiling

    def blocks(self, count: Value, body: Callable[[Block], None]) -> None:
        """Run the body for every block of some samples; its shape is known while emitting."""
        f, tiling = self.f, self.tiling
        rows, columns = tiling.tiles

        def column_blocks(sample: Index, samples: int, row: Index, height: int) -> None:
            whole = columns // tiling.columns * tiling.columns
            f.loop(
                whole,
                lambda c, _: body(Block(sample, row, c, samples, height, tiling.columns)),
                step=tiling.columns,
            )
            if columns > whole:
                body(Block(sample, row, whole, samples, height, columns - whole))

        def row_blocks(sample: Index, samples: int) -> None:
            whole = rows // tiling.rows * tiling.rows
            f.loop(
                whole,
                lambda r, _: column_blocks(sample, samples, r, tiling.rows),
                step=tiling.rows,
            )
            if rows > whole:
                column_blocks(sample, samples, whole, rows - whole)

        step = tiling.samples
        groups: Index = call_groups(f, count, step)
        f.loop(groups, lambda s, _: row_blocks(s, step), step=step)
        if step > 1:
            f.loop(count, lambda s, _: row_blocks(s, 1), start=groups)

    def tiles(self, block: Block, body: Callable[[TilePlace], None]) -> None:
        """Run the body for every tile of a block."""
        f = self.f

        def one(s: Index, r: Index, c: Index) -> None:
            number = f.add(f.mul(f.add(f.mul(s, block.rows), r), block.columns), c)
            body(
                TilePlace(
                    number,
                    f.add(block.sample, s),
                    f.add(block.row, r),
                    f.add(block.column, c),
                )
            )

        f.loop(
            block.samples,
            lambda s, _: _void(
                f.loop(
                    block.rows,
                    lambda r, _: _void(f.loop(block.columns, lambda c, _: one(s, r, c))),
                )
            ),
        )


def call_groups(f: Function, count: Value, step: int) -> Index:
    """Return the largest multiple of a step that is not above a count."""
    if step == 1:
        return count
    return f.mul(f.integer("sdiv", count, step), step)


def _void(_: object) -> None:
    """Return nothing: the body of a loop that carries no values."""


@dataclass(frozen=True)
class Block:
    """A block of tiles: where it begins, and how large it is."""

    sample: Index
    row: Index
    column: Index
    samples: int
    rows: int
    columns: int

    @property
    def tiles(self) -> int:
        """Number of tiles."""
        return self.samples * self.rows * self.columns


@dataclass(frozen=True)
class TilePlace:
    """A tile: its number in the block, and where it lies."""

    number: Index
    sample: Index
    row: Index
    column: Index


def grid_offsets(layout: Layout, size: int) -> dict[Place, int]:
    """Return the elements from the first position of a square (or run) to each of its positions."""
    strides = layout.axis_strides
    return {
        place: sum(p * stride for p, stride in zip(place, strides, strict=True))
        for place in itertools.product(range(size), repeat=len(strides))
    }


def tile_start(
    f: Function, layout: Layout, place: TilePlace, step: int, offset: Sequence[int]
) -> Index:
    """Return the element at which a tile begins in an activation."""
    strides = layout.axis_strides
    start = layout.origin + sum(o * s for o, s in zip(offset, strides, strict=True))
    found = f.add(start, f.mul(place.sample, layout.size))
    found = f.add(found, f.mul(place.column, step * strides[-1]))
    if len(strides) > 1:
        found = f.add(found, f.mul(place.row, step * strides[-2]))
    return found


def transform_tiles(  # noqa: PLR0917 - what is read, how, and where to
    walk: BlockWalk,
    block: Block,
    pointer: Value,
    layout: Layout,
    offset: Sequence[int],
    matrix: Matrix,
    scratch: Value,
) -> None:
    """Emit the transform of a block's tiles: ``scratch[f][t][channel]``.

    A tile has as many positions as the matrix has columns; those beyond the grid are halo.
    """
    f = walk.f
    size = len(matrix[0])
    offsets = grid_offsets(layout, size)
    vector = layout.vector
    width = block.tiles * layout.stride

    def one(place: TilePlace) -> None:
        start = tile_start(f, layout, place, walk.tiling.form, offset)

        def channels(c: Index, _: object) -> None:
            base = f.at(pointer, f.add(start, c), layout.element)
            values = {
                where: f.load(f.at(base, distance, layout.element), vector)
                for where, distance in offsets.items()
            }
            for axis in range(len(layout.spatial)):
                values = apply_along(f, matrix, values, axis)
            to = f.at(scratch, f.add(f.mul(place.number, layout.stride), c), layout.element)
            for number, where in enumerate(sorted(values)):
                f.store(values[where], f.at(to, number * width, layout.element))

        f.loop(layout.stride, channels, step=layout.lanes)

    walk.tiles(block, one)


class _Validity:
    """Which positions of a tile lie on the grid: all but those of the last tiles."""

    def __init__(
        self, f: Function, tiling: Tiling, place: TilePlace, extents: Sequence[int]
    ) -> None:
        self.f = f
        self.rest = [extent % tiling.form or tiling.form for extent in extents]
        numbers = (place.row, place.column)[-len(extents) :]
        self.inside = [
            f.compare("slt", number, -(-extent // tiling.form) - 1)
            if isinstance(number, Value)
            else None
            for number, extent in zip(numbers, extents, strict=True)
        ]
        self.last = [
            number == -(-extent // tiling.form) - 1 if isinstance(number, int) else None
            for number, extent in zip(numbers, extents, strict=True)
        ]

    def condition(self, where: Place) -> Value | bool:
        """Return whether a position lies on the grid: known, or a value."""
        found: Value | None = None
        for axis, position in enumerate(where):
            if position < self.rest[axis]:
                continue
            inside = self.inside[axis]
            if inside is None:
                if self.last[axis]:
                    return False
                continue
            found = inside if found is None else self.f.integer("and", found, inside)
        return True if found is None else found


@dataclass(frozen=True)
class ProductTile:
    """A register tile of the matrix products: vectors of output channels, tiles."""

    blocks: tuple[int, ...]
    """Vectors of output channels per block of weights."""
    tiles: int


@dataclass(frozen=True)
class WinogradCorrelate(Kernel):
    """The kernel. Pointers: x, U, [bias], epilogue tensors, scratch, y.

    ``U`` lies as ``[f][block][input channel][output channel of the block]``. The scratch memory
    holds V and M of a block, :attr:`scratch_elements` elements.
    """

    x: Layout
    y: Layout
    tiling: Tiling
    offset: tuple[int, ...]
    """Input position that the first tap of output 0 meets, per axis."""
    product: ProductTile
    bias: bool = False
    epilogue: Expression = Expression(1)
    tensors: tuple[Layout, ...] = ()

    def pointer_count(self) -> int:
        """Return how many pointers it takes."""
        return 4 + self.bias + len(self.tensors)

    @property
    def scratch_elements(self) -> int:
        """Elements of scratch memory."""
        return self.tiling.positions * self.tiling.block * (self.x.stride + self.y.stride)

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loop over blocks: transform, multiply, transform back."""
        x, u, *rest = pointers
        bias = rest.pop(0) if self.bias else None
        y, scratch = rest.pop(), rest.pop()
        walk = BlockWalk(f, self.tiling)
        form = FORMS[self.tiling.form]

        def one(block: Block) -> None:
            transform_tiles(walk, block, x, self.x, self.offset, form.input, scratch)
            size = self.tiling.positions * block.tiles * self.x.stride
            products = f.at(scratch, size, self.x.element)
            self._multiply(f, block, u, scratch, products)
            self._transform_back(walk, block, products, bias, rest, y)

        walk.blocks(call.count, one)

    def _multiply(
        self, f: Function, block: Block, u: Value, v: Value, products: Value
    ) -> None:
        """Emit M[f] = V[f] U[f] for all transformed positions f."""
        element, lanes = self.y.element, self.y.lanes
        count, channels = block.tiles, self.x.channels
        group_sizes = [(size, len(list(g))) for size, g in itertools.groupby(self.product.blocks)]

        def one_position(number: Index, _: object) -> None:
            v_here = f.at(v, f.mul(number, count * self.x.stride), element)
            m_here = f.at(products, f.mul(number, count * self.y.stride), element)
            u_here = f.at(u, f.mul(number, channels * self.y.stride), element)
            first = 0
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
                    self._products(
                        f,
                        size,
                        count,
                        f.at(u_group, f.mul(b, width * channels), element),
                        v_here,
                        f.at(m_group, f.mul(b, width), element),
                    )

                f.loop(repeated, one_block)
                first += repeated * width

        f.loop(self.tiling.positions, one_position)

    def _products(  # noqa: PLR0917 - the operands of a matrix product
        self, f: Function, size: int, count: int, u: Value, v: Value, m: Value
    ) -> None:
        """Emit the product of a block of weights with all tiles."""
        step = min(self.product.tiles, count)
        whole = count // step * step
        f.loop(whole, lambda t, _: self._tile(f, size, step, t, u, v, m), step=step)
        if count > whole:
            self._tile(f, size, count - whole, whole, u, v, m)

    def _tile(  # noqa: PLR0917 - the operands of a matrix product
        self, f: Function, size: int, tiles: int, first: Index, u: Value, v: Value, m: Value
    ) -> None:
        """Emit a register tile: acc[k][t] += U[k] * V[t], over all input channels."""
        element, vector, lanes = self.y.element, self.y.vector, self.y.lanes
        v_tile = f.at(v, f.mul(first, self.x.stride), element)

        def channel(c: Index, sums: list[Value]) -> list[Value]:
            sums = list(sums)
            u_here = f.at(u, f.mul(c, size * lanes), element)
            v_here = f.at(v_tile, c, element)
            weights = [f.load(f.at(u_here, k * lanes, element), vector) for k in range(size)]
            for t in range(tiles):
                value = f.broadcast(f.at(v_here, t * self.x.stride, element), vector)
                for k in range(size):
                    i = k * tiles + t
                    sums[i] = f.fma(value, weights[k], sums[i])
            return sums

        zero = constant(vector, 0.0)
        sums = f.loop(self.x.channels, channel, [zero] * (size * tiles))
        m_tile = f.at(m, f.mul(first, self.y.stride), element)
        for k in range(size):
            for t in range(tiles):
                f.store(
                    sums[k * tiles + t],
                    f.at(m_tile, t * self.y.stride + k * lanes, element),
                )

    def _transform_back(  # noqa: PLR0917 - what is read, and where to
        self,
        walk: BlockWalk,
        block: Block,
        products: Value,
        bias: Value | None,
        tensors: Sequence[Value],
        y: Value,
    ) -> None:
        """Emit y = f(A^T M A + bias), tile by tile."""
        f, layout = walk.f, self.y
        form = FORMS[self.tiling.form]
        element, vector = layout.element, layout.vector
        width = block.tiles * layout.stride
        layouts = (*self.tensors, layout)
        rank = len(layout.spatial)
        places = list(itertools.product(range(form.size), repeat=rank))

        def one(place: TilePlace) -> None:
            none = (0,) * rank
            starts = [tile_start(f, t, place, form.outputs, none) for t in layouts]
            validity = _Validity(f, self.tiling, place, layout.spatial)

            def channels(k: Index, _: object) -> None:
                base = f.at(
                    products, f.add(f.mul(place.number, layout.stride), k), element
                )
                values = {
                    where: f.load(f.at(base, number * width, element), vector)
                    for number, where in enumerate(places)
                }
                for axis in range(rank):
                    values = apply_along(f, form.output, values, axis)
                shift = None if bias is None else f.load(f.at(bias, k, element), vector)
                ends = [
                    f.at(pointer, f.add(start, k), element)
                    for pointer, start in zip([*tensors, y], starts, strict=True)
                ]
                self._store(f, values, validity, shift, ends)

            f.loop(layout.stride, channels, step=layout.lanes)

        walk.tiles(block, one)

    def _store(
        self,
        f: Function,
        values: dict[Place, Value],
        validity: _Validity,
        bias: Value | None,
        ends: Sequence[Value],
    ) -> None:
        """Emit the epilogue and the stores, for the positions that are on the grid."""
        layouts = (*self.tensors, self.y)
        form = FORMS[self.tiling.form]
        offsets = [grid_offsets(layout, form.outputs) for layout in layouts]

        def store(where: Place) -> None:
            value = values[where]
            if bias is not None:
                value = f.fadd(value, bias)
            at = [
                f.at(end, offset[where], layout.element)
                for end, offset, layout in zip(ends, offsets, layouts, strict=True)
            ]
            extra = [f.load(pointer, self.y.vector) for pointer in at[:-1]]
            f.store(self.epilogue.emit(f, [value, *extra]), at[-1])

        groups: dict[str, tuple[Value | bool, list[Place]]] = {}
        for where in sorted(values):
            condition = validity.condition(where)
            key = condition.text if isinstance(condition, Value) else str(condition)
            if isinstance(condition, Value):
                beyond = tuple(p >= r for p, r in zip(where, validity.rest, strict=True))
                key = str(beyond)
            groups.setdefault(key, (condition, []))[1].append(where)
        for condition, wheres in groups.values():
            if isinstance(condition, bool):
                for where in wheres if condition else ():
                    store(where)
            else:
                with f.when(condition):
                    for where in wheres:
                        store(where)

