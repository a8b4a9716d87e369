"""Read a capture as the records of a trace, and write changed records into their frames again.

A record keeps the frames that it was read from. An unchanged record is written as those frames; a changed segment is put into
them (`labkit.packet.rewrite`), so that link layers, VLAN tags, IP headers and comments stay. Frames without a readable segment
stay where they are.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from ipaddress import ip_address
from os import PathLike, fspath
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, cast

from labkit.build.record import Connection, Origin, Record, make_record
from labkit.capture import Frame, Frames, frames_of, open_capture
from labkit.capture.budget import Budget, Meter
from labkit.errors import UsageError
from labkit.i18n import _
from labkit.packet.decode.outcome import FRAGMENT, TCP
from labkit.packet.decode.walk import decode
from labkit.packet.frame_edits import apply, cut
from labkit.packet.linktype import ETHERNET
from labkit.packet.reassembly import Reassembler, fragment_of
from labkit.packet.rewrite import MAX_MISSING_OCTETS, VLAN_TYPES, is_plain, network_at, rewrite, segment_of
from labkit.packet.scapy_build import Host, Vlan
from labkit.packet.seen import ABSENT, Seen
from labkit.tcp.segment import ACK, FIN, RST, SYN, Segment
from labkit.tcp.seq import add

if TYPE_CHECKING:
    from scapy.packet import Packet

Source: TypeAlias = (
    "str | PathLike[str] | BinaryIO | bytes | bytearray | memoryview | Frames | Packet | Iterable[Frame | Packet]"
)
"""What a trace can be read from: a path ("-" is standard input), an open binary file, a file's content, frames, Scapy packets."""

MAX_PENDING_FRAMES = 4_096
"""Frames of fragments that wait for the rest of their datagrams."""

SERVICE_TAG = 0x88A8
UNKNOWN_MAC = "02:00:00:00:00:01"

End = tuple[bytes, int]
Written = tuple[Frame, bytes, int]
"""A frame with its changed octets and their length on the wire."""


def read(source: "Source", budget: Budget | None = None) -> tuple[list[Record], list[Connection], Origin]:
    """The records of a capture, their connections, and everything else in it. CaptureError as `open_capture`.

    A record's time counts from 1970. The whole capture is held in memory, as far as `budget` goes.
    """
    with open_capture(openable(source), Meter(budget) if budget else None) as capture:
        records, connections, others = sort_frames(capture)
        names = dict(capture.names)
        origin = Origin(tuple(capture.interfaces), names, tuple(capture.comments), others, capture.damage)
    named = [
        replace(
            each,
            client=replace(each.client, name=names.get(each.client.address, "")),
            server=replace(each.server, name=names.get(each.server.address, "")),
        )
        for each in connections
    ]
    return records, named, origin


def openable(source: "Source") -> str | BinaryIO | Frames:
    """What `open_capture` takes."""
    if isinstance(source, bytes | bytearray | memoryview):
        return BytesIO(source)
    if isinstance(source, str | PathLike):
        return fspath(source)
    if hasattr(source, "read") and not isinstance(source, Frames):
        return cast("BinaryIO", source)
    if not isinstance(source, Iterable | Frames):
        text = _(
            "cannot read a capture from a value of type {kind}; expected a path, a file, bytes, Scapy packets or frames"
        )
        raise UsageError(text.format(kind=type(source).__name__))
    return frames_of(source)


def sort_frames(frames: Iterable[Frame]) -> tuple[list[Record], list[Connection], tuple[Frame, ...]]:
    """The records of frames, their connections, and the frames without a readable segment."""
    reading = _Reading()
    for frame in frames:
        reading.add(frame)
    return reading.records, list(reading.connections()), tuple(reading.rest())


def vlans(records: Sequence[Record]) -> tuple[Vlan, ...]:
    """The VLAN tags of the first record's Ethernet frame, the outer first."""
    frame = records[0].frames[0] if records else None
    if frame is None or frame.link != ETHERNET:
        return ()
    found: list[Vlan] = []
    data, at = frame.data, 12
    while (kind := int.from_bytes(data[at : at + 2])) in VLAN_TYPES:
        tag = int.from_bytes(data[at + 2 : at + 4])
        found.append(Vlan(tag & 0xFFF, tag >> 13, kind == SERVICE_TAG))
        at += 4
    return tuple(found)


class _Reading:
    """Collect the segments of frames, and the connections that they belong to."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._others: list[Frame] = []
        self._fragments: dict[bytes, list[Frame]] = {}
        self._waiting = 0
        self._reassembler = Reassembler()
        self._seg = Seen()
        self._ends: list[tuple[Host, Host]] = []
        """The client and the server of each connection."""
        self._current: dict[tuple[End, End, int], tuple[int, End]] = {}
        """The present connection of a four-tuple at an interface, and its client."""
        self._syns: dict[tuple[int, str], int] = {}
        self._firsts: dict[tuple[int, str], int] = {}
        self._over: set[int] = set()
        """Connections in which there is more than their opening."""

    def add(self, frame: Frame) -> None:
        """Add the next frame of the capture."""
        seg, data = self._seg, frame.data
        frames: tuple[Frame, ...] = (frame,)
        status = _decode(frame, seg)
        if status == FRAGMENT:
            joined = self._join(frame)
            if joined is None:
                return
            frames, data = joined
        elif status != TCP:
            self._others.append(frame)
            return
        if not seg.readable or seg.len - seg.data_len > MAX_MISSING_OCTETS:
            self._others += frames
            return
        self._segment(frames, data, seg)

    def _join(self, frame: Frame) -> tuple[tuple[Frame, ...], bytes] | None:
        """Add a fragment; the frames and the octets of the datagram that it completes, if that holds a segment."""
        piece = fragment_of(frame.data, self._seg)
        if piece is None:
            self._others.append(frame)
            return None
        self._fragments.setdefault(piece.key, []).append(frame)
        self._waiting += 1
        whole = self._reassembler.segment(frame.data, self._seg)
        if whole is None and not self._reassembler.parts:
            while self._waiting > MAX_PENDING_FRAMES:
                self._others += self._taken(next(iter(self._fragments)))
            return None
        frames = self._taken(piece.key)
        # Of fragments inside of fragments the frames would not be known.
        if whole is None or _joined(frames) is None:
            self._others += frames
            return None
        return frames, whole

    def _taken(self, key: bytes) -> tuple[Frame, ...]:
        frames = tuple(self._fragments.pop(key, ()))
        self._waiting -= len(frames)
        return frames

    def _segment(self, frames: tuple[Frame, ...], data: bytes, seg: Seen) -> None:
        segment = segment_of(data, seg)
        source: End = data[seg.src_at : seg.src_at + seg.addr_len], seg.sport
        target: End = data[seg.dst_at : seg.dst_at + seg.addr_len], seg.dport
        key = (min(source, target), max(source, target), frames[-1].interface)
        place, client = self._current.get(key, (-1, source))
        side = "client" if client == source else "server"
        if place < 0 or self._begins(segment, place, side):
            place, client = len(self._ends), target if _answers(segment, seg) else source
            side = "client" if client == source else "server"
            self._current[key] = place, client
            hosts = _host(source, frames[-1], data, seg, own=True), _host(target, frames[-1], data, seg, own=False)
            self._ends.append(hosts if side == "client" else hosts[::-1])
        if segment.ctl & SYN:
            self._syns.setdefault((place, side), segment.seq)
        elif segment.ctl & (FIN | RST) or segment.payload:
            self._over.add(place)
        self._firsts.setdefault((place, side), add(segment.seq, -1))
        ident = None if seg.ip_id == ABSENT else seg.ip_id
        number = len(self.records) + 1
        self.records.append(
            make_record(
                number, frames[-1].time, side, segment, "", "", None, None, ident=ident, connection=place, frames=frames
            )
        )

    def _begins(self, segment: Segment, place: int, side: str) -> bool:
        """Whether a segment of a four-tuple that is known begins the next connection: a SYN with another number."""
        if segment.ctl & (SYN | ACK | RST) != SYN or place not in self._over:
            return False
        known = self._syns.get((place, side))
        return known != segment.seq and (known is not None or add(segment.seq, 1) != self._firsts.get((place, side)))

    def rest(self) -> list[Frame]:
        """All frames without a readable segment, with the fragments of which the rest is missing."""
        left = [frame for frames in self._fragments.values() for frame in frames]
        return sorted(self._others + left, key=lambda frame: frame.number)

    def connections(self) -> Iterator[Connection]:
        """The connections, with the numbers of their SYNs, or else the numbers before the first ones."""
        for place, (client, server) in enumerate(self._ends):
            isns = [self._syns.get((place, side), self._firsts.get((place, side), 0)) for side in ("client", "server")]
            yield Connection(client, server, *isns)


def _decode(frame: Frame, seg: Seen) -> int:
    seg.number, seg.time, seg.caplen, seg.point = frame.number, frame.time, len(frame.data), frame.interface
    seg.wirelen, seg.joined = max(frame.wirelen, len(frame.data)), 0
    return decode(frame.data, 0, len(frame.data), frame.link, seg)


def _answers(segment: Segment, seg: Seen) -> bool:
    """Whether the server sent the first segment of a connection, as far as it shows."""
    if segment.ctl & SYN:
        return segment.ctl & ACK != 0
    return seg.sport < 1024 <= seg.dport  # RFC 6335 section 6: servers listen on system ports


def _host(end: End, frame: Frame, data: bytes, seg: Seen, *, own: bool) -> Host:
    """An end as a host; `own`: the sender's."""
    mac = frame.data[6:12] if own else frame.data[:6]
    plain = network_at(frame.data, frame.link) is not None and frame.link == ETHERNET and len(mac) == 6
    service = data[seg.ip_at + 1] >> 2 if seg.version == 4 else (data[seg.ip_at] << 2 | data[seg.ip_at + 1] >> 6) & 63
    return Host(
        str(ip_address(end[0])),
        end[1],
        mac=mac.hex(":") if plain else UNKNOWN_MAC,
        ttl=seg.ttl if own else 64,
        dscp=service,
    )


def is_unchanged(record: Record) -> bool:
    """Whether nothing but the times of a record's frames has changed since the capture."""
    if record.edits or any(frame.number == 0 for frame in record.frames):
        return False
    data, seg = _whole(record)
    return segment_of(data, seg) == record.segment and record.ident == (None if seg.ip_id == ABSENT else seg.ip_id)


def written(record: Record) -> list[Written]:
    """The frames of a captured record with its segment and edits. UsageError if they cannot hold it."""
    last = record.frames[-1]
    if is_unchanged(record):
        return [(frame, frame.data, max(frame.wirelen, len(frame.data))) for frame in record.frames]
    data, seg = _whole(record)
    try:
        if len(record.frames) > 1:
            return [(last, piece, len(piece)) for piece in _cut_again(record, data, seg)]
        made = rewrite(data, seg, record.segment, plain=is_plain(data, last.link, seg), ident=record.ident)
        missing = max(last.wirelen, len(data)) - len(data)
        if record.segment.payload != segment_of(data, seg).payload:
            missing = 0
        if record.edits:
            return _edited(record.edits, made, last, missing)
        return [(last, made, len(made) + missing)]
    except ValueError as error:
        raise UsageError(
            _("packet {value}: {error}").format(value=last.number or record.number, error=error)
        ) from error


def _edited(edits: Mapping[str, str], made: bytes, last: Frame, missing: int) -> list[Written]:
    """The frame with edits of its fields, or its fragments."""
    if missing:
        raise ValueError(_("the capture cut the packet short; expected a whole one to edit its frame"))
    octets, wirelen = apply(made, last.link, {name: value for name, value in edits.items() if name != "fragment"})
    if "fragment" in edits:
        return [(last, piece, len(piece)) for piece in cut(octets, last.link, int(edits["fragment"], 0))]
    return [(last, octets, wirelen)]


def _whole(record: Record) -> tuple[bytes, Seen]:
    """The frame, or the datagram of the fragments, that a record was read from, and what is decoded from it."""
    seg = Seen()
    if len(record.frames) == 1:
        _decode(record.frames[0], seg)
        return record.frames[0].data, seg
    joined = _joined(record.frames)
    assert joined is not None  # noqa: S101 - a record has only frames that make a datagram
    return joined


def _joined(frames: Sequence[Frame]) -> tuple[bytes, Seen] | None:
    """The datagram of fragments, and what is decoded from it; None if they do not make one with a segment."""
    reassembler, seg = Reassembler(), Seen()
    for frame in frames:
        if _decode(frame, seg) == FRAGMENT:
            whole = reassembler.segment(frame.data, seg)
            if whole is not None:
                return whole, seg
    return None


def _cut_again(record: Record, data: bytes, seg: Seen) -> Sequence[bytes]:
    """The fragments of a changed datagram, as large as they were."""
    made = rewrite(data, seg, record.segment, plain=True, ident=record.ident)
    first = Seen()
    frame = record.frames[0]
    _decode(frame, first)
    start, ident = first.ip_at, record.ident or 0
    if not is_plain(frame.data, frame.link, first):
        raise ValueError(_("the fragments are in a tunnel; expected a packet outside of one"))
    header = seg.tcp_at - seg.ip_at
    if seg.version == 6:
        # The datagram ends its headers with a fragment header, which `cut` makes again.
        if header != 48:
            raise ValueError(_("the fragments have extension headers; expected none"))
        ident = int.from_bytes(frame.data[start + 44 : start + 48])
        length = int.from_bytes(made[4:6]) - 8
        made = made[:4] + length.to_bytes(2) + bytes((made[40],)) + made[7:40] + made[48:]
    size = max(len(each.data) for each in record.frames) - start - header
    return cut(frame.data[:start] + made, frame.link, size, ident)
