"""Sections on the network: architecture, kernels, feature maps, and what units look at."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.inspection.activations import feature_maps, kernels
from convoi.inspection.blocks import block_ends
from convoi.inspection.patches import Patch, Peaks, peaks
from convoi.inspection.pictures import Pixels, diverging, heat, mosaic, outlined
from convoi.inspection.report.document import (
    NOTHING,
    Block,
    Figure,
    Gallery,
    Heading,
    Picture,
    Section,
    Table,
    Text,
)
from convoi.inspection.report.drawing import (
    SERIES,
    chart,
    curves,
    image,
    magnified,
    sample_picture,
    theme,
)
from convoi.nn.summary import in_bytes
from convoi.ops import Conv

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convoi.inspection.report.subject import Subject

__all__ = ["architecture_section", "kernels_section", "maps_section", "units_section"]

_MOST_LAYERS = 6
_KERNEL_LAYERS = 4
_UNIT_LAYERS = 4
_MOST_CHANNELS = 16
_UNITS = 6
_PATCHES = 6
_TILE = 56
"""Pixels of a side of the images in a mosaic, about."""
_WIDTH = 320
"""Pixels of the width of kernels along time."""
_SEARCHED = 1000
"""Samples that are searched for what a unit looks at."""


def architecture_section(subject: Subject) -> Section:
    """Return the layers with their costs and receptive fields."""
    network = subject.network
    summary = network.summary(show=False)
    rows = tuple(
        (
            layer.name,
            layer.layer,
            _extents(layer.output_shape),
            f"{layer.parameters:,}",
            f"{layer.connections:,}",
            f"{layer.multiply_adds:,}",
            in_bytes(layer.activation_bytes),
            f"{layer.arithmetic_intensity:.1f}",
            _extents(layer.receptive_field.size) or NOTHING,
            _extents(layer.receptive_field.stride) or NOTHING,
        )
        for layer in summary
    )
    text = (
        f"{summary.parameters:,} parameters, {summary.trainable:,} of them trained; "
        f"{summary.multiply_adds:,} multiply-adds for a sample. Connections are pairs of values "
        "that a weight or a pooling window joins. The receptive field of a layer is the part of "
        "the input that one of its values depends on, and its stride how far that moves from one "
        "value to the next; it is 0 for layers without positions."
    )
    header = (
        "Name", "Layer", "Output", "Parameters", "Connections", "Multiply-adds", "Output memory",
        "FLOP/byte", "Receptive field", "Stride",
    )  # fmt: skip
    table = Table("Layers in the order in which they are computed", header, rows, texts=3)
    return Section("architecture", "Architecture", (Text(text), table))


def kernels_section(subject: Subject) -> Section:
    """Return the kernels of the convolutions as mosaics."""
    graph = subject.network.graph
    names = [n.name for n in graph.nodes if isinstance(n.op, Conv) and n.op.kernel]
    names = [name for name in names if 1 <= len(graph.shape(name)) - 1 <= 2]
    names = [name for name in names if np.prod(graph.node(name).op.kernel) > 1]  # type: ignore[attr-defined]  # they are convolutions
    blocks: list[Block] = [Text("Red weights are positive, blue ones negative, white ones zero.")]
    blocks += (_kernels_of(subject, name) for name in evenly(names, _KERNEL_LAYERS))
    if len(blocks) == 1:
        blocks = [Text("The network has no kernels over one or two axes.")]
    return Section("kernels", "Kernels", tuple(blocks))


def _kernels_of(subject: Subject, name: str) -> Figure:
    weights = kernels(subject.network, name)
    filters, channels = weights.shape[:2]
    most = _MOST_CHANNELS if channels == 1 else _MOST_CHANNELS // 2
    shown = weights[:most, :most]
    limit = float(np.abs(shown).max())
    words = f"{len(shown)} of {filters} kernels"
    if channels > 1:
        words = (
            f"{len(shown)} of {filters} filters in rows, {shown.shape[1]} of {channels} input "
            "channels in columns"
        )
    if shown.ndim == 3:  # a block of rows for each channel
        columns = [diverging(shown[:, channel], limit) for channel in range(shown.shape[1])]
        side = max(_WIDTH // len(columns), 2 * _TILE)
        pixels = mosaic(columns, len(columns), side=side)
    else:
        tiles = [diverging(kernel, limit) for row in shown for kernel in row]
        pixels = mosaic(tiles, 8 if channels == 1 else shown.shape[1], side=_TILE)
    alt = f"Kernels of {_extents(weights.shape[2:])} in layer {name}: {words}"
    return Figure(image(pixels, alt, side=max(pixels.shape)), f"Layer {name}: {words}")


def maps_section(subject: Subject) -> Section:
    """Return the feature maps of one sample, from the first layers to the last."""
    sample = _typical(subject)
    names = evenly(block_ends(subject.network), _MOST_LAYERS)
    if not names:
        text = "The network has no convolution, whose feature maps could be shown."
        return Section("maps", "Feature maps", (Text(text),))
    found = feature_maps(subject.network, subject.X[sample : sample + 1], names)
    name = "" if subject.labels is None else f", {subject.label(int(subject.y[sample]))}"
    text = (
        f"What the layers make of sample {sample}{name}: dark is small, bright is large, on a "
        "scale for each layer."
    )
    alt = f"Sample {sample}{name}"
    blocks: list[Block] = [
        Text(text),
        Gallery((Figure(sample_picture(subject, subject.X[sample], alt), alt),)),
    ]
    for layer in names:
        maps = found[layer][0]
        shown = maps[:_MOST_CHANNELS].astype(np.float64)
        low, high = float(shown.min()), float(shown.max())
        words = f"{len(shown)} of {len(maps)} channels of {_extents(maps.shape[1:])}"
        alt = f"Feature maps of layer {layer}: {words}"
        if shown.ndim == 2:  # a row for each channel
            picture = replace(
                image(heat(shown - low, high - low), alt), width=480, height=12 * len(shown)
            )
        else:
            tiles = [heat(each - low, high - low) for each in shown]
            pixels = mosaic(tiles, 8, side=_TILE, gap=1)
            picture = image(pixels, alt, side=max(pixels.shape))
        blocks.append(Figure(picture, f"Layer {layer}: {words}"))
    return Section("maps", "Feature maps", tuple(blocks))


def units_section(subject: Subject) -> Section:
    """Return, layer by layer, the parts of samples that units answer to most."""
    samples = subject.X[:_SEARCHED]
    blocks: list[Block] = [
        Text(
            f"For some units of each layer, the {_PATCHES} of {len(samples):,} samples that they "
            "answer to most, with the receptive field framed: from the small fields of the first "
            "layers to those of the last."
        )
    ]
    for layer in evenly(block_ends(subject.network), _UNIT_LAYERS):
        found = peaks(subject.network, samples, layer)
        best = np.argsort(-found.values.max(axis=0), kind="stable")[:_UNITS]
        blocks.append(Heading(f"Layer {layer}"))
        blocks.append(Gallery(tuple(_unit(subject, found, layer, int(unit)) for unit in best)))
    return Section("units", "What units look at", tuple(blocks))


def _unit(subject: Subject, found: Peaks, layer: str, unit: int) -> Figure:
    patches = found.top(unit, _PATCHES)
    numbers = ", ".join(str(patch.sample) for patch in patches)
    alt = (
        f"Unit {unit} of layer {layer}: samples {numbers}, with the receptive field framed, for "
        f"values from {patches[0].activation:.3g} down to {patches[-1].activation:.3g}"
    )
    if subject.axes == 2:
        pixels = mosaic([_framed(subject, found.samples, patch) for patch in patches], 3, gap=4)
        picture = image(pixels, alt, side=max(pixels.shape))
    else:
        picture = _framed_curves(subject, found.samples, patches, alt)
    return Figure(picture, f"Unit {unit}")


def _framed(subject: Subject, samples: NDArray[Any], patch: Patch) -> Pixels:
    pixels, factor = magnified(subject, samples[patch.sample])
    box = [slice(axis.start * factor, axis.stop * factor) for axis in patch.box]
    return outlined(pixels, box)


def _framed_curves(
    subject: Subject, samples: NDArray[Any], patches: Sequence[Patch], alt: str
) -> Picture:
    low, high = subject.limits
    height = (high - low) or 1.0
    with theme():
        figure = curves(3.2, 0.55 * len(patches))
        ax = figure.subplots()
        for row, patch in enumerate(patches):  # the strongest on top
            base = -row * height
            for number, curve in enumerate(samples[patch.sample]):
                colour = SERIES[number % len(SERIES)]
                ax.plot(curve - low + base, linewidth=1, color=colour)
            (box,) = patch.box
            ax.fill_between((box.start, box.stop - 1), base, base + height, color="C1", alpha=0.3)
        ax.set_axis_off()
        return chart(figure, alt)


def _typical(subject: Subject) -> int:
    """Return a sample that is recognised as the median of those that are."""
    if subject.labels is None:
        return 0
    right = np.flatnonzero(subject.predicted == subject.y)
    if not len(right):
        return 0
    order = right[np.argsort(subject.confidence[right], kind="stable")]
    return int(order[len(order) // 2])


def evenly(names: Sequence[str], count: int) -> list[str]:
    """Return at most so many of some names, evenly spread, the first and the last among them."""
    if len(names) <= count:
        return list(names)
    places = np.linspace(0, len(names) - 1, count).round().astype(int)
    return [names[place] for place in places]


def _extents(shape: Sequence[object]) -> str:
    return "x".join(map(str, shape))
