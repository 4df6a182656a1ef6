"""Tables that are printed whole, by rich."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TextIO

    from rich.table import Table

__all__ = ["made_table", "show_table"]


def made_table(
    headers: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    left: int,
    totals: Sequence[str] | None = None,
    notes: Iterable[str] = (),
) -> Table:
    """Return a table: so many columns of text, the others of numbers; a last row; lines below."""
    from rich.table import Table  # noqa: PLC0415 - rich is loaded by those who print

    table = Table(show_footer=totals is not None, caption="\n".join(notes), caption_justify="left")
    for number, header in enumerate(headers):
        footer = "" if totals is None else totals[number]
        table.add_column(header, footer, justify="left" if number < left else "right")
    for row in rows:
        table.add_row(*row)
    return table


def show_table(table: Table, file: TextIO | None = None) -> None:
    """Print a table whole, even where it is wider than the terminal."""
    from rich.console import Console  # noqa: PLC0415 - rich is loaded by those who print
    from rich.measure import Measurement  # noqa: PLC0415

    console = Console(file=file)
    unlimited = console.options.update(width=10_000)
    console.width = max(console.width, Measurement.get(console, unlimited, table).maximum)
    console.print(table)
