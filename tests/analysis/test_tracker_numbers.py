"""What a segment changes in the sequence numbers of its sender, each condition by itself."""

import pytest
from conditions import at
from field_tables import Action, Change, Table, check, seg

from labkit.analysis.pending import ECHOES, GAP, SENT, UNSENT
from labkit.analysis.tracker import advance
from labkit.packet.seen import ABSENT
from labkit.tcp.segment import ACK, FIN, PSH, RST

TABLE = Table()
OLD_CLOCK = 2**32 - 5
"""A timestamp just before the clock wraps."""

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
TABLE.add(
    "the timestamp of new octets",
    advance,
    seg(0, 60)
    | {"me.has_nxt": 1, "me.nxt": at(0), "me.top": at(0), "me.least_tsval": 3, "me.tsval": 5, "seg.tsval": 8}
    | {"seg.ack": at(7), "me.has_rcv_nxt": 1, "me.rcv_nxt": at(7), "me.data_tsval": 4},
    {"me.data_tsval": 8},
    ({"seg.tsval": ABSENT}, {"me.data_tsval": 3}),
    ({"seg.tsval": ABSENT, "me.least_tsval": ABSENT}, {"me.data_tsval": 0}),
    # A receiver may not keep the timestamp of a segment that is late, or has no ACK.
    ({"seg.ack": at(6)}, {"me.data_tsval": 3}),
    ({"seg.ack": at(8)}, {"me.data_tsval": 8}),
    ({"seg.ctl": PSH}, {"me.data_tsval": 3}),
    (seg(20, 40, offset=20) | {"seg.ack": at(7)}, {"me.data_tsval": 3}),
    (seg(0, 0) | {"seg.ack": at(7)}, {"me.data_tsval": 4}),
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


@pytest.mark.parametrize(("action", "before", "after"), list(TABLE.rows()))
def test_the_numbers_of_a_sender(action: Action, before: Change, after: Change) -> None:
    check(action, before, after)
