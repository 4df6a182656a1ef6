"""Callbacks: code of the user's that a training run calls as it goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from convoi.nn.network import Network
    from convoi.training.history import EpochRecord

__all__ = ["Callback", "TrainingState"]


@dataclass
class TrainingState:
    """Where a run stands, as callbacks see it.

    Attributes
    ----------
    network : Network
        The network that is trained. It has the new parameters once an epoch is complete, not
        after each batch.
    epochs : int
        Number of epochs of the run.
    steps_per_epoch : int
        Number of batches in an epoch.
    epoch : int
        Number of epochs that are complete.
    step : int
        Number of batches of the current epoch that are done.
    samples : int
        Number of samples in the batches of the current epoch that are done.
    samples_per_epoch : int
        Number of samples that the network is trained on.
    learning_rate : float
        The learning rate of the last step.
    metrics : mapping of str to float
        "loss" and "accuracy" or "r2" of the current epoch so far; after the epoch also those of
        the validation.
    records : list of EpochRecord
        The complete epochs.
    """

    network: Network
    epochs: int
    steps_per_epoch: int
    samples_per_epoch: int
    epoch: int = 0
    step: int = 0
    samples: int = 0
    learning_rate: float = 0.0
    records: list[EpochRecord] = field(default_factory=list)
    stop_requested: bool = False
    measure: Callable[[], Mapping[str, float]] = field(default=dict, repr=False)
    """Returns the metrics, which are not computed before somebody asks for them."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """The figures of the current epoch so far."""
        return self.measure()

    def stop(self) -> None:
        """Ask for the run to end: after the current epoch, cut short after the current batch."""
        self.stop_requested = True


class Callback:
    """Base of the callbacks; override the methods for the moments that matter.

    Exceptions that a callback raises end the run and reach the caller of ``fit``. Callbacks are
    not part of checkpoints.

    Examples
    --------
    A run that ends when the training accuracy is good enough:

    >>> from convoi.training import Callback
    >>> class GoodEnough(Callback):
    ...     def on_epoch_end(self, state):
    ...         if state.metrics["accuracy"] > 0.99:
    ...             state.stop()
    """

    def on_train_begin(self, state: TrainingState) -> None:
        """Do something before the first batch, of a resumed run too."""

    def on_batch_end(self, state: TrainingState) -> None:
        """Do something after each step; keep it short."""

    def on_epoch_end(self, state: TrainingState) -> None:
        """Do something after each epoch, its validation included."""

    def on_train_end(self, state: TrainingState) -> None:
        """Do something when the run is over; it is not called when the run fails."""
