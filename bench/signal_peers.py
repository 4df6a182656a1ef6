"""What others offer for a cell: SciPy, NumPy, OpenCV, scikit-image, where installed.

PyTorch, which may have an interpreter of its own, runs in a process of its own.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bench.signal_cells import Cell

Call: TypeAlias = Callable[[], Any]
LARGEST_WORK = {
    # Multiply-adds beyond which a call that sums tap by tap takes many seconds.
    "ndimage.convolve": 5 * 10**8,
    "scipy.convolve2d": 5 * 10**8,
    "numpy.convolve": 5 * 10**9,
    "torch.conv": 3 * 10**9,
}
MOST_ELEMENTS = 2**22
"""Of an array that is transformed as a whole."""


PACKAGES = {"cv2": "OpenCV", "skimage": "scikit-image"}
"""What is measured only where it is installed."""


def missing_peers() -> list[str]:
    """Return the names of the peers that are not installed."""
    return [name for module, name in PACKAGES.items() if not installed(module)]


def affordable(cell: Cell, name: str) -> bool:
    """Tell whether a peer does a cell in reasonable time."""
    return cell.work <= LARGEST_WORK.get(name, cell.work)


def installed(name: str) -> bool:
    """Tell whether a package is there."""
    return importlib.util.find_spec(name) is not None


def peers_of(cell: Cell, x: NDArray[Any], k: NDArray[Any], threads: int) -> dict[str, Call]:
    """Return the calls of the peers that can do a cell in reasonable time."""
    if cell.match:
        return _matchers(x, k, threads)
    calls = _scipy(cell, x, k) | _opencv(cell, x, k, threads)
    return {name: call for name, call in calls.items() if affordable(cell, name)}


def _scipy(cell: Cell, x: NDArray[Any], k: NDArray[Any]) -> dict[str, Call]:
    from scipy import ndimage, signal  # noqa: PLC0415 - peers are imported where they are timed

    rank = len(cell.shape)
    kernel = k.reshape((1,) * (x.ndim - rank) + k.shape)
    axes = tuple(range(x.ndim - rank, x.ndim))
    calls: dict[str, Call] = {
        "scipy.oaconvolve": lambda: signal.oaconvolve(x, kernel, "same", axes=axes),
        "ndimage.convolve": lambda: ndimage.convolve(x, kernel, mode="constant"),
    }
    if x.size <= MOST_ELEMENTS:
        calls["scipy.fftconvolve"] = lambda: signal.fftconvolve(x, kernel, "same", axes=axes)
    if cell.batch:
        return calls
    if x.size <= MOST_ELEMENTS:
        calls["scipy.convolve"] = lambda: signal.convolve(x, k, "same")
    if rank == 1:
        calls["numpy.convolve"] = lambda: np.convolve(x, k, "same")
    else:
        calls["scipy.convolve2d"] = lambda: signal.convolve2d(x, k, "same")
    return calls


def _opencv(cell: Cell, x: NDArray[Any], k: NDArray[Any], threads: int) -> dict[str, Call]:
    if len(cell.shape) != 2 or not installed("cv2"):
        return {}
    import cv2  # noqa: PLC0415 - peers are imported where they are timed

    cv2.setNumThreads(threads)
    flipped = np.ascontiguousarray(k[::-1, ::-1])

    def filtered(image: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(cv2.filter2D(image, -1, flipped, borderType=cv2.BORDER_CONSTANT))

    if not cell.batch:
        return {"opencv.filter2D": lambda: filtered(x)}
    return {"opencv.filter2D": lambda: np.stack([filtered(image) for image in x])}


def _matchers(x: NDArray[Any], t: NDArray[Any], threads: int) -> dict[str, Call]:
    t = np.ascontiguousarray(t)
    calls: dict[str, Call] = {}
    if installed("cv2"):
        import cv2  # noqa: PLC0415 - peers are imported where they are timed

        cv2.setNumThreads(threads)
        calls["opencv.matchTemplate"] = lambda: cv2.matchTemplate(x, t, cv2.TM_CCOEFF_NORMED)
    if installed("skimage"):
        from skimage.feature import match_template  # noqa: PLC0415 - peers are imported where they are timed

        calls["skimage.match_template"] = lambda: match_template(x, t)
    return calls
