"""Rules for tiled and locally connected convolutions: forward, and the gradients."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from convoi.compiler import choose
from convoi.compiler.choose_tiled import tiled_choice
from convoi.compiler.expressions import ExpressionBuilder
from convoi.compiler.layouts import backward_axes, forward_axes
from convoi.compiler.select import Selection, rule
from convoi.compiler.steps import Operand, ParameterOperand, ValueOperand
from convoi.kernels.correlate import Correlate
from convoi.kernels.depthwise import (
    DepthwiseCorrelate,
    DepthwiseWeightGradient,
    depthwise_indices,
)
from convoi.kernels.tiled import (
    Move,
    Part,
    Tiled,
    TileSumAccumulate,
    fixed_move,
    input_move,
    output_move,
    residue_move,
    split_runs,
)
from convoi.kernels.weight_gradient import WeightGradient
from convoi.kernels.weights import WeightLayout
from convoi.ops import (
    TiledConv,
    TiledConvBackwardData,
    TiledConvBackwardWeight,
    TileSum,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convoi.compiler.choose import CorrelateChoice
    from convoi.compiler.tasks import Task
    from convoi.kernels.grid import Axis, Run
    from convoi.kernels.layout import Layout


@dataclass(frozen=True)
class _Grid:
    """One run of each axis, and the weights of its residues.

    The taps are numbered in the order in which the run meets them: weights lie in that order.
    """

    runs: tuple[Run, ...]
    meets: tuple[Run, ...]
    """The same runs as the operation numbers the taps."""
    tile: tuple[int, ...]
    counts: tuple[int, ...]
    """Residues of each axis: as many as the tile has positions, or fewer on a small grid."""
    layout: WeightLayout | None
    """Of the weights of a residue; None: depthwise."""
    coordinates: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
    """(output channel, tap, input channel) of each of these weights; -1 for padding."""
    start: int = 0
    """Element at which the weights of the first residue begin."""

    @property
    def kernel(self) -> tuple[int, ...]:
        """Taps of each axis."""
        return tuple(run.taps.count for run in self.runs)

    @property
    def residue_size(self) -> int:
        """Elements of the weights of a residue."""
        return int(self.coordinates[0].size)

    @property
    def size(self) -> int:
        """Elements of all its weights."""
        return math.prod(self.counts) * self.residue_size

    @property
    def slides(self) -> tuple[int, ...]:
        """Positions of x from one residue of each axis to the next."""
        return tuple(run.input_step for run in self.runs)

    def move(self) -> Move:
        """Return where the weights of a residue lie."""
        return residue_move(self.start, self.residue_size, self.counts)


@rule(TiledConv)
def forward(selection: Selection, task: Task) -> None:
    """Select the kernel of a tiled convolution with its epilogue."""
    op, (source,) = task.operation(TiledConv), task.node.inputs
    x, y = selection.layout(source), selection.layout(task.output)
    grid, choice = _forward_grid(selection, op, x, y)
    weight, *bias = task.node.parameters
    packed = selection.packed(weight, "tiled", _indices(op, [grid], backward=False))
    if choice.tile.samples > 1:
        selection.streamed_bytes += grid.size * selection.itemsize
    biases: list[ParameterOperand] = []
    bias_move = fixed_move(len(op.tile))
    if bias and op.shared_bias:
        biases = [selection.vector(bias[0], y.stride)]
    elif bias:
        biases = [selection.packed(bias[0], "tiled", _bias_indices(op, y))]
        bias_move = residue_move(0, y.stride, op.tile)
    _correlate(selection, task, [grid], choice, [packed, *biases], bias_move)


@rule(TiledConvBackwardData)
def backward_data(selection: Selection, task: Task) -> None:
    """Select the kernel of the gradient with respect to the input."""
    op = task.operation(TiledConvBackwardData)
    tiled, (channels, *spatial) = op.tiled, op.input_shape
    dx = selection.layout(task.output)
    axes = backward_axes(tiled.conv, spatial)
    counts_of_runs = [
        max(run.count // t for run in axis) for axis, t in zip(axes, tiled.tile, strict=True)
    ]
    choice = tiled_choice(dx, counts_of_runs, selection.target)
    grids, start = [], 0
    for runs in itertools.product(*axes):
        residues = tuple(min(t, run.count) for run, t in zip(runs, tiled.tile, strict=True))
        grid = _grid(tiled, runs, residues, (channels, tiled.filters), dx.lanes, choice)
        grids.append(replace(grid, start=start))
        start += grid.size
    indices = _indices(tiled, grids, backward=True)
    packed = selection.packed(task.node.parameters[0], "tiled backward", indices, transposed=True)
    _correlate(selection, task, grids, choice, [packed], None)


@rule(TiledConvBackwardWeight)
def backward_weight(selection: Selection, task: Task) -> None:
    """Select the kernel of the gradient with respect to the weight."""
    op = task.operation(TiledConvBackwardWeight).tiled
    x, dy = (selection.layout(value) for value in task.node.inputs)
    grid, _ = _forward_grid(selection, op, x, dy)
    operands: list[Operand] = [ValueOperand(value) for value in task.node.inputs]
    moves = [input_move(grid.runs, x), output_move(grid.runs, dy)]
    masked = grid.layout is not None and op.groups > 1
    if grid.layout is not None and masked:
        keep = replace(grid.layout, taps=1).coordinates()[0] >= 0
        weight = selection.gradient_of[task.output]
        operands.append(selection.constant(f"{weight} mask", keep.astype(float)))
        moves.append(fixed_move(len(op.tile)))
    moves.append(grid.move())
    parts = []
    for residues, axes in split_runs(grid.runs, grid.tile):
        kernel: WeightGradient | DepthwiseWeightGradient
        if grid.layout is None:
            taps = choose.depthwise_taps(selection.target)
            kernel = DepthwiseWeightGradient(x, dy, axes, grid.kernel, taps)
        else:
            kernel = _weight_gradient(selection, x, dy, grid.layout, axes, grid, masked=masked)
        parts.append(Part(kernel, residues, tuple(moves), grid.slides))
    gradient = selection.gradient(task.output)
    whole = Tiled(dy.element, tuple(parts))
    selection.step(task.output, whole, [*operands, gradient], writes=[task.output])


def _weight_gradient(  # noqa: PLR0917 - the parts of a kernel
    selection: Selection,
    x: Layout,
    dy: Layout,
    weights: WeightLayout,
    axes: tuple[Axis, ...],
    grid: _Grid,
    *,
    masked: bool,
) -> WeightGradient:
    """Return the kernel of the gradient of a residue's weights."""
    positions = math.prod(run.count for axis in axes for run in axis)
    tile = choose.gradient_tile(weights, grid.kernel, positions, selection.target)
    ahead = (0, 0)
    if positions == 1:
        last = grid.runs[-1]
        ahead = (last.input_step * x.stride, last.step * dy.stride)
    streaming = grid.size * selection.itemsize >= choose.STREAMED_BYTES
    return WeightGradient(x, dy, weights, axes, grid.kernel, tile, masked, streaming, ahead)


@rule(TileSum)
def bias_gradient(selection: Selection, task: Task) -> None:
    """Select the kernel of the gradient of a bias."""
    (dy,) = task.node.inputs
    kernel = TileSumAccumulate(selection.layout(dy), task.operation(TileSum).tile)
    operands: list[Operand] = [ValueOperand(dy), selection.gradient(task.output)]
    selection.step(task.output, kernel, operands, writes=[task.output])


def _forward_grid(
    selection: Selection, op: TiledConv, x: Layout, y: Layout
) -> tuple[_Grid, CorrelateChoice]:
    """Return the one grid of a forward pass, and what it is computed with."""
    runs = tuple(axis[0] for axis in forward_axes(op.conv, x.spatial))
    counts = [run.count // t for run, t in zip(runs, op.tile, strict=True)]
    choice = tiled_choice(y, counts, selection.target)
    grid = _grid(op, runs, op.tile, (op.filters, x.channels), y.lanes, choice)
    return grid, choice


def _grid(  # noqa: PLR0917 - what a grid follows from
    op: TiledConv,
    runs: tuple[Run, ...],
    counts: tuple[int, ...],
    channels: tuple[int, int],
    lanes: int,
    choice: CorrelateChoice,
) -> _Grid:
    """Return a grid; channels are those of the output and of the input of its kernel."""
    outputs, inputs = channels
    taps = math.prod(run.taps.count for run in runs)
    numbered = tuple(replace(run, taps=replace(run.taps, weight=0, weight_step=1)) for run in runs)
    if op.groups == outputs == inputs and outputs > 1:
        flat = depthwise_indices(outputs, taps, lanes)
        channel, tap = np.divmod(flat, max(taps, 1))
        channel = np.where(flat < 0, -1, channel)
        return _Grid(numbered, runs, op.tile, counts, None, (channel, tap, channel))
    layout = WeightLayout(outputs, inputs, taps, op.groups, lanes, choice.blocks)
    return _Grid(numbered, runs, op.tile, counts, layout, layout.coordinates())


def _indices(op: TiledConv, grids: Sequence[_Grid], *, backward: bool) -> NDArray[np.int64]:
    """Return the place in the weight of every packed element of some grids; -1: padding."""
    parts = [_grid_indices(op, grid, backward=backward) for grid in grids]
    return np.concatenate([part.ravel() for part in parts])


def _grid_indices(op: TiledConv, grid: _Grid, *, backward: bool) -> NDArray[np.int64]:
    """Return the same for one grid: ``(residues, elements of a residue)``."""
    rank = len(op.tile)
    residues = np.indices(grid.counts).reshape(rank, -1, 1)
    numbers = np.indices(grid.kernel).reshape(rank, 1, -1)
    taps, tiles = [], []
    for run, residue, number, extent in zip(grid.meets, residues, numbers, op.tile, strict=True):
        taps.append(run.taps.weight + number * run.taps.weight_step)
        # Backward, the weights are those of the position that is slid over, not of the output's.
        met = run.taps.offset + number * run.taps.offset_step if backward else 0 * number
        tiles.append((residue + met) % extent)
    tap = np.ravel_multi_index(taps, op.kernel)[0]
    tile = np.ravel_multi_index(tiles, op.tile)
    out, tap_number, into = grid.coordinates
    k, c = (into, out) if backward else (out, into)
    if grid.layout is None:
        per_group = 1
    else:
        per_group = (grid.layout.outputs if backward else grid.layout.inputs) // op.groups
    plain = (k * per_group + c % per_group) * math.prod(op.kernel) + tap[tap_number]
    flat = plain * math.prod(op.tile) + tile[:, tap_number]
    return np.where(out < 0, -1, flat)


def _bias_indices(op: TiledConv, y: Layout) -> NDArray[np.int64]:
    """Return the place in the bias of every element of ``[residue][padded channel]``."""
    tiles = math.prod(op.tile)
    tile, channel = np.meshgrid(np.arange(tiles), np.arange(y.stride), indexing="ij")
    return np.where(channel < op.filters, channel * tiles + tile, -1).ravel()


def _correlate(  # noqa: PLR0917 - the parts of a convolution
    selection: Selection,
    task: Task,
    grids: Sequence[_Grid],
    choice: CorrelateChoice,
    parameters: list[ParameterOperand],
    bias_move: Move | None,
) -> None:
    """Add the step of a forward kernel or of the gradient with respect to the input."""
    node = task.node
    (source,) = node.inputs
    x, y = selection.layout(source), selection.layout(task.output)
    epilogue = ExpressionBuilder([node.name], task.absorbed)
    expression = epilogue.add_nodes(task.absorbed)
    tensors = tuple(selection.layout(value) for value in epilogue.tensors)
    bias = len(parameters) > 1
    parts = []
    for grid in grids:
        outputs = [output_move(grid.runs, layout) for layout in (*tensors, y)]
        biases = [bias_move] if bias and bias_move is not None else []
        moves = (input_move(grid.runs, x), grid.move(), *biases, *outputs)
        for residues, axes in split_runs(grid.runs, grid.tile):
            kernel: Correlate | DepthwiseCorrelate
            if grid.layout is None:
                columns = choose.depthwise_columns(selection.target)
                kernel = DepthwiseCorrelate(
                    x, y, axes, grid.kernel, columns, bias, expression, tensors
                )
            else:
                kernel = Correlate(
                    x,
                    y,
                    grid.layout,
                    axes,
                    grid.kernel,
                    choice.tile,
                    bias,
                    expression,
                    tensors,
                )
            parts.append(Part(kernel, residues, moves, grid.slides))
    selection.tile_samples = max(selection.tile_samples, choice.tile.samples)
    operands: list[Operand] = [ValueOperand(source), *parameters]
    operands += [ValueOperand(value) for value in epilogue.tensors]
    selection.value_step(task, Tiled(y.element, tuple(parts)), operands)
