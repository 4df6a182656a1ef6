"""The noise that events are to be told from: its power spectrum, and filters that whiten it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.checks import refusal
from convoi.errors import ArgumentError, ShapeError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

FLOOR = 1e-9
"""The least power, relative to the mean, that a spectrum is taken to have: a band without any
noise would otherwise get all the weight."""
TO_SIGMA = 1.482602218505602
"""The standard deviation of Gaussian numbers over their median absolute deviation."""


@dataclass(frozen=True, eq=False)
class PowerSpectrum:
    """The power spectrum of stationary noise.

    Parameters
    ----------
    values : array of float
        Power at the frequencies of ``numpy.fft.rfftn`` on a grid of `shape`: the mean of
        ``abs(rfftn(noise)) ** 2 / noise.size``. White noise has its variance everywhere.
    shape : tuple of int
        The grid's lengths. By default that of the even last length which `values` stand for.

    Raises
    ------
    ShapeError
        If the values do not have the shape of such a grid.
    ArgumentError
        If one is negative or not finite, or all are zero.

    Examples
    --------
    >>> import numpy as np
    >>> from convoi.signal import PowerSpectrum
    >>> PowerSpectrum(np.ones(65)).shape
    (128,)
    """

    values: NDArray[np.float64]
    shape: tuple[int, ...]

    def __init__(self, values: ArrayLike, shape: tuple[int, ...] | None = None) -> None:
        power = np.asarray(values, np.float64)
        if shape is None:
            shape = (*power.shape[:-1], max(1, 2 * (power.shape[-1] - 1)))
        if power.shape != (*shape[:-1], shape[-1] // 2 + 1):
            raise ShapeError(
                f"The values of PowerSpectrum on a grid of shape {shape} must have the shape "
                f"{(*shape[:-1], shape[-1] // 2 + 1)}. Got {power.shape}."
            )
        if not (np.isfinite(power).all() and (power >= 0).all() and power.any()):
            raise ArgumentError(
                refusal("values", "PowerSpectrum", "finite, not negative and not all 0", values)
            )
        object.__setattr__(self, "values", power)
        object.__setattr__(self, "shape", tuple(shape))

    def on_grid(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Return the spectrum on another grid: the autocovariance is cut off, or padded by 0."""
        covariance = np.fft.irfftn(self.values, self.shape, axes=range(len(shape)))
        for axis, (old, new) in enumerate(zip(self.shape, shape, strict=True)):
            if old == new:
                continue
            reach = (min(old, new) - 1) // 2
            resized = np.zeros((*covariance.shape[:axis], new, *covariance.shape[axis + 1 :]))
            for part in (slice(0, reach + 1), slice(-reach, None) if reach else slice(0, 0)):
                at = (*[slice(None)] * axis, part)
                resized[at] = covariance[at]
            covariance = resized
        power = np.fft.rfftn(covariance, axes=range(len(shape))).real
        floored: NDArray[np.float64] = np.maximum(power, FLOOR * power.mean())
        return floored


def white(variance: float, rank: int) -> PowerSpectrum:
    """Return the spectrum of white noise."""
    return PowerSpectrum(np.full((1,) * rank, variance), (1,) * rank)


def spectrum_of_record(record: NDArray[np.float64], shape: tuple[int, ...]) -> PowerSpectrum:
    """Estimate the spectrum of noise from a record of it, by Welch's method.

    Half-overlapping segments of the grid's shape (or of the record's, where that is shorter) are
    weighted by Hann windows, and their power is averaged.
    """
    segment = tuple(min(a, b) for a, b in zip(shape, record.shape, strict=True))
    window = np.ones(())
    for extent in segment:
        line = np.hanning(extent + 2)[1:-1]
        window = np.multiply.outer(window, line)
    record = record - record.mean()
    steps = [
        range(0, n - m + 1, max(1, m // 2)) for n, m in zip(record.shape, segment, strict=True)
    ]
    total: Any = 0.0
    count = 0
    for corner in itertools.product(*steps):
        part = record[tuple(slice(a, a + m) for a, m in zip(corner, segment, strict=True))]
        total = total + np.abs(np.fft.rfftn(part * window)) ** 2
        count += 1
    return PowerSpectrum(total / (count * (window**2).sum()), segment)


def robust_sigma(values: NDArray[np.float64]) -> float:
    """Return the standard deviation of Gaussian numbers, some of which are something else."""
    centre = float(np.median(values))
    return TO_SIGMA * float(np.median(np.abs(values - centre)))
