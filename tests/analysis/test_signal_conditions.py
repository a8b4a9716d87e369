"""Each condition of the rules about control bits, congestion and checksums, by itself."""

import pytest
from conditions import Cases, Change, at

from labkit.analysis.extensions import ACCURATE_ECN, CLASSIC_ECN, NO_ECN, UNCLEAR_ECN, ecn_mode
from labkit.analysis.rules import accurate_ecn, checksum, ecn, flags
from labkit.analysis.severity import Severity
from labkit.analysis.side import Side
from labkit.packet.seen import (
    SUM_BAD,
    SUM_GOOD,
    SUM_PARTIAL,
    SUM_UNKNOWN,
    SUM_ZERO,
)
from labkit.tcp.segment import ACK, AE, CWR, ECE, FIN, PSH, RST, SYN, URG

CASES = Cases()
SECOND = 1_000_000_000

NEITHER_SYN_NOR_RST = (({"seg.ctl": SYN | ACK}, 0), ({"seg.ctl": RST | ACK}, 0))

CASES(
    flags.syn_with_fin,
    {"seg.ctl": SYN | FIN},
    ({"seg.ctl": SYN | FIN | ACK}, 1),
    ({"seg.ctl": SYN}, 0),
    ({"seg.ctl": FIN}, 0),
    ({"seg.ctl": 0}, 0),
)
CASES(
    flags.syn_or_fin_with_rst,
    {"seg.ctl": SYN | RST},
    ({"seg.ctl": SYN | RST | ACK}, 1),
    ({"seg.ctl": FIN | RST}, Severity.WARNING),
    ({"seg.ctl": SYN}, 0),
    ({"seg.ctl": RST}, 0),
    ({"seg.ctl": FIN}, 0),
    ({"seg.ctl": SYN | FIN}, 0),
)
CASES(
    flags.reserved_bits_set,
    {"seg.ctl": SYN | 0x200},
    ({"seg.ctl": 0x400}, 1),
    ({"seg.ctl": ACK | 0x800}, 1),
    ({"seg.ctl": AE | 0xFF}, 0),
    ({"seg.ctl": 0}, 0),
)
CASES(
    flags.no_control_bits,
    {"seg.ctl": 0},
    ({"seg.ctl": ECE | CWR | AE}, 1),
    *(({"seg.ctl": bit}, 0) for bit in (SYN, RST, ACK, FIN, PSH, URG)),
)
CASES(
    flags.fin_without_ack,
    {"seg.ctl": FIN},
    ({"seg.ctl": FIN | PSH | URG}, 1),
    ({"seg.ctl": PSH}, 0),
    *(({"seg.ctl": FIN | bit}, 0) for bit in (SYN, RST, ACK)),
)
CASES(
    flags.ack_bit_missing,
    {"seg.ctl": PSH},
    ({"seg.ctl": URG}, 1),
    ({"seg.ctl": 0}, 0),
    *(({"seg.ctl": PSH | bit}, 0) for bit in (SYN, RST, ACK, FIN)),
)
CASES(
    flags.ack_number_without_ack,
    {"seg.ctl": SYN, "seg.ack": 1},
    ({"seg.ctl": SYN | ACK}, 0),
    ({"seg.ack": 0}, 0),
)
CASES(
    flags.urgent_pointer_without_urg,
    {"seg.ctl": ACK, "seg.urg": 1},
    ({"seg.ctl": ACK | URG}, 0),
    ({"seg.urg": 0}, 0),
)

OFFER = AE | CWR | ECE
"""What a SYN offers AccECN with."""
AGREED: Change = {"me.syn": 1, "me.syn_ctl": SYN | OFFER, "peer.syn": 2, "peer.syn_ctl": SYN | ACK | CWR}
"""This side is the client, and the SYN ACK accepts AccECN."""
CLASSIC: Change = {"me.syn_ctl": SYN | ECE | CWR, "peer.syn_ctl": SYN | ACK | ECE}
REJECTED: Change = {"peer.syn_ctl": SYN | ACK}


def ace(number: int) -> int:
    """The control bits of an ACK whose field ACE has a number."""
    return ACK | (AE if number & 4 else 0) | (CWR if number & 2 else 0) | (ECE if number & 1 else 0)


CASES(
    ecn.ecn_agreed_unasked,
    {"seg.ctl": SYN | ACK | ECE, "peer.syn": 1, "peer.syn_ctl": SYN},
    ({"seg.ctl": SYN | ECE}, 0),
    ({"seg.ctl": ACK | ECE}, 0),
    ({"seg.ctl": SYN | ACK | ECE | RST}, 0),
    ({"peer.syn": 0}, 0),
    ({"seg.ctl": SYN | ACK | ECE | CWR}, 0),
    ({"seg.ctl": SYN | ACK | ECE | AE}, 0),
    ({"seg.ctl": SYN | ACK}, 0),
    ({"peer.syn_ctl": SYN | ECE}, 1),
    ({"peer.syn_ctl": SYN | CWR}, 1),
    ({"peer.syn_ctl": SYN | ECE | CWR}, 0),
    ({"peer.syn_ctl": SYN | AE}, 0),
)
CASES(
    ecn.ecn_without_agreement,
    {"seg.ctl": ACK | ECE, **AGREED, **REJECTED},
    ({"seg.ctl": SYN | ACK | ECE}, 0),
    ({"seg.ctl": RST | ACK | ECE}, 0),
    ({"seg.ctl": ACK | CWR}, 1),
    ({"seg.ctl": ACK | AE}, 1),
    ({"seg.ctl": ACK}, 0),
    ({"seg.ctl": ACK, "seg.ecn": 1}, 1),
    ({"me.syn": 0}, 0),
    ({"peer.syn": 0}, 0),
    (AGREED, 0),
    (CLASSIC, 0),
)
CASES(
    ecn.syn_ack_reflects_the_offer,
    {"seg.ctl": SYN | ACK | ECE | CWR, "peer.syn": 1, "peer.syn_ctl": SYN | ECE | CWR},
    ({"seg.ctl": SYN | ECE | CWR}, 0),
    ({"seg.ctl": ACK | ECE | CWR}, 0),
    ({"seg.ctl": SYN | ACK | ECE | CWR | RST}, 0),
    ({"peer.syn": 0}, 0),
    ({"seg.ctl": SYN | ACK | ECE}, 0),
    ({"seg.ctl": SYN | ACK | CWR}, 0),
    ({"seg.ctl": SYN | ACK | ECE | CWR | AE}, 0),
    ({"peer.syn_ctl": SYN | OFFER}, 0),
)
CASES(
    ecn.syn_is_ecn_capable,
    {"seg.ctl": SYN | ECE | CWR, "seg.ecn": 2},
    ({"seg.ctl": ACK | ECE | CWR}, 0),
    ({"seg.ctl": SYN | RST | ECE | CWR}, 0),
    ({"seg.ecn": 0}, 0),
    ({"seg.ecn": 1}, 1),
    ({"seg.ctl": SYN | OFFER}, 0),
    # It asks for nothing.
    ({"seg.ctl": SYN}, Severity.NOTE),
    ({"seg.ctl": SYN | ECE}, Severity.NOTE),
    ({"seg.ctl": SYN | ECE, "peer.syn_ctl": SYN | ECE | CWR}, Severity.NOTE),
    # RFC 5562: on a SYN ACK that accepts ECN.
    ({"seg.ctl": SYN | ACK | ECE, "peer.syn_ctl": SYN | ECE | CWR}, 0),
    ({"seg.ctl": SYN | ACK, "peer.syn_ctl": SYN | ECE | CWR}, 1),
    ({"seg.ctl": SYN | ACK | ECE | CWR, "peer.syn_ctl": SYN | ECE | CWR}, 1),
    ({"seg.ctl": SYN | ACK, "peer.syn_ctl": SYN}, Severity.NOTE),
    ({"seg.ctl": SYN | ACK, "peer.syn_ctl": SYN | OFFER}, 0),
)
CASES(
    ecn.ecn_capable_without_new_data,
    {**AGREED, **CLASSIC, "seg.ctl": ACK, "seg.ecn": 2, "seg.time": SECOND},
    *NEITHER_SYN_NOR_RST,
    ({"seg.ecn": 0}, 0),
    ({"seg.ecn": 1}, 1),
    (AGREED, 0),
    (REJECTED, 0),
    ({"seg.seg_len": 1, "seg.len": 1, "seg.new_octets": 1}, 0),
    # Sent again.
    ({"seg.seg_len": 9, "seg.len": 9, "seg.seq_offset": -9}, 1),
    ({"seg.seg_len": 9, "seg.len": 9, "seg.seq_offset": -9, "seg.new_octets": 1}, 0),
    # Delivered late, or twice.
    ({"seg.seg_len": 9, "seg.len": 9, "seg.seq_offset": -9, "seg.tsval": 3, "me.tsval": 4}, 0),
    ({"seg.seg_len": 9, "seg.len": 9, "seg.seq_offset": -9, "seg.tsval": 5, "me.tsval": 4}, 1),
    ({"seg.seg_len": 9, "seg.len": 9, "seg.seq_offset": -9, "me.last_time": SECOND}, 0),
    # The same packet captured twice.
    ({"seg.seg_len": 9, "seg.len": 9, "seg.seq_offset": -9, "seg.ip_id": 7, "me.last_id": 7}, 0),
    # A keep-alive with an octet that is new to the capture.
    ({"seg.seg_len": 1, "seg.len": 1, "seg.new_octets": 1, "seg.seq_offset": -1, "me.has_nxt": 1}, 1),
    (
        {"seg.seg_len": 1, "seg.len": 1, "seg.seq_offset": -1, "me.has_nxt": 1, "seg.ip_id": 7, "me.last_id": 7},
        0,
    ),
    # The octet of a window probe.
    ({"seg.seg_len": 1, "seg.len": 1, "seg.new_octets": 1, "me.has_nxt": 1, "peer.has_right_edge": 1}, 1),
    (
        {"seg.seg_len": 1, "seg.len": 1, "seg.new_octets": 1, "me.has_nxt": 1, "peer.has_right_edge": 1, "peer.win": 1},
        0,
    ),
)
CASES(
    ecn.window_reduced_without_new_data,
    {**AGREED, **CLASSIC, "seg.ctl": ACK | CWR, "seg.time": SECOND},
    ({"seg.ctl": SYN | ACK | CWR}, 0),
    ({"seg.ctl": RST | ACK | CWR}, 0),
    ({"seg.ctl": ACK | ECE}, 0),
    (AGREED, 0),
    (REJECTED, 0),
    ({"seg.seg_len": 1}, 0),
    ({"seg.seg_len": 9, "seg.seq_offset": -9}, 1),
    ({"seg.seg_len": 9, "seg.seq_offset": -9, "seg.tsval": 3, "me.tsval": 4}, 0),
    ({"seg.seg_len": 9, "seg.seq_offset": -9, "seg.new_octets": 9}, 0),
)

CASES(
    ecn.mark_not_echoed,
    {
        **AGREED,
        **CLASSIC,
        "seg.ctl": ACK,
        "seg.ack": at(10),
        "me.has_rcv_nxt": 1,
        "me.rcv_nxt": at(0),
        "peer.nxt": at(10),
        "peer.ce": 1,
    },
    *NEITHER_SYN_NOR_RST,
    ({"seg.ctl": PSH}, 0),
    ({"seg.ctl": ACK | PSH}, 1),
    ({"seg.ctl": ACK | CWR}, 1),
    ({"seg.ctl": ACK | ECE}, 0),
    ({"peer.ce": 0}, 0),
    ({"me.has_fin": 1}, 0),
    (AGREED, 0),
    (REJECTED, 0),
    ({"me.syn": 0}, 0),
    # The packet that arrived may have been another copy, or none.
    ({"peer.resent": 1}, 0),
    ({"peer.missed": 1}, 0),
    ({"peer.pending_n": 1}, 0),
    ({"seg.ack": at(9)}, 0),
    ({"seg.ack": at(11)}, 0),
    ({"me.rcv_nxt": at(10)}, 0),
    ({"me.rcv_nxt": at(9)}, 1),
    ({"me.has_rcv_nxt": 0}, 0),
)
CASES(
    accurate_ecn.accurate_ecn_unasked,
    {"seg.ctl": SYN | ACK | CWR, "peer.syn": 1, "peer.syn_ctl": SYN},
    ({"seg.ctl": SYN | CWR}, 0),
    ({"seg.ctl": ACK | CWR}, 0),
    ({"seg.ctl": SYN | ACK | CWR | RST}, 0),
    ({"peer.syn": 0}, 0),
    ({"seg.ctl": SYN | ACK | AE}, 1),
    ({"seg.ctl": SYN | ACK | AE | CWR}, 1),
    ({"seg.ctl": SYN | ACK | AE | ECE}, 1),
    ({"seg.ctl": SYN | ACK | ECE}, 0),
    ({"seg.ctl": SYN | ACK}, 0),
    # Copied from the SYN.
    ({"seg.ctl": SYN | ACK | ECE | CWR}, 0),
    ({"seg.ctl": SYN | ACK | OFFER}, 0),
    ({"peer.syn_ctl": SYN | OFFER}, 0),
    ({"peer.syn_ctl": SYN | ECE | CWR}, Severity.NOTE),
    ({"peer.syn_ctl": SYN | ECE}, 1),
    ({"peer.syn_ctl": SYN | CWR}, 1),
)
CASES(
    accurate_ecn.accurate_ecn_option_without_agreement,
    {**AGREED, **REJECTED, "seg.ctl": ACK, "seg.accecn": 1},
    ({"seg.accecn": 0}, 0),
    ({"seg.accecn": 2}, 1),
    ({"seg.ctl": RST | ACK}, 0),
    ({"seg.ctl": SYN}, 1),
    ({"seg.ctl": SYN | ACK}, 0),
    ({"seg.ctl": SYN, "seg.accecn": 0}, 0),
    (CLASSIC, 1),
    (AGREED, 0),
    ({"me.syn": 0}, 0),
    ({"peer.syn": 0}, 0),
)
CASES(
    accurate_ecn.handshake_feedback_is_wrong,
    {**AGREED, "me.third": 1, "seg.ctl": ace(3), "peer.syn_ecn": 2},
    ({"me.third": 0}, 0),
    ({"me.third": 2}, 0),
    ({"me.syn": 2}, 0),
    ({"peer.syn": 1}, 0),
    ({"seg.ctl": ace(3) | SYN}, 0),
    ({"seg.ctl": ace(3) | RST}, 0),
    ({"seg.len": 1}, 0),
    ({"seg.sack_n": 1}, 0),
    (REJECTED, 0),
    (CLASSIC, 0),
    # RFC 9768 section 3.2.2.1, Table 3; a router may clear the field, or mark a packet that is ECN-capable.
    *(
        ({"seg.ctl": ace(said), "peer.syn_ecn": sent}, said not in fits)
        for sent, fits in enumerate(({2}, {2, 3, 6}, {2, 4, 6}, {2, 6}))
        for said in range(8)
    ),
)
CASES(
    accurate_ecn.marked_packets_not_counted,
    {**AGREED, "me.third": 2, "me.octets": 1, "seg.ctl": ace(6)},
    ({"seg.ctl": ace(6) | SYN}, 0),
    ({"seg.ctl": ace(6) | RST}, 0),
    ({"seg.ctl": AE | CWR}, 0),
    ({"me.third": 1}, 0),
    (REJECTED, 0),
    (CLASSIC, 0),
    *(({f"{side}.{field}": 1}, 0) for side in ("me", "peer") for field in ("missed", "pending_n")),
    # The client's first pure ACK, and its copies.
    ({"me.octets": 0}, 0),
    ({"me.octets": 0, "seg.len": 1}, 1),
    ({"me.octets": 0, "me.syn": 2, "me.syn_ctl": SYN | ACK | CWR, "peer.syn": 1, "peer.syn_ctl": SYN | OFFER}, 1),
    # None could be marked: 5. One could: 5 or 6. Six could: all but 4.
    *(({"seg.ctl": ace(said)}, said != 5) for said in range(8)),
    *(({"seg.ctl": ace(said), "peer.ect_n": 1}, said not in (5, 6)) for said in range(8)),
    *(({"seg.ctl": ace(said), "peer.ect_n": 6}, said == 4) for said in range(8)),
    ({"seg.ctl": ace(4), "peer.ect_n": 7}, 0),
    # Two of three are marked in the capture: 7, or 0 if a router behind it marks the third one.
    *(({"seg.ctl": ace(said), "peer.ect_n": 3, "peer.ce_n": 2}, said not in (7, 0)) for said in range(8)),
    # They may not have arrived.
    ({"seg.ctl": ace(5), "peer.ect_n": 3, "peer.ce_n": 2, "peer.nxt": 1}, 0),
    ({"seg.ctl": ace(5), "peer.ect_n": 3, "peer.ce_n": 2, "peer.resent": 1}, 0),
)

ANSWERS = {
    # The bits of the SYN ACK: what they say to a SYN that offers AccECN, and to one that offers classic ECN.
    0: (NO_ECN, NO_ECN),
    ECE: (CLASSIC_ECN, CLASSIC_ECN),
    CWR: (ACCURATE_ECN, ACCURATE_ECN),
    AE: (ACCURATE_ECN, ACCURATE_ECN),
    AE | CWR: (ACCURATE_ECN, ACCURATE_ECN),
    CWR | ECE: (ACCURATE_ECN, UNCLEAR_ECN),  # the second one may be a copy
    AE | ECE: (UNCLEAR_ECN, CLASSIC_ECN),  # reserved; the nonce of RFC 3540
    AE | CWR | ECE: (NO_ECN, NO_ECN),  # a copy: broken
}


@pytest.mark.parametrize(("bits", "agreed"), ANSWERS.items())
def test_the_syns_agree_on_congestion_notification(bits: int, agreed: tuple[int, int]) -> None:
    """RFC 9768 section 3.1.2, Table 2."""
    server = Side(syn=2, syn_ctl=SYN | ACK | bits)
    for offer, mode in zip((OFFER, ECE | CWR, 0), (*agreed, NO_ECN), strict=True):
        client = Side(syn=1, syn_ctl=SYN | offer)
        assert ecn_mode(client, server) == mode
        assert ecn_mode(server, client) == mode
        assert ecn_mode(client, Side()) == ecn_mode(Side(), server) == UNCLEAR_ECN


REWRITTEN: Change = {
    "seg.sum_state": SUM_BAD,
    "seg.sum": 3,
    "seg.sum_want": 65533,
    "seg.ip_sum_state": SUM_BAD,
    "seg.ip_sum": 9,
    "seg.ip_sum_want": 4,
}
"""Both sums are wrong by 5, in ones' complement."""
for predicate, field in (
    (checksum.wrong_ip_checksum, "seg.ip_sum_state"),
    (checksum.wrong_tcp_checksum, "seg.sum_state"),
):
    CASES(
        predicate,
        {field: SUM_BAD},
        ({field: SUM_GOOD}, 0),
        ({field: SUM_UNKNOWN}, 0),
        (REWRITTEN, Severity.WARNING),
        ({**REWRITTEN, "seg.sum": 4}, 1),
        ({**REWRITTEN, field: SUM_GOOD}, 0),
    )
CASES(
    checksum.wrong_ip_checksum,
    {"seg.ip_sum_state": SUM_ZERO},
    title="a card fills in the checksum",
    first=Severity.NOTE,
)
for predicate, kind in ((checksum.ip_checksums_all_wrong, "ips"), (checksum.checksums_all_wrong, "sums")):
    CASES(
        predicate,
        {f"me.{kind}_bad": 2, f"me.{kind}_alike": 1},
        ({f"me.{kind}_bad": 1}, 0),
        ({f"me.{kind}_bad": 3}, 1),
        ({f"me.{kind}_good": 1}, 0),
        ({f"me.{kind}_alike": 0}, 0),
    )
CASES(
    checksum.partial_checksum,
    {"seg.sum_state": SUM_PARTIAL},
    *(({"seg.sum_state": other}, 0) for other in (SUM_UNKNOWN, SUM_GOOD, SUM_BAD, SUM_ZERO)),
)


@pytest.mark.parametrize("title", list(CASES))
def test_a_rule_about_signals_answers(title: str) -> None:
    assert CASES.wrong(title) == []
