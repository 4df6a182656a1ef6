"""When results of two sides count as the same."""

from __future__ import annotations

import numpy as np
import pytest

from bench.agreement import difference, inexactness, inexactness_at_kinks

EXACT = {
    "loss": np.array(2.0),
    "gradient/0.weight": np.array([1.0, -2.0, 0.5]),
    "gradient/0.bias": np.array([1e-9]),
    "updated/0.weight": np.array([1.0, 2.0, -1.0]),
}


def changed(name, position, amount, results=EXACT):
    array = results[name].copy()
    array[position] += amount
    return {**results, name: array}


def rounded(seed, size):
    """Return the results with a relative error of a size in each gradient."""
    rng = np.random.default_rng(seed)
    return {
        name: array * (1 + size * rng.uniform(0.5, 1, array.shape))
        if name.startswith("gradient")
        else array
        for name, array in EXACT.items()
    }


def judged(ours, theirs):
    """Return the verdict on a side, given what it and another one compute of every batch."""
    return inexactness(ours, theirs, [EXACT] * len(ours))


def test_rounding_errors_are_no_difference():
    other = changed("gradient/0.weight", 2, 1e-5)
    other["gradient/0.bias"] = -EXACT["gradient/0.bias"]
    assert difference(EXACT, other) is None


def test_the_array_that_differs_most_is_named():
    other = changed("gradient/0.weight", 2, 1e-2)
    assert difference(EXACT, other) == "gradient/0.weight differs by 5.0e-03."


def test_both_sides_must_have_the_same_results():
    assert difference({"loss": EXACT["loss"]}, EXACT).startswith("Only one side has")
    assert judged([{"loss": EXACT["loss"]}], [EXACT]).startswith("Only one side has")


def test_amplified_rounding_errors_of_both_sides_are_accepted():
    ours = [rounded(seed, 3e-2) for seed in range(3)]
    theirs = [rounded(seed, 2e-2) for seed in range(3, 6)]
    assert judged(ours, theirs) is None


def test_a_kink_in_some_batches_is_accepted():
    kinked, clean = rounded(0, 0.5), rounded(1, 1e-5)
    assert judged([kinked, clean, kinked], [clean, kinked, kinked]) is None


@pytest.mark.parametrize("kinked", [0.0, 0.5], ids=["peer exact", "peer meets kinks"])
def test_a_wrong_gradient_is_found_however_inexact_the_peer_is_in_other_batches(kinked):
    ours = [changed("gradient/0.weight", 1, 0.01, rounded(seed, 1e-5)) for seed in range(4)]
    theirs = [rounded(0, 1e-5), *(rounded(seed, kinked) for seed in range(1, 4))]
    assert "gradient/0.weight has an error of 5.0e-03" in judged(ours, theirs)


def at_kinks(found):
    return inexactness_at_kinks(found, EXACT, learning_rate=0.1)


def test_kinks_explain_a_small_error_of_all_gradients():
    assert at_kinks(rounded(0, 0.03)) is None


def test_kinks_do_not_explain_a_wrong_gradient():
    wrong = changed("gradient/0.weight", 1, 0.2)
    assert at_kinks(wrong) == "The error of the gradients is 8.7e-02 in norm."


def test_kinks_do_not_explain_a_wrong_loss():
    assert at_kinks(changed("loss", (), 1e-2)) == "loss differs by 5.0e-03."


def test_a_step_may_have_the_error_of_its_gradient_and_no_other():
    kinked = changed("gradient/0.weight", 1, 0.05)
    assert at_kinks(changed("updated/0.weight", 1, -0.005, kinked)) is None
    assert at_kinks(changed("updated/0.weight", 1, -0.005)) == (
        "updated/0.weight differs by 2.5e-03."
    )


def test_nan_is_never_accepted():
    wrong = changed("gradient/0.weight", 0, np.nan)
    assert difference(wrong, EXACT) is not None
    assert judged([wrong], [wrong]) is not None
    assert at_kinks(wrong) is not None
