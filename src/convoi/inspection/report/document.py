"""What a report consists of: sections of texts, tables, figures and rows of small figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

NOTHING = "\N{EN DASH}"
"""What stands in a table where there is no figure."""


@dataclass(frozen=True)
class Picture:
    """A picture that stands in the document itself.

    Attributes
    ----------
    source : str
        A ``data:`` address.
    alt : str
        What there is to see, for those who do not.
    width, height : int
        How large it is shown, in CSS pixels; it shrinks with the page.
    pixelated : bool
        Whether it is an image of few pixels, whose edges stay sharp when it is enlarged.
    """

    source: str
    alt: str
    width: int
    height: int
    pixelated: bool = False


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class Heading:
    """A heading within a section."""

    kind: ClassVar[str] = "heading"
    text: str


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text, and from 0 to 1 how strongly it is shaded."""

    text: str
    shade: float = 0.0
    wrong: bool = False
    """Whether the shade is that of errors."""


@dataclass(frozen=True)
class Table:
    """A table, whose first column has the headings of its rows."""

    kind: ClassVar[str] = "table"
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str | Cell, ...], ...]
    texts: int = 1
    """Number of columns, from the first on, that hold text: the others are numbers."""


@dataclass(frozen=True)
class Figure:
    """A picture with what is to be said about it."""

    kind: ClassVar[str] = "figure"
    picture: Picture
    caption: str


@dataclass(frozen=True)
class Gallery:
    """Small figures side by side, as many in a row as the page is wide."""

    kind: ClassVar[str] = "gallery"
    figures: tuple[Figure, ...]


Block: TypeAlias = Text | Heading | Table | Figure | Gallery


@dataclass(frozen=True)
class Section:
    """A chapter of a report."""

    anchor: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    """A report."""

    title: str
    summary: tuple[tuple[str, str], ...]
    """Names and values of the figures at the head."""
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()
    """Paragraphs below the title."""
