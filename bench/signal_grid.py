"""The operator beside SciPy, NumPy, OpenCV, scikit-image and PyTorch, over a grid of sizes.

Each result is checked against ours before it is timed. Ours and each peer take turns in short
slices; a ratio is the median over the rounds. With one thread the time is that of the processor,
which other processes do not add to. The methods of ours are timed, too: ``auto`` should be nearly
as quick as the quickest of them.
"""

from __future__ import annotations

import functools
import itertools
import math
import statistics
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from bench.clock import slice_seconds
from bench.signal_cells import Cell, grid, held_out_grid
from bench.signal_peers import affordable, peers_of
from convoi.errors import ArgumentError
from convoi.signal import convolve, explain, match

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from bench.options import Options
    from bench.process import Worker
    from convoi.signal import Explanation

    Timer = Callable[[float], float]

TORCH = "torch.conv"
METHODS = ("direct", "separable", "fft", "overlap-add")
HOPELESS = 30.0
"""A peer, or a method by its expected cost, that takes so many times as long is timed once."""
SLICES = 10
"""So much shorter than for networks are the slices: there are hundreds of them."""
NEARLY = 1.1
"""Within 10% of the fastest counts as the fastest."""
METHOD_ROUNDS = 4
"""Slices of each method, of which the quickest counts."""
GOOD_CHOICE = 1.25


@dataclass(frozen=True)
class TorchPeer:
    """PyTorch's process."""

    worker: Worker

    def result(self, cell: Cell, threads: int) -> NDArray[Any]:
        """Return what it computes, and let it keep the cell."""
        self.worker.ask("prepare", cell=cell.record(), threads=threads)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "y.npy"
            self.worker.ask("result", into=str(path))
            result: NDArray[Any] = np.load(path)
        return result

    def seconds(self, budget: float) -> float:
        """Return the seconds of a call."""
        return float(self.worker.ask("time", budget=budget)["seconds"])


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


def measure_signal(options: Options, torch: TorchPeer | None = None) -> Iterator[CellResult]:
    """Measure all cells."""
    for cell in grid(quick=options.quick):
        yield measure_cell(cell, options, torch)


def measure_cell(cell: Cell, options: Options, torch: TorchPeer | None = None) -> CellResult:
    """Check and time everyone on a cell."""
    x, k = cell.arrays()
    # A call on one array says nothing about axes, in NumPy and SciPy neither.
    axes = tuple(range(-len(cell.shape), 0)) if cell.batch else None
    threads = options.threads
    budget = options.slice_seconds / SLICES

    def ours(method: str = "auto") -> Any:  # noqa: ANN401 - an array
        if cell.match:
            return match(x, k, threads=threads)
        return convolve(x, k, mode="same", axes=axes, method=method, threads=threads)

    reference = ours()
    result = CellResult(cell, "match")
    if not cell.match:
        costs = explain(x, k, mode="same", axes=axes, threads=threads)
        result.chosen = costs.method
        result.methods = _method_seconds(costs, ours, budget, threads)
    timers: dict[str, Timer] = {}
    for name, call in peers_of(cell, x, k, threads).items():
        _check(cell, name, call(), reference)
        timers[name] = functools.partial(slice_seconds, call, threads=threads)
    if torch is not None and not cell.match and affordable(cell, TORCH):
        _check(cell, TORCH, torch.result(cell, threads), reference)
        timers[TORCH] = torch.seconds
    ours_once = slice_seconds(ours, 0, threads)
    for name, timer in list(timers.items()):
        once = timer(0)
        if once > HOPELESS * max(ours_once, 1e-4):
            result.peers[name] = [once]
            del timers[name]
    for _ in range(options.rounds):
        result.ours.append(slice_seconds(ours, budget, threads))
        for name, timer in timers.items():
            result.peers.setdefault(name, []).append(timer(budget))
    return result


def measure_choice(options: Options) -> Iterator[CellResult]:
    """Measure our methods alone, on problems that the cost model was not fitted to."""
    threads, budget = options.threads, options.slice_seconds / SLICES
    for cell in held_out_grid(quick=options.quick):
        x, k = cell.arrays()
        axes = tuple(range(-len(cell.shape), 0))
        costs = explain(x, k, mode="same", axes=axes, threads=threads)

        def ours(method: str, x: Any = x, k: Any = k, axes: Any = axes) -> Any:  # noqa: ANN401 - arrays
            return convolve(x, k, mode="same", axes=axes, method=method, threads=threads)

        methods = _method_seconds(costs, ours, budget, threads)
        yield CellResult(cell, costs.method, [methods[costs.method]], methods)


def _method_seconds(
    explanation: Explanation, ours: Callable[[str], Any], budget: float, threads: int
) -> dict[str, float]:
    """Return what each method takes that is not hopeless."""
    least = min(cost.seconds for cost in explanation.costs.values())
    calls = {}
    for method in METHODS:
        cost = explanation.costs.get(method)
        if cost is None or cost.seconds > HOPELESS * least:
            continue
        calls[method] = functools.partial(ours, method)
        try:
            calls[method]()
        except ArgumentError:  # not separable
            del calls[method]
    # In turn: threads of libraries that the explanation used spin for a while after it.
    rounds = [
        {method: slice_seconds(call, budget, threads) for method, call in calls.items()}
        for _ in range(METHOD_ROUNDS)
    ]
    return {method: min(found[method] for found in rounds) for method in calls}


def _check(cell: Cell, name: str, result: Any, reference: Any) -> None:  # noqa: ANN401 - arrays
    """Refuse to time what computes something else.

    Kernels of even length are centred in several ways: results may then be one element apart.
    """
    even = () if cell.match else tuple(k % 2 == 0 for k in cell.kernel)
    scale = float(np.abs(reference).max())
    offset = reference.ndim - len(even)
    errors = []
    for shift in itertools.product(*((-1, 0, 1) if e else (0,) for e in even)):
        mine: list[slice] = [slice(None)] * reference.ndim
        theirs = list(mine)
        for axis, step in enumerate(shift, offset):
            mine[axis] = slice(max(step, 0), reference.shape[axis] + min(step, 0))
            theirs[axis] = slice(max(-step, 0), reference.shape[axis] + min(-step, 0))
        apart = np.abs(result[tuple(theirs)] - reference[tuple(mine)])
        errors.append(float(apart.max()) / scale)
    if not min(errors) <= (1e-3 if cell.dtype == "float32" else 1e-8):
        raise AssertionError(f"{name} disagrees on {cell}: {min(errors):.1e}")


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
