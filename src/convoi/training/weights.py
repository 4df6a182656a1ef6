"""How much each sample counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.checks import check_integer, check_real, refusal
from convoi.errors import ArgumentError, ArgumentTypeError, DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from convoi.training.objective import Objective

__all__ = ["class_weights", "sample_weights"]


def sample_weights(
    sample_weight: ArrayLike | None, count: int, owner: str, name: str = "sample_weight"
) -> NDArray[np.float64]:
    """Return one weight for each sample, ones if none are given."""
    if sample_weight is None:
        return np.ones(count)
    weights = np.asarray(sample_weight)
    if weights.dtype.kind not in "biuf":
        raise ArgumentTypeError(refusal(name, owner, "an array of numbers", sample_weight))
    if weights.shape != (count,):
        expectation = f"an array of shape ({count},), one weight for each sample"
        raise DataError(refusal(name, owner, expectation, weights))
    weights = weights.astype(np.float64)
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if bad.any():
        sample = int(bad.argmax())
        raise DataError(
            f"The {name!r} parameter of {owner} must be finite and not negative. "
            f"Got {weights[sample]} for sample {sample} instead."
        )
    if not weights.any():
        raise DataError(
            f"The {name!r} parameter of {owner} must not be zero for every sample. "
            "Give a positive weight to those that count."
        )
    return weights


def class_weights(
    class_weight: Mapping[int, float] | Sequence[float] | str | None,
    y: NDArray[Any],
    objective: Objective,
    owner: str,
) -> NDArray[np.float64] | None:
    """Return one weight for each class, or None.

    "balanced" is scikit-learn's: inversely proportional to the number of samples of the class, 1
    on average over the samples. Classes that a mapping leaves out have weight 1.
    """
    if class_weight is None:
        return None
    if not objective.classifies or y.ndim != 1:
        raise ArgumentError(
            f"The 'class_weight' parameter of {owner} needs one class for each sample, with the "
            "loss 'cross_entropy'. Give sample_weight instead."
        )
    classes = objective.classes
    codes = y.astype(np.int64, copy=False)
    weights = np.ones(classes)
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ArgumentError(_refusal(classes, owner, class_weight))
        counts = np.bincount(codes, minlength=classes)
        present = np.count_nonzero(counts)
        np.divide(len(codes), present * counts, out=weights, where=counts > 0)
        return weights
    if isinstance(class_weight, Mapping):
        for label, weight in class_weight.items():
            known = check_integer(label, "class_weight", owner, minimum=0, maximum=classes - 1)
            weights[known] = check_real(weight, "class_weight", owner, minimum=0)
    else:
        given = np.asarray(class_weight)
        if given.shape != (classes,) or given.dtype.kind not in "biuf":
            raise ArgumentError(_refusal(classes, owner, class_weight))
        for code, weight in enumerate(given):
            weights[code] = check_real(weight, "class_weight", owner, minimum=0)
    if not weights[codes].any():
        raise ArgumentError(
            f"The 'class_weight' parameter of {owner} must not be zero for every class that "
            "occurs. Give a positive weight to those that count."
        )
    return weights


def _refusal(classes: int, owner: str, value: object) -> str:
    expectation = f"'balanced', a mapping from class codes to weights, or {classes} weights"
    return refusal("class_weight", owner, expectation, value)
