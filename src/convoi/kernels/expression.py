"""Chains of pointwise formulas, as they are applied to vectors in registers.

Pointwise operations, the epilogues of convolutions and the passes of batch normalisation are all
expressions: they differ only in where their inputs come from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from convoi.kernels.vector_math import VectorMath

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Value


class Formula(Protocol):
    """A function of some values, in terms of a namespace of mathematics.

    Formulas are frozen dataclasses: their ``repr`` is part of a kernel's specification.
    """

    def formula(self, m: Any, *values: Any) -> Any:  # noqa: ANN401 - arrays or vectors
        """Return the result for values of ``m``'s kind."""


@dataclass(frozen=True)
class Step:
    """One formula, applied to inputs and results of earlier steps, known by their numbers."""

    formula: Formula
    operands: tuple[int, ...]


@dataclass(frozen=True)
class Expression:
    """Steps over some inputs; the result is that of the last step (or input 0 without steps).

    Values are numbered: first the inputs, then one per step.
    """

    inputs: int
    steps: tuple[Step, ...] = ()

    def then(self, formula: Formula, *operands: int) -> Expression:
        """Return the expression with one more step; operand -1 is the result so far."""
        last = self.inputs + len(self.steps) - 1 if self.steps else 0
        numbers = tuple(last if operand == -1 else operand for operand in operands)
        return Expression(self.inputs, (*self.steps, Step(formula, numbers)))

    def emit(self, f: Function, values: Sequence[Value]) -> Value:
        """Emit the steps on vectors in registers and return the result."""
        math = VectorMath(f, values[0].type)
        known: list[Any] = list(values)
        for step in self.steps:
            known.append(step.formula.formula(math, *(known[i] for i in step.operands)))
        result = known[-1] if self.steps else known[0]
        return math.value(result)


IDENTITY = Expression(1)
"""Leaves its one input as it is."""


@dataclass(frozen=True)
class Sum:
    """a + b."""

    def formula(self, m: Any, a: Any, b: Any) -> Any:  # noqa: ANN401
        """Return a + b."""
        return m.add(a, b)


@dataclass(frozen=True)
class Affine:
    """x * scale + shift."""

    def formula(self, m: Any, x: Any, scale: Any, shift: Any) -> Any:  # noqa: ANN401
        """Return x * scale + shift."""
        return m.fma(x, scale, shift)


@dataclass(frozen=True)
class Derivative:
    """dy * f'(saved) of a pointwise operation."""

    op: Any

    def formula(self, m: Any, saved: Any, dy: Any) -> Any:  # noqa: ANN401
        """Return the gradient with respect to the input."""
        x, y = (saved, None) if self.op.derivative_of == "input" else (None, saved)
        return m.mul(dy, self.op.derivative(m, x, y))
