"""Steps at the boundary of a program: packing the caller's input, unpacking the output."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convoi.compiler.channelwise import ChannelAffine
from convoi.compiler.steps import ExternalOperand, Operand, ValueOperand
from convoi.graph import INPUT, OUTPUT_GRADIENT
from convoi.kernels.packing import Pack, PackTensor, Unpack, sample_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.compiler.select import Selection
    from convoi.compiler.tasks import Task

SOURCE = "source"
GEOMETRY = "geometry"
SAMPLES = "samples"
PACK = "pack"
UNIT_SCALE = "unit scale"
ZERO_SHIFT = "zero shift"


def select_input(
    selection: Selection, tasks: Sequence[Task], *, augment: bool = False
) -> tuple[str, tuple[Task, ...]]:
    """Add the step that packs the input; return its value, and the tasks that remain.

    A normalisation of the input that nobody else reads is applied by the packing itself.
    """
    value, rest = INPUT, tuple(tasks)
    consumers = selection.graph.consumers(INPUT)
    first = next((task for task in tasks if task.node in consumers), None)
    if (
        len(consumers) == 1
        and first is not None
        and isinstance(first.node.op, ChannelAffine)
        and not first.absorbed
    ):
        value = first.output
        size = selection.layout(value).stride
        vectors: list[Operand] = [selection.vector(name, size) for name in first.node.parameters]
        rest = tuple(task for task in tasks if task is not first)
    else:
        vectors = _identity(selection)
    layout = selection.layout(value)
    record = sample_record(len(layout.spatial), augment=augment)
    operands: list[Operand] = [
        ExternalOperand(SOURCE),
        ExternalOperand(GEOMETRY),
        ExternalOperand(SAMPLES, record.itemsize),
        *vectors,
        ValueOperand(value),
    ]
    # The dtype and strides of the caller's array are known when the program is called; most
    # arrays have the program's dtype and are contiguous.
    kernel = Pack(
        layout,
        layout.dtype,
        augment,
        contiguous=bool(layout.spatial),
        channels_last=layout.channels == 1 or not layout.spatial,
    )
    selection.step(PACK, kernel, operands, writes=[value])
    return value, rest


def select_output_gradient(selection: Selection) -> None:
    """Add the step that packs the gradient by a network's output."""
    layout = selection.layout(OUTPUT_GRADIENT)
    per_sample = layout.channels * layout.positions * selection.itemsize
    selection.step(
        f"pack {OUTPUT_GRADIENT}",
        PackTensor(layout),
        [ExternalOperand(OUTPUT_GRADIENT, per_sample), ValueOperand(OUTPUT_GRADIENT)],
        writes=[OUTPUT_GRADIENT],
    )


def _identity(selection: Selection) -> list[Operand]:
    channels = selection.graph.shape(INPUT)[0]
    size = selection.layout(INPUT).stride
    ones = selection.constant(UNIT_SCALE, (np.arange(size) < channels).astype(float))
    zeros = selection.constant(ZERO_SHIFT, np.zeros(size))
    return [ones, zeros]


def select_output(selection: Selection, value: str, name: str) -> None:
    """Add the step that writes a value to an array of the caller."""
    layout = selection.layout(value)
    per_sample = layout.channels * layout.positions * selection.itemsize
    selection.step(
        name, Unpack(layout), [ValueOperand(value), ExternalOperand(name, per_sample)],
        writes=[name],
    )  # fmt: skip
