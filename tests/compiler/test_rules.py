"""Rules: there is one for every operation that is left to compute."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from convoi import ops
from convoi.compiler.rules import rule_for
from convoi.errors import CompilationError

REWRITTEN = {
    ops.BatchNorm: "folded, or a scale and a shift",
    ops.Dropout: "left out, or DropoutMasked",
    ops.GlobalAveragePool: "a window",
    ops.GlobalMaxPool: "a window",
    ops.MaskedBatchNorm: "MaskedBatchMoments and MaskedBatchNormalize",
    ops.Standardize: "a scale and a shift",
    ops.StandardizeBackward: "a scale and a shift",
}
"""Operations that the passes before replace, and by what."""


@pytest.mark.parametrize("operation", [cls for _, cls in ops.registered()], ids=lambda c: c.name)
def test_every_operation_is_computed_or_rewritten(operation: type[ops.Operation]) -> None:
    if operation in REWRITTEN:
        with pytest.raises(CompilationError, match="defect of Convoi"):
            rule_for(operation)
    else:
        assert callable(rule_for(operation))


def test_a_rule_holds_for_what_derives_from_its_operation() -> None:
    @dataclass(frozen=True)
    class Softer(ops.Softmax):
        pass

    assert rule_for(Softer) is rule_for(ops.Softmax)


def test_an_operation_without_a_rule_is_a_defect_and_says_so() -> None:
    @dataclass(frozen=True)
    class Unheard(ops.Operation):
        pass

    with pytest.raises(CompilationError, match="No kernel computes Unheard, which is a defect"):
        rule_for(Unheard)
