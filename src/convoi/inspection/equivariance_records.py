"""What shifts do to layers and predictions, as records and as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from convoi.nn.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Equivariance", "LayerEquivariance", "PredictionInvariance", "Shift"]

Shift: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class LayerEquivariance:
    """How far a layer's output for the shifted input is from its shifted output.

    Differences are root mean squares, relative to that of the layer's output: 0 for a layer that
    moves along, and about 1.4 for outputs that have nothing to do with each other.

    Attributes
    ----------
    name : str
        Its path in the tree of layers.
    shift : tuple of int
        By how many positions of each axis the input was shifted.
    output_shift : tuple of int or None
        By how many positions the output was; rounded if the shift is no multiple of the stride
        that the layers have accumulated. None for outputs without positions, which are compared
        as they are.
    exact : bool
        Whether no rounding was needed, so that an equivariant layer has to move along.
    interior : float or None
        The difference at the positions that see neither padding nor what moved in at the border
        or out of it. None where there are no such positions.
    border : float or None
        The difference at the other positions of the overlap. None where there are none.
    interior_positions : int
        Number of positions of the interior.
    """

    name: str
    shift: Shift
    output_shift: Shift | None
    exact: bool
    interior: float | None
    border: float | None
    interior_positions: int


@dataclass(frozen=True)
class PredictionInvariance:
    """What becomes of a classifier's predictions if the input is shifted.

    Attributes
    ----------
    shift : tuple of int
        By how many positions of each axis.
    unchanged : float
        Part of the samples whose most probable class stays the same.
    probability_change : float
        Mean over the samples of how much the probability of that class changes, upwards or
        downwards.
    """

    shift: Shift
    unchanged: float
    probability_change: float


@dataclass(frozen=True)
class Equivariance(Record):
    """What shifts do to a network's layers and predictions; iterating gives the layers.

    Attributes
    ----------
    layers : tuple of LayerEquivariance
        For every shift, a record of each layer.
    predictions : tuple of PredictionInvariance
        For every shift; empty for networks that are no classifiers.
    samples : int
        Number of samples that were shifted.
    """

    layers: tuple[LayerEquivariance, ...]
    predictions: tuple[PredictionInvariance, ...]
    samples: int

    def __iter__(self) -> Iterator[LayerEquivariance]:
        return iter(self.layers)

    def headers(self) -> tuple[str, ...]:
        """Return the headers of the table."""
        return ("Layer", "Shift", "Output shift", "Interior", "Border")

    def rows(self) -> list[tuple[str, ...]]:
        """Return the rows of the table."""
        return [
            (
                layer.name,
                _signed(layer.shift),
                "" if layer.output_shift is None else _output_shift(layer),
                _number(layer.interior),
                _number(layer.border),
            )
            for layer in self.layers
        ]

    def notes(self) -> tuple[str, ...]:
        """Return the lines below the table."""
        lines = [f"Differences relative to the output, {self.samples} samples; ≈: rounded shift"]
        lines += [
            f"Shifted by {_signed(p.shift)}: {100 * p.unchanged:.1f}% of the predictions "
            f"unchanged, their probability changes by {p.probability_change:.3f}"
            for p in self.predictions
        ]
        return tuple(lines)


def _signed(shift: Shift) -> str:
    return ", ".join(f"{s:+d}" if s else "0" for s in shift)


def _output_shift(layer: LayerEquivariance) -> str:
    return ("" if layer.exact else "≈ ") + _signed(layer.output_shift or ())


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.1e}" if value < 1e-3 else f"{value:.3f}"
