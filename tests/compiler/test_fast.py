"""Fast convolutions in programs: where they are used, and what they compute."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convoi import ops
from convoi.codegen.target import Target
from convoi.compiler import InferenceProgram, StepSettings, TrainingProgram, UpdateRule, choose
from convoi.compiler.choose_fast import (
    LEAST_CHANNELS,
    FastChoice,
    backward_choice,
    forward_choice,
    gradient_choice,
    gradient_halo,
    gradient_tile,
)
from convoi.compiler.layouts import place_values
from convoi.compiler.pipeline import compile_inference, compile_training
from convoi.compiler.tasks import fuse
from convoi.graph import INPUT, TARGET, WEIGHT, Builder, Graph, differentiate
from convoi.kernels.forms import form_named
from convoi.runtime import program as runtime_program
from convoi.runtime.buffers import aligned_zeros
from tests.cases import conv
from tests.compiler.graphs import (
    example,
    expected_training,
    network,
    on_cpu,
    program_gradients,
    relative_error,
    same_conv,
)
from tests.kernels.harness import ALL_TARGETS, target_named

if TYPE_CHECKING:
    from collections.abc import Iterator

PROMISED = 1e-5
SSE = Target("x86_64-linux", "any", "", 16, 16)
AVX512 = Target("x86_64-linux", "any", "", 64, 32)
TARGETS = [SSE, Target("x86_64-linux", "any", "", 32, 16), AVX512]
EACH_TARGET = pytest.mark.parametrize("target", TARGETS, ids=lambda t: f"{t.vector_bytes} bytes")


def kernels(graph: Graph, *, dtype: str = "float32", fast: bool = True) -> set[str]:
    """Return the names of the kernels of both programs of a network."""
    target = target_named("x86-64-v3")
    loss = ops.MeanSquaredError()
    compiled = [
        compile_inference(graph, dtype, target, fast=fast, link=False),
        compile_training(graph, loss, dtype, target, augment=False, fast=fast, link=False),
    ]
    calls = [call for c in compiled for segment in c.plan.segments for call in segment.calls]
    return {call.kernel for call in calls}


def residual(
    shape: tuple[int, ...], filters: int, taps: int | tuple[int, ...], *, flip: bool, dilation=1
) -> Graph:
    """Return a network whose convolutions have epilogues of all kinds, without kinks."""
    rank = len(shape) - 1
    kernel = taps if isinstance(taps, tuple) else (taps,) * rank
    whole = tuple(((k - 1) * dilation // 2,) * 2 for k in kernel)
    uneven = tuple((k // 2, max(0, k - 2 - axis)) for axis, k in enumerate(kernel))
    options = {"flip": flip, "dilation": dilation}
    build = Builder.for_network(shape)
    value = build.layer("first", conv(filters, kernel, padding=whole, **options), INPUT)
    value = shortcut = build.layer("gelu", ops.GELU(), value)
    plain = conv(filters, kernel, padding=whole, bias=False, **options)
    value = build.layer("second", plain, value)
    value = build.layer("sum", ops.Add(), value, shortcut)
    value = build.layer("tanh", ops.Tanh(), value)
    value = build.layer("uneven", conv(20, kernel, padding=uneven, **options), value)
    value = build.layer("flat", ops.Flatten(), value)
    return build.finish(build.layer("dense", ops.Dense(5), value))


NETWORKS = {
    "8x8": residual((16, 8, 8), 16, 3, flip=False),
    "9x11": residual((17, 9, 11), 33, 3, flip=True),
    "14x7": residual((32, 14, 7), 24, 3, flip=False),
    "4x4": residual((64, 4, 4), 64, 3, flip=False),
    "6x13, few channels": residual((5, 6, 13), 8, 3, flip=True),
    "31": residual((16, 31), 40, 3, flip=False),
    "9x8, 5 taps": residual((16, 9, 8), 17, 5, flip=True),
    "23, 5 taps": residual((20, 23), 16, 5, flip=False),
    "29, 11 taps": residual((8, 29), 16, 11, flip=True),
    "17x14, dilated": residual((16, 17, 14), 20, 3, flip=False, dilation=2),
    "90, dilated": residual((16, 90), 17, 3, flip=True, dilation=8),
    "9x15, 1x7": residual((16, 9, 15), 20, (1, 7), flip=True),
    "18x5, 3x1": residual((17, 18, 5), 16, (3, 1), flip=False),
    "9x14, 3x5": residual((16, 9, 14), 20, (3, 5), flip=True),
    "5x8x9": residual((16, 5, 8, 9), 16, 3, flip=False),
    "4x7x9, 2 apart": residual((17, 4, 7, 9), 16, 3, flip=True, dilation=2),
}
EACH_NETWORK = pytest.mark.parametrize("name", NETWORKS)
CPUS_IN_TURN = dict(zip(NETWORKS, itertools.cycle(ALL_TARGETS), strict=False))
"""A processor for each network: the tests of kernels go through all of them."""


@EACH_NETWORK
def test_programs_are_as_near_to_the_definition_as_promised(name: str) -> None:
    graph, cpu, loss = NETWORKS[name], CPUS_IN_TURN[name], ops.CrossEntropy()
    parameters, inputs = example(graph, loss, n=7)
    want_loss, want_gradients, want = expected_training(graph, loss, inputs, parameters)
    with on_cpu(cpu):
        program = TrainingProgram(graph, loss, None, threads=1)
        program.load(parameters)
        got_loss, gradients, prediction = program_gradients(program, inputs)
        inference = InferenceProgram(graph, threads=1)
        inference.load(parameters)
        output = inference(inputs[INPUT])
    assert got_loss == pytest.approx(want_loss, rel=PROMISED)
    assert relative_error(prediction, want) < PROMISED
    assert relative_error(output, want) < PROMISED
    assert {n: relative_error(gradients[n], want_gradients[n]) for n in gradients} == (
        pytest.approx(dict.fromkeys(want_gradients, 0.0), abs=PROMISED)
    )


@pytest.mark.parametrize(
    "name",
    ["8x8", "31", "9x8, 5 taps", "29, 11 taps", "17x14, dilated", "90, dilated", "9x15, 1x7"],
)
def test_all_three_passes_use_them(name: str) -> None:
    used = {kernel for kernel in kernels(NETWORKS[name]) if kernel.startswith("Fast")}
    assert used == {
        "FastCorrelate",
        "FastWeights",
        "FastWeightGradient",
        "FastGradientFinish",
    }


@pytest.mark.parametrize("settings", [{"fast": False}, {"dtype": "float64"}])
def test_high_precision_and_float64_do_without(settings) -> None:
    assert not any(name.startswith("Fast") for name in kernels(NETWORKS["8x8"], **settings))


def test_precision_high_is_without_forms() -> None:
    graph, loss = NETWORKS["8x8"], ops.CrossEntropy()
    parameters, inputs = example(graph, loss, n=3)
    high, default = (
        TrainingProgram(graph, loss, None, threads=1, precision=precision)
        for precision in ("high", "default")
    )
    for program in (high, default):
        program.load(parameters)
    _, want, _ = expected_training(graph, loss, inputs, parameters)
    (_, near, _), (_, nearly, _) = (program_gradients(p, inputs) for p in (high, default))
    assert relative_error(near["second.weight"], want["second.weight"]) < PROMISED / 10
    assert not np.array_equal(near["second.weight"], nearly["second.weight"])


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_no_bit_depends_on_the_number_of_threads(threads: int) -> None:
    graph, loss = NETWORKS["9x11"], ops.CrossEntropy()
    parameters, inputs = example(graph, loss, n=53)
    found = []
    for number in (1, threads):
        program = TrainingProgram(graph, loss, UpdateRule("sgd"), threads=number)
        program.load(parameters)
        arguments = (inputs[INPUT], np.arange(53), inputs[TARGET], inputs[WEIGHT])
        for step in (1, 2):
            program.step(*arguments, StepSettings(0.1, step))
        inference = InferenceProgram(graph, threads=number)
        inference.load(parameters)
        found.append([*program.parameters().values(), inference(inputs[INPUT])])
    for one, several in zip(*found, strict=True):
        np.testing.assert_array_equal(one, several)


@pytest.mark.parametrize("name", ["4x4", "31"])
def test_a_sample_does_not_depend_on_those_beside_it(name: str) -> None:
    graph = NETWORKS[name]
    parameters, inputs = example(graph, ops.CrossEntropy(), n=23)
    program = InferenceProgram(graph, threads=1)
    program.load(parameters)
    X = inputs[INPUT].copy()
    together = program(X)
    np.testing.assert_array_equal(np.concatenate([program(x[None]) for x in X]), together)
    X[5] = np.nan
    broken = program(X)
    assert np.isnan(broken[5]).all()
    others = np.arange(23) != 5
    np.testing.assert_array_equal(broken[others], together[others])


# Memory ---------------------------------------------------------------------------------------

FENCE = 1 << 12
"""Bytes on both sides of every buffer."""


@pytest.fixture
def fences(monkeypatch) -> list[np.ndarray]:
    """Return the fences of all buffers that programs make from then on."""
    found: list[np.ndarray] = []

    def fenced(size: int, dtype: str = "float32") -> np.ndarray:
        nbytes = size * np.dtype(dtype).itemsize
        raw = aligned_zeros(-(-nbytes // 64) * 64 + 2 * FENCE, "uint8")
        raw[:] = 0xA5
        inside = raw[FENCE : FENCE + nbytes]
        inside[:] = 0
        found.extend([raw[:FENCE], raw[FENCE + nbytes :]])
        return inside.view(dtype)

    monkeypatch.setattr(runtime_program, "aligned_zeros", fenced)
    return found


@pytest.mark.parametrize(
    "name",
    [
        *("9x11", "4x4", "6x13, few channels", "31", "23, 5 taps", "29, 11 taps"),
        *("17x14, dilated", "90, dilated", "18x5, 3x1"),
    ],
)
def test_nothing_is_written_outside_of_buffers(fences, name: str) -> None:
    graph, loss = NETWORKS[name], ops.CrossEntropy()
    parameters, inputs = example(graph, loss, n=37)
    program = TrainingProgram(graph, loss, UpdateRule("sgd"), threads=2)
    inference = InferenceProgram(graph, threads=2)
    for loaded in (program, inference):
        loaded.load(parameters)
    for n in (1, 5, 37, 2):
        arguments = (inputs[INPUT], np.arange(n), inputs[TARGET][:n], inputs[WEIGHT][:n])
        program.step(*arguments, StepSettings(0.1))
        inference(inputs[INPUT][:n])
    assert len(fences) > 10
    assert all((fence == 0xA5).all() for fence in fences)


# Choices --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "op", "form"),
    [
        ((64, 56, 56), same_conv(64, (3, 3)), "F(4,3)"),
        ((16, 32, 32), same_conv(16, (3, 3)), "F(4,3)"),
        ((128, 150), same_conv(256, (3,)), "F(8,3)"),
        ((128, 8), same_conv(256, (3,)), "F(4,3)"),
        ((128, 150), same_conv(256, (5,)), "F(6,5)"),
        ((128, 8), same_conv(256, (5,)), "F(4,5)"),
        ((64, 14, 14), same_conv(64, (3, 3)), "F(5,3)"),
        ((129, 14, 14), same_conv(64, (3, 3)), "F(4,3)"),
        ((64, 2, 2), same_conv(64, (3, 3)), "F(2,3)"),
        ((512, 4, 4), same_conv(512, (3, 3)), "F(2,3)"),
        ((32, 150), same_conv(32, (40,)), "DFT(57,40)"),
        ((32, 150), same_conv(32, (6,)), "DFT(19,6)"),
        ((400, 150), same_conv(32, (40,)), "DFT(57,40)"),
        ((32, 600), same_conv(32, (190,)), "DFT(67,190)"),
        ((32, 600), same_conv(32, (200,)), None),
        ((32, 150), same_conv(32, (40,), dilation=2), "DFT(57,40)"),
        ((64, 512), same_conv(64, (3,), dilation=32), "F(8,3)"),
        ((32, 14, 14), same_conv(32, (5, 5)), "F(4,5)"),
        ((128, 14, 14), same_conv(32, (5, 5)), "F(4,5)"),
        ((129, 14, 14), same_conv(32, (5, 5)), "F(2,5)"),
        ((16, 3, 3), ops.Conv(32, (5, 5), (1, 1), ((1, 2), (2, 1)), (1, 1)), "F(2,5)"),
        ((64, 14, 14), same_conv(64, (3, 3), stride=2), None),
        ((64, 14, 14), conv(64, (3, 3), dilation=2), "F(5,3)"),
        ((64, 14, 14), same_conv(64, (3, 3), dilation=(1, 6)), None),
        ((64, 14, 14), same_conv(64, (3, 3), groups=2), None),
        ((64, 14, 14), same_conv(64, (3, 5)), "F(6,5)"),
        ((64, 14, 14), same_conv(64, (5, 3)), "F(8,3)"),
        ((64, 17, 17), same_conv(64, (1, 7)), "DFT(18,7)"),
        ((64, 17, 17), same_conv(64, (3, 1)), "F(6,3)"),
        ((64, 14, 14), same_conv(64, (7, 7)), "DFT(10,7)"),
        ((64, 28, 28), same_conv(64, (11, 11)), "DFT(6,11)"),
        ((64, 28, 28), same_conv(64, (14, 14)), None),
        ((64, 14, 14), same_conv(64, (1, 1)), None),
        ((64, 14, 14), conv(64, (3, 3), padding=3), None),
        ((64, 8, 8, 8), same_conv(64, (3, 3, 3)), "F(4,3)"),
        ((64, 8, 9, 10), same_conv(64, (1, 3, 3)), "F(5,3)"),
        ((64, 8, 9, 10), same_conv(64, (3, 1, 1)), None),
        ((4, 8, 8, 8), same_conv(64, (3, 3, 3)), None),
        ((64,), ops.Conv(64, (), (), (), ()), None),
        ((4, 32, 32), same_conv(64, (3, 3)), None),
        ((64, 32, 32), same_conv(4, (3, 3)), None),
        ((64, 1, 1), same_conv(64, (3, 3)), None),
    ],
    ids=str,
)
def test_a_form_is_chosen_where_it_applies_and_pays(shape, op, form) -> None:
    choice = forward_choice(op, shape, "float32", AVX512)
    assert (choice and choice.tiling.form) == form
    assert forward_choice(op, shape, "float64", AVX512) is None


def test_sums_of_gradients_that_fit_no_cache_are_summed_directly() -> None:
    wide = same_conv(512, (3, 3))
    assert forward_choice(wide, (512, 14, 14), "float32", AVX512) is not None
    assert gradient_choice(wide, (512, 14, 14), "float32", AVX512) is None


@st.composite
def candidates(draw) -> tuple[ops.Conv, tuple[int, ...]]:
    """Draw a convolution that a form may serve, and the shape of its input."""
    rank = draw(st.sampled_from([1, 2, 3]))
    taps = draw(st.sampled_from([3, 5] if rank > 1 else [3, 4, 5, 6, 9, 11]))
    kernel = [taps] * rank
    if rank > 1:
        kernel[0] = draw(st.sampled_from([1, 2, 3, taps]))
    padding = tuple(tuple(draw(st.integers(0, n - 1)) for _ in "lh") for n in kernel)
    extents = tuple(
        draw(st.integers(max(1, n - low - high), 70 // rank))
        for n, (low, high) in zip(kernel, padding, strict=True)
    )
    channels, filters = (draw(st.integers(LEAST_CHANNELS, 700)) for _ in "cf")
    return conv(filters, tuple(kernel), padding=padding), (channels, *extents)


def choices(op: ops.Conv, shape: tuple[int, ...], target: Target) -> Iterator[tuple]:
    """Iterate over the choices of both passes, with channels summed and made, and the grids."""
    outputs = op.infer_shape(shape)
    forward = forward_choice(op, shape, "float32", target)
    if forward is not None:
        yield forward, shape[0], op.filters, shape[1:], outputs[1:]
    backward = backward_choice(op, shape, "float32", target)
    if backward is not None:
        yield backward, op.filters, shape[0], outputs[1:], shape[1:]


@EACH_TARGET
@settings(max_examples=150)
@given(candidate=candidates())
def test_choices_fit_the_machine_and_the_grid(target: Target, candidate) -> None:
    op, shape = candidate
    for choice, summed, made, read, written in choices(op, shape, target):
        form, tiling, product = form_named(choice.tiling.form), choice.tiling, choice.product
        assert op.kernel[-1] == form.taps
        assert tiling.stacked * form.taps ** len(tiling.axes) == math.prod(op.kernel)
        assert tiling.spatial == written
        rows, columns = tiling.tiles
        covered = tiling.grids * rows * columns * form.outputs ** len(tiling.axes)
        assert covered >= math.prod(written)
        assert tiling.samples == 1 or (tiling.rows, tiling.columns) == (rows, columns)
        lanes = choose.lanes_for(made, "float32", target)
        assert sum(product.blocks) * lanes >= made > (sum(product.blocks) - 1) * lanes
        assert 1 <= product.tiles <= tiling.block
        size = max(product.blocks)
        assert product.tiles <= choose.MOST_POSITIONS[target.registers][size]
        tile = gradient_tile(product.blocks, summed, target)
        assert tile.vectors * tile.channels <= choose.MOST_ACCUMULATORS[target.registers]
        axes = zip(op.kernel, choice.offset, read, written, tiling.sides, strict=True)
        reach = tiling.reach(choice.offset, read)
        for (taps, start, extent, output, side), (low, high) in zip(axes, reach, strict=True):
            last = start + -(-output // side) * side + taps - 2
            assert -low <= start
            assert last < extent + high
        assert (choice, summed, made, read, written) in list(choices(op, shape, target))


@EACH_TARGET
@settings(max_examples=100)
@given(candidate=candidates())
def test_halos_reach_to_the_end_of_the_last_tiles(target: Target, candidate) -> None:
    op, shape = candidate
    graph = network(shape, ops.Tanh(), op, ops.Tanh())
    training = differentiate(graph, ops.MeanSquaredError()).graph
    layouts = {
        name: placed.layout
        for name, placed in place_values(training, fuse(training), "float32", target).items()
    }
    halos = {name: layout.halo for name, layout in layouts.items()}
    forward = forward_choice(op, shape, "float32", target)
    gradient = gradient_choice(op, shape, "float32", target)
    assert gradient is None or isinstance(forward, FastChoice)
    reading = next(n for n in training.nodes if n.op == op)
    if forward is not None:
        needed = forward.tiling.reach(forward.offset, shape[1:])
        assert covers(halos[reading.inputs[0]], needed)
    node = next(n for n in training.nodes if isinstance(n.op, ops.ConvBackwardWeight))
    if gradient is not None:
        assert covers(halos[node.inputs[0]], gradient.tiling.reach(gradient.offset, shape[1:]))
        assert covers(halos[node.inputs[1]], gradient_halo(gradient))


@EACH_TARGET
@pytest.mark.parametrize("channels", [LEAST_CHANNELS, 6, 8])
def test_an_input_that_is_transformed_lies_in_whole_vectors(target: Target, channels: int) -> None:
    graph = network((channels, 32, 32), same_conv(32, (3, 3)))
    assert forward_choice(graph.nodes[0].op, (channels, 32, 32), "float32", target) is not None
    layout = place_values(graph, fuse(graph), "float32", target)[INPUT].layout
    assert layout.lanes in target.widths("float32")


def covers(halo, needed) -> bool:
    return all(a >= c and b >= d for (a, b), (c, d) in zip(halo, needed, strict=True))
