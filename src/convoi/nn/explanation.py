"""Which kernels compute a network, as records and as a table."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from convoi.nn.records import Record

if TYPE_CHECKING:
    from convoi.compiler.explaining import KernelExplanation
    from convoi.graph import Graph
    from convoi.nn.setting import Setting

__all__ = ["NetworkExplanation", "explain_network"]


@dataclass(frozen=True, repr=False)
class NetworkExplanation(Record):
    """How a network is computed on this machine.

    Attributes
    ----------
    kernels : tuple of KernelExplanation
        In the order in which they run.
    training : bool
        Whether it is a step of training, or predictions.
    batch_size : int
        Samples of the batch.
    threads : int
        Threads that share it.
    """

    left: ClassVar[int] = 7

    kernels: tuple[KernelExplanation, ...]
    training: bool
    batch_size: int
    threads: int

    def __repr__(self) -> str:
        what = "a step of training" if self.training else "predictions"
        return f"<NetworkExplanation: {len(self.kernels)} kernels of {what}>"

    def as_dict(self) -> dict[str, Any]:
        """Return the records as numbers, texts, lists and dictionaries."""
        return {
            "training": self.training,
            "batch_size": self.batch_size,
            "threads": self.threads,
            "kernels": [kernel.as_dict() for kernel in self.kernels],
        }

    def headers(self) -> tuple[str, ...]:
        """Return the headers of the table's columns."""
        names = ("segment", "layer", "kernel", "form", "tile", "fused", "why", "lanes", "convoy")
        return (*names, "parts")

    def rows(self) -> list[tuple[str, ...]]:
        """Return the rows of the table."""
        return [
            (
                str(each.segment),
                each.layer,
                each.kernel,
                each.form or "",
                each.tile,
                ", ".join(each.fused),
                each.reason,
                str(each.lanes),
                str(each.convoy),
                str(self._parts(each)),
            )
            for each in self.kernels
        ]

    def _parts(self, kernel: KernelExplanation) -> int:
        return min(kernel.parts, self.threads)

    def notes(self) -> list[str]:
        """Return what stands below the table."""
        convoys = [each.convoys for each in self.kernels]
        least, most = min(convoys, default=0), max(convoys, default=0)
        return [
            "tile: vectors of channels x positions in registers. convoy: samples that pass a",
            f"segment together. A batch of {self.batch_size} makes {least} to {most} convoys of a",
            f"segment; {self.threads} threads share them.",
            *self._sharing(),
            *self._measured(),
        ]

    def _sharing(self) -> list[str]:
        """Return how threads share the work of one sample, in words."""
        if self.training:
            return ["parts: 1, for in training each thread takes samples of its own."]
        divided = sum(self._parts(each) > 1 for each in self.kernels)
        if not divided:
            return ["parts: 1, for one thread predicts a sample."]
        whole = ", ".join(each.layer for each in self.kernels if self._parts(each) == 1)
        count = f"{divided} of {len(self.kernels)}"
        return [
            f"parts: for how many threads the work of one sample is cut; {count} kernels are.",
            f"Not cut, for that would gain nothing: {whole or 'none'}.",
        ]

    def _measured(self) -> list[str]:
        """Return what does not come from the cost model, in words."""
        counts = Counter(name for each in self.kernels for name in each.measured)
        if not counts:
            return []
        words = ", ".join(f"the {name} of {counts[name]}" for name in sorted(counts))
        return [f"Measured on this machine, by convoi tune: {words} kernels."]


def explain_network(
    graph: Graph, setting: Setting, *, training: bool, batch_size: int
) -> NetworkExplanation:
    """Return which kernels compute a network's graph on this machine; nothing is compiled."""
    # Deferred, because compiling needs llvmlite and describing a network does not.
    from convoi.compiler.explaining import explain_program  # noqa: PLC0415
    from convoi.runtime.threads import resolve_threads  # noqa: PLC0415

    kernels = explain_program(
        graph,
        setting.dtype.name,
        training=training,
        fast=setting.precision == "default",
        batch_size=batch_size,
    )
    threads = resolve_threads(setting.threads, "explain")
    return NetworkExplanation(tuple(kernels), training, batch_size, threads)
