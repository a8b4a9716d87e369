"""Each condition of the rules about options, by itself: their lists, timestamps, SACK, signatures and MPTCP."""

import pytest
from conditions import Cases, Change, at

from labkit.analysis.order import NEXT_IDS, SAME_MOMENT
from labkit.analysis.rules import authentication, multipath, option, sack, timestamp
from labkit.analysis.rules.timestamp import MAX_IDLE, MAX_REUSE_TICKS, MIN_SYN_TICKS
from labkit.analysis.severity import Severity
from labkit.analysis.tracker import DEFAULT_MSS, FAR_WINDOWS, MAX_WINDOW
from labkit.packet.seen import ABSENT, AUTH_AO, AUTH_MD5, MP_CAPABLE, MP_DSS, MP_JOIN, OPT_LENGTH, OPT_OVERRUN
from labkit.tcp.segment import ACK, FIN, PSH, RST, SYN
from labkit.tcp.seq import HALF, MASK

SECOND = 1_000_000_000
CASES = Cases()

NOT_SYN_ACK = (({"seg.ctl": SYN}, 0), ({"seg.ctl": ACK}, 0), ({"seg.ctl": SYN | ACK | RST}, 0))
NOT_ACK = (({"seg.ctl": SYN | ACK}, 0), ({"seg.ctl": FIN}, 0), ({"seg.ctl": RST | ACK}, 0))
NEITHER_SYN_NOR_RST = (({"seg.ctl": SYN | ACK}, 0), ({"seg.ctl": RST | ACK}, 0))

CASES(
    option.illegal_option_length,
    {"seg.opt_fault": OPT_LENGTH},
    ({"seg.opt_fault": OPT_OVERRUN}, 1),
    ({"seg.opt_fault": 0}, 0),
)
CASES(
    option.opening_option_without_syn,
    {"seg.ctl": ACK, "seg.mss": 0},
    ({"seg.ctl": SYN}, 0),
    ({"seg.ctl": SYN | ACK}, 0),
    ({"seg.mss": ABSENT}, 0),
    ({"seg.mss": ABSENT, "seg.wscale": 0}, 1),
    ({"seg.mss": ABSENT, "seg.sack_ok": 1}, 1),
)
CASES(
    option.answered_what_was_not_offered,
    {"seg.ctl": SYN | ACK, "seg.wscale": 0, "peer.syn": 1},
    *NOT_SYN_ACK,
    ({"peer.syn": 0}, 0),
    ({"peer.opt_cut": 1}, 0),
    ({"peer.wscale": 0}, 0),
    ({"seg.wscale": ABSENT}, 0),
    ({"seg.wscale": ABSENT, "seg.tsval": 0}, 1),
    ({"seg.wscale": ABSENT, "seg.tsval": 0, "peer.stamps": 1}, 0),
    ({"peer.wscale": 0, "seg.tsval": 0}, 1),
)
CASES(option.window_scale_too_large, {"seg.wscale": 15}, ({"seg.wscale": 14}, 0), ({"seg.wscale": ABSENT}, 0))
CASES(
    option.options_not_in_order,
    {"seg.opt_twice": 0},
    ({"seg.opt_twice": 2}, 1),
    ({"seg.opt_twice": ABSENT}, 0),
    ({"seg.opt_twice": ABSENT, "seg.opt_after_end": 1}, 1),
)
CASES(
    option.syn_without_mss,
    {"seg.ctl": SYN},
    ({"seg.ctl": SYN | ACK}, 1),
    ({"seg.ctl": SYN | RST}, 0),
    ({"seg.ctl": ACK}, 0),
    ({"seg.mss": 0}, 0),
    ({"seg.opt_fault": OPT_OVERRUN}, 0),
    ({"seg.opt_cut": 1}, 0),
)
CASES(
    option.mss_of_zero,
    {"seg.ctl": SYN, "seg.mss": 0},
    ({"seg.ctl": SYN | ACK}, 1),
    ({"seg.ctl": SYN | RST}, 0),
    ({"seg.ctl": ACK}, 0),
    ({"seg.mss": 1}, 0),
    ({"seg.mss": ABSENT}, 0),
)

CASES(
    timestamp.timestamps_as_agreed,
    {"seg.ctl": ACK, "me.syn": 1, "me.stamps": 1, "peer.syn": 2, "peer.stamps": 1},
    *NOT_ACK,
    ({"me.syn": 0}, 0),
    ({"peer.syn": 0}, 0),
    ({"seg.opt_cut": 1}, 0),
    ({"me.opt_cut": 1}, 0),
    ({"peer.opt_cut": 1}, 0),
    ({"seg.tsval": 0}, 0),
    ({"me.stamps": 0}, 0),
    ({"peer.stamps": 0}, 0),
    ({"me.stamps": 0, "seg.tsval": 0}, 1),
    ({"peer.stamps": 0, "seg.tsval": 0}, 1),
)
CASES(
    timestamp.echo_of_a_later_timestamp,
    {"seg.tsval": MASK, "peer.echo_packet": 3, "peer.echo_value": 0},
    ({"peer.echo_packet": 0}, 0),
    ({"peer.echo_packet": 1}, 1),
    ({"seg.tsval": ABSENT}, 0),
    ({"seg.tsval": 0}, 0),
    ({"seg.tsval": 1}, 0),
    # The identifications count on: nothing between the two can have had the timestamp.
    ({"seg.tsval": 1, "seg.ip_id": 11, "me.last_id": 10}, 1),
    ({"seg.tsval": 1, "seg.ip_id": 12, "me.last_id": 10}, 0),
)
CLOCK: Change = {"peer.tsval": 20_000, "peer.first_time": SECOND, "peer.last_time": 2 * SECOND, "seg.time": 3 * SECOND}
"""The capture has shown one second of the peer's clock, and another second passes."""
CASES(
    timestamp.echo_of_no_timestamp,
    {"seg.ctl": ACK, "seg.ack": at(1), "seg.tsval": 0, "seg.tsecr": 10, "peer.tsval": MASK, "peer.syn": 1},
    ({"seg.tsecr": 9}, 0),
    ({"seg.tsval": ABSENT}, 0),
    ({"seg.ctl": PSH}, 0),
    ({"seg.ctl": ACK | RST}, 0),
    ({"seg.ctl": ACK | SYN}, 1),
    ({"peer.tsval": ABSENT}, 0),
    ({"peer.syn": 0}, 0),
    ({"peer.missed": 1}, 0),
    ({"peer.pending_n": 1}, 0),
    ({"me.pending_n": 1}, 0),
    # It also acknowledges what the capture does not show.
    ({"peer.has_nxt": 1, "peer.nxt": at(0)}, 0),
    ({"peer.has_nxt": 1, "peer.nxt": at(1)}, 1),
    # The clock has gone on since then.
    ({"seg.time": SECOND, "seg.tsecr": 1009}, 0),
    ({"seg.time": SECOND, "seg.tsecr": 1010}, 1),
    ({"seg.time": SECOND, "peer.first_time": SECOND, "peer.last_time": SECOND, "seg.tsecr": 10}, 1),
    ({"seg.time": SECOND, "peer.first_time": 2 * SECOND, "peer.last_time": 2 * SECOND, "seg.tsecr": 9}, 0),
    # It counts as fast as the capture shows, but not slower than most.
    ({**CLOCK, "peer.least_tsval": 10_000, "seg.tsecr": 30_010}, 0),
    ({**CLOCK, "peer.least_tsval": 10_000, "seg.tsecr": 30_011}, 1),
    ({**CLOCK, "peer.least_tsval": 19_900, "seg.tsecr": 21_010}, 0),
    ({**CLOCK, "peer.least_tsval": 19_900, "seg.tsecr": 21_011}, 1),
    # A moment is too short to tell.
    ({**CLOCK, "peer.least_tsval": 19_000, "peer.first_time": 2 * SECOND - SAME_MOMENT, "seg.tsecr": 21_011}, 1),
    ({**CLOCK, "peer.least_tsval": 19_000, "peer.first_time": 2 * SECOND - SAME_MOMENT - 1, "seg.tsecr": 21_011}, 0),
)
CASES(
    timestamp.timestamp_goes_back,
    {
        "seg.ctl": ACK,
        "seg.seq": at(60),
        "seg.new_octets": 1,
        "seg.tsval": MASK,
        "me.tsval": 1,
        "me.has_nxt": 1,
        "me.top": at(60),
    },
    *NEITHER_SYN_NOR_RST,
    ({"seg.tsval": ABSENT}, 0),
    ({"me.tsval": ABSENT, "seg.tsval": HALF}, 0),
    ({"me.has_nxt": 0}, 0),
    # Linux may step back by one.
    ({"me.tsval": 0}, 0),
    ({"me.tsval": MASK}, 0),
    # It was overtaken.
    ({"seg.new_octets": 0}, 0),
    ({"seg.new_octets": 2}, 1),
    ({"seg.seq_offset": -1}, 0),
    ({"seg.seq_offset": 1}, 1),
    ({"seg.seq": at(59)}, 0),
    ({"seg.seq": at(61)}, 1),
    ({"seg.time": MAX_IDLE - 1}, 1),
    ({"seg.time": MAX_IDLE}, 0),
    ({"seg.time": MAX_IDLE, "me.last_time": 1}, 1),
)
CASES(
    timestamp.timestamp_goes_back_on_an_ack,
    {"seg.ctl": ACK, "seg.time": SECOND, "seg.tsval": MASK, "me.tsval": 1, "me.has_nxt": 1},
    *NOT_ACK,
    ({"seg.tsval": ABSENT}, 0),
    ({"me.tsval": ABSENT, "seg.tsval": HALF}, 0),
    ({"me.has_nxt": 0}, 0),
    ({"seg.seg_len": 1}, 0),
    ({"me.tsval": 0}, 0),
    ({"seg.time": MAX_IDLE - 1}, 1),
    ({"seg.time": MAX_IDLE}, 0),
    # Only what was sent later must not have an earlier one.
    ({"seg.time": SAME_MOMENT}, 0),
    ({"seg.time": SAME_MOMENT + 1}, 1),
    ({"seg.time": SAME_MOMENT + 1, "me.last_time": 1}, 0),
    ({"me.delay": 2 * SECOND}, 0),
    ({"me.delay": 2 * SECOND - 2}, 1),
    ({"me.has_rcv_nxt": 1, "me.rcv_nxt": at(0), "seg.ack": at(1), "seg.time": 0}, 1),
    ({"me.has_rcv_nxt": 1, "me.rcv_nxt": at(0), "seg.ack": at(0), "seg.time": 0}, 0),
    ({"me.has_rcv_nxt": 1, "me.rcv_nxt": at(0), "seg.ack": at(-1)}, 0),
    ({"seg.ip_id": 11, "me.newest_id": 10, "seg.time": 0}, 1),
    ({"seg.ip_id": 9, "me.newest_id": 10}, 0),
)
CASES(
    timestamp.echo_before_the_first_timestamp,
    {
        "seg.ctl": ACK,
        "seg.ack": at(60),
        "seg.tsval": 7,
        "seg.tsecr": 199,
        "me.syn": 2,
        "peer.syn": 1,
        "peer.isn": at(0),
        "peer.nxt": at(60),
        "peer.least_tsval": 200,
    },
    ({"seg.ctl": PSH}, 0),
    ({"seg.ctl": ACK | RST}, 0),
    ({"seg.tsecr": ABSENT}, 0),
    ({"seg.tsecr": 200}, 0),
    ({"seg.tsecr": 201}, 0),
    ({"peer.syn": 0}, 0),
    ({"peer.least_tsval": ABSENT, "seg.tsecr": HALF}, 0),
    ({"peer.opt_cut": 1}, 0),
    # It belongs to another connection.
    ({"me.syn": 0}, 0),
    ({"seg.ack": at(61)}, 0),
    ({"seg.ack": at(1)}, 1),
    ({"seg.ack": at(0)}, 0),
    # The SYN ACK may echo a first SYN that the capture lacks.
    ({"seg.ctl": SYN | ACK}, 1),
    ({"seg.ctl": SYN | ACK, "me.syn": 0}, 1),
    ({"seg.ctl": SYN | ACK, "seg.tsecr": 201 - MIN_SYN_TICKS}, 1),
    ({"seg.ctl": SYN | ACK, "seg.tsecr": 200 - MIN_SYN_TICKS}, 0),
    ({"seg.tsecr": 200 - MIN_SYN_TICKS}, 1),
    # Old versions of Windows start with 0.
    ({"seg.ctl": SYN | ACK, "seg.tsecr": 0}, 1),
    ({"seg.ctl": SYN | ACK, "seg.tsecr": 0, "seg.tsval": 0}, 0),
    ({"seg.ctl": SYN | ACK, "seg.tsval": 0}, 1),
    ({"seg.tsecr": 0, "seg.tsval": 0}, 1),
)
CASES(
    timestamp.echo_on_a_syn,
    {"seg.ctl": SYN, "seg.tsecr": 1},
    ({"seg.ctl": SYN | ACK}, 0),
    ({"seg.ctl": SYN | RST}, 0),
    ({"seg.ctl": ACK}, 0),
    ({"seg.tsecr": 0}, 0),
    ({"seg.tsecr": ABSENT}, 0),
)
CASES(
    timestamp.echo_on_a_syn_of_nothing,
    {"seg.ctl": SYN | ACK, "seg.tsval": 8, "peer.syn": 1, "peer.syn_echo": 9},
    ({"seg.ctl": ACK}, 0),
    ({"seg.ctl": SYN | ACK | RST}, 0),
    ({"me.syn": 1}, 0),
    ({"peer.syn": 0}, 0),
    ({"peer.syn": 2}, 0),
    ({"peer.syn_echo": 0, "seg.tsval": 0}, 0),
    ({"peer.syn_echo": 1}, 0),
    # Linux opens the connection in TIME-WAIT again.
    ({"seg.tsval": 8}, 1),
    ({"seg.tsval": 9}, 0),
    ({"seg.tsval": 9 + MAX_REUSE_TICKS}, 0),
    ({"seg.tsval": 10 + MAX_REUSE_TICKS}, 1),
)


def blocks(*edges: tuple[int, int]) -> Change:
    """SACK blocks, by the distances of their edges."""
    return {
        "seg.sack_n": len(edges),
        "seg.sack_left": tuple(at(left) for left, _ in edges),
        "seg.sack_right": tuple(at(right) for _, right in edges),
    }


CASES(
    sack.sack_not_permitted,
    {"seg.sack_n": 1, "peer.syn": 1},
    ({"seg.sack_n": 0}, 0),
    ({"peer.syn": 0}, 0),
    ({"peer.sack_ok": 1}, 0),
    ({"peer.opt_cut": 1}, 0),
)
CASES(
    sack.impossible_sack_block,
    {"seg.ctl": ACK, **blocks((60, 60))},
    *NOT_ACK,
    (blocks((60, 59)), 1),
    (blocks((60, 61)), 0),
    (blocks((10, 20), (60, 60)), 1),
    (blocks((60, 60), (10, 20)), 1),
    ({"seg.sack_n": 0}, 0),
)
CASES(
    sack.sack_before_the_bytes,
    {
        "seg.ctl": ACK,
        "seg.seq": at(0),
        "seg.end": at(100),
        "seg.seg_len": 100,
        "seg.time": SAME_MOMENT + 1,
        "me.syn": 1,
        "peer.syn": 2,
        "peer.block_packet": 7,
        "peer.block_left": at(0),
        "peer.block_right": at(100),
    },
    *NEITHER_SYN_NOR_RST,
    ({"peer.block_packet": 0}, 0),
    ({"peer.block_packet": 1}, 1),
    ({"seg.seg_len": 0}, 0),
    ({"seg.seg_len": 1}, 1),
    ({"seg.seq_offset": -1}, 0),
    ({"seg.seq_offset": 1}, 1),
    # It has none of the octets, or one.
    ({"seg.seq": at(100), "seg.end": at(200)}, 0),
    ({"seg.seq": at(99), "seg.end": at(200)}, 1),
    ({"seg.seq": at(-100), "seg.end": at(0)}, 0),
    ({"seg.seq": at(-100), "seg.end": at(1)}, 1),
    ({"seg.time": SAME_MOMENT}, 0),
    ({"peer.block_time": 1}, 0),
    # The capture may lack the segment that brought them first.
    ({"me.syn": 0}, Severity.WARNING),
    ({"peer.syn": 0}, Severity.WARNING),
    ({"me.missed": 1}, Severity.WARNING),
    ({"me.pending_n": 1}, Severity.WARNING),
    ({"peer.pending_n": 1}, Severity.WARNING),
    ({"peer.missed": 1}, 1),
)
CASES(
    sack.sack_of_unsent_bytes,
    {
        "me.syn": 1,
        "me.block_packet": 7,
        "me.block_right": at(DEFAULT_MSS + 1),
        "peer.syn": 2,
        "peer.nxt": at(0),
    },
    ({"me.block_packet": 0}, 0),
    ({"me.block_packet": 1}, 1),
    # The capture may lack the peer's last segment.
    ({"me.block_right": at(DEFAULT_MSS)}, Severity.WARNING),
    ({"me.mss": DEFAULT_MSS - 1}, 1),
    ({"me.mss": 1460}, Severity.WARNING),
    ({"me.mss": 1460, "me.block_right": at(1460)}, Severity.WARNING),
    ({"me.mss": 1460, "me.block_right": at(1461)}, 1),
    ({"me.syn": 0}, Severity.WARNING),
    ({"peer.syn": 0}, Severity.WARNING),
    ({"peer.missed": 1}, Severity.WARNING),
    ({"me.pending_n": 1}, Severity.WARNING),
    ({"peer.pending_n": 1}, Severity.WARNING),
    ({"me.missed": 1}, 1),
)
CASES(
    sack.sack_on_a_syn,
    {"seg.ctl": SYN, "seg.sack_n": 1},
    ({"seg.ctl": SYN | ACK}, 1),
    ({"seg.ctl": SYN | RST}, 0),
    ({"seg.ctl": ACK}, 0),
    ({"seg.sack_n": 0}, 0),
)
FAR = FAR_WINDOWS * 65535
CASES(
    sack.sack_block_outside_any_window,
    {
        "seg.ctl": ACK,
        "seg.ack": at(0),
        "me.syn": 1,
        "me.has_right_edge": 1,
        "peer.syn": 2,
        "peer.isn": at(-1),
        **blocks((10, FAR + 1)),
    },
    *NOT_ACK,
    (blocks((10, FAR)), 0),
    (blocks((10, 20), (30, FAR + 1)), 1),
    ({"seg.sack_n": 0}, 0),
    ({"me.max_win": 65536}, 0),
    # A D-SACK of a connection that used the same ports before.
    ({"peer.has_old": 1, "peer.old_nxt": at(FAR)}, 0),
    ({"peer.has_old": 1, "peer.old_nxt": at(FAR - 1)}, 1),
    ({"peer.has_old": 0, "peer.old_nxt": at(FAR)}, 1),
    ({"peer.has_old": 1, "peer.old_nxt": at(FAR), **blocks((10, 20), (30, FAR + 1))}, 1),
    # Far below the ack, in a long connection.
    ({"peer.isn": at(-2 * FAR), **blocks((-FAR, -9))}, 0),
    ({"peer.isn": at(-2 * FAR), **blocks((-FAR - 1, -9))}, 1),
    # Below the SYN, in a short one.
    (blocks((-1, 9)), 0),
    (blocks((-2, 9)), 1),
    ({**blocks((-2, 9)), "peer.octets": MAX_WINDOW - 1}, 1),
    ({**blocks((-2, 9)), "peer.octets": MAX_WINDOW}, 0),
    ({**blocks((-2, 9)), "peer.syn": 0}, 0),
    # The largest window of all, if the scale is not known.
    ({"peer.syn": 0}, 0),
    ({"me.syn": 0}, 0),
    ({"me.has_right_edge": 0}, 0),
    ({"me.has_right_edge": 0, **blocks((10, MAX_WINDOW))}, 0),
    ({"me.has_right_edge": 0, **blocks((10, MAX_WINDOW + 1))}, 1),
)
CASES(
    sack.sack_block_touches_the_ack,
    {"seg.ctl": ACK, "seg.ack": at(100), **blocks((100, 150))},
    *NOT_ACK,
    (blocks((99, 150)), 1),
    (blocks((101, 150)), 0),
    # A D-SACK.
    (blocks((50, 100)), 0),
    (blocks((50, 101)), 1),
    (blocks((200, 250), (100, 150)), 1),
    (blocks((100, 150), (200, 250)), 1),
    ({"seg.sack_n": 0}, 0),
)
CASES(
    sack.later_sack_block_below_the_ack,
    {"seg.ctl": ACK, "seg.ack": at(100), **blocks((200, 300), (50, 100))},
    *NOT_ACK,
    (blocks((200, 300), (50, 101)), 0),
    (blocks((50, 100)), 0),
    (blocks((50, 100), (200, 300)), 0),
    (blocks((400, 500), (200, 300), (50, 100)), 1),
    (blocks((400, 500), (50, 100), (200, 300)), 1),
)
CASES(
    sack.sack_blocks_not_joined,
    {"seg.ctl": ACK, "seg.ack": at(0), **blocks((100, 200), (200, 300))},
    *NOT_ACK,
    (blocks((100, 200)), 0),
    (blocks((100, 200), (201, 300)), 0),
    (blocks((100, 200), (50, 100)), 1),
    (blocks((100, 200), (50, 99)), 0),
    # The first block inside another one: a D-SACK.
    (blocks((120, 180), (100, 200)), 0),
    (blocks((100, 200), (100, 200)), 0),
    (blocks((99, 180), (100, 200)), 1),
    (blocks((120, 201), (100, 200)), 1),
    (blocks((100, 200), (120, 180)), 1),
    (blocks((500, 600), (120, 180), (100, 200)), 1),
    (blocks((500, 600), (300, 400), (100, 200)), 0),
    (blocks((300, 400), (100, 200), (400, 500)), 1),
    # The first block below the ack: a D-SACK.
    ({"seg.ack": at(199)}, 1),
    ({"seg.ack": at(200)}, 0),
    ({"seg.ack": at(200), **blocks((100, 200), (300, 400), (400, 500))}, 1),
    ({"seg.ack": at(300), **blocks((500, 600), (100, 200), (200, 300))}, 1),
)

CASES(
    authentication.signature_is_missing,
    {"seg.ctl": ACK, "me.seen": 2, "me.signed": AUTH_MD5, "me.last_signed": AUTH_MD5},
    ({"seg.auth": AUTH_MD5}, 0),
    ({"seg.opt_cut": 1}, 0),
    ({"seg.opt_fault": OPT_OVERRUN}, 0),
    ({"me.signed": 0}, 0),
    ({"me.last_signed": 0}, 0),
    ({"seg.ctl": RST | ACK}, Severity.WARNING),
    # Its first segment answers a signed one.
    ({"me.seen": 0, "me.signed": 0, "me.last_signed": 0, "peer.signed": AUTH_AO}, 1),
    ({"me.seen": 0, "me.signed": 0, "me.last_signed": 0}, 0),
    ({"me.seen": 0, "me.signed": 0, "me.last_signed": 0, "peer.signed": AUTH_AO, "seg.ctl": SYN}, 0),
    ({"me.seen": 0, "me.signed": 0, "me.last_signed": 0, "peer.signed": AUTH_AO, "seg.ctl": RST | ACK}, 0),
    ({"me.seen": 1, "me.signed": 0, "me.last_signed": 0, "peer.signed": AUTH_AO}, 0),
)
CASES(
    authentication.two_signatures,
    {"seg.auth": AUTH_MD5, "me.signed": AUTH_AO},
    ({"seg.auth": AUTH_AO, "me.signed": AUTH_MD5}, 1),
    ({"seg.auth": AUTH_MD5 | AUTH_AO, "me.signed": 0}, 1),
    ({"me.signed": 0, "peer.signed": AUTH_AO}, 1),
    ({"me.signed": AUTH_MD5, "peer.signed": AUTH_MD5}, 0),
    ({"seg.auth": 0, "peer.signed": AUTH_MD5}, 0),
)
CASES(
    authentication.signature_begins_late,
    {"seg.ctl": ACK, "seg.auth": AUTH_MD5, "me.seen": 1, "me.syn": 1},
    ({"seg.auth": 0}, 0),
    ({"seg.ctl": SYN}, 0),
    ({"seg.ctl": RST}, 1),
    ({"me.signed": AUTH_MD5}, 0),
    ({"me.opt_cut": 1}, 0),
    ({"me.syn": 0}, 0),
    ({"me.syn": 0, "peer.syn": 2}, 0),
    ({"me.syn": 0, "peer.syn": 1, "seg.ctl": SYN | ACK}, 1),
    ({"me.syn": 0, "me.seen": 0, "peer.syn": 1, "seg.ctl": SYN | ACK}, 1),
    ({"me.syn": 0, "seg.ctl": SYN | ACK}, 0),
    ({"me.syn": 0, "peer.syn": 1, "seg.ctl": SYN | ACK, "peer.signed": AUTH_MD5}, 0),
    ({"me.syn": 0, "peer.syn": 1, "seg.ctl": SYN | ACK, "peer.opt_cut": 1}, 0),
)

CASES(
    multipath.multipath_unasked,
    {"seg.ctl": SYN | ACK, "seg.mptcp": MP_CAPABLE, "peer.syn": 1},
    *NOT_SYN_ACK,
    ({"peer.syn": 0}, 0),
    ({"peer.opt_cut": 1}, 0),
    ({"seg.mptcp": 0}, 0),
    ({"seg.mptcp": MP_DSS}, 0),
    ({"seg.mptcp": MP_JOIN}, 1),
    ({"peer.mptcp": MP_CAPABLE}, 0),
    ({"peer.mptcp": MP_JOIN}, 1),
    ({"seg.mptcp": MP_JOIN, "peer.mptcp": MP_JOIN}, 0),
    ({"seg.mptcp": MP_JOIN, "peer.mptcp": MP_CAPABLE}, 1),
)
CASES(
    multipath.multipath_without_agreement,
    {"seg.ctl": ACK, "seg.mptcp": MP_DSS, "me.syn": 1, "peer.syn": 2},
    *NEITHER_SYN_NOR_RST,
    ({"seg.mptcp": 0}, 0),
    ({"seg.mptcp": MP_CAPABLE}, 1),
    ({"me.syn": 0}, 0),
    ({"peer.syn": 0}, 0),
    ({"me.opt_cut": 1}, 0),
    ({"peer.opt_cut": 1}, 0),
    ({"me.mptcp": MP_CAPABLE}, 1),
    ({"peer.mptcp": MP_CAPABLE}, 1),
    ({"me.mptcp": MP_CAPABLE, "peer.mptcp": MP_CAPABLE}, 0),
    ({"me.mptcp": MP_JOIN, "peer.mptcp": MP_JOIN}, 0),
    ({"me.mptcp": MP_JOIN, "peer.mptcp": MP_CAPABLE}, 1),
    ({"me.mptcp": MP_DSS, "peer.mptcp": MP_DSS}, 1),
)
CASES(
    multipath.multipath_key_is_wrong,
    {"seg.ctl": ACK, "seg.mptcp": MP_CAPABLE, "seg.mp_keys": 2, "seg.mp_echo": 8, "peer.mp_keys": 1, "peer.mp_key": 9},
    *NEITHER_SYN_NOR_RST,
    ({"seg.mptcp": 0}, 0),
    ({"seg.mp_keys": 1}, 0),
    ({"peer.mp_keys": 0}, 0),
    ({"seg.mp_echo": 9}, 0),
)
CASES(
    multipath.multipath_not_confirmed,
    {
        "seg.ctl": ACK,
        "me.third": 1,
        "me.syn": 1,
        "me.mptcp": MP_CAPABLE,
        "peer.syn": 2,
        "peer.mptcp": MP_CAPABLE,
    },
    *NEITHER_SYN_NOR_RST,
    ({"me.third": 0}, 0),
    ({"me.third": 2}, 0),
    ({"me.syn": 2}, 0),
    ({"peer.syn": 1}, 0),
    ({"seg.opt_cut": 1}, 0),
    ({"seg.opt_fault": OPT_LENGTH}, 0),
    ({"me.mptcp": MP_JOIN}, 0),
    ({"me.mptcp": MP_DSS, "peer.mptcp": MP_DSS}, 0),
    ({"me.mptcp": MP_JOIN, "peer.mptcp": MP_JOIN}, 1),
    ({"seg.mptcp": MP_CAPABLE}, 0),
    ({"seg.mptcp": MP_JOIN}, 1),
    # An identification is left out: the capture lacks the third segment.
    ({"seg.ip_id": 11, "me.last_id": 10}, 1),
    ({"seg.ip_id": 12, "me.last_id": 10}, 0),
    ({"seg.ip_id": 11 + NEXT_IDS, "me.last_id": 10}, 1),
)
CASES(
    multipath.windows_of_multipath,
    {"me.mptcp": MP_CAPABLE, "peer.mptcp": MP_CAPABLE},
    ({"me.mptcp": 0}, 0),
    ({"peer.mptcp": 0}, 0),
    ({"me.mptcp": MP_JOIN, "peer.mptcp": MP_DSS}, 1),
    ({"me.mptcp": MP_DSS, "peer.mptcp": MP_JOIN}, 1),
    ({"me.mptcp": 8}, 0),
    ({"peer.mptcp": 8}, 0),
)


ANSWERED: Change = {
    "seg.ctl": ACK,
    "seg.tsecr": 8,
    "seg.ack": at(10),
    "me.has_rcv_nxt": 1,
    "me.rcv_nxt": at(0),
    "me.stamps": 1,
    "peer.stamps": 1,
    "peer.least_tsval": 5,
    "peer.data_tsval": 9,
    "peer.data_seq": at(0),
    "peer.data_len": 10,
    "peer.last_seq": at(0),
    "peer.last_len": 10,
    "peer.nxt": at(10),
    "peer.run": 1,
}
"""An ACK of one segment, whose timestamp is 9."""
CASES(
    timestamp.echo_of_an_earlier_segment,
    ANSWERED,
    *NOT_ACK[:1],
    ({"seg.ctl": ACK | RST}, 0),
    ({"seg.ctl": PSH}, 0),
    ({"seg.ctl": ACK | FIN}, 1),
    ({"seg.tsecr": ABSENT}, 0),
    ({"seg.tsecr": 9}, 0),
    ({"seg.tsecr": 10}, 0),
    # echo_before_the_first_timestamp says it.
    ({"seg.tsecr": 5}, 1),
    ({"seg.tsecr": 4}, 0),
    ({"peer.least_tsval": ABSENT}, 0),
    ({"peer.data_tsval": 3, "peer.least_tsval": MASK - 2, "seg.tsecr": MASK}, 1),
    ({"me.stamps": 0}, 0),
    ({"peer.stamps": 0}, 0),
    ({"me.has_rcv_nxt": 0}, 0),
    # The last ack lies elsewhere: there may have been several segments.
    ({"me.rcv_nxt": at(-1)}, 0),
    ({"me.rcv_nxt": at(1)}, 0),
    ({"peer.data_len": 0, "peer.last_len": 0}, 0),
    # It acknowledges a part, or what the capture does not show.
    ({"seg.ack": at(9)}, 0),
    ({"seg.ack": at(11)}, 0),
    ({"seg.ack": at(11), "peer.nxt": at(11)}, 1),
    # Something else came after the data.
    ({"peer.run": 0}, 0),
    ({"peer.run": 2}, 1),
    ({"peer.last_seq": at(10)}, 0),
    ({"peer.last_len": 9}, 0),
)
EDGED: Change = {
    "seg.ctl": ACK,
    "seg.ack": at(-50),
    "seg.sack_n": 1,
    "seg.sack_left": [at(0)],
    "seg.sack_right": [at(9)],
    "me.mss": 100,
    "me.has_right_edge": 1,
    "me.right_edge": at(10),
    "peer.data_seq": at(0),
    "peer.data_len": 10,
}
"""A block without the last octet of the peer's last segment."""
CASES(
    sack.sack_edge_inside_a_segment,
    EDGED,
    ({"seg.ctl": SYN | ACK}, 0),
    ({"seg.ctl": RST | ACK}, 0),
    ({"seg.ctl": FIN}, 0),
    ({"seg.sack_n": 0}, 0),
    ({"seg.sack_right": [at(10)]}, 0),
    ({"seg.sack_right": [at(11)]}, 0),
    ({"seg.sack_right": [at(1)]}, 1),
    ({"seg.sack_left": [at(-10)], "seg.sack_right": [at(0)]}, 0),
    ({"seg.sack_left": [at(1)], "seg.sack_right": [at(10)]}, 1),
    ({"seg.sack_left": [at(9)], "seg.sack_right": [at(10)]}, 1),
    ({"seg.sack_left": [at(-1)], "seg.sack_right": [at(10)]}, 0),
    # The second block.
    ({"seg.sack_n": 2, "seg.sack_left": [at(-20), at(0)], "seg.sack_right": [at(-10), at(9)]}, 1),
    ({"seg.sack_n": 1, "seg.sack_left": [at(-20), at(0)], "seg.sack_right": [at(-10), at(9)]}, 0),
    # A D-SACK, or a block that touches the ack.
    ({"seg.ack": at(10)}, 0),
    ({"seg.ack": at(0)}, 0),
    ({"seg.ack": at(-1)}, 1),
    ({"peer.data_len": 0}, 0),
    ({"peer.data_len": 1}, 0),
    ({"me.has_right_edge": 0}, 0),
    # The window cuts the segment.
    ({"me.right_edge": at(9)}, 0),
    ({"me.right_edge": at(11)}, 1),
    # Segmentation offload does.
    ({"me.mss": 9}, 0),
    ({"me.mss": 10}, 1),
    ({"me.mss": ABSENT}, 0),
    ({"peer.pending_n": 1}, 0),
    ({"peer.probe_octet": 2}, 0),
    # It may have come again in other parts.
    ({"peer.resent": 1}, 0),
)


@pytest.mark.parametrize("title", list(CASES))
def test_a_rule_about_options_answers(title: str) -> None:
    assert CASES.wrong(title) == []
