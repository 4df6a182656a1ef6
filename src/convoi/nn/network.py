"""Networks: a graph with parameters, compiled when it is first used."""

from __future__ import annotations

import copy
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from convoi.checks import check_choice, check_flag, check_integer, refusal
from convoi.errors import ArgumentError, ArgumentTypeError, DataError
from convoi.graph import INPUT, Graph
from convoi.nn.arrays import check_parameters, check_samples, frozen
from convoi.nn.explanation import NetworkExplanation
from convoi.nn.gradients import GradientProgram
from convoi.nn.initialize import initial_parameters
from convoi.nn.losses import LossLike, check_sample_weight, check_target, loss_operation
from convoi.nn.precision import check_precision
from convoi.nn.predictor import Predictor
from convoi.nn.setting import Setting
from convoi.nn.sliding import predict_long
from convoi.nn.summary import NetworkSummary, summarize
from convoi.nn.trace import check_graph, check_input_shape, trace
from convoi.nn.unequal import UnequalPredictor, UnequalSeries

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from convoi.compiler.pipeline import Precision
    from convoi.nn.layers import Layer
    from convoi.ops import ParameterSpec, Shape

__all__ = ["Network", "load"]

RandomState: TypeAlias = int | np.random.SeedSequence | np.random.Generator | np.random.RandomState


class Network:
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

    Convolutions with 3 or 5 taps along each of one or two axes, or more along one, without
    strides, dilations and groups, are computed by Winograd's forms F(4, 3), F(2, 3), F(4, 5),
    F(2, 5), F(6, 3) or F(4, 4) where that is quicker [1]_. Their largest error, relative to the
    largest output, was measured to be 1e-6 to 2e-6 for 16 input channels, 3e-6 for 256 and 1e-5
    for 2048, with 5 taps along two axes 3e-6 for 16 and 8e-6 for 128, and with 41 along one 2e-6
    for 16 and 8e-6 for 256; of sums of products, it is 4e-7 to 5e-6.

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
        graph = _graph(layers, input_shape)
        kind = np.dtype(_dtype(dtype))
        if threads is not None:
            threads = check_integer(threads, "threads", "Network", minimum=1)
        self._set_up(graph, Setting(kind, threads, check_precision(precision, "Network")))
        if parameters is None:
            initial = initial_parameters(graph, random_state, kind)
        else:
            initial = check_parameters(parameters, graph, kind)
        self._parameters = frozen(initial)

    def _set_up(self, graph: Graph, setting: Setting) -> None:
        self._graph = graph
        self._setting = setting
        self._predictor = Predictor(graph, setting)
        self._unequal = UnequalPredictor(graph, setting)
        self._gradients = GradientProgram(graph, setting)

    @property
    def graph(self) -> Graph:
        """The operations."""
        return self._graph

    @property
    def input_shape(self) -> Shape:
        """Shape of one sample."""
        return self._graph.shape(INPUT)

    @property
    def output_shape(self) -> Shape:
        """Shape of what the network makes of one sample."""
        return self._graph.shape(self._graph.outputs[0])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of parameters and computations."""
        return self._setting.dtype

    @property
    def threads(self) -> int | None:
        """Number of threads; None leaves it to the process's processors."""
        return self._setting.threads

    @property
    def precision(self) -> Precision:
        """How exactly convolutions are computed, "default" or "high"."""
        return self._setting.precision

    @property
    def parameter_specs(self) -> Mapping[str, ParameterSpec]:
        """Shape, kind and fan-in of every parameter by name, in the order of the layers."""
        return MappingProxyType(dict(self._graph.parameters))

    @property
    def parameters(self) -> dict[str, NDArray[Any]]:
        """All parameters by name, as read-only arrays; assignable as a whole.

        Assigning checks that exactly the network's parameters are given, with their shapes, and
        copies them. It raises ArgumentError, ArgumentTypeError or ShapeError if they are not.
        """
        return dict(self._parameters)

    @parameters.setter
    def parameters(self, values: Mapping[str, ArrayLike]) -> None:
        self._parameters = frozen(check_parameters(values, self._graph, self.dtype))

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

    def summary(
        self, *, show: bool = True, batch_size: int = 128, measure: bool = False
    ) -> NetworkSummary:
        """Return what the layers are and what they cost, and print it as a table.

        Parameters
        ----------
        show : bool
            Whether the table is printed.
        batch_size : int
            Samples of the batch for which memory is planned and times are measured; counts and
            times are per sample.
        measure : bool
            Whether the time of each layer is measured on one thread, and compared with the most
            multiply-adds per second that a core can do. Without it, nothing is compiled.

        Returns
        -------
        NetworkSummary
            A record per layer, and the totals: parameters, connections, multiply-adds, bytes,
            arithmetic intensity, receptive field, planned memory and measured times.

        Raises
        ------
        ArgumentError, ArgumentTypeError
            If the batch size is no positive integer, or a flag no bool.

        Examples
        --------
        >>> from convoi import Network, nn
        >>> network = Network(nn.Sequential(nn.Conv(8, 3), nn.ReLU()), input_shape=(1, 8, 8))
        >>> summary = network.summary(show=False)
        >>> summary
        <NetworkSummary: 2 layers, 80 parameters, 2,592 multiply-adds>
        >>> summary.layers[0].output_shape
        (8, 6, 6)
        >>> summary.layers[0].receptive_field.size
        (3, 3)
        """
        size = check_integer(batch_size, "batch_size", "summary", minimum=1)
        check_flag(show, "show", "summary")
        timed = check_flag(measure, "measure", "summary")
        measured = self._parameters if timed else None
        summary = summarize(self._graph, self._setting, batch_size=size, measured=measured)
        if show:
            summary.show()
        return summary

    def explain(
        self, *, show: bool = True, training: bool = False, batch_size: int = 128
    ) -> NetworkExplanation:
        """Return which kernel computes each layer on this machine and why, and print it.

        Parameters
        ----------
        show : bool
            Whether the table is printed.
        training : bool
            Whether a step of training (with cross-entropy) is explained, or predictions.
        batch_size : int
            Samples of the batch that threads share.

        Returns
        -------
        NetworkExplanation
            A record per kernel: its kind, Winograd form, register tile and vector width, what is
            fused with it, the samples that pass it together, the costs of the candidates by the
            cost model, in cycles, and the reason of the choice. Nothing is compiled.

        Raises
        ------
        ArgumentError, ArgumentTypeError
            If the batch size is no positive integer, or a flag no bool; in training also if the
            network is none for cross-entropy.

        Examples
        --------
        >>> from convoi import Network, nn
        >>> layers = nn.Sequential(nn.Conv(16, 3), nn.ReLU(), nn.Conv(16, 3))
        >>> network = Network(layers, input_shape=(3, 32, 32))
        >>> explanation = network.explain(show=False)
        >>> [kernel.form for kernel in explanation.kernels if kernel.layer == "2"]
        ['F(4,3)']
        """
        # Deferred, because compiling needs llvmlite and describing a network does not.
        from convoi.compiler.explaining import explain_program  # noqa: PLC0415
        from convoi.runtime.threads import resolve_threads  # noqa: PLC0415

        check_flag(show, "show", "explain")
        size = check_integer(batch_size, "batch_size", "explain", minimum=1)
        kernels = explain_program(
            self._graph,
            self.dtype.name,
            training=check_flag(training, "training", "explain"),
            winograd=self.precision == "default",
            batch_size=size,
        )
        threads = resolve_threads(self.threads, "explain")
        explanation = NetworkExplanation(tuple(kernels), training, size, threads)
        if show:
            explanation.show()
        return explanation

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to a file that :func:`convoi.load` reads.

        The file is in the safetensors format, with the graph as metadata. It appears as a whole
        or, in case of an error, not at all.

        Parameters
        ----------
        path : str or PathLike
            The file; an existing one is replaced.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        from convoi.nn.model_file import write_model  # noqa: PLC0415 - loads safetensors

        write_model(path, self._graph, self._parameters)

    def __repr__(self) -> str:
        count = sum(array.size for array in self._parameters.values())
        return (
            f"<Network: {self.input_shape} to {self.output_shape}, {count} parameters, "
            f"{self.dtype.name}>"
        )

    def __getstate__(self) -> dict[str, Any]:
        return {
            "graph": self._graph,
            "dtype": self.dtype.name,
            "threads": self.threads,
            "precision": self.precision,
            "parameters": dict(self._parameters),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        setting = Setting(np.dtype(state["dtype"]), state["threads"], state["precision"])
        self._set_up(state["graph"], setting)
        self._parameters = frozen(state["parameters"])

    def __deepcopy__(self, memo: dict[int, Any]) -> Network:
        # Graph and arrays are immutable: a copy may share them.
        return copy.copy(self)


def load(
    path: str | os.PathLike[str],
    *,
    threads: int | None = None,
    precision: Precision = "default",
) -> Network:
    """Read a network from a file that :meth:`Network.save` wrote.

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


def _graph(layers: object, input_shape: object) -> Graph:
    """Return the graph of a network, checked to be one."""
    if not isinstance(layers, Graph):
        if input_shape is None:
            raise ArgumentTypeError(
                "The 'input_shape' parameter of Network is needed with layers: the shape of one "
                "sample, (channels, *spatial)."
            )
        return trace(layers, input_shape)  # type: ignore[arg-type]  # trace checks them
    shape = check_graph(layers).shape(INPUT)
    if input_shape is not None and check_input_shape(input_shape) != shape:
        expectation = f"{shape}, as in the graph, or be left out"
        raise ArgumentError(refusal("input_shape", "Network", expectation, input_shape))
    return layers


def _dtype(value: object) -> Literal["float32", "float64"]:
    try:
        # NumPy takes None for float64.
        name = value if value is None else np.dtype(value).name  # type: ignore[call-overload]
    except TypeError:
        name = value
    choices: tuple[Literal["float32", "float64"], ...] = ("float32", "float64")
    return check_choice(name, "dtype", "Network", choices)
