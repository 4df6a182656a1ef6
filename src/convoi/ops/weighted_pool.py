"""Pooling with weights: blurred before it is thinned out, or drawn at random."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from math import comb, prod
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from convoi.ops import require
from convoi.ops.base import Array, Gradients, GraphBuilder, Operation, Shape, Use, register
from convoi.ops.dropout import SEED, element_bits, sample_keys
from convoi.ops.pool import LinearPoolBackward, Pool

if TYPE_CHECKING:
    from collections.abc import Sequence

UNIFORM_BITS = 24
"""Bits of a random number that picks a position of a window: as many as float32 holds exactly."""


MOST_BLUR = 21
"""Longest row of binomial weights: their sums over three axes are exact in 64-bit integers."""


def binomial(size: int) -> tuple[int, ...]:
    """Return the weights of a blur along one axis: a row of Pascal's triangle.

    Examples
    --------
    >>> binomial(5)
    (1, 4, 6, 4, 1)
    """
    return tuple(comb(size - 1, i) for i in range(size))


@register
@dataclass(frozen=True)
class BlurPool(Pool):
    r"""Average each window with binomial weights, so that a stride does not alias.

    .. math:: y_{c,p} = \frac{1}{m_p} \sum_r b_r \, x_{c,\; p s - l + r}, \qquad
              b_r = \prod_i \binom{R_i - 1}{r_i}

    where :math:`m_p` is the sum of the weights of the window's positions that lie inside the input,
    so that a constant stays what it is at the border too.

    Reference: R. Zhang, "Making convolutional networks shift-invariant again", ICML 2019.
    """

    name: ClassVar[str] = "blur_pool"

    def __post_init__(self) -> None:
        """Check the attributes."""
        super().__post_init__()
        if any(size > MOST_BLUR for size in self.size):
            expected = f"at most {MOST_BLUR} along each axis"
            require.invalid_attribute(self, "size", expected, self.size)

    def weights(self, spatial: Shape, dtype: object) -> Array:
        """Return the weight of every position in every window, ``(*P, *size)``."""
        rows = (np.array(binomial(size), float) for size in self.size)
        row = reduce(np.multiply.outer, rows, np.ones(()))
        inside = self.window.patches(np.ones((1, 1, *spatial)))[0, 0]
        weights = inside * row
        sums = weights.sum(axis=self.taps, keepdims=True)
        normalized: Array = (weights / sums).astype(dtype)
        return normalized

    def reference(self, *arrays: Array) -> Array:
        (x,) = arrays
        weights = self.weights(x.shape[2:], x.dtype)
        y: Array = (self.window.patches(x) * weights).sum(axis=self.taps)
        return y

    def gradient(self, build: GraphBuilder, use: Use) -> Gradients:
        back = BlurPoolBackward(self, build.shape(use.inputs[0]))
        return Gradients((build(back, [use.output_gradient]),))


@register
@dataclass(frozen=True)
class BlurPoolBackward(LinearPoolBackward):
    r"""Gradient of :class:`BlurPool`: every window shares its gradient by weight.

    .. math:: dx_{c,q} = \sum_{p,r:\; p s - l + r = q} b_r \, dy_{c,p} / m_p

    Shapes: ``(C, *P)`` to `input_shape`.
    """

    name: ClassVar[str] = "blur_pool_backward"

    pool: BlurPool

    def reference(self, *arrays: Array) -> Array:
        (dy,) = arrays
        spatial = self.input_shape[1:]
        shares = dy.reshape(*dy.shape, *(1,) * len(spatial)) * self.pool.weights(spatial, dy.dtype)
        return self.pool.window.scatter(shares, spatial)


@register
@dataclass(frozen=True)
class StochasticPool(Pool):
    r"""Weigh the positive values of each window by themselves.

    .. math:: y_{c,p} = \sum_r \pi_r \, a_r, \qquad \pi_r = a_r / \sum_{r'} a_{r'}, \qquad
              a_r = \max(x_{c,\; p s - l + r},\, 0)

    and zero where no value is positive: the expected value of :class:`StochasticPoolSampled`, which
    stands for it in training. It is meant to follow a rectifier. Padding counts as zero.

    Reference: M. D. Zeiler and R. Fergus, "Stochastic pooling for regularization of deep
    convolutional neural networks", ICLR 2013.
    """

    name: ClassVar[str] = "stochastic_pool"

    def reference(self, *arrays: Array) -> Array:
        (x,) = arrays
        a = np.maximum(self.window.patches(x), 0)
        total = a.sum(axis=self.taps)
        squares = (a * a).sum(axis=self.taps)
        y: Array = squares / np.where(total == 0, x.dtype.type(1), total)
        return y

    def for_training(
        self, build: GraphBuilder, inputs: Sequence[str], parameters: Sequence[str]
    ) -> str:
        del parameters
        sampled = StochasticPoolSampled(self.size, self.stride, self.padding, build.new_stream())
        return build(sampled, [*inputs, SEED])


@register
@dataclass(frozen=True)
class StochasticPoolSampled(Pool):
    r"""Take one value of each window, the likelier the larger it is.

    .. math:: y_{c,p} = a_{r^*}, \qquad
              r^* = \min \Bigl\{ r : \sum_{r' \le r} a_{r'} > u \sum_{r'} a_{r'} \Bigr\}

    with the *a* of :class:`StochasticPool`; zero where none is positive, NaN where one is not
    finite. ``u = floor(h / 2**8) / 2**24`` with the bits *h* of
    :func:`~convoi.ops.dropout.element_bits` for the number of the output element in the order of
    ``(C, *P)``. Sums are taken in the order of the window. Inputs: x and the seed of the step.
    """

    name: ClassVar[str] = "stochastic_pool_sampled"
    arity: ClassVar[int | None] = 2
    batch_inputs: ClassVar[frozenset[int]] = frozenset({1})

    stream: int = 0

    def __post_init__(self) -> None:
        """Check the attributes."""
        super().__post_init__()
        require.integer(self, "stream", self.stream, low=0)

    def infer_shape(self, *inputs: Shape) -> Shape:
        shape, seed = inputs
        require.same(self, "a seed", (), seed)
        return super().infer_shape(shape)

    def picked(self, x: Array, seed: Array) -> tuple[Array, Array]:
        """Return which position of each window is taken, and what is left if there is none."""
        # Half precision could not tell the random numbers apart.
        wide = np.promote_types(x.dtype, np.float32)
        a = np.maximum(self.window.patches(x).astype(wide), 0)
        flat = a.reshape(*a.shape[: 2 + len(self.size)], self.window.taps)
        sums = flat.cumsum(axis=-1)
        outputs = flat.shape[1:-1]
        keys = sample_keys(seed, self.stream, len(x))
        bits = element_bits(keys, prod(outputs)) >> np.uint32(32 - UNIFORM_BITS)
        u = (bits.astype(wide) / wide.type(1 << UNIFORM_BITS)).reshape(len(x), *outputs, 1)
        threshold = u * sums[..., -1:]
        before = np.concatenate([np.zeros_like(sums[..., :1]), sums[..., :-1]], axis=-1)
        hits = (sums > threshold) & (before <= threshold)
        rest = np.where(np.isfinite(sums[..., -1]), x.dtype.type(0), x.dtype.type(np.nan))
        return hits.reshape(a.shape), rest

    def reference(self, *arrays: Array) -> Array:
        x, seed = arrays
        hits, rest = self.picked(x, seed)
        y: Array = np.where(hits, self.window.patches(x), x.dtype.type(0)).sum(axis=self.taps)
        return np.where(hits.any(axis=self.taps), y, rest)

    def gradient(self, build: GraphBuilder, use: Use) -> Gradients:
        values = [use.inputs[0], use.output_gradient, SEED]
        return Gradients((build(StochasticPoolBackward(self), values), None))


@register
@dataclass(frozen=True)
class StochasticPoolBackward(Operation):
    r"""Gradient of :class:`StochasticPoolSampled`: it goes to the value that was taken.

    .. math:: dx_q = \sum_{p:\; q = p s - l + r^*(p)} dy_p

    Inputs: x and dy of the pooling, and the seed of the step.
    """

    name: ClassVar[str] = "stochastic_pool_backward"
    arity: ClassVar[int | None] = 3
    differentiable: ClassVar[bool] = False
    batch_inputs: ClassVar[frozenset[int]] = frozenset({2})

    pool: StochasticPoolSampled

    def infer_shape(self, *inputs: Shape) -> Shape:
        x, dy, seed = inputs
        require.same(self, "a gradient", self.pool.infer_shape(x, seed), dy)
        return x

    def reference(self, *arrays: Array) -> Array:
        x, dy, seed = arrays
        hits, _ = self.pool.picked(x, seed)
        window = self.pool.window
        return window.scatter(hits * dy.reshape(*dy.shape, *(1,) * window.rank), x.shape[2:])
