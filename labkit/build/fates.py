"""What the path did to the packets of a simulated conversation: the truth that a comparison of captures has to find."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from labkit.build.trace import Record, Trace

LATE = 1_000_000
"""Nanoseconds by which a packet takes longer than the fastest one of its direction, and is not yet delayed."""


@dataclass(frozen=True, slots=True)
class Fate:
    """Something that the path did to a packet."""

    kind: str
    """`lost`, `repeated`, `reordered` or `delayed`."""
    sender: str
    """The side that sent it: "client" or "server"."""
    sent: int
    """Its number in the capture, where it was sent."""
    arrived: int | None
    """Its number in the capture, where it arrived; None if it is lost."""
    late: int = 0
    """`delayed`: nanoseconds that it took longer than the fastest packet of its direction."""


def fates(trace: Trace) -> list[Fate]:
    """What the path did to the packets that were captured where they were sent, in the order of the capture.

    Only a trace that was captured at both sides shows more than losses.
    """
    directions: dict[tuple[int, str], list[tuple[int, Record]]] = defaultdict(list)
    for number, record in zip(trace.numbers(), trace.records, strict=True):
        directions[record.connection, record.sender].append((number, record))
    found = chain.from_iterable(map(_of_direction, directions.values()))
    return sorted(found, key=lambda each: (each.sent, each.arrived or 0))


def _of_direction(records: list[tuple[int, Record]]) -> Iterator[Fate]:
    """The fates of what one side of a connection sent."""
    side = records[0][1].sender
    sent = [pair for pair in records if pair[1].tap == side]
    came = [pair for pair in records if pair[1].tap != side]
    for number, record in sent:
        if not record.arrived:
            yield Fate("lost", side, number, None)
    waiting: dict[object, list[int]] = defaultdict(list)
    for place, (_number, record) in enumerate(sent):
        if record.arrived:
            waiting[_key(record)].append(place)
    matched: dict[object, int] = {}
    firsts: list[tuple[int, int, int]] = []
    """The place among those sent, the number where it arrived, and how long it took."""
    for number, record in came:
        key = _key(record)
        if waiting[key]:
            matched[key] = waiting[key].pop(0)
            firsts.append((matched[key], number, record.time - sent[matched[key]][1].time))
        elif key in matched:
            yield Fate("repeated", side, sent[matched[key]][0], number)
    least = min((took for _place, _number, took in firsts), default=0)
    latest = -1
    for place, number, took in firsts:
        if place < latest:
            yield Fate("reordered", side, sent[place][0], number)
        latest = max(latest, place)
        if took - least > LATE:
            yield Fate("delayed", side, sent[place][0], number, took - least)


def _key(record: Record) -> object:
    """What a packet has at both ends, whatever the path marks."""
    segment = record.segment
    return record.ident, segment.seq, segment.ack, segment.ctl, segment.payload, segment.options
