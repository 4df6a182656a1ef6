"""The process's worker threads."""

from __future__ import annotations

from convoi.codegen.target import current_target
from convoi.kernels.workers import worker_pool
from tests.compiler.graphs import CPUS, on_cpu


@CPUS
def test_programs_for_all_targets_share_the_workers(cpu) -> None:
    pool = worker_pool(current_target())
    with on_cpu(cpu):
        assert worker_pool(current_target()) is pool
