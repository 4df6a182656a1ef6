"""Fit the rates of the cost model to measurements: ``python -m bench.signal_cost RESULTS``.

RESULTS is what ``python -m bench signal --threads 1`` wrote, ``bench/results/signal.json``. Rates
are chosen so that the squared logarithms of expected over measured seconds are least, for each
dtype. They are printed as rows of the tables of ``convoi.signal.cost``, with how often the method
that the model takes for the cheapest is nearly the quickest.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import least_squares

from convoi.signal import cost
from convoi.signal.arguments import make_problem
from convoi.signal.transform_blocks import whole_blocks

if TYPE_CHECKING:
    from convoi.signal.problem import Problem

TINY = 1e-13
"""Rates below it are noise of the fit."""


TABLES = {
    # method: (kind of rates, their table)
    "direct": (cost.DirectRates, cost.DIRECT),
    "fft": (cost.TransformRates, cost.TRANSFORM),
    "overlap-add": (cost.LaneRates, cost.LANE_TRANSFORM),
}


def expected(problem: Problem, dtype: str, method: str, threads: int) -> float:
    """Return the model's seconds of a method."""
    result = np.dtype(dtype)
    if method == "direct":
        return cost.direct_cost(problem, dtype, 1, threads).seconds
    if method == "overlap-add":
        return cost.lane_cost(problem, result, threads).seconds
    return cost.transform_cost(
        problem, whole_blocks(problem, 0, real=True), result, threads
    ).seconds


def fitted(method: str, measured: list[tuple[Any, ...]]) -> Any:  # noqa: ANN401 - of several kinds
    """Return the rates of a method for a dtype that give the least squared logarithms."""
    kind, table = TABLES[method]
    dtype = measured[0][1]
    rates: Any = table[dtype]
    names = list(rates.__dataclass_fields__)
    start = np.log([max(getattr(rates, name), TINY) for name in names])

    def residuals(logs: np.ndarray) -> np.ndarray:
        table[dtype] = kind(**dict(zip(names, np.exp(logs).tolist(), strict=True)))
        return np.array(
            [
                math.log(expected(problem, dtype, method, threads) / seconds)
                for problem, dtype, method, threads, seconds in measured
            ]
        )

    found = least_squares(residuals, start, loss="soft_l1")
    residuals(found.x)
    return table[dtype]


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m bench.signal_cost", description=__doc__)
    parser.add_argument("results", type=Path)
    content = json.loads(parser.parse_args().results.read_text())
    rows = []
    for record in content["results"]:
        cell = record["cell"]
        shape = ([cell["batch"]] if cell["batch"] else []) + cell["shape"]
        problem = make_problem(
            "fit",
            np.empty(shape, np.int8),
            np.empty(cell["kernel"], np.int8),
            mode="same",
            boundary="constant",
            axes=None,
            stride=1,
            dilation=1,
            flip=True,
        )
        rows += [
            (problem, cell["dtype"], method, content["options"]["threads"], seconds)
            for method, seconds in record["methods"].items()
            if method in TABLES
        ]
    print("before:", _agreement(rows))
    for dtype in sorted({row[1] for row in rows}):
        for method in TABLES:
            mine = [row for row in rows if row[1:3] == (dtype, method)]
            if mine:
                print(dtype, method, fitted(method, mine))
    print("after:", _agreement(rows))


def _agreement(rows: list[tuple[Any, ...]]) -> str:
    """Return how often the model's choice is nearly the quickest method, and how far it is off."""
    cells: dict[tuple[Any, str], dict[str, tuple[float, float]]] = {}
    for problem, dtype, method, threads, seconds in rows:
        model = expected(problem, dtype, method, threads)
        cells.setdefault((problem, dtype), {})[method] = (model, seconds)
    judged = [cell for cell in cells.values() if len(cell) > 1]
    good = 0
    for cell in judged:
        chosen = min(cell, key=lambda method: cell[method][0])
        good += cell[chosen][1] <= 1.25 * min(seconds for _, seconds in cell.values())
    errors = [
        abs(math.log2(model / seconds))
        for cell in cells.values()
        for model, seconds in cell.values()
    ]
    return (
        f"the choice is within 1.25 of the quickest method in {good} of {len(judged)} cells; the "
        f"expected seconds are off by a factor of {2 ** float(np.median(errors)):.2f} in the median"
    )


if __name__ == "__main__":
    main()
