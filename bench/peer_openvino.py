"""OpenVINO as an engine of the comparison: ``python -m bench.peer_openvino`` is its worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openvino

from bench.onnx_model import build_onnx
from bench.task import Batch, Task, read_batch
from bench.worker import Runner, serve

if TYPE_CHECKING:
    from numpy.typing import NDArray


class OpenVino:
    """The engine."""

    def describe(self) -> dict[str, str]:
        """Return its version."""
        return {"openvino": openvino.__version__}

    def prepare(self, task: Task, setting: str) -> Runner:
        """Build a network; it computes in float32, as all others do."""
        assert setting == "default"
        return Inference(task, read_batch(task.arrays))


class Inference:
    """Predictions for a batch that is read in place, by one request with all threads."""

    def __init__(self, task: Task, batch: Batch) -> None:
        core = openvino.Core()
        model = core.read_model(
            build_onnx(task.graph, batch.parameters, len(batch.X)).SerializeToString()
        )
        compiled = core.compile_model(
            model,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": "f32",
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_NUM_THREADS": task.threads,
                "CPU_DENORMALS_OPTIMIZATION": True,
            },
        )
        self._request = compiled.create_infer_request()
        self._X = batch.X  # the tensor does not keep its memory
        self._request.set_input_tensor(openvino.Tensor(self._X, shared_memory=True))

    def run(self) -> None:
        """Predict."""
        self._request.infer(share_outputs=True)

    def results(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """Return the predictions."""
        (prediction,) = self._request.infer([batch.X]).values()
        return {"prediction": prediction.copy()}


if __name__ == "__main__":
    serve(OpenVino())
