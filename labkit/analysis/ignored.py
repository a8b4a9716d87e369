"""Control bits that both sides ignore: SYN, FIN or RST is set, and the conversation goes on as though it were not."""

from labkit.analysis.account import Account, Book
from labkit.analysis.entry import Shown
from labkit.tcp.flags import ACK, FIN, RST, SYN
from labkit.tcp.seq import add, diff


def is_ignored_fin(book: Book, index: int, seg: Shown) -> bool:
    """Whether both sides go on as though a segment had no FIN: its sender sends data with the FIN's number, or goes on with that
    number and sends its real FIN later."""
    later = book.near(index)
    own = [one for one in later if one.side == seg.side and one.seq != seg.seq]
    at = add(seg.seq, seg.seg_len - 1)
    fin = next((one for one in own if one.ctl & FIN), None)
    before = [one for one in later if fin is None or one.packet < fin.packet]
    if any(one.side != seg.side and one.ctl & ACK and one.ack == seg.end for one in before):
        return False
    following = next((one for one in own if one.length), None)
    if following is not None and following.seq == at:
        return True
    return fin is not None and bool(own) and own[0] is not fin and own[0].seq == at == fin.seq


def is_second_fin(seg: Shown, me: Account) -> bool:
    """Whether a FIN comes after the FIN of the same side, with the number behind it: a FIN sent again would have its number."""
    if me.fin is None or me.fin is seg or seg.length or seg.seq == add(me.fin.seq, me.fin.length):
        return False
    return seg.seq == me.nxt == add(me.fin_at, 1)


def is_ignored_reset(book: Book, index: int, seg: Shown) -> bool:
    """Whether a reset carries data, and both sides go on as though it were none: the sender counts the data, and the peer
    acknowledges it."""
    if not seg.length or not seg.ctl & RST:
        return False
    end = add(seg.seq, seg.length)
    later = book.near(index)
    following = next((one for one in later if one.side == seg.side and one.seq != seg.seq), None)
    counted = any(one.side != seg.side and one.ctl & ACK and diff(one.ack, end) >= 0 for one in later)
    return following is not None and not following.ctl & RST and following.seq == end and counted


def without(seg: Shown) -> str:
    """The flags of a segment as Scapy writes them, without the bit that is ignored."""
    ignored = RST if seg.ctl & RST else SYN if seg.ctl & SYN else FIN
    return "".join(letter for bit, letter in enumerate("FSRPAUEC") if seg.ctl & ~ignored & 1 << bit)
