"""Explicit congestion notification (RFC 3168): marks instead of losses.

Negotiated in the handshake; then new data is sent as ECT(0), a router marks it CE instead of dropping it, the
receiver echoes ECE until it hears CWR, and the sender halves its window once a round trip.
"""

from typing import TYPE_CHECKING

from labkit.tcp.segment import ACK, CE, CWR, ECE, ECT0, NOT_ECT, SYN, Segment

if TYPE_CHECKING:
    from labkit.tcp.endpoint.endpoint import Endpoint


def syn_bits(end: "Endpoint") -> int:
    """What a SYN or SYN,ACK says of ECN (section 6.1.1): ECE and CWR to ask, ECE alone to agree."""
    if not end.synchronised:
        return ECE | CWR if end.config.ecn else 0
    return ECE if end.ecn else 0


def learn(end: "Endpoint", syn: Segment) -> None:
    """Whether both sides use ECN, from the peer's SYN or SYN,ACK."""
    agreed = ECE if syn.ctl & ACK else ECE | CWR
    end.ecn = end.config.ecn and syn.ctl & (ECE | CWR) == agreed


def arrived(end: "Endpoint", segment: Segment) -> None:
    """The receiver's part (section 6.1.3): echo a mark until the sender has reduced its window."""
    if segment.ctl & CWR:
        end.ecn_echo = False
    if segment.ecn == CE and segment.payload:
        end.ecn_echo = True


def echoed(end: "Endpoint", ack: int) -> None:
    """The sender's part (section 6.1.2): react to ECE as to a loss, at most once for each window of data."""
    if end.control is None or end.recovery.cause is not None or ack <= end.ecn_point:
        return
    end.control.lost(end.snd.high - end.snd.una)
    end.ecn_point = end.snd.high
    end.ecn_reduced = True


def bits(end: "Endpoint", ctl: int, new_data: bool) -> tuple[int, int]:
    """A segment's control bits with those of ECN, and its IP header's ECN field.

    Only new data is ECN-capable: no pure ACK, retransmission or probe (sections 6.1.4 to 6.1.6).
    """
    if not end.ecn or ctl & SYN:
        return ctl, NOT_ECT
    if end.ecn_echo:
        ctl |= ECE
    if not new_data:
        return ctl, NOT_ECT
    if end.ecn_reduced:
        end.ecn_reduced = False
        ctl |= CWR
    return ctl, ECT0
