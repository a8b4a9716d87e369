"""Number the segments of a conversation anew, so that they follow from each other.

The old numbers still say how the conversation went: what was sent in order, what was sent again, what was lost and came later,
and which octets an ACK meant. So each side has a map from its old numbers to the new ones. `_Side.place` places the side's
segments one after the other:

- at the next number: in order;
- at earlier numbers, with the octets that were sent under them: sent again;
- ahead, where a later segment fills the gap: the capture lacks a segment that was lost;
- anywhere else: here is an edit. The segment follows the one before, and the next one shows which edit it was: the octets before
  this segment have grown or shrunk, or were taken out (the next numbers follow this one), this number alone is wrong (they
  follow the one before), or the segment was inserted (they begin here).

Then each ACK is mapped: to the latest place that its old number stands for, or, where it stands for none, to all that the peer
has sent so far without a gap.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from labkit.build.record import Record
from labkit.tcp import options as opt
from labkit.tcp.ranges import RangeSet
from labkit.tcp.segment import ACK, FIN, RST, SYN, Segment
from labkit.tcp.seq import add, diff

OTHER = {"client": "server", "server": "client"}
MAX_SHIFT = 1 << 20
"""Octets by which an edit moves the numbers at most; a number that is farther off is wrong by itself."""


@dataclass(slots=True)
class _Piece:
    """Octets of a side: their old and new positions, counted from the side's first number."""

    old: int
    new: int
    length: int
    octets: bytes
    """The payload; SYN and FIN are outside."""
    lead: int = 0
    """1 if a SYN is before the payload."""
    fin: bool = False


@dataclass(slots=True)
class _Gap:
    """Old positions of octets that come later, and the new position of the first."""

    start: int
    end: int
    new: int


@dataclass(slots=True)
class _Side:
    """One side's segments."""

    base: int
    """Its first sequence number: position 0."""
    own: Sequence[Segment]
    starts: list[int]
    """The old positions of its segments, in order."""
    ends: list[int]
    """The old positions after them."""
    has_syn: bool
    old: int = 0
    """The next old position."""
    new: int = 0
    """The next new position."""
    wrong: frozenset[int] = frozenset()
    """Its segments whose numbers are known to be wrong."""
    begun: bool = False
    syn: int = 0
    """The new position of its SYN."""
    pieces: list[_Piece] = field(default_factory=list)
    gaps: list[_Gap] = field(default_factory=list)
    closed: list[tuple[int, int, int]] = field(default_factory=list)
    """Old positions between which octets were taken out, and the new position that is left of them."""
    marks: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    """New positions that an old one stands for."""
    acked: frozenset[int] = frozenset()
    """The old positions that the peer acknowledges."""

    def mark(self, old: int, new: int) -> None:
        """Remember that an old position stands for a new one."""
        if new not in self.marks[old]:
            self.marks[old].append(new)

    def place(self, at: int, segment: Segment) -> int | None:
        """The new position of the side's segment number `at`; None if it belongs to another connection."""
        start, length = self.starts[at], segment.length
        far = abs(start - self.old) > MAX_SHIFT
        if far and ((self.has_syn and not self.begun and not segment.ctl & SYN) or segment.ctl & (RST | ACK) == RST):
            return None
        if not self.begun:
            self.begun = True
            if segment.ctl & SYN:
                start = self.syn = self._begin(at, segment)
            self.old = self.new = start
        elif segment.ctl & SYN and self.has_syn:
            return self.syn
        if segment.ctl & RST:
            return self._reset(start)
        if at in self.wrong:
            return self._append(self.old, segment) if length else self.new
        return self._data(at, start, segment) if length else self._bare(at, start)

    def _data(self, at: int, start: int, segment: Segment) -> int:
        """The new position of a segment that takes sequence numbers."""
        length = segment.length
        if start == self.old:
            return self._append(start, segment)
        if length == 1 and not segment.ctl & (SYN | FIN) and start == self.old - 1 and not self._moves(at, start):
            return self.new - 1  # a keep-alive
        known: int | None = self._known(start, segment)
        if known is None:
            known = self._fills(start, segment)
        if known is not None:
            return known
        if self._comes_again(at, segment):
            return self._append(self.old, segment)  # this number alone is wrong
        if start > self.old and self._comes_later(at, start, length):
            self.gaps.append(_Gap(self.old, start, self.new))
            self.mark(self.old, self.new)
            self.new += start - self.old
            self.old = start
            return self._append(start, segment)
        return self._edited(at, start, segment)

    def _begin(self, at: int, segment: Segment) -> int:
        """The position of the SYN: another one, if the peer acknowledges that, and the side goes on from there."""
        start = self.starts[at]
        others = [place for place in range(at + 1, len(self.own)) if self.own[place].ctl & SYN]
        following = [self.starts[place] - 1 for place in range(at + 1, len(self.own)) if place not in others][:1]
        if self.acked.isdisjoint((start + 1, start + segment.length)):
            start = next(
                (each for each in [*map(self.starts.__getitem__, others), *following] if each + 1 in self.acked), start
            )
        return start

    def _append(self, old: int, segment: Segment) -> int:
        """Place a segment at the next position, and take its old position as `old`."""
        new, length = self.new, segment.length
        self.pieces.append(_Piece(old, new, length, segment.payload, segment.ctl & SYN != 0, segment.ctl & FIN != 0))
        self.mark(old, new)
        self.mark(old + length, new + length)
        self.old, self.new = old + length, new + length
        return new

    def _known(self, start: int, segment: Segment) -> int | None:
        """The new position of octets that were sent before, of which the last may be new."""
        lead = segment.ctl & SYN != 0
        for piece in reversed(self.pieces):
            if not piece.old <= start < piece.old + piece.length:
                continue
            offset = start + lead - piece.old - piece.lead
            there = piece.octets[max(0, offset) : max(0, offset) + len(segment.payload)]
            same = segment.payload[: len(there)] == there
            last = start == piece.old + piece.length - 1
            is_fin = piece.fin and segment.ctl & FIN != 0 and not segment.payload and last
            if not same or (not there and not is_fin) or start + segment.length < self.old < start:
                continue
            new = piece.new + start - piece.old
            beyond = start + segment.length - self.old
            if beyond > 0 and new + segment.length - self.new != beyond:
                continue
            if beyond > 0:
                self.pieces.append(_Piece(start, new, segment.length, segment.payload, lead, segment.ctl & FIN != 0))
                self.old, self.new = start + segment.length, new + segment.length
                self.mark(self.old, self.new)
            self.mark(start, new)
            return new
        return None

    def _fills(self, start: int, segment: Segment) -> int | None:
        """The new position of octets that fill a gap."""
        for gap in self.gaps:
            if gap.start <= start < gap.end:
                new = gap.new + start - gap.start
                self.pieces.append(_Piece(start, new, segment.length, segment.payload, fin=segment.ctl & FIN != 0))
                self.mark(start, new)
                self.mark(start + segment.length, new + segment.length)
                return new
        return None

    def _comes_again(self, at: int, segment: Segment) -> bool:
        """Whether the same octets come again later, where these should be."""
        return any(
            self.starts[place] == self.old
            and self.own[place].payload == segment.payload
            and not (self.own[place].ctl ^ segment.ctl) & FIN
            for place in range(at + 1, len(self.own))
        )

    def _comes_later(self, at: int, start: int, length: int) -> bool:
        """Whether later segments fill the gap before `start`, and the number is right: others begin or end where it does."""
        end = start + length
        filled = bounded = False
        for place in range(at + 1, len(self.starts)):
            one, other = self.starts[place], self.ends[place]
            filled = filled or one <= self.old < other
            bounded = bounded or start in (one, other) or (length > 0 and end in (one, other))
        return filled and (bounded or (length > 0 and end in self.acked))

    def _moves(self, at: int, start: int) -> bool:
        """Whether the side goes on from `start`: an edit, not a keep-alive."""
        return any(each == start for each in self.starts[at + 1 : at + 3])

    def _following(self, at: int) -> int | None:
        """The old position of the side's next segment."""
        return self.starts[at + 1] if at + 1 < len(self.starts) else None

    def _edited(self, at: int, start: int, segment: Segment) -> int:
        """Place a segment whose number does not follow, and find out what the next numbers follow from."""
        length, following = segment.length, self._following(at)
        twin = next((each for each in reversed(self.pieces) if each.octets == segment.payload != b""), None)
        if twin is not None and following != self.old + length:
            return twin.new + twin.lead  # sent again, under a wrong number
        near = abs(start - self.old) <= MAX_SHIFT
        if following == start + length and near:
            old = start
        elif following in (self.old + length, self.old):
            old = self.old
        elif start + length in self.acked and near:
            old = start
        elif self.old + length in self.acked or not near:
            old = self.old
        else:
            old = start
        if following == self.old and following != start + length:
            # It was inserted: the old numbers do not count it.
            new = self.new
            self.new += length
            self.mark(self.old, self.new)
            return new
        self._shift(old)
        return self._append(old, segment)

    def _bare(self, at: int, start: int) -> int:
        """The new position of a segment without data."""
        if start == self.old:
            return self.new
        if start == self.old - 1 and not self._moves(at, start):
            return self.new - 1  # a keep-alive
        if start in self.marks:
            return max(self.marks[start])
        if start + 1 != self.old and start + 1 in self.acked and start not in self.acked and start not in self.ends:
            self._shift(start + 1)  # a keep-alive behind octets that were changed
            return self.new - 1
        if start > self.old and self._comes_later(at, start, 0):
            return self.new + start - self.old
        if self._following(at) == start and abs(start - self.old) <= MAX_SHIFT:
            self._shift(start)
        return self.new

    def _shift(self, old: int) -> None:
        """Go on from another old position: the octets before it have grown or shrunk, or were taken out."""
        if old > self.old:
            self.closed.append((self.old, old, self.new))
        self.old = old
        self.mark(old, self.new)

    def _reset(self, start: int) -> int:
        if start == self.old or not self.pieces:
            return self.new if self.pieces else start
        return max(self.marks[start], default=self.new) if start in self.marks else self.new

    def find(self, old: int, sent: int) -> int | None:
        """The latest new position, up to `sent`, that an old one stands for."""
        if self.has_syn and old <= 0:
            return None  # nothing acknowledges less than the SYN
        new = max((each for each in self.marks.get(old, ()) if each <= sent), default=None)
        if new is None:
            new = next((each for low, high, each in self.closed if low < old < high and each <= sent), None)
        return new

    def find_edge(self, number: int, sent: int) -> int | None:
        """The latest new position, up to `sent`, that the sequence number of a SACK block's edge stands for."""
        return self.find(self.old + diff(number, add(self.base, self.old)), sent)


def belonging(records: Sequence[Record]) -> list[int]:
    """The connection whose numbers each record has, of records of one four-tuple.

    A host that does not know of its peer's crash answers the next connection's SYN with numbers of the old one, and gets a reset
    with such a number (RFC 9293 section 3.5.1).
    """
    found = [record.connection for record in records]
    firsts = {
        (record.connection, record.sender): record.segment.seq
        for record in reversed(records)
        if record.segment.ctl & SYN
    }
    begun: dict[str, list[int]] = {side: [] for side in OTHER}
    for place, record in enumerate(records):
        segment, own = record.segment, begun[record.sender]
        first = firsts.get((record.connection, record.sender), segment.seq)
        if segment.ctl & SYN:
            own += [] if record.connection in own else [record.connection]
        elif abs(diff(segment.seq, first)) <= MAX_SHIFT:
            continue
        elif record.connection not in own:
            found[place] = own[-1] if own else record.connection
        elif segment.ctl & (RST | ACK) == RST and len(own) > 1:
            found[place] = own[-2]
    return found


def renumber(records: Sequence[Record], wrong: Collection[int], wrong_seq: Collection[int]) -> list[Segment]:
    """The segments of a conversation's records with numbers that follow from each other, in the same order.

    `wrong` and `wrong_seq`: positions of records whose ACK or sequence number is known to be wrong, although it stands for
    something.
    """
    sides: dict[str, _Side] = {}
    for side in OTHER:
        own = [record.segment for record in records if record.sender == side]
        if own:
            acks = [record.segment.ack for record in records if record.sender != side and record.segment.ctl & ACK]
            sides[side] = _side(own, acks)
            places_of = [place for place, record in enumerate(records) if record.sender == side]
            sides[side].wrong = frozenset(at for at, place in enumerate(places_of) if place in wrong_seq)
    places: list[int | None] = []
    counts = dict.fromkeys(OTHER, 0)
    for record in records:
        places.append(sides[record.sender].place(counts[record.sender], record.segment))
        counts[record.sender] += 1
    return _acknowledge(records, places, sides, wrong)


def _side(own: Sequence[Segment], acks: Sequence[int]) -> _Side:
    """A side with the old positions of its segments, each near the one before."""
    base = next((each.seq for each in own if each.ctl & SYN), own[0].seq)
    starts: list[int] = []
    last = 0
    for segment in own:
        at = last + diff(segment.seq, add(base, last))
        starts.append(at)
        if abs(at - last) <= MAX_SHIFT:
            last = at
    near = frozenset(last + diff(ack, add(base, last)) for ack in acks)
    ends = [start + segment.length for start, segment in zip(starts, own, strict=True)]
    return _Side(base, own, starts, ends, any(each.ctl & SYN for each in own), acked=near)


def _acknowledge(
    records: Sequence[Record], places: Sequence[int | None], sides: dict[str, _Side], wrong: Collection[int]
) -> list[Segment]:
    """The segments with their new numbers, and with acknowledgements of the peer's new numbers."""
    meant = [None if place in wrong else found for place, found in enumerate(_meant(records, places, sides))]
    made: list[Segment] = []
    last: dict[str, int] = {}
    received = {side: _Received() for side in sides}
    limits = _limits(records, places, sides, meant)
    for place, record in enumerate(records):
        segment, own, start = record.segment, sides[record.sender], places[place]
        if start is None:
            made.append(segment)
            continue
        changes: dict[str, object] = {}
        if not (segment.ctl & RST and not own.pieces):
            changes["seq"] = add(own.base, start)
        peer = sides.get(OTHER[record.sender])
        if peer is not None and segment.ctl & ACK and received[OTHER[record.sender]].any:
            new = meant[place]
            if new is None:
                new = received[OTHER[record.sender]].contiguous
                limit = limits[place]
                new = new if limit is None else min(new, limit)
                new = max(new, last.get(record.sender, new))
            last[record.sender] = max(new, last.get(record.sender, new))
            changes["ack"] = add(peer.base, new)
            if segment.option(opt.Sack) is not None:
                highest = received[OTHER[record.sender]].highest
                changes["options"] = _sacked(segment, peer, highest, add(peer.base, new))
        made.append(segment.with_(**changes))
        if segment.length and not segment.ctl & RST:
            received[record.sender].add(start, segment.length)
    return made


def _meant(records: Sequence[Record], places: Sequence[int | None], sides: dict[str, _Side]) -> list[int | None]:
    """The new position that each ACK means; None where its old number stands for nothing that was sent before."""
    found: list[int | None] = []
    sent = dict.fromkeys(sides, -1)
    old: dict[str, int] = dict.fromkeys(sides, 0)
    highest: dict[str, tuple[int, int, Record]] = {}
    for record, start in zip(records, places, strict=True):
        segment, side, peer_name = record.segment, record.sender, OTHER[record.sender]
        meaning: int | None = None
        if start is None:
            found.append(None)
            continue
        if segment.ctl & ACK and peer_name in sides and sent[peer_name] >= 0:
            peer = sides[peer_name]
            at = old[peer_name] + diff(segment.ack, add(peer.base, old[peer_name]))
            meaning = peer.find(at, sent[peer_name])
            before_old, before_new, before = highest.get(side, (at, -1, record))
            if meaning is not None and at >= before_old:
                meaning = max(meaning, before_new)
                highest[side] = at, meaning, record
            elif meaning is not None and not _is_earlier(record, before):
                meaning = None  # an ACK does not go back, unless the path has changed the order
            if meaning is not None:
                old[peer_name] = max(old[peer_name], at)
        found.append(meaning)
        if segment.length and not segment.ctl & RST:
            sent[side] = max(sent[side], start + segment.length)
        elif not segment.ctl & RST:
            sent[side] = max(sent[side], start)
    return found


def _limits(
    records: Sequence[Record], places: Sequence[int | None], sides: dict[str, _Side], meant: Sequence[int | None]
) -> list[int | None]:
    """The new position that each ACK does not exceed; None where nothing tells.

    No ACK is beyond a later one of the same side, and none reaches the octets that are missing before its SACK blocks.
    """
    found: list[int | None] = []
    sent = dict.fromkeys(OTHER, 0)
    for record, start, known in zip(records, places, meant, strict=True):
        sack, peer = record.segment.option(opt.Sack), sides.get(OTHER[record.sender])
        limit = None
        if sack is not None and peer is not None and known is None:
            limit = _before_blocks(sack, peer, sent[OTHER[record.sender]])
        found.append(limit)
        if start is not None and not record.segment.ctl & RST:
            sent[record.sender] = max(sent[record.sender], start + record.segment.length)
    least: dict[str, int] = {}
    for place in range(len(records) - 1, -1, -1):
        side = records[place].sender
        every = [each for each in (found[place], least.get(side)) if each is not None]
        found[place] = min(every, default=None)
        known = meant[place]
        if known is not None or every:
            least[side] = min([*every, *([] if known is None else [known])])
    return found


def _before_blocks(sack: opt.Sack, peer: _Side, sent: int) -> int | None:
    """The latest position that an ACK with these blocks can have: there, the last segment before the lowest block begins."""
    edges = [tuple(peer.find_edge(edge, sent) for edge in block) for block in sack.blocks]
    blocks = [(left, right) for left, right in edges if left is not None and right is not None]
    # The first block may report octets that came twice (RFC 2883): those are acknowledged, or inside the second one.
    if len(blocks) == len(edges) > 1 and blocks[1][0] <= blocks[0][0] < blocks[0][1] <= blocks[1][1]:
        del blocks[0]
    if not blocks:
        return None
    lowest = min(left for left, _right in blocks)
    return max((piece.new for piece in peer.pieces if piece.new < lowest), default=None)


def _is_earlier(record: Record, before: Record) -> bool:
    """Whether a record was sent earlier than the one before it in the capture, as its identification or timestamp shows."""
    one, other = record.segment.option(opt.Timestamps), before.segment.option(opt.Timestamps)
    if one is not None and other is not None and diff(one.value, other.value) < 0:
        return True
    if record.ident is None or before.ident is None:
        return False
    return 0 < (before.ident - record.ident) & 0xFFFF < 0x8000


class _Received:
    """What has been sent so far of one side, in new positions."""

    def __init__(self) -> None:
        self.any = False
        self.contiguous = 0
        """The position after the first octets without a gap."""
        self.highest = 0
        self._ahead = RangeSet()

    def add(self, start: int, length: int) -> None:
        """Add a segment."""
        end = start + length
        if not self.any:
            self.any, self.contiguous, self.highest = True, end, end
            return
        self.highest = max(self.highest, end)
        if length:
            self._ahead.add(start, end)
        _, self.contiguous = self._ahead.at(self.contiguous) or (0, self.contiguous)


def _sacked(segment: Segment, peer: _Side, highest: int, ack: int) -> tuple[opt.Option, ...]:
    """The options with the edges of the SACK blocks at their new positions; without blocks that stand for none."""

    def moved(block: tuple[int, int]) -> tuple[int, int]:
        found = [peer.find_edge(edge, highest) for edge in block]
        # An edge that stands for nothing, such as the SYN's, keeps its distance. If both do, the block becomes empty.
        known = [
            add(peer.base, new - diff(edge, block[0]))
            for edge, new in zip(block, found, strict=True)
            if new is not None
        ]
        return (known[0], add(known[-1], diff(block[1], block[0]))) if known else (ack, ack)

    made: list[opt.Option] = []
    for option in segment.options:
        if not isinstance(option, opt.Sack):
            made.append(option)
            continue
        edges = [moved(block) for block in option.blocks]
        # A block of octets that were taken out, or are no longer beyond a gap, becomes padding: the header keeps its length.
        kept = opt.Sack(
            tuple(
                (left, right)
                for left, right in edges
                if left != right and (diff(left, ack) > 0 or diff(right, ack) < 0)
            )
        )
        made += [kept] if kept.blocks else []
        made += [opt.Nop()] * (option.width - (kept.width if kept.blocks else 0))
    return tuple(made)
