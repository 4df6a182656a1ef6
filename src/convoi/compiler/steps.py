"""Steps: calls of kernels on named operands, before memory is assigned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convoi.kernels.base import Kernel
    from convoi.kernels.weights import WeightLayout
    from convoi.ops import Array, ParameterKind


@dataclass(frozen=True)
class ValueOperand:
    """A value of the graph that every sample has."""

    value: str


@dataclass(frozen=True)
class ParameterOperand:
    """A parameter in one of its packings."""

    packing: str


@dataclass(frozen=True)
class GradientOperand:
    """The gradient of a parameter: summed over a chunk, or (``whole``) over the batch."""

    packing: str
    whole: bool = False


@dataclass(frozen=True)
class SumOperand:
    """Another sum over a chunk, such as the moments of a batch norm."""

    name: str
    bytes: int
    whole: bool = False
    """Whether the kernel reads the sums of all chunks."""


@dataclass(frozen=True)
class BlockOperand:
    """A block of memory that all samples share, or a place in it."""

    name: str
    bytes: int
    offset: int = 0


@dataclass(frozen=True)
class ExternalOperand:
    """An array of the caller."""

    name: str
    per_sample: int = 0


@dataclass(frozen=True)
class ScratchOperand:
    """Memory of a thread that a kernel needs while it runs, and nobody afterwards."""

    bytes: int


Operand: TypeAlias = (
    ValueOperand
    | ParameterOperand
    | GradientOperand
    | SumOperand
    | BlockOperand
    | ExternalOperand
    | ScratchOperand
)


@dataclass(frozen=True)
class Step:
    """One kernel on its operands."""

    label: str
    kernel: Kernel
    operands: tuple[Operand, ...]
    writes: tuple[str, ...] = ()
    """Values and batch values that it computes."""
    needs: tuple[str, ...] = ()
    """Batch values that must be complete before it runs."""
    whole: bool = False
    """Whether it runs once, after all samples, instead of once per convoy."""
    units: int = 1
    """Units of a step that runs once: threads share them."""
    late: bool = False
    """Whether it runs where what it computes is first read, not as soon as it can."""

    @property
    def reads(self) -> tuple[str, ...]:
        """The sample values that it reads (those that it writes are not among them)."""
        values = (o.value for o in self.operands if isinstance(o, ValueOperand))
        return tuple(dict.fromkeys(v for v in values if v not in self.writes))


@dataclass(frozen=True)
class Packing:
    """A parameter as a kernel reads it: each element's place in the parameter, or padding."""

    name: str
    parameter: str
    kind: ParameterKind
    indices: NDArray[np.int64]
    """Flat index in the parameter of every packed element; -1 is padding, which is zero."""
    transposed: bool = False
    """Whether it is made from another packing of the parameter before every training step."""

    @property
    def size(self) -> int:
        """Elements."""
        return int(self.indices.size)

    def pack(self, array: Array, dtype: str) -> Array:
        """Return the packed elements of a parameter."""
        flat = np.append(np.asarray(array, dtype).ravel(), np.zeros(1, dtype))
        packed: Array = flat[self.indices]
        return packed

    def unpack(self, packed: Array, shape: tuple[int, ...]) -> Array:
        """Return the parameter that packed elements hold."""
        flat = np.zeros(int(np.prod(shape, dtype=int)), packed.dtype)
        kept = self.indices >= 0
        flat[self.indices[kept]] = packed[kept]
        return flat.reshape(shape)


@dataclass(frozen=True, kw_only=True)
class FastPacking(Packing):
    """Weights in the domain of a form: ``[f][block][input channel][output channel]``."""

    layout: WeightLayout
    matrix: NDArray[np.float64]
    """Of the transform, with a column per tap that is not stacked."""
    turned: bool = False
    """Whether taps are taken in reverse order."""

    @property
    def size(self) -> int:
        """Elements."""
        positions, taps = self.matrix.shape
        return int(self.indices.size // taps * positions)

    def pack(self, array: Array, dtype: str) -> Array:
        """Return the transformed weights."""
        packed = super().pack(np.asarray(array, np.float64), "float64")
        layout, (positions, per_stacked) = self.layout, self.matrix.shape
        result: Array = np.empty((positions, self.size // positions), dtype)
        start = end = 0
        for block in layout.blocks:
            size = layout.taps * layout.inputs * block * layout.lanes
            taps = packed[start : start + size].reshape(layout.taps, -1)
            taps = taps[::-1] if self.turned else taps
            transformed = self.matrix @ taps.reshape(-1, per_stacked, taps.shape[1])
            begin, end = end, end + len(transformed) * taps.shape[1]
            result[:, begin:end] = transformed.swapaxes(0, 1).reshape(positions, -1)
            start += size
        return result.ravel()


@dataclass(frozen=True)
class Constant:
    """Numbers that kernels read and nobody changes, such as masks."""

    name: str
    numbers: Array
