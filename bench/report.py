"""Results as tables on the terminal."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from rich.table import Table

from bench.peers import NOT_TRIED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.comparison import Comparison, Contender
    from bench.kernels import KernelResult, Rates
    from bench.networks import Measure
    from bench.options import Options
    from bench.startup import Quantity

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
    table = _table(measure.title, ("network", "samples"), ("Convoi", "GFLOP/s"))
    for name in ("PyTorch at its best", "best other peer"):
        table.add_column(name)
        table.add_column("ratio", justify="right", style="bold")
    table.caption = "Median round; in brackets the range, and the ratio of the fastest rounds."
    for found in comparisons:
        rate = found.floating_point_operations / found.ours.median / 1e9
        table.add_row(
            found.network,
            str(found.samples),
            _with_spread(found.ours),
            f"{rate:.0f}",
            *_beside(found, found.pytorch),
            *_beside(found, found.others),
        )
    return table


def geometric_means(comparisons: Sequence[Comparison]) -> str:
    """Return the geometric means of the ratios over the networks, as a sentence."""
    parts = []
    for name, which in (("PyTorch", "pytorch"), ("the best other peer", "others")):
        ratios = [found.ratio(peer) for found in comparisons if (peer := getattr(found, which))]
        if ratios:
            mean, least = statistics.geometric_mean(ratios), min(ratios)
            parts.append(f"{mean:.2f} times as fast as {name} (at least {least:.2f})")
    return f"Geometric mean: {', '.join(parts)}."


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
    ratios = f"{found.ratio(peer):.2f}x\n({found.undisturbed_ratio(peer):.2f}x)"
    return f"{peer.label}\n{_with_spread(peer)}", ratios


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


def _with_spread(contender: Contender) -> str:
    low, high = min(contender.seconds), max(contender.seconds)
    return f"{_time(contender.median)}\n({_time(low)} … {_time(high)})"


def _time(seconds: float) -> str:
    milliseconds = 1e3 * seconds
    digits = 3 if milliseconds < 1 else 2 if milliseconds < 10 else 1
    return f"{milliseconds:.{digits}f} ms"
