"""The segments around the samples of a training step: repacked weights, sums, the optimiser."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from convoi.codegen.types import FLOATS
from convoi.compiler.choose import STREAMED_BYTES
from convoi.compiler.memory import GRADIENTS, PARAMETERS, TRANSPOSED, MemoryPlan
from convoi.compiler.repacking import widest_blocks
from convoi.errors import CompilationError
from convoi.kernels.base import Kernel, kernel_address
from convoi.kernels.gather import BLOCK_WORDS, Gather, TransposeBlocks
from convoi.kernels.optimizer import (
    GRANULE_BYTES,
    HYPER,
    NORM_LANES,
    SGD,
    Adam,
    ClipGradients,
    ReduceGradients,
    SquaredNorm,
)
from convoi.ops import Array, ParameterKind
from convoi.runtime.plan import Argument, Buffer, Extent, KernelCall, Plan, Segment, Space, Traffic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from convoi.codegen.target import Target

BLOCKS_AT_ONCE = 64
GRANULES_AT_ONCE = 512
"""Granules that a thread takes at a time: 32 KiB of each arena."""
HYPER_BLOCK = "hyper"
DECAY = "decay"
REDUCED = "reduced gradients"
GATHER_INDEX = "gather index"
BLOCKS = "transposed blocks"
NORM_PARTIALS = "norm partials"


@dataclass(frozen=True)
class UpdateRule:
    """The structure of an optimiser; its numbers may change from step to step.

    Parameters
    ----------
    kind : {'sgd', 'adam', 'adamw'}
        The formula.
    momentum : bool
        Whether SGD keeps a velocity.
    nesterov : bool
        Whether SGD looks ahead along it.
    clip : bool
        Whether the norm of the gradient is limited.
    """

    kind: Literal["sgd", "adam", "adamw"]
    momentum: bool = False
    nesterov: bool = False
    clip: bool = False

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of what the optimiser remembers of each parameter."""
        if self.kind == "sgd":
            return ("momentum",) if self.momentum else ()
        return ("mean", "square")

    def kernel(self, dtype: str, lanes: int) -> Kernel:
        """Return the kernel of a step."""
        if self.kind == "sgd":
            return SGD(dtype, lanes, self.momentum, self.nesterov)
        return Adam(dtype, lanes, decoupled=self.kind == "adamw")


def slot_buffer(slot: str) -> str:
    """Return the name of the buffer of a slot."""
    return f"slot {slot}"


@dataclass(frozen=True, eq=False)
class Repacking:
    """What is copied to the weights of the backward pass."""

    blocks: Mapping[int, NDArray[np.int32]]
    """Records of :class:`TransposeBlocks`, for each number of lanes that has any."""
    gathered: NDArray[np.int32]
    """Records of :class:`Gather`: granules whose elements are copied one by one."""


@dataclass(frozen=True)
class Frame:
    """Adds to the plan of the samples what comes before and after them."""

    plan: Plan
    memory: MemoryPlan
    dtype: str
    target: Target
    link: bool = True
    """Whether kernels get addresses; a plan without is only looked at."""

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return FLOATS[self.dtype].size

    @property
    def lanes(self) -> int:
        """Lanes of the widest vector."""
        return self.target.lanes(self.dtype)

    def _buffer(self, name: str) -> Buffer:
        return next(buffer for buffer in self.plan.buffers if buffer.name == name)

    def _bytes(self, buffer: str) -> int:
        return self._buffer(buffer).bytes

    @property
    def chunk_bytes(self) -> int:
        """Bytes between the gradients of two chunks."""
        return self._buffer(GRADIENTS).unit_bytes

    def with_update(self, rule: UpdateRule) -> Plan:
        """Return the plan of a training step."""
        update = self._segment(self._update_call(rule), PARAMETERS)
        clip = self._clip() if rule.clip else ()
        size = self._bytes(PARAMETERS)
        buffers = [Buffer(slot_buffer(slot), Space.FIXED, size) for slot in rule.slots]
        return self._plan([*clip, update], buffers)

    def with_reduction(self) -> Plan:
        """Return the plan that only computes gradients."""
        kernel = ReduceGradients(self.dtype, self.lanes)
        call = self._call(
            REDUCED, kernel, [Argument(GRADIENTS, 0, GRANULE_BYTES, whole=True), _HYPER,
                              Argument(REDUCED, 0, GRANULE_BYTES)],
        )  # fmt: skip
        return self._plan([self._segment(call, PARAMETERS)], [])

    def _plan(self, after: Sequence[Segment], buffers: Sequence[Buffer]) -> Plan:
        granules = self._bytes(PARAMETERS) // GRANULE_BYTES
        known = {buffer.name for buffer in self.plan.buffers}
        more = [
            Buffer(HYPER_BLOCK, Space.FIXED, HYPER.itemsize),
            Buffer(DECAY, Space.FIXED, granules * self.itemsize),
            Buffer(REDUCED, Space.FIXED, self._bytes(PARAMETERS)),
            Buffer(GATHER_INDEX, Space.FIXED, self.repacking.gathered.nbytes),
            Buffer(BLOCKS, Space.FIXED, self._block_records.nbytes),
            Buffer(NORM_PARTIALS, Space.FIXED, self._norm_segments * NORM_LANES * 8),
            *buffers,
        ]
        blocks = [b for b in self.plan.buffers if b.name != HYPER_BLOCK]
        more = [b for b in more if b.name not in known or b.name == HYPER_BLOCK]
        segments = (*self._before(), *self.plan.segments, *after)
        return Plan(segments, (*blocks, *more), self.plan.chunking)

    @property
    def _norm_segments(self) -> int:
        return -(-self._bytes(PARAMETERS) // GRANULE_BYTES // GRANULES_AT_ONCE) + 1

    def _before(self) -> tuple[Segment, ...]:
        """Return the segments that pack weights anew for the backward pass."""
        found = []
        streaming = self._bytes(TRANSPOSED) >= STREAMED_BYTES
        size, first = BLOCK_WORDS * 4, 0
        for lanes, records in self.repacking.blocks.items():
            units = len(records)
            kernel = TransposeBlocks(self.dtype, lanes, streaming)
            arguments = [
                Argument(PARAMETERS), Argument(BLOCKS, first * size, size), Argument(TRANSPOSED),
            ]  # fmt: skip
            call = self._call("transpose weights", kernel, arguments)
            found.append(Segment((call,), convoy=BLOCKS_AT_ONCE, extent=Extent.FIXED, units=units))
            first += units
        if len(self.repacking.gathered):
            units, words = self.repacking.gathered.shape
            arguments = [
                Argument(PARAMETERS), Argument(GATHER_INDEX, 0, words * 4), Argument(TRANSPOSED),
            ]  # fmt: skip
            call = self._call("gather weights", Gather(self.dtype), arguments, GRANULE_BYTES)
            found.append(
                Segment((call,), convoy=GRANULES_AT_ONCE, extent=Extent.FIXED, units=units)
            )
        return tuple(found)

    @cached_property
    def repacking(self) -> Repacking:
        """How weights are packed anew for the backward pass."""
        index = self.gather_index()
        rest = np.zeros(index.size, bool)
        widths = self.target.widths(self.dtype)
        found: dict[int, list[NDArray[np.int64]]] = {lanes: [] for lanes in widths}
        for place in self.memory.places.values():
            if place.buffer == TRANSPOSED and place.packing.size:
                here = slice(place.offset, place.offset + place.packing.size)
                blocks = widest_blocks(index[here].astype(np.int64), widths)
                found[blocks.lanes].append(blocks.records + np.array([0, 0, place.offset, 0]))
                rest[here] = blocks.rest
        records = {lanes: np.concatenate(some) for lanes, some in found.items() if some}
        granules = index.reshape(-1, GRANULE_BYTES // self.itemsize)
        numbers = np.flatnonzero(rest.reshape(granules.shape).any(axis=1))
        return Repacking(
            {lanes: some.astype(np.int32) for lanes, some in records.items() if len(some)},
            np.column_stack([numbers, granules[numbers]]).astype(np.int32),
        )

    @property
    def _block_records(self) -> NDArray[np.int32]:
        """Records of all blocks."""
        none = np.zeros((0, BLOCK_WORDS), np.int32)
        return np.concatenate([none, *self.repacking.blocks.values()])

    def _clip(self) -> tuple[Segment, ...]:
        partials = Argument(NORM_PARTIALS, per_chunk=NORM_LANES * 8)
        norm = self._call(
            "gradient norm",
            SquaredNorm(self.dtype),
            [Argument(GRADIENTS, 0, GRANULE_BYTES, whole=True), _HYPER, partials],
        )
        clip = self._call("clip", ClipGradients(), [Argument(NORM_PARTIALS), _HYPER])
        return (
            self._segment(norm, PARAMETERS),
            Segment((clip,), convoy=1, extent=Extent.FIXED),
        )

    def norm_chunks(self) -> int:
        """Return how many partial sums the norm of the gradient has."""
        return self._clip()[0].fixed_chunks

    def _update_call(self, rule: UpdateRule) -> KernelCall:
        arguments = [
            Argument(GRADIENTS, 0, GRANULE_BYTES, whole=True),
            Argument(PARAMETERS, 0, GRANULE_BYTES),
            *(Argument(slot_buffer(slot), 0, GRANULE_BYTES) for slot in rule.slots),
            Argument(DECAY, 0, self.itemsize),
            _HYPER,
        ]
        rewritten = GRANULE_BYTES * (1 + len(rule.slots))
        return self._call("update", rule.kernel(self.dtype, self.lanes), arguments, rewritten)

    def _call(
        self, label: str, kernel: Kernel, arguments: Sequence[Argument], rewritten: int = 0
    ) -> KernelCall:
        """Return a call; ``rewritten`` bytes per granule are both read and written."""
        address = kernel_address(kernel, self.target) if self.link else 0
        # Of the sums of gradients, those of one chunk.
        moved = rewritten + sum(argument.per_sample for argument in arguments)
        traffic = Traffic(moved, 0, moved)
        return KernelCall(label, address, tuple(arguments), type(kernel).__name__, traffic=traffic)

    def _segment(self, call: KernelCall, buffer: str) -> Segment:
        units = self._bytes(buffer) // GRANULE_BYTES
        return Segment((call,), convoy=GRANULES_AT_ONCE, extent=Extent.FIXED, units=units)

    def tables(self) -> dict[str, Array]:
        """Return the contents of the buffers that hold constants, by buffer."""
        return {
            DECAY: self.decay_factors(),
            BLOCKS: self._block_records.ravel(),
            GATHER_INDEX: self.repacking.gathered.ravel(),
        }

    # Tables -----------------------------------------------------------------------------------

    def gather_index(self) -> NDArray[np.int32]:
        """Return, for every element of the repacked weights, its place among the parameters.

        Raises
        ------
        CompilationError
            If places do not fit in int32.
        """
        elements = self._bytes(PARAMETERS) // self.itemsize
        if elements > np.iinfo(np.int32).max:
            message = (
                f"The network has {elements} parameters, and training programs hold at most "
                f"{np.iinfo(np.int32).max}. Make it smaller."
            )
            raise CompilationError(message)
        index = np.zeros(self._bytes(TRANSPOSED) // self.itemsize, np.int32)
        places = self.memory.places.values()
        forward = {p.packing.parameter: p for p in places if p.buffer == PARAMETERS}
        for place in places:
            if place.buffer != TRANSPOSED:
                continue
            source = forward[place.packing.parameter]
            kept = source.packing.indices >= 0
            flat = np.zeros(int(source.packing.indices.max()) + 1, np.int64)
            flat[source.packing.indices[kept]] = source.offset + np.flatnonzero(kept)
            wanted = place.packing.indices
            index[place.offset : place.offset + wanted.size] = np.where(wanted < 0, 0, flat[wanted])
        return index

    def decay_factors(self) -> Array:
        """Return the factor of the weight decay of every granule: 1 for weights, else 0."""
        per_granule = GRANULE_BYTES // self.itemsize
        factors = np.zeros(self._bytes(PARAMETERS) // GRANULE_BYTES, self.dtype)
        for place in self.memory.places.values():
            if place.buffer == PARAMETERS and place.packing.kind is ParameterKind.WEIGHT:
                first = place.offset // per_granule
                factors[first : first - (-place.packing.size // per_granule)] = 1
        return factors


_HYPER = Argument(HYPER_BLOCK)
