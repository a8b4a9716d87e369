"""Explicit congestion notification."""

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
    "the SYN ACK agrees to ECN (ECE without CWR), which the SYN did not ask for (ECE and CWR)",
    field="flags",
    profiles=RFC_ONLY,
    receiver="It does not use ECN: it never asked for it.",
    good=GOOD,
    bad="""
        > S   0:0(0)
        < SE. 0:0(0) ack 1   # ECN01
    """,
)
def ecn_agreed_unasked(seg: Seen, me: Side, peer: Side) -> int:
    """A host answers an ECN-setup SYN (ECE and CWR) with an ECN-setup SYN ACK (ECE alone), and nothing else with it."""
    if seg.ctl & (SYN | ACK | RST) != SYN | ACK or peer.syn == 0 or (seg.ctl | peer.syn_ctl) & AE:
        return False
    return seg.ctl & SETUP == ECE and peer.syn_ctl & SETUP != SETUP


@rule(
    "ECN02",
    Severity.WARNING,
    "RFC 3168 6.1.1",
    "ECE, CWR or an ECN codepoint stands on a segment of a connection that has not agreed to ECN",
    field="flags",
    profiles=RFC_ONLY,
    once=True,
    receiver="It ignores the bits; a router on the way may mark the packet instead of dropping it, and nobody notices.",
    good=GOOD,
    bad="""
        > S   0:0(0)
        < S.  0:0(0) ack 1
        > .   1:1(0) ack 1
        > PE. 1:100(99) ack 1   # ECN02
    """,
)
def ecn_without_agreement(seg: Seen, me: Side, peer: Side) -> int:
    """ECE, CWR and ECN-capable packets are for connections whose SYNs have agreed to ECN.

    AccECN (RFC 9768) gives the bits another meaning, and is left alone: its SYN has AE set.
    """
    if seg.ctl & (SYN | RST) or me.syn == 0 or peer.syn == 0 or (me.syn_ctl | peer.syn_ctl | seg.ctl) & AE:
        return False
    agreed = me.syn_ctl & ECE != 0 and peer.syn_ctl & ECE != 0
    return not agreed and (seg.ctl & SETUP != 0 or seg.ecn != 0)
