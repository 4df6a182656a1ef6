"""Rules for operations that move values: flatten, pad, crop, repeat, concatenate, slice."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

from convoi.compiler.select import Selection, rule
from convoi.compiler.steps import ValueOperand
from convoi.kernels import shape as kernels
from convoi.kernels.merge import CopyChannels
from convoi.kernels.upsample import Upsample as UpsampleKernel
from convoi.kernels.upsample import UpsampleBackward as UpsampleBackwardKernel
from convoi.ops import (
    ChannelPad,
    ChannelSlice,
    Concatenate,
    Crop,
    Flatten,
    Unflatten,
    Upsample,
    UpsampleBackward,
    ZeroPad,
)

if TYPE_CHECKING:
    from convoi.compiler.tasks import Task


@rule(Flatten)
def flatten(selection: Selection, task: Task) -> None:
    """Give the same memory a second name where the order allows it, else copy."""
    (source,) = task.node.inputs
    x, y = selection.layout(source), selection.placed[task.output]
    if y.order is not None:
        if x.has_halo:
            kernel = kernels.CopyPositions(x, y.order, (0,) * len(x.spatial))
            selection.value_step(task, kernel, [ValueOperand(source)])
        else:
            selection.aliases[task.output] = source
        return
    if x.positions == 1 and not x.has_halo and x.stride == y.layout.stride:
        selection.aliases[task.output] = source
        return
    selection.value_step(task, kernels.Flatten(x, y.layout), [ValueOperand(source)])


@rule(Unflatten)
def unflatten(selection: Selection, task: Task) -> None:
    """Give the same memory a second name where the order allows it, else copy."""
    (source,) = task.node.inputs
    x, y = selection.placed[source], selection.layout(task.output)
    if x.order is not None:
        if y.has_halo:
            kernel = kernels.CopyPositions(replace(y, halo=()), y, (0,) * len(y.spatial))
            selection.value_step(task, kernel, [ValueOperand(source)])
        else:
            selection.aliases[task.output] = source
        return
    if y.positions == 1 and not y.has_halo and y.stride == x.layout.stride:
        selection.aliases[task.output] = source
        return
    selection.value_step(task, kernels.Unflatten(x.layout, y), [ValueOperand(source)])


@rule(ZeroPad)
def zero_pad(selection: Selection, task: Task) -> None:
    """Select the copy of positions to others."""
    _move_positions(selection, task, tuple(low for low, _ in task.operation(ZeroPad).padding))


@rule(Crop)
def crop(selection: Selection, task: Task) -> None:
    """Select the copy of positions to others."""
    _move_positions(selection, task, tuple(-low for low, _ in task.operation(Crop).padding))


def _move_positions(selection: Selection, task: Task, offset: tuple[int, ...]) -> None:
    (source,) = task.node.inputs
    kernel = kernels.CopyPositions(selection.layout(source), selection.layout(task.output), offset)
    selection.value_step(task, kernel, [ValueOperand(source)])


@rule(Upsample)
def upsample(selection: Selection, task: Task) -> None:
    """Select the repetition of positions."""
    (source,) = task.node.inputs
    scale = task.operation(Upsample).scale
    kernel = UpsampleKernel(selection.layout(source), selection.layout(task.output), scale)
    selection.value_step(task, kernel, [ValueOperand(source)])


@rule(UpsampleBackward)
def upsample_backward(selection: Selection, task: Task) -> None:
    """Select the sum over repeated positions."""
    (dy,) = task.node.inputs
    scale = task.operation(UpsampleBackward).scale
    kernel = UpsampleBackwardKernel(selection.layout(dy), selection.layout(task.output), scale)
    selection.value_step(task, kernel, [ValueOperand(dy)])


@rule(Concatenate)
def concatenate(selection: Selection, task: Task) -> None:
    """Select a copy of channels for each input."""
    target = selection.layout(task.output)
    counts = [selection.layout(value).channels for value in task.node.inputs]
    firsts = [0, *itertools.accumulate(counts)]
    for value, first, count in zip(task.node.inputs, firsts, counts, strict=False):
        kernel = CopyChannels(selection.layout(value), target, 0, first, count)
        selection.value_step(task, kernel, [ValueOperand(value)])


@rule(ChannelSlice)
def channel_slice(selection: Selection, task: Task) -> None:
    """Select the copy of some channels."""
    (source,) = task.node.inputs
    x, y = selection.layout(source), selection.layout(task.output)
    kernel = CopyChannels(x, y, task.operation(ChannelSlice).start, 0, y.channels)
    selection.value_step(task, kernel, [ValueOperand(source)])


@rule(ChannelPad)
def channel_pad(selection: Selection, task: Task) -> None:
    """Select the copy of channels between channels of zeros."""
    (source,) = task.node.inputs
    x, y = selection.layout(source), selection.layout(task.output)
    before = task.operation(ChannelPad).before
    kernel = CopyChannels(x, y, 0, before, x.channels, clear=True)
    selection.value_step(task, kernel, [ValueOperand(source)])
