"""Resets in the accounts of a conversation: the number that one has, and segments that come after it."""

from collections.abc import Iterator

from labkit.analysis.account import MAX_NEAR, Account, Book
from labkit.analysis.entry import CLIENT, Shown
from labkit.analysis.lateness import ends_shrunk_window, may_be_late
from labkit.analysis.order import NEXT_IDS
from labkit.tcp.flags import ACK, RST, SYN
from labkit.tcp.seq import add, diff


def post_reset(book: Book, seg: Shown) -> None:
    """Enter a reset whose number is neither its sender's next one nor that of a segment which it answers."""
    me, peer = book.accounts[seg.side], book.accounts[1 - seg.side]
    off = diff(seg.seq, me.nxt)
    if not me.opened or not off or off in me.shifts or me.reset is not None:
        return
    if (peer.last is not None and _answers(seg, peer.last)) or (peer.has_acked and seg.seq == peer.acked):
        return
    if off < 0 and ends_shrunk_window(book, book.posted, seg):
        return
    old = _answers_old(book, seg, peer)
    closed = me.fin is not None and peer.fin is not None and peer.has_acked and peer.acked == add(me.fin_at, 1)
    refuses = me.taken is None and seg.ctl & ACK != 0  # it has no connection, or this capture does not show its SYN
    if not (old and (me.gone or peer.gone or closed or refuses)):
        entry = book.number(seg, "seq", me, me.nxt, seg.seq)
        entry.under_way = old and _answers_what_was_under_way(book, seg, me)
        entry.lossy, entry.late = off > 0, old and (entry.under_way or not seg.ctl & ACK or not seg.seq)


def _answers(seg: Shown, other: Shown) -> bool:
    """Whether a reset has the numbers with which a host answers a segment for which it has no connection: that of its ack or,
    where it has none, 0 and an ack of all that it takes (RFC 9293 section 3.5.2, group 1). A SYN in SYN-RECEIVED is answered so
    too (Linux 6.18)."""
    if seg.ctl & ACK:
        return seg.seq == 0 and not other.ctl & ACK and seg.ack == other.end
    return bool(other.ctl & ACK) and seg.seq == other.ack


def _answers_old(book: Book, seg: Shown, peer: Account) -> bool:
    """Whether a reset may answer an old segment of the peer, which has been under way. Some hosts set ACK there (lwIP 2.1.3), and
    acknowledge the segment, whose ack is their seq."""
    if seg.ctl & ACK and seg.seq == 0 and seg.ack == add(peer.isn, 1):
        return True
    if seg.seq not in peer.acks:
        return False
    return not seg.ctl & ACK or any(one.end == seg.ack for one in _with_ack(book, seg))


def _with_ack(book: Book, seg: Shown) -> Iterator[Shown]:
    """The peer's segments before a reset that have its seq as their ack."""
    before = reversed(book.segments[max(book.posted - MAX_NEAR, 0) : book.posted])
    return (one for one in before if one.side != seg.side and one.ctl & ACK and one.ack == seg.seq)


def _answers_what_was_under_way(book: Book, seg: Shown, me: Account) -> bool:
    """Whether a reset may answer a segment of the peer that came after all that the reset's sender has acknowledged. At the
    number of its own FIN, that is data: a pure ACK of what stands before the FIN is what the host closes on."""
    closes = me.fin is not None and seg.seq == me.fin_at
    for one in _with_ack(book, seg):
        new = diff(one.end, me.acked) if me.has_acked else 1
        if new > 0 if one.seg_len else (new >= 0 and not closes):
            return True
    return seg.ctl & ACK != 0 and not seg.seq


def continue_after_reset(book: Book, index: int, seg: Shown) -> None:
    """Enter the segments of a side that come after its own reset."""
    me, peer = book.accounts[seg.side], book.accounts[1 - seg.side]
    refuses = me.last is not None and not me.opened and me.last.ack != peer.nxt
    if me.reset is not None or refuses:  # a client ignores a refusal that does not acknowledge its SYN
        return
    if me.last is not None and _was_overtaken(seg, me.last):
        return
    before = [one for one in book.segments if one.side == seg.side and one.packet < seg.packet]
    kernel = seg.side == CLIENT and len(before) == 2 and bool(before[0].ctl & SYN)
    me.reset = book.enter(seg, "flags", fault="kernel" if kernel else "resets")
    me.reset.own = me.last
    me.reset.late = may_be_late(book, index, seg) and not _listens_on(book, index, seg)
    # The only segment that the reset can answer is the SYN ACK, and the client has acknowledged nothing before.
    me.reset.certain = kernel and peer.taken is not None and peer.last is peer.taken and peer.taken.ctl & SYN != 0
    for one in book.segments:
        if one.side == seg.side and one.packet > seg.packet and not one.ctl & RST:
            book.enter(one, "flags", fault=me.reset.fault, cause=me.reset)


def _was_overtaken(seg: Shown, reset: Shown) -> bool:
    """Whether the identification or the timestamp of a segment shows that it was sent before a reset of the same side, which
    stands before it."""
    step = (reset.ip_id - seg.ip_id) & 0xFFFF if min(seg.ip_id, reset.ip_id) > 0 else 0
    clock = diff(reset.tsval, seg.tsval) if min(seg.tsval, reset.tsval) >= 0 else 0
    counts_on = step == 0xFFFF  # then a wrong timestamp is a mistake
    return 0 < step <= NEXT_IDS if clock == 0 else clock > 0 and not counts_on


def _listens_on(book: Book, index: int, seg: Shown) -> bool:
    """Whether a sender acknowledges, after its reset, what the peer has sent only after that."""
    later = book.near(index)
    known = {one.end for one in book.segments[:index] if one.side != seg.side}
    sent = {one.end for one in later if one.side != seg.side and one.seg_len} - known
    return any(one.side == seg.side and one.ctl & (RST | ACK) == ACK and one.ack in sent for one in later)
