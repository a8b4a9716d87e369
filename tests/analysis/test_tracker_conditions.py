"""What a segment changes in the tracked state, each condition by itself.

A state and what a segment makes of it, and the changes after which it makes something else of it. Sequence numbers wrap: those
of each case lie around 0.
"""

import pytest
from conditions import at
from field_tables import Action, Change, Table, check, seg

from labkit.analysis.order import NEAR, SAME_MOMENT
from labkit.analysis.pending import BEHIND
from labkit.analysis.tracker import (
    ANSWERED,
    COPIES_SACK,
    COPIES_SCALE,
    COPIES_STAMPS,
    MAX_WINDOW,
    PASSED,
    WAITS,
    advance,
)
from labkit.packet.seen import ABSENT, OPT_LENGTH, SUM_BAD, SUM_GOOD
from labkit.tcp.segment import ACK, AE, CWR, ECE, FIN, PSH, RST, SYN

TABLE = Table()
YES, NO = {"answer": True}, {"answer": False}
OLD_CLOCK = 2**32 - 5
"""A timestamp just before the clock wraps."""


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
SPOILED = {"seg.sum_state": SUM_BAD, "me.sums_good": 1}
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
    "the last ack",
    advance,
    seg(0, 0) | {"me.has_last_ack": 1, "me.last_ack": at(-5)},
    {"me.last_ack": at(0), "me.has_last_ack": 1},
    ({"seg.ctl": PSH}, {"me.last_ack": at(-5)}),
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
    {"me.copies": COPIES_STAMPS | COPIES_SCALE | COPIES_SACK, "me.opt_cut": 0, "me.wscale": 6},
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


@pytest.mark.parametrize(("action", "before", "after"), list(TABLE.rows()))
def test_the_tracked_state(action: Action, before: Change, after: Change) -> None:
    check(action, before, after)
