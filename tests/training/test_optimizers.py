from __future__ import annotations

import pytest

from convoi.compiler import StepSettings, UpdateRule
from convoi.errors import ArgumentError, ArgumentTypeError
from convoi.training import SGD, Adam, AdamW
from convoi.training.optimizers import as_optimizer


@pytest.mark.parametrize(
    ("optimizer", "rule"),
    [
        (SGD(), UpdateRule("sgd", momentum=True)),
        (SGD(momentum=0), UpdateRule("sgd")),
        (SGD(nesterov=True), UpdateRule("sgd", momentum=True, nesterov=True)),
        (SGD(clip_norm=1), UpdateRule("sgd", momentum=True, clip=True)),
        (Adam(), UpdateRule("adam")),
        (AdamW(clip_norm=0.5), UpdateRule("adamw", clip=True)),
    ],
)
def test_the_rule_says_what_the_compiled_step_needs(optimizer, rule):
    assert optimizer.update_rule() == rule


@pytest.mark.parametrize(
    ("optimizer", "settings"),
    [
        (
            SGD(momentum=0.8, weight_decay=1e-4),
            StepSettings(learning_rate=0.1, step=7, weight_decay=1e-4, momentum=0.8),
        ),
        (
            Adam(beta1=0.8, beta2=0.95, eps=1e-6, clip_norm=2),
            StepSettings(learning_rate=0.1, step=7, beta1=0.8, beta2=0.95, eps=1e-6, clip_norm=2.0),
        ),
        (AdamW(), StepSettings(learning_rate=0.1, step=7, weight_decay=0.01)),
    ],
)
def test_the_settings_of_a_step_are_the_optimizer_s_numbers(optimizer, settings):
    assert optimizer.step_settings(step=7, learning_rate=0.1) == settings


@pytest.mark.parametrize(
    ("name", "optimizer"), [("sgd", SGD()), ("adam", Adam()), ("adamw", AdamW())]
)
def test_an_optimizer_is_known_by_name(name, optimizer):
    assert as_optimizer(name, "fit") == optimizer


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: SGD(momentum=1.0),
            (
                "The 'momentum' parameter of SGD must be a number greater than or equal to 0 and "
                "less than 1. Got 1.0 instead."
            ),
        ),
        (
            lambda: SGD(momentum=0, nesterov=True),
            (
                "The 'nesterov' parameter of SGD needs momentum. Got momentum=0 instead. "
                "Set momentum=0.9, or nesterov=False."
            ),
        ),
        (
            lambda: AdamW(weight_decay=-0.1),
            (
                "The 'weight_decay' parameter of AdamW must be a number greater than or equal to "
                "0. Got -0.1 instead."
            ),
        ),
        (
            lambda: Adam(eps=0.0),
            "The 'eps' parameter of Adam must be a number greater than 0. Got 0.0 instead.",
        ),
        (
            lambda: Adam(clip_norm=0),
            "The 'clip_norm' parameter of Adam must be a number greater than 0. Got 0 instead.",
        ),
        (
            lambda: as_optimizer("rmsprop", "fit"),
            (
                "The 'optimizer' parameter of fit must be an Optimizer or one of 'sgd', 'adam', "
                "'adamw'. Got 'rmsprop' instead."
            ),
        ),
    ],
)
def test_a_wrong_value_is_refused(make, message):
    with pytest.raises(ArgumentError) as caught:
        make()
    assert str(caught.value) == message


def test_what_is_no_optimizer_is_refused():
    with pytest.raises(ArgumentTypeError, match="must be an Optimizer or one of 'sgd'"):
        as_optimizer(0.1, "fit")
