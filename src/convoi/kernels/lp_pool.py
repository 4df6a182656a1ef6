"""The p-norm of windows, and its gradient.

    y[c, q]  = (sum over r of |x[c, q * stride - low + r]| ^ p) ^ (1 / p)
    dx[c, i] = sum over the windows q that see i of
               dy[c, q] * sign(x[c, i]) * (|x[c, i]| / y[c, q]) ^ (p - 1)

with no gradient where y is zero. Padding counts as zero. The powers of p = 1 and p = 2 are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from convoi.codegen.types import Value, constant
from convoi.kernels.base import CallArguments, Kernel
from convoi.kernels.pool import clear_rest, contribute
from convoi.kernels.spans import Sample, each_sample
from convoi.kernels.vector_math import VectorMath
from convoi.kernels.windows import Elements, Window, Windows, each_window, fold, reduce_taps, tree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.codegen.builder import Function
    from convoi.codegen.types import Index
    from convoi.kernels.layout import Layout, Pair


@dataclass(frozen=True)
class LpPool(Kernel):
    """The p-norm of each window."""

    arguments: ClassVar[tuple[str, ...]] = ("x", "y")

    x: Layout
    y: Layout
    size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[Pair, ...]
    p: float = 2.0

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loops over samples and windows."""
        windows = Windows((self.x,), (self.y,), self.size, self.stride, self.padding, _work(self.p))
        m = VectorMath(f, self.x.vector)
        zero = constant(self.x.vector, 0)

        def one(x: Sample, y: Sample) -> None:
            def pool(window: Window, element: Index, blocks: int) -> None:
                def powers(taps: list[Elements]) -> list[Value]:
                    values = [
                        [x.load(f.add(t, element), b) for (t,) in taps] for b in range(blocks)
                    ]
                    return [
                        tree([self._power(m, value) for value in block], f.fadd) for block in values
                    ]

                sums = reduce_taps(f, window, [zero] * blocks, powers, f.fadd)
                for b, total in enumerate(sums):
                    y.store(self._root(m, total), f.add(window.outputs[0], element), b)

            each_window(f, windows, pool)

        each_sample(f, call.count, pointers, (self.x, self.y), lambda samples: one(*samples))

    def _power(self, m: VectorMath, x: Value) -> Value:
        """Return |x|^p."""
        if self.p == 1:
            return m.abs(x)
        return m.mul(x, x) if self.p == 2 else m.pow(m.abs(x), self.p)

    def _root(self, m: VectorMath, x: Value) -> Value:
        """Return x^(1/p)."""
        if self.p == 1:
            return x
        return m.sqrt(x) if self.p == 2 else m.pow(x, 1 / self.p)


@dataclass(frozen=True)
class LpPoolBackward(Kernel):
    """Every window gives to its positions according to their part in the norm."""

    arguments: ClassVar[tuple[str, ...]] = ("x", "y", "dy", "dx")

    x: Layout
    y: Layout
    dy: Layout
    dx: Layout
    size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[Pair, ...]
    p: float = 2.0

    def emit(self, f: Function, pointers: Sequence[Value], call: CallArguments) -> None:
        """Emit the loops over samples and windows."""
        inputs, outputs = (self.x, self.dx), (self.y, self.dy)
        windows = Windows(inputs, outputs, self.size, self.stride, self.padding, _work(self.p))
        m = VectorMath(f, self.x.vector)

        def one(x: Sample, y: Sample, dy: Sample, dx: Sample) -> None:
            def share_out(window: Window, element: Index, blocks: int) -> None:
                y_at, dy_at = (f.add(e, element) for e in window.outputs)
                norms = [y.load(y_at, b) for b in range(blocks)]
                gradients = [dy.load(dy_at, b) for b in range(blocks)]
                # Where the norm is zero, so is every x: any finite factor will do.
                inverses = [m.div(1, m.where(m.equal(norm, 0), 1, norm)) for norm in norms]

                def give(taps: list[Elements], _: list[Value]) -> list[Value]:
                    for x_at, dx_at in taps:
                        for b in range(blocks):
                            value = x.load(f.add(x_at, element), b)
                            slope = self._slope(m, value, inverses[b])
                            given = f.fmul(gradients[b], slope)
                            contribute(given, dx, f.add(dx_at, element), b, add=windows.overlap)
                    return []

                fold(f, window, [], give)

            clear_rest(windows, dx)
            each_window(f, windows, share_out)

        layouts = (self.x, self.y, self.dy, self.dx)
        each_sample(f, call.count, pointers, layouts, lambda samples: one(*samples))

    def _slope(self, m: VectorMath, x: Value, inverse: Value) -> Value:
        """Return sign(x) (|x| / y)^(p - 1)."""
        if self.p == 2:
            return m.mul(x, inverse)
        sign = m.where(m.greater(x, 0), 1, m.where(m.less(x, 0), -1, x))
        if self.p == 1:
            return sign
        return m.mul(sign, m.pow(m.mul(m.abs(x), inverse), self.p - 1))


def _work(p: float) -> int:
    """Return the code of a power, as a multiple of that of an addition."""
    return 1 if p in {1, 2} else 16
