"""The explorer: a page on loopback that shows the operator and a network at work."""

from __future__ import annotations

from convoi.explorer.serving import check_dependencies, open_listener, serve

__all__ = ["check_dependencies", "open_listener", "serve"]
