"""MiniRocket: features of series from 84 fixed kernels at several dilations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from convoi.checks import check_integer
from convoi.errors import ArgumentError, ShapeError
from convoi.kernels import minirocket as native
from convoi.signal.channels import check_channels, choice_table, choose_channels
from convoi.signal.series import SeriesCollection, Tables, as_series, series_features

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from convoi.codegen.target import Target
    from convoi.signal.series import Series

KERNELS = native.KERNELS
_TAPS = native.TAPS
_CHOSEN = np.array(list(combinations(range(_TAPS), 3)))
_ELEMENTS = 1 << 22
"""Most elements that are convolved at a time when biases are chosen."""


@dataclass(frozen=True, eq=False)
class MiniRocketKernels:
    """The dilations, biases and channels of MiniRocket's kernels.

    The 84 kernels themselves are always the same: those of length 9 with weight 2 at three taps
    and -1 at six, in the order in which :func:`itertools.combinations` chooses the three.

    Attributes
    ----------
    dilations : ndarray of int, shape (d,)
        At least 1 each.
    features_per_dilation : ndarray of int, shape (d,)
        How many biases each kernel has at each dilation.
    biases : ndarray of float32, shape (84 * sum of features_per_dilation,)
        Dilation by dilation, kernel by kernel: one for each feature.
    channels_per_combination : ndarray of int, shape (84 * d,), optional
        For series of several channels: of how many each kernel adds the convolutions, dilation by
        dilation. By default each kernel takes the first channel alone.
    channel_indices : ndarray of int, shape (sum of channels_per_combination,), optional
        Which channels those are.

    Raises
    ------
    ArgumentError, ShapeError
        If a value may not be, or sizes do not fit each other.

    References
    ----------
    A. Dempster, D. F. Schmidt, G. I. Webb, "MiniRocket: a very fast (almost) deterministic
    transform for time series classification", KDD 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from convoi.signal import MiniRocketKernels, minirocket_features
    >>> kernels = MiniRocketKernels([1, 2], [1, 1], np.zeros(168, np.float32))
    >>> minirocket_features(np.sin(np.arange(60.0)).reshape(2, 30), kernels).shape
    (2, 168)
    """

    dilations: NDArray[np.int64]
    features_per_dilation: NDArray[np.int64]
    biases: NDArray[np.float32]
    channels_per_combination: NDArray[np.int64] | None = None
    channel_indices: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        for name in ("dilations", "features_per_dilation"):
            object.__setattr__(self, name, _counts(getattr(self, name), name))
        biases = np.ascontiguousarray(self.biases, np.float32)
        expected = KERNELS * int(self.features_per_dilation.sum())
        if len(self.dilations) != len(self.features_per_dilation):
            raise ShapeError(
                "The 'features_per_dilation' parameter of MiniRocketKernels must have one entry "
                f"for each of the {len(self.dilations)} dilations. Got "
                f"{len(self.features_per_dilation)} instead."
            )
        if biases.shape != (expected,) or np.isnan(biases).any():
            raise ShapeError(
                f"The 'biases' parameter of MiniRocketKernels must be {expected} numbers, 84 times "
                f"the sum of 'features_per_dilation'. Got an array of shape {biases.shape}"
                f"{' with NaN' if np.isnan(biases).any() else ''} instead."
            )
        object.__setattr__(self, "biases", biases)
        counts, indices = check_channels(
            self.channels_per_combination,
            self.channel_indices,
            KERNELS * len(self.dilations),
            "MiniRocketKernels",
        )
        object.__setattr__(self, "channels_per_combination", counts)
        object.__setattr__(self, "channel_indices", indices)

    def __len__(self) -> int:
        """Return the number of features."""
        return len(self.biases)

    @classmethod
    def fit(
        cls,
        X: Series,
        *,
        n_features: int = 10_000,
        max_dilations: int = 32,
        random_state: int | np.random.Generator | None = None,
    ) -> MiniRocketKernels:
        """Choose dilations by the length of series, and biases among what they give.

        Parameters
        ----------
        X : array-like of shape (n, time) or (n, channels, time), or sequence of series
            Series, see :func:`minirocket_features`. Of unequal lengths, the longest decides on
            the dilations.
        n_features : int, default=10_000
            How many there are to be; rounded down to a multiple of 84, at least 84.
        max_dilations : int, default=32
            The most dilations of a kernel.
        random_state : int, Generator or None
            Chooses the series and channels that a bias comes from.

        Returns
        -------
        MiniRocketKernels
            For series of the same number of channels.

        Raises
        ------
        ArgumentError, ArgumentTypeError, DataError, ShapeError
            If there is no series, or a parameter or a series cannot be used.
        """
        owner = "MiniRocketKernels.fit"
        n_features = check_integer(n_features, "n_features", owner, minimum=1)
        max_dilations = check_integer(max_dilations, "max_dilations", owner, minimum=1)
        collection = as_series(X, owner)
        if not len(collection):
            raise ArgumentError(f"The 'X' parameter of {owner} must have at least one series.")
        random = np.random.default_rng(random_state)
        dilations, features = _choose_dilations(collection.longest, n_features, max_dilations)
        combinations_ = KERNELS * len(dilations)
        counts, indices = choose_channels(
            collection.channels, np.full(combinations_, _TAPS), random
        )
        unbiased = cls(
            dilations,
            features,
            np.zeros(KERNELS * int(features.sum()), np.float32),
            counts,
            indices,
        )
        return replace(unbiased, biases=_choose_biases(collection, unbiased, random))


def minirocket_features(
    X: Series, kernels: MiniRocketKernels, *, threads: int | None = None
) -> NDArray[np.float32]:
    """Return the proportion of positive values of each kernel, dilation and bias.

    Parameters
    ----------
    X : array-like of shape (n, time) or (n, channels, time), or sequence of series
        A sequence of arrays of shape (time,) or (channels, time) may have unequal lengths. Values
        are converted to float32.
    kernels : MiniRocketKernels
        What to compute.
    threads : int, optional
        How many series are worked on at a time; by default as many as there are processors.

    Returns
    -------
    ndarray of float32, shape (n, features)
        Between 0 and 1. The same for any number of threads, and for a series alone or among
        others.

    Raises
    ------
    ArgumentError, ArgumentTypeError, DataError, ShapeError
        If a parameter or a series cannot be used.

    See Also
    --------
    convoi.estimators.MiniRocketFeatures : Chooses the kernels, too.

    Notes
    -----
    With :math:`C` the convolution of a kernel with the series, zeros around it, a feature is the
    proportion of positions where :math:`C` lies above the bias. The positions are all those of the
    series for one half of kernels and dilations, and those whose nine taps lie in the series for
    the other half. Where there are none of the latter, it is all positions, too: the publication
    is silent on series that are shorter than a dilated kernel.
    """
    owner = "minirocket_features"
    collection = as_series(X, owner)
    counts, indices = kernels.channels_per_combination, kernels.channel_indices
    if indices is not None and indices.max() >= collection.channels:
        raise ShapeError(
            f"The 'X' parameter of {owner} must have at least {indices.max() + 1} channels, as the "
            f"kernels ask for. Got {collection.channels} instead."
        )
    # Beyond the longest series, all taps but the middle one are zero at any dilation.
    dilations = np.minimum(kernels.dilations, collection.longest)
    numbers = np.arange(KERNELS) + np.arange(len(dilations))[:, np.newaxis]
    unpadded = np.repeat(
        (numbers % 2).reshape(-1), np.repeat(kernels.features_per_dilation, KERNELS)
    ).astype(np.float32)
    several = collection.channels > 1 and indices is not None
    tables = Tables(
        len(dilations),
        len(kernels),
        _TAPS // 2 * int(dilations.max()),
        (
            dilations,
            kernels.features_per_dilation,
            kernels.biases,
            unpadded,
            *(choice_table(counts, indices) if several else ()),
        ),
    )

    def kernel(target: Target) -> native.MiniRocketFeatures:
        return native.MiniRocketFeatures(target.lanes("float32"), target.is_x86, several)

    return series_features(collection, kernel, tables, threads, owner)


def _counts(values: object, name: str) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu" or array.min() < 1:
        raise ArgumentError(
            f"The {name!r} parameter of MiniRocketKernels must be a sequence of integers greater "
            f"than or equal to 1. Got {values!r} instead."
        )
    return np.ascontiguousarray(array, np.int64)


def _choose_dilations(
    length: int, n_features: int, max_dilations: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return dilations on a logarithmic scale up to the length, and features for each of them."""
    per_kernel = max(1, n_features // KERNELS)
    most = min(per_kernel, max_dilations)
    exponent = max(0.0, np.log2(max(length - 1, 1) / (_TAPS - 1)))
    scale = np.logspace(0, exponent, most, base=2).astype(np.int64)
    dilations, counts = np.unique(scale, return_counts=True)
    features = (counts * (per_kernel / most)).astype(np.int64)
    missing = per_kernel - int(features.sum())
    # The multiplier cuts off less than one feature per dilation.
    features[:missing] += 1
    return dilations, features


def _choose_biases(
    collection: SeriesCollection, kernels: MiniRocketKernels, random: np.random.Generator
) -> NDArray[np.float32]:
    """Return quantiles of the convolution of each kernel and dilation with a random series.

    The quantiles are those of the low-discrepancy sequence of the golden ratio.
    """
    quantiles = (np.arange(1, len(kernels) + 1) * ((np.sqrt(5) + 1) / 2)) % 1
    parts = []
    begin = 0
    stages = zip(kernels.dilations, kernels.features_per_dilation, strict=True)
    for number, (dilation, each) in enumerate(stages):
        samples = random.integers(len(collection), size=KERNELS)
        for chosen in _portions(collection.longest * collection.channels):
            channels = _channels_of(kernels, number * KERNELS + chosen)
            C = _convolved(collection, samples[chosen], chosen, int(dilation), channels)
            end = begin + each * len(chosen)
            wanted = quantiles[begin:end].reshape(len(chosen), each)
            parts.append(_quantiles(C, collection.lengths[samples[chosen]], wanted))
            begin = end
    return np.concatenate(parts).astype(np.float32)


def _portions(elements: int) -> Iterator[NDArray[np.intp]]:
    step = max(1, min(KERNELS, _ELEMENTS // elements))
    for start in range(0, KERNELS, step):
        yield np.arange(start, min(start + step, KERNELS))


def _channels_of(
    kernels: MiniRocketKernels, combinations_: NDArray[np.intp]
) -> list[NDArray[np.int64]]:
    """Return the channels of each combination of a dilation and a kernel."""
    counts, indices = kernels.channels_per_combination, kernels.channel_indices
    if counts is None or indices is None:
        return [np.zeros(1, np.int64)] * len(combinations_)
    ends = np.cumsum(counts)
    return [indices[ends[i] - counts[i] : ends[i]] for i in combinations_]


def _convolved(
    collection: SeriesCollection,
    samples: NDArray[np.intp],
    kernels: NDArray[np.intp],
    dilation: int,
    channels: list[NDArray[np.int64]],
) -> NDArray[np.float32]:
    """Return the padded convolution of kernels with a series each, infinity beyond its end."""
    sizes = np.array([len(chosen) for chosen in channels])
    longest = int(collection.lengths[samples].max())
    reach = min(_TAPS // 2 * dilation, longest * (_TAPS // 2))
    x = np.zeros((int(sizes.sum()), longest + 2 * reach), np.float32)
    row = 0
    for sample, chosen in zip(samples, channels, strict=True):
        series = collection.series(sample)
        x[row : row + len(chosen), reach : reach + series.shape[1]] = series[chosen]
        row += len(chosen)
    step = reach // (_TAPS // 2)
    middle = _TAPS // 2
    sums = x[:, middle * step : middle * step + longest].copy()
    for i in (*range(middle), *range(middle + 1, _TAPS)):
        sums += x[:, i * step : i * step + longest]
    x *= np.float32(3)
    taps = sliding_window_view(x, longest, axis=1)[:, :: max(1, step)]
    rows = np.arange(len(x))
    a, b, c = np.repeat(_CHOSEN[kernels], sizes, axis=0).T
    C: NDArray[np.float32] = taps[rows, a] - sums
    C += taps[rows, b]
    C += taps[rows, c]
    if len(C) > len(samples):
        C = np.add.reduceat(C, np.cumsum(sizes) - sizes, axis=0)
    lengths = collection.lengths[samples]
    if lengths.min() < longest:
        C[np.arange(longest) >= lengths[:, np.newaxis]] = np.inf
    return C


def _quantiles(
    C: NDArray[np.float32], lengths: NDArray[np.int64], wanted: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return quantiles of the first values of each row, interpolated linearly."""
    C.sort(axis=1)
    place = wanted * (lengths[:, np.newaxis] - 1)
    low = np.floor(place).astype(np.intp)
    high = np.minimum(low + 1, lengths[:, np.newaxis] - 1)
    rows = np.arange(len(C))[:, np.newaxis]
    below, above = C[rows, low].astype(np.float64), C[rows, high].astype(np.float64)
    quantiles: NDArray[np.float64] = below + (above - below) * (place - low)
    return quantiles.reshape(-1)
