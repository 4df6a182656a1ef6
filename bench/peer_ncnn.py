"""ncnn as an engine of the comparison: ``python -m bench.peer_ncnn`` is its worker.

ncnn has no batches: it predicts samples one after the other, each with all threads.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ncnn
import numpy as np

from bench.ncnn_model import INPUT, OUTPUT, build_ncnn
from bench.task import Batch, Task, read_batch
from bench.worker import Runner, serve

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Ncnn:
    """The engine."""

    def describe(self) -> dict[str, str]:
        """Return its version."""
        return {"ncnn": ncnn.__version__}

    def prepare(self, task: Task, setting: str) -> Runner:
        """Build a network; it computes in float32, as all others do."""
        assert setting == "default"
        return Inference(task, read_batch(task.arrays))


class Inference:
    """Predictions of one sample at a time."""

    def __init__(self, task: Task, batch: Batch) -> None:
        model = build_ncnn(task.graph, batch.parameters)
        self._net = ncnn.Net()
        self._net.opt.num_threads = task.threads
        for name in ("use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
            setattr(self._net.opt, name, False)
        with tempfile.TemporaryDirectory() as folder:
            weights = Path(folder, "weights.bin")
            weights.write_bytes(model.bin)
            assert self._net.load_param_mem(model.param) == 0, "ncnn refuses the layers"
            assert self._net.load_model(str(weights)) == 0, "ncnn refuses the weights"
        self._X = batch.X

    def _predict(self, sample: NDArray[Any]) -> NDArray[Any]:
        with self._net.create_extractor() as extractor:
            extractor.input(INPUT, ncnn.Mat(sample))
            status, output = extractor.extract(OUTPUT)
            assert status == 0, "ncnn cannot run the network"
            return np.array(output)

    def run(self) -> None:
        """Predict."""
        for sample in self._X:
            self._predict(sample)

    def results(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """Return the predictions."""
        return {"prediction": np.stack([self._predict(sample) for sample in batch.X])}


if __name__ == "__main__":
    serve(Ncnn())
