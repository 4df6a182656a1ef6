"""Which kernels a program consists of, and why they were chosen: nothing is compiled for it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from convoi.codegen.target import current_target
from convoi.compiler import choose, tuned
from convoi.compiler.choose_fast import (
    DIRECT,
    LEAST_CHANNELS,
    MARGIN,
    form_costs,
    form_signature,
    forward_choice,
    gradient_signature,
)
from convoi.compiler.convoys import UNCUT, convoy_signature, cut_signature
from convoi.compiler.layouts import conv_of
from convoi.compiler.pipeline import compile_inference, compile_training
from convoi.compiler.rules_fast import SUMS
from convoi.kernels.correlate import Correlate
from convoi.kernels.epilogue_pool import NO_POOL
from convoi.kernels.epilogue_sums import EpilogueMoments
from convoi.kernels.layout import Layout
from convoi.ops import (
    BatchMoments,
    Conv,
    ConvBackwardData,
    ConvBackwardWeight,
    CrossEntropy,
    Dense,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convoi.codegen.target import Target
    from convoi.compiler.pipeline import Compiled
    from convoi.compiler.steps import Step
    from convoi.compiler.tasks import Task
    from convoi.graph import Graph
    from convoi.kernels.base import Kernel

__all__ = ["KernelExplanation", "explain_program"]

SHOWN_TILES = 3
"""How many tiles are listed with their costs: the cheapest ones."""


@dataclass(frozen=True)
class KernelExplanation:
    """One kernel of a program.

    Attributes
    ----------
    segment : int
        The number of the segment that it runs in; a convoy passes a segment without waiting.
    layer : str
        What it computes: the value that it writes, named after the layer.
    kernel : str
        The kind of kernel.
    fused : tuple of str
        Operations that it applies to its results before it stores them, and that it finds from
        what it stores.
    lanes : int
        Elements of its vectors: one output channel per lane.
    form : str or None
        The form of Winograd or Fourier; None for kernels that sum products.
    tile : str
        Vectors of channels and positions that it holds in registers.
    convoy : int
        Samples that pass through the segment together.
    convoys : int
        Convoys of the batch, which threads share; 1 for what runs once.
    parts : int
        Parts that its work for one sample is worth cutting into, for a thread each: in predictions
        of fewer samples than threads, and in training steps of one sample. 1: it is not divided.
    measured : tuple of str
        What ``convoi tune`` has measured, where it is used: 'form' (of gradients of weights, too),
        'tile', 'convoy', 'cuts' (of a segment that the model would cut). The cost model chose the
        rest.
    costs : dict of str to float
        Of each candidate, cycles per sample by the cost model: of the forms, or of the cheapest
        tiles of the direct kernel.
    reason : str
        Why it was chosen.
    """

    segment: int
    layer: str
    kernel: str
    fused: tuple[str, ...]
    lanes: int
    form: str | None
    tile: str
    convoy: int
    convoys: int
    parts: int
    measured: tuple[str, ...]
    costs: dict[str, float]
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """Return the record as numbers, texts, lists and dictionaries."""
        return {**asdict(self), "fused": list(self.fused), "measured": list(self.measured)}


def explain_program(
    graph: Graph, dtype: str, *, training: bool, fast: bool, batch_size: int
) -> list[KernelExplanation]:
    """Return a record for each kernel of a program, in the order in which they run."""
    target = current_target()
    if training:
        compiled = compile_training(
            graph, CrossEntropy(), dtype, target, augment=False, fast=fast, link=False
        )
    else:
        compiled = compile_inference(graph, dtype, target, fast=fast, link=False)
    explainer = _Explainer(compiled, graph, dtype, target, fast, batch_size)
    return list(explainer.records())


@dataclass(frozen=True)
class _Explainer:
    compiled: Compiled
    graph: Graph
    dtype: str
    target: Target
    fast: bool
    batch_size: int

    def records(self) -> Iterator[KernelExplanation]:
        tasks = {task.output: task for task in self.compiled.tasks}
        plan = self.compiled.plan
        pairs = zip(self.compiled.memory.steps, plan.segments, strict=True)
        for number, (steps, segment) in enumerate(pairs):
            convoys = 1 if steps.whole else -(-self.batch_size // segment.convoy)
            uncut = tuned.chosen(cut_signature(steps.steps)) == UNCUT
            convoy = tuned.chosen(convoy_signature(steps.steps)) == str(segment.convoy)
            whole = ("convoy",) * convoy + ("cuts",) * uncut if not steps.whole else ()
            calls = [call for call in segment.calls if not call.clears]
            for step, call in zip(steps.steps, calls, strict=True):
                kernel = step.kernel
                task = tasks.get(step.label.removesuffix(SUMS))
                costs, reason = self._why(step, task)
                measured = self._measured(step, task)
                yield KernelExplanation(
                    number,
                    step.label,
                    type(kernel).__name__,
                    _fused(task, kernel),
                    _lanes(kernel),
                    _form(kernel),
                    _tile(kernel),
                    segment.convoy,
                    convoys,
                    min(call.units, call.shares) if plan.divides_calls else 1,
                    (*measured, *whole),
                    costs,
                    reason,
                )

    def _why(self, step: Step, task: Task | None) -> tuple[dict[str, float], str]:
        """Return the costs of the candidates of a convolution, and the reason of the choice."""
        if task is None:
            return {}, ""
        conv = conv_of(task.node)
        if self._gradient(step, task) is not None:
            return {}, "measured to be the quickest"
        if not isinstance(task.node.op, (Conv, Dense, ConvBackwardData)):
            return {}, ""
        kernel = step.kernel
        if conv is None or not hasattr(kernel, "x") or not hasattr(kernel, "y"):
            return {}, ""
        forms, reason = self._forms(kernel, conv, task)
        if not isinstance(kernel, Correlate):
            return forms, reason
        tiles = dict(sorted(self._tiles(kernel).items(), key=lambda each: each[1])[:SHOWN_TILES])
        measured = tuned.chosen(choose.correlate_signature(kernel.y, kernel.axes))
        if measured is not None and kernel.weights.groups == 1:
            reason = f"{reason}; its tile was measured to be the quickest"
        return {**forms, **tiles}, reason

    def _tiles(self, kernel: Correlate) -> dict[str, float]:
        """Return the cost of each tile, per sample."""
        taps, weights, place = math.prod(kernel.kernel), kernel.weights, (kernel.y, kernel.axes)
        if weights.groups == 1:
            found = choose.correlate_candidates(*place, self.target)
            return {f"tile {tile}": cost * taps * weights.reduction for cost, tile in found}
        ways = choose.grouped_candidates(weights, kernel.x.stride, *place, self.target)
        return {
            f"tile {tile}{', groups by lane' if layout.per_lane else ''}": cost * taps
            for cost, layout, tile in ways
        }

    def _measured(self, step: Step, task: Task | None) -> tuple[str, ...]:
        """Return what was measured of a kernel by itself."""
        if task is None or not hasattr(step.kernel, "x"):
            return ()
        kernel: Any = step.kernel
        conv = conv_of(task.node)
        found = []
        if isinstance(task.node.op, ConvBackwardWeight):
            found += ["form"] if self._gradient(step, task) is not None else []
        elif isinstance(task.node.op, (Conv, Dense, ConvBackwardData)) and conv is not None:
            channels, outputs, offset = _problem(kernel, conv, task)
            costs = form_costs(conv, channels, outputs, offset, self.dtype, self.target) or {}
            measured = tuned.chosen(form_signature(conv, channels, outputs, offset))
            found += ["form"] if self.fast and measured in costs else []
            if isinstance(kernel, Correlate) and kernel.weights.groups == 1:
                choice = tuned.chosen(choose.correlate_signature(kernel.y, kernel.axes))
                found += ["tile"] if choice == _tile(kernel) else []
        return tuple(found)

    def _gradient(self, step: Step, task: Task) -> str | None:
        """Return what was measured to be the quickest, if this is the gradient of a weight."""
        op, x = task.node.op, getattr(step.kernel, "x", None)
        if not isinstance(op, ConvBackwardWeight) or x is None or not self.fast:
            return None
        conv, shape = op.conv, (x.channels, *x.spatial)
        forward = forward_choice(conv, shape, self.dtype, self.target) if conv.kernel else None
        if forward is None:
            return None
        form = forward.tiling.form
        measured = tuned.chosen(gradient_signature(conv, shape, form))
        return measured if measured in {form, DIRECT} else None

    def _forms(self, kernel: Any, conv: Conv, task: Task) -> tuple[dict[str, float], str]:  # noqa: ANN401 - one of the kernels of convolutions
        channels, outputs, offset = _problem(kernel, conv, task)
        reason = self._excluded(conv, channels, outputs)
        if reason:
            return {}, reason
        costs = form_costs(conv, channels, outputs, offset, self.dtype, self.target)
        if costs is None:
            return {}, "no form has such a kernel, or it would round too much"
        signature = form_signature(conv, channels, outputs, offset)
        if tuned.chosen(signature) in costs:
            return costs, "measured to be the quickest"
        best = min((name for name in costs if name != DIRECT), key=lambda name: costs[name])
        ratio = costs[best] / costs[DIRECT]
        limit = 1 / MARGIN
        verdict = "is" if ratio < limit else "is not"
        return costs, f"{best} costs {ratio:.2f} of the products, which {verdict} below {limit:.2f}"

    def _excluded(self, conv: Conv, channels: int, outputs: tuple[int, ...]) -> str:
        """Return why forms are out of the question, nothing if they are not."""
        if not conv.kernel or math.prod(conv.kernel) == 1:
            return "one tap: there is nothing to save"
        checks = (
            (not self.fast, "precision='high'"),
            (self.dtype != "float32", f"{self.dtype}"),
            (conv.groups > 1, "groups"),
            (any(s != 1 for s in conv.stride), "a stride"),
            (min(channels, outputs[0]) < LEAST_CHANNELS, f"fewer than {LEAST_CHANNELS} channels"),
        )
        return next((f"direct for {why}" for applies, why in checks if applies), "")


def _problem(
    kernel: Any,  # noqa: ANN401 - one of the kernels of convolutions
    conv: Conv,
    task: Task,
) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    """Return the channels that a convolution reads, what it writes, and where it begins."""
    backward = isinstance(task.node.op, ConvBackwardData)
    offset = tuple(
        low - (taps - 1) if backward else -low
        for (low, _), taps in zip(conv.padding, conv.kernel, strict=True)
    )
    channels = kernel.x.channels
    if backward or not conv.kernel:
        return channels, (kernel.y.channels, *kernel.y.spatial), offset
    return channels, conv.infer_shape((channels, *kernel.x.spatial)), offset


def _fused(task: Task | None, kernel: Kernel) -> tuple[str, ...]:
    absorbed = () if task is None else tuple(type(node.op).__name__ for node in task.absorbed)
    if isinstance(getattr(kernel, "sums", None), EpilogueMoments):
        return (*absorbed, BatchMoments.__name__)
    pool = getattr(kernel, "pool", NO_POOL)
    return absorbed if pool == NO_POOL else (*absorbed, pool.name)


def _lanes(kernel: Kernel) -> int:
    """Return the vector width of a kernel's result, or of what it reads."""
    for name in ("y", "dx", "dy", "x", "layout"):
        layout = getattr(kernel, name, None)
        if isinstance(layout, Layout):
            return layout.lanes
    return int(getattr(kernel, "lanes", 1))


def _form(kernel: Kernel) -> str | None:
    tiling = getattr(kernel, "tiling", None)
    form = getattr(kernel, "form", None) if tiling is None else tiling.form
    return None if form is None else str(form)


def _tile(kernel: Kernel) -> str:
    """Return the register tile, in words."""
    if isinstance(kernel, Correlate):
        return str(choose.CorrelateChoice(kernel.weights.blocks, kernel.tile))
    product = getattr(kernel, "product", None)
    if product is not None:
        return f"{max(product.blocks)} x {product.tiles}"
    tile = getattr(kernel, "tile", None)
    if tile is not None and hasattr(tile, "vectors"):
        return f"{tile.vectors} x {tile.channels}x{tile.taps}"
    columns = getattr(kernel, "columns", None)
    return f"1 x {columns}" if isinstance(columns, int) else ""
