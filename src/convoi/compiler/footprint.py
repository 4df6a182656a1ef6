"""How much memory programs will hold, from their plans: nothing is compiled for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from convoi.codegen.target import current_target
from convoi.compiler.pipeline import compile_inference, compile_training
from convoi.compiler.update import Frame, UpdateRule
from convoi.ops import CrossEntropy
from convoi.runtime.plan import Plan, Space
from convoi.runtime.threads import resolve_threads

if TYPE_CHECKING:
    from convoi.compiler.pipeline import Precision
    from convoi.graph import Graph

__all__ = ["MemoryFootprint", "inference_footprint", "training_footprint"]


@dataclass(frozen=True)
class MemoryFootprint:
    """The memory that a program holds while it runs, besides the caller's arrays.

    Attributes
    ----------
    batch_size : int
        Samples of a batch.
    threads : int
        Threads that take part.
    fixed_bytes : int
        Parameters as kernels read them, what the optimiser remembers, and tables.
    arena_bytes : int
        Activations of the samples that one thread is working on.
    batch_bytes : int
        Activations that all samples of the batch keep at a time, and those of a sample that all
        threads work on.
    sum_bytes : int
        Gradients and statistics that are summed over parts of the batch.
    """

    batch_size: int
    threads: int
    fixed_bytes: int
    arena_bytes: int
    batch_bytes: int
    sum_bytes: int

    @property
    def total_bytes(self) -> int:
        """All of it, with an arena for every thread."""
        return (
            self.fixed_bytes + self.threads * self.arena_bytes + self.batch_bytes + self.sum_bytes
        )


def inference_footprint(
    graph: Graph,
    dtype: str,
    *,
    batch_size: int,
    threads: int | None = None,
    precision: Precision = "default",
) -> MemoryFootprint:
    """Return the memory of predicting a batch."""
    target, fast = current_target(), precision == "default"
    compiled = compile_inference(graph, dtype, target, fast=fast, link=False)
    return _footprint(compiled.plan, batch_size, threads)


def training_footprint(
    graph: Graph,
    dtype: str,
    *,
    batch_size: int,
    threads: int | None = None,
    precision: Precision = "default",
) -> MemoryFootprint:
    """Return the memory of a training step with cross-entropy and AdamW."""
    target = current_target()
    compiled = compile_training(
        graph,
        CrossEntropy(),
        dtype,
        target,
        augment=False,
        fast=precision == "default",
        link=False,
    )
    frame = Frame(compiled.plan, compiled.memory, dtype, target, link=False)
    return _footprint(frame.with_update(UpdateRule("adamw")), batch_size, threads)


def _footprint(plan: Plan, batch_size: int, threads: int | None) -> MemoryFootprint:
    workers = resolve_threads(threads, "summary")
    team = plan.allocated(Space.TEAM, 1) if plan.is_shared(batch_size, workers) else 0
    return MemoryFootprint(
        batch_size,
        workers,
        plan.allocated(Space.FIXED, 1),
        plan.allocated(Space.THREAD, 1),
        plan.allocated(Space.BATCH, batch_size) + team,
        plan.allocated(Space.CHUNK, plan.sums(batch_size)),
    )
