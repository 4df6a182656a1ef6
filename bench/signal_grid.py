"""The operator against its peers over a grid of sizes: ``python -m bench.signal_grid``.

Peers are SciPy (convolve, oaconvolve, convolve2d, ndimage), NumPy, and, where they are installed,
OpenCV, scikit-image and PyTorch. All results are checked against ours before they are timed; each
peer is given one thread or as many as ours. ``--fit`` measures every method of ours instead, and
prints the rates of the cost model that fit best.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.machine import describe_machine
from convoi.errors import ArgumentError
from convoi.signal import convolve, explain, match

TOO_LONG = 4.0
"""Seconds that one call may be expected to take; slower cells of slow peers are left out."""
METHODS = ("direct", "separable", "fft", "overlap-add")
Call = Callable[[], Any]


@dataclass(frozen=True)
class Cell:
    """One problem of the grid."""

    shape: tuple[int, ...]
    kernel: tuple[int, ...]
    dtype: str
    batch: int = 0

    @property
    def work(self) -> float:
        """Multiply-adds of the direct sum."""
        return math.prod(self.shape) * math.prod(self.kernel) * max(1, self.batch)

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Return input and kernel, of a fixed seed."""
        generator = np.random.default_rng(0)
        shape = (self.batch, *self.shape) if self.batch else self.shape
        return tuple(generator.standard_normal(s).astype(self.dtype) for s in (shape, self.kernel))


@dataclass
class CellResult:
    """Seconds of everyone on a cell."""

    cell: Cell
    ours: float
    method: str
    methods: dict[str, float] = field(default_factory=dict)
    peers: dict[str, float] = field(default_factory=dict)


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


def peers_of(
    cell: Cell, x: np.ndarray, k: np.ndarray, threads: int
) -> dict[str, tuple[Call, float]]:
    """Return the calls of the peers that can do a cell, with their seconds per multiply-add."""
    import scipy.ndimage as ndi  # noqa: PLC0415 - peers are imported where they are timed
    import scipy.signal as ss  # noqa: PLC0415 - peers are imported where they are timed

    rank, batch = len(cell.shape), bool(cell.batch)
    kernel = k.reshape((1,) * (x.ndim - rank) + k.shape)
    axes = tuple(range(x.ndim - rank, x.ndim))
    n_log = math.prod(x.shape) * 40 / cell.work
    calls: dict[str, tuple[Call, float]] = {
        "scipy.oaconvolve": (lambda: ss.oaconvolve(x, kernel, "same", axes=axes), 5e-9 * n_log),
        "scipy.fftconvolve": (lambda: ss.fftconvolve(x, kernel, "same", axes=axes), 5e-9 * n_log),
        "ndimage.convolve": (lambda: ndi.convolve(x, kernel, mode="constant"), 3e-9),
    }
    if not batch:
        calls["scipy.convolve"] = (lambda: ss.convolve(x, k, "same"), 5e-9 * n_log)
    if rank == 1 and not batch:
        calls["numpy.convolve"] = (lambda: np.convolve(x, k, "same"), 1e-9)
    if rank == 2 and not batch:
        calls["scipy.convolve2d"] = (lambda: ss.convolve2d(x, k, "same"), 2e-9)
    calls |= _opencv(cell, x, k, threads) | _torch(cell, x, k, threads)
    return calls


def _opencv(
    cell: Cell, x: np.ndarray, k: np.ndarray, threads: int
) -> dict[str, tuple[Call, float]]:
    if len(cell.shape) != 2 or importlib.util.find_spec("cv2") is None:
        return {}
    import cv2  # noqa: PLC0415 - peers are imported where they are timed

    cv2.setNumThreads(threads)
    flipped = np.ascontiguousarray(k[::-1, ::-1])
    images = x if cell.batch else x[None]

    def run() -> np.ndarray:
        done = [cv2.filter2D(i, -1, flipped, borderType=cv2.BORDER_CONSTANT) for i in images]
        return np.stack(done) if cell.batch else done[0]

    return {"opencv.filter2D": (run, 5e-10)}


def _torch(cell: Cell, x: np.ndarray, k: np.ndarray, threads: int) -> dict[str, tuple[Call, float]]:
    if importlib.util.find_spec("torch") is None:
        return {}
    import torch  # noqa: PLC0415 - peers are imported where they are timed

    torch.set_num_threads(threads)
    rank = len(cell.shape)
    data = torch.from_numpy(x if cell.batch else x[None])[:, None]
    weight = torch.from_numpy(np.ascontiguousarray(np.flip(k)))[None, None]
    function = (torch.nn.functional.conv1d, torch.nn.functional.conv2d)[rank - 1]

    def run() -> np.ndarray:
        with torch.inference_mode():
            y = function(data, weight, padding="same")[:, 0].numpy()
        return y if cell.batch else y[0]

    return {"torch.conv": (run, 2e-9)}


def seconds(call: Call, budget: float) -> float:
    """Return the median of several timed calls, after one that is not."""
    call()
    times: list[float] = []
    begun = time.perf_counter()
    while len(times) < 3 or (time.perf_counter() - begun < budget and len(times) < 51):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


def measure(cell: Cell, threads: int, budget: float, *, methods: bool, peers: bool) -> CellResult:
    """Check and time everyone on a cell."""
    x, k = cell.arrays()
    axes = tuple(range(-len(cell.shape), 0))

    def ours(method: str = "auto") -> np.ndarray:
        return convolve(x, k, mode="same", axes=axes, method=method, threads=threads)

    reference = ours()
    chosen = explain(x, k, mode="same", axes=axes, threads=threads)
    result = CellResult(cell, seconds(ours, budget), chosen.method)
    for method in METHODS if methods else ():
        if method not in chosen.costs or chosen.costs[method].seconds > TOO_LONG:
            continue
        try:
            result.methods[method] = seconds(lambda m=method: ours(m), budget)
        except ArgumentError:  # not separable
            continue
    scale = float(np.abs(reference).max())
    for name, (call, rate) in (peers_of(cell, x, k, threads) if peers else {}).items():
        if rate * cell.work > TOO_LONG:
            continue
        if x.shape == cell.shape and max(cell.kernel) % 2:  # even kernels are centred otherwise
            error = float(np.abs(call() - reference).max())
            if error > (1e-3 if cell.dtype == "float32" else 1e-8) * scale:
                raise AssertionError(f"{name} disagrees on {cell}: {error / scale:.1e}")
        result.peers[name] = seconds(call, budget)
    return result


def match_template(threads: int, budget: float) -> dict[str, float]:
    """Time template matching on a picture of 1024 x 1024 with a template of 48 x 48."""
    generator = np.random.default_rng(0)
    x = generator.random((1024, 1024), np.float32)
    t = x[100:148, 200:248].copy()
    found = {"convoi.match": seconds(lambda: match(x, t, threads=threads), budget)}
    if importlib.util.find_spec("cv2") is not None:
        import cv2  # noqa: PLC0415 - peers are imported where they are timed

        cv2.setNumThreads(threads)
        found["opencv.matchTemplate"] = seconds(
            lambda: cv2.matchTemplate(x, t, cv2.TM_CCOEFF_NORMED), budget
        )
    if importlib.util.find_spec("skimage") is not None:
        from skimage.feature import match_template as peer  # noqa: PLC0415 - peers are imported where they are timed

        found["skimage.match_template"] = seconds(lambda: peer(x, t), budget)
    return found


def summary(results: list[CellResult]) -> str:
    """Return what the cells say together."""
    lines = []

    def ratios(prefixes: tuple[str, ...]) -> list[float]:
        return [
            min(t for n, t in r.peers.items() if n.startswith(prefixes)) / r.ours
            for r in results
            if any(n.startswith(prefixes) for n in r.peers)
        ]

    groups = {
        "all peers": ("",),
        "SciPy and NumPy": ("scipy", "ndimage", "numpy"),
        "OpenCV": ("opencv",),
        "PyTorch": ("torch",),
    }
    for name, prefixes in groups.items():
        found = ratios(prefixes)
        if found:
            mean = math.exp(sum(map(math.log, found)) / len(found))
            won = sum(r >= 1 / 1.1 for r in found)
            lines.append(
                f"best of {name}: geometric mean {mean:.2f} times ours, fastest or within 10% in "
                f"{won} of {len(found)} cells, worst {min(found):.2f}"
            )
    judged = [r for r in results if len(r.methods) > 1]
    if judged:
        good = sum(
            r.methods.get(r.method, r.ours) <= 1.25 * min(r.methods.values()) for r in judged
        )
        lines.append(f"auto is within 1.25 of the best method in {good} of {len(judged)} cells")
    return "\n".join(lines)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m bench.signal_grid", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small grid")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.25, help="spent on each measurement")
    parser.add_argument("--no-peers", action="store_true", help="time only our methods")
    parser.add_argument("--output", type=Path, default=Path("bench/results/signal_grid.json"))
    options = parser.parse_args()
    results = []
    for cell in grid(quick=options.quick):
        result = measure(
            cell, options.threads, options.seconds, methods=True, peers=not options.no_peers
        )
        results.append(result)
        best = min(result.peers, key=result.peers.__getitem__, default="")
        against = (
            f"{best} {result.peers[best] * 1e3:.3f} ms = {result.peers[best] / result.ours:.2f}x"
            if best
            else ""
        )
        methods = " ".join(f"{n} {t * 1e3:.3f}" for n, t in result.methods.items())
        print(
            f"{cell.dtype} {cell.batch or ''} {cell.shape} * {cell.kernel}: {result.method} "
            f"{result.ours * 1e3:.3f} ms; {against}  [{methods}]",
            flush=True,
        )
    print(summary(results))
    matching = {} if options.no_peers else match_template(options.threads, options.seconds)
    for name, spent in matching.items():
        print(f"{name}: {spent * 1e3:.1f} ms")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "machine": describe_machine(),
        "threads": options.threads,
        "cells": [asdict(result) for result in results],
        "match": matching,
        "summary": summary(results),
    }
    options.output.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
