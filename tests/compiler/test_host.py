"""What programs share on the host."""

from __future__ import annotations

import numpy as np
import pytest

from convoi.compiler.host import sample_table


@pytest.mark.parametrize("augment", [False, True])
def test_a_sample_table_reads_rows_and_changes_nothing(augment: bool) -> None:
    table = sample_table(2, np.array([5, 3]), 2, augment=augment)
    assert table["index"].tolist() == [5, 3]
    if augment:
        assert not any(table["axes"][field].any() for field in table["axes"].dtype.names)
    assert sample_table(2, None, 4, augment=augment)["index"].tolist() == [0, 1, 2, 3]
