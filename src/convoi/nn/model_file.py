"""Model files: tensors in the safetensors format, with the graph of the network as metadata.

A safetensors file is a length (8 bytes, little endian), a header of that length in JSON, and the
tensors. The metadata are texts in the header:

==========  =================================================================================
Key         Text
==========  =================================================================================
format      ``convoi``
version     Version of this table, ``1``
generator   What wrote the file, such as ``convoi 0.1.0``
graph       The graph in JSON, see :mod:`convoi.graph.serialize`
extra       A dictionary of the caller in JSON; may be missing
arrays      The shapes of the caller's tensors by their names, in JSON; may be missing
digest      SHA-256 over names, types, shapes and values of the tensors and the other metadata
==========  =================================================================================

Files may come from anywhere. Reading one runs no code from it, takes no memory that is not in
proportion to its length, and gives the network that was written or a
:class:`~convoi.errors.ModelFileError`. The digest finds damage; it does not prove who wrote it.

Reference: https://github.com/huggingface/safetensors (format).
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

import numpy as np
import safetensors
import safetensors.numpy

from convoi.checks import describe
from convoi.errors import ArgumentError, ArgumentTypeError, ModelFileError
from convoi.graph import Graph, graph_from_dict, graph_to_json
from convoi.nn.atomic_file import write_atomically
from convoi.nn.trace import check_graph
from convoi.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["Model", "read_model", "write_model"]

FORMAT = "convoi"
VERSION = "1"

MAX_HEADER = 2**25
"""Longest header that is read or written, in bytes."""
MAX_EXTRA = 2**22
"""Longest text of a caller's dictionary, in characters."""
MAX_DIGITS = 20

_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8")}


@dataclass(frozen=True)
class Model:
    """What a model file holds.

    Attributes
    ----------
    graph : Graph
        The network.
    parameters : dict of str to ndarray
        Its parameters, in the graph's order.
    dtype : {"float32", "float64"}
        Their type.
    extra : dict
        What the caller of :func:`write_model` gave; empty if nothing.
    arrays : dict of str to ndarray
        Likewise.
    """

    graph: Graph
    parameters: dict[str, NDArray[Any]]
    dtype: str
    extra: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


def write_model(
    path: str | os.PathLike[str],
    graph: Graph,
    parameters: Mapping[str, NDArray[Any]],
    extra: Mapping[str, Any] | None = None,
    arrays: Mapping[str, NDArray[Any]] | None = None,
) -> None:
    """Write a model file, as a whole or not at all.

    Parameters
    ----------
    path : str or PathLike
        The file; an existing one is replaced.
    graph : Graph
        The network.
    parameters : mapping of str to ndarray
        Its parameters, all float32 or all float64.
    extra : mapping, optional
        Anything that JSON can express, for the reader.
    arrays : mapping of str to ndarray, optional
        Further tensors for the reader, of the type of the parameters and under other names.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If JSON cannot express `extra`, or it is too long; or if a tensor has the name of a
        parameter.
    OSError
        If the file cannot be written.
    """
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "generator": f"convoi {__version__}",
        "graph": graph_to_json(graph),
    }
    if extra:
        metadata["extra"] = _extra_text(extra)
    if arrays:
        metadata["arrays"] = json.dumps({name: array.shape for name, array in arrays.items()})
        twice = sorted(arrays.keys() & graph.parameters.keys())
        if twice:
            raise ArgumentError(
                "The 'arrays' parameter of write_model must have names of its own. Got the "
                f"parameter's name {twice[0]!r}."
            )
    tensors = {name: parameters[name] for name in graph.parameters} | dict(arrays or {})
    tensors = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    tensors = {name: array.astype(array.dtype.newbyteorder("<")) for name, array in tensors.items()}
    metadata["digest"] = _digest(metadata, tensors)
    data = safetensors.numpy.save(tensors, metadata)
    if int.from_bytes(data[:8], "little") > MAX_HEADER:
        raise ArgumentError(
            "The network has too many layers for a model file: the description must be at most "
            f"{MAX_HEADER} bytes."
        )
    write_atomically(path, data)


def read_model(path: str | os.PathLike[str]) -> Model:
    """Read a model file.

    Parameters
    ----------
    path : str or PathLike
        The file.

    Returns
    -------
    Model
        What it holds.

    Raises
    ------
    ModelFileError
        If the file cannot be read, is damaged or does not describe a network.
    """
    try:
        return _read(Path(path))
    except ModelFileError as error:
        problem = f"cannot be used. {error}"
    except MemoryError:
        problem = "cannot be read: it does not fit into memory."
    except OSError as error:
        problem = f"cannot be read: {error.strerror}."
    raise ModelFileError(f"The model file {os.fspath(path)!r} {problem}")


def _read(path: Path) -> Model:
    if not stat.S_ISREG(path.stat().st_mode):
        _refuse("It is no file.")
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head, header = _read_header(file, size)
        metadata = _metadata(header)
        graph = _graph(metadata)
        own = _shapes(metadata, graph)
        shapes = {name: spec.shape for name, spec in graph.parameters.items()}
        dtype = _check_tensors(header, shapes | own, size - len(head))
        data = head + file.read()
    if len(data) != size:
        _refuse("It changed while it was read.")
    try:
        tensors = safetensors.numpy.load(data)
    except safetensors.SafetensorError as error:
        raise ModelFileError(f"It is no valid safetensors file: {error}.") from error
    digest = metadata.pop("digest", "")
    if digest != _digest(metadata, tensors):
        _refuse("The checksum in it is not that of its content: it is damaged.")
    extra = _parsed(metadata["extra"], "extra") if "extra" in metadata else {}
    if not isinstance(extra, dict):
        _refuse("The 'extra' metadata are no dictionary.")
    parameters = {name: tensors[name] for name in graph.parameters}
    arrays = {name: tensors[name] for name in own}
    return Model(graph, parameters, dtype.newbyteorder("=").name, extra, arrays)


def _read_header(file: BinaryIO, size: int) -> tuple[bytes, dict[str, Any]]:
    """Return the bytes before the tensors, and the header that is in them."""
    length = file.read(8)
    count = int.from_bytes(length, "little")
    if len(length) < 8 or count > size - 8:
        _refuse("It is shorter than it says: it is truncated, or no safetensors file.")
    if count > MAX_HEADER:
        _refuse(f"Its header has {count} bytes, more than the {MAX_HEADER} of any model.")
    text = file.read(count)
    header = _parsed(_decoded(text), "header")
    if not isinstance(header, dict):
        _refuse("Its header is no dictionary.")
    return length + text, header


def _metadata(header: dict[str, Any]) -> dict[str, str]:
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        _refuse("It holds no description of a network: it was not written by Convoi.")
    if not all(isinstance(text, str) for text in metadata.values()):
        _refuse("Its metadata are no texts.")
    if metadata.get("version") != VERSION:
        _refuse(
            f"It has version {describe(metadata.get('version'))} of the format, and this release "
            f"of Convoi reads {VERSION!r}. Install a newer release."
        )
    return metadata


def _graph(metadata: dict[str, str]) -> Graph:
    if "graph" not in metadata:
        _refuse("It holds no description of a network.")
    graph = graph_from_dict(_parsed(metadata["graph"], "graph"))
    try:
        return check_graph(graph)
    except ArgumentError as error:
        raise ModelFileError(f"It describes no network. {error}") from error


def _shapes(metadata: dict[str, str], graph: Graph) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors that are no parameters."""
    table = _parsed(metadata.get("arrays", "{}"), "arrays")
    if not isinstance(table, dict) or table.keys() & graph.parameters.keys():
        _refuse("The 'arrays' metadata are no table of tensors besides the parameters.")
    return {name: _integers(shape) for name, shape in table.items()}


def _check_tensors(
    header: dict[str, Any], shapes: Mapping[str, tuple[int, ...]], size: int
) -> np.dtype[Any]:
    """Require tensors of these names and shapes, one behind the other in `size` bytes."""
    if set(header) != set(shapes):
        names = sorted(set(header) ^ set(shapes))
        _refuse(f"Tensors and network do not fit: {describe(names)} are in one of them only.")
    spans = []
    codes = set()
    for name, expected in shapes.items():
        entry = header[name]
        if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
            _refuse(f"The entry of tensor {name!r} is invalid.")
        dtype = _DTYPES.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
        if dtype is None:
            _refuse(f"Tensor {name!r} must be float32 or float64. Got {describe(entry['dtype'])}.")
        shape, offsets = _integers(entry["shape"]), _integers(entry["data_offsets"])
        if shape != expected or min(shape, default=0) < 0:
            _refuse(f"Tensor {name!r} must have the shape {expected}. Got {describe(shape)}.")
        if len(offsets) != 2 or offsets[1] - offsets[0] != prod(shape) * dtype.itemsize:
            _refuse(f"Tensor {name!r} has the wrong place.")
        spans.append(offsets)
        codes.add(entry["dtype"])
    if len(codes) > 1:
        _refuse("The tensors are of different types.")
    end = 0
    for start, stop in sorted(spans):
        if start != end:
            _refuse("The tensors overlap, or there are gaps between them.")
        end = stop
    if end != size:
        _refuse(f"The tensors have {end} bytes, and the file has {size} for them: it is truncated.")
    return _DTYPES[codes.pop()] if codes else _DTYPES["F32"]


def _integers(value: object) -> tuple[int, ...]:
    """Return a list of integers of at least 0 as a tuple; anything else fits no shape."""
    if not isinstance(value, list) or not all(type(v) is int and v >= 0 for v in value):
        return (-1,)
    return tuple(value)


def _digest(metadata: Mapping[str, str], tensors: Mapping[str, NDArray[Any]]) -> str:
    """Return the SHA-256 of everything that a file says, in hexadecimal digits."""
    names = sorted(tensors)
    table = [[name, tensors[name].dtype.str, list(tensors[name].shape)] for name in names]
    digest = hashlib.sha256(json.dumps([metadata, table], sort_keys=True).encode())
    for name in names:
        digest.update(tensors[name].data)
    return digest.hexdigest()


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise ModelFileError("Its header is no text: it is damaged.") from error


def _parsed(text: str, what: str) -> object:
    """Return JSON data; refuse what the standard leaves open, and what takes long."""
    try:
        return json.loads(
            text,
            object_pairs_hook=_unique,
            parse_int=_short_integer,
            parse_constant=_no_constant,
        )
    except (ValueError, RecursionError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(f"Its {what} is no valid JSON: it is damaged.") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        _refuse("A key stands in it twice.")
    return table


def _short_integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        _refuse("A number in it is too long.")
    return int(digits)


def _no_constant(name: str) -> NoReturn:
    _refuse(f"A number in it is {name}.")


def _extra_text(extra: Mapping[str, Any]) -> str:
    try:
        text = json.dumps(dict(extra), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ArgumentTypeError(
            f"The 'extra' parameter of write_model must be data that JSON can express: {error}."
        ) from error
    if len(text) > MAX_EXTRA:
        raise ArgumentError(
            f"The 'extra' parameter of write_model must be at most {MAX_EXTRA} characters in "
            f"JSON. Got {len(text)} instead."
        )
    return text


def _refuse(problem: str) -> NoReturn:
    raise ModelFileError(problem)
