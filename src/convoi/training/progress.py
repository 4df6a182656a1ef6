"""Showing how a run goes."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TypeAlias

from convoi.checks import refusal
from convoi.errors import ArgumentError
from convoi.training.callbacks import Callback

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.progress import Progress, TaskID

    from convoi.training.callbacks import TrainingState

__all__ = ["Verbose", "progress_report"]

Verbose: TypeAlias = Literal["auto"] | bool

_SECONDS_BETWEEN_UPDATES = 0.1


@contextmanager
def progress_report(verbose: object, owner: str) -> Iterator[tuple[Callback, ...]]:
    """Yield the callbacks that show a run on the standard error stream: one or none.

    "auto" shows a bar on a terminal and nothing elsewhere, True a line for each epoch where there
    is no terminal.
    """
    if verbose != "auto" and not isinstance(verbose, bool):
        expectation = "'auto', True or False"
        raise ArgumentError(refusal("verbose", owner, expectation, verbose))
    if sys.stderr.isatty() and verbose:
        with _bar() as progress:
            yield (_Bar(progress),)
    elif verbose is True:
        yield (_Lines(),)
    else:
        yield ()


def _bar() -> Progress:
    """Return a bar that is drawn when it is told to: no thread takes time from the training."""
    from rich.console import Console  # noqa: PLC0415 (only runs on a terminal need it)
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("epoch {task.fields[epoch]}"),
        BarColumn(),
        TextColumn("{task.fields[figures]}"),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        auto_refresh=False,
        transient=True,
    )


class _Bar(Callback):
    """A bar for the whole run, and a line above it for each complete epoch."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None
        self._speed = _Speed()
        self._updated = 0.0

    def on_train_begin(self, state: TrainingState) -> None:
        """Show an empty bar, or one that stands where the run is resumed."""
        self._task = self._progress.add_task(
            "training",
            total=state.epochs * state.steps_per_epoch,
            completed=_steps(state),
            epoch=_epoch(state, state.epoch + 1),
            figures="",
            speed="",
        )

    def on_batch_end(self, state: TrainingState) -> None:
        """Move the bar, a few times a second."""
        self._speed.count(state)
        now = time.monotonic()
        if self._task is None or now - self._updated < _SECONDS_BETWEEN_UPDATES:
            return
        self._updated = now
        self._progress.update(
            self._task,
            completed=_steps(state),
            epoch=_epoch(state, state.epoch + 1),
            figures=_figures(state.metrics),
            speed=self._speed.text(),
        )
        self._progress.refresh()

    def on_epoch_end(self, state: TrainingState) -> None:
        """Print the epoch's figures."""
        line = _line(state, self._speed)
        self._speed.pause()
        self._progress.console.print(line, highlight=False, markup=False, soft_wrap=True)
        if self._task is not None:
            self._progress.update(self._task, completed=_steps(state))
            self._progress.refresh()


class _Lines(Callback):
    """A line for each complete epoch."""

    def __init__(self) -> None:
        self._speed = _Speed()

    def on_batch_end(self, state: TrainingState) -> None:
        """Count the samples."""
        self._speed.count(state)

    def on_epoch_end(self, state: TrainingState) -> None:
        """Print the epoch's figures."""
        sys.stderr.write(_line(state, self._speed) + "\n")
        sys.stderr.flush()
        self._speed.pause()


class _Speed:
    """Samples per second of the training steps of the current epoch."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._skipped = 0
        self._seconds = 0.0
        self._samples = 0

    def count(self, state: TrainingState) -> None:
        """Note that another batch is done."""
        now = time.monotonic()
        if self._began is None:
            self._began = now
            self._skipped = state.samples  # their step has been compiled, too
        self._seconds = now - self._began
        self._samples = state.samples - self._skipped

    def pause(self) -> None:
        """Begin again: an epoch is over, its validation included."""
        self._began = time.monotonic()
        self._skipped = 0

    def text(self) -> str:
        """Return the speed in words, or nothing before there is one."""
        if not self._samples or not self._seconds:
            return ""
        return f"{self._samples / self._seconds:,.0f} samples/s"


def _steps(state: TrainingState) -> int:
    return state.epoch * state.steps_per_epoch + state.step


def _epoch(state: TrainingState, epoch: int) -> str:
    width = len(str(state.epochs))
    return f"{min(epoch, state.epochs):{width}}/{state.epochs}"


def _figures(metrics: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.4f}" for name, value in metrics.items())


def _line(state: TrainingState, speed: _Speed) -> str:
    parts = (f"epoch {_epoch(state, state.epoch)}", _figures(state.metrics), speed.text())
    return "  ".join(part for part in parts if part)
