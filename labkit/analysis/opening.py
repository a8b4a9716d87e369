"""How the accounts of a conversation are opened: with a SYN, or without one that should be there."""

from collections.abc import Sequence
from dataclasses import replace

from labkit.analysis.account import Book
from labkit.analysis.entry import CLIENT, Shown
from labkit.tcp.flags import ACK, FIN, RST, SYN
from labkit.tcp.seq import add, diff

MAX_RELATIVE = 0xFFFF
"""A greater number is not a relative one at the beginning of a conversation."""


def begin(book: Book) -> None:
    """Open the accounts of a conversation whose first segment is not a SYN alone."""
    first = next(iter(book.segments), None)
    if first is None or first.ctl & (SYN | ACK) == SYN or first.ctl & RST:
        return
    if begins_with_wrong_flags(book.segments):
        book.enter(first, "flags", fault="opens", certain=True)
        book.segments[0] = replace(first, ctl=SYN)
        return
    book.enter(first, "missing", fault="syn")
    book.accounts[1 - first.side].begin(first.ack)
    if not first.ctl & SYN:
        book.accounts[first.side].begin(first.seq)


def begins_with_wrong_flags(segments: Sequence[Shown]) -> bool:
    """Whether a SYN ACK acknowledges the first segment as a SYN, which is none, or is SYN ACK too."""
    if len(segments) < 2:
        return False
    first, second = segments[:2]
    answers = second.ctl & (SYN | ACK) == SYN | ACK and first.side != second.side and second.ack == add(first.seq, 1)
    return answers and (not first.ctl & SYN or bool(first.ctl & ACK and first.ack != add(second.seq, 1)))


def open_with_syn(book: Book, index: int, seg: Shown) -> None:
    """A side sends its SYN."""
    me, peer = book.accounts[seg.side], book.accounts[1 - seg.side]
    isn = _isn(book, index, seg)
    me.opened, me.isn, me.nxt, me.taken, me.syn_seq = True, isn, add(isn, seg.seg_len), seg, seg.seq
    if isn != seg.seq:
        entry = book.number(seg, "seq", me, isn, seg.seq)
        entry.relative = entry.certain = True
    me.mss = seg.mss if seg.mss > 0 else me.mss
    me.ends |= {add(isn, 1), me.nxt}
    if seg.length:
        me.starts[add(isn, 1)] = seg
    if peer.opened and not seg.ctl & ACK and _lacks_ack_bit(book, index, seg):
        book.enter(seg, "flags", fault="ack-bit", certain=seg.ack != 0, lossy=seg.ack == 0).peer = peer.taken


def _isn(book: Book, index: int, seg: Shown) -> int:
    """The ISN of a SYN. Where its seq is 0 as Wireshark shows it, and both sides go on from another number, that one."""
    if seg.seq or seg.ctl & FIN:
        return seg.seq
    later = book.near(index)
    ack = next((one.ack for one in later if one.side != seg.side and one.ctl & ACK), None)
    seq = next((one.seq for one in later if one.side == seg.side and not one.ctl & SYN), None)
    if ack is None or ack != seq or ack == add(seg.seq, 1):
        return seg.seq
    raw = add(ack, -seg.seg_len)
    return raw if raw > MAX_RELATIVE else seg.seq


def _lacks_ack_bit(book: Book, index: int, seg: Shown) -> bool:
    """Whether a second SYN should be a SYN ACK: it has an ack, or the other side goes on as though it had one. In a
    simultaneous open (RFC 9293 figure 7) a SYN ACK follows."""
    later = book.near(index)
    if any(one.ctl & (SYN | ACK) == SYN | ACK for one in later):
        return False
    return seg.ack != 0 or any(one.side != seg.side and one.ctl & (SYN | ACK) == ACK for one in later)


def open_without_syn(book: Book, index: int, seg: Shown) -> None:
    """A side sends its first segment, which is no SYN."""
    me, peer = book.accounts[seg.side], book.accounts[1 - seg.side]
    me.begin(seg.seq)
    answers = bool(seg.ctl & ACK and peer.opened and seg.ack == add(peer.isn, 1))
    nobody_acked = not any(one.side != seg.side and one.ctl & ACK for one in book.segments[:index])
    reply = book.following(index, 1 - seg.side)
    counts_one = reply is not None and diff(reply.ack, seg.seq) == 1 + seg.length and not seg.ctl & FIN
    if answers and nobody_acked and counts_one:
        # It answers the SYN, and the reply acknowledges one number more: a SYN ACK without its SYN bit.
        me.isn, me.nxt = seg.seq, add(seg.seq, 1)
        me.ends.add(me.nxt)
        me.shifts[-1] = book.enter(seg, "flags", fault="syn-bit", certain=True)
    elif nobody_acked and peer.opened and reply is not None and not (seg.ctl | reply.ctl) & RST:
        book.enter(seg, "missing", fault="syn-ack", lossy=True)


def miss_third(book: Book, seg: Shown) -> None:
    """The server goes on although the client has acknowledged nothing: the handshake's third segment is not there."""
    me = book.accounts[seg.side]
    if me.last is None or not me.last.ctl & SYN:
        return
    there = book.first_answer < seg.packet or any(
        entry.fault or (entry.field == "ack" and entry.shown.side == CLIENT) for entry in book.entries
    )
    if not there:
        book.enter(seg, "missing", fault="third-ack", lossy=True)
