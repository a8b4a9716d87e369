"""What both ends have agreed on beyond TCP itself: explicit congestion notification and Multipath TCP.

Plain functions over integers, like those of `labkit.analysis.tracker`, so that they can be compiled.
"""

from labkit.analysis.side import Side
from labkit.packet.seen import DSS_ACK, DSS_FIN, MP_CAPABLE, MP_DSS, MP_JOIN, Seen
from labkit.tcp.flags import ACK, AE, CWR, ECE, FIN, RST, SYN

NO_ECN, CLASSIC_ECN, ACCURATE_ECN, UNCLEAR_ECN = 0, 1, 2, 3
"""What the SYNs agree on: nothing, RFC 3168, RFC 9768, or what implementations read differently."""

FEEDBACK = ECE | CWR | AE
"""The control bits of congestion notification. In AccECN they are one number, ACE: AE is 4, CWR is 2, ECE is 1."""

HANDSHAKE_ACE = (2, 3, 4, 6)

FIRST_ACE = 5
"""RFC 9768 section 3.2.1: the counter of marked packets starts at 5."""


def ecn_mode(me: Side, peer: Side) -> int:
    """What two SYNs agree on. UNCLEAR_ECN if the capture lacks one of them."""
    if me.syn == 0 or peer.syn == 0:
        return UNCLEAR_ECN
    if me.syn == 2:
        return agreed_ecn(peer.syn_ctl & FEEDBACK, me.syn_ctl & FEEDBACK)
    return agreed_ecn(me.syn_ctl & FEEDBACK, peer.syn_ctl & FEEDBACK)


def agreed_ecn(offer: int, answer: int) -> int:
    """What the bits of a SYN and of its SYN ACK agree on (RFC 9768 section 3.1.2, Table 2).

    A SYN ACK with ECE alone accepts classic ECN. One with CWR, AE or both, or with CWR and ECE, accepts AccECN, also for a client
    that asked in the classic way: Linux 6.18 enters AccECN then. A SYN ACK that copies the three bits of an AccECN SYN accepts
    nothing. AE with ECE was the ECN nonce (RFC 3540), and is reserved for AccECN now (RFC 9768 section 3.1.3).
    """
    if offer == 0 or answer == 0 or answer == FEEDBACK:
        return NO_ECN
    if answer == ECE:
        return CLASSIC_ECN if offer & (ECE | CWR) == ECE | CWR else NO_ECN
    if answer == AE | ECE:
        return UNCLEAR_ECN if offer & AE else CLASSIC_ECN
    if answer == CWR | ECE and offer == CWR | ECE:
        return UNCLEAR_ECN  # copied from the SYN, or an answer of AccECN
    return ACCURATE_ECN


def ace(ctl: int) -> int:
    """The ACE field: the control bits AE, CWR and ECE as a number of 0 to 7 (RFC 9768 section 3.2)."""
    return (4 if ctl & AE else 0) + (2 if ctl & CWR else 0) + (1 if ctl & ECE else 0)


def handshake_ace(ecn: int) -> int:
    """The ACE field that says how a SYN or SYN ACK arrived: the code of its ECN field (RFC 9768 section 3.2.2.1, Table 3)."""
    return HANDSHAKE_ACE[ecn & 3]


def count_ecn(seg: Seen, me: Side, peer: Side) -> None:
    """Count the packets that a router could mark, or did."""
    if seg.ecn == 0 or seg.ctl & RST:
        return
    size = peer.mss if peer.mss > 0 else 536
    me.ect_n += 1 + (seg.len // size if seg.len > size else 0)
    me.ce = 1 if seg.ecn == 3 and seg.len and seg.ctl & SYN == 0 else 0
    me.ce_n += me.ce


def wrong_ace(seg: Seen, peer: Side) -> bool:
    """Whether ACE cannot be the number of marked packets, plus 5, modulo 8, of any number that the capture allows.

    Behind the point of capture a router may mark any packet that is ECN-capable, so the true number lies between those that are
    marked in the capture and arrived, and all that could be marked.
    """
    arrived = seg.ack == peer.nxt and peer.resent == 0
    marked = peer.ce_n if arrived else 0
    return marked + ((ace(seg.ctl) - FIRST_ACE - marked) & 7) > peer.ect_n


def is_multipath(me: Side, peer: Side) -> bool:
    """Whether the conversation is a subflow of MPTCP: both sides use its options (RFC 8684 section 3.1)."""
    return me.mptcp & (MP_CAPABLE | MP_JOIN | MP_DSS) != 0 and peer.mptcp & (MP_CAPABLE | MP_JOIN | MP_DSS) != 0


def carries_multipath_signal(seg: Seen, me: Side) -> bool:
    """Whether an ACK was sent for an option of MPTCP, so that it is not a duplicate ACK.

    It has another option than DSS (RFC 8684 section 3), a DATA_FIN, or a new Data ACK (section 3.3.2).
    """
    if seg.mptcp == 0:
        return False
    news = seg.dss & DSS_ACK != 0 and me.has_data_ack != 0 and seg.data_ack != me.data_ack
    return seg.mptcp & ~MP_DSS != 0 or seg.dss & DSS_FIN != 0 or news


def advance_extensions(seg: Seen, me: Side, peer: Side) -> None:
    """Add the segment's options to what is known of its sender, before `Side.seen` counts it."""
    if me.seen == 0:
        me.signed = seg.auth
    if seg.opt_cut == 0:
        me.last_signed = seg.auth
    count_ecn(seg, me, peer)
    if seg.mptcp:
        me.mptcp |= seg.mptcp
        if seg.dss & DSS_ACK:
            me.data_ack, me.has_data_ack = seg.data_ack, 1
        if seg.ctl & (SYN | ACK | FIN) == SYN | ACK and seg.mp_keys:
            me.mp_key, me.mp_keys = seg.mp_key, 1
