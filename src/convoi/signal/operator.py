"""`convolve`, `correlate` and `explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy import ndarray

from convoi.signal.calls import recalled
from convoi.signal.operation import Options, operate

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def convolve(
    x: ArrayLike,
    kernel: ArrayLike,
    *,
    mode: str = "full",
    boundary: str = "constant",
    fill_value: complex = 0,
    axes: object = None,
    stride: object = 1,
    dilation: object = 1,
    method: str = "auto",
    nan: str = "propagate",
    threads: int | None = None,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    r"""Convolve an array with a kernel.

    The kernel is flipped, as the definition has it, so the operation commutes:
    ``convolve(a, b)`` equals ``convolve(b, a)``. See `correlate` for the unflipped sum.

    Parameters
    ----------
    x : array_like
        The input: booleans, integers up to 64 bits, float16, float32, float64, complex64 or
        complex128, with any strides; read-only and memory-mapped arrays are read in place. Masked
        elements count as NaN.
    kernel : array_like
        The kernel, of any of these dtypes. Arrays of fewer axes get axes of length 1 in front.
    mode : {'full', 'same', 'valid'}
        Which outputs there are, on an axis with n elements and a kernel of k (or, dilated, one
        that reaches over k): 'full' has all n + k - 1 with any overlap; 'same' has n, starting at
        number ``(k - 1) // 2`` of those (so the centre of a kernel of even length is the element
        before its middle, ``kernel[(k - 1) // 2]``); 'valid' the n - k + 1 with complete overlap.
    boundary : {'constant', 'edge', 'reflect', 'symmetric', 'wrap'}
        What the input is taken to be beyond its ends, in the words of `numpy.pad`.
    fill_value : number
        The value beyond the ends for ``boundary='constant'``.
    axes : int or sequence of int, optional
        The axes that slide. On all others the arrays broadcast by NumPy's rules, so that a batch,
        a bank of kernels, or a kernel per channel are shapes. By default the last axes slide, as
        many as both arrays have.
    stride : int or sequence of int
        Outputs are this far apart, on all sliding axes or on each.
    dilation : int or sequence of int
        Taps of the kernel are this far apart.
    method : {'auto', 'direct', 'separable', 'fft', 'overlap-add'}
        How the sum is computed; 'auto' takes the one of the least expected cost, see `explain`.
        'overlap-add' transforms blocks that fit the cache, so that the memory is bounded.
    nan : {'propagate', 'ignore'}
        What NaN in the input does: spoil the outputs whose windows have it, or count as missing:
        its taps get no weight, and those on other samples are scaled to the same sum.
    threads : int, optional
        The most threads; by default what the process may use. The result does not depend on it
        with ``method='direct'``.
    out : array, optional
        Where to put the result; may overlap the inputs.

    Returns
    -------
    array
        Of ``numpy.result_type(x, kernel)``. Integers are exact as long as the dtype can hold them,
        and wrap around like NumPy's where it cannot. float16 is computed in float32.

    Raises
    ------
    ShapeError
        If a sliding axis has length 0, the kernel does not fit (mode 'valid'), or the other axes
        do not broadcast.
    ArgumentError, ArgumentTypeError
        If an option has a value or a type that it may not have, or an array holds no numbers.

    Notes
    -----
    .. math:: y_i = \sum_t k_t \, x_{i - t}

    on each sliding axis; A. V. Oppenheim and R. W. Schafer, *Discrete-Time Signal Processing*,
    chapter 2.

    Examples
    --------
    >>> import numpy as np
    >>> import convoi
    >>> convoi.convolve([1, 2, 3], [0, 1, 10])
    array([ 0,  1, 12, 23, 30])
    >>> picture = np.arange(12.0).reshape(3, 4)
    >>> convoi.convolve(picture, np.ones((3, 3)) / 9, mode="same", boundary="edge")
    array([[1.667, 2.333, 3.333, 4.   ],
           [4.333, 5.   , 6.   , 6.667],
           [7.   , 7.667, 8.667, 9.333]])
    """
    if type(x) is ndarray is type(kernel) and out is None and nan == "propagate":
        options = (mode, boundary, fill_value, axes, stride, dilation, method, threads)
        y = recalled(x, kernel, True, options)  # noqa: FBT003 - as it is defined
        if y is not None:
            return y
    all_options = Options(
        mode, boundary, fill_value, axes, stride, dilation, method, nan, threads, out
    )
    return operate("convolve", x, kernel, all_options, flip=True)


def correlate(
    x: ArrayLike,
    kernel: ArrayLike,
    *,
    mode: str = "full",
    boundary: str = "constant",
    fill_value: complex = 0,
    axes: object = None,
    stride: object = 1,
    dilation: object = 1,
    method: str = "auto",
    nan: str = "propagate",
    threads: int | None = None,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    r"""Correlate an array with a kernel: slide it along unflipped, conjugated if complex.

    Parameters
    ----------
    x, kernel : array_like
        As in `convolve`.
    mode, boundary, fill_value, axes, stride, dilation, method, nan, threads, out : optional
        As in `convolve`. With mode 'same' output i has the kernel's element ``k // 2`` on input i.

    Returns
    -------
    array
        As of `convolve`: ``convolve(x, flipped kernel.conj())``.

    Raises
    ------
    ShapeError, ArgumentError, ArgumentTypeError
        As by `convolve`.

    Notes
    -----
    .. math:: y_i = \sum_t \overline{k_t} \, x_{i + t}

    Mode 'full' begins with the kernel's last element on the input's first, as SciPy's does.

    Examples
    --------
    >>> import convoi
    >>> convoi.correlate([1, 2, 3], [0, 1, 10])
    array([10, 21, 32,  3,  0])
    >>> convoi.correlate([1, 2, 3], [0, 1, 10], mode="valid")
    array([32])
    """
    if type(x) is ndarray is type(kernel) and out is None and nan == "propagate":
        options = (mode, boundary, fill_value, axes, stride, dilation, method, threads)
        y = recalled(x, kernel, False, options)  # noqa: FBT003 - as it is defined
        if y is not None:
            return y
    all_options = Options(
        mode, boundary, fill_value, axes, stride, dilation, method, nan, threads, out
    )
    return operate("correlate", x, kernel, all_options, flip=False)
