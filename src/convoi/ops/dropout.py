"""Dropout, with masks that follow from a counter instead of a generator's state.

Whether an element is dropped depends on the seed of the step, the layer's stream, the number of
the sample in the batch and the element's index alone. So threads, convoys and the backward pass
find the same mask without storing it.

Reference for the counter: J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
SC 2011. The mixing steps are those of SplitMix64 (G. L. Steele et al., "Fast splittable
pseudorandom number generators", OOPSLA 2014) and of MurmurHash3's 32-bit finaliser.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from convoi.ops import require
from convoi.ops.base import Array, Gradients, GraphBuilder, Operation, Shape, Use, register

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SEED = "seed"
"""Name of the graph input that holds the seed of a training step: a uint64, shape ``()``."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX64 = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_MIX32 = (np.uint32(0x85EBCA6B), np.uint32(0xC2B2AE35))


def mix64(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64 bits: one step of SplitMix64."""
    z = z + _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * _MIX64[0]
    z = (z ^ (z >> np.uint64(27))) * _MIX64[1]
    return z ^ (z >> np.uint64(31))


def sample_keys(seed: Array, stream: int, samples: int) -> NDArray[np.uint64]:
    """Return the key of each sample: ``mix64(mix64(seed) ^ (stream << 32 | sample))``."""
    base = mix64(np.asarray(seed, np.uint64).reshape(1))
    counter = np.uint64(stream) << np.uint64(32) | np.arange(samples, dtype=np.uint64)
    return mix64(base ^ counter)


def element_bits(keys: NDArray[np.uint64], elements: int) -> NDArray[np.uint32]:
    """Return 32 random bits for every element of every sample, ``(samples, elements)``.

    With ``a`` the low and ``b`` the high half of the sample's key, all in 32-bit arithmetic::

        h = element + a
        h = (h ^ (h >> 16)) * 0x85EBCA6B ^ b
        h = (h ^ (h >> 13)) * 0xC2B2AE35
        h = h ^ (h >> 16)
    """
    low = keys.astype(np.uint32)[:, None]
    high = (keys >> np.uint64(32)).astype(np.uint32)[:, None]
    h = np.arange(elements, dtype=np.uint32) + low
    h = (h ^ (h >> np.uint32(16))) * _MIX32[0] ^ high
    h = (h ^ (h >> np.uint32(13))) * _MIX32[1]
    return h ^ (h >> np.uint32(16))


@dataclass(frozen=True)
class _DropoutRate(Operation):
    """The attribute of both forms of dropout."""

    rate: float

    def __post_init__(self) -> None:
        """Check the attributes."""
        require.number(self, "rate", self.rate, low=0, high=1, open_high=True)

    def infer_shape(self, *inputs: Shape) -> Shape:
        return inputs[0]


@register
@dataclass(frozen=True)
class Dropout(_DropoutRate):
    """Do nothing; in training, set a random part of the elements to zero and scale up the others.

    ``y = x``. In training: :class:`DropoutMasked`, with a stream of its own.

    Reference: N. Srivastava et al., "Dropout: a simple way to prevent neural networks from
    overfitting", JMLR 15, 2014.
    """

    name: ClassVar[str] = "dropout"

    def reference(self, *arrays: Array) -> Array:
        (x,) = arrays
        return x

    def for_training(
        self, build: GraphBuilder, inputs: Sequence[str], parameters: Sequence[str]
    ) -> str:
        del parameters
        return build(DropoutMasked(self.rate, build.new_stream()), [*inputs, SEED])


@register
@dataclass(frozen=True)
class DropoutMasked(_DropoutRate):
    r"""Set elements to zero with probability `rate` and scale the others by ``1 / (1 - rate)``.

    .. math:: y_e = x_e \, [h_e \ge t] / (1 - \mathit{rate}), \qquad
              t = \lfloor 2^{32} \, \mathit{rate} \rfloor

    where :math:`h_e` are the bits of :func:`element_bits` for element *e* of the sample, counted
    in the order of ``(C, *X)``. Inputs: x and the seed of the step. The gradient is the same
    operation on dy.
    """

    name: ClassVar[str] = "dropout_masked"
    arity: ClassVar[int | None] = 2
    batch_inputs: ClassVar[frozenset[int]] = frozenset({1})

    stream: int = 0

    def __post_init__(self) -> None:
        """Check the attributes."""
        super().__post_init__()
        require.integer(self, "stream", self.stream, low=0)

    @property
    def threshold(self) -> int:
        """Elements whose bits are below it are dropped."""
        return int(self.rate * 2**32)

    def infer_shape(self, *inputs: Shape) -> Shape:
        shape, seed = inputs
        require.same(self, "a seed", (), seed)
        return shape

    def reference(self, *arrays: Array) -> Array:
        x, seed = arrays
        keys = sample_keys(seed, self.stream, len(x))
        kept = element_bits(keys, prod(x.shape[1:])) >= np.uint32(self.threshold)
        scaled: Array = x * x.dtype.type(1 / (1 - self.rate))
        return np.where(kept.reshape(x.shape), scaled, x.dtype.type(0))

    def gradient(self, build: GraphBuilder, use: Use) -> Gradients:
        return Gradients((build(self, [use.output_gradient, SEED]), None))
