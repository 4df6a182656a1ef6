"""The history of training in model files."""

from __future__ import annotations

import math
from typing import Any, get_args

from convoi.estimators.model_fields import chosen, is_number, is_size, is_text, list_of, refuse
from convoi.training import EpochRecord, History
from convoi.training.history import Reason

MOST_EPOCHS = 1000
"""Epochs that a file keeps: of more, evenly many are left out."""
MOST_METRICS = 20


def described_history(history: History) -> dict[str, Any]:
    """Return a history as JSON can express it, without times: they differ from run to run.

    Figures that are NaN or infinite are null.
    """
    epochs = history.epochs
    if len(epochs) > MOST_EPOCHS:
        last = len(epochs) - 1
        places = [round(i * last / (MOST_EPOCHS - 1)) for i in range(MOST_EPOCHS)]
        epochs = tuple(epochs[place] for place in places)
    names = list(dict.fromkeys(name for record in epochs for name in record.metrics))
    return {
        "monitor": history.monitor,
        "reason": history.reason,
        "epoch": [record.epoch for record in epochs],
        "learning_rate": [_finite(record.learning_rate) for record in epochs],
        "metrics": {
            name: [_finite(record.metrics.get(name, math.nan)) for record in epochs]
            for name in names
        },
    }


def history_of(extra: dict[str, Any]) -> History | None:
    """Return the history in an estimator's metadata; None if there is none.

    Raises
    ------
    ModelFileError
        If the entry is something else.
    """
    entry = extra.get("history")
    if entry is None:
        return None
    if not isinstance(entry, dict):
        refuse("The entry 'history' is no dictionary.")
    epochs = list_of(entry, "epoch", is_size, lengths=range(MOST_EPOCHS + 1))
    lengths = (len(epochs),)
    rates = list_of(entry, "learning_rate", _is_figure, lengths=lengths)
    metrics = entry.get("metrics")
    if not isinstance(metrics, dict) or len(metrics) > MOST_METRICS:
        refuse("The entry 'metrics' of the history is invalid.")
    figures = {name: list_of(metrics, name, _is_figure, lengths=lengths) for name in metrics}
    monitor, reason = entry.get("monitor"), chosen(entry, "reason", get_args(Reason))
    if not is_text(monitor) or (epochs and monitor not in figures):
        refuse("The entry 'monitor' of the history is none of its figures.")
    records = tuple(
        EpochRecord(
            epoch,
            {name: _number(values[place]) for name, values in figures.items()},
            learning_rate=_number(rates[place]),
            seconds=math.nan,
        )
        for place, epoch in enumerate(epochs)
    )
    return History(records, monitor=str(monitor), reason=reason)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _is_figure(value: object) -> bool:
    return value is None or is_number(value)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
