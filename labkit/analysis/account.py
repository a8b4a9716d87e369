"""One side's numbers in the accounts of a conversation, and the book that has the accounts of both sides."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from labkit.analysis.entry import CLIENT, Entry, Shown
from labkit.tcp.segment import ACK, SYN
from labkit.tcp.seq import MASK, add, diff

DEFAULT_MSS = 536
"""RFC 9293 section 3.7.1: what a side without the MSS option takes, over IPv4."""


@dataclass(slots=True)
class Account:
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
    acked_by: Shown | None = None
    """The segment that acknowledged `acked` first."""
    fin: Shown | None = None
    fin_at: int = 0
    reset: Entry | None = None
    last: Shown | None = None
    taken: Shown | None = None
    """The last segment that took numbers."""

    def begin(self, number: int) -> None:
        """Open an account whose SYN is not there with the number of its next segment."""
        self.opened, self.isn, self.nxt = True, add(number, -1), number
        self.ends.append(number)


class Book:
    """The segments of a conversation, the accounts of its client and server, and the entries about them."""

    def __init__(self, segments: Sequence[Shown]) -> None:
        self.segments = list(segments)
        self.accounts = Account(), Account()
        self.entries: list[Entry] = []

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
        return entry

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
        return entry


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
