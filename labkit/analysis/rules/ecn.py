"""Explicit congestion notification."""

from labkit.analysis.extensions import CLASSIC_ECN, FEEDBACK, NO_ECN, ecn_mode
from labkit.analysis.order import overtaken
from labkit.analysis.relations import is_copy, is_probe, is_resent, is_window_probe
from labkit.analysis.rule import RFC_ONLY, Severity, rule
from labkit.analysis.side import Side
from labkit.packet.seen import Seen
from labkit.tcp.flags import ACK, AE, CWR, ECE, RST, SYN
from labkit.tcp.seq import after

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


@rule(
    "ECN01",
    Severity.WARNING,
    "RFC 3168 6.1.1",
    "the SYN ACK has both ECE and CWR set, which neither accepts ECN nor offers it",
    field="flags",
    profiles=RFC_ONLY,
    should_be="ECE alone to accept ECN, or both bits clear",
    receiver="It does not use ECN.",
    mend="Clear CWR in the SYN ACK.",
    good=GOOD,
    bad="""
        > SEW  0:0(0)
        < SEW. 0:0(0) ack 1   # ECN01
    """,
)
def syn_ack_reflects_the_offer(seg: Seen, me: Side, peer: Side) -> int:
    """A SYN ACK accepts ECN with ECE alone. Hosts that copy reserved bits from the SYN set both.

    In AccECN (RFC 9768), whose SYN has AE set too, the two bits have another meaning.
    """
    if seg.ctl & (SYN | ACK | RST) != SYN | ACK or peer.syn == 0 or (seg.ctl | peer.syn_ctl) & AE:
        return False
    return seg.ctl & SETUP == SETUP


@rule(
    "ECN03",
    Severity.WARNING,
    "RFC 3168 6.1.1",
    "the SYN is marked as ECN-capable in its IP header",
    otherwise={
        Severity.NOTE: "the SYN has ECN bits in its IP header, but nobody asks for ECN: they may belong to a type of service",
    },
    field="ip.ecn",
    expected=lambda seg, me, peer: 0,
    actual="seg.ecn",
    profiles=RFC_ONLY,
    should_be="ECN codepoint 0 (Not-ECT), because nothing is agreed yet",
    receiver="It takes the SYN, but a router that marks it instead of dropping it goes unnoticed.",
    mend="Set the ECN field of the IP header to 0.",
    good=GOOD,
    bad="""
        > SEW 0:0(0) win 65535 ecn 2   # ECN03
        < SE. 0:0(0) ack 1
    """,
)
def syn_is_ecn_capable(seg: Seen, me: Side, peer: Side) -> int:
    """A host must not set ECT on a SYN or a SYN ACK (RFC 3168 section 6.1.1).

    RFC 5562 allows it, as an experiment, on a SYN ACK that accepts ECN, and RFC 9768 with AccECN (AE set on the SYN).
    """
    if seg.ctl & (SYN | RST) != SYN or seg.ecn == 0 or (seg.ctl | peer.syn_ctl) & AE:
        return False
    asks = peer.syn_ctl if seg.ctl & ACK else seg.ctl
    if seg.ctl & ACK and seg.ctl & SETUP == ECE:
        return False
    return True if asks & SETUP == SETUP else Severity.NOTE


@rule(
    "ECN03",
    Severity.WARNING,
    "RFC 3168 6.1.4, 6.1.5, 6.1.6",
    "a segment without new data is marked as ECN-capable in its IP header",
    field="ip.ecn",
    expected=lambda seg, me, peer: 0,
    actual="seg.ecn",
    profiles=RFC_ONLY,
    should_be="ECN codepoint 0 (Not-ECT) on pure ACKs, retransmissions and window probes",
    receiver="It takes the segment. A lost one is not a sign of congestion, and a forged one could slow the sender down.",
    mend="Set the ECN field of the IP header to 0.",
    good=GOOD,
    bad="""
        > SEW 0:0(0)
        < SE. 0:0(0) ack 1
        > .   1:1(0) ack 1 win 65535 ecn 2   # ECN03
    """,
)
def ecn_capable_without_new_data(seg: Seen, me: Side, peer: Side) -> int:
    """A sender must not set ECT on a pure ACK, on data that it sends again, or on a window probe.

    What the network delivers late or twice was new when it was sent. AccECN (RFC 9768), whose SYN has AE set, is more liberal.
    """
    if seg.ctl & (SYN | RST) or seg.ecn == 0 or ecn_mode(me, peer) != CLASSIC_ECN or is_copy(seg, me):
        return False
    return seg.seg_len == 0 or _is_sent_again(seg, me) or is_probe(seg, me, peer) or is_window_probe(seg, me, peer)


@rule(
    "ECN03",
    Severity.WARNING,
    "RFC 3168 6.1.2",
    "CWR is set on a segment without new data",
    field="flags",
    profiles=RFC_ONLY,
    should_be="CWR on the first segment with new data after the window was reduced",
    receiver="It may ignore the bit, and go on with ECE.",
    mend="Clear CWR, and set it on the next new data.",
    good=GOOD,
    bad="""
        > SEW 0:0(0)
        < SE. 0:0(0) ack 1
        > W.  1:1(0) ack 1   # ECN03
    """,
)
def window_reduced_without_new_data(seg: Seen, me: Side, peer: Side) -> int:
    """CWR answers ECE on new data, so that its receiver can tell which congestion it is about.

    A pure ACK is not sent again when it is lost, and a retransmission may arrive twice. AccECN (RFC 9768) uses the bit
    differently.
    """
    if seg.ctl & (SYN | RST) or seg.ctl & CWR == 0 or ecn_mode(me, peer) != CLASSIC_ECN:
        return False
    return seg.seg_len == 0 or _is_sent_again(seg, me)


@rule(
    "ECN08",
    Severity.WARNING,
    "RFC 3168 6.1.3",
    "the segment acknowledges a packet that was marked with CE (congestion experienced), but ECE is clear",
    field="flags",
    profiles=RFC_ONLY,
    no_fault="needs a router that marks a packet",
    should_be="ECE set, until a segment with CWR arrives",
    receiver="It does not learn of the congestion, and does not slow down.",
    mend="Set ECE.",
    good=GOOD,
    bad="""
        > SEW 0:0(0)
        < SE. 0:0(0) ack 1
        > .   1:1(0) ack 1
        > P.  1:100(99) ack 1 win 65535 ecn 3
        < .   1:1(0) ack 100   # ECN08
    """,
)
def mark_not_echoed(seg: Seen, me: Side, peer: Side) -> int:
    """A receiver answers a packet that a router has marked with CE by ECE on its ACKs, until its peer answers with CWR.

    labkit reports the first ACK of a marked packet, where the sender has sent nothing twice: then the copy in the capture is the
    one that arrived. DCTCP (RFC 8257) clears ECE again without CWR. A host that has sent its FIN may keep too little of the
    connection to know of the mark (Linux does).
    """
    if seg.ctl & (SYN | RST | ACK | ECE) != ACK or peer.ce == 0 or me.has_fin or ecn_mode(me, peer) != CLASSIC_ECN:
        return False
    if peer.resent or peer.missed or peer.pending_n or seg.ack != peer.nxt:
        return False
    return me.has_rcv_nxt != 0 and after(seg.ack, me.rcv_nxt)


def _is_sent_again(seg: Seen, me: Side) -> bool:
    return is_resent(seg, me) and not overtaken(seg, me)
