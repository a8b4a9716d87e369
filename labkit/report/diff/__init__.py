"""Compare two captures: of both ends of a path, before and after a middlebox, or of two runs of the same conversation.

    difference = diff(Trace.from_capture("client.pcapng"), Trace.from_capture("server.pcapng"))
    for each in difference.conversations:
        print(each.events)

Conversations are matched (`packets`), then the packets of each side, and the octets of those that no packet is like (`matching`).
Where both captures show the same packets, one of them is nearer to the sender: what it has and the other one lacks is lost on
the way, and the order and times of arrival show what was overtaken and delayed. The clocks need not agree: times are compared
with the fastest packet of the same direction. Otherwise the same conversation happened twice, and only what was sent is
compared.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from labkit.build.trace import Trace
from labkit.errors import UsageError
from labkit.i18n import ngettext
from labkit.report.diff.fields import Alteration, altered
from labkit.report.diff.matching import Matching, Octets, match
from labkit.report.diff.packets import SIDES, Packet, Pair, Talk, pairs

LATE = 1_000_000
"""Nanoseconds by which a packet takes longer than the fastest one, and is not yet late."""

KINDS = ("lost", "added", "repeated", "reordered", "delayed", "payload", "resegmented")
"""What can happen to a packet on its way."""

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a packet."""

    kind: str
    """One of KINDS."""
    side: str
    """The side that sent it: "client" or "server"."""
    packet_a: int | None
    """Its number in the first capture; None if that lacks it."""
    packet_b: int | None
    seq: int
    """Its sequence number, counted from the ISN."""
    length: int
    """Octets of its payload."""
    late: int = 0
    """`delayed`: nanoseconds that it took longer than the fastest packet of its direction."""
    ranges: Ranges = ()
    """`payload`: the octets that differ; `lost`: those that the other capture never shows. As [start, end), from the ISN."""
    arrived: int | None = None
    """`lost`: the packet of the other capture with which its octets arrived later."""
    time: int = 0
    """Nanoseconds since 1970-01-01, in the first capture that has it."""


@dataclass(frozen=True, slots=True)
class Direction:
    """One direction of a conversation in both captures."""

    side: str
    """The side that sends."""
    packets: tuple[int, int]
    """The number of packets in both captures."""
    matched: int
    delay: int | None
    """Nanoseconds from the sender's capture to the other, of the fastest packet, by the captures' clocks; None if unknown."""
    hops: int | None
    """Routers between both captures, by which the TTL is less; None if that varies or is unknown."""
    alterations: tuple[Alteration, ...]
    """Header fields that were changed on the way."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One conversation in both captures."""

    client: str
    server: str
    same: bool
    """Whether both captures show the same packets; otherwise the conversation happened twice."""
    near: str | None
    """The capture at the client's end of the path: "a" or "b"; None if neither is."""
    directions: tuple[Direction, ...]
    events: tuple[Event, ...]

    @property
    def differs(self) -> bool:
        """Whether there is a difference other than the time and the hops that a path takes."""
        return bool(self.events) or any(each.alterations for each in self.directions)


@dataclass(frozen=True, slots=True)
class Difference:
    """The differences of two captures."""

    conversations: tuple[Compared, ...] = ()
    only_a: tuple[tuple[str, str, int], ...] = ()
    """Conversations that only the first capture has: client, server, number of packets."""
    only_b: tuple[tuple[str, str, int], ...] = ()
    names: tuple[str, str] = field(default=("a", "b"))

    @property
    def differs(self) -> bool:
        """Whether there is any difference other than the time and the hops that a path takes."""
        return bool(self.only_a or self.only_b) or any(each.differs for each in self.conversations)


def diff(a: Trace, b: Trace, *, late: int = LATE) -> Difference:
    """Compare two captures. `late`: nanoseconds beyond the fastest packet of a direction from which a packet is delayed."""
    matched, only_a, only_b = pairs(a, b)
    return Difference(
        tuple(_conversation(pair, late) for pair in matched),
        tuple(map(_named, only_a)),
        tuple(map(_named, only_b)),
        (a.name, b.name),
    )


def points(trace: Trace) -> tuple[Trace, Trace]:
    """The two traces of a capture with two interfaces. UsageError if segments were captured at another number of interfaces."""
    found = sorted({record.frames[-1].interface for record in trace.records if record.frames})
    if len(found) != 2:
        raise UsageError(
            ngettext(
                "{name}: has segments at {count} interface; expected two interfaces, or a second capture",
                "{name}: has segments at {count} interfaces; expected two interfaces, or a second capture",
                len(found),
            ).format(name=trace.name, count=len(found))
        )
    interfaces = trace.origin.interfaces if trace.origin is not None else ()
    names = [interfaces[each].name if each < len(interfaces) else "" for each in found]
    one, other = (_at_interface(trace, each, name or str(each)) for each, name in zip(found, names, strict=True))
    return one, other


def _at_interface(trace: Trace, interface: int, name: str) -> Trace:
    """The records that were captured at one interface."""
    records = tuple(each for each in trace.records if each.frames and each.frames[-1].interface == interface)
    return replace(trace, name=name, records=records)


def _named(talk: Talk) -> tuple[str, str, int]:
    return str(talk[0].client), str(talk[0].server), len(talk[1])


def _conversation(pair: Pair, late: int) -> Compared:
    matchings = {side: match(pair.a[side], pair.b[side], same=pair.same) for side in SIDES}
    near = _near(matchings) if pair.same else None
    directions: list[Direction] = []
    events: list[Event] = []
    for side, found in matchings.items():
        from_a = near is None or (near == "a") == (side == "client")
        delays = _delays(found, from_a=from_a) if near is not None else []
        least = min(delays, default=None)
        directions.append(
            Direction(
                side,
                (len(found.a), len(found.b)),
                len(found.pairs),
                least,
                _hops(found, from_a=from_a) if near is not None else None,
                altered(found, pair, side, from_a=from_a, on_path=near is not None),
            )
        )
        events += _missing(found, side, from_a=from_a, on_path=near is not None)
        events += _payloads(found, side)
        if near is not None:
            events += _times(found, side, delays, late, from_a=from_a)
    events.sort(key=lambda each: (each.time, each.packet_a or 0, each.packet_b or 0, KINDS.index(each.kind)))
    return Compared(pair.client, pair.server, pair.same, near, tuple(directions), tuple(events))


def _near(matchings: dict[str, Matching]) -> str | None:
    """The capture at the client's end of the path: there, the client's packets are earlier than in the other one, and the
    server's later. The difference of both does not depend on the clocks. Without it, the TTL tells.
    """
    there, back = (
        [found.b[j].time - found.a[i].time for i, j in found.pairs]
        for found in (matchings["client"], matchings["server"])
    )
    if there and back:
        if min(there) > max(back):
            return "a"
        if min(back) > max(there):
            return "b"
    hops = [
        (found.a[i].ttl - found.b[j].ttl) * (1 if side == "client" else -1)
        for side, found in matchings.items()
        for i, j in found.pairs
    ]
    if hops and (min(hops) > 0 or max(hops) < 0):
        return "a" if min(hops) > 0 else "b"
    return None


def _delays(found: Matching, *, from_a: bool) -> list[int]:
    """How long each matched packet took, in the order of the pairs."""
    sign = 1 if from_a else -1
    return [sign * (found.b[j].time - found.a[i].time) for i, j in found.pairs]


def _hops(found: Matching, *, from_a: bool) -> int | None:
    sign = 1 if from_a else -1
    hops = {sign * (found.a[i].ttl - found.b[j].ttl) for i, j in found.pairs}
    return hops.pop() if len(hops) == 1 and min(hops) >= 0 else None


def _event(kind: str, side: str, one: Packet | None, other: Packet | None, **more: object) -> Event:
    there = one or other
    assert there is not None  # noqa: S101 - an event is about a packet
    number_a, number_b = one.number if one else None, other.number if other else None
    return Event(kind, side, number_a, number_b, there.seq, len(there.segment.payload), time=there.time, **more)  # type: ignore[arg-type]


def _missing(found: Matching, side: str, *, from_a: bool, on_path: bool) -> Iterator[Event]:
    """What one capture has and the other lacks: lost on the way from the sender, or added; further copies; other segments."""
    lost_a, lost_b = list(found.only_a), list(found.only_b)
    repeated = [*found.repeated, *found.repeated_back]
    if on_path:
        # A further copy at the sender was sent again, and lost; one at the receiver was repeated on the way.
        repeated = found.repeated if from_a else found.repeated_back
        lost_a += [i for i, _j in found.repeated_back if from_a]
        lost_b += [j for _i, j in found.repeated if not from_a]
    arrived_a = Octets(found.a) if lost_b else Octets()
    arrived_b = Octets(found.b) if lost_a else Octets()
    for i in sorted(lost_a):
        one = found.a[i]
        if on_path and not from_a:
            yield _event("added", side, one, None)
        else:
            yield _event("lost", side, one, None, ranges=arrived_b.missing(one), arrived=arrived_b.packet(one))
    for j in sorted(lost_b):
        other = found.b[j]
        if on_path and not from_a:
            yield _event("lost", side, None, other, ranges=arrived_a.missing(other), arrived=arrived_a.packet(other))
        else:
            yield _event("added", side, None, other)
    for i, j in repeated:
        yield _event("repeated", side, found.a[i], found.b[j])
    for i in found.cut_a:
        yield _event("resegmented", side, found.a[i], None)
    for j in found.cut_b:
        yield _event("resegmented", side, None, found.b[j])


def _differing(one: Packet, other: bytes) -> Ranges:
    """The octets of a packet that differ from others under the same numbers."""
    found: list[tuple[int, int]] = []
    for at, (mine, theirs) in enumerate(zip(one.segment.payload, other, strict=True), one.seq):
        if mine != theirs:
            found[-1:] = [(found[-1][0], at + 1)] if found and found[-1][1] == at else [*found[-1:], (at, at + 1)]
    return tuple(found)


def _payloads(found: Matching, side: str) -> Iterator[Event]:
    """Packets with other octets, and octets that were cut into other segments and changed."""
    for i, j in found.pairs:
        one, other = found.a[i].segment.payload, found.b[j].segment.payload
        if one != other:
            yield _event("payload", side, found.a[i], found.b[j], ranges=_differing(found.a[i], other))
    for i in found.cut_a:
        each = found.a[i]
        there = found.octets_b.read(each)
        if there != each.segment.payload:
            yield _event("payload", side, each, None, ranges=_differing(each, there))


def _times(found: Matching, side: str, delays: Sequence[int], late: int, *, from_a: bool) -> Iterator[Event]:
    """Packets that arrived after one that was sent later (RFC 4737 section 3), and packets that took long."""
    least = min(delays, default=0)
    order = sorted(zip(found.pairs, delays, strict=True), key=lambda each: each[0][1 if from_a else 0])
    latest = -1
    for (i, j), delay in order:
        sent = i if from_a else j
        if sent < latest:
            yield _event("reordered", side, found.a[i], found.b[j])
        latest = max(latest, sent)
        if delay - least > late:
            yield _event("delayed", side, found.a[i], found.b[j], late=delay - least)
