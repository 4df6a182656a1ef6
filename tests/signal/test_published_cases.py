"""The cases that SciPy publishes for its own functions, in the forms that both have.

SciPy itself is the oracle. Left out, with the reason:

* objects, Decimals and longdouble: only numbers that vectors hold are supported;
* 'valid' mode with a kernel longer than the input: SciPy exchanges the arguments, we refuse;
* empty inputs: SciPy returns an empty array, we refuse (there is no boundary to extend);
* zero-dimensional arrays: refused with a remedy;
* correlate2d with mode 'same' and a kernel of even length: it starts one further than correlate;
* method names and choose_conv_method: the methods are others;
* ndimage's origin: crop or pad the result;
* ndimage's 'constant' on integers with an output dtype that saturates: ours is NumPy's result type;
* ndimage's axes of size below the kernel in 'mirror' mode: NumPy's reflect repeats, and so do we;
* deprecated string forms and sparse arrays.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage as ndi
import scipy.signal as ss

import convoi

MODES = ("full", "same", "valid")
SIGNALS = [
    ([3, 4, 5, 6, 5, 4], [1, 2, 3]),
    ([3, 4, 5, 6, 5, 4], [1, 2, 3, 4]),
    ([1 + 1j, 2 + 1j, 3 + 1j], [1 + 1j, 2 + 1j]),
    ([1, 2, 3], [3 + 1j, 2]),
    ([1.5, 2, 1], [0.5]),
    (np.arange(100.0), np.hanning(10)),
    (np.arange(30) % 7, np.arange(11)),
]
PICTURES = [
    ([[1, 2, 3], [3, 4, 5]], [[2, 3], [4, 5]]),
    ([[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[1, 1, 1], [1, 0, 1], [1, 1, 1]]),
    (np.arange(42.0).reshape(6, 7), np.arange(6.0).reshape(2, 3)),
    (np.arange(42.0).reshape(6, 7) * (1 + 1j), np.arange(12.0).reshape(3, 4) * (2 - 1j)),
]


def assert_same(ours, theirs):
    np.testing.assert_allclose(
        ours, theirs, rtol=1e-9, atol=1e-9 * (1 + np.abs(theirs).max(initial=0))
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("a", "b"), SIGNALS + PICTURES)
def test_convolve_and_correlate(a, b, mode):
    assert_same(convoi.convolve(a, b, mode=mode), ss.convolve(a, b, mode, method="direct"))
    assert_same(convoi.correlate(a, b, mode=mode), ss.correlate(a, b, mode, method="direct"))


@pytest.mark.parametrize("mode", ["full", "same"])
def test_kernels_longer_than_the_input(mode):
    a, b = np.arange(3.0), np.arange(8.0)
    assert_same(convoi.convolve(a, b, mode=mode), ss.convolve(a, b, mode))
    assert_same(convoi.correlate(a, b, mode=mode), ss.correlate(a, b, mode))


@pytest.mark.parametrize("rank", [1, 2, 3, 4])
@pytest.mark.parametrize("mode", MODES)
def test_any_rank(rank, mode):
    generator = np.random.default_rng(rank)
    a, b = generator.normal(size=(7, 6, 8, 5)[:rank]), generator.normal(size=(3, 2, 4, 3)[:rank])
    assert_same(convoi.convolve(a, b, mode=mode), ss.convolve(a, b, mode))
    assert_same(convoi.correlate(a, b, mode=mode), ss.correlate(a, b, mode))


@pytest.mark.parametrize("axes", [0, 1, -1, (0, 1), (0, -1), (1, 2), (2, 0)])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("peer", [ss.fftconvolve, ss.oaconvolve])
def test_axes_of_fftconvolve_and_oaconvolve(axes, mode, peer):
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(5, 9, 8)), generator.normal(size=(2, 3, 3))
    sliding = {axis % 3 for axis in np.atleast_1d(axes)}
    b = b[tuple(slice(None) if axis in sliding else slice(0, 1) for axis in range(3))]
    assert_same(convoi.convolve(a, b, mode=mode, axes=axes), peer(a, b, mode, axes=axes))


@pytest.mark.parametrize("length", [100, 1000, 1003, 8192])
@pytest.mark.parametrize("taps", [1, 2, 37, 99])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_sizes_of_oaconvolve(length, taps, dtype):
    generator = np.random.default_rng(0)
    a, b = (generator.normal(size=n).astype(dtype) for n in (length, taps))
    y = convoi.convolve(a, b, method="overlap-add")
    theirs = ss.oaconvolve(a, b)
    assert y.dtype == theirs.dtype
    np.testing.assert_allclose(
        y, theirs, rtol=1e-3, atol=1e-4 if y.itemsize < 16 and dtype != "float64" else 1e-9
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("theirs", "ours"), [("fill", "constant"), ("wrap", "wrap"), ("symm", "symmetric")]
)
@pytest.mark.parametrize(("a", "b"), PICTURES)
def test_boundaries_of_convolve2d_and_correlate2d(a, b, mode, theirs, ours):
    extra = {"fillvalue": 3} if theirs == "fill" else {}
    options = {"fill_value": 3} if theirs == "fill" else {}
    assert_same(
        convoi.convolve(a, b, mode=mode, boundary=ours, **options),
        ss.convolve2d(a, b, mode, theirs, **extra),
    )
    if mode == "same":  # correlate2d, unlike correlate, starts one further with even lengths
        b = np.asarray(b)
        b = b[tuple(slice(0, n - 1 + n % 2) for n in b.shape)]
    assert_same(
        convoi.correlate(a, b, mode=mode, boundary=ours, **options),
        ss.correlate2d(a, b, mode, theirs, **extra),
    )


NDIMAGE_MODES = [
    ("constant", "constant"),
    ("nearest", "edge"),
    ("mirror", "reflect"),
    ("reflect", "symmetric"),
    ("wrap", "wrap"),
    ("grid-mirror", "symmetric"),
    ("grid-wrap", "wrap"),
]


@pytest.mark.parametrize(("theirs", "ours"), NDIMAGE_MODES)
@pytest.mark.parametrize(
    ("a", "b"),
    [
        (np.arange(9.0), np.array([1.0, 2, 1])),
        (np.arange(9.0), np.array([1.0, 2, 3, 4])),
        (np.arange(42.0).reshape(6, 7) ** 1.5, np.arange(9.0).reshape(3, 3)),
        (np.arange(42.0).reshape(6, 7) ** 1.5, np.arange(10.0).reshape(2, 5)),
        (np.arange(60.0).reshape(3, 4, 5) ** 1.5, np.arange(27.0).reshape(3, 3, 3)),
    ],
)
def test_boundaries_of_ndimage(a, b, theirs, ours):
    assert_same(
        convoi.correlate(a, b, mode="same", boundary=ours), ndi.correlate(a, b, mode=theirs)
    )
    # ndimage centres the flipped kernel of even length one further.
    odd = b[tuple(slice(0, n - 1 + n % 2) for n in b.shape)]
    assert_same(
        convoi.convolve(a, odd, mode="same", boundary=ours), ndi.convolve(a, odd, mode=theirs)
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("taps", [1, 2, 3, 4, 9])
def test_numpy_convolve(mode, taps):
    a, b = np.arange(9.0) ** 2, np.arange(1.0, taps + 1)
    assert_same(convoi.convolve(a, b, mode=mode), np.convolve(a, b, mode))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64", "uint64"])
def test_integers_of_numpy_convolve_wrap_alike(dtype):
    generator = np.random.default_rng(0)
    limits = np.iinfo(dtype)
    a, b = (generator.integers(limits.min, limits.max, n, dtype) for n in (50, 7))
    np.testing.assert_array_equal(convoi.convolve(a, b), np.convolve(a, b))
