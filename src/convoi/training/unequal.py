"""Training on series of unequal length: a program for each padded length, one set of parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.checks import refusal
from convoi.errors import ArgumentError, DataError
from convoi.graph import mask, resize
from convoi.nn.unequal import padded_length
from convoi.training.samples import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import ArrayLike, NDArray

    from convoi.compiler import (
        InferenceProgram,
        StepResult,
        StepSettings,
        TrainingProgram,
        Transforms,
    )
    from convoi.graph import Graph
    from convoi.nn.network import Network
    from convoi.nn.unequal import UnequalSeries
    from convoi.ops import Array

__all__ = ["UnequalInference", "UnequalSamples", "UnequalTraining", "as_unequal_samples"]


@dataclass(frozen=True, eq=False)
class UnequalSamples:
    """Series that are padded batch by batch."""

    series: UnequalSeries
    dtype: np.dtype[Any]
    """What the network computes in."""
    reads: bool = False

    @property
    def count(self) -> int:
        """Number of series."""
        return len(self.series)

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """Return the series with these numbers, padded as the longest of them has to be."""
        lengths = self.series.lengths[rows]
        array = self.series.padded(rows, padded_length(int(lengths.max())))
        return Batch(rows, array.astype(self.dtype, copy=False), np.arange(len(rows)), lengths)


def as_unequal_samples(X: UnequalSeries, network: Network, name: str, owner: str) -> UnequalSamples:
    """Return series after the checks.

    Raises
    ------
    ArgumentError
        If the network cannot be trained on series of unequal length.
    ShapeError, DataError
        If their channels are not the network's, one is too short, or a value is not finite.
    """
    mask(network.graph, training=True)
    X.check_lengths(network.graph, name)
    with np.errstate(over="ignore"):
        for number, series in enumerate(X.series):
            if not np.isfinite(series.astype(network.dtype, copy=False)).all():
                raise DataError(
                    f"The {name!r} parameter of {owner} has a value that is NaN, infinite or "
                    f"beyond {network.dtype} in series {number}. Remove or repair the series."
                )
    return UnequalSamples(X, network.dtype)


def refuse_augmentation(owner: str, augment: object) -> None:
    """Raise unless series of unequal length are left as they are."""
    if augment is not None:
        expectation = "None where series have unequal lengths"
        raise ArgumentError(refusal("augment", owner, expectation, augment))


class UnequalTraining:
    """A :class:`TrainingProgram` for each padded length; parameters go along from step to step.

    Parameters
    ----------
    graph : Graph
        A network.
    build : callable
        From the network for a padded length to its masked program.
    """

    def __init__(self, graph: Graph, build: Callable[[Graph], TrainingProgram]) -> None:
        self._graph = graph
        self._build = build
        self._programs: dict[int, TrainingProgram] = {}
        self._current: TrainingProgram | None = None
        self._given: tuple[Mapping[str, Array], Mapping[str, Mapping[str, Array]] | None]

    def load(
        self,
        parameters: Mapping[str, Array],
        slots: Mapping[str, Mapping[str, Array]] | None = None,
    ) -> None:
        """Do as :meth:`TrainingProgram.load`."""
        self._given = (parameters, slots)
        self._current = None

    def parameters(self) -> dict[str, Array]:
        """Return the parameters as they are after the last step."""
        return dict(self._given[0]) if self._current is None else self._current.parameters()

    def slots(self) -> dict[str, dict[str, Array]]:
        """Return what the optimiser remembers, by slot and parameter."""
        if self._current is None:
            return {name: dict(slot) for name, slot in (self._given[1] or {}).items()}
        return self._current.slots()

    def step(
        self,
        X: NDArray[Any],
        indices: ArrayLike,
        target: ArrayLike,
        weight: ArrayLike,
        settings: StepSettings,
        *,
        seed: int = 0,
        transforms: Transforms | None = None,
        lengths: ArrayLike | None = None,
    ) -> StepResult:
        """Do as :meth:`TrainingProgram.step`, with the program of the padded length of ``X``."""
        program = self._ready(X.shape[-1])
        return program.step(
            X,
            indices,
            target,
            weight,
            settings,
            seed=seed,
            transforms=transforms,
            lengths=lengths,
        )

    def _ready(self, positions: int) -> TrainingProgram:
        """Return the program of a padded length, with the parameters of the last step."""
        if positions not in self._programs:
            self._programs[positions] = self._build(resize(self._graph, (positions,)))
        program, current = self._programs[positions], self._current
        if current is None:
            program.load(*self._given)
        elif current is not program:
            program.load(current.parameters(), current.slots())
        self._current = program
        return program


class UnequalInference:
    """An :class:`InferenceProgram` for each padded length.

    Parameters
    ----------
    graph : Graph
        A network.
    build : callable
        From the network for a padded length to its masked program.
    """

    def __init__(self, graph: Graph, build: Callable[[Graph], InferenceProgram]) -> None:
        self._graph = graph
        self._build = build
        self._programs: dict[int, InferenceProgram] = {}
        self._parameters: dict[str, Array] = {}
        self._loaded: set[int] = set()

    def load(self, parameters: Mapping[str, Array]) -> None:
        """Do as :meth:`InferenceProgram.load`."""
        self._parameters = dict(parameters)
        self._loaded.clear()

    def __call__(
        self,
        X: NDArray[Any],
        indices: ArrayLike | None = None,
        *,
        lengths: ArrayLike | None = None,
    ) -> Array:
        """Do as :class:`InferenceProgram`, with the program of the padded length of ``X``."""
        positions = X.shape[-1]
        if positions not in self._programs:
            self._programs[positions] = self._build(resize(self._graph, (positions,)))
        program = self._programs[positions]
        if positions not in self._loaded:
            program.load(self._parameters)
            self._loaded.add(positions)
        return program(X, indices, lengths=lengths)
