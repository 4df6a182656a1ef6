"""How many bytes the steps of a program move, beside the fewest that could be moved.

Fewest: each activation is written once and read once, each weight is read once, each gradient of a
weight is written once per batch, none with padding. What a program moves beyond that are halos,
padded channels, values that several kernels read, and weights and sums that each convoy reads anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from convoi.compiler.steps import (
    BlockOperand,
    ExternalOperand,
    GradientOperand,
    ParameterOperand,
    SumOperand,
    ValueOperand,
)
from convoi.runtime.plan import Traffic

if TYPE_CHECKING:
    from collections.abc import Hashable

    from convoi.compiler.select import Selection
    from convoi.compiler.steps import Operand, Step


@dataclass
class TrafficCounter:
    """Counts steps in the order in which they run: who touches something first has to."""

    selection: Selection
    _seen: set[Hashable] = field(default_factory=set)

    def of(self, step: Step) -> Traffic:
        """Return what a step moves."""
        total = Traffic()
        for operand in step.operands:
            total += self._operand(operand, step)
        return total

    def _operand(  # noqa: PLR0911 - one for each kind of operand
        self, operand: Operand, step: Step
    ) -> Traffic:
        if isinstance(operand, ValueOperand):
            return self._value(operand.value, written=operand.value in step.writes)
        if isinstance(operand, ParameterOperand):
            packing = self.selection.packings[operand.packing]
            least = int((packing.indices >= 0).sum()) * self.selection.itemsize
            moved = packing.size * self.selection.itemsize
            return Traffic(0, moved, 0, self._first(("weight", packing.parameter), least))
        if isinstance(operand, GradientOperand):
            packing = self.selection.packings[operand.packing]
            least = int((packing.indices >= 0).sum()) * self.selection.itemsize
            moved = 2 * packing.size * self.selection.itemsize
            return Traffic(0, moved, 0, self._first(("gradient", packing.parameter), least))
        if isinstance(operand, SumOperand):
            return Traffic(0, operand.bytes if operand.whole else 2 * operand.bytes)
        if isinstance(operand, BlockOperand):
            return Traffic(0, operand.bytes)
        if isinstance(operand, ExternalOperand):
            return Traffic(operand.per_sample, 0, operand.per_sample)
        return Traffic()  # scratch memory stays in the cache

    def _value(self, value: str, *, written: bool) -> Traffic:
        root = self.selection.root(value)
        layout = self.selection.layout(root)
        logical = layout.channels * layout.positions * layout.element.size
        key = ("written" if written else "read", root)
        return Traffic(layout.bytes, 0, self._first(key, logical))

    def _first(self, key: Hashable, size: int) -> int:
        """Return a size the first time that it is asked for, then zero."""
        if key in self._seen:
            return 0
        self._seen.add(key)
        return size
