"""Estimators in model files: how they are written and read back.

What an estimator knows besides its network is a dictionary in the file's metadata, see
:mod:`convoi.nn.model_file`:

===============  ===================================================================================
Key              Value
===============  ===================================================================================
estimator        ``ImageClassifier``, ``ImageRegressor``, ``SeriesClassifier``, ``SeriesRegressor``
image_shape      Of images: the form of one sample, a list of 1 to 3 integers
value_range      Of images: the values that stand for black and white, or null
fit              Of images: how one of another size is brought to that of the samples
channels         Of series: their number
length           Of series: time steps, or null where lengths differ
normalize        Of series: ``channel``, ``series``, ``both`` or null
series_mean      Of series normalised by channel: one number for each, or null
series_scale     Of series normalised by channel: one number for each, or null
missing          Of series: ``error`` or ``mask``
members          Of series: networks whose outputs the network adds up
fixed_kernels    Of a classifier of series: what votes beside the networks, see
                 :mod:`convoi.estimators.kernel_tensors`; or null
feature_names    Names of the columns, or null
label_type       Of a classifier: the dtype of its labels
labels           Of a classifier: the labels in the order of the outputs
target_mean      Of a regressor: one number for each output
target_scale     Of a regressor: one number for each output
single_target    Of a regressor: whether predictions are numbers, not rows of them
history          Figures of the epochs of training, without times; may be missing
===============  ===================================================================================

Reading a file trusts nothing in it: what is missing, of another type or does not fit the network
raises :class:`~convoi.errors.ModelFileError`.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from sklearn.utils.validation import check_is_fitted

from convoi.checks import describe
from convoi.errors import ModelFileError
from convoi.estimators.kept_history import described_history, history_of
from convoi.estimators.model_fields import refuse
from convoi.nn import Network
from convoi.nn.model_file import read_model, write_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from typing_extensions import Self

    from convoi.compiler.pipeline import Precision
    from convoi.training import History


class Persistent:
    """What an estimator that is kept in a model file can do."""

    kind: ClassVar[str]
    """The entry ``estimator`` of its files."""

    network_: Network
    history_: History

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to a file that ``load`` and ``convoi predict`` read.

        The file holds the network, what its outputs mean and the figures of its training, not
        the parameters of the constructor. It holds no code; :func:`convoi.load` reads the network
        alone.

        Parameters
        ----------
        path : str or PathLike
            The file; an existing one is replaced.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ArgumentTypeError
            If the labels are neither numbers, strings nor booleans.
        OSError
            If the file cannot be written.
        """
        check_is_fitted(self, "network_")
        extra: dict[str, Any] = {
            "estimator": self.kind,
            **self._described_samples(),
            **self._described(),
        }
        if hasattr(self, "history_"):
            extra["history"] = described_history(self.history_)
        write_model(path, self.network_.graph, self.network_.parameters, extra, self._arrays())

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        threads: int | None = None,
        precision: Precision = "default",
    ) -> Self:
        """Read a fitted model from a file that ``save`` or ``convoi train`` wrote.

        Parameters
        ----------
        path : str or PathLike
            The file. Reading it runs no code from it.
        threads, precision
            Parameters of the estimator; the others have their defaults.

        Returns
        -------
        estimator
            Fitted.

        Raises
        ------
        ModelFileError
            If the file cannot be read, is damaged, or holds no model of this class.
        """
        model = read_model(path)
        try:
            kind = kind_of(model.extra)
            if kind != cls.kind:
                refuse(f"It holds a model of {kind}, which {kind}.load reads.")
            estimator = cls(threads=threads, precision=precision)  # type: ignore[call-arg]  # of the estimators
            estimator.network_ = Network(
                model.graph,
                dtype=model.dtype,
                parameters=model.parameters,
                threads=threads,
                precision=precision,
            )
            history = history_of(model.extra)
            if history is not None:
                estimator.history_ = history
            estimator._restore_samples(model.extra)
            estimator._restore(model.extra, estimator.network_.output_shape[0])
            estimator._restore_arrays(model.extra, model.arrays)
        except ModelFileError as error:
            raise ModelFileError(
                f"The model file {os.fspath(path)!r} cannot be used. {error}"
            ) from error
        return estimator

    @abstractmethod
    def _described(self) -> dict[str, Any]:
        """Return the entries that only this kind of estimator has."""

    @abstractmethod
    def _restore(self, extra: dict[str, Any], outputs: int) -> None:
        """Set the fitted attributes that only this kind of estimator has."""

    def _arrays(self) -> dict[str, NDArray[Any]]:
        """Return tensors of the file besides the network's parameters: of most estimators none."""
        return {}

    def _restore_arrays(self, extra: dict[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Set what such tensors hold, after all else is restored."""
        del extra
        if arrays:
            refuse(f"It has tensors that no {self.kind} has: {describe(sorted(arrays))}.")

    @abstractmethod
    def _described_samples(self) -> dict[str, Any]:
        """Return the entries that tell what samples are."""

    @abstractmethod
    def _restore_samples(self, extra: dict[str, Any]) -> None:
        """Set what is known of samples, after comparing it with the network."""


KINDS = ("ImageClassifier", "ImageRegressor", "SeriesClassifier", "SeriesRegressor")
"""The kinds of estimators that files hold."""


def kind_of(extra: dict[str, Any]) -> str:
    """Return the kind of estimator that a file's metadata describe."""
    kind = extra.get("estimator")
    if not isinstance(kind, str) or kind not in KINDS:
        refuse(f"The entry 'estimator' is invalid: {describe(kind)}.")
    return kind
