"""The ``convoi`` command."""

from __future__ import annotations

from convoi.cli.application import main

__all__ = ["main"]
