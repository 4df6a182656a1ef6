"""Targets for each time step of series of unequal length, padded to one length.

Behind the end of a series they are `NO_TARGET` in place of a class code, and NaN in place of a
value. The masked network's output is zero there, which costs a known sum, and has no gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from convoi.ops import CrossEntropy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convoi.ops import Array, Loss

__all__ = ["NO_TARGET", "known_steps", "pad_steps", "without_padding"]

NO_TARGET: Final = -1
"""In place of a class code: behind the end of a series."""


def pad_steps(target: Array, steps: int) -> Array:
    """Return targets ``(b, *outputs, any steps)`` for so many steps; what is cut is padding."""
    missing = max(0, steps - target.shape[-1])
    widths = [(0, 0)] * (target.ndim - 1) + [(0, missing)]
    nothing = np.nan if target.dtype.kind == "f" else NO_TARGET
    return np.ascontiguousarray(np.pad(target, widths, constant_values=nothing)[..., :steps])


def known_steps(target: Array) -> NDArray[np.bool_]:
    """Tell for which steps of which series there are targets.

    Parameters
    ----------
    target : ndarray of shape (b, steps) of integers, or (b, outputs, steps) of floats
        Class codes or values, padded.

    Returns
    -------
    ndarray of bool, shape (b, steps)
    """
    known: NDArray[np.bool_]
    known = ~np.isnan(target[:, 0]) if target.dtype.kind == "f" else target != NO_TARGET
    return known


def without_padding(
    target: Array, weight: Array, loss: Loss, outputs: int
) -> tuple[Array, Array, Array]:
    """Return a batch as programs for targets without padding take it, and what that adds.

    A program's loss is the mean over all steps of the padded series. Where there is no target, it
    is that of outputs of zero.

    Parameters
    ----------
    target : ndarray
        As for :func:`known_steps`.
    weight : ndarray of shape (b,)
        How much each series counts.
    loss : Loss
        What is computed.
    outputs : int
        How many the network has for each step.

    Returns
    -------
    ndarray of the shape of ``target``
        Zero instead of padding.
    ndarray of shape (b,)
        Weights with which the mean over a series' own steps has the given one.
    ndarray of shape (b,)
        What the padding then adds to the weighted loss of each series.
    """
    known = known_steps(target)
    share = known.shape[1] / np.count_nonzero(known, axis=1)
    filled = np.where(known.reshape(len(known), *[1] * (target.ndim - 2), -1), target, 0)
    return filled, weight * share, weight * (share - 1) * _of_nothing(loss, outputs)


def _of_nothing(loss: Loss, outputs: int) -> float:
    """Return the loss of a step whose target and outputs are all zero."""
    zeros = np.zeros((1, outputs, 1))
    target = np.zeros((1, 1), np.int64) if isinstance(loss, CrossEntropy) else zeros
    return float(loss.reference(zeros, target, np.ones(1))[0])
