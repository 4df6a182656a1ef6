"""Reports on networks, as one HTML file."""

from __future__ import annotations

from convoi.inspection.report.writing import report

__all__ = ["report"]
