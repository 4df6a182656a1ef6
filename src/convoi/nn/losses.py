"""Losses by name, and the targets and weights that go with them."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from convoi import ops
from convoi.checks import describe, refusal
from convoi.errors import ArgumentError, ArgumentTypeError, DataError, ShapeError
from convoi.ops import CrossEntropy, Huber, MeanAbsoluteError, MeanSquaredError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from convoi.ops import Shape

__all__ = [
    "LOSSES",
    "CrossEntropy",
    "Huber",
    "LossLike",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "check_sample_weight",
    "check_target",
    "loss_operation",
]

LossName: TypeAlias = Literal["cross_entropy", "mean_squared", "mean_absolute", "huber"]
LossLike: TypeAlias = LossName | ops.Loss
"""A loss by name, or an object with settings: ``CrossEntropy(label_smoothing=0.1)``."""

LOSSES: Mapping[str, ops.Loss] = MappingProxyType(
    {
        "cross_entropy": CrossEntropy(),
        "mean_squared": MeanSquaredError(),
        "mean_absolute": MeanAbsoluteError(),
        "huber": Huber(),
    }
)
"""The losses that have names, with their usual settings."""


def loss_operation(loss: LossLike, owner: str) -> ops.Loss:
    """Return the operation of a loss.

    Parameters
    ----------
    loss : {"cross_entropy", "mean_squared", "mean_absolute", "huber"} or Loss
        The loss.
    owner : str
        The function whose parameter it is, for messages.

    Returns
    -------
    Loss
        The operation.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If there is no such loss.

    Examples
    --------
    >>> loss_operation("huber", "fit")
    Huber(delta=1.0)
    """
    if isinstance(loss, ops.Loss):
        return loss
    name: object = loss  # whatever a caller without a type checker gave
    if isinstance(name, str) and name in LOSSES:
        return LOSSES[name]
    expectation = f"one of {', '.join(map(repr, LOSSES))}, or a loss operation"
    error = ArgumentError if isinstance(name, str) else ArgumentTypeError
    raise error(refusal("loss", owner, expectation, name))


def check_target(
    loss: ops.Loss, y: ArrayLike, samples: int, output_shape: Shape, dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Return targets as a program takes them.

    Parameters
    ----------
    loss : Loss
        The loss they are for.
    y : array-like
        For cross-entropy the class numbers, ``(n, *spatial)``; else numbers of the output's
        shape, ``(n, *output_shape)``, or ``(n,)`` for a network with one output.
    samples : int
        How many there must be.
    output_shape : tuple of int
        Shape of the network's output.
    dtype : dtype
        Of the network.

    Returns
    -------
    ndarray
        int64 class numbers, or numbers of `dtype`.

    Raises
    ------
    ArgumentTypeError
        If they are no numbers, or the class numbers no integers.
    ShapeError
        If they have another shape.
    DataError
        If a class number is out of range, or a target is NaN or infinite.
    """
    array = np.asarray(y)
    expected = (samples, *loss.target_shape(output_shape))
    classes = isinstance(loss, CrossEntropy)
    what = "class numbers" if classes else "targets"
    if array.dtype.kind not in "biuf" or (classes and array.dtype.kind == "f"):
        kind = "integers" if classes else "real numbers"
        raise ArgumentTypeError(f"The {what} y must be {kind}. Got {describe(array)} instead.")
    if not classes and output_shape == (1,) and array.shape == (samples,):
        array = array[:, None]
    if array.shape != expected:
        raise ShapeError(
            f"The {what} y must have the shape {expected} for {samples} samples and a network "
            f"with outputs of shape {output_shape}. Got {describe(array)} instead."
        )
    if classes:
        _check_classes(array, output_shape[0])
        return array.astype(np.int64)
    if not np.isfinite(array).all():
        number = int(np.flatnonzero(~np.isfinite(array).reshape(samples, -1).all(axis=1))[0])
        raise DataError(
            f"The targets y must be finite. Sample {number} has NaN or infinity. "
            "Leave such samples out."
        )
    return array.astype(dtype)


def check_sample_weight(
    sample_weight: ArrayLike | None, samples: int, dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Return the weights of the samples, divided by their sum.

    Parameters
    ----------
    sample_weight : array-like of shape (n,) or None
        Numbers of at least 0; None gives all samples the same weight.
    samples : int
        How many there must be.
    dtype : dtype
        Of the network.

    Returns
    -------
    ndarray of shape (n,)
        Their sum is 1.

    Raises
    ------
    ShapeError
        If they have another shape.
    DataError
        If one is negative, NaN or infinite, or all are 0.
    """
    if sample_weight is None:
        return np.full(samples, 1 / max(samples, 1), dtype)
    weight = np.asarray(sample_weight)
    if weight.dtype.kind not in "biuf":
        raise ArgumentTypeError(
            f"The sample_weight must be real numbers. Got {describe(weight)} instead."
        )
    weight = weight.astype(np.float64)
    if weight.shape != (samples,):
        raise ShapeError(
            f"The sample_weight must have the shape ({samples},), one number for each sample. "
            f"Got {describe(weight)} instead."
        )
    bad = np.flatnonzero(~(np.isfinite(weight) & (weight >= 0)))
    if bad.size:
        raise DataError(
            "The sample_weight must be finite and at least 0. "
            f"Sample {bad[0]} has {weight[bad[0]]}."
        )
    total = weight.sum()
    if samples and not total > 0:
        raise DataError("The sample_weight must not be 0 for all samples.")
    normalized: NDArray[Any] = (weight / total).astype(dtype)
    return normalized


def _check_classes(array: NDArray[Any], classes: int) -> None:
    outside = (array < 0) | (array >= classes)
    if outside.any():
        index = tuple(int(i) for i in np.argwhere(outside)[0])
        raise DataError(
            f"The class numbers y must be between 0 and {classes - 1}, for a network with "
            f"{classes} outputs. Sample {index[0]} has {array[index]}."
        )
