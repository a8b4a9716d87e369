"""Open questions about a segment, which only later segments can answer.

A gap in the sequence numbers is loss or reordering if later segments fill it, a capture that lacks packets if the peer
acknowledges it, and a wrong number if the sender continues as if the gap did not exist. An ack beyond what the peer sent is
wrong, unless the peer continues from there. Such a segment is pending: it has a row in a small table in its sender's `Side`,
until later segments answer the question or the conversation ends (`close`). `resolve` then moves it out of the table.
"""

from dataclasses import dataclass

from labkit.analysis.order import SAME_MOMENT, order
from labkit.analysis.side import MAX_PENDING, Side
from labkit.packet.seen import U8, U16, U32, PeerSeq, Record, Seen, Seq
from labkit.tcp import seq as sn
from labkit.tcp.flags import ACK, FIN, RST, SYN

GAP, UNSENT, BEHIND = 1, 2, 3
"""The question. GAP: the segment skips sequence numbers. UNSENT: it acknowledges numbers that the capture does not show.
BEHIND: it is the third segment of a handshake, and does not acknowledge the SYN ACK."""

THIRD, AFTER_ACK, ECHOES, PARTLY, SENT, EDGE = 1, 2, 3, 4, 5, 6
"""What else is known of the segment, its mark; 0: nothing. THIRD: it is the third segment of a handshake. AFTER_ACK: the segment
before it was a pure ACK of the same sender. ECHOES, of UNSENT: it also echoes a timestamp that the capture does not show, or a
SACK block told of the octets. PARTLY, of GAP: a part of it was acknowledged, so it was sent. SENT, of GAP: IPv4 identifications
leave one out, or the peer had acknowledged what lies between, so it was sent. EDGE, of GAP: a pure ACK at the right edge of the
peer's window, where some hosts put it after the peer has shrunk the window below SND.NXT."""

MIN_RTO = 200_000_000
"""Nanoseconds; a segment that comes sooner is not a retransmission after a loss: the least that Linux waits for an acknowledgment
(TCP_RTO_MIN). RFC 6298 section 2.4 asks for a second."""

OPEN, FILLED, MISSED, LATE, WRONG, UNPROVEN, LOST = 0, 1, 2, 3, 4, 5, 6
"""The answer. FILLED: the octets came later. MISSED: the capture lacks packets, and the numbers are right. LATE: the capture
has the cause after its effect. WRONG: sender or receiver continued as if the number had been another one. LOST: the receiver
asks for the octets until the end. UNPROVEN: the capture does not show it."""


@dataclass(slots=True, init=False, eq=False, repr=False)
class Resolved(Record):
    """A segment whose open question was answered, or whose conversation is over: what rules of scope PENDING judge."""

    kind: U8 = 0
    """GAP, UNSENT or BEHIND."""
    state: U8 = 0
    """The answer: FILLED, MISSED, LATE, WRONG, UNPROVEN or LOST."""
    packet: U32 = 0
    time: int = 0
    want_seq: Seq = 0
    """GAP: the number that was expected, SND.NXT."""
    seq: Seq = 0
    """GAP: the segment's number."""
    want_ack: PeerSeq = 0
    """UNSENT, BEHIND: the ack that was expected."""
    ack: PeerSeq = 0
    """UNSENT, BEHIND: the segment's ack."""
    seg_len: int = 0
    ctl: U16 = 0
    mark: U8 = 0
    """THIRD, AFTER_ACK, ECHOES, PARTLY, SENT, EDGE or 0."""


def answer(seg: Seen, me: Side, peer: Side) -> None:
    """Answer the open questions about segments of both sides, as far as a segment of `me` answers them."""
    if me.pending_n:
        _answer_gaps_by_sender(seg, me)
    if peer.pending_n:
        if seg.ctl & ACK:
            _answer_gaps_by_receiver(seg, peer)
        _answer_unsent(seg, me, peer)


def answer_by_octets(seg: Seen, me: Side) -> None:
    """Answer the open questions of a sender by the octets of its segment alone."""
    if me.pending_n:
        _answer_gaps_by_sender(seg, me)


def answer_reset(seg: Seen, me: Side, peer: Side) -> None:
    """Answer open questions by a reset of `me`.

    With ACK, its sender aborts at SND.NXT, which shows what it has sent, unless it is in SYN-SENT. Without ACK it takes the
    number of the segment that it answers, which shows nothing. Its ack does not show what has arrived: a host without a
    connection acknowledges all that the segment takes which it answers (RFC 9293 section 3.10.7.1).
    """
    if seg.ctl & ACK == 0 or (me.syn and not peer.syn):
        return
    for i in range(me.pending_n):
        right = sn.add(me.pending_want[i], me.pending_seg_len[i])
        whole = me.pending_low[i] == me.pending_want[i]  # else it has sent octets under the expected number too
        if (
            me.pending_kind[i] == GAP
            and me.pending_state[i] == OPEN
            and me.pending_seg_len[i]
            and seg.seq == right
            and whole
        ):
            me.pending_state[i] = WRONG
    for i in range(peer.pending_n):
        octet = sn.diff(peer.pending_seen[i], peer.pending_want[i]) == 1 and peer.pending_mark[i] in (THIRD, AFTER_ACK)
        if peer.pending_kind[i] == GAP and peer.pending_state[i] == OPEN and octet:
            # A pure ACK that was counted explains it better than a lost octet.
            if not sn.before(seg.ack, sn.add(peer.pending_seen[i], peer.pending_seg_len[i])):
                peer.pending_state[i] = MISSED
        elif peer.pending_kind[i] == UNSENT and peer.pending_state[i] == OPEN:
            if not sn.before(seg.seq, peer.pending_seen[i]):
                peer.pending_state[i] = MISSED
            elif seg.seq == peer.pending_want[i]:
                peer.pending_state[i] = WRONG


def missing(seg: Seen, me: Side) -> int:
    """Count the segment's sequence numbers that lie in open gaps."""
    total = 0
    for i in range(me.pending_n):
        if me.pending_kind[i] == GAP and me.pending_seg_len[i]:
            low = sn.latest(seg.seq, me.pending_low[i])
            high = me.pending_high[i] if sn.before(me.pending_high[i], seg.end) else seg.end
            total += max(0, sn.diff(high, low))
    return total


def _answer_gaps_by_sender(seg: Seen, me: Side) -> None:
    rows = me.pending_n  # filling the middle of a gap adds a row, which this segment does not answer
    for i in range(rows):
        if me.pending_kind[i] != GAP or me.pending_state[i] != OPEN:
            continue
        low, high = me.pending_low[i], me.pending_high[i]
        if seg.seg_len and sn.before(seg.seq, high) and sn.after(seg.end, low):
            octet = sn.diff(me.pending_seen[i], me.pending_want[i]) == 1  # a number that is off by one is typical
            again = me.pending_mark[i] == EDGE or (seg.time - me.pending_time[i] >= MIN_RTO and not octet)
            if me.pending_seg_len[i] == 0 and sn.after(seg.end, high) and sn.after(seg.end, me.top) and not again:
                # New octets include the number: SND.NXT was never there. Octets that are sent again may be merged with new ones.
                me.pending_state[i] = WRONG
            else:
                _fill(seg, me, i)
        elif _goes_on_without(seg, me, i):
            me.pending_state[i] = WRONG


def _fill(seg: Seen, me: Side, i: int) -> None:
    """Take the segment's numbers out of a gap."""
    low, high = me.pending_low[i], me.pending_high[i]
    if not sn.after(seg.seq, low):
        me.pending_low[i] = seg.end
        if not sn.before(seg.end, high):
            me.pending_state[i] = FILLED
        return
    me.pending_high[i] = seg.seq
    if sn.before(seg.end, high) and me.pending_n < MAX_PENDING:
        _copy(me, i, me.pending_n)
        me.pending_low[me.pending_n], me.pending_high[me.pending_n] = seg.end, high
        me.pending_n += 1


def _goes_on_without(seg: Seen, me: Side, i: int) -> bool:
    """Whether the sender continues from where it would be if the pending segment had the expected number."""
    numbered_right = sn.add(me.pending_want[i], me.pending_seg_len[i])
    if seg.seq != numbered_right or me.pending_low[i] != me.pending_want[i]:
        return False  # octets under the expected number have come, and the pending segment has others
    if seg.seg_len:
        # Below the pending segment this may be a retransmission of lost octets, and at its number one of the segment itself.
        return sn.after(numbered_right, me.pending_seen[i])
    # A pure ACK that was overtaken acknowledges no more than this sender had acknowledged.
    if me.has_rcv_nxt and sn.before(seg.ack, me.rcv_nxt):
        return False
    later = me.has_rcv_nxt != 0 and sn.after(seg.ack, me.rcv_nxt)
    if not later and me.pending_seg_len[i] == 0 and sn.add(seg.seq, 1) == me.pending_seen[i]:
        return False  # a keep-alive, after a FIN or an octet that the capture lacks
    found = order(seg, me)
    return found > 0 or (found == 0 and later)


def _answer_gaps_by_receiver(seg: Seen, peer: Side) -> None:
    for i in range(peer.pending_n):
        if peer.pending_kind[i] == GAP and peer.pending_state[i] == OPEN:
            end = sn.add(peer.pending_seen[i], peer.pending_seg_len[i])
            right = sn.add(peer.pending_want[i], peer.pending_seg_len[i])
            inside = sn.after(seg.ack, peer.pending_want[i]) and sn.before(seg.ack, peer.pending_seen[i])
            if not sn.before(seg.ack, end) and sn.diff(seg.ack, peer.nxt) <= 0:
                peer.pending_state[i] = MISSED
            elif inside and seg.ack != right and peer.pending_seg_len[i]:
                peer.pending_mark[i] = PARTLY


def _answer_unsent(seg: Seen, me: Side, peer: Side) -> None:
    # A side that has sent no octet began with a keep-alive or a window probe: an ack one above it is SND.NXT, and right.
    first = me.syn == 0 and peer.has_rcv_nxt == 0 and me.octets == 0
    # An ack without its sender's SYN: the capture lacks the SYN ACK, or a host that has an older connection answers the SYN (RFC
    # 9293 section 3.5.1, figure 9).
    no_syn = me.syn != 0 and peer.syn == 0
    for i in range(peer.pending_n):
        if peer.pending_kind[i] == GAP or peer.pending_state[i] != OPEN:
            continue
        ack = peer.pending_seen[i]
        if peer.pending_kind[i] == BEHIND:
            # A sender that continues from the acknowledged number did not begin at the number of its SYN ACK.
            peer.pending_state[i] = MISSED if seg.seq == ack else WRONG
            if seg.seq == ack:
                me.nxt = ack
            continue
        soon = seg.time - peer.pending_time[i] <= SAME_MOMENT
        begun = me.syn == 0 and peer.has_rcv_nxt == 0 and sn.after(ack, me.nxt)
        if not sn.before(seg.seq, ack):
            peer.pending_state[i] = FILLED if first and seg.seq == ack == sn.add(peer.pending_want[i], 1) else MISSED
            if begun:
                me.nxt, me.top = ack, ack  # the first segment of the capture was a retransmission or a probe
        elif begun and seg.seg_len == 0 and seg.seq_offset == 0 and sn.add(seg.seq, 1) == ack:
            peer.pending_state[i] = FILLED if first else MISSED
            me.nxt, me.top = ack, ack  # a keep-alive again: its number is SND.NXT-1 (RFC 9293 section 3.8.4)
        elif soon and (seg.end == ack or (sn.after(seg.end, ack) and 0 < peer.mss < seg.len)):
            # A larger segment than the receiver's MSS was captured above segmentation offload, behind the ACKs of its parts.
            peer.pending_state[i] = LATE
        elif (
            seg.seq_offset == 0
            and not no_syn
            and peer.pending_mark[i] != ECHOES  # it has seen a segment of this side that the capture does not show
            and not (seg.seg_len and soon and sn.before(seg.end, ack))
            and not (me.has_rcv_nxt and sn.before(seg.ack, me.rcv_nxt))
        ):
            peer.pending_state[i] = WRONG


def resolve(side: Side, resolved: Resolved) -> bool:
    """Move one answered segment out of the table into `resolved`. False: none is left."""
    for i in range(side.pending_n):
        if side.pending_state[i] == OPEN:
            continue
        i = _at_first_sight(side, i)
        resolved.kind = side.pending_kind[i]
        resolved.state = side.pending_state[i]
        resolved.packet = side.pending_packet[i]
        resolved.time = side.pending_time[i]
        resolved.seg_len = side.pending_seg_len[i]
        resolved.ctl = side.pending_ctl[i]
        resolved.mark = side.pending_mark[i]
        resolved.want_seq = resolved.want_ack = side.pending_want[i]
        resolved.seq = resolved.ack = side.pending_seen[i]
        if resolved.kind == GAP:
            _learn(side, i)
        elif resolved.state in (MISSED, LATE) and resolved.kind == UNSENT:
            _open_window(side, i)
        _drop(side, i)
        return True
    return False


def _at_first_sight(side: Side, i: int) -> int:
    """Report a gap once: a pure ACK that shows it first, and the octets that follow under its number, have the same answer.

    The row of the octets stays, with the packet of the pure ACK. Returns the row to resolve.
    """
    if side.pending_kind[i] != GAP or side.pending_seg_len[i] or side.pending_state[i] not in (MISSED, UNPROVEN):
        return i
    for k in range(i + 1, side.pending_n):
        same = side.pending_want[k] == side.pending_want[i] and side.pending_seen[k] == side.pending_seen[i]
        if (
            same
            and side.pending_kind[k] == GAP
            and side.pending_seg_len[k]
            and side.pending_state[k] == side.pending_state[i]
        ):
            side.pending_packet[k], side.pending_time[k] = side.pending_packet[i], side.pending_time[i]
            _drop(side, i)
            return k - 1
    return i


def _learn(side: Side, i: int) -> None:
    """Correct what is known of the sender by the answer about a gap."""
    end = sn.add(side.pending_seen[i], side.pending_seg_len[i])
    if side.pending_state[i] == MISSED:
        side.missed += 1
    elif side.pending_state[i] == WRONG and side.pending_seg_len[i] == 0 and side.top == end:
        side.top = side.nxt  # the sender never got there
    elif side.pending_state[i] == WRONG and side.nxt == end:
        # The segment counts as if it had the expected number.
        side.nxt = sn.add(side.pending_want[i], side.pending_seg_len[i])
        if side.has_fin and side.fin_packet == side.pending_packet[i]:
            side.fin = sn.add(side.nxt, -1)
        if side.data_len and side.data_seq == side.pending_seen[i]:
            side.data_seq = side.pending_want[i]


def _open_window(side: Side, i: int) -> None:
    """The ack is right, and so is the window that came with it."""
    if side.has_right_edge and sn.after(side.pending_low[i], side.right_edge):
        side.right_edge = side.pending_low[i]


def _drop(side: Side, i: int) -> None:
    side.pending_n -= 1
    for k in range(i, side.pending_n):
        _copy(side, k + 1, k)


def _copy(side: Side, i: int, k: int) -> None:
    """Write row i of the table into row k."""
    side.pending_kind[k] = side.pending_kind[i]
    side.pending_state[k] = side.pending_state[i]
    side.pending_packet[k] = side.pending_packet[i]
    side.pending_time[k] = side.pending_time[i]
    side.pending_want[k] = side.pending_want[i]
    side.pending_low[k] = side.pending_low[i]
    side.pending_high[k] = side.pending_high[i]
    side.pending_seen[k] = side.pending_seen[i]
    side.pending_seg_len[k] = side.pending_seg_len[i]
    side.pending_ctl[k] = side.pending_ctl[i]
    side.pending_mark[k] = side.pending_mark[i]


def open_pending(seg: Seen, me: Side, kind: int, want: int, high: int) -> None:
    """Put a segment of `me` into the table. A full table loses its oldest row."""
    if me.pending_n == MAX_PENDING:
        _drop(me, 0)
    i = me.pending_n
    me.pending_kind[i] = kind
    me.pending_state[i] = OPEN
    me.pending_packet[i] = seg.number
    me.pending_time[i] = seg.time
    me.pending_want[i] = want
    me.pending_low[i] = want
    me.pending_high[i] = high
    me.pending_seen[i] = high
    me.pending_seg_len[i] = seg.seg_len
    me.pending_ctl[i] = seg.ctl
    pure = me.last_ctl & (SYN | FIN | RST) == 0 and me.last_len == 0 and me.last_seq == me.nxt and me.seen > 0
    me.pending_mark[i] = THIRD if me.third == 1 else AFTER_ACK if pure else 0
    me.pending_n = i + 1


def close(me: Side, peer: Side) -> None:
    """Answer every open question about `me` at the end of the conversation."""
    unsent, gaps = 0, 0
    for i in range(me.pending_n):
        unsent += me.pending_kind[i] == UNSENT and me.pending_state[i] == OPEN
        gaps += me.pending_kind[i] == GAP
    for i in range(me.pending_n):
        if me.pending_state[i] != OPEN:
            continue
        if me.pending_kind[i] == GAP:
            me.pending_state[i] = _final(me, peer, i)
        elif me.pending_kind[i] == BEHIND:
            me.pending_state[i] = WRONG
        else:
            # The peer never continued from there. In a complete capture it never sent those octets. Several such acks mean
            # that the capture lacks the peer's packets.
            wrong = me.syn != 0 and peer.syn != 0 and peer.missed == 0 and unsent == 1
            off = sn.diff(me.pending_seen[i], me.pending_want[i])
            opens_again = (
                peer.last_packet == peer.resyn_packet
            )  # its SYN for the next connection tells nothing of this one
            last = (peer.last_packet < me.pending_packet[i] or opens_again) and not peer.has_fin
            lacks = me.missed != 0 or gaps != 0  # packets of this side, and so perhaps the peer's last ones
            fin = off == 1 and (me.has_fin or lacks)  # the peer's FIN may be missing
            if me.pending_mark[i] == ECHOES:
                me.pending_state[i] = UNPROVEN
            elif wrong and last and (fin or (off > 1 and (lacks or off <= max(me.mss, 536, peer.data_len)))):
                # Nothing of the peer is behind it: its last segment may be missing, which is large above offload.
                me.pending_state[i] = LOST
            else:
                me.pending_state[i] = WRONG if wrong else UNPROVEN


def _final(me: Side, peer: Side, i: int) -> int:
    """The answer about a gap that was never filled."""
    if not peer.has_rcv_nxt or me.pending_mark[i] == PARTLY:
        return UNPROVEN
    # The peer acknowledged it as if it had the right number, or the sender's FIN lies before its end.
    right = sn.add(me.pending_want[i], me.pending_seg_len[i])
    end = sn.add(me.pending_seen[i], me.pending_seg_len[i])
    closed = me.has_fin and sn.after(peer.rcv_nxt, me.fin) and sn.before(me.fin, sn.add(end, -1))
    whole = me.pending_low[i] == me.pending_want[i]  # else an ack of `right` is for other octets
    if closed or (me.pending_seg_len[i] and whole and peer.rcv_nxt == right):
        return WRONG
    asks = peer.last_packet > me.pending_packet[i] and not sn.after(peer.rcv_nxt, me.pending_low[i])
    return LOST if asks else UNPROVEN
