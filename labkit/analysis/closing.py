"""What the accounts of a conversation show at its end: FINs and data that nobody acknowledged, a close that is not there."""

from labkit.analysis.account import Account, Book
from labkit.analysis.entry import CLIENT, SERVER, Entry, Shown
from labkit.tcp.flags import ACK, FIN, RST, SYN
from labkit.tcp.seq import add, diff


def close(book: Book) -> None:
    """Enter what the end of a conversation lacks."""
    if any(seg.ctl & RST for seg in book.segments):
        return
    for side in (CLIENT, SERVER):
        me, peer = book.accounts[side], book.accounts[1 - side]
        if me.opened and peer.opened and peer.has_acked and diff(peer.acked, me.nxt) < 0:
            _never_acknowledged(book, side, me, peer)
        elif me.fin is None and peer.fin is not None and me.has_acked and me.acked == peer.nxt:
            _never_closes(book, me, peer.fin)


def _never_acknowledged(book: Book, side: int, me: Account, peer: Account) -> None:
    """What one side sent and the other never acknowledged, although the conversation went on to its close."""
    if me.fin is None and peer.fin is None:
        return
    if any(entry.field == "ack" and entry.shown.side != side and entry.fault != "silent" for entry in book.entries):
        return
    waiting = [seg for seg in book.segments if seg.side == side and seg.seg_len and diff(seg.end, peer.acked) > 0]
    if not waiting or any(diff(seg.seq, waiting[0].seq) <= 0 for seg in waiting[1:]):
        return
    first = waiting[0]
    if any(seg.side == side and seg.packet > first.packet and diff(seg.seq, first.seq) < 0 for seg in book.segments):
        return  # a keep-alive or a resend asks whether it arrived; the answer says that it was lost
    late = [seg for seg in book.segments if seg.side != side and seg.packet > first.packet and seg.ctl & ACK]
    if first.ctl & FIN and first.length and peer.acked == add(first.end, -1):
        # Those before it have crossed the segment on their way, and a closed window does not take a FIN.
        late = [seg for seg in late if seg.ack == peer.acked and seg.window]
    whole = first.ctl & FIN and late and late[0].ack == add(first.seq, first.length)  # of data with FIN, the data
    crosses = len(late) == 1 and diff(late[0].ack, _acked_before(book, late[0])) > 0 and not (whole and first.length)
    if not late or crosses:
        if first.ctl & FIN and not crosses:
            book.enter(first, "missing", fault="last-ack", lossy=True)
        return
    silent = next((entry for entry in book.entries if entry.fault == "silent" and entry.shown.side != side), None)
    root = silent or book.number(late[0], "ack", me, first.end, late[0].ack)
    root.fault, root.lossy, root.peer = "never", True, first
    for seg in late:
        if seg is not root.shown and seg.ack == root.actual:
            book.number(seg, "ack", me, first.end, seg.ack, cause=root)
    for entry in book.mistakes:  # whoever goes on from the number that was acknowledged follows from it
        if entry.field == "seq" and entry.off == root.off and entry.shown.side == side and entry.packet > root.packet:
            entry.cause = root


def _never_closes(book: Book, me: Account, fin: Shown) -> None:
    """One side has acknowledged the other's FIN, says nothing more, and does not close."""
    goes_on = any(seg.side != fin.side and seg.packet > fin.packet and seg.length for seg in book.segments)
    if not goes_on and me.last is not None and not book.entries:
        book.enter(me.last, "missing", fault="second-fin", lossy=True).peer = fin


def _acked_before(book: Book, seg: Shown) -> int:
    """What the sender of a segment had acknowledged before it."""
    before = [one.ack for one in book.segments if one.side == seg.side and one.packet < seg.packet and one.ctl & ACK]
    return max(before, key=lambda ack: diff(ack, seg.ack), default=seg.ack)


def refuse(book: Book) -> None:
    """A client that answers with RST before it has acknowledged anything was in SYN-SENT, and refuses the server's ack. A reset
    with ACK does so where it has the number of that ack (lwIP 2.1.3)."""
    client = [seg for seg in book.segments if seg.side == CLIENT and not seg.ctl & SYN]
    syn = any(seg.side == SERVER and seg.ctl & SYN for seg in book.segments)
    never = any(seg.ctl & RST for seg in client) and not any(seg.ctl & ACK for seg in client)
    acks = [entry for entry in book.entries if entry.field == "ack" and entry.shown.side == SERVER]
    refuses = bool(client and acks) and client[0].ctl & RST != 0 and client[0].seq == acks[0].actual
    if not syn and client and (never or refuses or client[0].ctl & (RST | ACK) == RST):
        book.entries = acks[:1]
        for entry in book.entries:
            entry.fault, entry.cause, entry.lossy = "refused", None, False


def remarks(book: Book) -> list[Entry]:
    """What is legal, although no teaching text shows it: equal ISNs, and data in the handshake's third segment."""
    client, server = book.accounts
    synacks = [seg for seg in book.segments if seg.side == SERVER and seg.ctl & SYN]
    found = [Entry(seg, "seq", fault="same-isn", actual=seg.seq) for seg in synacks[:1] if seg.seq == client.isn]
    third = next((seg for seg in book.segments if seg.side == CLIENT and not seg.ctl & SYN), None)
    if synacks and server.opened and third is not None and third.length and not third.ctl & RST:
        found.append(Entry(third, "length", fault="third-data"))
    return found
