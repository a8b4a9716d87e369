"""Account for every sequence number of a complete conversation, and find the segments where an account fails.

The rules judge a segment by what came before it, and forgive what a missing packet could explain. Where nothing is
missing, more can be said. This module reads a whole conversation at once and keeps an account for each side: the number
that its next segment must have, counted from its SYN and from every octet and FIN that it really sent.

A segment whose number differs makes an `Entry`. From then on two numbers are known for that side: the right one, and the
one that the conversation goes on with. A later segment with the right number is right; one that goes on from the wrong
number follows from the first entry (`Entry.cause`) and is not a mistake of its own. So four right acknowledgments are never
blamed for the peer's forgotten SYN.

An entry holds facts. The rules of scope LEDGER name the mistake (`labkit.analysis.rules`). Nothing here reads a clock or a
file: the same segments give the same entries, whichever engine has read them.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from labkit.analysis.account import (
    Account,
    Book,
    is_outside,
    is_swapped,
    is_third,
    recent,
    relative_number,
)
from labkit.analysis.acks import answers_resend, leaves_out_fin, repeat_ack
from labkit.analysis.closing import close, refuse
from labkit.analysis.entry import CLIENT, SERVER, Entry, Shown
from labkit.analysis.evidence import evidence
from labkit.analysis.ignored import is_ignored_fin, is_ignored_reset, is_second_fin
from labkit.analysis.lateness import ends_window, may_be_late
from labkit.analysis.opening import begin, miss_third, open_with_syn, open_without_syn
from labkit.analysis.resent import contradicts, counts_as_new, is_new_end, is_resent, resent_elsewhere, was_sent
from labkit.analysis.resets import continue_after_reset, post_reset
from labkit.tcp.flags import ACK, FIN, RST, SYN
from labkit.tcp.seq import add, diff

MAX_WINDOW = 0xFFFF << 14
"""Octets of the largest window (RFC 7323 section 2.3)."""

MAX_SEGMENTS = 20_000
"""Segments of a conversation for which accounts are kept."""

MAX_MISTAKES = 1_000
"""Mistakes of a conversation that are entered; its accounts end there."""

STRIDE = 100
"""Segments between two looks at the clock."""


class Ledger(Book):
    """The accounts of one conversation. `entries` stand in the order of the packets."""

    def __init__(self, segments: Sequence[Shown], over: Callable[[], bool] = bool) -> None:
        """`over` says when the time for it is over."""
        super().__init__(segments)
        self.knows = True
        """False where a segment cannot be accounted for: then there are no entries."""
        self.whole = True
        """False where too many segments were wrong, or the time was over: the entries are about those before."""
        self.disordered = False
        """Whether a later segment brings what an earlier one leaves out: the path loses or delays segments."""
        self._in_order = evidence(segments) in ("together", "apart")
        """Whether the IP identifications show that each host sent its segments in this order, and that none is missing."""
        self._strays: Entry | None = None
        self._relative: Entry | None = None
        begin(self)
        for index, seg in enumerate(self.segments):
            self.posted = index
            self._post(index, seg)
            if self.roots > MAX_MISTAKES or not self.knows or (index % STRIDE == STRIDE - 1 and over()):
                self.whole = False
                break
        else:
            close(self)
            refuse(self)
        self.entries = sorted(self.entries, key=lambda entry: entry.packet) if self.knows else []

    def _post(self, index: int, seg: Shown) -> None:
        me, peer = self.accounts[seg.side], self.accounts[1 - seg.side]
        if seg.port >= 0:
            entry = self.enter(seg, "port", fault="port", cause=self._strays, certain=True)
            entry.expected = seg.port or None
            self._strays = self._strays or entry
        if me.last is not None and me.last.ctl & RST and not seg.ctl & RST:
            continue_after_reset(self, index, seg)
        if is_ignored_reset(self, index, seg):
            self._flag(seg, "stray-rst")
            seg = self.segments[index] = replace(seg, ctl=seg.ctl & ~RST)
        # With both SYN and RST, no number counts.
        if not seg.ctl & (SYN | RST):
            self._post_other(index, seg, me, peer)
        elif not seg.ctl & RST:
            self._post_syn(index, seg, me, peer)
        elif not seg.ctl & SYN:
            post_reset(self, seg)
            me.gone = True
        if seg.ctl & ACK:
            me.acks.add(seg.ack)
        me.last = seg

    # The handshake.

    def _post_syn(self, index: int, seg: Shown, me: Account, peer: Account) -> None:
        if me.opened and seg.seq not in (me.isn, me.syn_seq):
            goes_on = seg.seq == me.nxt or diff(seg.seq, me.nxt) in me.shifts
            acks = [one.ctl & SYN for one in self.near(index) if one.side != seg.side and one.ack == seg.end]
            if not peer.opened or (any(acks) if goes_on else acks):
                self.knows = False  # another attempt, which the peer answers: other rules judge it
            elif goes_on and (me.fin is None or seg.ctl & ACK):
                entry = self._flag(seg, "syn-inside")
                self._post_other(index, replace(seg, ctl=seg.ctl & ~SYN), me, peer)
                me.shifts.setdefault(1, entry)  # a peer that counts the SYN repeats this mistake
            return  # an old or forged SYN takes no number: other rules judge it
        if not me.opened and seg.ctl & FIN and is_ignored_fin(self, index, seg):
            self._flag(seg, "stray-fin")
            seg = replace(seg, ctl=seg.ctl & ~FIN)
        if not me.opened:
            open_with_syn(self, index, seg)
        if seg.ctl & ACK:
            self._post_ack(index, seg, me, peer)

    def _post_other(self, index: int, seg: Shown, me: Account, peer: Account) -> None:
        if not me.opened:
            open_without_syn(self, index, seg)
        elif seg.side == SERVER and me.taken is not None and not peer.has_acked and not peer.starts:
            miss_third(self, seg)
        if seg.ctl & FIN and me.fin is None and is_ignored_fin(self, index, seg):
            self._flag(seg, "stray-fin")
            seg = replace(seg, ctl=seg.ctl & ~FIN)
        if seg.ctl & FIN and is_second_fin(seg, me):
            # Who counts it follows from it.
            second = self.number(seg, "seq", me, me.fin_at, seg.seq)
            second.fault, second.certain, second.peer = "second-end", True, me.fin
            me.shifts.setdefault(1, second)
            self._acknowledge_if_any(index, seg, me, peer, None)
            return
        if (
            seg.length
            and me.fin is not None
            and diff(add(seg.seq, seg.length), me.fin_at) > 0
            and me.nxt == add(me.fin_at, 1)
        ):
            # Who counts these bytes follows from them.
            me.shifts.setdefault(diff(seg.end, me.nxt), self.enter(seg, "length", fault="after-fin"))
            self._acknowledge_if_any(index, seg, me, peer, None)
            return
        before = len(self.entries)
        self._post_seq(index, seg, me, peer)
        entry = self.entries[-1] if len(self.entries) > before else None
        self._acknowledge_if_any(index, seg, me, peer, entry)
        if seg.ctl & FIN and me.fin is None and (entry is None or entry.field != "seq"):
            me.fin = seg

    def _acknowledge_if_any(self, index: int, seg: Shown, me: Account, peer: Account, entry: Entry | None) -> None:
        if seg.ctl & ACK:
            self._post_ack(index, seg, me, peer, entry)

    # Sequence numbers.

    def _post_seq(self, index: int, seg: Shown, me: Account, peer: Account) -> None:
        off = diff(seg.seq, me.nxt)
        cause = me.shifts.get(off) if off else None
        if cause is not None and cause.late and off > 0 and seg.length and self._is_filled(index, seg, me):
            cause = None
        if cause is not None:
            if cause.fault != "syn-bit":
                entry = self.number(seg, "seq", me, me.nxt, seg.seq, cause=cause)
                entry.repeats = cause.field == "seq" and seg.seq == cause.actual and not cause.shown.seg_len
            self._take(seg, me, off)
        elif not off or (is_resent(seg, me, off) and not counts_as_new(self, index, seg, me)):
            self._take(seg, me, off)
        elif (first := resent_elsewhere(self, index, seg, me, off)) is not None:
            self.number(seg, "seq", me, first.seq, seg.seq)
        elif self._is_probe(seg, me, peer, off) or ends_window(self, index, seg):
            return  # its octet is meaningless, and takes no number
        elif off > 0 and (me.isn == peer.isn or not is_swapped(seg, me, peer)) and self._is_filled(index, seg, me):
            self.disordered = True
            me.ends |= {seg.seq, add(seg.seq, seg.length)}
            if seg.seg_len:
                me.starts.setdefault(seg.seq, seg)
                me.ahead.setdefault(seg.seq, seg)
            if seg.ctl & FIN:
                me.fin_at = add(seg.seq, seg.length)
        else:
            self._wrong_seq(index, seg, me, peer, off)

    def _wrong_seq(self, index: int, seg: Shown, me: Account, peer: Account, off: int) -> None:
        swapped = is_swapped(seg, me, peer) and not self._goes_on_ahead(seg, me, peer)
        relative = (
            bool(me.isn) and abs(off) > 1 and seg.seq == relative_number(me) and not swapped and seg.seq not in me.ends
        )
        entry = self.number(seg, "seq", me, me.nxt, seg.seq, cause=self._first_relative() if relative else None)
        if not relative:
            self._repeats(entry)
        entry.swapped, entry.relative = swapped, relative
        if relative:
            self._relative = self._relative or entry
        entry.at_syn = seg.seq == me.isn
        entry.at_fin = me.fin is not None and seg.seq == me.fin_at and me.nxt == add(me.fin_at, 1)
        entry.lossy = off > 0 and not swapped and not relative
        entry.late = off < 0 and may_be_late(self, index, seg)
        entry.late |= off > 0 and seg.is_pure_ack and self._is_sent_again(index, seg, me)
        entry.certain = swapped or (relative and abs(off) > 0xFFFF)
        entry.outside = is_outside(seg.seq, me) or (off > MAX_WINDOW and self._returns(seg, me))
        me.shifts.setdefault(off, entry.cause or entry)
        if seg.ctl & FIN and not self._is_believed(seg, me):
            me.shifts[off + seg.seg_len] = me.shifts.pop(off)  # its sender may count it
            return
        self._take(seg, me, off)
        if seg.ctl & FIN and me.fin is None:
            me.fin = seg

    @staticmethod
    def _goes_on_ahead(seg: Shown, me: Account, peer: Account) -> bool:
        """Whether a segment follows one that overtook others, and both sides have its numbers because their ISNs are equal."""
        return me.isn == peer.isn and any(early.end == seg.seq for early in me.ahead.values())

    def _returns(self, seg: Shown, me: Account) -> bool:
        """Whether a later segment of the sender has the number that this one should have, or the one after it."""
        right = me.nxt, add(me.nxt, seg.seg_len)
        return any(one.side == seg.side and one.packet > seg.packet and one.seq in right for one in self.segments)

    def _is_believed(self, seg: Shown, me: Account) -> bool:
        """Whether the peer goes on as though it had taken a segment with a wrong number; it may end the conversation too."""
        later = [one for one in self.segments if one.side != seg.side and one.packet > seg.packet]
        return not later or any(one.ack in (seg.end, add(me.nxt, seg.seg_len)) or one.ctl & RST for one in later)

    def _take(self, seg: Shown, me: Account, off: int) -> None:
        """Count what the segment took, unless it was counted before."""
        if not seg.seg_len or (off and off not in me.shifts and is_resent(seg, me, off)):
            if seg.seg_len and is_new_end(seg, me):
                me.nxt = seg.end
                me.ends.add(me.nxt)
            return
        if off and was_sent(seg, me):
            return
        me.taken = seg
        if seg.length:
            me.starts.setdefault(seg.seq, seg)
            if off:
                me.starts.setdefault(me.nxt, replace(seg, seq=me.nxt))  # it may come again with the right number
        me.nxt = add(me.nxt, seg.seg_len)
        if seg.ctl & FIN:
            me.fin_at = add(me.nxt, -1)
            me.ends.add(me.fin_at)
        me.ends.add(me.nxt)
        while (early := me.ahead.get(me.nxt)) is not None:
            me.nxt = add(me.nxt, early.seg_len)
            me.ends.add(me.nxt)
            if early.ctl & FIN:
                me.fin_at = add(me.nxt, -1)

    def _is_probe(self, seg: Shown, me: Account, peer: Account, off: int) -> bool:
        """A keep-alive or a window probe: one below SND.NXT, or below what the peer expects, at most one octet, and it
        acknowledges nothing new, unless its sender delays an ACK and has sent others that do not."""
        if seg.length > 1 or seg.ctl & (SYN | FIN | RST):
            return False
        if off == -1 and diff(seg.ack, peer.nxt) <= 0 and seg.side in self.keeping_alive:
            return True
        if not me.has_acked or diff(seg.ack, me.acked) > 0:
            return False
        return off == -1 or (peer.has_acked and diff(seg.seq, peer.acked) in (-1, 0) and off < 0)

    def _is_sent_again(self, index: int, seg: Shown, me: Account) -> bool:
        """Whether the numbers that a pure ACK leaves out come later, with a later ack or the same."""
        at = me.nxt
        for later in self._before(index, seg):
            if diff(later.seq, at) <= 0 < diff(later.end, at):
                at = later.end
        return at == seg.seq

    def _before(self, index: int, seg: Shown) -> list[Shown]:
        """The later segments of the same sender that take lower numbers, in the order of these."""
        later = [one for one in self.near(index) if one.side == seg.side and one.seg_len and not one.ctl & (SYN | RST)]
        return sorted((one for one in later if diff(one.seq, seg.seq) < 0), key=lambda one: diff(one.seq, seg.seq))

    def _is_filled(self, index: int, seg: Shown, me: Account) -> bool:
        """Whether the numbers that the segment leaves out come later: it was overtaken, or another was lost."""
        at = me.nxt
        if self._in_order and seg.is_pure_ack:
            return False
        for later in self._before(index, seg):
            if diff(later.seq, at) <= 0 < diff(later.end, at):
                if contradicts(seg, later) or (seg.is_pure_ack and diff(later.ack, seg.ack) > 0):
                    return False  # other octets under its numbers; or it is older than what it would have overtaken
                at = later.end
                while at != seg.seq and (early := me.ahead.get(at)) is not None:
                    at = early.end
                if diff(at, seg.seq) >= 0:
                    if (
                        seg.is_pure_ack
                        and (later.ack, later.window) == (seg.ack, seg.window)
                        and not answers_resend(self, seg, me)
                    ):
                        return False  # what was sent before it has said all that it says
                    # A pure ACK stands where a segment ends, and data sent again may come with what follows it.
                    return at == seg.seq or seg.length > 0
        return False

    # Acknowledgments.

    def _post_ack(self, index: int, seg: Shown, me: Account, peer: Account, own: Entry | None = None) -> None:
        """`own`: the entry about the segment's seq, if there is one."""
        if not peer.opened:
            self._ack_without_syn(seg, me, peer)
            return
        if seg.ctl & SYN and seg.ack == add(peer.isn, 1):
            if peer.taken is None or not peer.taken.ctl & SYN:
                return  # a SYN ACK sent again, with the ack of the first
            peer.nxt = seg.ack  # whatever data the SYN carried is not taken, and comes again (RFC 7413 section 4.2)
        off = diff(seg.ack, peer.nxt)
        if not off:
            self._acknowledge(seg, me)
            return
        root = own.cause or own if own is not None else None
        if own is not None and own.swapped:
            self.number(seg, "ack", peer, peer.nxt, seg.ack, cause=root).swapped = True
        elif (shift := peer.shifts.get(off)) is not None and shift.fault != "syn-bit":
            self.number(seg, "ack", peer, peer.nxt, seg.ack, cause=shift)
        elif peer.isn and abs(off) > 1 and seg.ack == relative_number(peer) and seg.ack not in peer.ends:
            entry = self.number(seg, "ack", peer, peer.nxt, seg.ack, cause=self._first_relative())
            entry.relative, entry.certain = True, abs(off) > 0xFFFF
            self._relative = self._relative or entry
        elif off < 0:
            self._old_ack(index, seg, me, peer, own)
        else:
            self._ack_beyond(index, seg, peer, off)

    def _ack_without_syn(self, seg: Shown, me: Account, peer: Account) -> None:
        """The client acknowledges a SYN that the server has not sent."""
        if seg.side == CLIENT and me.opened and not seg.ctl & SYN:
            peer.begin(seg.ack)
            late = (one for one in self.segments if one.side == SERVER and one.ctl & SYN and one.end == seg.ack)
            entry = self.enter(seg, "missing", fault="syn-ack", lossy=True)
            entry.peer = next(late, None)
            self._acknowledge(seg, me)

    def _acknowledge(self, seg: Shown, me: Account) -> None:
        if not me.has_acked or diff(seg.ack, me.acked) > 0:
            me.acked, me.has_acked, me.acked_by = seg.ack, True, seg

    def _old_ack(self, index: int, seg: Shown, me: Account, peer: Account, own: Entry | None) -> None:
        shifted = next((cause for shift, cause in peer.shifts.items() if add(seg.ack, -shift) in peer.ends), None)
        if me.has_acked and seg.ack == me.acked:
            repeat_ack(self, index, seg)
        elif shifted is not None and seg.ack not in peer.ends:
            self.number(seg, "ack", peer, peer.nxt, seg.ack, cause=shifted)  # the end of an earlier segment
        elif (seg.ctl & SYN and seg.ack not in peer.ends) or (not me.has_acked and seg.ack == peer.isn):
            self._wrong_ack(seg, peer, add(peer.isn, 1)).certain = True
        elif me.has_acked and diff(seg.ack, me.acked) < 0:
            if not (seg.seg_len and me.starts.get(seg.seq) not in (None, seg)):
                answers = self.segments[index - 1].side != seg.side
                entry = self._wrong_ack(seg, peer, peer.nxt if answers else me.acked)
                # Who sends it has sent a higher ack before, with a lower seq: the network has not exchanged the two.
                # What is sent again has a low seq, and a new ack.
                by = me.acked_by
                first = me.starts.get(by.seq) if by is not None and by.length else by
                again = by is not None and first is not None and first.packet < by.packet
                risen = own is None and by is not None and not again and diff(seg.seq, by.seq) > 0
                entry.late = may_be_late(self, index, seg)
                entry.certain, entry.outside = risen and not entry.late, is_outside(seg.ack, peer)
        elif leaves_out_fin(self, index, seg):
            self.number(seg, "ack", peer, peer.nxt, seg.ack).fault = "silent"
            self._acknowledge(seg, me)
        elif seg.ack in peer.ends or any(
            one.length > peer.mss and 0 < diff(seg.ack, one.seq) < one.length for one in peer.starts.values()
        ):
            self._acknowledge(seg, me)  # what ends inside of a large segment was captured above segmentation offload
        else:
            # Nothing lies behind a number that is half of the space away.
            behind = ((diff(end, seg.ack), end) for end in peer.ends if diff(end, seg.ack) > 0)
            following = self.following(index, seg.side)
            slow = following is not None and diff(following.ack, peer.nxt) < 0  # its acks come one by one
            self._wrong_ack(seg, peer, min(behind, default=(0, peer.nxt))[1] if slow else peer.nxt)

    def _ack_beyond(self, index: int, seg: Shown, peer: Account, off: int) -> None:
        entry = self._wrong_ack(seg, peer, peer.nxt)
        if entry.cause is not None:
            return
        entry.fin_due = off == 1 and self._fin_is_due(seg)
        entry.later = self._comes_later(index, seg, peer)
        entry.goes_on = any(one.side != seg.side and one.seq == seg.ack for one in self.near(index))
        entry.lossy = not seg.ctl & SYN and not is_third(seg, self.accounts[seg.side])
        if entry.later or (entry.fin_due and not entry.goes_on):
            peer.shifts.pop(off, None)

    def _wrong_ack(self, seg: Shown, peer: Account, want: int) -> Entry:
        first = self.first_ack(seg)
        entry = self.number(seg, "ack", peer, want, seg.ack, cause=first and (first.cause or first))
        if first is None:
            self._repeats(entry)
            entry.at_syn = seg.ack == peer.isn
            inside = (one for one in recent(peer) if 0 < diff(seg.ack, one.seq) < one.length)
            entry.inside = next(inside, None)
            peer.shifts.setdefault(diff(seg.ack, peer.nxt), entry.cause or entry)
        return entry

    def _comes_later(self, index: int, seg: Shown, peer: Account) -> bool:
        """Whether the peer sends later, and in order, exactly what this segment acknowledges already."""
        at = peer.nxt
        for one in self.near(index):
            if one.side != seg.side and one.seg_len and one.seq == at:
                at = one.end
                if diff(at, seg.ack) >= 0:
                    return at == seg.ack or one.length > peer.mss
        return False

    def _fin_is_due(self, seg: Shown) -> bool:
        """Whether the sender of this closes, and the peer, which sends no payload after it, never does."""
        return any(one.side == seg.side and one.ctl & FIN for one in self.segments) and not any(
            one.side != seg.side and (one.ctl & FIN or (one.packet > seg.packet and one.length))
            for one in self.segments
        )

    # Entries.

    def _flag(self, seg: Shown, fault: str) -> Entry:
        """Enter a control bit that both sides ignore. Several in one segment are one mistake."""
        first = next((each for each in self.entries if each.packet == seg.packet and each.field == "flags"), None)
        return first or self.enter(seg, "flags", fault=fault, certain=True)

    def _repeats(self, entry: Entry) -> None:
        """Whoever makes the same mistake again makes one mistake: later entries follow from the first."""
        first = self.first_like(entry) if entry.cause is None else None
        if first is not None:
            entry.cause, entry.repeats = first, True
            self.roots -= 1

    def _first_relative(self) -> Entry | None:
        """The mistake that a number counted from the ISN follows from; None for the first."""
        return self._relative and (self._relative.cause or self._relative)
