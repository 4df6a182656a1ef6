"""Files that the tests write: their own writers, so that readers are not checked by themselves."""

from __future__ import annotations

import gzip
import struct
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

IDX_CODES = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}


def idx_bytes(array: np.ndarray) -> bytes:
    code = IDX_CODES[array.dtype.str[1:]]
    header = struct.pack(f">2xBB{array.ndim}I", code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_idx(path: Path, array: np.ndarray) -> Path:
    content = idx_bytes(array)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def images(count: int = 6, height: int = 5, width: int = 7, channels: int = 0) -> np.ndarray:
    """Return uint8 images that all differ, (n, H, W) or (n, H, W, C)."""
    shape = (count, height, width, channels) if channels else (count, height, width)
    return np.random.default_rng(count).integers(0, 256, shape, np.uint8)


def write_idx_folder(folder: Path, *, suffix: str = "", test: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    parts = {"train": 6, "t10k": 4} if test else {"train": 6}
    for part, count in parts.items():
        write_idx(folder / f"{part}-images-idx3-ubyte{suffix}", images(count))
        labels = np.arange(count, dtype=np.uint8) % 2
        write_idx(folder / f"{part}-labels-idx1-ubyte{suffix}", labels)
    return folder


def save_image(path: Path, pixels: np.ndarray, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def write_image_folder(
    folder: Path, classes: tuple[str, ...] = ("cat", "dog"), *, count: int = 3, channels: int = 0
) -> Path:
    for index, name in enumerate(classes):
        for number, pixels in enumerate(images(count, 6, 8, channels)):
            save_image(folder / name / f"{number}.png", np.roll(pixels, index))
    return folder
