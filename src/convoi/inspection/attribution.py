"""On what of its input a prediction depends: gradients, and maps that are made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from convoi.checks import check_flag, check_integer
from convoi.errors import ArgumentError, ShapeError
from convoi.graph import INPUT
from convoi.inspection.activations import feature_maps
from convoi.inspection.arguments import (
    check_layer,
    check_network,
    chosen_outputs,
    samples_of,
    spatial_shape,
)
from convoi.inspection.blocks import end_of_block, is_convolution
from convoi.inspection.programs import gradient_program

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from convoi.nn import Network

__all__ = ["grad_cam", "grad_cam_layer", "input_gradient", "integrated_gradients", "saliency"]


def input_gradient(network: Network, X: ArrayLike, output: ArrayLike | None = None) -> NDArray[Any]:
    r"""Return the gradient of an output by the input, :math:`\partial y_k / \partial x`.

    The network is differentiated as it predicts: batch normalisation has its running statistics.

    Parameters
    ----------
    network : Network
        The network, whose outputs have the shape ``(outputs,)``.
    X : array-like of shape (n, *input_shape)
        Samples.
    output : int or array-like of int, shape (n,), optional
        Number of the output to differentiate, one for all or one for each sample: of a
        classifier the number of the class, whose logit it is. By default the largest output.

    Returns
    -------
    ndarray of shape (n, *input_shape)
        Of the network's dtype.

    Raises
    ------
    ArgumentError, ArgumentTypeError, ShapeError
        If an argument has a type, a value or a shape that it may not have, or the network pools
        at random (``StochasticPool``, ``FractionalMaxPool``): that has a gradient in training
        only.

    Examples
    --------
    >>> from convoi import Network, inspection, nn
    >>> weights = {"weight": [[1.0, 2.0], [3.0, 4.0]], "bias": [0.0, 0.0]}
    >>> network = Network(nn.Dense(2), (2,), parameters=weights)
    >>> inspection.input_gradient(network, [[5.0, 5.0]], output=1)
    array([[3., 4.]], dtype=float32)
    """
    return _input_gradient(network, X, output, "input_gradient")


def _input_gradient(
    network: Network, X: ArrayLike, output: ArrayLike | None, owner: str
) -> NDArray[Any]:
    samples = samples_of(check_network(network, owner), X)
    numbers = chosen_outputs(network, samples, output, owner)
    return gradient_program(network, INPUT)(samples, _one_hot(network, numbers))


def saliency(network: Network, X: ArrayLike, output: ArrayLike | None = None) -> NDArray[Any]:
    r"""Return how much an output changes with each position of the input.

    .. math:: S_p = \max_c \left| \partial y_k / \partial x_{c,p} \right|

    Parameters
    ----------
    network, X, output
        See :func:`input_gradient`, which also lists the errors.

    Returns
    -------
    ndarray of shape (n, *spatial), or (n, features) for an input without positions
        Not negative.

    References
    ----------
    .. [1] K. Simonyan, A. Vedaldi and A. Zisserman, "Deep inside convolutional networks:
       visualising image classification models and saliency maps", ICLR workshop 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from convoi import Network, inspection, nn
    >>> layers = nn.Sequential(nn.Conv(4, 3), nn.ReLU(), nn.Flatten(), nn.Dense(3))
    >>> network = Network(layers, (3, 8, 8), random_state=0)
    >>> inspection.saliency(network, np.ones((2, 3, 8, 8))).shape
    (2, 8, 8)
    """
    size = np.abs(_input_gradient(network, X, output, "saliency"))
    largest: NDArray[Any] = size.max(axis=1) if size.ndim > 2 else size
    return largest


def integrated_gradients(
    network: Network,
    X: ArrayLike,
    output: ArrayLike | None = None,
    *,
    baseline: ArrayLike = 0.0,
    steps: int = 64,
) -> NDArray[Any]:
    r"""Return the part that each value of the input has in an output.

    .. math:: A_e = (x_e - b_e) \int_0^1
              \frac{\partial y_k}{\partial x_e} \bigl(b + t (x - b)\bigr) \, dt

    The parts are complete: their sum is :math:`y_k(x) - y_k(b)`. The integral is computed by
    Gauss-Legendre quadrature, whose error is seen as what is missing from that sum.

    Parameters
    ----------
    network, X, output
        See :func:`input_gradient`. By default the largest output of each sample is explained.
    baseline : float or array-like, broadcastable to X
        The input without information, with which the sample is compared. Zero is black where
        zero is black; grey may be fairer to dark objects.
    steps : int
        Number of gradients that are computed for each sample.

    Returns
    -------
    ndarray of float64, shape (n, *input_shape)
        Positive where the value speaks for the output.

    Raises
    ------
    ArgumentError, ArgumentTypeError, ShapeError
        If an argument has a type, a value or a shape that it may not have.

    References
    ----------
    .. [1] M. Sundararajan, A. Taly and Q. Yan, "Axiomatic attribution for deep networks",
       ICML 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from convoi import Network, inspection, nn
    >>> layers = nn.Sequential(nn.Conv(4, 3), nn.Tanh(), nn.Flatten(), nn.Dense(3))
    >>> network = Network(layers, (1, 8, 8), random_state=0, dtype="float64")
    >>> X = np.random.default_rng(0).normal(size=(2, 1, 8, 8))
    >>> parts = inspection.integrated_gradients(network, X, output=1)
    >>> difference = network(X)[:, 1] - network(np.zeros_like(X))[:, 1]
    >>> np.allclose(parts.sum(axis=(1, 2, 3)), difference)
    True
    """
    owner = "integrated_gradients"
    samples = samples_of(check_network(network, owner), X).astype(np.float64)
    count = check_integer(steps, "steps", owner, minimum=1)
    start = np.asarray(baseline, np.float64)
    try:
        start = np.broadcast_to(start, samples.shape)
    except ValueError as error:
        raise ShapeError(
            f"The 'baseline' parameter of {owner} must be broadcastable to {samples.shape}, the "
            f"shape of X. Got {start.shape} instead."
        ) from error
    numbers = chosen_outputs(network, samples, output, owner)
    program, direction = gradient_program(network, INPUT), _one_hot(network, numbers)
    nodes, weights = np.polynomial.legendre.leggauss(count)  # on the interval from -1 to 1
    total = np.zeros(samples.shape)
    for node, weight in zip(nodes, weights, strict=True):
        point = start + (node + 1) / 2 * (samples - start)
        total += weight / 2 * program(point, direction)
    return total * (samples - start)


def grad_cam(
    network: Network,
    X: ArrayLike,
    output: ArrayLike | None = None,
    *,
    layer: str | None = None,
    resize: bool = True,
) -> NDArray[Any]:
    r"""Return where a layer found what speaks for an output.

    .. math:: L_p = \operatorname{ReLU}\Bigl(\sum_c \alpha_c A_{c,p}\Bigr), \qquad
              \alpha_c = \frac{1}{|P|} \sum_{q \in P} \frac{\partial y_k}{\partial A_{c,q}}

    with the layer's feature maps :math:`A`.

    Parameters
    ----------
    network, X, output
        See :func:`input_gradient`. By default the largest output of each sample is explained.
    layer : str, optional
        Name of a layer whose output has positions; by default the last convolution with the
        normalisation and activation that follow it (:func:`grad_cam_layer`).
    resize : bool
        Whether the map is brought to the size of the input, by linear interpolation.

    Returns
    -------
    ndarray of shape (n, *spatial)
        Not negative; zero all over if nothing speaks for the output.

    Raises
    ------
    ArgumentError, ArgumentTypeError, ShapeError
        If an argument has a type, a value or a shape that it may not have, or the network no
        convolution.

    References
    ----------
    .. [1] R. Selvaraju et al., "Grad-CAM: visual explanations from deep networks via
       gradient-based localization", ICCV 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from convoi import Network, inspection, nn
    >>> layers = nn.Sequential(nn.Conv(4, 3), nn.ReLU(), nn.GlobalAveragePool(), nn.Dense(3))
    >>> network = Network(layers, (1, 8, 8), random_state=0)
    >>> inspection.grad_cam(network, np.ones((2, 1, 8, 8))).shape
    (2, 8, 8)
    """
    owner = "grad_cam"
    samples = samples_of(check_network(network, owner), X)
    check_flag(resize, "resize", owner)
    name = grad_cam_layer(network) if layer is None else check_layer(network, layer, owner)
    shape = network.graph.shape(name)
    if len(shape) < 2:
        raise ArgumentError(
            f"The 'layer' parameter of {owner} must be a layer whose output has positions. "
            f"Got {name!r} instead, with outputs of shape {shape}."
        )
    numbers = chosen_outputs(network, samples, output, owner)
    gradient = gradient_program(network, name)(samples, _one_hot(network, numbers))
    maps = feature_maps(network, samples, [name])[name]
    positions = tuple(range(2, maps.ndim))
    importance = gradient.mean(axis=positions, keepdims=True)
    found: NDArray[Any] = np.maximum((importance * maps).sum(axis=1), 0)
    return _resized(found, spatial_shape(network)) if resize else found


def grad_cam_layer(network: Network) -> str:
    """Return the layer that :func:`grad_cam` looks at unless it is told another.

    Parameters
    ----------
    network : Network
        The network.

    Returns
    -------
    str
        The last convolution over positions, or the last of the normalisations, sums and
        activations that directly follow it.

    Raises
    ------
    ArgumentError
        If the network has no convolution.
    """
    graph = network.graph
    found = [node.name for node in graph.nodes if is_convolution(graph, node)]
    if not found:
        raise ArgumentError(
            "Grad-CAM needs a convolution, and the network has none. Name another layer whose "
            "output has positions."
        )
    return end_of_block(graph, found[-1])


def _one_hot(network: Network, numbers: NDArray[Any]) -> NDArray[Any]:
    outputs = np.arange(network.output_shape[0])
    chosen: NDArray[Any] = (numbers[:, None] == outputs).astype(network.dtype)
    return chosen


def _resized(maps: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Interpolate linearly between the centres of positions; keep the border's values outside."""
    for axis, extent in enumerate(shape, start=1):
        size = maps.shape[axis]
        centres = ((np.arange(extent) + 0.5) * size / extent - 0.5).clip(0, size - 1)
        low = np.minimum(centres.astype(int), max(size - 2, 0))
        high = np.minimum(low + 1, size - 1)
        share = (centres - low).reshape(-1, *(1,) * (maps.ndim - axis - 1)).astype(maps.dtype)
        maps = maps.take(low, axis) * (1 - share) + maps.take(high, axis) * share
    return maps
