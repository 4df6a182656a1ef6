"""ONNX Runtime as an engine of the comparison: ``python -m bench.peer_onnxruntime``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnxruntime

from bench.onnx_model import INPUT, OUTPUT, build_onnx
from bench.task import Batch, Task, read_batch
from bench.worker import Runner, serve

if TYPE_CHECKING:
    from numpy.typing import NDArray


class OnnxRuntime:
    """The engine."""

    def describe(self) -> dict[str, str]:
        """Return its version."""
        return {"onnxruntime": onnxruntime.__version__}

    def prepare(self, task: Task, setting: str) -> Runner:
        """Build a network; all optimisations of graphs are on."""
        assert setting == "default"
        return Inference(task, read_batch(task.arrays))


class Inference:
    """Predictions into memory that is bound once."""

    def __init__(self, task: Task, batch: Batch) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = task.threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        model = build_onnx(task.graph, batch.parameters, len(batch.X))
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._binding = self._session.io_binding()
        self._X = batch.X  # the binding does not keep its memory
        self._binding.bind_cpu_input(INPUT, self._X)
        self._binding.bind_output(OUTPUT, "cpu")

    def run(self) -> None:
        """Predict."""
        self._session.run_with_iobinding(self._binding)

    def results(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """Return the predictions."""
        (prediction,) = self._session.run([OUTPUT], {INPUT: batch.X})
        return {"prediction": prediction}


if __name__ == "__main__":
    serve(OnnxRuntime())
