"""Rocket: features of series from random convolution kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convoi.checks import check_integer
from convoi.errors import ArgumentError, ShapeError
from convoi.kernels import rocket as native
from convoi.signal.channels import check_channels, choice_table, choose_channels
from convoi.signal.series import Tables, as_series, series_features

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convoi.codegen.target import Target
    from convoi.signal.series import Series

_LENGTHS = (7, 9, 11)
_MOST = 2**24
"""Largest length, dilation and padding: a series is extended by as many zeros."""


@dataclass(frozen=True, eq=False)
class RocketKernels:
    """Convolution kernels of any lengths, dilations and paddings.

    Attributes
    ----------
    lengths, dilations, paddings : ndarray of int, shape (k,)
        Taps of each kernel, their distance, and the zeros at each end of a series.
    biases : ndarray of float32, shape (k,)
        What is added to the sums.
    weights : ndarray of float32
        Kernel by kernel, channel by channel, tap by tap.
    channels_per_kernel : ndarray of int, shape (k,), optional
        For series of several channels: of how many each kernel adds the convolutions. By default
        each kernel takes the first channel alone.
    channel_indices : ndarray of int, shape (sum of channels_per_kernel,), optional
        Which channels those are.

    Raises
    ------
    ArgumentError, ShapeError
        If a value may not be, or sizes do not fit each other.

    References
    ----------
    A. Dempster, F. Petitjean, G. I. Webb, "ROCKET: exceptionally fast and accurate time series
    classification using random convolutional kernels", Data Mining and Knowledge Discovery 34,
    2020.

    Examples
    --------
    The mean of three neighbours, and whether it is positive:

    >>> import numpy as np
    >>> from convoi.signal import RocketKernels, rocket_features
    >>> mean = RocketKernels([3], [1], [0], [0.0], np.full(3, 1 / 3))
    >>> rocket_features([[-1.0, -2.0, 0.0, 5.0]], mean)
    array([[0.5, 1. ]], dtype=float32)
    """

    lengths: NDArray[np.int64]
    dilations: NDArray[np.int64]
    paddings: NDArray[np.int64]
    biases: NDArray[np.float32]
    weights: NDArray[np.float32]
    channels_per_kernel: NDArray[np.int64] | None = None
    channel_indices: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        for name, least in (("lengths", 1), ("dilations", 1), ("paddings", 0)):
            object.__setattr__(self, name, self._integers(name, least))
        counts, indices = check_channels(
            self.channels_per_kernel, self.channel_indices, len(self), "RocketKernels"
        )
        object.__setattr__(self, "channels_per_kernel", counts)
        object.__setattr__(self, "channel_indices", indices)
        taps = int((self.lengths * (1 if counts is None else counts)).sum())
        for name, size in (("biases", len(self)), ("weights", taps)):
            array = np.ascontiguousarray(getattr(self, name), np.float32)
            if array.shape != (size,) or not np.isfinite(array).all():
                raise ShapeError(
                    f"The {name!r} parameter of RocketKernels must be {size} finite numbers. Got "
                    f"an array of shape {array.shape} instead."
                )
            object.__setattr__(self, name, array)

    def _integers(self, name: str, least: int) -> NDArray[np.int64]:
        array = np.asarray(getattr(self, name))
        if (
            array.dtype.kind not in "iu"
            or array.size == 0
            or array.shape != (np.size(self.lengths),)
            or array.min() < least
            or array.max() > _MOST
        ):
            raise ArgumentError(
                f"The {name!r} parameter of RocketKernels must be one integer from {least} to "
                f"{_MOST} for each kernel. Got {getattr(self, name)!r} instead."
            )
        return np.ascontiguousarray(array, np.int64)

    def __len__(self) -> int:
        """Return the number of kernels; each gives two features."""
        return len(self.lengths)

    @classmethod
    def random(
        cls,
        length: int,
        *,
        channels: int = 1,
        n_kernels: int = 10_000,
        random_state: int | np.random.Generator | None = None,
    ) -> RocketKernels:
        """Return random kernels for series of a length.

        Kernels have 7, 9 or 11 taps, weights from a normal distribution less their mean, a bias
        between -1 and 1, a dilation on a logarithmic scale up to the length of the series, and
        as much padding as keeps the length in every second case, else none.

        Parameters
        ----------
        length : int
            Of the series, in time steps.
        channels : int, default=1
            Of the series.
        n_kernels : int, default=10_000
            How many kernels.
        random_state : int, Generator or None
            Source of randomness.

        Returns
        -------
        RocketKernels
            The kernels.

        Raises
        ------
        ArgumentError, ArgumentTypeError
            If a parameter is no positive integer.
        """
        owner = "RocketKernels.random"
        length = check_integer(length, "length", owner, minimum=1)
        channels = check_integer(channels, "channels", owner, minimum=1)
        n_kernels = check_integer(n_kernels, "n_kernels", owner, minimum=1)
        random = np.random.default_rng(random_state)
        lengths = random.choice(np.array(_LENGTHS), n_kernels)
        counts, indices = choose_channels(channels, lengths, random)
        per_kernel = np.ones(n_kernels, np.int64) if counts is None else counts
        exponent = np.log2(np.maximum(max(length - 1, 1) / (lengths - 1), 1.0))
        dilations = (2 ** (random.random(n_kernels) * exponent)).astype(np.int64)
        padded = random.integers(2, size=n_kernels)
        groups = np.repeat(lengths, per_kernel)  # taps of each channel of each kernel
        weights = random.standard_normal(int(groups.sum()))
        sums = np.add.reduceat(weights, np.cumsum(groups) - groups)
        weights -= np.repeat(sums / groups, groups)
        return cls(
            lengths,
            dilations,
            padded * ((lengths - 1) * dilations // 2),
            random.uniform(-1, 1, n_kernels).astype(np.float32),
            weights.astype(np.float32),
            counts,
            indices,
        )


def rocket_features(
    X: Series, kernels: RocketKernels, *, threads: int | None = None
) -> NDArray[np.float32]:
    """Return the proportion of positive values and the largest value of each kernel's output.

    Parameters
    ----------
    X : array-like of shape (n, time) or (n, channels, time), or sequence of series
        A sequence of arrays of shape (time,) or (channels, time) may have unequal lengths. Values
        are converted to float32, and otherwise taken as they are.
    kernels : RocketKernels
        What to compute.
    threads : int, optional
        How many series are worked on at a time; by default as many as there are processors.

    Returns
    -------
    ndarray of float32, shape (n, 2 * kernels)
        Two features of the first kernel, two of the second, and so on. The same for any number of
        threads, and for a series alone or among others.

    Raises
    ------
    ArgumentError, ArgumentTypeError, DataError, ShapeError
        If a parameter or a series cannot be used.

    See Also
    --------
    convoi.estimators.RocketFeatures : Chooses the kernels and normalises series, too.

    Notes
    -----
    A series that is shorter than a kernel with its dilation and padding gets as much padding as
    leaves one position: the publication is silent on it.
    """
    owner = "rocket_features"
    collection = as_series(X, owner)
    counts, indices = kernels.channels_per_kernel, kernels.channel_indices
    if counts is None or indices is None:
        counts, indices = np.ones(len(kernels), np.int64), np.zeros(len(kernels), np.int64)
    if indices.max() >= collection.channels:
        raise ShapeError(
            f"The 'X' parameter of {owner} must have at least {indices.max() + 1} channels, as the "
            f"kernels ask for. Got {collection.channels} instead."
        )
    taps = kernels.lengths * counts
    reach = (kernels.lengths - 1) * kernels.dilations
    tables = Tables(
        len(kernels),
        2 * len(kernels),
        int(np.maximum(kernels.paddings, reach).max()),
        (
            kernels.lengths,
            kernels.dilations,
            kernels.paddings,
            kernels.biases,
            np.cumsum(taps) - taps,
            kernels.weights,
            *choice_table(counts, indices),
        ),
    )

    def kernel(target: Target) -> native.RocketFeatures:
        return native.RocketFeatures(target.lanes("float32"), target.is_x86)

    return series_features(collection, kernel, tables, threads, owner)
