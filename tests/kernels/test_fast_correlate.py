"""The kernels of fast convolution against the definition of the operation.

Buffers are those of :mod:`tests.kernels.support`: what lies beyond the halo is NaN, and what a
kernel may not write is known. Those of all samples lie between two samples of NaN.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pytest

from convoi import ops
from convoi.compiler import choose
from convoi.compiler.choose_fast import GRADIENT_CHANNELS
from convoi.compiler.steps import FastPacking
from convoi.kernels.epilogue_sums import EpilogueMoments
from convoi.kernels.expression import Expression, Sum
from convoi.kernels.fast_correlate import FastCorrelate, ProductTile
from convoi.kernels.fast_weights import (
    FastGradientFinish,
    FastWeightGradient,
    FastWeights,
    transformed_size,
)
from convoi.kernels.forms import form_named, fourier_name
from convoi.kernels.layout import Layout
from convoi.kernels.moments import MomentsAccumulate
from convoi.kernels.tiling import Tiling
from convoi.kernels.weight_gradient import GradientTile
from convoi.kernels.weights import WeightLayout
from convoi.kernels.winograd_forms import WINOGRAD_FORMS
from convoi.runtime.buffers import aligned_zeros
from tests.kernels.harness import ALL_TARGETS, call_kernel, target_named
from tests.kernels.support import activation, output, placed, written
from tests.kernels.tensors import chunk_moments

PROMISED = 1e-5
"""The largest error, relative to the largest value."""
GUARD = 64
"""Elements behind scratch memory and sums that no kernel may write."""


@dataclass(frozen=True)
class Case:
    """A convolution, and how it is cut into blocks and register tiles."""

    form: str
    channels: int
    filters: int
    spatial: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    block: tuple[int, int, int]
    """Samples, rows and columns of tiles."""
    vectors: int
    """Of output channels per block of weights."""
    tiles: int
    """Of a product's register tile."""
    samples: int = 1
    flip: bool = False
    dilation: tuple[int, ...] = ()
    plain: tuple[bool, ...] = ()
    stack: tuple[int, ...] = ()

    def __str__(self) -> str:
        words = f"{self.form}-{self.channels}-{self.filters}-{self.spatial}-{self.block}"
        apart = f"-d{self.dilation}" if self.dilation else ""
        apart += "-".join(["", *(str(axis) for axis, one in enumerate(self.plain) if one)])
        apart += f"-t{self.stack}" if self.stack else ""
        last = f"-n{self.samples}{'-flip' if self.flip else ''}{apart}"
        return f"{words}-{self.vectors}x{self.tiles}{last}"

    @property
    def rank(self) -> int:
        return len(self.spatial)

    @property
    def fast_rank(self) -> int:
        """Axes that are transformed."""
        return self.rank - sum(self.plain)

    @property
    def taps(self) -> int:
        return form_named(self.form).taps

    @property
    def conv(self) -> ops.Conv:
        ones = (1,) * self.rank
        apart, plain = self.dilation or ones, self.plain or (False,) * self.rank
        stack = self.stack or ones
        kernel = tuple(n if one else self.taps for one, n in zip(plain, stack, strict=True))
        return ops.Conv(self.filters, kernel, ones, self.padding, apart, 1, False, self.flip)

    @property
    def outputs(self) -> tuple[int, ...]:
        return self.conv.infer_shape((self.channels, *self.spatial))[1:]

    def tiling(self, spatial: tuple[int, ...]) -> Tiling:
        """Return the tiling of the outputs; a block is no larger than a grid."""
        samples, rows, columns = self.block
        whole = Tiling(
            self.form, spatial, dilation=self.dilation, plain=self.plain, stack=self.stack
        )
        all_rows, all_columns = whole.tiles
        rows, columns = min(rows, all_rows), min(columns, all_columns)
        return replace(whole, samples=samples, rows=rows, columns=columns)


SAME, WIDE = ((1, 1), (1, 1)), ((2, 2), (2, 2))
COLUMNS, PLANES = (True, False), (True, False, False)
"""Which axes are not transformed."""
CASES = [
    Case("F(4,3)", 16, 16, (8, 8), SAME, (1, 2, 2), 1, 4),
    Case("F(4,3)", 17, 33, (9, 11), SAME, (1, 2, 3), 2, 4, samples=2, flip=True),
    Case("F(4,3)", 33, 17, (4, 4), SAME, (4, 1, 1), 1, 3, samples=7),
    Case("F(4,3)", 16, 64, (14, 5), ((0, 0), (2, 2)), (1, 3, 2), 4, 2, samples=2),
    Case("F(4,3)", 5, 12, (6, 21), ((1, 0), (0, 2)), (1, 1, 4), 1, 4, samples=2, flip=True),
    Case("F(4,3)", 64, 16, (3, 2), SAME, (8, 1, 1), 1, 6, samples=5),
    Case("F(4,3)", 16, 33, (30,), ((1, 1),), (1, 1, 3), 3, 2, samples=2),
    Case("F(4,3)", 17, 16, (7,), ((2, 0),), (3, 1, 2), 1, 5, samples=8, flip=True),
    Case("F(2,3)", 16, 17, (9, 7), SAME, (1, 3, 4), 2, 6, samples=2),
    Case("F(2,3)", 33, 16, (5, 5), ((0, 1), (2, 1)), (2, 3, 3), 1, 8, samples=3, flip=True),
    Case("F(2,3)", 64, 33, (11,), ((0, 0),), (1, 1, 5), 2, 3, samples=2),
    Case("F(2,5)", 16, 16, (9, 8), WIDE, (1, 2, 4), 1, 4, samples=2),
    Case("F(2,5)", 17, 33, (5, 6), ((2, 1), (0, 2)), (3, 3, 2), 2, 4, samples=4, flip=True),
    Case("F(2,5)", 16, 16, (23,), ((2, 2),), (1, 1, 5), 1, 5, samples=2),
    Case("F(4,5)", 16, 16, (9, 14), WIDE, (1, 2, 4), 1, 4, samples=2),
    Case("F(4,5)", 6, 33, (7, 6), ((4, 1), (0, 3)), (3, 2, 2), 2, 4, samples=4, flip=True),
    Case("F(4,5)", 17, 16, (23,), ((2, 2),), (1, 1, 4), 1, 5, samples=2),
    Case("F(6,3)", 33, 17, (29,), ((1, 1),), (1, 1, 3), 2, 3, samples=2, flip=True),
    Case("F(6,3)", 16, 16, (5,), ((0, 2),), (3, 1, 1), 1, 5, samples=5),
    Case("F(8,3)", 33, 17, (29,), ((1, 1),), (1, 1, 3), 2, 3, samples=2, flip=True),
    Case("DFT(9,8)", 17, 33, (29,), ((3, 4),), (1, 1, 3), 2, 3, samples=2, flip=True),
    Case("DFT(18,7)", 16, 16, (20,), ((0, 6),), (3, 1, 2), 1, 5, samples=5),
    Case("DFT(6,7)", 5, 17, (7, 9), ((3, 3), (0, 5)), (2, 2, 2), 2, 3, samples=3, flip=True),
    Case("DFT(12,21)", 8, 16, (9,), ((10, 10),), (2, 1, 1), 1, 2, samples=3),
    Case("F(8,3)", 16, 16, (5,), ((0, 2),), (3, 1, 1), 1, 5, samples=5),
    Case("F(6,5)", 17, 16, (23,), ((2, 2),), (1, 1, 3), 1, 5, samples=2),
    Case("F(5,3)", 33, 17, (14, 9), SAME, (1, 2, 2), 2, 4, samples=2, flip=True),
    Case("F(5,3)", 16, 33, (5, 5), ((0, 1), (2, 1)), (3, 1, 1), 1, 5, samples=4),
    Case("F(4,4)", 17, 16, (13,), ((1, 2),), (1, 1, 2), 1, 5, samples=2),
    Case("F(4,4)", 7, 17, (9,), ((3, 2),), (1, 1, 3), 1, 4, samples=3, flip=True),
    Case("F(4,3)", 16, 17, (13, 12), WIDE, (1, 2, 3), 1, 4, samples=2, dilation=(2, 2)),
    Case("F(2,3)", 17, 16, (9, 14), WIDE, (1, 3, 4), 1, 4, 2, flip=True, dilation=(3, 2)),
    Case("F(4,3)", 33, 16, (5, 7), ((4, 4), (1, 6)), (2, 4, 4), 2, 3, 3, dilation=(4, 3)),
    Case("F(6,3)", 16, 33, (61,), ((8, 8),), (1, 1, 3), 2, 3, samples=2, dilation=(8,)),
    Case("F(8,3)", 17, 16, (30,), ((0, 3),), (2, 1, 4), 1, 5, 5, flip=True, dilation=(3,)),
    Case("DFT(9,8)", 8, 16, (47,), ((14, 0),), (1, 1, 2), 1, 4, samples=2, dilation=(2,)),
    Case("F(4,3)", 16, 17, (5, 11), ((0, 0), (1, 1)), (1, 2, 3), 1, 4, 2, plain=(True, False)),
    Case("F(6,3)", 17, 16, (11, 5), ((2, 1), (0, 0)), (1, 2, 2), 1, 4, 2, True, (), (False, True)),
    Case("DFT(9,8)", 8, 16, (6, 23), ((0, 0), (3, 4)), (4, 6, 3), 1, 4, 5, plain=(True, False)),
    Case(
        "F(2,5)", 8, 33, (13, 7), ((4, 4), (0, 0)), (1, 3, 4), 2, 4, 2, False, (2, 3), (False, True)
    ),
    Case(
        "F(6,5)", 8, 17, (7, 13), ((1, 1), (2, 2)), (1, 2, 2), 1, 4, 3, False, (), COLUMNS, (3, 1)
    ),
    Case("F(4,3)", 17, 16, (6, 9), ((4, 2), (1, 1)), (4, 3, 2), 1, 4, 3, True, (), COLUMNS, (5, 1)),
    Case(
        "F(8,3)",
        5,
        16,
        (9, 11),
        ((6, 6), (2, 2)),
        (1, 3, 1),
        1,
        4,
        3,
        True,
        (3, 2),
        COLUMNS,
        (5, 1),
    ),
    Case(
        "DFT(9,8)", 8, 16, (4, 23), ((1, 0), (3, 4)), (3, 4, 3), 1, 4, 3, True, (), COLUMNS, (2, 1)
    ),
    Case(
        "F(4,3)",
        17,
        16,
        (3, 9, 6),
        ((1, 1),) * 3,
        (1, 2, 2),
        1,
        4,
        3,
        plain=PLANES,
        stack=(3, 1, 1),
    ),
    Case(
        "F(2,3)",
        16,
        33,
        (5, 4, 3),
        ((0, 2), (1, 1), (2, 0)),
        (4, 2, 2),
        1,
        4,
        3,
        True,
        (),
        PLANES,
        (3, 1, 1),
    ),
    Case(
        "F(4,3)",
        8,
        16,
        (3, 5, 7),
        ((1, 0), (2, 2), (1, 1)),
        (3, 2, 3),
        1,
        4,
        3,
        True,
        (2, 2, 1),
        PLANES,
        (2, 1, 1),
    ),
    Case(
        "F(6,5)",
        8,
        16,
        (3, 4, 9),
        ((1, 1), (1, 1), (2, 2)),
        (2, 4, 2),
        1,
        4,
        3,
        plain=(True, True, False),
        stack=(3, 3, 1),
    ),
    Case(
        "F(6,3)",
        16,
        17,
        (3, 11, 4),
        ((0, 0), (1, 1), (0, 0)),
        (1, 1, 4),
        1,
        4,
        3,
        plain=(True, False, True),
    ),
]
TARGETS = pytest.mark.parametrize("cpu", ALL_TARGETS)
EACH_CASE = pytest.mark.parametrize("case", CASES, ids=str)
CASE_AND_TARGET = pytest.mark.parametrize(
    ("case", "cpu"), list(zip(CASES, itertools.cycle(ALL_TARGETS), strict=False)), ids=str
)
"""Each case on one target: what is tested is the same code that others test on all."""


def layout(channels, spatial, target, halo=()) -> Layout:
    return Layout(channels, spatial, choose.lanes_for(channels, "float32", target), halo=halo)


def weight_layout(case: Case, outputs: int, inputs: int, target) -> WeightLayout:
    lanes = choose.lanes_for(outputs, "float32", target)
    vectors = -(-outputs // lanes)
    blocks = choose.blocks_for(vectors, min(case.vectors, vectors))
    return WeightLayout(outputs, inputs, math.prod(case.conv.kernel), 1, lanes, blocks)


def examples(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return samples, weights and the gradient of the output."""
    rng = np.random.default_rng(3)
    conv, n = case.conv, case.samples
    shapes = (
        (n, case.channels, *case.spatial),
        conv.weight_shape(case.channels),
        (n, case.filters, *case.outputs),
    )
    return tuple(rng.standard_normal(shape).astype(np.float32) for shape in shapes)


def between_nan(buffer: np.ndarray, layout: Layout) -> np.ndarray:
    """Return a copy of a buffer that lies between two samples of NaN."""
    longer = aligned_zeros(buffer.size + 2 * layout.size, layout.dtype)
    longer[...] = np.nan
    longer[layout.size : -layout.size] = buffer
    return longer[layout.size : -layout.size]


def guarded(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return memory of NaN, and what lies behind it."""
    memory = aligned_zeros(size + GUARD)
    memory[...] = np.nan
    return memory[:size], memory[size:]


def packed(array: np.ndarray, indices: np.ndarray) -> np.ndarray:
    memory = aligned_zeros(indices.size)
    memory[:] = np.append(array.ravel(), 0)[indices]
    return memory


def transformed(
    weight, indices, weights: WeightLayout, case: Case, target, *, turned, streaming=False
):
    """Return U as the kernel computes it."""
    kernel = FastWeights(weights, case.form, case.fast_rank, "float32", turned, streaming=streaming)
    u, behind = guarded(transformed_size(weights, case.form, case.fast_rank))
    count = weights.inputs * math.prod(case.stack)
    call_kernel(kernel, [packed(weight, indices), u], count=count, target=target)
    assert np.isnan(behind).all()
    return u


def correlate(
    kernel: FastCorrelate, x, u, extra=(), sums=(), *, target, lanes_beyond=3.5, fresh=True
) -> np.ndarray:
    """Run a kernel on some samples and return what it wrote, after checking all else."""
    scratch, behind = guarded(kernel.scratch_elements)
    y = output(kernel.y, len(x))
    samples = between_nan(placed(x, kernel.x, beyond=lanes_beyond, halo=0), kernel.x)
    buffers = [samples, u, *extra, scratch, y, *sums]
    call_kernel(kernel, buffers, count=len(x), fresh=fresh, target=target)
    assert np.isnan(behind).all()
    return written(y, kernel.y, zero_beyond=not kernel.tensors)


def error(actual: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest error relative to the largest value; infinity for NaN."""
    assert actual.shape == expected.shape
    found = np.abs(actual - expected).max() / np.abs(expected).max()
    return float(found) if np.isfinite(found) else math.inf


def forward_kernel(case: Case, weight, target) -> tuple[FastCorrelate, np.ndarray]:
    """Return the kernel of a forward pass, and the transformed weights."""
    tiling = case.tiling(case.outputs)
    offset = tuple(-low for low, _ in case.padding)
    weights = weight_layout(case, case.filters, case.channels, target)
    kernel = FastCorrelate(
        layout(case.channels, case.spatial, target, tiling.reach(offset, case.spatial)),
        layout(case.filters, case.outputs, target, ((1, 2),) * case.rank),
        tiling,
        offset,
        ProductTile(weights.blocks, case.tiles),
    )
    indices = weights.forward_indices()
    return kernel, transformed(weight, indices, weights, case, target, turned=case.flip)


def forward(case: Case, x, weight, target, *, fused: bool = False) -> np.ndarray:
    """Return the kernel's output; if fused, that of ``max(0, conv + bias + x's first channel)``."""
    kernel, u = forward_kernel(case, weight, target)
    if not fused:
        return correlate(kernel, x, u, target=target)
    other = layout(case.filters, case.outputs, target, ((2, 0),) * case.rank)
    epilogue = Expression(2).then(Sum(), 0, 1).then(ops.ReLU(), -1)
    kernel = replace(kernel, bias=True, epilogue=epilogue, tensors=(other,))
    bias, tensor = fused_inputs(case, len(x))
    bias_memory = aligned_zeros(other.stride)
    bias_memory[: case.filters] = bias
    return correlate(kernel, x, u, (bias_memory, activation(tensor, other)), target=target)


def fused_inputs(case: Case, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a bias and another input of the epilogue."""
    rng = np.random.default_rng(5)
    shapes = (case.filters,), (n, case.filters, *case.outputs)
    return tuple(rng.standard_normal(shape).astype(np.float32) for shape in shapes)


def backward(case: Case, dy, weight, target) -> np.ndarray:
    """Return the kernel's gradient with respect to the input."""
    tiling = case.tiling(case.spatial)
    axes = zip(case.padding, case.conv.kernel, case.conv.dilation, strict=True)
    offset = tuple(low - (taps - 1) * apart for (low, _), taps, apart in axes)
    weights = weight_layout(case, case.channels, case.filters, target)
    indices = weights.backward_indices()
    u = transformed(weight, indices, weights, case, target, turned=not case.flip)
    kernel = FastCorrelate(
        layout(case.filters, case.outputs, target, tiling.reach(offset, case.outputs)),
        layout(case.channels, case.spatial, target),
        tiling,
        offset,
        ProductTile(weights.blocks, case.tiles),
    )
    return correlate(kernel, dy, u, target=target, lanes_beyond=0)


def weight_gradient(case: Case, chunks, target) -> np.ndarray:
    """Return the kernels' gradient of the weights: of chunks of samples, each in several calls."""
    tiling = case.tiling(case.outputs)
    offset = tuple(-low for low, _ in case.padding)
    pairs = zip(case.outputs, tiling.covered, strict=True)
    beyond = tuple((0, covered - extent) for extent, covered in pairs)
    weights = weight_layout(case, case.filters, case.channels, target)
    vectors = max(weights.blocks)
    channels = min(GRADIENT_CHANNELS[target.registers][vectors], case.channels)
    kernel = FastWeightGradient(
        layout(case.channels, case.spatial, target, tiling.reach(offset, case.spatial)),
        layout(case.filters, case.outputs, target, beyond),
        weights,
        tiling,
        offset,
        GradientTile(vectors, channels, 1),
    )
    size = transformed_size(weights, case.form, case.fast_rank)
    sums, behind_sums = guarded(len(chunks) * size)
    for chunk, calls in enumerate(chunks):
        for call, (x, dy) in enumerate(calls):
            scratch, behind = guarded(kernel.scratch_elements)
            buffers = [
                between_nan(placed(x, kernel.x, beyond=3.5, halo=0), kernel.x),
                between_nan(placed(dy, kernel.dy, beyond=0, halo=0), kernel.dy),
                scratch,
                sums[chunk * size :],
            ]
            call_kernel(kernel, buffers, count=len(x), fresh=call == 0, target=target)
            assert np.isnan(behind).all()
    assert np.isnan(behind_sums).all()
    finish = FastGradientFinish(weights, case.form, case.fast_rank, "float32", case.flip)
    dw, behind = guarded(weights.size)
    counted = np.array([len(chunks)])
    count = case.channels * math.prod(case.stack)
    call_kernel(finish, [sums, counted, dw], count=count, target=target)
    assert np.isnan(behind).all()
    indices = weights.forward_indices()
    assert not dw[indices < 0].any()
    flat = np.full(math.prod(case.conv.weight_shape(case.channels)), np.nan, np.float32)
    flat[indices[indices >= 0]] = dw[indices >= 0]
    return flat.reshape(case.conv.weight_shape(case.channels))


def expected_weight_gradient(case: Case, x, dy) -> np.ndarray:
    return ops.ConvBackwardWeight(case.conv).reference(x.astype(float), dy.astype(float))


@TARGETS
@EACH_CASE
def test_forward_equals_its_definition(case: Case, cpu: str) -> None:
    target = target_named(cpu)
    x, weight, _ = examples(case)
    expected = case.conv.reference(x.astype(float), weight.astype(float))
    assert error(forward(case, x, weight, target), expected) < PROMISED


@CASE_AND_TARGET
def test_weights_that_are_written_past_the_caches_are_the_same(case: Case, cpu: str) -> None:
    target = target_named(cpu)
    _, weight, _ = examples(case)
    weights = weight_layout(case, case.filters, case.channels, target)
    indices = weights.forward_indices()
    cached, streamed = (
        transformed(weight, indices, weights, case, target, turned=False, streaming=streaming)
        for streaming in (False, True)
    )
    np.testing.assert_array_equal(streamed, cached)


@CASE_AND_TARGET
def test_epilogues_read_and_store_what_they_should(case: Case, cpu: str) -> None:
    x, weight, _ = examples(case)
    bias, tensor = fused_inputs(case, len(x))
    linear = case.conv.reference(x.astype(float), weight.astype(float))
    expected = np.maximum(linear + bias.reshape(-1, *(1,) * case.rank) + tensor, 0)
    assert error(forward(case, x, weight, target_named(cpu), fused=True), expected) < PROMISED


SUMMED = [CASES[1], CASES[2], CASES[10]]
SUMMED += [case for case in CASES if case.form in {"F(6,3)", "DFT(9,8)", "DFT(6,7)"}]
"""Tiles inside the grid and beyond its edges, blocks of several samples, and spectra."""


@TARGETS
@pytest.mark.parametrize("case", SUMMED, ids=str)
def test_moments_are_those_of_what_is_stored(case: Case, cpu: str) -> None:
    target = target_named(cpu)
    x, weight, _ = examples(case)
    kernel, u = forward_kernel(case, weight, target)
    kernel = replace(kernel, sums=EpilogueMoments())
    accumulator, behind = guarded(MomentsAccumulate(kernel.y).accumulator_size)
    some = correlate(kernel, x, u, sums=[accumulator], target=target)
    more = correlate(kernel, x[:1], u, sums=[accumulator], target=target, fresh=False)
    assert np.isnan(behind).all()
    assert error(some, case.conv.reference(x.astype(float), weight.astype(float))) < PROMISED
    exact = np.moveaxis(np.concatenate([some, more]).astype(float), 1, -1).reshape(-1, case.filters)
    count, mean, variance = chunk_moments(accumulator, kernel.y)
    assert (count == len(exact)).all()
    np.testing.assert_allclose(mean, exact.mean(axis=0), atol=1e-6 * exact.std())
    np.testing.assert_allclose(variance, exact.var(axis=0), rtol=2e-6)


@CASE_AND_TARGET
def test_backward_equals_its_definition(case: Case, cpu: str) -> None:
    _, weight, dy = examples(case)
    op = ops.ConvBackwardData(case.conv, (case.channels, *case.spatial))
    expected = op.reference(dy.astype(float), weight.astype(float))
    assert error(backward(case, dy, weight, target_named(cpu)), expected) < PROMISED


@TARGETS
@EACH_CASE
def test_weight_gradient_equals_its_definition(case: Case, cpu: str) -> None:
    x, _, dy = examples(case)
    chunks = [[(x, dy), (x[:1], dy[:1])], [(x, dy)]]
    expected = 2 * expected_weight_gradient(case, x, dy)
    expected += expected_weight_gradient(case, x[:1], dy[:1])
    assert error(weight_gradient(case, chunks, target_named(cpu)), expected) < PROMISED


@EACH_CASE
def test_weights_packed_on_the_host_are_those_of_the_kernel(case: Case) -> None:
    target = target_named("x86-64-v3")
    _, weight, _ = examples(case)
    weights = weight_layout(case, case.filters, case.channels, target)
    indices = weights.forward_indices()
    matrix = form_named(case.form).weight_matrix(case.fast_rank)
    packing = FastPacking(
        "u",
        "weight",
        ops.ParameterKind.WEIGHT,
        indices,
        layout=weights,
        matrix=matrix,
        turned=case.flip,
    )
    on_host = packing.pack(weight, "float32")
    assert on_host.shape == (packing.size,)
    u = transformed(weight, indices, weights, case, target, turned=case.flip)
    assert error(u[: packing.size], on_host) < 1e-6


@pytest.mark.parametrize("name", WINOGRAD_FORMS)
def test_the_matrices_are_those_of_correlations(name: str) -> None:
    form = WINOGRAD_FORMS[name]
    weight, at, bt = (
        [[Fraction(entry) for entry in row] for row in transform.rows]
        for transform in (form.weight, form.output, form.input)
    )
    assert (len(bt), len(at), len(weight)) == (form.size, form.outputs, form.size)
    for output_number, tap, position in itertools.product(
        range(form.outputs), range(form.taps), range(form.size)
    ):
        factor = sum(
            at[output_number][f] * weight[f][tap] * bt[f][position] for f in range(form.size)
        )
        assert abs(factor - (position == output_number + tap)) < 1e-12


@pytest.mark.parametrize(
    ("points", "taps"), [(4, 2), (6, 5), (8, 3), (18, 6), (24, 7), (32, 29), (48, 10), (96, 40)]
)
def test_spectra_multiplied_are_correlations(points: int, taps: int) -> None:
    form = form_named(fourier_name(points, taps))
    rng = np.random.default_rng(points)
    x, w = rng.standard_normal(points), rng.standard_normal(taps)
    read, weight, back = (t.matrix() for t in (form.input, form.weight, form.output))
    assert read.shape == (form.size, points)
    assert weight.shape == (form.size, taps)
    assert back.shape == (form.outputs, form.size)
    np.testing.assert_allclose(
        back @ ((weight @ w) * (read @ x)), np.correlate(x, w, "valid"), rtol=1e-12, atol=1e-12
    )
    for transform in (form.input, form.weight, form.output):
        np.testing.assert_allclose(transform.transposed.matrix(), transform.matrix().T, atol=1e-14)
    assert all(
        0.5 < t.operations / estimate < 1.5
        for t, estimate in zip((form.input, form.output), form.operations, strict=True)
        if points > 24 and form.outputs > points // 4
    )


@pytest.mark.parametrize(
    ("name", "expected"), [("F(4,3)", (12, 10, 8)), ("F(4,5)", (24, 16, 12)), ("F(2,3)", (4, 4, 2))]
)
def test_points_of_opposite_sign_share_operations(name: str, expected: tuple[int, ...]) -> None:
    form = WINOGRAD_FORMS[name]
    transforms = (form.input, form.output, form.output.transposed)
    assert tuple(t.operations for t in transforms) == expected


def test_the_matrix_of_two_axes_transforms_along_both() -> None:
    form = WINOGRAD_FORMS["F(4,3)"]
    weight = np.random.default_rng(0).standard_normal((3, 3))
    once = form.weight.matrix()
    np.testing.assert_allclose(
        form.weight_matrix(2) @ weight.ravel(), (once @ weight @ once.T).ravel()
    )
    assert form.weight.transposed.transposed == form.weight


@pytest.mark.parametrize("case", [c for c in CASES if c.samples > 2], ids=str)
def test_a_sample_does_not_depend_on_those_beside_it(case: Case) -> None:
    target = target_named("x86-64-v3")
    x, weight, _ = examples(case)
    together = forward(case, x, weight, target)
    for number in range(len(x)):
        alone = forward(case, x[number : number + 1], weight, target)
        np.testing.assert_array_equal(alone[0], together[number])


ACCURACY = [
    Case("F(4,3)", 16, 16, (12, 12), SAME, (1, 2, 3), 1, 6),
    Case("F(4,3)", 64, 64, (12, 12), SAME, (1, 2, 3), 4, 6),
    Case("F(4,3)", 256, 256, (12, 12), SAME, (1, 2, 3), 4, 6),
    Case("F(4,3)", 256, 256, (40,), ((1, 1),), (1, 1, 10), 4, 5),
    Case("F(2,5)", 16, 16, (12, 12), WIDE, (1, 1, 6), 1, 6),
    Case("F(2,5)", 256, 256, (8, 8), WIDE, (1, 2, 4), 4, 4),
    Case("F(5,3)", 128, 128, (14, 14), SAME, (1, 1, 3), 4, 3),
    Case("F(8,3)", 256, 128, (150,), ((1, 1),), (1, 1, 19), 4, 5),
    Case("F(6,5)", 128, 256, (150,), ((2, 2),), (1, 1, 25), 4, 5),
    Case("DFT(25,40)", 32, 32, (150,), ((19, 20),), (2, 1, 6), 2, 6),
    Case("DFT(57,40)", 256, 64, (150,), ((20, 19),), (1, 1, 3), 4, 3),
    Case("DFT(10,7)", 64, 16, (20, 20), ((3, 3), (3, 3)), (1, 1, 2), 1, 2),
]


@pytest.mark.parametrize("signal", ["noise", "positive", "offset"])
@pytest.mark.parametrize("case", ACCURACY, ids=str)
def test_the_error_stays_below_what_is_promised(case: Case, signal: str) -> None:
    target = target_named("x86-64-v3")
    x, weight, dy = examples(case)
    x = {"noise": x, "positive": np.maximum(x, 0), "offset": 1 + x / 10}[signal]
    exact = case.conv.reference(x.astype(float), weight.astype(float))
    assert error(forward(case, x, weight, target), exact) < PROMISED
    op = ops.ConvBackwardData(case.conv, (case.channels, *case.spatial))
    exact = op.reference(dy.astype(float), weight.astype(float))
    assert error(backward(case, dy, weight, target), exact) < PROMISED
    exact = expected_weight_gradient(case, x, dy)
    assert error(weight_gradient(case, [[(x, dy)]], target), exact) < PROMISED


@pytest.mark.parametrize("channels", [5, 16, 64, 128, 256])
@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_planes_hold_a_block_and_do_not_begin_in_the_same_set_of_a_cache(channels, lanes) -> None:
    grid = Layout(channels, (16, 16), lanes)
    tiling = Tiling("F(4,3)", (16, 16), rows=2, columns=4)
    assert tiling.plane(grid) >= 8 * grid.stride
    assert tiling.plane(grid) // 16 % 2 == 1
    assert tiling.plane(grid) % 16 == 0
