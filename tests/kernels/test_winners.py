"""Maximum pools that note where each maximum was, and their gradient, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from convoi import ops
from convoi.compiler.maxima import Winner, WinnerBackward
from convoi.kernels import winners
from convoi.kernels.layout import Layout
from tests.kernels.harness import call_kernel, target_named
from tests.kernels.support import (
    activation,
    assert_close,
    every_machine,
    gradient,
    machine,
    output,
    written,
)
from tests.kernels.test_pool import CASES as POOLS
from tests.kernels.test_pool import Case, max_pool_gradient, reduced

UNROLLED = (
    "2x2",
    "2x2 with a tail",
    "2x2 padded",
    "3x3 overlapping",
    "3x3 stride 2",
    "gaps",
    "many gaps",
    "1 axis",
    "3 axes",
    "nothing",
)
CASES = {name: POOLS[name] for name in UNROLLED}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def noted(case: Case, lanes: int) -> Layout:
    return Layout(case.channels, case.pooled, lanes, "uint8", ((0, 1),) * len(case.spatial))


def run_forward(case: Case, x, lanes: int, target, *, rectified: bool = False):
    """Return the maxima, the numbers of the winners, and the buffer that holds these."""
    layout, _, pooled, _ = case.layouts(lanes, str(x.dtype))
    places = noted(case, lanes)
    y, numbers = output(pooled, case.count), output(places, case.count)
    kernel = winners.MaxPoolWinners(layout, places, pooled, **case.window, rectified=rectified)
    call_kernel(kernel, [activation(x, layout), numbers, y], count=case.count, target=target)
    maxima = written(y, pooled, zero_beyond=False)
    return maxima, written(numbers, places, zero_beyond=False), numbers


def run_backward(case: Case, numbers, dy, lanes: int, target):
    _, dx_layout, _, dy_layout = case.layouts(lanes, str(dy.dtype))
    dx = output(dx_layout, case.count)
    kernel = winners.WinnerBackward(noted(case, lanes), dy_layout, dx_layout, **case.window)
    call_kernel(kernel, [numbers, gradient(dy, dy_layout), dx], count=case.count, target=target)
    return written(dx, dx_layout)


@every_machine
@every_case
def test_maxima_winners_and_gradients_are_those_of_the_definition(case, cpu, dtype) -> None:
    target, lanes = machine(cpu, dtype)
    x = case.signal(case.spatial, dtype).round()  # Rounding makes equal maxima.
    dy = case.signal(case.pooled, dtype, seed=1)
    y, found, buffer = run_forward(case, x, lanes, target)
    pool = ops.MaxPool(**case.window)
    np.testing.assert_array_equal(y, reduced(case, x, np.max))
    np.testing.assert_array_equal(found, Winner(pool, rectified=False).reference(x))
    dx = run_backward(case, buffer, dy, lanes, target)
    assert_close(dx, max_pool_gradient(case, x, dy))
    op = WinnerBackward(pool, x.shape[1:])
    assert_close(dx, op.reference(found.astype(dtype), dy))


@every_machine
@pytest.mark.parametrize("name", ["2x2", "3x3 overlapping"])
def test_windows_without_a_positive_value_have_no_winner(name, cpu, dtype) -> None:
    case = CASES[name]
    target, lanes = machine(cpu, dtype)
    x = np.maximum(case.signal(case.spatial, dtype) - 1, 0)
    dy = case.signal(case.pooled, dtype, seed=1)
    y, found, buffer = run_forward(case, x, lanes, target, rectified=True)
    np.testing.assert_array_equal(found == winners.NOBODY, y <= 0)
    reference = Winner(ops.MaxPool(**case.window), rectified=True).reference(x)
    np.testing.assert_array_equal(found, reference)
    dx = run_backward(case, buffer, dy, lanes, target)
    assert_close(dx, max_pool_gradient(case, x, dy) * (x > 0))


@pytest.mark.parametrize("name", ["2x2", "3x3 overlapping"])
def test_nan_is_passed_on_and_wins_nothing(name) -> None:
    case, target = CASES[name], target_named("x86-64-v3")
    x = case.signal(case.spatial, "float32")
    special = np.random.default_rng(1).random(x.shape)
    x[special < 0.6] = -np.inf
    x[special < 0.1] = np.nan
    y, found, _ = run_forward(case, x, 8, target)
    np.testing.assert_array_equal(y, reduced(case, x, np.max))
    np.testing.assert_array_equal(found == winners.NOBODY, np.isnan(y))


def test_large_windows_are_refused() -> None:
    case, target = POOLS["global"], target_named("x86-64-v3")
    with pytest.raises(ValueError, match="only in windows that are unrolled"):
        run_forward(case, case.signal(case.spatial, "float32"), 8, target)
