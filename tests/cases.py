"""Small examples of every operation, and arrays for them.

A new operation needs an entry in `CASES`; the tests that walk the registry then find it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from convoi import ops
from convoi.ops import Loss, Operation, ParameterKind, ParameterSpec, Shape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import DTypeLike

Array = np.ndarray[Any, np.dtype[Any]]


def per_axis(value: int | Shape, rank: int) -> Shape:
    return (value,) * rank if isinstance(value, int) else value


def pads(value: int | tuple[tuple[int, int], ...], rank: int) -> tuple[tuple[int, int], ...]:
    return ((value, value),) * rank if isinstance(value, int) else value


def conv(
    filters: int,
    kernel: Shape,
    *,
    stride: int | Shape = 1,
    padding: int | tuple[tuple[int, int], ...] = 0,
    dilation: int | Shape = 1,
    **others: Any,
) -> ops.Conv:
    rank = len(kernel)
    return ops.Conv(
        filters,
        kernel,
        per_axis(stride, rank),
        pads(padding, rank),
        per_axis(dilation, rank),
        **others,
    )


def pool(
    cls: type[Any],
    size: Shape,
    *,
    stride: int | Shape | None = None,
    padding: int | tuple[tuple[int, int], ...] = 0,
    **others: Any,
) -> Any:
    rank = len(size)
    steps = size if stride is None else per_axis(stride, rank)
    return cls(size, steps, pads(padding, rank), **others)


def tiled(filters: int, kernel: Shape, tile: Shape, **others: Any) -> ops.TiledConv:
    names = ("groups", "bias", "shared_bias", "flip")
    own = {name: others.pop(name) for name in names if name in others}
    window = conv(filters, kernel, groups=own.get("groups", 1), **others)
    return ops.TiledConv(
        filters, kernel, window.stride, window.padding, window.dilation, tile, **own
    )


@dataclass(frozen=True)
class Case:
    """An operation and the shapes of its inputs."""

    op: Operation
    inputs: tuple[Shape, ...]

    def __str__(self) -> str:
        return f"{self.op}{self.inputs}"


def _of(op: Operation, *inputs: Shape) -> Case:
    return Case(op, inputs)


_CONVS = (
    _of(conv(4, (3,)), (3, 7)),
    _of(conv(5, (3, 3), padding=1), (1, 5, 6)),
    _of(conv(17, (1, 1), bias=False), (3, 2, 3)),
    _of(conv(4, (2, 3), stride=(2, 1), padding=((1, 0), (0, 2)), flip=True), (3, 5, 4)),
    _of(conv(6, (3, 2), dilation=(2, 3), groups=3), (3, 6, 5)),
    _of(conv(10, (3, 3), stride=2, padding=((0, 1), (1, 1)), groups=5), (5, 6, 5)),
    _of(conv(2, (2, 1, 2), stride=(1, 2, 1), padding=1), (2, 2, 3, 3)),
    _of(conv(3, ()), (5,)),
    _of(conv(3, (2,), stride=4, flip=True, bias=False), (2, 11)),
)
_TILED = (
    _of(tiled(4, (3,), (5,)), (3, 7)),
    _of(tiled(2, (3, 2), (3, 4), padding=((1, 1), (0, 1)), shared_bias=True), (1, 3, 4)),
    _of(tiled(17, (1, 2), (2, 1), bias=False), (3, 3, 3)),
    _of(tiled(4, (2, 3), (1, 2), stride=(2, 1), padding=((1, 0), (0, 2)), flip=True), (3, 5, 4)),
    _of(tiled(6, (2, 2), (2, 1), dilation=(2, 3), groups=3), (3, 5, 5)),
    _of(tiled(5, (3,), (2,), stride=2, groups=5), (5, 9)),
    _of(tiled(2, (2, 1, 2), (2, 2, 1), padding=1), (2, 2, 1, 2)),
)
_POOLS: tuple[tuple[dict[str, Any], Shape], ...] = (
    ({"size": (2,)}, (3, 7)),
    ({"size": (2, 2)}, (5, 4, 6)),
    ({"size": (3, 3), "stride": 2, "padding": 1}, (2, 5, 6)),
    ({"size": (3, 2), "stride": (1, 3), "padding": ((2, 0), (0, 1))}, (3, 4, 6)),
    ({"size": (2, 1, 2), "stride": 1}, (2, 2, 2, 3)),
    ({"size": (2, 2), "stride": 3}, (17, 5, 4)),
)
_SHAPES: tuple[Shape, ...] = ((5,), (3, 4), (17, 2, 3), (2, 2, 1, 3))


_EXTENTS = (ops.Extent(), ops.Extent(-2), ops.Extent(1, 2))


def _pooled(cls: type[Any], **others: Any) -> list[Case]:
    return [_of(pool(cls, **given, **others), shape) for given, shape in _POOLS]


def _with_output(cls: type[Any], forward: Iterable[Case]) -> list[Case]:
    """Return the cases of a gradient that takes x, y and dy."""
    shaped = [(case.op, case.inputs[0], case.op.infer_shape(*case.inputs)) for case in forward]
    return [_of(cls(op), x, y, y) for op, x, y in shaped]


def _from_output(cls: type[Any], forward: Iterable[Case]) -> list[Case]:
    """Return the cases of a gradient that takes dy and knows the shape of x."""
    return [
        _of(cls(case.op, case.inputs[0]), case.op.infer_shape(*case.inputs)) for case in forward
    ]


_MAX = _pooled(ops.MaxPool)
_AVERAGE = [*_pooled(ops.AveragePool), *_pooled(ops.AveragePool, count_padding=True)]
_LP = [*_pooled(ops.LpPool), *_pooled(ops.LpPool, p=3.0), _of(pool(ops.LpPool, (2,), p=1), (2, 5))]
_SEEDED = (
    ops.DropoutMasked,
    ops.FractionalMaxPoolBackward,
    ops.FractionalMaxPoolSampled,
    ops.StochasticPoolBackward,
    ops.StochasticPoolSampled,
)
"""Operations whose last input is the seed of a step."""
_BLUR = [_of(pool(ops.BlurPool, **given), shape) for given, shape in _POOLS[2:5]]
_STOCHASTIC = [
    _of(pool(ops.StochasticPoolSampled, **given, stream=1), shape, ())
    for given, shape in _POOLS[2:5]
]
_ADAPTIVE: tuple[tuple[Shape, Shape], ...] = (
    ((3,), (4, 7)),
    ((2, 4), (3, 5, 4)),
    ((5, 3), (2, 3, 7)),
    ((1, 2, 2), (1, 3, 3, 2)),
)
_FRACTIONAL = [
    _of(ops.FractionalMaxPoolSampled(output, overlapping, 3), shape, ())
    for output, shape, overlapping in (
        ((5,), (4, 7), False),
        ((3, 4), (3, 5, 4), True),
        ((2, 1, 2), (1, 3, 3, 2), False),
    )
]
_BIASLESS = [_of(ops.Conv(**{**vars(case.op), "bias": False}), *case.inputs) for case in _CONVS]
_LINEAR = [_of(replace(case.op, bias=False, shared_bias=False), *case.inputs) for case in _TILED]
_POINTWISE: tuple[ops.Pointwise, ...] = (
    ops.ReLU(),
    ops.LeakyReLU(),
    ops.LeakyReLU(0.2),
    ops.ELU(),
    ops.ELU(0.5),
    ops.GELU(),
    ops.SiLU(),
    ops.HardSwish(),
    ops.HardSigmoid(),
    ops.Sigmoid(),
    ops.Tanh(),
)
_LOSSES: tuple[Loss, ...] = (
    ops.CrossEntropy(),
    ops.CrossEntropy(0.1),
    ops.MeanSquaredError(),
    ops.MeanAbsoluteError(),
    ops.Huber(),
    ops.Huber(0.3),
)

CASES: tuple[Case, ...] = (
    *_CONVS,
    *_from_output(ops.ConvBackwardData, _BIASLESS),
    *(
        _of(ops.ConvBackwardWeight(case.op), case.inputs[0], case.op.infer_shape(*case.inputs))
        for case in _BIASLESS
        if isinstance(case.op, ops.Conv)
    ),
    *(_of(ops.ChannelSum(), shape) for shape in _SHAPES),
    *_TILED,
    *_from_output(ops.TiledConvBackwardData, _LINEAR),
    *(
        _of(ops.TiledConvBackwardWeight(c.op), c.inputs[0], c.op.infer_shape(*c.inputs))
        for c in _LINEAR
        if isinstance(c.op, ops.TiledConv)
    ),
    _of(ops.TileSum((2,)), (3, 5)),
    _of(ops.TileSum((3, 1)), (17, 3, 2)),
    _of(ops.Dense(3), (5,)),
    _of(ops.Dense(17, bias=False), (1,)),
    *_MAX,
    *_with_output(ops.MaxPoolBackward, _MAX),
    *_AVERAGE,
    *_from_output(ops.AveragePoolBackward, _AVERAGE),
    *_LP,
    *_with_output(ops.LpPoolBackward, _LP),
    *_BLUR,
    *_from_output(ops.BlurPoolBackward, _BLUR),
    *(_of(pool(ops.StochasticPool, **given), shape) for given, shape in _POOLS[2:5]),
    *_STOCHASTIC,
    *(
        _of(ops.StochasticPoolBackward(c.op), c.inputs[0], c.op.infer_shape(*c.inputs), ())
        for c in _STOCHASTIC
        if isinstance(c.op, ops.StochasticPoolSampled)
    ),
    *(_of(ops.AdaptiveAveragePool(output), shape) for output, shape in _ADAPTIVE),
    *_from_output(
        ops.AdaptiveAveragePoolBackward,
        [_of(ops.AdaptiveAveragePool(output), shape) for output, shape in _ADAPTIVE],
    ),
    *(_of(ops.AdaptiveMaxPool(output), shape) for output, shape in _ADAPTIVE),
    *_with_output(
        ops.AdaptiveMaxPoolBackward,
        [_of(ops.AdaptiveMaxPool(output), shape) for output, shape in _ADAPTIVE],
    ),
    _of(ops.FractionalMaxPool((5,)), (4, 7)),
    _of(ops.FractionalMaxPool((3, 2), overlapping=True), (2, 5, 3)),
    *_FRACTIONAL,
    *(
        _of(
            ops.FractionalMaxPoolBackward(c.op),
            c.inputs[0],
            y := c.op.infer_shape(*c.inputs),
            y,
            (),
        )
        for c in _FRACTIONAL
        if isinstance(c.op, ops.FractionalMaxPoolSampled)
    ),
    *(_of(ops.GlobalAveragePool(), shape) for shape in _SHAPES[1:]),
    *(_of(ops.GlobalMaxPool(), shape) for shape in _SHAPES[1:]),
    *(_of(ops.BatchNorm(eps=0.1), shape) for shape in _SHAPES),
    *(_of(ops.BatchMoments(), shape) for shape in _SHAPES),
    *(_of(ops.BatchNormalize(eps=0.1), s, (2, s[0])) for s in _SHAPES),
    *(_of(ops.BatchNormGradientSums(eps=0.1), s, (2, s[0]), s) for s in _SHAPES),
    *(_of(ops.BatchNormBackward(eps=0.1), s, (2, s[0]), s, (2, s[0])) for s in _SHAPES),
    _of(ops.Row(0), (2, 5)),
    _of(ops.Row(1), (2, 17)),
    *(_of(ops.Mask(extent), (3, 9), ()) for extent in _EXTENTS),
    _of(ops.Mask(ops.Extent(), fill=-2.0), (17, 9), ()),
    _of(ops.WindowShare(ops.Extent(), 3, 2, 1, 9), (3, 5), ()),
    _of(ops.WindowShare(ops.Extent(1, 2), 5, 5, 0, 5), (16,), ()),
    *(_of(ops.MaskedBatchNorm(eps=0.1, extent=e), (3, 9), ()) for e in _EXTENTS),
    *(_of(ops.MaskedBatchMoments(extent), (3, 9), ()) for extent in _EXTENTS),
    _of(ops.MaskedBatchNormalize(eps=0.1), (3, 9), (2, 3), ()),
    _of(ops.MaskedBatchNormBackward(eps=0.1), (3, 9), (2, 3), (3, 9), (2, 3), ()),
    *(_of(ops.Dropout(0.5), shape) for shape in _SHAPES),
    *(_of(ops.DropoutMasked(0.3, 2), shape, ()) for shape in _SHAPES),
    _of(ops.DropoutMasked(0.0, 0), (5,), ()),
    *(_of(op, shape) for op in _POINTWISE for shape in ((5,), (3, 4, 3))),
    *(_of(ops.PointwiseBackward(op), (3, 4, 3), (3, 4, 3)) for op in _POINTWISE),
    *(_of(ops.Softmax(), shape) for shape in _SHAPES),
    *(_of(ops.SoftmaxBackward(), shape, shape) for shape in _SHAPES),
    *(_of(ops.Add(), *(shape,) * count) for shape in _SHAPES for count in (2, 3)),
    _of(ops.Concatenate(), (3,), (5,)),
    _of(ops.Concatenate(), (2, 3, 2), (1, 3, 2), (17, 3, 2)),
    _of(ops.ChannelSlice(0, 3), (5,)),
    _of(ops.ChannelSlice(1, 17), (17, 2, 2)),
    _of(ops.ChannelPad(2, 0), (3,)),
    _of(ops.ChannelPad(1, 14), (2, 2, 2)),
    *(_of(ops.Flatten(), shape) for shape in _SHAPES),
    *(_of(ops.Unflatten(shape), (int(np.prod(shape)),)) for shape in _SHAPES),
    _of(ops.ZeroPad(((1, 2),)), (3, 4)),
    _of(ops.ZeroPad(((1, 0), (0, 2))), (5, 2, 3)),
    _of(ops.ZeroPad(((1, 1), (0, 0), (2, 1))), (2, 1, 2, 2)),
    _of(ops.Crop(((1, 2),)), (3, 4)),
    _of(ops.Crop(((1, 0), (0, 2))), (5, 2, 3)),
    _of(ops.Crop(((1, 1), (0, 0), (2, 1))), (2, 3, 2, 4)),
    _of(ops.Upsample((2,)), (3, 4)),
    _of(ops.Upsample((1, 3)), (5, 2, 2)),
    _of(ops.Upsample((2, 2, 1)), (2, 1, 2, 2)),
    _of(ops.UpsampleBackward((2,)), (3, 8)),
    _of(ops.UpsampleBackward((1, 3)), (5, 2, 6)),
    _of(ops.UpsampleBackward((2, 2, 1)), (2, 2, 4, 2)),
    *(_of(ops.Standardize(), shape) for shape in _SHAPES),
    *(_of(ops.StandardizeBackward(), shape) for shape in _SHAPES),
    *(_of(op, s, op.target_shape(s), ()) for op in _LOSSES for s in ((5,), (3, 4, 2))),
    *(_of(ops.LossBackward(op), s, op.target_shape(s), ()) for op in _LOSSES for s in _SHAPES[:3]),
)


def cases(accept: Callable[[Operation], bool] = lambda _: True) -> list[Any]:
    """Return the cases whose operation is accepted, as parameters of a test."""
    return [pytest.param(case, id=str(case)) for case in CASES if accept(case.op)]


def make_inputs(
    case: Case, rng: np.random.Generator, *, n: int = 3, dtype: DTypeLike = np.float64
) -> list[Array]:
    """Return inputs that belong together: a saved output is that of the saved input."""
    op = case.op
    arrays: list[Array] = [
        rng.standard_normal(shape if position in op.batch_inputs else (n, *shape)).astype(dtype)
        for position, shape in enumerate(case.inputs)
    ]
    if isinstance(op, (ops.BatchNormalize, ops.BatchNormGradientSums, ops.BatchNormBackward)):
        arrays[1] = ops.BatchMoments().reference(arrays[0])
    if isinstance(op, ops.BatchNormBackward):
        arrays[3] = ops.BatchNormGradientSums(op.eps).reference(*arrays[:3])
    if isinstance(op, (ops.MaxPoolBackward, ops.LpPoolBackward, ops.AdaptiveMaxPoolBackward)):
        arrays[1] = op.pool.reference(arrays[0])
    if isinstance(op, ops.SoftmaxBackward):
        arrays[0] = ops.Softmax().reference(arrays[0])
    if isinstance(op, ops.PointwiseBackward) and op.op.derivative_of == "output":
        arrays[0] = op.op.reference(arrays[0])
    if isinstance(op, _SEEDED):
        arrays[-1] = np.asarray(rng.integers(2**63), np.uint64)
    if isinstance(op, ops.FractionalMaxPoolBackward):
        arrays[1] = op.pool.reference(arrays[0], arrays[-1])
    if type(op).__module__ == ops.Mask.__module__:
        arrays[-1] = rng.integers(3, 10, size=n)
    if isinstance(op, ops.MaskedBatchNormBackward):
        arrays[2] *= op.extent.valid(arrays[-1], 9)
    if isinstance(op, (Loss, ops.LossBackward)):
        loss = op if isinstance(op, Loss) else op.loss
        arrays[1] = make_target(loss, case.inputs[0], rng, n=n, dtype=dtype)
        arrays[2] = rng.uniform(0.1, 1.0, n).astype(dtype)
    return arrays


def make_target(
    loss: Loss, prediction: Shape, rng: np.random.Generator, *, n: int, dtype: DTypeLike
) -> Array:
    """Return a target of a loss: class numbers for cross-entropy, values for the others."""
    shape = (n, *loss.target_shape(prediction))
    if isinstance(loss, ops.CrossEntropy):
        return rng.integers(prediction[0], size=shape)
    return rng.standard_normal(shape).astype(dtype)


def make_parameter(
    spec: ParameterSpec, rng: np.random.Generator, dtype: DTypeLike = np.float64
) -> Array:
    """Return values of a size that a network would have."""
    if spec.kind in {ParameterKind.VARIANCE, ParameterKind.DEVIATION, ParameterKind.SCALE}:
        return rng.uniform(0.5, 1.5, spec.shape).astype(dtype)
    return (rng.standard_normal(spec.shape) / np.sqrt(spec.fan_in)).astype(dtype)


def make_parameters(
    case: Case, rng: np.random.Generator, dtype: DTypeLike = np.float64
) -> list[Array]:
    """Return the parameters of a case's operation."""
    return [make_parameter(spec, rng, dtype) for spec in case.op.parameters(*case.inputs)]
