"""Convoi's side of the time to accuracy: ``python -m bench.accuracy_ours``."""

from __future__ import annotations

import json
import sys
import time

from bench.accuracy import AUGMENT, CHECKED_STEPS, Recipe
from bench.task import PARAMETER, read_arrays
from convoi import Network
from convoi.graph.serialize import graph_from_dict
from convoi.training import AdamW, Callback, TrainingState, evaluate, fit


class FirstLosses(Callback):
    """Keeps the mean loss of the first steps."""

    mean = float("nan")

    def on_batch_end(self, state: TrainingState) -> None:
        """Note the mean over the epoch so far."""
        if state.epoch == 0 and state.step <= CHECKED_STEPS:
            self.mean = state.metrics["loss"]


def main() -> None:
    """Train as the recipe on standard input says; print figures as JSON."""
    recipe = Recipe(**json.load(sys.stdin))
    arrays = read_arrays(recipe.arrays)
    parameters = {
        name.removeprefix(PARAMETER): array
        for name, array in arrays.items()
        if name.startswith(PARAMETER)
    }
    network = Network(
        graph_from_dict(recipe.graph),
        parameters=parameters,
        threads=recipe.threads,
        precision=recipe.precision,  # type: ignore[arg-type]  # from JSON
    )
    first = FirstLosses()
    start = time.perf_counter()
    fit(
        network,
        arrays["X"],
        arrays["y"],
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        optimizer=AdamW(weight_decay=0.0),
        learning_rate=recipe.learning_rate,
        schedule="cosine",
        augment=AUGMENT,
        random_state=recipe.seed,
        callbacks=[first],
        verbose=False,
    )
    seconds = time.perf_counter() - start
    figures = evaluate(network, arrays["X_test"], arrays["y_test"], threads=recipe.threads)
    found = {"accuracy": figures["accuracy"], "seconds": seconds, "first_losses": first.mean}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
