"""The choice of forms of fast convolution: where they pay, in which blocks and tiles.

The answer depends on shapes alone, so that layouts (whose halos must reach to the end of the last
tiles) and kernels agree on it.

Figures below are GFLOP/s on one core of a Zen 4 with vectors of 64 bytes, counting the products
that a direct kernel takes; direct kernels reach 100 to 120 there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from convoi.compiler import tuned
from convoi.compiler.choose import (
    MOST_POSITIONS,
    Slot,
    blocks_for,
    lanes_for,
    tile_cost,
)
from convoi.kernels.fast_correlate import ProductTile
from convoi.kernels.forms import form_named, fourier_name
from convoi.kernels.tiling import Tiling
from convoi.kernels.weight_gradient import GradientTile
from convoi.kernels.winograd_forms import WINOGRAD_FORMS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.codegen.target import Target
    from convoi.kernels.transforms import Form
    from convoi.ops import Conv

LEAST_CHANNELS = 5
"""Of inputs and outputs. Fewer gain little (4 of 32x32 to 8: 1.36), and the input of a network may
then lie without padding, which the transforms rely on."""
POSITION_COST = 0.65
"""Cycles that loads and stores of a transform add to its arithmetic, per transformed position of a
tile (measured: 16, 32, 64 channels of 32x32, 16x16, 8x8)."""
MOST_AXES = {"F(6,3)": 1, "F(6,5)": 1, "F(8,3)": 1}
"""Forms that would round too much along two axes (1e-5 of the largest output)."""
MOST_CHANNELS = {"F(4,5)": 128, "F(5,3)": 128}
"""Channels that a form may sum over along two axes, for the same reason (F(4,5) of 16, 64, 256:
3e-6, 6e-6, 1.2e-5; F(5,3) of 64, 128, 256: 4e-6, 6e-6, 8e-6)."""
SPECTRA = {1: ((16, 24, 32, 48, 64, 96, 128, 192, 256), 6), 2: ((12, 16), 6)}
"""By the axes of a kernel: the points of Fourier transforms along each, and the least taps.

A step of training, in ms: 32 channels of 1000 positions to 32, 40 taps, 64 points 7.0, 96 4.7, 128
4.8, 192 6.2, 256 6.8; in Winograd's forms, of parts of the kernel, 13.9. 7x7, 32 channels of 56x56
to 32, direct 66 (predictions 21), 12 points 22 (6.3), 16 points 19 (4.9); 11x11, 16 channels of
64x64 to 16, direct 52 (17), 16 points 16 (4.6); 5x5, 256 channels of 28x28 to 64, F(2,5) 55 (19),
12 points 67 (29). The code of many points fills the caches, and takes long to be compiled: 5 s for
256, or for 16 along two axes."""
NO_SPECTRA: tuple[tuple[int, ...], int] = ((), 0)
MOST_POINTS_PER_TAP = 2
LARGE_ENOUGH = 96
"""More points than both of these are not tried: they gain little."""
LEAST_OUTPUTS = 0.25
"""Least share of a tile's points that become outputs."""
DIRECT = "direct"
"""What the kernel that sums products is called among the forms."""
MARGIN = 1.15
"""How much cheaper than the direct kernel it has to be."""
LEAST_UNITS = 2
"""Units of work of a sample that threads may share, if there are enough vectors of channels."""
SAMPLES = 2
"""Samples that pass a layer together, as its choice assumes: a convoy of a deep network has one to
three."""


@dataclass(frozen=True)
class WeightMemory:
    """What reading the transformed weights costs where they lie."""

    most: float
    """Their bytes, at most."""
    cycles: float
    """To read a vector, which go by while so many multiply-adds do."""
    tiles: int
    """The least tiles of a block, which read a vector together."""


WEIGHT_MEMORY = (
    WeightMemory(512 * 1024, 1.0, 4),
    WeightMemory(16 << 20, 3.0, 10),
    WeightMemory(math.inf, 8.5, 16),
)
"""The second and third level of the cache, and memory. In GFLOP/s for blocks of 4, 8, 16, 32 tiles,
64 channels of 14x14: 308, 305, 305, 302; 256 of 14x14: 307, 310, 299, 287; 512 of 4x4: 235, 339,
357 (16 tiles). Of 19 tiles along one axis, 256 channels to 128, 7 at a time leave 3 and 1 to read
each vector of weights again: 199; 10 at a time, 5 and 5, 212. Cycles: a tile at a time, 256 and 512
channels of 4x4."""
BLOCK_BYTES = 96 * 1024
"""Scratch memory of a block, if that leaves enough tiles. 16 channels of 32x32, blocks of 4, 8, 16,
64 tiles (22, 40, 76, 292 KiB): 296, 301, 291, 279; 32 channels of 16x16: 360, 362, 355, 338."""
MOST_TILES = 32
GRADIENT_BLOCK_BYTES = 600 * 1024
"""Scratch memory of a block of the weight gradient, which reads and writes the sums once per block
(64 channels of 14x14, 4 to 32 tiles: 252, 275, 294, 302; 128 of 16x16: 340, 370, 409, 390; 256 of
14x14, where 16 tiles take 1.1 MiB: 233, 267, 156)."""
MOST_GRADIENT_TILES = 24
"""More gain nothing (64 channels of 56x56, 7 to 42 tiles: 356, 381, 380, 384)."""
PREFERRED_VECTORS = {32: (4, 3, 2, 1), 16: (3, 2, 4, 1)}
"""Vectors of output channels of a product's register tile, by the number of registers, in the order
in which they are taken where the cost model sees no difference: those that serve the weight
gradient, and read the transformed inputs less often, come first."""
NOTICED = 0.98
"""Ratio of costs from which a tile is taken for the better one."""
GRADIENT_CHANNELS = {32: {1: 12, 2: 6, 3: 4, 4: 4}, 16: {1: 8, 2: 4, 3: 3, 4: 2}}
"""Input channels of the weight gradient's register tile, by the number of registers, then by the
vectors of output channels. More accumulators would fit, but make it slower. 32 registers, 128
channels of 16x16: 3x4 389, 3x6 351, 4x4 409, 4x6 381, 1x12 346, 2x6 333, 2x12 354; 256 of 14x14:
1x12 197, 1x16 120, 2x6 217, 2x12 172, 4x4 267. 16 registers, 64 channels of 14x14: 1x8 237, 2x4
262, 3x3 253, 4x2 255, 4x3 175."""
MOST_GRADIENT_BYTES = 10 << 20
"""Bytes of a chunk's sums of transformed gradients. Those of 256 channels (9.4 MB) pay with 4x4
positions and one sample at a time already: 157 against 101. Those of 512 (38 MB) are summed at 90
to 230 against 96, and take as much memory per chunk."""


@dataclass(frozen=True)
class FastChoice:
    """How a convolution, or its gradient, is computed."""

    tiling: Tiling
    product: ProductTile
    offset: tuple[int, ...]


def forward_choice(
    conv: Conv, input_shape: tuple[int, ...], dtype: str, target: Target
) -> FastChoice | None:
    """Return the choice for a forward pass, None if the direct kernel is better."""
    outputs = conv.infer_shape(input_shape)
    offset = tuple(-low for low, _ in conv.padding)
    return _choice(conv, input_shape[0], outputs, offset, dtype, target)


def backward_choice(
    conv: Conv, input_shape: tuple[int, ...], dtype: str, target: Target
) -> FastChoice | None:
    """Return the choice for the gradient with respect to an input of this shape."""
    axes = zip(conv.padding, conv.kernel, conv.dilation, strict=True)
    offset = tuple(low - (taps - 1) * apart for (low, _), taps, apart in axes)
    return _choice(conv, conv.filters, input_shape, offset, dtype, target)


@dataclass(frozen=True)
class FastGradientChoice:
    """How the gradient of the weights is computed."""

    tiling: Tiling
    offset: tuple[int, ...]


def gradient_choice(
    conv: Conv, input_shape: tuple[int, ...], dtype: str, target: Target
) -> FastGradientChoice | None:
    """Return the choice for the gradient of the weights; only where the forward pass has one."""
    forward = forward_choice(conv, input_shape, dtype, target)
    if forward is None:
        return None
    if tuned.chosen(gradient_signature(conv, input_shape, forward.tiling.form)) == DIRECT:
        return None
    filters, rank = conv.filters, len(forward.tiling.axes)
    channels = forward.tiling.stacked * input_shape[0]
    form = forward.tiling.form
    if _sums(form, rank, channels, filters) > MOST_GRADIENT_BYTES:
        outputs = conv.infer_shape(input_shape)
        costs = form_costs(conv, input_shape[0], outputs, forward.offset, dtype, target) or {}
        paying = {n: c for n, c in costs.items() if n != DIRECT and MARGIN * c <= costs[DIRECT]}
        small = (n for n in paying if _sums(n, rank, channels, filters) <= MOST_GRADIENT_BYTES)
        form = min(small, key=lambda name: paying[name], default=DIRECT)
    if form == DIRECT:
        return None
    per_tile = 4 * form_named(form).size ** rank * (channels + filters)
    wanted = max(1, min(GRADIENT_BLOCK_BYTES // per_tile, MOST_GRADIENT_TILES))
    return FastGradientChoice(_tiling(replace(forward.tiling, form=form), wanted), forward.offset)


def _sums(form: str, rank: int, channels: int, filters: int) -> int:
    """Return the bytes of the sums of transformed gradients."""
    return int(4 * form_named(form).size ** rank * channels * filters)


def gradient_signature(conv: Conv, input_shape: tuple[int, ...], form: str) -> str:
    """Return what the choice between a form and the direct gradient depends on, as a text."""
    outputs = conv.infer_shape(input_shape)
    offset = tuple(-low for low, _ in conv.padding)
    return form_signature(conv, input_shape[0], outputs, offset).replace("form", f"weights {form}")


def gradient_tile(blocks: tuple[int, ...], channels: int, target: Target) -> GradientTile:
    """Return the register tile of a weight gradient whose weights lie in these blocks."""
    vectors = max(blocks)
    return GradientTile(vectors, min(GRADIENT_CHANNELS[target.registers][vectors], channels), 1)


def gradient_halo(choice: FastGradientChoice) -> tuple[tuple[int, int], ...]:
    """Return the halo that the gradient of the output needs: to the end of the last tiles."""
    pairs = zip(choice.tiling.spatial, choice.tiling.covered, strict=True)
    return tuple((0, covered - extent) for extent, covered in pairs)


def _choice(  # noqa: PLR0917 - what a convolution consists of
    conv: Conv,
    channels: int,
    outputs: tuple[int, ...],
    offset: tuple[int, ...],
    dtype: str,
    target: Target,
) -> FastChoice | None:
    costs = form_costs(conv, channels, outputs, offset, dtype, target)
    if costs is None:
        return None
    measured = tuned.chosen(form_signature(conv, channels, outputs, offset))
    if measured in costs:
        form = measured
    else:
        form = min(costs, key=lambda name: costs[name] * (1 if name == DIRECT else MARGIN))
    if form == DIRECT:
        return None
    filters, *spatial = outputs
    whole = _uncut(form, spatial, conv)
    stacked = whole.stacked * channels
    tiling = _tiling(whole, _block_tiles(form, len(whole.axes), stacked, filters))
    lanes = lanes_for(filters, dtype, target)
    product = _product(tiling.block, -(-filters // lanes), lanes, target)
    return FastChoice(tiling, product, offset)


def form_signature(
    conv: Conv, channels: int, outputs: tuple[int, ...], offset: tuple[int, ...]
) -> str:
    """Return what the choice of a form depends on besides the target, as a text."""
    filters, *spatial = outputs
    apart = "" if max(conv.dilation, default=1) == 1 else f", {list(conv.dilation)} apart"
    kernel = f"kernel {list(conv.kernel)}{apart} from {list(offset)}"
    return f"form {channels}>{filters} {spatial} {kernel}"


def form_costs(  # noqa: PLR0917 - what a convolution consists of
    conv: Conv,
    channels: int,
    outputs: tuple[int, ...],
    offset: tuple[int, ...],
    dtype: str,
    target: Target,
) -> dict[str, float] | None:
    """Return the cycles that a sample takes directly and by each form, None if no form serves."""
    filters, *spatial = outputs
    plain, stack, taps = _axes(conv)
    rank = len(plain) - sum(plain)
    forms = _forms(taps, rank, channels * math.prod(stack))
    applies = (
        bool(forms)
        and dtype == "float32"
        and set(conv.stride) == {1}
        and conv.groups == 1
        and min(channels, filters) >= LEAST_CHANNELS
        and all(
            0 <= -o <= (extent - 1) * apart
            for o, extent, apart in zip(offset, conv.kernel, conv.dilation, strict=True)
        )
    )
    if not applies:
        return None
    lanes = lanes_for(filters, dtype, target)
    vectors = -(-filters // lanes)
    direct = math.prod(spatial) * math.prod(conv.kernel) * channels * vectors
    return {DIRECT: float(direct)} | {
        name: _cost(_uncut(name, spatial, conv), channels, vectors, lanes) for name in forms
    }


def _axes(conv: Conv) -> tuple[tuple[bool, ...], tuple[int, ...], int]:
    """Return which axes are not transformed, the taps that are stacked, and those of the others.

    The last two axes are transformed, the last one alone if they have different taps.
    """
    kernel = conv.kernel
    *leading, last = kernel or (1,)
    plain, stack = [True] * len(leading) + [False], [*leading, 1]
    if leading and last in {1, leading[-1]}:
        plain[-2:], stack[-2:] = [False, last == 1 < leading[-1]], [1, 1]
    taps = max((extent for extent, one in zip(kernel, plain, strict=False) if not one), default=1)
    return tuple(plain), tuple(stack), taps


def _forms(taps: int, rank: int, channels: int) -> list[str]:
    """Return the names of the forms that have kernels with so many taps along each axis."""
    found = [name for name in WINOGRAD_FORMS if _serves(name, taps, rank, channels)]
    points, least = SPECTRA.get(rank, NO_SPECTRA)
    if taps >= least:
        most = max(LARGE_ENOUGH, MOST_POINTS_PER_TAP * taps)
        sizes = (n for n in points if n <= most and n - taps + 1 >= n * LEAST_OUTPUTS)
        found += [fourier_name(n, taps) for n in sizes]
    return found


def _serves(name: str, taps: int, rank: int, channels: int) -> bool:
    """Tell whether a form has kernels with so many taps along each axis, and rounds little."""
    if WINOGRAD_FORMS[name].taps != taps or rank > MOST_AXES.get(name, rank):
        return False
    return rank == 1 or channels <= MOST_CHANNELS.get(name, channels)


def _cost(tiling: Tiling, channels: int, vectors: int, lanes: int) -> float:
    """Return the cycles that a sample takes."""
    form = form_named(tiling.form)
    rank, stacked = len(tiling.axes), tiling.stacked
    tiles = tiling.grids * math.prod(tiling.tiles)
    positions = int(form.size**rank)
    weights = positions * stacked * channels * vectors
    reading = _memory(4 * weights * lanes).cycles / SAMPLES
    # Spectra have many weights for few products, which do not hide what reading them takes.
    hidden = form.size == form.reach
    products = (max(tiles, reading) if hidden else tiles + reading) * weights
    transforms = _transform_cost(form, rank, form.reach, form.operations[0])
    transforms *= stacked * -(-channels // lanes)
    transforms += _transform_cost(form, rank, form.outputs, form.operations[1]) * vectors
    return products + tiles * transforms


def _transform_cost(form: Form, rank: int, size: int, operations: float) -> float:
    """Return the cycles of a tile's transform, per vector; ``size`` is of a line of the grid."""
    lines = sum(int(form.size**axis * size ** (rank - 1 - axis)) for axis in range(rank))
    return lines * operations + POSITION_COST * int(form.size**rank)


def _memory(size: int) -> WeightMemory:
    """Return where transformed weights of so many bytes lie."""
    return next(memory for memory in WEIGHT_MEMORY if size <= memory.most)


def _block_tiles(form: str, rank: int, channels: int, filters: int) -> int:
    """Return how many tiles a block should have."""
    positions = int(form_named(form).size ** rank)
    per_tile = 4 * positions * (channels + filters)
    least = _memory(4 * positions * channels * filters).tiles
    return max(least, min(BLOCK_BYTES // per_tile, MOST_TILES))


def _uncut(form: str, spatial: Sequence[int], conv: Conv) -> Tiling:
    """Return the tiles of a form, a block each."""
    plain, stack, _ = _axes(conv)
    return Tiling(form, tuple(spatial), dilation=conv.dilation, plain=plain, stack=stack)


def _tiling(tiling: Tiling, wanted: int) -> Tiling:
    """Return a tiling with blocks of about so many tiles, as equal as the grid allows."""
    rows, columns = tiling.tiles
    if columns >= wanted:
        return replace(tiling, samples=1, rows=1, columns=_part(columns, wanted))
    if rows * columns >= wanted:
        rows = _part(rows, wanted // columns)
        return replace(tiling, samples=1, rows=rows, columns=columns)
    samples = max(1, wanted // (rows * columns))
    return replace(tiling, samples=samples, rows=rows, columns=columns)


def _part(count: int, wanted: int) -> int:
    """Return the size of the parts, none larger than wanted, that a count is cut into."""
    parts = -(-count // max(wanted, 1))
    return -(-count // parts)


def shared_choice(choice: FastChoice, target: Target, lanes: int) -> FastChoice:
    """Return a choice whose units threads can share: with narrower blocks of channels if need be.

    Threads share the strips of a sample, and the blocks of channels in each.
    """
    blocks, strips = choice.product.blocks, choice.tiling.strips
    vectors = sum(blocks)
    wanted = -(-LEAST_UNITS // strips)
    if len(blocks) >= wanted or vectors == 1:
        return choice
    most = max(1, vectors // wanted)
    return replace(choice, product=_product(choice.tiling.block, vectors, lanes, target, most))


def _product(
    tiles: int, vectors: int, lanes: int, target: Target, most_vectors: int = 4
) -> ProductTile:
    """Return the register tile of the products."""
    slot = Slot(4 * lanes, target)
    best: tuple[float, ProductTile] | None = None
    for size in PREFERRED_VECTORS[target.registers]:
        if size > min(vectors, most_vectors):
            continue
        most = MOST_POSITIONS[target.registers][size]
        step = _part(tiles, most)
        whole, rest = divmod(tiles, step)
        blocks = blocks_for(vectors, size)
        cost = sum(
            whole * tile_cost(block, step, slot) + (tile_cost(block, rest, slot) if rest else 0.0)
            for block in blocks
        )
        if best is None or cost < NOTICED * best[0]:
            best = (cost, ProductTile(blocks, step))
    if best is None:  # pragma: no cover - one vector always fits
        message = "a product without output channels"
        raise ValueError(message)
    return best[1]
