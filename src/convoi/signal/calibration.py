r"""How many false detections a threshold lets through.

Scores of Gaussian noise are Gaussian numbers of variance 1 whose correlations follow from the
filters. A detection is a score above the threshold that no other exceeds within the distance that
is kept free. So the expected number per position is, for template k,

.. math:: \int_u^\infty \varphi(z) \, P(\text{all others around} \le z \mid z_k = z) \, dz

where the others, given z, are Gaussian again: the probability is estimated by simulation from a
fixed seed, at some z, and the integral is summed.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLES = 4000
"""Simulated neighbourhoods; the error of the rate is about 2%."""
MOST_NEIGHBOURS = 320
"""Scores in a simulated neighbourhood; of larger ones, lags that grow in steps are taken."""
LEVELS = np.linspace(-2.0, 12.0, 113)


def false_alarm_threshold(
    filters: list[NDArray[np.float64]],
    distance: tuple[int, ...],
    positions: list[int],
    false_alarm: float,
) -> float:
    """Return the threshold above which so many detections of noise are expected.

    Parameters
    ----------
    filters : list of array
        What white noise would be filtered with to give each template's scores, all of one shape,
        centred alike, of norm 1.
    distance : tuple of int
        A detection is the largest score up to so many positions away.
    positions : list of int
        Scores of each template.
    false_alarm : float
        Expected detections.
    """
    rates = _rates(filters, distance)
    expected = np.zeros(len(LEVELS))
    for rate, count in zip(rates, positions, strict=True):
        expected += count * rate
    if expected[0] <= false_alarm:
        return float(LEVELS[0])
    if expected[-1] >= false_alarm:
        return float(LEVELS[-1])
    return float(np.interp(-math.log(false_alarm), -np.log(expected), LEVELS))


def _rates(
    filters: list[NDArray[np.float64]], distance: tuple[int, ...]
) -> list[NDArray[np.float64]]:
    """Return for each template the expected detections per position above each level."""
    lags = _lags(distance, len(filters))
    correlations = _correlations(filters)
    names = [(k, lag) for k in range(len(filters)) for lag in lags]
    size = len(names)
    extents = filters[0].shape

    def correlation(a: tuple[int, tuple[int, ...]], b: tuple[int, tuple[int, ...]]) -> float:
        lag = tuple(q - p for p, q in zip(a[1], b[1], strict=True))
        if any(abs(d) >= n for d, n in zip(lag, extents, strict=True)):
            return 0.0
        return float(correlations[a[0]][b[0]][lag])

    covariance = np.empty((size, size))
    for i, a in enumerate(names):
        for j in range(i + 1):
            covariance[i, j] = covariance[j, i] = correlation(a, names[j])
    generator = np.random.default_rng(20240229)
    normal = generator.standard_normal((SAMPLES, size))
    density = np.exp(-0.5 * LEVELS**2) / math.sqrt(2 * math.pi)
    rates = []
    origin = tuple(0 for _ in distance)
    for k in range(len(filters)):
        centre = names.index((k, origin))
        others = np.arange(size) != centre
        if not others.any():
            largest_share = np.ones(len(LEVELS))
        else:
            slope = covariance[others, centre]
            rest = covariance[np.ix_(others, others)] - np.outer(slope, slope)
            values, vectors = np.linalg.eigh(rest)
            root = vectors * np.sqrt(np.maximum(values, 0))
            noise = normal[:, : size - 1] @ root.T
            # All others stay below z where noise < z (1 - slope).
            share = [(noise <= z * (1 - slope) + 1e-12).all(axis=1).mean() for z in LEVELS]
            largest_share = np.array(share)
        integrand = density * largest_share
        steps = 0.5 * (integrand[1:] + integrand[:-1]) * np.diff(LEVELS)
        rates.append(np.append(steps[::-1].cumsum()[::-1], steps[-1]) + 1e-300)
    return rates


def _lags(distance: tuple[int, ...], templates: int) -> list[tuple[int, ...]]:
    """Return the offsets of a neighbourhood, or those that decide it."""
    reach = 1.0
    room = max(3.0, (MOST_NEIGHBOURS / templates) ** (1 / len(distance)))
    lines = []
    for d in distance:
        if 2 * d + 1 <= room:
            lines.append(list(range(-d, d + 1)))
            continue
        ahead, reach = [], 1.0
        half = max(1, int((room - 1) // 2))
        growth = (d / half) ** (1 / half) if half > 1 else float(d)
        step = 1.0
        for _ in range(half):
            ahead.append(min(d, round(reach)))
            step *= growth
            reach += max(1.0, step)
        ahead = sorted(set(ahead))
        lines.append([-lag for lag in reversed(ahead)] + [0] + ahead)
    return list(itertools.product(*lines))


def _correlations(filters: list[NDArray[np.float64]]) -> list[list[NDArray[np.float64]]]:
    """Return the correlations of the scores of two templates, by lag modulo the grid."""
    shape = tuple(2 * n for n in filters[0].shape)
    axes = range(len(shape))
    spectra = [np.fft.rfftn(g, shape, axes=axes) for g in filters]
    return [[np.fft.irfftn(a * b.conj(), shape, axes=axes) for b in spectra] for a in spectra]
