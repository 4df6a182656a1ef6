"""What the image estimators have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from convoi.data import Dataset
from convoi.errors import DataError
from convoi.estimators.architecture import build_network
from convoi.estimators.incremental import Incremental, Pass
from convoi.estimators.layout import (
    PixelFormat,
    SampleLayout,
    check_image_shape,
    dataset_layout,
    training_layout,
)
from convoi.estimators.parameters import Parameters, is_auto
from convoi.estimators.persistence import Persistent
from convoi.estimators.recipes import choose_recipe
from convoi.estimators.training_set import (
    Objective,
    TrainingSet,
    check_finite,
    training_set,
)
from convoi.estimators.workers import one_thread_in_workers
from convoi.training import History, fit
from convoi.training.augment import as_augment
from convoi.training.early_stopping import as_early_stopping
from convoi.training.optimizers import as_optimizer
from convoi.training.weights import sample_weights

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray
    from typing_extensions import Self

    from convoi.estimators.recipes import Recipe
    from convoi.nn import Network
    from convoi.training import Callback, Checkpoint

_VALIDATION_FRACTION = 0.1  # set aside where early stopping needs some and none is given
_READ_SAMPLES = 512  # that are read at a time from a data set


@dataclass(frozen=True)
class Run:
    """What the call of a method decides about training, not the estimator.

    Attributes
    ----------
    network : Network or None
        What to go on with; None starts with a new network.
    validation : Dataset or None
        What to measure the network on after each epoch.
    callbacks, checkpoint, resume
        See :func:`convoi.training.fit`.
    mirrored : bool
        Whether mirrored images are as good, so that ``"auto"`` may mirror them.
    """

    network: Network | None = None
    validation: Dataset | None = None
    callbacks: Sequence[Callback] = ()
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None
    resume: bool = False
    mirrored: bool = False


class ImageEstimator(Persistent, Parameters, BaseEstimator, ABC):
    """Base of the image estimators."""

    network_: Network
    history_: History
    image_shape_: tuple[int, ...]
    pixel_format_: PixelFormat
    n_features_in_: int
    _incremental: Incremental | None

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train a network on images.

        Parameters
        ----------
        X : array-like of shape (n, height, width), (n, height, width, channels) or (n, values)
            Images of any real dtype. Flat rows are images if ``image_shape`` is set, and else
            rows of values without neighbours.
        y : array-like of shape (n,)
            Labels of any type for a classifier; values for a regressor, also several per sample,
            shape (n, outputs).
        sample_weight : array-like of shape (n,), optional
            How much each sample counts. Weight 2 is the same as giving the sample twice, weight
            0 as leaving it out.

        Returns
        -------
        self
            The estimator, fitted.

        Raises
        ------
        ValueError, TypeError
            If the data or a parameter cannot be used; the message names the sample or the
            parameter. Convoi's own errors derive from these.
        KeyboardInterrupt
            After Ctrl-C; the estimator then predicts with the network as far as it was trained.
        """
        self._check_parameters()
        network = getattr(self, "network_", None) if self.warm_start else None
        data = self._training_set(X, y, sample_weight, reset=network is None)
        return self._train(data, Run(network))

    def fit_dataset(
        self,
        dataset: Dataset,
        *,
        validation: Dataset | None = None,
        callbacks: Sequence[Callback] = (),
        checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
        resume: bool = False,
    ) -> Self:
        """Train a network on a data set, which may be larger than memory.

        Parameters
        ----------
        dataset : Dataset
            Images with labels or values, as :func:`convoi.data.open_source` gives them. Those
            that lie in files are read as they are needed.
        validation : Dataset, optional
            What the network is measured on after each epoch, instead of a part of ``dataset``.
        callbacks : sequence of Callback
            Called as the run goes; they can end it.
        checkpoint : Checkpoint or path-like, optional
            Where to save the run, after every epoch for a path.
        resume : bool, default=False
            Whether to continue the run that the checkpoint holds, if there is one.

        Returns
        -------
        self
            The estimator, fitted.

        Raises
        ------
        DataError
            If the samples are no images, or have no labels of the estimator's kind.
        ArgumentError, ArgumentTypeError, CheckpointError, DivergenceError
            See :func:`convoi.training.fit`.
        """
        self._check_parameters()
        y = self._encode_dataset(dataset, reset=True)
        layout = dataset_layout(dataset.sample_shape, type(self).__name__)
        self._set_layout(layout, PixelFormat.of_dataset(dataset))
        if isinstance(dataset.X, np.ndarray):
            weight = np.ones(len(dataset))
            data = training_set(dataset.X, y, weight, mapped=isinstance(dataset.X, np.memmap))
        else:
            data = TrainingSet(dataset.X, y, np.ones(len(dataset)))
        run = Run(
            validation=validation,
            callbacks=callbacks,
            checkpoint=checkpoint,
            resume=resume,
            mirrored=dataset.mirrored,
        )
        return self._train(data, run)

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401 - scikit-learn's Tags, which are untyped
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    @abstractmethod
    def _check_target(self, y: ArrayLike) -> NDArray[Any]:
        """Return labels or values as an array."""

    @abstractmethod
    def _encode(self, y: NDArray[Any], counted: NDArray[np.bool_], *, reset: bool) -> NDArray[Any]:
        """Return class codes or values; if ``reset``, those that count say what there is."""

    @abstractmethod
    def _encode_dataset(self, dataset: Dataset, *, reset: bool) -> NDArray[Any]:
        """Do as :meth:`_encode` for the labels of a data set."""

    @abstractmethod
    def _objective(self, data: TrainingSet, recipe: Recipe, *, reset: bool) -> Objective:
        """Return what to train towards; if ``reset``, the data say how targets are scaled."""

    def _scaled(self, y: NDArray[Any]) -> NDArray[Any]:
        """Return encoded targets in the network's terms."""
        return y

    def _training_set(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        *,
        reset: bool,
        known_target: bool = False,
    ) -> TrainingSet:
        """Return samples, encoded labels and weights after all checks.

        Parameters
        ----------
        X, y, sample_weight
            As given to ``fit``.
        reset : bool
            Whether the form of the samples and the meaning of the labels are new.
        known_target : bool
            Whether the meaning of the labels is known all the same.
        """
        owner = type(self).__name__
        if y is None:
            raise DataError(f"{owner} requires y to be passed, but the target y is None.")
        mapped = isinstance(X, np.memmap)
        samples = self._samples(X, reset=reset)
        target = self._check_target(y)
        check_consistent_length(samples, target)
        weight = sample_weights(sample_weight, len(samples), owner)
        codes = self._encode(target, weight > 0, reset=reset and not known_target)
        return training_set(samples, codes, weight, mapped=mapped)

    def _samples(self, X: ArrayLike, *, reset: bool) -> NDArray[Any]:
        """Return samples as a network takes them; learn their layout if ``reset``."""
        flat = (X.ndim if hasattr(X, "ndim") else np.asarray(X).ndim) <= 2
        array: NDArray[Any] = validate_data(
            self,
            X,
            reset=reset,
            dtype="numeric",
            ensure_2d=flat,
            allow_nd=True,
            ensure_all_finite=False,
        )
        owner = type(self).__name__
        if reset:
            image_shape = check_image_shape(self.image_shape, owner)
            layout = training_layout(array, image_shape, owner)
            self._set_layout(layout, PixelFormat.of_array(array))
        else:
            layout = SampleLayout(self.image_shape_)
            layout.check(array, owner)
        check_finite(array)
        return layout.samples(array)

    def _set_layout(self, layout: SampleLayout, pixel_format: PixelFormat) -> None:
        self.image_shape_ = layout.shape
        self.pixel_format_ = pixel_format
        self.n_features_in_ = layout.size

    def _train(self, data: TrainingSet, run: Run) -> Self:
        """Train a network, the old one or a new one, and keep it."""
        self._incremental = None
        recipe = choose_recipe(SampleLayout(self.image_shape_).input_shape, len(data))
        objective = self._objective(data, recipe, reset=run.network is None)
        seeds = self._seeds()
        augment = recipe.augmentation(run.mirrored) if is_auto(self.augment) else self.augment
        rate = recipe.learning_rate if is_auto(self.learning_rate) else self.learning_rate
        with one_thread_in_workers():
            # Set at once, so that a run that is interrupted leaves what it has reached.
            self.network_ = run.network or self._new_network(data, objective, seeds[0])
            self.history_ = fit(
                self.network_,
                objective.data.X,
                objective.data.y,
                epochs=recipe.epochs if is_auto(self.epochs) else self.epochs,
                batch_size=recipe.batch_size if is_auto(self.batch_size) else self.batch_size,
                optimizer=recipe.optimizer if is_auto(self.optimizer) else self.optimizer,
                learning_rate=rate,
                schedule=self.schedule,
                loss=objective.loss,
                augment=augment,
                validation_data=self._validation_of(run),
                sample_weight=objective.data.weight,
                callbacks=run.callbacks,
                early_stopping=self.early_stopping,
                checkpoint=run.checkpoint,
                resume=run.resume,
                random_state=seeds[1],
                threads=self.threads,
                precision=self.precision,
                verbose=self.verbose,
            )
        return self

    def _train_once(self, data: TrainingSet) -> Self:
        """Use each sample once, to train the old network further or a new one."""
        owner = type(self).__name__
        layout = SampleLayout(self.image_shape_)
        recipe = choose_recipe(layout.input_shape, len(data))
        network: Network | None = getattr(self, "network_", None)
        objective = self._objective(data, recipe, reset=network is None)
        seeds = self._seeds()
        chosen = recipe.optimizer if is_auto(self.optimizer) else self.optimizer
        optimizer = as_optimizer(chosen, owner)
        augment = recipe.augment if is_auto(self.augment) else self.augment
        rate = self.learning_rate
        settings = Pass(
            optimizer=optimizer,
            learning_rate=optimizer.default_learning_rate if is_auto(rate) else rate,
            batch_size=recipe.batch_size if is_auto(self.batch_size) else self.batch_size,
            augment=as_augment(augment, layout.input_shape[1:], owner),
            seed=seeds[1],
        )
        with one_thread_in_workers():
            network = network or self._new_network(data, objective, seeds[0])
            trainer = getattr(self, "_incremental", None)
            if trainer is None or trainer.network is not network:
                trainer = Incremental(
                    network, objective.loss, self.threads, precision=self.precision
                )
            record = trainer.train(objective.data, settings, owner)
        before = self.history_.epochs if hasattr(self, "history_") else ()
        record = replace(record, epoch=before[-1].epoch + 1 if before else 1)
        self.history_ = History((*before, record), monitor="loss", reason="epochs")
        self.network_, self._incremental = network, trainer
        return self

    def _new_network(self, data: TrainingSet, objective: Objective, seed: int | None) -> Network:
        return build_network(
            self.network,
            SampleLayout(self.image_shape_),
            data,
            objective.outputs,
            seed=seed,
            threads=self.threads,
            precision=self.precision,
            owner=type(self).__name__,
        )

    def _seeds(self) -> tuple[int | None, int | None]:
        """Return seeds for the initial parameters and for training."""
        if self.random_state is None:
            return None, None
        first, second = check_random_state(self.random_state).randint(2**31 - 1, size=2)
        return int(first), int(second)

    def _validation_of(self, run: Run) -> Any:  # noqa: ANN401 - what fit takes
        """Return what to validate on: a data set, a part of the samples or nothing."""
        if run.validation is not None:
            return self._validation_data(run.validation)
        if self.validation_fraction is None:
            stops = as_early_stopping(self.early_stopping, type(self).__name__) is not None
            return _VALIDATION_FRACTION if stops else None
        return self.validation_fraction

    def _validation_data(self, dataset: Dataset) -> tuple[Any, NDArray[Any]]:
        self._check_dataset(dataset)
        return dataset.X, self._scaled(self._encode_dataset(dataset, reset=False))

    def _outputs(self, X: ArrayLike | Dataset) -> NDArray[np.float64]:
        """Return what the network makes of samples, (n, outputs)."""
        check_is_fitted(self, "network_")
        if not isinstance(X, Dataset):
            samples = self._samples(X, reset=False)
            with one_thread_in_workers():
                return self.network_(samples).astype(np.float64)
        self._check_dataset(X)
        source = X.source
        outputs = np.empty((len(X), *self.network_.output_shape))
        with one_thread_in_workers():
            for start in range(0, len(X), _READ_SAMPLES):
                rows = np.arange(start, min(start + _READ_SAMPLES, len(X)))
                samples = self.pixel_format_.scaled(source.take(rows), X.value_range)
                outputs[rows] = self.network_(samples)
        return outputs

    def _check_dataset(self, dataset: Dataset) -> None:
        expected = SampleLayout(self.image_shape_).input_shape
        if dataset.sample_shape != expected:
            raise DataError(
                f"The data set {dataset.name!r} has samples of shape {dataset.sample_shape}, and "
                f"{type(self).__name__} was fitted with samples of shape {expected}."
            )
