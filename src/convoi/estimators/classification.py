"""What classifiers have in common: labels, their codes and probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy.special import log_softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from convoi.checks import check_real, describe, refusal
from convoi.data.targets import encode_classes
from convoi.errors import ArgumentError, ArgumentTypeError, DataError
from convoi.estimators.base import NetworkEstimator
from convoi.estimators.model_fields import described_labels, labels_of
from convoi.estimators.parameters import is_auto
from convoi.estimators.training_set import Objective
from convoi.ops import CrossEntropy

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from typing_extensions import Self

    from convoi.data import Dataset
    from convoi.estimators.parameters import Auto
    from convoi.estimators.recipes import Recipe
    from convoi.estimators.training_set import TrainingSet


@dataclass(eq=False, repr=False, kw_only=True)
class Classification(ClassifierMixin, NetworkEstimator):
    """Base of the classifiers."""

    class_weight: Mapping[Any, float] | Literal["balanced"] | None = None
    label_smoothing: float | Auto = "auto"

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train the network further, using each of some samples once.

        The first call decides about the network, its standardisation and the labels. The
        learning rate is constant, by default the optimiser's.

        Parameters
        ----------
        X : array-like
            Samples, in any form that :meth:`fit` takes.
        y : array-like of shape (n,)
            Their labels.
        classes : array-like of shape (n_classes,), optional
            All the labels that any call will bring; by default those of the first call.
        sample_weight : array-like of shape (n,), optional
            How much each sample counts.

        Returns
        -------
        self
            The classifier, fitted.

        Raises
        ------
        ValueError, TypeError
            As :meth:`fit`.
        """
        self._check_parameters()
        if is_balanced(self.class_weight):
            raise ArgumentError(
                f"class_weight='balanced' needs all the samples at once, and partial_fit of "
                f"{type(self).__name__} sees a part of them. Give the weights of the classes."
            )
        network = getattr(self, "network_", None)
        if classes is not None:
            self._check_classes(np.unique(column_or_1d(classes)), fresh=network is None)
        data = self._training_set(
            X, y, sample_weight, reset=network is None, known_target=classes is not None
        )
        return self._train_once(data)

    def predict(self, X: ArrayLike | Dataset) -> NDArray[Any]:
        """Return the most probable label of each sample.

        Parameters
        ----------
        X : array-like or Dataset
            Samples of the form that the classifier was fitted with; or a data set, which is read
            a few samples at a time.

        Returns
        -------
        ndarray of shape (n,)
            Of the dtype of the labels.

        Raises
        ------
        NotFittedError
            If the classifier is not fitted.
        ValueError, TypeError
            If the samples have another form, or a value is NaN or infinite.
        """
        codes = self._outputs(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[codes]
        return labels

    def predict_proba(self, X: ArrayLike | Dataset) -> NDArray[np.float64]:
        """Return the probability of each label for each sample.

        Parameters
        ----------
        X : array-like or Dataset
            See :meth:`predict`, which also lists the errors.

        Returns
        -------
        ndarray of shape (n, n_classes)
            In the order of ``classes_``; the sum of a row is 1.
        """
        return np.exp(self.predict_log_proba(X))

    def predict_log_proba(self, X: ArrayLike | Dataset) -> NDArray[np.float64]:
        """Return the logarithm of the probability of each label for each sample.

        Parameters
        ----------
        X : array-like or Dataset
            See :meth:`predict`, which also lists the errors.

        Returns
        -------
        ndarray of shape (n, n_classes)
            In the order of ``classes_``.
        """
        logarithms: NDArray[np.float64] = log_softmax(self._outputs(X), axis=1)
        return logarithms

    def decision_function(self, X: ArrayLike | Dataset) -> NDArray[np.float64]:
        """Return the network's outputs, whose largest decides.

        Parameters
        ----------
        X : array-like or Dataset
            See :meth:`predict`, which also lists the errors.

        Returns
        -------
        ndarray of shape (n, n_classes), or (n,) for two classes
            Logits. For two classes, by how much the second exceeds the first: predicted is
            ``classes_[1]`` where that is positive.
        """
        logits = self._outputs(X)
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits

    def _check_parameters(self) -> None:
        super()._check_parameters()
        owner = type(self).__name__
        weights: object = self.class_weight
        if not (weights is None or is_balanced(weights) or isinstance(weights, Mapping)):
            expectation = "a mapping from labels to weights, 'balanced' or None"
            kind = ArgumentError if isinstance(weights, str) else ArgumentTypeError
            raise kind(refusal("class_weight", owner, expectation, weights))
        if not is_auto(self.label_smoothing):
            check_real(
                self.label_smoothing,
                "label_smoothing",
                owner,
                minimum=0,
                maximum=1,
                exclude_maximum=True,
            )

    def _check_classes(self, classes: NDArray[Any], *, fresh: bool) -> None:
        """Take the ``classes`` of ``partial_fit``, or compare them with those that are known."""
        if fresh:
            self.classes_ = _at_least_two(classes, type(self).__name__)
        elif not np.array_equal(classes, np.sort(self.classes_)):
            raise ArgumentError(
                "The 'classes' parameter of partial_fit must be the same in each call. "
                f"Got {classes} instead of {self.classes_}."
            )

    def _check_target(self, y: ArrayLike) -> NDArray[Any]:
        labels: NDArray[Any] = column_or_1d(y, warn=True)
        if labels.dtype.kind == "f" and not np.isfinite(labels).all():
            sample = int(np.isfinite(labels).argmin())
            raise DataError(
                f"Sample {sample} of y has the label {labels[sample]}. Labels must not be NaN or "
                "infinite: remove the sample, or give it a label of its own."
            )
        check_classification_targets(labels)
        return labels

    def _encode(self, y: NDArray[Any], counted: NDArray[np.bool_], *, reset: bool) -> NDArray[Any]:
        if reset:
            self.classes_ = _at_least_two(np.unique(y[counted]), type(self).__name__)
        return _codes(y, self.classes_, counted)

    def _described(self) -> dict[str, Any]:
        return described_labels(self.classes_)

    def _restore(self, extra: dict[str, Any], outputs: int) -> None:
        self.classes_ = labels_of(extra, outputs)

    def _encode_dataset(self, dataset: Dataset, *, reset: bool) -> NDArray[Any]:
        if dataset.y is None or dataset.classes is None:
            raise DataError(
                f"{type(self).__name__} needs classes, and the data set {dataset.name!r} has none."
            )
        if reset:
            self.classes_ = np.asarray(dataset.classes)
            return dataset.y
        return encode_classes(
            np.asarray(dataset.classes)[dataset.y],
            known=self.classes_.tolist(),
            what=f"The data set {dataset.name!r}",
        )[0]

    def _objective(self, data: TrainingSet, recipe: Recipe, *, reset: bool) -> Objective:
        del reset  # labels need no scale
        smoothing = (
            recipe.label_smoothing if is_auto(self.label_smoothing) else self.label_smoothing
        )
        weight = data.weight * self._weights_of_classes(data)[data.y]
        if not weight.any():
            raise ArgumentError(
                f"The 'class_weight' parameter of {type(self).__name__} is zero for each class "
                "that occurs. Give a positive weight to those that count."
            )
        loss = CrossEntropy(label_smoothing=float(smoothing))
        return Objective(loss, len(self.classes_), replace(data, weight=weight))

    def _weights_of_classes(self, data: TrainingSet) -> NDArray[np.float64]:
        if is_balanced(self.class_weight):
            ones: NDArray[np.float64] = np.ones(len(self.classes_))
            total = np.bincount(data.y, data.weight, minlength=len(ones))
            share = total.sum() / np.count_nonzero(total)
            np.divide(share, total, out=ones, where=total > 0)
            return ones
        weights: NDArray[np.float64] = compute_class_weight(
            self.class_weight, classes=self.classes_, y=self.classes_
        )
        bad = ~(np.isfinite(weights) & (weights >= 0))
        if bad.any():
            label = self.classes_[bad.argmax()].item()
            raise ArgumentError(
                f"The 'class_weight' parameter of {type(self).__name__} must hold finite weights "
                f"that are not negative. Got {weights[bad.argmax()]} for {label!r} instead."
            )
        return weights


def is_balanced(class_weight: object) -> bool:
    """Tell whether weights are to follow from the number of samples."""
    return isinstance(class_weight, str) and class_weight == "balanced"


def _at_least_two(classes: NDArray[Any], owner: str) -> NDArray[Any]:
    if len(classes) < 2:
        raise DataError(
            f"{owner} needs samples of at least two classes. The labels that count are "
            f"all of one class, {classes[:1].tolist()[0]!r}."
        )
    return classes


def _codes(y: NDArray[Any], classes: NDArray[Any], counted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the place of each label among the classes; those that do not count have any."""
    order = np.argsort(classes)  # those of a data set are in the order of its codes
    codes = order[np.searchsorted(classes, y, sorter=order).clip(max=len(classes) - 1)]
    unknown = counted & (classes[codes] != y)
    if unknown.any():
        sample = int(unknown.argmax())
        raise DataError(
            f"Sample {sample} of y has the label {describe(y[sample])}, which is not one of the "
            f"known classes {describe(classes.tolist())}. Give all of them as 'classes' in the "
            "first call of partial_fit."
        )
    numbers: NDArray[np.int64] = codes.astype(np.int64)
    return numbers
