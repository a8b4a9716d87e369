"""Rows of memory hold what `Seen` and `Side` hold."""

from ctypes import sizeof
from dataclasses import fields

import pytest

from labkit.analysis.native.records import beside, columns, record
from labkit.analysis.native.table import State
from labkit.analysis.side import Side
from labkit.packet.seen import ABSENT, Seen


@pytest.mark.parametrize("kind", [Seen, Side])
def test_a_new_one_fits(kind: type[Seen] | type[Side]) -> None:
    row, rest = record(kind)(), beside(Side)()
    new = kind()
    for field in fields(kind):
        value = getattr(new, field.name)
        column = columns(kind)[field.name]
        where = rest if column.beside else row
        if column.row:
            getattr(where, field.name)[:] = value
            assert list(getattr(where, field.name)) == value
        else:
            setattr(where, field.name, value)
            assert getattr(where, field.name) == value


@pytest.mark.parametrize("name", ["tsval", "tsecr"])
def test_numbers_that_may_be_absent_have_room_for_that_and_for_all_values(name: str) -> None:
    row = record(Seen)()
    for value in (ABSENT, 0, 2**32 - 1):
        setattr(row, name, value)
        assert getattr(row, name) == value


def test_what_counts_without_a_bound_has_room_for_it() -> None:
    assert {column.size for column in columns(State).values()} == {8}


def test_what_is_known_of_a_sender_is_small() -> None:
    assert sizeof(record(Side)) <= 304
    assert not any(column.row and not column.beside for column in columns(Side).values())


@pytest.mark.parametrize("kind", [Seen, Side])
def test_columns_do_not_overlap(kind: type[Seen] | type[Side]) -> None:
    for is_beside in (False, True):
        taken = [column for column in columns(kind).values() if column.beside == is_beside and not column.row]
        places = [place for column in taken for place in range(column.at, column.at + column.size)]
        assert len(places) == len(set(places))
