"""Checksums of a sender that are wrong: what they have in common, and what a damaged segment still counts for.

A receiver drops a segment with a wrong checksum, so it changes nothing. But its octets were sent, if its numbers fit. Where all
checksums of a host are wrong alike, the capture or the host makes them, and its segments count.
"""

from labkit.analysis.side import Side
from labkit.packet.seen import SUM_BAD, SUM_GOOD, Seen
from labkit.tcp import seq as sn
from labkit.tcp.flags import ACK, RST, SYN

SUMS_ZERO, SUMS_OFF, SUMS_REST = 1, 2, 4
"""What all wrong checksums of a sender may have in common: they are 0; they differ from the right one by the same amount; they
differ from each other by the segment's length only, as checksums of a pseudo-header do."""


def count_sums(seg: Seen, me: Side) -> None:
    """Count right and wrong checksums, and what the wrong ones have in common. A repeated frame counts once."""
    if seg.sum_state == SUM_GOOD:
        me.sums_good = min(255, me.sums_good + 1)
    elif seg.sum_state == SUM_BAD and (me.sums_bad == 0 or seg.sum_want != me.sum_want):
        off = (seg.sum - seg.sum_want) % 65535
        rest = (seg.sum - seg.doff - seg.len) % 65535
        alike = SUMS_ZERO if seg.sum == 0 else 0
        if me.sums_bad == 0:
            me.sum_off, me.sum_rest, me.sums_alike = off, rest, SUMS_ZERO | SUMS_OFF | SUMS_REST
        alike += SUMS_OFF if off == me.sum_off else 0
        alike += SUMS_REST if rest == me.sum_rest else 0
        me.sums_alike &= alike
        me.sum_want = seg.sum_want
        me.sums_bad += 1
    if seg.ip_sum_state == SUM_GOOD:
        me.ips_good = 1
    elif seg.ip_sum_state == SUM_BAD and (me.ips_bad == 0 or seg.ip_sum_want != me.ip_want):
        off = (seg.ip_sum - seg.ip_sum_want) % 65535
        if me.ips_bad == 0:
            me.ip_off, me.ips_alike = off, SUMS_OFF
        elif off != me.ip_off:
            me.ips_alike = 0
        me.ip_want = seg.ip_sum_want
        me.ips_bad += 1


def spoiled(seg: Seen) -> bool:
    """Whether the receiver drops the segment, because its checksum is wrong."""
    return seg.sum_state == SUM_BAD and not is_rewritten(seg)


def is_rewritten(seg: Seen) -> bool:
    """Whether the checksums of IP and TCP are wrong by the same amount: somebody has changed an address, which both cover."""
    if seg.sum_state != SUM_BAD or seg.ip_sum_state != SUM_BAD:
        return False
    return (seg.sum - seg.sum_want) % 65535 == (seg.ip_sum - seg.ip_sum_want) % 65535


def is_damaged(seg: Seen, me: Side) -> bool:
    """Whether the checksum of a segment is wrong, while those of its sender are right. Its octets were sent, as far as its
    numbers fit (`is_dropped`); nothing else of it counts."""
    return spoiled(seg) and 0 < me.sums_good >= me.sums_bad


def is_dropped(seg: Seen, me: Side, peer: Side) -> bool:
    """Whether a segment changes nothing, because the receiver drops it: its checksum is wrong, while others of its host are
    right, and its numbers do not fit either. What is damaged on its way, with numbers that fit, was still sent."""
    if not spoiled(seg) or not me.sums_good:
        return False
    fits = seg.ctl & (SYN | RST) == 0 and me.has_nxt and (seg.seq_offset == 0 or not sn.after(seg.end, me.nxt))
    if fits and seg.ctl & ACK and peer.has_nxt:
        fits = not sn.after(seg.ack, peer.nxt) and not (me.has_rcv_nxt and sn.before(seg.ack, me.rcv_nxt))
    return not fits


def replaces_damaged_syn(seg: Seen, me: Side) -> bool:
    """Whether a SYN follows one with a wrong checksum, which its sender's first right checksum shows to be damaged."""
    return seg.sum_state == SUM_GOOD and me.sums_good == 0 and me.sums_bad > 0
