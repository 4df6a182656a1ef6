"""Tensors with a description, in one file of the safetensors format.

A safetensors file is a length (8 bytes, little endian), a header of that length in JSON, and the
tensors. The header's metadata are texts, of which each file of Convoi has these:

==========  =================================================================================
Key         Text
==========  =================================================================================
format      ``convoi``
version     Version of this table and of what the readers add to it, ``1``
generator   What wrote the file, such as ``convoi 0.1.0``
extra       A dictionary of the caller in JSON; may be missing
digest      SHA-256 over names, types, shapes and values of the tensors and the other metadata
==========  =================================================================================

Files may come from anywhere. Reading one runs no code from it, takes no memory that is not in
proportion to its length, and gives what was written or a
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
from typing import TYPE_CHECKING, Any, BinaryIO, Generic, NoReturn, TypeVar

import numpy as np
import safetensors
import safetensors.numpy

from convoi.checks import describe
from convoi.errors import ArgumentError, ArgumentTypeError, ModelFileError
from convoi.nn.atomic_file import write_atomically
from convoi.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from convoi.ops import Shape

__all__ = [
    "FLOATS",
    "TYPES",
    "TensorFile",
    "TensorSpec",
    "extra_of",
    "parse_json",
    "read_metadata",
    "read_tensor_file",
    "shape_of",
    "write_tensor_file",
]

FORMAT = "convoi"
VERSION = "1"

MAX_HEADER = 2**25
"""Longest header that is read or written, in bytes."""
MAX_EXTRA = 2**22
"""Longest text of a caller's dictionary, in characters."""
MAX_DIGITS = 20

FLOATS = ("float32", "float64")
TYPES = (*FLOATS, "int64")
"""The types of tensors."""
_CODES = {"float32": "F32", "float64": "F64", "int64": "I64"}
_BYTES = {"F32": 4, "F64": 8, "I64": 8}

Plan = TypeVar("Plan")
Result = TypeVar("Result")


@dataclass(frozen=True)
class TensorSpec:
    """What a tensor of a file has to be.

    Attributes
    ----------
    shape : tuple of int
        Its shape.
    dtypes : tuple of {"float32", "float64", "int64"}
        The types it may have.
    """

    shape: Shape
    dtypes: tuple[str, ...]


@dataclass(frozen=True)
class TensorFile(Generic[Plan]):
    """What a file holds.

    Attributes
    ----------
    plan : object
        What the reader made of the metadata.
    metadata : dict of str to str
        The texts, without the digest.
    tensors : dict of str to ndarray
        In the order of the reader's specifications.
    extra : dict
        The caller's dictionary; empty if there is none.
    """

    plan: Plan
    metadata: dict[str, str]
    tensors: dict[str, NDArray[Any]]
    extra: dict[str, Any]


def write_tensor_file(
    path: str | os.PathLike[str],
    tensors: Mapping[str, NDArray[Any]],
    metadata: Mapping[str, str],
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write a file, as a whole or not at all.

    Parameters
    ----------
    path : str or PathLike
        The file; an existing one is replaced.
    tensors : mapping of str to ndarray
        Of float32, float64 or int64.
    metadata : mapping of str to str
        Texts besides those of the table above.
    extra : mapping, optional
        Anything that JSON can express, for the reader.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If JSON cannot express `extra`, or the description is too long.
    OSError
        If the file cannot be written.
    """
    texts = {
        "format": FORMAT,
        "version": VERSION,
        "generator": f"convoi {__version__}",
        **metadata,
    }
    if extra:
        texts["extra"] = _extra_text(extra)
    stored = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    stored = {name: array.astype(array.dtype.newbyteorder("<")) for name, array in stored.items()}
    texts["digest"] = _digest(texts, stored)
    data = safetensors.numpy.save(stored, texts)
    if int.from_bytes(data[:8], "little") > MAX_HEADER:
        raise ArgumentError(
            "The network has too many layers for a model file: the description must be at most "
            f"{MAX_HEADER} bytes."
        )
    write_atomically(path, data)


def read_tensor_file(
    path: str | os.PathLike[str],
    describe_tensors: Callable[[dict[str, str]], tuple[Plan, Mapping[str, TensorSpec]]],
) -> TensorFile[Plan]:
    """Read a file.

    Parameters
    ----------
    path : str or PathLike
        The file.
    describe_tensors : callable
        From the metadata to whatever the reader makes of them, and the tensors that then have to
        be in the file. It raises ModelFileError for metadata that cannot be.

    Returns
    -------
    TensorFile
        What it holds.

    Raises
    ------
    ModelFileError
        If the file cannot be read, is damaged, or does not hold these tensors.
    """
    return _guarded(path, lambda: _read(Path(path), describe_tensors))


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return the metadata of a file, whose tensors and digest are not looked at.

    Parameters
    ----------
    path : str or PathLike
        The file.

    Returns
    -------
    dict of str to str
        The texts.

    Raises
    ------
    ModelFileError
        If the file cannot be read, or is none of Convoi's.
    """

    def read() -> dict[str, str]:
        with _opened(Path(path)) as file:
            return _metadata(_read_header(file, os.fstat(file.fileno()).st_size)[1])

    return _guarded(path, read)


def extra_of(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return the caller's dictionary in the metadata; empty if there is none.

    Raises
    ------
    ModelFileError
        If it is none.
    """
    extra = parse_json(metadata["extra"], "extra") if "extra" in metadata else {}
    if not isinstance(extra, dict):
        _refuse("The 'extra' metadata are no dictionary.")
    return extra


def parse_json(text: str, what: str) -> object:
    """Return JSON data; refuse what the standard leaves open, and what takes long.

    Raises
    ------
    ModelFileError
        If the text is something else; `what` is its name in the message.
    """
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


def _guarded(path: str | os.PathLike[str], read: Callable[[], Result]) -> Result:
    """Read, and let errors name the file."""
    try:
        return read()
    except ModelFileError as error:
        problem = f"cannot be used. {error}"
    except MemoryError:
        problem = "cannot be read: it does not fit into memory."
    except OSError as error:
        problem = f"cannot be read: {error.strerror}."
    raise ModelFileError(f"The model file {os.fspath(path)!r} {problem}")


def _opened(path: Path) -> BinaryIO:
    """Open a regular file: a pipe would be waited for."""
    if not stat.S_ISREG(path.stat().st_mode):
        _refuse("It is no file.")
    return path.open("rb")


def _read(
    path: Path,
    describe_tensors: Callable[[dict[str, str]], tuple[Plan, Mapping[str, TensorSpec]]],
) -> TensorFile[Plan]:
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        head, header = _read_header(file, size)
        metadata = _metadata(header)
        plan, specs = describe_tensors(metadata)
        _check_tensors(header, specs, size - len(head))
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
    ordered = {name: tensors[name] for name in specs}
    return TensorFile(plan, metadata, ordered, extra_of(metadata))


def _read_header(file: BinaryIO, size: int) -> tuple[bytes, dict[str, Any]]:
    """Return the bytes before the tensors, and the header that is in them."""
    length = file.read(8)
    count = int.from_bytes(length, "little")
    if len(length) < 8 or count > size - 8:
        _refuse("It is shorter than it says: it is truncated, or no safetensors file.")
    if count > MAX_HEADER:
        _refuse(f"Its header has {count} bytes, more than the {MAX_HEADER} of any model.")
    text = file.read(count)
    header = parse_json(_decoded(text), "header")
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


def _check_tensors(header: dict[str, Any], specs: Mapping[str, TensorSpec], size: int) -> None:
    """Require tensors as they should be, one behind the other in `size` bytes."""
    if set(header) != set(specs):
        names = sorted(set(header) ^ set(specs))
        _refuse(f"Tensors and description do not fit: {describe(names)} are in one of them only.")
    spans = []
    for name, spec in specs.items():
        entry = header[name]
        if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
            _refuse(f"The entry of tensor {name!r} is invalid.")
        code = entry["dtype"]
        if not isinstance(code, str) or code not in [_CODES[dtype] for dtype in spec.dtypes]:
            expected = " or ".join(spec.dtypes)
            _refuse(f"Tensor {name!r} must be {expected}. Got {describe(code)}.")
        shape, offsets = shape_of(entry["shape"]), shape_of(entry["data_offsets"])
        if shape != spec.shape or min(shape, default=0) < 0:
            _refuse(f"Tensor {name!r} must have the shape {spec.shape}. Got {describe(shape)}.")
        if len(offsets) != 2 or offsets[1] - offsets[0] != prod(shape) * _BYTES[code]:
            _refuse(f"Tensor {name!r} has the wrong place.")
        spans.append(offsets)
    end = 0
    for start, stop in sorted(spans):
        if start != end:
            _refuse("The tensors overlap, or there are gaps between them.")
        end = stop
    if end != size:
        _refuse(f"The tensors have {end} bytes, and the file has {size} for them: it is truncated.")


def shape_of(value: object) -> tuple[int, ...]:
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
            "The 'extra' parameter of write_tensor_file must be data that JSON can express: "
            f"{error}."
        ) from error
    if len(text) > MAX_EXTRA:
        raise ArgumentError(
            f"The 'extra' parameter of write_tensor_file must be at most {MAX_EXTRA} characters in "
            f"JSON. Got {len(text)} instead."
        )
    return text


def _refuse(problem: str) -> NoReturn:
    raise ModelFileError(problem)
