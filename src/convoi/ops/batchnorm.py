"""Batch normalisation: with running statistics, and as it is trained.

In training the layer is two nodes, because the statistics of the whole batch must be known before
the first sample can be normalised: :class:`BatchMoments`, then :class:`BatchNormalize`. So is its
gradient: :class:`BatchNormGradientSums`, then :class:`BatchNormBackward`.

Reference: S. Ioffe and C. Szegedy, "Batch Normalization: Accelerating Deep Network Training by
Reducing Internal Covariate Shift", ICML 2015.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from convoi.ops import require
from convoi.ops.base import (
    Array,
    Domain,
    Gradients,
    GraphBuilder,
    Operation,
    ParameterKind,
    ParameterSpec,
    Shape,
    Use,
    register,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


def _specs(channels: int) -> tuple[ParameterSpec, ...]:
    return (
        ParameterSpec("weight", (channels,), ParameterKind.SCALE),
        ParameterSpec("bias", (channels,), ParameterKind.SHIFT),
        ParameterSpec("running_mean", (channels,), ParameterKind.MEAN),
        ParameterSpec("running_var", (channels,), ParameterKind.VARIANCE),
    )


def _per_channel(values: Array, x: Array) -> Array:
    """Shape ``(C,)`` values so that they broadcast over ``(n, C, *X)``."""
    return values.reshape(-1, *(1,) * (x.ndim - 2))


def _normalize(x: Array, moments: Array, eps: float) -> Array:
    mean, variance = moments
    deviation = np.sqrt(variance + x.dtype.type(eps))
    return (x - _per_channel(mean, x)) / _per_channel(deviation, x)


@dataclass(frozen=True)
class _Normalization(Operation):
    """What the operations that normalise with `eps` share."""

    momentum: float = 0.1
    eps: float = 1e-5

    def __post_init__(self) -> None:
        """Check the attributes."""
        require.number(self, "momentum", self.momentum, low=0, high=1)
        require.number(self, "eps", self.eps, low=0)

    def infer_shape(self, *inputs: Shape) -> Shape:
        require.channels(self, inputs[0])
        return inputs[0]

    def parameters(self, *inputs: Shape) -> tuple[ParameterSpec, ...]:
        return _specs(inputs[0][0])

    def multiply_adds(self, *inputs: Shape) -> int:
        return prod(inputs[0])


@register
@dataclass(frozen=True)
class BatchNorm(_Normalization):
    r"""Normalise each channel with its running statistics, then scale and shift it.

    .. math:: y_{c,p} = w_c \frac{x_{c,p} - \mu_c}{\sqrt{\sigma^2_c + \epsilon}} + b_c

    In training, the statistics of the batch stand in place of the running ones, which move by
    `momentum` towards them. Parameters: weight, bias, running_mean, running_var, all ``(C,)``.
    Shapes: ``(C, *X)`` to ``(C, *X)``.
    """

    name: ClassVar[str] = "batch_norm"

    def reference(self, *arrays: Array) -> Array:
        x, weight, bias, mean, variance = arrays
        normalized = _normalize(x, np.stack([mean, variance]), self.eps)
        return normalized * _per_channel(weight, x) + _per_channel(bias, x)

    def for_training(
        self, build: GraphBuilder, inputs: Sequence[str], parameters: Sequence[str]
    ) -> str:
        moments = build(BatchMoments(), inputs)
        return build(BatchNormalize(self.momentum, self.eps), [*inputs, moments], parameters)


@register
@dataclass(frozen=True)
class BatchMoments(Operation):
    r"""Mean and (biased) variance of each channel over the batch and all positions.

    .. math:: \mu_c = \frac{1}{m} \sum_{n,p} x_{n,c,p}, \qquad
              \sigma^2_c = \frac{1}{m} \sum_{n,p} (x_{n,c,p} - \mu_c)^2

    with *m* the number of samples times positions. Shapes: ``(C, *X)`` to ``(2, C)`` for the
    batch. The gradient through the statistics is part of :class:`BatchNormBackward`.
    """

    name: ClassVar[str] = "batch_moments"
    domain: ClassVar[Domain] = Domain.BATCH
    differentiable: ClassVar[bool] = False

    def infer_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        return (2, require.channels(self, shape))

    def reference(self, *arrays: Array) -> Array:
        (x,) = arrays
        axes = (0, *range(2, x.ndim))
        return np.stack([x.mean(axis=axes), x.var(axis=axes)])


@register
@dataclass(frozen=True)
class BatchNormalize(_Normalization):
    r"""Normalise each channel with the moments of the batch, then scale and shift it.

    .. math:: y_{c,p} = w_c \hat x_{c,p} + b_c, \qquad
              \hat x_{c,p} = \frac{x_{c,p} - \mu_c}{\sqrt{\sigma^2_c + \epsilon}}

    Inputs: x ``(C, *X)`` and the moments ``(2, C)`` of the batch. Parameters: those of
    :class:`BatchNorm`; the running statistics are listed for the step that updates them and do
    not enter the result.
    """

    name: ClassVar[str] = "batch_normalize"
    arity: ClassVar[int | None] = 2
    batch_inputs: ClassVar[frozenset[int]] = frozenset({1})

    def infer_shape(self, *inputs: Shape) -> Shape:
        shape, moments = inputs
        require.same(self, "moments", (2, require.channels(self, shape)), moments)
        return shape

    def reference(self, *arrays: Array) -> Array:
        x, moments, weight, bias, *_ = arrays
        normalized = _normalize(x, moments, self.eps)
        return normalized * _per_channel(weight, x) + _per_channel(bias, x)

    def gradient(self, build: GraphBuilder, use: Use) -> Gradients:
        x, moments = use.inputs
        given = [x, moments, use.output_gradient]
        sums = build(BatchNormGradientSums(self.eps), given)
        wanted = [build.needs_gradient(value) for value in (x, *use.parameters)]
        dx = dw = db = None
        if wanted[0]:
            dx = build(BatchNormBackward(self.eps), [*given, sums], use.parameters[:1])
        if wanted[1]:
            dw = build(Row(1), [sums])
        if wanted[2]:
            db = build(Row(0), [sums])
        return Gradients((dx, None), (dw, db, None, None))


@dataclass(frozen=True)
class _NormalizationBackward(Operation):
    """What both parts of the gradient share."""

    differentiable: ClassVar[bool] = False

    eps: float = 1e-5

    def __post_init__(self) -> None:
        """Check the attributes."""
        require.number(self, "eps", self.eps, low=0)

    def multiply_adds(self, *inputs: Shape) -> int:
        return 2 * prod(inputs[0])

    def _check(self, *inputs: Shape) -> None:
        shape, moments, dy = inputs[:3]
        require.same(self, "moments", (2, require.channels(self, shape)), moments)
        require.same(self, "a gradient", shape, dy)


@register
@dataclass(frozen=True)
class BatchNormGradientSums(_NormalizationBackward):
    r"""The two sums over the batch that the gradients of batch normalisation need.

    .. math:: s_{0,c} = \sum_{n,p} dy_{n,c,p}, \qquad
              s_{1,c} = \sum_{n,p} dy_{n,c,p} \, \hat x_{n,c,p}

    They are the gradients of bias and weight. Inputs: x, the moments, dy. Output: ``(2, C)`` for
    the batch.
    """

    name: ClassVar[str] = "batch_norm_gradient_sums"
    arity: ClassVar[int | None] = 3
    domain: ClassVar[Domain] = Domain.BATCH
    batch_inputs: ClassVar[frozenset[int]] = frozenset({1})

    def infer_shape(self, *inputs: Shape) -> Shape:
        self._check(*inputs)
        return inputs[1]

    def reference(self, *arrays: Array) -> Array:
        x, moments, dy = arrays
        axes = (0, *range(2, x.ndim))
        normalized = _normalize(x, moments, self.eps)
        return np.stack([dy.sum(axis=axes), (dy * normalized).sum(axis=axes)])


@register
@dataclass(frozen=True)
class BatchNormBackward(_NormalizationBackward):
    r"""Gradient of :class:`BatchNormalize` with respect to x, through the statistics too.

    .. math:: dx_{c,p} = \frac{w_c}{\sqrt{\sigma^2_c + \epsilon}}
              \left( dy_{c,p} - \frac{s_{0,c} + \hat x_{c,p} \, s_{1,c}}{m} \right)

    with *m* the number of samples times positions. Inputs: x, the moments, dy and the sums of
    :class:`BatchNormGradientSums`. Parameter: weight.
    """

    name: ClassVar[str] = "batch_norm_backward"
    arity: ClassVar[int | None] = 4
    batch_inputs: ClassVar[frozenset[int]] = frozenset({1, 3})

    def infer_shape(self, *inputs: Shape) -> Shape:
        self._check(*inputs)
        require.same(self, "sums", inputs[1], inputs[3])
        return inputs[0]

    def parameters(self, *inputs: Shape) -> tuple[ParameterSpec, ...]:
        return _specs(inputs[0][0])[:1]

    def reference(self, *arrays: Array) -> Array:
        x, moments, dy, sums, weight = arrays
        count = x.dtype.type(x.size // x.shape[1])
        normalized = _normalize(x, moments, self.eps)
        through = (_per_channel(sums[0], x) + normalized * _per_channel(sums[1], x)) / count
        scale = weight / np.sqrt(moments[1] + x.dtype.type(self.eps))
        dx: Array = (dy - through) * _per_channel(scale, x)
        return dx


@register
@dataclass(frozen=True)
class Row(Operation):
    """Take one of the two rows of a batch value: ``y[c] = x[index, c]``.

    Shapes: ``(2, C)`` to ``(C,)``, both for the batch.
    """

    name: ClassVar[str] = "row"
    domain: ClassVar[Domain] = Domain.BATCH
    batch_inputs: ClassVar[frozenset[int]] = frozenset({0})
    differentiable: ClassVar[bool] = False

    index: int

    def __post_init__(self) -> None:
        """Check the attributes."""
        require.integer(self, "index", self.index, low=0)

    def infer_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        if len(shape) != 2 or self.index >= shape[0]:
            require.invalid_shape(
                self,
                f"there is no row {self.index} in an input of shape {shape}.",
                "Give the moments or the gradient sums of a batch normalisation.",
            )
        return shape[1:]

    def reference(self, *arrays: Array) -> Array:
        (x,) = arrays
        y: Array = x[self.index]
        return y
