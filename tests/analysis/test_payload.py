"""Kept payload, compared with a model that keeps every octet by its number."""

import pytest
from hypothesis import HealthCheck, example, given, settings
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


@pytest.mark.parametrize("bound", ["RING_PIECES", "KEPT_OCTETS"])
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


class Kept:
    """The pieces of all sides in the order of the capture, of which nothing is overwritten."""

    def __init__(self) -> None:
        self.pieces: list[tuple[int, int, bytes]] = []
        """Of each its side, the octets of the capture before it, and its own, which are at the numbers of their places."""
        self.octets = 0

    def add(self, side: int, octets: bytes) -> None:
        self.pieces.append((side, self.octets, octets))
        self.octets += len(octets)

    def compared(self, side: int) -> list[tuple[int, bytes]]:
        """The numbers and octets of the pieces that are still compared, the newest first."""
        found: list[tuple[int, bytes]] = []
        for own, before, octets in reversed(self.pieces):
            if own == side:
                if sum(len(each) for _, each in found) + len(octets) > payload.MAX_OCTETS:
                    break
                if len(found) == payload.MAX_PIECES or self.octets - before > payload.KEPT_OCTETS:
                    break
                found.append((before, octets))
        return found


SMALL = {"MAX_OCTETS": 16, "LAP_OCTETS": 16, "MAX_PIECES": 6, "RING_OCTETS": 128, "KEPT_OCTETS": 96}


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    assert payload.KEPT_OCTETS == payload.RING_OCTETS - 2 * payload.LAP_OCTETS
    assert payload.LAP_OCTETS >= payload.MAX_OCTETS
    for name, value in SMALL.items():
        monkeypatch.setattr(payload, name, value)


RUNS = st.lists(
    st.tuples(st.integers(0, 2), st.lists(st.integers(0, 40) | st.integers(0, 128), min_size=1, max_size=12)),
    min_size=1,
    max_size=12,
)


@pytest.mark.usefixtures("_small")
@given(RUNS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@example([(0, [4] * 12)] * 2)  # one side goes round and round
@example([(0, [8] * 9), (1, [8] * 9), (0, [8] * 3)])  # what a lap has left is not overwritten
@example([(0, [15, 40, 4]), (1, [25]), (2, [25]), (1, [25])])  # a lap that is too long is not repeated
@example([(0, [5] * 9), (1, [1]), (2, [31] * 3), (0, [1])])  # the oldest that is compared
def test_what_is_compared_was_not_overwritten(runs: list[tuple[int, list[int]]]) -> None:
    store, kept = PayloadStore(), Kept()
    senders = [Sender(store) for _ in range(3)]
    for side, sizes in runs:
        for size in sizes:
            octets = bytes((len(kept.pieces) * 7 + place) % 251 for place in range(size))
            senders[side].add(kept.octets, octets)
            kept.add(side, octets)
            for each, sender in enumerate(senders):
                for number, known in kept.compared(each):
                    assert sender.conflict(number, known) == ABSENT
                    for place in range(len(known)):
                        other = known[:place] + bytes(((known[place] + 1) % 256,)) + known[place + 1 :]
                        assert sender.conflict(number, other) == number + place


def test_one_side_takes_little_of_the_ring() -> None:
    """So that the processor's cache holds it."""
    sender, octets = Sender(), bytes(1460)
    for number in range(1000):
        sender.add(number * 1460, octets)
    assert sender.store.top < 2 * MAX_OCTETS
    other = Sender(sender.store)
    other.add(0, octets)
    assert other.store.place == other.store.top < 2 * MAX_OCTETS + 1460
