"""Segments of the connection before on a four-tuple, which the network delivers when the next one is open."""

from labkit.analysis.order import ids_count_on
from labkit.analysis.side import OLD_REFUSED, OLD_RESET, Side
from labkit.packet.seen import Seen
from labkit.tcp.flags import ACK, RST, SYN
from labkit.tcp.seq import diff

NEAR = 1 << 16
"""How far from the end of the connection before its last segments may lie, and how far apart the numbers of two connections must
lie to be told from each other: a window without a scale."""


def is_former(seg: Seen, me: Side, peer: Side) -> bool:
    """Whether a segment is a late one of the connection before on its four-tuple.

    All of its numbers must lie near the old ones, and far from the new ones: a mistake gives a segment one wrong number, and a
    late one has two. The receiver takes it for old, and answers with an ACK (RFC 9293 section 3.10.7.4). Behind a reset,
    segments are still under way. A connection that both sides have closed has none, except those that were sent twice.
    """
    if me.has_old in (0, OLD_REFUSED) or seg.ctl & SYN or ids_count_on(seg, me, peer):
        return False
    if seg.ctl & (RST | ACK) == RST and peer.has_last_ack and seg.seq == peer.last_ack:
        return False  # it answers a segment of this connection
    rejects = seg.ctl & RST != 0 and me.third == 1  # what it rejects may be the SYN ACK of the attempt before
    if me.has_old != OLD_RESET and not rejects:
        return False
    apart = 0 if rejects else NEAR
    # With 0 and an ack, a host refuses a segment of a connection that it knows nothing of (RFC 9293 section 3.5.2).
    refuses = seg.ctl & (RST | ACK) == RST | ACK and seg.seq == 0
    if not refuses and not _is_old(seg.seq, me.old_nxt, me.nxt, me.has_nxt, apart):
        return False
    return seg.ctl & ACK == 0 or _is_old(seg.ack, peer.old_nxt, peer.nxt, peer.has_nxt, apart)


def _is_old(number: int, old: int, new: int, has_new: int, apart: int) -> bool:
    distance = abs(diff(number, old))
    return distance <= NEAR and (has_new == 0 or abs(diff(number, new)) > max(distance, apart))
