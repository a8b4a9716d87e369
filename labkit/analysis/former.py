"""Segments of the connection before on a four-tuple, which the network delivers when the next one is open."""

from labkit.analysis.side import OLD_REFUSED, OLD_RESET, Side
from labkit.packet.seen import Seen
from labkit.tcp.segment import ACK, RST, SYN
from labkit.tcp.seq import diff

NEAR = 1 << 16
"""How far from the end of the connection before its last segments may lie: a window without a scale."""


def is_former(seg: Seen, me: Side, peer: Side) -> bool:
    """Whether a segment is a late one of the connection before on its four-tuple.

    All of its numbers must lie near the old ones, and nearer to them than to the new ones: a mistake gives a segment one
    wrong number, and a late one has two. The receiver takes it for old, and answers with an ACK (RFC 9293 section
    3.10.7.4). A side that has sent no SYN may still be in the old connection itself (section 3.5.1), unless that was reset.
    """
    if me.has_old in (0, OLD_REFUSED) or seg.ctl & SYN:
        return False
    if seg.ctl & (RST | ACK) == RST and peer.has_last_ack and seg.seq == peer.last_ack:
        return False  # it answers a segment of this connection
    opened = peer.syn if seg.ctl & RST else me.syn  # a reset answers the peer
    if not opened and me.has_old != OLD_RESET:
        return False
    refuses = (
        seg.ctl & (RST | ACK) == RST | ACK and seg.seq == 0
    )  # of a connection its host knows nothing (section 3.5.2)
    if not refuses and not _is_nearer(seg.seq, me.old_nxt, me.nxt, me.has_nxt):
        return False
    return seg.ctl & ACK == 0 or _is_nearer(seg.ack, peer.old_nxt, peer.nxt, peer.has_nxt)


def _is_nearer(number: int, old: int, new: int, has_new: int) -> bool:
    distance = abs(diff(number, old))
    return distance <= NEAR and (has_new == 0 or distance < abs(diff(number, new)))
