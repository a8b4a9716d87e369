"""Each condition of the decisions about conversations, by itself: when one is over, when a SYN begins a new one."""

from copy import deepcopy

import pytest

from labkit.analysis.flows import (
    TWO_MSL,
    Flow,
    FlowTable,
    add_segment,
    begins_anew,
    compares_isn,
    inherit,
    is_over,
    succeed,
)
from labkit.analysis.side import Side
from labkit.packet.seen import Seen
from labkit.tcp.segment import ACK, FIN, RST, SYN
from labkit.tcp.seq import MASK, add

N = MASK - 5
"""A number below the wrap."""


def side(**values: int) -> Side:
    made = Side()
    for name, value in values.items():
        assert hasattr(made, name)
        setattr(made, name, value)
    return made


def segment(ctl: int, **values: int) -> Seen:
    made = Seen(ctl=ctl)
    for name, value in values.items():
        assert hasattr(made, name)
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("one", "other", "over"),
    [
        ({}, {}, False),
        ({"rst": 1}, {}, True),
        ({}, {"rst": 1}, True),
        ({"has_fin": 1}, {}, False),
        ({}, {"has_fin": 1}, False),
        ({"has_fin": 1}, {"has_fin": 1}, True),
    ],
)
def test_a_conversation_is_over(one: dict[str, int], other: dict[str, int], over: bool) -> None:
    assert is_over(side(**one), side(**other)) is over


OVER = {"rst": 1}
CLOSED = {"has_fin": 1, "has_rcv_nxt": 1, "rcv_nxt": 8}
ANSWER = {"has_resyn": 1, "resyn": N, "isn": 5}


@pytest.mark.parametrize(
    ("seg", "me", "peer", "anew"),
    [
        # A SYN.
        (segment(SYN), {}, {}, True),
        (segment(ACK), {}, {}, False),
        (segment(SYN | RST), {}, {}, False),
        (segment(SYN), {"syn": 1}, {}, False),
        (segment(SYN), {"syn": 1}, OVER, True),
        (segment(SYN), {"syn": 1, **CLOSED, "fin": 7}, {**CLOSED, "fin": 6}, True),
        (segment(SYN), {"syn": 1, **CLOSED, "fin": 7}, {**CLOSED, "fin": 8}, False),  # a FIN is not acknowledged
        (segment(SYN), {"syn": 1, "has_fin": 1}, {}, False),
        (segment(SYN, seq=N), {"seen": 1, "first_seq": add(N, 1)}, {}, False),
        (segment(SYN, seq=N), {"seen": 1, "first_seq": N}, {}, True),
        (segment(SYN, seq=N), {"seen": 1, "first_seq": add(N, 2)}, {}, True),
        (segment(SYN), {}, {"syn": 1}, False),
        (segment(SYN), {}, {"rst": 1}, False),
        # A SYN ACK.
        (segment(SYN | ACK, ack=add(N, 1)), {}, ANSWER, True),
        (segment(SYN | ACK, ack=add(N, 1)), {}, ANSWER | {"has_resyn": 0}, False),
        (segment(SYN | ACK, ack=N), {}, ANSWER, False),
        (segment(SYN | ACK, ack=add(N, 2)), {}, ANSWER, False),
        (segment(SYN | ACK, ack=add(N, 1)), {}, ANSWER | {"isn": N}, False),
        (segment(SYN | ACK, seq=7), {"syn": 1, "isn": N}, OVER, True),
        (segment(SYN | ACK, seq=7), {"syn": 1, "isn": N}, {}, False),
        (segment(SYN | ACK, seq=7), {"syn": 0, "isn": N}, OVER, False),
        (segment(SYN | ACK, seq=N), {"syn": 1, "isn": N}, OVER, False),
        (segment(SYN | ACK, seq=7), {"syn": 1, "isn": N, "has_nxt": 1, "nxt": 7}, OVER, False),
        (segment(SYN | ACK, seq=7), {"syn": 1, "isn": N, "has_nxt": 1, "nxt": 8}, OVER, True),
        (segment(SYN | ACK, seq=7), {"syn": 1, "isn": N, "has_nxt": 0, "nxt": 7}, OVER, True),
    ],
)
def test_a_syn_begins_a_new_connection(seg: Seen, me: dict[str, int], peer: dict[str, int], anew: bool) -> None:
    sides = side(**me), side(**peer)
    before = deepcopy(sides)
    assert bool(begins_anew(seg, *sides)) is anew
    assert sides == before


CLOSED = {"has_fin": 1, "has_nxt": 1, "nxt": N, "last_time": 100}


@pytest.mark.parametrize(
    ("old", "other", "now", "expected"),
    [
        (CLOSED, {"has_fin": 1, "last_time": 50}, 100 + TWO_MSL - 1, 2),
        (CLOSED, {"has_fin": 1, "last_time": 50}, 100 + TWO_MSL, 1),
        (CLOSED, {"has_fin": 1, "last_time": 101}, 100 + TWO_MSL, 2),
        (CLOSED, {"last_time": 50}, 100, 1),
        (CLOSED | {"has_fin": 0}, {"has_fin": 1}, 100, 1),
        (CLOSED | {"has_nxt": 0}, {"has_fin": 1}, 100, 1),
        ({"rst": 1}, {"syn": 1}, 100, 3),
        ({"syn": 1}, {"rst": 1}, 100, 3),
        ({"syn": 1, "rst": 1}, {"syn": 1}, 100, 4),
        ({"syn": 1}, {"syn": 1, "rst": 1}, 100, 4),
        ({"syn": 1}, {"syn": 1}, 100, 1),
        ({"rst": 1}, {}, 100, 3),
        ({"syn": 1}, {}, 100, 1),
        ({}, {}, 100, 1),
    ],
)
def test_what_a_side_learns_of_its_last_connection(
    old: dict[str, int], other: dict[str, int], now: int, expected: int
) -> None:
    new = Side()
    inherit(new, side(**old), side(**other), now)
    assert (new.has_old, new.old_nxt) == (expected, old.get("nxt", 0))


@pytest.mark.parametrize(
    ("ctl", "has_resyn", "told"), [(SYN | ACK, 1, True), (SYN, 1, False), (SYN | ACK, 0, False), (SYN, 0, False)]
)
def test_a_syn_ack_gives_the_peer_the_syn_that_it_answers(ctl: int, has_resyn: int, told: bool) -> None:
    one, other = Side(), Side()
    peer = side(has_resyn=has_resyn, resyn=MASK, resyn_packet=9)
    succeed(segment(ctl), one, other, Side(), peer)
    known = {"syn": 1, "isn": MASK, "syn_end": 0, "syn_packet": 9, "base": MASK, "has_base": 1, "has_nxt": 1, "seen": 1}
    for name, value in known.items():
        assert getattr(other, name) == (value if told else 0), name
    assert (one.syn, other.has_old, one.has_old) == (0, 1, 1)


@pytest.mark.parametrize(
    ("ctl", "point", "syn", "expected"),
    [
        (SYN, 0, 0, True),
        (SYN | ACK, 0, 0, True),
        (SYN | FIN, 0, 0, True),
        (SYN | RST, 0, 0, False),
        (ACK, 0, 0, False),
        (SYN, 1, 0, False),
        (SYN, 0, 1, False),
    ],
)
def test_which_segments_have_an_isn_to_compare(ctl: int, point: int, syn: int, expected: bool) -> None:
    assert bool(compares_isn(segment(ctl), side(syn=syn), point)) is expected


@pytest.mark.parametrize(
    ("ctl", "sender", "syns", "client"),
    [
        (SYN, 1, (0, 0), 1),
        (SYN | ACK, 1, (0, 0), 0),
        (SYN | ACK, 0, (0, 0), 1),
        (ACK, 1, (0, 0), 7),
        (SYN, 1, (1, 0), 7),
        (SYN, 1, (0, 1), 7),
    ],
)
def test_the_first_syn_shows_the_client(ctl: int, sender: int, syns: tuple[int, int], client: int) -> None:
    flow = Flow(0, ((b"", 1), (b"", 2)), client=7)
    seg = segment(ctl, point=3)
    sides = side(syn=syns[0]), side(syn=syns[1])
    add_segment(flow, seg, sender, sides[sender], sides[1 - sender])
    assert (flow.client, flow.segments, flow.seen_at[sender]) == (client, 1, 3)


def test_the_isns_of_a_host_are_compared_in_turn() -> None:
    table = FlowTable(most_hosts=2)
    octets = bytes((1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4))

    def first(host: int, port: int, seq: int) -> tuple[int, int, int]:
        at = 4 * host
        seg = segment(SYN, src_at=at, dst_at=12, addr_len=4, sport=port, dport=80, seq=seq)
        flow, number = table.find(octets, seg)
        found = flow.sides[number]
        return found.host_isns, found.host_isn, found.host_step

    assert first(0, 1000, N) == (0, 0, 0)
    assert first(0, 1001, add(N, 10)) == (1, N, 0)
    assert first(0, 1002, add(N, 15)) == (2, add(N, 10), 10)
    assert first(1, 1000, 5) == (0, 0, 0)
    assert first(0, 1003, add(N, 20)) == (3, add(N, 15), 5)
    assert first(2, 1000, 5) == (0, 0, 0)  # the first host gives way
    assert first(1, 1001, 6) == (1, 5, 0)
    assert first(0, 1004, add(N, 25)) == (0, 0, 0)


@pytest.mark.parametrize(("one", "other"), [((b"a", 1), (b"b", 1)), ((b"a", 1), (b"a", 2)), ((b"a", 1), (b"a", 1))])
def test_both_directions_have_one_key(one: tuple[bytes, int], other: tuple[bytes, int]) -> None:
    assert Flow(0, (one, other)).key == Flow(1, (other, one)).key == (one, other, 0)
    assert Flow(0, (one, other), point=1).key != Flow(0, (one, other)).key
