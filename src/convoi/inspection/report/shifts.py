"""The section on shifts: which layers move along with their input, and what predictions do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convoi.inspection.equivariance import Equivariance, LayerEquivariance, equivariance
from convoi.inspection.report.document import NOTHING, Block, Figure, Section, Table, Text
from convoi.inspection.report.drawing import chart, curves, theme

if TYPE_CHECKING:
    from convoi.inspection.report.subject import Subject

__all__ = ["equivariance_section"]

_SHIFTS = (1, 2, 4)
_SAMPLES = 64
_FEWEST = 8
_MULTIPLY_ADDS = 2e10
"""Of all samples together: about a second, with its shifts."""
_TITLE = "Equivariance"


def equivariance_section(subject: Subject) -> Section:
    """Return how far layers move along with a shifted input, and how often predictions stay."""
    extents = subject.network.input_shape[1:]
    shifts = [shift for shift in _SHIFTS if extents and shift < min(extents)]
    if not shifts:
        text = "The network's input has no axis along which it could be shifted."
        return Section("equivariance", _TITLE, (Text(text),))
    work = max(subject.network.summary(show=False).multiply_adds, 1)
    most = int(min(max(_MULTIPLY_ADDS / work, _FEWEST), _SAMPLES))
    chosen = np.linspace(0, len(subject.X) - 1, min(len(subject.X), most)).astype(int)
    found = equivariance(subject.network, subject.X[chosen], shifts=shifts)
    text = (
        f"{found.samples} samples are shifted along all axes, with zeros moving in, and each "
        "layer's output is compared with its shifted output. The difference is relative to the "
        "output: 0 means that the layer moves along exactly. The interior leaves out what lies at "
        "the border; a shift that is no multiple of a layer's stride is rounded (≈)."
    )
    blocks: list[Block] = [Text(text)]
    if subject.labels is not None and found.predictions:
        blocks.append(_predictions(found))
    moving = [layer for layer in found if layer.output_shift is not None]
    if moving:
        blocks.append(_chart(found, moving))
    layers = [layer for layer in moving if layer.name in _mixing(subject)]
    if layers:
        blocks.append(_differences(layers))
    return Section("equivariance", _TITLE, tuple(blocks))


def _predictions(found: Equivariance) -> Table:
    rows = tuple(
        (str(max(p.shift)), f"{p.unchanged:.1%}", f"{p.probability_change:.3f}")
        for p in found.predictions
    )
    header = ("Shift", "Predictions unchanged", "Change of probability")
    return Table("What shifts do to predictions", header, rows)


def _differences(layers: list[LayerEquivariance]) -> Table:
    rows = tuple(
        (
            layer.name,
            str(max(layer.shift)),
            ("" if layer.exact else "≈ ") + str(max(layer.output_shift or (0,))),
            _number(layer.interior),
            _number(layer.border),
        )
        for layer in layers
    )
    header = ("Layer", "Shift", "Output shift", "Interior", "Border")
    return Table("Differences of layers that mix positions", header, rows)


def _mixing(subject: Subject) -> set[str]:
    """Return the layers that mix positions; activations and normalisations do as these do."""
    graph = subject.network.graph
    return {
        node.name
        for node in graph.nodes
        if any(graph.shape(node.name)[1:]) and getattr(node.op, "window", None) is not None
    }


def _chart(found: Equivariance, moving: list[LayerEquivariance]) -> Figure:
    names = list(dict.fromkeys(layer.name for layer in moving))
    shifts = list(dict.fromkeys(layer.shift for layer in moving))
    with theme():
        figure = curves(6.4, 3.4)
        ax = figure.subplots()
        words = []
        for shift in shifts:
            values = {r.name: r.interior for r in moving if r.shift == shift}
            heights = [np.nan if (v := values.get(n)) is None else v for n in names]
            ax.plot(range(len(names)), heights, "o-", markersize=4, label=f"shift {max(shift)}")
            if not np.isnan(heights).all():
                words.append(f"shifted by {max(shift)} it is at most {np.nanmax(heights):.3g}")
        few = max(len(names) // 12, 1)
        ax.set_xticks(range(0, len(names), few), names[::few], rotation=45, ha="right")
        ax.set(xlabel="Layer", ylabel="Difference in the interior")
        ax.legend()
        alt = "Curve over the layers of the difference in the interior: " + "; ".join(words)
        picture = chart(figure, alt)
    return Figure(picture, f"How far layers fail to move along, over {found.samples} samples")


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3g}"
