"""The choice between two ways to run a program, by the time that they take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from convoi.runtime.pacing import LONG, PERIOD, SETTLING, TRIED, Pace

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
    found = ways(Pace(), PERIOD, lambda shares: 1e-4 if shares is quicker else 2e-4)
    assert found[:TRIAL] == [True] * TRIED + [False] * TRIED
    assert set(found[TRIAL:]) == {quicker}


def test_the_first_runs_of_a_trial_do_not_count() -> None:
    number = iter(range(PERIOD))

    def seconds(shares: bool) -> float:
        return 1.0 if next(number) < SETTLING else 1e-4 if shares else 2e-4

    assert ways(Pace(), PERIOD, seconds)[-1] is True


def test_one_run_that_is_interrupted_decides_nothing() -> None:
    number = iter(range(PERIOD))

    def seconds(shares: bool) -> float:
        return 1.0 if next(number) == SETTLING + 1 else 1e-4 if shares else 2e-4

    assert ways(Pace(), PERIOD, seconds)[-1] is True


def test_the_choice_follows_the_times() -> None:
    pace = Pace()
    assert ways(pace, PERIOD, lambda shares: 2e-4 - 1e-4 * shares)[-1] is True
    assert ways(pace, PERIOD, lambda shares: 1e-4 + 1e-4 * shares)[-1] is False
    assert ways(pace, PERIOD, lambda shares: 2e-4 - 1e-4 * shares)[-1] is True


def test_long_runs_are_shared_without_a_trial() -> None:
    assert all(ways(Pace(), 3 * PERIOD, lambda _: 2 * LONG))
