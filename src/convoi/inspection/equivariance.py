"""Equivariance: whether what a network computes moves along with its input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import reduce
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from convoi.checks import check_choice, check_per_axis, refusal
from convoi.errors import ArgumentError, ArgumentTypeError, DataError, ShapeError
from convoi.graph import receptive_fields
from convoi.inspection.equivariance_records import (
    Equivariance,
    LayerEquivariance,
    PredictionInvariance,
    Shift,
)
from convoi.inspection.programs import values_program
from convoi.nn import Network
from convoi.nn.arrays import check_samples
from convoi.ops import Softmax

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from convoi.graph import ReceptiveField

__all__ = ["Equivariance", "LayerEquivariance", "PredictionInvariance", "equivariance"]

OWNER = "equivariance"
HELD_BYTES = 2**27
"""Memory of the outputs of all layers for the samples that are computed at a time."""

Boundary: TypeAlias = Literal["constant", "edge", "reflect", "symmetric", "wrap"]


def equivariance(
    network: Network,
    X: ArrayLike,
    *,
    shifts: Sequence[int | Sequence[int]] = (1, 2, 4),
    boundary: Boundary = "constant",
) -> Equivariance:
    r"""Measure how far the layers of a network move along with its input.

    A layer *f* is equivariant to shifts *T* if :math:`f(T x) = T f(x)`. The samples are shifted,
    and each layer's output for them is compared with its shifted output for the samples as they
    are. Where the layers so far have the stride *s*, a shift of the input by *s* is one of the
    output by 1; shifts that are no multiples of *s* are measured with the nearest one.

    Parameters
    ----------
    network : Network
        A network for inputs with spatial axes.
    X : array-like of shape (n, *input_shape)
        Samples.
    shifts : sequence of int or of tuples
        By how many positions, towards the end of each axis: a number for all axes, or one for
        each. Negative ones shift towards the beginning.
    boundary : {"constant", "edge", "reflect", "symmetric", "wrap"}
        What moves in at the border, as :func:`numpy.pad` has it; "constant" are zeros.

    Returns
    -------
    Equivariance
        Records of the layers and predictions, which print as a table.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If an argument has a type or value that it may not have, such as a shift that is as large
        as the input.
    ShapeError
        If the samples have another shape, or the network's input has no spatial axes.
    DataError
        If there are no samples.

    Notes
    -----
    The outputs of the layers are computed in the network's dtype by direct convolutions, the same
    sums at every position, whatever the network's `precision`: a layer that is equivariant is so
    up to rounding. The predictions are those of the network.

    Examples
    --------
    >>> import numpy as np
    >>> from convoi import Network, inspection, nn
    >>> layers = nn.Sequential(nn.Conv(4, 3, padding=1), nn.MaxPool(2))
    >>> network = Network(layers, input_shape=(1, 12, 12), random_state=0)
    >>> X = np.random.default_rng(0).uniform(size=(8, 1, 12, 12))
    >>> found = inspection.equivariance(network, X, shifts=[2])
    >>> convolution, pooling = found
    >>> convolution.interior < 1e-6, convolution.border > 0.01
    (True, True)
    >>> pooling.output_shift
    (1, 1)
    """
    if not isinstance(network, Network):
        raise ArgumentTypeError(refusal("network", OWNER, "a Network", network))
    spatial = network.input_shape[1:]
    if not spatial:
        raise ShapeError(
            f"equivariance needs a network whose input has spatial axes. Got {network!r}."
        )
    samples = check_samples(X, network.input_shape, network.dtype).astype(network.dtype)
    if len(samples) == 0:
        raise DataError("equivariance needs at least one sample. Got X with none.")
    mode = check_choice(boundary, "boundary", OWNER, get_args(Boundary))
    checked = _check_shifts(shifts, spatial)
    fields = receptive_fields(network.graph)
    names = tuple(node.name for node in network.graph.nodes)
    comparisons = [
        _Comparison.of(name, shift, fields[name], network.graph.shape(name)[1:], spatial)
        for shift in checked
        for name in names
    ]
    layers = values_program(network, names, precision="high")
    values = sum(math.prod(network.graph.shape(name)) for name in names)
    at_once = max(HELD_BYTES // (values * samples.itemsize), 1)
    for start in range(0, len(samples), at_once):
        part = samples[start : start + at_once]
        still = layers(part)
        for shift in checked:
            moved = layers(shifted(part, shift, mode))
            for comparison in comparisons:
                if comparison.shift == shift:
                    comparison.add(still[comparison.name], moved[comparison.name])
    return Equivariance(
        tuple(comparison.record() for comparison in comparisons),
        _predictions(network, samples, checked, mode),
        len(samples),
    )


def shifted(X: NDArray[Any], shift: Shift, boundary: Boundary = "constant") -> NDArray[Any]:
    """Return samples ``(n, channels, *spatial)`` moved towards the end of each spatial axis."""
    pads = ((0, 0), (0, 0), *((max(s, 0), max(-s, 0)) for s in shift))
    kept = tuple(
        slice(max(-s, 0), max(-s, 0) + extent) for s, extent in zip(shift, X.shape[2:], strict=True)
    )
    padded: NDArray[Any] = np.pad(X, pads, mode=boundary)
    return padded[(slice(None), slice(None), *kept)]


def unchanged_predictions(network: Network, X: NDArray[Any], shift: Shift) -> float:
    """Return the part of the samples that a classifier puts in the same class when shifted."""
    same = network(X).argmax(axis=1) == network(shifted(X, shift)).argmax(axis=1)
    return float(same.mean())


class _Comparison:
    """Sums of squares of one layer's differences under one shift."""

    def __init__(
        self, name: str, shift: Shift, output_shift: Shift | None, interior: NDArray[np.bool_]
    ) -> None:
        self.name = name
        self.shift = shift
        self.exact = True
        self._output_shift = output_shift
        self._interior = interior
        """For every position of the overlap."""
        self._squares = np.zeros(interior.shape)
        self._scale = 0.0
        self._values = self._samples = 0

    @classmethod
    def of(
        cls, name: str, shift: Shift, field: ReceptiveField, positions: Shift, spatial: Shift
    ) -> _Comparison:
        """Return an empty comparison of a layer with these positions and fields."""
        if len(positions) != len(spatial) or not all(field.stride):
            return cls(name, shift, None, np.zeros((), bool))
        moves = [Fraction(s) / stride for s, stride in zip(shift, field.stride, strict=True)]
        output_shift = tuple(round(move) for move in moves)
        axes = [
            _interior(bounds, padded, s, t, extent)
            for bounds, padded, s, t, extent in zip(
                field.bounds, field.padded, shift, output_shift, spatial, strict=True
            )
        ]
        made = cls(name, shift, output_shift, reduce(np.logical_and.outer, axes))
        made.exact = all(move.denominator == 1 for move in moves)
        return made

    def add(self, still: NDArray[Any], moved: NDArray[Any]) -> None:
        """Add samples: the output for them as they are, and for them shifted."""
        self._scale += float(np.square(still, dtype=np.float64).sum())
        self._values += still.size
        self._samples += len(still)
        if self._output_shift is None:
            difference = np.square(moved - still, dtype=np.float64)
            self._squares += difference.mean() * len(still)
            return
        ahead, behind = (
            tuple(
                slice(max(sign * t, 0), extent + min(sign * t, 0))
                for t, extent in zip(self._output_shift, still.shape[2:], strict=True)
            )
            for sign in (1, -1)
        )
        every = (slice(None), slice(None))
        difference = np.square(moved[every + ahead] - still[every + behind], dtype=np.float64)
        self._squares += difference.mean(axis=1).sum(axis=0)

    def record(self) -> LayerEquivariance:
        """Return the record of what was added."""
        inside = self._interior
        return LayerEquivariance(
            self.name,
            self.shift,
            self._output_shift,
            self.exact,
            self._relative(self._squares[inside]),
            self._relative(self._squares[~inside]),
            int(inside.sum()),
        )

    def _relative(self, squares: NDArray[np.float64]) -> float | None:
        """Return the root mean square of differences, from their sums over the samples."""
        if not squares.size:
            return None
        ratio = squares.mean() / self._samples
        scale = self._scale / self._values
        return float(np.sqrt(ratio / scale)) if scale else float(np.sqrt(ratio))


def _interior(
    bounds: Sequence[tuple[int, int]], padded: Sequence[bool], shift: int, moved: int, extent: int
) -> NDArray[np.bool_]:
    """Tell for each position of the overlap along an axis whether it belongs to the interior.

    Neither the position nor the one that it is compared with may see padding, what moved in at
    the border, or what moved out of it.
    """
    low, high = np.array(bounds).T
    clean = ~np.array(padded)
    after = clean & (low >= max(shift, 0)) & (high <= extent + min(shift, 0))
    before = clean & (low >= max(-shift, 0)) & (high <= extent + min(-shift, 0))
    count = max(len(clean) - abs(moved), 0)
    first = max(moved, 0)
    found: NDArray[np.bool_] = after[first:][:count] & before[first - moved :][:count]
    return found


def _check_shifts(shifts: object, spatial: Shift) -> tuple[Shift, ...]:
    expectation = (
        "a sequence with an integer, or an integer for each of the spatial axes, per shift"
    )
    if isinstance(shifts, str) or not isinstance(shifts, Sequence):
        raise ArgumentTypeError(refusal("shifts", OWNER, expectation, shifts))
    if not shifts:
        raise ArgumentError(refusal("shifts", OWNER, expectation, shifts))
    checked = tuple(check_per_axis(shift, "shifts", OWNER, len(spatial)) for shift in shifts)
    for shift in checked:
        if any(abs(s) >= extent for s, extent in zip(shift, spatial, strict=True)):
            raise ArgumentError(
                f"The 'shifts' parameter of {OWNER} must hold shifts smaller than the input, "
                f"whose extents are {spatial}. Got {shift} instead."
            )
    return tuple(dict.fromkeys(checked))


def _predictions(
    network: Network, samples: NDArray[Any], shifts: tuple[Shift, ...], boundary: Boundary
) -> tuple[PredictionInvariance, ...]:
    """Return what becomes of the predictions of a network with one output per class."""
    if len(network.output_shape) != 1 or network.output_shape[0] < 2:
        return ()
    before = _probabilities(network, samples)
    classes = before.argmax(axis=1)
    rows = np.arange(len(samples))
    found = []
    for shift in shifts:
        after = _probabilities(network, shifted(samples, shift, boundary))
        change = np.abs(after[rows, classes] - before[rows, classes])
        unchanged = float((after.argmax(axis=1) == classes).mean())
        found.append(PredictionInvariance(shift, unchanged, float(change.mean())))
    return tuple(found)


def _probabilities(network: Network, X: NDArray[Any]) -> NDArray[np.float64]:
    output: NDArray[np.float64] = network(X).astype(np.float64)
    if isinstance(network.graph.node(network.graph.outputs[0]).op, Softmax):
        return output
    powers: NDArray[np.float64] = np.exp(output - output.max(axis=1, keepdims=True))
    powers /= powers.sum(axis=1, keepdims=True)
    return powers
