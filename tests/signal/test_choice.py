"""Which method is chosen, what `explain` says of it, and which kernels are separable."""

from __future__ import annotations

import numpy as np
import pytest

import convoi
from convoi.errors import ArgumentError
from convoi.signal import explain
from convoi.signal.named import NAMES, named_kernel


def line(length):
    return np.random.default_rng(0).normal(size=length)


@pytest.mark.parametrize(
    ("shape", "taps", "method"),
    [
        ((1000,), (3,), "direct"),
        ((1_000_000,), (31,), "direct"),
        ((1_000_000,), (3000,), "overlap-add"),
        ((512, 512), (5, 5), "direct"),
        ((256, 256), (101, 101), "overlap-add"),
    ],
)
def test_the_expected_method_is_chosen(shape, taps, method):
    kernel = np.random.default_rng(0).normal(size=taps)
    assert explain(np.zeros(shape), kernel, mode="same", threads=1).method == method


def test_an_outer_product_is_separable():
    kernel = np.outer(line(21), line(21))
    explanation = explain(np.zeros((500, 500)), kernel, mode="same")
    assert explanation.method == "separable"
    assert explanation.costs["separable"].seconds == min(
        cost.seconds for cost in explanation.costs.values()
    )


def test_a_sum_of_outer_products_is_not():
    kernel = np.outer(line(21), line(21)) + np.eye(21)
    assert "separable" not in explain(np.zeros((500, 500)), kernel).costs


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128", "int64"])
@pytest.mark.parametrize("shape", [(3, 3), (31, 7), (101, 101), (3, 4, 5), (1, 9, 9)])
def test_outer_products_are_recognised(dtype, shape):
    kernel = np.ones((), dtype)
    for length in shape:
        kernel = np.multiply.outer(kernel, np.random.default_rng(length).integers(-9, 9, length))
    if np.dtype(dtype).kind != "i":
        kernel = kernel * np.float64(0.37)
    kernel = kernel.astype(dtype)
    x = np.random.default_rng(0).integers(0, 9, (110,) * 2 if len(shape) == 2 else (9, 20, 20))
    x = x.astype(dtype)
    y = convoi.convolve(x, kernel, method="separable")
    direct = convoi.convolve(x, kernel, method="direct")
    tolerance = 1e-4 if y.dtype == np.float32 else 1e-9
    np.testing.assert_allclose(y, direct, atol=tolerance * float(np.abs(direct).max()))


def test_factors_are_as_exact_as_the_result():
    """To float64 a kernel of rounded float32 taps is no outer product."""
    kernel = np.outer(line(9), line(9)).astype(np.float32)
    picture = np.zeros((500, 500), np.float32)
    assert "separable" in explain(picture, kernel).costs
    assert "separable" not in explain(picture.astype(float), kernel).costs


def test_the_error_bound_holds():
    generator = np.random.default_rng(0)
    x, kernel = generator.normal(size=3000).astype(np.float32), line(500).astype(np.float32)
    exact = np.convolve(x.astype(float), kernel.astype(float))
    costs = explain(x, kernel).costs
    assert {"direct", "fft", "overlap-add"} <= set(costs)
    for method, cost in costs.items():
        error = np.abs(convoi.convolve(x, kernel, method=method) - exact).max()
        assert 0 < error <= cost.error_bound


def test_integers_have_no_error_and_no_transform_that_would_have_one():
    x = np.full(100, 2**60)
    costs = explain(x, x).costs
    assert set(costs) == {"direct"}
    assert costs["direct"].error_bound == 0


def test_an_explanation_prints_as_a_table():
    text = str(explain(np.zeros(1_000_000), np.zeros(2000)))
    assert text.startswith("method: overlap-add\n")
    assert "MiB   error <=" in text


def test_blocks_bound_the_memory():
    costs = explain(np.zeros(3_000_000, np.float32), np.zeros(1000, np.float32), threads=1).costs
    assert costs["overlap-add"].memory < 2**25 < costs["fft"].memory


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_named_kernels_smooth_or_take_differences(name, rank):
    total = {"laplacian": 0, "sobel": 0}.get(name, 1)
    assert named_kernel(name, rank).sum() == pytest.approx(total)


def test_a_sobel_kernel_is_positive_uphill():
    slope = np.arange(20.0).reshape(1, 20).repeat(5, axis=0)
    assert (convoi.convolve(slope, named_kernel("sobel", 2, axis=1), mode="valid") == 8).all()
    assert not convoi.convolve(slope, named_kernel("sobel", 2, axis=0), mode="valid").any()


def test_unknown_named_kernels_are_refused():
    with pytest.raises(ArgumentError, match="'gaussian', 'box', 'sobel'"):
        named_kernel("blur", 2)
    with pytest.raises(ArgumentError, match="'sigma'"):
        named_kernel("gaussian", 2, sigma=0)
    with pytest.raises(ArgumentError, match="'axis'"):
        named_kernel("sobel", 2, axis=2)
