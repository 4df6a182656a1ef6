"""Transforms of blocks by generated code: any sizes, widths of vectors, inputs and boundaries."""

from __future__ import annotations

import numpy as np
import pytest

import convoi
from convoi.config import override
from convoi.signal.lane_transform import block_shape, can_transform, lengths
from convoi.signal.operation import Options, prepare


def arrays(shape, taps, dtype):
    generator = np.random.default_rng(5)
    return generator.normal(size=shape).astype(dtype), generator.normal(size=taps).astype(dtype)


def problem_of(x, kernel, **options):
    return prepare("convolve", x, kernel, Options(**options), flip=True)


@pytest.mark.parametrize("cpu", ["x86-64-v2", "x86-64-v3", "x86-64-v4"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("shape", "taps"),
    [((1,), (1,)), ((40,), (33,)), ((5000,), (300,)), ((3, 700), (50,)), ((70, 61), (9, 33))],
)
def test_blocks_give_the_direct_sum(cpu, dtype, shape, taps):
    x, kernel = arrays(shape, taps, dtype)
    axes = tuple(range(-len(taps), 0))
    with override(cpu=cpu):
        for mode in ("full", "same", "valid"):
            y = convoi.convolve(x, kernel, mode=mode, axes=axes, method="overlap-add")
            direct = convoi.convolve(
                x.astype(float), kernel.astype(float), mode=mode, axes=axes, method="direct"
            )
            eps = np.finfo(dtype).eps
            np.testing.assert_allclose(y, direct, atol=20 * eps * np.abs(direct).max())


@pytest.mark.parametrize("boundary", ["constant", "edge", "reflect", "symmetric", "wrap"])
def test_blocks_know_the_boundaries(boundary):
    x, kernel = arrays((150, 90), (41, 17), "float64")
    options = {"mode": "same", "boundary": boundary, "fill_value": 3, "dilation": 2}
    y = convoi.correlate(x, kernel, method="overlap-add", **options)
    np.testing.assert_allclose(
        y, convoi.correlate(x, kernel, method="direct", **options), atol=1e-11
    )


def test_inputs_are_read_where_they_lie():
    x = np.random.default_rng(0).integers(0, 255, (120, 2, 200), np.uint8)[::-1, 1, ::2]
    kernel = np.random.default_rng(1).normal(size=(21, 30))
    y = convoi.convolve(x, kernel, method="overlap-add")
    np.testing.assert_allclose(y, convoi.convolve(x, kernel, method="direct"), atol=1e-9)


def test_other_axes_may_slide():
    x, kernel = arrays((300, 5, 40), (20, 1, 1), "float64")
    y = convoi.convolve(x, kernel, axes=0, method="overlap-add")
    np.testing.assert_allclose(y, convoi.convolve(x, kernel, axes=0, method="direct"), atol=1e-12)


def test_results_do_not_depend_on_the_threads():
    x, kernel = arrays((300, 400), (25, 25), "float32")
    one, two = (
        convoi.convolve(x, kernel, method="overlap-add", threads=threads) for threads in (1, 2)
    )
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_one_bad_sample_spoils_only_its_windows(bad):
    x, kernel = arrays((5000,), (301,), "float64")
    x[2500] = bad
    y = convoi.convolve(x, kernel, mode="same", method="overlap-add")
    assert (np.flatnonzero(~np.isfinite(y)) == np.arange(2350, 2651)).all()


def test_a_second_kernel_is_not_taken_for_the_first():
    x, kernel = arrays((2000,), (200,), "float64")
    for taps in (kernel, kernel[::-1], kernel):
        y = convoi.convolve(x, taps, method="overlap-add")
        np.testing.assert_allclose(y, np.convolve(x, taps), atol=1e-11)
    kernel *= 2
    y = convoi.convolve(x, kernel, method="overlap-add")
    np.testing.assert_allclose(y, np.convolve(x, kernel), atol=1e-11)


def test_sides_of_blocks_are_whole_vectors():
    for lanes in (2, 4, 8, 16):
        assert all(length % lanes == 0 for length in lengths(lanes))


def test_what_cannot_be_transformed_is_left_to_others():
    x, kernel = arrays((50, 60), (5, 5), "float64")
    for options in ({"stride": 2}, {"axes": (0, 1)}):
        operation = problem_of(x, kernel, **options)
        assert can_transform(operation.problem, operation.result) == ("stride" not in options)
    bank = problem_of(np.ones((2, 100)), np.ones((2, 9)), axes=-1)
    assert not can_transform(bank.problem, bank.result)
    assert block_shape(problem_of(np.ones(10), np.ones(4)).problem, 16).positions == 256
