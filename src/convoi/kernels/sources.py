"""Where the inputs of an expression come from: tensors, or vectors with a value per channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from convoi.kernels.lanes import load_group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index, Value
    from convoi.kernels.layout import Layout


@dataclass(frozen=True)
class Tensor:
    """A source with a value for every position and channel."""

    layout: Layout


@dataclass(frozen=True)
class Channels:
    """A source with a value per channel: an array of the layout's ``stride`` elements."""


Source: TypeAlias = Tensor | Channels


class Operands:
    """The sources of an expression while a kernel is emitted.

    Tensors are found at the positions of a traversal, vectors per channel at a channel; `order`
    puts both kinds into the order of the expression's inputs.
    """

    def __init__(
        self, f: Function, sources: Sequence[Source], pointers: Sequence[Value], layout: Layout
    ) -> None:
        self._f = f
        self._layout = layout
        self._is_tensor = [isinstance(source, Tensor) for source in sources]
        self.layouts = [source.layout for source in sources if isinstance(source, Tensor)]
        """Of the tensors."""
        self._channels = [p for p, t in zip(pointers, self._is_tensor, strict=True) if not t]
        tensors = [p for p, t in zip(pointers, self._is_tensor, strict=True) if t]
        self._bases = [origin(f, p, t) for p, t in zip(tensors, self.layouts, strict=True)]

    @property
    def channel_count(self) -> int:
        """How many sources have a value per channel."""
        return len(self._channels)

    def load_channels(self, channel: Index, blocks: int) -> list[list[Value]]:
        """Load the per-channel sources of some blocks: for each block one vector of each."""
        loaded = [load_group(self._f, self._layout, p, channel, blocks) for p in self._channels]
        return [[vectors[b] for vectors in loaded] for b in range(blocks)]

    def load_tensors(self, offsets: Sequence[Index], channel: Index) -> list[Value]:
        """Load one vector of each tensor, given where the position lies in each."""
        return [
            load_group(self._f, self._layout, base, self._f.add(offset, channel), 1)[0]
            for base, offset in zip(self._bases, offsets, strict=True)
        ]

    def order(self, tensors: Sequence[Value], channels: Sequence[Value]) -> list[Value]:
        """Return all values in the order of the sources."""
        left = {True: iter(tensors), False: iter(channels)}
        return [next(left[kind]) for kind in self._is_tensor]


def origin(f: Function, pointer: Value, layout: Layout) -> Value:
    """Return the address of a tensor's first position inside the halo."""
    return f.at(pointer, layout.origin, layout.element)


def check_same_elements(layout: Layout, other: Layout) -> None:
    """Raise ValueError unless two tensors have the same elements, in vectors of the same kind."""
    a, b = ((t.channels, t.spatial, t.lanes, t.dtype) for t in (layout, other))
    if a != b:
        message = f"Tensors with different elements: {layout} and {other}."
        raise ValueError(message)


def check_inputs(inputs: int, sources: Sequence[Source], layout: Layout) -> None:
    """Raise ValueError unless sources fit an expression of some inputs, and one another."""
    if inputs != len(sources):
        message = f"{len(sources)} sources for {inputs} inputs."
        raise ValueError(message)
    for source in sources:
        if isinstance(source, Tensor):
            check_same_elements(source.layout, layout)
