"""The step of an optimiser: one pass over all parameters, which lie in one arena.

The "samples" of these kernels are granules: 64 bytes of each arena. Every parameter begins at a
granule; what its last granule has beyond it is zero in all arenas, and stays zero. The gradient is
the sum of the gradients of the batch's chunks, added up in the same pass from the first chunk to
the last, so that it does not depend on threads.

References: the formulas of torch.optim.SGD, Adam and AdamW; D. P. Kingma and J. Ba, "Adam: a method
for stochastic optimization", 2015; I. Loshchilov and F. Hutter, "Decoupled weight decay
regularization", 2019.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from convoi.codegen.types import F32, F64, FLOATS, I64, Value, Vector, constant
from convoi.kernels.base import CallArguments, Kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index

GRANULE_BYTES = 64
"""Bytes of an arena that count as one sample."""

VECTORS = 4
"""Vectors that are handled together."""

NORM_LANES = 8
"""Elements of the partial sums of :class:`SquaredNorm`."""

NORM_EPSILON = 1e-6
"""Added to the norm that gradients are divided by, as ``torch.nn.utils.clip_grad_norm_`` does."""

HYPER = np.dtype(
    [
        ("chunks", np.int64),
        ("chunk_bytes", np.int64),
        ("gradient_scale", np.float64),
        ("learning_rate", np.float64),
        ("weight_decay", np.float64),
        ("momentum", np.float64),
        ("beta1", np.float64),
        ("beta2", np.float64),
        ("epsilon", np.float64),
        ("correction1", np.float64),
        ("correction2", np.float64),
        ("partials", np.int64),
        ("max_norm", np.float64),
        ("norm", np.float64),
    ]
)
"""The record ``hyper``: all that may change from step to step.

There are ``chunks`` gradients, ``chunk_bytes`` apart; their sum is multiplied by
``gradient_scale``. In step t = 1, 2, … of Adam, ``correction1`` is ``1 - beta1 ** t`` and
``correction2`` is ``1 - beta2 ** t``; ``epsilon`` must be positive. The last three fields are for
:class:`ClipGradients`.
"""


def _place(f: Function, hyper: Value, name: str) -> Value:
    return f.at(hyper, (HYPER.names or ()).index(name), I64)


def _number(f: Function, hyper: Value, name: str) -> Value:
    return f.load(_place(f, hyper, name), F64)


@dataclass(frozen=True)
class _Gradient:
    """The sum of the gradients of all chunks."""

    f: Function
    address: Value
    chunks: Value
    chunk_elements: Value
    vector: Vector

    def load(self, elements: Sequence[Index]) -> list[Value]:
        """Return the sums at the vectors that begin at some elements."""

        def parts(elements: Sequence[Index]) -> list[Value]:
            places = [self.f.at(self.address, e, self.vector.element) for e in elements]
            return [self.f.load(place, self.vector) for place in places]

        def add(chunk: Index, sums: list[Value]) -> list[Value]:
            offset = self.f.mul(chunk, self.chunk_elements)
            more = parts([self.f.add(offset, e) for e in elements])
            return [self.f.fadd(a, b) for a, b in zip(sums, more, strict=True)]

        return self.f.loop(self.chunks, add, parts(elements), start=1)


@dataclass(frozen=True)
class _Pass(Kernel):
    """A pass over arenas of a dtype, in vectors of some lanes."""

    dtype: str
    lanes: int

    @property
    def vector(self) -> Vector:
        """LLVM's type of the vectors."""
        return Vector(FLOATS[self.dtype], self.lanes)

    @property
    def per_granule(self) -> int:
        """Vectors in a granule."""
        return GRANULE_BYTES // self.vector.size

    def gradient(self, f: Function, address: Value, hyper: Value) -> _Gradient:
        """Return the gradient that begins at the address of its first chunk."""
        chunks = f.load(_place(f, hyper, "chunks"), I64)
        chunk_bytes = f.load(_place(f, hyper, "chunk_bytes"), I64)
        elements = f.integer("sdiv", chunk_bytes, self.vector.element.size)
        return _Gradient(f, address, chunks, elements, self.vector)

    def splat(self, f: Function, number: Value) -> Value:
        """Return a float64 in every lane, rounded to the dtype."""
        if self.vector.element == F32:
            number = f.convert("fptrunc", number, F32)
        return f.splat(number, self.lanes)

    def each(
        self,
        f: Function,
        count: Value,
        body: Callable[[list[tuple[Index, Index]], list[Value]], Sequence[Value] | None],
        carried: Sequence[Value] = (),
    ) -> list[Value]:
        """Run the body for a few vectors at a time: (granule, element) of each."""

        def vectors(granules: int) -> Callable[[Index, list[Value]], Sequence[Value] | None]:
            def emit(first: Index, carried: list[Value]) -> Sequence[Value] | None:
                numbers = [f.add(first, i) for i in range(granules)]
                step = self.per_granule * self.lanes
                return body(
                    [
                        (g, f.add(f.mul(g, step), v * self.lanes))
                        for g in numbers
                        for v in range(self.per_granule)
                    ],
                    carried,
                )

            return emit

        together = max(1, VECTORS // self.per_granule)
        whole = f.sub(count, f.integer("srem", count, together))
        carried = f.loop(whole, vectors(together), carried, step=together)
        return f.loop(count, vectors(1), carried, start=whole)


@dataclass(frozen=True)
class _Step(_Pass):
    """A step of an optimiser; its rule for one vector is all that a subclass defines.

    Pointers: gradient (of the first chunk), parameters, the subclass's slots, ``decay`` (a factor
    of the weight decay for each granule, in the dtype) and ``hyper``.
    """

    @abstractmethod
    def slots(self) -> int:
        """Return how many arenas the optimiser remembers between steps."""

    def pointer_count(self) -> int:
        """Return how many pointers it takes."""
        return 4 + self.slots()

    @abstractmethod
    def constants(self, f: Function, hyper: Value) -> tuple[Value, ...]:
        """Return what the rule needs, the same for all parameters."""

    @abstractmethod
    def rule(  # noqa: PLR0917 - the symbols of the formula
        self,
        f: Function,
        constants: Sequence[Value],
        g: Value,
        p: Value,
        decay: Value,
        slots: Sequence[Value],
    ) -> tuple[Value, ...]:
        """Return the parameters and the slots after the step."""

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loop over granules."""
        first, *arenas, decays, hyper = pointers
        gradient = self.gradient(f, first, hyper)
        scale = self.splat(f, _number(f, hyper, "gradient_scale"))
        constants = self.constants(f, hyper)
        element = self.vector.element

        def some(vectors: list[tuple[Index, Index]], _: list[Value]) -> None:
            sums = gradient.load([at for _, at in vectors])
            for total, (granule, at) in zip(sums, vectors, strict=True):
                decay = f.broadcast(f.at(decays, granule, element), self.vector)
                places = [f.at(arena, at, element) for arena in arenas]
                p, *slots = [f.load(place, self.vector) for place in places]
                results = self.rule(f, constants, f.fmul(total, scale), p, decay, slots)
                for result, place in zip(results, places, strict=True):
                    f.store(result, place)

        self.each(f, call.count, some)


@dataclass(frozen=True)
class SGD(_Step):
    """Stochastic gradient descent, with momentum in one slot, which begins as zero.

    g = g + weight_decay * decay * p
    v = momentum * v + g
    p = p - learning_rate * v                       or with Nesterov's momentum
    p = p - learning_rate * (g + momentum * v)
    """

    arguments: ClassVar[tuple[str, ...]] = ("gradient", "parameters", "velocity", "decay", "hyper")

    momentum: bool = False
    """Whether there is a slot; without it v is g."""
    nesterov: bool = False

    def slots(self) -> int:
        """Return how many arenas the optimiser remembers between steps."""
        return int(self.momentum)

    def constants(self, f: Function, hyper: Value) -> tuple[Value, ...]:
        """Return minus the learning rate, the weight decay and the momentum."""
        rate, decay, momentum = (
            _number(f, hyper, name) for name in ("learning_rate", "weight_decay", "momentum")
        )
        minus = f.fsub(constant(F64, 0), rate)
        return self.splat(f, minus), self.splat(f, decay), self.splat(f, momentum)

    def rule(  # noqa: PLR0917 - the symbols of the formula
        self,
        f: Function,
        constants: Sequence[Value],
        g: Value,
        p: Value,
        decay: Value,
        slots: Sequence[Value],
    ) -> tuple[Value, ...]:
        """Return the parameters and the slots after the step."""
        minus_rate, weight_decay, momentum = constants
        g = f.fma(f.fmul(weight_decay, decay), p, g)
        if not slots:
            return (f.fma(minus_rate, g, p),)
        velocity = f.fma(momentum, slots[0], g)
        direction = f.fma(momentum, velocity, g) if self.nesterov else velocity
        return f.fma(minus_rate, direction, p), velocity


@dataclass(frozen=True)
class Adam(_Step):
    """Adam, with two slots that begin as zero; with ``decoupled``, AdamW.

    g = g + weight_decay * decay * p                        or decoupled:
    p = p - learning_rate * weight_decay * decay * p
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g^2
    p = p - learning_rate / correction1 * m / (sqrt(v / correction2) + epsilon)
    """

    arguments: ClassVar[tuple[str, ...]] = (
        "gradient", "parameters", "m", "v", "decay", "hyper",
    )  # fmt: skip

    decoupled: bool = False

    def slots(self) -> int:
        """Return how many arenas the optimiser remembers between steps."""
        return 2

    def constants(self, f: Function, hyper: Value) -> tuple[Value, ...]:
        """Return the factors of the formula, those of the decay, m, v and the step."""
        zero, one = constant(F64, 0), constant(F64, 1)
        rate, decay = _number(f, hyper, "learning_rate"), _number(f, hyper, "weight_decay")
        if self.decoupled:
            decay = f.fsub(zero, f.fmul(rate, decay))
        beta1, beta2 = _number(f, hyper, "beta1"), _number(f, hyper, "beta2")
        minus_step = f.fdiv(f.fsub(zero, rate), _number(f, hyper, "correction1"))
        root = f.intrinsic("sqrt", _number(f, hyper, "correction2"))
        numbers = (
            decay, beta1, f.fsub(one, beta1), beta2, f.fsub(one, beta2),
            minus_step, f.fdiv(one, root), _number(f, hyper, "epsilon"),
        )  # fmt: skip
        return tuple(self.splat(f, number) for number in numbers)

    def rule(  # noqa: PLR0917 - the symbols of the formula
        self,
        f: Function,
        constants: Sequence[Value],
        g: Value,
        p: Value,
        decay: Value,
        slots: Sequence[Value],
    ) -> tuple[Value, ...]:
        """Return the parameters and the slots after the step."""
        weight_decay, beta1, rest1, beta2, rest2, minus_step, inverse_root, epsilon = constants
        m, v = slots
        if self.decoupled:
            p = f.fma(f.fmul(weight_decay, decay), p, p)
        else:
            g = f.fma(f.fmul(weight_decay, decay), p, g)
        m = f.fma(beta1, m, f.fmul(rest1, g))
        v = f.fma(beta2, v, f.fmul(rest2, f.fmul(g, g)))
        divisor = f.fma(f.intrinsic("sqrt", v), inverse_root, epsilon)
        return f.fma(minus_step, f.fdiv(m, divisor), p), m, v


@dataclass(frozen=True)
class ReduceGradients(_Pass):
    """Write the sum of the gradients of all chunks, without scaling it."""

    arguments: ClassVar[tuple[str, ...]] = ("gradient", "hyper", "output")

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loop over granules."""
        first, hyper, output = pointers
        gradient = self.gradient(f, first, hyper)

        def some(vectors: list[tuple[Index, Index]], _: list[Value]) -> None:
            sums = gradient.load([at for _, at in vectors])
            for total, (_granule, at) in zip(sums, vectors, strict=True):
                f.store(total, f.at(output, at, self.vector.element))

        self.each(f, call.count, some)


@dataclass(frozen=True)
class SquaredNorm(_Pass):
    """Sum the squares of the gradient in float64, as partial sums of each slice of the arena.

    The output is the accumulator of a slice: :data:`NORM_LANES` float64. Like the sums of all
    kernels, it begins anew where ``fresh`` says so.
    """

    arguments: ClassVar[tuple[str, ...]] = ("gradient", "hyper", "partials")

    lanes: int = NORM_LANES

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loop over granules."""
        first, hyper, partials = pointers
        gradient = self.gradient(f, first, hyper)
        wide = Vector(F64, self.lanes)
        fresh = f.compare("ne", call.fresh, 0)
        before = f.select(fresh, constant(wide, 0), f.load(partials, wide))

        def some(vectors: list[tuple[Index, Index]], carried: list[Value]) -> list[Value]:
            (total,) = carried
            for g in gradient.load([at for _, at in vectors]):
                exact = g if g.type == wide else f.convert("fpext", g, wide)
                total = f.fma(exact, exact, total)
            return [total]

        (total,) = self.each(f, call.count, some, [before])
        f.store(total, partials)


@dataclass(frozen=True)
class ClipGradients(Kernel):
    """Set ``gradient_scale`` so that the norm of the gradient is at most ``max_norm``.

    Reads ``partials`` accumulators of :class:`SquaredNorm`, which follow one another, and writes
    ``norm`` as well. Runs once per step, on one thread.
    """

    arguments: ClassVar[tuple[str, ...]] = ("partials", "hyper")

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the sum and the factor."""
        del call
        partials, hyper = pointers
        count = f.mul(f.load(_place(f, hyper, "partials"), I64), NORM_LANES)

        def add(i: Index, carried: list[Value]) -> list[Value]:
            return [f.fadd(carried[0], f.load(f.at(partials, i, F64), F64))]

        (total,) = f.loop(count, add, [constant(F64, 0)])
        norm = f.intrinsic("sqrt", total)
        one = constant(F64, 1)
        divisor = f.fadd(norm, constant(F64, NORM_EPSILON))
        factor = f.fdiv(_number(f, hyper, "max_norm"), divisor)
        # The comparison is false for NaN, which has to show in the parameters.
        scale = f.select(f.fcompare("ogt", factor, one), one, factor)
        f.store(norm, _place(f, hyper, "norm"))
        f.store(scale, _place(f, hyper, "gradient_scale"))
