"""What regressors have in common: the scale of their targets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_array, column_or_1d

from convoi.checks import refusal
from convoi.errors import ArgumentError, DataError
from convoi.estimators.base import NetworkEstimator
from convoi.estimators.model_fields import is_number, list_of, refuse
from convoi.estimators.statistics import channel_statistics
from convoi.estimators.training_set import Objective
from convoi.nn.losses import loss_operation
from convoi.ops import CrossEntropy

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from typing_extensions import Self

    from convoi.data import Dataset
    from convoi.estimators.recipes import Recipe
    from convoi.estimators.training_set import TrainingSet
    from convoi.nn import LossLike


@dataclass(eq=False, repr=False, kw_only=True)
class Regression(RegressorMixin, MultiOutputMixin, NetworkEstimator):
    """Base of the regressors."""

    loss: LossLike = "mean_squared"

    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train the network further, using each of some samples once.

        The first call decides about the network and the scale of its inputs and outputs. The
        learning rate is constant, by default the optimiser's.

        Parameters
        ----------
        X : array-like
            Samples, in any form that :meth:`fit` takes.
        y : array-like of shape (n,) or (n, n_outputs)
            Their values.
        sample_weight : array-like of shape (n,), optional
            How much each sample counts.

        Returns
        -------
        self
            The regressor, fitted.

        Raises
        ------
        ValueError, TypeError
            As :meth:`fit`.
        """
        self._check_parameters()
        network = getattr(self, "network_", None)
        data = self._training_set(X, y, sample_weight, reset=network is None)
        return self._train_once(data)

    def predict(self, X: ArrayLike | Dataset) -> NDArray[np.float64]:
        """Return the values that belong to each sample.

        Parameters
        ----------
        X : array-like or Dataset
            Samples of the form that the regressor was fitted with; or a data set, which is read a
            few samples at a time.

        Returns
        -------
        ndarray of shape (n,) or (n, n_outputs)
            As the targets of the training set.

        Raises
        ------
        NotFittedError
            If the regressor is not fitted.
        ValueError, TypeError
            If the samples have another form, or a value is NaN or infinite.
        """
        outputs = self._outputs(X) * self.target_scale_ + self.target_mean_
        return outputs.reshape(len(outputs), *self.target_shape_)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if isinstance(loss_operation(self.loss, type(self).__name__), CrossEntropy):
            expectation = "'mean_squared', 'mean_absolute', 'huber' or a loss for values"
            raise ArgumentError(refusal("loss", type(self).__name__, expectation, self.loss))

    def _check_target(self, y: ArrayLike) -> NDArray[Any]:
        values: NDArray[Any] = check_array(
            y, dtype=np.float64, ensure_2d=False, estimator=self, input_name="y"
        )
        if values.ndim == 2 and values.shape[1] == 1:
            values = column_or_1d(values, warn=True)
        return values

    def _encode(self, y: NDArray[Any], counted: NDArray[np.bool_], *, reset: bool) -> NDArray[Any]:
        del counted  # zero weights need no care: values have no classes
        if reset:
            self.target_shape_ = y.shape[1:]
        elif y.shape[1:] != self.target_shape_:
            raise DataError(
                f"y has values of shape {y.shape[1:]} for each sample, but {type(self).__name__} "
                f"was fitted with values of shape {self.target_shape_}."
            )
        return y.reshape(len(y), -1)

    def _described(self) -> dict[str, Any]:
        return {
            "target_mean": self.target_mean_.tolist(),
            "target_scale": self.target_scale_.tolist(),
            "single_target": self.target_shape_ == (),
        }

    def _restore(self, extra: dict[str, Any], outputs: int) -> None:
        for name in ("target_mean", "target_scale"):
            values = list_of(extra, name, is_number, lengths=(outputs,))
            setattr(self, f"{name}_", np.array(values, np.float64))
        single = extra.get("single_target")
        if not isinstance(single, bool) or (single and outputs != 1):
            refuse("The entry 'single_target' is invalid.")
        self.target_shape_ = () if single else (outputs,)

    def _encode_dataset(self, dataset: Dataset, *, reset: bool) -> NDArray[Any]:
        if dataset.y is None or dataset.classes is not None:
            has = "no labels" if dataset.y is None else "classes"
            raise DataError(
                f"{type(self).__name__} needs values, and the data set {dataset.name!r} has {has}. "
                "Open it with task='regression'."
            )
        values = dataset.y.astype(np.float64)
        return self._encode(values, np.ones(len(values), np.bool_), reset=reset)

    def _objective(self, data: TrainingSet, recipe: Recipe, *, reset: bool) -> Objective:
        del recipe  # nothing in it is for values
        if reset:
            self.target_mean_, self.target_scale_ = channel_statistics(data.y, data.weight)
        loss = loss_operation(self.loss, type(self).__name__)
        return Objective(loss, data.y.shape[1], replace(data, y=self._scaled(data.y)))

    def _scaled(self, y: NDArray[Any]) -> NDArray[Any]:
        scaled: NDArray[Any] = (y - self.target_mean_) / self.target_scale_
        return scaled
