"""``convoi filter``: convolve a file with a kernel."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convoi.cli.options import Threads, examples
from convoi.cli.output import print_lines
from convoi.cli.signals import FORMATS, read_signal, write_signal
from convoi.errors import ArgumentError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convoi.cli.signals import SignalFile

EXAMPLES = examples(
    "convoi filter photo.png gaussian --sigma 2 --output soft.png",
    "convoi filter photo.png sobel --axis 1 --output edges.npy",
    "convoi filter speech.wav taps.npy --output out.wav",
)


class Boundary(str, Enum):
    """What lies beyond the ends."""

    constant = "constant"
    edge = "edge"
    reflect = "reflect"
    symmetric = "symmetric"
    wrap = "wrap"


def filter_file(
    source: Annotated[str, typer.Argument(metavar="FILE", help=FORMATS, show_default=False)],
    kernel: Annotated[
        str,
        typer.Argument(
            metavar="KERNEL",
            help="gaussian, box, sobel, laplacian, sharpen or emboss; or a .npy or .csv file.",
            show_default=False,
        ),
    ],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File to write.", show_default=False)
    ],
    sigma: Annotated[float, typer.Option(help="Standard deviation of gaussian, in samples.")] = 1.0,
    size: Annotated[int, typer.Option(min=1, help="Length of box.")] = 3,
    axis: Annotated[int, typer.Option(help="Axis of the differences of sobel.")] = -1,
    boundary: Annotated[
        Boundary,
        typer.Option(
            metavar="NAME",
            help="What lies beyond the ends: constant, edge, reflect, symmetric or wrap.",
        ),
    ] = Boundary.symmetric,
    threads: Threads = None,
) -> None:
    """Convolve a picture or a signal with a kernel.

    The result has the size of the input; colours and tracks are filtered one by
    one. Files of pictures and sound hold whole numbers: write a .npy file to keep
    negative values and fractions.
    """
    import numpy as np

    from convoi.signal import convolve

    file = read_signal(source)
    taps = _kernel(kernel, file, sigma, size, axis)
    samples = file.samples
    if samples.dtype.kind in "iub":
        samples = samples.astype(np.float32)
    if samples.ndim > file.rank:
        taps = taps[..., None]
    result = convolve(
        samples,
        taps.astype(np.result_type(samples, np.float32)),
        mode="same",
        boundary=boundary.value,
        axes=tuple(range(file.rank)),
        threads=threads,
    )
    write_signal(output, result, file)
    print_lines(f"{output}: {' x '.join(map(str, result.shape))}")


def _kernel(name: str, file: SignalFile, sigma: float, size: int, axis: int) -> NDArray[Any]:
    import numpy as np

    from convoi.signal.named import NAMES, named_kernel

    if name in NAMES:
        return named_kernel(name, file.rank, sigma=sigma, size=size, axis=axis)
    if not name.lower().endswith((".npy", ".csv")):
        raise ArgumentError(
            f"The kernel must be one of {', '.join(NAMES)}, or a .npy or .csv file. Got {name!r}."
        )
    if name.lower().endswith(".npy"):
        taps = read_signal(name).samples
    else:
        taps = np.loadtxt(name, delimiter=",", ndmin=2 if file.rank > 1 else 1)
    if taps.ndim != file.rank:
        raise ArgumentError(
            f"The kernel {name!r} must have the {file.rank} axes of the input. It has {taps.ndim}."
        )
    return taps
