"""From strokes of a pen to the pixels that a network was trained on.

The digits of scikit-learn are bitmaps of 32x32 that NIST's form-reading software normalised,
counted in blocks of 4x4: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits",
UCI Machine Learning Repository, 1998; M. D. Garris et al., "NIST Form-Based Handprint Recognition
System", NISTIR 5469, 1994. That normalisation fills a box of 20x32 and gives strokes a width at
which all digits have about the same number of black pixels, and so does this one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.checks import check_real
from convoi.errors import ArgumentError
from convoi.explorer import limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from convoi.explorer.fields import Fields

    Stroke = NDArray[np.float64]
    """Points of the pen on its way, shape (points, 2): to the right and down, from 0 to 1."""

BITMAP = 32
BLOCK = 4
BOX = (20, 32)
"""Width and height of a normalised digit."""
INK = 312
"""Black pixels of a digit's bitmap, the mean over the data set."""
MOST_STRETCH = 2.0
"""A narrow digit is widened up to this factor to fill the box; a one stays narrow."""
_PASSES = 3
"""How often box and width of the strokes are fitted to each other."""
PEN = 0.08
"""Width of the pen for networks of other inputs, as part of the picture."""
SPACING = 1 / 64
"""Distance of points, as part of the picture's side, below which the next one is left out."""
SEGMENTS = 256
"""Of a drawing, about, at most: of a longer one points farther apart are left out."""


def read_strokes(fields: Fields) -> list[Stroke]:
    """Return the strokes of a request.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If they are no lists of points, or too many.
    """
    strokes, points = [], 0
    for stroke in fields.items("strokes", limits.STROKES):
        if not isinstance(stroke, list):
            raise ArgumentError("Each stroke of the request must be a list of points.")
        points += len(stroke)
        if points > limits.POINTS:
            raise ArgumentError(f"A drawing may have at most {limits.POINTS} points.")
        if stroke:
            strokes.append(np.array([_point(point) for point in stroke]))
    return strokes


def _point(point: object) -> tuple[float, ...]:
    if not isinstance(point, list) or len(point) != 2:
        raise ArgumentError("Each point of a stroke must be a list of two numbers from 0 to 1.")
    return tuple(
        check_real(number, "strokes", "the request", minimum=0, maximum=1) for number in point
    )


def as_nist_digit(strokes: list[Stroke]) -> NDArray[np.uint8]:
    """Return a drawing as a digit of scikit-learn's data set.

    Parameters
    ----------
    strokes : list of ndarray of shape (points, 2)
        Positions of the pen, to the right and down, from 0 to 1.

    Returns
    -------
    ndarray of shape (8, 8)
        Black pixels of blocks of 4x4, from 0 to 16.

    Examples
    --------
    >>> import numpy as np
    >>> as_nist_digit([np.array([[0.5, 0.2], [0.5, 0.8]])])[3]
    array([ 0,  0,  8, 16, 16,  8,  0,  0], dtype=uint8)
    """
    pen = BOX[0] / 5
    for _ in range(_PASSES):
        distances = _distances(_fitted(strokes, pen), BITMAP, reach=BOX[0] / 2)
        # Of the pixels nearest to the strokes as many become black as make up the ink.
        radius = np.partition(distances, INK - 1, axis=None)[INK - 1]
        pen = 2 * min(float(radius), BOX[0] / 2)
    bitmap = distances <= pen / 2 + 1e-3  # so that rounding spoils no symmetry
    side = BITMAP // BLOCK
    counts: NDArray[np.int64] = bitmap.reshape(side, BLOCK, side, BLOCK).sum(axis=(1, 3))
    return counts.astype(np.uint8)


def as_picture(strokes: list[Stroke], height: int, width: int) -> NDArray[np.float64]:
    """Return a drawing as a picture of any size, ink 1 on 0, with grey borders of the strokes.

    The picture is the largest rectangle of its form in the middle of the square that was drawn on.
    """
    longest = max(height, width)
    radius = max(PEN * longest, 1.0) / 2
    distances = _distances([stroke * longest for stroke in strokes], longest, reach=radius + 1)
    grey = np.clip(radius - distances + 0.5, 0, 1)
    top, left = (longest - height) // 2, (longest - width) // 2
    picture: NDArray[np.float64] = grey[top : top + height, left : left + width]
    return picture


def _fitted(strokes: list[Stroke], pen: float) -> list[Stroke]:
    """Return strokes in pixels, such that a pen of this width fills the box, in the middle."""
    points = np.concatenate(strokes)
    lowest = points.min(axis=0)
    extent = np.maximum(points.max(axis=0) - lowest, 1e-6)
    room = np.array(BOX) - pen
    down = room[1] / extent[1]
    right = min(room[0] / extent[0], down * MOST_STRETCH)
    if extent[1] < extent[0] / 4:  # a dash, or a dot
        down = right = room[0] / extent.max()
    scale = np.array([right, down])
    begin = (BITMAP - extent * scale) / 2
    return [(stroke - lowest) * scale + begin for stroke in strokes]


def _distances(strokes: list[Stroke], side: int, reach: float) -> NDArray[np.float64]:
    """Return how far the pixels of a square are from the strokes, infinite beyond the reach."""
    centres = np.arange(side) + 0.5
    distances = np.full((side, side), np.inf)
    length = sum(float(np.abs(np.diff(stroke, axis=0)).sum()) for stroke in strokes)
    for begin, end in _segments(strokes, max(side * SPACING, length / SEGMENTS)):
        # Only pixels near the segment: the cost of a drawing is that of its ink.
        left, top = np.clip(np.minimum(begin, end) - reach, 0, side).astype(int)
        right, bottom = np.clip(np.maximum(begin, end) + reach + 1, 0, side).astype(int)
        x = centres[np.newaxis, left:right] - begin[0]
        y = centres[top:bottom, np.newaxis] - begin[1]
        along = end - begin
        square = max(float(along @ along), 1e-12)
        place = np.clip((x * along[0] + y * along[1]) / square, 0, 1)
        near = distances[top:bottom, left:right]
        np.minimum(near, np.hypot(x - place * along[0], y - place * along[1]), out=near)
    return distances


def _segments(strokes: list[Stroke], spacing: float) -> Iterator[tuple[Any, Any]]:
    """Iterate over begins and ends of segments; a dot is a segment of no length."""
    for stroke in strokes:
        begin = stroke[0]
        for end in stroke[1:-1]:
            if np.abs(end - begin).max() >= spacing:
                yield begin, end
                begin = end
        yield begin, stroke[-1]
