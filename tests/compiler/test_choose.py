"""Choices: within the limits of the machine, and the same every time."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convoi.codegen.target import Target
from convoi.compiler import choose
from convoi.compiler.layouts import forward_axes
from convoi.kernels.correlate import Tile
from convoi.kernels.layout import Layout
from convoi.kernels.weights import WeightLayout
from tests.cases import conv
from tests.strategies import convolutions, input_shapes

WIDTHS = {16: 16, 32: 16, 64: 32}
"""Vector registers by bytes of a vector."""
TARGETS = [Target("x86_64-linux", "any", "", size, number) for size, number in WIDTHS.items()]
EACH_TARGET = pytest.mark.parametrize("target", TARGETS, ids=lambda t: f"{t.vector_bytes} bytes")


@EACH_TARGET
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(channels=st.integers(1, 300))
def test_lanes_are_a_width_of_the_target(target: Target, dtype: str, channels: int) -> None:
    lanes = choose.lanes_for(channels, dtype, target)
    assert lanes in target.widths(dtype)
    narrower = [width for width in target.widths(dtype) if width < lanes]
    # No vector would be left over with a narrower one.
    assert all(width < channels for width in narrower)


@EACH_TARGET
def test_many_channels_use_the_widest_vectors(target: Target) -> None:
    widest = target.lanes("float32")
    assert choose.lanes_for(16 * widest, "float32", target) == widest


@given(vectors=st.integers(1, 50), size=st.integers(1, 8))
def test_blocks_cover_the_vectors(vectors: int, size: int) -> None:
    blocks = choose.blocks_for(vectors, size)
    assert sum(blocks) == vectors
    assert all(block == size for block in blocks[:-1])
    assert 0 < blocks[-1] <= size


@st.composite
def correlations(draw: st.DrawFn):
    shape = draw(input_shapes())
    op = draw(convolutions(shape))
    return op, shape


def output_layout(op, shape, target: Target) -> Layout:
    channels, *spatial = op.infer_shape(shape)
    lanes = choose.lanes_for(channels, "float32", target)
    return Layout(channels, tuple(spatial), lanes, "float32")


@EACH_TARGET
@settings(max_examples=40)
@given(case=correlations())
def test_tiles_of_convolutions_fit_the_registers_and_the_output(target: Target, case) -> None:
    op, shape = case
    y, axes = output_layout(op, shape, target), forward_axes(op, shape[1:])
    choice = choose.correlate_choice(y, axes, target)
    assert choice == choose.correlate_choice(y, axes, target)
    assert sum(choice.blocks) == y.blocks
    tile = choice.tile
    assert tile.positions <= choose.MOST_POSITIONS[target.registers][max(choice.blocks)]
    rows, columns = (1, 1, *y.spatial)[-2:]
    assert tile.rows <= rows
    assert tile.columns <= columns
    assert tile.samples == 1 or rows * columns == 1


@EACH_TARGET
@given(
    blocks=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    reduction=st.integers(1, 200),
    kernel=st.lists(st.integers(1, 7), max_size=2),
    positions=st.sampled_from([1, 15, 16, 400]),
)
def test_tiles_of_weight_gradients_fit_the_registers(
    target: Target, blocks: list[int], reduction: int, kernel: list[int], positions: int
) -> None:
    taps = math.prod(kernel)
    weights = WeightLayout(sum(blocks) * 4, reduction, taps, 1, 4, tuple(blocks))
    given = (weights, tuple(kernel), positions, target)
    tile = choose.gradient_tile(*given)
    assert tile == choose.gradient_tile(*given)
    if positions == 1:
        assert tile.vectors == max(blocks)
        assert tile.taps == 1 or tile.channels == reduction
    assert 1 <= tile.channels <= reduction
    assert 1 <= tile.vectors <= max(blocks)
    assert tile.taps >= 1
    at_once = -(-taps // -(-taps // tile.taps))
    assert tile.vectors * tile.channels * at_once <= choose.MOST_ACCUMULATORS[target.registers]


@given(bytes_=st.integers(0, 1 << 30), tile=st.sampled_from([1, 2, 4, 8, 16]))
def test_convoys_fit_the_cache_or_serve_a_tile(bytes_: int, tile: int) -> None:
    convoy = choose.convoy_size(bytes_, tile)
    assert 1 <= convoy <= choose.MOST_CONVOY
    if convoy > 1:
        assert convoy * bytes_ <= choose.SPILL * choose.L2_BYTES
    if convoy > tile:
        assert convoy % tile == 0


def test_larger_activations_never_have_larger_convoys() -> None:
    sizes = [choose.convoy_size(1 << bits, 8) for bits in range(28)]
    assert sizes == sorted(sizes, reverse=True)


@given(
    parameters=st.integers(0, 10**9),
    more=st.integers(0, 10**9),
    multiply_adds=st.integers(0, 10**12),
    tile=st.sampled_from([1, 2, 4, 8, 16]),
)
def test_chunks_are_whole_tiles_where_dense_layers_are_heavy(
    parameters: int, more: int, multiply_adds: int, tile: int
) -> None:
    samples, small = choose.chunk_samples(parameters, parameters + more, multiply_adds, tile)
    assert 1 <= small <= samples <= choose.MOST_CHUNK_SAMPLES
    if choose.SUMS_PER_PRODUCT * parameters > multiply_adds:
        assert samples % tile == 0
        assert small >= tile // choose.SMALL_TILES
    else:
        assert small == samples
    assert samples * multiply_adds >= choose.SUMS_PER_PRODUCT * (parameters + more) or (
        samples == choose.MOST_CHUNK_SAMPLES
    )


@given(bytes_=st.integers(0, 1 << 40))
def test_sums_of_chunks_take_bounded_memory_but_two_chunks_there_are(bytes_: int) -> None:
    chunks = choose.chunk_limit(bytes_)
    assert 2 <= chunks <= choose.MOST_CHUNKS
    assert chunks == 2 or chunks * bytes_ <= choose.CHUNK_BYTES


def test_a_dense_layer_takes_several_samples_at_a_time() -> None:
    op = conv(64, ())
    y = output_layout(op, (100,), TARGETS[1])
    choice = choose.correlate_choice(y, forward_axes(op, ()), TARGETS[1])
    assert choice.tile.samples > 1
    assert choice.tile.positions == choice.tile.samples


def test_convoys_outweigh_unshared_weights_that_each_of_them_reads_anew() -> None:
    assert choose.convoy_size(300_000, 8) == 1
    assert choose.convoy_size(300_000, 8, streamed_bytes=100_000) == 8
    assert choose.convoy_size(300_000, 8, streamed_bytes=14_000_000) == 40
    assert choose.convoy_size(300_000, 8, streamed_bytes=10**9) == choose.MOST_CONVOY
    assert choose.convoy_size(10**8, 8, streamed_bytes=10**9) == 1


@pytest.mark.parametrize(
    ("taps", "stride", "registers", "once"),
    [(5, 1, 16, True), (5, 1, 15, False), (1, 1, 32, False), (3, 3, 32, False), (3, 2, 32, True)],
)
def test_taps_share_loaded_values_that_meet_several_if_their_weights_fit(
    taps: int, stride: int, registers: int, *, once: bool
) -> None:
    axes = forward_axes(conv(8, (1, taps), stride=(1, stride)), (4, 40))
    choice = choose.CorrelateChoice((1,), Tile(columns=10))
    target = Target("x86_64-linux", "any", "", 64, registers)
    assert choose.loads_values_once(axes, choice, target) is once
