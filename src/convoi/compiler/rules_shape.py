"""Rules for operations that move values: flatten, pad, crop, repeat, concatenate, slice."""

from __future__ import annotations

import itertools
from dataclasses import replace

from convoi.compiler.select import Selection, rule
from convoi.compiler.steps import ValueOperand
from convoi.compiler.tasks import Task
from convoi.kernels import shape as kernels
from convoi.kernels.layout import Layout
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


@rule(ZeroPad, Crop)
def pad_or_crop(selection: Selection, task: Task) -> None:
    """Select the copy of positions to others."""
    (source,) = task.node.inputs
    op = task.node.op
    if not isinstance(op, ZeroPad | Crop):
        raise TypeError(op)
    sign = 1 if isinstance(op, ZeroPad) else -1
    offset = tuple(sign * low for low, _ in op.padding)
    kernel = kernels.CopyPositions(
        selection.layout(source), selection.layout(task.output), offset
    )
    selection.value_step(task, kernel, [ValueOperand(source)])


@rule(Upsample)
def upsample(selection: Selection, task: Task) -> None:
    """Select the repetition of positions."""
    (source,) = task.node.inputs
    kernel = UpsampleKernel(
        selection.layout(source), selection.layout(task.output), task.node.op.scale
    )
    selection.value_step(task, kernel, [ValueOperand(source)])


@rule(UpsampleBackward)
def upsample_backward(selection: Selection, task: Task) -> None:
    """Select the sum over repeated positions."""
    (dy,) = task.node.inputs
    kernel = UpsampleBackwardKernel(
        selection.layout(dy), selection.layout(task.output), task.node.op.scale
    )
    selection.value_step(task, kernel, [ValueOperand(dy)])


@rule(Concatenate)
def concatenate(selection: Selection, task: Task) -> None:
    """Select a copy of channels for each input."""
    target = selection.layout(task.output)
    counts = [selection.layout(value).channels for value in task.node.inputs]
    firsts = [0, *itertools.accumulate(counts)]
    for value, first, count in zip(task.node.inputs, firsts, counts, strict=False):
        _copy_channels(selection, task, value, selection.layout(value), target, (0, first, count))


@rule(ChannelSlice)
def channel_slice(selection: Selection, task: Task) -> None:
    """Select the copy of some channels."""
    (source,) = task.node.inputs
    op = task.node.op
    x, y = selection.layout(source), selection.layout(task.output)
    _copy_channels(selection, task, source, x, y, (op.start, 0, y.channels))


@rule(ChannelPad)
def channel_pad(selection: Selection, task: Task) -> None:
    """Select the copy of channels between channels of zeros."""
    (source,) = task.node.inputs
    op = task.node.op
    x, y = selection.layout(source), selection.layout(task.output)
    kernel = CopyChannels(x, y, 0, op.before, x.channels, clear=True)
    selection.value_step(task, kernel, [ValueOperand(source)])


def _copy_channels(  # noqa: PLR0913 - the parts of a copy
    selection: Selection,
    task: Task,
    source: str,
    x: Layout,
    y: Layout,
    place: tuple[int, int, int],
) -> None:
    kernel = CopyChannels(x, y, *place)
    selection.value_step(task, kernel, [ValueOperand(source)])
