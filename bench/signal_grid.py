"""The operator beside SciPy, NumPy, OpenCV, scikit-image and PyTorch, over a grid of sizes.

Each result is checked against ours before it is timed. Ours and each peer take turns in short
slices; a ratio is the median over the rounds. With one thread the time is that of the processor,
which other processes do not add to. The methods of ours are timed, too: ``auto`` should be nearly
as quick as the quickest of them.
"""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from bench.signal_cells import Cell, grid
from bench.signal_peers import Call, peers_of
from convoi.errors import ArgumentError
from convoi.signal import convolve, explain, match

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.options import Options

METHODS = ("direct", "separable", "fft", "overlap-add")
HOPELESS = 30.0
"""A peer, or a method by its expected cost, that takes so many times as long is timed once."""
SLICES = 10
"""So much shorter than for networks are the slices: there are hundreds of them."""
NEARLY = 1.1
"""Within 10% of the fastest counts as the fastest."""
GOOD_CHOICE = 1.25


@dataclass
class CellResult:
    """Seconds of everyone on a cell."""

    cell: Cell
    chosen: str
    ours: list[float] = field(default_factory=list)
    methods: dict[str, float] = field(default_factory=dict)
    peers: dict[str, list[float]] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Median of ours."""
        return statistics.median(self.ours)

    def ratio(self, name: str) -> float:
        """How many times as long a peer takes: the median over the rounds."""
        pairs = zip(self.peers[name], self.ours, strict=False)
        return statistics.median(theirs / ours for theirs, ours in pairs)

    def best(self, prefixes: tuple[str, ...] = ("",)) -> tuple[str, float] | None:
        """Return the quickest of the peers with such names, and its ratio."""
        names = [name for name in self.peers if name.startswith(prefixes)]
        return min(((n, self.ratio(n)) for n in names), key=lambda pair: pair[1], default=None)

    def record(self) -> dict[str, Any]:
        """Return what is kept of it."""
        return {
            "cell": self.cell.record(),
            "chosen": self.chosen,
            "seconds": self.seconds,
            "rounds": self.ours,
            "methods": self.methods,
            "peers": self.peers,
            "ratios": {name: self.ratio(name) for name in self.peers},
        }


def measure_signal(options: Options) -> Iterator[CellResult]:
    """Measure all cells."""
    for cell in grid(quick=options.quick):
        yield measure_cell(cell, options)


def measure_cell(cell: Cell, options: Options) -> CellResult:
    """Check and time everyone on a cell."""
    x, k = cell.arrays()
    axes = tuple(range(-len(cell.shape), 0))
    threads = options.threads
    budget = options.slice_seconds / SLICES

    def ours(method: str = "auto") -> Any:  # noqa: ANN401 - an array
        if cell.match:
            return match(x, k, threads=threads)
        return convolve(x, k, mode="same", axes=axes, method=method, threads=threads)

    reference = ours()
    result = CellResult(cell, "match")
    if not cell.match:
        explanation = explain(x, k, mode="same", axes=axes, threads=threads)
        result.chosen = explanation.method
        least = min(cost.seconds for cost in explanation.costs.values())
        for method in METHODS:
            cost = explanation.costs.get(method)
            if cost is None or cost.seconds > HOPELESS * least:
                continue
            try:
                ours(method)
            except ArgumentError:  # not separable
                continue
            times = [slice_seconds(lambda m=method: ours(m), budget, threads) for _ in range(3)]
            result.methods[method] = min(times)
    calls = peers_of(cell, x, k, threads)
    ours_once = slice_seconds(ours, 0, threads)
    for name, call in list(calls.items()):
        _check(cell, name, call, reference)
        once = slice_seconds(call, 0, threads)
        if once > HOPELESS * max(ours_once, 1e-4):
            result.peers[name] = [once]
            del calls[name]
    for _ in range(options.rounds):
        result.ours.append(slice_seconds(ours, budget, threads))
        for name, call in calls.items():
            result.peers.setdefault(name, []).append(slice_seconds(call, budget, threads))
    return result


def _check(cell: Cell, name: str, call: Call, reference: Any) -> None:  # noqa: ANN401 - an array
    """Refuse to time what computes something else; even kernels are centred in several ways."""
    if any(k % 2 == 0 for k in cell.kernel) and not cell.match:
        return
    error = float(np.abs(call() - reference).max()) / float(np.abs(reference).max())
    if error > (1e-3 if cell.dtype == "float32" else 1e-8):
        raise AssertionError(f"{name} disagrees on {cell}: {error:.1e}")


def slice_seconds(call: Call, budget: float, threads: int) -> float:
    """Return the seconds of a call, averaged over a slice of time."""
    clock = time.thread_time if threads == 1 else time.perf_counter
    calls, start = 0, clock()
    while True:
        call()
        calls += 1
        spent = clock() - start
        if spent >= budget:
            return spent / calls


def signal_table(results: Sequence[CellResult]) -> Table:
    """Return the cells as a table."""
    table = Table(title="Convolution of arrays", title_justify="left", title_style="bold")
    table.add_column("cell")
    table.add_column("method")
    for name in ("Convoi", "best peer", "ratio"):
        table.add_column(name, justify="right")
    for result in results:
        best = result.best()
        table.add_row(
            str(result.cell),
            result.chosen,
            f"{result.seconds * 1e3:.4g} ms",
            best[0] if best else "",
            f"{best[1]:.2f}x" if best else "",
        )
    return table


def signal_summary(results: Sequence[CellResult]) -> list[str]:
    """Return what the cells say together."""
    lines = []
    groups = {
        "all peers": ("",),
        "SciPy and NumPy": ("scipy", "ndimage", "numpy"),
        "OpenCV": ("opencv",),
        "scikit-image": ("skimage",),
        "PyTorch": ("torch",),
    }
    for name, prefixes in groups.items():
        found = [best[1] for r in results if (best := r.best(prefixes)) is not None]
        if found:
            mean = math.exp(statistics.fmean(map(math.log, found)))
            won = sum(ratio >= 1 / NEARLY for ratio in found)
            lines.append(
                f"Best of {name}: {mean:.2f} times our time in the geometric mean; ours is the "
                f"fastest or within 10% in {won} of {len(found)} cells, at worst {min(found):.2f}."
            )
    judged = [r for r in results if len(r.methods) > 1 and r.chosen in r.methods]
    if judged:
        good = sum(r.methods[r.chosen] <= GOOD_CHOICE * min(r.methods.values()) for r in judged)
        lines.append(
            f"auto takes at most {GOOD_CHOICE} times as long as the best method in {good} of "
            f"{len(judged)} cells."
        )
    return lines
