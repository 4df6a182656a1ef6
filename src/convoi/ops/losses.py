"""Losses: what a prediction costs, per sample.

A loss takes the prediction, the target and the weight of the sample. Weights are normalised by
the caller (``w_i / sum(w)``, ``1 / n`` without weights), so that the loss of a batch is the plain
sum over its samples and gradients need no further division.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from convoi.ops import require
from convoi.ops.base import Array, Gradients, GraphBuilder, Operation, Shape, Use, register
from convoi.ops.formula import Math, NumpyMath, V


@dataclass(frozen=True)
class Loss(Operation):
    """What all losses share. Inputs: prediction, target, weight ``()``. Output: ``()``."""

    arity: ClassVar[int | None] = 3

    @classmethod
    def is_layer(cls) -> bool:
        return False

    def target_shape(self, prediction: Shape) -> Shape:
        """Return the shape of the target for a prediction of this shape."""
        return prediction

    def infer_shape(self, *inputs: Shape) -> Shape:
        prediction, target, weight = inputs
        require.same(self, "a target", self.target_shape(prediction), target)
        require.same(self, "a sample weight", (), weight)
        return ()

    def derivative(self, prediction: Array, target: Array, weight: Array) -> Array:
        """Return the gradient with respect to the prediction."""
        raise NotImplementedError

    def gradient(self, build: GraphBuilder, use: Use) -> Gradients:
        """Add :class:`LossBackward`; the losses are summed, so the output's gradient is one."""
        return Gradients((build(LossBackward(self), use.inputs), None, None))


@register
@dataclass(frozen=True)
class LossBackward(Operation):
    """Gradient of a loss with respect to the prediction: ``weight * dL/dprediction``.

    Inputs: prediction, target, weight, those of the loss. Output: the prediction's shape.
    """

    name: ClassVar[str] = "loss_backward"
    arity: ClassVar[int | None] = 3
    differentiable: ClassVar[bool] = False

    loss: Loss

    def infer_shape(self, *inputs: Shape) -> Shape:
        self.loss.infer_shape(*inputs)
        return inputs[0]

    def reference(self, *arrays: Array) -> Array:
        return self.loss.derivative(*arrays)


def _per_sample(weight: Array, ndim: int) -> Array:
    """Shape ``(n,)`` values so that they broadcast over ``(n, ...)``."""
    return weight.reshape(-1, *(1,) * (ndim - 1))


@register
@dataclass(frozen=True)
class CrossEntropy(Loss):
    r"""Cross-entropy of logits against class numbers, averaged over the positions.

    .. math:: L = -\frac{w}{|X|} \sum_{p} \sum_c q_{c,p} \log \operatorname{softmax}(x)_{c,p},
              \qquad q_{c,p} = (1 - \epsilon) [c = t_p] + \epsilon / C

    with :math:`\epsilon` the label smoothing. Prediction: logits ``(C, *X)``; target: integers in
    ``0 ... C - 1`` of shape ``(*X,)``.

    Reference for label smoothing: C. Szegedy et al., "Rethinking the Inception architecture for
    computer vision", CVPR 2016.
    """

    name: ClassVar[str] = "cross_entropy"

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        """Check the attributes."""
        require.number(self, "label_smoothing", self.label_smoothing, low=0, high=1, open_high=True)

    def target_shape(self, prediction: Shape) -> Shape:
        require.channels(self, prediction)
        return prediction[1:]

    def reference(self, *arrays: Array) -> Array:
        prediction, target, weight = arrays
        terms = self._target_probabilities(prediction, target) * _log_softmax(prediction)
        means = terms.sum(axis=tuple(range(1, terms.ndim))) / prod(prediction.shape[2:])
        loss: Array = -weight * means
        return loss

    def derivative(self, prediction: Array, target: Array, weight: Array) -> Array:
        surplus = np.exp(_log_softmax(prediction)) - self._target_probabilities(prediction, target)
        return surplus * _per_sample(weight, prediction.ndim) / prod(prediction.shape[2:])

    def _target_probabilities(self, prediction: Array, target: Array) -> Array:
        classes = prediction.shape[1]
        numbers = np.arange(classes).reshape(-1, *(1,) * (prediction.ndim - 2))
        one_hot = (target[:, None] == numbers).astype(prediction.dtype)
        gradient: Array = one_hot * (1 - self.label_smoothing) + self.label_smoothing / classes
        return gradient


def _log_softmax(x: Array) -> Array:
    shifted = x - x.max(axis=1, keepdims=True)
    gradient: Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return gradient


@dataclass(frozen=True)
class ElementwiseLoss(Loss):
    """A loss given by a formula of the difference, averaged over the elements of a sample."""

    def formula(self, m: Math[V], difference: V) -> V:
        """Return the loss of one element for prediction minus target."""
        raise NotImplementedError

    def slope(self, m: Math[V], difference: V) -> V:
        """Return the derivative of :meth:`formula`."""
        raise NotImplementedError

    def reference(self, *arrays: Array) -> Array:
        prediction, target, weight = arrays
        terms = self.formula(NumpyMath(prediction.dtype), prediction - target)
        loss: Array = (
            weight * terms.sum(axis=tuple(range(1, terms.ndim))) / prod(prediction.shape[1:])
        )
        return loss

    def derivative(self, prediction: Array, target: Array, weight: Array) -> Array:
        slopes = self.slope(NumpyMath(prediction.dtype), prediction - target)
        return slopes * _per_sample(weight, prediction.ndim) / prod(prediction.shape[1:])


@register
@dataclass(frozen=True)
class MeanSquaredError(ElementwiseLoss):
    r"""Mean of the squared differences: :math:`L = w \, \langle (x - t)^2 \rangle`."""

    name: ClassVar[str] = "mean_squared_error"

    def formula(self, m: Math[V], difference: V) -> V:
        return m.mul(difference, difference)

    def slope(self, m: Math[V], difference: V) -> V:
        return m.add(difference, difference)


@register
@dataclass(frozen=True)
class MeanAbsoluteError(ElementwiseLoss):
    r"""Mean of the absolute differences: :math:`L = w \, \langle |x - t| \rangle`."""

    name: ClassVar[str] = "mean_absolute_error"

    def formula(self, m: Math[V], difference: V) -> V:
        return m.abs(difference)

    def slope(self, m: Math[V], difference: V) -> V:
        zero = m.constant(0)
        falling = m.where(m.greater(zero, difference), m.constant(-1), zero)
        return m.where(m.greater(difference, zero), m.constant(1), falling)


@register
@dataclass(frozen=True)
class Huber(ElementwiseLoss):
    r"""Squared for small differences, absolute for large ones.

    .. math:: L = w \, \langle h(x - t) \rangle, \qquad h(d) =
              \begin{cases} d^2 / 2 & |d| \le \delta \\ \delta (|d| - \delta / 2) & \text{else}
              \end{cases}

    Reference: P. J. Huber, "Robust estimation of a location parameter", Annals of Mathematical
    Statistics 35, 1964.
    """

    name: ClassVar[str] = "huber"

    delta: float = 1.0

    def __post_init__(self) -> None:
        """Check the attributes."""
        require.number(self, "delta", self.delta, low=0, open_low=True)

    def formula(self, m: Math[V], difference: V) -> V:
        size = m.abs(difference)
        small = m.minimum(size, m.constant(self.delta))
        return m.mul(small, m.sub(size, m.mul(small, m.constant(0.5))))

    def slope(self, m: Math[V], difference: V) -> V:
        delta = self.delta
        return m.minimum(m.maximum(difference, m.constant(-delta)), m.constant(delta))
