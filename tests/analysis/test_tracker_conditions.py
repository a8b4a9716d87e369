"""What a segment changes in the tracked state, each condition by itself.

A state and what a segment makes of it, and the changes after which it makes something else of it. Sequence numbers wrap: those
of each case lie around 0.
"""

import pytest
from field_tables import Action, Change, Table, check

from labkit.analysis.order import NEAR, SAME_MOMENT
from labkit.analysis.pending import BEHIND, ECHOES, FILLED, GAP, MISSED, OPEN, SENT, UNSENT
from labkit.analysis.tracker import (
    ANSWERED,
    COPIES_SACK,
    COPIES_SCALE,
    COPIES_STAMPS,
    FAR_WINDOWS,
    MAX_SACK_REACH,
    MAX_WINDOW,
    PASSED,
    WAITS,
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
from labkit.packet.seen import ABSENT, OPT_LENGTH, SUM_BAD, SUM_GOOD
from labkit.tcp.segment import ACK, AE, CWR, ECE, FIN, PSH, RST, SYN
from labkit.tcp.seq import add

TABLE = Table()
YES, NO = {"answer": True}, {"answer": False}
OLD_CLOCK = 2**32 - 5
"""A timestamp just before the clock wraps."""


def at(offset: int) -> int:
    """A number in a case: 50 more wraps."""
    return add(-50, offset)


def seg(seq: int, length: int, ctl: int = ACK, offset: int = 0) -> Change:
    """A segment as `look` leaves it. `offset`: its distance from SND.NXT, if that is not 0."""
    size = length + (ctl & SYN != 0) + (ctl & FIN != 0)
    new = size if offset >= 0 else max(0, size + offset)
    values = {"ctl": ctl, "seq": at(seq), "len": length, "seg_len": size, "end": at(seq + size)}
    values |= {"seq_offset": offset, "new_octets": new, "ack": at(0)}
    return {f"seg.{name}": value for name, value in values.items()}


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

# After the rules: what is known of the sender.
TABLE.add(
    "the first segment of a side",
    advance,
    seg(0, 10, PSH | ACK) | {"seg.number": 3, "seg.time": 77, "peer.run": 4},
    {
        "me.first_packet": 3,
        "me.first_time": 77,
        "me.first_seq": at(0),
        "me.first_ctl": PSH | ACK,
        "me.seen": 1,
        "me.run": 1,
        "peer.run": 0,
        "me.base": at(-1),
        "me.has_base": 1,
        "peer.base": at(-1),
        "peer.has_base": 1,
        "me.last_seq": at(0),
        "me.last_len": 10,
        "me.last_ctl": PSH | ACK,
        "me.nxt": at(10),
        "me.top": at(10),
        "me.has_nxt": 1,
        "me.octets": 10,
        "me.data_seq": at(0),
        "me.data_len": 10,
        "me.since": 77,
        "me.rst": 0,
    },
    (
        {"me.seen": 1},
        dict.fromkeys(("me.first_packet", "me.first_time", "me.first_seq", "me.first_ctl"), 0) | {"me.seen": 2},
    ),
    ({"me.run": 3}, {"me.run": 4}),
    ({"me.has_base": 1, "me.base": at(-30)}, {"me.base": at(-30)}),
    ({"peer.has_base": 1, "peer.base": at(-30)}, {"peer.base": at(-30)}),
    ({"seg.ctl": PSH}, {"me.first_ctl": PSH, "me.last_ctl": PSH, "peer.has_base": 0, "peer.base": 0}),
)
TABLE.add(
    "the number that reports show as 0",
    advance,
    seg(0, 0, RST) | {"seg.number": 3},
    {"me.base": at(0), "me.has_base": 1, "peer.has_base": 0, "me.rst": 1, "me.rst_seq": at(0), "me.has_nxt": 0},
    (seg(0, 0, SYN), {"me.rst": 0, "me.rst_seq": 0, "me.has_nxt": 1}),
    (seg(0, 0, ACK), {"me.base": at(-1), "me.rst": 0, "me.rst_seq": 0, "me.has_nxt": 1, "peer.has_base": 1}),
    (seg(0, 0, FIN), {"me.base": at(-1), "me.rst": 0, "me.rst_seq": 0, "me.has_nxt": 1}),
)
AGAIN = seg(0, 10, offset=-10) | {"me.has_nxt": 1, "me.nxt": at(10), "peer.has_rcv_nxt": 1, "peer.rcv_nxt": at(0)}
TABLE.add(
    "the retransmission that duplicate ACKs ask for",
    advance,
    AGAIN | {"peer.same_acks": 3},
    {"peer.same_acks": ANSWERED, "me.resent": 1},
    ({"peer.rcv_nxt": at(-1)}, {"peer.same_acks": 3}),
    (seg(0, 10), {"peer.same_acks": 3, "me.resent": 0}),
    (seg(0, 11, offset=-10), {"peer.same_acks": 3, "me.resent": 0}),
    (seg(0, 0, offset=-10), {"peer.same_acks": 3, "me.resent": 0}),
)
TABLE.add(
    "a keep-alive",
    advance,
    seg(0, 0, offset=-1) | {"me.has_nxt": 1, "me.nxt": at(1), "peer.has_rcv_nxt": 1, "peer.rcv_nxt": at(1)},
    {"me.probe": 1},
    (seg(1, 0), {"me.probe": 0}),
    ({"peer.rcv_nxt": at(0)}, {}),  # the peer offers no window
    ({"peer.rcv_nxt": at(0), "peer.win": 1}, {"me.probe": 0}),
)
TABLE.add(
    "a window probe",  # the first octet beyond the window (RFC 9293 section 3.8.6.1)
    advance,
    seg(0, 1) | {"me.has_nxt": 1, "me.nxt": at(0), "peer.has_right_edge": 1, "seg.time": 5},
    {"me.probe": 1, "me.since": 0, "me.data_len": 1},
    ({"peer.win": 1}, {"me.probe": 0, "me.since": 5}),
)
TABLE.add(
    "the third segment of a handshake",
    advance,
    seg(1, 0)
    | {"me.third": 1, "me.syn": 1, "me.has_nxt": 1, "me.nxt": at(1), "seg.time": 500, "peer.last_time": 100}
    | {"peer.has_nxt": 1, "peer.isn": at(-1), "peer.nxt": at(0)},
    {"me.third": 2, "me.delay": 400, "me.pending_n": 0},
    ({"seg.time": 90}, {"me.delay": 0}),
    ({"me.syn": 2}, {"me.delay": 0}),  # in a simultaneous open the SYN ACK was the answer
    ({"me.third": 0}, {"me.third": 0, "me.delay": 0}),
    (seg(1, 0, RST), {"me.third": 1, "me.delay": 0}),
    (seg(0, 0, SYN | ACK) | {"me.isn": at(0), "me.syn": 2}, {"me.third": 1, "me.delay": 0}),
    ({"peer.isn": at(0)}, {"me.pending_n": 1, "me.pending_kind": [BEHIND], "me.pending_want": [at(1)]}),
    (seg(0, 0, SYN | ACK) | {"me.isn": at(0), "me.syn": 2, "peer.isn": at(0)}, {"me.third": 1, "me.delay": 0}),
    ({"peer.isn": at(0), "me.third": 2}, {"me.delay": 0}),
    ({"peer.isn": at(0), "seg.ack": at(1), "peer.nxt": at(1)}, {}),
    ({"peer.isn": at(7), "peer.nxt": at(8)}, {"me.pending_n": 1, "me.pending_kind": [BEHIND]}),
)
TABLE.add(
    "a segment larger than the peer's MSS",
    advance,
    seg(0, 10) | {"peer.mss": 9, "seg.ip_len": 50},
    {"me.oversized": 1},
    ({"peer.mss": 10}, {"me.oversized": 0}),
)

# A wrong checksum among right ones.
DAMAGED = seg(0, 10) | SPOILED | {"me.has_nxt": 1, "me.nxt": at(0), "me.tsval": 100, "seg.tsval": 105, "me.run": 2}
TABLE.add(
    "a damaged segment whose numbers fit",
    advance,
    DAMAGED | {"peer.run": 3},
    {"me.nxt": at(10), "me.octets": 10, "me.tsval": 105, "me.seen": 1, "me.run": 2, "peer.run": 3, "me.sums_bad": 1}
    | {"me.has_rcv_nxt": 0, "me.has_last_ack": 0},
    (seg(5, 10, offset=5), {"me.nxt": at(0), "me.octets": 0, "me.tsval": 100}),
    # Where more are wrong than right, what does not fit is dropped all the same.
    (seg(5, 10, offset=5) | {"me.sums_bad": 2}, {"me.nxt": at(0), "me.octets": 0, "me.tsval": 100, "me.sums_bad": 2}),
    ({"seg.tsval": 100}, {"me.tsval": 100}),
    ({"seg.tsval": 95}, {"me.tsval": 100}),
    ({"seg.tsval": 110}, {"me.tsval": 110}),
    ({"seg.tsval": 111}, {"me.tsval": 100}),  # the clock cannot have come so far
    ({"seg.tsval": ABSENT}, {"me.tsval": 100}),
    ({"seg.tsval": ABSENT, "me.tsval": OLD_CLOCK}, {"me.tsval": OLD_CLOCK}),
    ({"seg.tsval": 0, "me.tsval": OLD_CLOCK}, {"me.tsval": 0}),
    ({"seg.tsval": 3, "me.tsval": 0}, {"me.tsval": 3}),
    ({"seg.tsval": 3, "me.tsval": ABSENT}, {"me.tsval": ABSENT}),
    (
        {"seg.sum_state": SUM_GOOD},
        {"me.run": 3, "peer.run": 0, "me.sums_bad": 0, "me.has_rcv_nxt": 1, "me.has_last_ack": 1},
    ),
)
TABLE.add(
    "a damaged FIN",
    advance,
    DAMAGED | {"seg.ctl": FIN | ACK, "seg.number": 4, "seg.time": 6},
    {"me.fin": at(10), "me.has_fin": 0, "me.fin_spoiled": 1, "me.nxt": at(10), "me.fin_packet": 4, "me.fin_time": 6},
    (
        {"seg.sum_state": SUM_GOOD, "seg.seg_len": 11, "seg.end": at(11), "seg.new_octets": 11},
        {"me.has_fin": 1, "me.fin_spoiled": 0, "me.nxt": at(11)},
    ),
    # Behind it, what it would take is not moved: its number does not count yet.
    ({"seg.seq_offset": -20, "seg.new_octets": 0, "me.nxt": at(20)}, {"me.nxt": at(20)}),
    ({"me.has_fin": 1}, {"me.fin": 0, "me.has_fin": 1, "me.fin_spoiled": 0, "me.fin_packet": 0, "me.fin_time": 0}),
)

# Echoes and SACK blocks that only missing packets explain.
TABLE.add(
    "an echo that waits for an explanation",
    advance,
    seg(0, 10) | {"peer.echo_packet": 9, "seg.tsval": 0},
    {"peer.echo_packet": 0},
    ({"seg.tsval": ABSENT}, {"peer.echo_packet": 9}),
)
ECHO = {
    "seg.number": 8,
    "seg.time": 70,
    "seg.tsval": 5,
    "seg.tsecr": 105,
    "peer.tsval": 100,
    "peer.syn": 1,
    "peer.last_time": 70,
}
TABLE.add(
    "an echo of a timestamp that the capture does not show",
    advance,
    seg(0, 10) | ECHO,
    {"me.echo_packet": 8, "me.echo_time": 70, "me.echo_value": 105},
    ({"me.echo_packet": 3}, {"me.echo_packet": 3, "me.echo_time": 0, "me.echo_value": 0}),
    ({"seg.tsecr": 100}, {"me.echo_packet": 0, "me.echo_time": 0, "me.echo_value": 0}),
    ({"seg.tsecr": 111}, {"me.echo_packet": 0, "me.echo_time": 0, "me.echo_value": 0}),
)
TABLE.add(
    "the octets of a SACK block that waits for an explanation",
    advance,
    seg(150, 60) | {"peer.block_packet": 4, "peer.block_left": at(100), "peer.block_right": at(200)},
    {"peer.block_packet": 0, "me.missed": 0},
    (seg(199, 10), {}),
    (seg(200, 10), {"me.missed": 1}),  # it goes on behind the block: the capture lacks what is in it
    (seg(201, 10), {"me.missed": 1}),
    (seg(90, 10), {"peer.block_packet": 4}),
    (seg(90, 11), {}),
    (seg(150, 0), {"peer.block_packet": 4}),
    (seg(150, 60, RST), {"peer.block_packet": 4}),
    (seg(150, 60, SYN), {"peer.block_packet": 4}),
    (seg(300, 10) | {"peer.block_packet": 0}, {}),
)
TOLD = {"seg.sack_n": 1, "seg.sack_left": [at(300)], "seg.sack_right": [at(400)], "seg.number": 8, "seg.time": 70}
TOLD |= {"peer.has_nxt": 1, "peer.nxt": at(200), "peer.seen": 3, "seg.ack": at(150)}
NONE = dict.fromkeys(("me.block_packet", "me.block_time", "me.block_left", "me.block_right"), 0)
TABLE.add(
    "a SACK block of octets that the capture does not show",
    advance,
    seg(0, 0) | TOLD,
    {"me.block_packet": 8, "me.block_time": 70, "me.block_left": at(300), "me.block_right": at(400)},
    ({"me.block_packet": 3}, NONE | {"me.block_packet": 3}),
    ({"seg.ctl": SYN | ACK}, NONE),
    ({"seg.ctl": RST | ACK}, NONE),
    ({"seg.ctl": 0}, NONE),
    ({"peer.has_nxt": 0}, NONE),
    ({"peer.seen": 0}, NONE),
    ({"seg.sack_n": 0}, NONE),
    ({"seg.sack_left": [at(400)]}, NONE),
    ({"seg.sack_left": [at(401)]}, NONE),
    ({"seg.sack_left": [at(399)]}, {"me.block_left": at(399)}),
    ({"seg.sack_left": [at(160)], "seg.sack_right": [at(200)]}, NONE),
    ({"seg.sack_left": [at(160)], "seg.sack_right": [at(201)]}, {"me.block_left": at(160), "me.block_right": at(201)}),
    (
        {"seg.sack_left": [at(200)], "seg.sack_right": [at(201)], "seg.ack": at(200)},
        {"me.block_left": at(200), "me.block_right": at(201)},
    ),
    ({"seg.ack": at(201)}, NONE),
    ({"seg.sack_right": [at(150 + MAX_WINDOW)]}, {"me.block_right": at(150 + MAX_WINDOW)}),
    ({"seg.sack_right": [at(151 + MAX_WINDOW)]}, NONE),
    ({"seg.sack_n": 2, "seg.sack_left": [at(0), at(300)], "seg.sack_right": [at(9), at(400)]}, {}),
)

# Timestamps and acknowledgments.
TABLE.add(
    "the earliest and the latest timestamp",
    advance,
    seg(0, 0) | {"seg.tsval": 50, "me.tsval": 40, "me.least_tsval": 40, "peer.seen": 1},
    {"me.tsval": 50, "me.least_tsval": 40, "peer.least_tsval": ABSENT},
    ({"me.tsval": 60, "me.least_tsval": 60}, {"me.tsval": 60, "me.least_tsval": 50}),
    ({"me.tsval": ABSENT, "me.least_tsval": ABSENT}, {"me.least_tsval": 50}),
    ({"seg.tsval": 0, "me.tsval": ABSENT, "me.least_tsval": ABSENT}, {"me.tsval": 0, "me.least_tsval": 0}),
    ({"me.tsval": 0, "me.least_tsval": 0}, {"me.least_tsval": 0}),
    ({"seg.tsval": OLD_CLOCK, "me.tsval": 0, "me.least_tsval": 0}, {"me.tsval": 0, "me.least_tsval": OLD_CLOCK}),
    ({"seg.tsval": 0, "me.tsval": OLD_CLOCK, "me.least_tsval": 7}, {"me.tsval": 0, "me.least_tsval": 0}),
    ({"seg.tsval": OLD_CLOCK, "me.tsval": ABSENT}, {"me.tsval": OLD_CLOCK, "me.least_tsval": OLD_CLOCK}),
    ({"seg.tsval": ABSENT}, {"me.tsval": 40}),
    ({"seg.tsval": ABSENT, "me.tsval": OLD_CLOCK}, {"me.tsval": OLD_CLOCK}),
    ({"seg.tsecr": 30, "peer.seen": 0}, {"peer.least_tsval": 30}),  # the capture lacks the peer's first segment
    ({"seg.tsecr": 0, "peer.seen": 0}, {"peer.least_tsval": 0}),
    ({"seg.tsecr": 30}, {}),
    ({"seg.tsecr": 30, "peer.seen": 0, "seg.ctl": PSH}, {}),
    ({"seg.tsecr": ABSENT, "peer.seen": 0, "peer.least_tsval": 9}, {"peer.least_tsval": 9}),
)
TABLE.add(
    "the last ack, and the one before",
    advance,
    seg(0, 0) | {"me.has_last_ack": 1, "me.last_ack": at(-5)},
    {"me.last_ack": at(0), "me.has_last_ack": 1, "me.former_ack": at(-5), "me.has_former_ack": 1},
    ({"me.last_ack": at(0)}, {"me.former_ack": 0, "me.has_former_ack": 0}),
    ({"me.has_last_ack": 0}, {"me.former_ack": 0, "me.has_former_ack": 0}),
    ({"seg.ctl": PSH}, {"me.last_ack": at(-5), "me.former_ack": 0, "me.has_former_ack": 0}),
    ({"seg.ctl": RST | ACK}, {}),
)
TABLE.add(
    "the last packet of a side",
    advance,
    seg(0, 0)
    | {"seg.number": 8, "seg.time": 9, "seg.win": 70, "seg.sum": 71, "seg.ip_id": 11}
    | {"me.last_packet": 7, "me.last_id": 10, "me.newest_id": 10},
    {"me.last_packet": 8, "me.last_time": 9, "me.last_win": 70, "me.last_sum": 71, "me.last_id": 11}
    | {"me.newest_id": 11, "me.ids_differ": 1},
    ({"me.ids_differ": 2}, {"me.ids_differ": 2}),
    ({"me.last_packet": 6}, {"me.ids_differ": 2}),
    ({"me.last_packet": 0, "seg.number": 65537}, {"me.last_packet": 65537}),
    ({"me.last_id": 11}, {"me.ids_differ": 0}),
    ({"me.last_id": 0}, {"me.ids_differ": 0}),
    ({"me.last_id": 1, "seg.number": 17}, {"me.ids_differ": 1, "me.last_packet": 17}),
    ({"me.last_id": ABSENT}, {"me.ids_differ": 0}),
    (
        {"me.last_id": 65535, "seg.ip_id": 1, "seg.number": 9},
        {"me.last_id": 1, "me.newest_id": 10, "me.last_packet": 9},
    ),
    ({"seg.ip_id": 0}, {"me.ids_differ": 0, "me.last_id": 0, "me.newest_id": 10}),
    (
        {"seg.ip_id": 1, "me.last_id": 65531, "seg.number": 13},
        {"me.last_id": 1, "me.newest_id": 10, "me.last_packet": 13},
    ),
    ({"me.newest_id": ABSENT}, {}),
    ({"me.newest_id": ABSENT, "seg.ip_id": 1}, {"me.newest_id": 1, "me.last_id": 1, "me.ids_differ": 2}),
    ({"me.newest_id": ABSENT, "seg.ip_id": 65535}, {"me.newest_id": 65535, "me.last_id": 65535, "me.ids_differ": 2}),
    ({"me.newest_id": ABSENT, "seg.ip_id": 0}, {"me.newest_id": ABSENT, "me.last_id": 0, "me.ids_differ": 0}),
    ({"me.newest_id": 2000, "seg.ip_id": 0}, {"me.newest_id": 2000, "me.last_id": 0, "me.ids_differ": 0}),
    ({"me.newest_id": 1, "seg.ip_id": 65535}, {"me.newest_id": 1, "me.last_id": 65535, "me.ids_differ": 2}),
    ({"me.newest_id": 0, "seg.ip_id": 65535}, {"me.newest_id": 65535, "me.ids_differ": 2, "me.last_id": 65535}),
    ({"me.newest_id": 11 + NEAR}, {"me.newest_id": 11 + NEAR}),  # it was sent before
    ({"me.newest_id": 12 + NEAR}, {}),  # too far: the host does not count
    ({"me.newest_id": 12}, {"me.newest_id": 12}),
)

# SYNs.
OPENING = seg(0, 0, SYN) | {"seg.number": 3, "seg.time": 500}
TABLE.add(
    "a SYN",
    advance,
    OPENING,
    {
        "me.syn": 1,
        "me.isn": at(0),
        "me.syn_packet": 3,
        "me.syn_time": 500,
        "me.syn_end": at(1),
        "me.nxt": at(1),
        "me.has_nxt": 1,
        "me.top": at(1),
        "me.base": at(0),
        "me.resent": 0,
        "peer.third": 0,
        "me.delay": 0,
        "me.has_resyn": 0,
    },
    (seg(0, 9, SYN), {"me.syn_end": at(10), "me.nxt": at(10), "me.top": at(10)}),
    (seg(0, 0, SYN | ACK), {"me.syn": 2}),
    ({"peer.syn": 1, "peer.last_time": 100}, {}),
    (seg(0, 0, SYN | ACK) | {"peer.syn": 1, "peer.last_time": 100}, {"me.syn": 2, "peer.third": 1, "me.delay": 400}),
    (seg(0, 0, SYN | ACK) | {"peer.syn": 1, "peer.last_time": 600}, {"me.syn": 2, "peer.third": 1}),
    (
        seg(0, 0, SYN | ACK) | {"peer.syn": 1, "peer.last_time": 100, "peer.third": 2, "me.delay": 7},
        {"me.syn": 2, "peer.third": 2, "me.delay": 7},
    ),
    # One that is sent again.
    ({"me.syn": 1, "me.isn": at(0), "me.has_nxt": 1, "me.nxt": at(1), "me.syn_end": at(1)}, {"me.resent": 1}),
    ({"me.syn": 2, "me.isn": at(0), "me.has_nxt": 1, "me.nxt": at(1), "me.syn_end": at(1)}, {"me.syn": 2}),
    (
        seg(0, 0, SYN | ACK) | {"me.syn": 2, "me.isn": at(0), "me.has_nxt": 1, "me.nxt": at(1), "me.syn_end": at(1)},
        {"me.syn": 2, "me.resent": 1},
    ),
    (
        seg(0, 0, SYN | ACK) | {"me.syn": 1, "me.isn": at(0), "me.has_nxt": 1, "me.nxt": at(1), "me.syn_end": at(1)},
        {"me.syn": 2},
    ),
    (
        {"me.syn": 1, "me.isn": at(0), "me.has_nxt": 1, "me.nxt": at(60), "me.syn_end": at(60)},
        {"me.resent": 1, "me.syn_end": at(60), "me.nxt": at(60), "me.top": at(60)},
    ),
    (
        seg(0, 9, SYN) | {"me.syn": 1, "me.isn": at(0), "me.has_nxt": 1, "me.nxt": at(1), "me.syn_end": at(1)},
        {"me.resent": 1, "me.syn_end": at(10), "me.nxt": at(10), "me.top": at(10)},
    ),
    # One inside a connection whose beginning the capture lacks.
    (
        {"me.has_nxt": 1, "me.nxt": at(-9)},
        {
            "me.syn": 0,
            "me.isn": 0,
            "me.syn_packet": 0,
            "me.syn_time": 0,
            "me.syn_end": 0,
            "me.nxt": at(-9),
            "me.top": 0,
        },
    ),
)
MORE = OPENING | {
    "me.wscale": 6,
    "me.syn": 1,
    "me.isn": at(-500),
    "me.has_nxt": 1,
    "me.nxt": at(-400),
    "me.has_base": 1,
}
REPLACED = {"me.isn": at(0), "me.nxt": at(1), "me.syn_end": at(1), "me.base": at(0), "me.wscale": ABSENT}
REPLACED |= {"me.has_resyn": 0, "me.resyn": 0, "me.resyn_packet": 0, "me.resyn_time": 0, "me.resyn_nxt": 0}
TABLE.add(
    "a SYN with another number",
    advance,
    MORE | {"peer.seen": 1},
    {
        "me.isn": at(-500),
        "me.nxt": at(-400),
        "me.syn_end": 0,
        "me.base": 0,
        "me.has_resyn": 1,
        "me.resyn": at(0),
        "me.resyn_packet": 3,
        "me.resyn_time": 500,
        "me.resyn_nxt": at(-400),
        "me.challenge": 0,
        "me.wscale": 6,
        "me.resent": 0,
    },
    ({"peer.seen": 0}, REPLACED),  # the peer did not answer the first one
    ({"peer.seen": 0} | seg(0, 0, SYN | ACK), {}),
    ({"seg.sum_state": SUM_GOOD, "me.sums_bad": 1}, REPLACED),
    ({"seg.sum_state": SUM_GOOD}, {}),
    ({"me.third": 2}, {"me.challenge": WAITS}),
    ({"peer.third": 2}, {"me.challenge": WAITS}),
    ({"me.third": 1, "peer.third": 1}, {}),
    (seg(0, 0, SYN | ACK) | {"me.third": 2}, {}),
)
# RFC 5961 section 4.2: a SYN in the connection is answered by an ACK of SND.NXT and RCV.NXT.
CHALLENGED = seg(0, 0) | {
    "peer.challenge": WAITS,
    "peer.resyn_nxt": at(0),
    "peer.resyn_time": 1000,
    "me.delay": 2_000_000,
}
CHALLENGED |= {"me.has_nxt": 1, "me.nxt": at(0)}
TABLE.add(
    "the answer to a SYN in the connection",
    advance,
    CHALLENGED,
    {"peer.challenge": 0},
    ({"seg.ack": at(-9)}, {}),
    ({"seg.ack": at(1)}, {"peer.challenge": PASSED}),
    (seg(0, 0, RST) | {"seg.ack": at(1)}, {}),
    (seg(0, 10, SYN), {}),
    (seg(0, 10), {"peer.challenge": WAITS}),  # it may have been on its way
    (seg(0, 10) | {"seg.ack": at(1)}, {"peer.challenge": PASSED}),
    (seg(0, 10) | {"seg.time": 2_000_999}, {"peer.challenge": WAITS}),
    (seg(0, 10) | {"seg.time": 2_001_000}, {"peer.challenge": PASSED}),
    (seg(0, 10) | {"seg.time": 999 + SAME_MOMENT, "me.delay": 0}, {"peer.challenge": WAITS}),
    (seg(0, 10) | {"seg.time": 1000 + SAME_MOMENT, "me.delay": 0}, {"peer.challenge": PASSED}),
    (seg(0, 10) | {"seg.ack": at(1), "peer.challenge": 0}, {}),
)
OPTIONS = {
    "seg.mss": 1400,
    "seg.wscale": 7,
    "seg.sack_ok": 1,
    "seg.tsval": 0,
    "seg.tsecr": 5,
    "seg.tfo_len": 8,
    "seg.ecn": 2,
}
ASSUMED = {"me.mss": 536, "me.default_mss": 1}
TABLE.add(
    "the options of a SYN",
    advance,
    seg(0, 0, SYN | ECE | CWR) | OPTIONS | {"seg.version": 4},
    {
        "me.mss": 1400,
        "me.default_mss": 0,
        "me.wscale": 7,
        "me.sack_ok": 1,
        "me.stamps": 1,
        "me.syn_echo": 5,
        "me.tfo_len": 8,
        "me.opt_cut": 0,
        "me.syn_ecn": 2,
        "me.syn_ctl": SYN | ECE | CWR,
    },
    ({"seg.mss": 1}, {"me.mss": 1}),
    ({"seg.mss": 0}, ASSUMED),
    ({"seg.mss": ABSENT}, ASSUMED),
    ({"seg.mss": ABSENT, "seg.version": 6}, ASSUMED | {"me.mss": 1220}),
    ({"seg.mss": 0, "seg.opt_cut": 1}, ASSUMED | {"me.opt_cut": 1}),
    ({"seg.mss": ABSENT, "seg.opt_cut": 1}, {"me.mss": ABSENT, "me.opt_cut": 1}),
    ({"seg.mss": ABSENT, "seg.opt_fault": OPT_LENGTH}, {"me.mss": ABSENT}),
    ({"seg.wscale": ABSENT}, {"me.wscale": ABSENT}),
    ({"seg.sack_ok": 0}, {"me.sack_ok": 0}),
    ({"seg.sack_ok": 0, "me.sack_ok": 1}, {"me.sack_ok": 0}),
    ({"seg.tsval": ABSENT}, {"me.stamps": 0}),
    ({"seg.tsval": ABSENT, "me.stamps": 1}, {"me.stamps": 0}),
    ({"seg.tsecr": ABSENT}, {"me.syn_echo": 0}),
    ({"seg.tsecr": 0}, {"me.syn_echo": 0}),
    ({"me.syn_ctl": AE}, {}),
    ({"me.opt_cut": 1}, {}),
)
COPY = {"me.syn": 1, "me.isn": at(0), "me.has_nxt": 1, "me.nxt": at(1), "me.mss": 1300, "me.wscale": 6, "me.sack_ok": 1}
COPY |= {"me.stamps": 1, "me.syn_ctl": SYN | ECE | CWR | AE, "me.tfo_len": 9}
TABLE.add(
    "the options of a SYN that is sent again",
    advance,
    seg(0, 0, SYN) | COPY | {"seg.version": 4},
    {
        "me.mss": 1300,
        "me.default_mss": 0,
        "me.wscale": 6,
        "me.sack_ok": 1,
        "me.stamps": 1,
        "me.syn_ctl": SYN | ECE | CWR | AE,
        "me.tfo_len": ABSENT,
        "me.opt_cut": 0,
        "me.copies": 0,
    },
    ({"seg.mss": 1200}, {"me.mss": 1200}),
    ({"seg.mss": 0}, ASSUMED),
    ({"seg.wscale": 0}, {"me.wscale": 0}),
    ({"seg.wscale": 5, "me.opt_cut": 1}, {"me.opt_cut": 1}),
    ({"me.wscale": ABSENT}, {"me.wscale": ABSENT}),
    ({"me.sack_ok": 0}, {"me.sack_ok": 0}),
    ({"me.sack_ok": 0, "seg.sack_ok": 1}, {}),
    ({"me.stamps": 0}, {"me.stamps": 0}),
    ({"me.stamps": 0, "seg.tsval": 0}, {}),
    ({"seg.opt_cut": 1}, {"me.opt_cut": 1}),
    ({"me.syn_ctl": SYN | PSH}, {"me.syn_ctl": SYN}),
)
SAME = {"me.copies": 0, "me.opt_cut": 0, "me.wscale": 6}
TABLE.add(
    "copies of a SYN ACK with other options",
    advance,
    seg(0, 0, SYN | ACK) | COPY | {"me.syn": 2},
    {"me.copies": ALL, "me.opt_cut": 0, "me.wscale": 6},
    ({"seg.sack_ok": 1}, {"me.copies": COPIES_STAMPS | COPIES_SCALE}),
    ({"seg.wscale": 6}, {"me.copies": COPIES_STAMPS | COPIES_SACK}),
    ({"seg.wscale": 0, "me.wscale": 0}, {"me.copies": COPIES_STAMPS | COPIES_SACK, "me.wscale": 0}),
    ({"me.stamps": 0, "seg.tsval": 0}, {}),
    ({"seg.tsval": 0, "seg.wscale": 6}, SAME),
    ({"seg.tsval": 0}, {"me.copies": 0, "me.opt_cut": 1, "me.wscale": ABSENT}),  # nothing will tell which one arrived
    ({"me.stamps": 0}, {"me.copies": 0, "me.opt_cut": 1, "me.wscale": ABSENT}),
    ({"me.stamps": 0, "me.wscale": ABSENT}, SAME | {"me.wscale": ABSENT}),
    ({"me.syn": 1}, SAME | {"me.wscale": ABSENT}),  # the SYN before was another question
)

# Sequence numbers.
TABLE.add(
    "new octets in order",
    advance,
    seg(0, 60) | {"me.has_nxt": 1, "me.nxt": at(0), "me.top": at(0), "me.octets": 5, "seg.time": 9},
    {
        "me.nxt": at(60),
        "me.top": at(60),
        "me.octets": 65,
        "me.piped": 0,
        "me.since": 9,
        "me.resent": 0,
        "me.pending_n": 0,
    }
    | {"me.data_seq": at(0), "me.data_len": 60},
    ({"me.since": 4}, {"me.since": 4}),
    ({"peer.has_rcv_nxt": 1, "peer.rcv_nxt": at(-1)}, {"me.piped": 1}),
    ({"peer.has_rcv_nxt": 1, "peer.rcv_nxt": at(0)}, {}),
    ({"peer.has_rcv_nxt": 0, "peer.rcv_nxt": at(-1)}, {}),
    (
        seg(0, 0) | {"peer.has_rcv_nxt": 1, "peer.rcv_nxt": at(-1)},
        {"me.nxt": at(0), "me.top": at(0), "me.octets": 5, "me.since": 0, "me.data_seq": 0, "me.data_len": 0},
    ),
    ({"me.has_nxt": 0, "peer.has_rcv_nxt": 1, "peer.rcv_nxt": at(-1)}, {}),
    ({"me.top": at(90)}, {"me.top": at(90)}),
    (seg(0, 60, FIN | ACK), {"me.nxt": at(61), "me.top": at(61)}),
    (
        seg(0, 0, FIN | ACK),
        {"me.nxt": at(1), "me.top": at(1), "me.octets": 5, "me.since": 0, "me.data_seq": 0, "me.data_len": 0},
    ),
)
TABLE.add(
    "octets that were sent before",
    advance,
    seg(0, 60, offset=-60) | {"me.has_nxt": 1, "me.nxt": at(60), "me.top": at(60), "me.octets": 60, "seg.time": 9},
    {"me.nxt": at(60), "me.octets": 60, "me.resent": 1, "me.since": 0, "me.data_len": 0, "me.pending_n": 0},
    ({"me.nxt": at(70)}, {"me.nxt": at(70)}),
    (seg(0, 0, offset=-60), {"me.resent": 0}),
    (
        seg(0, 61, offset=-60) | {"me.since": 4},
        {"me.nxt": at(61), "me.octets": 61, "me.resent": 0, "me.since": 9, "me.data_len": 61},
    ),
)
SKIPS = seg(20, 40, offset=20) | {"me.has_nxt": 1, "me.nxt": at(0), "me.top": at(0), "seg.number": 8}
TABLE.add(
    "octets behind a gap",
    advance,
    SKIPS,
    {
        "me.pending_n": 1,
        "me.pending_kind": [GAP],
        "me.pending_want": [at(0)],
        "me.pending_seen": [at(20)],
        "me.pending_mark": [0],
        "me.nxt": at(60),
        "me.top": at(60),
        "me.octets": 40,
        "me.resent": 0,
    },
    (seg(1, 40, offset=1), {"me.pending_seen": [at(1)], "me.nxt": at(41), "me.top": at(41)}),
    (seg(20, 0, offset=20), {"me.nxt": at(0), "me.top": at(20), "me.octets": 0}),
    ({"peer.has_last_ack": 1, "peer.last_ack": at(20)}, {"me.pending_mark": [SENT]}),
    ({"peer.has_last_ack": 1, "peer.last_ack": at(21)}, {"me.pending_mark": [SENT]}),
    ({"peer.has_last_ack": 1, "peer.last_ack": at(19)}, {}),
    ({"peer.last_ack": at(21)}, {}),
    ({"me.last_id": 10, "seg.ip_id": 12, "me.last_packet": 7}, {"me.pending_mark": [SENT]}),
    ({"me.last_id": 11, "seg.ip_id": 12, "me.last_packet": 7}, {}),
    (
        RENUMBERED | {"seg.seq": at(20), "peer.last_ack": at(20), "seg.ack": at(0), "peer.isn": at(-1)},
        {"me.pending_n": 0, "me.pending_kind": [0], "me.pending_want": [0], "me.pending_seen": [0]},
    ),
)
EARLY_FIN = seg(0, 10, FIN | ACK, offset=-60) | {"me.has_nxt": 1, "me.nxt": at(60), "seg.number": 8, "seg.time": 9}
TABLE.add(
    "a FIN before octets that were sent",
    advance,
    EARLY_FIN,
    {"me.fin": at(60), "me.nxt": at(61), "me.has_fin": 1, "me.fin_packet": 8, "me.fin_time": 9},
    (seg(50, 10, FIN | ACK, offset=-10), {}),
    (seg(51, 10, FIN | ACK, offset=-9), {"me.fin": at(61), "me.nxt": at(62)}),
    (seg(0, 10, offset=-60), {"me.fin": 0, "me.nxt": at(60), "me.has_fin": 0, "me.fin_packet": 0, "me.fin_time": 0}),
    ({"me.has_fin": 1, "me.fin": at(59)}, {"me.fin": at(59), "me.nxt": at(60), "me.fin_packet": 0, "me.fin_time": 0}),
    ({"me.pending_n": 1, "me.pending_kind": [GAP]}, {"me.fin": at(10), "me.nxt": at(60)}),
    ({"me.has_nxt": 0, "seg.seq_offset": 0}, {"me.fin": at(10), "me.nxt": at(11)}),
)
EARLY = seg(0, 10) | {"seg.number": 8, "seg.time": 9, "me.syn": 2, "peer.syn": 1, "peer.third": 1, "peer.has_nxt": 1}
EARLY |= {"peer.isn": at(-1), "peer.syn_end": at(0), "peer.nxt": at(0)}
NOT_EARLY = {"me.early_packet": 0, "me.early_time": 0}
TABLE.add(
    "data of the server before the third segment",
    advance,
    EARLY,
    {"me.early_packet": 8, "me.early_time": 9},
    ({"me.early_packet": 3}, {"me.early_packet": 3, "me.early_time": 0}),
    (seg(0, 0), NOT_EARLY),
    ({"me.syn": 1}, NOT_EARLY),
    ({"me.syn": 0}, NOT_EARLY),
    ({"peer.syn": 2}, NOT_EARLY),
    ({"peer.syn": 0}, NOT_EARLY),
    ({"peer.third": 2}, NOT_EARLY),
    ({"peer.third": 0}, NOT_EARLY),
    ({"peer.tfo_len": 0}, NOT_EARLY),  # after a Fast Open it may (RFC 7413 section 4.2.2)
    ({"peer.opt_cut": 1}, NOT_EARLY),
    ({"seg.ack": at(1)}, NOT_EARLY),
    ({"seg.ack": at(-1)}, NOT_EARLY),
    ({"peer.syn_end": at(5)}, NOT_EARLY),
    ({"seg.tsecr": 8, "peer.tsval": 7}, NOT_EARLY),  # it echoes a segment that the capture does not show
    ({"seg.tsecr": 7, "peer.tsval": 7}, {}),
    ({"seg.tsecr": 8, "peer.tsval": ABSENT}, {}),
    ({"seg.tsecr": ABSENT, "peer.tsval": OLD_CLOCK}, {}),
    ({"seg.tsecr": 0, "peer.tsval": OLD_CLOCK}, NOT_EARLY),
    ({"seg.tsecr": 5, "peer.tsval": 0}, NOT_EARLY),
)

# Acknowledgments.
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
MORE_ACKED = seg(0, 0) | {"peer.seen": 1, "peer.has_nxt": 1, "peer.nxt": at(0), "seg.ack": at(60), "seg.win": 100}
WAITING = {"me.pending_n": 1, "me.pending_kind": [UNSENT], "me.pending_want": [at(0)], "me.pending_seen": [at(60)]}
TABLE.add(
    "an ack of more than the capture shows",
    advance,
    MORE_ACKED,
    WAITING
    | {"me.pending_low": [at(160)], "me.pending_mark": [0], "me.has_rcv_nxt": 0, "me.has_right_edge": 0}
    | {"me.raw_win": 100},
    ({"me.wscale": 1, "peer.wscale": 0}, {"me.pending_low": [at(260)]}),
    ({"seg.tsecr": 8, "peer.tsval": 7}, {"me.pending_mark": [ECHOES]}),
    ({"seg.tsecr": 7, "peer.tsval": 7}, {}),
    ({"seg.tsecr": 1, "peer.tsval": 0}, {"me.pending_mark": [ECHOES]}),
    ({"seg.tsecr": 0, "peer.tsval": OLD_CLOCK}, {}),  # 0 may be no echo (RFC 7323 section 3.2)
    ({"seg.tsecr": 8}, {}),
    ({"me.block_packet": 3, "me.block_right": at(60)}, {"me.pending_mark": [ECHOES]}),
    ({"me.block_packet": 3, "me.block_right": at(59)}, {}),
    ({"me.block_right": at(60)}, {}),
)
TABLE.add(
    "an ack of no more than the capture shows",
    advance,
    MORE_ACKED | {"peer.nxt": at(60)},
    {"me.pending_n": 0, "me.has_rcv_nxt": 1, "me.rcv_nxt": at(60), "me.right_edge": at(160), "me.win": 100},
    ({"peer.nxt": at(0), "peer.seen": 0}, {}),
    ({"peer.nxt": at(0), "peer.has_nxt": 0}, {}),
    ({"seg.ctl": PSH}, {"me.has_rcv_nxt": 0, "me.rcv_nxt": 0, "me.right_edge": 0, "me.win": 0}),
    ({"seg.ctl": RST | ACK}, {"me.has_rcv_nxt": 0, "me.rcv_nxt": 0, "me.right_edge": 0, "me.win": 0}),
)
PART = {"me.has_rcv_nxt": 1, "me.rcv_nxt": at(0), "me.has_right_edge": 1, "me.right_edge": at(99), "me.mss": 536}
PART |= {
    "peer.data_seq": at(0),
    "peer.data_len": 60,
    "peer.has_nxt": 1,
    "peer.nxt": at(60),
    "seg.number": 8,
    "seg.time": 9,
}
TABLE.add(
    "an ack of all but the last octet of a segment",
    advance,
    seg(0, 0) | PART | {"seg.ack": at(59)},
    {"me.part_packet": 8, "me.part_time": 9, "me.part_ack": at(59)},
    ({"seg.ack": at(58)}, {"me.part_packet": 0, "me.part_time": 0, "me.part_ack": 0}),
    ({"seg.ack": at(60)}, {"me.part_packet": 0, "me.part_time": 0, "me.part_ack": 0}),
    ({"me.right_edge": at(59)}, {"me.part_packet": 0, "me.part_time": 0, "me.part_ack": 0}),
)
ACKS = seg(0, 0) | {"me.has_rcv_nxt": 1, "me.rcv_nxt": at(0), "me.same_acks": 2, "me.raw_win": 100, "seg.win": 100}
ACKS |= {"peer.has_nxt": 1, "peer.nxt": at(60), "peer.since": 5, "peer.last_time": 7, "peer.seen": 3}
TABLE.add(
    "new octets are acknowledged",
    advance,
    ACKS | {"seg.ack": at(59)},
    {"me.rcv_nxt": at(59), "me.same_acks": 0, "peer.since": 7},
    ({"seg.ack": at(60)}, {"me.rcv_nxt": at(60), "peer.since": 0}),
    ({"peer.has_nxt": 0}, {"peer.since": 0}),
    ({"me.has_rcv_nxt": 0, "me.rcv_nxt": at(90)}, {}),
    ({"seg.ack": at(0)}, {"me.rcv_nxt": at(0), "me.same_acks": 3, "peer.since": 5}),  # RFC 5681 section 2
    ({"seg.ack": at(0), "peer.nxt": at(0)}, {"me.rcv_nxt": at(0), "me.same_acks": 2, "peer.since": 5}),
    ({"seg.ack": at(0), "me.raw_win": 99}, {"me.rcv_nxt": at(0), "me.same_acks": 2, "peer.since": 5}),
    ({"seg.ack": at(-1)}, {"me.rcv_nxt": at(0), "me.same_acks": 2, "peer.since": 5}),
)
WINDOW = seg(7, 3) | {
    "me.has_nxt": 1,
    "me.nxt": at(7),
    "me.has_rcv_nxt": 1,
    "me.rcv_nxt": at(0),
    "seg.win": 0,
    "seg.time": 9,
}
WINDOW |= {"me.win": 50, "me.max_win": 50, "me.has_right_edge": 1, "me.right_edge": at(50), "me.raw_win": 50}
UNCLOSED = {"me.closed_time": 0, "me.closed_nxt": 0, "me.closed_len": 0}
TABLE.add(
    "a window that closes",
    advance,
    WINDOW,
    {"me.closed_time": 9, "me.closed_nxt": at(10), "me.closed_len": 3, "me.win": 0, "me.raw_win": 0, "me.max_win": 50}
    | {"me.right_edge": at(50), "me.has_right_edge": 1},
    ({"me.win": 0}, UNCLOSED),
    ({"me.win": 0, "me.has_right_edge": 0}, {"me.right_edge": at(0)}),  # the first one that the capture shows
    ({"seg.win": 49}, UNCLOSED | {"me.win": 49, "me.raw_win": 49}),
    ({"seg.win": 50}, UNCLOSED | {"me.win": 50, "me.raw_win": 50}),
    ({"seg.win": 51}, UNCLOSED | {"me.win": 51, "me.raw_win": 51, "me.max_win": 51, "me.right_edge": at(51)}),
    # Overtaken: its window is outdated (RFC 9293 section 3.10.7.4).
    ({"seg.ack": at(-1)}, UNCLOSED | {"me.win": 50, "me.raw_win": 50}),
    (
        {"seg.win": 9, "me.wscale": 3, "peer.wscale": 2},
        UNCLOSED | {"me.win": 72, "me.raw_win": 9, "me.max_win": 72} | {"me.right_edge": at(72)},
    ),
)
TABLE.add(
    "a segment far from any window",
    advance,
    seg(FAR + 1, 0, offset=FAR + 1) | BEYOND | SCALED | {"me.nxt": at(0), "me.top": at(0)},
    {"me.pending_n": 0, "me.top": at(0)},
    ({"seg.seq": at(FAR), "seg.end": at(FAR), "seg.seq_offset": FAR}, {"me.pending_n": 1, "me.top": at(FAR)}),
)


@pytest.mark.parametrize(("action", "before", "after"), list(TABLE.rows()))
def test_the_tracked_state(action: Action, before: Change, after: Change) -> None:
    check(action, before, after)
