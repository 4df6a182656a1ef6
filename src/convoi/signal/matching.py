"""`match`: how well a template fits at each position."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.checks import refusal
from convoi.errors import ArgumentError, ArgumentTypeError, ShapeError
from convoi.signal.arguments import METHODS, check_array, check_name
from convoi.signal.operation import Options, operate, prepare
from convoi.signal.problem import MODES
from convoi.signal.window_scores import Numbers, can_score, window_scores

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

SCORES = ("zncc", "ncc", "correlation", "ssd")
EPS = float(np.finfo(np.float64).eps)
FLAT = 256
"""Units in the last place of the sum of squares below which what varies in it is rounding."""
LEVEL_SAMPLES = 500
"""Elements that tell the level of an input."""


def match(
    x: ArrayLike,
    template: ArrayLike,
    *,
    normalize: str = "zncc",
    mask: ArrayLike | None = None,
    axes: object = None,
    channel_axis: int | None = None,
    mode: str = "valid",
    boundary: str = "constant",
    fill_value: float = 0,
    method: str = "auto",
    threads: int | None = None,
) -> NDArray[Any]:
    r"""Score how well a template fits at each position of an array.

    Parameters
    ----------
    x : array_like
        Where to look: real numbers of any supported dtype.
    template : array_like
        What to look for. Further axes in front make a set of templates: ``(K, h, w)`` on an
        ``(H, W)`` picture gives K maps, from one transform of the picture where it is transformed.
    normalize : {'zncc', 'ncc', 'correlation', 'ssd'}
        'zncc': the correlation coefficient, in [-1, 1], whatever the level and the contrast of the
        window; 0 where the window (or the template) is flat. 'ncc': the cosine, in [-1, 1],
        whatever the contrast. 'correlation': the plain sum of products. 'ssd': the sum of squared
        differences, 0 for an exact copy.
    mask : array_like, optional
        Weights of the template's elements, not negative: 0 excludes an element. Broadcasts to the
        template.
    axes : int or sequence of int, optional
        As of `convolve`.
    channel_axis : int, optional
        An axis whose elements are summed up together with the window, such as colours. Counted
        from the end if negative; both arrays have the same length there. It is not in the result.
    mode : {'valid', 'same', 'full'}
        As of `correlate`. With 'valid', output i is the window that begins at i.
    boundary, fill_value : optional
        As of `convolve`.
    method : str
        As of `convolve`, for the sum of products.
    threads : int, optional
        The most threads.

    Returns
    -------
    array
        The score map, in float64.

    Raises
    ------
    ShapeError, ArgumentError, ArgumentTypeError
        As by `convolve`; also if an array is complex, or the mask has a negative or no positive
        element.

    Notes
    -----
    With weights m, template t and window x, all sums over the window:

    .. math::
        \mathrm{zncc} = \frac{\sum m (t - \bar t)(x - \bar x)}
            {\sqrt{\sum m (t - \bar t)^2 \, \sum m (x - \bar x)^2}}

    The level of the input is taken off before squares are summed, so that values around 1e6 lose
    no more than the input has lost to rounding. J. P. Lewis, "Fast Normalized Cross-Correlation",
    1995.

    Examples
    --------
    >>> import numpy as np
    >>> import convoi
    >>> x = np.array([7.0, 7, 9, 12, 9, 7, 7, 7])
    >>> int(convoi.match(x, [1, 4, 1]).argmax())
    2
    >>> convoi.match(x, [9, 12, 9], normalize="ssd")
    array([29., 22.,  0., 22., 29., 33.])
    """
    owner = "match"
    score = check_name(normalize, "normalize", owner, SCORES)
    check_name(mode, "mode", owner, MODES)
    check_name(method, "method", owner, METHODS)
    given, pattern = _real(x, "x"), _real(template, "template").astype(np.float64)
    sliding, channel = _axes(axes, channel_axis, given, pattern)
    level = _level(given) if score in {"zncc", "ssd"} else 0.0
    if (
        mask is None
        and channel is None
        and len(sliding) == given.ndim
        and can_score(given, pattern)
    ):
        plain = Options(mode, boundary, fill_value, method=method, threads=threads)
        if score in {"zncc", "ncc"}:
            return _plain_scores(given, pattern, plain, level, centred=score == "zncc")
    image = given.astype(np.float64, copy=False)
    weights = _weights(mask, pattern)
    options = _SumOptions(mode, boundary, sliding, channel, threads)
    total = weights.sum(axis=sliding, keepdims=True)
    shifted, fill = image - level, float(fill_value) - level

    def products(taps: NDArray[Any], of: NDArray[Any], outside: float, how: str) -> Any:  # noqa: ANN401 - of several kinds
        return options.correlate(of, taps, outside, how)

    if score == "zncc":
        mean = (weights * pattern).sum(axis=sliding, keepdims=True) / total
        pattern = pattern - mean
    elif score == "ssd":
        pattern = pattern - level
    found = products(weights * pattern, shifted, fill, method)
    if score == "correlation":
        return options.squeezed(found)
    own = (weights * pattern**2).sum(axis=sliding, keepdims=True)
    squares = products(weights, shifted**2, fill**2, "auto")
    if score == "ssd":
        return options.squeezed(np.maximum(squares - 2 * found + own, 0))
    varying = squares
    if score == "zncc":
        sums = products(weights, shifted, fill, "auto")
        varying = squares - sums**2 / total
    raw = (weights * _real(template, "template").astype(np.float64) ** 2).sum(
        axis=sliding, keepdims=True
    )
    flat = (varying <= FLAT * EPS * squares) | (own <= FLAT * EPS * raw)
    with np.errstate(divide="ignore", invalid="ignore"):
        result = found / np.sqrt(np.where(flat, 1, varying * own))
    return options.squeezed(np.where(flat, 0, np.clip(result, -1, 1)))


@dataclass(frozen=True)
class _SumOptions:
    """How all sums over windows are taken."""

    mode: str
    boundary: str
    sliding: tuple[int, ...]
    channel: int | None
    threads: int | None

    def correlate(
        self, x: NDArray[Any], taps: NDArray[Any], outside: float, method: str
    ) -> NDArray[Any]:
        """Return the sums of products over windows."""
        options = Options(
            self.mode,
            self.boundary,
            outside,
            self.sliding,
            method=method,
            threads=self.threads,
            within=self.channel,
        )
        return operate("match", x, taps, options, flip=False)

    def squeezed(self, y: NDArray[Any]) -> NDArray[Any]:
        """Return a result without the channel axis, over which it was summed."""
        return y if self.channel is None else y.squeeze(axis=self.channel)


def _plain_scores(
    x: NDArray[Any],
    template: NDArray[np.float64],
    options: Options,
    level: float,
    *,
    centred: bool,
) -> NDArray[np.float64]:
    """Return normalised scores of one template without mask and channels."""
    pattern = template - template.mean() if centred else template
    own = float((pattern**2).sum())
    if own <= FLAT * EPS * float((template**2).sum()):
        return np.zeros(prepare("match", x, template, options, flip=False).problem.output_shape)
    fill = float(options.fill_value.real)
    numbers = Numbers(level, 1 / template.size, own, FLAT * EPS, fill, centred)
    return window_scores(x, pattern, options, numbers)


def _real(value: ArrayLike, name: str) -> NDArray[Any]:
    array = check_array(value, name, "match")
    if array.dtype.kind == "c":
        raise ArgumentTypeError(
            refusal(name, "match", "an array of real numbers", array)
            + " Use correlate for complex signals."
        )
    if array.ndim == 0 or array.size == 0:
        raise ShapeError(refusal(name, "match", "an array with at least one element", array))
    return array


def _weights(mask: ArrayLike | None, template: NDArray[Any]) -> NDArray[Any]:
    if mask is None:
        return np.ones_like(template)
    weights = _real(mask, "mask").astype(np.float64)
    try:
        weights = np.broadcast_to(weights, template.shape).copy()
    except ValueError:
        raise ShapeError(
            refusal("mask", "match", f"an array that broadcasts to {template.shape}", weights)
        ) from None
    if not (weights >= 0).all() or not weights.any():
        raise ArgumentError(refusal("mask", "match", "weights >= 0 that are not all 0", weights))
    return weights


def _axes(
    axes: object, channel_axis: int | None, x: NDArray[Any], template: NDArray[Any]
) -> tuple[tuple[int, ...], int | None]:
    """Return the sliding axes, counted from the end, and which of them is the channel axis."""
    rank, shared = max(x.ndim, template.ndim), min(x.ndim, template.ndim)
    if axes is None:
        sliding = tuple(range(-shared, 0))
    else:
        given = axes if isinstance(axes, (tuple, list)) else (axes,)
        sliding = tuple(operator.index(a) % rank - rank for a in given)
    if channel_axis is None:
        return sliding, None
    channel = operator.index(channel_axis) % rank - rank
    lengths = [a.shape[channel] if -channel <= a.ndim else 1 for a in (x, template)]
    if lengths[0] != lengths[1]:
        raise ShapeError(
            "The arrays of match must have the same length on channel_axis. Got "
            f"{lengths[0]} in x of shape {x.shape} and {lengths[1]} in the template of shape "
            f"{template.shape}."
        )
    return tuple(sorted({*sliding, channel})), channel


def _level(x: NDArray[Any]) -> float:
    """Return a level that most of the input is near to."""
    samples = x.ravel()[:: max(1, x.size // LEVEL_SAMPLES)]
    middle = samples.size // 2
    level = float(np.partition(samples, middle)[middle])
    return level if np.isfinite(level) else 0.0
