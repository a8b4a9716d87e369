"""Records and octets behind pointers, as compiled code gets at them."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

pytest.importorskip("numba", reason="Numba is not installed")

import numpy as np

from labkit.compiled.loader import Library, Source, build
from labkit.compiled.memory import SETTINGS, copied, rows
from labkit.compiled.records import record
from labkit.payload import ALL_OCTETS


@dataclass(slots=True)
class Pair:
    seq: int = 0
    ctl: int = 0


def sources() -> Mapping[str, Source]:
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

    ring = copied()

    def keep(octets, at, size, to, place):  # type: ignore[no-untyped-def]
        ring(octets, at, size, to, place)
        return 0

    number, octets, pairs = types.int64, types.CPointer(types.uint8), rows()(record(Pair))
    return {
        "swap": Source(swap, number(pairs, number, number)),
        "assign": Source(assign, number(pairs, number, number)),
        "keep": Source(keep, number(octets, number, number, octets, number)),
    }


@pytest.fixture(scope="module")
def library() -> Library:
    return Library(build(sources()))


def test_an_element_is_the_record_in_its_place(library: Library) -> None:
    pairs = np.zeros(3, record(Pair))
    pairs["seq"], pairs["ctl"] = [1, 2, 2**32 - 1], [10, 20, 30]
    assert library.entries["swap"](pairs.ctypes.data, 0, 2) == 40
    assert pairs["seq"].tolist() == [2**32 - 1, 2, 1]
    assert pairs["ctl"].tolist() == [10, 20, 30]


def test_a_record_is_assigned_as_a_whole(library: Library) -> None:
    pairs = np.zeros(3, record(Pair))
    pairs["seq"], pairs["ctl"] = [1, 2, 3], [10, 20, 30]
    library.entries["assign"](pairs.ctypes.data, 0, 2)
    assert pairs.tolist() == [(3, 30), (2, 20), (3, 30)]


@pytest.mark.parametrize("place", [0, 7, ALL_OCTETS - 5, ALL_OCTETS - 6, ALL_OCTETS - 1, ALL_OCTETS - 2])
def test_octets_are_kept_in_a_ring(place: int, library: Library) -> None:
    ring = np.zeros(ALL_OCTETS, np.uint8)
    octets = np.frombuffer(b"..octets", np.uint8)
    library.entries["keep"](octets.ctypes.data, 2, 6, ring.ctypes.data, place)
    found = bytes(ring[(place + i) % ALL_OCTETS] for i in range(6))
    assert found == b"octets"
    assert int(np.count_nonzero(ring)) == 6
