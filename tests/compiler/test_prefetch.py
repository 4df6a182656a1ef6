"""Direct kernels ask for the next sample of what an earlier segment has written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convoi import Network, nn, ops
from convoi.codegen.target import current_target
from convoi.compiler.pipeline import compile_training

if TYPE_CHECKING:
    from convoi.nn import Layer


def kernels(*layers: Layer) -> dict[str, Any]:
    """Return the kernels of a training step, by what they compute."""
    net = nn.Sequential(*layers, nn.Flatten(), nn.Dense(5))
    graph = Network(net, (16, 12, 12), random_state=0).graph
    compiled = compile_training(
        graph, ops.CrossEntropy(), "float32", current_target(), augment=False, link=False
    )
    return {step.label: step.kernel for part in compiled.memory.steps for step in part.steps}


def test_a_weight_gradient_asks_for_inputs_that_the_forward_pass_wrote() -> None:
    found = kernels(nn.Conv(24, 1), nn.Conv(40, 1), nn.BatchNorm())
    gradient = found["1/conv_backward_weight"]
    assert gradient.ahead == (gradient.x.size, 0)


def test_what_the_segment_has_just_computed_is_not_asked_for() -> None:
    found = kernels(nn.Conv(24, 1), nn.BatchNorm(), nn.ReLU(), nn.Conv(40, 1), nn.BatchNorm())
    assert "2/again" in found
    assert found["3/conv_backward_weight"].ahead == (0, 0)
    assert found["3"].ahead == 0


def test_a_convolution_asks_for_gradients_that_another_segment_wrote() -> None:
    body = nn.Sequential(
        nn.Conv(32, 3, stride=2, padding=1), nn.BatchNorm(), nn.Conv(32, 1), nn.BatchNorm()
    )
    shortcut = nn.Sequential(nn.Conv(32, 1, stride=2), nn.BatchNorm())
    found = kernels(nn.Conv(24, 1), nn.BatchNorm(), nn.ReLU(), nn.Residual(body, shortcut))
    distances = {kernel.ahead for kernel in found.values() if type(kernel).__name__ == "Correlate"}
    assert len(distances) == 2
    assert 0 in distances


def test_a_dense_layer_asks_for_nothing() -> None:
    found = kernels(nn.Conv(24, 1), nn.Flatten(), nn.Dense(40), nn.BatchNorm(), nn.Dense(20))
    for label in ("2", "4"):
        assert found[label].ahead == 0
        assert found[f"{label}/conv_backward_weight"].ahead == (0, 0)
