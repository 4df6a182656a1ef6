"""What a network is trained towards: a loss, and the targets that it accepts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.checks import refusal
from convoi.errors import ArgumentError, ArgumentTypeError, DataError
from convoi.ops import CrossEntropy, Softmax
from convoi.training.step_targets import NO_TARGET, known_steps, without_padding

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from convoi.nn.network import Network
    from convoi.ops import Loss, Shape

__all__ = ["Objective"]


@dataclass(frozen=True)
class Objective:
    """A loss for predictions of one shape.

    Attributes
    ----------
    loss : Loss
        The operation.
    prediction_shape : tuple of int
        The network's output shape.
    dtype : dtype
        What the network computes in.
    """

    loss: Loss
    prediction_shape: Shape
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, network: Network, loss: Loss, owner: str) -> Objective:
        """Return the objective of a network; raise if its output is nothing for the loss."""
        (output,) = network.graph.outputs
        shape = network.output_shape
        if isinstance(loss, CrossEntropy):
            if len(shape) < 1 or shape[0] < 2:
                raise ArgumentError(
                    f"The loss 'cross_entropy' of {owner} needs one output for each class, two at "
                    f"least. The network's output shape is {shape}. Let it end in one output per "
                    "class, or choose a loss for values, such as 'mean_squared'."
                )
            if any(
                node.name == output and isinstance(node.op, Softmax) for node in network.graph.nodes
            ):
                raise ArgumentError(
                    f"The loss 'cross_entropy' of {owner} takes logits and contains the softmax. "
                    "The network ends in Softmax. Remove that layer."
                )
        return cls(loss, shape, network.dtype)

    @property
    def classifies(self) -> bool:
        """Whether targets are classes, not values."""
        return isinstance(self.loss, CrossEntropy)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.prediction_shape[0]

    @property
    def metric(self) -> str:
        """The figure that is reported besides the loss."""
        return "accuracy" if self.classifies else "r2"

    @property
    def target_shape(self) -> Shape:
        """Shape of the target of one sample."""
        return self.loss.target_shape(self.prediction_shape)

    def targets(self, y: ArrayLike, count: int, owner: str, name: str = "y") -> NDArray[Any]:
        """Return targets after all checks, in the dtype that they came in.

        Parameters
        ----------
        y : array-like of shape (n, *target_shape)
            Class codes or values. Values for networks with a single output may have shape (n,).
        count : int
            Number of samples.
        owner, name : str
            The function and its parameter, for messages.

        Returns
        -------
        ndarray of shape (n, *target_shape)
            Not copied.

        Raises
        ------
        ArgumentTypeError
            If the dtype is wrong.
        DataError
            If the shape or a value is wrong.
        """
        array = np.asarray(y)
        if self.classifies:
            self._check_class_dtype(array, name, owner)
        elif array.dtype.kind not in "biuf":
            raise ArgumentTypeError(refusal(name, owner, "an array of numbers", y))
        elif array.shape == (count,) and prod(self.target_shape) == 1:
            array = array.reshape(count, *self.target_shape)
        self._check_shape(array, count, name, owner)
        if self.classifies:
            self._check_codes(array, name, owner)
        else:
            self._check_finite(array, name, owner)
        return array

    def step_targets(
        self, y: ArrayLike, steps: NDArray[np.int64], owner: str, name: str = "y"
    ) -> NDArray[Any]:
        """Return targets for each time step of series of unequal length, after all checks.

        Parameters
        ----------
        y : sequence of array-like, each of shape (steps,) or (outputs, steps)
            The class codes of each series; or its values, of shape (steps,) where there is one
            output.
        steps : ndarray of int64, shape (n,)
            How many outputs the network has for each series.
        owner, name : str
            The function and its parameter, for messages.

        Returns
        -------
        ndarray of int32, shape (n, the most steps), or of float64, shape (n, outputs, the most)
            Padded behind the end of a series.

        Raises
        ------
        ArgumentTypeError
            If the dtype is wrong.
        DataError
            If a length or a value is wrong.
        """
        kind = "class codes" if self.classifies else "values"
        expectation = f"a list of {len(steps)} arrays, the {kind} of each series"
        if not isinstance(y, (Sequence, np.ndarray)) or isinstance(y, (str, bytes)):
            raise ArgumentTypeError(refusal(name, owner, expectation, y))
        if len(y) != len(steps):
            raise DataError(refusal(name, owner, expectation, y))
        *outputs, _ = self.target_shape
        shape = (len(steps), *outputs, int(steps.max()))
        targets: NDArray[Any] = (
            np.full(shape, NO_TARGET, np.int32) if self.classifies else np.full(shape, np.nan)
        )
        for number, (given, count) in enumerate(zip(y, steps.tolist(), strict=True)):
            array = np.asarray(given)
            if self.classifies:
                self._check_class_dtype(array, name, owner)
            elif array.dtype.kind not in "biuf":
                expectation = f"an array of numbers for series {number}"
                raise ArgumentTypeError(refusal(name, owner, expectation, array))
            elif array.ndim == 1 and outputs == [1]:
                array = array[np.newaxis]
            if array.shape != (*outputs, count):
                expectation = f"{count} {kind} for series {number}, one for each output"
                raise DataError(refusal(name, owner, expectation, array))
            if self.classifies:
                self._check_codes(array[np.newaxis], name, owner, first=number)
            else:
                self._check_finite(array[np.newaxis], name, owner, first=number)
            targets[number, ..., :count] = array
        return targets

    def batch_targets(self, y: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return the targets of some samples as a training program takes them."""
        return y[rows].astype(np.int64 if self.classifies else self.dtype, copy=False)

    def losses(
        self, prediction: NDArray[Any], target: NDArray[Any], weight: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the weighted loss of each sample, computed in float64."""
        with np.errstate(over="ignore", invalid="ignore"):
            wide = prediction.astype(np.float64, copy=False)
            losses: NDArray[np.float64]
            if target.ndim + self.classifies < 3 or known_steps(target).all():
                losses = self.loss.reference(wide, target, weight)
                return losses
            filled, weights, added = without_padding(target, weight, self.loss, wide.shape[1])
            wide = np.where(known_steps(target)[:, np.newaxis], wide, 0.0)
            losses = self.loss.reference(wide, filled, weights) - added
        return losses

    def _check_class_dtype(self, y: NDArray[Any], name: str, owner: str) -> None:
        if y.dtype.kind in "biu":
            return
        if y.dtype.kind == "f":
            remedy = f"Give {name}.astype(int), or a loss for values such as 'mean_squared'"
        else:
            remedy = "Number the classes: numpy.unique(y, return_inverse=True)[1]"
        expectation = f"class codes, integers from 0 to {self.classes - 1}"
        raise ArgumentTypeError(f"{refusal(name, owner, expectation, y)} {remedy}.")

    def _check_shape(self, y: NDArray[Any], count: int, name: str, owner: str) -> None:
        expected = (count, *self.target_shape)
        if y.shape == expected:
            return
        remedy = ""
        if y.ndim and len(y) != count and y.shape[1:] == expected[1:]:
            remedy = " Give one target for each sample."
        elif self.classifies and y.shape == (count, *self.prediction_shape):
            remedy = f" For one-hot targets give {name}.argmax(axis=1)."
        elif y.size == prod(expected):
            remedy = f" Give {name}.reshape({expected})."
        expectation = f"an array of shape {expected}, for {count} samples"
        raise DataError(refusal(name, owner, expectation, y) + remedy)

    def _check_codes(self, y: NDArray[Any], name: str, owner: str, first: int = 0) -> None:
        bad = (y < 0) | (y >= self.classes)
        if not bad.any():
            return
        place = np.unravel_index(int(bad.argmax()), bad.shape)
        raise DataError(
            f"The {name!r} parameter of {owner} must hold class codes from 0 to "
            f"{self.classes - 1}, as the network has {self.classes} outputs. "
            f"Got {y[place]} for sample {first + place[0]} instead. "
            "Number the classes from 0, or give the network as many outputs as there are classes."
        )

    def _check_finite(self, y: NDArray[Any], name: str, owner: str, first: int = 0) -> None:
        with np.errstate(over="ignore"):
            finite = np.isfinite(y.astype(self.dtype, copy=False))
        if not finite.all():
            sample = int(finite.reshape(len(y), -1).all(axis=1).argmin())
            raise DataError(
                f"The {name!r} parameter of {owner} has a value that is NaN, infinite or beyond "
                f"{self.dtype} for sample {first + sample}. Remove or repair the sample."
            )
