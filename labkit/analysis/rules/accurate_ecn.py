"""Accurate ECN (AccECN, RFC 9768): negotiation, the counter of marked packets, and its option."""

from labkit.analysis.extensions import ACCURATE_ECN, CLASSIC_ECN, NO_ECN, ace, ecn_mode, handshake_ace, wrong_ace
from labkit.analysis.rule import RFC_ONLY, Severity, rule
from labkit.analysis.side import Side
from labkit.packet.seen import Seen
from labkit.tcp.flags import ACK, AE, CWR, ECE, RST, SYN

GOOD = """
    > SEWA 0:0(0)
    < SW.  0:0(0) ack 1 <accecn1 e1b 1 ceb 0 e0b 1>
    > W.   1:1(0) ack 1 <accecn1 e1b 1 ceb 0 e0b 1>
    > PEA. 1:100(99) ack 1 win 65535 ecn 2 <accecn1 e1b 1 ceb 0 e0b 1>
    < EA.  1:1(0) ack 100 <accecn1 e1b 1 ceb 0 e0b 100>
    > PEA. 100:199(99) ack 1 win 65535 ecn 3
    < WA.  1:1(0) ack 199 <accecn1 e1b 1 ceb 99 e0b 100>
"""

MADE = "needs a conversation that agrees on AccECN"


@rule(
    "ECN07",
    Severity.WARNING,
    "RFC 9768 3.1.2",
    "the SYN ACK accepts AccECN, but the SYN did not offer any ECN",
    otherwise={
        Severity.NOTE: "the SYN ACK answers a SYN with classic ECN as if it had offered AccECN",
    },
    field="flags",
    profiles=RFC_ONLY,
    should_be="AE and CWR clear in the SYN ACK; ECE alone if it accepts classic ECN",
    receiver="It does not use ECN. Linux 6.18 enters AccECN if its SYN offered classic ECN.",
    mend="Clear AE and CWR in the SYN ACK, or set AE, CWR and ECE in the SYN.",
    good=GOOD,
    bad="""
        > S   0:0(0)
        < SW. 0:0(0) ack 1   # ECN07
    """,
)
def accurate_ecn_unasked(seg: Seen, me: Side, peer: Side) -> int:
    """A server answers with AE or CWR only a SYN that has offered AccECN, with AE, CWR and ECE.

    A SYN with CWR and ECE offers classic ECN, which ECE alone accepts. A SYN ACK with CWR and ECE, or with all three bits,
    copies those of the SYN.
    """
    if seg.ctl & (SYN | ACK | RST) != SYN | ACK or peer.syn == 0 or peer.syn_ctl & AE:
        return False
    if seg.ctl & (AE | CWR) == 0 or seg.ctl & (ECE | CWR) == ECE | CWR:
        return False
    return Severity.NOTE if peer.syn_ctl & (ECE | CWR) == ECE | CWR else True


@rule(
    "ECN04",
    Severity.WARNING,
    "RFC 9768 3.2.3",
    "an AccECN option appears on a SYN, or in a connection that has not agreed on AccECN",
    field="options",
    profiles=RFC_ONLY,
    once=True,
    should_be="the option only after both SYNs have agreed on AccECN, and not on the first SYN",
    receiver="It ignores the option.",
    mend="Remove the option, or negotiate AccECN: AE, CWR and ECE in the SYN, and the code of its ECN field in the SYN ACK.",
    good=GOOD,
    bad="""
        > SEWA 0:0(0) <accecn0>   # ECN04
        < SW.  0:0(0) ack 1
        > W.   1:1(0) ack 1
    """,
)
def accurate_ecn_option_without_agreement(seg: Seen, me: Side, peer: Side) -> int:
    """Options 172 and 174 count bytes by the ECN field with which they arrived, after AccECN was agreed on.

    A client must not put them on the SYN (section 3.2.3.2.1).
    """
    if seg.accecn == 0 or seg.ctl & RST:
        return False
    if seg.ctl & SYN:
        return seg.ctl & ACK == 0
    return ecn_mode(me, peer) in (NO_ECN, CLASSIC_ECN)


@rule(
    "ECN05",
    Severity.WARNING,
    "RFC 9768 3.2.2.1",
    "the ACE field (AE, CWR, ECE) is {actual}, which does not tell how the SYN ACK arrived",
    field="flags",
    expected=lambda seg, me, peer: handshake_ace(peer.syn_ecn),
    actual=lambda seg, me, peer: ace(seg.ctl),
    profiles=RFC_ONLY,
    should_be="ACE {expected}, the code of the ECN field on the SYN ACK",
    receiver="It takes the path for one that changes the ECN field, and may stop using ECN.",
    mend="Set AE, CWR and ECE to the bits of {expected}.",
    no_fault=MADE,
    good=GOOD,
    bad="""
        > SEWA 0:0(0)
        < SW.  0:0(0) ack 1
        > EA.  1:1(0) ack 1   # ECN05
    """,
)
def handshake_feedback_is_wrong(seg: Seen, me: Side, peer: Side) -> int:
    """The client's first pure ACK says in AE, CWR and ECE with which ECN field the SYN ACK arrived: 2 for Not-ECT, 3 for
    ECT(1), 4 for ECT(0), 6 for CE.

    Behind the point of capture a router may have marked it with CE or cleared the field.
    """
    if me.third != 1 or me.syn != 1 or seg.ctl & (SYN | RST) or seg.len or seg.sack_n or peer.syn != 2:
        return False
    if ecn_mode(me, peer) != ACCURATE_ECN:
        return False
    said = ace(seg.ctl)
    return said not in (2, handshake_ace(peer.syn_ecn)) and not (said == 6 and peer.syn_ecn != 0)


@rule(
    "ECN06",
    Severity.WARNING,
    "RFC 9768 3.2.2",
    "the ACE field (AE, CWR, ECE) is {actual}, which is not the number of marked packets plus 5",
    field="flags",
    expected=lambda seg, me, peer: (peer.ce_n + 5) & 7,
    actual=lambda seg, me, peer: ace(seg.ctl),
    profiles=RFC_ONLY,
    should_be="ACE {expected}: 5, plus one for each packet that arrived with CE, modulo 8",
    receiver="It takes the difference as congestion and slows down, or does not notice the congestion.",
    mend="Count each packet that arrives with CE, from 5 on, and send the lowest three bits as AE, CWR and ECE.",
    no_fault=MADE,
    good=GOOD,
    bad="""
        > SEWA 0:0(0)
        < SW.  0:0(0) ack 1
        > W.   1:1(0) ack 1
        > PEA. 1:100(99) ack 1 win 65535 ecn 3
        < EA.  1:1(0) ack 100   # ECN06
    """,
)
def marked_packets_not_counted(seg: Seen, me: Side, peer: Side) -> int:
    """In AccECN the bits AE, CWR and ECE are one number, ACE: the lowest three bits of a counter of the packets that arrived
    with CE. It starts at 5, and counts pure ACKs too.

    Behind the point of capture a router may mark more packets, if they are ECN-capable. labkit reports only a counter that no
    such marks explain. The first pure ACK of a client, and copies of it, have another meaning (ECN05).
    """
    if seg.ctl & (SYN | RST) or seg.ctl & ACK == 0 or me.third == 1 or ecn_mode(me, peer) != ACCURATE_ECN:
        return False
    if me.missed or peer.missed or me.pending_n or peer.pending_n or (me.syn == 1 and seg.len == 0 and me.octets == 0):
        return False
    return wrong_ace(seg, peer)
