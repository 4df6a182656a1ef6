"""Pooling: maximum, average and Lp over windows, maximum and average over all positions."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from convoi.ops import require
from convoi.ops.base import Array, Gradients, GraphBuilder, Operation, Shape, Use, register
from convoi.ops.grid import Padding, Window, check_window
from convoi.ops.shape import Flatten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.ops.reach import Reach


@dataclass(frozen=True)
class Pool(Operation):
    """What the pooling layers share: a window over each channel by itself.

    Every window holds at least one position of the input, because the padding is smaller than
    the window. Shapes: ``(C, *X)`` to ``(C, *P)``.
    """

    size: Shape
    stride: Shape
    padding: Padding

    def __post_init__(self) -> None:
        """Check the attributes."""
        check_window(self, self.window, size="size")
        if any(max(pair) >= size for pair, size in zip(self.padding, self.size, strict=True)):
            expected = f"smaller than the window {self.size}"
            require.invalid_attribute(self, "padding", expected, self.padding)

    @property
    def window(self) -> Window:
        """The geometry of the window."""
        return Window(self.size, self.stride, self.padding, (1,) * len(self.size))

    def infer_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        spatial = require.spatial(self, shape, len(self.size))
        return (shape[0], *self.window.output(self, spatial))

    def connections(self, *inputs: Shape) -> int:
        ((channels, *spatial),) = inputs
        return channels * self.window.pairs(self, tuple(spatial))

    def reaches(self, *inputs: Shape) -> tuple[Reach, ...]:
        del inputs
        return self.window.reaches

    @property
    def taps(self) -> tuple[int, ...]:
        """The axes of a window in an array of patches."""
        return tuple(range(-len(self.size), 0))


def _expand(values: Array, rank: int) -> Array:
    """Append axes of extent 1, so that values of windows broadcast over patches."""
    return values.reshape(*values.shape, *(1,) * rank)


@register
@dataclass(frozen=True)
class MaxPool(Pool):
    r"""Take the largest value of each window.

    .. math:: y_{c,p} = \max_r x_{c,\; p s - l + r}

    Padding never wins: it acts as minus infinity. NaN in a window gives NaN. The gradient goes to
    the first of equal maxima in the order of the window's positions.
    """

    name: ClassVar[str] = "max_pool"

    def reference(self, *arrays: Array) -> Array:
        (x,) = arrays
        y: Array = self.window.patches(x, fill=-np.inf).max(axis=self.taps)
        return y

    def gradient(self, build: GraphBuilder, use: Use) -> Gradients:
        return Gradients(
            (build(MaxPoolBackward(self), [use.inputs[0], use.output, use.output_gradient]),)
        )


@dataclass(frozen=True)
class PoolBackward(Operation):
    """Gradient of a pooling operation that depends on its input and its output."""

    arity: ClassVar[int | None] = 3
    differentiable: ClassVar[bool] = False

    pool: Operation

    def infer_shape(self, *inputs: Shape) -> Shape:
        x, y, dy = inputs
        require.same(self, "an output", self.pool.infer_shape(x), y)
        require.same(self, "a gradient", y, dy)
        return x


@dataclass(frozen=True)
class LinearPoolBackward(Operation):
    """Gradient of a pooling operation that is linear: the values themselves are not needed."""

    differentiable: ClassVar[bool] = False

    pool: Operation
    input_shape: Shape

    def infer_shape(self, *inputs: Shape) -> Shape:
        (dy,) = inputs
        require.same(self, "a gradient", self.pool.infer_shape(self.input_shape), dy)
        return self.input_shape


@register
@dataclass(frozen=True)
class MaxPoolBackward(PoolBackward):
    r"""Gradient of :class:`MaxPool`: that of each window goes to its first maximum.

    .. math:: dx_q = \sum_{p:\; q = q^*(p)} dy_p, \qquad
              q^*(p) = \min \{p s - l + r : x_{p s - l + r} = y_p\}

    Inputs: x, y and dy of the pooling. Padding takes no gradient, nor does a window of NaN.
    """

    name: ClassVar[str] = "max_pool_backward"

    pool: MaxPool

    def reference(self, *arrays: Array) -> Array:
        x, y, dy = arrays
        window = self.pool.window
        inside = window.patches(np.ones_like(x)) > 0
        hits = inside & (window.patches(x) == _expand(y, window.rank))
        hits = hits.reshape(*y.shape, window.taps)
        first = hits & (hits.cumsum(axis=-1) == 1)
        patches = (first * dy[..., None]).reshape(*y.shape, *window.size)
        return window.scatter(patches, x.shape[2:])


@register
@dataclass(frozen=True)
class AveragePool(Pool):
    r"""Average each window.

    .. math:: y_{c,p} = \frac{1}{m_p} \sum_r x_{c,\; p s - l + r}

    where :math:`m_p` is the number of the window's positions that lie inside the input, or all of
    them with `count_padding`.
    """

    name: ClassVar[str] = "average_pool"

    count_padding: bool = False

    def __post_init__(self) -> None:
        """Check the attributes."""
        super().__post_init__()
        require.flag(self, "count_padding", self.count_padding)

    def counts(self, spatial: Shape) -> Array:
        """Return the divisor of every window, of shape ``(*P,)``."""
        patches = self.window.patches(np.ones((1, 1, *spatial)), fill=float(self.count_padding))
        counts: Array = patches.sum(axis=self.taps)[0, 0]
        return counts

    def reference(self, *arrays: Array) -> Array:
        (x,) = arrays
        counts = self.counts(x.shape[2:]).astype(x.dtype)
        y: Array = self.window.patches(x).sum(axis=self.taps) / counts
        return y

    def gradient(self, build: GraphBuilder, use: Use) -> Gradients:
        back = AveragePoolBackward(self, build.shape(use.inputs[0]))
        return Gradients((build(back, [use.output_gradient]),))


@register
@dataclass(frozen=True)
class AveragePoolBackward(LinearPoolBackward):
    r"""Gradient of :class:`AveragePool`: every window shares its gradient among its positions.

    .. math:: dx_{c,q} = \sum_{p,r:\; p s - l + r = q} dy_{c,p} / m_p

    Shapes: ``(C, *P)`` to `input_shape`.
    """

    name: ClassVar[str] = "average_pool_backward"

    pool: AveragePool

    def reference(self, *arrays: Array) -> Array:
        (dy,) = arrays
        window, spatial = self.pool.window, self.input_shape[1:]
        share = _expand(dy / self.pool.counts(spatial).astype(dy.dtype), window.rank)
        return window.scatter(np.broadcast_to(share, (*dy.shape, *window.size)), spatial)


@register
@dataclass(frozen=True)
class LpPool(Pool):
    r"""Take the p-norm of each window.

    .. math:: y_{c,q} = \Bigl( \sum_r |x_{c,\; q s - l + r}|^p \Bigr)^{1/p}

    Padding counts as zero.
    """

    name: ClassVar[str] = "lp_pool"

    p: float = 2.0

    def __post_init__(self) -> None:
        """Check the attributes."""
        super().__post_init__()
        require.number(self, "p", self.p, low=1)

    def reference(self, *arrays: Array) -> Array:
        (x,) = arrays
        powers = np.abs(self.window.patches(x)) ** self.p
        y: Array = powers.sum(axis=self.taps) ** (1 / self.p)
        return y

    def gradient(self, build: GraphBuilder, use: Use) -> Gradients:
        return Gradients(
            (build(LpPoolBackward(self), [use.inputs[0], use.output, use.output_gradient]),)
        )


@register
@dataclass(frozen=True)
class LpPoolBackward(PoolBackward):
    r"""Gradient of :class:`LpPool`.

    .. math:: dx_q = \sum_{P,r:\; P s - l + r = q} dy_P \, \operatorname{sign}(x_q)
              \left( |x_q| / y_P \right)^{p - 1}

    with zero where :math:`y_P = 0`. Inputs: x, y and dy of the pooling.
    """

    name: ClassVar[str] = "lp_pool_backward"

    pool: LpPool

    def reference(self, *arrays: Array) -> Array:
        x, y, dy = arrays
        window = self.pool.window
        values = window.patches(x)
        norms = _expand(np.where(y == 0, 1, y), window.rank)
        slopes = np.sign(values) * (np.abs(values) / norms) ** (self.pool.p - 1)
        return window.scatter(slopes * _expand(dy, window.rank), x.shape[2:])


@dataclass(frozen=True)
class GlobalPool(Operation):
    """What the pools over all positions share; in training, one window covers the input."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        if len(shape) < 2:
            require.invalid_shape(
                self,
                f"expected an input of shape (channels, *spatial), got {shape}.",
                "Remove it: there are no positions to pool over.",
            )
        return shape[:1]

    def connections(self, *inputs: Shape) -> int:
        (shape,) = inputs
        return prod(shape)

    def windowed(self, shape: Shape) -> Pool:
        """Return the same pooling as a window that covers an input of this shape."""
        raise NotImplementedError

    def for_training(
        self, build: GraphBuilder, inputs: Sequence[str], parameters: Sequence[str]
    ) -> str:
        del parameters
        pooled = build(self.windowed(build.shape(inputs[0])), inputs)
        return build(Flatten(), [pooled])


def _covering(shape: Shape) -> tuple[Shape, Shape, Padding]:
    """Return size, stride and padding of the window that covers an input of this shape."""
    return shape[1:], shape[1:], ((0, 0),) * (len(shape) - 1)


@register
@dataclass(frozen=True)
class GlobalAveragePool(GlobalPool):
    r"""Average each channel over all positions.

    .. math:: y_c = \frac{1}{|X|} \sum_q x_{c,q}

    Shapes: ``(C, *X)`` to ``(C,)``.
    """

    name: ClassVar[str] = "global_average_pool"

    def windowed(self, shape: Shape) -> AveragePool:
        return AveragePool(*_covering(shape))

    def reference(self, *arrays: Array) -> Array:
        (x,) = arrays
        y: Array = x.sum(axis=tuple(range(2, x.ndim))) / x.dtype.type(prod(x.shape[2:]))
        return y


@register
@dataclass(frozen=True)
class GlobalMaxPool(GlobalPool):
    r"""Take the largest value of each channel.

    .. math:: y_c = \max_q x_{c,q}

    Shapes: ``(C, *X)`` to ``(C,)``.
    """

    name: ClassVar[str] = "global_max_pool"

    def windowed(self, shape: Shape) -> MaxPool:
        return MaxPool(*_covering(shape))

    def reference(self, *arrays: Array) -> Array:
        (x,) = arrays
        y: Array = x.max(axis=tuple(range(2, x.ndim)))
        return y
