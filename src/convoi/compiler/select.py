"""From tasks to steps: which kernel computes each task, on which operands.

There is one rule per kind of node, found by the type of its operation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from convoi.codegen.types import FLOATS
from convoi.compiler.steps import (
    BlockOperand,
    Constant,
    GradientOperand,
    Operand,
    Packing,
    ParameterOperand,
    Step,
    ValueOperand,
)
from convoi.compiler.tasks import Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convoi.codegen.target import Target
    from convoi.compiler.layouts import Placed
    from convoi.graph import Graph
    from convoi.kernels.base import Kernel
    from convoi.kernels.layout import Layout
    from convoi.kernels.weights import WeightLayout
    from convoi.ops import Array, Operation

SHARE_WORK = 1 << 17
"""Multiply-adds of a sample that are worth a thread: 2 to 4 us, beside a barrier's 0.3."""
SHARE_IN_TRAINING = 1 << 23
"""Those of samples that are large enough for batches of one to be usual."""
Rule = Callable[["Selection", Task], None]
RULES: dict[type[Operation], Rule] = {}
"""The rule of every operation; files of rules add theirs."""


def rule(*types: type[Operation]) -> Callable[[Rule], Rule]:
    """Return the decorator that makes a function the rule of some operations."""

    def add(function: Rule) -> Rule:
        for type_ in types:
            RULES[type_] = function
        return function

    return add


@dataclass
class Selection:
    """What the rules have selected so far, and what they need to know."""

    graph: Graph
    placed: dict[str, Placed]
    dtype: str
    target: Target
    gradient_of: Mapping[str, str] = field(default_factory=dict)
    """For values that are gradients of parameters: the parameter."""
    training: bool = False
    """Whether parameters change from call to call, so that they are repacked by steps."""
    fast: bool = True
    """Whether forms of fast convolution may be used."""
    late: Mapping[str, str] = field(default_factory=dict)
    """Values that are computed where they are first read, and the earlier ones that they equal."""
    steps: list[Step] = field(default_factory=list)
    packings: dict[str, Packing] = field(default_factory=dict)
    constants: dict[str, Constant] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    """Values that are another value's memory under a second name."""
    weight_layouts: dict[str, WeightLayout] = field(default_factory=dict)
    """How each convolution's weight is packed for its forward pass."""
    tile_samples: int = 1
    """The most samples that a kernel takes at a time."""
    transformed_sums: int = 0
    """Elements of the gradients of weights that are summed in the domain of a form."""
    streamed_bytes: int = 0
    """Bytes of the weights of which a sample uses each a few times at most."""

    # What rules ask ---------------------------------------------------------------------------

    def layout(self, value: str) -> Layout:
        """Return the layout of a value."""
        return self.placed[value].layout

    def root(self, value: str) -> str:
        """Return the value whose memory a value is: itself, unless it is a second name."""
        while value in self.aliases:
            value = self.aliases[value]
        return value

    def divides(self, y: Layout, products: int) -> bool:
        """Tell whether the work on a value of so many products per element is worth sharing."""
        least = SHARE_IN_TRAINING if self.training else 2 * SHARE_WORK
        return y.positions * y.stride * products >= least

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return FLOATS[self.dtype].size

    # What rules say ---------------------------------------------------------------------------

    def step(
        self,
        label: str,
        kernel: Kernel,
        operands: Sequence[Operand],
        *,
        writes: Sequence[str] = (),
        needs: Sequence[str] = (),
        whole: bool = False,
        units: int = 1,
    ) -> None:
        """Add a step."""
        self.steps.append(
            Step(
                label,
                kernel,
                tuple(operands),
                tuple(writes),
                tuple(needs),
                whole,
                units,
                late=any(value in self.late for value in writes),
            )
        )

    def value_step(
        self, task: Task, kernel: Kernel, operands: Sequence[Operand], *, needs: Sequence[str] = ()
    ) -> None:
        """Add a step that computes the output of a task, its last operand."""
        self.step(
            task.output,
            kernel,
            [*operands, ValueOperand(task.output)],
            writes=[task.output],
            needs=needs,
        )

    def vector(self, parameter: str, size: int) -> ParameterOperand:
        """Return a parameter with a value per channel, padded with zeros."""
        spec = self.graph.parameters[parameter]
        name = f"{parameter} vector"
        if name not in self.packings:
            channels = spec.shape[0]
            indices = np.where(np.arange(size) < channels, np.arange(size), -1)
            self.packings[name] = Packing(name, parameter, spec.kind, indices)
        return ParameterOperand(name)

    def packed(
        self, parameter: str, word: str, indices: NDArray[np.int64], *, transposed: bool = False
    ) -> ParameterOperand:
        """Return a parameter in another packing."""
        name = f"{parameter} {word}"
        if name not in self.packings:
            kind = self.graph.parameters[parameter].kind
            self.packings[name] = Packing(name, parameter, kind, indices, transposed)
        return ParameterOperand(name)

    def gradient(self, value: str) -> GradientOperand:
        """Return where a value that is the gradient of a parameter is summed up."""
        parameter = self.gradient_of[value]
        name = next(
            packing.name
            for packing in self.packings.values()
            if packing.parameter == parameter and not packing.transposed
        )
        return GradientOperand(name)

    def constant(self, name: str, numbers: Array) -> BlockOperand:
        """Return numbers that nobody changes."""
        if name not in self.constants:
            self.constants[name] = Constant(name, np.ascontiguousarray(numbers, self.dtype))
        return BlockOperand(name, self.constants[name].numbers.nbytes)
