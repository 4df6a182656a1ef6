"""The other end of a worker: starts the process, sends requests, waits for replies."""

from __future__ import annotations

import json
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bench.task import Task

ROOT = Path(__file__).parent.parent
"""The root of the repository, from which ``bench`` is imported."""


LOG_TAIL = 4000
"""Characters of a process's last words that are shown."""


class WorkerError(RuntimeError):
    """A worker could not do what it was asked."""


@contextmanager
def start_worker(python: str, module: str, environment: Mapping[str, str]) -> Iterator[Worker]:
    """Start a worker process, and end it after the block."""
    # Libraries warn at length; their words are only of interest if the process ends.
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [python, "-m", module],
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            yield Worker(module, process, log)
        except BaseException:
            process.kill()
            raise
        finally:
            process.communicate()


@dataclass(frozen=True)
class Worker:
    """A worker process, as it is talked to."""

    name: str
    process: subprocess.Popen[str]
    log: IO[str]
    """What the process has printed."""

    def ask(self, do: str, **arguments: object) -> dict[str, Any]:
        """Send a request, and return the reply."""
        requests, replies = self.process.stdin, self.process.stdout
        assert requests is not None
        assert replies is not None
        try:
            print(json.dumps({"do": do, **arguments}), file=requests, flush=True)
            line = replies.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.log.seek(0)
            raise WorkerError(f"The process of {self.name} ended:\n{self.log.read()[-LOG_TAIL:]}")
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise WorkerError(reply["error"])
        return reply

    def describe(self) -> dict[str, str]:
        """Return the versions of what the worker runs."""
        return self.ask("describe")

    def prepare(self, task: Task, setting: str) -> float:
        """Let it build a network and run it once; return the seconds that took."""
        return float(self.ask("prepare", task=asdict(task), setting=setting)["seconds"])

    def results(self, setting: str, batch: Path, into: Path) -> None:
        """Let it write what a network makes of a batch to a file."""
        self.ask("results", setting=setting, batch=str(batch), into=str(into))

    def time(self, setting: str, seconds: float) -> float:
        """Let it run a network for so many seconds; return the median seconds of a run."""
        return float(self.ask("time", setting=setting, seconds=seconds)["seconds"])

    def forget(self) -> None:
        """Let it drop all networks."""
        self.ask("forget")

    def peak_memory(self) -> int:
        """Return the most bytes that it has occupied so far."""
        return int(self.ask("peak_memory")["bytes"])
