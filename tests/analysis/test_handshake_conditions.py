"""Each condition of the rules about the handshake, by itself."""

import pytest
from conditions import Cases, Change, at

from labkit.analysis.order import NEXT_IDS, SAME_MOMENT
from labkit.analysis.pending import AFTER_ACK, FILLED, MISSED, THIRD, UNPROVEN, WRONG
from labkit.analysis.rules import handshake
from labkit.analysis.rules.handshake import MIN_SYN_RTO
from labkit.analysis.tracker import PASSED, WAITS
from labkit.packet.seen import ABSENT, SUM_BAD, SUM_GOOD
from labkit.tcp.segment import ACK, FIN, RST, SYN
from labkit.tcp.seq import HALF, MASK

CASES = Cases()

NOT_SYN_ACK = (({"seg.ctl": SYN}, 0), ({"seg.ctl": ACK}, 0), ({"seg.ctl": SYN | ACK | RST}, 0))
NOT_SYN = (({"seg.ctl": SYN | ACK}, 0), ({"seg.ctl": ACK}, 0), ({"seg.ctl": SYN | RST}, 0))
NOT_ACK = (({"seg.ctl": SYN | ACK}, 0), ({"seg.ctl": FIN}, 0), ({"seg.ctl": RST | ACK}, 0))

CASES(
    handshake.opened_without_syn,
    {
        "seg.ctl": SYN | ACK,
        "seg.ack": at(1),
        "peer.seen": 1,
        "peer.first_ctl": ACK,
        "peer.first_seq": at(0),
    },
    *NOT_SYN_ACK,
    ({"peer.seen": 0}, 0),
    ({"peer.seen": 2}, 0),
    # Its SYN came in the middle of the connection before (`flows.remember_syn`).
    ({"peer.syn": 1}, 0),
    ({"peer.first_ctl": SYN}, 0),
    ({"peer.first_ctl": RST}, 0),
    ({"seg.ack": at(0)}, 0),
    ({"seg.ack": at(2)}, 0),
)
CASES(
    handshake.answered_before_asked,
    {
        "seg.ctl": SYN,
        "seg.end": at(1),
        "seg.time": SAME_MOMENT + 1,
        "peer.seen": 1,
        "peer.syn": 2,
        "peer.last_ack": at(1),
    },
    *NOT_SYN,
    ({"me.seen": 1}, 0),
    ({"peer.seen": 2}, 0),
    ({"peer.syn": 1}, 0),
    ({"peer.syn": 0}, 0),
    ({"seg.end": at(2)}, 0),
    # Within a moment, the capture has swapped them; after the time of a retransmission, the SYN is the second one.
    ({"seg.time": SAME_MOMENT}, 0),
    ({"seg.time": MIN_SYN_RTO - 1}, 1),
    ({"seg.time": MIN_SYN_RTO}, 0),
    ({"seg.time": MIN_SYN_RTO + 1, "peer.first_time": 1}, 0),
    ({"seg.time": MIN_SYN_RTO, "peer.first_time": 1}, 1),
    # The SYN ACK echoes an earlier SYN.
    ({"seg.tsval": 11, "peer.syn_echo": 10}, 0),
    ({"seg.tsval": 0, "peer.syn_echo": MASK}, 0),
    ({"seg.tsval": 10, "peer.syn_echo": 10}, 1),
    ({"seg.tsval": 9, "peer.syn_echo": 10}, 1),
    ({"seg.tsval": 1, "peer.syn_echo": MASK}, 0),
    ({"seg.tsval": 11, "peer.syn_echo": 0}, 1),
    ({"seg.tsval": ABSENT, "peer.syn_echo": HALF + 1}, 1),
)
CASES(
    handshake.syn_ack_acks_wrong_number,
    {
        "seg.ctl": SYN | ACK,
        "seg.seq": at(9),
        "seg.ack": at(2),
        "me.isn": at(9),
        "peer.syn": 1,
        "peer.isn": at(0),
        "peer.syn_end": at(1),
    },
    *NOT_SYN_ACK,
    ({"peer.syn": 0}, 0),
    ({"seg.ack": at(0)}, 1),
    ({"seg.ack": at(1)}, 0),
    # The SYN has 100 octets: the server may take some of them.
    ({"peer.syn_end": at(101), "seg.ack": at(0)}, 1),
    ({"peer.syn_end": at(101), "seg.ack": at(1)}, 0),
    ({"peer.syn_end": at(101), "seg.ack": at(101)}, 0),
    ({"peer.syn_end": at(101), "seg.ack": at(102)}, 1),
    # It answers a later SYN of the client.
    ({"peer.has_resyn": 1, "peer.resyn": at(500), "seg.ack": at(501)}, 0),
    ({"peer.has_resyn": 1, "peer.resyn": at(500), "seg.ack": at(500)}, 1),
    ({"peer.has_resyn": 1, "peer.resyn": at(500), "seg.ack": at(502)}, 1),
    ({"peer.resyn": at(500), "seg.ack": at(501)}, 1),
    # HS07 is about a second SYN ACK after the handshake.
    ({"me.syn": 2, "me.isn": at(8), "peer.third": 2}, 0),
    ({"me.syn": 2, "me.isn": at(8), "peer.third": 1}, 1),
    ({"me.syn": 2, "me.isn": at(9), "peer.third": 2}, 1),
    ({"me.syn": 0, "me.isn": at(8), "peer.third": 2}, 1),
)
RENUMBERED: Change = {"peer.last_ctl": SYN | ACK, "peer.last_ack": at(0), "me.syn_end": at(1)}
CASES(
    handshake.third_segment_behind,
    {"seg.ctl": ACK, "seg.seq": at(0), "me.third": 1, "me.isn": at(0)},
    *NOT_ACK,
    ({"seg.ctl": ACK | FIN}, 1),
    ({"me.third": 0}, 0),
    ({"me.third": 2}, 0),
    ({"seg.seq": at(1)}, 0),
    ({"seg.seq": at(2)}, 0),
    ({"seg.seq": at(-1)}, 1),
    # A keep-alive, long after the handshake.
    ({"seg.time": MIN_SYN_RTO}, 1),
    ({"seg.time": MIN_SYN_RTO + 1}, 0),
    ({"seg.time": MIN_SYN_RTO + 1, "peer.last_time": 1}, 1),
    ({"seg.time": MIN_SYN_RTO + 1, "seg.len": 1}, 0),
    ({"seg.time": MIN_SYN_RTO + 1, "seg.len": 2}, 1),
    ({"seg.time": MIN_SYN_RTO + 1, "seg.seq": at(-1)}, 1),
    # It has the number that the SYN ACK asks for: HS02 is about that number.
    (RENUMBERED, 0),
    ({**RENUMBERED, "peer.last_ctl": SYN}, 1),
    ({**RENUMBERED, "peer.last_ctl": ACK}, 1),
    ({**RENUMBERED, "peer.last_ack": at(1)}, 1),
    ({**RENUMBERED, "peer.last_ack": at(-1)}, 1),
)
CASES(
    handshake.third_segment_does_not_fit,
    {"resolved.mark": THIRD, "resolved.state": WRONG},
    ({"resolved.mark": AFTER_ACK}, 0),
    ({"resolved.mark": 0}, 0),
    ({"resolved.state": MISSED}, 0),
    ({"resolved.state": UNPROVEN}, 0),
    ({"resolved.state": FILLED}, 0),
)
CASES(
    handshake.third_segment_before_the_second,
    {
        "seg.ctl": SYN | ACK,
        "seg.end": at(1),
        "seg.time": SAME_MOMENT + 1,
        "peer.syn": 1,
        "peer.has_last_ack": 1,
        "peer.last_ack": at(1),
    },
    *NOT_SYN_ACK,
    ({"me.seen": 1}, 0),
    ({"peer.syn": 0}, 0),
    ({"peer.syn": 2}, 0),
    ({"peer.has_last_ack": 0}, 0),
    ({"seg.end": at(2)}, 0),
    ({"seg.end": at(0)}, 0),
    # Within a moment, the capture has swapped them; after the time of a retransmission, the SYN ACK is the second one.
    ({"seg.time": SAME_MOMENT}, 0),
    ({"seg.time": MIN_SYN_RTO - 1}, 1),
    ({"seg.time": MIN_SYN_RTO}, 0),
    ({"seg.time": MIN_SYN_RTO + 1, "peer.last_time": 1}, 0),
    ({"seg.time": MIN_SYN_RTO, "peer.last_time": 1}, 1),
    # The third segment echoes an earlier SYN ACK.
    ({"seg.tsval": 11, "me.least_tsval": 10}, 0),
    ({"seg.tsval": 10, "me.least_tsval": 10}, 1),
    ({"seg.tsval": 9, "me.least_tsval": 10}, 1),
    ({"seg.tsval": 0, "me.least_tsval": MASK}, 0),
    ({"seg.tsval": 2, "me.least_tsval": 1}, 0),
    ({"seg.tsval": 1, "me.least_tsval": 0}, 0),
    ({"seg.tsval": 5, "me.least_tsval": ABSENT}, 1),
    ({"seg.tsval": ABSENT, "me.least_tsval": HALF + 1}, 1),
)
CASES(
    handshake.third_segment_acknowledges_nothing,
    {
        "seg.ctl": SYN | ACK,
        "seg.end": at(1),
        "peer.syn": 1,
        "peer.has_last_ack": 1,
        "peer.last_ack": at(2),
        "peer.last_ctl": ACK,
    },
    *NOT_SYN_ACK,
    ({"me.seen": 1}, 0),
    ({"peer.syn": 0}, 0),
    ({"peer.syn": 2}, 0),
    ({"peer.has_last_ack": 0}, 0),
    ({"peer.last_ack": at(1)}, 0),
    ({"peer.last_ack": at(0)}, 1),
    ({"peer.last_ctl": SYN | ACK}, 0),
    ({"peer.last_ctl": RST | ACK}, 0),
    # A retransmitted SYN ACK may have another number.
    ({"seg.time": MIN_SYN_RTO - 1}, 1),
    ({"seg.time": MIN_SYN_RTO}, 0),
    ({"seg.time": MIN_SYN_RTO, "peer.last_time": 1}, 1),
)
CASES(
    handshake.syn_resent_with_other_isn,
    {"seg.ctl": SYN, "seg.seq": at(1), "me.syn": 1, "me.isn": at(0)},
    ({"seg.ctl": ACK}, 0),
    ({"seg.ctl": SYN | RST}, 0),
    ({"me.syn": 0}, 0),
    ({"seg.seq": at(0)}, 0),
    ({"me.third": 1}, 0),
    ({"me.third": 2}, 0),
    ({"peer.third": 1}, 1),
    ({"peer.third": 2}, 0),
    ({"me.octets": 1}, 0),
    # A SYN ACK after a SYN belongs to a simultaneous open.
    ({"seg.ctl": SYN | ACK}, 0),
    ({"seg.ctl": SYN | ACK, "me.syn": 2}, 1),
    ({"me.syn": 2}, 0),
    # The first SYN was damaged.
    ({"seg.sum_state": SUM_GOOD, "me.sums_bad": 1}, 0),
    ({"seg.sum_state": SUM_GOOD}, 1),
    ({"seg.sum_state": SUM_GOOD, "me.sums_bad": 1, "me.sums_good": 1}, 1),
    ({"seg.sum_state": SUM_BAD, "me.sums_bad": 1}, 1),
)
CASES(
    handshake.data_before_established,
    {"seg.ctl": SYN | ACK, "seg.len": 1, "peer.syn": 1},
    *NOT_SYN_ACK,
    ({"seg.len": 0}, 0),
    ({"peer.syn": 0}, 0),
    ({"peer.tfo_len": 0}, 0),
    ({"peer.tfo_len": 8}, 0),
    ({"peer.opt_cut": 1}, 0),
)
CASES(
    handshake.simultaneous_open,
    {"seg.ctl": SYN, "peer.syn": 1},
    *NOT_SYN,
    ({"me.syn": 1, "me.seen": 1}, 0),
    ({"me.syn": 1}, 0),
    ({"me.seen": 1}, 0),
    ({"peer.syn": 0}, 0),
    ({"peer.syn": 2}, 0),
    ({"peer.third": 1}, 0),
    ({"peer.third": 2}, 0),
)
CASES(
    handshake.syn_in_a_connection,
    {"seg.ctl": SYN, "seg.seq": at(1), "me.syn": 1, "me.isn": at(0), "me.third": 2},
    *NOT_SYN,
    ({"me.syn": 0}, 0),
    ({"me.syn": 2}, 1),
    ({"seg.seq": at(0)}, 0),
    ({"me.third": 0}, 0),
    ({"me.third": 1}, 0),
    ({"me.third": 0, "peer.third": 2}, 1),
    ({"me.third": 0, "peer.third": 1}, 0),
)
CASES(
    handshake.data_on_syn_without_cookie,
    {"seg.ctl": SYN, "seg.len": 1},
    *NOT_SYN,
    ({"seg.len": 0}, 0),
    ({"seg.tfo_len": 0}, 1),  # it asks for a cookie
    ({"seg.tfo_len": 1}, 0),
    ({"seg.tfo_len": 8}, 0),
    ({"seg.opt_cut": 1}, 0),
)
CASES(
    handshake.syn_past_the_handshake,
    {"seg.ctl": SYN | ACK, "seg.seq": at(1), "me.syn": 1, "me.isn": at(0)},
    *NOT_SYN_ACK,
    ({"me.syn": 0}, 0),
    ({"seg.seq": at(0)}, 0),
    ({"me.syn": 2}, 0),
    ({"me.syn": 2, "peer.third": 1}, 0),
    ({"me.syn": 2, "peer.third": 2}, 1),
    ({"me.syn": 0, "peer.third": 2}, 0),
)
CASES(
    handshake.syn_in_a_connection_not_challenged,
    {"me.has_resyn": 1, "me.challenge": PASSED},
    ({"me.has_resyn": 0}, 0),
    ({"me.challenge": WAITS}, 0),
    ({"me.challenge": 0}, 0),
)
CASES(
    handshake.answered_without_syn,
    {
        "seg.ctl": ACK,
        "seg.ack": at(1),
        "peer.syn": 1,
        "peer.isn": at(0),
        "peer.syn_end": at(1),
    },
    *NOT_ACK,
    ({"me.seen": 1}, 0),
    ({"peer.syn": 0}, 0),
    ({"peer.syn": 2}, 0),
    ({"peer.has_last_ack": 1}, 0),
    ({"seg.ack": at(0)}, 0),
    ({"seg.ack": at(2)}, 0),
    ({"peer.syn_end": at(3), "seg.ack": at(3)}, 1),
    ({"peer.syn_end": at(3), "seg.ack": at(4)}, 0),
)
CASES(
    handshake.data_before_the_third_segment,
    {"seg.ctl": ACK, "me.third": 1, "peer.early_packet": 4},
    *NOT_ACK,
    ({"me.third": 0}, 0),
    ({"me.third": 2}, 0),
    ({"peer.early_packet": 0}, 0),
    # An identification is left out: the capture lacks the third segment.
    ({"seg.ip_id": 11, "me.last_id": 10}, 1),
    ({"seg.ip_id": 12, "me.last_id": 10}, 0),
    ({"seg.ip_id": 10 + NEXT_IDS, "me.last_id": 10}, 0),
    ({"seg.ip_id": 11 + NEXT_IDS, "me.last_id": 10}, 1),
)


@pytest.mark.parametrize("title", list(CASES))
def test_a_rule_about_the_handshake_answers(title: str) -> None:
    assert CASES.wrong(title) == []
