"""Datagrams put together from their fragments, by honest and by hostile senders."""

from itertools import permutations

import pytest
from frames import CLIENT6, SERVER6, ether, ip4, ip6, tcp
from hypothesis import given
from hypothesis import strategies as st

from labkit.packet.decode.outcome import FRAGMENT
from labkit.packet.decode.walk import decode
from labkit.packet.reassembly import Reassembler
from labkit.packet.seen import SUM_BAD, SUM_GOOD, Seen

SECOND = 1_000_000_000
SEGMENT = tcp(bytes(range(60)))
SEGMENT6 = tcp(bytes(range(60)), addresses=CLIENT6 + SERVER6)
MORE = 0x2000


def fragment4(start, end, body=SEGMENT, ident=1, more=None, protocol=6):
    more = end < len(body) if more is None else more
    return ether(ip4(body[start:end], protocol, ident=ident, fragment=start // 8 | (MORE if more else 0)))


def fragment6(start, end, body=SEGMENT6, ident=1, more=None):
    more = end < len(body) if more is None else more
    header = bytes((6, 0)) + (start | more).to_bytes(2) + ident.to_bytes(4)
    return ether(ip6(header + body[start:end], 44), 0x86DD)


def feed(reassembler, frame, now=0, wirelen=None):
    """What a fragment completes: the datagram and what is in it."""
    seg = Seen(time=now, wirelen=wirelen or len(frame))
    assert decode(frame, 0, len(frame), 1, seg) == FRAGMENT
    whole = reassembler.segment(frame, seg)
    return whole and (whole, seg)


@pytest.mark.parametrize(("fragment", "segment"), [(fragment4, SEGMENT), (fragment6, SEGMENT6)], ids=["4", "6"])
@pytest.mark.parametrize("order", list(permutations([(0, 8), (8, 40), (40, 80)])))
def test_any_order(fragment, segment, order):
    reassembler = Reassembler()
    *early, last = [feed(reassembler, fragment(*place)) for place in order]
    assert early == [None, None]
    datagram, seg = last
    assert datagram.endswith(segment)
    assert (seg.sport, seg.len, seg.sum_state, seg.fault) == (40000, 60, SUM_GOOD, 0)
    assert datagram[seg.data_at : seg.data_at + seg.data_len] == bytes(range(60))
    assert seg.ip_sum_state == (SUM_GOOD if fragment is fragment4 else 0)
    assert reassembler.pending == 0


def test_a_bad_header_checksum_stays_bad():
    reassembler = Reassembler()
    first = bytearray(fragment4(0, 40))
    first[24] ^= 1
    assert feed(reassembler, bytes(first)) is None
    assert feed(reassembler, fragment4(40, 80))[1].ip_sum_state == SUM_BAD


def test_conversations_do_not_mix():
    reassembler = Reassembler()
    assert feed(reassembler, fragment4(0, 40)) is None
    assert feed(reassembler, fragment4(40, 80, ident=2)) is None
    assert feed(reassembler, fragment4(40, 80, protocol=17)) is None
    assert reassembler.pending == 3
    assert feed(reassembler, fragment4(40, 80)) is not None


def test_duplicates_are_ignored():
    for fragment in (fragment4, fragment6):
        reassembler = Reassembler()
        assert feed(reassembler, fragment(0, 40)) is None
        assert feed(reassembler, fragment(0, 40)) is None
        assert feed(reassembler, fragment(40, 80)) is not None


def test_ipv4_keeps_what_came_first():
    reassembler = Reassembler()
    other = bytes(80)
    assert feed(reassembler, fragment4(0, 40)) is None
    assert feed(reassembler, fragment4(32, 64, other, more=True)) is None
    datagram, seg = feed(reassembler, fragment4(40, 80))
    assert datagram[20:] == SEGMENT[:40] + other[40:64] + SEGMENT[64:]
    assert seg.sum_state == SUM_BAD


def test_ipv6_drops_what_overlaps():
    reassembler = Reassembler()
    assert feed(reassembler, fragment6(0, 40)) is None
    assert feed(reassembler, fragment6(32, 64, more=True)) is None
    assert feed(reassembler, fragment6(40, 80)) is None
    # What comes later of the same datagram is dropped as well, until the datagram is forgotten.
    assert feed(reassembler, fragment6(0, 40)) is None
    assert feed(reassembler, fragment6(0, 40), now=61 * SECOND) is None
    assert feed(reassembler, fragment6(40, 80), now=61 * SECOND) is not None


@pytest.mark.parametrize(
    "pieces",
    [
        [(80, 88, True), (0, 40, True), (40, 80, False)],
        [(0, 40, True), (48, 80, False), (80, 88, True), (40, 48, True)],
        [(48, 80, True), (0, 40, True), (40, 48, False)],
        [(65528, 65544, False), (0, 40000, True), (40000, 65528, True)],
        [(8, 40000, True), (40000, 65520, True), (65520, 65530, False), (0, 8, True)],
    ],
    ids=["beyond-a-later-end", "beyond-the-end", "two-ends", "longer-than-a-fragment", "longer-than-ip"],
)
def test_impossible_datagrams(pieces):
    reassembler = Reassembler()
    body = SEGMENT + bytes(65600)
    results = [feed(reassembler, fragment4(start, end, body, more=more)) for start, end, more in pieces]
    assert results == [None] * len(pieces)


def test_a_cut_fragment_leaves_a_hole():
    reassembler = Reassembler()
    assert feed(reassembler, fragment4(0, 40)) is None
    last = fragment4(40, 80)
    assert feed(reassembler, last[:-1], wirelen=len(last)) is None
    assert feed(reassembler, last) is not None


def test_old_fragments_are_forgotten():
    reassembler = Reassembler(age=30 * SECOND)
    assert feed(reassembler, fragment4(0, 40)) is None
    assert feed(reassembler, fragment4(40, 80), now=31 * SECOND) is None
    assert feed(reassembler, fragment4(0, 40), now=32 * SECOND) is not None


def test_few_datagrams_are_pending():
    reassembler = Reassembler(datagrams=3)
    for ident in range(1, 9):
        assert feed(reassembler, fragment4(0, 40, ident=ident)) is None
        assert reassembler.pending == min(ident, 3)
    assert feed(reassembler, fragment4(40, 80, ident=6)) is not None
    assert feed(reassembler, fragment4(40, 80, ident=1)) is None


def test_many_holes_are_an_attack():
    reassembler = Reassembler()
    body = SEGMENT + bytes(4000)
    for start in range(8, 4000, 16):
        assert feed(reassembler, fragment4(start, start + 8, body)) is None
    for start in range(0, 4080, 16):
        assert feed(reassembler, fragment4(start, min(start + 8, 4080), body)) is None


def test_fragments_in_a_tunnel():
    reassembler = Reassembler()
    inner = [fragment4(0, 40)[14:], fragment4(40, 80)[14:]]
    outer = [fragment4(*place, inner[0], 5, protocol=4) for place in ((0, 32), (32, 60))]
    outer += [fragment4(*place, inner[1], 6, protocol=4) for place in ((0, 32), (32, 60))]
    *early, last = [feed(reassembler, frame) for frame in outer]
    assert early == [None] * 3
    assert last[1].sum_state == SUM_GOOD


ATOMIC = bytes((44, 0, 0, 0)) + bytes(4)
"""A fragment header that says the datagram is whole, before another fragment header (RFC 6946)."""
PLACED = bytes((6, 0)) + (40).to_bytes(2) + bytes(4)


@pytest.mark.parametrize(
    "frame",
    [ether(ip4(PLACED + SEGMENT[40:], 44)), ether(ip6(ATOMIC * 3 + PLACED + SEGMENT6[40:], 44), 0x86DD)],
    ids=["in-ipv4", "after-others"],
)
def test_a_second_fragment_header_is_no_riddle(frame):
    """The first one says that the datagram is whole, and so it would be, again and again."""
    assert feed(Reassembler(), frame) is None


def test_the_fragment_header_that_counts():
    reassembler = Reassembler()
    first, last = (fragment6(*place)[54:] for place in ((0, 40), (40, 80)))
    assert feed(reassembler, ether(ip6(ATOMIC + first, 44), 0x86DD)) is None
    _datagram, seg = feed(reassembler, ether(ip6(ATOMIC + last, 44), 0x86DD))
    assert (seg.sport, seg.len, seg.sum_state) == (40000, 60, SUM_GOOD)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.booleans(), st.booleans()), max_size=30))
def test_any_fragments(pieces):
    """Whatever comes in whatever order: no exception, and what is given is a datagram."""
    reassembler = Reassembler(datagrams=4)
    body = SEGMENT + bytes(400)
    for start, size, more, six in pieces:
        if not (start or more):
            continue
        fragment = fragment6 if six else fragment4
        result = feed(reassembler, fragment(start * 8, start * 8 + size * 8, body, more=more))
        assert result is None or len(result[0]) >= 20
    assert reassembler.pending <= 4
