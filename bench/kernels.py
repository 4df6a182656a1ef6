"""The direct convolution kernels of one core beside the peak of its multiply-adds."""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.agreement import TOLERANCE, relative_error
from convoi.codegen.target import Target, current_target
from convoi.compiler import choose
from convoi.compiler.layouts import backward_axes, forward_axes
from convoi.compiler.peak import peak_call
from convoi.config import override
from convoi.kernels.arrays import from_layout, to_layout
from convoi.kernels.correlate import Correlate
from convoi.kernels.grid import reaches
from convoi.kernels.layout import Layout
from convoi.kernels.probe import NativeCall
from convoi.kernels.weight_gradient import WeightGradient
from convoi.kernels.weights import WeightLayout
from convoi.ops import Conv, ConvBackwardData, ConvBackwardWeight
from convoi.runtime.buffers import aligned_zeros

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from bench.options import Options

DTYPE = "float32"
SLICE_SECONDS = 0.004
"""How long a kernel, and the peak beside it, run in a round."""
ROUNDS_FACTOR = 4
"""Rounds of kernels for each round of networks."""


@dataclass(frozen=True)
class Shape:
    """A convolution with stride 1."""

    channels: int
    extent: int
    filters: int
    kernel: int
    padding: int

    @property
    def conv(self) -> Conv:
        """The operation."""
        pairs = ((self.padding, self.padding),) * 2
        return Conv(self.filters, (self.kernel,) * 2, (1, 1), pairs, (1, 1), bias=False)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Shape of a sample."""
        return (self.channels, self.extent, self.extent)

    @property
    def first_layer(self) -> bool:
        """Whether it reads pixels: their values are only broadcast, and need no gradient."""
        return self.channels <= 3

    def __str__(self) -> str:
        words = f"{self.channels},{self.extent},{self.extent} → {self.filters}"
        kind = "" if self.padding else " valid"
        return f"{words}, {self.kernel}x{self.kernel}{kind}"


SHAPES = (
    Shape(1, 28, 8, 5, 2),
    Shape(3, 32, 16, 3, 1),
    Shape(6, 14, 16, 5, 0),
    Shape(16, 32, 16, 3, 1),
    Shape(32, 16, 32, 3, 1),
    Shape(64, 8, 64, 3, 1),
    Shape(32, 28, 64, 3, 1),
    Shape(64, 56, 64, 3, 1),
    Shape(256, 14, 256, 3, 1),
    Shape(512, 4, 512, 3, 1),
)


@dataclass
class Rates:
    """Multiply-adds per second of a kernel, round by round.

    They are counted by the definition, with the taps that lie in the padding of a border. Kernels
    may leave those out, and so come out above the peak.
    """

    tile: str
    used_lanes: float
    """Part of the lanes that stand for channels; the others are padding."""
    rounds: list[float] = field(default_factory=list)

    @property
    def best(self) -> float:
        """The best round: one without interruptions."""
        return max(self.rounds)

    @property
    def median(self) -> float:
        """The median round."""
        return statistics.median(self.rounds)


@dataclass(frozen=True)
class KernelResult:
    """The kernels of one convolution."""

    shape: Shape
    kernels: dict[str, Rates]
    """By name; networks do not compute the gradient of pixels."""
    peak: float
    """The most multiply-adds per second that the core reached."""

    def record(self) -> dict[str, Any]:
        """Return what is kept of it."""
        return {
            "convolution": str(self.shape),
            "peak_gflops": 2e-9 * self.peak,
            **{name: self._record(rates) for name, rates in self.kernels.items()},
        }

    def _record(self, rates: Rates) -> dict[str, Any]:
        return {
            "fraction_of_peak": rates.best / self.peak,
            "median_fraction_of_peak": rates.median / self.peak,
            "used_lanes": rates.used_lanes,
            "gflops": 2e-9 * rates.best,
            "gflops_of_rounds": [2e-9 * rate for rate in rates.rounds],
            "tile": rates.tile,
        }


@dataclass(frozen=True)
class Case:
    """A kernel with random arrays, and how its result is read and what it should be."""

    kernel: Correlate | WeightGradient
    call: NativeCall
    found: Callable[[], NDArray[Any]]
    expected: Callable[[], NDArray[Any]]

    @property
    def used_lanes(self) -> float:
        """Part of the lanes that stand for channels; the others are padding."""
        output = self.kernel.y if isinstance(self.kernel, Correlate) else self.kernel.dy
        return output.channels / output.stride


def measure_kernels(options: Options) -> list[KernelResult]:
    """Measure the kernels of each shape, on one thread.

    Rounds are short and many: some pass without an interruption by other processes. Each has a
    turn of the peak before that of each kernel.
    """
    target = current_target()
    with override(cache_dir="off"):  # the cache is for the code of networks
        peak, products = peak_call(target, DTYPE)
        cases = {shape: checked_cases(shape, target) for shape in SHAPES}
    rates = {
        shape: {
            name: Rates(repr(case.kernel.tile), case.used_lanes) for name, case in named.items()
        }
        for shape, named in cases.items()
    }
    best = 0.0
    for _ in range(ROUNDS_FACTOR * options.rounds):
        for shape, named in cases.items():
            for name, case in named.items():
                best = max(best, products / _seconds(peak))
                done = shape.conv.multiply_adds(shape.input_shape) * case.call.count
                rates[shape][name].rounds.append(done / _seconds(case.call))
    return [KernelResult(shape, named, best) for shape, named in rates.items()]


def checked_cases(shape: Shape, target: Target) -> dict[str, Case]:
    """Return the kernels of a convolution by name; each has computed what it should."""
    samples = _Samples(shape, target)
    cases = {"forward": samples.forward(), "backward weight": samples.backward_weight()}
    if not shape.first_layer:
        cases["backward data"] = samples.backward_data()
    for name, case in cases.items():
        case.call()
        error = relative_error(case.found(), case.expected())
        assert error <= TOLERANCE, f"{shape}, {name}: the kernel is wrong by {error:.1e}"
    return cases


def _seconds(call: NativeCall) -> float:
    """Return the seconds of a call, from as many as fill a slice."""
    clock = time.perf_counter
    runs = 0
    call()
    start = now = clock()
    while now - start < SLICE_SECONDS:
        call()
        runs += 1
        now = clock()
    return (now - start) / runs


class _Samples:
    """The arrays of a convolution: as many samples as programs let through together."""

    def __init__(self, shape: Shape, target: Target) -> None:
        conv, (channels, *spatial) = shape.conv, shape.input_shape
        self.conv, self.shape, self.target = conv, shape, target
        self.taps = math.prod(conv.kernel)
        self.axes = forward_axes(conv, spatial)
        self.back_axes = backward_axes(conv, spatial)
        outputs = conv.infer_shape(shape.input_shape)[1:]
        x_lanes = 1 if shape.first_layer else choose.lanes_for(channels, DTYPE, target)
        y_lanes = choose.lanes_for(conv.filters, DTYPE, target)
        x_halo, y_halo = reaches(self.axes, spatial), reaches(self.back_axes, outputs)
        self.x = Layout(channels, tuple(spatial), x_lanes, DTYPE, x_halo)
        self.y = Layout(conv.filters, outputs, y_lanes, DTYPE, y_halo)
        self.choice = choose.correlate_choice(self.y, self.axes, target)
        self.count = choose.convoy_size(self.x.bytes + self.y.bytes, self.choice.tile.samples)
        rng = np.random.default_rng(0)
        self.X = rng.standard_normal((self.count, *shape.input_shape), np.float32)
        self.dY = rng.standard_normal((self.count, conv.filters, *outputs), np.float32)
        self.weight = rng.standard_normal(conv.weight_shape(channels), np.float32)
        self.weights = self._weight_layout(conv.filters, channels, y_lanes, self.choice.blocks)

    def _weight_layout(
        self, outputs: int, inputs: int, lanes: int, blocks: tuple[int, ...]
    ) -> WeightLayout:
        return WeightLayout(outputs, inputs, self.taps, self.conv.groups, lanes, blocks)

    def _packed(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        packed = aligned_zeros(indices.size, DTYPE)
        packed[:] = np.append(self.weight.ravel(), np.float32(0))[indices]
        return packed

    def _call(self, kernel: Correlate | WeightGradient, *arrays: NDArray[Any]) -> NativeCall:
        return NativeCall(kernel, arrays, self.count, self.target)

    def forward(self) -> Case:
        """Return the convolution."""
        kernel = Correlate(
            self.x, self.y, self.weights, self.axes, self.conv.kernel, self.choice.tile
        )
        weight = self._packed(self.weights.forward_indices())
        y = aligned_zeros(self.count * self.y.size, DTYPE)
        return Case(
            kernel,
            self._call(kernel, to_layout(self.X, self.x), weight, y),
            lambda: from_layout(y, self.y),
            lambda: self.conv.reference(self.X, self.weight),
        )

    def backward_data(self) -> Case:
        """Return the gradient with respect to the input."""
        choice = choose.correlate_choice(self.x, self.back_axes, self.target)
        weights = self._weight_layout(
            self.x.channels, self.conv.filters, self.x.lanes, choice.blocks
        )
        kernel = Correlate(self.y, self.x, weights, self.back_axes, self.conv.kernel, choice.tile)
        weight = self._packed(weights.backward_indices())
        dx = aligned_zeros(self.count * self.x.size, DTYPE)
        definition = ConvBackwardData(self.conv, self.shape.input_shape)
        return Case(
            kernel,
            self._call(kernel, to_layout(self.dY, self.y), weight, dx),
            lambda: from_layout(dx, self.x),
            lambda: definition.reference(self.dY, self.weight),
        )

    def backward_weight(self) -> Case:
        """Return the gradient with respect to the weight."""
        layout = self.weights
        tile = choose.gradient_tile(layout, self.conv.kernel, self.y.positions, self.target)
        kernel = WeightGradient(self.x, self.y, layout, self.axes, self.conv.kernel, tile)
        indices = layout.forward_indices()
        dw = aligned_zeros(indices.size, DTYPE)

        def found() -> NDArray[Any]:
            flat = np.zeros(self.weight.size, np.float32)
            flat[indices[indices >= 0]] = dw[indices >= 0]
            return flat.reshape(self.weight.shape)

        return Case(
            kernel,
            self._call(kernel, to_layout(self.X, self.x), to_layout(self.dY, self.y), dw),
            found,
            lambda: ConvBackwardWeight(self.conv).reference(self.X, self.dY),
        )
