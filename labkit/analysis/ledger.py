"""Account for every sequence number of a complete conversation, and find the segments where an account fails.

The rules judge a segment by what came before it, and forgive what a missing packet could explain. Where nothing is
missing, more can be said. This module reads a whole conversation at once and keeps an account for each side: the number
that its next segment must have, counted from its SYN and from every octet and FIN that it really sent.

A segment whose number differs makes an `Entry`. From then on two numbers are known for that side: the right one, and the
one that the conversation goes on with. A later segment with the right number is right; one that goes on from the wrong
number follows from the first entry (`Entry.cause`) and is no mistake of its own. So four right acknowledgments are never
blamed for the peer's forgotten SYN.

An entry holds facts. The rules of scope LEDGER name the mistake (`labkit.analysis.rules`). Nothing here reads a clock or a
file: the same segments give the same entries, whichever engine has read them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from labkit.analysis.entry import CLIENT, SERVER, Entry, Shown
from labkit.tcp.segment import ACK, FIN, RST, SYN
from labkit.tcp.seq import MASK, add, diff

MAX_SEGMENTS = 1_000
"""Segments of a conversation for which accounts are kept."""

DEFAULT_MSS = 536
"""RFC 9293 section 3.7.1: what a side without the MSS option takes, over IPv4."""


@dataclass(slots=True)
class _Account:
    """One side's numbers."""

    opened: bool = False
    isn: int = 0
    mss: int = DEFAULT_MSS
    nxt: int = 0
    """SND.NXT by what the side really sent."""
    shifts: dict[int, Entry] = field(default_factory=dict)
    """By how much wrong numbers differ from the right ones, and the entry that each began with."""
    starts: dict[int, Shown] = field(default_factory=dict)
    """Segments with payload, by their first number."""
    ends: list[int] = field(default_factory=list)
    """Where segments end: the numbers that an acknowledgment may have."""
    acked: int = 0
    """The highest number that this side has acknowledged."""
    has_acked: bool = False
    fin: Shown | None = None
    fin_at: int = 0
    reset: Entry | None = None
    last: Shown | None = None
    taken: Shown | None = None
    """The last segment that took numbers."""


class Ledger:
    """The accounts of one conversation. `entries` stand in the order of the packets."""

    def __init__(self, segments: Sequence[Shown]) -> None:
        self.entries: list[Entry] = []
        self.knows = True
        """False where a segment cannot be accounted for: then there are no entries."""
        self._segments = segments
        self._accounts = _Account(), _Account()
        self._strays: Entry | None = None
        for index, seg in enumerate(segments):
            self._post(index, seg)
        self._close()
        self._refuse()
        self.entries = sorted(self.entries, key=lambda entry: entry.packet) if self.knows else []

    @property
    def mistakes(self) -> list[Entry]:
        """The entries that follow from no other."""
        return [entry for entry in self.entries if entry.cause is None]

    def _post(self, index: int, seg: Shown) -> None:
        me, peer = self._accounts[seg.side], self._accounts[1 - seg.side]
        if seg.port >= 0:
            entry = self._enter(seg, "port", fault="port", cause=self._strays, certain=True)
            entry.expected = seg.port or None
            self._strays = self._strays or entry
        if me.last is not None and me.last.ctl & RST and not seg.ctl & RST:
            self._after_reset(seg, me)
        if seg.ctl & (SYN | RST) == SYN | RST:
            pass  # no numbers that count
        elif seg.ctl & RST:
            self._post_reset(seg, me, peer)
        elif seg.ctl & SYN:
            self._post_syn(index, seg, me, peer)
        else:
            self._post_other(index, seg, me, peer)
        me.last = seg

    # The handshake.

    def _post_syn(self, index: int, seg: Shown, me: _Account, peer: _Account) -> None:
        if me.opened and seg.seq != me.isn:
            self.knows = False  # another attempt, or a forgery: other rules judge it
            return
        if not me.opened:
            me.opened, me.isn, me.nxt, me.taken = True, seg.seq, seg.end, seg
            me.mss = seg.mss if seg.mss > 0 else me.mss
            me.ends += [add(seg.seq, 1), me.nxt]
            if seg.length:
                me.starts[add(seg.seq, 1)] = seg
            if peer.opened and not seg.ctl & ACK and not self._crosses(index):
                self._enter(seg, "flags", fault="ack-bit", certain=True)
        if seg.ctl & ACK:
            self._post_ack(index, seg, me, peer)

    def _crosses(self, index: int) -> bool:
        """Whether a SYN ACK follows, as in a simultaneous open (RFC 9293 figure 7)."""
        return any(seg.ctl & (SYN | ACK) == SYN | ACK for seg in self._segments[index + 1 :])

    def _open_without_syn(self, index: int, seg: Shown, me: _Account, peer: _Account) -> None:
        """A side sends its first segment, which is no SYN."""
        me.opened, me.isn, me.nxt = True, add(seg.seq, -1), seg.seq
        answers = bool(seg.ctl & ACK and peer.opened and seg.ack == add(peer.isn, 1))
        nobody_acked = not any(one.side != seg.side and one.ctl & ACK for one in self._segments[:index])
        reply = next((one for one in self._segments[index + 1 :] if one.side != seg.side), None)
        if answers and nobody_acked and reply is not None and diff(reply.ack, seg.seq) == 1 + seg.length:
            # It answers the SYN, and the reply acknowledges one number more: a SYN ACK without its SYN bit.
            me.isn, me.nxt = seg.seq, add(seg.seq, 1)
            me.shifts[-1] = self._enter(seg, "flags", fault="syn-bit", certain=True)
        elif nobody_acked and peer.opened and reply is not None and not (seg.ctl | reply.ctl) & RST:
            self._enter(seg, "missing", fault="syn-ack", lossy=True)
        me.ends.append(me.nxt)

    def _post_other(self, index: int, seg: Shown, me: _Account, peer: _Account) -> None:
        if not me.opened:
            self._open_without_syn(index, seg, me, peer)
        elif seg.side == SERVER and me.taken is not None and not peer.has_acked and not peer.starts:
            self._third_is_missing(seg, me)
        if (
            seg.length
            and me.fin is not None
            and diff(add(seg.seq, seg.length), me.fin_at) > 0
            and me.nxt == add(me.fin_at, 1)
        ):
            self._enter(seg, "length", fault="after-fin")
            self._acknowledge_if_any(index, seg, me, peer, None)
            return
        before = len(self.entries)
        self._post_seq(index, seg, me, peer)
        entry = self.entries[-1] if len(self.entries) > before else None
        self._acknowledge_if_any(index, seg, me, peer, entry)
        if seg.ctl & FIN and me.fin is None:
            me.fin = seg

    def _third_is_missing(self, seg: Shown, me: _Account) -> None:
        """The server goes on although the client has acknowledged nothing: the handshake's third segment is not there."""
        if not any(entry.fault for entry in self.entries) and me.last is not None and me.last.ctl & SYN:
            self._enter(seg, "missing", fault="third-ack", lossy=True)

    def _acknowledge_if_any(self, index: int, seg: Shown, me: _Account, peer: _Account, entry: Entry | None) -> None:
        if seg.ctl & ACK:
            self._post_ack(index, seg, me, peer, entry)

    # Sequence numbers.

    def _post_seq(self, index: int, seg: Shown, me: _Account, peer: _Account) -> None:
        off = diff(seg.seq, me.nxt)
        cause = me.shifts.get(off) if off else None
        if cause is not None:
            if cause.fault != "syn-bit":
                self._number(seg, "seq", me, me.nxt, seg.seq, cause=cause)
            self._take(seg, me, off)
        elif not off or self._is_resent(seg, me, off):
            self._take(seg, me, off)
        elif self._is_probe(seg, me, peer, off):
            pass  # its octet is meaningless, and takes no number
        elif off > 0 and not _is_swapped(seg, me, peer) and self._is_filled(index, seg, me):
            me.ends += [seg.seq, add(seg.seq, seg.length)]
            if seg.seg_len:
                me.starts.setdefault(seg.seq, seg)
        else:
            self._wrong_seq(seg, me, peer, off)

    def _wrong_seq(self, seg: Shown, me: _Account, peer: _Account, off: int) -> None:
        swapped = _is_swapped(seg, me, peer)
        relative = bool(me.isn) and seg.seq == _relative(me) and not swapped and seg.seq not in me.ends
        entry = self._number(seg, "seq", me, me.nxt, seg.seq, cause=self._first_relative() if relative else None)
        entry.swapped, entry.relative = swapped, relative
        entry.at_syn = seg.seq == me.isn
        entry.at_fin = me.fin is not None and seg.seq == me.fin_at and me.nxt == add(me.fin_at, 1)
        entry.lossy = off > 0 and not swapped and not relative
        entry.certain = swapped or (relative and abs(off) > 0xFFFF)
        me.shifts.setdefault(off, entry.cause or entry)
        self._take(seg, me, off)

    def _take(self, seg: Shown, me: _Account, off: int) -> None:
        """Count what the segment took, unless it was counted before."""
        if not seg.seg_len or (off < 0 and off not in me.shifts and self._is_resent(seg, me, off)):
            if seg.seg_len and diff(seg.end, me.nxt) > 0:
                me.nxt = seg.end
                me.ends.append(me.nxt)
            return
        if off and self._was_sent(seg, me):
            return
        me.taken = seg
        if seg.length:
            me.starts.setdefault(seg.seq, seg)
        me.nxt = add(me.nxt, seg.seg_len)
        if seg.ctl & FIN:
            me.fin_at = add(me.nxt, -1)
            me.ends.append(me.fin_at)
        me.ends.append(me.nxt)
        while (early := me.starts.get(me.nxt)) is not None and not early.ctl & SYN:
            me.nxt = add(me.nxt, early.seg_len)
            me.ends.append(me.nxt)
            if early.ctl & FIN:
                me.fin_at = add(me.nxt, -1)

    def _was_sent(self, seg: Shown, me: _Account) -> bool:
        """Whether a segment took the same numbers before, with the same octets as far as both are shown."""
        first = me.starts.get(seg.seq)
        if not seg.length:
            return bool(seg.ctl & FIN) and me.fin is not None and seg.seq == me.fin_at
        if first is None or first is seg:
            return False
        both = min(len(first.payload), len(seg.payload))
        return first.payload[:both] == seg.payload[:both]

    def _is_resent(self, seg: Shown, me: _Account, off: int) -> bool:
        """Whether the segment brings again what was sent under its numbers, perhaps cut differently."""
        if not seg.seg_len or off >= 0:
            return False
        if self._was_sent(seg, me):
            return True
        for first in me.starts.values():
            inside = diff(seg.seq, first.seq)
            if 0 <= inside < first.length and seg.length:
                known = first.payload[inside : inside + seg.length]
                return bool(known) and seg.payload[: len(known)] == known
        return False

    def _is_probe(self, seg: Shown, me: _Account, peer: _Account, off: int) -> bool:
        """A keep-alive or a window probe: one below SND.NXT, or below what the peer expects, at most one octet, and it
        acknowledges nothing new."""
        if seg.length > 1 or seg.ctl & (SYN | FIN | RST) or not me.has_acked or diff(seg.ack, me.acked) > 0:
            return False
        return off == -1 or (peer.has_acked and diff(seg.seq, peer.acked) in (-1, 0) and off < 0)

    def _is_filled(self, index: int, seg: Shown, me: _Account) -> bool:
        """Whether the numbers that the segment leaves out come later: it was overtaken, or another was lost."""
        return any(
            later.side == seg.side and later.seg_len and diff(later.seq, me.nxt) <= 0 < diff(later.end, me.nxt)
            for later in self._segments[index + 1 :]
        )

    # Acknowledgments.

    def _post_ack(self, index: int, seg: Shown, me: _Account, peer: _Account, own: Entry | None = None) -> None:
        """`own`: the entry about the segment's seq, if there is one."""
        if not peer.opened:
            self._ack_without_syn(seg, me, peer)
            return
        if seg.ctl & SYN and seg.ack == add(peer.isn, 1):
            peer.nxt = seg.ack  # whatever data the SYN carried is not taken, and comes again (RFC 7413 section 4.2)
        off = diff(seg.ack, peer.nxt)
        if not off:
            self._acknowledge(seg, me)
            return
        root = own.cause or own if own is not None else None
        if own is not None and own.swapped:
            self._number(seg, "ack", peer, peer.nxt, seg.ack, cause=root).swapped = True
        elif (shift := peer.shifts.get(off)) is not None and shift.fault != "syn-bit":
            self._number(seg, "ack", peer, peer.nxt, seg.ack, cause=shift)
        elif peer.isn and seg.ack == _relative(peer) and seg.ack not in peer.ends:
            entry = self._number(seg, "ack", peer, peer.nxt, seg.ack, cause=self._first_relative())
            entry.relative, entry.certain = True, abs(off) > 0xFFFF
        elif off < 0:
            self._old_ack(index, seg, me, peer)
        else:
            self._ack_beyond(index, seg, peer, off)

    def _ack_without_syn(self, seg: Shown, me: _Account, peer: _Account) -> None:
        """The client acknowledges a SYN that the server has not sent."""
        if seg.side == CLIENT and me.opened and not seg.ctl & SYN:
            peer.opened, peer.isn, peer.nxt = True, add(seg.ack, -1), seg.ack
            peer.ends.append(seg.ack)
            self._enter(seg, "missing", fault="syn-ack", lossy=True)
            self._acknowledge(seg, me)

    def _acknowledge(self, seg: Shown, me: _Account) -> None:
        if not me.has_acked or diff(seg.ack, me.acked) > 0:
            me.acked, me.has_acked = seg.ack, True

    def _old_ack(self, index: int, seg: Shown, me: _Account, peer: _Account) -> None:
        if me.has_acked and seg.ack == me.acked:
            self._same_ack(index, seg, me, peer)
        elif (seg.ctl & SYN and seg.ack not in peer.ends) or (not me.has_acked and seg.ack == peer.isn):
            self._wrong_ack(seg, peer, add(peer.isn, 1)).certain = True
        elif me.has_acked and diff(seg.ack, me.acked) < 0:
            if not (seg.seg_len and me.starts.get(seg.seq) not in (None, seg)):
                self._wrong_ack(seg, peer, me.acked)
        elif seg.ack in peer.ends or any(
            one.length > peer.mss and 0 < diff(seg.ack, one.seq) < one.length for one in peer.starts.values()
        ):
            self._acknowledge(seg, me)  # what ends inside of a large segment was captured above segmentation offload
        else:
            want = min((diff(end, seg.ack), end) for end in peer.ends if diff(end, seg.ack) > 0)[1]
            self._wrong_ack(seg, peer, want)

    def _same_ack(self, index: int, seg: Shown, me: _Account, peer: _Account) -> None:
        """A pure ACK that repeats its sender's last number, right behind a segment that it could acknowledge.

        A duplicate ACK asks for something that is missing, and a window update has another window: neither is meant.
        """
        before = self._segments[index - 1]
        if not seg.is_pure_ack or me.last is None or seg.window != me.last.window or before.side == seg.side:
            return
        first = 1 < before.length <= me.mss and before.seq == seg.ack and peer.starts.get(before.seq) is before
        sent = [one.seq for one in self._segments if one.side == before.side and one.length]
        if first and seg.window and len(set(sent)) == len(sent):  # nothing is sent again: nothing was lost
            self._number(seg, "ack", peer, before.end, seg.ack).fault = "silent"

    def _ack_beyond(self, index: int, seg: Shown, peer: _Account, off: int) -> None:
        entry = self._wrong_ack(seg, peer, peer.nxt)
        if entry.cause is not None:
            return
        entry.fin_due = off == 1 and self._fin_is_due(seg)
        entry.later = self._comes_later(index, seg, peer)
        entry.goes_on = any(one.side != seg.side and one.seq == seg.ack for one in self._segments[index + 1 :])
        entry.lossy = not seg.ctl & SYN
        if entry.later or entry.fin_due:
            peer.shifts.pop(off, None)

    def _wrong_ack(self, seg: Shown, peer: _Account, want: int) -> Entry:
        same = (
            one for one in self.entries if one.field == "ack" and one.shown.side == seg.side and one.actual == seg.ack
        )
        first = next(same, None)
        entry = self._number(seg, "ack", peer, want, seg.ack, cause=first and (first.cause or first))
        if first is None:
            entry.at_syn = seg.ack == peer.isn
            inside = (one for one in peer.starts.values() if 0 < diff(seg.ack, one.seq) < one.length)
            entry.inside = next(inside, None)
            peer.shifts.setdefault(diff(seg.ack, peer.nxt), entry)
        return entry

    def _comes_later(self, index: int, seg: Shown, peer: _Account) -> bool:
        """Whether the peer sends later, and in order, exactly what this segment acknowledges already."""
        at = peer.nxt
        for one in self._segments[index + 1 :]:
            if one.side != seg.side and one.seg_len and one.seq == at:
                at = one.end
                if diff(at, seg.ack) >= 0:
                    return at == seg.ack or one.length > peer.mss
        return False

    def _fin_is_due(self, seg: Shown) -> bool:
        """Whether the sender of this has closed, and the peer, which sends nothing after it, never does."""
        return any(one.side == seg.side and one.ctl & FIN for one in self._segments) and not any(
            one.side != seg.side and (one.ctl & FIN or one.packet > seg.packet) for one in self._segments
        )

    # Resets.

    def _post_reset(self, seg: Shown, me: _Account, peer: _Account) -> None:
        off = diff(seg.seq, me.nxt)
        asked = peer.has_acked and seg.seq == peer.acked
        if me.opened and off and off not in me.shifts and me.reset is None and not asked:
            self._number(seg, "seq", me, me.nxt, seg.seq)

    def _after_reset(self, seg: Shown, me: _Account) -> None:
        if me.reset is not None:
            return
        before = [one for one in self._segments if one.side == seg.side and one.packet < seg.packet]
        kernel = seg.side == CLIENT and len(before) == 2 and bool(before[0].ctl & SYN)
        me.reset = self._enter(seg, "flags", fault="kernel" if kernel else "resets")
        me.reset.own = me.last
        for one in self._segments:
            if one.side == seg.side and one.packet > seg.packet and not one.ctl & RST:
                self._enter(one, "flags", fault=me.reset.fault, cause=me.reset)

    # The end of the conversation.

    def _close(self) -> None:
        if any(seg.ctl & RST for seg in self._segments):
            return
        for side in (CLIENT, SERVER):
            me, peer = self._accounts[side], self._accounts[1 - side]
            if me.opened and peer.opened and peer.has_acked and diff(peer.acked, me.nxt) < 0:
                self._never_acknowledged(side, me, peer)

    def _never_acknowledged(self, side: int, me: _Account, peer: _Account) -> None:
        """What one side sent and the other never acknowledged, although the conversation went on to its close."""
        if me.fin is None and peer.fin is None:
            return
        if any(entry.field == "ack" and entry.shown.side != side and entry.fault != "silent" for entry in self.entries):
            return
        waiting = [seg for seg in self._segments if seg.side == side and seg.seg_len and diff(seg.end, peer.acked) > 0]
        if not waiting or any(diff(seg.seq, waiting[0].seq) <= 0 for seg in waiting[1:]):
            return
        first = waiting[0]
        late = [seg for seg in self._segments if seg.side != side and seg.packet > first.packet and seg.ctl & ACK]
        crosses = len(late) == 1 and diff(late[0].ack, self._acked_before(late[0])) > 0
        if not late or crosses:
            if first.ctl & FIN and not crosses:
                self._enter(first, "missing", fault="last-ack", lossy=True)
            return
        silent = next((entry for entry in self.entries if entry.fault == "silent" and entry.shown.side != side), None)
        root = silent or self._number(late[0], "ack", me, first.end, late[0].ack)
        root.fault, root.lossy, root.peer = "never", True, first
        for seg in late:
            if seg is not root.shown and seg.ack == root.actual:
                self._number(seg, "ack", me, first.end, seg.ack, cause=root)

    def _acked_before(self, seg: Shown) -> int:
        """What the sender of a segment had acknowledged before it."""
        before = [
            one.ack for one in self._segments if one.side == seg.side and one.packet < seg.packet and one.ctl & ACK
        ]
        return max(before, key=lambda ack: diff(ack, seg.ack), default=seg.ack)

    def _refuse(self) -> None:
        """A client that only ever answers with RST was in SYN-SENT: all that can be wrong is the ack that it refused."""
        client = [seg for seg in self._segments if seg.side == CLIENT and not seg.ctl & SYN]
        syn = any(seg.side == SERVER and seg.ctl & SYN for seg in self._segments)
        if not syn and any(seg.ctl & RST for seg in client) and not any(seg.ctl & ACK for seg in client):
            acks = [entry for entry in self.entries if entry.field == "ack" and entry.shown.side == SERVER]
            self.entries = acks[:1]
            for entry in self.entries:
                entry.fault, entry.cause, entry.lossy = "refused", None, False

    # Entries.

    def _first_relative(self) -> Entry | None:
        found = next((entry for entry in self.entries if entry.relative), None)
        return found and (found.cause or found)

    def _number(
        self, seg: Shown, name: str, of: _Account, expected: int, actual: int, *, cause: Entry | None = None
    ) -> Entry:
        """Enter a wrong number of an account."""
        entry = self._enter(seg, name, cause=cause)
        entry.expected, entry.actual, entry.isn, entry.off = expected, actual, of.isn, diff(actual, expected)
        entry.own, entry.peer = self._accounts[seg.side].last, self._accounts[1 - seg.side].taken
        return entry

    def _enter(
        self,
        seg: Shown,
        name: str,
        *,
        fault: str = "",
        cause: Entry | None = None,
        lossy: bool = False,
        certain: bool = False,
    ) -> Entry:
        entry = Entry(seg, name, cause=cause, fault=fault, lossy=lossy, certain=certain)
        self.entries.append(entry)
        return entry


def _is_swapped(seg: Shown, me: _Account, peer: _Account) -> bool:
    """Whether seq has the number that belongs into ack, and the other way round."""
    return bool(seg.ctl & ACK and peer.opened and seg.seq == peer.nxt and seg.ack == me.nxt)


def _relative(account: _Account) -> int:
    """SND.NXT counted from the ISN, as Wireshark shows it."""
    return (account.nxt - account.isn) & MASK
