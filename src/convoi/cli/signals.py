"""Files of signals and pictures as arrays, for the commands that filter and find."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convoi.errors import DataFileError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FORMATS = "An image, or a .npy, .wav or .csv file (the column with FILE:COLUMN)."


@dataclass
class SignalFile:
    """What a file holds: samples, and what a file of the result needs besides.

    Pictures are (height, width) or (height, width, colours); recordings of several tracks
    (samples, tracks).
    """

    path: Path
    samples: NDArray[Any]
    kind: str
    rate: int = 0
    """Samples per second of a .wav file."""

    @property
    def rank(self) -> int:
        """The axes of space or time, without colours and tracks."""
        if self.kind == "image":
            return 2
        return 1 if self.kind in {"wav", "csv"} else int(self.samples.ndim)

    def grey(self) -> NDArray[Any]:
        """Return one number per place: the mean of colours or tracks."""
        import numpy as np

        values = self.samples.astype(np.float64)
        return values if values.ndim == self.rank else values.mean(axis=-1)


def read_signal(argument: str) -> SignalFile:
    """Read a file by its extension.

    Parameters
    ----------
    argument : str
        A path; of a .csv file also ``path:column``, the column's name or its number from 0.

    Raises
    ------
    DataFileError
        If the file is missing or cannot be read.
    """
    from pathlib import Path

    name, separator, column = argument.rpartition(":")
    if not separator or not name.lower().endswith(".csv"):
        name, column = argument, ""
    path = Path(name)
    if not path.is_file():
        raise DataFileError(f"There is no file {name!r}.")
    readers = {".npy": _read_npy, ".wav": _read_wav}
    extension = path.suffix.lower()
    try:
        if extension == ".csv":
            return _read_csv(path, column)
        return readers.get(extension, _read_image)(path)
    except DataFileError:
        raise
    except Exception as error:  # whatever Pillow, NumPy and wave say of damaged files
        raise DataFileError(f"The file {name!r} cannot be read: {error}") from error


def _read_npy(path: Path) -> SignalFile:
    import numpy as np

    return SignalFile(path, np.load(path, mmap_mode="r", allow_pickle=False), "npy")


def _read_image(path: Path) -> SignalFile:
    import numpy as np
    from PIL import Image

    with Image.open(path) as image:
        wanted = "L" if image.mode in {"1", "L", "I", "F", "I;16", "LA"} else "RGB"
        plain = image if image.mode in {"I", "F", "I;16"} else image.convert(wanted)
        return SignalFile(path, np.asarray(plain), "image")


def _read_wav(path: Path) -> SignalFile:
    import wave

    import numpy as np

    with wave.open(str(path), "rb") as file:
        width, tracks, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
        data = file.readframes(file.getnframes())
    if width not in {1, 2, 4}:
        raise DataFileError(
            f"The file {str(path)!r} has samples of {8 * width} bits. Convert it to 16 bits."
        )
    samples: NDArray[Any] = np.frombuffer(data, {1: "u1", 2: "<i2", 4: "<i4"}[width])
    if width == 1:
        samples = samples.astype(np.int16) - 128
    if tracks > 1:
        samples = samples.reshape(-1, tracks)
    return SignalFile(path, samples, "wav", rate)


def _read_csv(path: Path, column: str) -> SignalFile:
    import numpy as np

    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file) if row]
    if not rows:
        raise DataFileError(f"The file {str(path)!r} is empty.")
    header = None if _is_number(rows[0][-1]) else rows[0]
    body = rows if header is None else rows[1:]
    number = _column_number(path, column, header, len(rows[0]))
    values = []
    for line, row in enumerate(body, start=1 if header is None else 2):
        if number >= len(row) or not _is_number(row[number]):
            raise DataFileError(
                f"Line {line} of {str(path)!r} has no number in column {number}: {row!r}."
            )
        values.append(float(row[number]))
    return SignalFile(path, np.array(values), "csv")


def _column_number(path: Path, column: str, header: list[str] | None, count: int) -> int:
    if not column:
        return count - 1
    if header is not None and column in header:
        return header.index(column)
    if column.isdigit() and int(column) < count:
        return int(column)
    known = f" Its columns are {', '.join(header)}." if header is not None else ""
    raise DataFileError(f"The file {str(path)!r} has no column {column!r}.{known}")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def write_signal(path: Path, samples: NDArray[Any], like: SignalFile) -> None:
    """Write samples by the file's extension; pictures and sound are rounded and clipped.

    Raises
    ------
    DataFileError
        If the extension is unknown, or cannot hold such an array.
    """
    import numpy as np

    extension = path.suffix.lower()
    if extension == ".npy":
        np.save(path, samples)
    elif extension == ".csv":
        if samples.ndim > 2:
            raise DataFileError("A .csv file holds at most two axes. Write a .npy file.")
        np.savetxt(path, samples, delimiter=",", fmt="%.9g")
    elif extension == ".wav":
        _write_wav(path, samples, like)
    elif extension in {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}:
        from PIL import Image

        if samples.ndim not in {2, 3}:
            raise DataFileError(
                f"The result has {samples.ndim} axes, which is no picture. Write a .npy file."
            )
        Image.fromarray(np.clip(np.rint(samples), 0, 255).astype(np.uint8)).save(path)
    else:
        raise DataFileError(
            f"The extension {extension!r} of {str(path)!r} is unknown. Write .npy, .csv, .wav, or "
            "a picture such as .png."
        )


def _write_wav(path: Path, samples: NDArray[Any], like: SignalFile) -> None:
    import wave

    import numpy as np

    if like.kind != "wav":
        raise DataFileError("Only a recording can be written as .wav. Write a .npy or .csv file.")
    width = 4 if like.samples.dtype.itemsize == 4 else 2
    limits = np.iinfo(np.int32 if width == 4 else np.int16)
    rounded = np.clip(np.rint(samples), limits.min, limits.max).astype(f"<i{width}")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(width)
        file.setframerate(like.rate)
        file.writeframes(rounded.tobytes())
