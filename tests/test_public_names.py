from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

import convoi
from convoi import estimators

HEAVY = {"PIL", "llvmlite", "numpy", "rich", "safetensors", "scipy", "sklearn", "typer"}


def words_printed_by(code):
    """Return the words that a new interpreter prints when it runs the code."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout.split()


def imported_by(statement):
    """Return the top-level modules that a new interpreter has imported after a statement."""
    modules = words_printed_by(f"import sys; {statement}; print(*sys.modules)")
    return {name.partition(".")[0] for name in modules}


def test_the_public_names_are_pinned():
    assert convoi.__all__ == [
        "FeaturesClassifier",
        "ImageClassifier",
        "ImageRegressor",
        "MiniRocketClassifier",
        "MiniRocketFeatures",
        "Network",
        "NetworkFeatures",
        "RocketClassifier",
        "RocketFeatures",
        "SeriesClassifier",
        "SeriesRegressor",
        "__version__",
        "convolve",
        "correlate",
        "data",
        "errors",
        "find",
        "inspection",
        "load",
        "match",
        "nn",
        "signal",
        "training",
    ]


def test_every_public_name_has_one_home():
    assert {*convoi._HOMES, "__version__"} == set(convoi.__all__)
    assert set(estimators._HOMES) == set(estimators.__all__)


@pytest.mark.parametrize("name", convoi.__all__)
def test_every_public_name_can_be_imported(name):
    assert getattr(convoi, name) is not None


@pytest.mark.parametrize("name", estimators.__all__)
def test_every_estimator_can_be_imported(name):
    assert getattr(estimators, name) is not None


def test_features_of_random_kernels_import_no_networks():
    modules = words_printed_by(
        "import sys; from convoi import MiniRocketFeatures; print(*sys.modules)"
    )
    assert not {"convoi.nn", "convoi.training", "convoi.compiler"} & set(modules)


def test_dir_lists_the_public_names_before_they_are_imported():
    listed = words_printed_by("import convoi; print(*dir(convoi))")
    assert set(convoi.__all__) <= set(listed)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'convoi' has no attribute 'Netwrok'"):
        convoi.Netwrok  # noqa: B018


def test_a_public_name_is_looked_up_once():
    assert convoi.errors is vars(convoi)["errors"]


def test_importing_the_package_imports_no_library():
    assert not imported_by("import convoi") & HEAVY


def test_importing_a_network_imports_neither_the_compiler_nor_the_estimators():
    assert not imported_by("from convoi import Network") & (HEAVY - {"numpy"})


def test_the_version_is_that_of_the_installed_package():
    assert convoi.__version__ == version("convoi")
