"""Optimisers: how a gradient becomes a change of the parameters.

Each is a frozen dataclass of its settings. The arithmetic itself is part of the compiled training
step, which gets an optimiser as an :class:`~convoi.compiler.UpdateRule` (what is compiled) and, for
each step, as :class:`~convoi.compiler.StepSettings` (the numbers).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

from convoi.checks import check_flag, check_real, refusal
from convoi.compiler import StepSettings, UpdateRule
from convoi.errors import ArgumentError, ArgumentTypeError

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "as_optimizer"]


@dataclass(frozen=True, kw_only=True)
class Optimizer(ABC):
    """Base of the optimisers, and what all of them can do.

    Attributes
    ----------
    weight_decay : float, default=0
        How strongly weights are pulled towards zero. It applies to the weights of convolutions
        and dense layers, not to biases nor to the scales and shifts of normalisation.
    clip_norm : float or None
        Largest norm of the gradient of all parameters together; a longer gradient is scaled down
        to it. None leaves gradients as they are.
    """

    default_learning_rate: ClassVar[float]
    """Learning rate of a run that is given none."""

    weight_decay: float = 0.0
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        owner = type(self).__name__
        check_real(self.weight_decay, "weight_decay", owner, minimum=0)
        if self.clip_norm is not None:
            check_real(self.clip_norm, "clip_norm", owner, minimum=0, exclude_minimum=True)

    @abstractmethod
    def update_rule(self) -> UpdateRule:
        """Return what the compiled step depends on."""

    @abstractmethod
    def step_settings(self, step: int, learning_rate: float) -> StepSettings:
        """Return the numbers of one step.

        Parameters
        ----------
        step : int
            Number of the step, from 1.
        learning_rate : float
            Learning rate of this step.

        Returns
        -------
        StepSettings
            What a training program's ``step`` takes.
        """


@dataclass(frozen=True, kw_only=True)
class SGD(Optimizer):
    """Stochastic gradient descent, by default with momentum.

    Attributes
    ----------
    momentum : float, default=0.9
        Part of the previous change that is kept, in [0, 1).
    nesterov : bool, default=False
        Whether the gradient is taken as if the momentum had been followed already.
    weight_decay, clip_norm
        See :class:`Optimizer`. The decay is added to the gradient.

    Notes
    -----
    The update is PyTorch's, with ``g`` the gradient, ``m`` the momentum, ``b`` zero at first::

        b = m * b + g
        parameter -= learning_rate * (g + m * b if nesterov else b)

    References
    ----------
    I. Sutskever et al., "On the importance of initialization and momentum in deep learning",
    ICML 2013.

    Examples
    --------
    >>> from convoi.training import SGD
    >>> SGD(nesterov=True, weight_decay=5e-4)
    SGD(weight_decay=0.0005, clip_norm=None, momentum=0.9, nesterov=True)
    """

    # The largest of 0.02, 0.05 and 0.1 that trains a plain network of six convolutions without
    # batch normalisation on Fashion-MNIST; with it, 0.1 is better.
    default_learning_rate: ClassVar[float] = 0.02

    momentum: float = 0.9
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_real(self.momentum, "momentum", "SGD", minimum=0, maximum=1, exclude_maximum=True)
        check_flag(self.nesterov, "nesterov", "SGD")
        if self.nesterov and not self.momentum:
            raise ArgumentError(
                "The 'nesterov' parameter of SGD needs momentum. Got momentum=0 instead. "
                "Set momentum=0.9, or nesterov=False."
            )

    def update_rule(self) -> UpdateRule:
        """Return what the compiled step depends on."""
        return UpdateRule(
            kind="sgd",
            momentum=self.momentum > 0,
            nesterov=bool(self.nesterov),
            clip=self.clip_norm is not None,
        )

    def step_settings(self, step: int, learning_rate: float) -> StepSettings:
        """Return the numbers of one step; see :meth:`Optimizer.step_settings`."""
        return StepSettings(
            learning_rate=learning_rate,
            step=step,
            weight_decay=float(self.weight_decay),
            momentum=float(self.momentum),
            clip_norm=float(self.clip_norm or 0.0),
        )


@dataclass(frozen=True, kw_only=True)
class Adam(Optimizer):
    """Adam: steps scaled, parameter by parameter, by the size of recent gradients.

    Attributes
    ----------
    beta1, beta2 : float, default=0.9 and 0.999
        Decay of the running means of the gradient and of its square, in [0, 1).
    eps : float, default=1e-8
        Added to the root of the mean square.
    weight_decay, clip_norm
        See :class:`Optimizer`. The decay is added to the gradient, before it is scaled;
        :class:`AdamW` decays the weights themselves, which is usually better.

    References
    ----------
    D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1.

    Examples
    --------
    >>> from convoi.training import Adam
    >>> Adam(beta2=0.99).beta2
    0.99
    """

    # Of 0.001 to 0.03, 0.01 trains small networks best on digits and Fashion-MNIST in a few
    # epochs; half of it leaves deeper ones some room.
    default_learning_rate: ClassVar[float] = 5e-3
    _kind: ClassVar[Literal["adam", "adamw"]] = "adam"

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        owner = type(self).__name__
        check_real(self.beta1, "beta1", owner, minimum=0, maximum=1, exclude_maximum=True)
        check_real(self.beta2, "beta2", owner, minimum=0, maximum=1, exclude_maximum=True)
        check_real(self.eps, "eps", owner, minimum=0, exclude_minimum=True)

    def update_rule(self) -> UpdateRule:
        """Return what the compiled step depends on."""
        return UpdateRule(kind=self._kind, clip=self.clip_norm is not None)

    def step_settings(self, step: int, learning_rate: float) -> StepSettings:
        """Return the numbers of one step; see :meth:`Optimizer.step_settings`."""
        return StepSettings(
            learning_rate=learning_rate,
            step=step,
            weight_decay=float(self.weight_decay),
            beta1=float(self.beta1),
            beta2=float(self.beta2),
            eps=float(self.eps),
            clip_norm=float(self.clip_norm or 0.0),
        )


@dataclass(frozen=True, kw_only=True)
class AdamW(Adam):
    """Adam with decoupled weight decay: weights shrink by ``learning_rate * weight_decay``.

    Attributes
    ----------
    weight_decay : float, default=0.01
        See :class:`Optimizer`.
    beta1, beta2, eps, clip_norm
        As for :class:`Adam`.

    References
    ----------
    I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019, algorithm 2.

    Examples
    --------
    >>> from convoi.training import AdamW
    >>> AdamW(clip_norm=1.0).weight_decay
    0.01
    """

    _kind: ClassVar[Literal["adam", "adamw"]] = "adamw"

    weight_decay: float = 0.01


_BY_NAME: dict[str, type[Optimizer]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}


def as_optimizer(optimizer: object, owner: str) -> Optimizer:
    """Return an optimiser that may be given by name, with its default settings."""
    if isinstance(optimizer, Optimizer):
        return optimizer
    expectation = f"an Optimizer or one of {', '.join(map(repr, _BY_NAME))}"
    if not isinstance(optimizer, str):
        raise ArgumentTypeError(refusal("optimizer", owner, expectation, optimizer))
    if optimizer not in _BY_NAME:
        raise ArgumentError(refusal("optimizer", owner, expectation, optimizer))
    return _BY_NAME[optimizer]()
