"""When results of two sides count as the same."""

from __future__ import annotations

import numpy as np
import pytest

from bench.agreement import disagreement

RESULTS = {
    "loss": np.array(2.0),
    "gradient/0.weight": np.array([1.0, -2.0, 0.5]),
    "gradient/0.bias": np.array([1e-9]),
}


def changed(name, position, amount):
    array = RESULTS[name].copy()
    array[position] += amount
    return {**RESULTS, name: array}


def test_rounding_errors_are_no_disagreement():
    other = changed("gradient/0.weight", 2, 1e-5)
    other["gradient/0.bias"] = -RESULTS["gradient/0.bias"]
    assert disagreement(RESULTS, other, kinks=False) is None


def test_the_array_that_differs_most_is_named():
    other = changed("gradient/0.weight", 2, 1e-2)
    assert disagreement(RESULTS, other, kinks=False) == "gradient/0.weight differs by 5.0e-03."


def test_one_element_may_differ_where_kinks_are():
    assert disagreement(RESULTS, changed("gradient/0.weight", 2, 1e-2), kinks=True) is None


def test_kinks_do_not_explain_a_wrong_scale():
    half = {**RESULTS, "gradient/0.weight": RESULTS["gradient/0.weight"] / 2}
    assert disagreement(half, RESULTS, kinks=True) == "The gradients differ by 5.0e-01 in norm."


def test_kinks_do_not_explain_a_wrong_loss():
    assert disagreement(RESULTS, changed("loss", (), 1e-2), kinks=True) is not None


@pytest.mark.parametrize("kinks", [False, True])
def test_nan_is_a_disagreement(kinks):
    other = changed("gradient/0.weight", 0, np.nan)
    assert disagreement(RESULTS, other, kinks=kinks) is not None


def test_both_sides_must_have_the_same_results():
    only_loss = {"loss": RESULTS["loss"]}
    assert disagreement(RESULTS, only_loss, kinks=False).startswith("Only one side has")
