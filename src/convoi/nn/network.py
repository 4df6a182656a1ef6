"""Networks: graphs with parameters, compiled when they are first used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from convoi.checks import check_choice, check_integer
from convoi.errors import DataError
from convoi.nn.arrays import check_parameters, check_samples
from convoi.nn.gradients import GradientProgram
from convoi.nn.initialize import initial_parameters
from convoi.nn.losses import LossLike, check_sample_weight, check_target, loss_operation
from convoi.nn.parametrized import ParametrizedGraph
from convoi.nn.precision import check_precision
from convoi.nn.predictor import Predictor
from convoi.nn.setting import Setting
from convoi.nn.sliding import predict_long
from convoi.nn.trace import as_graph
from convoi.nn.unequal import UnequalPredictor, UnequalSeries

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from convoi.compiler.pipeline import Precision
    from convoi.graph import Graph
    from convoi.nn.layers import Layer

__all__ = ["Network", "load"]

RandomState: TypeAlias = int | np.random.SeedSequence | np.random.Generator | np.random.RandomState


class Network(ParametrizedGraph):
    """A network for inputs of one shape.

    Parameters
    ----------
    layers : Layer or Graph
        The tree of layers, or the graph that it is traced to.
    input_shape : sequence of int
        Shape of one sample: ``(channels, *spatial)`` with 1 to 3 spatial axes, or
        ``(features,)``. It may be left out for a graph, which has it already.
    dtype : {"float32", "float64"}
        Type of parameters and computations. float64 is for checks.
    random_state : None, int, SeedSequence, Generator or RandomState
        Where the initial weights come from; the same integer gives the same weights again.
    threads : int, optional
        Number of threads. The default follows from the processors that the process may use.
        Results do not depend on it.
    precision : {"default", "high"}
        How exactly convolutions in float32 are computed. "default" multiplies less where that
        is quicker, with an error below 1e-5 of the largest output (see Notes); "high" always
        sums the products of a window. Like `threads`, it is not saved.
    parameters : mapping of str to array-like, optional
        Initial values of all parameters, in place of random ones.

    Attributes
    ----------
    graph : Graph
        The operations.
    input_shape, output_shape : tuple of int
        Shapes of one sample and of what the network makes of it.
    dtype : numpy.dtype
        Type of parameters and computations.
    parameters : dict of str to ndarray
        All parameters in the order of the layers, statistics included. Names and layouts are
        those of PyTorch's ``state_dict``. The arrays are read-only; assign a dictionary of all
        of them to change them.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If an argument has a type or value that it may not have.
    ShapeError
        If a layer cannot take its input, or a parameter has the wrong shape.

    Notes
    -----
    A network can be copied and pickled; the program is compiled again, or found in the cache of
    compiled code. Several threads may predict at the same time.

    Convolutions with 3 or 5 taps along each of one or two axes, without strides, dilations and
    groups, are computed by Winograd's forms F(4, 3), F(2, 3), F(4, 5), F(2, 5), F(6, 3) and others
    where that is quicker [1]_. Their largest error, relative to the largest output, was measured
    to be 1e-6 to 2e-6 for 16 input channels, 3e-6 for 256 and 1e-5 for 2048, and with 5 taps along
    two axes 3e-6 for 16 and 8e-6 for 128; of sums of products, it is 4e-7 to 5e-6. Those with 6 to
    193 taps along one axis, or 6 to 13 along each of two, are computed in the Fourier domain, with
    errors of 2e-7 to 5e-7.

    References
    ----------
    .. [1] A. Lavin and S. Gray, "Fast algorithms for convolutional neural networks", CVPR 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from convoi import Network, nn
    >>> layers = nn.Sequential(nn.Conv(8, 3), nn.ReLU(), nn.Flatten(), nn.Dense(10))
    >>> network = Network(layers, input_shape=(1, 8, 8), random_state=0)
    >>> network
    <Network: (1, 8, 8) to (10,), 2970 parameters, float32>
    >>> network(np.zeros((5, 1, 8, 8))).shape
    (5, 10)
    """

    def __init__(
        self,
        layers: Layer | Graph,
        input_shape: Sequence[int] | None = None,
        *,
        dtype: DTypeLike = "float32",
        random_state: RandomState | None = None,
        threads: int | None = None,
        precision: Precision = "default",
        parameters: Mapping[str, ArrayLike] | None = None,
    ) -> None:
        graph = as_graph(layers, input_shape)
        kind = np.dtype(_dtype(dtype))
        if threads is not None:
            threads = check_integer(threads, "threads", "Network", minimum=1)
        setting = Setting(kind, threads, check_precision(precision, "Network"))
        if parameters is None:
            initial = initial_parameters(graph, random_state, kind)
        else:
            initial = check_parameters(parameters, graph, kind)
        super().__init__(graph, setting, initial)

    def _set_up(
        self, graph: Graph, setting: Setting, parameters: Mapping[str, NDArray[Any]]
    ) -> None:
        super()._set_up(graph, setting, parameters)
        self._predictor = Predictor(graph, setting)
        self._unequal = UnequalPredictor(graph, setting)
        self._gradients = GradientProgram(graph, setting)

    def __call__(self, X: ArrayLike) -> NDArray[Any]:
        """Return the network's output for samples.

        Batch normalisation uses its running estimates, and dropout passes everything on.

        Parameters
        ----------
        X : array-like of shape (n, *input_shape)
            Real numbers of any dtype, such as bytes of images. NaN and infinity in a sample
            give NaN or infinity in its output.

        Returns
        -------
        ndarray of shape (n, *output_shape)
            Of the network's dtype.

        Raises
        ------
        ArgumentTypeError
            If the samples are no real numbers.
        ShapeError
            If they have another shape.
        CompilationError
            If the network cannot be compiled for this processor.
        """
        return self._predictor(check_samples(X, self.input_shape, self.dtype), self._parameters)

    def predict_unequal(
        self, series: Sequence[ArrayLike] | UnequalSeries
    ) -> NDArray[Any] | list[NDArray[Any]]:
        """Return the network's output for series of unequal length.

        Each series gives what it would give alone, from the network with the same layers for its
        own length: padding and the other series have no influence.

        Parameters
        ----------
        series : sequence of array-like, or UnequalSeries
            Each of shape (channels, time), or (time,) for one channel, and of any length that the
            layers take.

        Returns
        -------
        ndarray of shape (n, outputs), or list of ndarray of shape (outputs, positions)
            A list where the network has an output for each position.

        Raises
        ------
        ArgumentError
            If a layer works on one length only, such as a dense layer behind ``Flatten``.
        ArgumentTypeError, ShapeError, DataError
            If a series holds no real numbers, has other channels or is too short.

        Notes
        -----
        Paddings given as ``"same"`` are those of the network's ``input_shape``; that matters for
        strides greater than 1.

        Examples
        --------
        >>> import numpy as np
        >>> from convoi import Network, nn
        >>> network = Network(nn.networks.fcn(3, width=8), input_shape=(1, 50), random_state=0)
        >>> network.predict_unequal([np.ones(20), np.ones(77)]).shape
        (2, 3)
        """
        X = series if isinstance(series, UnequalSeries) else UnequalSeries.of(series, "series")
        return self._unequal(X, self._parameters)

    def predict_long(
        self,
        recording: ArrayLike,
        *,
        part: int | None = None,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Return the network's output for each time step of a long recording, in bounded memory.

        The recording is predicted part by part. Parts overlap by the receptive field, so that the
        result is that of the whole recording at once, but for rounding.

        Parameters
        ----------
        recording : array-like of shape (channels, time), or (time,) for one channel
            Real numbers of any dtype and any length that the layers take. A memory map is read
            part by part.
        part : int, optional
            Time steps of a part; it is enlarged where the receptive field asks for it. By default
            16384, or eight receptive fields.
        out : ndarray of floats, shape (outputs, positions), optional
            Where to write the result, such as a memory map.

        Returns
        -------
        ndarray of shape (outputs, positions)
            Of the network's dtype, or ``out``. Without strides and with padding there is a
            position for each time step.

        Raises
        ------
        ArgumentError
            If the network has one output for the whole series, or a layer that works on one
            length only.
        ArgumentTypeError, ShapeError, DataError
            If the recording holds no real numbers, has other channels or is too short.

        Notes
        -----
        Paddings given as ``"same"`` are those of the network's ``input_shape``; that matters for
        strides greater than 1.

        Examples
        --------
        >>> import numpy as np
        >>> from convoi import Network, nn
        >>> layers = nn.networks.tcn(3, width=8, per_step=True)
        >>> network = Network(layers, input_shape=(1, 500), random_state=0)
        >>> network.predict_long(np.zeros(100_000)).shape
        (3, 100000)
        """
        return predict_long(
            self._graph,
            self._parameters,
            recording,
            part=part,
            out=out,
            setting=self._setting,
        )

    def loss_and_gradients(
        self,
        X: ArrayLike,
        y: ArrayLike,
        loss: LossLike = "cross_entropy",
        sample_weight: ArrayLike | None = None,
        *,
        seed: int = 0,
    ) -> tuple[float, dict[str, NDArray[Any]]]:
        """Return the loss of samples and its gradients, as in one step of training.

        Batch normalisation uses the statistics of these samples, and dropout is active. Nothing
        in the network changes.

        Parameters
        ----------
        X : array-like of shape (n, *input_shape)
            Samples, at least one.
        y : array-like
            For cross-entropy class numbers, ``(n, *spatial)``, where the network's output has
            the shape ``(classes, *spatial)``; else targets, ``(n, *output_shape)``.
        loss : {"cross_entropy", "mean_squared", "mean_absolute", "huber"} or Loss
            What is computed for each sample; cross-entropy takes logits. A loss with settings is
            an object, such as ``nn.CrossEntropy(label_smoothing=0.1)``.
        sample_weight : array-like of shape (n,), optional
            Weights of the samples; their mean loss is weighted by them.
        seed : int
            What the masks of dropout follow from.

        Returns
        -------
        loss : float
            The mean over the samples.
        gradients : dict of str to ndarray
            The gradient with respect to each trainable parameter, by name.

        Raises
        ------
        ArgumentError, ArgumentTypeError
            If an argument has a type or value that it may not have.
        ShapeError
            If samples, targets or weights have the wrong shape.
        DataError
            If there are no samples, or targets or weights cannot be used.

        Examples
        --------
        >>> import numpy as np
        >>> from convoi import Network, nn
        >>> network = Network(
        ...     nn.Dense(1), input_shape=(2,), parameters={"weight": [[1.0, 2.0]], "bias": [0.0]}
        ... )
        >>> loss, gradients = network.loss_and_gradients([[1.0, 1.0]], [5.0], "mean_squared")
        >>> loss, gradients["weight"]
        (4.0, array([[-4., -4.]], dtype=float32))
        """
        op = loss_operation(loss, "loss_and_gradients")
        seed = check_integer(seed, "seed", "loss_and_gradients", minimum=0, maximum=2**64 - 1)
        samples = check_samples(X, self.input_shape, self.dtype)
        if len(samples) == 0:
            raise DataError("loss_and_gradients needs at least one sample. Got X with none.")
        target = check_target(op, y, len(samples), self.output_shape, self.dtype)
        weight = check_sample_weight(sample_weight, len(samples), self.dtype)
        return self._gradients(op, self._parameters, (samples, target, weight), seed)

    def __repr__(self) -> str:
        count = sum(array.size for array in self._parameters.values())
        return (
            f"<Network: {self.input_shape} to {self.output_shape}, {count} parameters, "
            f"{self.dtype.name}>"
        )


def load(
    path: str | os.PathLike[str],
    *,
    threads: int | None = None,
    precision: Precision = "default",
) -> Network:
    """Read a network from a file that :meth:`Network.save <convoi.nn.Network.save>` wrote.

    Reading runs no code from the file, and the file's data are compared with a checksum in it.

    Parameters
    ----------
    path : str or PathLike
        The file.
    threads : int, optional
        Number of threads of the network.
    precision : {"default", "high"}
        How exactly the network computes, see :class:`Network`.

    Returns
    -------
    Network
        The network.

    Raises
    ------
    ModelFileError
        If the file cannot be read, is damaged or does not describe a network.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from convoi import Network, nn
    >>> network = Network(nn.Dense(3), input_shape=(2,), random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "model.safetensors")
    ...     network.save(path)
    ...     load(path)
    <Network: (2,) to (3,), 9 parameters, float32>
    """
    from convoi.nn.model_file import read_model  # noqa: PLC0415 - loads safetensors

    model = read_model(path)
    return Network(
        model.graph,
        dtype=model.dtype,
        parameters=model.parameters,
        threads=threads,
        precision=precision,
    )


def _dtype(value: object) -> Literal["float32", "float64"]:
    try:
        # NumPy takes None for float64.
        name = value if value is None else np.dtype(value).name  # type: ignore[call-overload]
    except TypeError:
        name = value
    choices: tuple[Literal["float32", "float64"], ...] = ("float32", "float64")
    return check_choice(name, "dtype", "Network", choices)
