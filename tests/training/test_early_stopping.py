from __future__ import annotations

import math

import pytest

from convoi.errors import ArgumentError, ArgumentTypeError
from convoi.training import EarlyStopping
from convoi.training.early_stopping import Best, as_early_stopping


@pytest.mark.parametrize(
    ("value", "monitor", "min_delta", "improved"),
    [
        (0.9, "loss", 0.0, True),
        (1.0, "loss", 0.0, False),
        (1.1, "validation_loss", 0.0, False),
        (0.9, "loss", 0.2, False),
        (1.1, "accuracy", 0.0, True),
        (0.9, "validation_r2", 0.0, False),
        (1.1, "validation_accuracy", 0.2, False),
        (math.nan, "loss", 0.0, False),
    ],
)
def test_an_improvement_exceeds_the_best_by_min_delta(value, monitor, min_delta, improved):
    best = Best(epoch=1, value=1.0, parameters={})
    assert best.is_beaten_by(value, monitor, min_delta) is improved


def test_any_figure_beats_nan():
    assert Best(epoch=1, value=math.nan, parameters={}).is_beaten_by(5.0, "loss", 0.1)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        (False, None),
        (True, EarlyStopping()),
        (EarlyStopping(patience=3), EarlyStopping(patience=3)),
    ],
)
def test_the_settings_may_be_given_as_a_flag(given, expected):
    assert as_early_stopping(given, "fit") == expected


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: EarlyStopping(patience=0),
            ArgumentError,
            (
                "The 'patience' parameter of EarlyStopping must be an integer greater than or "
                "equal to 1. Got 0 instead."
            ),
        ),
        (
            lambda: EarlyStopping(min_delta=-1.0),
            ArgumentError,
            (
                "The 'min_delta' parameter of EarlyStopping must be a number greater than or equal "
                "to 0. Got -1.0 instead."
            ),
        ),
        (
            lambda: EarlyStopping(monitor=3),
            ArgumentTypeError,
            (
                "The 'monitor' parameter of EarlyStopping must be the name of a figure, or None. "
                "Got 3 instead."
            ),
        ),
        (
            lambda: as_early_stopping(5, "fit"),
            ArgumentTypeError,
            (
                "The 'early_stopping' parameter of fit must be an EarlyStopping, True, False or "
                "None. Got 5 instead."
            ),
        ),
    ],
)
def test_wrong_settings_are_refused(make, error, message):
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value) == message
