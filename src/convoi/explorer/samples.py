"""Pictures and signals to look at: digits of scikit-learn, and generated ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from convoi.data import load_dataset

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_SIDE = 12
_LENGTH = 64
_BEAT = 40  # samples; the R wave falls on one
_WHITE = 9.0

ECG_WAVES = (
    # position (part of the beat), height, width (part of the beat)
    (0.20, 0.15, 0.030),  # P
    (0.36, -0.12, 0.012),  # Q
    (0.40, 1.00, 0.014),  # R
    (0.44, -0.24, 0.014),  # S
    (0.68, 0.30, 0.045),  # T
)
"""The waves of a heartbeat as Gaussians: the form of P. E. McSharry et al., "A dynamical model for
generating synthetic electrocardiogram signals", IEEE Trans. Biomed. Eng. 50(3), 2003, with heights
and widths that are chosen for the eye."""


@dataclass(frozen=True)
class Sample:
    """A picture or a signal.

    Attributes
    ----------
    title : str
        What a person calls it.
    values : ndarray of float64
        One axis or two.
    """

    title: str
    values: NDArray[np.float64]


@cache
def samples() -> Mapping[str, Sample]:
    """Return all samples by name, pictures first.

    Examples
    --------
    >>> samples()["ecg"].values.shape, samples()["disc"].values.shape
    ((80,), (12, 12))
    """
    rows, columns = np.indices((_SIDE, _SIDE))
    centred = np.hypot(rows - (_SIDE - 1) / 2, columns - (_SIDE - 1) / 2)
    time = np.arange(_LENGTH)
    noise = np.random.default_rng(0).normal(scale=0.4, size=_LENGTH)
    impulse: NDArray[np.float64] = np.zeros(_LENGTH // 2)
    impulse[_LENGTH // 4] = 1
    return {
        **_digits(),
        "disc": Sample("Disc", np.where(centred <= 4, _WHITE, 0.0)),
        "edge": Sample("Edge", np.where(columns >= _SIDE // 2, _WHITE, 0.0)),
        "bars": Sample("Bars", np.where(columns // 2 % 2 == 1, _WHITE, 0.0)),
        "ramp": Sample("Ramp", np.round(_WHITE * (rows + columns) / (2 * _SIDE - 2))),
        "dot": Sample("Single dot", np.where((rows == 4) & (columns == 5), _WHITE, 0.0)),
        "ecg": Sample("Heartbeats (synthetic)", _heartbeats()),
        "step": Sample("Step", np.where(time[: _LENGTH // 2] >= _LENGTH // 4, 1.0, 0.0)),
        "impulse": Sample("Impulse", impulse),
        "sine": Sample("Noisy sine", np.round(np.sin(2 * np.pi * time / 21) + noise, 2)),
    }


def _digits() -> dict[str, Sample]:
    """Return the first digit of each class in the data set's training part."""
    digits = load_dataset("digits").train
    classes = np.asarray(digits.y)
    pictures = np.asarray(digits.X)[:, 0]
    first = [int(np.flatnonzero(classes == digit)[0]) for digit in range(10)]
    return {
        f"digit-{digit}": Sample(f"Digit {digit}", pictures[index].astype(np.float64))
        for digit, index in enumerate(first)
    }


def _heartbeats() -> NDArray[np.float64]:
    """Return two beats."""
    phase = np.arange(2 * _BEAT) / _BEAT % 1
    waves = (
        height * np.exp(-0.5 * ((phase - position) / width) ** 2)
        for position, height, width in ECG_WAVES
    )
    signal: NDArray[np.float64] = np.round(np.sum(list(waves), axis=0), 2)
    return signal + 0.0  # no minus zero
