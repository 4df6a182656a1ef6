"""The caller's arrays of a training step, as kernels read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convoi.compiler.host import sample_table
from convoi.compiler.sources import are_below
from convoi.errors import ArgumentError, ArgumentTypeError, ShapeError
from convoi.graph import align
from convoi.ops import CrossEntropy

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from convoi.compiler.sources import Source
    from convoi.graph import Graph
    from convoi.ops import Array, Loss, Shape

_NO_LENGTHS = np.empty(0, np.int64)


@dataclass(frozen=True)
class Transforms:
    """How each sample is changed while it is packed: mirrored, then moved, then cut."""

    shift: NDArray[np.int64]
    """``(b, rank)``: positions towards the end of each axis; zeros move in."""
    flip: NDArray[np.bool_]
    """``(b, rank)``."""
    cutout: NDArray[np.int64]
    """``(b, rank, 2)``: low and high end of a box that becomes zero; none if it is empty."""


def source_table(
    source: Source, transforms: Transforms | None, *, augment: bool
) -> NDArray[np.void]:
    """Return the table of samples that packing reads."""
    samples, rank = len(source), source.array.ndim - 2
    if samples == 0:
        message = "A training step needs at least one sample, got none."
        raise ArgumentError(message)
    table = sample_table(rank, source.rows, samples, augment=augment)
    if transforms is None:
        return table
    if not augment:
        message = "Transforms need a TrainingProgram that was made with augment=True."
        raise ArgumentError(message)
    _check_shape("shift", transforms.shift, (samples, rank))
    _check_shape("flip", transforms.flip, (samples, rank))
    _check_shape("cutout", transforms.cutout, (samples, rank, 2))
    if rank:
        axes = table["axes"]
        axes["flip"], axes["shift"] = transforms.flip, transforms.shift
        axes["cut_low"] = transforms.cutout[..., 0]
        axes["cut_high"] = transforms.cutout[..., 1]
    return table


def _check_shape(name: str, array: Array, expected: tuple[int, ...]) -> None:
    if np.shape(array) != expected:
        message = (
            f"The {name!r} field of Transforms must have the shape {expected}, got "
            f"{np.shape(array)}."
        )
        raise ShapeError(message)


def check_weights(weight: ArrayLike, samples: int, dtype: str) -> Array:
    """Return the weights of samples in a dtype, one for each."""
    weights: Array = np.ascontiguousarray(weight, dtype)
    if weights.shape != (samples,):
        message = f"The 'weight' parameter must have the shape ({samples},), got {weights.shape}."
        raise ShapeError(message)
    return weights


def shortest(graph: Graph) -> int:
    """Return the least length of series that a network takes."""
    return max(alignment.shortest for alignment in align(graph).values() if alignment)


def check_lengths(
    lengths: ArrayLike | None, samples: int, bounds: tuple[int, int], *, masked: bool
) -> NDArray[np.int64]:
    """Return the lengths of samples, each within the bounds; none for programs without masks."""
    if lengths is None and not masked:
        return _NO_LENGTHS
    if (lengths is not None) != masked:
        message = (
            "The 'lengths' parameter must be given to programs that were made with masked=True, "
            f"and to no others. Got {lengths!r} for masked={masked}."
        )
        raise ArgumentError(message)
    array = np.ascontiguousarray(lengths, np.int64)
    if array.shape != (samples,):
        message = f"The 'lengths' parameter must have the shape ({samples},), got {array.shape}."
        raise ShapeError(message)
    low, high = bounds
    if array.size and not low <= int(array.min()) <= int(array.max()) <= high:
        message = (
            f"The 'lengths' parameter must hold lengths from {low} to {high}, which the network "
            f"and the padded samples allow. Got lengths from {array.min()} to {array.max()}."
        )
        raise ArgumentError(message)
    return array


def check_targets(target: ArrayLike, loss: Loss, prediction: Shape, dtype: str) -> Array:
    """Return targets as a loss reads them, for predictions of a shape ``(b, *output_shape)``."""
    given = np.asarray(target)
    samples, *output = prediction
    expected = (samples, *loss.target_shape(tuple(output)))
    if given.shape != expected:
        message = f"The 'target' parameter must have the shape {expected}, got {given.shape}."
        raise ShapeError(message)
    if not isinstance(loss, CrossEntropy):
        return np.ascontiguousarray(given, dtype)
    if given.dtype.kind not in "iu":
        message = (
            "The 'target' parameter must hold class numbers, an array of integers, got the dtype "
            f"{given.dtype}."
        )
        raise ArgumentTypeError(message)
    classes = np.ascontiguousarray(given, np.int64)
    if not are_below(classes, output[0]):
        message = (
            f"The 'target' parameter must hold class numbers from 0 to {output[0] - 1}, got "
            f"numbers from {given.min()} to {given.max()}."
        )
        raise ArgumentError(message)
    return classes
