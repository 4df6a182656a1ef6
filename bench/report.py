"""Results as tables on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

from bench.networks import NOT_TRIED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.kernels import KernelResult, Rates
    from bench.networks import Comparison, Contender, Measure
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
    """Return the times of both sides, and the ratio."""
    table = _table(measure.title, ("network", "samples"), ("Convoi", "GFLOP/s", "PyTorch"))
    table.add_column("its best setting")
    table.add_column("ratio", justify="right", style="bold")
    table.add_column("its other settings")
    table.caption = "Median round; in brackets the range, and the ratio of the fastest rounds."
    for found in comparisons:
        best = found.best_peer
        rate = found.floating_point_operations / found.ours.median / 1e9
        others = [f"{p.setting} {_time(p.median)}" for p in found.peers if p is not best]
        others += [
            f"{setting}: {why}" for setting, why in found.failures.items() if why != NOT_TRIED
        ]
        table.add_row(
            found.network,
            str(found.samples),
            _with_spread(found.ours),
            f"{rate:.0f}",
            _with_spread(best),
            best.setting,
            f"{found.ratio:.2f}x\n({found.undisturbed_ratio:.2f}x)",
            "\n".join(others),
        )
    return table


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
