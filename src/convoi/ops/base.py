"""What every operation of a graph has in common.

An operation is a frozen dataclass of typed attributes. It says what it *is*: its rule for shapes,
its parameters, its cost, its definition in NumPy and its gradient. How it is computed fast is the
business of :mod:`convoi.kernels`.

Shapes are per sample, ``(channels, *spatial)`` or ``(features,)``. Arrays that are handed to
:meth:`Operation.reference` carry the batch in front: ``(n, channels, *spatial)``.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, fields
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from numpy.typing import NDArray

from convoi.ops.reach import MOVED, Reach

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Shape = tuple[int, ...]
Array = NDArray[Any]


class Domain(enum.Enum):
    """What the values of a node belong to."""

    SAMPLE = "sample"
    """One value per sample; arrays have a batch axis."""
    BATCH = "batch"
    """One value for the whole batch (a gradient of a parameter, a batch statistic)."""


class ParameterKind(enum.Enum):
    """What a parameter is for; decides initialisation, training and weight decay."""

    WEIGHT = "weight"
    BIAS = "bias"
    SCALE = "scale"
    SHIFT = "shift"
    MEAN = "mean"
    VARIANCE = "variance"
    DEVIATION = "deviation"

    @property
    def trainable(self) -> bool:
        """Whether the optimiser changes it (statistics are not trained)."""
        return self not in {
            ParameterKind.MEAN,
            ParameterKind.VARIANCE,
            ParameterKind.DEVIATION,
        }


@dataclass(frozen=True)
class ParameterSpec:
    """A parameter of an operation: its role in it, its shape and what it is for."""

    role: str
    shape: Shape
    kind: ParameterKind
    fan_in: int = 1
    """Inputs that each output sums over; scales the initial weights."""


@dataclass(frozen=True)
class Cost:
    """What one sample costs: exact counts that follow from the shapes."""

    multiply_adds: int = 0
    """Of the sums of products only; comparisons, exponentials and biases are not counted."""
    parameters: int = 0
    elements_read: int = 0
    elements_written: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


class GraphBuilder(Protocol):
    """What an operation may ask for while its gradient is built; values are known by name."""

    def __call__(self, op: Operation, inputs: Sequence[str], parameters: Sequence[str] = ()) -> str:
        """Add a node and return the name of its value."""
        ...

    def shape(self, value: str) -> Shape:
        """Return the shape of a value."""
        ...

    def needs_gradient(self, value: str) -> bool:
        """Tell whether anybody wants the gradient with respect to this input or parameter."""
        ...

    def new_stream(self) -> int:
        """Return a number for a source of random numbers that no other node of the graph has."""
        ...


@dataclass(frozen=True)
class Use:
    """One use of an operation in a graph, by the names of its values."""

    inputs: tuple[str, ...]
    parameters: tuple[str, ...]
    output: str
    output_gradient: str
    """Gradient of the total loss with respect to the output."""


@dataclass(frozen=True)
class Gradients:
    """The names of the gradients of one node; None where there is none or nobody wants it."""

    inputs: tuple[str | None, ...]
    parameters: tuple[str | None, ...] = ()


@dataclass(frozen=True)
class Operation:
    """Base of all operations: immutable, and equal if type and attributes are.

    A subclass says what it is by overriding `infer_shape`, `reference` and, where they apply,
    `parameters`, `multiply_adds`, and `for_training` or `gradient`; :func:`register` lists it.
    """

    name: ClassVar[str]
    """The word for this operation in files, messages and the registry."""
    arity: ClassVar[int | None] = 1
    """How many inputs it takes; None: two or more."""
    domain: ClassVar[Domain] = Domain.SAMPLE
    batch_inputs: ClassVar[frozenset[int]] = frozenset()
    """Positions of the inputs that belong to the whole batch; the others have one per sample."""
    differentiable: ClassVar[bool] = True
    """False for the operations that only occur in backward passes."""

    @classmethod
    def is_layer(cls) -> bool:
        """Tell whether it occurs in networks, and not in losses and training only."""
        return cls.differentiable and cls.domain is Domain.SAMPLE and not cls.batch_inputs

    def infer_shape(self, *inputs: Shape) -> Shape:
        """Return the shape of the output; raise :class:`~convoi.errors.ShapeError` if none is."""
        raise NotImplementedError

    def parameters(self, *inputs: Shape) -> tuple[ParameterSpec, ...]:
        """Return the specifications of its parameters, in the order of :meth:`reference`."""
        del inputs
        return ()

    def cost(self, *inputs: Shape) -> Cost:
        """Return what one sample costs."""
        output = self.infer_shape(*inputs)
        return Cost(
            multiply_adds=self.multiply_adds(*inputs),
            parameters=sum(prod(spec.shape) for spec in self.parameters(*inputs)),
            elements_read=sum(prod(shape) for shape in inputs),
            elements_written=prod(output),
        )

    def multiply_adds(self, *inputs: Shape) -> int:
        """Return the number of multiply-adds of one sample."""
        del inputs
        return 0

    def connections(self, *inputs: Shape) -> int:
        """Return how many pairs of an input and an output value weights or windows join.

        Padding and biases are no input values, and what is moved or changed element by element
        is not joined with anything.
        """
        del inputs
        return 0

    def reaches(self, *inputs: Shape) -> tuple[Reach, ...] | None:
        """Return what output positions see of every input, for each spatial axis.

        None: every output value sees all positions. The default serves operations that keep each
        position where it is, and those that give up the spatial axes.
        """
        output = self.infer_shape(*inputs)
        kept = all(shape[1:] == output[1:] for shape in inputs)
        return (MOVED,) * (len(output) - 1) if kept else None

    def reference(self, *arrays: Array) -> Array:
        """Return the output for inputs, then parameters: the definition.

        The arrays have one dtype, float16, float32 or float64, and so has the output. Inputs that
        belong to the batch, targets that are classes and seeds are what the operation says.
        """
        raise NotImplementedError

    def for_training(
        self, build: GraphBuilder, inputs: Sequence[str], parameters: Sequence[str]
    ) -> str:
        """Add the nodes that stand for this operation while a network is trained."""
        return build(self, inputs, parameters)

    def gradient(self, build: GraphBuilder, use: Use) -> Gradients:
        """Add the nodes that compute the gradients of inputs and parameters (the chain rule).

        It is asked of the nodes that :meth:`for_training` adds, so an operation that only stands
        for others there needs none.
        """
        raise NotImplementedError


OperationType = TypeVar("OperationType", bound=type[Operation])

_REGISTRY: dict[str, type[Operation]] = {}


def register(cls: OperationType) -> OperationType:
    """Class decorator: make an operation known by its name."""
    if cls.name in _REGISTRY:
        raise ValueError(f"Two operations are called {cls.name!r}.")
    _REGISTRY[cls.name] = cls
    return cls


def registered() -> Iterator[tuple[str, type[Operation]]]:
    """Iterate over all operations by name."""
    yield from sorted(_REGISTRY.items())


def lookup(name: str) -> type[Operation] | None:
    """Return the operation of this name, or None."""
    return _REGISTRY.get(name)
