"""The records of int64 words that tell a pixel-lane correlation what it works on.

One machine code serves all shapes, boundaries, strides and dilations of a dtype: what differs
between them stands in these records, which the host fills in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class _Grid:
    source: int = 0
    """Address of the input."""
    weights: int = 1
    """Address of the taps, in the order in which they are used, for each kernel of a bank."""
    output: int = 2
    items: int = 3
    """Address of pairs (offset into the input, offset into the weights), one per item."""
    planes: int = 4
    """Address of offsets into the input, one per outer position and outer tap."""
    outer_taps: int = 5
    outer: int = 6
    """Outer positions of an item."""
    rows: int = 7
    columns: int = 8
    """Of the output; a column is `inner` elements."""
    inner: int = 9
    block_rows: int = 10
    block_columns: int = 11
    row_blocks: int = 12
    column_blocks: int = 13
    pairs: int = 14
    """Address of offsets into the scratch memory: of each tap row, section by section."""
    columns_of_taps: int = 15
    """Address of offsets into the scratch memory: of each tap along a row."""
    fill: int = 16
    """Address of one vector of the fill value."""
    constant: int = 17
    """1: positions outside the input have the fill value."""
    contiguous: int = 18
    """1: the elements of a row of the input that is needed follow each other."""
    plane_rows: int = 19
    """Rows of scratch memory per outer tap."""
    row_axis: int = 20
    """First word of the record of the row axis."""
    column_axis: int = 30
    sections: int = 40
    """First word of the records of sections."""
    order: int = 56
    """Address of offsets into the kernel, in elements: the taps in the order of use."""
    weight_count: int = 57
    weights_at: int = 58
    """Bytes from the beginning of the scratch memory to the weights."""
    tasks: int = 59
    stack: int = 60
    """Bytes of scratch memory, weights included, if they are few enough for the stack, else 0."""
    lets_go: int = 61
    """1 if others may have the interpreter's lock during a call; giving it away takes 0.1 us."""
    words: int = 64
    """A multiple of the widest vector's."""


@dataclass(frozen=True)
class _Axis:
    """How an axis of the output maps to one of the input."""

    extent: int = 0
    """Of the input."""
    pitch: int = 1
    """Elements from one position of the input to the next."""
    stride: int = 2
    low: int = 3
    """Positions before the input that the first output reads."""
    phases: int = 4
    """Scratch memory holds positions modulo the stride apart, so that taps find neighbours."""
    span: int = 5
    """Positions that a phase has beyond those of the output block."""
    smallest: int = 6
    largest: int = 7
    """Positions are clipped to these,"""
    period: int = 8
    """taken modulo this,"""
    mirror: int = 9
    """and, where still beyond the extent, subtracted from this."""
    words: int = 10


@dataclass(frozen=True)
class _Transform:
    """What a transform needs besides; a grid of transforms has no sections."""

    height: int = 40
    """Rows of a block's matrix."""
    width: int = 41
    blocks: int = 42
    """Blocks of all items together."""
    whole_rows: int = 43
    whole_columns: int = 44
    """Rows and columns of a block whose input fills the matrix."""
    input_re: int = 45
    """Where in scratch memory the packed input is, in elements."""
    input_im: int = 46
    input_pitch: int = 47
    work_re: int = 48
    work_im: int = 49
    work_pitch: int = 50
    lines_re: int = 51
    """Where in scratch memory a group of rows is, transposed."""
    lines_im: int = 52
    column_passes: int = 53
    """Address of the number of passes and a record for each."""
    row_passes: int = 54
    turns: int = 55
    """Address of what turns the elements of a signal between columns and rows: for each group of
    rows and each column a vector of real and one of imaginary parts."""
    spectrum: int = 56
    """Address of the kernel's spectrum, in the same order."""
    scale: int = 57
    """Address of what a spectrum is multiplied by."""


@dataclass(frozen=True)
class _Score:
    """What scores of template matching need besides; their grid has no sections either."""

    pitch: int = 40
    """Elements from one row of scratch memory to the next."""
    plane: int = 41
    """Elements from one plane of scratch memory to the next."""
    taps_down: int = 42
    taps_along: int = 43
    digits_down: int = 44
    """Binary digits of the taps."""
    digits_along: int = 45
    numbers: int = 46
    """Address of the level, 1 / n, the template's sum of squares and the share of the squares
    below which what varies is rounding; then for each task a vector of the least sums of squares
    that are not flat."""


@dataclass(frozen=True)
class _Pass:
    """One pass of a transform."""

    radix: int = 0
    part: int = 1
    """Elements of each part that the pass makes."""
    parts: int = 2
    """Parts that the pass takes."""
    turns: int = 3
    """Address of ``radix - 1`` pairs of a cosine and a sine for each element of a part."""
    words: int = 4


@dataclass(frozen=True)
class _Section:
    pairs: int = 0
    """Tap rows (or groups of them)."""
    taps: int = 1
    """Taps along a row."""
    words: int = 2


GRID: Final = _Grid()
AXIS: Final = _Axis()
SECTION: Final = _Section()
TRANSFORM: Final = _Transform()
SCORE: Final = _Score()
PASS: Final = _Pass()
NO_PLANE: Final = -(2**63)
"""Offset of a plane that lies outside the input and has the fill value."""
