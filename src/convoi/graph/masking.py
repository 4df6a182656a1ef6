"""From a network for series of one length to one for padded series of any.

The padding behind a series must not change what is computed of it. Most operations handle each
position by itself, so they may compute anything behind the end. Those that read neighbours find
there what the end of the series would give them: :class:`~convoi.ops.Mask` is put before them.
Averages and batch statistics count the positions of series only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from convoi.graph.alignment import Alignment, align, reads
from convoi.graph.builder import Builder
from convoi.graph.nodes import INPUT, LENGTH, Graph, Node
from convoi.ops import (
    Add,
    AveragePool,
    BatchNorm,
    ChannelSlice,
    Concatenate,
    Conv,
    Dropout,
    GlobalAveragePool,
    Mask,
    MaskedBatchNorm,
    Pointwise,
    ReLU,
    WindowShare,
    ZeroPad,
)

if TYPE_CHECKING:
    from convoi.ops import Operation

__all__ = ["mask"]

_KEEP_ZERO = (Add, ChannelSlice, Concatenate, Dropout, ZeroPad)
_KEEP_SIGN = (Add, ChannelSlice, Concatenate, Dropout)


def mask(graph: Graph, *, training: bool) -> Graph:
    """Return a network with the inputs "input", padded with zeros, and "length".

    Its output for a series of length ``length`` is that of the network for this length, in the
    positions that it has. It has the same parameters. For training, an output for each position
    is zero behind the end.

    Parameters
    ----------
    graph : Graph
        A network for series, of input shape (channels, time).
    training : bool
        Whether it is to be differentiated: the gradients are then exact, too.

    Returns
    -------
    Graph
        With ``length`` from the ``shortest`` of :class:`~convoi.graph.Alignment` to the time of
        the input.

    Raises
    ------
    ArgumentError
        If a layer works on one length only.

    Notes
    -----
    In training every value that a convolution or a batch normalisation reads is zero behind the
    end, and so, by the gradient of that mask, is the gradient of what computed it.

    Examples
    --------
    >>> from convoi.ops import Conv, GlobalAveragePool
    >>> build = Builder.for_network((1, 20))
    >>> x = build.layer("conv", Conv(4, (3,), (1,), ((1, 1),), (1,)), "input")
    >>> graph = build.finish(build.layer("mean", GlobalAveragePool(), x))
    >>> [node.op.name for node in mask(graph, training=False).nodes]
    ['conv', 'mask', 'global_average_pool', 'window_share']
    """
    alignments = align(graph)
    masking = _Masking(graph, alignments, training)
    for node in graph.nodes:
        masking.add(node)
    return masking.build.finish(*map(masking.output, graph.outputs))


@dataclass
class _Masking:
    """The masked network so far."""

    graph: Graph
    alignments: dict[str, Alignment | None]
    training: bool
    build: Builder = field(init=False)
    zero: set[str] = field(default_factory=lambda: {INPUT})
    """Values that are zero behind the end."""
    positive: set[str] = field(default_factory=set)
    """Values that are nowhere negative."""

    def __post_init__(self) -> None:
        inputs = {INPUT: self.graph.shape(INPUT), LENGTH: ()}
        self.build = Builder(inputs, self.graph.parameters)
        self._masks: dict[tuple[str, float], str] = {}

    def add(self, node: Node) -> None:
        """Add a node, with what has to come before and after it."""
        op, build = node.op, self.build
        if self.alignments[node.inputs[0]] is None:
            build.add(node)
            return
        fill = self._read(op)
        inputs = node.inputs
        if fill is not None:
            inputs = tuple(self._masked(value, fill) for value in inputs)
        if isinstance(op, BatchNorm) and self.training:
            masked = MaskedBatchNorm(op.momentum, op.eps, self._of(inputs[0]).extent)
            build.add(Node(node.name, masked, (*inputs, LENGTH), node.parameters))
            return
        share = self._share(op, node.inputs[0])
        if share is None:
            build.add(Node(node.name, op, inputs, node.parameters))
            self._note(node.name, op, inputs)
            return
        padded = build.add(Node(f"{node.name}|padded", op, inputs))
        build.add(Node(node.name, share, (padded, LENGTH)))

    def output(self, value: str) -> str:
        """Return what the network gives for one of its outputs."""
        if not self.training or self.alignments[value] is None:
            return value
        return self._masked(value, 0.0)

    def _read(self, op: Operation) -> float | None:
        """Return what an operation has to find in the padding; None: it does not matter."""
        if isinstance(op, BatchNorm) and self.training:
            return 0.0
        if isinstance(op, Conv) and op.kernel == (1,) and op.padding == ((0, 0),):
            # Forward, it takes each position by itself; the gradient of its weight takes all.
            return 0.0 if self.training else None
        return reads(op)

    def _of(self, value: str) -> Alignment:
        """Return the alignment of a value that has positions, or of the value that it masks."""
        alignment = self.alignments.get(value.partition("|mask")[0])
        if alignment is None:
            raise LookupError(value)
        return alignment

    def _masked(self, value: str, fill: float) -> str:
        """Return the value with this number behind the end."""
        if value in self.zero and (fill == 0 or value in self.positive):
            return value
        if value in self.positive:
            fill = 0.0
        key = (value, fill)
        if key not in self._masks:
            name = f"{value}|mask{'' if fill == 0 else ' low'}"
            op = Mask(self._of(value).extent, fill)
            self._masks[key] = self.build.add(Node(name, op, (value, LENGTH)))
        return self._masks[key]

    def _share(self, op: Operation, value: str) -> WindowShare | None:
        """Return what corrects an average whose windows may reach behind the end."""
        extent, positions = self._of(value).extent, self.graph.shape(value)[1]
        if isinstance(op, GlobalAveragePool):
            return WindowShare(extent, size=positions, positions=positions)
        if isinstance(op, AveragePool) and not op.count_padding and op.padding[0][1]:
            return WindowShare(extent, op.size[0], op.stride[0], op.padding[0][0], positions)
        return None

    def _note(self, name: str, op: Operation, inputs: tuple[str, ...]) -> None:
        """Remember what is known of a new value."""
        zero_inputs = all(value in self.zero for value in inputs)
        positive_inputs = all(value in self.positive for value in inputs)
        keeps = isinstance(op, _KEEP_ZERO) or (
            isinstance(op, Pointwise) and not op.reference(np.zeros(1)).any()
        )
        if zero_inputs and keeps:
            self.zero.add(name)
        if isinstance(op, ReLU) or (positive_inputs and isinstance(op, _KEEP_SIGN)):
            self.positive.add(name)
