"""What a network consists of and what it costs, as records and as a table."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar

from convoi import ops
from convoi.graph import receptive_fields
from convoi.nn.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from convoi.compiler.footprint import MemoryFootprint
    from convoi.graph import Graph, ReceptiveField
    from convoi.nn.setting import Setting
    from convoi.ops import Array, Cost, Operation, Shape

__all__ = ["LayerSummary", "NetworkSummary", "summarize"]


@dataclass(frozen=True)
class LayerSummary:
    """One layer that computes something. Counts and bytes are for one sample.

    Attributes
    ----------
    name : str
        Its path in the tree of layers.
    layer : str
        What it is, in short.
    output_shape : tuple of int
        ``(channels, *spatial)`` or ``(features,)``.
    parameters : int
        Number of its parameters, statistics included.
    multiply_adds : int
        Multiply-adds, those with padding included.
    connections : int
        Pairs of an input value and an output value that a weight or a pooling window joins;
        biases and padding are no input values.
    activation_bytes : int
        Memory of its output.
    weight_bytes : int
        Memory of its parameters.
    arithmetic_intensity : float
        Operations, two for each multiply-add, per byte of its inputs, output and parameters.
    receptive_field : ReceptiveField
        What a position of its output sees of the network's input.
    seconds : float or None
        Measured time per sample, on one thread. 0 for a layer that is computed as a part of
        another one. None unless it was measured.
    fraction_of_peak : float or None
        Multiply-adds per second as a part of the most that a core was seen to do. Fast
        convolutions, which multiply less, come out above 1. None unless it was measured, and for
        layers without multiply-adds or without a time of their own.
    """

    name: str
    layer: str
    output_shape: Shape
    parameters: int
    multiply_adds: int
    connections: int
    activation_bytes: int
    weight_bytes: int
    arithmetic_intensity: float
    receptive_field: ReceptiveField
    seconds: float | None = None
    fraction_of_peak: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the record as numbers, texts and lists of them."""
        field = self.receptive_field
        return {
            **{name: value for name, value in vars(self).items() if name != "receptive_field"},
            "receptive_field": {
                "size": field.size,
                "stride": tuple(s if isinstance(s, int) else float(s) for s in field.stride),
                "offset": field.offset,
            },
        }


@dataclass(frozen=True, repr=False)
class NetworkSummary(Record):
    """The layers of a network, in the order in which they are computed, and the totals.

    Attributes
    ----------
    layers : tuple of LayerSummary
        One record per layer; iterating over the summary gives them, too.
    parameters : int
        Number of all parameters.
    trainable : int
        Number of those that are trained: all but statistics.
    multiply_adds, connections, activation_bytes, weight_bytes : int
        Sums over the layers.
    arithmetic_intensity : float
        Operations per byte over all layers, as if each read and wrote memory.
    prediction_memory, training_memory : MemoryFootprint
        The memory that is planned for predicting a batch and for a step of training on one.
    seconds : float or None
        Measured time per sample on one thread, with reading the sample and writing the output.
    peak : float or None
        The most multiply-adds per second that a core was seen to do, if times were measured.
    """

    left: ClassVar[int] = 3

    layers: tuple[LayerSummary, ...]
    parameters: int
    trainable: int
    multiply_adds: int
    connections: int
    activation_bytes: int
    weight_bytes: int
    arithmetic_intensity: float
    prediction_memory: MemoryFootprint
    training_memory: MemoryFootprint
    seconds: float | None = None
    peak: float | None = None

    @property
    def parameter_bytes(self) -> int:
        """Memory of the parameters: the same as `weight_bytes`."""
        return self.weight_bytes

    def __iter__(self) -> Iterator[LayerSummary]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, name: str) -> LayerSummary:
        """Return the record of a layer by its name."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(name)

    def __repr__(self) -> str:
        return (
            f"<NetworkSummary: {len(self.layers)} layers, {self.parameters:,} parameters, "
            f"{self.multiply_adds:,} multiply-adds>"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as numbers, texts, and lists and dictionaries of them."""
        memory = {"prediction": self.prediction_memory, "training": self.training_memory}
        totals = {
            name: value
            for name, value in vars(self).items()
            if name not in {"layers", "prediction_memory", "training_memory"}
        }
        return {
            **totals,
            "memory": {
                name: {**asdict(each), "total_bytes": each.total_bytes}
                for name, each in memory.items()
            },
            "layers": [layer.as_dict() for layer in self.layers],
        }

    # What is shown ----------------------------------------------------------------------------

    def headers(self) -> tuple[str, ...]:
        """Return the headers of the table."""
        timed = () if self.seconds is None else ("µs", "% of peak")
        return (
            "Name", "Layer", "Output", "Parameters", "Connections", "Multiply-adds",
            "Activations", "FLOP/byte", "Field", *timed,
        )  # fmt: skip

    def rows(self) -> list[tuple[str, ...]]:
        """Return the rows of the table: texts, a row for each layer."""
        return [self._row(layer) for layer in self.layers]

    def totals(self) -> tuple[str, ...]:
        """Return the last row of the table."""
        timed = () if self.seconds is None else (f"{1e6 * self.seconds:.1f}", self._total_peak())
        return (
            "Total", "", "", f"{self.parameters:,}", f"{self.connections:,}",
            f"{self.multiply_adds:,}", in_bytes(self.activation_bytes),
            f"{self.arithmetic_intensity:.1f}", "", *timed,
        )  # fmt: skip

    def notes(self) -> tuple[str, ...]:
        """Return the lines below the table."""
        prediction, training = self.prediction_memory, self.training_memory
        return (
            f"{self.trainable:,} trainable parameters, {in_bytes(self.weight_bytes)}",
            (
                f"Memory for batches of {prediction.batch_size} on {prediction.threads} threads: "
                f"{in_bytes(prediction.total_bytes)} to predict, "
                f"{in_bytes(training.total_bytes)} to train"
            ),
        )

    def _row(self, layer: LayerSummary) -> tuple[str, ...]:
        timed: tuple[str, ...] = ()
        if self.seconds is not None:
            fraction = layer.fraction_of_peak
            timed = (
                f"{1e6 * layer.seconds:.1f}" if layer.seconds else "",
                "" if fraction is None else f"{100 * fraction:.0f}",
            )
        return (
            layer.name,
            layer.layer,
            extents(layer.output_shape),
            f"{layer.parameters:,}" if layer.parameters else "",
            f"{layer.connections:,}" if layer.connections else "",
            f"{layer.multiply_adds:,}" if layer.multiply_adds else "",
            in_bytes(layer.activation_bytes),
            f"{layer.arithmetic_intensity:.1f}" if layer.multiply_adds else "",
            _field(layer.receptive_field),
            *timed,
        )

    def _total_peak(self) -> str:
        if not self.seconds or not self.peak:
            return ""
        return f"{100 * self.multiply_adds / self.seconds / self.peak:.0f}"


def summarize(
    graph: Graph,
    setting: Setting,
    *,
    batch_size: int,
    measured: Mapping[str, Array] | None = None,
) -> NetworkSummary:
    """Return the summary of a network's graph.

    Parameters
    ----------
    graph : Graph
        The network.
    setting : Setting
        How it computes.
    batch_size : int
        Samples of the batch for which memory is planned and times are measured.
    measured : mapping of str to array, optional
        The parameters to measure times with; without them, nothing is compiled.

    Returns
    -------
    NetworkSummary
        Exact counts that follow from the shapes, planned memory, and measured times.
    """
    # Deferred, because compiling needs llvmlite and describing a network does not.
    from convoi.compiler.footprint import (  # noqa: PLC0415
        inference_footprint,
        training_footprint,
    )

    seconds, peak = (
        ({}, None) if measured is None else _measured(graph, setting, batch_size, measured)
    )
    fields, size = receptive_fields(graph), setting.dtype.itemsize
    costs = [(node, node.op.cost(*map(graph.shape, node.inputs))) for node in graph.nodes]
    layers = tuple(
        LayerSummary(
            node.name,
            _described(node.op),
            graph.shape(node.name),
            cost.parameters,
            cost.multiply_adds,
            node.op.connections(*map(graph.shape, node.inputs)),
            cost.elements_written * size,
            cost.parameters * size,
            _intensity(cost, size),
            fields[node.name],
            seconds.get(node.name),
            _fraction(cost, seconds.get(node.name), peak),
        )
        for node, cost in costs
    )
    total = sum((cost for _, cost in costs), ops.Cost())
    sizes = {name: prod(spec.shape) for name, spec in graph.parameters.items()}
    dtype, threads, precision = setting.dtype.name, setting.threads, setting.precision
    planned = {"batch_size": batch_size, "threads": threads, "precision": precision}
    return NetworkSummary(
        layers,
        parameters=sum(sizes.values()),
        trainable=sum(sizes[name] for name, s in graph.parameters.items() if s.kind.trainable),
        multiply_adds=total.multiply_adds,
        connections=sum(layer.connections for layer in layers),
        activation_bytes=total.elements_written * size,
        weight_bytes=sum(sizes.values()) * size,
        arithmetic_intensity=_intensity(total, size),
        prediction_memory=inference_footprint(graph, dtype, **planned),  # type: ignore[arg-type]
        training_memory=training_footprint(graph, dtype, **planned),  # type: ignore[arg-type]
        seconds=sum(seconds.values()) if seconds else None,
        peak=peak,
    )


def _measured(
    graph: Graph, setting: Setting, batch_size: int, parameters: Mapping[str, Array]
) -> tuple[dict[str, float], float]:
    from convoi.compiler.peak import measured_peak  # noqa: PLC0415 - see summarize
    from convoi.compiler.timing import time_layers  # noqa: PLC0415

    seconds = time_layers(
        graph,
        setting.dtype.name,
        parameters,
        batch_size=batch_size,
        precision=setting.precision,
    )
    return seconds, measured_peak(setting.dtype.name)


def _intensity(cost: Cost, itemsize: int) -> float:
    elements = cost.elements_read + cost.elements_written + cost.parameters
    return 2 * cost.multiply_adds / (elements * itemsize)


def _fraction(cost: Cost, seconds: float | None, peak: float | None) -> float | None:
    if not seconds or not peak or not cost.multiply_adds:
        return None
    return cost.multiply_adds / seconds / peak


def _described(op: Operation) -> str:
    words = type(op).__name__
    if isinstance(op, ops.Conv):
        words += f" {extents(op.kernel)}"
        words += f", stride {extents(op.stride)}" if any(s != 1 for s in op.stride) else ""
        words += f", {op.groups} groups" if op.groups > 1 else ""
    elif isinstance(op, ops.Pool):
        words += f" {extents(op.size)}"
        words += f", stride {extents(op.stride)}" if op.stride != op.size else ""
    return words


def _field(field: ReceptiveField) -> str:
    """Return size and stride; values without positions have no stride."""
    if not field.size:
        return ""
    moves = any(field.stride)
    return extents(field.size) + (f" / {extents(field.stride)}" if moves else "")


def extents(values: Iterable[object]) -> str:
    """Return a shape as it is written in tables: 32x8x8."""
    return "x".join(map(str, values))


def in_bytes(size: int) -> str:
    """Return a number of bytes as it is written in tables."""
    if size < 1e3:
        return f"{size} B"
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
