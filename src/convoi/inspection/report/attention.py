"""The section on where predictions come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.errors import ArgumentError
from convoi.inspection.attribution import grad_cam, grad_cam_layer, integrated_gradients
from convoi.inspection.pictures import blended, diverging, grey, heat, mosaic
from convoi.inspection.plots import draw_sample
from convoi.inspection.report.document import (
    Block,
    Figure,
    Gallery,
    Heading,
    Picture,
    Section,
    Text,
)
from convoi.inspection.report.drawing import chart, curves, image, theme

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convoi.inspection.report.subject import Subject

__all__ = ["attention_section"]

_EXAMPLES = 8
_TITLE = "Where predictions come from"


def attention_section(subject: Subject) -> Section:
    """Return Grad-CAM and integrated gradients of right and of wrong predictions."""
    try:
        layer = grad_cam_layer(subject.network)
        grad_cam(subject.network, subject.X[:1], layer=layer)
        integrated_gradients(subject.network, subject.X[:1], steps=1)
    except ArgumentError as error:
        return Section("attention", _TITLE, (Text(str(error)),))
    value = "value" if subject.axes == 1 else "pixel"
    blocks: list[Block] = [
        Text(
            "Each sample is followed by its Grad-CAM (bright where layer "
            f"{layer} found what speaks for the prediction) and its integrated gradients (red "
            f"where a {value} speaks for the prediction, blue where it speaks against it, compared "
            "with an input of zeros)."
        )
    ]
    for title, chosen in _chosen(subject):
        if title:
            blocks.append(Heading(title))
        if not len(chosen):
            blocks.append(Text("There are none."))
            continue
        blocks.append(Gallery(_explained(subject, chosen, layer)))
    return Section("attention", _TITLE, tuple(blocks))


def _chosen(subject: Subject) -> list[tuple[str, NDArray[Any]]]:
    """Return numbers of samples by title: right predictions of each class, and surest errors."""
    if subject.labels is None:
        return [("", np.arange(min(_EXAMPLES, len(subject.X))))]
    right = subject.predicted == subject.y
    firsts = [
        np.flatnonzero(right & (subject.y == code))[:1] for code in range(len(subject.labels))
    ]
    wrong = np.flatnonzero(~right)
    worst = wrong[np.argsort(-subject.confidence[wrong], kind="stable")]
    return [
        ("Right predictions", np.concatenate(firsts)[:_EXAMPLES]),
        ("Wrong predictions", worst[:_EXAMPLES]),
    ]


def _explained(subject: Subject, chosen: NDArray[Any], layer: str) -> tuple[Figure, ...]:
    samples = subject.X[chosen]
    outputs = subject.network(samples).argmax(axis=1)
    cams = grad_cam(subject.network, samples, outputs, layer=layer)
    parts = integrated_gradients(subject.network, samples, outputs, steps=32).sum(axis=1)
    figures = []
    for number, sample, cam, part in zip(chosen.tolist(), samples, cams, parts, strict=True):
        caption = _caption(subject, number)
        place = tuple(int(i) + 1 for i in np.unravel_index(int(cam.argmax()), cam.shape))
        where = " and ".join(
            f"{axis} {p} of {n}"
            for axis, p, n in zip(("row", "column")[-len(place) :], place, cam.shape, strict=True)
        )
        if subject.axes == 1:
            where = f"time {place[0]} of {cam.shape[0]}"
        alt = f"Sample {number}, {caption}: " + (
            f"Grad-CAM is strongest at {where}" if cam.max() > 0 else "Grad-CAM is zero all over"
        )
        figures.append(Figure(_picture(subject, sample, cam, part, alt), caption))
    return tuple(figures)


def _caption(subject: Subject, number: int) -> str:
    if subject.labels is None:
        return f"sample {number}"
    true, predicted = (subject.label(int(k[number])) for k in (subject.y, subject.predicted))
    sure = f"{subject.confidence[number]:.1%}"
    return f"{true} ({sure})" if true == predicted else f"{true}, predicted {predicted} ({sure})"


def _picture(
    subject: Subject, sample: NDArray[Any], cam: NDArray[Any], part: NDArray[Any], alt: str
) -> Picture:
    limit = float(np.abs(part).max())
    peak = float(cam.max())
    if subject.axes == 2:
        pixels = grey(sample, *subject.limits)
        if pixels.shape[1] != sample.shape[2]:  # channels that stand side by side
            pixels = grey(sample[:1], *subject.limits)
        share = 0.25 + 0.5 * cam.astype(np.float64) / (peak or 1.0)
        panels = [pixels, blended(pixels, heat(cam, peak), share), diverging(part, limit)]
        return image(mosaic(panels, 3, side=96), alt, side=300)
    with theme():
        figure = curves(3.2, 1.8)
        axes = figure.subplots(3, 1, sharex=True, height_ratios=(3, 1, 1))
        draw_sample(axes[0], sample, subject.limits)
        extent = (0, sample.shape[1] - 1, 0, 1)
        axes[1].imshow(cam[None], "inferno", vmin=0, vmax=peak or 1, aspect="auto", extent=extent)
        axes[2].imshow(part[None], "RdBu_r", vmin=-(limit or 1), vmax=limit or 1, aspect="auto",
                       extent=extent)  # fmt: skip
        for ax in axes:
            ax.set_axis_off()
        return chart(figure, alt)
