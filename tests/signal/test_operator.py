"""Properties of convolve and correlate on arrays of any rank, dtype, layout and options."""

from __future__ import annotations

import os
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convoi
from tests.signal.oracle import correlate_padded
from tests.signal.problems import FLOATS, INTEGERS, Case, cases, numbers

EXAMPLES = int(os.environ.get("CONVOI_EXAMPLES", "210"))
"""Examples of each property: 400 and more make a thorough run."""
TOLERANCE = {
    "float16": 4e-3,
    "float32": 2e-5,
    "complex64": 2e-5,
    "float64": 1e-11,
    "complex128": 1e-11,
}


def expected(case: Case, *, flip: bool):
    """Return the definition's result, computed in the widest type there is."""
    wide = {"i": object, "u": object, "b": object, "f": np.float64, "c": np.complex128}
    x = case.x.astype(wide[case.x.dtype.kind])
    kernel = case.kernel.astype(wide[case.kernel.dtype.kind])
    kernel = np.flip(kernel, case.options["axes"]) if flip else kernel.conj()
    return correlate_padded(x, kernel, **case.options)


def assert_close(actual, desired, case):
    result = np.result_type(case.x, case.kernel)
    assert actual.dtype == result
    assert actual.shape == np.shape(desired)
    taps = max(1, np.prod([case.kernel.shape[a] for a in case.options["axes"]]))
    scale = (1 + np.abs(case.x).max()) * (1 + np.abs(case.kernel).max()) * taps
    tolerance = TOLERANCE[result.name]
    np.testing.assert_allclose(actual, desired, rtol=tolerance, atol=tolerance * float(scale))


@settings(max_examples=EXAMPLES)
@given(cases(), st.booleans())
def test_floats_are_those_of_the_definition(case, flip):
    function = convoi.convolve if flip else convoi.correlate
    assert_close(function(case.x, case.kernel, **case.options), expected(case, flip=flip), case)


@settings(max_examples=EXAMPLES)
@given(cases(INTEGERS), st.booleans())
def test_integers_are_exact_and_wrap_as_those_of_numpy(case, flip):
    function = convoi.convolve if flip else convoi.correlate
    actual = function(case.x, case.kernel, **case.options)
    exact = expected(case, flip=flip)
    result = np.result_type(case.x, case.kernel)
    if result.kind == "b":
        wrapped = exact.astype(bool)
    elif result.kind == "f":  # int64 with uint64
        wrapped = exact.astype(result)
        np.testing.assert_allclose(actual, wrapped, rtol=1e-9, atol=2.0**80)
        return
    else:
        bits = 8 * result.itemsize
        wrapped = (exact % 2**bits).astype(f"uint{bits}").view(result) if exact.size else exact
    assert actual.dtype == result
    np.testing.assert_array_equal(actual, wrapped)


@settings(max_examples=EXAMPLES)
@given(cases(), st.sampled_from(["direct", "fft", "overlap-add"]))
def test_methods_agree(case, method):
    actual = convoi.convolve(case.x, case.kernel, method=method, **case.options)
    assert_close(actual, expected(case, flip=True), case)


@settings(max_examples=EXAMPLES)
@given(cases(("int8", "int16", "uint8")), st.sampled_from(["fft", "overlap-add"]))
def test_transforms_of_integers_are_exact(case, method):
    direct = convoi.convolve(case.x, case.kernel, method="direct", **case.options)
    transformed = convoi.convolve(case.x, case.kernel, method=method, **case.options)
    np.testing.assert_array_equal(transformed, direct)


@settings(max_examples=EXAMPLES)
@given(cases((*FLOATS, "int32", "int64")), st.data())
def test_outer_products_are_applied_axis_by_axis(case, data):
    kernel = np.ones((1,) * case.x.ndim, case.x.dtype)
    seed = np.random.default_rng(data.draw(st.integers(0, 999)))
    for axis in case.options["axes"]:
        shape = [1] * case.x.ndim
        shape[axis] = min(case.kernel.shape[axis], 6)
        line = seed.integers(1, 9, shape).astype(case.x.dtype)
        kernel = kernel * line
    case = Case(case.x, kernel, case.options)
    if sum(k > 1 for k in kernel.shape) < 2:
        return
    separable = convoi.correlate(case.x, kernel, method="separable", **case.options)
    direct = convoi.correlate(case.x, kernel, method="direct", **case.options)
    if case.x.dtype.kind == "i":
        np.testing.assert_array_equal(separable, direct)
    else:
        assert_close(separable, direct, case)


@settings(max_examples=EXAMPLES)
@given(cases(plain=True))
def test_convolution_commutes(case):
    case.options["mode"] = "full"
    ab = convoi.convolve(case.x, case.kernel, **case.options)
    ba = convoi.convolve(case.kernel, case.x, **case.options)
    assert_close(ab, ba, case)


@settings(max_examples=EXAMPLES)
@given(st.integers(0, 2**32 - 1), st.sampled_from(FLOATS), st.integers(1, 3))
def test_convolution_is_associative_and_distributes(seed, dtype, rank):
    generator = np.random.default_rng(seed)

    def draw(largest):
        return numbers(generator, tuple(generator.integers(1, largest, rank).tolist()), dtype)

    a, b = draw({1: 90, 2: 20, 3: 7}[rank]), draw(6)
    c = numbers(generator, b.shape, dtype)
    left = convoi.convolve(convoi.convolve(a, b), c)
    right = convoi.convolve(a, convoi.convolve(b, c))
    scale = np.abs(left).max() + b.size * c.size
    np.testing.assert_allclose(left, right, rtol=1e-3, atol=TOLERANCE[dtype] * scale)
    together = convoi.convolve(a, b + c)
    apart = convoi.convolve(a, b) + convoi.convolve(a, c)
    np.testing.assert_allclose(together, apart, rtol=1e-3, atol=TOLERANCE[dtype] * scale)


@settings(max_examples=EXAMPLES)
@given(cases())
def test_convolving_is_correlating_with_the_flipped_conjugate(case):
    axes = case.options["axes"]
    convolved = convoi.convolve(case.x, case.kernel, **case.options)
    correlated = convoi.correlate(case.x, np.flip(case.kernel, axes).conj(), **case.options)
    assert_close(convolved, correlated, case)


@given(st.integers(1, 60), st.integers(0, 20), st.sampled_from((*FLOATS, *INTEGERS)))
def test_a_shifted_impulse_shifts(length, shift, dtype):
    x = numbers(np.random.default_rng(length), (length,), dtype)
    kernel = np.zeros(shift + 1, dtype)
    kernel[shift] = 1
    shifted = convoi.convolve(x, kernel)
    np.testing.assert_array_equal(shifted[shift:], x)
    assert not shifted[:shift].any()


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_an_impulse_is_the_identity(mode):
    x = np.random.default_rng(0).normal(size=(7, 9)).astype(np.float32)
    np.testing.assert_array_equal(convoi.convolve(x, np.ones((1, 1), np.float32), mode=mode), x)


@settings(max_examples=EXAMPLES)
@given(cases(), st.sampled_from([2, 3]))
def test_threads_do_not_change_a_direct_result(case, threads):
    one = convoi.convolve(case.x, case.kernel, method="direct", threads=1, **case.options)
    some = convoi.convolve(case.x, case.kernel, method="direct", threads=threads, **case.options)
    np.testing.assert_array_equal(one, some)


def test_threads_share_a_large_picture():
    x = np.random.default_rng(0).normal(size=(300, 400)).astype(np.float32)
    kernel = np.random.default_rng(1).normal(size=(7, 7)).astype(np.float32)
    one = convoi.convolve(x, kernel, method="direct", threads=1)
    np.testing.assert_array_equal(convoi.convolve(x, kernel, method="direct", threads=2), one)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "int16"])
def test_float16_and_others_keep_their_dtype(dtype):
    x = np.arange(20).astype(dtype)
    y = convoi.convolve(x, np.array([1, 2, 1], dtype))
    assert y.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(y, np.convolve(x.astype(complex), [1, 2, 1]))


def test_float16_is_computed_in_float32():
    x = np.full(3000, 0.1, np.float16)
    total = convoi.convolve(x, np.ones(3000, np.float16), mode="valid")
    np.testing.assert_allclose(total, [3000 * float(x[0])], rtol=1e-3)


@pytest.mark.parametrize("method", ["direct", "fft", "overlap-add"])
def test_a_nan_spoils_only_the_outputs_whose_window_has_it(method):
    x = np.random.default_rng(0).normal(size=(40, 50))
    x[20, 30] = np.nan
    kernel = np.random.default_rng(1).normal(size=(3, 5))
    y = convoi.convolve(x, kernel, mode="same", method=method)
    touched = np.zeros(x.shape, bool)
    touched[19:22, 28:33] = True
    np.testing.assert_array_equal(np.isnan(y), touched)


@pytest.mark.parametrize("method", ["direct", "fft", "overlap-add"])
def test_infinities_become_what_the_sum_makes_of_them(method):
    x = np.zeros(300)
    x[100], x[200], x[203] = np.inf, np.inf, -np.inf
    y = convoi.convolve(x, np.ones(8), mode="same", method=method)
    assert np.isposinf(y[98:104]).all()
    assert np.isnan(y[201:204]).all()
    assert np.isfinite(y[:90]).all()


def test_ignored_nan_samples_have_no_weight():
    x = np.array([1.0, 2, np.nan, 4, 5])
    y = convoi.convolve(x, [1.0, 2, 1], mode="same", nan="ignore")
    # The taps on valid samples, and those on the zeros beyond the ends, are scaled to a sum of 4.
    np.testing.assert_allclose(
        y, [(2 * 1 + 2) * 4 / 4, (1 + 4) * 4 / 3, (2 + 4) * 4 / 2, (8 + 5) * 4 / 3, 14]
    )


def test_masked_elements_are_missing_ones():
    x = np.ma.masked_equal([1, 2, 99, 4, 5], 99)
    y = convoi.convolve(x, [1.0, 1, 1], mode="same", nan="ignore")
    np.testing.assert_allclose(y, [3, 4.5, 9, 13.5, 9])
    assert np.isnan(convoi.convolve(x, [1.0, 1, 1], mode="valid")).all()


def test_windows_without_valid_samples_are_nan():
    x = np.array([1.0, np.nan, np.nan, np.nan, 1])
    y = convoi.convolve(x, [1.0, 1, 1], mode="valid", nan="ignore")
    np.testing.assert_array_equal(np.isnan(y), [False, True, False])


def test_out_receives_the_result_and_may_be_the_input():
    x = np.arange(6.0)
    out = np.empty(6)
    assert convoi.convolve(x, [1.0, 1, 1], mode="same", out=out) is out
    np.testing.assert_array_equal(out, [1, 3, 6, 9, 12, 9])
    convoi.convolve(x, [1.0, 1, 1], mode="same", out=x)
    np.testing.assert_array_equal(x, out)


def test_out_may_have_any_strides_and_a_wider_dtype():
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    out = np.zeros((4, 3)).T
    y = convoi.convolve(x, np.ones((3, 3), np.float32), mode="same", out=out)
    assert y is out
    np.testing.assert_array_equal(out, convoi.convolve(x, np.ones((3, 3)), mode="same"))


def test_read_only_byte_swapped_and_unaligned_inputs_are_read():
    x = np.arange(20.0)
    desired = np.convolve(x, [1.0, 2])
    frozen = x.copy()
    frozen.flags.writeable = False
    raw = np.zeros(161, np.uint8)
    unaligned = raw[1:].view(np.float64)
    unaligned[:] = x
    for given_x in (frozen, x.astype(">f8"), unaligned):
        np.testing.assert_array_equal(convoi.convolve(given_x, [1.0, 2]), desired)


def test_a_memory_mapped_signal_is_filtered_into_another_one(tmp_path):
    x = np.memmap(tmp_path / "x", np.float32, "w+", shape=(200_000,))
    x[:] = np.random.default_rng(0).normal(size=x.shape)
    y = np.memmap(tmp_path / "y", np.float32, "w+", shape=x.shape)
    kernel = np.hanning(501).astype(np.float32)
    convoi.convolve(x, kernel, mode="same", method="overlap-add", out=y)
    desired = convoi.convolve(np.array(x), kernel, mode="same", method="direct")
    np.testing.assert_allclose(y, desired, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("cpu", ["x86-64-v2", "x86-64-v3", "x86-64-v4"])
@pytest.mark.parametrize("dtype", ["int8", "int64", "float32"])
def test_signals_are_written_whole_wherever_they_lie(cpu, dtype):
    from convoi.codegen.target import current_target
    from convoi.config import override

    generator = np.random.default_rng(0)
    with override(cpu=cpu):
        try:
            current_target()
        except ValueError as error:
            pytest.skip(str(error))
        for length in (269, 7000):
            x, kernel = (generator.integers(-9, 9, n).astype(dtype) for n in (length, 17))
            desired = np.convolve(x, kernel)
            memory = np.zeros(desired.nbytes + 64, np.uint8)
            for offset in range(0, 64, x.itemsize):
                out = memory[offset : offset + desired.nbytes].view(dtype)
                out[:] = 99
                convoi.convolve(x, kernel, method="direct", out=out, threads=1)
                np.testing.assert_array_equal(out, desired)


@pytest.mark.parametrize("method", ["direct", "overlap-add", "auto"])
def test_filtering_takes_little_memory_besides_the_arrays(tmp_path, method):
    x = np.memmap(tmp_path / "x", np.float32, "w+", shape=(8_000_000,))
    y = np.memmap(tmp_path / "y", np.float32, "w+", shape=x.shape)
    kernel = np.hanning(33).astype(np.float32)
    convoi.convolve(x[:9000], kernel, mode="same", method=method)
    tracemalloc.start()
    try:
        convoi.convolve(x, kernel, mode="same", method=method, out=y)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < x.nbytes / 4


def test_denormal_numbers_are_kept():
    x = np.array([1e-40, 2e-40], np.float32)
    assert convoi.convolve(x, np.array([1.0, 1], np.float32))[1] == np.float32(3e-40)


def test_a_batch_of_length_zero_gives_none():
    assert convoi.convolve(np.zeros((0, 9)), np.ones(3), mode="same").shape == (0, 9)


@pytest.mark.parametrize("cpu", ["x86-64-v2", "x86-64-v3", "x86-64-v4"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int64", "complex64"])
def test_every_vector_width_computes_the_same(cpu, dtype):
    from convoi.codegen.target import current_target
    from convoi.config import override

    generator = np.random.default_rng(0)
    with override(cpu=cpu):
        try:
            current_target()
        except ValueError as error:
            pytest.skip(str(error))
        for shape, taps in (((200,), (70,)), ((33, 21), (5, 4)), ((5, 9, 8), (2, 3, 3))):
            x, kernel = numbers(generator, shape, dtype), numbers(generator, taps, dtype)
            case = Case(x, kernel, {"axes": list(range(x.ndim)), "boundary": "reflect"})
            y = convoi.convolve(x, kernel, method="direct", boundary="reflect")
            if np.dtype(dtype).kind == "i":
                exact = expected(case, flip=True)
                bits = 8 * x.itemsize
                wrapped = (exact % 2**bits).astype(f"uint{bits}").view(dtype)
                np.testing.assert_array_equal(y, wrapped)
            else:
                assert_close(y, expected(case, flip=True), case)
