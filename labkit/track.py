"""What an observer knows of one sender, and how each segment adds to it. Knows, never judges.

For every segment the caller runs, in this order, with `me` its sender and `peer` the other side:

    look(seg, me, peer)         relate the segment to what is known: seg.span, end, delta, novel
    while settle(side): ...     questions about earlier packets that this segment has answered, for both sides;
                                where there were any, relate(seg, me) once more
    (the rules)
    advance(seg, me, peer)      add the segment to what is known

and `close(me, peer)` for both sides when the conversation, or the capture, ends.

Some things cannot be judged when they are seen. A gap in the numbers is a lost or reordered segment if it is filled
later, a capture that missed a packet if it is acknowledged, and a wrong number if the sender goes on as though it had
never been. An ack beyond what was sent is wrong, unless the sender goes on from there. Such a segment becomes a doubt:
a row of a small table in its sender's Side, until later segments answer it (DOUBTS rows; the oldest gives way).

Every value is an integer or a fixed row of integers and every function is plain, so that they can be compiled as they
are. Sequence numbers are absolute; `has_*` says whether a number is known, for 0 is a sequence number like any other.
RFC 9293 section 3.3.1 names the variables: nxt is SND.NXT, ack what the side itself acknowledges (its RCV.NXT).
"""

from dataclasses import dataclass, field

from labkit import seq as sn
from labkit.segment import ABSENT, ACK, FIN, RST, SUM_BAD, SYN, Seen

DOUBTS = 8

GAP, UNSENT = 1, 2
"""What a doubt is about: numbers left out before a segment, or an ack of numbers not sent."""

OPEN, FILLED, MISSED, LATE, WRONG, UNPROVEN = 0, 1, 2, 3, 4, 5
"""How a doubt stands. FILLED: the octets came later. MISSED: the capture lacks packets, the numbers are right.
LATE: the cause was captured after its effect. WRONG: the sender, or the receiver, went on as though the number had
been another. UNPROVEN: nothing later tells."""

SAME_MOMENT = 3_000_000
"""Nanoseconds within which a capture may show an answer before its cause (several queues, several interfaces)."""

MAX_SHIFT = 14
"""RFC 7323 section 2.3: a larger shift counts as 14."""


def _row() -> list[int]:
    return [0] * DOUBTS


@dataclass(slots=True)
class Side:
    """What the capture shows of one sender."""

    seen: int = 0
    """Segments seen from this side."""
    base: int = 0
    """The number that is shown as 0: the ISN, or one before the first number seen."""
    has_base: int = 0

    # The opening.
    syn: int = 0
    """1 once a SYN without ACK was seen, 2 once a SYN with ACK was."""
    isn: int = 0
    syn_end: int = 0
    """The number after the SYN and any data on it."""
    syn_packet: int = 0
    resyn: int = 0
    """ISN of a SYN that arrived in the middle of the connection."""
    has_resyn: int = 0
    resyn_packet: int = 0
    third: int = 0
    """1 while this side owes the third segment of the handshake, 2 once it has sent it."""
    first_packet: int = 0
    first_time: int = 0
    first_seq: int = 0
    first_ctl: int = 0

    # Sequence numbers.
    nxt: int = 0
    has_nxt: int = 0
    top: int = 0
    """The highest number that a segment ended at, also of a pure ACK beyond `nxt`; known where `nxt` is."""
    last_seq: int = 0
    last_len: int = 0
    last_ctl: int = 0
    last_ack: int = 0
    has_last_ack: int = 0
    """The ack field of the last segment that had one, whatever it was."""
    last_id: int = ABSENT
    last_packet: int = 0
    last_time: int = 0
    data_seq: int = 0
    """Start of the last segment that carried new octets in order, and its length."""
    data_len: int = 0
    octets: int = 0
    """Octets of payload seen for the first time."""
    resent: int = 0
    """Segments of which no number was new."""
    missed: int = 0
    """Gaps that the receiver acknowledged: the capture lacks packets of this side."""
    run: int = 0
    """Segments since the other side sent one."""
    probe: int = 0
    """1 where the last segment was a keep-alive or a window probe."""

    # What this side acknowledges, and the window that it offers.
    ack: int = 0
    has_ack: int = 0
    ack_packet: int = 0
    ack_time: int = 0
    win: int = 0
    """The last window, in octets."""
    raw_win: int = 0
    edge: int = 0
    """The right-most number that it has ever offered to take."""
    has_edge: int = 0
    wscale: int = ABSENT
    """The shift that its SYN offered; ABSENT where it offered none."""
    mss: int = ABSENT
    tsval: int = ABSENT

    # The end.
    fin: int = 0
    """The number that FIN takes."""
    has_fin: int = 0
    fin_packet: int = 0
    fin_time: int = 0
    rst: int = 0
    rst_seq: int = 0
    rst_packet: int = 0
    rst_time: int = 0

    # Open doubts about segments of this side, one a column; doubt_n of them.
    doubt_n: int = 0
    doubt_kind: list[int] = field(default_factory=_row)
    doubt_state: list[int] = field(default_factory=_row)
    doubt_packet: list[int] = field(default_factory=_row)
    doubt_time: list[int] = field(default_factory=_row)
    doubt_want: list[int] = field(default_factory=_row)
    """The number that was expected: SND.NXT of whoever sends these octets."""
    doubt_low: list[int] = field(default_factory=_row)
    """GAP: the first number that is still missing."""
    doubt_high: list[int] = field(default_factory=_row)
    """GAP: the first number that is not missing."""
    doubt_seen: list[int] = field(default_factory=_row)
    """The number that was there instead: GAP: the segment's seq; UNSENT: its ack."""
    doubt_span: list[int] = field(default_factory=_row)
    doubt_ctl: list[int] = field(default_factory=_row)
    doubt_mark: list[int] = field(default_factory=_row)
    """1: the third segment of a handshake; 2: the segment before it was a pure ACK of the same sender."""

    # The doubt that `settle` took out last.
    odd_kind: int = 0
    odd_state: int = 0
    odd_packet: int = 0
    odd_time: int = 0
    odd_want: int = 0
    odd_seq: int = 0
    odd_ack_want: int = 0
    odd_ack: int = 0
    odd_span: int = 0
    odd_ctl: int = 0
    odd_mark: int = 0


def look(seg: Seen, me: Side, peer: Side) -> None:
    """Relate a segment to what is known, and answer the doubts that it can answer."""
    seg.span = seg.len + (seg.ctl & SYN != 0) + (seg.ctl & FIN != 0)
    seg.end = sn.add(seg.seq, seg.span)
    seg.delta = 0
    seg.novel = seg.span
    seg.conflict = ABSENT
    relate(seg, me)
    if seg.delta < 0:
        seg.novel = max(0, sn.diff(seg.end, me.nxt)) + _missing(seg, me)
    if seg.ctl & (SYN | RST):
        return
    if me.doubt_n:
        _answer_gaps_by_sender(seg, me)
    if peer.doubt_n:
        if seg.ctl & ACK:
            _answer_gaps_by_receiver(seg, peer)
        _answer_unsent(seg, me, peer)


def relate(seg: Seen, me: Side) -> None:
    """Where the segment starts; to be called again where `settle` has answered a doubt, which may move SND.NXT."""
    if me.has_nxt and seg.ctl & (SYN | RST) == 0:
        seg.delta = sn.diff(seg.seq, me.nxt)
        if seg.delta >= 0:
            seg.novel = seg.span


def is_probe(seg: Seen, me: Side, peer: Side) -> bool:
    """Whether the segment asks for an ACK with a number just before SND.NXT, at most one octet, all being acked.

    Keep-alives (RFC 9293 section 3.8.4) and Linux's window probes have this form; the octet may be garbage. They come
    from a timer, and acknowledge nothing new.
    """
    return (
        seg.delta == -1
        and not (me.has_ack and sn.after(seg.ack, me.ack))
        and seg.len <= 1
        and seg.ctl & (SYN | FIN | RST) == 0
        and me.has_nxt != 0
        and (peer.has_ack == 0 or peer.ack == me.nxt or peer.win == 0)
    )


def overtaken(seg: Seen, me: Side) -> bool:
    """Whether another segment of the same sender may have passed this one on its way, as far as it shows.

    It has an older timestamp, or comes within a moment of the segment before it. One with new octets was sent last.
    """
    if seg.novel and seg.delta >= 0 and not sn.before(seg.seq, me.top):
        return False
    older = seg.tsval >= 0 and me.tsval >= 0 and sn.before(seg.tsval, me.tsval)
    return older or seg.time - me.last_time <= SAME_MOMENT


def unacked(seg: Seen, peer: Side) -> bool:
    """Whether some number of the segment was not yet acknowledged, as far as the capture shows."""
    return peer.has_ack == 0 or sn.after(seg.end, peer.ack)


def _missing(seg: Seen, me: Side) -> int:
    """How many numbers of the segment lie in open gaps."""
    total = 0
    for i in range(me.doubt_n):
        if me.doubt_kind[i] == GAP and me.doubt_span[i]:
            low = sn.latest(seg.seq, me.doubt_low[i])
            high = me.doubt_high[i] if sn.before(me.doubt_high[i], seg.end) else seg.end
            total += max(0, sn.diff(high, low))
    return total


def _answer_gaps_by_sender(seg: Seen, me: Side) -> None:
    rows = me.doubt_n  # a gap that is filled in the middle adds a row, which needs no answer now
    for i in range(rows):
        if me.doubt_kind[i] != GAP or me.doubt_state[i] != OPEN:
            continue
        low, high = me.doubt_low[i], me.doubt_high[i]
        if seg.span and sn.before(seg.seq, high) and sn.after(seg.end, low):
            if me.doubt_span[i] == 0 and sn.after(seg.end, high):
                # Octets sent later run across the number: SND.NXT was never there.
                me.doubt_state[i] = WRONG
            else:
                _fill(seg, me, i)
        elif _goes_on_without(seg, me, i):
            me.doubt_state[i] = WRONG


def _fill(seg: Seen, me: Side, i: int) -> None:
    """Take the segment's numbers out of a gap."""
    low, high = me.doubt_low[i], me.doubt_high[i]
    if not sn.after(seg.seq, low):
        me.doubt_low[i] = seg.end
        if not sn.before(seg.end, high):
            me.doubt_state[i] = FILLED
        return
    me.doubt_high[i] = seg.seq
    if sn.before(seg.end, high) and me.doubt_n < DOUBTS:
        _copy(me, i, me.doubt_n)
        me.doubt_low[me.doubt_n], me.doubt_high[me.doubt_n] = seg.end, high
        me.doubt_n += 1


def _goes_on_without(seg: Seen, me: Side, i: int) -> bool:
    """Whether the sender goes on from where it would be, had the doubtful segment had the number expected."""
    numbered_right = sn.add(me.doubt_want[i], me.doubt_span[i])
    if seg.seq != numbered_right or not sn.before(seg.seq, sn.add(me.doubt_seen[i], me.doubt_span[i])):
        return False
    if seg.span:
        # Below the doubtful segment this may be a resend of what was lost, and at its number one of the segment itself.
        return me.doubt_span[i] != 0 and sn.after(numbered_right, me.doubt_seen[i])
    # A pure ACK that was overtaken acknowledges less, or comes at once.
    if me.has_ack and sn.before(seg.ack, me.ack):
        return False
    return me.doubt_span[i] != 0 or seg.time - me.doubt_time[i] > SAME_MOMENT


def _answer_gaps_by_receiver(seg: Seen, peer: Side) -> None:
    for i in range(peer.doubt_n):
        if peer.doubt_kind[i] == GAP and peer.doubt_state[i] == OPEN:
            end = sn.add(peer.doubt_seen[i], peer.doubt_span[i])
            if not sn.before(seg.ack, end) and sn.diff(seg.ack, peer.nxt) <= 0:
                peer.doubt_state[i] = MISSED


def _answer_unsent(seg: Seen, me: Side, peer: Side) -> None:
    for i in range(peer.doubt_n):
        if peer.doubt_kind[i] != UNSENT or peer.doubt_state[i] != OPEN:
            continue
        ack = peer.doubt_seen[i]
        soon = seg.time - peer.doubt_time[i] <= SAME_MOMENT
        if not sn.before(seg.seq, ack):
            peer.doubt_state[i] = MISSED
        elif seg.span and soon and seg.end == ack:
            peer.doubt_state[i] = LATE
        elif (
            seg.delta == 0
            and not (seg.span and soon and sn.before(seg.end, ack))
            and not (me.has_ack and sn.before(seg.ack, me.ack))
        ):
            peer.doubt_state[i] = WRONG


def settle(side: Side) -> bool:
    """Take one answered doubt out of the table into `odd_*`; False when none is left."""
    for i in range(side.doubt_n):
        if side.doubt_state[i] == OPEN:
            continue
        side.odd_kind = side.doubt_kind[i]
        side.odd_state = side.doubt_state[i]
        side.odd_packet = side.doubt_packet[i]
        side.odd_time = side.doubt_time[i]
        side.odd_span = side.doubt_span[i]
        side.odd_ctl = side.doubt_ctl[i]
        side.odd_mark = side.doubt_mark[i]
        if side.odd_kind == GAP:
            side.odd_want, side.odd_seq = side.doubt_want[i], side.doubt_seen[i]
            _learn(side, i)
        else:
            side.odd_ack_want, side.odd_ack = side.doubt_want[i], side.doubt_seen[i]
        _drop(side, i)
        return True
    return False


def _learn(side: Side, i: int) -> None:
    """What an answered gap says about the sender as a whole."""
    end = sn.add(side.doubt_seen[i], side.doubt_span[i])
    if side.doubt_state[i] == MISSED:
        side.missed += 1
    elif side.doubt_state[i] == WRONG and side.nxt == end:
        # The segment counts as though it had had the number expected.
        side.nxt = sn.add(side.doubt_want[i], side.doubt_span[i])
        if side.has_fin and side.fin_packet == side.doubt_packet[i]:
            side.fin = sn.add(side.nxt, -1)


def _drop(side: Side, i: int) -> None:
    side.doubt_n -= 1
    for k in range(i, side.doubt_n):
        _copy(side, k + 1, k)


def _copy(side: Side, i: int, k: int) -> None:
    """Row i of the table, written into row k."""
    side.doubt_kind[k] = side.doubt_kind[i]
    side.doubt_state[k] = side.doubt_state[i]
    side.doubt_packet[k] = side.doubt_packet[i]
    side.doubt_time[k] = side.doubt_time[i]
    side.doubt_want[k] = side.doubt_want[i]
    side.doubt_low[k] = side.doubt_low[i]
    side.doubt_high[k] = side.doubt_high[i]
    side.doubt_seen[k] = side.doubt_seen[i]
    side.doubt_span[k] = side.doubt_span[i]
    side.doubt_ctl[k] = side.doubt_ctl[i]
    side.doubt_mark[k] = side.doubt_mark[i]


def _doubt(seg: Seen, me: Side, kind: int, want: int, high: int) -> None:
    """Put a segment of `me` into the table; the oldest row gives way where it is full."""
    if me.doubt_n == DOUBTS:
        _drop(me, 0)
    i = me.doubt_n
    me.doubt_kind[i] = kind
    me.doubt_state[i] = OPEN
    me.doubt_packet[i] = seg.number
    me.doubt_time[i] = seg.time
    me.doubt_want[i] = want
    me.doubt_low[i] = want
    me.doubt_high[i] = high
    me.doubt_seen[i] = high
    me.doubt_span[i] = seg.span
    me.doubt_ctl[i] = seg.ctl
    pure = me.last_ctl & (SYN | FIN | RST) == 0 and me.last_len == 0 and me.last_seq == me.nxt and me.seen > 0
    me.doubt_mark[i] = 1 if me.third == 1 else 2 if pure else 0
    me.doubt_n = i + 1


def close(me: Side, peer: Side) -> None:
    """The conversation is over: every open doubt about `me` gets the answer that the whole of it gives."""
    unsent = 0
    for i in range(me.doubt_n):
        unsent += me.doubt_kind[i] == UNSENT and me.doubt_state[i] == OPEN
    for i in range(me.doubt_n):
        if me.doubt_state[i] != OPEN:
            continue
        if me.doubt_kind[i] == GAP:
            # Acknowledged as though it had had the right number, or the sender's FIN lies before its end.
            right = sn.add(me.doubt_want[i], me.doubt_span[i])
            end = sn.add(me.doubt_seen[i], me.doubt_span[i])
            closed = me.has_fin and sn.after(peer.ack, me.fin) and sn.before(me.fin, sn.add(end, -1))
            wrong = peer.has_ack and (closed or (me.doubt_span[i] and peer.ack == right))
        else:
            # The sender never went on from there. In a capture that shows the whole, those octets were never sent;
            # acks that go on and on beyond what is seen are those of a capture that lost sight of the sender.
            wrong = me.syn != 0 and peer.syn != 0 and peer.missed == 0 and unsent == 1
        me.doubt_state[i] = WRONG if wrong else UNPROVEN


def advance(seg: Seen, me: Side, peer: Side) -> None:
    """Add a segment to what is known. A segment whose header is broken only counts."""
    if not me.seen:
        me.first_packet, me.first_time, me.first_seq, me.first_ctl = seg.number, seg.time, seg.seq, seg.ctl
    me.seen += 1
    me.run += 1
    peer.run = 0
    me.probe = 1 if is_probe(seg, me, peer) else 0
    if not me.has_base:
        _set_base(me, seg.seq if seg.ctl & (SYN | RST) else sn.add(seg.seq, -1))
    if not peer.has_base and seg.ctl & ACK:
        _set_base(peer, sn.add(seg.ack, -1))
    if seg.ctl & RST:
        me.rst, me.rst_seq, me.rst_packet, me.rst_time = 1, seg.seq, seg.number, seg.time
    elif seg.ctl & SYN:
        _advance_syn(seg, me, peer)
    else:
        _advance_sequence(seg, me)
    if seg.ctl & ACK and seg.ctl & RST == 0:
        _advance_ack(seg, me, peer)
    me.last_seq, me.last_len, me.last_ctl = seg.seq, seg.len, seg.ctl
    if seg.ctl & ACK:
        me.last_ack, me.has_last_ack = seg.ack, 1
    me.last_packet, me.last_time, me.last_id = seg.number, seg.time, seg.ip_id
    if me.third == 1 and seg.ctl & (SYN | RST) == 0:
        me.third = 2
    if seg.tsval >= 0 and (me.tsval < 0 or sn.after(seg.tsval, me.tsval)):
        me.tsval = seg.tsval


def _set_base(side: Side, number: int) -> None:
    side.base, side.has_base = number, 1


def _advance_syn(seg: Seen, me: Side, peer: Side) -> None:
    if me.syn and seg.seq != me.isn:
        if peer.seen or seg.ctl & ACK:
            me.resyn, me.has_resyn, me.resyn_packet = seg.seq, 1, seg.number
            return
        me.has_nxt = 0  # nobody has answered the first one: this attempt takes its place
    if me.syn == 0 and me.has_nxt:
        return  # a SYN after the connection was seen under way: the flow table begins a new one where it is due
    me.isn = seg.seq
    me.syn_packet = seg.number
    me.syn = 2 if seg.ctl & ACK else max(me.syn, 1)
    me.syn_end = seg.end
    me.mss, me.wscale = seg.mss, seg.wscale
    _set_base(me, seg.seq)
    if not me.has_nxt or sn.after(seg.end, me.nxt):
        me.nxt, me.has_nxt = seg.end, 1
    me.top = me.nxt
    if seg.ctl & ACK and peer.syn and peer.third == 0:
        peer.third = 1


def _advance_sequence(seg: Seen, me: Side) -> None:
    fin = sn.add(seg.seq, seg.len)
    if seg.ctl & FIN and not me.has_fin and me.has_nxt and me.doubt_n == 0 and sn.before(fin, me.nxt):
        # A FIN before octets that were sent has a wrong number (FIN01): it counts as though it stood after them.
        fin = me.nxt
        me.nxt = sn.add(fin, 1)
    if not me.has_nxt:
        me.nxt, me.has_nxt = seg.end, 1
        me.octets += seg.len
    elif seg.delta > 0:
        _doubt(seg, me, GAP, me.nxt, seg.seq)
        if seg.span:
            me.nxt = seg.end
            me.octets += seg.len
    else:
        if seg.span and not seg.novel:
            me.resent += 1
        me.octets += min(seg.novel, seg.len)
        if sn.after(seg.end, me.nxt):
            me.nxt = seg.end
    me.top = seg.end if me.seen == 1 else sn.latest(me.top, seg.end)
    if seg.len and seg.novel:
        me.data_seq, me.data_len = seg.seq, seg.len
    if seg.ctl & FIN and not me.has_fin:
        me.fin, me.has_fin = fin, 1
        me.fin_packet, me.fin_time = seg.number, seg.time


def _advance_ack(seg: Seen, me: Side, peer: Side) -> None:
    if peer.seen and peer.has_nxt and sn.after(seg.ack, peer.nxt):
        _doubt(seg, me, UNSENT, peer.nxt, seg.ack)
        return
    if not me.has_ack or sn.after(seg.ack, me.ack):
        me.ack, me.has_ack = seg.ack, 1
        me.ack_packet, me.ack_time = seg.number, seg.time
    elif sn.before(seg.ack, me.ack):
        return  # overtaken: its window is old news (RFC 9293 section 3.10.7.4: SND.WL1 and SND.WL2)
    me.raw_win = seg.win
    me.win = scaled(seg.win, seg.ctl, me, peer)
    edge = sn.add(seg.ack, me.win)
    if not me.has_edge or sn.after(edge, me.edge):
        me.edge, me.has_edge = edge, 1


def scaled(win: int, ctl: int, me: Side, peer: Side) -> int:
    """A window in octets: shifted where both SYNs offered a scale, never on a SYN itself (RFC 7323 section 2.2)."""
    if ctl & SYN or me.wscale < 0 or peer.wscale < 0:
        return win
    return win << min(me.wscale, MAX_SHIFT)


def spoiled(seg: Seen) -> bool:
    """Whether the octets of the segment cannot be trusted: its checksum is wrong, so its receiver drops it."""
    return seg.sum_state == SUM_BAD
