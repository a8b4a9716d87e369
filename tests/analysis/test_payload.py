"""Kept payload, compared with a model that keeps every octet by its number."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from labkit.analysis import payload
from labkit.analysis.payload import MAX_OCTETS, MAX_PIECES, PayloadStore
from labkit.analysis.side import Side
from labkit.packet.seen import ABSENT
from labkit.tcp.seq import add

BASES = [0, 1, 1000, 2**31 - 10, 2**31, 2**32 - 1, 2**32 - 20, 2**32 - 40]


class Sender:
    """A side of which payload is kept."""

    def __init__(self, store: PayloadStore | None = None) -> None:
        self.side, self.store = Side(), store or PayloadStore()

    def add(self, seq: int, octets: bytes) -> None:
        self.store.segment += 1
        payload.keep(seq, b"." + octets, 1, len(octets), self.side, self.store)
        self.store.octets_before += len(octets)

    def conflict(self, seq: int, octets: bytes) -> int:
        return payload.conflict(seq, b"." + octets, 1, len(octets), self.side, self.store)


class Model:
    """Every octet that was sent under a number. These numbers do not wrap."""

    def __init__(self) -> None:
        self.sent: dict[int, set[int]] = {}

    def add(self, position: int, octets: bytes) -> None:
        for offset, octet in enumerate(octets):
            self.sent.setdefault(position + offset, set()).add(octet)

    def conflict(self, position: int, octets: bytes) -> int | None:
        for offset, octet in enumerate(octets):
            if self.sent.get(position + offset, set()) - {octet}:
                return position + offset
        return None


pieces = st.tuples(st.integers(0, 60), st.text("ab", max_size=20).map(str.encode))


@given(st.sampled_from(BASES), st.lists(pieces, max_size=12), pieces)
@example(2**32 - 1, [(0, b"ab")], (1, b"a"))
@example(0, [(0, b"aaaa"), (2, b"aaaa")], (0, b"aaaaab"))
@example(0, [(5, b"b"), (0, b"aaaaaa")], (0, b"aaaaaaa"))
@example(0, [(0, b"")], (0, b"a"))
def test_conflicts_are_those_of_the_model(base: int, sent: list[tuple[int, bytes]], again: tuple[int, bytes]) -> None:
    octets, model = Sender(), Model()
    for position, piece in sent:
        octets.add(add(base, position), piece)
        model.add(position, piece)
    position, piece = again
    want = model.conflict(position, piece)
    assert octets.conflict(add(base, position), piece) == (ABSENT if want is None else add(base, want))


@pytest.mark.parametrize(
    ("seq", "octets", "conflict"),
    [
        (100, b"hello", ABSENT),
        (100, b"hellO", 104),
        (100, b"Hello", 100),
        (98, b"xyhellO", 104),  # starts before
        (103, b"loxyz", ABSENT),  # goes on behind
        (103, b"lXxyz", 104),
        (98, b"xyHellO", 100),  # the first of two
        (95, b"abcde", ABSENT),  # ends where it begins
        (105, b"abcde", ABSENT),  # begins where it ends
        (100, b"", ABSENT),
        (100 + 2**31, b"Hello", ABSENT),  # the other side of the circle
    ],
)
def test_conflict_with_one_piece(seq: int, octets: bytes, conflict: int) -> None:
    held = Sender()
    held.add(100, b"hello")
    assert held.conflict(seq, octets) == conflict


def test_a_conflict_at_number_0_is_not_taken_as_absent() -> None:
    held = Sender()
    held.add(2**32 - 2, b"aaaa")
    assert held.conflict(2**32 - 2, b"aaba") == 0


def test_old_pieces_are_forgotten() -> None:
    held = Sender()
    for number in range(MAX_PIECES + 1):
        held.add(number, b"a")
    assert held.conflict(0, b"b") == ABSENT
    assert held.conflict(1, b"b") == 1


def test_old_octets_are_forgotten() -> None:
    held = Sender()
    half = MAX_OCTETS // 2
    held.add(0, b"a" * half)
    held.add(half, b"a" * half)
    assert held.conflict(0, b"b") == 0
    held.add(2 * half, b"a")
    assert held.conflict(0, b"b") == ABSENT
    assert held.conflict(half, b"b") == half


def test_a_piece_that_is_too_long_is_not_compared() -> None:
    held = Sender()
    held.add(0, b"a" * (MAX_OCTETS + 1))
    assert held.conflict(0, b"b") == ABSENT
    held.add(0, b"a")
    assert held.conflict(0, b"b") == 0


@pytest.mark.parametrize("bound", ["RING_PIECES", "RING_OCTETS"])
def test_the_oldest_of_all_sides_are_forgotten(bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"labkit.analysis.payload.{bound}", 4 if bound == "RING_PIECES" else 8)
    store = PayloadStore()
    one, other = Sender(store), Sender(store)
    one.add(0, b"aa")
    other.add(0, b"aa")
    one.add(2, b"aa")
    other.add(2, b"aa")
    assert one.conflict(0, b"bb") == 0
    other.add(4, b"aa")
    assert one.conflict(0, b"bb") == ABSENT
    assert one.conflict(2, b"bb") == 2
    assert other.conflict(0, b"bb") == 0
    # The bound of one side does not depend on that of all sides.
    for number in range(10):
        one.add(number, b"aa")
    assert other.conflict(0, b"bbbb") == ABSENT
    assert one.conflict(9, b"bb") == 9
