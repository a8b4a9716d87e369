"""Acknowledgments that say less than has come, although nothing was lost."""

from labkit.analysis.account import Account, Book
from labkit.analysis.entry import Shown
from labkit.tcp.segment import SYN


def repeat_ack(book: Book, index: int, seg: Shown) -> None:
    """Enter a pure ACK that repeats its sender's last number, right behind a segment that it could acknowledge.

    A duplicate ACK asks for something that is missing, and a window update has another window: neither is meant.
    """
    before, me, peer = book.segments[index - 1], book.accounts[seg.side], book.accounts[1 - seg.side]
    if before.side == seg.side or not _is_quiet(book, seg, me):
        return
    first = 1 < before.length <= me.mss and before.seq == seg.ack and peer.starts.get(before.seq) is before
    first |= before is peer.fin and not before.length and before.seq == seg.ack
    if first and not _follows(book, index, before.end):
        book.number(seg, "ack", peer, before.end, seg.ack).fault = "silent"


def leaves_out_fin(book: Book, index: int, seg: Shown) -> bool:
    """Whether a pure ACK right behind data with a FIN acknowledges the data and not the FIN."""
    me, peer = book.accounts[seg.side], book.accounts[1 - seg.side]
    fin = peer.fin
    if fin is None or not fin.length or book.segments[index - 1] is not fin or seg.ack != peer.fin_at:
        return False
    return _is_quiet(book, seg, me) and not _follows(book, index, fin.end)


def _is_quiet(book: Book, seg: Shown, me: Account) -> bool:
    """Whether a segment only acknowledges: it is no window update, and nothing is sent again, which it could ask for.

    The window of a SYN is not scaled, so that it cannot be compared.
    """
    same = me.last is not None and (seg.window == me.last.window or me.last.ctl & SYN != 0)
    return same and seg.is_pure_ack and seg.window != 0 and not book.sent_again[1 - seg.side]


def _follows(book: Book, index: int, ack: int) -> bool:
    """Whether the same side acknowledges so much at once: macOS acknowledges data before it acknowledges the FIN."""
    seg = book.segments[index]
    follower = next(iter(book.segments[index + 1 : index + 2]), seg)
    return follower.is_pure_ack and follower.side == seg.side and follower.ack == ack
