"""Samples with what is known of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.data.sources import SampleSource, Subset, as_sample_source, checked_indices
from convoi.data.splitting import train_validation_split
from convoi.data.targets import encode_classes
from convoi.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from convoi.data.options import Label

_DTYPES = (np.dtype(np.uint8), np.dtype(np.float32))


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Samples in grid form, their labels, and what the labels mean.

    Attributes
    ----------
    name : str
        What the data are called, for reports.
    X : ndarray or SampleSource, shape (n, channels, *spatial)
        The samples, uint8 or float32: an array, a memory map, or a source that reads them as
        they are asked for.
    y : ndarray or None
        Class codes, int of shape (n,); or values to be predicted, float32 of shape (n,) or
        (n, outputs); or None where the samples have no labels.
    classes : tuple of str or int, or None
        What the class codes mean: code ``k`` is ``classes[k]``. None for values.
    value_range : tuple of two floats, or None
        The values that stand for black and white: (0, 255) for images, (0, 16) for ``digits``.
        None where that is unknown.
    mirrored : bool
        Whether a sample that is mirrored along its last axis is as good a sample: so it is for
        clothes, and not for digits. What is not known to be so, is not.

    Raises
    ------
    ArgumentError
        If the samples are of another dtype or have no axis of channels, or the labels do not fit
        the samples or the classes.

    Examples
    --------
    >>> from convoi.data import load_dataset
    >>> digits = load_dataset("digits").train
    >>> digits
    Dataset('digits', 1437 samples of shape (1, 8, 8), uint8, 10 classes)
    >>> training, validation = digits.split(0.2, random_state=0)
    >>> len(training), len(validation)
    (1149, 288)
    """

    name: str
    X: NDArray[Any] | SampleSource
    y: NDArray[Any] | None = None
    classes: tuple[Label, ...] | None = None
    value_range: tuple[float, float] | None = None
    mirrored: bool = False

    def __post_init__(self) -> None:
        if len(self.X.shape) < 3 or self.X.dtype not in _DTYPES:
            raise ArgumentError(
                "The 'X' parameter of Dataset must be uint8 or float32 of shape "
                f"(n, channels, *spatial). Got {self.X.dtype} of shape {self.X.shape} instead."
            )
        self._check_labels()

    def _check_labels(self) -> None:
        """Raise unless there is a label for each sample, of a known class."""
        owner = type(self).__name__
        if self.y is None:
            return
        if len(self.y) != len(self):
            raise ArgumentError(
                f"The 'y' parameter of {owner} must have one row for each of the {len(self)} "
                f"samples. Got {len(self.y)} instead."
            )
        if self.classes is not None and (
            self.y.dtype.kind not in "iu"
            or self.y.ndim != 1
            or (len(self) and not 0 <= self.y.min() <= self.y.max() < len(self.classes))
        ):
            raise ArgumentError(
                f"The 'y' parameter of {owner} must be class codes, integers of shape (n,) from 0 "
                f"to {len(self.classes) - 1}, when 'classes' is given. "
                f"Got {self.y.dtype} of shape {self.y.shape} instead."
            )

    def __len__(self) -> int:
        return self.X.shape[0]

    def __repr__(self) -> str:
        return (
            f"Dataset({self.name!r}, {len(self)} samples of shape {self.sample_shape}, "
            f"{self.dtype}, {self._target()})"
        )

    def _target(self) -> str:
        if self.y is None:
            return "no labels"
        return "values to predict" if self.classes is None else f"{len(self.classes)} classes"

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the samples."""
        return self.X.dtype

    @property
    def is_series(self) -> bool:
        """Whether the samples have one axis besides the channels: time."""
        return len(self.sample_shape) == 2

    @property
    def labels(self) -> NDArray[Any] | None:
        """The label of each sample, or its value, as an estimator takes them."""
        if self.y is None or self.classes is None:
            return self.y
        labels: NDArray[Any] = np.asarray(self.classes)[self.y]
        return labels

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """``(channels, *spatial)``: the input shape of a network for these samples."""
        return tuple(self.X.shape[1:])

    @property
    def source(self) -> SampleSource:
        """The samples as a source, whatever :attr:`X` is."""
        return as_sample_source(self.X)

    def class_counts(self) -> dict[Label, int]:
        """Return the number of samples of each class.

        Raises
        ------
        DataError
            If the data set has no classes.
        """
        y, classes = self._coded()
        counts = np.bincount(y, minlength=len(classes)).tolist()
        return dict(zip(classes, counts, strict=True))

    def subset(self, indices: ArrayLike) -> Dataset:
        """Return the samples with these numbers, without reading or copying any of them.

        Parameters
        ----------
        indices : array-like of int, shape (k,)
            Numbers of samples; negative ones count from the end.

        Returns
        -------
        Dataset
            Its ``X`` is a source that refers to this data set's.

        Raises
        ------
        IndexError
            If a number is out of range.
        """
        chosen = checked_indices(indices, len(self))
        y = None if self.y is None else self.y[chosen]
        return replace(self, X=Subset(self.source, chosen), y=y)

    def split(
        self,
        fraction: float,
        random_state: int | np.random.RandomState | np.random.Generator | None = None,
    ) -> tuple[Dataset, Dataset]:
        """Set samples aside: return the part to train on and the part to validate on.

        Parameters and errors are those of :func:`train_validation_split`; errors name the class
        by its label.
        """
        if self.y is None:
            raise DataError(f"The data set {self.name!r} has no labels to split by.")
        labels = self.y if self.classes is None else np.asarray(self.classes)[self.y]
        train, validation = train_validation_split(labels, fraction, random_state)
        return self.subset(train), self.subset(validation)

    def with_classes(self, classes: Sequence[Label]) -> Dataset:
        """Return the data set with its labels coded by other classes, such as a model's.

        Parameters
        ----------
        classes : sequence of str or int
            Code ``k`` will be ``classes[k]``. A label belongs to the class that reads the same:
            the folder ``'7'`` to the class ``7``.

        Returns
        -------
        Dataset
            The same samples.

        Raises
        ------
        DataError
            If a sample is of a class that is not among ``classes``, or there are no classes.
        """
        y, own = self._coded()
        codes, known = encode_classes(
            np.asarray(own)[y], known=classes, what=f"The data set {self.name!r}"
        )
        return replace(self, y=codes, classes=known)

    def _coded(self) -> tuple[NDArray[Any], tuple[Label, ...]]:
        if self.y is None or self.classes is None:
            raise DataError(f"The data set {self.name!r} has no classes.")
        return self.y, self.classes


@dataclass(frozen=True, eq=False)
class DatasetSplits:
    """A training set, and the test set that was published or stored with it.

    Attributes
    ----------
    train : Dataset
        All the samples, if there is no test set.
    test : Dataset or None
        Samples that were set aside, with the same sample shape, dtype and classes; series may
        have other lengths.
    """

    train: Dataset
    test: Dataset | None = None

    def __post_init__(self) -> None:
        if self.test is None:
            return
        series = self.train.is_series and self.test.is_series
        shapes = [part.sample_shape for part in (self.train, self.test)]
        if series:
            shapes = [shape[:1] for shape in shapes]  # the channels: lengths may differ
        if shapes[0] != shapes[1]:
            raise DataError(
                f"The test samples of {self.train.name!r} have shape {self.test.sample_shape}, "
                f"and its training samples {self.train.sample_shape}. They must be the same."
            )
        if self.test.dtype != self.train.dtype:
            raise DataError(
                f"The test samples of {self.train.name!r} are {self.test.dtype}, and its "
                f"training samples {self.train.dtype}: their values may be in different ranges. "
                "Store both in one dtype."
            )
        if self.test.classes != self.train.classes:
            raise DataError(
                f"The test labels of {self.train.name!r} are of another kind than its training "
                "labels. Both must be classes, or both values."
            )

    @property
    def held_out(self) -> Dataset:
        """What a model is evaluated on: the test set where there is one, else all samples."""
        return self.train if self.test is None else self.test
