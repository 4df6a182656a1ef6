"""PyTorch as an engine of the comparison: ``python -m bench.peer`` is its worker.

Settings are two words, how it runs and how activations lie in memory: ``eager`` or ``compile``,
and ``contiguous`` or ``channels_last``. One more computes in float64, and is not measured.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - its usual name

from bench.peer_model import build_model, fold_norms, load_parameters
from bench.task import Batch, Task, read_batch
from bench.worker import Runner, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch.fx import GraphModule

EXACT = "float64"
"""The setting that computes in float64."""
COMPILE_LIMIT = 90
"""Seconds after which compiling a network is given up."""


class PyTorch:
    """The engine."""

    def __init__(self) -> None:
        # Before the first parallel loop, so that all threads inherit it. Convoi does the same.
        torch.set_flush_denormal(True)

    def describe(self) -> dict[str, str]:
        """Return the versions of what it consists of."""
        return {
            "torch": torch.__version__,
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        }

    def prepare(self, task: Task, setting: str) -> Runner:
        """Build a network in a setting; a compiled one is compiled here."""
        torch.set_num_threads(task.threads)
        batch = read_batch(task.arrays)
        if setting == EXACT:
            assert task.mode == "training"
            return Training(task, batch, Layout(channels_last=False, series=False), torch.float64)
        how, order = setting.split()
        layout = Layout(channels_last=order == "channels_last", series=batch.X.ndim == 3)
        kind = Training if task.mode == "training" else Inference
        runner = kind(task, batch, layout)
        if how == "compile":
            torch._dynamo.reset()  # noqa: SLF001 - nothing of what was compiled before
            with _time_limit(COMPILE_LIMIT):
                runner.compile()
        return runner


@contextmanager
def _time_limit(seconds: int) -> Iterator[None]:
    def give_up(*_: object) -> None:
        raise TimeoutError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@dataclass(frozen=True)
class Layout:
    """How samples and parameters lie in memory."""

    channels_last: bool
    series: bool
    """Whether samples have one spatial axis; channels last they are images of height 1."""

    def model(self, task: Task, batch: Batch) -> GraphModule:
        """Return the network of a task."""
        as_grid = self.channels_last and self.series
        return build_model(task.graph, batch.parameters, as_grid=as_grid)

    def place_parameters(self, model: GraphModule) -> None:
        """Lay out the parameters of a model."""
        if self.channels_last:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def place_samples(self, X: NDArray[Any]) -> Tensor:
        """Return samples as the model takes them."""
        samples = torch.from_numpy(X)
        if not self.channels_last:
            return samples
        grid = samples.unsqueeze(2) if self.series else samples
        return grid.contiguous(memory_format=torch.channels_last)


class Training:
    """Steps of SGD with momentum on a batch that lies ready."""

    def __init__(
        self, task: Task, batch: Batch, layout: Layout, dtype: torch.dtype = torch.float32
    ) -> None:
        self._layout = layout
        self._dtype = dtype
        self._model = layout.model(task, batch).to(dtype)
        layout.place_parameters(self._model)
        self._X, self._y = self._place(batch), torch.from_numpy(batch.y)
        self._optimizer = torch.optim.SGD(
            self._model.parameters(), lr=task.learning_rate, momentum=task.momentum, fused=True
        )
        self._loss = self._forward

    def _place(self, batch: Batch) -> Tensor:
        return self._layout.place_samples(batch.X).to(self._dtype)

    def _forward(self, X: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(self._model(X), y)

    def compile(self) -> None:
        """Compile the network together with its loss."""
        self._loss = torch.compile(self._forward, dynamic=False)
        self.run()

    def run(self) -> None:
        """Take a step."""
        self._step(self._X, self._y)

    def _step(self, X: Tensor, y: Tensor) -> Tensor:
        self._optimizer.zero_grad()
        loss = self._loss(X, y)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        return loss

    def results(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """Return loss, gradients, and the parameters after one step."""
        load_parameters(self._model, batch.parameters)
        self._optimizer.state.clear()
        loss = self._step(self._place(batch), torch.from_numpy(batch.y))
        tensors = {"loss": loss.detach()}
        for name, parameter in self._model.named_parameters():
            assert parameter.grad is not None, f"{name} has no gradient"
            tensors[f"gradient/{name}"] = parameter.grad
        for name, tensor in self._model.state_dict().items():
            if name in batch.parameters:
                tensors[f"updated/{name}"] = tensor
        return {name: self._as_ours(name, tensor, batch) for name, tensor in tensors.items()}

    def _as_ours(self, name: str, tensor: Tensor, batch: Batch) -> NDArray[Any]:
        """Return a tensor in the shape of the parameter that it belongs to."""
        _, _, parameter = name.partition("/")
        array = tensor.numpy()
        return array.reshape(batch.parameters[parameter].shape) if parameter else array


class Inference:
    """Predictions for a batch that lies ready, batch normalisation folded into convolutions."""

    def __init__(self, task: Task, batch: Batch, layout: Layout) -> None:
        self._layout = layout
        self._model = layout.model(task, batch).eval()
        fold_norms(self._model)
        layout.place_parameters(self._model)
        self._X = layout.place_samples(batch.X)
        self._predict = self._model.forward

    def compile(self) -> None:
        """Compile the network with its parameters as constants."""
        from torch._inductor import config  # noqa: PLC0415 - only the compiler needs it

        config.freezing = True
        self._predict = torch.compile(self._model, dynamic=False)
        self.run()

    def run(self) -> None:
        """Predict."""
        with torch.inference_mode():
            self._predict(self._X)

    def results(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """Return the predictions."""
        with torch.inference_mode():
            return {"prediction": self._predict(self._layout.place_samples(batch.X)).numpy()}


if __name__ == "__main__":
    serve(PyTorch())
