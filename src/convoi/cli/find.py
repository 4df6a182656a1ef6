"""``convoi find``: where templates occur in a signal or a picture."""

from __future__ import annotations

import csv
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convoi.cli.options import AsJson, Threads, examples
from convoi.cli.output import print_json, print_lines, print_table
from convoi.cli.signals import FORMATS, SignalFile, read_signal
from convoi.errors import ArgumentError, DataFileError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convoi.signal import Detections

EXAMPLES = examples(
    "convoi find page.png letter.png --statistic zncc --threshold 0.8 --annotate found.png",
    "convoi find ecg.csv:lead beat.npy --output beats.csv",
    "convoi find board.png --crop 40,60,24,24 --statistic zncc --threshold 0.7",
)
LINE = (220, 30, 30)
SMALLEST_PICTURE = 640
"""Pixels of the longer side: smaller pictures are enlarged, so that boxes are no blots."""


class Statistic(str, Enum):
    """What is compared with the threshold."""

    sigma = "sigma"
    zncc = "zncc"


def find_in_file(
    source: Annotated[str, typer.Argument(metavar="FILE", help=FORMATS, show_default=False)],
    templates: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEMPLATE", help="Files of what to find.", show_default=False),
    ] = None,
    *,
    crop: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBERS",
            help="A part of FILE as the template: row,column,height,width, or start,length.",
            show_default=False,
        ),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Score that is exceeded.", show_default=False)
    ] = None,
    false_alarm: Annotated[
        float, typer.Option(help="Expected detections in nothing but noise.")
    ] = 1e-3,
    statistic: Annotated[
        Statistic,
        typer.Option(help="Matched filter in units of sigma, or correlation coefficient."),
    ] = Statistic.sigma,
    max_count: Annotated[
        int | None, typer.Option(min=0, help="Most detections.", show_default=False)
    ] = None,
    min_distance: Annotated[
        int | None, typer.Option(min=0, help="Least distance.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Table to write, .csv.", show_default=False),
    ] = None,
    annotate: Annotated[
        Path | None, typer.Option(help="Picture to write, with what was found.", show_default=False)
    ] = None,
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Find where templates occur, and print position, score and amplitude of each.

    Colours and tracks are averaged. A position is where a template begins:
    row and column in a picture, number of the sample in a signal.
    """
    from convoi.signal import find

    file = read_signal(source)
    image = file.grey()
    patterns = [read_signal(name).grey() for name in templates or []]
    if crop is not None:
        patterns.append(_cropped(image, crop))
    if not patterns:
        raise ArgumentError("convoi find needs a TEMPLATE file or --crop.")
    found = find(
        image,
        patterns,
        threshold=threshold,
        false_alarm=false_alarm,
        max_count=max_count,
        min_distance=min_distance,
        statistic=statistic.value,
        threads=threads,
    )
    if output is not None:
        with output.open("w", newline="", encoding="utf-8") as table:
            writer = csv.writer(table)
            writer.writerow(_headers(file))
            writer.writerows(_rows(found))
    if annotate is not None:
        _annotate(annotate, file, image, patterns, found)
    if as_json:
        records = [dict(zip(_headers(file), row, strict=True)) for row in _rows(found)]
        print_json({"threshold": found.threshold, "detections": records})
    elif output is not None:
        print_lines(f"{output}: {len(found)} detections")
    else:
        print_table(_headers(file), list(_rows(found)))
        print(f"{len(found)} detections above {found.threshold:.3f}", file=sys.stderr)  # noqa: T201 - beside the table


def _headers(file: SignalFile) -> list[str]:
    names = {1: ["sample"], 2: ["row", "column"]}
    places = names.get(file.rank, [f"axis{i}" for i in range(file.rank)])
    return [*places, "score", "amplitude", "template"]


def _rows(found: Detections) -> list[list[Any]]:
    return [
        [
            *map(float, row["position"]),
            float(row["score"]),
            float(row["amplitude"]),
            int(row["template"]),
        ]
        for row in found.records
    ]


def _cropped(image: NDArray[Any], text: str) -> NDArray[Any]:
    try:
        numbers = [int(word) for word in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 2 * image.ndim or min(numbers) < 0:
        raise ArgumentError(
            f"--crop needs {2 * image.ndim} numbers here: where it begins and how long it is. Got "
            f"{text!r}."
        )
    starts, lengths = numbers[: image.ndim], numbers[image.ndim :]
    part = image[tuple(slice(a, a + n) for a, n in zip(starts, lengths, strict=True))]
    if part.shape != tuple(lengths) or part.size == 0:
        raise ArgumentError(f"--crop {text} is not inside the input of shape {image.shape}.")
    return part


def _annotate(
    path: Path,
    file: SignalFile,
    image: NDArray[Any],
    patterns: list[NDArray[Any]],
    found: Detections,
) -> None:
    """Draw boxes around what was found in a picture, or marks above a signal."""
    from PIL import Image, ImageDraw

    if image.ndim > 2:
        raise ArgumentError("--annotate draws signals and pictures only.")
    if image.ndim == 2:
        picture = Image.fromarray(_as_bytes(image)).convert("RGB")
        scale = max(1, -(-SMALLEST_PICTURE // max(picture.size)))
        canvas = picture.resize([scale * n for n in picture.size], Image.Resampling.BICUBIC)
        draw = ImageDraw.Draw(canvas)
        for row in found.records:
            top, left = (scale * float(place) for place in row["position"])
            height, width = patterns[int(row["template"])].shape
            box = [left - 2, top - 2, left + scale * width + 1, top + scale * height + 1]
            draw.rounded_rectangle(box, radius=2 * scale, outline=LINE, width=2)
    else:
        canvas = _plot(image, patterns, found)
    try:
        canvas.save(path)
    except (OSError, ValueError) as error:
        raise DataFileError(f"The picture {str(path)!r} cannot be written: {error}") from error
    del file


def _as_bytes(image: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    low, high = float(image.min()), float(image.max())
    if low < 0 or high > 255 or high <= 1:
        image = (image - low) * (255 / max(high - low, 1e-300))
    clipped: NDArray[Any] = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return clipped


def _plot(signal: NDArray[Any], patterns: list[NDArray[Any]], found: Detections) -> Any:  # noqa: ANN401 - of several kinds
    import numpy as np
    from PIL import Image, ImageDraw

    width, height, margin = 1600, 320, 24
    canvas = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(canvas)
    columns = np.linspace(0, len(signal), width + 1).astype(int)
    low, high = float(signal.min()), float(signal.max())
    scale = (height - 2 * margin) / max(high - low, 1e-300)
    for row in found.records:
        length = patterns[int(row["template"])].shape[0]
        start = float(row["position"][0]) * width / len(signal)
        end = start + length * width / len(signal)
        draw.rectangle([start, 4, end, margin - 8], fill=LINE)
        draw.line([start, margin, start, height - margin], fill=(240, 190, 190))
    previous = None
    for column in range(width):
        part = signal[columns[column] : max(columns[column + 1], columns[column] + 1)]
        top, bottom = (height - margin - (float(v) - low) * scale for v in (part.max(), part.min()))
        if previous is not None:
            draw.line([column - 1, previous, column, top], fill=(40, 70, 140))
        draw.line([column, top, column, bottom], fill=(40, 70, 140))
        previous = bottom
    return canvas
