"""Schedules: the learning rate of each step of a run.

Steps are counted from 0 to ``total_steps - 1`` over the whole run. Positions within a run are given
as fractions of it, so that a schedule fits runs of any length.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from convoi.checks import check_real, refusal
from convoi.errors import ArgumentError, ArgumentTypeError

__all__ = ["Constant", "Cosine", "OneCycle", "Schedule", "StepDecay", "as_schedule"]


@dataclass(frozen=True, kw_only=True)
class Schedule(ABC):
    """Base of the schedules; derive a frozen dataclass from it to make another one."""

    @abstractmethod
    def learning_rate(self, step: int, total_steps: int, peak: float = 1.0) -> float:
        """Return the learning rate of one step.

        Parameters
        ----------
        step : int
            Number of the step, from 0.
        total_steps : int
            Number of steps of the run.
        peak : float, default=1
            The run's largest learning rate: the ``learning_rate`` that ``fit`` is given.

        Returns
        -------
        float
            Proportional to ``peak``.
        """


@dataclass(frozen=True, kw_only=True)
class _WarmUp(Schedule):
    """A schedule that begins with a linear rise.

    During the first ``W = round(warmup * total_steps)`` steps the rate is
    ``peak * (step + 1) / (W + 1)``, which is PyTorch's ``LinearLR(start_factor=1 / (W + 1),
    total_iters=W)``; what follows begins at step W.
    """

    warmup: float = 0.0

    def __post_init__(self) -> None:
        owner = type(self).__name__
        check_real(self.warmup, "warmup", owner, minimum=0, maximum=1, exclude_maximum=True)

    def learning_rate(self, step: int, total_steps: int, peak: float = 1.0) -> float:
        """Return the learning rate of one step; see :meth:`Schedule.learning_rate`."""
        warm_steps = round(self.warmup * total_steps)
        if step < warm_steps:
            return peak * (step + 1) / (warm_steps + 1)
        return peak * self._factor(step - warm_steps, total_steps - warm_steps)

    @abstractmethod
    def _factor(self, step: int, total_steps: int) -> float:
        """Return the part of the peak, with steps counted after the rise."""


@dataclass(frozen=True, kw_only=True)
class Constant(_WarmUp):
    """The same learning rate in every step.

    Attributes
    ----------
    warmup : float, default=0
        Fraction of the run in which the rate first rises linearly.

    Examples
    --------
    >>> from convoi.training import Constant
    >>> Constant().learning_rate(step=7, total_steps=10, peak=0.1)
    0.1
    """

    def _factor(self, step: int, total_steps: int) -> float:
        del step, total_steps
        return 1.0


@dataclass(frozen=True, kw_only=True)
class Cosine(_WarmUp):
    r"""Half a period of a cosine, from the peak down to ``final`` times the peak.

    .. math:: \eta_t = \eta_{\min} + \frac{\eta_{\max} - \eta_{\min}}{2}
              \left(1 + \cos \frac{\pi t}{T}\right)

    Attributes
    ----------
    warmup : float, default=0.05
        Fraction of the run in which the rate first rises linearly; *t* and *T* count the steps
        after it.
    final : float, default=0
        What the rate approaches at the end of the run, as a fraction of the peak.

    Notes
    -----
    This is PyTorch's ``CosineAnnealingLR(T_max=T)``, after its ``LinearLR``.

    References
    ----------
    I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.

    Examples
    --------
    >>> from convoi.training import Cosine
    >>> schedule = Cosine(warmup=0)
    >>> [round(schedule.learning_rate(step, 4), 3) for step in range(4)]
    [1.0, 0.854, 0.5, 0.146]
    """

    warmup: float = 0.05
    final: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_real(self.final, "final", "Cosine", minimum=0, maximum=1)

    def _factor(self, step: int, total_steps: int) -> float:
        return _cosine(1.0, self.final, step / total_steps)


@dataclass(frozen=True, kw_only=True)
class OneCycle(Schedule):
    """Up to the peak and down again, each along half a period of a cosine.

    Attributes
    ----------
    rise : float, default=0.3
        Fraction of the run in which the rate rises.
    start_divisor : float, default=25
        The run starts with the peak divided by this.
    final_divisor : float, default=1e4
        It ends with the starting rate divided by this.

    Notes
    -----
    This is PyTorch's ``OneCycleLR(pct_start=rise, div_factor=start_divisor,
    final_div_factor=final_divisor, anneal_strategy="cos", cycle_momentum=False)``; the last step
    of the rise is number ``rise * total_steps - 1``. Where that leaves no step to rise in, the run
    starts at the peak.

    References
    ----------
    L. N. Smith and N. Topin, "Super-convergence: very fast training of neural networks using large
    learning rates", 2018, arXiv:1708.07120.

    Examples
    --------
    >>> from convoi.training import OneCycle
    >>> schedule = OneCycle(rise=0.5)
    >>> [round(schedule.learning_rate(step, 6), 3) for step in range(6)]
    [0.04, 0.52, 1.0, 0.75, 0.25, 0.0]
    """

    rise: float = 0.3
    start_divisor: float = 25.0
    final_divisor: float = 1e4

    def __post_init__(self) -> None:
        check_real(self.rise, "rise", "OneCycle", minimum=0, maximum=1, exclude_maximum=True)
        check_real(self.start_divisor, "start_divisor", "OneCycle", minimum=1)
        check_real(self.final_divisor, "final_divisor", "OneCycle", minimum=1)

    def learning_rate(self, step: int, total_steps: int, peak: float = 1.0) -> float:
        """Return the learning rate of one step; see :meth:`Schedule.learning_rate`."""
        start = peak / self.start_divisor
        top = max(self.rise * total_steps - 1, 0.0)  # the step at which the peak is reached
        last = total_steps - 1
        if step < top:
            return _cosine(start, peak, step / top)
        if step >= last > top:
            return start / self.final_divisor
        # A run of a single step takes it at the peak.
        part = (step - top) / (last - top) if last > top else 0.0
        return _cosine(peak, start / self.final_divisor, part)


@dataclass(frozen=True, kw_only=True)
class StepDecay(Schedule):
    """A constant rate that is multiplied by ``gamma`` at some points of the run.

    Attributes
    ----------
    milestones : tuple of float, default=(0.5, 0.75)
        The points, as fractions of the run, in (0, 1) and rising.
    gamma : float, default=0.1
        The factor, in (0, 1].

    Notes
    -----
    This is PyTorch's ``MultiStepLR`` with the milestones at the first steps that do not lie before
    these fractions.

    Examples
    --------
    >>> from convoi.training import StepDecay
    >>> schedule = StepDecay(milestones=(0.5,), gamma=0.1)
    >>> [schedule.learning_rate(step, 4, peak=2.0) for step in range(4)]
    [2.0, 2.0, 0.2, 0.2]
    """

    milestones: tuple[float, ...] = (0.5, 0.75)
    gamma: float = 0.1

    def __post_init__(self) -> None:
        check_real(self.gamma, "gamma", "StepDecay", minimum=0, maximum=1, exclude_minimum=True)
        expectation = "a tuple of rising numbers between 0 and 1"
        milestones: object = self.milestones
        if not isinstance(milestones, tuple):
            raise ArgumentTypeError(refusal("milestones", "StepDecay", expectation, milestones))
        points = [check_real(point, "milestones", "StepDecay") for point in self.milestones]
        if any(not low < high for low, high in zip([0.0, *points], [*points, 1.0], strict=True)):
            raise ArgumentError(refusal("milestones", "StepDecay", expectation, self.milestones))

    def learning_rate(self, step: int, total_steps: int, peak: float = 1.0) -> float:
        """Return the learning rate of one step; see :meth:`Schedule.learning_rate`."""
        passed = sum(step >= point * total_steps for point in self.milestones)
        return peak * self.gamma**passed


def _cosine(start: float, end: float, part: float) -> float:
    """Return the value after this part of the way from start to end."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * part))


_BY_NAME: dict[str, type[Schedule]] = {
    "constant": Constant,
    "cosine": Cosine,
    "one_cycle": OneCycle,
    "step": StepDecay,
}


def as_schedule(schedule: object, owner: str) -> Schedule:
    """Return a schedule that may be given by name, with its default settings."""
    if isinstance(schedule, Schedule):
        return schedule
    expectation = f"a Schedule or one of {', '.join(map(repr, _BY_NAME))}"
    if not isinstance(schedule, str):
        raise ArgumentTypeError(refusal("schedule", owner, expectation, schedule))
    if schedule not in _BY_NAME:
        raise ArgumentError(refusal("schedule", owner, expectation, schedule))
    return _BY_NAME[schedule]()
