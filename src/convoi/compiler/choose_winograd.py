"""The choice of Winograd's forms: where they pay, in which blocks and tiles.

The answer depends on shapes alone, so that layouts (whose halos must reach to the end of the last
tiles) and kernels agree on it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convoi.compiler.choose import (
    MOST_POSITIONS,
    Slot,
    blocks_for,
    gradient_tile,
    lanes_for,
    tile_cost,
)
from convoi.kernels.winograd import ProductTile
from convoi.kernels.winograd_forms import FORMS, TAPS
from convoi.kernels.winograd_tiles import Tiling

if TYPE_CHECKING:
    from convoi.codegen.target import Target
    from convoi.kernels.weight_gradient import GradientTile
    from convoi.ops import Conv

LEAST_CHANNELS = 16
"""Transforms cost as much as so many channels' products save."""
MOST_SUMMED = 512
"""Input channels up to which the error of F(4, 3) stays below 2e-5 of the largest output (measured:
3e-6 for 16 channels, 1e-5 for 256); beyond, F(2, 3) is used."""
TRANSFORM_COST = 8.0
"""Cycles to transform one position of one vector, in either direction (measured)."""
MARGIN = 1.15
"""How much cheaper than the direct kernel it has to be."""
BLOCK_BYTES = 96 * 1024
"""Scratch memory of a block where all transformed weights fit the second-level cache."""
LARGE_BLOCK_BYTES = 1 << 20
"""The same where they do not, and each pass over them should serve many tiles."""
CACHED_WEIGHTS = 512 * 1024
LEAST_TILES = 16
MOST_TILES = 64
MOST_GRADIENT_BYTES = 1 << 20
"""Bytes of a chunk's sums of transformed gradients; larger ones cost more in memory traffic than
they save in products."""


@dataclass(frozen=True)
class WinogradChoice:
    """How a convolution, or its gradient, is computed."""

    tiling: Tiling
    product: ProductTile
    offset: tuple[int, ...]


def forward_choice(
    conv: Conv, input_shape: tuple[int, ...], dtype: str, target: Target
) -> WinogradChoice | None:
    """Return the choice for a forward pass, None if the direct kernel is better."""
    outputs = conv.infer_shape(input_shape)
    offset = tuple(-low for low, _ in conv.padding)
    return _choice(conv, input_shape[0], outputs, offset, dtype, target)


def backward_choice(
    conv: Conv, input_shape: tuple[int, ...], dtype: str, target: Target
) -> WinogradChoice | None:
    """Return the choice for the gradient with respect to an input of this shape."""
    offset = tuple(low - (TAPS - 1) for low, _ in conv.padding)
    return _choice(conv, conv.filters, input_shape, offset, dtype, target)


@dataclass(frozen=True)
class WinogradGradientChoice:
    """How the gradient of the weights is computed."""

    tiling: Tiling
    offset: tuple[int, ...]
    tile: GradientTile


def gradient_choice(
    conv: Conv, input_shape: tuple[int, ...], dtype: str, target: Target
) -> WinogradGradientChoice | None:
    """Return the choice for the gradient of the weights; only where the forward pass has one."""
    forward = forward_choice(conv, input_shape, dtype, target)
    if forward is None:
        return None
    tiling = forward.tiling
    channels, filters = input_shape[0], conv.filters
    if 4 * tiling.positions * channels * filters > MOST_GRADIENT_BYTES:
        return None
    per_tile = 4 * tiling.positions * (channels + filters)
    wanted = max(LEAST_TILES, BLOCK_BYTES // per_tile)
    tile = gradient_tile(forward.product.blocks, channels, 1, 1, target)
    return WinogradGradientChoice(
        _tiling(tiling.form, tiling.spatial, wanted), forward.offset, tile
    )


def gradient_halo(choice: WinogradGradientChoice) -> tuple[tuple[int, int], ...]:
    """Return the halo that the gradient of the output needs: to the end of the last tiles."""
    form = choice.tiling.form
    return tuple((0, -(-extent // form) * form - extent) for extent in choice.tiling.spatial)


def _choice(  # noqa: PLR0917 - what a convolution consists of
    conv: Conv,
    channels: int,
    outputs: tuple[int, ...],
    offset: tuple[int, ...],
    dtype: str,
    target: Target,
) -> WinogradChoice | None:
    filters, *spatial = outputs
    rank = len(spatial)
    applies = (
        dtype == "float32"
        and rank in {1, 2}
        and conv.kernel == (TAPS,) * rank
        and conv.stride == (1,) * rank
        and conv.dilation == (1,) * rank
        and conv.groups == 1
        and min(channels, filters) >= LEAST_CHANNELS
        and all(0 <= -o < TAPS for o in offset)
    )
    if not applies:
        return None
    lanes = lanes_for(filters, dtype, target)
    vectors = -(-filters // lanes)
    direct = math.prod(spatial) * TAPS**rank * channels * vectors
    best: tuple[float, int] | None = None
    for form in FORMS if channels <= MOST_SUMMED else (2,):
        tiles = math.prod(-(-extent // form) for extent in spatial)
        positions = FORMS[form].size ** rank
        inputs = -(-channels // lanes)
        transforms = TRANSFORM_COST * positions * (inputs + vectors)
        cost = tiles * (positions * channels * vectors + transforms)
        if cost * MARGIN < direct and (best is None or cost < best[0]):
            best = (cost, form)
    if best is None:
        return None
    form = best[1]
    tiling = _tiling(form, tuple(spatial), _block_tiles(form, rank, channels, filters))
    return WinogradChoice(tiling, _product(tiling.block, vectors, lanes, target), offset)


def _block_tiles(form: int, rank: int, channels: int, filters: int) -> int:
    """Return how many tiles a block should have."""
    positions: int = FORMS[form].size ** rank
    per_tile = 4 * positions * (channels + filters)
    if 4 * positions * channels * filters <= CACHED_WEIGHTS:
        return max(4, min(BLOCK_BYTES // per_tile, MOST_TILES))
    return max(LEAST_TILES, min(LARGE_BLOCK_BYTES // per_tile, MOST_TILES))


def _tiling(form: int, spatial: tuple[int, ...], wanted: int) -> Tiling:
    """Return blocks of about so many tiles, as equal as the grid allows."""
    rows, columns = Tiling(form, spatial).tiles
    if columns >= wanted:
        return Tiling(form, spatial, columns=_part(columns, wanted))
    if rows * columns >= wanted:
        return Tiling(form, spatial, rows=_part(rows, wanted // columns), columns=columns)
    samples = max(1, wanted // (rows * columns))
    return Tiling(form, spatial, samples=samples, rows=rows, columns=columns)


def _part(count: int, wanted: int) -> int:
    """Return the size of the parts, none larger than wanted, that a count is cut into."""
    parts = -(-count // max(wanted, 1))
    return -(-count // parts)


def _product(tiles: int, vectors: int, lanes: int, target: Target) -> ProductTile:
    """Return the register tile of the products."""
    slot = Slot(4 * lanes, target)
    best: tuple[float, ProductTile] | None = None
    for size, most in MOST_POSITIONS[target.registers].items():
        if size > vectors:
            continue
        blocks = blocks_for(vectors, size)
        for step in range(1, min(most, tiles) + 1):
            whole, rest = divmod(tiles, step)
            cost = sum(
                whole * tile_cost(block, step, slot)
                + (tile_cost(block, rest, slot) if rest else 0.0)
                for block in blocks
            )
            if best is None or cost < best[0] - 1e-9:
                best = (cost, ProductTile(blocks, step))
    if best is None:  # pragma: no cover - one vector always fits
        message = "a product without output channels"
        raise ValueError(message)
    return best[1]
