"""Results on disk: a file of JSON for each measure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bench.options import Options


class Recorded(Protocol):
    """A result that can be written to a file."""

    def record(self) -> dict[str, Any]:
        """Return what is kept of it."""


def write_results(
    measure: str,
    machine: Mapping[str, Any],
    results: Sequence[Recorded],
    options: Options,
) -> Path:
    """Write the results of a measure, and all that they depend on; return the file.

    A quick run has files of its own, so that it never replaces figures that mean something.
    """
    options.results.mkdir(parents=True, exist_ok=True)
    path = options.results / f"{measure}{'.quick' if options.quick else ''}.json"
    content = {
        "measure": measure,
        "machine": machine,
        "options": {
            "threads": options.threads,
            "rounds": options.rounds,
            "slice_seconds": options.slice_seconds,
            "torch_compile": options.compiles,
            "quick": options.quick,
            "networks": options.networks,
            "seeds": options.seeds,
            "epochs": options.epochs,
        },
        "results": [result.record() for result in results],
    }
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
