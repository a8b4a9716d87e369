"""Questions about a segment that only later segments can answer.

A gap in the numbers is a lost or reordered segment if it is filled later, a capture that missed a packet if it is
acknowledged, and a wrong number if the sender goes on as though it had never been. An ack beyond what was sent is wrong,
unless the sender goes on from there. Such a segment becomes a doubt: a row of a small table in its sender's `Side`,
until later segments answer it, or the conversation ends (`close`).
"""

from labkit.analysis.side import MAX_PENDING, Side
from labkit.packet.seen import Seen
from labkit.tcp import seq as sn
from labkit.tcp.segment import ACK, FIN, RST, SYN

GAP, UNSENT, BEHIND = 1, 2, 3
"""What a doubt is about: numbers left out before a segment; an ack of numbers not sent; the handshake's third segment,
whose ack does not reach beyond the SYN ACK's number."""

OPEN, FILLED, MISSED, LATE, WRONG, UNPROVEN, LOST = 0, 1, 2, 3, 4, 5, 6
"""How a doubt stands. FILLED: the octets came later. MISSED: the capture lacks packets, the numbers are right.
LATE: the cause was captured after its effect. WRONG: the sender, or the receiver, went on as though the number had
been another. LOST: the receiver asks for the octets to the end. UNPROVEN: nothing later tells."""

SAME_MOMENT = 3_000_000
"""Nanoseconds within which a capture may show an answer before its cause (several queues, several interfaces)."""


def answer(seg: Seen, me: Side, peer: Side) -> None:
    """Answer the doubts, about either side, that a segment of `me` can answer; `settle` then takes them out."""
    if me.pending_n:
        _answer_gaps_by_sender(seg, me)
    if peer.pending_n:
        if seg.ctl & ACK:
            _answer_gaps_by_receiver(seg, peer)
        _answer_unsent(seg, me, peer)


def missing(seg: Seen, me: Side) -> int:
    """How many numbers of the segment lie in open gaps."""
    total = 0
    for i in range(me.pending_n):
        if me.pending_kind[i] == GAP and me.pending_seg_len[i]:
            low = sn.latest(seg.seq, me.pending_low[i])
            high = me.pending_high[i] if sn.before(me.pending_high[i], seg.end) else seg.end
            total += max(0, sn.diff(high, low))
    return total


def _answer_gaps_by_sender(seg: Seen, me: Side) -> None:
    rows = me.pending_n  # a gap that is filled in the middle adds a row, which needs no answer now
    for i in range(rows):
        if me.pending_kind[i] != GAP or me.pending_state[i] != OPEN:
            continue
        low, high = me.pending_low[i], me.pending_high[i]
        if seg.seg_len and sn.before(seg.seq, high) and sn.after(seg.end, low):
            if me.pending_seg_len[i] == 0 and sn.after(seg.end, high):
                # Octets sent later run across the number: SND.NXT was never there.
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
    """Whether the sender goes on from where it would be, had the doubtful segment had the number expected."""
    numbered_right = sn.add(me.pending_want[i], me.pending_seg_len[i])
    if seg.seq != numbered_right or not sn.before(seg.seq, sn.add(me.pending_seen[i], me.pending_seg_len[i])):
        return False
    if seg.seg_len:
        # Below the doubtful segment this may be a resend of what was lost, and at its number one of the segment itself.
        return me.pending_seg_len[i] != 0 and sn.after(numbered_right, me.pending_seen[i])
    # A pure ACK that was overtaken acknowledges less, or comes at once.
    if me.has_rcv_nxt and sn.before(seg.ack, me.rcv_nxt):
        return False
    return me.pending_seg_len[i] != 0 or seg.time - me.pending_time[i] > SAME_MOMENT


def _answer_gaps_by_receiver(seg: Seen, peer: Side) -> None:
    for i in range(peer.pending_n):
        if peer.pending_kind[i] == GAP and peer.pending_state[i] == OPEN:
            end = sn.add(peer.pending_seen[i], peer.pending_seg_len[i])
            if not sn.before(seg.ack, end) and sn.diff(seg.ack, peer.nxt) <= 0:
                peer.pending_state[i] = MISSED


def _answer_unsent(seg: Seen, me: Side, peer: Side) -> None:
    for i in range(peer.pending_n):
        if peer.pending_kind[i] == GAP or peer.pending_state[i] != OPEN:
            continue
        ack = peer.pending_seen[i]
        if peer.pending_kind[i] == BEHIND:
            # Who goes on from the number that was acknowledged has not begun where its SYN ACK says.
            peer.pending_state[i] = MISSED if seg.seq == ack else WRONG
            if seg.seq == ack:
                me.nxt = ack
            continue
        soon = seg.time - peer.pending_time[i] <= SAME_MOMENT
        if not sn.before(seg.seq, ack):
            peer.pending_state[i] = MISSED
        elif seg.seg_len and soon and seg.end == ack:
            peer.pending_state[i] = LATE
        elif (
            seg.seq_offset == 0
            and not (seg.seg_len and soon and sn.before(seg.end, ack))
            and not (me.has_rcv_nxt and sn.before(seg.ack, me.rcv_nxt))
        ):
            peer.pending_state[i] = WRONG


def resolve(side: Side) -> bool:
    """Take one answered doubt out of the table into `odd_*`; False when none is left."""
    for i in range(side.pending_n):
        if side.pending_state[i] == OPEN:
            continue
        i = _at_first_sight(side, i)
        side.odd_kind = side.pending_kind[i]
        side.odd_state = side.pending_state[i]
        side.odd_packet = side.pending_packet[i]
        side.odd_time = side.pending_time[i]
        side.odd_seg_len = side.pending_seg_len[i]
        side.odd_ctl = side.pending_ctl[i]
        side.odd_mark = side.pending_mark[i]
        if side.odd_kind == GAP:
            side.odd_want, side.odd_seq = side.pending_want[i], side.pending_seen[i]
            _learn(side, i)
        else:
            side.odd_ack_want, side.odd_ack = side.pending_want[i], side.pending_seen[i]
        _drop(side, i)
        return True
    return False


def _at_first_sight(side: Side, i: int) -> int:
    """One gap is one doubt: where a pure ACK shows what is missing, and octets follow under its number, both have the same
    answer. It is given once, of the octets, at the packet of the pure ACK. Returns the row to go on with."""
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
    """What an answered gap says about the sender as a whole."""
    end = sn.add(side.pending_seen[i], side.pending_seg_len[i])
    if side.pending_state[i] == MISSED:
        side.missed += 1
    elif side.pending_state[i] == WRONG and side.pending_seg_len[i] == 0 and side.top == end:
        side.top = side.nxt  # the sender was never there
    elif side.pending_state[i] == WRONG and side.nxt == end:
        # The segment counts as though it had had the number expected.
        side.nxt = sn.add(side.pending_want[i], side.pending_seg_len[i])
        if side.has_fin and side.fin_packet == side.pending_packet[i]:
            side.fin = sn.add(side.nxt, -1)
        if side.data_len and side.data_seq == side.pending_seen[i]:
            side.data_seq = side.pending_want[i]


def _drop(side: Side, i: int) -> None:
    side.pending_n -= 1
    for k in range(i, side.pending_n):
        _copy(side, k + 1, k)


def _copy(side: Side, i: int, k: int) -> None:
    """Row i of the table, written into row k."""
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
    """Put a segment of `me` into the table; the oldest row gives way where it is full."""
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
    me.pending_mark[i] = 1 if me.third == 1 else 2 if pure else 0
    me.pending_n = i + 1


def close(me: Side, peer: Side) -> None:
    """The conversation is over: every open doubt about `me` gets the answer that the whole of it gives."""
    unsent = 0
    for i in range(me.pending_n):
        unsent += me.pending_kind[i] == UNSENT and me.pending_state[i] == OPEN
    for i in range(me.pending_n):
        if me.pending_state[i] != OPEN:
            continue
        if me.pending_kind[i] == GAP:
            me.pending_state[i] = _final(me, peer, i)
        elif me.pending_kind[i] == BEHIND:
            me.pending_state[i] = WRONG
        else:
            # The sender never went on from there. In a capture that shows the whole, those octets were never sent;
            # acks that go on and on beyond what is seen are those of a capture that lost sight of the sender.
            wrong = me.syn != 0 and peer.syn != 0 and peer.missed == 0 and unsent == 1
            me.pending_state[i] = WRONG if wrong else UNPROVEN


def _final(me: Side, peer: Side, i: int) -> int:
    """How a gap that was never filled stands at the end."""
    if not peer.has_rcv_nxt:
        return UNPROVEN
    # Acknowledged as though it had had the right number, or the sender's FIN lies before its end.
    right = sn.add(me.pending_want[i], me.pending_seg_len[i])
    end = sn.add(me.pending_seen[i], me.pending_seg_len[i])
    closed = me.has_fin and sn.after(peer.rcv_nxt, me.fin) and sn.before(me.fin, sn.add(end, -1))
    whole = me.pending_low[i] == me.pending_want[i]  # else other octets came that an ack of `right` is for
    if closed or (me.pending_seg_len[i] and whole and peer.rcv_nxt == right):
        return WRONG
    asks = peer.last_time > me.pending_time[i] and not sn.after(peer.rcv_nxt, me.pending_low[i])
    return LOST if asks else UNPROVEN
