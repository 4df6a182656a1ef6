"""The ends of a program: what packing takes along, and what is written to the caller."""

from __future__ import annotations

import numpy as np
import pytest

from convoi import ops
from convoi.codegen.target import current_target
from convoi.compiler.host import Packer
from convoi.compiler.pipeline import compile_inference, compile_training
from convoi.compiler.sources import open_source
from convoi.graph import INPUT, Builder, Graph
from tests.cases import conv
from tests.compiler.graphs import network


def kernels(graph: Graph, *, training: bool = False) -> list[str]:
    target = current_target()
    compiled = (
        compile_training(graph, ops.MeanSquaredError(), "float32", target, augment=False)
        if training
        else compile_inference(graph, "float32", target)
    )
    return [call.kernel for call in compiled.plan.calls if call.kernel != "ClearHalo"]


@pytest.mark.parametrize("first", [ops.Standardize(), ops.BatchNorm()])
def test_a_normalisation_of_the_input_is_done_while_it_is_packed(first: ops.Operation) -> None:
    assert kernels(network((3, 8), first, conv(4, (3,)))) == ["Pack", "Correlate", "Unpack"]


def test_in_training_too() -> None:
    graph = network((3, 8), ops.Standardize(), conv(4, (3,)))
    assert "Pointwise" not in kernels(graph, training=True)


def test_not_if_others_read_the_input_as_it_is() -> None:
    build = Builder.for_network((4, 8))
    value = build.layer("normed", ops.Standardize(), INPUT)
    graph = build.finish(build.layer("sum", ops.Concatenate(), value, INPUT))
    found = kernels(graph)
    assert found == ["Pack", "Pointwise", "CopyChannels", "CopyChannels", "Unpack"]


def test_nor_if_the_kernel_does_more_than_that() -> None:
    assert kernels(network((3, 8), ops.Standardize(), ops.ReLU())) == [
        "Pack",
        "Pointwise",
        "Unpack",
    ]


def test_the_kernel_for_contiguous_arrays_is_at_hand() -> None:
    """Packing kernels of other arrays are made when such an array comes."""
    target = current_target()
    compiled = compile_inference(network((1, 8, 8), conv(4, (3, 3))), "float32", target)
    (pack,) = (call for call in compiled.plan.calls if call.label == "pack")
    source = open_source(np.zeros((2, 1, 8, 8), np.float32), (1, 8, 8))
    assert Packer(compiled, target, augment=False).address(source) == pack.address
