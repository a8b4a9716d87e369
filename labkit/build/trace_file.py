"""The packets of a trace as they stand in a file: their order, the octets of their frames, their comments."""

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from labkit.build import captured as capture_io
from labkit.build.explain import Explainer, Say
from labkit.build.flown import Flown
from labkit.build.record import FilePacket, Record
from labkit.capture import Frame, Writer
from labkit.capture.base import Packet
from labkit.i18n import N_
from labkit.packet.frame_edits import apply, cut
from labkit.packet.linktype import ETHERNET
from labkit.packet.scapy_build import Framing, Host
from labkit.packet.stamp import Stamp

if TYPE_CHECKING:
    from labkit.build.trace import Trace

BATCH = 256
"""Packets that are written at once."""


def layout(trace: "Trace") -> Iterator[Record | Frame]:
    """What a file consists of, in its order: the records, and in a trace of a capture, between them, the frames without a
    segment, and the fragments of unchanged datagrams but the last, with which the record itself comes.
    """
    others = trace.origin.others if trace.origin is not None else ()
    pieces = [
        frame
        for record in trace.records
        if len(record.frames) > 1 and capture_io.is_unchanged(record)
        for frame in record.frames[:-1]
    ]
    waiting = deque(sorted([*others, *pieces], key=lambda frame: frame.number))
    for record in trace.records:
        while waiting and record.frames and waiting[0].number < record.frames[-1].number:
            yield waiting.popleft()
        yield record
    yield from waiting


def count(trace: "Trace", record: Record) -> int:
    """The number of packets of a record, without those that stand apart from it in `layout`."""
    if record.frames:
        alone = len(record.frames) == 1 and "fragment" not in record.edits
        return 1 if alone or capture_io.is_unchanged(record) else len(capture_io.written(record))
    limit = trace.framing.fragment
    length = 20 + len(record.segment.header) + len(record.segment.payload)
    if "fragment" in record.edits:
        size = int(record.edits["fragment"], 0)
        return -(-length // (size // 8 * 8)) if length > size else 1
    if limit is None or "caplen" in record.edits:
        return 1
    header = 40 if trace.client.ip.version == 6 else 20
    return 1 if header + length <= limit else -(-length // _step(limit, header))


def _step(limit: int, header: int) -> int:
    """The octets in each fragment but the last: as many as fit after the headers, in multiples of eight."""
    return (limit - header - (8 if header == 40 else 0)) // 8 * 8


def pieces(framing: Framing, octets: bytes, ident: int, record: Record) -> list[bytes]:
    """The frame, or the frames of its fragments if the datagram is too large."""
    if "fragment" in record.edits:
        return cut(octets, framing.link, int(record.edits["fragment"], 0), ident)
    limit = framing.fragment
    at = 14 + 4 * len(framing.vlans) if framing.link == ETHERNET else 0
    if limit is None or len(octets) - at <= limit or "caplen" in record.edits:
        return [octets]
    return cut(octets, framing.link, _step(limit, 40 if octets[at] >> 4 == 6 else 20), ident)


def idents(trace: "Trace") -> Iterator[int]:
    """The IPv4 identification of each record."""
    counts = {"client": 0, "server": 0}
    for record in trace.records:
        ident = record.ident
        if ident is None:
            ident = counts[record.sender] = counts[record.sender] + 1
        yield ident


def ends(trace: "Trace", connection: int, sender: str, tap: str) -> tuple[Host, Host]:
    """The source and the target of a packet, with the TTL at the capture point."""
    source, target = trace.connections[connection].client, trace.connections[connection].server
    if sender == "server":
        source, target = target, source
    return (source if sender == tap else source.forwarded(trace.hops)), target


def packets(trace: "Trace", *, annotated: bool, say: Say = str) -> Iterator[FilePacket]:
    """The packets of a file in their order, with the comments on them if `annotated`, in the language of `say`."""
    explainers: dict[tuple[str, int], Explainer] = {}
    ways: dict[tuple[int, str, str], tuple[Stamp, Explainer]] = {}
    """What makes the frames and the comments of one direction at one capture point."""
    numbers = idents(trace)
    places = {tap: place for place, tap in enumerate(taps(trace))}
    framing, link, start = trace.framing, trace.link, trace.start
    for item in layout(trace) if trace.origin is not None else trace.records:
        if isinstance(item, Frame):
            comments = item.comments if annotated else ()
            yield FilePacket(None, item.time, item.data, max(item.wirelen, len(item.data)), comments, item.interface)
            continue
        record, time, ident = item, start + item.time, next(numbers)
        if record.frames:
            found = capture_io.written(record)
            for frame, octets, wirelen in found[-1:] if capture_io.is_unchanged(record) else found:
                comments = frame.comments if annotated else ()
                yield FilePacket(record, time, octets, wirelen, comments, frame.interface)
            continue
        way = record.connection, record.sender, record.tap
        made = ways.get(way)
        if made is None:
            explainer = explainers.setdefault((record.tap, record.connection), Explainer(trace.connections, say))
            made = ways[way] = Stamp(*ends(trace, *way), framing), explainer
        stamp, explainer = made
        octets = stamp.frame(record.segment, ident, record.label)
        wirelen = len(octets)
        comment = explainer.explain(record) if annotated else ""
        if not (record.edits or framing.fragment):
            yield FilePacket(record, time, octets, wirelen, (comment,) if comment else (), places[record.tap])
            continue
        if record.edits:
            octets, wirelen = apply(octets, link, record.edits)
        parts = pieces(framing, octets, ident, record)
        if len(parts) == 1:
            yield FilePacket(record, time, parts[0], wirelen, (comment,) if comment else (), places[record.tap])
            continue
        for number, piece in enumerate(parts, 1):
            head = say(N_("fragment {n} of {count} of a datagram")).format(n=number, count=len(parts))
            text = f"{head}\n{comment}".strip()
            yield FilePacket(record, time, piece, len(piece), (text,) if annotated else (), places[record.tap])


def taps(trace: "Trace") -> list[str]:
    """The capture points, in the order of their first records."""
    if isinstance(trace.records, Flown):
        return trace.records.taps
    return list(dict.fromkeys([record.tap for record in trace.records]))


def write(trace: "Trace", writer: Writer, *, annotated: bool, say: Say = str) -> int:
    """Write the packets of a file; their number."""
    if isinstance(trace.records, Flown) and not trace.framing.fragment:
        return _write_flown(trace, trace.records, writer, annotated=annotated, say=say)
    count = 0
    waiting: list[bytes] = []
    for packet in packets(trace, annotated=annotated, say=say):
        _owner, time, octets, wirelen, comments, interface = packet
        waiting.append(writer.record(time, octets, wirelen=wirelen, comments=comments, interface=interface))
        if len(waiting) == BATCH:
            writer.append(b"".join(waiting))
            waiting.clear()
        count += 1
    writer.append(b"".join(waiting))
    return count


def _write_flown(trace: "Trace", records: Flown, writer: Writer, *, annotated: bool, say: Say) -> int:
    """As `write`, for records of a simulation, none of which needs to be made."""
    explainers: dict[tuple[str, int], Explainer] = {}
    ways: dict[tuple[int, str, str], tuple[Stamp, Explainer, int]] = {}
    places = taps(trace)
    start, scripted = trace.start, records.scripted
    waiting: list[Packet] = []
    for time, tap, flight in records.captured:
        connection, sender = flight.base + flight.connection, flight.sender
        way = connection, sender, tap
        made = ways.get(way)
        if made is None:
            explainer = explainers.setdefault((tap, connection), Explainer(trace.connections, say))
            stamp = Stamp(*ends(trace, connection, sender, tap), trace.framing)
            made = ways[way] = stamp, explainer, places.index(tap)
        stamp, explainer, interface = made
        segment = flight.seen(tap)
        comment = ""
        if annotated:
            client, server = flight.states("client", scripted), flight.states("server", scripted)
            why, arrived = flight.out.why, bool(flight.times)
            comment = explainer.tell(connection, sender, segment, why, flight.step, client, server, arrived=arrived)
        waiting.append((start + time, stamp.frame(segment, flight.ident, flight.label), comment, interface))
        if len(waiting) == BATCH:
            writer.append(writer.records(waiting))
            waiting.clear()
    writer.append(writer.records(waiting))
    return len(records.captured)
