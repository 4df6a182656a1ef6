"""The peers: what each is, what it can do, and in which settings it is at its best."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.process import WorkerError, start_worker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bench.options import Options
    from bench.process import Worker
    from bench.task import Mode

LAYOUTS = ("contiguous", "channels_last")
"""How activations lie in memory."""
NOT_TRIED = "not tried"


@dataclass(frozen=True)
class Peer:
    """One of those that Convoi is compared with."""

    name: str
    module: str
    """Its worker."""
    modes: tuple[Mode, ...]
    settings: tuple[str, ...] = ("default",)
    compiled_settings: tuple[str, ...] = ()
    """Settings that may fail on a machine, such as those that need a C++ compiler."""
    environment: Mapping[str, str] = field(default_factory=dict)
    most_samples: int | None = None
    """The largest batch that it is given."""

    @property
    def key(self) -> str:
        """What it is called on the command line."""
        return self.name.lower().replace(" ", "")

    def takes(self, mode: Mode, samples: int) -> bool:
        """Tell whether it can do a task."""
        return mode in self.modes and (self.most_samples is None or samples <= self.most_samples)


PYTORCH = Peer(
    "PyTorch",
    "bench.peer",
    ("training", "inference"),
    tuple(f"eager {layout}" for layout in LAYOUTS),
    tuple(f"compile {layout}" for layout in LAYOUTS),
    # glibc's allocator is to keep what PyTorch frees, as its guide to performance advises: else
    # each large tensor costs a page fault per 4 KiB.
    {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**32)},
)
PEERS = (
    PYTORCH,
    Peer("ONNX Runtime", "bench.peer_onnxruntime", ("inference",)),
    Peer("OpenVINO", "bench.peer_openvino", ("inference",)),
    # It has no batches: more samples take it as many times as long.
    Peer("ncnn", "bench.peer_ncnn", ("inference",), most_samples=1),
    Peer("JAX", "bench.peer_jax", ("training", "inference"), LAYOUTS),
)
"""PyTorch comes first: the others are measured where they are installed."""


@dataclass
class Side:
    """A peer's process."""

    peer: Peer
    worker: Worker
    compiles: bool
    """Whether compiled settings are tried; not again after one has failed."""


@dataclass
class Sides:
    """All worker processes."""

    ours: Worker
    peers: list[Side]
    versions: dict[str, str]
    absent: dict[str, str]
    """Peers that are not measured, and why."""

    def forget(self) -> None:
        """Let all drop their networks."""
        for worker in (self.ours, *(side.worker for side in self.peers)):
            worker.forget()


@contextmanager
def start_sides(options: Options) -> Iterator[Sides]:
    """Start all worker processes; end them after the block.

    Raises
    ------
    WorkerError
        If PyTorch, or a peer that was asked for by name, cannot be started.
    """
    with ExitStack() as stack:
        ours = stack.enter_context(start_worker(sys.executable, "bench.ours", os.environ))
        sides = Sides(ours, [], ours.describe(), {})
        for peer in PEERS:
            if options.peers and peer.key not in options.peers:
                continue
            python = options.torch_python if peer is PYTORCH else sys.executable
            environment = {**os.environ, **peer.environment}
            worker = stack.enter_context(start_worker(python, peer.module, environment))
            try:
                sides.versions |= worker.describe()
            except WorkerError as error:
                if options.peers or peer is PYTORCH:
                    raise
                sides.absent[peer.name] = str(error).strip().splitlines()[-1]
                continue
            sides.peers.append(Side(peer, worker, options.compiles))
        yield sides
