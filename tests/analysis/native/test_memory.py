"""Rows and octets behind addresses, as compiled code accesses them."""

from collections.abc import Mapping
from ctypes import sizeof
from dataclasses import dataclass
from typing import Any

import pytest

pytest.importorskip("numba", reason="Numba is not installed")

from labkit.analysis import payload
from labkit.analysis.native.loader import EntrySource, Library, build
from labkit.analysis.native.memory import SETTINGS, copy_octets, first_difference, numbers, rows
from labkit.analysis.native.records import TYPES, Memory, record
from labkit.analysis.payload import RING_OCTETS


@dataclass(slots=True)
class Pair:
    seq: int = 0
    ctl: int = 0


def sources() -> Mapping[str, EntrySource]:
    from numba import njit, types

    @njit(**SETTINGS)
    def swapped(pairs, i, k):  # type: ignore[no-untyped-def]
        one, other = pairs[i], pairs[k]
        one.seq, other.seq = other.seq, one.seq
        return one.ctl + other.ctl

    def swap(pairs, i, k):  # type: ignore[no-untyped-def]
        return swapped(pairs, i, k)

    def assign(pairs, i, k):  # type: ignore[no-untyped-def]
        pairs[i] = pairs[k]
        return 0

    def get(row, i):  # type: ignore[no-untyped-def]
        return row[i]

    def put(row, i, value):  # type: ignore[no-untyped-def]
        row[i] = value
        return 0

    def keep(octets, at, size, to, place):  # type: ignore[no-untyped-def]
        copy_octets(octets, at, size, to, place)
        return 0

    def differ(octets, at, kept, place, size):  # type: ignore[no-untyped-def]
        return first_difference(octets, at, kept, place, size)

    number, octets, pairs = types.int64, numbers("u1"), rows(Pair)
    return {
        "swap": EntrySource(swap, number(pairs, number, number)),
        "assign": EntrySource(assign, number(pairs, number, number)),
        "keep": EntrySource(keep, number(octets, number, number, octets, number)),
        "differ": EntrySource(differ, number(octets, number, octets, number, number)),
        **{f"get_{width}": EntrySource(get, number(numbers(width), number)) for width in TYPES},
        **{f"set_{width}": EntrySource(put, number(numbers(width), number, number)) for width in TYPES},
    }


@pytest.fixture(scope="module")
def library() -> Library:
    return Library(build(sources()))


def three(*values: tuple[int, int]) -> tuple[int, Any]:
    """Three pairs, and their address."""
    kind = record(Pair) * 3
    memory = Memory(sizeof(kind))
    pairs = kind.from_buffer(memory.view)
    for pair, (seq, ctl) in zip(pairs, values, strict=True):
        pair.seq, pair.ctl = seq, ctl
    return memory.address, pairs


def test_an_element_is_the_row_at_its_place(library: Library) -> None:
    address, pairs = three((1, 10), (2, 20), (2**32 - 1, 30))
    assert library.entries["swap"](address, 0, 2) == 40
    assert [(pair.seq, pair.ctl) for pair in pairs] == [(2**32 - 1, 10), (2, 20), (1, 30)]


def test_a_row_is_assigned_as_a_whole(library: Library) -> None:
    address, pairs = three((1, 10), (2, 20), (3, 30))
    library.entries["assign"](address, 0, 2)
    assert [(pair.seq, pair.ctl) for pair in pairs] == [(3, 30), (2, 20), (3, 30)]


@pytest.mark.parametrize("width", TYPES)
@pytest.mark.parametrize("value", [0, 1, -1, 127, 128, 255, 2**31 - 1, 2**31, 2**32 - 1, -(2**63), 2**63 - 1])
def test_integers_of_all_widths(width: str, value: int, library: Library) -> None:
    memory = Memory(16)
    library.entries[f"set_{width}"](memory.address, 1, value)
    expected = TYPES[width](value).value
    assert (TYPES[width] * 2).from_buffer(memory.view)[1] == expected
    assert library.entries[f"get_{width}"](memory.address, 1) == expected


@pytest.mark.parametrize("place", [0, 7, RING_OCTETS - 5, RING_OCTETS - 6, RING_OCTETS - 1, RING_OCTETS - 2])
def test_octets_are_kept_in_a_ring(place: int, library: Library) -> None:
    ring, octets = Memory(RING_OCTETS), Memory(8)
    octets.view[:] = b"..octets"
    library.entries["keep"](octets.address, 2, 6, ring.address, place)
    assert bytes(ring.view[(place + i) % RING_OCTETS] for i in range(6)) == b"octets"
    assert bytes(ring.view).count(0) == RING_OCTETS - 6


@pytest.mark.parametrize("place", [0, RING_OCTETS - 5, RING_OCTETS - 1])
@pytest.mark.parametrize(("kept", "same"), [(b"octets", 6), (b"octetS", 5), (b"Octets", 0)])
def test_octets_are_compared_with_those_of_a_ring(place: int, kept: bytes, same: int, library: Library) -> None:
    ring, octets = Memory(RING_OCTETS), Memory(8)
    octets.view[:] = b"..octets"
    payload.copy_octets(kept, 0, 6, ring.view, place)
    assert library.entries["differ"](octets.address, 2, ring.address, place, 6) == same
    assert payload.first_difference(b"..octets", 2, bytes(ring.view), place, 6) == same
