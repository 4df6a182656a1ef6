"""The expected values follow from the formulas that PyTorch documents for its schedulers."""

from __future__ import annotations

import math

import pytest

from convoi.errors import ArgumentError, ArgumentTypeError
from convoi.training import Constant, Cosine, OneCycle, StepDecay
from convoi.training.schedules import as_schedule


def rates(schedule, total_steps, peak=1.0):
    return [schedule.learning_rate(step, total_steps, peak) for step in range(total_steps)]


def test_a_constant_rate_is_the_peak():
    assert rates(Constant(), 3, peak=0.2) == [0.2, 0.2, 0.2]


def test_the_rate_rises_linearly_while_warming_up():
    assert rates(Constant(warmup=0.75), 4) == pytest.approx([0.25, 0.5, 0.75, 1.0])


def test_warming_up_is_pytorch_s_linear_lr():
    factor, steps = 1 / 6, 5  # LinearLR(start_factor=1 / 6, total_iters=5)
    expected = [factor + (1 - factor) * t / steps for t in range(steps)]
    assert rates(Cosine(warmup=0.1), 50)[:steps] == pytest.approx(expected)


def test_the_cosine_is_pytorch_s_cosine_annealing():
    eta_min, eta_max, T = 0.05, 0.5, 8  # CosineAnnealingLR(T_max=8, eta_min=0.05)
    expected = [
        eta_min + (eta_max - eta_min) * (1 + math.cos(math.pi * t / T)) / 2 for t in range(T)
    ]
    assert rates(Cosine(warmup=0, final=0.1), T, peak=eta_max) == pytest.approx(expected)


def test_the_cosine_begins_at_the_peak_after_warming_up():
    assert rates(Cosine(warmup=0.2), 10, peak=3.0)[2] == 3.0


def test_one_cycle_is_pytorch_s():
    # OneCycleLR(max_lr=2, total_steps=10): 2 / 25 at step 0, 2 at step 0.3 * 10 - 1, and
    # 2 / 25 / 1e4 at step 9; half a period of a cosine between each two of them.
    start, top, end = 2 / 25, 2.0, 2 / 25 / 1e4
    up = [start + (top - start) * (1 - math.cos(math.pi * t / 2)) / 2 for t in range(3)]
    down = [top + (end - top) * (1 - math.cos(math.pi * t / 7)) / 2 for t in range(1, 8)]
    assert rates(OneCycle(), 10, peak=2.0) == pytest.approx(up + down)


def test_one_cycle_reaches_its_peak_between_two_steps_if_the_fractions_say_so():
    # OneCycleLR(max_lr=1, total_steps=5, pct_start=0.5): the peak is at step 1.5.
    start, end = 0.04, 4e-6
    expected = [
        start,
        start + (1 - start) * (1 - math.cos(math.pi / 1.5)) / 2,
        *(1 + (end - 1) * (1 - math.cos(math.pi * (t - 1.5) / 2.5)) / 2 for t in (2, 3, 4)),
    ]
    assert rates(OneCycle(rise=0.5), 5) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("total_steps", "expected"), [(1, [1.0]), (2, [1.0, 4e-6]), (3, [1.0, 0.500002, 4e-6])]
)
def test_one_cycle_begins_at_the_peak_where_there_is_no_step_to_rise_in(total_steps, expected):
    assert rates(OneCycle(rise=0.3), total_steps) == pytest.approx(expected)


def test_step_decay_is_pytorch_s_multi_step():
    # MultiStepLR(milestones=[5, 8], gamma=0.5)
    expected = [4.0] * 5 + [2.0] * 3 + [1.0] * 2
    assert rates(StepDecay(milestones=(0.5, 0.8), gamma=0.5), 10, peak=4.0) == expected


@pytest.mark.parametrize("schedule", [Constant(), Cosine(), OneCycle(), StepDecay()])
@pytest.mark.parametrize("total_steps", [1, 2, 3, 100])
def test_rates_are_positive_and_at_most_the_peak(schedule, total_steps):
    values = rates(schedule, total_steps, peak=0.3)
    assert all(0 < rate <= 0.3 * (1 + 1e-12) for rate in values)


@pytest.mark.parametrize(
    ("name", "schedule"),
    [
        ("constant", Constant()),
        ("cosine", Cosine()),
        ("one_cycle", OneCycle()),
        ("step", StepDecay()),
    ],
)
def test_a_schedule_is_known_by_name(name, schedule):
    assert as_schedule(name, "fit") == schedule


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Cosine(warmup=1),
            (
                "The 'warmup' parameter of Cosine must be a number greater than or equal to 0 and "
                "less than 1. Got 1 instead."
            ),
        ),
        (
            lambda: StepDecay(milestones=(0.7, 0.5)),
            (
                "The 'milestones' parameter of StepDecay must be a tuple of rising numbers between "
                "0 and 1. Got (0.7, 0.5) instead."
            ),
        ),
        (
            lambda: StepDecay(gamma=0.0),
            (
                "The 'gamma' parameter of StepDecay must be a number greater than 0 and less than "
                "or equal to 1. Got 0.0 instead."
            ),
        ),
        (
            lambda: OneCycle(start_divisor=0.5),
            (
                "The 'start_divisor' parameter of OneCycle must be a number greater than or equal "
                "to 1. Got 0.5 instead."
            ),
        ),
        (
            lambda: as_schedule("linear", "fit"),
            (
                "The 'schedule' parameter of fit must be a Schedule or one of 'constant', "
                "'cosine', 'one_cycle', 'step'. Got 'linear' instead."
            ),
        ),
    ],
)
def test_a_wrong_value_is_refused(make, message):
    with pytest.raises(ArgumentError) as caught:
        make()
    assert str(caught.value) == message


@pytest.mark.parametrize("make", [lambda: StepDecay(milestones=0.5), lambda: as_schedule(1, "fit")])
def test_a_wrong_type_is_refused(make):
    with pytest.raises(ArgumentTypeError):
        make()
