"""Results as tables on the terminal."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from bench.peers import NOT_TRIED, PYTORCH
from bench.scaling import best_points, least_memory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.accuracy import AccuracyRun
    from bench.comparison import Comparison, Contender
    from bench.kernels import KernelResult, Rates
    from bench.networks import Measure
    from bench.options import Options
    from bench.roofline import KernelPoint
    from bench.scaling import Point
    from bench.startup import Quantity

SHOWN_KERNELS = 5
KERNELS = ("forward", "backward data", "backward weight")


def machine_line(machine: Mapping[str, Any], options: Options) -> str:
    """Return the machine and the threads in one line."""
    return (
        f"{machine['cpu']} ({machine['llvm_cpu']}), {machine['usable_cores']} of "
        f"{machine['cores']} cores, {options.threads} threads; load {machine['load_average']:.1f}; "
        f"{machine['os']}; Python {machine['python']}"
    )


def comparison_table(measure: Measure, comparisons: Sequence[Comparison]) -> Table:
    """Return the times of all sides, and the ratios."""
    table = _table(f"{measure.title}, milliseconds", ("network",), ("n", "Convoi", PYTORCH.name))
    table.box = SIMPLE_HEAD
    table.add_column("ratio", justify="right", style="bold")
    others = any(found.others for found in comparisons)
    if others:
        table.add_column("best other")
        table.add_column("", justify="right")
        table.add_column("ratio", justify="right", style="bold")
    for found in comparisons:
        row = [found.network, str(found.samples), _milliseconds(found.ours.median)]
        row += _beside(found, found.pytorch)
        if others:
            name = found.others.side if found.others else ""
            row += [name, *_beside(found, found.others)]
        table.add_row(*row)
    return table


def best_settings(comparisons: Sequence[Comparison]) -> list[str]:
    """Return a line for each of PyTorch's settings that is its fastest for some networks."""
    networks: dict[str, list[str]] = {}
    for found in comparisons:
        if found.pytorch:
            networks.setdefault(found.pytorch.setting, []).append(found.network)
    return [
        f"{PYTORCH.name} is fastest with {setting}: {', '.join(names)}."
        for setting, names in networks.items()
    ]


def geometric_means(comparisons: Sequence[Comparison]) -> list[str]:
    """Return the geometric means of the ratios over the networks, as a sentence if there are."""
    parts = []
    for name, which in (("PyTorch", "pytorch"), ("the best other peer", "others")):
        ratios = [found.ratio(peer) for found in comparisons if (peer := getattr(found, which))]
        if ratios:
            mean, least = statistics.geometric_mean(ratios), min(ratios)
            parts.append(f"{mean:.2f} times as fast as {name} (at least {least:.2f})")
    return [f"Geometric mean: {', '.join(parts)}."] if parts else []


def failures(comparisons: Sequence[Comparison]) -> list[str]:
    """Return a line for each setting of a peer that could not be measured."""
    return [
        f"{found.network}: {setting} is left out: {why}"
        for found in comparisons
        for setting, why in found.failures.items()
        if why != NOT_TRIED
    ]


def _beside(found: Comparison, peer: Contender | None) -> tuple[str, str]:
    """Return the cells of a peer: its time, and the ratio to ours."""
    if peer is None:
        return "", ""
    return _milliseconds(peer.median), f"{found.ratio(peer):.2f}"


def startup_table(quantities: Sequence[Quantity]) -> Table:
    """Return the figures of a process."""
    table = _table("A process", ("what",), ("median", "range"))
    for found in quantities:
        digits = 3 if found.unit == "s" else 1
        spread = f"{found.low:.{digits}f} … {found.high:.{digits}f}"
        alone = found.low == found.high
        table.add_row(found.name, f"{found.value:.{digits}f} {found.unit}", "" if alone else spread)
    return table


def kernel_table(results: Sequence[KernelResult]) -> Table:
    """Return what part of the peak each kernel reaches: the best round, and the median."""
    peak = 2e-9 * results[0].peak
    table = _table(
        f"Direct kernels on one thread: part of the peak of {peak:.1f} GFLOP/s",
        ("convolution",),
        KERNELS,
    )
    table.caption = (
        "Best round, and in brackets the median round. Of lanes: those that stand for channels, "
        "where that is not all."
    )
    for found in results:
        cells = (_fraction(found.kernels.get(name), found.peak) for name in KERNELS)
        table.add_row(str(found.shape), *cells)
    return table


def scaling_table(points: Sequence[Point]) -> Table:
    """Return time and memory of a training step as each axis grows."""
    table = _table("Training step as a network grows", ("axis",), ("value",))
    table.box = SIMPLE_HEAD
    for name in ("Convoi", "PyTorch"):
        table.add_column(f"{name} ms", justify="right")
        table.add_column("µs/sample", justify="right")
        table.add_column("MiB", justify="right")
    for (axis, value), sides in best_points(list(points)).items():
        cells = []
        for side in ("Convoi", PYTORCH.name):
            point = sides.get(side)
            if point is None:
                cells += ["", "", ""]
                continue
            memory = least_memory(list(points), axis, value, side)
            per_sample = 1e6 * point.seconds / point.samples
            cells += [_milliseconds(point.seconds), f"{per_sample:.1f}", f"{memory / 2**20:.0f}"]
        table.add_row(axis, str(value), *cells)
    return table


def roofline_table(points: Sequence[KernelPoint]) -> Table:
    """Return the kernels that take most of the time, and how near they are to the roofs."""
    table = _table("Kernels of networks on one thread", ("network",), ())
    table.add_column("kernel", no_wrap=True)
    table.box = SIMPLE_HEAD
    for name in ("% time", "% peak", "% memory"):
        table.add_column(name, justify="right")
    for network, mode in dict.fromkeys((p.network, p.mode) for p in points):
        here = [p for p in points if (p.network, p.mode) == (network, mode)]
        total = sum(p.seconds for p in here)
        for point in sorted(here, key=lambda p: -p.seconds)[:SHOWN_KERNELS]:
            table.add_row(
                f"{network} {'+' if mode == 'training' else ''}",
                f"{point.layer}: {point.kernel}",
                f"{100 * point.seconds / total:.0f}",
                f"{100 * point.of_peak:.0f}" if point.operations else "",
                f"{100 * point.of_bandwidth:.0f}",
            )
    table.caption = "+: a step of training."
    return table


def accuracy_table(runs: Sequence[AccuracyRun]) -> Table:
    """Return the accuracy and the time of each run."""
    table = _table("Fashion-MNIST with the same recipe", ("side",), ("seed", "accuracy", "s"))
    table.box = SIMPLE_HEAD
    for run in runs:
        table.add_row(run.side, str(run.seed), f"{run.accuracy:.4f}", f"{run.seconds:.1f}")
    return table


def _fraction(rates: Rates | None, peak: float) -> str:
    if rates is None:
        return "not computed"
    best, median, lanes = (
        f"{100 * x:.0f}%" for x in (rates.best / peak, rates.median / peak, rates.used_lanes)
    )
    return f"{best} ({median})" + ("" if rates.used_lanes == 1 else f", {lanes} of lanes")


def _table(title: str, names: Sequence[str], figures: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for name in names:
        table.add_column(name)
    for name in figures:
        table.add_column(name, justify="right")
    return table


def _milliseconds(seconds: float) -> str:
    milliseconds = 1e3 * seconds
    digits = 3 if milliseconds < 1 else 2 if milliseconds < 10 else 1
    return f"{milliseconds:.{digits}f}"
