"""How a network computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from convoi.compiler.pipeline import Precision

__all__ = ["Setting"]


@dataclass(frozen=True)
class Setting:
    """What programs are compiled with, besides the graph."""

    dtype: np.dtype[Any]
    """Of parameters and computations."""
    threads: int | None
    """None leaves it to the process's processors."""
    precision: Precision
