"""Each condition of the rules about acknowledgement numbers, by itself."""

import pytest
from conditions import Cases, Change, at

from labkit.analysis.order import SAME_MOMENT
from labkit.analysis.pending import BEHIND, ECHOES, FILLED, GAP, LATE, LOST, MISSED, OPEN, UNPROVEN, UNSENT, WRONG
from labkit.analysis.relations import acks_a_part
from labkit.analysis.rules import acknowledgement
from labkit.analysis.severity import Severity
from labkit.packet.seen import ABSENT
from labkit.tcp.segment import ACK, FIN, PSH, RST, SYN

SECOND = 1_000_000_000
CASES = Cases()

FORMER: Change = {"peer.has_old": 1, "peer.old_nxt": at(0)}
CASES(
    acknowledgement.ack_of_unsent_data,
    {"resolved.kind": UNSENT, "resolved.state": WRONG},
    ({"resolved.kind": GAP}, 0),
    ({"resolved.kind": BEHIND}, 0),
    ({"resolved.state": LOST}, Severity.WARNING),
    ({"resolved.state": LOST, "resolved.kind": GAP}, 0),
    ({"resolved.state": MISSED}, Severity.NOTE),
    ({"resolved.state": LATE}, Severity.NOTE),
    ({"resolved.state": UNPROVEN}, Severity.NOTE),
    ({"resolved.state": UNPROVEN, "resolved.kind": GAP}, 0),
    ({"resolved.state": OPEN}, 0),
    # It answers a SYN, and fits the connection that used the same ports before.
    ({**FORMER, "resolved.ack": at(1)}, Severity.NOTE),
    ({**FORMER, "resolved.ack": at(0)}, Severity.NOTE),
    ({**FORMER, "resolved.ack": at(2)}, 1),
    ({**FORMER, "resolved.ack": at(1), "me.syn": 1}, 1),
    ({**FORMER, "resolved.ack": at(1), "me.syn": 2}, 1),
    ({**FORMER, "resolved.ack": at(1), "peer.has_old": 0}, 1),
    ({**FORMER, "resolved.ack": at(1), "resolved.state": LOST}, Severity.WARNING),
    ({"resolved.state": FILLED}, 0),
)
CASES(
    acknowledgement.ack_of_more_than_was_answered,
    {
        "resolved.kind": UNSENT,
        "resolved.state": MISSED,
        "resolved.want_ack": at(100),
        "resolved.ack": at(120),
        "seg.ctl": ACK,
        "seg.ip_id": 7,
        "me.syn": 1,
        "me.mss": 1460,
        "me.has_rcv_nxt": 1,
        "me.rcv_nxt": at(0),
        "me.last_id": 3,
        "peer.syn": 2,
        "peer.data_seq": at(0),
        "peer.data_len": 100,
        "peer.last_seq": at(0),
        "peer.last_len": 100,
        "peer.last_id": 6,
    },
    ({"resolved.kind": GAP}, 0),
    ({"resolved.state": LATE}, 0),
    ({"resolved.state": WRONG}, 0),
    ({"resolved.state": UNPROVEN}, 0),
    ({"resolved.mark": ECHOES}, 0),
    # The one number more may be that of a FIN, unless data comes there.
    ({"resolved.ack": at(101)}, 0),
    ({"resolved.ack": at(101), "seg.seg_len": 1}, 1),
    ({"resolved.ack": at(102)}, 1),
    *(({f"{side}.{field}": 1}, 0) for side in ("me", "peer") for field in ("piped", "resent", "missed")),
    ({"me.syn": 0}, 0),
    ({"peer.syn": 0}, 0),
    # A full segment is often followed by another one.
    ({"me.mss": 101}, 1),
    ({"me.mss": 100}, 0),
    ({"me.mss": 1}, 0),
    ({"me.mss": 0}, 1),
    ({"me.mss": ABSENT}, 1),
    ({"me.mss": ABSENT, "peer.data_len": 535, "resolved.want_ack": at(535), "resolved.ack": at(555)}, 1),
    ({"me.mss": ABSENT, "peer.data_len": 536, "resolved.want_ack": at(536), "resolved.ack": at(556)}, 0),
    ({"peer.data_len": 0, "peer.data_seq": at(100)}, 0),
    ({"peer.data_len": 1, "peer.data_seq": at(99), "peer.last_seq": at(99)}, 1),
    ({"peer.data_len": 99}, 0),
    ({"me.rcv_nxt": at(99)}, 1),
    ({"me.rcv_nxt": at(100)}, 0),
    ({"me.rcv_nxt": at(100), "me.has_rcv_nxt": 0}, 1),
    # A reset takes the number of what was really sent.
    ({"seg.ctl": RST | ACK}, 0),
    # Only the identifications of the data segment itself say what follows it.
    ({"peer.last_seq": at(100)}, Severity.WARNING),
    ({"peer.last_len": 0}, Severity.WARNING),
    ({"peer.last_len": 1}, 1),
    ({"seg.ip_id": 6}, 1),
    ({"seg.ip_id": 8}, Severity.WARNING),
    ({"seg.ip_id": 0}, Severity.WARNING),
)
CASES(
    acknowledgement.ack_goes_back,
    {
        "seg.ctl": ACK,
        "seg.ack": at(59),
        "seg.time": SECOND,
        "me.has_rcv_nxt": 1,
        "me.rcv_nxt": at(60),
    },
    ({"seg.ctl": PSH}, 0),
    ({"seg.ctl": ACK | FIN}, 1),
    ({"seg.ctl": ACK | SYN}, 0),
    ({"seg.ctl": ACK | RST}, 0),
    ({"seg.ack": at(60)}, 0),
    ({"seg.ack": at(61)}, 0),
    ({"me.has_rcv_nxt": 0}, 0),
    # An older segment may carry an older ack.
    ({"seg.seq_offset": -1}, Severity.NOTE),
    ({"seg.seq_offset": 1}, 1),
    ({"me.last_time": SECOND - SAME_MOMENT}, Severity.NOTE),
    ({"me.last_time": SECOND - SAME_MOMENT - 1}, 1),
    ({"seg.tsval": 8, "me.tsval": 9}, Severity.NOTE),
)
CASES(
    acknowledgement.ack_is_not_the_peers_seq_plus_length,
    {
        "seg.ctl": ACK,
        "seg.ack": at(99),
        "me.has_rcv_nxt": 1,
        "me.rcv_nxt": at(0),
        "me.right_edge": at(1000),
        "me.mss": 1460,
        "peer.seen": 1,
        "peer.last_ctl": ACK,
        "peer.last_seq": at(0),
        "peer.last_len": 100,
        "peer.data_len": 100,
        "peer.nxt": at(100),
    },
    ({"seg.ctl": PSH}, 0),
    ({"seg.ctl": ACK | RST}, 0),
    ({"peer.seen": 0}, 0),
    ({"peer.last_ctl": ACK | RST}, 0),
    ({"seg.ack": at(100)}, 0),
    ({"seg.ack": at(0), "seg.seq_offset": -1, "me.has_nxt": 1}, 0),  # a keep-alive acknowledges nothing
    ({"seg.ack": at(101)}, 0),  # ACK01 is about octets that were not sent
    ({"seg.ack": at(101), "peer.nxt": at(101)}, Severity.NOTE),
    ({"seg.ack": at(1)}, 1),
    ({"seg.ack": at(0)}, Severity.NOTE),  # the receiver delays its ACK
    ({"peer.nxt": at(101)}, Severity.NOTE),
    ({"me.has_rcv_nxt": 0}, Severity.NOTE),
    ({"me.rcv_nxt": at(-1)}, Severity.NOTE),
    # A receiver acknowledges a part of what does not fit its window. The last number may be that of a FIN, which needs no room.
    ({"me.right_edge": at(99)}, 1),
    ({"me.right_edge": at(98)}, Severity.NOTE),
    # Larger than the MSS: segments before segmentation offload.
    ({"me.mss": 100}, 1),
    ({"me.mss": 99}, Severity.NOTE),
    ({"me.mss": ABSENT, "peer.data_len": 536}, 1),
    ({"me.mss": ABSENT, "peer.data_len": 537}, Severity.NOTE),
    # SYN and FIN take a number each.
    ({"peer.last_ctl": FIN | ACK, "peer.nxt": at(101), "seg.ack": at(101)}, 0),
    ({"peer.last_ctl": FIN | ACK, "peer.nxt": at(101), "seg.ack": at(100)}, 1),
    ({"peer.last_ctl": SYN | ACK, "peer.last_len": 0, "peer.nxt": at(1), "seg.ack": at(1)}, 0),
    ({"peer.last_ctl": SYN | ACK, "peer.last_len": 0, "peer.nxt": at(1), "seg.ack": at(0)}, Severity.NOTE),
    ({"peer.last_ctl": SYN, "peer.nxt": at(101), "seg.ack": at(101)}, 0),
)
CASES(
    acknowledgement.ack_is_literally_not_plus_one,
    {"seg.ctl": ACK, "seg.ack": at(1), "peer.seen": 1, "peer.last_seq": at(0), "peer.last_len": 119},
    ({"seg.ctl": PSH}, 0),
    ({"seg.ctl": ACK | RST}, 0),
    ({"peer.seen": 0}, 0),
    ({"seg.ack": at(119)}, 0),
    ({"peer.last_len": 1}, 0),
    ({"peer.last_len": 0}, 0),
    ({"peer.last_len": 0, "seg.ack": at(0)}, 1),
)
INSIDE: Change = {
    "seg.ctl": ACK,
    "seg.ack": at(99),
    "me.has_rcv_nxt": 1,
    "me.rcv_nxt": at(0),
    "me.mss": 1460,
    "me.has_right_edge": 1,
    "me.right_edge": at(100),
    "peer.data_seq": at(0),
    "peer.data_len": 100,
}
DEFAULT: Change = {"me.mss": 536, "me.default_mss": 1, "me.right_edge": at(1460), "peer.data_len": 1460}
for predicate in (acknowledgement.ack_inside_a_segment, acks_a_part):
    CASES(
        predicate,
        INSIDE,
        ({"seg.ctl": PSH}, 0),
        ({"seg.ctl": ACK | SYN}, 0),
        ({"seg.ctl": ACK | RST}, 0),
        ({"seg.ctl": ACK | FIN}, 1),
        ({"me.has_rcv_nxt": 0}, 0),
        ({"peer.data_len": 0}, 0),
        ({"seg.ack": at(0)}, 0),
        ({"seg.ack": at(1)}, 1),
        ({"seg.ack": at(100)}, 0),
        ({"peer.pending_n": 1}, 0),
        ({"me.rcv_nxt": at(-1)}, 1),
        ({"me.rcv_nxt": at(1)}, 0),
        # A receiver acknowledges a part of what does not fit its window.
        ({"me.right_edge": at(99)}, 0),
        ({"me.right_edge": at(101)}, 1),
        ({"me.has_right_edge": 0}, 0),
        # Larger than the MSS: segments before segmentation offload.
        ({"me.mss": 100}, 1),
        ({"me.mss": 98}, 0),
        ({"me.mss": ABSENT}, 0),
        # Without the option, a sender may send what fits an Ethernet frame, or segments of the default.
        ({**DEFAULT, "seg.ack": at(535)}, 1),
        ({**DEFAULT, "seg.ack": at(536)}, 0),
        ({**DEFAULT, "seg.ack": at(537)}, 1),
        ({**DEFAULT, "seg.ack": at(535), "me.default_mss": 0}, 0),
        ({**DEFAULT, "seg.ack": at(535), "me.right_edge": at(1461), "peer.data_len": 1461}, 0),
    )
CASES(
    acknowledgement.last_octet_not_counted,
    {
        "seg.ctl": ACK,
        "seg.ack": at(100),
        "me.syn": 1,
        "me.part_packet": 5,
        "me.part_ack": at(99),
        "peer.syn": 2,
        "peer.nxt": at(100),
    },
    ({"me.part_packet": 0}, 0),
    ({"seg.ctl": PSH}, 0),
    ({"seg.ctl": ACK | SYN}, 0),
    ({"seg.ctl": ACK | RST}, 0),
    ({"me.syn": 0}, 0),
    ({"peer.syn": 0}, 0),
    ({"peer.resent": 1}, 0),
    ({"peer.missed": 1}, 0),
    ({"peer.pending_n": 1}, 0),
    ({"me.pending_n": 1}, 0),
    ({"seg.ack": at(99)}, 0),
    ({"seg.ack": at(101)}, 0),
    ({"seg.ack": at(101), "peer.nxt": at(101)}, 1),
)
CASES(
    acknowledgement.ack_far_too_old,
    {
        "seg.ctl": ACK,
        "seg.ack": at(60 - 65536),
        "me.syn": 1,
        "me.has_rcv_nxt": 1,
        "me.rcv_nxt": at(60),
        "peer.syn": 1,
    },
    ({"seg.ctl": PSH}, 0),
    ({"seg.ctl": ACK | SYN}, 0),
    ({"seg.ctl": ACK | RST}, 0),
    ({"me.has_rcv_nxt": 0}, 0),
    # Sent before others.
    ({"seg.tsval": 4, "me.tsval": 5}, 0),
    ({"seg.tsval": 5, "me.tsval": 5}, 1),
    ({"seg.ip_id": 4, "me.newest_id": 5}, 0),
    ({"seg.ip_id": 6, "me.newest_id": 5}, 1),
    # The largest window without a scale is 65535.
    ({"seg.ack": at(60 - 65535)}, 0),
    ({"me.max_win": 65536}, 0),
    ({"me.max_win": 65536, "seg.ack": at(60 - 65537)}, 1),
    # The scale must be known.
    ({"me.syn": 0}, 0),
    ({"peer.syn": 0}, 0),
    ({"me.opt_cut": 1}, 0),
    ({"me.opt_cut": 1, "me.wscale": 0}, 1),
    ({"peer.opt_cut": 1}, 0),
    ({"peer.opt_cut": 1, "peer.wscale": 0}, 1),
)
CASES(
    acknowledgement.acknowledged_too_late,
    {
        "seg.ctl": ACK,
        "seg.ack": at(1),
        "seg.time": SECOND + 520_000_001,
        "me.has_rcv_nxt": 1,
        "me.rcv_nxt": at(0),
        "me.delay": 20_000_000,
        "peer.since": SECOND,
    },
    ({"seg.ctl": PSH}, 0),
    ({"seg.ctl": ACK | SYN}, 0),
    ({"seg.ctl": ACK | RST}, 0),
    ({"seg.time": SECOND + 520_000_000}, 0),
    ({"peer.since": 0}, 0),
    ({"peer.since": 1}, 1),
    ({"me.has_rcv_nxt": 0}, 0),
    ({"peer.pending_n": 1}, 0),
    ({"peer.resent": 1}, 0),
    ({"seg.ack": at(0)}, 0),
)


@pytest.mark.parametrize("title", list(CASES))
def test_a_rule_about_acks_answers(title: str) -> None:
    assert CASES.wrong(title) == []
