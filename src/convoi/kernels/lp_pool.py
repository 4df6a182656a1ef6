"""The p-norm of windows, and its gradient.

    y[c, q]  = (sum over r of |x[c, q * stride - low + r]| ^ p) ^ (1 / p)
    dx[c, i] = sum over the windows q that see i of
               dy[c, q] * sign(x[c, i]) * (|x[c, i]| / y[c, q]) ^ (p - 1)

with no gradient where y is zero. Padding counts as zero. The powers of p = 1 and p = 2 are exact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from convoi.codegen.types import Value, constant
from convoi.kernels.lanes import tree
from convoi.kernels.pooling import ForwardKernel, GivingKernel, contribute
from convoi.kernels.vector_math import VectorMath
from convoi.kernels.windows import Elements, Window, Windows, fold, reduce_taps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convoi.codegen.types import Index
    from convoi.kernels.spans import Sample


@dataclass(frozen=True)
class LpPool(ForwardKernel):
    """The p-norm of each window."""

    p: float = 2.0

    @property
    def windows(self) -> Windows:
        """The windows over x, one for each position of y."""
        return replace(super().windows, work=_work(self.p))

    def emit_window(
        self, window: Window, samples: Sequence[Sample], element: Index, blocks: int
    ) -> None:
        """Emit the norm of a window."""
        x, y = samples
        f, zero = x.f, constant(self.x.vector, 0)
        m = VectorMath(f, self.x.vector)

        def powers(taps: list[Elements]) -> list[Value]:
            values = [[x.load(f.add(t, element), b) for (t,) in taps] for b in range(blocks)]
            return [tree([self._power(m, value) for value in block], f.fadd) for block in values]

        sums = reduce_taps(f, window, [zero] * blocks, powers, f.fadd)
        for b, total in enumerate(sums):
            y.store(self._root(m, total), f.add(window.outputs[0], element), b)

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
class LpPoolBackward(GivingKernel):
    """Every window gives to its positions according to their part in the norm."""

    p: float = 2.0

    @property
    def windows(self) -> Windows:
        """The windows over x and dx, one for each position of y and dy."""
        return replace(super().windows, work=_work(self.p))

    def emit_window(
        self, window: Window, samples: Sequence[Sample], element: Index, blocks: int
    ) -> None:
        """Give to the positions of a window according to their part in the norm."""
        x, y, dy, dx = samples
        f, overlap = x.f, self.windows.overlap
        m = VectorMath(f, self.x.vector)
        y_at, dy_at = (f.add(e, element) for e in window.outputs)
        norms = [y.load(y_at, b) for b in range(blocks)]
        gradients = [dy.load(dy_at, b) for b in range(blocks)]
        # Where the norm is zero, so is every x: any finite factor will do.
        inverses = [m.div(1, m.where(m.equal(norm, 0), 1, norm)) for norm in norms]

        def give(taps: list[Elements], _: list[Value]) -> list[Value]:
            for x_at, dx_at in taps:
                for b in range(blocks):
                    value = x.load(f.add(x_at, element), b)
                    given = f.fmul(gradients[b], self._slope(m, value, inverses[b]))
                    contribute(given, dx, f.add(dx_at, element), b, add=overlap)
            return []

        fold(f, window, [], give)

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
