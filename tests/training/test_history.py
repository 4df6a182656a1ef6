from __future__ import annotations

import math

import pytest

from convoi.errors import ArgumentError
from convoi.training import EpochRecord, History


def history(monitor, **figures):
    columns = [dict(zip(figures, row, strict=True)) for row in zip(*figures.values(), strict=True)]
    records = tuple(
        EpochRecord(number, metrics, learning_rate=0.1 * number, seconds=1.0)
        for number, metrics in enumerate(columns, start=1)
    )
    return History(records, monitor, "epochs")


def test_the_best_epoch_is_the_first_with_the_lowest_loss():
    assert history("loss", loss=[3.0, 1.0, 2.0, 1.0]).best.epoch == 2


@pytest.mark.parametrize("monitor", ["accuracy", "validation_accuracy", "r2", "validation_r2"])
def test_scores_are_best_when_they_are_high(monitor):
    assert history(monitor, loss=[1.0, 2.0], **{monitor: [0.5, 0.9]}).best.epoch == 2


def test_an_epoch_without_a_figure_is_not_the_best():
    assert history("loss", loss=[math.nan, 5.0, 4.0]).best.epoch == 3


def test_no_epoch_is_best_in_an_empty_history():
    with pytest.raises(ArgumentError, match="holds no epoch"):
        _ = History((), "loss", "epochs").best


def test_a_dictionary_has_a_list_for_each_figure():
    table = history("loss", loss=[2.0, 1.0], accuracy=[0.5, 0.75]).as_dict()
    assert table == {
        "epoch": [1, 2],
        "loss": [2.0, 1.0],
        "accuracy": [0.5, 0.75],
        "learning_rate": pytest.approx([0.1, 0.2]),
        "seconds": [1.0, 1.0],
    }


def test_the_time_an_epoch_took_is_not_compared():
    first, second = (EpochRecord(1, {"loss": 1.0}, 0.1, seconds) for seconds in (1.0, 2.0))
    assert first == second
