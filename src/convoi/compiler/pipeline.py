"""The way from a network's graph to a program, pass by pass: read this file first.

    graph --(mask)--> graph --simplify--> graph --(differentiate)--> graph
          --(keep winners, recompute)--> graph --fuse--> tasks
          --place--> layouts --select--> steps (kernels on operands)
          --(sum, pool while storing)--> steps --cut--> segments --(ask ahead)--> segments
          --plan--> addresses

Each pass is a function in a file of its own; none of them changes what another one decided.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from convoi.compiler import choose
from convoi.compiler.boundary import select_input, select_output, select_output_gradient
from convoi.compiler.convoys import cut_at_heavy_layers
from convoi.compiler.epilogue_pool import pool_while_storing
from convoi.compiler.epilogue_sums import sum_while_storing
from convoi.compiler.layouts import place_values
from convoi.compiler.maxima import keep_winners
from convoi.compiler.memory import MemoryPlan, MemoryPlanner
from convoi.compiler.prefetch import ask_ahead
from convoi.compiler.recompute import keep_within_segments, recompute_activations
from convoi.compiler.rules import select_tasks
from convoi.compiler.segments import cut_segments
from convoi.compiler.select import Selection
from convoi.compiler.simplify import (
    Recipe,
    Simplified,
    normalizations_to_affine,
    simplify_inference,
    sink_flatten,
    split_sums,
)
from convoi.compiler.tasks import Task, fuse
from convoi.graph import (
    OUTPUT_GRADIENT,
    Graph,
    check_network,
    differentiate,
    mask,
    vector_jacobian,
)
from convoi.runtime.plan import Chunking, Plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convoi.codegen.target import Target
    from convoi.compiler.steps import Constant
    from convoi.kernels.layout import Layout
    from convoi.ops import Loss

Precision: TypeAlias = Literal["default", "high"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

OUTPUT = "output"
PREDICTION = "prediction"


def output_name(number: int) -> str:
    """Return the name of the caller's array that an output of a graph is written to."""
    return f"{OUTPUT} {number}" if number else OUTPUT


@dataclass(frozen=True)
class Compiled:
    """A program's plan, and what its caller needs to know to feed it."""

    plan: Plan
    memory: MemoryPlan
    recipes: Mapping[str, Recipe]
    """Parameters that only the compiled program has."""
    constants: Mapping[str, Constant]
    input: Layout
    """How the packed input lies."""
    tasks: tuple[Task, ...]
    """What is computed together; the calls of a task are labelled with its output."""


def compile_inference(
    graph: Graph,
    dtype: str,
    target: Target,
    *,
    fast: bool = True,
    link: bool = True,
    masked: bool = False,
) -> Compiled:
    """Return the program that computes a network's output.

    Without `link` there is no machine code: the plan can be looked at, and not be run.
    """
    check_network(graph)
    graph = mask(graph, training=False) if masked else graph
    return compile_values(simplify_inference(graph), dtype, target, fast=fast, link=link)


def compile_vector_jacobian(
    graph: Graph, value: str, dtype: str, target: Target, *, fast: bool = True
) -> Compiled:
    """Return the program that carries a gradient back from the output to a value, for predictions.

    The value is the input or the name of a node.
    """
    check_network(graph)
    (output,) = graph.outputs
    # As an output of its own, the value outlives the simplifications, if under another name.
    simplified = simplify_inference(replace(graph, outputs=(output, value)))
    output, value = simplified.graph.outputs
    graph = vector_jacobian(replace(simplified.graph, outputs=(output,)), value)
    recipes = {name: r for name, r in simplified.recipes.items() if name in graph.parameters}
    return compile_values(Simplified(graph, recipes), dtype, target, fast=fast)


def compile_values(
    simplified: Simplified,
    dtype: str,
    target: Target,
    *,
    fast: bool = True,
    link: bool = True,
) -> Compiled:
    """Return the program that computes the outputs of a simplified graph, none of them its input.

    The array that the output number ``i`` is written to is called ``output_name(i)``.
    """
    graph = simplified.graph
    tasks = fuse(graph)
    placed = place_values(graph, tasks, dtype, target, fast=fast)
    selection = Selection(graph, placed, dtype, target, fast=fast)
    packed_input, tasks = select_input(selection, tasks)
    if OUTPUT_GRADIENT in graph.inputs:
        select_output_gradient(selection)
    select_tasks(selection, tasks)
    for number, value in enumerate(graph.outputs):
        select_output(selection, value, output_name(number))
    pool_while_storing(selection)
    segments = cut_segments(selection.steps, selection.root)
    segments = cut_at_heavy_layers(selection, segments)
    segments = ask_ahead(selection, segments)
    memory = MemoryPlanner(selection, segments, selection.tile_samples, link=link).plan()
    plan = Plan(memory.segments, memory.buffers, Chunking(most=None))
    layout = selection.layout(packed_input)
    return Compiled(plan, memory, simplified.recipes, selection.constants, layout, tasks)


def compile_training(
    graph: Graph,
    loss: Loss,
    dtype: str,
    target: Target,
    *,
    augment: bool,
    fast: bool = True,
    link: bool = True,
    masked: bool = False,
) -> Compiled:
    """Return the program that computes a loss and the gradients of all parameters.

    It is the program of a training step up to the sums of gradients of each chunk. Without
    `link` there is no machine code: the plan can be looked at, and not be run.
    """
    graph = mask(graph, training=True) if masked else graph
    training = differentiate(sink_flatten(graph), loss)
    simplified = normalizations_to_affine(split_sums(training.graph))
    recomputed = recompute_activations(keep_winners(simplified.graph), training.loss)
    step = recomputed.graph
    tasks = fuse(step)
    placed = place_values(step, tasks, dtype, target, fast=fast)
    gradient_of = {value: name for name, value in training.gradients.items()}
    selection = Selection(
        step,
        placed,
        dtype,
        target,
        gradient_of,
        training=True,
        fast=fast,
        late=recomputed.values,
    )
    packed_input, tasks = select_input(selection, tasks, augment=augment)
    select_tasks(selection, tasks)
    sum_while_storing(selection)
    select_output(selection, training.prediction, PREDICTION)
    pool_while_storing(selection)
    keep_within_segments(selection)
    segments = cut_segments(selection.steps, selection.root)
    segments = cut_at_heavy_layers(selection, segments)
    segments = ask_ahead(selection, segments)
    parameters = sum(p.size for p in selection.packings.values() if not p.transposed)
    samples, small = choose.chunk_samples(
        parameters,
        parameters + selection.transformed_sums,
        _multiply_adds(graph),
        selection.tile_samples,
    )
    granule = selection.tile_samples if samples % selection.tile_samples == 0 else 1
    memory = MemoryPlanner(selection, segments, granule, link=link).plan()
    most = choose.chunk_limit(parameters * selection.itemsize)
    plan = Plan(memory.segments, memory.buffers, Chunking(most, samples, small))
    layout = selection.layout(packed_input)
    return Compiled(plan, memory, simplified.recipes, selection.constants, layout, tasks)


def _multiply_adds(graph: Graph) -> int:
    """Return the multiply-adds of a sample's forward pass."""
    return sum(node.op.cost(*map(graph.shape, node.inputs)).multiply_adds for node in graph.nodes)
