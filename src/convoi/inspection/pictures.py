"""Arrays as pixels: samples, colours for numbers, mosaics of small images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from convoi.errors import MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Pixels", "blended", "diverging", "enlarged", "grey", "heat", "mosaic", "outlined"]

Pixels: TypeAlias = "NDArray[np.uint8]"
"""``(height, width, 3)``."""

GAP = (128, 128, 128)
"""Colour between the images of a mosaic, which is neither that of a light page nor of a dark."""
OUTLINE = (255, 96, 0)
"""Colour of frames: orange is far from grey and from what is common in photographs."""


def require_plots(purpose: str) -> None:
    """Raise with the hint how to install what draws, unless it is there."""
    try:
        import jinja2  # noqa: F401, PLC0415 - an optional package
        import matplotlib as mpl  # noqa: F401, PLC0415 - an optional package
    except ImportError as error:
        package = (error.name or "matplotlib").partition(".")[0]
        raise MissingDependencyError.for_package(
            package, purpose=purpose, install="convoi[plot]"
        ) from error


def grey(image: NDArray[Any], low: float, high: float) -> Pixels:
    """Return a sample ``(channels, height, width)``: `low` is black, and `high` is white.

    Three channels are red, green and blue; others stand side by side.
    """
    span = (high - low) or 1.0
    scaled = np.nan_to_num((image.astype(np.float64) - low) / span * 255)
    shades = scaled.round().clip(0, 255).astype(np.uint8)
    if len(shades) == 3:
        return np.moveaxis(shades, 0, -1)
    return np.concatenate(list(shades), axis=1)[..., None].repeat(3, axis=2)


def diverging(values: NDArray[Any], limit: float) -> Pixels:
    """Return numbers as colours: red up to `limit`, blue down to minus that, zero is white."""
    return _coloured("RdBu_r", (values / (limit or 1.0) + 1) / 2)


def heat(values: NDArray[Any], limit: float) -> Pixels:
    """Return numbers from 0 to `limit` as colours from black over red to light yellow."""
    return _coloured("inferno", values / (limit or 1.0))


def _coloured(name: str, values: NDArray[Any]) -> Pixels:
    from matplotlib import colormaps  # noqa: PLC0415 - an optional package

    pixels: Pixels = colormaps[name](np.nan_to_num(values).clip(0, 1), bytes=True)[..., :3]
    return pixels


def blended(image: Pixels, colours: Pixels, share: NDArray[Any]) -> Pixels:
    """Lay colours over an image; `share` says for each pixel how much of them is seen."""
    mixed = image + (colours.astype(np.float64) - image) * share[..., None]
    pixels: Pixels = mixed.round().clip(0, 255).astype(np.uint8)
    return pixels


def enlarged(image: Pixels, factor: int) -> Pixels:
    """Repeat each pixel."""
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def outlined(image: Pixels, box: Sequence[slice]) -> Pixels:
    """Draw the frame of a box of pixels, inside of it."""
    framed = image.copy()
    rows, columns = box
    if rows.start == rows.stop or columns.start == columns.stop:
        return framed
    framed[[rows.start, rows.stop - 1], columns] = OUTLINE
    framed[rows, [columns.start, columns.stop - 1]] = OUTLINE
    return framed


def mosaic(images: Sequence[Pixels], columns: int, *, side: int = 1, gap: int = 2) -> Pixels:
    """Lay images of one size in rows, with lines between them.

    The images are enlarged until a side of theirs has about so many pixels, so that the lines
    stay thin beside images of few pixels.
    """
    factor = max(side // max(images[0].shape[:2]), 1)
    tiles = [enlarged(image, factor) for image in images]
    height, width, _ = tiles[0].shape
    rows = math.ceil(len(tiles) / columns)
    columns = min(columns, len(tiles))
    extents = (rows * (height + gap) - gap, columns * (width + gap) - gap, 3)
    canvas = np.full(extents, GAP, np.uint8)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        top, left = row * (height + gap), column * (width + gap)
        canvas[top : top + height, left : left + width] = tile
    return canvas
