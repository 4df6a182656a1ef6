"""Whether two sides compute the same."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

TOLERANCE = 1e-4
"""Largest difference of two results, relative to the largest element."""
KINK_TOLERANCE = 0.05
"""Norm of the difference of all gradients together, relative to their norm. A rounding error may
move a value across the kink of a rectifier or change which of two values is the maximum; in a
large batch some always are, and gradients differ by more than rounding errors then."""
SMALLEST_SCALE = 1e-3
"""Largest elements below this count as this: a gradient that is zero but for rounding."""
GRADIENT = "gradient/"
"""What the names of gradients begin with."""


def relative_error(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """Return the largest difference, relative to the largest element; infinite for NaN."""
    scale = max(float(np.abs(expected).max()), SMALLEST_SCALE)
    error = float(np.abs(found - expected).max()) / scale
    return math.inf if math.isnan(error) else error


def disagreement(
    ours: Mapping[str, NDArray[Any]], theirs: Mapping[str, NDArray[Any]], *, kinks: bool
) -> str | None:
    """Return how two sets of results differ by more than they may, None if they do not.

    With `kinks`, gradients may differ by what kinks explain.
    """
    if ours.keys() != theirs.keys():
        return f"Only one side has {sorted(ours.keys() ^ theirs.keys())}."
    gradients = [name for name in ours if kinks and name.startswith(GRADIENT)]
    errors = {
        name: relative_error(ours[name], theirs[name]) for name in ours if name not in gradients
    }
    worst = max(errors, key=errors.__getitem__)
    if errors[worst] > TOLERANCE:
        return f"{worst} differs by {errors[worst]:.1e}."
    if gradients:
        difference = _norm([ours[name] - theirs[name] for name in gradients])
        error = difference / _norm([theirs[name] for name in gradients])
        if not error <= KINK_TOLERANCE:  # true for NaN, too
            return f"The gradients differ by {error:.1e} in norm."
    return None


def _norm(arrays: list[NDArray[Any]]) -> float:
    return float(np.sqrt(sum(np.sum(np.square(array, dtype=np.float64)) for array in arrays)))
