"""Rows of memory hold what `Seen` and `Side` hold."""

from dataclasses import fields

import pytest

pytest.importorskip("numpy", reason="numpy is not installed")

from labkit.compiled.records import record
from labkit.segment import ABSENT, Seen
from labkit.side import Side


@pytest.mark.parametrize("kind", [Seen, Side])
def test_a_new_one_fits(kind: type[Seen] | type[Side]) -> None:
    import numpy as np

    row = np.zeros(1, record(kind))
    new = kind()
    for field in fields(kind):
        value = getattr(new, field.name)
        row[0][field.name] = value
        assert row[0][field.name].tolist() == value


@pytest.mark.parametrize("name", ["tsval", "tsecr"])
def test_numbers_that_may_be_absent_have_room_for_that_and_for_all_values(name: str) -> None:
    import numpy as np

    row = np.zeros(1, record(Seen))
    for value in (ABSENT, 0, 2**32 - 1):
        row[0][name] = value
        assert row[0][name] == value
