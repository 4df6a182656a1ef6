"""Memory: values that live at the same time do not overlap, and halos are zero."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from convoi import ops
from convoi.codegen.target import current_target
from convoi.compiler import memory as planning
from convoi.compiler.boundary import select_input, select_output
from convoi.compiler.layouts import place_values
from convoi.compiler.memory import (
    PARAMETERS,
    STATISTICS,
    TRANSPOSED,
    Interval,
    MemoryPlanner,
    place_parameters,
    plan_offsets,
    share_slots,
)
from convoi.compiler.rules import select_tasks
from convoi.compiler.segments import cut_segments
from convoi.compiler.select import Selection
from convoi.compiler.steps import Packing, ValueOperand
from convoi.compiler.tasks import fuse
from convoi.errors import ConvoiError
from convoi.graph import Graph, differentiate
from tests.cases import conv
from tests.compiler.graphs import network, same_conv
from tests.strategies import losses, random_graphs

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True, scope="module")
def _nothing_compiled() -> Iterator[None]:
    """Leave out the kernels' machine code, which no plan depends on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "kernel_address", lambda *_: 1)
        yield


lives = st.tuples(st.integers(0, 300), st.integers(0, 12), st.integers(0, 6))


# Offsets --------------------------------------------------------------------------------------


def intervals_of(drawn: list[tuple[int, int, int]]) -> list[Interval]:
    return [
        Interval(f"v{i}", 64 * size, first, first + length)
        for i, (size, first, length) in enumerate(drawn)
    ]


def overlap(a: int, a_size: int, b: int, b_size: int) -> bool:
    return a < b + b_size and b < a + a_size


@given(st.lists(lives, max_size=20))
def test_values_that_live_together_do_not_overlap(drawn: list[tuple[int, int, int]]) -> None:
    intervals = intervals_of(drawn)
    offsets, size = plan_offsets(intervals)
    assert size == max((offsets[i.name] + i.size for i in intervals), default=0)
    for a, b in itertools.combinations(intervals, 2):
        if a.first <= b.last and b.first <= a.last and a.size and b.size:
            assert not overlap(offsets[a.name], a.size, offsets[b.name], b.size)


@given(st.lists(lives, max_size=12), st.randoms())
def test_the_order_in_which_values_are_given_does_not_matter(drawn, random) -> None:
    intervals = intervals_of(drawn)
    shuffled = list(intervals)
    random.shuffle(shuffled)
    assert plan_offsets(shuffled) == plan_offsets(intervals)


def test_memory_is_used_again_when_a_value_is_dead() -> None:
    chain = [Interval(f"v{i}", 100, i, i + 1) for i in range(10)]
    assert plan_offsets(chain)[1] == 200


# Parameters -----------------------------------------------------------------------------------


def packing(name: str, size: int, kind: ops.ParameterKind, *, transposed: bool = False) -> Packing:
    return Packing(name, name, kind, np.arange(size), transposed)


@given(st.lists(lives, max_size=20))
def test_values_of_a_slot_take_turns(drawn: list[tuple[int, int, int]]) -> None:
    intervals = intervals_of(drawn)
    slots = share_slots(intervals)
    assert sorted(i.name for slot in slots for i in slot) == sorted(i.name for i in intervals)
    for slot in slots:
        for a, b in itertools.combinations(slot, 2):
            assert a.last < b.first or b.last < a.first


def test_parameters_lie_by_what_becomes_of_them() -> None:
    weight, mean = ops.ParameterKind.WEIGHT, ops.ParameterKind.MEAN
    packings = [
        packing("a", 17, weight),
        packing("mean", 5, mean),
        packing("turned", 20, weight, transposed=True),
        packing("b", 16, weight),
    ]
    places, ends = place_parameters(packings, itemsize=4)
    assert {name: (place.buffer, place.offset) for name, place in places.items()} == {
        # The first cache line of the parameters stays zero.
        "a": (PARAMETERS, 16),
        "mean": (STATISTICS, 0),
        "turned": (TRANSPOSED, 0),
        "b": (PARAMETERS, 48),
    }
    assert ends == {PARAMETERS: 64, STATISTICS: 16, TRANSPOSED: 32}


def test_packing_puts_zeros_where_there_is_padding() -> None:
    indices = np.array([2, -1, 0, 1, -1])
    made = Packing("w", "w", ops.ParameterKind.WEIGHT, indices)
    packed = made.pack(np.array([10.0, 20.0, 30.0]), "float32")
    assert packed.dtype == np.float32
    assert packed.tolist() == [30.0, 0.0, 10.0, 20.0, 0.0]
    assert made.unpack(packed, (3, 1)).tolist() == [[10.0], [20.0], [30.0]]


# Whole plans ----------------------------------------------------------------------------------


def planner_of(graph: Graph, loss: ops.Loss) -> MemoryPlanner:
    """Return the planner of a training program, after it has planned."""
    training = differentiate(graph, loss)
    tasks = fuse(training.graph)
    target = current_target()
    placed = place_values(training.graph, tasks, "float32", target)
    gradient_of = {value: name for name, value in training.gradients.items()}
    selection = Selection(training.graph, placed, "float32", target, gradient_of, training=True)
    _, tasks = select_input(selection, tasks)
    select_tasks(selection, tasks)
    select_output(selection, training.prediction, "prediction")
    planner = MemoryPlanner(selection, cut_segments(selection.steps, selection.root))
    planner.plan()
    return planner


def uses_of(planner: MemoryPlanner) -> dict[str, list[tuple[int, int]]]:
    """Return (segment, step) of every use of every value that has memory."""
    uses: dict[str, list[tuple[int, int]]] = {}
    for i, segment in enumerate(planner.segments):
        for j, step in enumerate(segment.steps):
            for operand in step.operands:
                if isinstance(operand, ValueOperand):
                    root = planner.selection.root(operand.value)
                    uses.setdefault(root, []).append((i, j))
    return uses


@settings(max_examples=25)
@given(random_graphs(max_depth=6, accept=lambda op: not isinstance(op, ops.Standardize)), losses())
def test_values_of_a_program_do_not_overlap_and_their_halos_stay_zero(graph, loss) -> None:
    try:
        planner = planner_of(graph, loss)
    except ConvoiError:
        assume(False)
    uses = uses_of(planner)
    arena = {}
    for root, (segment, offset) in planner._where.items():
        assert {i for i, _ in uses[root]} == {segment}
        convoy = planner._convoys[segment]
        arena[root] = (offset * convoy, planner._size(root) * convoy)
    batch = {root: (offset, planner._size(root)) for root, offset in planner._in_batch.items()}
    assert arena.keys() | batch.keys() == uses.keys()
    for memory, unit in ((arena, 1), (batch, 0)):
        shared = set()
        for a, b in itertools.combinations(memory, 2):
            if not overlap(*memory[a], *memory[b]):
                continue
            shared |= {a, b}
            if unit == 1 and planner._where[a][0] != planner._where[b][0]:
                continue
            lives = [[use[unit] for use in uses[root]] for root in (a, b)]
            assert max(lives[0]) < min(lives[1]) or max(lives[1]) < min(lives[0])
        with_halo = {root for root in shared if planner.selection.layout(root).has_halo}
        assert with_halo == planner._to_clear & memory.keys()


def test_a_halo_is_cleared_before_its_value_is_first_written() -> None:
    layers = [same_conv(32, (5,)), ops.ReLU(), same_conv(32, (5,)), ops.ReLU()] * 3
    planner = planner_of(network((4, 40), *layers), ops.MeanSquaredError())
    assert planner._to_clear
    for number, segment in enumerate(planner.segments):
        labels = [call.label for call in planner._segment(number).calls]
        for root in planner._to_clear:
            writers = [step.label for step in segment.steps if root in step.writes]
            assert labels.count(f"clear {root}") == bool(writers)
            if writers:
                assert labels.index(f"clear {root}") < labels.index(writers[0])


def test_prediction_holds_no_gradients() -> None:
    planner = planner_of(network((3, 8), conv(4, (3,))), ops.MeanSquaredError())
    names = {buffer.name for buffer in planner.plan().buffers}
    assert "gradients" in names
    planner.selection.training = False
    assert "gradients" not in {buffer.name for buffer in planner.plan().buffers}
