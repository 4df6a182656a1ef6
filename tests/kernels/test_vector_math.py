"""The functions on vectors against NumPy and SciPy in higher precision."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy import special

from convoi.codegen.builder import Module
from convoi.codegen.types import F32
from convoi.kernels.expression import Expression
from convoi.kernels.layout import Layout
from convoi.kernels.pointwise import Pointwise, Tensor
from convoi.kernels.vector_math import VectorMath
from convoi.ops.formula import NumpyMath
from convoi.runtime.buffers import aligned_zeros
from tests.kernels.harness import ALL_TARGETS, call_kernel, target_named


@dataclass(frozen=True)
class Apply:
    """Call one function of the namespace."""

    name: str
    constants: tuple[float, ...] = ()

    def formula(self, m: Any, *values: Any) -> Any:
        return getattr(m, self.name)(*values, *self.constants)


@dataclass(frozen=True)
class Compare:
    """One where a comparison holds, else zero."""

    name: str

    def formula(self, m: Any, a: Any, b: Any) -> Any:
        return m.where(getattr(m, self.name)(a, b), 1.0, 0.0)


def evaluate(formula, *arrays, cpu="x86-64-v3"):
    """Evaluate a formula on flat arrays."""
    target = target_named(cpu)
    dtype = arrays[0].dtype.name
    lanes = target.lanes(dtype)
    positions = -(-len(arrays[0]) // lanes)
    layout = Layout(lanes, (positions,), lanes, dtype)
    n = len(arrays)
    expression = Expression(n).then(formula, *range(n))
    buffers = [aligned_zeros(layout.size, dtype) for _ in range(n + 1)]
    for buffer, array in zip(buffers, arrays, strict=False):
        buffer[: len(array)] = array
    kernel = Pointwise(expression, (Tensor(layout),) * n, layout)
    call_kernel(kernel, buffers, count=1, target=target)
    return buffers[-1][: len(arrays[0])]


def errors(result, expected):
    """Return the errors in units in the last place; NaN must be where NaN is expected."""
    dtype = result.dtype
    np.testing.assert_array_equal(np.isnan(result), np.isnan(expected))
    result, expected = (np.where(np.isnan(expected), 0, x) for x in (result, expected))
    # Infinity counts as the number that would follow the largest one.
    limit = np.ldexp(expected.dtype.type(1), np.finfo(dtype).maxexp)
    result, expected = np.clip(result, -limit, limit), np.clip(expected, -limit, limit)
    below_largest = np.nextafter(np.finfo(dtype).max, 0, dtype=dtype)
    unit = np.spacing(np.minimum(np.abs(expected), below_largest).astype(dtype))
    return np.abs(result - expected) / unit


@functools.cache
def float32_sample():
    """Every 1009th of all float32 numbers, and the special ones."""
    bits = np.arange(0, 2**32, 1009, dtype=np.uint64).astype(np.uint32)
    special_values = [0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 2**-149, 2**-126, 88.72284, -104]
    return np.concatenate([bits.view(np.float32), np.float32(special_values)])


@functools.cache
def float64_sample():
    """Numbers of all magnitudes, more of them where the functions bend, and the special ones."""
    rng = np.random.default_rng(0)
    n = 40_000
    magnitudes = np.exp2(rng.uniform(-1074, 1024, n)) * rng.choice([-1, 1], n)
    bent = [rng.uniform(-scale, scale, n) for scale in (0.1, 1.5, 7, 50, 750)]
    special_values = [0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 5e-324, 2.0**-1022, 709.78]
    return np.concatenate([magnitudes, *bent, special_values])


def sigmoid(x):
    tail = np.exp(-np.abs(x))
    return np.where(x < 0, tail, 1) / (1 + tail)


FUNCTIONS = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "tanh": np.tanh,
    "erf": special.erf,
    "sigmoid": sigmoid,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "neg": np.negative,
}


@functools.cache
def float32_expected(name):
    with np.errstate(all="ignore"):
        return FUNCTIONS[name](float32_sample().astype(np.float64))


@functools.cache
def float64_expected(name):
    x = float64_sample()
    with np.errstate(all="ignore"):
        if name == "erf":  # SciPy has none in extended precision; its own is within one unit.
            return special.erf(x).astype(np.longdouble)
        return FUNCTIONS[name](x.astype(np.longdouble))


@pytest.mark.parametrize("cpu", ALL_TARGETS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_float32_functions_are_within_two_units_everywhere(name, cpu):
    result = evaluate(Apply(name), float32_sample(), cpu=cpu)
    assert errors(result, float32_expected(name)).max() <= 2


@pytest.mark.parametrize("cpu", ALL_TARGETS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_float64_functions_are_within_four_units(name, cpu):
    result = evaluate(Apply(name), float64_sample(), cpu=cpu)
    assert errors(result, float64_expected(name)).max() <= 4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_powers_err_by_units_that_grow_with_their_logarithm_in_float64_only(dtype):
    rng = np.random.default_rng(1)
    base = np.exp(rng.uniform(-20, 20, 20_000)).astype(dtype)
    exponent = rng.uniform(-4, 4, 20_000).astype(dtype)
    base[:4], exponent[:4] = (0, 0, np.inf, np.nan), (1.5, 0, 2, 3)
    result = evaluate(Apply("pow"), base, exponent)
    expected = base.astype(np.longdouble) ** exponent
    with np.errstate(all="ignore"):
        logarithm = np.nan_to_num(np.abs(exponent * np.log(base)), posinf=0)
    limit = 1 if dtype == "float32" else 2 + 1.5 * logarithm
    assert (errors(result, expected) <= limit).all()


@pytest.mark.parametrize("cpu", ALL_TARGETS)
def test_powers_are_right_at_every_width(cpu):
    base = np.linspace(0, 5, 1001, dtype=np.float32)
    result = evaluate(Apply("pow", (1 / 3,)), base, cpu=cpu)
    np.testing.assert_allclose(result, base ** np.float32(1 / 3), rtol=3e-7)


PAIRS = np.float32([-np.inf, -2, -0.0, 0, 1, np.inf, np.nan])


@pytest.mark.parametrize("cpu", ALL_TARGETS)
@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_extremes_propagate_nan(name, cpu):
    a, b = (side.ravel() for side in np.meshgrid(PAIRS, PAIRS))
    result = evaluate(Apply(name), a, b, cpu=cpu)
    np.testing.assert_array_equal(result, getattr(np, name)(a, b))


@pytest.mark.parametrize("cpu", ALL_TARGETS)
@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_extremes_with_a_constant_propagate_nan(name, cpu):
    result = evaluate(Apply(name, (0.5,)), PAIRS, cpu=cpu)
    np.testing.assert_array_equal(result, getattr(np, name)(PAIRS, np.float32(0.5)))


@pytest.mark.parametrize("cpu", ALL_TARGETS)
@pytest.mark.parametrize("name", ["greater", "less", "equal"])
def test_comparisons_are_false_for_nan(name, cpu):
    a, b = (side.ravel() for side in np.meshgrid(PAIRS, PAIRS))
    result = evaluate(Compare(name), a, b, cpu=cpu)
    np.testing.assert_array_equal(result, getattr(np, name)(a, b))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arithmetic_is_that_of_numpy(dtype):
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((2, 1000)).astype(dtype)
    for name in ("add", "sub", "mul", "div"):
        expected = getattr(NumpyMath(dtype), name)(a, b)
        np.testing.assert_array_equal(evaluate(Apply(name), a, b), expected)
    np.testing.assert_array_equal(evaluate(Apply("copysign"), a, b), np.copysign(a, b))
    fused = evaluate(Apply("fma"), a, b, a)
    np.testing.assert_allclose(fused, a * b + a, rtol=1e-6, atol=1e-6)


def test_formulas_are_for_vectors_only():
    with pytest.raises(TypeError, match="for vectors, not for a float"):
        VectorMath(Module().function("f", []), F32)
