"""A segment as the accounts of a conversation need it, and an entry: a segment that does not fit them."""

from dataclasses import dataclass

from labkit.tcp.flags import ACK, FIN, RST, SYN
from labkit.tcp.seq import add, diff

CLIENT, SERVER = 0, 1

MAX_TYPED = 1460
"""Octets of payload that fit an Ethernet frame. Only a TCP stack sends more, and a stack never counts headers."""


@dataclass(slots=True, eq=False, repr=False)
class Shown:
    """A segment as the capture shows it."""

    packet: int
    time: int
    """Nanoseconds."""
    side: int
    """CLIENT (the sender of the first SYN) or SERVER."""
    seq: int
    ack: int
    ctl: int
    length: int
    """Octets of payload."""
    payload: bytes = b""
    """As much of it as is needed to compare it with what is sent again."""
    ip_id: int = -1
    window: int = 0
    """The header's field."""
    mss: int = -1
    """What a SYN offers; -1 where it offers nothing."""
    port: int = -1
    """Where the four-tuple is not the conversation's: the port that is right, or 0 where more than a port is wrong."""
    headers: int = 40
    """Octets of the IP and TCP headers."""
    spoiled: bool = False
    """Its checksum is wrong."""
    tsval: int = -1
    """Its timestamp; -1 without one."""
    tsecr: int = -1
    """The timestamp that it echoes."""
    sack_n: int = 0
    """How many SACK blocks it has."""
    four_tuple: tuple[bytes, int, bytes, int] | None = None
    """Where the four-tuple is not the conversation's: source address and port, destination address and port."""

    @property
    def seg_len(self) -> int:
        """SEG.LEN of RFC 9293 section 3.3.1: the payload, and one each for SYN and FIN."""
        return self.length + (self.ctl & SYN != 0) + (self.ctl & FIN != 0)

    @property
    def end(self) -> int:
        """The number after the last one that the segment takes."""
        return add(self.seq, self.seg_len)

    @property
    def is_pure_ack(self) -> bool:
        """Whether the segment acknowledges, and does nothing else."""
        return self.ctl & (SYN | FIN | RST | ACK) == ACK and not self.length


@dataclass(slots=True, eq=False, repr=False)
class Entry:
    """A segment that does not fit the accounts. Numbers are raw."""

    shown: Shown
    field: str
    """`seq`, `ack`, `flags`, `length` (payload that must not be there), `port`, or `missing` for a segment that is not there."""
    expected: int | None = None
    actual: int | None = None
    isn: int = 0
    """The ISN of the number space that `expected` belongs to."""
    off: int = 0
    """`actual` less `expected`, signed."""
    cause: "Entry | None" = None
    """The entry that this one follows from."""
    lossy: bool = False
    """A packet that the capture lacks would explain it as well."""
    late: bool = False
    """A path that delays segments would explain it as well: the numbers are those of an earlier moment."""
    under_way: bool = False
    """A reset may answer a segment that its sender had not acknowledged."""
    certain: bool = False
    """No lost, late or missing packet could explain it."""
    outside: bool = False
    """The number lies before the ISN, or beyond the largest window and the next is right again: only numbers that have gone
    around explain it."""
    fault: str = ""
    """What the accounts know by themselves, where it is not a number that is off.

    Missing are: `syn`, `syn-ack`, `syn-bit`, `ack-bit`, `third-ack`, `last-ack`, `second-fin`. Must not be there: `opens`
    (ACK in the first segment), `syn-inside`, `stray-fin`, `stray-rst` (both sides go on as though the bit were clear),
    `second-end` (a FIN with another number), `after-fin`, `resets` (goes on after a reset), `kernel` (after the kernel's
    reset), `port`. Acks: `refused` (the client answers with RST in SYN-SENT), `silent` (a pure ACK that leaves out what has
    come), `never` (never acknowledged). Remarks: `same-isn`, `third-data`.
    """
    relative: bool = False
    """`actual` is the right number counted from the ISN, as Wireshark shows it."""
    swapped: bool = False
    """seq and ack stand in each other's place."""
    own: Shown | None = None
    """The sender's segment before."""
    peer: Shown | None = None
    """For an ack: the last segment of the peer that took numbers."""
    peer_last: Shown | None = None
    """The last segment of the peer before."""
    inside: Shown | None = None
    """For an ack: the segment that it falls into."""
    at_syn: bool = False
    """`actual` is the number that the SYN took."""
    at_fin: bool = False
    """`actual` is the number that the FIN took."""
    later: bool = False
    """For an ack: the peer sends what is acknowledged later."""
    goes_on: bool = False
    """For an ack: the peer goes on from the number acknowledged, as though it had sent all before it."""
    repeats: bool = False
    """The sender made the mistake of `cause` again."""
    taken: int = 0
    """How many segments took numbers since the sender's last one: of the peer for an ack, of the sender for a seq."""
    fin_due: bool = False
    """For an ack one too high: it would be right, had the peer sent a FIN; the peer sends none."""

    @property
    def packet(self) -> int:
        """The frame that the entry is about."""
        return self.shown.packet

    @property
    def is_typical(self) -> bool:
        """Whether the number is off by just what a typical mistake makes of it: a pure ACK counted, the headers, or the
        length of the peer's payload for one's own. That packets of this very length are missing would be a coincidence."""
        own, peer = self.own, self.peer
        if self.field != "seq" or own is None:
            return False
        lengths = (own.headers, own.headers + 14) if 0 < own.length <= MAX_TYPED else ()
        mixed = peer is not None and own.length and peer.length and self.off == peer.length - own.length
        return bool(mixed) or self.off in lengths or (self.off == 1 and own.is_pure_ack)

    @property
    def counts_one(self) -> bool:
        """Whether the number is higher than the sender's last one by the number of segments that took numbers, although they
        took more: as though a segment took one."""
        own, counted = self.own, self.peer if self.field == "ack" else self.own
        if own is None or counted is None or counted.length < 2 or self.actual is None:
            return False
        return diff(self.actual, own.ack if self.field == "ack" else own.seq) == self.taken

    @property
    def stuck(self) -> bool:
        """Whether the seq is still that of the sender's last segment, although that took numbers."""
        own = self.own
        return self.field == "seq" and own is not None and own.seg_len > 0 and self.actual == own.seq

    @property
    def text(self) -> str:
        """The payload of the segment in `inside` as UTF-8 text; empty where it is none."""
        if self.inside is None or len(self.inside.payload) != self.inside.length:
            return ""
        try:
            return self.inside.payload.decode()
        except UnicodeDecodeError:
            return ""

    @property
    def taken_of_inside(self) -> int:
        """How many octets of the segment in `inside` an ack covers; -1 where there is none."""
        return -1 if self.inside is None else diff(self.actual or 0, self.inside.seq)
