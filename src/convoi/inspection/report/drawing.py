"""Arrays and matplotlib's figures as pictures that stand in a document."""

from __future__ import annotations

import base64
import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from PIL import Image

from convoi.inspection.pictures import Pixels, enlarged, grey
from convoi.inspection.plots import draw_sample
from convoi.inspection.report.document import Picture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from convoi.inspection.report.subject import Subject

__all__ = ["chart", "curves", "image", "sample_picture", "theme"]

INK = "#010203"
PAPER = "#030201"
"""Colours that no plot uses: in the picture they follow the reader's colour scheme."""
_SCHEMES = (
    "<style>:root{--ink:#1d2428;--paper:#ffffff}"
    "@media (prefers-color-scheme:dark){:root{--ink:#e4e9ec;--paper:#161b1e}}"
    "text{font-family:system-ui,sans-serif}</style>"
)
SERIES = ("#0f8f8a", "#e4642e", "#7a6fd0", "#b5851a")
"""Colours of curves, with contrast to a light page and to a dark one."""
_LONG_SIDE = 640  # CSS pixels of the largest pictures
_SAMPLE_SIDE = 96


@contextmanager
def theme() -> Iterator[None]:
    """Let figures that are made in this context follow the reader's colour scheme."""
    from cycler import cycler  # noqa: PLC0415 - an optional package
    from matplotlib import rc_context  # noqa: PLC0415 - an optional package

    ink = dict.fromkeys(
        (
            "text.color",
            "axes.edgecolor",
            "axes.labelcolor",
            "axes.titlecolor",
            "xtick.color",
            "ytick.color",
        ),
        INK,
    )
    settings: Any = {  # the type of their names is matplotlib's own
        **ink,
        "axes.prop_cycle": cycler(color=SERIES),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.facecolor": "none",
        "figure.facecolor": "none",
        "savefig.facecolor": "none",
        "patch.edgecolor": PAPER,
        "legend.framealpha": 0,
        "font.size": 11,
        "svg.fonttype": "none",  # text stays text
        "svg.hashsalt": "convoi",  # the same figure gives the same file
    }
    with rc_context(settings):
        yield


def chart(figure: Figure, alt: str) -> Picture:
    """Return a figure that was made under :func:`theme` as a drawing."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    drawing = text.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    head, rest = drawing.split(">", 1)
    drawing = f"{head}>{_SCHEMES}{rest}".replace(INK, "var(--ink)").replace(PAPER, "var(--paper)")
    width, height = (round(float(inches) * 96) for inches in figure.get_size_inches())
    return Picture(_address("image/svg+xml", drawing.encode()), alt, width, height)


def image(pixels: Pixels, alt: str, *, side: int = _LONG_SIDE) -> Picture:
    """Return pixels as an image whose longer side is shown up to so many CSS pixels long."""
    height, width, _ = pixels.shape
    factor = max(side // max(height, width), 1)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG", optimize=True)
    return Picture(
        _address("image/png", data.getvalue()), alt, width * factor, height * factor, pixelated=True
    )


def sample_picture(subject: Subject, sample: NDArray[Any], alt: str) -> Picture:
    """Return a sample as a small picture: an image, or curves."""
    if subject.axes == 2:
        return image(grey(sample, *subject.limits), alt, side=_SAMPLE_SIDE)
    with theme():
        figure = curves(2.2, 0.9)
        ax = figure.subplots()
        draw_sample(ax, sample, subject.limits)
        ax.set_axis_off()
        return chart(figure, alt)


def curves(width: float, height: float) -> Figure:
    """Return an empty figure of so many inches."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - an optional package

    return Figure(figsize=(width, height), layout="constrained")


def magnified(subject: Subject, sample: NDArray[Any]) -> tuple[Pixels, int]:
    """Return a sample in so many pixels that lines can be drawn on it, and by how much."""
    pixels = grey(sample, *subject.limits)
    factor = max(_SAMPLE_SIDE // max(pixels.shape[:2]), 1)
    return enlarged(pixels, factor), factor


def _address(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
