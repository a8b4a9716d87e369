"""Explicit congestion notification."""

from labkit.analysis.extensions import FEEDBACK, NO_ECN, ecn_mode
from labkit.analysis.rule import RFC_ONLY, Severity, rule
from labkit.analysis.side import Side
from labkit.packet.seen import Seen
from labkit.tcp.segment import ACK, AE, CWR, ECE, RST, SYN

GOOD = """
    > SEW 0:0(0)
    < SE. 0:0(0) ack 1
    > .   1:1(0) ack 1
    > P.  1:100(99) ack 1 win 65535 ecn 2
    < E.  1:1(0) ack 100
    > PW. 100:199(99) ack 1 win 65535 ecn 2
    < .   1:1(0) ack 199
"""

SETUP = ECE | CWR


@rule(
    "ECN01",
    Severity.WARNING,
    "RFC 3168 6.1.1",
    "the SYN ACK accepts ECN (ECE set, CWR clear), but the SYN did not offer it (ECE and CWR set)",
    field="flags",
    profiles=RFC_ONLY,
    should_be="ECE clear in the SYN ACK",
    receiver="It does not use ECN, because it did not offer it.",
    mend="Clear ECE in the SYN ACK, or set ECE and CWR in the SYN.",
    good=GOOD,
    bad="""
        > S   0:0(0)
        < SE. 0:0(0) ack 1   # ECN01
    """,
)
def ecn_agreed_unasked(seg: Seen, me: Side, peer: Side) -> int:
    """A host accepts ECN, with ECE alone on its SYN ACK, only if the SYN has offered ECN with ECE and CWR.

    A SYN ACK with other bits rejects ECN, or accepts AccECN (RFC 9768), which uses the bits differently.
    """
    if seg.ctl & (SYN | ACK | RST) != SYN | ACK or peer.syn == 0 or (seg.ctl | peer.syn_ctl) & AE:
        return False
    return seg.ctl & SETUP == ECE and peer.syn_ctl & SETUP != SETUP


@rule(
    "ECN02",
    Severity.WARNING,
    "RFC 3168 6.1.1",
    "the segment uses ECE, CWR, AE or an ECN codepoint, but the SYNs did not agree on ECN",
    field="flags",
    profiles=RFC_ONLY,
    once=True,
    should_be="ECE, CWR, AE and the ECN field of the IP header all 0",
    receiver="It ignores the bits; a router that marks the packet instead of dropping it goes unnoticed.",
    mend="Clear ECE, CWR, AE and the ECN field, or negotiate ECN in both SYNs.",
    good=GOOD,
    bad="""
        > S   0:0(0)
        < S.  0:0(0) ack 1
        > .   1:1(0) ack 1
        > PE. 1:100(99) ack 1   # ECN02
    """,
)
def ecn_without_agreement(seg: Seen, me: Side, peer: Side) -> int:
    """ECE, CWR and ECN-capable packets are reserved for connections whose SYNs have agreed on ECN, or on AccECN (RFC 9768)."""
    if seg.ctl & (SYN | RST) or ecn_mode(me, peer) != NO_ECN:
        return False
    return seg.ctl & FEEDBACK != 0 or seg.ecn != 0
