"""The problems on which the operator is measured."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Cell:
    """A correlation of arrays of these shapes, or with `match` a map of scores."""

    shape: tuple[int, ...]
    kernel: tuple[int, ...]
    dtype: str
    batch: int = 0
    match: bool = False

    def __str__(self) -> str:
        batch = f"{self.batch} x " if self.batch else ""
        shape, kernel = ("x".join(map(str, s)) for s in (self.shape, self.kernel))
        return f"{'match ' if self.match else ''}{batch}{shape} * {kernel} {self.dtype}"

    @property
    def work(self) -> int:
        """Multiply-adds of the direct sum."""
        return math.prod(self.shape) * math.prod(self.kernel) * max(1, self.batch)

    def arrays(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return input and kernel, of a fixed seed."""
        generator = np.random.default_rng(0)
        shape = (self.batch, *self.shape) if self.batch else self.shape
        x = generator.standard_normal(shape).astype(self.dtype)
        if self.match:
            corner = tuple(slice(k, 2 * k) for k in self.kernel)
            return x, x[corner].copy()
        return x, generator.standard_normal(self.kernel).astype(self.dtype)

    def record(self) -> dict[str, Any]:
        """Return what is kept of it."""
        return asdict(self)


def grid(*, quick: bool) -> Iterator[Cell]:
    """Give the cells."""
    for dtype in ("float32",) if quick else ("float32", "float64"):
        for length in (10**3, 10**5) if quick else (10**3, 10**4, 10**5, 10**6, 10**7):
            for taps in (3, 31, 1000) if quick else (3, 10, 31, 100, 1000, 10**4, 10**5):
                if taps <= length:
                    yield Cell((length,), (taps,), dtype)
        for side in (64, 512) if quick else (64, 256, 1024, 4096):
            for taps in (3, 15) if quick else (3, 5, 9, 15, 31, 61, 101):
                if taps <= side:
                    yield Cell((side, side), (taps, taps), dtype)
        for side, batch in ((64, 32),) if quick else ((64, 64), (256, 16)):
            for taps in (3, 9) if quick else (3, 9, 31):
                yield Cell((side, side), (taps, taps), dtype, batch)
        for taps in (3,) if quick else (3, 31, 300):
            yield Cell((1000,), (taps,), dtype, 256)
    for side, taps in ((256, 16),) if quick else ((256, 16), (1024, 16), (1024, 48), (2048, 96)):
        yield Cell((side, side), (taps, taps), "float32", match=True)


def held_out_grid(*, quick: bool) -> Iterator[Cell]:
    """Give problems of random sizes, none of them one that the cost model was fitted to."""
    generator = np.random.default_rng(2)

    def size(least: int, most: int) -> int:
        return round(float(np.exp(generator.uniform(np.log(least), np.log(most)))))

    for number in range(6 if quick else 120):
        dtype = ("float32", "float64")[number % 2]
        kind = number // 2 % 3
        if kind == 0:
            length = size(500, 4_000_000)
            yield Cell((length,), (size(2, min(length, 50_000)),), dtype)
            continue
        batch = size(2, 64) if kind == 2 else 0
        shape = (size(40, 400 if batch else 2500), size(40, 400 if batch else 2500))
        yield Cell(shape, (size(2, 40), size(2, 40)), dtype, batch)
