r"""Series of unequal length in one batch: what keeps padding out of the results.

Each sample has a length, in positions of the network's input; behind it the input is padded. In a
value further on, the first :math:`\lfloor (\mathit{length} + a) / b \rfloor` positions belong to
the sample, and :class:`Extent` holds *a* and *b*. The operations here make sure that the other
positions never reach these. :func:`convoi.graph.mask` puts them into a network's graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from convoi.ops import require
from convoi.ops.base import (
    Array,
    Domain,
    Gradients,
    GraphBuilder,
    Operation,
    ParameterSpec,
    Shape,
    Use,
    register,
)
from convoi.ops.batchnorm import (
    BatchNorm,
    BatchNormalize,
    BatchNormBackward,
    BatchNormGradientSums,
    Row,
    _normalize,
    _per_channel,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LENGTH = "length"
"""Name of the graph input that holds the length of each sample: an int64, shape ``()``."""


@dataclass(frozen=True)
class Extent:
    r"""How many positions of a value a sample has: :math:`\lfloor (L + a) / b \rfloor`.

    Windows of windows have the same form, because :math:`\lfloor (\lfloor (L + a) / b \rfloor + c)
    / d \rfloor = \lfloor (L + a + bc) / bd \rfloor`.
    """

    offset: int = 0
    divisor: int = 1

    def then(self, offset: int, divisor: int = 1) -> Extent:
        """Return the extent of what has ``(n + offset) // divisor`` positions for n of this."""
        return Extent(self.offset + self.divisor * offset, self.divisor * divisor)

    def of(self, length: int) -> int:
        """Return the number of positions, 0 or less if the sample is too short."""
        return (length + self.offset) // self.divisor

    def valid(self, lengths: Array, positions: int) -> NDArray[np.bool_]:
        """Return which of some positions belong to each sample, ``(n, 1, positions)``."""
        counts = (np.asarray(lengths, np.int64) + self.offset) // self.divisor
        return np.arange(positions) < counts.reshape(-1, 1, 1)


@dataclass(frozen=True)
class _OfLength(Operation):
    """What the operations that know the length of samples share: it is their last input."""

    extent: Extent

    @classmethod
    def is_layer(cls) -> bool:
        """Tell that they are put into graphs, and not into networks."""
        return False

    def _check(self, shape: Shape, length: Shape) -> Shape:
        if len(shape) != 2:
            require.invalid_shape(
                self,
                f"expected an input of shape (channels, time), got {shape}.",
                "Samples of unequal length have one spatial axis.",
            )
        require.same(self, "a length", (), length)
        return shape


@register
@dataclass(frozen=True)
class Mask(_OfLength):
    r"""Fill the positions behind the end of each sample.

    .. math:: y_{c,p} = x_{c,p} \text{ for } p < \lfloor (L + a) / b \rfloor \text{, else } f

    with the extent's *a* and *b*, and the fill value *f*. Inputs: x ``(C, T)`` and the length.
    """

    name: ClassVar[str] = "mask"
    arity: ClassVar[int | None] = 2

    fill: float = 0.0

    def infer_shape(self, *inputs: Shape) -> Shape:
        return self._check(*inputs)

    def reference(self, *arrays: Array) -> Array:
        x, length = arrays
        return np.where(self.extent.valid(length, x.shape[2]), x, x.dtype.type(self.fill))

    def gradient(self, build: GraphBuilder, use: Use) -> Gradients:
        dx = build(Mask(self.extent), [use.output_gradient, use.inputs[1]])
        return Gradients((dx, None))


@register
@dataclass(frozen=True)
class WindowShare(_OfLength):
    r"""Turn averages over windows that end with the padding into those that end with the sample.

    .. math:: y_{c,q} = x_{c,q} \, \frac{\min(q s - l + k,\, T) - \max(q s - l,\, 0)}
              {\min(q s - l + k,\, n) - \max(q s - l,\, 0)}

    with windows of size *k*, stride *s* and low padding *l* over *T* positions, of which
    :math:`n = \lfloor (L + a) / b \rfloor` belong to the sample. Windows without any of them give
    zero. Inputs: x, ``(C, Q)`` or (one window over everything) ``(C,)``, and the length.
    """

    name: ClassVar[str] = "window_share"
    arity: ClassVar[int | None] = 2

    size: int = 1
    stride: int = 1
    low: int = 0
    positions: int = 1

    def infer_shape(self, *inputs: Shape) -> Shape:
        shape, length = inputs
        require.channels(self, shape)
        require.same(self, "a length", (), length)
        return shape

    def reference(self, *arrays: Array) -> Array:
        x, length = arrays
        start = np.arange(x.shape[2] if x.ndim > 2 else 1) * self.stride - self.low
        first = np.maximum(start, 0)
        n = (np.asarray(length, np.int64) + self.extent.offset) // self.extent.divisor
        seen = np.minimum(start + self.size, n.reshape(-1, 1)) - first
        averaged = np.minimum(start + self.size, self.positions) - first
        share = np.where(seen > 0, averaged / np.maximum(seen, 1), 0).astype(x.dtype)
        y: Array = x * (share[:, np.newaxis] if x.ndim > 2 else share)
        return y

    def gradient(self, build: GraphBuilder, use: Use) -> Gradients:
        return Gradients((build(self, [use.output_gradient, use.inputs[1]]), None))


@register
@dataclass(frozen=True)
class MaskedBatchNorm(BatchNorm):
    r"""Batch normalisation of samples of unequal length.

    As :class:`BatchNorm`, :math:`y_{c,p} = w_c (x_{c,p} - \mu_c) / \sqrt{\sigma^2_c + \epsilon} +
    b_c`, whose statistics in training are those of :class:`MaskedBatchMoments`. Inputs: x and the
    length.
    """

    name: ClassVar[str] = "masked_batch_norm"
    arity: ClassVar[int | None] = 2

    extent: Extent = Extent()

    @classmethod
    def is_layer(cls) -> bool:
        """Tell that it is put into graphs, and not into networks."""
        return False

    def infer_shape(self, *inputs: Shape) -> Shape:
        require.same(self, "a length", (), inputs[1])
        return super().infer_shape(*inputs)

    def reference(self, *arrays: Array) -> Array:
        x, _, *parameters = arrays
        return super().reference(x, *parameters)

    def for_training(
        self, build: GraphBuilder, inputs: Sequence[str], parameters: Sequence[str]
    ) -> str:
        x, length = inputs
        moments = build(MaskedBatchMoments(self.extent), inputs)
        op = MaskedBatchNormalize(self.momentum, self.eps, self.extent)
        return build(op, [x, moments, length], parameters)


@register
@dataclass(frozen=True)
class MaskedBatchMoments(_OfLength):
    r"""Mean and (biased) variance of each channel over the positions that belong to samples.

    .. math:: \mu_c = \frac{1}{m} \sum_{n,\, p < e_n} x_{n,c,p}, \qquad
              \sigma^2_c = \frac{1}{m} \sum_{n,\, p < e_n} (x_{n,c,p} - \mu_c)^2

    with :math:`e_n = \lfloor (L_n + a) / b \rfloor` and *m* their sum. Shapes: ``(C, T)`` and the
    length to ``(2, C)`` for the batch.
    """

    name: ClassVar[str] = "masked_batch_moments"
    arity: ClassVar[int | None] = 2
    domain: ClassVar[Domain] = Domain.BATCH
    differentiable: ClassVar[bool] = False

    def infer_shape(self, *inputs: Shape) -> Shape:
        return (2, self._check(*inputs)[0])

    def reference(self, *arrays: Array) -> Array:
        x, length = arrays
        valid = np.broadcast_to(self.extent.valid(length, x.shape[2]), x.shape)
        mean = x.mean(axis=(0, 2), where=valid)
        return np.stack([mean, x.var(axis=(0, 2), where=valid)]).astype(x.dtype)


@register
@dataclass(frozen=True)
class MaskedBatchNormalize(BatchNormalize):
    """Do as :class:`BatchNormalize`, ``y = w (x - mean) / sqrt(variance + eps) + b``.

    Inputs: x, the moments of :class:`MaskedBatchMoments` and the length, which the gradient needs.
    """

    name: ClassVar[str] = "masked_batch_normalize"
    arity: ClassVar[int | None] = 3

    extent: Extent = Extent()

    def infer_shape(self, *inputs: Shape) -> Shape:
        require.same(self, "a length", (), inputs[2])
        return super().infer_shape(*inputs[:2])

    def reference(self, *arrays: Array) -> Array:
        x, moments, _, *parameters = arrays
        return super().reference(x, moments, *parameters)

    def gradient(self, build: GraphBuilder, use: Use) -> Gradients:
        x, moments, length = use.inputs
        given = [x, moments, use.output_gradient]
        sums = build(BatchNormGradientSums(self.eps), given)
        dx = dw = db = None
        if build.needs_gradient(x):
            op = MaskedBatchNormBackward(self.eps, self.extent)
            dx = build(op, [*given, sums, length], use.parameters[:1])
        weight, bias, *_ = use.parameters
        if build.needs_gradient(weight):
            dw = build(Row(1), [sums])
        if build.needs_gradient(bias):
            db = build(Row(0), [sums])
        return Gradients((dx, None, None), (dw, db, None, None))


@register
@dataclass(frozen=True)
class MaskedBatchNormBackward(BatchNormBackward):
    r"""Gradient of :class:`MaskedBatchNormalize` with respect to x, through the statistics too.

    .. math:: dx_{c,p} = \frac{w_c}{\sqrt{\sigma^2_c + \epsilon}}
              \left( dy_{c,p} - \frac{s_{0,c} + \hat x_{c,p} \, s_{1,c}}{m} \right)

    with *m* the number of positions that belong to samples. Inputs: x, the moments, dy, the sums
    of :class:`BatchNormGradientSums` (dy is zero behind the samples) and the length.
    """

    name: ClassVar[str] = "masked_batch_norm_backward"
    arity: ClassVar[int | None] = 5

    extent: Extent = Extent()

    def infer_shape(self, *inputs: Shape) -> Shape:
        require.same(self, "a length", (), inputs[4])
        return super().infer_shape(*inputs[:4])

    def parameters(self, *inputs: Shape) -> tuple[ParameterSpec, ...]:
        return super().parameters(*inputs[:4])

    def reference(self, *arrays: Array) -> Array:
        x, moments, dy, sums, length, weight = arrays
        count = x.dtype.type(self.extent.valid(length, x.shape[2]).sum())
        normalized = _normalize(x, moments, self.eps)
        through = (_per_channel(sums[0], x) + normalized * _per_channel(sums[1], x)) / count
        scale = weight / np.sqrt(moments[1] + x.dtype.type(self.eps))
        dx: Array = (dy - through) * _per_channel(scale, x)
        return dx
