"""Programs that look into networks: values of their layers, and gradients of their output."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from convoi.compiler.inference import PredictionProgram
from convoi.compiler.pipeline import Compiled, Precision, compile_values, compile_vector_jacobian
from convoi.compiler.simplify import simplify_inference
from convoi.compiler.sources import open_source
from convoi.errors import ShapeError
from convoi.graph import INPUT, OUTPUT_GRADIENT, Graph

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from convoi.codegen.target import Target
    from convoi.ops import Array


class ValuesProgram(PredictionProgram):
    """Several values of a network in one pass, compiled.

    Parameters
    ----------
    graph : Graph
        A network: the one input "input" and one output.
    values : sequence of str
        Names of nodes, at least one.
    dtype, threads, precision
        As of :class:`InferenceProgram`.
    """

    def __init__(
        self,
        graph: Graph,
        values: Sequence[str],
        dtype: str = "float32",
        threads: int | None = None,
        *,
        precision: Precision = "default",
    ) -> None:
        self.values = tuple(values)
        self._computed: tuple[str, ...] = ()
        """Those that are not the input itself, as what follows dropout may be."""
        super().__init__(graph, dtype, threads, precision=precision)

    def _compile(self, target: Target, *, fast: bool) -> Compiled:
        simplified = simplify_inference(replace(self.graph, outputs=self.values))
        outputs = dict(zip(self.values, simplified.graph.outputs, strict=True))
        self._computed = tuple(name for name, output in outputs.items() if output != INPUT)
        graph = replace(simplified.graph, outputs=tuple(outputs[n] for n in self._computed))
        simplified = replace(simplified, graph=graph)
        return compile_values(simplified, self.dtype, target, fast=fast)

    def __call__(self, X: ArrayLike) -> dict[str, Array]:
        """Return ``(n, *shape of the value)`` for each value by name.

        Parameters
        ----------
        X : array_like
            Samples ``(n, *input_shape)``, as of :class:`InferenceProgram`, which also lists the
            errors.
        """
        source = open_source(X, self._input_shape, None)
        shapes = [self.graph.shape(name) for name in self._computed]
        found = dict(zip(self._computed, self._outputs(source, shapes), strict=True))
        return {
            name: found[name] if name in found else np.array(X, self.dtype) for name in self.values
        }


class VectorJacobianProgram(PredictionProgram):
    """The gradient of a network's output by one of its values, compiled.

    The network is the one that predicts: batch normalisation has its running statistics, and
    dropout does nothing.

    Parameters
    ----------
    graph : Graph
        A network: the one input "input" and one output.
    value : str
        What the output is differentiated by: the input, or the name of a node.
    dtype, threads, precision
        As of :class:`InferenceProgram`.

    Raises
    ------
    ArgumentError
        If the output does not depend on the value, or an operation on the way has a gradient in
        training only.
    """

    def __init__(
        self,
        graph: Graph,
        value: str = INPUT,
        dtype: str = "float32",
        threads: int | None = None,
        *,
        precision: Precision = "default",
    ) -> None:
        self.value = value
        super().__init__(graph, dtype, threads, precision=precision)

    def _compile(self, target: Target, *, fast: bool) -> Compiled:
        return compile_vector_jacobian(self.graph, self.value, self.dtype, target, fast=fast)

    def __call__(self, X: ArrayLike, output_gradient: ArrayLike) -> Array:
        """Return ``sum(output_gradient * dy / dvalue)`` over the elements of each output ``y``.

        Parameters
        ----------
        X : array_like
            Samples ``(n, *input_shape)``, as of :class:`InferenceProgram`.
        output_gradient : array_like
            ``(n, *output_shape)``.

        Returns
        -------
        ndarray
            ``(n, *shape of the value)``.

        Raises
        ------
        ShapeError, ArgumentTypeError
            If an array has another shape, or ``X`` holds no numbers.
        """
        source = open_source(X, self._input_shape, None)
        expected = (len(source), *self.graph.shape(self.graph.outputs[0]))
        gradient = np.ascontiguousarray(output_gradient, self.dtype)
        if gradient.shape != expected:
            message = (
                f"The 'output_gradient' parameter must have the shape {expected}, got "
                f"{gradient.shape}."
            )
            raise ShapeError(message)
        shape = self.graph.shape(self.value)
        (result,) = self._outputs(source, [shape], {OUTPUT_GRADIENT: gradient})
        return result
