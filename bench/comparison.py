"""How long one network takes on all sides."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.peers import PYTORCH

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.process import Worker


@dataclass
class Contender:
    """A network in one setting of one side, checked and ready to be timed."""

    side: str
    """Whose it is."""
    worker: Worker
    setting: str
    first_seconds: float
    """Seconds until its first run was done: building, compiling, one run."""
    seconds: list[float] = field(default_factory=list)
    """Median time of a run, round by round."""

    @property
    def label(self) -> str:
        """Side and setting."""
        return self.side if self.setting == "default" else f"{self.side} ({self.setting})"

    @property
    def median(self) -> float:
        """Seconds of a run."""
        return statistics.median(self.seconds)

    def record(self) -> dict[str, Any]:
        """Return what is kept of it."""
        return {
            "side": self.side,
            "setting": self.setting,
            "seconds": self.median,
            "rounds": self.seconds,
            "first_seconds": self.first_seconds,
        }


@dataclass(frozen=True)
class Failed:
    """A network that was not measured, because a side computes something else or ended."""

    network: str
    measure: str
    reason: str

    def __str__(self) -> str:
        return f"{self.network}, {self.measure}: {self.reason}"


@dataclass(frozen=True)
class Comparison:
    """How long one network takes on all sides."""

    network: str
    samples: int
    floating_point_operations: int
    """Of a run: twice the multiply-adds."""
    ours: Contender
    peers: tuple[Contender, ...]
    failures: Mapping[str, str]
    """Settings of peers that could not be measured, and why."""

    @property
    def pytorch(self) -> Contender | None:
        """PyTorch's fastest setting, if it takes part."""
        return _fastest([peer for peer in self.peers if peer.side == PYTORCH.name])

    @property
    def others(self) -> Contender | None:
        """The fastest of the other peers."""
        return _fastest([peer for peer in self.peers if peer.side != PYTORCH.name])

    def ratio(self, peer: Contender) -> float:
        """Return how many times as long a peer takes."""
        return peer.median / self.ours.median

    def undisturbed_ratio(self, peer: Contender) -> float:
        """Return the same of the fastest rounds, which other processes disturbed least."""
        return min(peer.seconds) / min(self.ours.seconds)

    def record(self) -> dict[str, Any]:
        """Return what is kept of it."""
        return {
            "network": self.network,
            "samples": self.samples,
            "floating_point_operations": self.floating_point_operations,
            "convoi": self.ours.record(),
            "peers": [
                {
                    **peer.record(),
                    "ratio": self.ratio(peer),
                    "undisturbed_ratio": self.undisturbed_ratio(peer),
                }
                for peer in self.peers
            ],
            "failures": dict(self.failures),
        }


def _fastest(contenders: Sequence[Contender]) -> Contender | None:
    return min(contenders, key=lambda contender: contender.median, default=None)
