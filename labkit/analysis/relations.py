"""What a segment is to its sender's state: a probe, a duplicate ACK, a retransmission, a part of a larger one.

Plain functions over integers, asked before the segment is added to the state. `me` is the side that sent the segment.
"""

from labkit.analysis.extensions import carries_multipath_signal
from labkit.analysis.order import SAME_MOMENT
from labkit.analysis.side import Side
from labkit.packet.seen import ABSENT, SUM_PARTIAL, Seen
from labkit.tcp import seq as sn
from labkit.tcp.flags import ACK, FIN, RST, SYN

SECOND = 1_000_000_000
"""Nanoseconds."""

TICKS = 1000
"""Ticks of a timestamp clock in a second, as most hosts have it."""

MORE_TICKS = 10
"""Ticks by which a timestamp may be later than the time that has passed."""

ETHERNET_MSS = 1460
"""The payload of the largest TCP segment without options in an Ethernet frame, over IPv4."""

MAX_ATTEMPTS = 1 << 24
"""How far the initial sequence numbers of attempts within a second lie apart: their clock ticks every 64 ns."""


def answers_earlier_attempt(seg: Seen, peer: Side) -> bool:
    """Whether the answer to a SYN acknowledges the first of several SYNs, or one between that and the last, whose numbers are not
    kept. Initial sequence numbers grow with a clock (RFC 9293 section 3.4.1).
    """
    first = sn.add(peer.first_seq, 1)
    if peer.first_ctl & (SYN | ACK | RST) != SYN or peer.first_seq == peer.isn:
        return False
    if seg.ack == first:
        return True
    grows = 0 < sn.diff(peer.isn, first) < MAX_ATTEMPTS
    return peer.seen > 2 and grows and sn.between(first, seg.ack, peer.isn) and seg.ack != peer.isn


def is_probe(seg: Seen, me: Side, peer: Side) -> bool:
    """Whether the segment asks for an ACK: it starts just before SND.NXT, has at most one octet, and acknowledges nothing new,
    unless the peer's window is closed.

    Keep-alives (RFC 9293 section 3.8.4) and Linux's window probes have this form. Timers cause them, and the octet may be
    garbage.
    """
    return (
        seg.seq_offset == -1
        and not (me.has_rcv_nxt and sn.after(seg.ack, me.rcv_nxt) and (peer.win or not peer.has_right_edge))
        and seg.len <= 1
        and seg.ctl & (SYN | FIN | RST) == 0
        and me.has_nxt != 0
        and (peer.has_rcv_nxt == 0 or peer.rcv_nxt == me.nxt or peer.win == 0)
        and not (me.syn and peer.syn == 0 and peer.last_ctl & RST)  # refused: there is no connection to keep
    )


def is_window_probe(seg: Seen, me: Side, peer: Side) -> bool:
    """Whether the segment asks whether a closed window has opened (RFC 9293 section 3.8.6.1).

    It has the first octet beyond the window. Linux sends an old number and no octet instead.
    """
    closed = peer.has_right_edge != 0 and peer.win == 0 and me.has_nxt != 0 and seg.ctl & (SYN | FIN | RST) == 0
    return closed and ((seg.len == 1 and seg.seq_offset == 0) or is_probe(seg, me, peer))


def at_low_edge(seg: Seen, me: Side, peer: Side) -> bool:
    """Whether a segment without octets stands at a right edge of the peer's window, below what was sent already.

    A sender whose peer takes back room puts ACKs and resets at the edge that it knows of, and not at SND.NXT (Linux 6.18,
    tcp_acceptable_seq).
    """
    if seg.len or me.has_nxt == 0 or not sn.before(seg.seq, me.nxt):
        return False
    now = peer.has_rcv_nxt != 0 and seg.seq == sn.add(peer.rcv_nxt, peer.win)
    return now or (peer.has_low_edge != 0 and seg.seq == peer.low_edge)


def is_duplicate_ack(seg: Seen, me: Side, peer: Side) -> bool:
    """Whether the segment is a duplicate ACK: it repeats an ACK while data is in flight (RFC 5681 section 2)."""
    return repeats_ack(seg, me, peer) and _under_way(seg, peer)


def repeats_ack(seg: Seen, me: Side, peer: Side) -> bool:
    """Whether the segment repeats the sender's last ACK, with the same window and no data.

    A window of 0 means that there is no room. It does not ask for a retransmission.
    """
    return (
        seg.ctl & (SYN | FIN | RST | ACK) == ACK
        and seg.len == 0
        and seg.seq_offset == 0
        and me.has_rcv_nxt != 0
        and seg.ack == me.rcv_nxt
        and seg.win == me.raw_win
        and seg.win != 0
        and peer.probe == 0
        and not carries_multipath_signal(seg, me)
    )


def _under_way(seg: Seen, peer: Side) -> bool:
    """Whether the peer has sent more than the segment acknowledges, by the capture or by a SACK block.

    Only the first block may be a D-SACK (RFC 2883), so that one of the first two lies beyond the ack if any block does.
    """
    if peer.has_nxt and sn.after(peer.nxt, seg.ack):
        return True
    return (seg.sack_n > 0 and sn.after(seg.sack_left[0], seg.ack)) or (
        seg.sack_n > 1 and sn.after(seg.sack_left[1], seg.ack)
    )


def acks_a_part(seg: Seen, me: Side, peer: Side) -> bool:
    """Whether the segment acknowledges a part of the peer's last new segment, all of which fits the window.

    A segment larger than the receiver's MSS comes from segmentation offload: an ack may lie inside it.
    """
    if seg.ctl & ACK == 0 or seg.ctl & (SYN | RST) or peer.data_len == 0 or me.has_rcv_nxt == 0:
        return False
    inside = sn.diff(seg.ack, peer.data_seq)
    return (
        0 < inside < peer.data_len
        and peer.pending_n == 0
        and fits_one_segment(peer.data_len, inside, me)
        and not sn.after(me.rcv_nxt, peer.data_seq)
        and me.has_right_edge != 0
        and not sn.after(sn.add(peer.data_seq, peer.data_len), me.right_edge)
    )


def fits_one_segment(length: int, inside: int, receiver: Side) -> bool:
    """Whether data is one segment on the wire, not several before segmentation offload: an ack may lie between those.

    A host may ignore that a receiver without an MSS option takes the default. What fits an Ethernet frame is one segment
    then, unless the ack lies where segments of the default end.
    """
    if receiver.mss == ABSENT:
        return False
    return length <= receiver.mss or (
        receiver.default_mss != 0 and length <= ETHERNET_MSS and inside % receiver.mss != 0
    )


def exceeds_mss(seg: Seen, peer: Side) -> bool:
    """Whether the segment had more payload on the wire than the peer's MSS, or the default where its SYN names none."""
    return 0 < peer.mss < seg.len and seg.ctl & (SYN | RST) == 0 and not before_segmentation(seg, peer)


def before_segmentation(seg: Seen, peer: Side) -> bool:
    """Whether a segment that is larger than the peer's MSS was captured before the network card split it: it fits no Ethernet
    frame, left its checksum to the card, or has the size of several segments."""
    split = seg.sum_state == SUM_PARTIAL or seg.ip_len > 1500 or seg.ip_len == 0
    return split or (peer.default_mss == 0 and seg.len >= 2 * peer.mss)


def is_resent(seg: Seen, me: Side) -> bool:
    """Whether the segment brings nothing that its sender has not sent before. The same packet captured twice does not count."""
    again = seg.seg_len > 0 and seg.seq_offset < 0 and seg.new_octets == 0 and seg.ctl & (SYN | RST) == 0
    return again and not is_copy(seg, me)


def is_fin_again(seg: Seen, me: Side) -> bool:
    """Whether the segment is a FIN that was first sent before the capture began: its sender's ACKs have the number behind it."""
    return me.syn == 0 and me.octets == 0 and seg.ctl & FIN != 0 and sn.add(seg.seq, seg.len + 1) == me.nxt


def is_copy(seg: Seen, me: Side) -> bool:
    """Whether a segment has the IPv4 identification of its sender's last one: it was captured, or delivered, twice."""
    return seg.ip_id > 0 and seg.ip_id == me.last_id and seg.seq == me.last_seq


def echoes_unseen(seg: Seen, me: Side, peer: Side) -> bool:
    """Whether a segment echoes a timestamp that is later than all that the capture shows of the peer.

    An ack beyond what the capture shows agrees with it: a segment is missing.
    """
    if seg.tsval < 0 or seg.ctl & ACK == 0 or seg.ctl & RST or peer.tsval < 0 or peer.syn == 0:
        return False
    if peer.has_nxt and sn.after(seg.ack, peer.nxt):
        return False
    return sn.after(seg.tsecr, peer.tsval) and peer.missed == 0 and peer.pending_n == 0 and me.pending_n == 0


def is_possible_echo(seg: Seen, peer: Side) -> bool:
    """Whether the peer's clock may have come to the timestamp that a segment echoes."""
    return may_have_reached(peer, seg.tsecr, seg.time)


def may_have_reached(side: Side, value: int, now: int) -> bool:
    """Whether a side's timestamp clock may have come to a value, since the last one that the capture shows.

    The clock counts milliseconds, or faster as the timestamps show (RFC 7323 section 5.4).
    """
    rate = TICKS
    shown = side.last_time - side.first_time
    if shown > SAME_MOMENT:
        rate = max(rate, sn.diff(side.tsval, side.least_tsval) * SECOND // shown)
    passed = max(0, now - side.last_time)
    if passed > sn.HALF * SECOND // rate:
        return True  # it may have come to any value
    return sn.diff(value, side.tsval) <= MORE_TICKS + passed * rate // SECOND
