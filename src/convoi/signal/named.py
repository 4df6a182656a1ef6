"""Kernels that have names: smoothing, edges, sharpening."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from convoi.checks import check_integer, check_real, refusal
from convoi.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

WIDTHS = 4.0
"""Standard deviations at which a Gaussian is cut off."""


def gaussian(rank: int, sigma: float) -> NDArray[np.float64]:
    """Return a Gaussian of a standard deviation in samples, of sum 1."""
    reach = max(1, math.ceil(WIDTHS * sigma))
    line = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return _product([line / line.sum()] * rank)


def box(rank: int, size: int) -> NDArray[np.float64]:
    """Return equal taps of sum 1."""
    return np.full((size,) * rank, 1.0 / size**rank)


def laplacian(rank: int) -> NDArray[np.float64]:
    """Return the sum of the second differences along all axes."""
    kernel = np.zeros((3,) * rank)
    centre = (1,) * rank
    for axis in range(rank):
        for end in (0, 2):
            at = list(centre)
            at[axis] = end
            kernel[tuple(at)] = 1
    kernel[centre] = -2 * rank
    return kernel


def sharpen(rank: int) -> NDArray[np.float64]:
    """Return the identity less the Laplacian."""
    kernel = -laplacian(rank)
    kernel[(1,) * rank] += 1
    return kernel


def sobel(rank: int, axis: int) -> NDArray[np.float64]:
    """Return the difference along an axis, smoothed along the others; it is positive uphill."""
    lines = [np.array([1.0, 2, 1])] * rank
    lines[axis] = np.array([1.0, 0, -1])  # a convolution flips it
    return _product(lines)


def emboss(rank: int) -> NDArray[np.float64]:
    """Return the identity plus the difference along the diagonal."""
    kernel = np.zeros((3,) * rank)
    kernel[(0,) * rank] = 1.0  # a convolution flips it
    kernel[(1,) * rank] = 1.0
    kernel[(2,) * rank] = -1.0
    return kernel


_FIXED: dict[str, Callable[[int], NDArray[np.float64]]] = {
    "laplacian": laplacian,
    "sharpen": sharpen,
    "emboss": emboss,
}
NAMES = ("gaussian", "box", "sobel", *_FIXED)


def named_kernel(
    name: str, rank: int, *, sigma: float = 1.0, size: int = 3, axis: int = -1
) -> NDArray[np.float64]:
    """Return a kernel to convolve with, by its name.

    Parameters
    ----------
    name : {'gaussian', 'box', 'sobel', 'laplacian', 'sharpen', 'emboss'}
        The kernel.
    rank : int
        Number of axes.
    sigma : float
        Standard deviation of a Gaussian, in samples.
    size : int
        Length of a box.
    axis : int
        Axis of a Sobel kernel's difference.

    Raises
    ------
    ArgumentError
        If there is no kernel of that name, or a number is out of bounds.

    Examples
    --------
    >>> named_kernel("laplacian", 1)
    array([ 1., -2.,  1.])
    """
    if name == "gaussian":
        width = check_real(sigma, "sigma", "named_kernel", minimum=0, exclude_minimum=True)
        return gaussian(rank, width)
    if name == "box":
        return box(rank, check_integer(size, "size", "named_kernel", minimum=1))
    if name == "sobel":
        check_integer(axis, "axis", "named_kernel", minimum=-rank, maximum=rank - 1)
        return sobel(rank, axis)
    if name in _FIXED:
        return _FIXED[name](rank)
    listed = ", ".join(repr(known) for known in NAMES)
    raise ArgumentError(refusal("name", "named_kernel", f"one of {listed}", name))


def _product(lines: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    product = np.ones(())
    for line in lines:
        product = np.multiply.outer(product, line)
    return product
