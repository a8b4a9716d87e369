"""What answers an open question about a segment, each condition by itself.

A state in which a segment answers the question, and the changes after which it answers otherwise, or not. Sequence numbers
wrap: those of each case lie around 0.
"""

import pytest
from conditions import at
from field_tables import Action, Change, Table, check

from labkit.analysis.order import SAME_MOMENT
from labkit.analysis.pending import (
    AFTER_ACK,
    BEHIND,
    ECHOES,
    FILLED,
    GAP,
    LATE,
    LOST,
    MISSED,
    OPEN,
    PARTLY,
    THIRD,
    UNPROVEN,
    UNSENT,
    WRONG,
    Resolved,
    answer,
    answer_by_octets,
    answer_reset,
    close,
    missing,
    open_pending,
    resolve,
)
from labkit.analysis.side import MAX_PENDING, Side
from labkit.packet.seen import ABSENT, Seen
from labkit.tcp.segment import ACK, FIN, RST, SYN

TABLE = Table()


def row(side: str, kind: int, want: int, seen: int, length: int) -> Change:
    """A pending segment as `open_pending` notes it."""
    values = {"kind": kind, "want": at(want), "low": at(want), "high": at(seen), "seen": at(seen), "seg_len": length}
    return {f"{side}.pending_n": 1} | {f"{side}.pending_{name}": [value] for name, value in values.items()}


def data(seq: int, length: int) -> Change:
    return {"seg.ctl": ACK, "seg.seq": at(seq), "seg.len": length, "seg.seg_len": length, "seg.end": at(seq + length)}


def me_is(state: int) -> Change:
    return {"me.pending_state": [state]}


def peer_is(state: int) -> Change:
    return {"peer.pending_state": [state]}


# A reset with ACK has SND.NXT (RFC 9293 section 3.5.3: its number comes from the connection).
ABORT = {"seg.ctl": RST | ACK, "me.syn": 1, "peer.syn": 2}
TABLE.add(
    "a reset where the sender would be with the expected number",
    answer_reset,
    ABORT | row("me", GAP, 0, 100, 10) | {"seg.seq": at(10)},
    me_is(WRONG),
    ({"seg.ctl": RST}, me_is(OPEN)),
    ({"peer.syn": 0}, me_is(OPEN)),  # in SYN-SENT it takes the number of what it refuses
    ({"me.syn": 0, "peer.syn": 0}, me_is(WRONG)),  # the capture begins later
    ({"seg.seq": at(11)}, me_is(OPEN)),
    ({"seg.seq": at(110)}, me_is(OPEN)),
    ({"me.pending_kind": [UNSENT]}, me_is(OPEN)),
    ({"me.pending_seg_len": [0], "seg.seq": at(0)}, me_is(OPEN)),  # SND.NXT is there if the octets between are lost
    (me_is(MISSED), me_is(MISSED)),
)
TABLE.add(
    "a reset that acknowledges what is behind the gap may only answer it",
    answer_reset,
    ABORT | row("peer", GAP, 0, 100, 10) | {"seg.ack": at(110), "peer.nxt": at(110)},
    peer_is(OPEN),
)
TABLE.add(
    "a reset at the number that was acknowledged",
    answer_reset,
    ABORT | row("peer", UNSENT, 100, 150, 0) | {"seg.seq": at(150)},
    peer_is(MISSED),
    ({"seg.seq": at(151)}, peer_is(MISSED)),
    ({"seg.seq": at(149)}, peer_is(OPEN)),
    ({"seg.seq": at(101)}, peer_is(OPEN)),
    ({"seg.seq": at(100)}, peer_is(WRONG)),  # it aborts where the capture shows it
    ({"seg.seq": at(99)}, peer_is(OPEN)),
    ({"peer.pending_kind": [BEHIND]}, peer_is(OPEN)),
    ({"peer.pending_kind": [BEHIND], "seg.seq": at(100)}, peer_is(OPEN)),
    (peer_is(UNPROVEN), peer_is(UNPROVEN)),
)


# Octets in a gap.
@pytest.mark.parametrize(
    ("seq", "length", "count"),
    [
        (0, 10, 0),
        (0, 20, 10),
        (10, 10, 10),
        (15, 10, 5),
        (12, 5, 5),
        (0, 50, 20),
        (20, 10, 0),
        (20, 20, 10),
        (30, 10, 10),
        (45, 9, 0),
    ],
)
def test_the_numbers_of_a_segment_that_lie_in_gaps(seq: int, length: int, count: int) -> None:
    """Of two gaps, 10:20 and 30:40."""
    side = Side()
    for low, high in ((10, 20), (30, 40)):
        open_pending(Seen(seg_len=5), side, GAP, at(low), at(high))
    open_pending(Seen(seg_len=0), side, GAP, at(0), at(5))  # no octets follow it: nothing is missing
    open_pending(Seen(seg_len=5), side, UNSENT, at(0), at(5))
    assert missing(Seen(seq=at(seq), seg_len=length, end=at(seq + length)), side) == count


LEFT = {"me.pending_n": 1, "me.pending_low": [at(0)], "me.pending_high": [at(100)]}
TABLE.add(
    "octets that fill a gap",
    answer,
    row("me", GAP, 0, 100, 10) | data(0, 100) | {"me.top": at(110)},
    me_is(FILLED),
    (data(-10, 120), me_is(FILLED)),
    (data(-10, 10), me_is(OPEN) | LEFT),
    (data(-20, 10), me_is(OPEN) | LEFT),
    (data(-10, 11), me_is(OPEN) | LEFT | {"me.pending_low": [at(1)]}),
    (data(0, 99), me_is(OPEN) | LEFT | {"me.pending_low": [at(99)]}),
    (data(99, 1), me_is(OPEN) | LEFT | {"me.pending_high": [at(99)]}),
    (data(1, 99), me_is(OPEN) | LEFT | {"me.pending_high": [at(1)]}),
    (data(1, 150), me_is(OPEN) | LEFT | {"me.pending_high": [at(1)]}),
    (data(100, 10), me_is(OPEN) | LEFT),
    (
        data(40, 20),
        {"me.pending_n": 2, "me.pending_low": [at(0), at(60)], "me.pending_high": [at(40), at(100)]}
        | {"me.pending_state": [OPEN, OPEN], "me.pending_kind": [GAP, GAP]},
    ),
    ({"me.pending_kind": [UNSENT]}, me_is(OPEN) | LEFT),
    (me_is(UNPROVEN), me_is(UNPROVEN) | LEFT),
    ({"seg.seg_len": 0, "seg.end": at(0), "seg.seq": at(50)}, me_is(OPEN) | LEFT),
)
TABLE.add(
    "octets around the number of a pure ACK that skipped some",
    answer,
    row("me", GAP, 0, 100, 0) | data(50, 60) | {"me.top": at(100)},
    me_is(WRONG),  # new octets include the number: the sender was not behind it
    (data(50, 50), me_is(OPEN) | {"me.pending_high": [at(50)]}),
    ({"me.top": at(110)}, me_is(OPEN) | {"me.pending_high": [at(50)]}),  # old ones may be merged with what followed
    ({"me.top": at(109)}, me_is(WRONG)),
    # New octets below the number tell nothing, also where an earlier ACK of the same number was found wrong.
    (data(0, 50) | {"me.top": at(0)}, me_is(OPEN) | {"me.pending_low": [at(50)]}),
    (data(0, 100) | {"me.top": at(0)}, me_is(FILLED)),
    ({"me.pending_seg_len": [5]}, me_is(OPEN) | {"me.pending_high": [at(50)]}),
)


def test_a_gap_is_not_split_in_a_full_table() -> None:
    side = Side()
    for _ in range(MAX_PENDING):
        open_pending(Seen(seg_len=10), side, GAP, at(0), at(100))
    answer_by_octets(Seen(seq=at(40), seg_len=20, end=at(60)), side)
    assert side.pending_n == MAX_PENDING
    assert (side.pending_low[0], side.pending_high[0]) == (at(0), at(40))


# The sender goes on from where it would be with the expected number.
TABLE.add(
    "data after the octets of the pending segment under the expected number",
    answer,
    row("me", GAP, 0, 100, 200) | data(200, 10) | {"me.top": at(300)},
    me_is(WRONG),
    (data(201, 10), me_is(OPEN)),
    (data(199, 10), me_is(OPEN)),
    # At the number of the pending segment it may be a retransmission of it.
    ({"me.pending_seg_len": [100]} | data(100, 10), me_is(OPEN)),
    ({"me.pending_seg_len": [101]} | data(101, 10), me_is(WRONG)),
)
TABLE.add(
    "data at the expected number, which was filled already",
    answer,
    row("me", GAP, 0, 100, 0) | {"me.pending_low": [at(20)]} | data(0, 20) | {"me.top": at(100)},
    me_is(OPEN),
    ({"me.pending_seg_len": [10]} | data(10, 10), me_is(OPEN)),
)
LATER_ACK = {"me.has_rcv_nxt": 1, "me.rcv_nxt": at(500), "seg.ack": at(501)}
SAME_ACK = {"seg.ack": at(500)}
NEWER, OLDER = {"seg.tsval": 8, "me.tsval": 7}, {"seg.tsval": 6, "me.tsval": 7}
TABLE.add(
    "a later pure ACK after the pending segment under the expected number",
    answer,
    row("me", GAP, 0, 100, 10) | data(10, 0) | LATER_ACK,
    me_is(WRONG),
    (SAME_ACK, me_is(OPEN)),  # it may have been overtaken
    (SAME_ACK | {"seg.time": 10**10}, me_is(OPEN)),
    (SAME_ACK | NEWER, me_is(WRONG)),
    ({"seg.ack": at(499)}, me_is(OPEN)),
    ({"seg.ack": at(499)} | NEWER, me_is(OPEN)),
    ({"seg.ack": at(499), "me.has_rcv_nxt": 0} | NEWER, me_is(WRONG)),
    ({"me.has_rcv_nxt": 0}, me_is(OPEN)),
    (OLDER, me_is(OPEN)),
    (data(11, 0), me_is(OPEN)),
    (data(9, 0), me_is(OPEN)),
)
TABLE.add(
    "a pure ACK at the expected number, later than the one that skipped some",
    answer,
    row("me", GAP, 0, 100, 0) | data(0, 0) | LATER_ACK,
    me_is(WRONG),
    (SAME_ACK, me_is(OPEN)),
    (SAME_ACK | NEWER, me_is(WRONG)),
    (SAME_ACK | OLDER, me_is(OPEN)),
    (OLDER, me_is(OPEN)),
    ({"me.has_rcv_nxt": 0}, me_is(OPEN)),
    # One number before: a keep-alive (RFC 9293 section 3.8.4), if it acknowledges nothing new.
    ({"me.pending_seen": [at(1)], "me.pending_high": [at(1)]} | SAME_ACK | NEWER, me_is(OPEN)),
    ({"me.pending_seen": [at(1)], "me.pending_high": [at(1)], "me.has_rcv_nxt": 0} | NEWER, me_is(OPEN)),
    ({"me.pending_seen": [at(1)], "me.pending_high": [at(1)]}, me_is(WRONG)),
    ({"me.pending_seen": [at(2)], "me.pending_high": [at(2)]} | SAME_ACK | NEWER, me_is(WRONG)),
    (
        {"me.pending_seen": [at(11)], "me.pending_high": [at(11)], "me.pending_seg_len": [10]}
        | data(10, 0)
        | SAME_ACK
        | NEWER,
        me_is(WRONG),
    ),
)

# The receiver acknowledges.
ACKED = row("peer", GAP, 0, 100, 10) | {"seg.ctl": ACK, "seg.ack": at(110), "peer.nxt": at(110)}
TABLE.add(
    "an ack of the octets behind the gap",
    answer,
    ACKED,
    peer_is(MISSED) | {"peer.pending_mark": [0]},
    ({"peer.nxt": at(120)}, {}),
    ({"seg.ack": at(120), "peer.nxt": at(120)}, {}),
    ({"seg.ack": at(111)}, peer_is(OPEN)),  # of more than was sent: it proves nothing
    ({"seg.ack": at(109)}, peer_is(OPEN)),
    ({"seg.ack": at(100)}, peer_is(OPEN)),
    ({"seg.ack": at(99)}, peer_is(OPEN) | {"peer.pending_mark": [PARTLY]}),
    ({"seg.ack": at(1)}, peer_is(OPEN) | {"peer.pending_mark": [PARTLY]}),
    ({"seg.ack": at(0)}, peer_is(OPEN)),
    ({"seg.ack": at(-1)}, peer_is(OPEN)),
    ({"seg.ack": at(10)}, peer_is(OPEN)),  # also the end of the segment, under the expected number
    ({"seg.ack": at(11)}, peer_is(OPEN) | {"peer.pending_mark": [PARTLY]}),
    ({"seg.ack": at(50), "peer.pending_seg_len": [0]}, peer_is(OPEN)),
    ({"seg.ctl": 0}, peer_is(OPEN)),
    ({"peer.pending_kind": [BEHIND], "seg.seq": at(-9)}, peer_is(WRONG)),
    (peer_is(UNPROVEN), peer_is(UNPROVEN)),
    ({"seg.ack": at(50)} | peer_is(UNPROVEN), peer_is(UNPROVEN)),
)

# The sender of octets that were acknowledged, and that the capture does not show.
UNSEEN = row("peer", UNSENT, 100, 150, 0) | {"me.syn": 1, "me.has_nxt": 1, "me.nxt": at(100), "me.top": at(100)}
UNSEEN |= {"seg.time": SAME_MOMENT + 1, "peer.syn": 1}
TABLE.add(
    "a pure ACK at the number that was acknowledged",
    answer,
    UNSEEN | data(150, 0),
    peer_is(MISSED) | {"me.nxt": at(100), "me.top": at(100)},
    (data(151, 0), {}),
    (data(149, 0) | {"seg.seq_offset": 49}, peer_is(OPEN)),
    (data(100, 0), peer_is(WRONG)),
    (data(100, 0) | {"peer.syn": 0}, peer_is(OPEN)),  # no SYN ACK, or an older connection
    (data(100, 0) | {"peer.syn": 0, "me.syn": 0}, peer_is(WRONG)),
    (data(99, 0) | {"seg.seq_offset": -1}, peer_is(OPEN)),  # an old one shows nothing
    (data(100, 0) | {"seg.time": 0}, peer_is(WRONG)),
    (data(100, 0) | {"peer.pending_mark": [ECHOES]}, peer_is(OPEN)),
    (data(100, 0) | {"me.has_rcv_nxt": 1, "me.rcv_nxt": at(0), "seg.ack": at(0)}, peer_is(WRONG)),
    (data(100, 0) | {"me.has_rcv_nxt": 1, "me.rcv_nxt": at(0), "seg.ack": at(-1)}, peer_is(OPEN)),  # overtaken
    (data(100, 0) | {"me.rcv_nxt": at(0), "seg.ack": at(-1)}, peer_is(WRONG)),
    (data(150, 0) | peer_is(UNPROVEN), peer_is(UNPROVEN)),
)
SOON = UNSEEN | {"seg.time": SAME_MOMENT}
TABLE.add(
    "the octets come a moment after their acknowledgment",
    answer,
    SOON | data(100, 50),
    peer_is(LATE),
    (data(100, 49), peer_is(OPEN)),  # a part: the rest may follow
    (data(100, 51), peer_is(WRONG)),  # a receiver acknowledges whole segments
    (data(100, 51) | {"peer.mss": 50}, peer_is(LATE)),  # but not of one that offload splits later
    (data(100, 51) | {"peer.mss": 51}, peer_is(WRONG)),
    (data(100, 51) | {"peer.mss": 52}, peer_is(WRONG)),
    (data(100, 51) | {"peer.mss": 1}, peer_is(LATE)),
    (data(100, 51) | {"peer.mss": ABSENT}, peer_is(WRONG)),
    (data(100, 49) | {"peer.mss": 20}, peer_is(OPEN)),
    ({"seg.time": SAME_MOMENT + 1}, peer_is(WRONG)),
    (data(100, 49) | {"seg.time": SAME_MOMENT + 1}, peer_is(WRONG)),
    ({"peer.pending_time": [1], "seg.time": SAME_MOMENT + 1}, {}),
)
FIRST = UNSEEN | {"me.syn": 0, "peer.pending_seen": [at(101)]}
BEGUN = {"me.nxt": at(101), "me.top": at(101)}
STAYS = {"me.nxt": at(100), "me.top": at(100)}
TABLE.add(
    "a capture that began with a keep-alive, whose sender goes on",  # RFC 9293 section 3.8.4: SEG.SEQ = SND.NXT-1
    answer,
    FIRST | data(101, 0),
    peer_is(FILLED) | BEGUN,
    ({"me.octets": 1}, peer_is(MISSED) | BEGUN),
    ({"me.syn": 1}, peer_is(MISSED) | STAYS),
    ({"peer.has_rcv_nxt": 1}, peer_is(MISSED) | STAYS),
    ({"me.nxt": at(101)}, peer_is(FILLED) | {"me.nxt": at(101), "me.top": at(100)}),
    (data(102, 0), peer_is(MISSED)),
    ({"peer.pending_seen": [at(102)]} | data(102, 0), peer_is(MISSED) | {"me.nxt": at(102), "me.top": at(102)}),
)
TABLE.add(
    "a capture that began with a keep-alive, which comes again",
    answer,
    FIRST | data(100, 0),
    peer_is(FILLED) | BEGUN,
    ({"me.octets": 1}, peer_is(MISSED) | BEGUN),
    ({"me.syn": 1}, peer_is(WRONG) | STAYS),
    ({"me.syn": 1, "peer.syn": 0}, peer_is(OPEN) | STAYS),
    ({"peer.has_rcv_nxt": 1}, peer_is(WRONG) | STAYS),
    ({"me.nxt": at(101)}, peer_is(WRONG) | {"me.nxt": at(101), "me.top": at(100)}),
    ({"seg.seq_offset": -1}, peer_is(OPEN) | STAYS),
    (data(100, 1), peer_is(WRONG) | STAYS),
    (data(99, 0), peer_is(WRONG) | STAYS),
)
TABLE.add(
    "the server goes on from what a third segment acknowledged",
    answer,
    row("peer", BEHIND, 1, -20, 0) | data(-20, 5) | {"me.nxt": at(1)},
    peer_is(MISSED) | {"me.nxt": at(-20)},
    (data(1, 5), peer_is(WRONG) | {"me.nxt": at(1)}),
    (data(-19, 5), peer_is(WRONG) | {"me.nxt": at(1)}),
    (peer_is(UNPROVEN), peer_is(UNPROVEN) | {"me.nxt": at(1)}),
)


# What is known after an answer.
def resolve_first(_seg: Seen, me: Side, _peer: Side) -> int:
    """Resolve one row; the packet that is reported, or 0."""
    resolved = Resolved()
    return resolved.packet if resolve(me, resolved) else 0


EDGE = row("me", UNSENT, 100, 150, 0) | me_is(MISSED) | {"me.pending_packet": [7], "me.pending_low": [at(90)]}
TABLE.add(
    "the window of an ack that was right",
    resolve_first,
    EDGE | {"me.has_right_edge": 1, "me.right_edge": at(40)},
    {"answer": 7, "me.pending_n": 0, "me.right_edge": at(90)},
    ({"me.right_edge": at(91)}, {"me.right_edge": at(91)}),
    ({"me.has_right_edge": 0}, {"me.right_edge": at(40)}),
    (me_is(LATE), {}),
    (me_is(WRONG), {"me.right_edge": at(40)}),
    (me_is(FILLED), {"me.right_edge": at(40)}),
    ({"me.pending_kind": [BEHIND]}, {"me.right_edge": at(40)}),
    (me_is(OPEN), {"answer": 0, "me.pending_n": 1, "me.right_edge": at(40)}),
)
SKIPPED = row("me", GAP, 0, 100, 10) | {"me.pending_packet": [7], "me.nxt": at(110), "me.top": at(110)}
TABLE.add(
    "a segment that counts as if it had the expected number",
    resolve_first,
    SKIPPED
    | me_is(WRONG)
    | {"me.has_fin": 1, "me.fin": at(109), "me.fin_packet": 7, "me.data_seq": at(100), "me.data_len": 9},
    {"me.nxt": at(10), "me.fin": at(9), "me.data_seq": at(0), "me.missed": 0, "me.top": at(110)},
    ({"me.fin_packet": 8}, {"me.fin": at(109)}),
    ({"me.has_fin": 0}, {"me.fin": at(109)}),  # there is none
    ({"me.data_len": 0}, {"me.data_seq": at(100)}),
    ({"me.data_seq": at(101)}, {"me.data_seq": at(101)}),
    ({"me.nxt": at(120)}, {"me.nxt": at(120), "me.fin": at(109), "me.data_seq": at(100)}),
    (me_is(MISSED), {"me.nxt": at(110), "me.fin": at(109), "me.data_seq": at(100), "me.missed": 1}),
    (me_is(FILLED), {"me.nxt": at(110), "me.fin": at(109), "me.data_seq": at(100)}),
    ({"me.pending_kind": [UNSENT]}, {"me.nxt": at(110), "me.fin": at(109), "me.data_seq": at(100)}),
)
TABLE.add(
    "a pure ACK whose sender never got to its number",
    resolve_first,
    row("me", GAP, 0, 100, 0) | me_is(WRONG) | {"me.nxt": at(0), "me.top": at(100)},
    {"me.nxt": at(0), "me.top": at(0)},
    ({"me.top": at(101)}, {"me.top": at(101)}),
    (me_is(MISSED), {"me.top": at(100)}),
    (me_is(UNPROVEN), {"me.top": at(100)}),
)


def two(name: str, first: int, second: int) -> Change:
    return {f"me.pending_{name}": [first, second]}


BOTH = {"me.pending_n": 2} | two("kind", GAP, GAP) | two("state", MISSED, MISSED) | two("packet", 7, 9)
BOTH |= two("want", at(0), at(0)) | two("seen", at(100), at(100)) | two("seg_len", 0, 10)
APART = {"me.pending_n": 1, "me.pending_packet": [9]}
TABLE.add(
    "a pure ACK shows a gap before the octets do",
    resolve_first,
    BOTH,
    {"answer": 7, "me.pending_n": 0, "me.missed": 1},
    (two("state", UNPROVEN, UNPROVEN), {"me.missed": 0}),
    (two("state", UNPROVEN, MISSED), APART | {"me.missed": 0}),
    (two("state", MISSED, OPEN), APART),
    (two("state", WRONG, WRONG), APART | {"me.missed": 0}),
    (two("state", FILLED, FILLED), APART | {"me.missed": 0}),
    (two("want", at(0), at(1)), APART),
    (two("seen", at(100), at(101)), APART),
    (two("seg_len", 10, 10), APART),
    (two("seg_len", 0, 0), APART),
    (two("kind", GAP, UNSENT), APART),
    (
        {"me.pending_n": 4, "me.pending_kind": [GAP, UNSENT, GAP, UNSENT], "me.pending_packet": [7, 8, 9, 10]}
        | {"me.pending_state": [MISSED, OPEN, MISSED, OPEN], "me.pending_seg_len": [0, 0, 10, 0]}
        | {"me.pending_want": [at(0)] * 3, "me.pending_seen": [at(100)] * 3},
        {"me.pending_n": 2, "me.pending_packet": [8, 10]},
    ),
    (two("kind", UNSENT, GAP), APART | {"me.missed": 0}),
)

# What is noted of a segment when it becomes pending.
TABLE.add(
    "a pending segment after a pure ACK of its sender",
    lambda seg, me, _: open_pending(seg, me, GAP, me.nxt, seg.seq),
    {"me.nxt": at(0), "me.last_seq": at(0), "me.last_ctl": ACK, "me.seen": 3, "seg.seq": at(9)},
    {"me.pending_mark": [AFTER_ACK], "me.pending_n": 1},
    ({"me.third": 1}, {"me.pending_mark": [THIRD]}),
    ({"me.third": 2}, {}),
    ({"me.seen": 1}, {}),
    ({"me.seen": 0}, {"me.pending_mark": [0]}),
    ({"me.last_len": 1}, {"me.pending_mark": [0]}),
    ({"me.last_seq": at(-1)}, {"me.pending_mark": [0]}),
    ({"me.last_ctl": SYN}, {"me.pending_mark": [0]}),
    ({"me.last_ctl": FIN | ACK}, {"me.pending_mark": [0]}),
    ({"me.last_ctl": RST | ACK}, {"me.pending_mark": [0]}),
)


# The end of the conversation.
def end(_seg: Seen, me: Side, peer: Side) -> None:
    close(me, peer)


NEVER_SENT = row("me", UNSENT, 100, 150, 0) | {
    "me.pending_packet": [7],
    "peer.last_packet": 8,
    "me.syn": 1,
    "peer.syn": 2,
}
TWO_ACKS = {"me.pending_n": 2} | two("kind", UNSENT, UNSENT)
TABLE.add(
    "the peer never sent what was acknowledged",
    end,
    NEVER_SENT,
    me_is(WRONG),
    ({"me.syn": 0}, me_is(UNPROVEN)),
    ({"peer.syn": 0}, me_is(UNPROVEN)),
    ({"peer.missed": 1}, me_is(UNPROVEN)),
    ({"me.pending_mark": [ECHOES]}, me_is(UNPROVEN)),
    (TWO_ACKS, {"me.pending_state": [UNPROVEN, UNPROVEN]}),  # rather the capture lacks packets
    (TWO_ACKS | two("kind", UNSENT, BEHIND), {"me.pending_state": [WRONG, WRONG]}),
    (TWO_ACKS | two("state", OPEN, FILLED), {"me.pending_state": [WRONG, FILLED]}),
    ({"me.pending_kind": [BEHIND], "me.syn": 0}, me_is(WRONG)),
    (me_is(FILLED), me_is(FILLED)),
)
TABLE.add(
    "the peer's last segment may be missing",
    end,
    NEVER_SENT | {"peer.last_packet": 6},
    me_is(LOST),
    ({"peer.last_packet": 7}, me_is(WRONG)),
    ({"peer.last_packet": 8, "peer.resyn_packet": 8}, me_is(LOST)),  # the SYN of the next connection
    ({"peer.last_packet": 8, "peer.resyn_packet": 3}, me_is(WRONG)),
    ({"peer.has_fin": 1}, me_is(WRONG)),
    ({"me.pending_mark": [ECHOES]}, me_is(UNPROVEN)),
    ({"me.syn": 0}, me_is(UNPROVEN)),
    ({"me.pending_seen": [at(636)]}, me_is(LOST)),  # 536 octets, which every path carries
    ({"me.pending_seen": [at(637)]}, me_is(WRONG)),
    ({"me.pending_seen": [at(637)], "me.has_fin": 1}, me_is(WRONG)),
    ({"me.pending_seen": [at(637)], "me.missed": 1}, me_is(LOST)),  # the capture lacks packets of this side too
    ({"me.pending_seen": [at(637)], "me.mss": 537}, me_is(LOST)),
    ({"me.pending_seen": [at(637)], "peer.data_len": 537}, me_is(LOST)),
    ({"me.pending_seen": [at(102)]}, me_is(LOST)),
    ({"me.pending_seen": [at(101)]}, me_is(WRONG)),  # one number may be a FIN, where the connection closes
    ({"me.pending_seen": [at(101)], "me.has_fin": 1}, me_is(LOST)),
    ({"me.pending_seen": [at(101)], "me.missed": 1}, me_is(LOST)),
    (
        {"me.pending_n": 2, "me.pending_seen": [at(101), at(200)], "peer.has_rcv_nxt": 0} | two("kind", UNSENT, GAP),
        {"me.pending_state": [LOST, UNPROVEN]},
    ),
    (
        {"me.pending_n": 2, "me.pending_seen": [at(637), at(200)], "peer.has_rcv_nxt": 0} | two("kind", UNSENT, GAP),
        {"me.pending_state": [LOST, UNPROVEN]},
    ),
)
NEVER_FILLED = row("me", GAP, 0, 100, 10) | {"peer.has_rcv_nxt": 1, "peer.rcv_nxt": at(0)}
NEVER_FILLED |= {"me.pending_packet": [10], "peer.last_packet": 11}
TABLE.add(
    "the receiver asks for a gap until the end",
    end,
    NEVER_FILLED,
    me_is(LOST),
    ({"peer.has_rcv_nxt": 0}, me_is(UNPROVEN)),
    ({"peer.last_packet": 9}, me_is(UNPROVEN)),
    ({"peer.rcv_nxt": at(-1)}, me_is(LOST)),
    ({"peer.rcv_nxt": at(1)}, me_is(UNPROVEN)),
    ({"me.pending_low": [at(20)], "peer.rcv_nxt": at(20)}, me_is(LOST)),
    ({"me.pending_mark": [PARTLY]}, me_is(UNPROVEN)),
    ({"me.pending_mark": [AFTER_ACK]}, me_is(LOST)),
    (me_is(FILLED), me_is(FILLED)),
)
TABLE.add(
    "the receiver has the segment under the expected number",
    end,
    NEVER_FILLED | {"peer.rcv_nxt": at(10)},
    me_is(WRONG),
    ({"peer.rcv_nxt": at(9)}, me_is(UNPROVEN)),
    ({"peer.rcv_nxt": at(11)}, me_is(UNPROVEN)),
    ({"me.pending_mark": [PARTLY]}, me_is(UNPROVEN)),
    ({"me.pending_low": [at(2)]}, me_is(UNPROVEN)),  # the ack may be of other octets
    ({"me.pending_seg_len": [0], "peer.rcv_nxt": at(0)}, me_is(LOST)),
)
TABLE.add(
    "the receiver has the FIN, and the segment lies behind it",
    end,
    NEVER_FILLED | {"me.has_fin": 1, "me.fin": at(40), "peer.rcv_nxt": at(41)},
    me_is(WRONG),
    ({"me.has_fin": 0}, me_is(UNPROVEN)),
    ({"peer.rcv_nxt": at(40)}, me_is(UNPROVEN)),
    ({"me.fin": at(108), "peer.rcv_nxt": at(109)}, me_is(WRONG)),
    ({"me.fin": at(109), "peer.rcv_nxt": at(110)}, me_is(UNPROVEN)),  # it is the segment's own
)


@pytest.mark.parametrize(("action", "before", "after"), list(TABLE.rows()))
def test_open_questions(action: Action, before: Change, after: Change) -> None:
    check(action, before, after)
