"""JAX as an engine of the comparison: ``python -m bench.peer_jax`` is its worker.

Settings say how activations lie in memory: ``contiguous`` or ``channels_last``.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from bench.jax_model import apply_network
from bench.task import Batch, Task, read_batch
from bench.worker import Runner, serve

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bench.jax_model import Array, Parameters

STATISTICS = ("running_mean", "running_var")
"""The last parts of the names of parameters that are not trained."""


class Jax:
    """The engine."""

    def describe(self) -> dict[str, str]:
        """Return its version."""
        return {"jax": jax.__version__}

    def prepare(self, task: Task, setting: str) -> Runner:
        """Build and compile a network in a setting."""
        # XLA has as many threads as it finds processors when it starts.
        if hasattr(os, "sched_setaffinity"):
            usable = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, usable[: task.threads])
        kind = Training if task.mode == "training" else Inference
        return kind(task, read_batch(task.arrays), channels_last=setting == "channels_last")


class _Side:
    """What training and predictions have in common."""

    def __init__(self, task: Task, batch: Batch, *, channels_last: bool) -> None:
        self._task = task
        self._last = channels_last
        self._X = self._place_samples(batch.X)

    def _place_samples(self, X: NDArray[Any]) -> Array:
        return jax.device_put(np.ascontiguousarray(np.moveaxis(X, 1, -1)) if self._last else X)

    def _apply(
        self, parameters: Parameters, x: Array, *, training: bool
    ) -> tuple[Array, dict[str, Array]]:
        return apply_network(
            self._task.graph, parameters, x, channels_last=self._last, training=training
        )


def _place(arrays: dict[str, NDArray[Any]]) -> dict[str, Array]:
    # A copy: on a CPU JAX may otherwise use, and donate, the memory of the array.
    return {name: jnp.array(array, copy=True) for name, array in arrays.items()}


class Training(_Side):
    """Steps of SGD with momentum on a batch that lies ready."""

    def __init__(self, task: Task, batch: Batch, *, channels_last: bool) -> None:
        super().__init__(task, batch, channels_last=channels_last)
        self._y = jnp.asarray(batch.y)
        self._load(batch.parameters)
        self._step = jax.jit(self._new_state, donate_argnums=(0, 1, 2))
        self._gradients = jax.jit(jax.value_and_grad(self._loss, has_aux=True))

    def _load(self, parameters: dict[str, NDArray[Any]]) -> None:
        trained = {n: a for n, a in parameters.items() if not n.endswith(STATISTICS)}
        self._trained = _place(trained)
        self._other = _place({n: a for n, a in parameters.items() if n not in trained})
        self._velocity = {name: jnp.zeros_like(a) for name, a in self._trained.items()}

    def _loss(
        self, trained: Parameters, other: Parameters, x: Array, y: Array
    ) -> tuple[Array, dict[str, Array]]:
        logits, statistics = self._apply({**trained, **other}, x, training=True)
        chosen = jnp.take_along_axis(logits, y[:, None], axis=1)[:, 0]
        return jnp.mean(jax.nn.logsumexp(logits, axis=1) - chosen), statistics

    def _new_state(
        self,
        trained: dict[str, Array],
        velocity: dict[str, Array],
        other: dict[str, Array],
        x: Array,
        y: Array,
    ) -> tuple[Array, dict[str, Array], dict[str, Array], dict[str, Array]]:
        differentiate = jax.value_and_grad(self._loss, has_aux=True)
        (loss, statistics), gradients = differentiate(trained, other, x, y)
        momentum, rate = self._task.momentum, self._task.learning_rate
        velocity = {name: momentum * velocity[name] + gradients[name] for name in trained}
        trained = {name: trained[name] - rate * velocity[name] for name in trained}
        return loss, trained, velocity, {**other, **statistics}

    def run(self) -> None:
        """Take a step."""
        loss, self._trained, self._velocity, self._other = self._step(
            self._trained, self._velocity, self._other, self._X, self._y
        )
        jax.block_until_ready((loss, self._trained))

    def results(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """Return loss, gradients, and the parameters after one step."""
        self._load(batch.parameters)
        x, y = self._place_samples(batch.X), jnp.asarray(batch.y)
        (loss, _), gradients = self._gradients(self._trained, self._other, x, y)
        _, trained, _, other = self._step(self._trained, self._velocity, self._other, x, y)
        self._load(batch.parameters)
        updated = {**trained, **other}
        return {
            "loss": np.asarray(loss),
            **{f"gradient/{name}": np.asarray(array) for name, array in gradients.items()},
            **{f"updated/{name}": np.asarray(array) for name, array in updated.items()},
        }


class Inference(_Side):
    """Predictions for a batch that lies ready, with parameters as constants."""

    def __init__(self, task: Task, batch: Batch, *, channels_last: bool) -> None:
        super().__init__(task, batch, channels_last=channels_last)
        parameters = _place(batch.parameters)
        self._predict = jax.jit(lambda x: self._apply(parameters, x, training=False)[0])

    def run(self) -> None:
        """Predict."""
        self._predict(self._X).block_until_ready()

    def results(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """Return the predictions."""
        return {"prediction": np.asarray(self._predict(self._place_samples(batch.X)))}


if __name__ == "__main__":
    serve(Jax())
