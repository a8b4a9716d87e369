"""Match the packets that one side of a conversation sent, in two captures.

The same packet has the same IPv4 identification, numbers and flags. Where a middlebox changes some of them, or there are none
(IPv6), packets match by fewer of them, in the order of their times. What is left matches by its octets: a host or a middlebox may
have cut a stream into other segments.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from statistics import median_low

from labkit.report.diff.packets import Packet
from labkit.tcp.options import Sack, Timestamps
from labkit.tcp.ranges import RangeSet
from labkit.tcp.segment import FIN, RST, SYN

SFR = SYN | FIN | RST
Key = Callable[[Packet], object]


class Octets:
    """The octets of some packets by their numbers; of those that were sent twice, the first."""

    def __init__(self, packets: Iterable[Packet] = ()) -> None:
        self._ranges = RangeSet()
        self._pieces: list[tuple[int, bytes, int]] = []
        """First number, octets, packet."""
        for each in packets:
            for start, end in list(self._ranges.gaps(each.seq, each.end)):
                octets = each.segment.payload[start - each.seq : end - each.seq]
                self._pieces.append((start, octets, each.number))
            if each.end > each.seq:
                self._ranges.add(each.seq, each.end)
        self._pieces.sort()

    def covers(self, each: Packet) -> bool:
        """Whether all octets of a packet are here, if it has any."""
        return each.end > each.seq and not self.missing(each)

    def missing(self, each: Packet) -> tuple[tuple[int, int], ...]:
        """The octets of a packet that are not here, as [start, end)."""
        return tuple(self._ranges.gaps(each.seq, each.end))

    def read(self, each: Packet) -> bytes:
        """The octets here under the numbers of a packet that they cover."""
        return b"".join(
            octets[max(0, each.seq - start) : each.end - start] for start, octets, _packet in self._overlapping(each)
        )

    def packet(self, each: Packet) -> int | None:
        """The packet with the first octet of `each` that is here."""
        return next((packet for _start, _octets, packet in self._overlapping(each)), None)

    def _overlapping(self, each: Packet) -> Iterator[tuple[int, bytes, int]]:
        at = max(0, bisect_right(self._pieces, each.seq, key=itemgetter(0)) - 1)
        for piece in self._pieces[at:]:
            if piece[0] >= each.end:
                return
            if piece[0] + len(piece[1]) > each.seq:
                yield piece


@dataclass(slots=True)
class Matching:
    """The packets of one direction in two captures, by their positions."""

    a: Sequence[Packet]
    b: Sequence[Packet]
    pairs: list[tuple[int, int]] = field(default_factory=list)
    """Positions of the same packet in both, in the order of `b`."""
    repeated: list[tuple[int, int]] = field(default_factory=list)
    """Further copies of a packet of `a` in `b`."""
    repeated_back: list[tuple[int, int]] = field(default_factory=list)
    """Further copies of a packet of `b` in `a`: positions in `a`, `b`."""
    only_a: list[int] = field(default_factory=list)
    only_b: list[int] = field(default_factory=list)
    cut_a: list[int] = field(default_factory=list)
    """Packets of `a` whose octets are all in other packets of `b`: the stream was cut into other segments."""
    cut_b: list[int] = field(default_factory=list)
    octets_a: Octets = field(default_factory=Octets)
    """The octets of the packets of `a` that no packet of `b` is like."""
    octets_b: Octets = field(default_factory=Octets)


def match(a: Sequence[Packet], b: Sequence[Packet], *, same: bool) -> Matching:
    """Match the packets of two captures; `same`: they show the same packets, at two points."""
    found = Matching(a, b)
    left = set(range(len(a))), set(range(len(b)))
    keys: list[Key] = [_by_number, _by_range]
    if same:
        keys = [_by_sack, _by_time_stamp, *keys]
        if len({each.ident for each in a}) > 1 and all(each.ident is not None for each in (*a, *b)):
            keys = [_by_ident, *keys]
    for key in keys:
        _match_by(found, left, key)
        if key is _by_ident and 2 * len(found.pairs) >= min(len(a), len(b)):
            break  # the identifications are kept, so that a packet with another one is another packet
    if same:
        _repeated(found, left, keys[0])
    found.pairs.sort(key=lambda pair: pair[1])
    found.only_a, found.only_b = sorted(left[0]), sorted(left[1])
    _match_octets(found)
    return found


def _by_ident(each: Packet) -> object:
    return each.ident, _by_range(each)


def _by_sack(each: Packet) -> object:
    return _by_time_stamp(each), each.segment.option(Sack)


def _by_time_stamp(each: Packet) -> object:
    stamps = each.segment.option(Timestamps)
    return _by_number(each), stamps and (stamps.value, stamps.echo), each.segment.window


def _by_number(each: Packet) -> object:
    return _by_range(each), each.ack


def _by_range(each: Packet) -> object:
    return each.seq, len(each.segment.payload), each.segment.ctl & SFR


def _match_by(found: Matching, left: tuple[set[int], set[int]], key: Key) -> None:
    """Match what is left by a key: those that it names once first, the others by their times."""
    ours, theirs = _grouped(found.a, left[0], key), _grouped(found.b, left[1], key)
    several = []
    for name, places in ours.items():
        others = theirs.get(name, [])
        if len(places) == len(others) or key is _by_ident:
            # With an identification, a further one is a copy of the first.
            _take(found, left, zip(places, others, strict=False))
        elif others:
            several.append((places, others))
    delays = [found.b[j].time - found.a[i].time for i, j in found.pairs]
    delay = median_low(delays) if delays else 0
    for places, others in several:
        fewer, more = (places, others) if len(places) < len(others) else (others, places)
        one, other = (found.a, found.b) if fewer is places else (found.b, found.a)
        sign = 1 if fewer is places else -1
        # Of each of the fewer, the nearest of the more, in order, so that enough are left for the rest.
        at = 0
        for number, place in enumerate(fewer):
            room = range(at, len(more) - (len(fewer) - number) + 1)
            at = min(room, key=lambda i: abs(other[more[i]].time - one[place].time - sign * delay))
            _take(found, left, [(place, more[at]) if fewer is places else (more[at], place)])
            at += 1


def _grouped(packets: Sequence[Packet], places: set[int], key: Key) -> dict[object, list[int]]:
    found: dict[object, list[int]] = defaultdict(list)
    for place in sorted(places):
        found[key(packets[place])].append(place)
    return found


def _take(found: Matching, left: tuple[set[int], set[int]], pairs: Iterable[tuple[int, int]]) -> None:
    for i, j in pairs:
        found.pairs.append((i, j))
        left[0].discard(i)
        left[1].discard(j)


def _repeated(found: Matching, left: tuple[set[int], set[int]], key: Key) -> None:
    """Find copies: packets that are left, and have all of a packet that is matched."""
    ours = {key(found.a[i]): i for i, _ in found.pairs}
    theirs = {key(found.b[j]): j for _, j in found.pairs}
    for j in sorted(left[1]):
        if (i := ours.get(key(found.b[j]))) is not None:
            found.repeated.append((i, j))
            left[1].discard(j)
    for i in sorted(left[0]):
        if (there := theirs.get(key(found.a[i]))) is not None:
            found.repeated_back.append((i, there))
            left[0].discard(i)


def _match_octets(found: Matching) -> None:
    """Of what is left, find the packets whose octets the other capture has in other packets."""
    found.octets_a = Octets(found.a[i] for i in found.only_a)
    found.octets_b = Octets(found.b[j] for j in found.only_b)
    found.cut_a = [i for i in found.only_a if found.octets_b.covers(found.a[i])]
    found.cut_b = [j for j in found.only_b if found.octets_a.covers(found.b[j])]
    cut_a, cut_b = set(found.cut_a), set(found.cut_b)
    found.only_a = [i for i in found.only_a if i not in cut_a]
    found.only_b = [j for j in found.only_b if j not in cut_b]
