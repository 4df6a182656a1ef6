"""What the results that people look at have in common: tables and plain data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from convoi.nn.tables import made_table, show_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

    from rich.table import Table

__all__ = ["Record"]


@dataclass(frozen=True)
class Record(ABC):
    """A result that prints as a table of texts."""

    left: ClassVar[int] = 1
    """Columns that are aligned to the left; the others are numbers."""

    @abstractmethod
    def headers(self) -> tuple[str, ...]:
        """Return the headers of the table."""

    @abstractmethod
    def rows(self) -> list[tuple[str, ...]]:
        """Return the rows of the table: texts."""

    def totals(self) -> tuple[str, ...] | None:
        """Return the last row of the table, if it has totals."""
        return None

    def notes(self) -> Sequence[str]:
        """Return the lines below the table."""
        return ()

    def as_dict(self) -> dict[str, Any]:
        """Return the record as numbers, texts, and lists and dictionaries of them."""
        return asdict(self)

    def __rich__(self) -> Table:
        return made_table(
            self.headers(), self.rows(), left=self.left, totals=self.totals(), notes=self.notes()
        )

    def show(self, file: TextIO | None = None) -> None:
        """Print the table, whole, even where it is wider than the terminal.

        Parameters
        ----------
        file : file, optional
            Where to; the default is the standard output.
        """
        show_table(self.__rich__(), file)
