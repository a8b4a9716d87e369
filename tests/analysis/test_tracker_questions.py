"""Where a segment lies in the tracked state, and what it answers, each condition by itself.

A state and what a segment makes of it, and the changes after which it makes something else of it. Sequence numbers wrap: those
of each case lie around 0.
"""

import pytest
from conditions import at
from field_tables import Action, Change, Table, check, seg

from labkit.analysis.pending import FILLED, GAP, MISSED, OPEN, UNSENT
from labkit.analysis.tracker import (
    COPIES_SACK,
    COPIES_SCALE,
    COPIES_STAMPS,
    FAR_WINDOWS,
    MAX_SACK_REACH,
    MAX_WINDOW,
    advance,
    beyond_any_window,
    in_lock_step,
    look,
    relate,
    renumbers_its_syn,
    sack_reach,
    scale_is_known,
    scaled,
    takes_other_syn_ack,
    unacked,
)
from labkit.packet.seen import ABSENT, SUM_BAD
from labkit.tcp.segment import ACK, ECE, FIN, PSH, RST, SYN

TABLE = Table()
YES, NO = {"answer": True}, {"answer": False}
OLD_CLOCK = 2**32 - 5
"""A timestamp just before the clock wraps."""


# Before the rules: what the segment takes, and where it lies.
FRESH = {"seg.ctl": ACK, "seg.seq": at(0), "seg.len": 10, "seg.seq_offset": 7, "seg.conflict": 7, "seg.new_octets": 7}
SPOILED = {"seg.sum_state": SUM_BAD, "me.sums_good": 1}
TABLE.add(
    "the numbers that a segment takes",
    look,
    FRESH,
    {"seg.seg_len": 10, "seg.end": at(10), "seg.seq_offset": 0, "seg.new_octets": 10, "seg.conflict": ABSENT},
    ({"seg.ctl": SYN}, {"seg.seg_len": 11, "seg.end": at(11), "seg.new_octets": 11}),
    ({"seg.ctl": FIN | ACK}, {"seg.seg_len": 11, "seg.end": at(11), "seg.new_octets": 11}),
    ({"seg.ctl": SYN | FIN}, {"seg.seg_len": 12, "seg.end": at(12), "seg.new_octets": 12}),
    ({"seg.ctl": RST}, {}),
    ({"seg.ctl": FIN | ACK} | SPOILED, {}),  # the receiver does not take the FIN
    ({"me.has_nxt": 1, "me.nxt": at(0)}, {}),
    ({"me.has_nxt": 1, "me.nxt": at(-3)}, {"seg.seq_offset": 3}),
    ({"me.has_nxt": 1, "me.nxt": at(4)}, {"seg.seq_offset": -4, "seg.new_octets": 6}),
    ({"me.has_nxt": 1, "me.nxt": at(10)}, {"seg.seq_offset": -10, "seg.new_octets": 0}),
    ({"me.has_nxt": 1, "me.nxt": at(30)}, {"seg.seq_offset": -30, "seg.new_octets": 0}),
    ({"me.has_nxt": 1, "me.nxt": at(4), "seg.ctl": RST}, {}),  # a reset has no place in the stream
    (
        {"me.has_nxt": 1, "me.nxt": at(4), "seg.ctl": SYN},
        {"seg.seg_len": 11, "seg.end": at(11), "seg.new_octets": 11},
    ),
    (
        {"me.has_nxt": 1, "me.nxt": at(30), "me.pending_n": 1, "me.pending_kind": [GAP], "me.pending_seg_len": [10]}
        | {"me.pending_low": [at(8)], "me.pending_high": [at(20)]},
        {"seg.seq_offset": -30, "seg.new_octets": 2},
    ),
)
QUESTIONS = {
    "seg.ctl": ACK,
    "seg.seq": at(0),
    "seg.len": 10,
    "me.has_nxt": 1,
    "me.nxt": at(30),
    "me.pending_n": 1,
    "me.pending_kind": [GAP],
    "me.pending_want": [at(0)],
    "me.pending_low": [at(0)],
    "me.pending_high": [at(10)],
    "me.pending_seen": [at(10)],
    "me.pending_seg_len": [20],
    "peer.pending_n": 1,
    "peer.pending_kind": [UNSENT],
    "peer.pending_want": [at(-90)],
    "peer.pending_seen": [at(0)],
}
TABLE.add(
    "which questions a segment answers",
    look,
    QUESTIONS,
    {"me.pending_state": [FILLED], "peer.pending_state": [MISSED]},
    ({"seg.ctl": SYN | ACK}, {"me.pending_state": [OPEN], "peer.pending_state": [OPEN]}),
    ({"seg.ctl": RST | ACK}, {"me.pending_state": [OPEN]}),
    ({"seg.ctl": RST}, {"me.pending_state": [OPEN], "peer.pending_state": [OPEN]}),
    (SPOILED, {"peer.pending_state": [OPEN]}),  # its octets were sent; nothing else of it counts
    (SPOILED | {"me.sums_bad": 1}, {"peer.pending_state": [OPEN]}),
    (SPOILED | {"peer.has_nxt": 1, "seg.ack": 1}, {"me.pending_state": [OPEN], "peer.pending_state": [OPEN]}),
)

# A FIN that only the capture shows damaged.
DAMAGED_FIN = {"peer.fin_spoiled": 1, "peer.fin": at(10), "peer.nxt": at(10), "peer.top": at(10)}
NO_FIN = {"peer.has_fin": 0, "peer.nxt": at(10), "peer.top": at(10)}
TABLE.add(
    "an ack of a FIN with a wrong checksum",
    look,
    {"seg.ctl": ACK, "seg.ack": at(11)} | DAMAGED_FIN,
    {"peer.has_fin": 1, "peer.nxt": at(11), "peer.top": at(11)},
    ({"peer.top": at(50)}, {"peer.top": at(50)}),
    ({"peer.fin_spoiled": 0}, NO_FIN),
    ({"peer.has_fin": 1}, {"peer.nxt": at(10), "peer.top": at(10)}),
    ({"peer.nxt": at(9)}, NO_FIN | {"peer.nxt": at(9)}),
    ({"seg.ack": at(10)}, NO_FIN),
    ({"seg.ack": at(12)}, NO_FIN),
    ({"seg.ctl": 0}, NO_FIN),
    ({"seg.ctl": SYN | ACK}, NO_FIN),
    ({"seg.ctl": RST | ACK}, NO_FIN),
    (SPOILED, NO_FIN),
)

# Copies of a SYN ACK with different options: the segment after them has what the side that arrived has.
ALL = COPIES_STAMPS | COPIES_SCALE | COPIES_SACK
for side in ("me", "peer"):
    OFFERS = {f"{side}.copies": ALL, f"{side}.stamps": 1, f"{side}.wscale": 7, f"{side}.sack_ok": 1}
    TABLE.add(
        f"a segment without timestamps after two SYN ACKs ({side})",
        look,
        {"seg.ctl": ACK} | OFFERS,
        {f"{side}.copies": 0, f"{side}.stamps": 0, f"{side}.wscale": ABSENT, f"{side}.sack_ok": 0},
        ({"seg.tsval": 0}, OFFERS | {f"{side}.copies": 0}),
        ({"seg.opt_cut": 1}, OFFERS),
        ({"seg.ctl": 0}, OFFERS),
        ({f"{side}.copies": COPIES_STAMPS}, {f"{side}.wscale": 7, f"{side}.sack_ok": 1}),
        ({f"{side}.copies": COPIES_STAMPS | COPIES_SCALE}, {f"{side}.sack_ok": 1}),
        ({f"{side}.copies": COPIES_STAMPS | COPIES_SACK}, {f"{side}.wscale": 7}),
        ({f"{side}.copies": 0}, OFFERS | {f"{side}.copies": 0}),
    )
OTHER = {"me.third": 1, "peer.has_resyn": 1, "peer.resyn": at(100), "seg.ack": at(101), "seg.ctl": ACK}
KEPT = {"peer.opt_cut": 0, "peer.wscale": 7}
TABLE.add(
    "the third segment acknowledges the second of two SYN ACKs",
    look,
    OTHER | {"peer.wscale": 7},
    {"peer.opt_cut": 1, "peer.wscale": ABSENT},
    ({"me.third": 0}, KEPT),
    ({"me.third": 2}, KEPT),
    ({"peer.has_resyn": 0}, KEPT),
    ({"seg.ack": at(100)}, KEPT),
    ({"seg.ack": at(102)}, KEPT),
    ({"seg.ctl": 0}, KEPT),
)
TABLE.add(
    "whether a segment acknowledges the second of two SYN ACKs",
    takes_other_syn_ack,
    OTHER,
    YES,
    ({"seg.ctl": SYN | ACK}, NO),
)

# A capture that begins in the middle of the conversation.
LATER = {"seg.ctl": ACK, "seg.seq": at(0), "seg.len": 10, "peer.has_rcv_nxt": 1, "peer.rcv_nxt": at(60)}
UNKNOWN = {"me.has_nxt": 0, "seg.seq_offset": 0}
TABLE.add(
    "the first segment ends before what the peer has acknowledged",
    look,
    LATER,
    {"me.has_nxt": 1, "me.nxt": at(60), "me.top": at(60), "seg.seq_offset": -60},
    ({"peer.rcv_nxt": at(11)}, {"me.nxt": at(11), "me.top": at(11), "seg.seq_offset": -11}),
    ({"peer.rcv_nxt": at(10)}, UNKNOWN | {"me.nxt": 0, "me.top": 0}),
    ({"peer.rcv_nxt": at(-1)}, UNKNOWN | {"me.nxt": 0, "me.top": 0}),
    # Half of all numbers away, nothing tells which comes first.
    ({"peer.rcv_nxt": at(2**31 + 5)}, UNKNOWN | {"me.nxt": 0, "me.top": 0}),
    ({"peer.has_rcv_nxt": 0}, UNKNOWN | {"me.nxt": 0, "me.top": 0}),
    ({"me.syn": 1}, UNKNOWN | {"me.nxt": 0, "me.top": 0}),
    ({"me.has_nxt": 1, "me.nxt": at(0)}, {"me.nxt": at(0), "me.top": 0, "seg.seq_offset": 0}),
    ({"seg.ctl": RST}, UNKNOWN | {"me.nxt": 0, "me.top": 0}),
    ({"seg.ctl": SYN}, UNKNOWN | {"me.nxt": 0, "me.top": 0}),
    (SPOILED, UNKNOWN | {"me.nxt": 0, "me.top": 0}),
    ({"peer.has_sack_top": 1, "peer.sack_top": at(70)}, {"me.nxt": at(70), "me.top": at(70), "seg.seq_offset": -70}),
    ({"peer.has_sack_top": 1, "peer.sack_top": at(55)}, {}),
    ({"peer.sack_top": at(70)}, {}),
)
BLOCK = {"seg.ctl": ACK, "seg.ack": at(0), "seg.sack_n": 1, "seg.sack_left": [at(10)], "seg.sack_right": [at(60)]}
BLOCK |= {"peer.has_nxt": 1, "peer.nxt": at(5), "peer.top": at(5)}
UNTOLD = {"me.has_sack_top": 0, "me.sack_top": 0, "peer.nxt": at(5), "peer.top": at(5)}
TABLE.add(
    "a SACK block tells what the peer has sent",
    look,
    BLOCK,
    {"me.has_sack_top": 1, "me.sack_top": at(60), "peer.nxt": at(60), "peer.top": at(60)},
    ({"seg.sack_n": 0}, UNTOLD),
    ({"seg.ctl": PSH}, UNTOLD),
    ({"seg.ctl": RST | ACK}, UNTOLD),
    ({"peer.syn": 1}, UNTOLD),
    ({"seg.sack_right": [at(0)]}, UNTOLD),
    ({"seg.sack_right": [at(-1)]}, UNTOLD),
    ({"seg.sack_right": [at(1)]}, UNTOLD | {"me.has_sack_top": 1, "me.sack_top": at(1)}),
    ({"seg.sack_right": [at(MAX_SACK_REACH)]}, UNTOLD),
    (
        {"seg.sack_right": [at(MAX_SACK_REACH - 1)]},
        {name: at(MAX_SACK_REACH - 1) for name in ("me.sack_top", "peer.nxt", "peer.top")},
    ),
    ({"seg.sack_n": 2, "seg.sack_right": [at(0), at(60)]}, {}),  # the first one is wrong, or a D-SACK
    ({"seg.sack_n": 2, "seg.sack_right": [at(60), at(40)]}, {}),
    ({"seg.sack_n": 2, "seg.sack_right": [at(40), at(60)]}, {}),
    ({"me.has_sack_top": 1, "me.sack_top": at(80)}, {"me.sack_top": at(80)}),
    ({"me.has_sack_top": 1, "me.sack_top": at(40)}, {}),
    ({"me.has_sack_top": 0, "me.sack_top": at(80)}, {}),
    ({"peer.has_nxt": 0}, {"peer.nxt": at(5), "peer.top": at(5)}),
    ({"peer.nxt": at(60)}, {"peer.top": at(5)}),
    ({"peer.nxt": at(61)}, {"peer.nxt": at(61), "peer.top": at(5)}),
    ({"peer.octets": 1}, {}),
    ({"me.has_rcv_nxt": 1}, {}),
    # New octets of the peer were seen, and acknowledged: what lies between is missing.
    ({"peer.octets": 1, "me.has_rcv_nxt": 1}, {"peer.nxt": at(5), "peer.top": at(5)}),
)
TABLE.add(
    "the distance from SND.NXT, once an answer has moved it",
    lambda seg, me, _: relate(seg, me),
    {"me.has_nxt": 1, "me.nxt": at(0), "seg.seq": at(60), "seg.seg_len": 10, "seg.new_octets": 3, "seg.seq_offset": 7},
    {"seg.seq_offset": 60, "seg.new_octets": 10},
    ({"seg.seq": at(0)}, {"seg.seq_offset": 0}),
    ({"seg.seq": at(-1)}, {"seg.seq_offset": -1, "seg.new_octets": 3}),
    ({"me.has_nxt": 0}, {"seg.seq_offset": 7, "seg.new_octets": 3}),
    ({"seg.ctl": SYN}, {"seg.seq_offset": 7, "seg.new_octets": 3}),
    ({"seg.ctl": RST}, {"seg.seq_offset": 7, "seg.new_octets": 3}),
)

# Questions about a segment.
FAR = FAR_WINDOWS * 65535
SCALED = {"me.syn": 1, "peer.syn": 2, "me.wscale": 0, "peer.wscale": 0}
BEYOND = {
    "seg.ctl": ACK,
    "seg.seq": at(FAR + 1),
    "seg.seq_offset": FAR + 1,
    "seg.ack": at(9),
    "me.has_nxt": 1,
    "me.has_rcv_nxt": 1,
    "peer.has_right_edge": 1,
    "peer.rcv_nxt": at(0),
    "peer.nxt": at(9),
}
TABLE.add(
    "far from any window",
    beyond_any_window,
    BEYOND | SCALED,
    YES,
    ({"seg.ctl": FIN | ACK}, YES),
    ({"seg.ctl": SYN | ACK}, NO),
    ({"seg.ctl": RST | ACK}, NO),
    ({"seg.ctl": FIN}, NO),
    ({"seg.len": 1}, NO),
    ({"me.has_nxt": 0}, NO),
    ({"me.has_rcv_nxt": 0}, NO),
    ({"peer.has_right_edge": 0}, NO),
    ({"me.pending_n": 1}, NO),
    ({"peer.pending_n": 1}, NO),
    ({"me.missed": 1}, NO),
    ({"peer.missed": 1}, NO),
    ({"seg.ack": at(10)}, NO),
    ({"seg.ack": at(-99)}, YES),
    ({"seg.seq_offset": FAR}, NO),
    ({"seg.seq_offset": -FAR}, NO),
    ({"seg.seq_offset": -FAR - 1}, YES),
    ({"peer.rcv_nxt": at(1)}, NO),
    ({"seg.seq": at(-FAR)}, NO),
    ({"seg.seq": at(-FAR - 1)}, YES),
    ({"peer.max_win": 65535}, YES),
    ({"peer.max_win": 65536}, NO),
    ({"me.syn": 0}, NO),  # the window may have a scale
    ({"me.syn": 0, "seg.seq": at(MAX_WINDOW + 1), "seg.seq_offset": MAX_WINDOW + 1}, YES),
    ({"me.syn": 0, "seg.seq": at(MAX_WINDOW), "seg.seq_offset": MAX_WINDOW}, NO),
)
IN_STEP = [f"{side}.{name}" for side in ("me", "peer") for name in ("piped", "resent", "missed")]
TABLE.add(
    "each side waits for the other",
    lambda _, me, peer: in_lock_step(me, peer),
    {"me.syn": 1, "peer.syn": 2},
    YES,
    ({"me.syn": 0}, NO),
    ({"peer.syn": 0}, NO),
    *(({name: 1}, NO) for name in IN_STEP),
)
RENUMBERED = {"me.third": 1, "seg.ctl": ACK, "peer.last_ctl": SYN | ACK, "peer.last_ack": at(500), "seg.seq": at(500)}
RENUMBERED |= {"me.isn": at(0), "me.syn_end": at(1)}
TABLE.add(
    "the SYN ACK and the third segment contradict the SYN",
    renumbers_its_syn,
    RENUMBERED,
    YES,
    ({"me.third": 2}, NO),
    ({"me.third": 0}, NO),
    ({"seg.ctl": SYN | ACK}, NO),
    ({"seg.ctl": RST | ACK}, NO),
    ({"seg.ctl": PSH}, NO),
    ({"seg.ctl": PSH | ACK}, YES),
    ({"peer.last_ctl": ACK}, NO),
    ({"peer.last_ctl": SYN}, NO),
    ({"peer.last_ctl": SYN | ACK | ECE}, YES),
    ({"seg.seq": at(501)}, NO),
    ({"peer.last_ack": at(1), "seg.seq": at(1)}, NO),  # they agree with it
    ({"peer.last_ack": at(0), "seg.seq": at(0)}, YES),
    ({"me.syn_end": at(500)}, NO),  # the SYN had data
    ({"me.syn_end": at(501)}, NO),
    ({"me.syn_end": at(499)}, YES),
)
TABLE.add(
    "no ACK for the end of the segment",
    lambda seg, _, peer: unacked(seg, peer),
    {"seg.end": at(60), "peer.has_rcv_nxt": 1, "peer.rcv_nxt": at(59)},
    YES,
    ({"peer.rcv_nxt": at(60)}, NO),
    ({"peer.rcv_nxt": at(61)}, NO),
    ({"peer.rcv_nxt": at(60), "peer.has_rcv_nxt": 0}, YES),
)
TABLE.add(
    "the window scale of both sides is known",
    lambda _, me, peer: scale_is_known(me, peer),
    SCALED,
    YES,
    ({"me.syn": 0}, NO),
    ({"peer.syn": 0}, NO),
    ({"me.wscale": ABSENT}, YES),
    ({"me.wscale": ABSENT, "me.opt_cut": 1}, NO),
    ({"me.opt_cut": 1}, YES),
    ({"peer.wscale": ABSENT}, YES),
    ({"peer.wscale": ABSENT, "peer.opt_cut": 1}, NO),
    ({"peer.opt_cut": 1}, YES),
)
TABLE.add(
    "the window in octets",  # RFC 7323 section 2.2 and 2.3
    lambda seg, me, peer: scaled(seg.win, seg.ctl, me, peer),
    {"seg.win": 1000, "seg.ctl": ACK, "me.wscale": 3, "peer.wscale": 0},
    {"answer": 8000},
    ({"seg.ctl": SYN | ACK}, {"answer": 1000}),
    ({"peer.wscale": ABSENT}, {"answer": 1000}),
    ({"me.wscale": ABSENT}, {"answer": 1000}),
    ({"me.wscale": 0}, {"answer": 1000}),
    ({"me.wscale": 14}, {"answer": 1000 << 14}),
    ({"me.wscale": 15}, {"answer": 1000 << 14}),
)
TABLE.add(
    "how far from its ack a SACK block may lie",
    lambda _, me, peer: sack_reach(me, peer),
    SCALED | {"me.has_right_edge": 1},
    {"answer": FAR_WINDOWS * 65535},
    ({"me.max_win": 65536}, {"answer": FAR_WINDOWS * 65536}),
    ({"me.has_right_edge": 0}, {"answer": MAX_WINDOW}),
    ({"me.syn": 0}, {"answer": MAX_WINDOW}),
)


# And what these say of a segment that is added.
TABLE.add(
    "the second of two SYN ACKs counts",
    advance,
    seg(1, 0)
    | OTHER
    | {"peer.isn": at(0), "peer.nxt": at(1), "peer.top": at(1), "peer.syn_end": at(1), "peer.has_nxt": 1},
    {name: at(101) for name in ("peer.nxt", "peer.top", "peer.syn_end", "me.rcv_nxt")}
    | {"peer.isn": at(100), "peer.base": at(100), "peer.has_base": 1},
    (
        {"seg.ack": at(1), "peer.has_base": 1},
        {name: at(1) for name in ("peer.nxt", "peer.top", "peer.syn_end", "me.rcv_nxt")}
        | {"peer.isn": at(0), "peer.base": 0},
    ),
)
TABLE.add(
    "the third segment has the number that the SYN ACK asks for",
    advance,
    seg(500, 40, offset=499) | RENUMBERED | {"me.has_nxt": 1, "me.nxt": at(1), "peer.isn": at(-1)},
    {"me.pending_n": 0, "me.nxt": at(540), "me.octets": 40, "seg.seq_offset": 0},
    ({"me.third": 2}, {"me.pending_n": 1, "seg.seq_offset": 499}),
)
TABLE.add(
    "a segment far from any window",
    advance,
    seg(FAR + 1, 0, offset=FAR + 1) | BEYOND | SCALED | {"me.nxt": at(0), "me.top": at(0)},
    {"me.pending_n": 0, "me.top": at(0)},
    ({"seg.seq": at(FAR), "seg.end": at(FAR), "seg.seq_offset": FAR}, {"me.pending_n": 1, "me.top": at(FAR)}),
)


@pytest.mark.parametrize(("action", "before", "after"), list(TABLE.rows()))
def test_what_is_known_before_the_rules(action: Action, before: Change, after: Change) -> None:
    check(action, before, after)
