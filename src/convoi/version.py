"""The version of the package, for those below the package's root."""

from __future__ import annotations

__version__ = "0.1.0"
