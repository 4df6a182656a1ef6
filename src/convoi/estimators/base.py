"""What all estimators have in common: training one or several networks on checked samples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from convoi.data import Dataset
from convoi.errors import ArgumentError, DataError
from convoi.estimators.incremental import Incremental, Pass
from convoi.estimators.parameters import Parameters, is_auto
from convoi.estimators.persistence import Persistent
from convoi.estimators.recipes import choose_recipe
from convoi.estimators.training_set import TrainingSet, training_set
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
    from convoi.estimators.training_set import Objective
    from convoi.nn import Network, UnequalSeries
    from convoi.ops import Shape
    from convoi.training import Callback, Checkpoint

_VALIDATION_FRACTION = 0.1  # set aside where early stopping needs some and none is given
_READ_SAMPLES = 512  # that are read at a time from a data set


@dataclass(frozen=True)
class Run:
    """What the call of a method decides about training, not the estimator.

    Attributes
    ----------
    networks : sequence of Network
        What to go on with; without any, new ones are made.
    validation : Dataset or None
        What to measure the network on after each epoch.
    callbacks, checkpoint, resume
        See :func:`convoi.training.fit`.
    mirrored : bool
        Whether mirrored images are as good, so that ``"auto"`` may mirror them.
    member : int
        Which network of an ensemble is trained.
    """

    networks: Sequence[Network] = ()
    validation: Dataset | None = None
    callbacks: Sequence[Callback] = ()
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None
    resume: bool = False
    mirrored: bool = False
    member: int = 0


class NetworkEstimator(Persistent, Parameters, BaseEstimator, ABC):
    """Base of the estimators."""

    network_: Network
    history_: History
    n_features_in_: int
    _incremental: list[Incremental] | None

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train a network on samples."""
        self._check_parameters()
        networks = self._trained() if self.warm_start else ()
        data = self._training_set(X, y, sample_weight, reset=not networks)
        return self._train(data, Run(networks))

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
            Samples with labels or values, as :func:`convoi.data.open_source` gives them. Those
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
            If the samples have another form, or no labels of the estimator's kind.
        ArgumentError, ArgumentTypeError, CheckpointError, DivergenceError
            See :func:`convoi.training.fit`.
        """
        self._check_parameters()
        self._learn_form(dataset)
        y = self._encode_dataset(dataset, reset=True)
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

    @property
    @abstractmethod
    def _input_shape(self) -> Shape:
        """The shape of a sample as a network takes it, of the longest one where they differ."""

    @abstractmethod
    def _samples(self, X: Any, *, reset: bool) -> NDArray[Any] | UnequalSeries:  # noqa: ANN401 - any container
        """Return samples after all checks; learn their form if ``reset``."""

    @abstractmethod
    def _learn_form(self, dataset: Dataset) -> None:
        """Learn the form of the samples of a data set."""

    @abstractmethod
    def _check_form(self, dataset: Dataset) -> None:
        """Raise unless a data set has samples of the form that was learned."""

    @abstractmethod
    def _new_network(self, data: TrainingSet, objective: Objective, seed: int | None) -> Network:
        """Return a network that is to be trained."""

    def _prepared(self, data: TrainingSet, *, reset: bool) -> TrainingSet:
        """Return samples as a network takes them; ``reset``: learn from them how."""
        del reset  # most networks do it themselves
        return data

    def _inputs(self, samples: Any) -> Any:  # noqa: ANN401 - an array or series
        """Return checked samples as the trained network takes them."""
        return samples

    def _from_dataset(self, samples: NDArray[Any], dataset: Dataset) -> NDArray[Any]:
        """Return samples of a data set as the trained network takes them."""
        del dataset
        return samples

    def _trained(self) -> Sequence[Network]:
        """Return the networks that were trained before."""
        return (self.network_,) if hasattr(self, "network_") else ()

    def _for_member(self, X: Any, number: int) -> Any:  # noqa: ANN401 - what fit takes
        """Return what a network of an ensemble is trained on."""
        del number
        return X

    def _keep(self, networks: Sequence[Network]) -> None:
        """Keep the networks that are trained, which may be trained further."""
        (self.network_,) = networks

    def _members(self, recipe: Recipe) -> int:
        """Return how many networks are trained."""
        del recipe
        return 1

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

    def _fit_beside(self, objective: Objective, recipe: Recipe) -> None:
        """Fit what predicts beside the networks: for most estimators nothing."""

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

    def _train(self, data: TrainingSet, run: Run) -> Self:
        """Train networks, the old ones or new ones, and keep them."""
        self._incremental = None
        reset = not run.networks
        data = self._prepared(data, reset=reset)
        recipe = choose_recipe(self._input_shape, len(data))
        objective = self._objective(data, recipe, reset=reset)
        members = len(run.networks) or self._members(recipe)
        self._check_run(run, members)
        seeds = self._seeds(members)
        networks = list(run.networks)
        histories = []
        with one_thread_in_workers():
            self._fit_beside(objective, recipe)
            for number, (first, second) in enumerate(seeds):
                if number == len(networks):
                    networks.append(self._new_network(data, objective, first))
                # Kept before it is trained, and when training is interrupted, too.
                self._keep(networks)
                try:
                    own = replace(run, member=number)
                    histories.append(self._fit(networks[number], objective, recipe, own, second))
                finally:
                    self._keep(networks)
        self.history_ = histories[0]
        return self

    def _fit(
        self,
        network: Network,
        objective: Objective,
        recipe: Recipe,
        run: Run,
        seed: int | None,
    ) -> History:
        augment = recipe.augmentation(run.mirrored) if is_auto(self.augment) else self.augment
        rate = recipe.learning_rate if is_auto(self.learning_rate) else self.learning_rate
        return fit(
            network,
            self._for_member(objective.data.X, run.member),
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
            random_state=seed,
            threads=self.threads,
            precision=self.precision,
            verbose=self.verbose,
        )

    def _check_run(self, run: Run, members: int) -> None:
        if run.checkpoint is not None and members > 1:
            raise ArgumentError(
                f"A checkpoint of {type(self).__name__} holds the run of one network, and "
                f"{members} are trained. Set ensemble=1, or leave the checkpoint out."
            )

    def _train_once(self, data: TrainingSet) -> Self:
        """Use each sample once, to train the old networks further or new ones."""
        owner = type(self).__name__
        networks = list(self._trained())
        reset = not networks
        data = self._prepared(data, reset=reset)
        recipe = choose_recipe(self._input_shape, len(data))
        objective = self._objective(data, recipe, reset=reset)
        seeds = self._seeds(len(networks) or self._members(recipe))
        trainers: list[Incremental] = getattr(self, "_incremental", None) or []
        records = []
        with one_thread_in_workers():
            for number, (first, second) in enumerate(seeds):
                if reset:
                    networks.append(self._new_network(data, objective, first))
                network = networks[number]
                if number == len(trainers) or trainers[number].network is not network:
                    trainer = Incremental(
                        network, objective.loss, self.threads, precision=self.precision
                    )
                    trainers = [*trainers[:number], trainer]
                settings = self._pass(recipe, second)
                own = replace(objective.data, X=self._for_member(objective.data.X, number))
                records.append(trainers[number].train(own, settings, owner))
        before = self.history_.epochs if hasattr(self, "history_") else ()
        record = replace(records[0], epoch=before[-1].epoch + 1 if before else 1)
        self.history_ = History((*before, record), monitor="loss", reason="epochs")
        self._keep(networks)
        self._incremental = trainers
        return self

    def _pass(self, recipe: Recipe, seed: int | None) -> Pass:
        """Return how samples are used that arrive bit by bit."""
        owner = type(self).__name__
        chosen = recipe.optimizer if is_auto(self.optimizer) else self.optimizer
        optimizer = as_optimizer(chosen, owner)
        augment = recipe.augment if is_auto(self.augment) else self.augment
        rate = self.learning_rate
        return Pass(
            optimizer=optimizer,
            learning_rate=optimizer.default_learning_rate if is_auto(rate) else rate,
            batch_size=recipe.batch_size if is_auto(self.batch_size) else self.batch_size,
            augment=as_augment(augment, self._input_shape[1:], owner),
            seed=seed,
        )

    def _seeds(self, members: int) -> list[tuple[int | None, int | None]]:
        """Return seeds for the initial parameters and for training of each network."""
        if self.random_state is None:
            return [(None, None)] * members
        source = check_random_state(self.random_state)
        drawn = source.randint(2**31 - 1, size=2 * members).tolist()
        return list(zip(drawn[::2], drawn[1::2], strict=True))

    def _validation_of(self, run: Run) -> Any:  # noqa: ANN401 - what fit takes
        """Return what to validate on: a data set, a part of the samples or nothing."""
        if run.validation is not None:
            X, y = self._validation_data(run.validation)
            return self._for_member(X, run.member), y
        if self.validation_fraction is None:
            stops = as_early_stopping(self.early_stopping, type(self).__name__) is not None
            return _VALIDATION_FRACTION if stops else None
        return self.validation_fraction

    def _validation_data(self, dataset: Dataset) -> tuple[Any, NDArray[Any]]:
        self._check_form(dataset)
        y = self._scaled(self._encode_dataset(dataset, reset=False))
        return self._inputs(dataset.X), y

    def _outputs(self, X: ArrayLike | Dataset) -> NDArray[np.float64]:
        """Return what the network makes of samples, (n, outputs)."""
        check_is_fitted(self, "network_")
        if not isinstance(X, Dataset):
            samples = self._inputs(self._samples(X, reset=False))
            with one_thread_in_workers():
                return self._output(samples).astype(np.float64)
        self._check_form(X)
        source = X.source
        outputs = np.empty((len(X), *self.network_.output_shape))
        with one_thread_in_workers():
            for start in range(0, len(X), _READ_SAMPLES):
                rows = np.arange(start, min(start + _READ_SAMPLES, len(X)))
                samples = self._from_dataset(source.take(rows), X)
                outputs[rows] = self._output(samples)
        return outputs

    def _output(self, samples: Any) -> NDArray[Any]:  # noqa: ANN401 - an array or series
        """Return what the network makes of samples that it takes."""
        return self.network_(samples)
