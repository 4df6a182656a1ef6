from __future__ import annotations

import inspect
import pickle

import pytest

from convoi import errors
from convoi.errors import ConvoiError, MissingDependencyError

CLASSES = [getattr(errors, name) for name in errors.__all__]


def test_every_exception_of_the_module_is_public():
    defined = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, Exception)
    }
    assert defined == set(errors.__all__)


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("ArgumentError", ValueError),
        ("ArgumentTypeError", TypeError),
        ("ShapeError", ValueError),
        ("DataError", ValueError),
        ("DataFileError", ValueError),
        ("DataFileError", OSError),
        ("ModelFileError", ValueError),
        ("ModelFileError", OSError),
        ("CheckpointError", OSError),
        ("DivergenceError", FloatingPointError),
        ("CompilationError", RuntimeError),
        ("MissingDependencyError", ImportError),
    ],
)
def test_an_error_is_caught_as_the_builtin_that_users_expect(name, builtin):
    with pytest.raises(builtin):
        raise getattr(errors, name)("what happened")


@pytest.mark.parametrize("error_class", CLASSES)
def test_every_error_is_caught_as_convoi_error(error_class):
    with pytest.raises(ConvoiError, match="what happened"):
        raise error_class("what happened")


@pytest.mark.parametrize("error_class", CLASSES)
def test_every_error_stands_in_the_tree_of_the_docstring(error_class):
    assert f" {error_class.__name__} " in errors.__doc__.replace("\n", " ")


@pytest.mark.parametrize("error_class", CLASSES)
def test_an_error_survives_pickling(error_class):
    loaded = pickle.loads(pickle.dumps(error_class("what happened")))
    assert type(loaded) is error_class
    assert str(loaded) == "what happened"


def test_a_missing_dependency_names_the_package_and_the_command_that_installs_it():
    error = MissingDependencyError.for_package("torch", purpose="The bench", install="torch==2")
    assert str(error) == (
        "The bench needs the package 'torch', which is not installed. "
        "Install it with: pip install 'torch==2'"
    )


def test_the_package_of_a_missing_dependency_survives_pickling():
    error = MissingDependencyError.for_package("torch", purpose="The bench", install="torch")
    assert pickle.loads(pickle.dumps(error)).name == "torch"
