"""Segments that the path may have delayed: others that their sender sent later stand before them in the capture.

A sender's own numbers tell. SND.NXT and RCV.NXT never fall, so a segment that was sent before another one has no higher number
than that one, and no higher ack. A segment with the numbers of an earlier moment may come from that moment.
"""

from collections.abc import Sequence

from labkit.analysis.account import MAX_NEAR, Book
from labkit.analysis.entry import Shown
from labkit.analysis.tracker import MAX_SHIFT
from labkit.tcp.flags import ACK, FIN, RST, SYN
from labkit.tcp.seq import add, diff


def may_be_late(book: Book, index: int, seg: Shown) -> bool:
    """Whether a segment, or the octets that it sends again, may have been sent before another one of its sender that stands
    before it."""
    before = book.segments[max(index - MAX_NEAR, 0) : index]
    own = [one for one in before if one.side == seg.side]
    peers = [one for one in before if one.side != seg.side]
    return _was_next(seg, own) and _was_expected(seg, peers) and (_fits(seg, own) or _fills(seg, own))


def repeats(book: Book, index: int, seg: Shown) -> bool:
    """Whether a segment is like an earlier one of its sender: a network may deliver the same one twice."""
    numbers = _numbers(seg)
    before = book.segments[max(index - MAX_NEAR, 0) : index]
    return any(one.side == seg.side and _numbers(one) == numbers for one in before)


def ends_window(book: Book, index: int, seg: Shown) -> bool:
    """Whether a pure ACK stands at the right edge of a window that the peer has shrunk: some hosts put it there, where the peer
    takes it, and not at SND.NXT (RFC 9293 section 3.8.6.2.1)."""
    offers = [one for one in _offers(book, index, seg.side) if not one.ctl & SYN]
    return seg.is_pure_ack and any(_edge(one, shift) == seg.seq for one in offers for shift in range(MAX_SHIFT + 1))


def ends_shrunk_window(book: Book, index: int, seg: Shown) -> bool:
    """Whether a reset with ACK stands at such an edge: the peer has acknowledged nothing beyond it, and offered more before."""
    offers = _offers(book, index, seg.side)
    if seg.ctl & (RST | ACK) != RST | ACK or any(diff(one.ack, seg.seq) > 0 for one in offers):
        return False
    return any(_has_shrunk_to(seg.seq, [_edge(one, shift) for one in offers]) for shift in range(MAX_SHIFT + 1))


def _has_shrunk_to(number: int, edges: Sequence[int]) -> bool:
    more = False
    for edge in edges:
        if more and edge == number:
            return True
        more = more or diff(edge, number) > 0
    return False


def _offers(book: Book, index: int, side: int) -> list[Shown]:
    """The windows that the peer of a side has offered lately."""
    before = book.segments[max(index - MAX_NEAR, 0) : index]
    return [one for one in before if one.side != side and one.ctl & (RST | ACK) == ACK]


def _edge(offer: Shown, shift: int) -> int:
    """The right edge of a window, if the scale is `shift`. A SYN has none."""
    return add(offer.ack, offer.window << (0 if offer.ctl & SYN else shift))


def _numbers(seg: Shown) -> tuple[int, ...]:
    return seg.seq, seg.ack, seg.ctl, seg.length, seg.window, seg.tsval


def _was_next(seg: Shown, own: Sequence[Shown]) -> bool:
    """Whether the segment begins where an earlier one of its sender begins or ends; a keep-alive, one before that."""
    places = {seg.seq, add(seg.seq, 1)} if seg.length <= 1 and not seg.ctl & FIN else {seg.seq}
    if any(one.end in places or (one.seq in places and not one.ctl & SYN) for one in own):
        return True
    return _is_unseen(seg, own)  # what stands between two gaps begins nowhere else


def _is_unseen(seg: Shown, own: Sequence[Shown]) -> bool:
    """Whether none of a segment's octets was captured before."""
    return seg.length > 0 and not any(diff(one.seq, seg.end) < 0 < diff(one.end, seg.seq) for one in own if one.seg_len)


def _fills(seg: Shown, own: Sequence[Shown]) -> bool:
    """Whether a segment brings octets of a gap, which were sent before what lies behind it."""
    return _is_unseen(seg, own) and any(diff(one.seq, seg.end) >= 0 for one in own if one.length)


def _was_expected(seg: Shown, peers: Sequence[Shown]) -> bool:
    """Whether the segment acknowledges what ends, or is followed by what begins, with its ack."""
    return any(seg.ack in (one.end, one.seq) for one in peers if not one.ctl & (SYN | RST)) or any(
        one.end == seg.ack for one in peers if one.ctl & SYN
    )


def _fits(seg: Shown, own: Sequence[Shown]) -> bool:
    """Whether the numbers leave a moment before another segment of the same sender at which this one was sent."""
    found = False
    top = own[0].seq if own else seg.seq
    for one in own:
        again = one.seg_len > 0 and diff(one.end, top) <= 0
        top = one.end if diff(one.end, top) > 0 else top
        if not one.ctl & ACK:
            found |= one.ctl & RST != 0  # it answers another segment: nothing tells what was sent before it
            continue
        newer = diff(one.ack, seg.ack)
        clock = diff(one.tsval, seg.tsval) if one.tsval >= 0 and seg.tsval >= 0 else 0
        beyond = one.seg_len == 0 < seg.seg_len and one.end == seg.end  # SND.NXT was there already
        if one.ctl & RST:
            found |= newer >= 0 and diff(one.seq, seg.end) >= 0
        elif beyond or diff(one.end, seg.end) > 0 or (seg.seg_len == 0 and diff(one.end, seg.seq) > 0):
            if newer < 0 or clock < 0:
                return False  # this one was sent later, but has the lower ack or the older timestamp
            found = True
        elif again or (one.seg_len == 0 and -1 <= diff(one.end, seg.seq) <= 0):
            found |= newer > 0 or clock > 0  # nothing else tells which one is older
        elif newer > 0:
            return False  # this one was sent earlier, and has the higher ack
    return found
