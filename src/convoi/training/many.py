"""``fit_many``: several networks trained together, each on a thread of its own."""

from __future__ import annotations

import contextvars
import sys
from collections.abc import Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

import numpy as np

from convoi.checks import check_choice, refusal
from convoi.errors import ArgumentError, ArgumentTypeError, DataError, DivergenceError
from convoi.runtime.threads import resolve_threads
from convoi.training.interrupts import DeferredInterrupt, SharedInterrupt
from convoi.training.preparation import check_network
from convoi.training.programs import SharedPrograms
from convoi.training.session import Request, train

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from convoi.compiler.pipeline import Precision
    from convoi.nn.losses import LossLike
    from convoi.nn.network import Network
    from convoi.nn.unequal import UnequalSeries
    from convoi.training.augment import Augment
    from convoi.training.early_stopping import EarlyStopping
    from convoi.training.history import History
    from convoi.training.optimizers import Optimizer
    from convoi.training.progress import Verbose
    from convoi.training.randomness import RandomState
    from convoi.training.samples import SampleSource
    from convoi.training.schedules import Schedule
    from convoi.training.session import ValidationData

    Split: TypeAlias = tuple[ArrayLike, ArrayLike]

__all__ = ["fit_many"]

Value = TypeVar("Value")
OneOrEach: TypeAlias = "Value | list[Value]"
"""A value for all networks, or a list with one for each."""

OWNER = "fit_many"
ERRORS = ("raise", "return")
WAKE_UP = 0.2
"""Seconds after which the main thread looks for signals."""


def fit_many(
    networks: Sequence[Network],
    X: ArrayLike | SampleSource | UnequalSeries,
    y: ArrayLike,
    *,
    epochs: OneOrEach[int],
    splits: Iterable[Split] | None = None,
    batch_size: OneOrEach[int] = 128,
    optimizer: OneOrEach[Optimizer | str] = "adamw",
    learning_rate: OneOrEach[float | None] = None,
    schedule: OneOrEach[Schedule | str] = "cosine",
    loss: LossLike = "cross_entropy",
    augment: OneOrEach[Augment | str | None] = None,
    validation_data: ValidationData | None = None,
    sample_weight: ArrayLike | None = None,
    class_weight: Mapping[int, float] | Sequence[float] | str | None = None,
    early_stopping: EarlyStopping | bool | None = None,
    random_state: OneOrEach[RandomState] = None,
    threads: int | None = None,
    precision: Precision | None = None,
    errors: Literal["raise", "return"] = "raise",
    verbose: Verbose = "auto",
) -> list[History | DivergenceError]:
    """Train several networks together: folds, seeds or points of a grid.

    As many networks as there are threads are trained at a time, each on one of them, so that no
    thread waits for another one in a step. Networks of one architecture share their machine code
    and the samples. Each network becomes, bit for bit, what :func:`fit` makes of it alone.

    Parameters
    ----------
    networks : sequence of Network
        What to train, each network once; they have the new parameters afterwards.
    X : array-like, SampleSource or UnequalSeries, shape (n, *input_shape)
        The samples of all networks, as of :func:`fit`.
    y : array-like of shape (n, *target_shape)
        Their targets.
    epochs : int or list of int
        How often each sample is used. Here and for all parameters with "or list", a list has a
        value for each network.
    splits : iterable of (train, test), optional
        For each network the numbers of the samples that it is trained on, and of those that it is
        measured on after each epoch; what the ``split`` method of scikit-learn's splitters
        gives. By default all networks are trained on all samples.
    batch_size, optimizer, learning_rate, schedule, augment, random_state : one, or list of them
        As of :func:`fit`.
    loss, sample_weight, class_weight, early_stopping, precision
        As of :func:`fit`, for all networks.
    validation_data
        As of :func:`fit`, for all networks; only without ``splits``.
    threads : int or None
        Number of threads in all; None uses the processors that the process may use, and one
        inside a worker of joblib or multiprocessing.
    errors : {'raise', 'return'}, default='raise'
        What becomes of a network whose training diverges: once the other networks are trained,
        its error is raised, or returned in the place of its history.
    verbose : {'auto', True, False}, default='auto'
        'auto' prints a line for each network that is trained on a terminal, True anywhere.

    Returns
    -------
    list of History
        The figures of each network, in their order.

    Raises
    ------
    ArgumentError, ArgumentTypeError, ShapeError, DataError
        As of :func:`fit`; if a list has another length than ``networks``, a network occurs twice,
        or a split names samples that are not there.
    DivergenceError
        If the training of a network diverges and ``errors`` is 'raise'.
    KeyboardInterrupt
        After Ctrl-C, which takes effect between two steps: each network has the parameters that
        were reached.

    Notes
    -----
    Networks that are left over when their number is no multiple of the threads are trained one
    after the other, on all threads.

    Examples
    --------
    Five folds:

    >>> import numpy as np
    >>> import convoi
    >>> from convoi import nn
    >>> from sklearn.model_selection import StratifiedKFold
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(2, size=200)
    >>> X = rng.normal(size=(200, 1, 16)) + y[:, np.newaxis, np.newaxis]
    >>> layers = nn.Sequential(nn.Conv(8, 3), nn.ReLU(), nn.GlobalAveragePool(), nn.Dense(2))
    >>> networks = [convoi.Network(layers, (1, 16), random_state=0) for _ in range(5)]
    >>> histories = convoi.training.fit_many(
    ...     networks, X, y, splits=StratifiedKFold(5).split(X, y), epochs=20, random_state=0
    ... )
    >>> scores = [history.epochs[-1].metrics["validation_accuracy"] for history in histories]
    >>> len(scores), min(scores) > 0.8
    (5, True)
    """
    trained = _checked_networks(networks)
    check_choice(errors, "errors", OWNER, ERRORS)
    count = len(trained)
    common = Request(
        epochs=0,
        loss=loss,
        validation_data=validation_data,
        sample_weight=sample_weight,
        class_weight=class_weight,
        early_stopping=early_stopping,
        precision=precision,
        verbose=False,
    )
    own = {
        "epochs": epochs,
        "batch_size": batch_size,
        "optimizer": optimizer,
        "learning_rate": learning_rate,
        "schedule": schedule,
        "augment": augment,
        "random_state": random_state,
    }
    columns = {name: _for_each(name, value, count) for name, value in own.items()}
    columns["split"] = _checked_splits(splits, validation_data, count, y)
    samples = np.asarray(X) if isinstance(X, (list, tuple)) else X
    jobs = [
        _Job(network, samples, y, replace(common, **{n: v[i] for n, v in columns.items()}))
        for i, network in enumerate(trained)
    ]
    results = _train_all(jobs, resolve_threads(threads, OWNER), _Lines.of(verbose, count))
    for result in results:
        if errors == "raise" and isinstance(result, DivergenceError):
            raise result
    return results


@dataclass(frozen=True, eq=False)
class _Job:
    """The training of one network."""

    network: Network
    X: Any
    y: ArrayLike
    request: Request

    def run(
        self, programs: SharedPrograms, threads: int, interrupt: DeferredInterrupt
    ) -> History | DivergenceError:
        """Train the network on so many threads."""
        request = replace(self.request, threads=threads)
        try:
            return train(self.network, self.X, self.y, request, programs, interrupt)
        except DivergenceError as error:
            return error


@dataclass(frozen=True)
class _Lines:
    """Prints a line for each network that is done, or nothing."""

    shown: bool
    count: int

    @classmethod
    def of(cls, verbose: object, count: int) -> _Lines:
        if verbose != "auto" and not isinstance(verbose, bool):
            raise ArgumentError(refusal("verbose", OWNER, "'auto', True or False", verbose))
        return cls(bool(verbose) and (verbose is True or sys.stderr.isatty()), count)

    def show(self, number: int, result: History | DivergenceError) -> None:
        if not self.shown:
            return
        if isinstance(result, DivergenceError):
            words = str(result)
        else:
            figures = result.epochs[-1].metrics.items()
            words = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in figures)
            words = f"{len(result)} epochs, {words}"
        sys.stderr.write(f"network {number + 1} of {self.count}: {words}\n")


def _train_all(jobs: list[_Job], threads: int, lines: _Lines) -> list[History | DivergenceError]:
    """Train all networks: side by side while there is one for each thread, then in turn."""
    programs = SharedPrograms()
    results: dict[int, History | DivergenceError] = {}

    def run(number: int, threads: int) -> None:
        interrupt.poll()
        results[number] = result = jobs[number].run(programs, threads, interrupt)
        lines.show(number, result)

    together = len(jobs) // threads * threads if threads > 1 else 0
    with SharedInterrupt() as interrupt:
        if together:
            with ThreadPoolExecutor(threads, thread_name_prefix="convoi-fit") as executor:
                # Threads begin with the environment's settings: these are the caller's.
                futures = [
                    executor.submit(contextvars.copy_context().run, run, number, 1)
                    for number in range(together)
                ]
                while not any(future.done() and future.exception() for future in futures):
                    # Where another thread gets a signal, this one only notices when it wakes up.
                    if not wait(futures, WAKE_UP, FIRST_EXCEPTION).not_done:
                        break
                for future in futures:
                    future.cancel()
            for future in futures:
                if not future.cancelled():
                    future.result()
        for number in range(together, len(jobs)):
            run(number, threads)
    return [results[number] for number in range(len(jobs))]


def _checked_networks(networks: Sequence[Network]) -> list[Network]:
    """Return the networks, if there are some and each occurs once."""
    if not isinstance(networks, Iterable):
        raise ArgumentTypeError(refusal("networks", OWNER, "a sequence of networks", networks))
    trained = list(networks)
    for network in trained:
        check_network(network)
    if not trained:
        raise ArgumentError(refusal("networks", OWNER, "at least one network", networks))
    if len({id(network) for network in trained}) < len(trained):
        message = (
            f"The 'networks' parameter of {OWNER} must hold each network once: two of them are "
            "the same object. Give copy.copy(network)."
        )
        raise ArgumentError(message)
    return trained


def _for_each(name: str, value: object, count: int) -> list[Any]:
    """Return a value for each network."""
    if not isinstance(value, list):
        return [value] * count
    if len(value) != count:
        expectation = f"one value, or a list with one for each of the {count} networks"
        raise ArgumentError(refusal(name, OWNER, expectation, value))
    return value


def _checked_splits(
    splits: Iterable[Split] | None, validation_data: object, count: int, y: ArrayLike
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]] | None]:
    """Return the rows of each network; None for all of them."""
    if splits is None:
        return [None] * count
    if validation_data is not None:
        message = (
            f"The 'splits' parameter of {OWNER} says what networks are validated on. Give either "
            "it or validation_data."
        )
        raise ArgumentError(message)
    pairs = [tuple(pair) for pair in splits]
    if len(pairs) != count:
        message = (
            f"The 'splits' parameter of {OWNER} must have a pair (train, test) for each of the "
            f"{count} networks. Got {len(pairs)} instead."
        )
        raise ArgumentError(message)
    samples = len(y) if isinstance(y, (list, tuple)) else len(np.asarray(y))
    found: list[tuple[NDArray[np.int64], NDArray[np.int64]] | None] = []
    for number, pair in enumerate(pairs):
        if len(pair) != 2:
            raise ArgumentTypeError(refusal("splits", OWNER, "pairs (train, test)", pair))
        train_rows, test_rows = (_checked_rows(rows, samples, number) for rows in pair)
        found.append((train_rows, test_rows))
    return found


def _checked_rows(rows: ArrayLike, samples: int, number: int) -> NDArray[np.int64]:
    array = np.asarray(rows)
    if array.ndim != 1 or array.dtype.kind not in "iu" or not array.size:
        expectation = "pairs of arrays of row numbers, none of them empty"
        raise ArgumentTypeError(refusal("splits", OWNER, expectation, rows))
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= samples:
        raise DataError(
            f"The 'splits' parameter of {OWNER} must hold row numbers from 0 to {samples - 1}. "
            f"Got {low if low < 0 else high} in the pair of network {number} instead."
        )
    return array.astype(np.int64)
