"""One image file to pixels, with Pillow.

Files are decoded one at a time and only as far as is needed; whatever Pillow raises for a damaged
file becomes an error that names it.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader, FileIO
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.data.streams import require_file
from convoi.errors import ConvoiError, DataFileError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL.Image import Image

    from convoi.data.options import Fit

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"})
"""Endings of the files that are taken for images, in lower case."""

# Pillow reads more formats, some of them by starting other programs.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
_FORMAT_NAMES = "PNG, JPEG, BMP, GIF, WebP or TIFF"

_ORIENTATION = 0x0112  # the EXIF tag
_SIDEWAYS = range(5, 9)  # its values that exchange height and width

# A JPEG is decoded at the smallest of its scales that is at least this much larger than the
# result: the choice of Pillow's own thumbnails, visually without loss.
_REDUCING_GAP = 2


@dataclass(frozen=True)
class ImageInfo:
    """What is known of an image before its pixels are."""

    height: int
    width: int
    grey: bool


def inspect_image(file: Path, *, decode: bool) -> ImageInfo:
    """Return size and colour of an image from its header; ``decode`` also proves it readable."""
    with _opened(file) as image:
        width, height = image.size
        # Pillow turns TIFF upright by itself. PNG keeps its tag where only decoding finds it.
        if image.format in {"JPEG", "MPO", "WEBP"} and _orientation(image) in _SIDEWAYS:
            width, height = height, width
        grey = _is_grey(image)
        if decode:
            _to_channels(image, 1 if grey else 3)
        return ImageInfo(height, width, grey)


def decode_image(
    file: Path, *, image_size: tuple[int, int], channels: int, fit: Fit
) -> NDArray[np.uint8]:
    """Return the pixels of an image, shape (channels, height, width).

    An image of several frames gives its first. It is turned as its EXIF orientation says;
    transparent pixels show white behind them; 16-bit grey keeps its upper 8 bits.
    """
    with _opened(file) as image:
        longest = _REDUCING_GAP * max(image_size)
        image.draft(None, (longest, longest))
        pixels = np.asarray(_resized(_to_channels(image, channels), image_size, fit))
    return pixels[np.newaxis] if channels == 1 else np.moveaxis(pixels, -1, 0)


class _BoundedReader(BufferedReader):
    """A file that never takes memory for more than its own size.

    Pillow asks for as many bytes as a damaged file announces, and Python's files make room for
    all of them before they read.
    """

    def __init__(self, raw: FileIO) -> None:
        super().__init__(raw)
        self._size = os.fstat(raw.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(-1 if size is None else min(size, self._size))


@contextmanager
def _opened(file: Path) -> Iterator[Image]:
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 (loaded when first needed)

    try:
        require_file(file)
        # Given a path, Pillow maps uncompressed files into memory, and TIFF files that lie on
        # their side with height and width exchanged.
        with _BoundedReader(FileIO(file)) as raw, Image.open(raw, formats=_FORMATS) as image:
            _check_pixel_count(file, image.size, Image.MAX_IMAGE_PIXELS)
            yield image
    except ConvoiError:
        raise
    except UnidentifiedImageError as error:
        raise DataFileError(
            f"Cannot read image {str(file)!r}: it is not a {_FORMAT_NAMES} file. "
            "Convert, replace or remove it."
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataFileError(_too_large(file, str(error))) from error
    # Pillow documents no closed set of exceptions for damaged files.
    except Exception as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DataFileError(
            f"Cannot read image {str(file)!r}: {reason}. Replace or remove it."
        ) from error


def _check_pixel_count(file: Path, size: tuple[int, int], limit: int | None) -> None:
    """Raise above Pillow's limit; Pillow itself only warns up to twice the limit."""
    width, height = size
    if limit is not None and width * height > limit:
        raise DataFileError(_too_large(file, f"{width}x{height} pixels are more than {limit}"))


def _too_large(file: Path, problem: str) -> str:
    return (
        f"Cannot read image {str(file)!r}: {problem}. A small file can claim any size; if you "
        "trust this one, scale it down or raise PIL.Image.MAX_IMAGE_PIXELS."
    )


def _orientation(image: Image) -> int:
    value = image.getexif().get(_ORIENTATION, 1)
    return value if isinstance(value, int) else 1


def _is_grey(image: Image) -> bool:
    if image.mode != "P":
        return image.mode in {"1", "L", "LA", "I", "F"} or image.mode.startswith("I;16")
    palette = np.reshape(image.getpalette("RGB") or [], (-1, 3))
    return bool((palette == palette[:, :1]).all())


def _to_channels(image: Image, channels: int) -> Image:
    """Return the image upright, decoded, grey or in colours."""
    import PIL.Image  # noqa: PLC0415 (loaded when first needed)
    import PIL.ImageOps  # noqa: PLC0415 (loaded when first needed)

    PIL.ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        # Pillow's own conversion takes every value above 255 for white.
        image = PIL.Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode in {"I", "F"}:
        raise ValueError(
            f"its pixels (mode {image.mode}) have no defined range; save it with 8 or 16 bits"
        )
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        white = PIL.Image.new("RGBA", image.size, "white")
        image = PIL.Image.alpha_composite(white, image)
    mode = "L" if channels == 1 else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _resized(image: Image, image_size: tuple[int, int], fit: Fit) -> Image:
    """Return the image at ``(height, width)``: stretched, or scaled to cover it and cropped."""
    from PIL.Image import Resampling  # noqa: PLC0415 (loaded when first needed)

    height, width = image_size
    if image.size == (width, height):
        return image
    box: tuple[float, float, float, float] | None = None
    if fit == "crop":
        scale = min(image.width / width, image.height / height)
        left = (image.width - scale * width) / 2
        top = (image.height - scale * height) / 2
        box = (left, top, left + scale * width, top + scale * height)
    return image.resize((width, height), Resampling.BILINEAR, box)


def scale_values(
    pixels: NDArray[np.uint8], value_range: tuple[float, float] | None
) -> NDArray[Any]:
    """Return pixels from 0 to 255 as float32 from one value to another; None keeps them."""
    if value_range is None or tuple(value_range) == (0.0, 255.0):
        return pixels
    black, white = value_range
    return (pixels * np.float32((white - black) / 255) + np.float32(black)).astype(np.float32)
