"""Correlation in the Fourier domain, as products of real numbers: forms for many taps.

N inputs of a tile are transformed to their spectrum X. That of the correlation with r taps is X
times the conjugate of the taps' spectrum; transformed back, its first m = N - r + 1 values are
outputs. A product of complex numbers takes three of real ones,

    (a + b i)(c + d i) = (p + q) + (p + r) i,    p = (a - b) d,  q = a (c - d),  r = b (c + d)

so that N / 2 + 1 frequencies, of which the first and the last are real, take 3 N / 2 - 1 products
for m outputs of r taps: 95 for 25 outputs of 40 taps, not 1000. Where Winograd's points are real
numbers, whose powers soon differ in size, these lie on the unit circle: errors stay near those of
a sum.

The way back is the transposed transform, up to the factors 1 / N and 2 / N, which the weights have
in them.

References: J. W. Cooley and J. W. Tukey, "An algorithm for the machine calculation of complex
Fourier series", Mathematics of Computation 19(90), 1965; H. V. Sorensen et al., "Real-valued fast
Fourier transform algorithms", IEEE Transactions on Acoustics, Speech, and Signal Processing 35(6),
1987.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

from convoi.kernels.transforms import Flow, FlowBuilder, Form

if TYPE_CHECKING:
    from collections.abc import Sequence

Number: TypeAlias = tuple[int | None, int | None]
"""The real and the imaginary part of a number: values of a flow."""


OPERATIONS = 1.5
"""Of a transform of N points, divided by N log N: 1.3 to 1.65, from 32 to 128 points."""


@dataclass(frozen=True)
class FourierForm(Form):
    """A form of ``outputs + taps - 1`` points: an even number of primes 2 and 3.

    Its transforms are made when they are asked for.
    """

    @property
    def size(self) -> int:
        """Products of a tile: one for each of two frequencies, three for the others."""
        return 3 * self.reach // 2 - 1

    @property
    def operations(self) -> tuple[float, float]:
        """An estimate, the same for both ways."""
        count = OPERATIONS * self.reach * math.log2(self.reach)
        return count, count

    @property
    def input(self) -> Flow:
        """To what is multiplied."""
        return _products(self.reach, self.reach, -1)

    @property
    def output(self) -> Flow:
        """From products to outputs."""
        return _products(self.outputs, self.reach, 1).transposed

    @property
    def weight(self) -> Flow:
        """To what the transformed inputs are multiplied with."""
        return _weights(self.taps, self.reach)


@cache
def _products(inputs: int, points: int, sign: float) -> Flow:
    """Return what is multiplied, of each frequency a - b, a and b; or what its result adds to."""
    flow = FlowBuilder(inputs)
    first, *middle, last = _spectrum(flow, _padded(inputs, points))
    triples = ((flow.add((a, 1), (b, sign)), a, b) for a, b in middle)
    return flow.flow([first[0], last[0], *(value for triple in triples for value in triple)])


@cache
def _weights(taps: int, points: int) -> Flow:
    """Return what that is multiplied with: d, c - d and c + d of the conjugates c + d i."""
    flow = FlowBuilder(taps)
    first, *middle, last = _spectrum(flow, _padded(taps, points))
    once, twice = 1 / points, 2 / points
    results = [flow.add((end, once)) for end, _ in (first, last)]
    for re, im in middle:
        results.append(flow.add((im, -twice)))
        results.append(flow.add((re, twice), (im, twice)))
        results.append(flow.add((re, twice), (im, -twice)))
    return flow.flow(results)


def _padded(inputs: int, points: int) -> list[int | None]:
    """Return the inputs, and zeros behind them."""
    return [i if i < inputs else None for i in range(points)]


def _spectrum(flow: FlowBuilder, samples: Sequence[int | None]) -> list[Number]:
    """Return the frequencies 0 to n / 2 of n real samples."""
    n = len(samples)
    if n == 1:
        return [(samples[0], None)]
    radix = 2 if n % 2 == 0 else 3
    part = n // radix
    parts = [_spectrum(flow, samples[i::radix]) for i in range(radix)]
    found: dict[int, Number] = {}
    for k in range(part // 2 + 1):
        turned = [_turned(flow, parts[i][k], i * k / n) for i in range(radix)]
        for number, value in zip(range(k, n, part), _butterfly(flow, turned), strict=True):
            # The frequencies above n / 2 are the conjugates of those below.
            if number <= n // 2:
                found[number] = value
            else:
                found[n - number] = (value[0], flow.add((value[1], -1)))
    ends = {0, n / 2}
    return [(re, None if k in ends else im) for k, (re, im) in sorted(found.items())]


def _turned(flow: FlowBuilder, number: Number, turns: float) -> Number:
    """Return a number times ``exp(-2 pi i turns)``."""
    c, s = math.cos(2 * math.pi * turns), -math.sin(2 * math.pi * turns)
    re, im = number
    return flow.add((re, c), (im, -s)), flow.add((re, s), (im, c))


def _butterfly(flow: FlowBuilder, numbers: Sequence[Number]) -> list[Number]:
    """Return the Fourier transform of two or three numbers."""
    a, b, *rest = numbers
    if not rest:
        return [_sum(flow, (a, 1), (b, 1)), _sum(flow, (a, 1), (b, -1))]
    (c,) = rest
    total, difference = _sum(flow, (b, 1), (c, 1)), _sum(flow, (b, 1), (c, -1))
    middle = _sum(flow, (a, 1), (total, -0.5))
    height = math.sqrt(3) / 2
    re, im = difference
    # -i and i times the difference.
    return [
        _sum(flow, (a, 1), (total, 1)),
        (flow.add((middle[0], 1), (im, height)), flow.add((middle[1], 1), (re, -height))),
        (flow.add((middle[0], 1), (im, -height)), flow.add((middle[1], 1), (re, height))),
    ]


def _sum(flow: FlowBuilder, *terms: tuple[Number, float]) -> Number:
    re, im = (flow.add(*((number[i], factor) for number, factor in terms)) for i in range(2))
    return re, im
