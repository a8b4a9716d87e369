"""Each condition of a rule, by itself: a state in which the rule finds its fault, and the changes after which it does not.

The examples and conversations show what rules find in captures. This table changes one field at a time, so that a condition
that no capture at hand isolates is tested too. Sequence numbers wrap: the base of each case lies just below 2**32.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy

import pytest

from labkit.analysis.order import SAME_MOMENT
from labkit.analysis.rule import Severity, collect
from labkit.analysis.rules import capture, fin, reset, window
from labkit.analysis.side import Side
from labkit.packet.seen import ABSENT, BAD_OFFSET, CUT, SHORT_IP, SHORT_TCP, SUM_PARTIAL, Seen
from labkit.tcp.segment import ACK, FIN, PSH, RST, SYN
from labkit.tcp.seq import MASK, add

N = 2**32 - 50
"""Where the numbers of a case lie: 100 more wraps."""


def at(offset: int) -> int:
    return add(N, offset)


Change = dict[str, int]
Predicate = Callable[[Seen, Side, Side], int]
CASES: dict[str, tuple[Predicate, Change, list[tuple[Change, int]]]] = {}
"""By title: the predicate, the state in which it answers True, and changes of that state with the answers."""


def case(predicate: Predicate, base: Change, *changes: tuple[Change, int], title: str = "") -> None:
    CASES[title or predicate.__name__.replace("_", " ")] = predicate, base, list(changes)


case(
    fin.fin_before_the_last_octet,
    {"seg.ctl": FIN | ACK, "seg.seq": at(0), "seg.len": 10, "me.has_nxt": 1, "me.nxt": at(100)},
    ({"seg.ctl": ACK}, 0),
    ({"seg.ctl": FIN | SYN}, 0),
    ({"seg.ctl": FIN | RST}, 0),
    ({"me.has_fin": 1}, 0),
    ({"me.has_nxt": 0}, 0),
    ({"me.pending_n": 1}, 0),
    ({"seg.len": 99}, 1),
    ({"seg.len": 100}, 0),
    ({"seg.len": 101}, 0),
)
UNACKNOWLEDGED = {
    "seg.ctl": ACK,
    "seg.ack": at(0),
    "seg.win": 500,
    "seg.time": 1_000_000_000,
    "me.has_rcv_nxt": 1,
    "me.rcv_nxt": at(0),
    "me.raw_win": 500,
    "me.delay": 20_000_000,
    "me.last_packet": 7,
    "me.last_len": 10,
    "peer.has_fin": 1,
    "peer.fin": at(0),
    "peer.fin_packet": 8,
    "peer.fin_time": 980_000_000,
    "peer.last_packet": 8,
    "peer.run": 1,
    "peer.syn_end": at(-200),
}
case(
    fin.fin_not_acknowledged,
    UNACKNOWLEDGED,
    ({"peer.has_fin": 0}, 0),
    ({"seg.ctl": ACK | PSH}, 1),
    ({"seg.ctl": ACK | SYN}, 0),
    ({"seg.ctl": ACK | FIN}, 0),
    ({"seg.ctl": ACK | RST}, 0),
    ({"seg.ctl": PSH}, 0),
    ({"seg.len": 1}, 0),
    ({"seg.seq_offset": -1}, 0),
    ({"seg.seq_offset": 1}, 0),
    ({"seg.sack_n": 1}, 0),
    ({"seg.ack": at(1)}, 0),
    ({"seg.ack": at(-1)}, 0),
    ({"me.has_rcv_nxt": 0}, 0),
    ({"me.rcv_nxt": at(-1)}, 0),
    ({"peer.last_packet": 9}, 0),
    ({"me.last_packet": 8}, 0),
    ({"me.last_packet": 9}, 0),
    ({"peer.run": 2}, 1),
    ({"peer.run": 2, "me.has_fin": 1}, 0),
    ({"me.has_fin": 1}, 1),
    ({"peer.pending_n": 1}, 0),
    ({"peer.syn_end": at(0)}, 1),
    ({"peer.resent": 1, "peer.resent_end": at(0)}, 0),
    ({"peer.resent": 1, "peer.resent_end": at(-1)}, 1),
    ({"peer.resent": 0, "peer.resent_end": at(0)}, 1),
    ({"peer.probed": 1}, 0),
    ({"peer.fin_spoiled": 1}, 0),
    ({"seg.tsecr": 900, "peer.tsval": 901}, 0),
    ({"seg.tsecr": 901, "peer.tsval": 901}, 1),
    ({"seg.tsecr": ABSENT, "peer.tsval": 901}, 1),
    ({"seg.win": 501}, 0),
    ({"me.delay": 20_000_001}, 0),
    ({"peer.fin_time": 980_000_001}, 0),
)
AFTER_RESET = {
    "seg.ctl": ACK,
    "seg.seq": at(0),
    "seg.end": at(100),
    "seg.seg_len": 100,
    "seg.new_octets": 100,
    "seg.ip_id": 11,
    "seg.time": 1_000_000_000,
    "me.has_nxt": 1,
    "me.nxt": at(0),
    "me.top": at(0),
    "me.rst": 2,
    "me.rst_seq": at(0),
    "me.newest_id": 10,
    "me.third": 2,
}
case(
    reset.goes_on_after_reset,
    AFTER_RESET,
    ({"me.rst": 0}, 0),
    ({"me.rst": 1}, 1),  # the identification is later
    ({"seg.ctl": RST | ACK}, 0),
    ({"seg.ctl": SYN}, 0),
    ({"me.rst_seq": at(1)}, 0),
    ({"seg.ip_id": ABSENT}, 1),  # beyond the number of the reset
    ({"seg.ip_id": ABSENT, "me.rst": 1}, Severity.WARNING),
    ({"seg.ip_id": ABSENT, "me.rst": 1, "me.third": 1}, 1),
    ({"seg.ip_id": 9, "me.rst": 1}, 0),
    ({"seg.ip_id": ABSENT, "seg.end": at(0), "seg.seg_len": 0, "seg.new_octets": 0}, Severity.WARNING),
    ({"seg.ip_id": ABSENT, "seg.end": at(0), "seg.seg_len": 0, "seg.new_octets": 0, "me.last_time": 999_999_999}, 0),
    ({"seg.end": at(0), "seg.seg_len": 0, "seg.new_octets": 0}, 1),
)
REPEATED = UNACKNOWLEDGED | {
    "seg.seq": at(3),
    "seg.ip_id": 77,
    "me.last_len": 0,
    "me.last_seq": at(3),
    "me.last_ctl": ACK,
    "me.last_ack": at(0),
    "me.last_id": 77,
}
case(
    fin.fin_not_acknowledged,
    REPEATED | {"me.last_id": 76},
    ({"me.last_id": 77}, 0),
    ({"me.last_id": 77, "me.last_len": 1}, 1),
    ({"me.last_id": 77, "me.last_seq": at(2)}, 1),
    ({"me.last_id": 77, "me.last_ctl": ACK | PSH}, 1),
    ({"me.last_id": 77, "me.last_ack": at(-1)}, 1),
    ({"me.last_time": 1_000_000_000 - SAME_MOMENT}, 0),
    ({"me.last_time": 1_000_000_000 - SAME_MOMENT - 1}, 1),
    ({"me.last_time": 1_000_000_000 - SAME_MOMENT, "me.last_len": 1}, 1),
    ({"me.last_time": 1_000_000_000 - SAME_MOMENT, "me.last_seq": at(2)}, 1),
    title="an ACK of the last octet that is not a repetition",
)
case(
    fin.last_ack_not_of_the_fin,
    {
        "me.syn": 1,
        "peer.syn": 2,
        "me.has_fin": 1,
        "me.fin": at(10),
        "me.last_packet": 9,
        "me.last_ctl": ACK,
        "me.last_ack": at(60),
        "me.has_rcv_nxt": 1,
        "me.rcv_nxt": at(60),
        "peer.has_rcv_nxt": 1,
        "peer.rcv_nxt": at(11),
        "peer.has_fin": 1,
        "peer.fin": at(60),
        "peer.fin_packet": 8,
        "peer.fin_time": 1000,
        "me.delay": 100,
        "me.last_time": 1100,
        "me.raw_win": 512,
    },
    ({"me.raw_win": 0}, 0),
    ({"me.last_time": 1099}, 0),
    ({"me.syn": 0}, 0),
    ({"peer.syn": 0}, 0),
    ({"me.has_fin": 0}, 0),
    ({"peer.rcv_nxt": at(10), "peer.last_ack": at(10)}, 0),
    ({"peer.has_rcv_nxt": 0, "peer.last_ack": at(10)}, 0),
    ({"peer.has_rcv_nxt": 0, "peer.last_ack": at(11)}, 1),
    ({"peer.has_fin": 0}, 0),
    ({"peer.fin_packet": 9}, 0),
    ({"peer.fin_packet": 10}, 0),
    ({"me.last_ctl": ACK | SYN}, 0),
    ({"me.last_ctl": ACK | FIN}, 0),
    ({"me.last_ctl": ACK | RST}, 0),
    ({"me.last_ctl": PSH}, 0),
    ({"me.last_len": 1}, 0),
    ({"me.last_ack": at(61)}, 0),
    ({"me.rcv_nxt": at(61)}, 0),
    ({"me.last_ack": at(59), "me.rcv_nxt": at(59)}, 0),
)
case(
    fin.octets_after_fin,
    {"seg.ctl": ACK, "seg.seq": at(0), "seg.len": 61, "me.has_fin": 1, "me.fin": at(60), "me.has_nxt": 1},
    ({"me.has_fin": 0}, 0),
    ({"seg.ctl": ACK | SYN}, 0),
    ({"seg.ctl": RST}, 0),
    ({"seg.len": 60}, 0),
    ({"seg.len": 59}, 0),
    ({"seg.len": 60, "seg.ctl": FIN | ACK}, 0),
    ({"seg.len": 0, "seg.seq": at(61)}, 0),
    ({"seg.len": 0, "seg.seq": at(61), "seg.ctl": FIN | ACK}, 1),
    ({"seg.len": 1, "seg.seq": at(60)}, 1),
    ({"seg.len": 1, "seg.seq": at(60), "seg.seq_offset": -1}, 0),
)
case(
    fin.acknowledged_fin_is_missing,
    {
        "me.syn": 1,
        "me.has_nxt": 1,
        "me.nxt": at(60),
        "me.has_rcv_nxt": 1,
        "me.rcv_nxt": at(11),
        "me.last_ack": at(10),
        "peer.syn": 1,
        "peer.has_fin": 1,
        "peer.fin": at(10),
        "peer.has_last_ack": 1,
        "peer.last_ack": at(61),
    },
    ({"me.syn": 0}, 0),
    ({"peer.syn": 0}, 0),
    ({"me.rst": 1}, 0),
    ({"peer.rst": 1}, 0),
    ({"me.has_fin": 1}, 0),
    ({"me.has_nxt": 0}, 0),
    ({"peer.has_last_ack": 0}, 0),
    ({"peer.has_fin": 0}, 0),
    ({"me.rcv_nxt": at(10)}, 0),
    ({"peer.last_ack": at(60)}, 0),
    ({"peer.last_ack": at(62)}, 0),
)
CLOSED = {
    "me.syn": 1,
    "me.has_fin": 1,
    "me.fin": at(10),
    "me.has_rcv_nxt": 1,
    "me.rcv_nxt": at(61),
    "me.last_ack": at(60),
    "peer.syn": 1,
    "peer.has_fin": 1,
    "peer.fin": at(60),
    "peer.has_rcv_nxt": 1,
    "peer.rcv_nxt": at(11),
    "peer.last_ack": at(10),
}
case(
    fin.teardown_not_complete,
    {**CLOSED, "me.rcv_nxt": at(60)},
    ({"me.rcv_nxt": at(61)}, 0),
    ({"me.rcv_nxt": at(61), "peer.rcv_nxt": at(10)}, 1),
    ({"me.rcv_nxt": at(61), "me.has_fin": 0}, 1),
    ({"me.rcv_nxt": at(61), "peer.has_fin": 0}, 1),
    ({"me.syn": 0}, 0),
    ({"peer.syn": 0}, 0),
    ({"me.rst": 1}, 0),
    ({"peer.rst": 1}, 0),
)
case(
    fin.simultaneous_close,
    {
        "seg.ctl": FIN | ACK,
        "seg.ack": at(60),
        "peer.has_fin": 1,
        "peer.fin": at(60),
        "me.has_rcv_nxt": 1,
        "me.rcv_nxt": at(60),
    },
    ({"seg.ctl": ACK}, 0),
    ({"seg.ctl": FIN | SYN}, 0),
    ({"seg.ctl": FIN | RST}, 0),
    ({"me.has_fin": 1}, 0),
    ({"peer.has_fin": 0}, 0),
    ({"seg.ack": at(61)}, 0),
    ({"me.rcv_nxt": at(61)}, 0),
    ({"me.rcv_nxt": at(61), "me.has_rcv_nxt": 0}, 1),
)

case(
    capture.headers_do_not_fit,
    {"seg.fault": SHORT_TCP},
    ({"seg.fault": BAD_OFFSET}, 1),
    ({"seg.fault": SHORT_IP}, 0),
    ({"seg.fault": CUT}, 0),
    ({"seg.fault": 0}, 0),
)
case(
    capture.datagram_does_not_fit,
    {"seg.fault": SHORT_IP},
    ({"seg.fault": SHORT_TCP}, 0),
    ({"seg.fault": 0}, 0),
)
case(
    capture.frame_cut_short,
    {"seg.fault": CUT, "seg.caplen": 60, "seg.wirelen": 61},
    ({"seg.caplen": 61}, 0),
    ({"seg.caplen": 62}, 0),
    ({"seg.fault": 0}, 0),
    ({"seg.fault": 0, "seg.opt_cut": 1}, 1),
    ({"seg.fault": 0, "seg.len": 9, "seg.data_len": 8}, 1),
    ({"seg.fault": 0, "seg.len": 9, "seg.data_len": 9}, 0),
    ({"seg.opt_cut": 1, "seg.caplen": 61}, 0),
)
case(
    capture.part_of_a_conversation,
    {"me.seen": 1, "peer.seen": 1, "peer.syn": 1},
    ({"me.syn": 1}, 0),
    ({"me.syn": 1, "peer.syn": 0}, 1),
    ({"peer.seen": 0}, Severity.NOTE),
    ({"me.seen": 0}, 0),
    ({"me.seen": 0, "peer.syn": 0}, Severity.NOTE),
    ({"me.syn": 1, "peer.seen": 0, "me.has_rcv_nxt": 1}, Severity.NOTE),
    ({"me.syn": 1, "peer.seen": 0}, 0),
    ({"me.syn": 1, "peer.syn": 0, "peer.rst": 1}, 0),
    ({"me.syn": 1, "peer.syn": 0, "peer.rst": 1, "peer.last_ctl": SYN}, 1),
    ({"me.syn": 1, "peer.syn": 0, "peer.rst": 1, "me.third": 1}, 1),
    ({"me.syn": 2, "peer.syn": 0, "peer.rst": 1}, 1),
    ({"me.syn": 0, "peer.syn": 0, "peer.rst": 1}, 1),
    ({"peer.rst": 1}, 1),
)
case(
    capture.payload_beyond_the_mss,
    {"peer.mss": 700, "seg.len": 701, "seg.ip_len": 741},
    ({"seg.len": 700}, 0),
    ({"peer.mss": 0}, 0),
    ({"me.oversized": 1}, 0),
    ({"peer.default_mss": 1}, 0),
    ({"peer.mss": 1, "seg.len": 2}, 0),
    ({"peer.mss": 1, "seg.len": 1}, 0),
    ({"seg.ctl": SYN}, 0),
    ({"seg.ctl": RST}, 0),
    ({"seg.len": 1399}, 1),
    ({"seg.len": 1400}, 0),
    ({"seg.sum_state": SUM_PARTIAL}, 0),
    ({"seg.ip_len": 1500}, 1),
    ({"seg.ip_len": 1501}, 0),
    ({"seg.ip_len": 0}, 0),
    ({"seg.ip_len": 1}, 1),
)
case(
    capture.captured_twice,
    {
        "me.seen": 1,
        "seg.ip_id": 1,
        "me.last_id": 1,
        "seg.seq": at(3),
        "me.last_seq": at(3),
        "seg.len": 5,
        "me.last_len": 5,
        "seg.ctl": ACK,
        "me.last_ctl": ACK,
        "seg.time": SAME_MOMENT,
        "seg.ack": at(60),
        "me.last_ack": at(60),
    },
    ({"me.seen": 0}, 0),
    ({"seg.ip_id": 0, "me.last_id": 0}, 0),
    ({"me.last_id": 2}, 0),
    ({"me.last_seq": at(4)}, 0),
    ({"me.last_len": 4}, 0),
    ({"me.last_ctl": ACK | PSH}, 0),
    ({"seg.time": SAME_MOMENT + 1}, 0),
    ({"me.last_ack": at(59)}, 0),
    ({"me.last_ack": at(59), "seg.ctl": RST | ACK, "me.last_ctl": RST | ACK}, 1),
)
case(
    capture.time_goes_back,
    {"me.seen": 1, "seg.time": 5, "me.last_time": 6, "peer.seen": 1, "peer.last_time": 5},
    ({"me.last_time": 5}, 0),
    ({"me.seen": 0}, 0),
    ({"me.seen": 0, "peer.last_time": 6}, 1),
    ({"me.seen": 0, "peer.seen": 0, "peer.last_time": 6}, 0),
)
case(capture.came_in_fragments, {"seg.joined": 1}, ({"seg.joined": 0}, 0))

KNOWN = {"me.syn": 1, "peer.syn": 1, "me.wscale": 0, "peer.wscale": 0}
case(
    window.data_beyond_the_window,
    {
        **KNOWN,
        "seg.ctl": ACK,
        "seg.seq": at(0),
        "seg.len": 101,
        "peer.has_right_edge": 1,
        "peer.right_edge": at(100),
        "me.has_nxt": 1,
        "me.nxt": at(0),
    },
    ({"seg.len": 0}, 0),
    ({"seg.ctl": SYN | ACK}, 0),
    ({"seg.ctl": RST | ACK}, 0),
    ({"peer.has_right_edge": 0}, 0),
    ({"me.syn": 0}, 0),
    ({"seg.len": 100}, 0),
    ({"seg.len": 1, "seg.seq": at(100)}, 0),
    ({"seg.len": 1, "seg.seq": at(101)}, 1),
    ({"seg.len": 2, "seg.seq": at(100)}, 1),
    ({"me.nxt": at(100)}, 1),
    ({"me.nxt": at(101)}, 1),
    ({"me.nxt": at(101), "seg.seq_offset": -1}, 0),
    ({"me.nxt": at(102)}, 0),
    ({"me.nxt": at(102), "me.has_nxt": 0}, 1),
    ({"me.missed": 1}, Severity.WARNING),
    ({"me.pending_n": 1}, Severity.WARNING),
    ({"peer.missed": 1}, Severity.WARNING),
    ({"peer.pending_n": 1}, Severity.WARNING),
    ({"seg.seq_offset": 1}, Severity.WARNING),
    ({"seg.seq_offset": -1}, 1),
)
case(
    window.window_shrinks,
    {
        **KNOWN,
        "seg.ctl": ACK,
        "seg.ack": at(60),
        "seg.win": 199,
        "seg.time": SAME_MOMENT + 1,
        "me.has_right_edge": 1,
        "me.has_rcv_nxt": 1,
        "me.rcv_nxt": at(60),
        "me.win": 200,
    },
    ({"seg.win": 200}, 0),
    ({"seg.time": SAME_MOMENT}, 0),
    ({"seg.ctl": PSH}, 0),
    ({"seg.ctl": ACK | SYN}, 0),
    ({"seg.ctl": ACK | RST}, 0),
    ({"seg.ctl": ACK | FIN}, 0),
    ({"me.has_right_edge": 0}, 0),
    ({"peer.syn": 0}, 0),
    ({"seg.ack": at(59)}, 0),
    ({"seg.ack": at(61)}, 0),
    ({"seg.ack": at(61), "seg.win": 198}, 1),
    ({"me.wscale": 2, "peer.wscale": 2, "me.win": 200, "seg.win": 49}, 1),
    ({"me.wscale": 2, "peer.wscale": 2, "me.win": 199, "seg.win": 49}, 0),
)
case(
    window.zero_window,
    {"seg.ctl": ACK},
    ({"seg.win": 1}, 0),
    ({"seg.ctl": ACK | SYN}, 0),
    ({"seg.ctl": ACK | FIN}, 0),
    ({"seg.ctl": ACK | RST}, 0),
    ({"seg.ctl": PSH}, 0),
)
case(
    window.window_full,
    {
        **KNOWN,
        "seg.ctl": ACK,
        "seg.seq": at(0),
        "seg.len": 100,
        "peer.has_right_edge": 1,
        "peer.rcv_nxt": at(0),
        "peer.win": 100,
    },
    ({"seg.len": 99}, 0),
    ({"seg.len": 101}, 0),
    ({"seg.ctl": ACK | SYN}, 0),
    ({"seg.ctl": ACK | FIN}, 0),
    ({"seg.ctl": ACK | RST}, 0),
    ({"peer.has_right_edge": 0}, 0),
    ({"me.syn": 0}, 0),
    ({"seg.len": 0, "peer.rcv_nxt": at(-100)}, 0),
    ({"peer.win": 0, "peer.rcv_nxt": at(100)}, 0),
    ({"peer.win": 1, "peer.rcv_nxt": at(99)}, 1),
)
case(
    window.window_update,
    {
        "seg.ctl": ACK,
        "seg.ack": at(60),
        "seg.win": 1,
        "me.has_nxt": 1,
        "me.has_rcv_nxt": 1,
        "me.rcv_nxt": at(60),
        "me.raw_win": 2,
    },
    ({"me.raw_win": 1}, 0),
    ({"seg.ctl": ACK | SYN}, 0),
    ({"seg.ctl": ACK | FIN}, 0),
    ({"seg.ctl": ACK | RST}, 0),
    ({"seg.ctl": PSH}, 0),
    ({"seg.len": 1}, 0),
    ({"seg.seq_offset": -1}, 0),
    ({"seg.win": 0}, 0),
    ({"me.has_nxt": 0}, 0),
    ({"me.has_rcv_nxt": 0}, 0),
    ({"seg.ack": at(61)}, 0),
    ({"seg.ack": at(61), "me.last_ack": at(61)}, 0),
    ({"seg.ack": at(61), "me.has_last_ack": 1, "me.last_ack": at(61)}, 1),
    ({"me.has_last_ack": 1, "me.last_ack": at(61)}, 0),
    ({"me.has_last_ack": 1, "me.last_ack": at(60)}, 1),
    ({"me.last_ctl": SYN | ACK, "me.raw_win": 1, "me.win": 2}, 1),
    ({"me.last_ctl": SYN | ACK, "me.raw_win": 2, "me.win": 1}, 0),
    ({"me.last_ctl": SYN | ACK, "me.wscale": 2, "peer.wscale": 2, "seg.win": 25, "me.win": 103}, 0),
    ({"me.last_ctl": SYN | ACK, "me.wscale": 2, "peer.wscale": 2, "seg.win": 25, "me.win": 104}, 1),
    ({"me.last_ctl": SYN | ACK, "me.wscale": 0, "peer.wscale": 0, "seg.win": 25, "me.win": 26}, 1),
    ({"me.last_ctl": SYN | ACK, "me.wscale": 2, "peer.wscale": -1, "seg.win": 25, "me.win": 26}, 1),
)
case(
    window.window_probe_answer,
    {
        "seg.ctl": ACK,
        "seg.ack": at(60),
        "me.has_rcv_nxt": 1,
        "me.rcv_nxt": at(60),
        "me.has_right_edge": 1,
        "peer.probe": 1,
    },
    ({"peer.probe": 0}, 0),
    ({"seg.ctl": ACK | SYN}, 0),
    ({"seg.ctl": ACK | FIN}, 0),
    ({"seg.ctl": ACK | RST}, 0),
    ({"seg.ctl": PSH}, 0),
    ({"seg.len": 1}, 0),
    ({"me.has_rcv_nxt": 0}, 0),
    ({"seg.seq_offset": -1, "me.has_nxt": 1}, 0),
    ({"seg.win": 1}, 0),
    ({"me.win": 1}, 0),
    ({"me.has_right_edge": 0}, 0),
    ({"seg.ack": at(61)}, 0),
)


def state(values: Change) -> tuple[Seen, Side, Side]:
    """A segment, its sender and the peer, with these fields and the defaults of all others."""
    parts = {"seg": Seen(), "me": Side(), "peer": Side()}
    for name, value in values.items():
        part, _, field = name.partition(".")
        assert hasattr(parts[part], field), name
        setattr(parts[part], field, value)
    return parts["seg"], parts["me"], parts["peer"]


def rows() -> Iterator[object]:
    for title, (predicate, base, changes) in CASES.items():
        yield pytest.param(predicate, base, 1, id=title)
        for change, answer in changes:
            words = ", ".join(f"{name}={value}" for name, value in change.items())
            yield pytest.param(predicate, base | change, answer, id=f"{title}: {words}")


@pytest.mark.parametrize(("predicate", "values", "answer"), list(rows()))
def test_a_rule_answers(predicate: Predicate, values: Change, answer: int) -> None:
    parts = state(values)
    before = deepcopy(parts)
    assert int(predicate(*parts)) == answer
    assert parts == before, "a rule changes nothing"


@pytest.mark.parametrize(
    ("values", "name", "length"),
    [
        ({"seg.fault": SHORT_TCP, "seg.ip_at": 14, "seg.tcp_at": 34, "seg.ip_len": 30}, "ip.len", 40),
        ({"seg.fault": BAD_OFFSET, "seg.doff": 19, "seg.ip_at": 14, "seg.tcp_at": 34, "seg.ip_len": 60}, "hdr_len", 20),
        ({"seg.fault": BAD_OFFSET, "seg.doff": 20, "seg.ip_at": 14, "seg.tcp_at": 34, "seg.ip_len": 60}, "hdr_len", 40),
        ({"seg.fault": BAD_OFFSET, "seg.doff": 60, "seg.ip_at": 14, "seg.tcp_at": 34, "seg.ip_len": 60}, "hdr_len", 40),
    ],
)
def test_the_length_that_would_fit(values: Change, name: str, length: int) -> None:
    declared = next(each for each in collect() if each.predicate is capture.headers_do_not_fit)
    parts = state(values)
    assert callable(declared.field)
    assert callable(declared.expected)
    assert (declared.field(*parts), declared.expected(*parts)) == (name, length)


def test_the_numbers_wrap() -> None:
    assert at(0) > MASK // 2 > at(60)
