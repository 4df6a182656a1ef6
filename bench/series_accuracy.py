"""The default SeriesClassifier on published splits, beside published figures.

    python -m bench.series_accuracy FOLDER ... [--data NAME,...] [--seeds 0,1,2]

The folders are searched for the splits as those of ``python -m bench.features accuracy`` are.
Accuracy is the mean over the seeds; times are processor time of one thread.

The published figures are test accuracies on the same splits: of InceptionTime those of its authors
(https://github.com/hfawaz/InceptionTime, results-InceptionTime-128.csv and results-mts.csv: one
ensemble of five networks, 1,500 epochs); of ResNet the means of five runs, of one for several
channels, in https://github.com/MSD-IRIMAS/LITE, results.csv and results_multivariate.csv.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from time import process_time

import numpy as np
from threadpoolctl import threadpool_limits

from bench.features import DATA_SETS, find_splits
from convoi import SeriesClassifier


@dataclass(frozen=True)
class Published:
    """Test accuracies."""

    inception_time: float
    resnet: float


PUBLISHED = {
    "ArrowHead": Published(0.846, 0.838),
    "GunPoint": Published(1.000, 0.991),
    "ItalyPowerDemand": Published(0.965, 0.962),
    "OSULeaf": Published(0.942, 0.980),
    "ACSF1": Published(0.920, 0.916),
    "BasicMotions": Published(1.000, 1.000),
    "JapaneseVowels": Published(0.992, 0.914),
    "PickupGestureWiimoteZ": Published(0.760, 0.704),
    "PLAID": Published(0.944, 0.940),
    "Coffee": Published(1.000, 1.000),
    "PigCVP": Published(0.962, 0.918),
    "Trace": Published(1.000, 1.000),
}


def measure(name: str, folders: list[str], seeds: list[int]) -> tuple[float, float, float]:
    """Return accuracy, and the seconds of a fit and of the predictions for the test set."""
    (X, y), (X_test, y_test) = find_splits(name, folders)
    rows = []
    for seed in seeds:
        begin = process_time()
        classifier = SeriesClassifier(random_state=seed, threads=1).fit(X, y)
        fitted = process_time()
        accuracy = classifier.score(X_test, y_test)
        rows.append((accuracy, fitted - begin, process_time() - fitted))
    accuracy, fit, predict = np.mean(rows, axis=0).tolist()
    return accuracy, fit, predict


def main() -> None:
    """Print a row for each data set, and the means."""
    parser = argparse.ArgumentParser(prog="python -m bench.series_accuracy")
    parser.add_argument("folders", nargs="+", metavar="FOLDER")
    parser.add_argument("--data", type=lambda text: text.split(","), default=list(DATA_SETS))
    parser.add_argument(
        "--seeds", type=lambda text: [*map(int, text.split(","))], default=[0, 1, 2]
    )
    given = parser.parse_args()
    print("| data set | Convoi | InceptionTime | ResNet | fit, s | predict, s |")
    print("|---|---|---|---|---|---|")
    found = []
    for name in given.data:
        accuracy, fit, predict = measure(name, given.folders, given.seeds)
        published = PUBLISHED[name]
        found.append((accuracy, published.inception_time, published.resnet))
        figures = " | ".join(f"{value:.3f}" for value in found[-1])
        print(f"| {name} | {figures} | {fit:.0f} | {predict:.1f} |", flush=True)
    print("| mean | " + " | ".join(f"{mean:.3f}" for mean in np.mean(found, axis=0)) + " | | |")


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
