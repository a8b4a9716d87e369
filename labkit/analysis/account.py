"""One side's numbers in the accounts of a conversation, and the book that has the accounts of both sides."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from itertools import islice

from labkit.analysis.entry import CLIENT, Entry, Shown
from labkit.tcp.flags import ACK, FIN, RST, SYN
from labkit.tcp.seq import MASK, add, diff

DEFAULT_MSS = 536
"""RFC 9293 section 3.7.1: what a side without the MSS option takes, over IPv4."""

COUNTS_ONE, STUCK = ("", 0, 1), ("", 0, 0)
"""Keys of `Book`."""

MAX_NEAR = 1_000
"""Segments before or after one among which its likes are looked for."""


NEVER = 1 << 32
"""An offset beyond all sequence numbers."""


class Account:
    """One side's numbers."""

    def __init__(self) -> None:
        self.opened = False
        self.isn = 0
        self.syn_seq = 0
        """The seq of its SYN: the ISN, unless it is wrong."""
        self.mss = DEFAULT_MSS
        self.nxt = 0
        """SND.NXT by what the side really sent."""
        self.shifts: dict[int, Entry] = {}
        """By how much wrong numbers differ from the right ones, and the entry that each began with."""
        self.starts: dict[int, Shown] = {}
        """Segments with payload, by their first number."""
        self.ahead: dict[int, Shown] = {}
        """Those that overtook others, by their first number."""
        self.ends: set[int] = set()
        """Where segments end: the numbers that an acknowledgment may have."""
        self.acked = 0
        """The highest number that this side has acknowledged."""
        self.has_acked = False
        self.acked_by: Shown | None = None
        """The segment that acknowledged `acked` first."""
        self.fin: Shown | None = None
        self.fin_at = 0
        self.reset: Entry | None = None
        self.gone = False
        """Whether it has sent a reset, and knows nothing of the connection since."""
        self.acks: set[int] = set()
        """All numbers that this side has acknowledged."""
        self.last: Shown | None = None
        self.taken: Shown | None = None
        """The last segment that took numbers."""

    def begin(self, number: int) -> None:
        """Open an account whose SYN is not there with the number of its next segment."""
        self.opened, self.isn, self.nxt = True, add(number, -1), number
        self.syn_seq = self.isn
        self.ends.add(number)


class Resends:
    """What of a side's resends its peer may still ask for, or answer, at each packet. Takes n log n steps for n segments."""

    def __init__(self, sent: Sequence[Shown], again: Sequence[Shown]) -> None:
        """`sent`: all segments of the side that took numbers; `again`: those that begin with a number of payload sent before."""
        self._base = again[0].seq if again else 0
        self._packets = [one.packet for one in again]
        self._settled = [NEVER] * len(again)
        """Up to each resend: the ack that shows that its receiver has gone on behind it and behind all before it."""
        self._lowest = [NEVER] * len(again)
        """From each resend on: the lowest number that is sent again."""
        later: list[tuple[int, int]] = []  # where segments begin and end: each begins and ends beyond the one before it
        left = len(again)
        for one in reversed(sent if again else ()):
            if left and one.packet == self._packets[left - 1]:
                left -= 1
                place = bisect_left(later, (self._offset(one.end),))
                self._settled[left] = later[place][1] if place < len(later) else NEVER
                self._lowest[left] = min([self._offset(one.seq), *self._lowest[left + 1 : left + 2]])
            begin, end = self._offset(one.seq), self._offset(one.end)
            place = bisect_left(later, (begin,))
            if place == len(later) or later[place][1] > end:
                first = place
                while first and later[first - 1][1] >= end:
                    first -= 1
                later[first : place + (place < len(later) and later[place][0] == begin)] = [(begin, end)]
        for place in range(1, len(again)):
            self._settled[place] = max(self._settled[place - 1 : place + 1])

    def concern(self, ack: int, packet: int, acked: int) -> bool:
        """Whether an ACK may ask for what comes again later, or answer what came again: not if its sender has acknowledged,
        with `acked`, what was sent after that, or if only later octets come again."""
        place = bisect_right(self._packets, packet)
        if place < len(self._packets) and self._lowest[place] <= self._offset(ack):
            return True
        return place > 0 and self._settled[place - 1] > self._offset(acked)

    def _offset(self, number: int) -> int:
        return diff(number, self._base)


class Book:
    """The segments of a conversation, the accounts of its client and server, and the entries about them."""

    def __init__(self, segments: Sequence[Shown]) -> None:
        self.segments = list(segments)
        self.accounts = Account(), Account()
        self.entries: list[Entry] = []
        self.posted = 0
        """The index of the segment that is posted."""
        self.roots = 0
        """How many entries were made that followed from no other."""
        self._numbers: dict[tuple[str, int, int], list[Entry]] = defaultdict(list)
        """Entries about numbers by field, side and how far the number is off, and those that count one octet."""
        self._acks: dict[tuple[int, int], Entry] = {}
        """The first entry about an ack, by side and number."""

    @property
    def mistakes(self) -> list[Entry]:
        """The entries that follow from no other."""
        return [entry for entry in self.entries if entry.cause is None]

    def number(
        self, seg: Shown, name: str, of: Account, expected: int, actual: int, *, cause: Entry | None = None
    ) -> Entry:
        """Enter a wrong number of an account."""
        entry = self.enter(seg, name, cause=cause)
        entry.expected, entry.actual, entry.isn, entry.off = expected, actual, of.isn, diff(actual, expected)
        entry.own, entry.peer = self.accounts[seg.side].last, self.accounts[1 - seg.side].taken
        entry.peer_last = self.accounts[1 - seg.side].last
        entry.taken = self._taken_since(entry.own, seg.side if name == "seq" else 1 - seg.side)
        if cause is None:
            self._numbers[name, seg.side, entry.off].append(entry)
            if entry.counts_one:
                self._numbers[COUNTS_ONE].append(entry)
            if entry.stuck:
                self._numbers[STUCK].append(entry)
        if name == "ack":
            self._acks.setdefault((seg.side, actual), entry)
        return entry

    def first_ack(self, seg: Shown) -> Entry | None:
        """The first entry about the ack number of a segment."""
        return self._acks.get((seg.side, seg.ack))

    def first_like(self, entry: Entry) -> Entry | None:
        """The first mistake before an entry that is the same: as far off, or one octet counted for more."""
        keys = [(entry.field, entry.shown.side, entry.off)] + [COUNTS_ONE] * entry.counts_one
        keys += [STUCK] * entry.stuck
        found = [first for key in keys if (first := self._first_root(self._numbers[key])) is not entry and first]
        return min(found, key=lambda each: each.packet, default=None)

    @staticmethod
    def _first_root(entries: list[Entry]) -> Entry | None:
        while entries and (entries[0].cause is not None or entries[0].fault):
            entries.pop(0)
        return entries[0] if entries else None

    def enter(
        self,
        seg: Shown,
        name: str,
        *,
        fault: str = "",
        cause: Entry | None = None,
        lossy: bool = False,
        certain: bool = False,
    ) -> Entry:
        """Enter a segment that does not fit."""
        entry = Entry(seg, name, cause=cause, fault=fault, lossy=lossy, certain=certain)
        self.entries.append(entry)
        self.roots += cause is None
        return entry

    @cached_property
    def sent_again(self) -> tuple[list[Shown], list[Shown]]:
        """The segments of the client, and of the server, that begin with a number of payload sent before."""
        found: tuple[list[Shown], list[Shown]] = [], []
        known: tuple[set[int], set[int]] = set(), set()
        for one in self.segments:
            if one.length and one.seq in known[one.side]:
                found[one.side].append(one)
            elif one.length:
                known[one.side].add(one.seq)
        return found

    @cached_property
    def keeping_alive(self) -> frozenset[int]:
        """The sides that send keep-alives: one below SND.NXT, at most one octet, and the same ack as before."""
        last: list[Shown | None] = [None, None]
        nxt = [0, 0]
        found = set()
        for one in self.segments:
            own, side = last[one.side], one.side
            plain = one.ctl & (SYN | FIN | RST | ACK) == ACK and one.length <= 1
            if own is not None and plain and own.ctl & ACK and add(one.seq, 1) == nxt[side] and one.ack == own.ack:
                found.add(side)
            if not one.ctl & RST and (own is None or diff(one.end, nxt[side]) > 0):
                nxt[side] = one.end
            last[side] = one
        return frozenset(found)

    @cached_property
    def syns(self) -> tuple[int, int]:
        """How many SYNs the client has sent, and the server."""
        sides = [one.side for one in self.segments if one.ctl & SYN]
        return sides.count(CLIENT), len(sides) - sides.count(CLIENT)

    @cached_property
    def resends(self) -> tuple[Resends, Resends]:
        """Those of the client, and of the server."""
        sent: tuple[list[Shown], list[Shown]] = [], []
        for one in self.segments:
            if one.seg_len:
                sent[one.side].append(one)
        client, server = map(Resends, sent, self.sent_again)
        return client, server

    @cached_property
    def first_answer(self) -> int:
        """The packet of the client's first segment with neither SYN nor RST; behind all packets if there is none."""
        answers = (one.packet for one in self.segments if one.side == CLIENT and not one.ctl & (SYN | RST))
        return next(answers, NEVER)

    def near(self, index: int) -> Sequence[Shown]:
        """The segments behind the one at an index, up to MAX_NEAR."""
        return self.segments[index + 1 : index + 1 + MAX_NEAR]

    def following(self, index: int, side: int) -> Shown | None:
        """The next segment of a side behind the one at an index, if it is near."""
        return next((one for one in self.near(index) if one.side == side), None)

    def _taken_since(self, own: Shown | None, side: int) -> int:
        """How many segments of a side took numbers from a segment on, up to the one that is posted."""
        count = 0
        for one in reversed(self.segments[max(self.posted - MAX_NEAR, 0) : self.posted]):
            count += one.side == side and one.seg_len > 0
            if one is own:
                break
        return count


def is_swapped(seg: Shown, me: Account, peer: Account) -> bool:
    """Whether seq has the number that belongs into ack, and the other way round."""
    return bool(seg.ctl & ACK and peer.opened and seg.seq == peer.nxt and seg.ack == me.nxt)


def is_third(seg: Shown, me: Account) -> bool:
    """Whether a pure ACK of the client is its first segment after the SYN: it answers the SYN ACK, and nothing else."""
    return (
        seg.side == CLIENT
        and seg.is_pure_ack
        and me.taken is not None
        and me.last is me.taken
        and me.taken.ctl & SYN != 0
    )


def is_outside(number: int, account: Account) -> bool:
    """Whether a number lies before the ISN of an account."""
    return diff(number, account.isn) < 0


def relative_number(account: Account) -> int:
    """SND.NXT counted from the ISN, as Wireshark shows it."""
    return (account.nxt - account.isn) & MASK


def recent(account: Account) -> list[Shown]:
    """The last segments of a side with payload, in order."""
    return list(islice(reversed(account.starts.values()), MAX_NEAR))[::-1]
