"""The choice between two ways to run a program, by the time that they take."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from convoi.runtime.pacing import LONG, PERIOD, SETTLING, SOON, TRIED, Pace

if TYPE_CHECKING:
    from collections.abc import Callable

TRIAL = 2 * TRIED


def ways(pace: Pace, runs: int, seconds: Callable[[bool], float]) -> list[bool]:
    """Return the ways of some runs that take as long as a function of the way says."""
    found = []
    for _ in range(runs):
        found.append(pace.shares())
        pace.note(seconds(found[-1]))
    return found


@pytest.mark.parametrize("quicker", [True, False])
def test_after_a_trial_of_both_the_quicker_way_is_taken(quicker: bool) -> None:
    found = ways(Pace(), TRIAL + SOON, lambda shares: 1e-4 if shares is quicker else 2e-4)
    assert found[:TRIAL] == [True] * TRIED + [False] * TRIED
    assert set(found[TRIAL:]) == {quicker}


def test_the_first_runs_of_a_trial_do_not_count() -> None:
    number = iter(range(TRIAL + SOON))

    def seconds(shares: bool) -> float:
        return 1.0 if next(number) < SETTLING else 1e-4 if shares else 2e-4

    assert ways(Pace(), TRIAL + SOON, seconds)[-1] is True


def test_runs_that_are_interrupted_decide_nothing() -> None:
    number = iter(range(TRIAL + SOON))

    def seconds(shares: bool) -> float:
        interrupted = SETTLING < next(number) <= SETTLING + 2
        return 1.0 if interrupted else 1e-4 if shares else 2e-4

    assert ways(Pace(), TRIAL + SOON, seconds)[-1] is True


def test_the_choice_follows_the_times() -> None:
    pace = Pace()
    runs = TRIAL + PERIOD
    assert ways(pace, runs, lambda shares: 2e-4 - 1e-4 * shares)[-1] is True
    assert ways(pace, runs, lambda shares: 1e-4 + 1e-4 * shares)[-1] is False
    assert ways(pace, runs, lambda shares: 2e-4 - 1e-4 * shares)[-1] is True


@pytest.mark.parametrize("quicker", [True, False])
def test_a_new_choice_is_tried_again_soon_and_an_old_one_seldom(quicker: bool) -> None:
    found = ways(Pace(), 20 * PERIOD, lambda shares: 1e-4 if shares is quicker else 2e-4)
    slower = [run for run, way in enumerate(found) if way is not quicker]
    trials = [run for run in slower if run - 1 not in slower]
    between = [b - a - TRIAL for a, b in pairwise(trials)]
    growing = [min(SOON << k, PERIOD) for k in range(len(between))]
    assert between == growing
    assert between[-1] == PERIOD


def test_long_runs_are_shared_without_a_trial() -> None:
    assert all(ways(Pace(), 3 * PERIOD, lambda _: 2 * LONG))
