"""In which order a sender sent its segments: one notion for the tracker, for pending segments and for rules.

A capture may show segments in another order than they were sent in. Acknowledgements never decrease, most stacks count IPv4
identifications, and timestamps come from a clock. Where none of them tells, time does: a segment overtakes another only within
half the time of an answer, as the handshake has shown it. So the pace of a capture does not matter.
"""

from labkit.analysis.side import Side
from labkit.packet.seen import Seen
from labkit.tcp import seq as sn
from labkit.tcp.flags import ACK

NEAR = 1024
"""The largest distance between two IPv4 identifications of a host that counts them."""

NEXT_IDS = 16
"""The largest step from one segment of a conversation to its next, for a host that counts for all its conversations."""

MIN_TICKS = 8
"""Ticks that a sender's timestamps must have counted to tell how fast their clock runs."""

SAME_MOMENT = 900_000
"""Nanoseconds within which a capture with several queues or interfaces may show packets in another order than they passed: less
than a millisecond, the shortest time of an answer in captures that are made by hand."""


def order(seg: Seen, me: Side) -> int:
    """Whether the segment was sent after all others of its sender (1), or before one of them (-1); 0: nothing tells."""
    if seg.tsval >= 0 and me.tsval >= 0 and seg.tsval != me.tsval:
        return 1 if sn.after(seg.tsval, me.tsval) else -1
    return -1 if _is_out_of_date(seg, me) else order_of_ids(seg, me)


def _is_out_of_date(seg: Seen, me: Side) -> bool:
    """Whether a segment has its sender's last timestamp, although the clock has moved on since, by more than four ticks."""
    ticks = sn.diff(me.tsval, me.least_tsval)
    if seg.tsval < 0 or seg.tsval != me.tsval or me.least_tsval < 0 or ticks < MIN_TICKS:
        return False
    return seg.time - me.last_time > 4 * ((me.last_time - me.first_time) // ticks)


def order_of_ids(seg: Seen, me: Side) -> int:
    """`order`, by IPv4 identifications alone."""
    if seg.ip_id <= 0 or me.newest_id <= 0 or seg.ip_id == me.newest_id:
        return 0
    if (seg.ip_id - me.newest_id) & 0xFFFF <= NEXT_IDS:
        return 1
    return -1 if (me.newest_id - seg.ip_id) & 0xFFFF <= NEAR else 0


def is_too_old(seg: Seen, me: Side) -> bool:
    """Whether a receiver drops the segment as an old one, and answers with an ACK: its timestamp is older than one of the same
    sender (RFC 7323 section 5.3), or its ack is older than any window that this one has offered (RFC 5961 section 5)."""
    if seg.tsval >= 0 and me.tsval >= 0 and sn.before(seg.tsval, me.tsval):
        return True
    return seg.ctl & ACK != 0 and me.has_rcv_nxt != 0 and sn.diff(me.rcv_nxt, seg.ack) > me.max_win


def half_delay(me: Side) -> int:
    """Nanoseconds in which a segment of this side may overtake another on its way to the point of capture."""
    return max(me.delay // 2, SAME_MOMENT)


def sent_later(seg: Seen, me: Side) -> bool:
    """Whether an ACK was sent after all other segments of its sender, by anything but its timestamp."""
    if me.has_rcv_nxt and seg.ack != me.rcv_nxt:
        return sn.after(seg.ack, me.rcv_nxt)
    ids = order_of_ids(seg, me)
    return ids > 0 or (ids == 0 and seg.time - me.last_time > half_delay(me))


def is_later(seg: Seen, me: Side) -> bool:
    """`sent_later`, where the timestamp does not contradict it."""
    if seg.tsval >= 0 and me.tsval >= 0 and seg.tsval != me.tsval:
        return sn.after(seg.tsval, me.tsval)
    return sent_later(seg, me)


def overtaken(seg: Seen, me: Side) -> bool:
    """Whether a later segment of the same sender may have overtaken this one.

    It has an older timestamp, an earlier IPv4 identification, follows within a moment, or fills a gap that a later segment
    left. A segment with the newest octets was sent last.
    """
    if seg.new_octets and seg.seq_offset >= 0 and not sn.before(seg.seq, me.top):
        return False
    if seg.new_octets and seg.new_octets == seg.seg_len:
        return True
    found = order(seg, me)
    return found < 0 or (found == 0 and seg.time - me.last_time <= half_delay(me))


def ids_count_on(seg: Seen, me: Side, peer: Side) -> bool:
    """Whether the IPv4 identifications show that the sender sent nothing between its last segment and this one."""
    return seg.ip_id > 0 and me.last_id > 0 and _step(seg, me, peer) <= 1


def ids_leave_one_out(seg: Seen, me: Side, peer: Side) -> bool:
    """Whether the IPv4 identifications leave some out between the sender's last segment and this one."""
    return seg.ip_id > 0 and me.last_id > 0 and 1 < _step(seg, me, peer) <= NEXT_IDS


def _step(seg: Seen, me: Side, peer: Side) -> int:
    """The step of the identification; 1 where one counter numbers the packets of both sides, as in handmade captures."""
    step = (seg.ip_id - me.last_id) & 0xFFFF
    return 1 if step == seg.number - me.last_packet and ids_count_together(me, peer) else step


def ids_count_together(me: Side, peer: Side) -> bool:
    """Whether one counter numbers the packets of both sides: identifications and packets have the same distance."""
    if me.ids_differ == 2 or peer.ids_differ == 2 or min(me.last_id, peer.last_id) <= 0:
        return False
    return (me.last_id - me.last_packet) & 0xFFFF == (peer.last_id - peer.last_packet) & 0xFFFF


def nothing_between(seg: Seen, me: Side, peer: Side) -> bool:
    """Whether the IPv4 identifications show that the capture has every packet of `peer` up to its segment `seg`.

    The host counts them, and none is missing; or all are the same, as in handmade captures; or one counter numbers the packets of
    both sides.
    """
    if seg.ip_id <= 0 or peer.last_id <= 0 or me.last_id < 0:
        return False
    step = (seg.ip_id - peer.last_id) & 0xFFFF
    return step <= 1 or (step == seg.number - peer.last_packet and ids_count_together(me, peer))
