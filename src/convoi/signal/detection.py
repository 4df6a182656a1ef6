"""`find`: where templates occur in noise."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.checks import check_integer, check_per_axis, check_real, refusal
from convoi.errors import (
    ArgumentError,
    ArgumentTypeError,
    DataError,
    ShapeError,
)
from convoi.signal.arguments import check_array, check_name
from convoi.signal.calibration import false_alarm_threshold
from convoi.signal.detections import Detections, Filtered, find_peaks
from convoi.signal.matching import match
from convoi.signal.noise import PowerSpectrum, robust_sigma, spectrum_of_record, white
from convoi.signal.operation import Options, operate

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

STATISTICS = ("sigma", "zncc")
BASELINES = ("constant", "zero")


def find(
    x: ArrayLike,
    template: Any,  # noqa: ANN401 - of several kinds
    *,
    threshold: float | None = None,
    false_alarm: float = 1e-3,
    max_count: int | None = None,
    noise: Any = None,  # noqa: ANN401 - of several kinds
    min_distance: object = None,
    baseline: str = "constant",
    statistic: str = "sigma",
    threads: int | None = None,
) -> Detections:
    r"""Find where one or more templates occur in a noisy signal or picture.

    Parameters
    ----------
    x : array_like
        A signal, a picture, or an array of more axes: real and finite numbers.
    template : array_like or list of array_like
        What to look for, or a list of such arrays, of any sizes: scaled, rotated, different.
    threshold : float, optional
        The score that detections exceed. Instead of `false_alarm`.
    false_alarm : float
        The expected number of detections per call if there is nothing but Gaussian noise; the
        threshold follows from it. Only for ``statistic='sigma'``.
    max_count : int, optional
        The most detections, those with the highest scores.
    noise : None, float, PowerSpectrum or array_like
        What the templates are hidden in: white noise of this standard deviation, noise of this
        power spectrum, or a record of noise, from which the spectrum is estimated. With None the
        noise is taken for white; the spread of the scores is estimated from their median absolute
        deviation, which rare events do not disturb.
    min_distance : int or sequence of int, optional
        Detections are further apart than this, on at least one axis. By default half the extents
        of the smallest template.
    baseline : {'constant', 'zero'}
        Whether the signal lies on an unknown constant level, which the templates' levels then say
        nothing about, or on zero.
    statistic : {'sigma', 'zncc'}
        The score: that of the matched filter in units of its standard deviation, or the correlation
        coefficient of `match`, which does not grow with the contrast; that needs a `threshold`.
    threads : int, optional
        The most threads.

    Returns
    -------
    Detections
        Highest score first.

    Raises
    ------
    DataError
        If the input has NaN or infinities, or its noise has no spread.
    ShapeError
        If a template does not fit into the input.
    ArgumentError, ArgumentTypeError
        If an option has a value or a type that it may not have.

    Notes
    -----
    With noise of covariance C, template t and window x, amplitude and score are

    .. math:: \hat a = \frac{t^T C^{-1} x}{t^T C^{-1} t}, \qquad
        z = \frac{t^T C^{-1} x}{\sqrt{t^T C^{-1} t}}

    The score of noise is a Gaussian number of variance 1, that of an event of amplitude a has the
    mean :math:`a \sqrt{t^T C^{-1} t}`. S. M. Kay, *Fundamentals of Statistical Signal Processing:
    Detection Theory*, chapter 4.

    Examples
    --------
    >>> import numpy as np
    >>> import convoi
    >>> rng = np.random.default_rng(0)
    >>> pulse = np.hanning(32)
    >>> x = 0.2 * rng.normal(size=2000)
    >>> x[500:532] += 2 * pulse
    >>> x[1200:1232] += 3 * pulse
    >>> found = convoi.find(x, pulse)
    >>> len(found), found.template.tolist()
    (2, [0, 0])
    >>> bool(np.abs(np.sort(found.position.ravel()) - [500, 1200]).max() < 1)
    True
    """
    owner = "find"
    signal = _signal(x)
    templates = _templates(template, signal)
    check_name(statistic, "statistic", owner, STATISTICS)
    check_name(baseline, "baseline", owner, BASELINES)
    if max_count is not None:
        max_count = check_integer(max_count, "max_count", owner, minimum=0)
    rate = check_real(false_alarm, "false_alarm", owner, minimum=0, exclude_minimum=True)
    smallest = [min(t.shape[axis] for t in templates) for axis in range(signal.ndim)]
    distance = (
        tuple(max(1, n // 2) for n in smallest)
        if min_distance is None
        else check_per_axis(min_distance, "min_distance", owner, signal.ndim, minimum=0)
    )
    if statistic == "zncc":
        if threshold is None:
            raise ArgumentError(
                "The 'threshold' parameter of find must be given with statistic='zncc': the rate "
                "of false alarms is known for the scores of the matched filter only."
            )
        filtered = [_coefficients(signal, t, threads) for t in templates]
    else:
        filtered = _scores(signal, templates, noise, baseline, threads)
    if threshold is None:
        limit = false_alarm_threshold(
            _on_one_grid(filtered), distance, [f.score.size for f in filtered], rate
        )
    else:
        limit = check_real(threshold, "threshold", owner)
    return Detections(find_peaks(signal, filtered, distance, limit, max_count), limit)


def _signal(x: ArrayLike) -> NDArray[np.float64]:
    array = check_array(x, "x", "find")
    if array.dtype.kind == "c":
        raise ArgumentTypeError(refusal("x", "find", "an array of real numbers", array))
    if array.ndim == 0 or array.size == 0:
        raise ShapeError(refusal("x", "find", "an array with at least one element", array))
    signal = array.astype(np.float64, copy=False)
    bad = ~np.isfinite(signal)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise DataError(
            f"The 'x' parameter of find has {int(bad.sum())} elements that are NaN or infinite, "
            f"the first at {first}. Interpolate them, for example with "
            "convoi.convolve(..., nan='ignore')."
        )
    return signal


def _templates(template: Any, x: NDArray[Any]) -> list[NDArray[np.float64]]:  # noqa: ANN401 - of several kinds
    """Return the templates; a list or tuple is a set unless it holds plain numbers."""
    several = isinstance(template, (list, tuple)) and np.ndim(template[0] if template else 0) > 0
    given = list(template) if several else [template]
    if several and x.ndim > 1 and all(np.ndim(t) == x.ndim - 1 for t in given):
        given = [template]  # nested lists of one picture
    found = []
    for number, one in enumerate(given):
        array = check_array(one, "template", "find")
        if array.dtype.kind == "c":
            raise ArgumentTypeError(refusal("template", "find", "an array of real numbers", array))
        fits = array.ndim == x.ndim and all(
            0 < k <= n for k, n in zip(array.shape, x.shape, strict=True)
        )
        if not fits:
            raise ShapeError(
                f"Each template of find must have the {x.ndim} axes of x and fit into its shape "
                f"{x.shape}. Got number {number} of shape {array.shape}."
            )
        if not np.isfinite(array).all() or not array.any():
            raise DataError(
                f"Each template of find must be finite and not all 0. Number {number} is not."
            )
        found.append(array.astype(np.float64))
    return found


def _scores(
    x: NDArray[np.float64],
    templates: list[NDArray[np.float64]],
    noise: Any,  # noqa: ANN401 - of several kinds
    baseline: str,
    threads: int | None,
) -> list[Filtered]:
    """Return the scores of the matched filter."""
    grid = tuple(_grid_length(max(t.shape[a] for t in templates)) for a in range(x.ndim))
    spectrum = _spectrum(noise, grid)
    level = float(np.median(x)) if baseline == "constant" or noise is None else 0.0
    filtered = []
    for number, template in enumerate(templates):
        t = template
        if baseline == "constant" and t.size > 1:
            t = t - t.mean()
            if np.abs(t).max() <= 1e-12 * np.abs(template).max():
                raise DataError(
                    f"Template number {number} of find is constant, which cannot be told from an "
                    "unknown level. Use baseline='zero' if the level of the signal is zero."
                )
        scores = _matched(x - level, t, spectrum, grid, threads)
        filtered.append(_in_sigmas(scores) if noise is None else scores)
    return filtered


def _grid_length(taps: int) -> int:
    """Return the length on which filters are whitened: room for what they get longer by."""
    length = 32
    while length < 4 * taps:
        length *= 2
    return length


def _spectrum(noise: Any, grid: tuple[int, ...]) -> PowerSpectrum | None:  # noqa: ANN401 - of several kinds
    """Return the spectrum of the noise; None stands for white noise of any strength."""
    if noise is None:
        return None
    if isinstance(noise, PowerSpectrum):
        if len(noise.shape) != len(grid):
            raise ShapeError(
                f"The noise of find must have a spectrum of {len(grid)} axes, as x has. Got one "
                f"of shape {noise.shape}."
            )
        return noise
    array = check_array(noise, "noise", "find").astype(np.float64)
    if array.ndim == 0:
        sigma = check_real(float(array), "noise", "find", minimum=0, exclude_minimum=True)
        return white(sigma**2, len(grid))
    if array.ndim != len(grid) or array.size < 16 or not np.isfinite(array).all():
        raise ShapeError(
            refusal(
                "noise",
                "find",
                f"None, a number, a PowerSpectrum, or a finite record of {len(grid)} axes",
                noise,
            )
        )
    if float(array.std()) == 0:
        raise DataError("The noise record of find is constant: it says nothing about the noise.")
    return spectrum_of_record(array, grid)


def _matched(
    x: NDArray[np.float64],
    t: NDArray[np.float64],
    spectrum: PowerSpectrum | None,
    grid: tuple[int, ...],
    threads: int | None,
) -> Filtered:
    """Return the scores of one template."""
    centre = tuple((n - 1) // 2 for n in t.shape)
    if spectrum is None or spectrum.values.size == 1:
        energy = float((t**2).sum())
        sigma = 1.0 if spectrum is None else math.sqrt(float(spectrum.values.flat[0]))
        y = _correlated(x, t, threads, mode="valid")
        scale = sigma * math.sqrt(energy)
        whitened = t / math.sqrt(energy)
    else:
        power = spectrum.on_grid(grid)
        axes = range(t.ndim)
        # The template in the middle of the grid, so that the filter may reach out on both sides.
        before = tuple((n - k) // 2 for n, k in zip(grid, t.shape, strict=True))
        placed = np.zeros(grid)
        placed[tuple(slice(b, b + k) for b, k in zip(before, t.shape, strict=True))] = t
        transform = np.fft.rfftn(placed)
        taps = np.fft.irfftn(transform / power, grid, axes=axes)
        energy = float((taps * placed).sum())
        padded = _correlated(x, taps, threads, mode="full")
        y = padded[
            tuple(
                slice(n - 1 - b, n - 1 - b + extent - k + 1)
                for n, b, extent, k in zip(grid, before, x.shape, t.shape, strict=True)
            )
        ]
        scale = math.sqrt(energy)
        whitened = np.fft.irfftn(transform / np.sqrt(power), grid, axes=axes)
        whitened = whitened / math.sqrt(float((whitened**2).sum()))
    return Filtered(y / scale, scale / energy, centre, whitened)


def _in_sigmas(filtered: Filtered) -> Filtered:
    """Divide scores by their spread, as noise of unknown strength has left it."""
    spread = robust_sigma(filtered.score)
    if spread == 0:
        raise DataError(
            "More than half of the input of find is the same number, so its noise cannot be "
            "estimated. Give noise=, or use statistic='zncc' with a threshold."
        )
    amplitude = filtered.amplitude_of_score * spread
    return replace(filtered, score=filtered.score / spread, amplitude_of_score=amplitude)


def _correlated(
    x: NDArray[np.float64], taps: NDArray[np.float64], threads: int | None, *, mode: str
) -> NDArray[np.float64]:
    options = Options(mode=mode, axes=tuple(range(x.ndim)), threads=threads)
    return operate("find", x, taps, options, flip=False)


def _coefficients(x: NDArray[np.float64], t: NDArray[np.float64], threads: int | None) -> Filtered:
    """Return correlation coefficients, and how the contrasts of window and template compare."""
    score = match(x, t, axes=tuple(range(x.ndim)), threads=threads)
    centred = t - t.mean()
    energy = float((centred**2).sum())
    products = _correlated(x - float(np.median(x)), centred, threads, mode="valid")
    safe = np.where(np.abs(score) > 1e-12, score, 1)
    centre = tuple((n - 1) // 2 for n in t.shape)
    return Filtered(score, products / (safe * max(energy, 1e-300)), centre, t)


def _on_one_grid(filtered: list[Filtered]) -> list[NDArray[np.float64]]:
    """Return the filters in arrays of one shape with the templates' centres in one place."""
    rank = filtered[0].score.ndim
    same = all(f.whitened.shape == filtered[0].whitened.shape for f in filtered)
    if same:
        return [f.whitened for f in filtered]
    before = [max(f.centre[a] for f in filtered) for a in range(rank)]
    after = [max(f.whitened.shape[a] - f.centre[a] for f in filtered) for a in range(rank)]
    placed = []
    for f in filtered:
        array = np.zeros([b + c for b, c in zip(before, after, strict=True)])
        at = tuple(
            slice(b - c, b - c + n)
            for b, c, n in zip(before, f.centre, f.whitened.shape, strict=True)
        )
        array[at] = f.whitened
        placed.append(array)
    return placed
