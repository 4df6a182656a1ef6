"""Predicting each time step of a recording that is too long to be predicted at once.

The recording is cut into parts of one length, which overlap by what the outputs at their ends
depend on; those outputs are left out. So every output is computed from all the inputs that it
depends on, and is what the network gives for the whole recording.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.checks import check_integer, refusal
from convoi.errors import ArgumentError, ArgumentTypeError, DataError, ShapeError
from convoi.graph import INPUT, Graph, align, resize
from convoi.nn.predictor import Predictor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import ArrayLike, NDArray

    from convoi.graph import Alignment
    from convoi.nn.setting import Setting

__all__ = ["predict_long"]

OWNER = "predict_long"
_LEAST_PART = 1 << 14  # time steps: enough for the overlap of small networks not to matter
_OVERLAP = 8  # a part is at least so many times as long as the receptive field


@dataclass(frozen=True)
class _Part:
    """A part of a recording: the inputs that are read, and the outputs that are kept."""

    start: int
    stop: int
    first: int
    """The first output of the part that is kept."""
    target: int
    """Where it belongs among the outputs of the recording."""
    count: int
    """How many outputs are kept."""


def predict_long(
    graph: Graph,
    parameters: Mapping[str, NDArray[Any]],
    recording: ArrayLike,
    *,
    part: int | None,
    out: NDArray[Any] | None,
    setting: Setting,
) -> NDArray[Any]:
    """Return the outputs for a recording; see :meth:`convoi.nn.Network.predict_long`."""
    alignment, least = _alignment(graph)
    x = _recording(recording, graph.shape(INPUT)[0])
    if x.shape[1] < least:
        raise DataError(
            f"The recording has {x.shape[1]} time steps, and the network needs at least {least}."
        )
    # Parts begin at multiples of the stride, and are some of them long.
    stride = alignment.stride
    usual = max(_LEAST_PART, _OVERLAP * alignment.receptive_field)
    size = usual if part is None else check_integer(part, "part", OWNER, minimum=1)
    size = max(size, 2 * (alignment.receptive_field + stride), least)
    size = min(-(-size // stride) * stride, x.shape[1])
    positions = alignment.extent.of(x.shape[1])
    (output,) = graph.outputs
    y = _output(out, (graph.shape(output)[0], positions), setting.dtype)
    predictors: dict[int, Predictor] = {}
    for piece in _parts(x.shape[1], size, alignment):
        extent = piece.stop - piece.start
        if extent not in predictors:
            resized = resize(graph, (extent,))
            predictors[extent] = Predictor(resized, setting)
        found = predictors[extent](x[np.newaxis, :, piece.start : piece.stop], parameters)[0]
        kept = found[:, piece.first : piece.first + piece.count]
        y[:, piece.target : piece.target + piece.count] = kept
    return y


def _parts(length: int, size: int, alignment: Alignment) -> Iterator[_Part]:
    """Iterate over the parts of a recording; all have one size but the last one."""
    stride, total = alignment.stride, alignment.extent.of(length)
    start = done = 0
    while done < total:
        stop = min(start + size, length)
        # Output p of the part depends on its inputs from p * stride - before; those in front of
        # its start are padding only where the recording starts.
        first = 0 if start == 0 else -(-alignment.before // stride)
        last = alignment.extent.of(stop - start)
        if stop < length:
            last = min(last, (stop - start - 1 - alignment.after) // stride + 1)
        target = start // stride + first
        yield _Part(start, stop, first + done - target, done, target + last - first - done)
        done = target + last - first
        start = (done - -(-alignment.before // stride)) * stride


def _alignment(graph: Graph) -> tuple[Alignment, int]:
    """Return how the outputs lie on the recording, and the least length of one."""
    alignments = align(graph)
    alignment = alignments[graph.outputs[0]]
    if alignment is None:
        raise ArgumentError(
            "predict_long needs a network with an output for each time step, and this one has one "
            "for each series. Leave GlobalAveragePool and Dense out and end in Conv(classes, 1), "
            "as the ready networks do with per_step=True."
        )
    return alignment, max(a.shortest for a in alignments.values() if a is not None)


def _recording(recording: ArrayLike, channels: int) -> NDArray[Any]:
    """Return a recording as (channels, time): a view, which may be of a file."""
    x = recording if isinstance(recording, np.memmap) else np.asarray(recording)
    if x.dtype.kind not in "biuf":
        raise ArgumentTypeError(refusal("recording", OWNER, "an array of real numbers", recording))
    if x.ndim == 1:
        x = x[np.newaxis]
    if x.ndim != 2 or x.shape[0] != channels:
        raise ShapeError(
            f"The 'recording' parameter of {OWNER} must have the shape ({channels}, time), or "
            f"(time,) for one channel. Got {np.shape(recording)} instead."
        )
    return x


def _output(out: NDArray[Any] | None, shape: tuple[int, int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the array that takes the outputs."""
    if out is None:
        return np.empty(shape, dtype)
    given: object = out
    if not isinstance(given, np.ndarray) or out.dtype.kind != "f":
        raise ArgumentTypeError(refusal("out", OWNER, "an array of floats or None", out))
    if out.shape != shape:
        raise ShapeError(
            f"The 'out' parameter of {OWNER} must have the shape {shape}, which the recording and "
            f"the network give. Got {out.shape} instead."
        )
    return out
