"""The options of the command."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.workloads import CORE, WORKLOADS
from convoi.runtime.threads import default_threads

if TYPE_CHECKING:
    from collections.abc import Sequence

MEASURES = ("training", "inference", "latency", "startup", "kernels", "signal")
"""What is measured unless something is asked for."""
MORE_MEASURES = (
    "inference-64",
    "inference-8",
    "local",
    "local-inference",
    "series",
    "scaling",
    "roofline",
    "accuracy",
    "signal-choice",
    "page",
)
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Options:
    """How to measure."""

    measures: tuple[str, ...]
    rounds: int
    threads: int
    slice_seconds: float
    """How long each side runs in a round."""
    compiles: bool
    """Whether PyTorch is also measured compiled."""
    torch_python: str
    """The interpreter that has PyTorch."""
    quick: bool
    results: Path
    """Folder of the results."""
    networks: tuple[str, ...]
    """Names of the networks that are compared."""
    peers: tuple[str, ...]
    """Keys of the peers; empty: all that are installed."""
    seeds: int
    """Runs to an accuracy, on each side."""
    epochs: int
    """Of each of these runs."""


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Return the options that a command line gives."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure Convoi.")
    parser.add_argument(
        "measure",
        nargs="?",
        default="all",
        choices=("all", *MEASURES, *MORE_MEASURES),
        help="default: all",
    )
    parser.add_argument("--rounds", type=_positive, help="rounds of each measurement; default: 5")
    parser.add_argument(
        "--threads",
        type=_positive,
        default=default_threads(),
        help="threads of both sides; default: the processors that the process may use",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="two short rounds without torch.compile, to see that all works",
    )
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile")
    parser.add_argument(
        "--torch-python",
        metavar="PATH",
        default=sys.executable,
        help="interpreter that has PyTorch; default: the one that runs this",
    )
    parser.add_argument(
        "--results", type=Path, default=RESULTS, metavar="DIR", help="default: bench/results"
    )
    parser.add_argument(
        "--networks",
        type=_names,
        default=CORE,
        metavar="NAME,...",
        help=f"'all', or names among {', '.join(w.name for w in WORKLOADS)}; "
        f"default: {', '.join(CORE)}",
    )
    parser.add_argument(
        "--peers",
        type=lambda text: tuple(text.lower().split(",")),
        default=(),
        metavar="NAME,...",
        help="pytorch, onnxruntime, openvino, ncnn, jax; default: all that are installed",
    )
    parser.add_argument(
        "--seeds", type=_positive, help="runs of 'accuracy' on each side; default: 5"
    )
    parser.add_argument(
        "--epochs", type=_positive, help="epochs of each of these runs; default: 10"
    )
    given = parser.parse_args(arguments)
    quick = bool(given.quick)
    return Options(
        measures=MEASURES if given.measure == "all" else (given.measure,),
        rounds=given.rounds or (2 if quick else 5),
        threads=given.threads,
        slice_seconds=0.05 if quick else 0.3,
        compiles=not (quick or given.no_compile),
        torch_python=os.fspath(given.torch_python),
        quick=quick,
        results=given.results,
        networks=given.networks,
        peers=given.peers,
        seeds=given.seeds or (1 if quick else 5),
        epochs=given.epochs or (1 if quick else 10),
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _names(text: str) -> tuple[str, ...]:
    """Return the networks that a list names; letters' case and the order do not matter."""
    known = [workload.name for workload in WORKLOADS]
    if text == "all":
        return tuple(known)
    by_name = {name.lower(): name for name in known}
    try:
        return tuple(by_name[name.strip().lower()] for name in text.split(","))
    except KeyError as error:
        message = f"{error.args[0]!r} is none of: all, {', '.join(known)}"
        raise argparse.ArgumentTypeError(message) from None
