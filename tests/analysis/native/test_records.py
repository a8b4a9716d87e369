"""Rows of memory hold what the objects of their dataclasses hold."""

import ctypes
import mmap
import sys
from array import array
from ctypes import sizeof
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import pytest

from labkit.analysis.native.context import BatchRow, Context, FlowRow
from labkit.analysis.native.records import LARGE_PAGE, ColdRow, Memory, SideRow, columns, read_row, record, write_row
from labkit.analysis.pending import Resolved
from labkit.analysis.side import SELDOM, Side
from labkit.packet.seen import ABSENT, Seen

KINDS = [Seen, SideRow, ColdRow, Resolved]


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_object_survives_its_row(kind: type) -> None:
    row, back = record(kind)(), kind()
    for name, _ in row._fields_:
        if not isinstance(getattr(back, name), list):
            setattr(back, name, 7)
    write_row(row, kind())
    read_row(row, back)
    assert asdict(back) == asdict(kind())


@pytest.mark.parametrize("name", ["tsval", "tsecr"])
def test_a_timestamp_has_room_for_absent_and_for_all_values(name: str) -> None:
    row = record(Seen)()
    for value in (ABSENT, 0, 2**32 - 1):
        setattr(row, name, value)
        assert getattr(row, name) == value


@pytest.mark.parametrize("kind", [Context, BatchRow])
def test_counters_without_a_bound_have_eight_octets(kind: type) -> None:
    assert {column.size for column in columns(kind).values()} == {8}


def test_a_conversation_takes_no_more_memory_than_the_document_says() -> None:
    assert sizeof(record(FlowRow)) + 2 * sizeof(record(SideRow)) <= 704
    assert sizeof(record(ColdRow)) <= 512
    assert not any(column.is_list and not column.cold for column in columns(SideRow).values())


@pytest.mark.parametrize("name", sorted(SELDOM))
def test_a_field_that_most_conversations_never_change_is_0(name: str) -> None:
    assert getattr(Side(), name) == 0
    assert columns(SideRow)[name].cold


@pytest.mark.parametrize("kind", [*KINDS, Context])
def test_columns_do_not_overlap(kind: type) -> None:
    for cold in (False, True):
        taken = sorted(
            (column.at, getattr(record(ColdRow if cold else kind), name).size)
            for name, column in columns(kind).items()
            if column.cold == cold
        )
        assert all(at + size <= following for (at, size), (following, _) in pairwise(taken))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system takes pages back when it wants them")
@pytest.mark.parametrize("huge", [True, False])
def test_released_memory_is_zeroed_and_keeps_its_address(*, huge: bool) -> None:
    """Its pages went back to the system."""
    memory = Memory(1 << 22, huge=huge)
    address = memory.address
    memory.view[:] = bytes([7]) * len(memory.view)
    memory.release()
    assert not any(memory.view)
    assert memory.address == address
    memory.view[5] = 1
    assert ctypes.string_at(address, 7) == bytes((0, 0, 0, 0, 0, 1, 0))


@pytest.mark.skipif(not Path("/proc/self/pagemap").exists(), reason="the system does not tell which pages are used")
def test_who_uses_little_gets_small_pages() -> None:
    memory = Memory(4 * LARGE_PAGE)
    memory.view[0] = memory.view[LARGE_PAGE - 1] = 1
    with Path("/proc/self/pagemap").open("rb", buffering=0) as file:
        file.seek(memory.address // mmap.PAGESIZE * 8)
        pages = array("Q", file.read(len(memory.view) // mmap.PAGESIZE * 8))
    assert sum(page >> 63 for page in pages) == 2
