"""Turning fused nodes into the expression that a kernel applies to vectors in registers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convoi.kernels.expression import Derivative, Expression, Formula, Sum
from convoi.ops import Add, Pointwise, PointwiseBackward

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.graph import Node


class ExpressionBuilder:
    """Collects the inputs of an expression, then the steps of nodes.

    ``start`` are the names of inputs that the kernel has in registers already; :attr:`tensors`
    are the values that it has to load, in the order of the inputs that follow.
    """

    def __init__(self, start: Sequence[str], nodes: Sequence[Node]) -> None:
        own = {*start, *(node.name for node in nodes)}
        read = (value for node in nodes for value in node.inputs if value not in own)
        self.tensors = tuple(dict.fromkeys(read))
        inputs = [*start, *self.tensors]
        self._numbers = {name: i for i, name in enumerate(inputs)}
        self.expression = Expression(len(inputs))

    def apply(self, formula: Formula, operands: Sequence[int]) -> int:
        """Add a step and return the number of its result."""
        self.expression = self.expression.then(formula, *operands)
        return self.expression.inputs + len(self.expression.steps) - 1

    def number(self, value: str) -> int:
        """Return the number of a value."""
        return self._numbers[value]

    def name_result(self, value: str, number: int) -> None:
        """Call the result of a step by the name of a value."""
        self._numbers[value] = number

    def add_nodes(self, nodes: Sequence[Node]) -> Expression:
        """Add the steps of pointwise nodes and return the expression."""
        for node in nodes:
            operands = [self._numbers[value] for value in node.inputs]
            self._numbers[node.name] = self._add_node(node, operands)
        return self.expression

    def _add_node(self, node: Node, operands: list[int]) -> int:
        op = node.op
        if isinstance(op, Add):
            total = operands[0]
            for operand in operands[1:]:
                total = self.apply(Sum(), (total, operand))
            return total
        if isinstance(op, PointwiseBackward):
            return self.apply(Derivative(op.op), operands)
        if isinstance(op, Pointwise):
            return self.apply(op, operands)
        message = f"{type(op).__name__} is no pointwise operation."
        raise TypeError(message)
