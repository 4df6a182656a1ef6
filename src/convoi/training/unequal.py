"""Training on series of unequal length: a program for each padded length, one set of parameters."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.errors import DataError
from convoi.graph import mask, resize
from convoi.nn.unequal import padded_length
from convoi.training.augment import as_augment
from convoi.training.samples import Batch
from convoi.training.step_targets import without_padding

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import ArrayLike, NDArray

    from convoi.compiler import (
        InferenceProgram,
        StepSettings,
        TrainingProgram,
        Transforms,
    )
    from convoi.compiler.prepared import PreparedStep
    from convoi.graph import Graph
    from convoi.nn.network import Network
    from convoi.nn.unequal import UnequalSeries
    from convoi.ops import Array
    from convoi.training.augment import Augment

__all__ = [
    "UnequalAugment",
    "UnequalInference",
    "UnequalSamples",
    "UnequalTraining",
    "as_unequal_samples",
]


@dataclass(frozen=True, eq=False)
class UnequalAugment:
    """Random changes of series, each within its own length.

    Attributes
    ----------
    given : Augment or str
        The changes; the lengths of a preset, given by its name, follow from that of the series.
    """

    given: Augment | str
    _settings: dict[int, Augment] = field(default_factory=dict, init=False, repr=False)

    @property
    def moves(self) -> bool:
        """Whether it shifts or mirrors."""
        return isinstance(self.given, str) or self.given.moves

    def settings(self, length: int, owner: str = "fit") -> Augment:
        """Return the changes of a series of this length; raise if they do not fit it."""
        if length not in self._settings:
            found = as_augment(self.given, (length,), owner)
            if found is None:
                raise LookupError(self.given)
            self._settings[length] = found
        return self._settings[length]

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """Return a batch of changed series."""
        if batch.lengths is None:
            raise LookupError("lengths")
        array = np.zeros_like(batch.array)
        for changed, sample, length in zip(array, batch.array, batch.lengths.tolist(), strict=True):
            drawn = self.settings(length).draw(rng, 1, (length,))
            own = sample[:, :length][:, :: -1 if drawn.flip[0, 0] else 1]
            shift = int(drawn.shift[0, 0])
            start, stop = max(shift, 0), length + min(shift, 0)
            changed[:, start:stop] = own[:, start - shift : stop - shift]
            low, high = drawn.cutout[0, 0]
            changed[:, low:high] = 0
        return replace(batch, array=array)


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

    @property
    def is_random(self) -> bool:
        """Whether steps may depend on their seed."""
        return True

    def prepare(
        self,
        X: NDArray[Any],
        indices: ArrayLike,
        target: ArrayLike,
        weight: ArrayLike,
        *,
        transforms: Transforms | None = None,
        lengths: ArrayLike | None = None,
    ) -> PreparedStep:
        """Do as :meth:`TrainingProgram.prepare`, for the program of the padded length of ``X``.

        Targets for each time step are padded.
        """
        program = self._program(X.shape[-1])
        targets, added = np.asarray(target), None
        outputs, *steps = program.graph.shape(program.graph.outputs[0])
        if steps:
            weights = np.asarray(weight)
            targets, weight, added = without_padding(targets, weights, program.loss, outputs)
        step = program.prepare(X, indices, targets, weight, transforms=transforms, lengths=lengths)
        return step if added is None else replace(step, surplus=float(added.sum()))

    def take(self, step: PreparedStep, settings: StepSettings, *, seed: int = 0) -> float | None:
        """Do as :meth:`TrainingProgram.take`, with the parameters of the last step."""
        program, current = self._program(step.source.array.shape[-1]), self._current
        if current is None:
            program.load(*self._given)
        elif current is not program:
            program.load(current.parameters(), current.slots())
        self._current = program
        return program.take(step, settings, seed=seed)

    def _program(self, positions: int) -> TrainingProgram:
        """Return the program of a padded length."""
        if positions not in self._programs:
            self._programs[positions] = self._build(resize(self._graph, (positions,)))
        return self._programs[positions]


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
