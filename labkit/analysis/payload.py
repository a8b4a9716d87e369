"""The payload that senders have sent lately, to compare with what they send again (rule RTX02).

It is bounded twice: for each side, and for all sides of a capture together. Older octets are forgotten, and no longer compared.
Plain functions over integers, so that they can be compiled as they are; only `copy_octets` and `first_difference` have a compiled
form of their own.
"""

from collections.abc import MutableSequence
from dataclasses import dataclass
from mmap import mmap
from typing import Any, Protocol

from labkit.analysis.side import Side
from labkit.packet.seen import ABSENT, U32, Record, Seen, Seq
from labkit.tcp.flags import SYN
from labkit.tcp.seq import add, diff

MAX_OCTETS = 65_536
MAX_PIECES = 128
"""The last octets of a side that are compared, and the segments that they may come from."""

RING_OCTETS = 1 << 24
RING_PIECES = 1 << 18
"""The sizes of the rings that hold octets and pieces of all sides, powers of two."""

LAP_OCTETS = MAX_OCTETS
"""Octets of a lap. A side that sends on and on, with no piece of another side between, goes round the same laps of the ring, so
that the processor's cache holds them: what it overwrites is older than what is compared."""

KEPT_OCTETS = RING_OCTETS - 2 * LAP_OCTETS
"""Octets of payload in the capture after which what came before them is no longer compared. The ring has room for more, because
the next side begins behind all that a lap has touched."""


@dataclass(slots=True, init=False, eq=False, repr=False)
class Piece(Record):
    """The payload of one segment."""

    seq: Seq = 0
    size: U32 = 0
    at: int = 0
    """Octets of payload in the capture before it."""
    place: U32 = 0
    """Where the ring has it."""
    before: U32 = 0
    """The number of the segment with the piece before this one of the same side; 0: none."""


class Store(Protocol):
    """The payload that is kept of one capture."""

    pieces: MutableSequence[Piece]
    ring: MutableSequence[int]
    segment: int
    """The number of this segment among those of the capture, from 1."""
    octets_before: int
    """Octets of payload in the segments before it."""
    newest: int
    """The number of the segment with the newest piece."""
    lap: int
    """Where the pieces begin that one side has sent without another side's between."""
    place: int
    """Where the next of them goes. Places go on behind the ring's size, from its start."""
    top: int
    """Where all pieces end."""


class _Pieces(dict[int, Piece]):
    """A ring of pieces, each made when it is first used."""

    def __missing__(self, index: int) -> Piece:
        piece = self[index] = Piece()
        return piece


class PayloadStore:
    """The interpreter's `Store`. Only the pages of the ring that are used take memory."""

    def __init__(self) -> None:
        self.pieces: Any = _Pieces()
        self.ring: Any = mmap(-1, RING_OCTETS)
        self.segment = self.octets_before = self.newest = self.lap = self.place = self.top = 0


def remember(buf: bytes, seg: Seen, me: Side, store: Store) -> None:
    """Compare the payload of a segment with what its sender sent under the same numbers, and keep payload that is new."""
    seq = add(seg.seq, 1) if seg.ctl & SYN else seg.seq
    if seg.seq_offset < 0 or (seg.ctl & SYN and me.syn):
        seg.conflict = conflict(seq, buf, seg.data_at, seg.data_len, me, store)
    if seg.new_octets:
        keep(seq, buf, seg.data_at, seg.data_len, me, store)


def keep(seq: int, buf: bytes, at: int, size: int, me: Side, store: Store) -> None:
    """Keep buf[at:at + size], which a side has sent from `seq` on."""
    if me.last_piece != store.newest or store.place - store.lap > 2 * LAP_OCTETS:
        store.lap = store.place = store.top
    elif store.place - store.lap >= LAP_OCTETS:
        store.place = store.lap
    piece = store.pieces[store.segment & (RING_PIECES - 1)]
    piece.seq, piece.size, piece.at, piece.before = seq, size, store.octets_before, me.last_piece
    piece.place = store.place & (RING_OCTETS - 1)
    copy_octets(buf, at, size, store.ring, piece.place)
    store.place += size
    store.top = max(store.top, store.place)
    me.last_piece = store.newest = store.segment


def conflict(seq: int, buf: bytes, at: int, size: int, me: Side, store: Store) -> int:
    """The first sequence number under which a side has sent another octet than in buf[at:at + size], or ABSENT."""
    first = size
    octets = 0
    pieces = 0
    serial = me.last_piece
    while serial > 0 and store.segment - serial < RING_PIECES:
        piece = store.pieces[serial & (RING_PIECES - 1)]
        octets += piece.size
        pieces += 1
        if store.octets_before - piece.at > KEPT_OCTETS or octets > MAX_OCTETS or pieces > MAX_PIECES:
            break
        offset = diff(seq, piece.seq)
        i = max(0, -offset)
        k = max(0, offset)
        common = min(first - i, piece.size - k)
        if common > 0:
            same = first_difference(buf, at + i, store.ring, (piece.place + k) & (RING_OCTETS - 1), common)
            if same < common:
                first = i + same
        serial = piece.before
    return ABSENT if first == size else add(seq, first)


def copy_octets(buf: bytes, at: int, size: int, ring: Any, to: int) -> None:
    """Copy octets into the ring."""
    room = min(size, RING_OCTETS - to)
    ring[to : to + room] = buf[at : at + room]
    ring[: size - room] = buf[at + room : at + size]


def first_difference(buf: bytes, at: int, ring: Any, place: int, size: int) -> int:
    """How many octets are the same as those in the ring."""
    kept = ring[place : place + size] + ring[: max(0, place + size - RING_OCTETS)]
    sent = buf[at : at + size]
    return size if sent == kept else next(i for i in range(size) if sent[i] != kept[i])
