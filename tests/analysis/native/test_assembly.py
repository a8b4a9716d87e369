"""Rows and octets behind addresses, as compiled code accesses them."""

from ctypes import sizeof
from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("llvmlite", reason="llvmlite is not installed")

from labkit.analysis import payload
from labkit.analysis.native import primitives
from labkit.analysis.native.assembly import Assembly
from labkit.analysis.native.lines import INT, Numbers, Rows, numbers
from labkit.analysis.native.loader import CompiledLibrary, build
from labkit.analysis.native.packed import Library
from labkit.analysis.native.records import TYPES, ColdRow, Memory, SideRow, record
from labkit.analysis.native.translate import Translation
from labkit.analysis.payload import RING_OCTETS
from labkit.capture.base import MAX_RECORD_OCTETS
from labkit.errors import UncompilableError
from labkit.packet.decode.layer import ones_sum

OPERATIONS = {each: each.__name__ for each in (primitives.behind, primitives.half, primitives.copy)}


@dataclass(slots=True)
class Pair:
    seq: int = 0
    ctl: int = 0


TEXT = """
def swap(pairs, i, k):
    return swapped(pairs, i, k)

def swapped(pairs, i, k):
    one, other = pairs[i], pairs[k]
    one.seq, other.seq = other.seq, one.seq
    return one.ctl + other.ctl

def assign(pairs, i, k):
    pairs[i] = pairs[k]
    return 0

def same(pairs, i, k):
    one, other = pairs[i], pairs[k]
    one.seq, other.seq = 7, 8
    before = one.seq
    pairs[i] = pairs[k]
    return 100 * before + 10 * one.seq + one.ctl

def get(row, i):
    return row[i]

def put(row, i, value):
    row[i] = value
    return 0

def keep(octets, at, size, to, place):
    {copy_octets}(octets, at, size, to, place)
    return 0

def differ(octets, at, kept, place, size):
    return {first_difference}(octets, at, kept, place, size)

def sum(octets, start, end):
    return {ones_sum}(octets, start, end)

def quotient(a, b):
    return a // b

def rest(a, b):
    return a % b

def rest_of_16(a, b):
    return a % 16 * 1000 + a // 16

def chain(a, b):
    return a < b < 10 or not a

def either(a, b):
    return a or b

def both(a, b):
    return (a and b) + (a > 1 and b > 1)

def chosen(a, b):
    return a if a > b else -b if b else 7

def shifted(a, b):
    return (a << 3) + (a >> 1) ^ ~b

def of_table(a, b):
    return (5, -6, 7)[a] if 0 <= a < len((5, -6, 7)) else max(a, b, 3) + min(a, -3) + abs(a)

def parts(a, b):
    if a > b:
        return a - b, 1
    return b - a, 0

def taken(a, b):
    distance, larger = parts(a, b)
    return 10 * distance + larger

def looped(a, b):
    total = 0
    for i in range(a, b):
        if i == 3:
            continue
        if i > 6:
            break
        for k in (1, 10, 100):
            if i == 5 and k == 10:
                break
            total += i * k
    while total > 1000:
        total -= 999
        if total == 5:
            break
    return total
"""

ARITHMETIC = [
    "quotient",
    "rest",
    "rest_of_16",
    "chain",
    "either",
    "both",
    "chosen",
    "shifted",
    "of_table",
    "taken",
    "looped",
]
"""Functions of two integers, which mean the same in Python."""


@pytest.fixture(scope="module")
def text() -> str:
    whole = Translation(OPERATIONS)
    functions = (primitives.copy_octets, primitives.first_difference, primitives.ones_sum)
    names = {each.__name__: whole.add(each) for each in functions}
    return whole.text + TEXT.format(**names)


@pytest.fixture(scope="module")
def library(text: str) -> Library:
    whole = Assembly(text)
    octets, pairs = numbers("u1"), Rows(Pair)
    whole.add_entry("swap", "swap", (pairs, INT, INT))
    whole.add_entry("assign", "assign", (pairs, INT, INT))
    whole.add_entry("same", "same", (pairs, INT, INT))
    whole.add_entry("keep", "keep", (octets, INT, INT, octets, INT))
    whole.add_entry("differ", "differ", (octets, INT, octets, INT, INT))
    whole.add_entry("sum", "sum", (octets, INT, INT))
    for width in TYPES:
        whole.add_entry(f"get_{width}", "get", (numbers(width), INT))
        whole.add_entry(f"set_{width}", "put", (numbers(width), INT, INT))
    for name in ARITHMETIC:
        whole.add_entry(name, name, (INT, INT))
    return CompiledLibrary(build(whole))


NUMBERS = (0, 1, -1, 2, 3, 5, 7, -7, 16, -17, 100, 2**31, 2**32 - 1, -(2**40), 2**40 + 1)


@pytest.mark.parametrize("name", ARITHMETIC)
def test_arithmetic_is_that_of_python(name: str, text: str, library: Library) -> None:
    space: dict[str, Any] = {"half": None, "copy": None}
    exec(compile(text, "text", "exec"), space)  # noqa: S102 - the text above
    for a, b in product(NUMBERS, repeat=2):
        if name == "looped" and b - a > 1000:
            continue
        if b or name not in ("quotient", "rest"):
            assert library.entries[name](a, b) == space[name](a, b), (a, b)


def test_a_division_that_the_processor_refuses(library: Library) -> None:
    assert library.entries["quotient"](5, 0) == 0
    assert library.entries["quotient"](-(2**63), -1) == -(2**63)
    assert library.entries["rest"](-(2**63), -1) == 0


@given(octets=st.binary(max_size=70), start=st.integers(0, 9))
def test_sums_of_octets(octets: bytes, start: int, library: Library) -> None:
    memory = Memory(80)
    memory.view[: len(octets)] = octets
    end = max(start, len(octets))
    assert library.entries["sum"](memory.address, start, end) == ones_sum(bytes(memory.view), start, end)
    assert primitives.ones_sum(bytes(memory.view), start, end) == ones_sum(bytes(memory.view), start, end)


@pytest.mark.parametrize("size", [65_535, 1 << 20, MAX_RECORD_OCTETS])
@pytest.mark.parametrize("octets", [b"\xff", b"\xff\xfe", b"\x00\x01\xff\xff", b"\x00"], ids=bytes.hex)
def test_sums_of_many_octets(octets: bytes, size: int, library: Library) -> None:
    memory = Memory(size)
    memory.view[:] = (octets * (size // len(octets) + 1))[:size]
    assert library.entries["sum"](memory.address, 0, size) == ones_sum(memory.view, 0, size)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def f(a):\n    return f(a - 1)", "calls itself"),
        ("def f(a):\n    return unknown(a)", "a function that is not known"),
        ("def f(a):\n    return a / 2", "an operator of another kind"),
        ("def f(a):\n    return a.seq", "a field that is not known"),
        ("def f(a):\n    return b", "a name without a value"),
        ("def f(a):\n    return a[0]", "no row of values"),
        ("def f(a):\n    a = g(a)\n    return 1\ndef g(a):\n    return", "no single value"),
        ("def f(a):\n    if a:\n        return a\n    return 1, 2", "values of several kinds"),
        ("def f(a):\n    b, c = 1, 2, 3\n    return b", "another number of values"),
        ("def f(a):\n    for i in a:\n        a = i\n    return a", "a loop over something else"),
        ("def f(a):\n    return a is 1", "a comparison of another kind"),
        ("def f(a):\n    return g(a, 1)\ndef g(a):\n    return a", "it takes 1 arguments, not 2"),
        ("def f(a):\n    import os\n    return 1", "a statement of another kind"),
        ("def f(a):\n    a = 1", "no integer"),
    ],
)
def test_what_cannot_be_compiled_is_named(source: str, reason: str) -> None:
    with pytest.raises(UncompilableError, match=rf"^[fg] cannot be compiled: [^\n]*{reason}"):
        Assembly(source).add_entry("f", "f", (INT,))


def test_values_of_several_kinds_have_no_name_together() -> None:
    source = "def f(a, rows):\n    a = rows\n    return 1"
    with pytest.raises(UncompilableError, match="a value of another kind"):
        Assembly(source).add_entry("f", "f", (INT, Numbers(1, signed=False)))


def three(*values: tuple[int, int]) -> tuple[int, Any]:
    """Three pairs, and their address."""
    kind = record(Pair) * 3
    memory = Memory(sizeof(kind))
    pairs = kind.from_buffer(memory.view)
    for pair, (seq, ctl) in zip(pairs, values, strict=True):
        pair.seq, pair.ctl = seq, ctl
    return memory.address, pairs


def test_a_store_is_seen_wherever_its_row_has_another_name(library: Library) -> None:
    address, _pairs = three((1, 1), (2, 2), (3, 3))
    assert library.entries["same"](address, 0, 1) == 782
    assert library.entries["same"](address, 2, 2) == 883


def test_each_field_has_a_tag_of_its_own() -> None:
    whole = Assembly("def f(rows):\n    rows[0].seq = rows[1].ctl\n    return rows[1].seq")
    whole.add_entry("f", "f", (Rows(Pair),))
    accesses = [line for line in whole.text.splitlines() if "!tbaa" in line]
    assert [line.rpartition(" ")[2] for line in accesses] == ["!3", "!5", "!5"]
    assert [line for line in whole.text.splitlines() if line.startswith("!")] == [
        "!0 = !{}",
        '!1 = !{!"memory"}',
        '!2 = !{!"Pair.ctl", !1, i64 0}',
        "!3 = !{!2, !2, i64 0}",
        '!4 = !{!"Pair.seq", !1, i64 0}',
        "!5 = !{!4, !4, i64 0}",
    ]


def test_a_cold_field_is_the_same_by_its_side_and_by_its_row() -> None:
    whole = Assembly(
        "def f(sides, rows):\n    before = rows[1].ce\n    sides[0].ce = 7\n"
        "    return 100 * before + 10 * rows[1].ce + rows[0].ce"
    )
    whole.add_entry("f", "f", (Rows(SideRow), Rows(ColdRow)))
    kind = record(ColdRow) * 2
    sides, cold = Memory(sizeof(record(SideRow))), Memory(sizeof(kind))
    side, rows = record(SideRow).from_buffer(sides.view), kind.from_buffer(cold.view)
    side.cold_row, rows[0].ce, rows[1].ce = cold.address + sizeof(record(ColdRow)), 3, 4
    assert CompiledLibrary(build(whole)).entries["f"](sides.address, cold.address) == 473
    assert (rows[0].ce, rows[1].ce, side.has_seldom) == (3, 7, 1)


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
