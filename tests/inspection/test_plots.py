from __future__ import annotations

import io

import numpy as np
import pytest

from convoi import inspection
from convoi.errors import MissingDependencyError, ShapeError
from tests.inspection.networks import samples, small


def drawn(figure):
    """Return the axes of a figure that show something, after drawing it."""
    figure.savefig(io.BytesIO(), format="svg")
    return [ax for ax in figure.axes if ax.has_data() or ax.images]


@pytest.mark.parametrize("shape", [(1, 9, 8), (2, 20)])
def test_each_kernel_map_and_patch_has_a_picture(shape):
    network, X = small(shape), samples(shape=shape)
    assert len(drawn(inspection.plot_kernels(inspection.kernels(network, "0")))) == 4
    maps = inspection.feature_maps(network, X, ["5"])["5"]
    assert len(drawn(inspection.plot_feature_maps(maps[0]))) == 5
    patches = inspection.top_patches(network, X, "0", 0, count=3)
    assert len(drawn(inspection.plot_patches(patches, X))) == 3
    cam = inspection.grad_cam(network, X)
    assert len(drawn(inspection.plot_attribution(X[0], cam[0]))) == 2


def test_the_frame_of_a_patch_is_its_box():
    network, X = small(), samples()
    (patch,) = inspection.top_patches(network, X, "4", 0, count=1)
    (ax,) = inspection.plot_patches([patch], X).axes
    (frame,) = ax.patches
    rows, columns = patch.box
    assert frame.get_xy() == (columns.start - 0.5, rows.start - 0.5)
    assert frame.get_width() == columns.stop - columns.start
    assert frame.get_height() == rows.stop - rows.start


def test_the_bars_of_a_reliability_diagram_are_accuracies():
    found = inspection.calibration([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4]], [0, 1, 0], bins=2)
    above, below = inspection.plot_calibration(found).axes
    assert [bar.get_height() for bar in above.patches] == [0, pytest.approx(2 / 3)]
    assert [bar.get_height() for bar in below.patches] == [0, 3]


def test_refuses_what_cannot_be_drawn():
    with pytest.raises(ShapeError, match="one or two spatial axes"):
        inspection.plot_kernels(np.ones((2, 3)))
    with pytest.raises(ShapeError, match="'values' parameter of plot_attribution"):
        inspection.plot_attribution(np.ones((1, 4, 4)), np.ones((3, 3)))


def test_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'convoi\[plot\]'"):
        inspection.plot_kernels(np.ones((2, 1, 3, 3)))
