"""The choice of vector widths, tiles, convoys and chunks: cost models in one place.

All choices are deterministic functions of shapes and target. Costs are in cycles of a core that
starts one full-width multiply-add per cycle; only ratios matter.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from convoi.compiler import tuned
from convoi.kernels.correlate import Tile
from convoi.kernels.weight_gradient import POSITIONS_PER_SUM, GradientTile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convoi.codegen.target import Target
    from convoi.kernels.grid import Axis
    from convoi.kernels.layout import Layout
    from convoi.kernels.weights import WeightLayout

MOST_POSITIONS = {
    32: {1: 24, 2: 12, 3: 8, 4: 6},
    16: {1: 10, 2: 6, 3: 4, 4: 2},
}
"""The most positions of a tile, by the number of vector registers, then by the vectors of output
channels. Measured on a Zen 4, 3x3, in GFLOP/s. 32 registers of 16 lanes: 113 to 120 for all tiles
of 12 to 24 accumulators. 16 registers of 8 lanes: 1x8 99, 2x6 119, 3x4 119, 4x2 109; 1x12 falls
to 93, and 4x3 to 79."""
MOST_ACCUMULATORS = {32: 24, 16: 12}
"""Vectors that a weight gradient may sum up at a time."""
FMA_LATENCY = 4
"""Cycles: fewer independent accumulators than this leave the FMA unit waiting."""
ROW_COST = 6.0
"""Cycles of loop control and addressing around each tile."""
STORE_COST = 2.0
"""Cycles for the epilogue of one accumulator."""
SHUFFLE_COST = 1.5
"""What a product costs whose lanes take different values, in products of broadcast ones."""
L2_BYTES = 1 << 20
"""What a core has to itself; smaller on old cores, where convoys then spill into L3."""
CONVOY_SHARE = 0.5
"""Share of it that a convoy's activations may take; weights and code take the rest."""
SPILL = 2
"""How far a convoy may exceed the cache for the sake of dense layers (times its size)."""
MOST_CONVOY = 64
STREAMING_ARENA = 32 << 20
"""Bytes that the activations of a convoy may take for the sake of unshared weights."""
MOST_CHUNKS = 8
MOST_CHUNK_SAMPLES = 32
SMALL_TILES = 4
"""The chunks of small batches fill the tiles of dense layers to one part of so many."""
SUMS_PER_PRODUCT = 64
"""What the sum of a weight's gradient in memory costs, in multiply-adds of the forward pass: a
chunk has so many samples that their products outweigh its sums."""
STREAMED_BYTES = 16 << 20
"""Bytes of a gradient that no cache holds until the optimiser reads it: it is written past them.
(37.7 MB, Zen 4: four samples 26 GB/s, else 15; 32 samples 90% of the peak of multiply-adds, else
64%.)"""
CHUNK_BYTES = 8 << 20
"""Bytes that the sums of gradients of all chunks together may take, if there is a choice."""


def lanes_for(channels: int, dtype: str, target: Target) -> int:
    """Return the vector width for a number of channels: the least work, then the least memory.

    Where the widest vectors take 64 bytes, a narrower one costs half a slot (such cores split
    the widest in two, or have two units for the narrower).
    """
    widths = target.widths(dtype)
    narrow_slot = 0.5 if target.vector_bytes == 64 else 1.0

    def cost(width: int) -> float:
        return -(-channels // width) * (1.0 if width == widths[0] else narrow_slot)

    best = min(widths, key=cost)
    return next((w for w in reversed(widths) if w >= channels and cost(w) <= cost(best)), best)


def blocks_for(vectors: int, size: int) -> tuple[int, ...]:
    """Return the sizes of the blocks that a number of vectors is cut into."""
    whole, rest = divmod(vectors, size)
    return (size,) * whole + ((rest,) if rest else ())


@dataclass(frozen=True)
class CorrelateChoice:
    """What a direct convolution is computed with."""

    blocks: tuple[int, ...]
    tile: Tile

    def __str__(self) -> str:
        tile = self.tile
        samples = f"{tile.samples} samples of " if tile.samples > 1 else ""
        return f"{max(self.blocks)} x {samples}{tile.rows}x{tile.columns}"


def correlate_choice(y: Layout, axes: tuple[Axis, ...], target: Target) -> CorrelateChoice:
    """Return the blocks and the tile of a convolution.

    They are those that were measured to be the best, or else the cheapest by the cost model.
    """
    return _correlate_choice(y, axes, target, tuned.chosen(correlate_signature(y, axes)))


@functools.lru_cache(maxsize=1024)
def _correlate_choice(
    y: Layout, axes: tuple[Axis, ...], target: Target, measured: str | None
) -> CorrelateChoice:
    candidates = correlate_candidates(y, axes, target)
    best: tuple[float, CorrelateChoice] | None = None
    for cost, choice in candidates:
        if str(choice) == measured:
            return choice
        if best is None or cost < best[0] - 1e-9:
            best = (cost, choice)
    if best is None:  # pragma: no cover - y has at least one vector
        message = "a convolution without output channels"
        raise ValueError(message)
    return best[1]


def correlate_weights(
    weights: WeightLayout, stride: int, y: Layout, axes: tuple[Axis, ...], target: Target
) -> tuple[WeightLayout, CorrelateChoice]:
    """Return how the weights of a convolution lie, and the tile.

    Parameters
    ----------
    weights : WeightLayout
        Its channels, taps and groups; the blocks are chosen.
    stride : int
        Elements from one position of the input to the next.
    y : Layout
        The output.
    axes : tuple of Axis
        The grid of the positions.
    target : Target
        The machine.
    """
    if weights.groups == 1:
        choice = correlate_choice(y, axes, target)
        return replace(weights, blocks=choice.blocks), choice
    found = grouped_candidates(weights, stride, y, axes, target)
    _, layout, choice = min(found, key=lambda candidate: candidate[0])
    return layout, choice


def grouped_candidates(
    weights: WeightLayout, stride: int, y: Layout, axes: tuple[Axis, ...], target: Target
) -> list[tuple[float, WeightLayout, CorrelateChoice]]:
    """Return the cost, per tap, of all ways to compute a convolution in groups.

    Blocks that span several groups have products by zero, more of them the wider they are.
    """
    found = []
    for cost, choice in correlate_candidates(y, axes, target):
        layout = replace(weights, blocks=choice.blocks)
        found.append((cost * layout.reduction, layout, choice))
        if layout.may_be_per_lane(stride):
            layout = replace(layout, per_lane=True)
            found.append((SHUFFLE_COST * cost * layout.reduction, layout, choice))
    return found


def correlate_signature(y: Layout, axes: tuple[Axis, ...]) -> str:
    """Return what the choice of a tile depends on besides the target, as a text."""
    rows, columns = _grid(axes)
    return f"tile {y.dtype} {y.blocks}x{y.lanes} {rows}x{columns}"


def correlate_candidates(
    y: Layout, axes: tuple[Axis, ...], target: Target
) -> list[tuple[float, CorrelateChoice]]:
    """Return the cost, per tap and input channel, of all blocks and tiles of a convolution."""
    limits = MOST_POSITIONS[target.registers]
    rows, columns = _grid(axes)
    slot = Slot(y.vector.size, target)
    found = []
    for size in range(1, min(max(limits), y.blocks) + 1):
        blocks = blocks_for(y.blocks, size)
        for tile in _tiles(limits[size], rows, columns, outermost_samples=rows * columns == 1):
            cost = sum(correlate_cost(block, tile, rows, columns, slot) for block in blocks)
            found.append((cost, CorrelateChoice(blocks, tile)))
    return found


def loads_values_once(axes: tuple[Axis, ...], choice: CorrelateChoice, target: Target) -> bool:
    """Tell whether the taps of a row share the values of x: if their weights fit in registers, too.

    Two multiply-adds of narrow vectors start per cycle, and no more loads than that. (GFLOP/s on a
    Zen 4, without and with it: 5x5 of 1 channel to 6 in 8 lanes, tile 1x14 of 32 registers 103,
    112; 1x10 of 16 81, 115; 3x3 of 3 channels to 16, 1x16 of 32 115, 118; 2x4 of 16 111, 112. With
    spilled registers: 3x3 of 16 channels to 32, 2x6 of 16 116, 59.)
    """
    runs = axes[-1] if axes else ()
    meet = any(run.taps.count > run.input_step for run in runs)
    taps = max((run.taps.count for run in runs), default=0)
    return meet and max(choice.blocks) * (choice.tile.positions + taps) < target.registers


def _grid(axes: tuple[Axis, ...]) -> tuple[int, int]:
    """Return the rows and columns that tiles cover."""
    # The runs of an axis differ by one position at most; the first stands for them.
    counts = [axis[0].count if axis else 0 for axis in axes]
    return counts[-2] if len(counts) > 1 else 1, counts[-1] if counts else 1


def _tiles(most: int, rows: int, columns: int, *, outermost_samples: bool) -> list[Tile]:
    if outermost_samples:
        return [Tile(samples=n) for n in (1, 2, 4, 8, 16) if n <= most]
    found = []
    for width in range(1, min(most, columns) + 1):
        heights = [1] if width < columns else range(1, min(most // width, rows) + 1)
        found += [Tile(rows=height, columns=width) for height in heights]
    return found


@dataclass(frozen=True)
class Slot:
    """What a vector instruction costs."""

    vector_bytes: int
    target: Target

    @property
    def waiting(self) -> int:
        """Independent multiply-adds that keep the unit busy: two start per cycle if narrow."""
        return FMA_LATENCY if self.vector_bytes == 64 else 2 * FMA_LATENCY

    def loads(self, vectors: int, broadcasts: int) -> float:
        """Return the cost of loads in multiply-adds.

        Wide registers fold a broadcast into the multiply-add; 16 registers load it separately,
        and two loads go with two multiply-adds per cycle.
        """
        return vectors + (broadcasts / 2 if self.target.registers > 16 else broadcasts)


def correlate_cost(size: int, tile: Tile, rows: int, columns: int, slot: Slot) -> float:
    """Return the cost of all positions for one block of channels, per tap and input channel."""
    if tile.samples > 1:
        return tile_cost(size, tile.samples, slot) / tile.samples
    row_tiles = [tile.rows] * (rows // tile.rows) + ([rows % tile.rows] if rows % tile.rows else [])
    whole, rest = divmod(columns, tile.columns)
    total = 0.0
    for height, count in _counted(row_tiles):
        per_row = whole * tile_cost(size, height * tile.columns, slot)
        if rest:
            per_row += tile_cost(size, height * rest, slot)
        total += count * per_row
    return total


def _counted(items: list[int]) -> list[tuple[int, int]]:
    return [(key, len(list(group))) for key, group in itertools.groupby(items)]


def tile_cost(size: int, positions: int, slot: Slot) -> float:
    """Return the cost of one tap and input channel of a tile."""
    products = size * positions
    loads = slot.loads(size, positions)
    # Loop control is shared by all taps of a tile; a twentieth is its part of one.
    return max(products, loads, slot.waiting) + ROW_COST / 20 + STORE_COST * products / 100


def gradient_tile(
    weights: WeightLayout, kernel: tuple[int, ...], positions: int, target: Target
) -> GradientTile:
    """Return the tile of a weight gradient: as many accumulators as registers allow.

    Where positions are few, sums are many beside their products, and are written in the order in
    which they lie. (37.7 MB, four samples, Zen 4: 15 GB/s; in pieces of 64 bytes 7.4.)
    """
    most, taps = MOST_ACCUMULATORS[target.registers], weights.taps
    if positions < POSITIONS_PER_SUM:
        tiles = _tiles_in_order(weights, most)
    else:
        tiles = _gradient_tiles(weights, kernel, most)

    def cost(tile: GradientTile) -> float:
        per_part = -(-taps // -(-taps // tile.taps))
        return _gradient_cost(tile, per_part, weights.blocks, weights.reduction, taps, target)

    return min(tiles, key=cost)


def _gradient_tiles(
    weights: WeightLayout, kernel: tuple[int, ...], most: int
) -> Iterator[GradientTile]:
    """Yield the tiles of so many accumulators."""
    taps, row = weights.taps, kernel[-1] if kernel else 1
    sizes = [v for v in (1, 2, 3, 4) if v <= max(weights.blocks)]
    tap_sizes = sorted({min(taps, t) for t in (1, row, 2 * row, taps, most // 2, most)})
    for vectors, tap in itertools.product(sizes, tap_sizes):
        per_part = -(-taps // -(-taps // tap))
        room = most // (vectors * per_part)
        for channels in range(1, min(room, weights.reduction) + 1):
            yield GradientTile(vectors, channels, tap)


def _tiles_in_order(weights: WeightLayout, most: int) -> Iterator[GradientTile]:
    """Yield those that cover sums which follow one another in memory."""
    vectors = max(weights.blocks)
    room = max(1, most // vectors)
    for channels in range(1, min(room, weights.reduction) + 1):
        yield GradientTile(vectors, channels, 1)
    for taps in range(2, min(room // weights.reduction, weights.taps) + 1):
        yield GradientTile(vectors, weights.reduction, taps)


def _gradient_cost(  # noqa: PLR0917 - what the tile is chosen for
    tile: GradientTile,
    per_part: int,
    blocks: tuple[int, ...],
    reduction: int,
    taps: int,
    target: Target,
) -> float:
    """Return the cost of one position for all weights."""
    parts = -(-taps // tile.taps)
    channel_tiles = [tile.channels] * (reduction // tile.channels)
    if reduction % tile.channels:
        channel_tiles.append(reduction % tile.channels)
    total = 0.0
    waiting = FMA_LATENCY if target.vector_bytes == 64 else 2 * FMA_LATENCY
    for size in blocks:
        vectors = [tile.vectors] * (size // tile.vectors)
        if size % tile.vectors:
            vectors.append(size % tile.vectors)
        for v, (c, count) in itertools.product(vectors, _counted(channel_tiles)):
            products = v * c * per_part
            loads = v + c * per_part / (2 if target.registers > 16 else 1)
            total += parts * count * (max(products, loads, waiting) + 1.5)
    return total


def depthwise_columns(target: Target) -> int:
    """Return how many positions a depthwise tile covers."""
    return 8 if target.registers > 16 else 6


def depthwise_taps(target: Target) -> int:
    """Return how many taps a depthwise weight gradient sums at a time."""
    return 16 if target.registers > 16 else 8


def convoy_size(bytes_per_sample: int, tile_samples: int, streamed_bytes: int = 0) -> int:
    """Return how many samples pass through a segment together.

    As many as keep the segment's activations in a share of the second-level cache, at least one;
    a multiple of the samples that dense layers take at a time, unless those would spill far.
    Unshared weights, of which a sample uses each once, are read anew for every convoy: there are
    as many samples as make the activations outweigh them.
    """
    size = int(L2_BYTES * CONVOY_SHARE / max(bytes_per_sample, 1))
    size = max(1, min(size, MOST_CONVOY))
    if streamed_bytes:
        wanted = max(tile_samples, -(-streamed_bytes // max(bytes_per_sample, 1)))
        affordable = max(1, STREAMING_ARENA // max(bytes_per_sample, 1))
        size = max(size, min(wanted, affordable, MOST_CONVOY))
    if size >= tile_samples:
        return size // tile_samples * tile_samples
    if tile_samples * bytes_per_sample <= SPILL * L2_BYTES:
        return tile_samples
    # A part of a tile is computed in tiles of half the size, and so on.
    return 1 << (size.bit_length() - 1)


def chunk_samples(
    parameters: int, sums: int, multiply_adds: int, tile_samples: int
) -> tuple[int, int]:
    """Return the fewest samples that are worth a chunk of their own, and those of small batches.

    Where the parameters alone ask for several samples, dense layers are heavy, and chunks fill
    their tiles; a batch that does not make two such chunks is cut into those that fill a quarter.

    Parameters
    ----------
    parameters, sums : int
        Elements of the gradients, and the most of them in the domain of a form.
    multiply_adds : int
        Those of a sample's forward pass.
    tile_samples : int
        Samples that a dense layer takes at a time.
    """

    def worth(elements: int) -> int:
        samples = -(-SUMS_PER_PRODUCT * elements // max(multiply_adds, 1))
        return min(max(samples, 1), MOST_CHUNK_SAMPLES)

    dense, small = worth(parameters), worth(sums)
    if dense == 1:
        return small, small
    full = -(-max(dense, small) // tile_samples) * tile_samples
    return full, max(small, tile_samples // SMALL_TILES)


def chunk_limit(parameter_bytes: int) -> int:
    """Return the most chunks that a batch is cut into, by the bytes of a set of gradients."""
    chunks = MOST_CHUNKS
    while chunks > 2 and chunks * parameter_bytes > CHUNK_BYTES:
        chunks //= 2
    return chunks
