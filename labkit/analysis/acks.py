"""Acknowledgments that say less than has come, although nothing was lost."""

from labkit.analysis.account import Account, Book
from labkit.analysis.entry import Entry, Shown
from labkit.analysis.lateness import repeats
from labkit.tcp.flags import ACK, RST, SYN
from labkit.tcp.seq import diff


def repeat_ack(book: Book, index: int, seg: Shown) -> None:
    """Enter a pure ACK that repeats its sender's last number, right behind a segment that it could acknowledge.

    A duplicate ACK asks for something that is missing, and a window update has another window: neither is meant.
    """
    before, me, peer = book.segments[index - 1], book.accounts[seg.side], book.accounts[1 - seg.side]
    if before.side == seg.side or not _is_quiet(book, seg, me) or echoes_less(seg, before):
        return
    first = 1 < before.length <= me.mss and before.seq == seg.ack and peer.starts.get(before.seq) is before
    first |= before is peer.fin and not before.length and before.seq == seg.ack
    if first and not _follows(book, index, before.end):
        entry = book.number(seg, "ack", peer, before.end, seg.ack)
        entry.fault, entry.late = "silent", repeats(book, index, seg)


def leaves_out_fin(book: Book, index: int, seg: Shown) -> bool:
    """Whether a pure ACK right behind data with a FIN acknowledges the data and not the FIN."""
    me, peer = book.accounts[seg.side], book.accounts[1 - seg.side]
    fin = peer.fin
    if fin is None or not fin.length or book.segments[index - 1] is not fin or seg.ack != peer.fin_at:
        return False
    return _is_quiet(book, seg, me) and not _follows(book, index, fin.end) and not echoes_less(seg, fin)


def echoes_less(seg: Shown, before: Shown) -> bool:
    """Whether an echo shows that a segment has not arrived: its receiver would echo its timestamp (RFC 7323 section 4.3)."""
    return before.tsval >= 0 and seg.tsecr >= 0 and diff(seg.tsecr, before.tsval) < 0


def _is_quiet(book: Book, seg: Shown, me: Account) -> bool:
    """Whether a segment only acknowledges: it is not a window update, and nothing is sent again, which it could ask for.

    The window of a SYN is not scaled, so that it cannot be compared.
    """
    same = me.last is not None and (seg.window == me.last.window or me.last.ctl & SYN != 0)
    if seg.seq != me.nxt or book.syns[1 - seg.side] > 1 or 1 - seg.side in book.keeping_alive:
        return False  # a keep-alive, or an answer to one or to a SYN that was sent again
    return same and seg.is_pure_ack and seg.window != 0 and not answers_resend(book, seg, me)


def answers_resend(book: Book, seg: Shown, me: Account) -> bool:
    """Whether an ACK may ask for what the peer sends again, or answer what it sent again."""
    return book.resends[1 - seg.side].concern(seg.ack, seg.packet, me.acked)


def _follows(book: Book, index: int, ack: int) -> bool:
    """Whether the same side acknowledges so much at once: macOS acknowledges data before it acknowledges the FIN."""
    seg = book.segments[index]
    follower = next(iter(book.segments[index + 1 : index + 2]), seg)
    return follower.is_pure_ack and follower.side == seg.side and follower.ack == ack


def late_acks(book: Book) -> list[Entry]:
    """Data and FINs that repeat their sender's last ack although new data of the peer stands before them, where both sides
    take turns and the data is acknowledged only together with what comes after it.

    Had the two crossed on their way, their receiver would acknowledge the data by itself.
    """
    found: list[Entry] = []
    known = {entry.packet for entry in book.entries}
    again = {seg.packet for side in book.sent_again for seg in side}
    last: list[Shown | None] = [None, None]
    news: Shown | None = None
    for index, seg in enumerate(book.segments):
        own = last[seg.side]
        repeats = own is not None and own.ack == seg.ack and seg.seg_len and seg.ctl & (SYN | RST | ACK) == ACK
        if repeats and news is not None and news.side != seg.side and diff(news.end, seg.ack) > 0:
            first = not found or (found[-1].shown.side, found[-1].actual) != (seg.side, seg.ack)
            if first and seg.packet not in known and _acks_with_more(book, index, seg, news):
                of, off = book.accounts[news.side], diff(seg.ack, news.end)
                at = own if own is not None and own.packet > news.packet else seg
                found.append(Entry(at, "ack", news.end, seg.ack, of.isn, off, fault="late", own=own, peer=news))
        if seg.length and not seg.ctl & (SYN | RST) and seg.packet not in again:
            news = seg
        last[seg.side] = seg
    return found


def _acks_with_more(book: Book, index: int, seg: Shown, news: Shown) -> bool:
    """Whether the peer takes a segment at once, and its sender acknowledges `news` only with what the peer sends after that, or
    with what it sends itself after that."""
    answer, following = book.following(index, 1 - seg.side), book.following(index, seg.side)
    if answer is None or following is None or not answer.ctl & ACK or diff(answer.ack, seg.end) < 0:
        return False
    late = following.seg_len and following.packet > answer.packet
    return diff(following.ack, news.end) > 0 or bool(late and following.ack == news.end)
