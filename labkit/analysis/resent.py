"""Octets that come again: a retransmission, perhaps cut differently, or a copy under another number."""

from labkit.analysis.account import Account, Book, recent
from labkit.analysis.entry import Shown
from labkit.tcp.flags import FIN
from labkit.tcp.seq import add, diff


def was_sent(seg: Shown, me: Account) -> bool:
    """Whether a segment took the same numbers before, with the same octets as far as both are shown."""
    first = me.starts.get(seg.seq)
    if not seg.length:
        return bool(seg.ctl & FIN) and me.fin is not None and seg.seq == me.fin_at
    return first is not None and first is not seg and _agree(first, seg)


def is_resent(seg: Shown, me: Account, off: int) -> bool:
    """Whether the segment brings again what was sent under its numbers, perhaps cut differently. `off`: how far its seq lies
    beyond SND.NXT."""
    if not seg.seg_len:
        return False
    if (off < 0 or me.shifts) and was_sent(seg, me):
        return True
    for first in recent(me) if off < 0 else ():
        inside = diff(seg.seq, first.seq)
        if 0 <= inside < first.length and seg.length:
            known = first.payload[inside : inside + seg.length]
            return bool(known) and seg.payload[: len(known)] == known
    return False


def is_new_end(seg: Shown, me: Account) -> bool:
    """Whether a segment that brings octets again ends behind everything that its side has sent, under a wrong number too."""
    return all(diff(seg.end, add(me.nxt, shift)) > 0 for shift in (0, *me.shifts) if shift >= 0)


def contradicts(seg: Shown, later: Shown) -> bool:
    """Whether two segments have different octets for the same number."""
    at = diff(later.seq, seg.seq)
    mine, its = seg.payload[max(at, 0) :], later.payload[max(-at, 0) :]
    both = min(len(mine), len(its))
    return mine[:both] != its[:both]


def resent_elsewhere(book: Book, index: int, seg: Shown, me: Account, off: int) -> Shown | None:
    """The last segment of the sender, if this one brings its octets again under another number, and nobody counts them."""
    last = me.taken
    if off >= 0 or last is None or not seg.length or seg.payload != last.payload or seg.length != last.length:
        return None
    following = book.following(index, seg.side)
    return last if following is not None and following.seq == me.nxt else None


def counts_as_new(book: Book, index: int, seg: Shown, me: Account) -> bool:
    """Whether the sender goes on as though all of a segment were new that seems to bring old octets and new ones."""
    if diff(seg.end, me.nxt) <= 0:
        return False
    following = book.following(index, seg.side)
    return following is not None and following.seq == add(me.nxt, seg.seg_len)


def _agree(first: Shown, seg: Shown) -> bool:
    both = min(len(first.payload), len(seg.payload))
    return first.payload[:both] == seg.payload[:both]
