"""Image files as a source of samples."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.data.decoding import ImageInfo, decode_image, inspect_image, scale_values
from convoi.data.options import check_channels, check_fit, check_image_size, check_on_error
from convoi.data.sources import all_samples, checked_indices
from convoi.errors import ArgumentTypeError, DataError, DataFileError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from convoi.data.options import Fit, ImageSize, OnError

_INSPECTED = 1000
"""Headers that are read, at most, to choose a size and the number of channels."""

_LISTED = 20
"""Skipped files that a warning names; the attribute ``skipped`` has all of them."""


class ImageFiles:
    """Images that are decoded when they are asked for: a source of samples.

    Only the images of one batch are ever in memory. All images come out in one size, as uint8
    from 0 to 255, in one channel (grey) or three (red, green, blue), with their EXIF orientation
    applied and transparency shown on white.

    Parameters
    ----------
    files : sequence of path-like
        PNG, JPEG, BMP, GIF, WebP or TIFF files; of several frames, the first counts.
    image_size : int or (height, width), optional
        Size in pixels that the images are brought to. By default the most common size, if at
        least half of the images have it.
    channels : {1, 3}, optional
        By default 1 if all the images that are inspected are grey, and 3 otherwise.
    fit : {'crop', 'stretch'}, default='crop'
        How an image of another size is brought to ``image_size``: scaled to cover it and cropped
        around the centre, or stretched.
    on_error : {'raise', 'skip'}, default='raise'
        What is done about files that cannot be read. With ``'raise'`` they are found when their
        turn comes. With ``'skip'`` every image is decoded once, here, and those that cannot be
        read are left out with a warning that lists them.

    Attributes
    ----------
    files : tuple of Path
        The files, in the order given, without the skipped ones.
    kept : ndarray of int
        The numbers of these files in the argument ``files``.
    skipped : tuple of Path
        Files that could not be read.
    image_size : tuple of int
        (height, width).
    channels : int
        1 or 3.
    fit : {'crop', 'stretch'}
        As given.

    Raises
    ------
    DataFileError
        If an image cannot be read and ``on_error='raise'``.
    DataError
        If there are no files, none of them can be read, or they have too many different sizes to
        choose one.
    ArgumentError, ArgumentTypeError
        If a parameter has a value or a type that it may not have.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from PIL import Image
    >>> from convoi.data import ImageFiles
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = [pathlib.Path(folder, f"{i}.png") for i in range(3)]
    ...     for i, file in enumerate(files):
    ...         Image.new("L", (8, 6), 100 * i).save(file)
    ...     images = ImageFiles(files)
    ...     images.shape, images.take([2, 0])[:, 0, 0, 0]
    ((3, 1, 6, 8), array([200,   0], dtype=uint8))
    """

    dtype: np.dtype[Any] = np.dtype(np.uint8)

    def __init__(
        self,
        files: Sequence[str | os.PathLike[str]],
        *,
        image_size: ImageSize | None = None,
        channels: int | None = None,
        fit: Fit = "crop",
        on_error: OnError = "raise",
    ) -> None:
        if isinstance(files, (str, Path)):
            raise ArgumentTypeError(
                "The 'files' parameter of ImageFiles must be a sequence of paths. "
                f"Got the single path {str(files)!r} instead."
            )
        paths = [Path(file) for file in files]
        if not paths:
            raise DataError("There are no image files to read: the sequence of paths is empty.")
        size = check_image_size(image_size, "ImageFiles")
        channels = check_channels(channels, "ImageFiles")
        self.fit: Fit = check_fit(fit, "ImageFiles")
        self.kept = np.arange(len(paths))
        self.skipped: tuple[Path, ...] = ()
        found: list[ImageInfo] = []
        if check_on_error(on_error, "ImageFiles") == "skip":
            found, self.kept, self.skipped = _readable(paths)
        elif size is None or channels is None:
            found = [inspect_image(file, decode=False) for file in _spread(paths)]
        self.files = tuple(paths[index] for index in self.kept)
        self.image_size = size or _common_size(found, self.files[0].parent)
        self.channels = channels or (1 if all(info.grey for info in found) else 3)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(n, channels, height, width)``."""
        return (len(self.files), self.channels, *self.image_size)

    def __len__(self) -> int:
        return len(self.files)

    def __repr__(self) -> str:
        height, width = self.image_size
        return f"ImageFiles({len(self)} images, {self.channels}x{height}x{width})"

    def __getitem__(self, key: Any) -> NDArray[np.uint8]:  # noqa: ANN401 (NumPy's keys)
        """Decode one image (``(channels, height, width)``) or several, as an array would."""
        if isinstance(key, tuple) and len(key) == 2 and key[1] is Ellipsis:
            key = key[0]
        chosen = np.arange(len(self))[key]
        if chosen.ndim == 0:
            return self._decode(int(chosen))
        return self.take(chosen)

    def take(self, indices: ArrayLike, /) -> NDArray[np.uint8]:
        """Decode the images with these numbers.

        Parameters
        ----------
        indices : array-like of int, shape (k,)
            Numbers from -n to n - 1, in any order, repeated or not.

        Returns
        -------
        ndarray of uint8, shape (k, channels, height, width)
            The pixels, from 0 to 255.

        Raises
        ------
        DataFileError
            If an image cannot be read; the message names the file.
        IndexError
            If a number is out of range.
        """
        chosen = checked_indices(indices, len(self))
        samples = np.empty((len(chosen), *self.shape[1:]), np.uint8)
        for sample, index in zip(samples, chosen.tolist(), strict=True):
            sample[:] = self._decode(index)
        return samples

    def __array__(
        self,
        dtype: DTypeLike | None = None,
        copy: bool | None = None,  # noqa: FBT001 (NumPy's)
    ) -> NDArray[Any]:
        return all_samples(self, dtype, copy=copy)

    def _decode(self, index: int) -> NDArray[np.uint8]:
        return decode_image(
            self.files[index],
            image_size=self.image_size,
            channels=self.channels,
            fit=self.fit,
        )


def read_images(
    files: Sequence[str | os.PathLike[str]],
    *,
    image_size: ImageSize,
    channels: int,
    fit: Fit = "crop",
    value_range: tuple[float, float] | None = None,
) -> NDArray[Any]:
    """Read images into one array, as a network expects them.

    Parameters
    ----------
    files : sequence of path-like
        Image files, as :class:`ImageFiles` reads them.
    image_size : int or (height, width)
        Size in pixels that the images are brought to.
    channels : {1, 3}
        Grey, or red, green and blue.
    fit : {'crop', 'stretch'}, default='crop'
        How an image of another size is brought to ``image_size``.
    value_range : tuple of two floats, optional
        The values that stand for black and white in the network's training set
        (:attr:`Dataset.value_range`), if they are not 0 and 255.

    Returns
    -------
    ndarray of shape (n, channels, height, width)
        uint8 from 0 to 255; or float32 where ``value_range`` is another.

    Raises
    ------
    DataFileError
        If an image cannot be read; the message names the file.
    DataError
        If there are no files.
    ArgumentError, ArgumentTypeError
        If a parameter has a value or a type that it may not have.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from PIL import Image
    >>> from convoi.data import read_images
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "white.png")
    ...     Image.new("RGB", (20, 20), "white").save(file)
    ...     read_images([file], image_size=2, channels=1, value_range=(0, 16))
    array([[[[16., 16.],
             [16., 16.]]]], dtype=float32)
    """
    images = ImageFiles(files, image_size=image_size, channels=channels, fit=fit)
    return scale_values(images.take(np.arange(len(images))), value_range)


def _readable(
    files: Sequence[Path],
) -> tuple[list[ImageInfo], NDArray[np.intp], tuple[Path, ...]]:
    """Decode every image; return what is known of the good ones, their numbers, and the bad."""
    found, kept, errors = [], [], {}
    for index, file in enumerate(files):
        try:
            found.append(inspect_image(file, decode=True))
            kept.append(index)
        except DataFileError as error:  # noqa: PERF203 (one bad file must not end the loop)
            errors[file] = error
    if not found:
        raise DataError(
            f"None of {len(files)} images can be read. The first: {next(iter(errors.values()))}"
        )
    if errors:
        listed = "\n".join(f"  {error}" for error in list(errors.values())[:_LISTED])
        rest = len(errors) - _LISTED
        listed += f"\n  and {rest} more" if rest > 0 else ""
        warnings.warn(
            f"Skipped {len(errors)} of {len(files)} images that cannot be read:\n{listed}",
            UserWarning,
            stacklevel=3,
        )
    return found, np.array(kept, np.intp), tuple(errors)


def _spread(files: Sequence[Path]) -> Iterable[Path]:
    """Return all the files, or the most that are inspected, evenly spread over the sequence."""
    count = min(len(files), _INSPECTED)
    return (files[index * len(files) // count] for index in range(count))


def _common_size(found: Sequence[ImageInfo], folder: Path) -> tuple[int, int]:
    """Return the most common size; of several, the largest."""
    counts = Counter((info.height, info.width) for info in found)
    size, count = max(counts.items(), key=lambda item: (item[1], item[0][0] * item[0][1], item[0]))
    if 2 * count < len(found):
        raise DataError(
            f"The images of {str(folder)!r} have {len(counts)} different sizes; the most common, "
            f"{size[0]}x{size[1]}, is that of {count} of {len(found)} images. "
            "Give image_size=(height, width)."
        )
    return size
