"""Each condition of the rules about initial numbers, keep-alives and retransmissions, by itself."""

import pytest
from conditions import Cases, Change, at

from labkit.analysis.pending import AFTER_ACK, BEHIND, FILLED, GAP, MISSED, THIRD, UNSENT, WRONG
from labkit.analysis.rules import initial, keepalive, retransmission
from labkit.analysis.severity import Severity
from labkit.packet.seen import ABSENT, DSS_ACK, DSS_FIN, MP_CAPABLE, MP_DSS
from labkit.tcp.segment import ACK, FIN, PSH, RST, SYN

CASES = Cases()
SECOND = 1_000_000_000

NEITHER_SYN_NOR_RST = (({"seg.ctl": SYN | ACK}, 0), ({"seg.ctl": RST | ACK}, 0))

CASES(
    initial.syn_ack_with_another_number,
    {
        "resolved.mark": THIRD,
        "resolved.state": MISSED,
        "resolved.kind": BEHIND,
        "resolved.ack": at(60),
        "seg.seq": at(60),
        "peer.syn": 2,
        "peer.seen": 1,
    },
    ({"resolved.mark": AFTER_ACK}, 0),
    ({"resolved.state": WRONG}, 0),
    ({"resolved.state": FILLED}, 0),
    ({"resolved.kind": UNSENT}, Severity.WARNING),
    ({"resolved.kind": GAP}, 0),
    ({"seg.seq": at(61)}, 0),
    ({"peer.syn": 1}, 0),
    ({"peer.seen": 2}, 0),
)
CASES(
    initial.syn_with_another_number,
    {
        "seg.ctl": ACK,
        "seg.seq": at(60),
        "me.third": 1,
        "me.isn": at(0),
        "me.syn_end": at(1),
        "peer.last_ctl": SYN | ACK,
        "peer.last_ack": at(60),
    },
    *NEITHER_SYN_NOR_RST,
    ({"seg.ctl": PSH}, 0),
    ({"me.third": 0}, 0),
    ({"me.third": 2}, 0),
    ({"peer.last_ctl": SYN}, 0),
    ({"peer.last_ctl": ACK}, 0),
    ({"peer.last_ack": at(61)}, 0),
    ({"me.syn_end": at(59)}, 1),
    ({"me.syn_end": at(60)}, 0),
    ({"me.isn": at(59), "me.syn_end": at(60)}, 0),
    ({"me.isn": at(60), "me.syn_end": at(61)}, 1),
)
CASES(
    initial.port_reused_too_low,
    {"seg.ctl": SYN, "seg.seq": at(60), "me.has_old": 2, "me.old_nxt": at(60)},
    ({"seg.ctl": SYN | ACK}, 0),
    ({"seg.ctl": SYN | RST}, 0),
    ({"seg.ctl": ACK}, 0),
    ({"me.syn": 1}, 0),
    ({"me.has_old": 0}, 0),
    ({"me.has_old": 1}, Severity.NOTE),
    ({"me.has_old": 3}, 0),
    ({"seg.seq": at(59)}, 1),
    ({"seg.seq": at(61)}, Severity.NOTE),
    ({"seg.tsval": 0}, Severity.NOTE),
)
CASES(
    initial.initial_number_can_be_foretold,
    {"seg.ctl": SYN, "seg.seq": at(60), "me.host_isns": 1, "me.host_isn": at(60)},
    ({"seg.ctl": SYN | ACK}, 1),
    ({"seg.ctl": SYN | RST}, 0),
    ({"seg.ctl": ACK}, 0),
    ({"me.syn": 1}, 0),
    ({"me.host_isns": 0}, 0),
    ({"me.host_isn": at(59)}, 0),
    # The same step twice.
    ({"me.host_isn": at(0), "me.host_step": 60}, 0),
    ({"me.host_isn": at(0), "me.host_step": 60, "me.host_isns": 2}, 1),
    ({"me.host_isn": at(0), "me.host_step": 59, "me.host_isns": 2}, 0),
    ({"me.host_isn": at(0), "me.host_step": 60, "me.host_isns": 2, "me.has_old": 1}, 1),
    ({"me.host_isn": at(0), "me.host_step": 60, "me.host_isns": 2, "me.has_old": 2}, 0),
    # A repeated attempt.
    ({"me.has_old": 1}, 0),
    ({"me.has_old": 3}, 0),
)

PROBE: Change = {
    "seg.ctl": ACK,
    "seg.ack": at(60),
    "seg.seq_offset": -1,
    "me.has_nxt": 1,
    "me.nxt": at(10),
    "me.has_rcv_nxt": 1,
    "me.rcv_nxt": at(60),
    "peer.has_rcv_nxt": 1,
    "peer.rcv_nxt": at(10),
    "peer.has_right_edge": 1,
    "peer.win": 1,
}
CASES(
    keepalive.keep_alive,
    PROBE,
    ({"seg.ctl": ACK | SYN}, 0),
    ({"seg.ctl": ACK | FIN}, 0),
    ({"seg.ctl": ACK | RST}, 0),
    ({"seg.seq_offset": 0}, 0),
    ({"seg.seq_offset": -2}, 0),
    ({"seg.len": 1}, 1),
    ({"seg.len": 2}, 0),
    # It acknowledges something.
    ({"seg.ack": at(61)}, 0),
    ({"seg.ack": at(59)}, 1),
    ({"seg.ack": at(61), "me.has_rcv_nxt": 0}, 1),
    ({"me.has_nxt": 0}, 0),
    # The connection is not idle.
    ({"peer.rcv_nxt": at(9)}, 0),
    ({"peer.rcv_nxt": at(9), "peer.has_rcv_nxt": 0}, 1),
    # It asks for the window.
    ({"peer.win": 0}, 0),
    ({"peer.win": 0, "peer.has_right_edge": 0}, 1),
    # The peer has refused the connection.
    ({"me.syn": 1, "peer.last_ctl": RST | ACK}, 0),
    ({"me.syn": 0, "peer.last_ctl": RST | ACK}, 1),
    ({"me.syn": 1, "peer.syn": 2, "peer.last_ctl": RST | ACK}, 1),
    ({"me.syn": 1, "peer.last_ctl": ACK}, 1),
)
CASES(
    keepalive.keep_alive_answer,
    {
        "seg.ctl": ACK,
        "seg.ack": at(60),
        "seg.win": 9,
        "me.has_rcv_nxt": 1,
        "me.rcv_nxt": at(60),
        "me.raw_win": 9,
        "me.win": 9,
        "peer.probe": 1,
    },
    ({"seg.ctl": PSH}, 0),
    ({"seg.ctl": ACK | SYN}, 0),
    ({"seg.ctl": ACK | FIN}, 0),
    ({"seg.ctl": ACK | RST}, 0),
    ({"peer.probe": 0}, 0),
    ({"seg.len": 1}, 0),
    ({"seg.seq_offset": 1}, 0),
    ({"seg.seq_offset": -1}, 0),
    ({"me.has_rcv_nxt": 0}, 0),
    ({"seg.ack": at(61)}, 0),
    ({"seg.win": 8}, 0),
    ({"me.win": 0}, 0),
    ({"me.win": 1}, 1),
)

CASES(
    keepalive.keep_alive_with_data_outstanding,
    {**PROBE, "seg.time": SECOND, "peer.rcv_nxt": at(9), "me.data_len": 2},
    ({"seg.ctl": ACK | SYN}, 0),
    ({"seg.ctl": ACK | FIN}, 0),
    ({"seg.ctl": ACK | RST}, 0),
    ({"seg.ctl": PSH}, 0),
    ({"seg.seq_offset": 0}, 0),
    ({"seg.seq_offset": -2}, 0),
    ({"seg.len": 1}, 0),
    ({"me.has_nxt": 0}, 0),
    ({"me.has_fin": 1}, 0),
    # Nothing is outstanding, as far as is known.
    ({"peer.rcv_nxt": at(10)}, 0),
    ({"peer.has_rcv_nxt": 0}, 0),
    # It asks for the window, or its number comes from that.
    ({"peer.win": 0}, 0),
    ({"peer.has_low_edge": 1, "seg.seq": at(9), "peer.low_edge": at(9)}, 0),
    # It was sent before the last octet, and was overtaken.
    ({"me.data_len": 1}, 0),
    ({"seg.time": SECOND - 1}, 0),
    ({"me.last_time": 1}, 0),
    ({"peer.rst": 1}, 0),
    *(({f"{side}.{field}": 1}, 0) for side in ("me", "peer") for field in ("missed", "pending_n")),
)

KEEP_ALIVE_OCTET: Change = {**PROBE, "seg.len": 1, "seg.seg_len": 1, "seg.new_octets": 0}
SYN_AGAIN: Change = {
    "seg.ctl": SYN,
    "seg.seq": at(0),
    "me.syn": 1,
    "me.syn_ctl": SYN,
    "me.isn": at(0),
    "peer.rcv_nxt": at(0),
}
OCTETS_AGAIN: Change = {
    "seg.ctl": ACK,
    "seg.seg_len": 10,
    "seg.len": 10,
    "seg.end": at(60),
    "seg.seq_offset": -10,
    "peer.has_rcv_nxt": 1,
    "peer.rcv_nxt": at(59),
}
OTHER_SYNS = (
    ({"me.syn": 0}, 0),
    ({"seg.seq": at(1)}, 0),
    ({"seg.ctl": SYN | ACK}, 0),  # it answers a SYN that crossed this side's own
    ({"me.syn": 2, "me.syn_ctl": SYN | ACK}, 0),
    ({"seg.ctl": SYN | ACK, "me.syn": 2, "me.syn_ctl": SYN | ACK}, 1),
)
CASES(
    retransmission.retransmission,
    OCTETS_AGAIN,
    ({"seg.ctl": ACK | RST}, 0),
    ({"seg.seg_len": 0}, 0),
    ({"seg.seq_offset": 0}, 0),
    ({"seg.seq_offset": -1}, 1),
    ({"seg.new_octets": 10}, 0),
    ({"seg.new_octets": 9}, 1),
    ({"peer.rcv_nxt": at(60)}, 0),
    ({"peer.rcv_nxt": at(60), "peer.has_rcv_nxt": 0}, 1),
    ({**KEEP_ALIVE_OCTET, "peer.has_rcv_nxt": 0}, 0),
    ({**KEEP_ALIVE_OCTET, "peer.has_rcv_nxt": 0, "seg.seq_offset": -2}, 1),
)
CASES(
    retransmission.retransmission,
    SYN_AGAIN,
    *OTHER_SYNS,
    ({"peer.has_rcv_nxt": 1}, 1),
    ({"peer.has_rcv_nxt": 1, "peer.rcv_nxt": at(1)}, 0),
    ({"peer.rcv_nxt": at(1)}, 1),
    title="retransmission of a SYN",
)
CASES(
    retransmission.spurious_retransmission,
    {**OCTETS_AGAIN, "peer.rcv_nxt": at(60)},
    ({"seg.ctl": ACK | RST}, 0),
    ({"seg.seg_len": 0}, 0),
    ({"seg.seq_offset": 0}, 0),
    ({"seg.seq_offset": -1}, 1),
    ({"seg.new_octets": 1}, 0),
    ({"peer.rcv_nxt": at(59)}, 0),
    ({"peer.rcv_nxt": at(61)}, 1),
    ({"peer.has_rcv_nxt": 0}, 0),
    ({**KEEP_ALIVE_OCTET, "peer.rcv_nxt": at(60), "me.nxt": at(60)}, 0),
    ({**KEEP_ALIVE_OCTET, "peer.rcv_nxt": at(60), "me.nxt": at(60), "seg.seq_offset": -2}, 1),
)
CASES(
    retransmission.spurious_retransmission,
    {**SYN_AGAIN, "peer.has_rcv_nxt": 1, "peer.rcv_nxt": at(1)},
    *OTHER_SYNS,
    ({"peer.has_rcv_nxt": 0}, 0),
    ({"peer.rcv_nxt": at(0)}, 0),
    title="spurious retransmission of a SYN",
)
CASES(
    retransmission.resent_octets_differ,
    {"seg.conflict": 0, "seg.ctl": ACK, "seg.len": 1, "seg.end": at(60)},
    ({"seg.conflict": ABSENT}, 0),
    # A keep-alive's octet means nothing.
    ({**PROBE, "seg.conflict": 0}, 0),
    ({"peer.has_rcv_nxt": 1, "peer.rcv_nxt": at(60)}, 0),
    ({"peer.has_rcv_nxt": 1, "peer.rcv_nxt": at(61)}, 1),
    ({"peer.has_rcv_nxt": 1, "peer.rcv_nxt": at(60), "seg.len": 2}, 1),
    ({"peer.rcv_nxt": at(60)}, 1),
    ({"me.data_len": 2, "me.data_seq": at(58)}, 0),
    ({"me.data_len": 2, "me.data_seq": at(58), "seg.len": 2}, 1),
    ({"me.data_len": 2, "me.data_seq": at(59)}, 1),
    ({"me.data_len": 1, "me.data_seq": at(59)}, 1),
)
CASES(
    retransmission.out_of_order,
    {
        "seg.ctl": ACK,
        "seg.seg_len": 10,
        "seg.new_octets": 10,
        "seg.seq_offset": -20,
        "seg.end": at(60),
        "me.top": at(59),
    },
    *NEITHER_SYN_NOR_RST,
    ({"seg.seg_len": 0, "seg.new_octets": 0}, 0),
    ({"seg.seg_len": 1, "seg.new_octets": 1}, 1),
    ({"seg.new_octets": 9}, 0),
    ({"seg.seq_offset": 0, "me.has_nxt": 1}, 0),
    ({"seg.seq_offset": 0, "me.has_nxt": 1, "me.top": at(60)}, 1),
    ({"seg.seq_offset": 0, "me.top": at(60)}, 0),
)
REPEATED: Change = {
    "seg.ctl": ACK,
    "seg.ack": at(60),
    "seg.win": 9,
    "me.has_rcv_nxt": 1,
    "me.rcv_nxt": at(60),
    "me.raw_win": 9,
    "me.last_ctl": ACK,
    "me.last_ack": at(60),
    "peer.has_nxt": 1,
}
DATA_ACK: Change = {"seg.mptcp": MP_DSS, "seg.dss": DSS_ACK, "seg.data_ack": 8, "me.data_ack": 7, "me.has_data_ack": 1}
for predicate, nxt in ((retransmission.duplicate_ack, at(61)), (retransmission.ack_repeated, at(60))):
    CASES(
        predicate,
        {**REPEATED, "peer.nxt": nxt},
        ({"seg.ctl": PSH}, 0),
        ({"seg.ctl": ACK | SYN}, 0),
        ({"seg.ctl": ACK | FIN}, 0),
        ({"seg.ctl": ACK | RST}, 0),
        ({"seg.len": 1}, 0),
        ({"seg.seq_offset": -1}, 0),
        ({"me.has_rcv_nxt": 0}, 0),
        ({"me.rcv_nxt": at(59)}, 0),
        ({"seg.win": 8}, 0),
        ({"seg.win": 0, "me.raw_win": 0}, 0),
        ({"seg.win": 1, "me.raw_win": 1}, 1),
        ({"peer.probe": 1}, 0),
        # It was sent for an option of MPTCP.
        ({"seg.mptcp": MP_DSS}, 1),
        ({"seg.mptcp": MP_CAPABLE}, 0),
        ({"seg.mptcp": MP_DSS, "seg.dss": DSS_FIN}, 0),
        (DATA_ACK, 0),
        ({**DATA_ACK, "seg.mptcp": 0}, 1),
        ({**DATA_ACK, "seg.dss": 0}, 1),
        ({**DATA_ACK, "seg.data_ack": 7}, 1),
        ({**DATA_ACK, "me.has_data_ack": 0}, 1),
    )
BLOCKS: Change = {"seg.sack_n": 2, "seg.sack_left": (at(20), at(80))}
CASES(
    retransmission.duplicate_ack,
    {**REPEATED, "peer.nxt": at(61)},
    ({"peer.nxt": at(60)}, 0),
    ({"peer.has_nxt": 0}, 0),
    # A SACK block beyond the ack shows that data is in flight.
    ({"peer.nxt": at(60), **BLOCKS}, 1),
    ({"peer.nxt": at(60), **BLOCKS, "seg.sack_n": 1}, 0),
    ({"peer.nxt": at(60), **BLOCKS, "seg.sack_n": 0}, 0),
    ({"peer.nxt": at(60), "seg.sack_n": 1, "seg.sack_left": (at(61),)}, 1),
    ({"peer.nxt": at(60), "seg.sack_n": 1, "seg.sack_left": (at(60),)}, 0),
    ({"peer.nxt": at(60), "seg.sack_n": 0, "seg.sack_left": (at(61),)}, 0),
    ({"peer.nxt": at(60), "seg.sack_n": 2, "seg.sack_left": (at(20), at(60))}, 0),
    title="duplicate ack, while data is in flight",
)
CASES(
    retransmission.ack_repeated,
    {**REPEATED, "peer.nxt": at(60)},
    ({"peer.nxt": at(61)}, 0),
    ({"me.last_ack": at(59)}, 0),
    ({"me.last_ctl": SYN | ACK}, 0),
    title="ack repeated, while no data is in flight",
)
CASES(
    retransmission.fast_retransmission,
    {**OCTETS_AGAIN, "seg.seq": at(50), "peer.rcv_nxt": at(50), "peer.same_acks": 3},
    *NEITHER_SYN_NOR_RST,
    ({"seg.seg_len": 0}, 0),
    ({"seg.seg_len": 1}, 1),
    ({"seg.seq_offset": 0}, 0),
    ({"seg.seq_offset": -1}, 1),
    ({"seg.new_octets": 1}, 0),
    ({"peer.same_acks": 2}, 0),
    ({"peer.same_acks": 4}, 1),
    ({"peer.has_rcv_nxt": 0}, 0),
    ({"peer.rcv_nxt": at(51)}, 0),
)
CASES(
    retransmission.resend_cut_differently,
    {**OCTETS_AGAIN, "seg.new_octets": 1},
    *NEITHER_SYN_NOR_RST,
    ({"seg.seq_offset": 0}, 0),
    ({"seg.seq_offset": -1}, 1),
    ({"seg.new_octets": 0}, 0),
    ({"seg.new_octets": 9}, 1),
    ({"seg.new_octets": 10}, 0),
)


@pytest.mark.parametrize("title", list(CASES))
def test_a_rule_about_resends_answers(title: str) -> None:
    assert CASES.wrong(title) == []
