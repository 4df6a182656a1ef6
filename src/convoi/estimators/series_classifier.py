"""Classification of time series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy.special import softmax

from convoi.checks import check_flag
from convoi.errors import ArgumentError
from convoi.estimators.classification import Classification
from convoi.estimators.fixed_kernels import FixedKernels
from convoi.estimators.model_fields import refuse
from convoi.estimators.parameters import Auto, is_auto
from convoi.estimators.series import SeriesEstimator
from convoi.nn import UnequalSeries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from typing_extensions import Self

    from convoi.estimators.recipes import Recipe
    from convoi.estimators.training_set import Objective, TrainingSet


@dataclass(eq=False, repr=False, kw_only=True)
class SeriesClassifier(Classification, SeriesEstimator):
    """Classifier of time series by convolutional networks, with scikit-learn's interface.

    Series may have several channels and unequal lengths. Those are not resampled: they are padded,
    and masks keep the padding out of convolutions, statistics and means, so that a series has the
    same probabilities alone and among longer ones.

    Parameters
    ----------
    network : str, Layer or callable, default='auto'
        Name of one of :data:`convoi.nn.networks.NETWORKS`, such as ``'fcn'``, ``'resnet_1d'``,
        ``'inception_time'``, ``'lite'`` or ``'tcn'``; or layers that end in one output per class;
        or a function from the number of classes to such layers.
    normalize : {'auto', 'channel', 'series', 'both'} or None, default='auto'
        What series are standardised with: mean and deviation of each channel in the training set,
        or of each channel of the series itself, which removes its level and size; or nothing.
        With ``'both'``, the networks of an ensemble take turns, so that some see what there is in
        levels and others are not misled by them. ``'auto'`` is that for an ensemble, and else
        ``'channel'``.
    missing : {'error', 'mask'}, default='error'
        What becomes of missing values, which are NaN. ``'mask'`` puts zero (after normalisation)
        and adds a channel for each that tells where there are values.
    ensemble : int or 'auto', default='auto'
        How many networks are trained, from different initial parameters; their probabilities are
        averaged. InceptionTime is ``network='inception_time', ensemble=5``.
    fixed_kernels : bool or 'auto', default='auto'
        Whether MiniRocket's fixed kernels, with a ridge classifier of their features, vote beside
        the networks: their probabilities then count one half. ``'auto'`` is that for 17 time steps
        and more and up to 5,000 series, where `network` and `ensemble` are ``'auto'``, too.
    epochs, batch_size, optimizer, learning_rate, schedule
        As for :class:`ImageClassifier`.
    augment : Augment, {'auto', 'light', 'natural', 'strong'} or None, default='auto'
        As for :class:`ImageClassifier`; series of unequal length are moved within their own.
    early_stopping, validation_fraction, random_state, threads, precision, verbose
        As for :class:`ImageClassifier`.
    warm_start : bool, default=False
        Whether ``fit`` goes on with the networks of the last fit, instead of new ones.
    class_weight, label_smoothing
        As for :class:`ImageClassifier`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels; output ``k`` of the network belongs to ``classes_[k]``.
    network_ : Network
        The trained network, whose inputs are normalised series and whose outputs are logits; for
        an ensemble all networks in one, whose outputs are the sums of their probabilities.
    networks_ : tuple of Network
        The members of the ensemble; after :meth:`load` there are none. Each takes its own part of
        the normalised series, see :meth:`Normalization.view`.
    members_ : int
        How many they are.
    fixed_kernels_ : FixedKernels or None
        What votes beside the networks; ``partial_fit`` leaves it as it is. ``network_`` is without
        it.
    normalization_ : Normalization
        How series become inputs of the network.
    history_ : History
        The figures of each epoch, of the first network.
    channels_ : int
        Number of channels.
    length_ : int or None
        Number of time steps; None if the estimator was fitted with series of unequal lengths, and
        predicts those of any.
    n_features_in_ : int
        Number of values of a series; of a time step, where lengths differ.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if X was a data frame of numbers with string names.

    See Also
    --------
    SeriesRegressor : Predicts values.
    convoi.nn.Network.predict_long : Labels each time step of long recordings.

    Notes
    -----
    The training set is taken as what it is, a set: the order of its samples does not matter, and
    a weight is a number of repetitions.

    The length that a series is padded to follows from its own length alone: 4, 6, 8, 12, 16 and
    so on, twice per doubling. A program is compiled for each that occurs.

    Examples
    --------
    Rising and falling series of 20 to 40 time steps:

    >>> import numpy as np
    >>> from convoi import SeriesClassifier
    >>> rng = np.random.default_rng(0)
    >>> y = rng.choice(["falling", "rising"], 60)
    >>> X = [
    ...     np.linspace(0, 1 if label == "rising" else -1, length) + rng.normal(0, 0.3, length)
    ...     for label, length in zip(y, rng.integers(20, 40, 60))
    ... ]
    >>> classifier = SeriesClassifier(epochs=10, ensemble=1, random_state=0).fit(X[:40], y[:40])
    >>> classifier.score(X[40:], y[40:]) > 0.8
    True
    """

    fixed_kernels: bool | Auto = "auto"

    kind: ClassVar[str] = "SeriesClassifier"
    adds_probabilities: ClassVar[bool] = True

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if is_auto(self.fixed_kernels):
            return
        owner = type(self).__name__
        check_flag(self.fixed_kernels, "fixed_kernels", owner)
        if self.fixed_kernels and self.missing == "mask":
            raise ArgumentError(
                f"The fixed kernels of {owner} take no missing values. Set fixed_kernels=False, or "
                "fill the gaps and set missing='error'."
            )

    def _fit_beside(self, objective: Objective, recipe: Recipe) -> None:
        wanted = self.fixed_kernels
        if is_auto(wanted):
            by_itself = is_auto(self.network) and is_auto(self.ensemble)
            wanted = by_itself and recipe.fixed_kernels and self.missing != "mask"
        self.fixed_kernels_ = None
        if not wanted:
            return
        data = objective.data
        ((seed, _),) = self._seeds(1)
        self.fixed_kernels_ = FixedKernels.fit(
            self._seen_by_kernels(data.X),
            data.y,
            data.weight,
            objective.outputs,
            seed=seed,
            threads=self.threads,
        )

    def _train_once(self, data: TrainingSet) -> Self:
        if not hasattr(self, "network_"):
            self.fixed_kernels_ = None
        return super()._train_once(data)

    def _seen_by_kernels(self, samples: Any) -> Any:  # noqa: ANN401 - an array or series
        """Return the first channels of normalised series: of two kinds, those by training set."""
        if isinstance(samples, UnequalSeries):
            parts = tuple(part[: self.channels_] for part in samples.series)
            return UnequalSeries(parts, samples.lengths)
        return samples[:, : self.channels_]

    def _output(self, samples: Any) -> NDArray[Any]:  # noqa: ANN401 - an array or series
        output = super()._output(samples)
        kernels = self.fixed_kernels_
        if self.members_ > 1:
            output = output / self.members_
        elif kernels is None:
            return output
        else:
            output = softmax(output.astype(np.float64), axis=1)
        if kernels is not None:
            own = kernels.probabilities(self._seen_by_kernels(samples), threads=self.threads)
            output = (output + own) / 2
        # Logarithms of probabilities are logits.
        return np.log(np.maximum(output, np.finfo(np.float32).tiny))

    def _described(self) -> dict[str, Any]:
        kernels = self.fixed_kernels_
        return {
            **super()._described(),
            "fixed_kernels": None if kernels is None else kernels.described()[0],
        }

    def _arrays(self) -> dict[str, NDArray[Any]]:
        kernels = self.fixed_kernels_
        return {} if kernels is None else kernels.described()[1]

    def _restore_arrays(self, extra: dict[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        described = extra.get("fixed_kernels")
        if described is None:
            super()._restore_arrays(extra, arrays)
            self.fixed_kernels_ = None
            return
        if not isinstance(described, dict):
            refuse("The entry 'fixed_kernels' is invalid: it is no dictionary.")
        self.fixed_kernels_ = FixedKernels.restored(
            described,
            arrays,
            channels=self.channels_,
            classes=len(self.classes_),
            threads=self.threads,
        )
