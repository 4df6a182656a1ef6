"""Whether two sides compute the same.

Gradients in float32 are judged by their distance from exact ones, which a network computes in
float64: batch normalisation over few values amplifies rounding errors, and a rounding error may
move a value across the kink of a rectifier or change which of two values is the maximum. Two
correct networks then differ from each other, and from the exact one, by more than rounding errors.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

Results: TypeAlias = "Mapping[str, NDArray[Any]]"
"""Arrays by name."""

TOLERANCE = 1e-4
"""Largest difference of two results, relative to the largest element."""
EXACT_TOLERANCE = 1e-7
"""The same of results in float64."""
SLACK = 4.0
"""How many times the error of one side the error of the other may be."""
MOST_TOLERANCE = 0.05
"""Largest error that rounding and kinks explain, where they are amplified."""
SMALLEST_SCALE = 1e-3
"""Largest elements below this count as this: a gradient that is zero but for rounding."""
GRADIENT = "gradient/"
"""What the names of gradients begin with."""
UPDATED = "updated/"
"""The same of parameters after a step."""


class DisagreementError(Exception):
    """Two sides do not compute the same: their times would mean nothing."""


def relative_error(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """Return the largest difference, relative to the largest element; infinite for NaN."""
    scale = max(float(np.abs(expected).max()), SMALLEST_SCALE)
    error = float(np.abs(found - expected).max()) / scale
    return math.inf if math.isnan(error) else error


def difference(found: Results, expected: Results, tolerance: float = TOLERANCE) -> str | None:
    """Return how results differ by more than the tolerance, None if they do not."""
    missing = _missing(found, expected)
    if missing:
        return missing
    errors = _errors(found, expected)
    worst = max(errors, key=errors.__getitem__)
    return None if errors[worst] <= tolerance else f"{worst} differs by {errors[worst]:.1e}."


def inexactness(
    found: Sequence[Results], beside: Sequence[Results], exact: Sequence[Results]
) -> str | None:
    """Return what is computed with a greater error than rounding explains.

    Parameters
    ----------
    found, beside : sequence of results
        What is judged, and what another side computed: the same batches of few samples, in
        float32.
    exact : sequence of results
        The same in float64.

    Returns
    -------
    str or None
        None if on one batch at least each array is within ``TOLERANCE`` of the exact one, or
        within ``SLACK`` times the least error that the other side has in it on any batch, but
        never beyond ``MOST_TOLERANCE``. Rounding errors meet a kink in some of the batches, a
        defect shows in all.
    """
    for results, expected in zip(found, exact, strict=True):
        missing = _missing(results, expected)
        if missing:
            return missing
    theirs = [_errors(results, expected) for results, expected in zip(beside, exact, strict=True)]
    allowed = {name: _allowed(min(errors[name] for errors in theirs)) for name in exact[0]}
    excesses = [
        _largest_excess(_errors(results, expected), allowed)
        for results, expected in zip(found, exact, strict=True)
    ]
    return None if None in excesses else " ".join(filter(None, excesses))


def inexactness_at_kinks(found: Results, exact: Results, learning_rate: float) -> str | None:
    """Return what a side computes with a greater error than rounding and kinks explain.

    It is for one large batch, where some values always lie so near to a kink that rounding errors
    decide. The error of all gradients together may be ``MOST_TOLERANCE`` in norm; that of
    parameters after a step what the error of their gradient makes of it, besides ``TOLERANCE``.
    """
    missing = _missing(found, exact)
    if missing:
        return missing
    gradients = [array for array in exact if array.startswith(GRADIENT)]
    for array in exact.keys() - set(gradients):
        gradient = array.replace(UPDATED, GRADIENT)
        kinked = learning_rate * _largest(found, exact, gradient) if gradient in gradients else 0.0
        scale = max(float(np.abs(exact[array]).max()), SMALLEST_SCALE)
        error = relative_error(found[array], exact[array])
        if not error <= TOLERANCE + kinked / scale:  # true for NaN, too
            return f"{array} differs by {error:.1e}."
    error = _distance(found, exact, gradients) if gradients else 0.0
    if not error <= MOST_TOLERANCE:
        return f"The error of the gradients is {error:.1e} in norm."
    return None


def _allowed(error: float) -> float:
    """Return how large an error may be, beside the error of the other side."""
    return min(max(TOLERANCE, SLACK * error), MOST_TOLERANCE)


def _missing(found: Results, expected: Results) -> str | None:
    only = sorted(found.keys() ^ expected.keys())
    return f"Only one side has {only}." if only else None


def _errors(found: Results, expected: Results) -> dict[str, float]:
    return {name: relative_error(found[name], expected[name]) for name in expected}


def _largest_excess(errors: Mapping[str, float], allowed: Mapping[str, float]) -> str | None:
    worst = max(errors, key=lambda name: errors[name] / allowed[name])
    if errors[worst] <= allowed[worst]:
        return None
    return f"{worst} has an error of {errors[worst]:.1e}, {allowed[worst]:.1e} is allowed."


def _largest(found: Results, exact: Results, name: str) -> float:
    return float(np.abs(found[name] - exact[name]).max())


def _distance(found: Results, exact: Results, names: Sequence[str]) -> float:
    return _norm([found[n] - exact[n] for n in names]) / _norm([exact[n] for n in names])


def _norm(arrays: list[NDArray[Any]]) -> float:
    return float(np.sqrt(sum(np.sum(np.square(array, dtype=np.float64)) for array in arrays)))
