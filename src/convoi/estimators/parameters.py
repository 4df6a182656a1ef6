"""The parameters that estimators have in common, and their checks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from convoi.checks import check_choice, check_flag, check_integer, check_real, refusal
from convoi.errors import ArgumentError, ArgumentTypeError
from convoi.estimators.architecture import check_network
from convoi.estimators.layout import check_image_shape
from convoi.nn.precision import check_precision
from convoi.training.early_stopping import as_early_stopping
from convoi.training.optimizers import as_optimizer
from convoi.training.schedules import as_schedule

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from typing_extensions import TypeIs

    from convoi.compiler.pipeline import Precision
    from convoi.estimators.architecture import NetworkLike
    from convoi.training import Augment, EarlyStopping, Optimizer, Schedule

Auto = Literal["auto"]
"""The value of a parameter that :mod:`convoi.estimators.recipes` is to choose."""

Normalize = Literal["channel", "series", "both"]
"""Whose mean and deviation series are brought to 0 and 1 with: the training set's, or their own;
or both, which the networks of an ensemble take turns in."""

Missing = Literal["error", "mask"]
"""What becomes of NaN in series."""


@dataclass(eq=False, repr=False, kw_only=True)
class Parameters:
    """What the constructors of all estimators take; :class:`ImageClassifier` documents it.

    As fields of a dataclass they are listed once. They keep what they are given, as scikit-learn
    wants it: ``fit`` checks them.
    """

    network: NetworkLike = field(default="auto", kw_only=False)
    epochs: int | Auto = "auto"
    batch_size: int | Auto = "auto"
    optimizer: Optimizer | str = "auto"
    learning_rate: float | Auto = "auto"
    schedule: Schedule | str = "one_cycle"
    augment: Augment | str | None = "auto"
    early_stopping: EarlyStopping | bool = False
    validation_fraction: float | None = None
    warm_start: bool = False
    random_state: int | np.random.RandomState | None = None
    threads: int | None = None
    precision: Precision = "default"
    verbose: bool | Auto = False

    def _check_parameters(self) -> None:
        """Raise ArgumentError or ArgumentTypeError unless each parameter has a value it may."""
        owner = type(self).__name__
        check_network(self.network, owner)
        check_integer_or_auto(self.epochs, "epochs", owner)
        check_integer_or_auto(self.batch_size, "batch_size", owner)
        if not is_auto(self.optimizer):
            as_optimizer(self.optimizer, owner)
        if not is_auto(self.learning_rate):
            check_real(self.learning_rate, "learning_rate", owner, minimum=0, exclude_minimum=True)
        as_schedule(self.schedule, owner)
        as_early_stopping(self.early_stopping, owner)
        if self.validation_fraction is not None:
            open_interval = {"exclude_minimum": True, "exclude_maximum": True}
            check_real(
                self.validation_fraction,
                "validation_fraction",
                owner,
                minimum=0,
                maximum=1,
                **open_interval,
            )
        check_flag(self.warm_start, "warm_start", owner)
        if self.threads is not None:
            check_integer(self.threads, "threads", owner, minimum=1)
        check_precision(self.precision, owner)
        if not is_auto(self.verbose):
            check_flag(self.verbose, "verbose", owner)


@dataclass(eq=False, repr=False, kw_only=True)
class ImageParameters(Parameters):
    """What the constructors of the image estimators take besides."""

    image_shape: Sequence[int] | None = None

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_image_shape(self.image_shape, type(self).__name__)


@dataclass(eq=False, repr=False, kw_only=True)
class SeriesParameters(Parameters):
    """What the constructors of the series estimators take besides."""

    normalize: Normalize | Auto | None = "auto"
    missing: Missing = "error"
    ensemble: int | Auto = "auto"

    def _check_parameters(self) -> None:
        super()._check_parameters()
        owner = type(self).__name__
        if self.normalize is not None and not is_auto(self.normalize):
            check_choice(self.normalize, "normalize", owner, get_args(Normalize))
        check_choice(self.missing, "missing", owner, get_args(Missing))
        check_integer_or_auto(self.ensemble, "ensemble", owner)


def is_auto(value: object) -> TypeIs[Auto]:
    """Tell whether a parameter is left to the recipe."""
    return isinstance(value, str) and value == "auto"


def check_integer_or_auto(value: object, name: str, owner: str) -> None:
    """Raise unless a parameter is a positive integer or ``"auto"``."""
    if is_auto(value):
        return
    try:
        check_integer(value, name, owner, minimum=1)
    except (ArgumentError, ArgumentTypeError) as error:
        expectation = "'auto' or an integer greater than or equal to 1"
        raise type(error)(refusal(name, owner, expectation, value)) from None
