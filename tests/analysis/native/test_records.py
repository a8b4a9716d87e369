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

from labkit.analysis.native import records
from labkit.analysis.native.columns import columns
from labkit.analysis.native.context import BatchRow, Context, FlowRow
from labkit.analysis.native.native_verifier import NativeVerifier
from labkit.analysis.native.packed import Library
from labkit.analysis.native.records import AHEAD, LARGE_PAGE, ColdRow, Memory, SideRow, read_row, record, write_row
from labkit.analysis.pending import Resolved
from labkit.analysis.severity import RFC9293
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
    assert len(resident(memory)) == 2


def resident(memory: Memory) -> list[int]:
    """The places of the pages that are in use."""
    with Path("/proc/self/pagemap").open("rb", buffering=0) as file:
        file.seek(memory.address // mmap.PAGESIZE * 8)
        pages = array("Q", file.read(len(memory.view) // mmap.PAGESIZE * 8))
    return [place for place, page in enumerate(pages) if page >> 63]


def can_prepare() -> bool:
    """Whether the system clears pages before they are used: Linux 5.14 and newer."""
    return Path("/proc/self/pagemap").exists() and Memory(3 * LARGE_PAGE).prepare(LARGE_PAGE)


@pytest.mark.skipif(not can_prepare(), reason="the system clears no page before it is used")
def test_pages_that_will_be_needed_are_prepared() -> None:
    memory = Memory(9 * LARGE_PAGE)
    assert not memory.prepare(LARGE_PAGE - 1)  # who uses little needs no more
    used = LARGE_PAGE + 5
    memory.view[:used] = bytes([7]) * used
    for _page in range(AHEAD):
        assert memory.prepare(used)
    assert not memory.prepare(used)
    pages = resident(memory)
    assert pages == list(range(len(pages)))
    assert used + (AHEAD - 1) * LARGE_PAGE < len(pages) * mmap.PAGESIZE <= used + (AHEAD + 1) * LARGE_PAGE
    assert memory.view[:used].tobytes() == bytes([7]) * used
    assert not any(memory.view[used:])
    count = 0
    while memory.prepare(8 * LARGE_PAGE):  # its end is near
        count += 1
    assert count <= 1
    assert not memory.prepare(9 * LARGE_PAGE)


@pytest.mark.skipif(not can_prepare(), reason="the system clears no page before it is used")
def test_a_verifier_prepares_what_it_will_need(code: Library) -> None:
    verifier = NativeVerifier(RFC9293, code)
    assert not verifier.prepare()  # nothing is used yet
    for name, count in (("sides", "rows_used"), ("findings", "finding_count")):
        size = len(verifier.memory(name).view) // len(verifier.table(name))
        setattr(verifier.context, count, LARGE_PAGE // size + 1)
        before = len(resident(verifier.memory(name)))
        prepared = 0
        while verifier.prepare():
            prepared += 1
        assert prepared == AHEAD
        assert len(resident(verifier.memory(name))) - before >= AHEAD * LARGE_PAGE // mmap.PAGESIZE


def test_a_system_that_prepares_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_madvise", lambda: lambda *_call: -1)
    memory = Memory(9 * LARGE_PAGE)
    assert not memory.prepare(LARGE_PAGE)
    monkeypatch.setattr(records, "_madvise", lambda: pytest.fail("it has said no"))
    assert not memory.prepare(2 * LARGE_PAGE)
