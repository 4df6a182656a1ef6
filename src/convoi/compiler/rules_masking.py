"""Rules for what keeps the padding of samples of unequal length out of the results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convoi.codegen.types import I64
from convoi.compiler.select import Selection, rule
from convoi.compiler.steps import ExternalOperand, ValueOperand
from convoi.graph import LENGTH
from convoi.kernels import masking as kernels
from convoi.ops import Mask, WindowShare

if TYPE_CHECKING:
    from convoi.compiler.tasks import Task
    from convoi.ops import Extent

LENGTHS = ExternalOperand(LENGTH, I64.size)


def ends_of(extent: Extent, positions: int) -> kernels.Ends:
    """Return where the samples of a value with so many positions end."""
    return kernels.Ends(extent.offset, extent.divisor, positions)


@rule(Mask)
def mask(selection: Selection, task: Task) -> None:
    """Clear in place, as nobody minds what was behind the end; or copy, with another number."""
    op, (source, _) = task.operation(Mask), task.node.inputs
    x, y = selection.layout(source), selection.layout(task.output)
    ends = ends_of(op.extent, x.positions)
    if op.fill == 0 and x == y:
        selection.aliases[task.output] = source
        clear = kernels.ClearBehind(x, ends)
        selection.step(task.output, clear, [LENGTHS, ValueOperand(source)], writes=[task.output])
        return
    fill = kernels.FillBehind(x, y, ends, op.fill)
    selection.value_step(task, fill, [LENGTHS, ValueOperand(source)])


@rule(WindowShare)
def window_share(selection: Selection, task: Task) -> None:
    """Select the pass over the averages."""
    op, (source, _) = task.operation(WindowShare), task.node.inputs
    x, y = selection.layout(source), selection.layout(task.output)
    ends = ends_of(op.extent, op.positions)
    kernel = kernels.WindowShare(x, y, ends, op.size, op.stride, op.low)
    selection.value_step(task, kernel, [LENGTHS, ValueOperand(source)])
