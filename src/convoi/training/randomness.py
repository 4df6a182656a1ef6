"""What is random in a run, as a function of its seed, the epoch and the step.

Nothing carries over from one draw to the next, so a run can be resumed anywhere.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from convoi.checks import check_integer, refusal
from convoi.errors import ArgumentError, ArgumentTypeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Order", "RandomState", "given_seed", "new_seed", "split_rows"]

RandomState: TypeAlias = (
    "int | np.random.Generator | np.random.RandomState | np.random.SeedSequence | None"
)


def given_seed(random_state: RandomState, owner: str) -> int | None:
    """Return the seed that a ``random_state`` stands for; None leaves it open."""
    if random_state is None:
        return None
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**63))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**63 - 1, dtype=np.int64))
    if isinstance(random_state, np.random.SeedSequence):
        return int(random_state.generate_state(1, np.uint64)[0])
    try:
        return check_integer(random_state, "random_state", owner, minimum=0)
    except ArgumentTypeError:
        expectation = "an integer, a Generator, RandomState or SeedSequence, or None"
        message = refusal("random_state", owner, expectation, random_state)
        raise ArgumentTypeError(message) from None


def new_seed() -> int:
    """Return a seed that nobody can foresee."""
    return secrets.randbits(63)


@dataclass(frozen=True, eq=False)
class Order:
    """The batches of every epoch.

    Attributes
    ----------
    seed : int
        The run's.
    rows : ndarray of int64, shape (n,)
        Numbers of the samples to train on.
    batch_size : int
        Largest number of samples in a batch.
    sizes : ndarray of int64 or None
        Of every sample: those of a batch are to be of nearly the same size, such as the padded
        length of series.
    """

    seed: int
    rows: NDArray[np.int64]
    batch_size: int
    sizes: NDArray[np.int64] | None = None

    @property
    def steps(self) -> int:
        """Number of batches in an epoch."""
        return -(-len(self.rows) // self.batch_size)

    @property
    def smallest(self) -> int:
        """Number of samples in the smallest batch."""
        return len(self.rows) // self.steps

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """Return the rows of each batch of an epoch: shuffled, in sizes that differ by 1 at most.

        A small batch at the end would give its samples more weight than the others have, and
        batch normalisation poor statistics.
        """
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(epoch,)))
        shuffled = rng.permutation(self.rows)
        if self.sizes is None:
            return np.array_split(shuffled, self.steps)
        ordered = shuffled[np.argsort(self.sizes[shuffled], kind="stable")]
        batches = np.array_split(ordered, self.steps)
        return [batches[number] for number in rng.permutation(len(batches))]

    def generator(self, epoch: int, step: int) -> np.random.Generator:
        """Return the source of all other randomness of one step."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(epoch, step)))


def split_rows(
    fraction: float, count: int, classes: NDArray[np.int64] | None, seed: int, owner: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Set samples aside for validation, class by class.

    Parameters
    ----------
    fraction : float
        Part of the samples, between 0 and 1; the number is rounded to the nearest one.
    count : int
        Number of samples.
    classes : ndarray of int64, shape (n,), or None
        Their classes, which then have the same proportions in both parts, as nearly as whole
        samples allow.
    seed : int
        The run's.
    owner : str
        The function, for messages.

    Returns
    -------
    training, validation : ndarray of int64
        Numbers of the samples, rising.

    Raises
    ------
    ArgumentError
        If one part would be empty.
    """
    held_out = round(fraction * count)
    if not 0 < held_out < count:
        raise ArgumentError(
            f"The 'validation_data' parameter of {owner} must leave samples to train on and to "
            f"validate on. Got {fraction} of {count} samples instead."
        )
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    shuffled = rng.permutation(count)
    if classes is not None:
        # In class order, every (1 / fraction)-th sample takes the same part of each class.
        shuffled = shuffled[np.argsort(classes[shuffled], kind="stable")]
        places = ((np.arange(held_out) + 0.5) * (count / held_out)).astype(np.int64)
    else:
        places = np.arange(held_out)
    chosen = np.zeros(count, np.bool_)
    chosen[shuffled[places]] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)
