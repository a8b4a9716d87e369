"""Judging in flat memory: what `labkit.analysis.verifier.Verifier` does segment by segment, as source for the compiler.

`ask_*`, `clear` and `house` are written by `labkit.analysis.native.kernels`, rule by rule, from the catalogue; here they stand for
themselves, so that the calls can be translated.
"""

from dataclasses import dataclass

from labkit.analysis.native.records import Rows
from labkit.analysis.native.table import NONE, Conversation, Host, State, end_hash, find, give_back, is_wanted, retire
from labkit.analysis.payload import ALL_OCTETS, ALL_PIECES, OCTETS, PIECES
from labkit.analysis.pending import close, resolve
from labkit.analysis.side import Side
from labkit.analysis.tracker import advance, look, relate, spoiled
from labkit.packet.seen import ABSENT, SHORT_IP, SOUND, Seen
from labkit.tcp.segment import SYN
from labkit.tcp.seq import add, diff


@dataclass(slots=True)
class Event:
    """What a rule has found: all that its message needs. The ends are those of `labkit.analysis.native.table.Conversation`."""

    rule: int = 0
    """Its position in the catalogue."""
    found: int = 0
    """What its predicate answered."""
    side: int = 0
    """Who sent the segment that it is about: 1 for the conversation's second end."""
    word: int = 0
    """The field's name, where the rule chooses among several: a position in the translation's words."""
    flow: int = 0
    family: int = 0
    a0: int = 0
    a1: int = 0
    a2: int = 0
    a3: int = 0
    a_port: int = 0
    b0: int = 0
    b1: int = 0
    b2: int = 0
    b3: int = 0
    b_port: int = 0
    packet: int = 0
    """0 where it is about the whole conversation."""
    time: int = 0
    base_me: int = 0
    base_peer: int = 0
    expected: int = 0
    actual: int = 0
    v0: int = 0
    v1: int = 0
    v2: int = 0
    v3: int = 0


@dataclass(slots=True)
class Hit:
    """How often a rule's predicate gave one of its answers, and the first packet."""

    count: int = 0
    packet: int = 0


@dataclass(slots=True)
class Said:
    """A rule's code that was said of a host."""

    used: int = 0
    code: int = 0
    family: int = 0
    w0: int = 0
    w1: int = 0
    w2: int = 0
    w3: int = 0


@dataclass(slots=True)
class Piece:
    """Octets that a side has sent lately."""

    seq: int = 0
    size: int = 0
    at: int = 0
    """How many octets all sides together had sent before."""
    before: int = 0
    """The serial number of the side's piece before this one; 0 where there is none."""


def ask_frame(
    seg: Seen,
    me: Side,
    peer: Side,
    row: Conversation,
    side: int,
    t: State,
    events: Rows[Event],
    hits: Rows[Hit],
    asked: list[int],
    said: Rows[Said],
    kept: list[int],
) -> None:
    """Ask the rules of scope FRAME."""


def ask_segment(
    seg: Seen,
    me: Side,
    peer: Side,
    row: Conversation,
    side: int,
    t: State,
    events: Rows[Event],
    hits: Rows[Hit],
    asked: list[int],
    said: Rows[Said],
    kept: list[int],
) -> None:
    """Ask the rules of scope SEGMENT."""


def ask_pending(
    seg: Seen,
    me: Side,
    peer: Side,
    row: Conversation,
    side: int,
    t: State,
    events: Rows[Event],
    hits: Rows[Hit],
    asked: list[int],
    said: Rows[Said],
    kept: list[int],
) -> None:
    """Ask the rules of scope DOUBT."""


def ask_side(
    seg: Seen,
    me: Side,
    peer: Side,
    row: Conversation,
    side: int,
    t: State,
    events: Rows[Event],
    hits: Rows[Hit],
    asked: list[int],
    said: Rows[Said],
    kept: list[int],
) -> None:
    """Ask the rules of scope SIDE."""


def ask_flow(
    seg: Seen,
    me: Side,
    peer: Side,
    row: Conversation,
    side: int,
    t: State,
    events: Rows[Event],
    hits: Rows[Hit],
    asked: list[int],
    said: Rows[Said],
    kept: list[int],
) -> None:
    """Ask the rules of scope FLOW."""


def house(side: Side, spare: int, t: State, doubts: Rows[Side]) -> None:
    """Give a side a row beside where there are doubts about it, and take it back where there are none."""


def said_before(code: int, row: Conversation, side: int, t: State, said: Rows[Said]) -> bool:
    """Whether something that is said once of a host was said; from now on it was. All is forgotten where it is too much."""
    w0 = row.b0 if side else row.a0
    w1 = row.b1 if side else row.a1
    w2 = row.b2 if side else row.a2
    w3 = row.b3 if side else row.a3
    home = end_hash(t.seed, w0, w1, w2, w3, code, row.family) & t.said_mask
    place = home
    while said[place].used:
        one = said[place]
        if (
            one.code == code
            and one.family == row.family
            and one.w0 == w0
            and one.w3 == w3
            and one.w2 == w2
            and one.w1 == w1
        ):
            return True
        place = (place + 1) & t.said_mask
    if t.said == t.said_most:
        for i in range(t.said_mask + 1):
            said[i].used = 0
        t.said = 0
        place = home
    one = said[place]
    one.used, one.code, one.family = 1, code, row.family
    one.w0, one.w1, one.w2, one.w3 = w0, w1, w2, w3
    t.said += 1
    return False


def judge(
    count: int,
    octets: bytes,
    places: list[int],
    hashes: list[int],
    segs: Rows[Seen],
    blank: Seen,
    t: State,
    rows: Rows[Conversation],
    sides: Rows[Side],
    doubts: Rows[Side],
    heads: list[int],
    hosts: Rows[Host],
    host_heads: list[int],
    events: Rows[Event],
    hits: Rows[Hit],
    asked: list[int],
    said: Rows[Said],
    kept: list[int],
    pieces: Rows[Piece],
    ring: list[int],
    described: Rows[Conversation],
    described_sides: Rows[Side],
    chosen: list[int],
) -> int:
    """Judge so many segments. A segment's octets begin at its `places` in `octets`; `hashes` are the segments' `flow_hash`."""
    for i in range(count):
        foresee(i, octets, places, hashes, t, rows, sides, heads)
        _judge(
            behind(octets, places[i]),
            segs[i],
            hashes[i],
            t,
            rows,
            sides,
            doubts,
            heads,
            hosts,
            host_heads,
            events,
            hits,
            asked,
            said,
            kept,
            pieces,
            ring,
            chosen,
        )
        while t.over_a >= 0 or t.over_b >= 0 or t.over_c >= 0:
            slot = t.over_a
            if slot >= 0:
                t.over_a = NONE
            elif t.over_b >= 0:
                slot = t.over_b
                t.over_b = NONE
            else:
                slot = t.over_c
                t.over_c = NONE
            _finish(slot, blank, t, rows, sides, doubts, events, hits, asked, said, kept, described, described_sides)
            give_back(t, rows, slot)
    return count


AHEAD = 16
"""Segments after the one that is judged whose conversation is looked for: so long memory takes to come."""


def foresee(
    i: int,
    octets: bytes,
    places: list[int],
    hashes: list[int],
    t: State,
    rows: Rows[Conversation],
    sides: Rows[Side],
    heads: list[int],
) -> None:
    """Have memory come that will be wanted. It changes nothing: what is beyond the batch's segments is some older one's."""
    fetch(heads, hashes[i + AHEAD] & t.mask)
    slot = heads[hashes[i + AHEAD // 2] & t.mask]
    if slot >= 0:
        fetch(rows, slot)
    slot = heads[hashes[i + AHEAD // 4] & t.mask]
    if slot >= 0:
        fetch(sides, 2 * slot)
        fetch(sides, 2 * slot + 1)
    fetch(octets, places[i + AHEAD // 4])


def fetch(array: object, index: int) -> None:
    """Compiled, ask the processor to bring an element."""


def behind(octets: bytes, at: int) -> bytes:
    """The octets from a place on. Compiled, a pointer."""
    return octets[at:]


def finish(
    blank: Seen,
    t: State,
    rows: Rows[Conversation],
    sides: Rows[Side],
    doubts: Rows[Side],
    events: Rows[Event],
    hits: Rows[Hit],
    asked: list[int],
    said: Rows[Said],
    kept: list[int],
    described: Rows[Conversation],
    described_sides: Rows[Side],
) -> int:
    """Finish the conversations that are left: those that are over, then the open ones, the oldest first."""
    while t.open + t.ended:
        if t.ended:
            slot = t.quietest
            t.quietest = rows[slot].newer
            t.ended -= 1
        else:
            slot = t.oldest
            t.oldest = rows[slot].newer
            t.open -= 1
        _finish(slot, blank, t, rows, sides, doubts, events, hits, asked, said, kept, described, described_sides)
    return 0


def _judge(
    buf: bytes,
    seg: Seen,
    hashed: int,
    t: State,
    rows: Rows[Conversation],
    sides: Rows[Side],
    doubts: Rows[Side],
    heads: list[int],
    hosts: Rows[Host],
    host_heads: list[int],
    events: Rows[Event],
    hits: Rows[Hit],
    asked: list[int],
    said: Rows[Said],
    kept: list[int],
    pieces: Rows[Piece],
    ring: list[int],
    chosen: list[int],
) -> None:
    t.segments += 1
    place = find(buf, seg, hashed, t, rows, sides, heads, hosts, host_heads)
    side = place & 1
    slot = place >> 1
    row = rows[slot]
    if row.segments == 1:
        row.wanted = int(is_wanted(row, chosen))
        t.reported += row.wanted
    me = sides[place]
    peer = sides[place ^ 1]
    ask_frame(seg, me, peer, row, side, t, events, hits, asked, said, kept)
    if seg.fault not in (SOUND, SHORT_IP):
        return
    look(seg, me, peer)
    if (me.pending_n or peer.pending_n) and _settle(seg, me, peer, row, side, t, events, hits, asked, said, kept):
        relate(seg, me)
    if seg.data_len and not spoiled(seg):
        _remember(buf, seg, me, row, side, t, pieces, ring)
    ask_segment(seg, me, peer, row, side, t, events, hits, asked, said, kept)
    advance(seg, me, peer)
    house(me, side, t, doubts)
    house(peer, 1 - side, t, doubts)
    retire(t, rows, sides, heads, slot)


def _settle(
    seg: Seen,
    me: Side,
    peer: Side,
    row: Conversation,
    side: int,
    t: State,
    events: Rows[Event],
    hits: Rows[Hit],
    asked: list[int],
    said: Rows[Said],
    kept: list[int],
) -> bool:
    settled = False
    while resolve(me):
        settled = True
        ask_pending(seg, me, peer, row, side, t, events, hits, asked, said, kept)
    while resolve(peer):
        settled = True
        ask_pending(seg, peer, me, row, 1 - side, t, events, hits, asked, said, kept)
    return settled


def _finish(
    slot: int,
    blank: Seen,
    t: State,
    rows: Rows[Conversation],
    sides: Rows[Side],
    doubts: Rows[Side],
    events: Rows[Event],
    hits: Rows[Hit],
    asked: list[int],
    said: Rows[Said],
    kept: list[int],
    described: Rows[Conversation],
    described_sides: Rows[Side],
) -> None:
    row = rows[slot]
    first = sides[2 * slot]
    other = sides[2 * slot + 1]
    close(first, other)
    close(other, first)
    _settle(blank, first, other, row, 0, t, events, hits, asked, said, kept)
    ask_side(blank, first, other, row, 0, t, events, hits, asked, said, kept)
    ask_side(blank, other, first, row, 1, t, events, hits, asked, said, kept)
    ask_flow(blank, first, other, row, 0, t, events, hits, asked, said, kept)
    house(first, 0, t, doubts)
    house(other, 1, t, doubts)
    t.again += row.point > 0
    t.lacking += first.missed + other.missed
    if row.wanted and t.described < t.describable:
        described[t.described] = rows[slot]
        described_sides[2 * t.described] = sides[2 * slot]
        described_sides[2 * t.described + 1] = sides[2 * slot + 1]
        t.described += 1


def _remember(
    buf: bytes, seg: Seen, me: Side, row: Conversation, side: int, t: State, pieces: Rows[Piece], ring: list[int]
) -> None:
    """Compare a segment's octets with those that were sent under the same numbers, and keep what is new."""
    at = seg.data_at
    first = add(seg.seq, 1) if seg.ctl & SYN else seg.seq
    last = row.b_piece if side else row.a_piece
    if seg.seq_offset < 0 or (seg.ctl & SYN and me.syn):
        seg.conflict = _conflict(first, buf, at, seg.data_len, last, t, pieces, ring)
    if seg.new_octets:
        piece = pieces[(t.pieces + 1) & (ALL_PIECES - 1)]
        piece.seq, piece.size, piece.at, piece.before = first, seg.data_len, t.octets, last
        keep(buf, at, seg.data_len, ring, t.octets & (ALL_OCTETS - 1))
        t.octets += seg.data_len
        t.pieces += 1
        if side:
            row.b_piece = t.pieces
        else:
            row.a_piece = t.pieces


def keep(buf: bytes, at: int, size: int, ring: list[int], to: int) -> None:
    """Copy octets into the ring."""
    room = ALL_OCTETS - to
    for i in range(min(size, room)):
        ring[to + i] = buf[at + i]
    for i in range(room, size):
        ring[i - room] = buf[at + i]


def _conflict(
    seq: int, buf: bytes, at: int, size: int, serial: int, t: State, pieces: Rows[Piece], ring: list[int]
) -> int:
    """`labkit.analysis.payload.Octets.conflict`: the first number whose octet differs from one that is held, or ABSENT."""
    first = size
    held = 0
    number = 0
    while serial > 0 and t.pieces - serial < ALL_PIECES:
        piece = pieces[serial & (ALL_PIECES - 1)]
        held += piece.size
        number += 1
        if t.octets - piece.at > ALL_OCTETS or held > OCTETS or number > PIECES:
            break
        offset = diff(seq, piece.seq)
        i = max(0, -offset)
        j = max(0, offset)
        end = piece.size
        start = piece.at
        while i < first and j < end:
            if buf[at + i] != ring[(start + j) & (ALL_OCTETS - 1)]:
                first = i
            i += 1
            j += 1
        serial = piece.before
    return ABSENT if first == size else add(seq, first)
