"""What the records of inspections have in common: tables and plain data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from convoi.nn.tables import made_table, show_table

if TYPE_CHECKING:
    from typing import TextIO

    from rich.table import Table


@dataclass(frozen=True)
class Record(ABC):
    """A result that prints as a table of texts."""

    @abstractmethod
    def headers(self) -> tuple[str, ...]:
        """Return the headers of the table."""

    @abstractmethod
    def rows(self) -> list[tuple[str, ...]]:
        """Return the rows of the table."""

    def notes(self) -> tuple[str, ...]:
        """Return the lines below the table."""
        return ()

    def as_dict(self) -> dict[str, Any]:
        """Return the record as numbers, texts, and lists and dictionaries of them."""
        return asdict(self)

    def __rich__(self) -> Table:
        return made_table(self.headers(), self.rows(), left=1, notes=self.notes())

    def show(self, file: TextIO | None = None) -> None:
        """Print the table, whole, even where it is wider than the terminal.

        Parameters
        ----------
        file : file, optional
            Where to; the default is the standard output.
        """
        show_table(self.__rich__(), file)
