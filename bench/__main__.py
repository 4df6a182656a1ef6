"""The command: ``python -m bench [MEASURE] [OPTIONS]``."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Console

from bench.accuracy import accuracy_summary, measure_accuracy
from bench.agreement import DisagreementError
from bench.comparison import Comparison, Failed
from bench.kernels import measure_kernels
from bench.machine import describe_machine
from bench.networks import COMPARISONS, compare
from bench.options import parse
from bench.page import write_page
from bench.peers import start_sides
from bench.process import WorkerError, start_worker
from bench.report import (
    accuracy_table,
    best_settings,
    comparison_table,
    failures,
    geometric_means,
    kernel_table,
    machine_line,
    roofline_table,
    scaling_table,
    startup_table,
)
from bench.results import write_results
from bench.roofline import measure_roofline, roofline_summary
from bench.scaling import measure_scaling, scaling_summary
from bench.signal_grid import (
    TorchPeer,
    measure_choice,
    measure_signal,
    signal_summary,
    signal_table,
)
from bench.signal_peers import missing_peers
from bench.startup import measure_startup

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.table import Table

    from bench.options import Options
    from bench.peers import Sides
    from bench.results import Recorded
    from bench.signal_grid import CellResult

Result = TypeVar("Result")


BUSY = 0.5
"""Load average above which a machine is not idle."""


@dataclass
class Session:
    """One run of the command: measures, prints a table for each, and writes the results."""

    options: Options
    console: Console = field(default_factory=Console)
    machine: dict[str, Any] = field(default_factory=describe_machine)
    failed: list[Failed] = field(default_factory=list)
    """Networks that could not be measured."""

    def run(self) -> None:
        """Measure all that was asked for."""
        self.console.print(machine_line(self.machine, self.options))
        if self.machine["load_average"] > BUSY:
            self.console.print(
                "[yellow]Other processes use this machine: threads that wait for each other are "
                "held up by them, and figures and ratios mean little.[/yellow]"
            )
        compared = [name for name in self.options.measures if name in COMPARISONS]
        if compared:
            with start_sides(self.options) as sides:
                self.machine |= sides.versions
                for name, reason in sides.absent.items():
                    self.console.print(f"[yellow]{name} is not measured: {reason}[/yellow]")
                for name in compared:
                    self._compare(name, sides)
        if "startup" in self.options.measures:
            quantities = self._collect("startup", measure_startup(self.options))
            self._finish("startup", quantities, startup_table(quantities))
        if "kernels" in self.options.measures:
            kernels = self._collect("kernels", measure_kernels(self.options))
            self._finish("kernels", kernels, kernel_table(kernels))
        if "scaling" in self.options.measures:
            points = self._collect("scaling", measure_scaling(self.options))
            self._finish("scaling", points, scaling_table(points), scaling_summary(points))
        if "roofline" in self.options.measures:
            kernel_points = self._collect("roofline", measure_roofline(self.options))
            lines = roofline_summary(kernel_points)
            self._finish("roofline", kernel_points, roofline_table(kernel_points), lines)
        if "accuracy" in self.options.measures:
            runs = self._collect("accuracy", measure_accuracy(self.options))
            self._finish("accuracy", runs, accuracy_table(runs), accuracy_summary(runs))
        if "signal" in self.options.measures:
            self._measure_signal()
        if "signal-choice" in self.options.measures:
            cells = self._collect("signal-choice", measure_choice(self.options))
            self._report_signal("signal-choice", cells)

    def _measure_signal(self) -> None:
        for name in missing_peers():
            self.console.print(f"[yellow]{name} is not measured: it is not installed[/yellow]")
        with start_worker(self.options.torch_python, "bench.signal_torch", os.environ) as worker:
            torch: TorchPeer | None = TorchPeer(worker)
            try:
                self.machine |= worker.ask("describe")
            except WorkerError:
                self.console.print(
                    f"[yellow]PyTorch is not measured: {self.options.torch_python} has none; name "
                    "an interpreter that has it with --torch-python[/yellow]"
                )
                torch = None
            cells = self._collect("signal", measure_signal(self.options, torch))
        self._report_signal("signal", cells)

    def _report_signal(self, name: str, cells: list[CellResult]) -> None:
        self._finish(name, cells, signal_table(cells), signal_summary(cells))

    def _compare(self, name: str, sides: Sides) -> None:
        measure = COMPARISONS[name]
        results = self._collect(name, compare(measure, sides, self.options))
        found = [result for result in results if isinstance(result, Comparison)]
        self.failed += [result for result in results if isinstance(result, Failed)]
        self._finish(name, found, comparison_table(measure, found))
        for line in (*best_settings(found), *failures(found), *geometric_means(found)):
            self.console.print(line, highlight=False)

    def _collect(self, name: str, results: Iterable[Result]) -> list[Result]:
        """Return all results, and show how many there are so far."""
        found = []
        with self.console.status(f"{name} …") as status:
            for result in results:
                found.append(result)
                status.update(f"{name}: {len(found)} done …")
        return found

    def _finish(
        self, name: str, results: Sequence[Recorded], table: Table, lines: Sequence[str] = ()
    ) -> None:
        path = write_results(name, self.machine, results, self.options)
        self.console.print(table)
        for line in lines:
            self.console.print(line, highlight=False)
        self.console.print(f"[dim]{path}[/dim]", soft_wrap=True)


def main() -> int:
    """Run the command; return its exit status."""
    options = parse()
    if options.measures == ("page",):
        print(write_page(options.results))
        return 0
    try:
        session = Session(options)
        session.run()
    except (WorkerError, DisagreementError) as error:
        print(error, file=sys.stderr)
        if "No module named 'torch'" in str(error):
            print(
                f"{options.torch_python} has no PyTorch: 'make bench' installs it, or name an "
                "interpreter that has it with --torch-python.",
                file=sys.stderr,
            )
        return 1
    for failed in session.failed:
        print(f"Not measured: {failed}", file=sys.stderr)
    return 1 if session.failed else 0


if __name__ == "__main__":
    sys.exit(main())
