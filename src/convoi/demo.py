"""A demonstration: recognise handwritten digits. Run it with ``python -m convoi.demo``."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from convoi import ImageClassifier
from convoi.cli.figures import classification_figures
from convoi.cli.output import print_table
from convoi.data import Dataset, load_dataset
from convoi.errors import MissingDependencyError
from convoi.estimators.reporting import write_report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_HELD_OUT = 0.25
_SHOWN = 5
_SHADES = " .:-=+*#%@"
_ENLARGED = 16  # times, so that the images can be looked at


def main(arguments: Sequence[str] | None = None) -> float:
    """Train on three quarters of scikit-learn's digits and show what comes of it.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the command line; by default the process's.

    Returns
    -------
    float
        The accuracy on the quarter that was held out.
    """
    options = _parsed(arguments)
    digits = _all_digits()
    training, held_out = digits.split(_HELD_OUT, random_state=options.seed)
    print(f"Training on {len(training):,} of {len(digits):,} handwritten digits ...")
    began = time.monotonic()
    classifier = ImageClassifier(random_state=options.seed).fit_dataset(training)
    seconds = time.monotonic() - began

    figures = classification_figures(classifier, held_out)
    print(f"{seconds:.1f} s, compilation included. On the {len(held_out)} digits held out:\n")
    classes = figures["classes"]
    rows = [(str(c["label"]), c["precision"], c["recall"], c["f1"], c["samples"]) for c in classes]
    print_table(("Digit", "Precision", "Recall", "F1", "Samples"), rows)
    print(f"\nAccuracy {figures['accuracy']:.4f}\n")

    shown = held_out.subset(range(_SHOWN))
    images = shown.source.take(range(_SHOWN))[:, 0]
    _print_side_by_side(images)
    answers = zip(classifier.predict(shown), np.asarray(shown.y), strict=True)
    texts = [f"predicted {prediction}, is {truth}" for prediction, truth in answers]
    print("   ".join(text.ljust(2 * images.shape[2]) for text in texts).rstrip() + "\n")

    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / "digits.safetensors"
    classifier.save(model)
    _write_images(images, folder)
    report = _write_report(classifier, held_out, folder)
    _print_next_steps(model, report)
    return float(figures["accuracy"])


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m convoi.demo",
        description="Train a network to recognise handwritten digits.",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the split and the training")
    parser.add_argument("--folder", type=Path, default=Path("demo"), help="of the model")
    return parser.parse_args(arguments)


def _all_digits() -> Dataset:
    """Return the 1,797 digits; the demonstration makes a split of its own."""
    splits = load_dataset("digits")
    parts = [splits.train] if splits.test is None else [splits.train, splits.test]
    return Dataset(
        "digits",
        np.concatenate([np.asarray(part.X) for part in parts]),
        np.concatenate([np.asarray(part.y) for part in parts]),
        splits.train.classes,
        splits.train.value_range,
    )


def _print_side_by_side(images: NDArray[np.uint8]) -> None:
    """Print images of values from 0 to 16 as characters, two to a pixel: lines are far apart."""
    for lines in images.swapaxes(0, 1):
        shades = (lines.astype(int) * (len(_SHADES) - 1) // 16).tolist()
        print("   ".join("".join(2 * _SHADES[shade] for shade in line) for line in shades).rstrip())


def _write_images(images: NDArray[np.uint8], folder: Path) -> None:
    for number, image in enumerate(images):
        pixels = (image.astype(np.uint16) * 255 // 16).astype(np.uint8)
        enlarged = pixels.repeat(_ENLARGED, axis=0).repeat(_ENLARGED, axis=1)
        Image.fromarray(enlarged).save(folder / f"digit{number}.png")


def _write_report(
    classifier: ImageClassifier, held_out: Dataset, folder: Path
) -> Path | MissingDependencyError:
    """Return the report's file, or why there is none."""
    file = folder / "report.html"
    try:
        write_report(classifier, held_out, file, title="Handwritten digits")
    except MissingDependencyError as error:
        return error
    return file


def _print_next_steps(model: Path, report: Path | MissingDependencyError) -> None:
    print(f"The model is {model}, and the digits above are images beside it.")
    if isinstance(report, Path):
        print(f"What is in it, and where it errs: open {report.resolve().as_uri()} in a browser.")
    else:
        print(f"There is no report on it: {report}")
    print("What to try next:\n")
    convoi = _command()
    for arguments in (
        f"predict {model} {model.parent}/*.png --top 3",
        f"report {model} digits",
        f"summary {model}",
        "train digits",
        "train PHOTOS --image-size 64      where PHOTOS has one folder of images per class",
    ):
        print(f"    {convoi} {arguments}")


def _command() -> str:
    """Return how to call the command that belongs to this interpreter."""
    if shutil.which("convoi") is not None:
        return "convoi"
    command = Path(sys.executable).with_name("convoi")
    here = Path.cwd()
    return str(command.relative_to(here) if command.is_relative_to(here) else command)


if __name__ == "__main__":
    main()
