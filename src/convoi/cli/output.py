"""What commands print: JSON, or text in columns that are never cut."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from convoi.nn.records import Record

# The output of a command is what print is for.
# ruff: noqa: T201


def print_json(data: object) -> None:
    """Print a document; numbers and arrays of NumPy become those of JSON."""
    print(json.dumps(data, indent=2, ensure_ascii=False, default=_plain))


def print_lines(*lines: str) -> None:
    """Print lines of text."""
    for line in lines:
        print(line)


def print_table(
    headers: Sequence[str], rows: Iterable[Sequence[object]], *, left: int | None = None
) -> None:
    """Print aligned columns: text to the left, numbers to the right.

    Where numbers come as text, `left` says how many columns are aligned to the left.
    """
    cells = [list(headers), *([_text(cell) for cell in row] for row in rows)]
    numeric = [left is not None and column >= left for column in range(len(headers))]
    for row in rows if left is None else ():
        numeric = [isinstance(cell, (int, float)) for cell in row]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))]
    for row in cells:
        aligned = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        )
        print("  ".join(aligned).rstrip())


def print_record(record: Record, *lines: str) -> None:
    """Print the table of a record; below it more lines, and its notes."""
    totals = record.totals()
    rows = record.rows() if totals is None else [*record.rows(), totals]
    print_table(record.headers(), rows, left=record.left)
    print_lines("", *lines, *record.notes())


def _text(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:.4f}"
    if isinstance(cell, int) and not isinstance(cell, bool):
        return f"{cell:,}"
    return str(cell)


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever json cannot express
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)
