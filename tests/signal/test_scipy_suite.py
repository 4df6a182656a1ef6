"""SciPy's own tests of its functions, run on ours through adapters.

The tests come with SciPy's wheels. What a test of theirs asserts is about SciPy where its name is
in `LEFT_OUT`, with the reason.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import convoi

signal_tests = pytest.importorskip("scipy.signal.tests.test_signaltools")
ndimage_tests = pytest.importorskip("scipy.ndimage.tests.test_filters")

BOUNDARIES = {
    "fill": "constant", "symm": "symmetric", "wrap": "wrap",
    "constant": "constant", "nearest": "edge", "mirror": "reflect", "reflect": "symmetric",
    "grid-mirror": "symmetric", "grid-wrap": "wrap", "grid-constant": "constant",
}  # fmt: skip

SINGLE = "single numbers are refused, with a remedy"
EMPTY = "axes of length 0 are refused: there is no boundary to extend"
RANKS = "arrays of fewer axes broadcast"
LEFT_OUT = {
    "test_zero_rank": SINGLE,
    "test_zero_rank_python_scalars": SINGLE,
    "test_rank0": SINGLE,
    "test_empty": EMPTY,
    "test_large_array": "two gigabytes of zeros take a minute",
    "test_fillvalue_empty": "a fill value is a number; no array stands for 0",
    "test_fillvalue_errors": "it asks for the words of SciPy's messages",
    "test_mismatched_dims": RANKS,
    "test_invalid_dims": RANKS,
    "test_convolve_method": "it asks choose_conv_method; integers by transforms only where exact",
    "test_convolve_method_large_input": "transforms of integers that would round are refused",
    "TestOAConvolve.test_single_element": "SciPy leaves integers of length 1 alone integers there",
    "test_correlate09": EMPTY,
    "test_correlate10": EMPTY,
    "test_correlate_mode_sequence": "a boundary is one for all axes",
    "test_correlate_complex_kernel_invalid_cval": "where the result is complex, so may the fill be",
    "test_correlate_convolve_axes": "it is handed ndimage's functions themselves",
}
"""Name of a test, or of a class and a test -> why it is not shared."""


def fitting(a: Any, b: Any, mode: str, axes: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the arrays, the longer one first where 'valid' has SciPy exchange them."""
    a, b = np.asarray(a), np.asarray(b)
    if mode == "valid" and a.ndim == b.ndim:
        sliding = range(a.ndim) if axes is None else np.atleast_1d(axes)
        if all(a.shape[axis] <= b.shape[axis] for axis in sliding):
            return b, a
    return a, b


def floating(*arrays: np.ndarray) -> list[np.ndarray]:
    """Return arrays as SciPy's transforms take them: integers become floats."""
    return [
        a.astype(np.result_type(a, np.float32 if a.itemsize < 4 else np.float64))
        if a.dtype.kind in "iub"
        else a
        for a in arrays
    ]


def cropped(y: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the middle of a result: to SciPy's transforms 'same' is that on all axes."""
    starts = [(n - k) // 2 for n, k in zip(y.shape, shape, strict=True)]
    return y[tuple(slice(start, start + k) for start, k in zip(starts, shape, strict=True))]


def convolve(in1, in2, mode="full", method="auto"):
    a, b = fitting(in1, in2, mode)
    return convoi.convolve(a, b, mode=mode, method=method)


def correlate(in1, in2, mode="full", method="auto"):
    a, b = np.asarray(in1), np.asarray(in2)
    exchanged, _ = fitting(a, b, mode)
    if exchanged is not a:  # SciPy then reverses the result
        y = convoi.correlate(b, a, mode=mode, method=method).conj()
        return np.flip(y)
    return convoi.correlate(a, b, mode=mode, method=method)


def fftconvolve(in1, in2, mode="full", axes=None):
    a, b = floating(*fitting(in1, in2, mode, axes))
    y = convoi.convolve(a, b, mode=mode, axes=axes, method="fft")
    return cropped(y, np.shape(in1)) if mode == "same" else y


def oaconvolve(in1, in2, mode="full", axes=None):
    a, b = floating(*fitting(in1, in2, mode, axes))
    y = convoi.convolve(a, b, mode=mode, axes=axes, method="overlap-add")
    return cropped(y, np.shape(in1)) if mode == "same" else y


def convolve2d(in1, in2, mode="full", boundary="fill", fillvalue=0):
    a, b = fitting(in1, in2, mode)
    return convoi.convolve(a, b, mode=mode, boundary=BOUNDARIES[boundary], fill_value=fillvalue)


def correlate2d(in1, in2, mode="full", boundary="fill", fillvalue=0):
    a, b = np.asarray(in1), np.asarray(in2)
    options = {"mode": mode, "boundary": BOUNDARIES[boundary], "fill_value": fillvalue}
    exchanged, _ = fitting(a, b, mode)
    if exchanged is not a:
        return np.flip(convoi.correlate(b, a, **options).conj())
    return convoi.correlate(a, b, **options)


class _Ndimage:
    """scipy.ndimage with our sums in it."""

    def __getattr__(self, name):
        from scipy import ndimage

        return getattr(ndimage, name)

    @staticmethod
    def correlate(x, weights, output=None, mode="reflect", cval=0.0, origin=0, *, axes=None):
        return _filtered(convoi.correlate, x, weights, output, mode, cval, origin, axes)

    @staticmethod
    def convolve(x, weights, output=None, mode="reflect", cval=0.0, origin=0, *, axes=None):
        return _filtered(convoi.convolve, x, weights, output, mode, cval, origin, axes)

    @classmethod
    def correlate1d(cls, x, weights, axis=-1, output=None, mode="reflect", cval=0.0, origin=0):
        return cls.correlate(x, weights, output, mode, cval, origin, axes=axis)

    @classmethod
    def convolve1d(cls, x, weights, axis=-1, output=None, mode="reflect", cval=0.0, origin=0):
        return cls.convolve(x, weights, output, mode, cval, origin, axes=axis)


def _filtered(function, x, weights, output, mode, cval, origin, axes):
    """Compute as ndimage does: in float64, centred by zeros that make the kernel longer."""
    x, weights = np.asarray(x), np.asarray(weights)
    axes = tuple(range(x.ndim)) if axes is None else tuple(np.atleast_1d(axes))
    origins = [origin] * len(axes) if np.isscalar(origin) else list(origin)
    widths = []
    for taps, shift in zip(weights.shape, origins, strict=True):
        more = shift + (function is convoi.convolve and taps % 2 == 0)
        widths.append((max(0, -2 * more), max(0, 2 * more)))
    weights = np.pad(weights, widths)
    shape = [1] * x.ndim
    for axis, taps in zip(axes, weights.shape, strict=True):
        shape[axis] = taps
    wide = np.complex128 if x.dtype.kind == "c" or weights.dtype.kind == "c" else np.float64
    y = function(
        x.astype(wide), weights.astype(wide).reshape(shape), mode="same",
        boundary=BOUNDARIES[mode], fill_value=cval, axes=axes,
    )  # fmt: skip
    default = np.result_type(x.dtype, np.complex64) if wide is np.complex128 else x.dtype
    given = output.dtype if isinstance(output, np.ndarray) else output
    dtype = np.dtype(default if given is None else given)
    if wide is np.complex128 and dtype.kind != "c":
        if isinstance(output, np.ndarray):
            raise RuntimeError
        warnings.warn("promoting specified output dtype to complex", stacklevel=2)
        dtype = np.result_type(dtype, np.complex64)
    if isinstance(output, np.ndarray):
        output[...] = y.astype(dtype)
        return output
    return y.astype(dtype)


@pytest.fixture
def xp():
    return np


@pytest.fixture
def num_parallel_threads():
    return 1


@pytest.fixture(autouse=True)
def ours(request, monkeypatch):
    """Put the adapters in the place of SciPy's functions."""
    name = request.node.originalname
    owner = request.cls.__name__
    for key in (name, f"{owner}.{name}"):
        if key in LEFT_OUT:
            pytest.skip(LEFT_OUT[key])
    functions = [convolve, correlate, fftconvolve, oaconvolve, convolve2d, correlate2d]
    if owner == "TestOAConvolve":  # SciPy's other function is the oracle there
        functions.remove(fftconvolve)
    for function in functions:
        monkeypatch.setattr(signal_tests, function.__name__, function)
    monkeypatch.setattr(ndimage_tests, "ndimage", _Ndimage())


# Left out as a whole: TestAllFreqConvolves, which is handed SciPy's functions themselves.


class TestConvolve(signal_tests.TestConvolve):
    pass


class TestConvolve2d(signal_tests.TestConvolve2d):
    pass


class TestFFTConvolve(signal_tests.TestFFTConvolve):
    pass


class TestOAConvolve(signal_tests.TestOAConvolve):
    pass


class TestCorrelateReal(signal_tests.TestCorrelateReal):
    pass


class TestCorrelate(signal_tests.TestCorrelate):
    pass


class TestCorrelateComplex(signal_tests.TestCorrelateComplex):
    pass


class TestCorrelate2d(signal_tests.TestCorrelate2d):
    pass


def _about_kernels(name: str) -> bool:
    helper = name.startswith("_") and not name.startswith("__")
    return helper or name.startswith(("test_correlate", "test_convolve"))


TestNdimageFilters = type(
    "TestNdimageFilters",
    (),
    {k: v for k, v in vars(ndimage_tests.TestNdimageFilters).items() if _about_kernels(k)},
)
"""Of ndimage's filters those that take any kernel."""
