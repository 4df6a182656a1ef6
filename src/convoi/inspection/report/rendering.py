"""A document as HTML."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from convoi.inspection.report.document import Cell, Document

__all__ = ["rendered"]

TEMPLATE = "page.html"


def rendered(document: Document) -> str:
    """Return the HTML of a document; every text in it is escaped."""
    environment = Environment(
        loader=PackageLoader("convoi.inspection.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["cell"] = _cell
    return environment.get_template(TEMPLATE).render(document=document)


def _cell(value: str | Cell) -> Cell:
    return value if isinstance(value, Cell) else Cell(value)
