"""Which ACKs may concern what comes again: one pass gives what the definition says."""

from hypothesis import given
from hypothesis import strategies as st

from labkit.analysis.account import Resends
from labkit.analysis.entry import CLIENT, Shown
from labkit.tcp.segment import ACK
from labkit.tcp.seq import add, diff

ISN = 2**32 - 20
"""The numbers pass 2**32."""

SEGMENTS = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 4)), max_size=14)


def sent(places: list[tuple[int, int]]) -> tuple[list[Shown], list[Shown]]:
    segments = [Shown(2 * n, 0, CLIENT, add(ISN, at), 0, ACK, size) for n, (at, size) in enumerate(places, 1)]
    known: set[int] = set()
    again = []
    for one in segments:
        (again if one.seq in known else []).append(one)
        known.add(one.seq)
    return segments, again


def by_definition(segments: list[Shown], again: list[Shown], ack: int, packet: int, acked: int) -> bool:
    for each in again:
        if each.packet > packet and diff(each.seq, ack) <= 0:
            return True
        behind = [one for one in segments if one.packet > each.packet and diff(one.seq, each.end) >= 0]
        if each.packet < packet and not any(diff(acked, one.end) >= 0 for one in behind):
            return True
    return False


@given(SEGMENTS, st.integers(0, 16), st.integers(0, 15), st.integers(0, 16))
def test_one_pass_gives_what_the_definition_says(
    places: list[tuple[int, int]], ack: int, packet: int, acked: int
) -> None:
    segments, again = sent(places)
    numbers = add(ISN, ack), 2 * packet + 1, add(ISN, acked)
    assert Resends(segments, again).concern(*numbers) == by_definition(segments, again, *numbers)


def test_nothing_comes_again() -> None:
    segments, again = sent([(0, 4), (4, 4)])
    assert again == []
    assert not Resends(segments, again).concern(ISN, 3, ISN)
