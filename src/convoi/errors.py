"""Exceptions of Convoi.

Each error derives from ``ConvoiError`` and from the built-in exception that a user would
catch, so that both ``except ConvoiError`` and ``except ValueError`` do what they say:

    Exception
    └── ConvoiError
        ├── ArgumentError           (ValueError)    a parameter has a value that it may not have
        ├── ArgumentTypeError       (TypeError)     a parameter has a type that it may not have
        ├── ShapeError              (ValueError)    shapes do not fit the operation or each other
        ├── DataError               (ValueError)    samples or targets cannot be used
        │   └── DataFileError       (OSError)       a file of data cannot be read or decoded
        ├── ModelFileError          (ValueError, OSError)  a model file cannot be read or is invalid
        ├── CheckpointError         (OSError)       a checkpoint cannot be written or resumed from
        ├── DivergenceError         (FloatingPointError)  training has run into NaN or infinity
        ├── CompilationError        (RuntimeError)  a program could not be compiled
        └── MissingDependencyError  (ImportError)   an optional package is not installed

All of them are raised with one argument, the message, and can be pickled: they pass unchanged
from worker processes to their parent.
"""

from __future__ import annotations

__all__ = [
    "ArgumentError",
    "ArgumentTypeError",
    "CheckpointError",
    "CompilationError",
    "ConvoiError",
    "DataError",
    "DataFileError",
    "DivergenceError",
    "MissingDependencyError",
    "ModelFileError",
    "ShapeError",
]


class ConvoiError(Exception):
    """Base class of every exception that Convoi raises on purpose."""


class ArgumentError(ConvoiError, ValueError):
    """A parameter or a setting has a value that it may not have."""


class ArgumentTypeError(ConvoiError, TypeError):
    """A parameter or a setting has a type that it may not have."""


class ShapeError(ConvoiError, ValueError):
    """Shapes do not fit the operation or each other.

    A kernel larger than its padded input is an example.
    """


class DataError(ConvoiError, ValueError):
    """Samples or targets cannot be used: NaN, no samples, a wrong rank, an unknown class."""


class DataFileError(DataError, OSError):
    """A file of data is missing, cannot be read or cannot be decoded."""


class ModelFileError(ConvoiError, ValueError, OSError):
    """A model file cannot be read, is damaged or does not describe a network."""


class CheckpointError(ConvoiError, OSError):
    """A checkpoint of a training run cannot be written, read or resumed from."""


class DivergenceError(ConvoiError, FloatingPointError):
    """Training has run into a loss or parameters that are NaN or infinite."""


class CompilationError(ConvoiError, RuntimeError):
    """A program could not be compiled or loaded for the target."""


class MissingDependencyError(ConvoiError, ImportError):
    """An optional package is needed and not installed."""

    @classmethod
    def for_package(cls, package: str, *, purpose: str, install: str) -> MissingDependencyError:
        """Return the error for one package, its message ending in the command that installs it.

        Parameters
        ----------
        package : str
            Name by which the package is imported. It is also the error's ``name``.
        purpose : str
            What needs the package: the subject of the message.
        install : str
            What to give to ``pip install``.

        Returns
        -------
        MissingDependencyError
            Ready to be raised.

        Examples
        --------
        >>> error = MissingDependencyError.for_package(
        ...     "onnx", purpose="Reading ONNX files", install="convoi[onnx]"
        ... )
        >>> print(error)
        Reading ONNX files needs the package 'onnx', which is not installed. Install it with: pip
        install 'convoi[onnx]'
        """
        return cls(
            f"{purpose} needs the package {package!r}, which is not installed. "
            f"Install it with: pip install {install!r}",
            name=package,
        )
