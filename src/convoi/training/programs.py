"""Where runs get their compiled programs from: each its own, or copies that share machine code."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from convoi.compiler import InferenceProgram, TrainingProgram

if TYPE_CHECKING:
    from collections.abc import Hashable

    from convoi.compiler import UpdateRule
    from convoi.graph import Graph
    from convoi.nn.setting import Setting
    from convoi.ops import Loss

__all__ = ["SEPARATE", "Programs", "SharedPrograms"]


class Programs:
    """Compiles a program whenever one is asked for."""

    def training(
        self,
        graph: Graph,
        loss: Loss,
        rule: UpdateRule,
        setting: Setting,
        *,
        augment: bool,
        masked: bool,
    ) -> TrainingProgram:
        """Return a program that takes the steps of a run."""
        return TrainingProgram(
            graph,
            loss,
            rule,
            augment=augment,
            dtype=setting.dtype.name,
            threads=setting.threads,
            precision=setting.precision,
            masked=masked,
        )

    def inference(self, graph: Graph, setting: Setting, *, masked: bool) -> InferenceProgram:
        """Return a program that predicts."""
        return InferenceProgram(
            graph,
            dtype=setting.dtype.name,
            threads=setting.threads,
            precision=setting.precision,
            masked=masked,
        )


SEPARATE = Programs()


class SharedPrograms(Programs):
    """Compiles each network once; programs for the same one share its machine code.

    Each program has parameters and activations of its own. Safe among threads.
    """

    def __init__(self) -> None:
        self._training: dict[Hashable, TrainingProgram] = {}
        self._inference: dict[Hashable, InferenceProgram] = {}
        self._lock = threading.Lock()

    def training(
        self,
        graph: Graph,
        loss: Loss,
        rule: UpdateRule,
        setting: Setting,
        *,
        augment: bool,
        masked: bool,
    ) -> TrainingProgram:
        """Return a program that takes the steps of a run."""
        single = replace(setting, threads=1)
        key = (repr(graph), loss, rule, single, augment, masked)
        with self._lock:
            if key not in self._training:
                self._training[key] = super().training(
                    graph, loss, rule, single, augment=augment, masked=masked
                )
            return self._training[key].sibling(setting.threads)

    def inference(self, graph: Graph, setting: Setting, *, masked: bool) -> InferenceProgram:
        """Return a program that predicts."""
        single = replace(setting, threads=1)
        key = (repr(graph), single, masked)
        with self._lock:
            if key not in self._inference:
                self._inference[key] = super().inference(graph, single, masked=masked)
            return self._inference[key].sibling(setting.threads)
