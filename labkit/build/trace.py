"""A trace: the captured segments of conversations, each with its time, its cause, and the states of both ends.

The simulation of a scenario and a live conversation result in a trace, `Trace.from_capture` reads one, and `Trace.write` writes
it to a capture file. Only `Trace.packets` loads Scapy.

    trace = Trace.from_capture("a.pcapng")
    trace.edit(6, ack=+1).write("b.pcapng")

Traces do not change: an edit makes another one.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, overload

from labkit.build import captured as capture_io
from labkit.build import explain, trace_file
from labkit.build.explain import SECTIONS as SECTIONS
from labkit.build.explain import Explainer, Say
from labkit.build.record import Connection as Connection
from labkit.build.record import FilePacket as FilePacket
from labkit.build.record import Injected as Injected
from labkit.build.record import Origin as Origin
from labkit.build.record import Record as Record
from labkit.build.record import States as States
from labkit.capture import Frame, Interface
from labkit.capture.base import MAX_PACKET_OCTETS
from labkit.capture.budget import Budget
from labkit.errors import LabkitError, UsageError
from labkit.i18n import N_, _, listed, printable
from labkit.packet.linktype import ETHERNET, RAW, title
from labkit.packet.scapy_build import PLAIN, Framing, Host
from labkit.tcp.notation import format_segment

if TYPE_CHECKING:
    from scapy.packet import Packet

    from labkit.build.scenario import Scenario

EDITIONS = ("annotated", "student")

MAX_LINES = 200
"""Segments that a trace shows as text, or as a picture."""


@dataclass(frozen=True, slots=True, repr=False)
class Trace:
    """The records of a capture, in the order of the capture, and their connections.

    Most traces have one connection. Several connections may follow each other between the same ports, or be interleaved.
    """

    name: str
    summary: str
    seed: int | None
    """The seed of the random values; None for a trace without any."""
    start: int
    """Nanoseconds since 1970-01-01 at time 0."""
    connections: tuple[Connection, ...]
    """The connections. `Record.connection` is a position here."""
    records: Sequence[Record]
    framing: Framing = PLAIN
    hops: int = 0
    """The number of routers on the path. Each decrements the TTL."""
    injected: tuple[Injected, ...] = ()
    """The faults in it (`labkit.build.faults`)."""
    origin: Origin | None = None
    """What else the capture holds that the trace was read from."""

    @classmethod
    def from_capture(cls, source: capture_io.Source, budget: Budget | None = None) -> "Trace":
        """Read a capture: a path, "-" for standard input, an open binary file, the content of a file, or, as `verify` takes
        them, Scapy packets or `Frame`s in any iterable.

        Every readable TCP segment is a record. Frames without one stay in their places when the trace is written, and so does
        everything of a packet that is not edited: written without edits, it has the same packets. The capture is held in
        memory. CaptureError if it cannot be read; of a damaged one, or one that is larger than `budget`, the packets before that
        place (`origin.damage`).
        """
        records, connections, origin = capture_io.read(source, budget)
        start = records[0].time if records else 0
        link = origin.interfaces[0].link if origin.interfaces else ETHERNET
        name = Path(source).stem if isinstance(source, str | PathLike) and source != "-" else "capture"
        return cls(
            name=name,
            summary="",
            seed=None,
            start=start,
            connections=tuple(connections),
            records=tuple(replace(each, time=each.time - start) for each in records),
            framing=Framing(link, capture_io.vlans(records)) if link in (ETHERNET, RAW) else PLAIN,
            origin=origin,
        )

    def to_scenario(self, connection: int = 0) -> "Scenario":
        """A scenario that builds one of the trace's conversations again, as `Scenario.from_trace`."""
        from labkit import Scenario

        return Scenario.from_trace(self, connection)

    def frames_again(self, frames: Sequence[Frame]) -> "Trace":
        """The trace as it is read from other frames: those of its file, changed."""
        records, connections, others = capture_io.sort_frames(frames)
        interfaces = tuple(self._interfaces(annotated=True))
        origin = self.origin or Origin(interfaces, self._names(), (self._comment(),), ())
        return replace(
            self,
            connections=tuple(connections),
            records=tuple(replace(each, time=each.time - self.start) for each in records),
            origin=replace(origin, others=others),
        )

    @overload
    def __getitem__(self, place: int) -> Record: ...

    @overload
    def __getitem__(self, place: slice) -> "Trace": ...

    def __getitem__(self, place: int | slice) -> "Record | Trace":
        """A record by its position, from 0, or a trace of some records: `trace[:3]` has the first three."""
        if isinstance(place, slice):
            return self._with(self.records[place], sliced=True)
        return self.records[place]

    def edit(self, packet: int, **changes: Any) -> "Trace":
        """The trace with changes of packet number `packet`, from 1, as Wireshark counts the written file.

        The changes are those of `Record.edit`: `trace.edit(6, ack=+1)`. Checksums and lengths follow; `repair` makes the rest
        of the conversation follow. UsageError if there is no such packet, or the change is not possible.
        """
        place = self._place(packet)
        try:
            record = self.records[place].edit(**changes)
        except UsageError as error:
            raise UsageError(_("packet {packet}: {error}").format(packet=packet, error=error)) from error
        return self._with([*self.records[:place], record, *self.records[place + 1 :]])

    def insert(self, packet: int, record: Record) -> "Trace":
        """The trace with one more record, before the packet with this number; one more than the last appends.

        `trace.insert(7, trace[5].edit(payload=b"again"))` inserts a changed copy of packet 6 behind it. If the record's time is
        not between those of its neighbours, it gets the time of the packet before it. UsageError for a record that was not
        captured, in a capture whose link type labkit cannot build.
        """
        if self.origin is not None and not record.frames and self.link != self._interfaces(annotated=False)[0].link:
            raise UsageError(
                _("a packet of link type {link} does not fit into this capture").format(link=title(self.link))
            )
        place = len(self.records) if packet == len(self._owners()) + 1 else self._place(packet)
        before = self.records[place - 1].time if place else record.time
        after = self.records[place].time if place < len(self.records) else record.time
        frames = tuple(frame._replace(number=0) for frame in record.frames)
        record = replace(record, frames=frames, time=record.time if before <= record.time <= after else before)
        return self._with([*self.records[:place], record, *self.records[place:]])

    def remove(self, *packets: int) -> "Trace":
        """The trace without the packets with these numbers. UsageError if one does not exist."""
        places = {self._place(packet) for packet in packets}
        return self._with([record for place, record in enumerate(self.records) if place not in places])

    def _place(self, packet: int) -> int:
        """The position of the record of a packet."""
        owners = self._owners()
        if not isinstance(packet, int):
            raise UsageError(_("{packet!r} is not the number of a packet").format(packet=packet))
        if not 1 <= packet <= len(owners):
            raise UsageError(_("there is no packet {packet}; the trace has {n}").format(packet=packet, n=len(owners)))
        place = owners[packet - 1]
        if place is None:
            raise UsageError(_("packet {packet} holds no readable TCP segment").format(packet=packet))
        return place

    def _with(self, records: Sequence[Record], *, sliced: bool = False) -> "Trace":
        """The trace with other records, numbered anew; `sliced`: only with the other frames between them."""
        origin = self.origin
        if sliced and origin is not None:
            kept = [frame.number for record in records for frame in record.frames]
            span = range(min(kept, default=0), max(kept, default=0))
            origin = replace(origin, others=tuple(each for each in origin.others if each.number in span))
        numbered = tuple(
            record if record.number == number else replace(record, number=number)
            for number, record in enumerate(records, 1)
        )
        return replace(self, records=numbered, origin=origin)

    def __repr__(self) -> str:
        return f"<Trace {self.name!r}: {len(self.records)} segments>"

    def __str__(self) -> str:
        """The segments, one line each, with relative numbers; at most MAX_LINES of them."""
        connections = f", {len(self.connections)} connections" if len(self.connections) > 1 else ""
        lines = [f"{printable(self.name)}: {len(self.records)} segments{connections}"]
        lines += (self._line(record) for record in self.records[:MAX_LINES])
        if len(self.records) > MAX_LINES:
            lines.append(f"… and {len(self.records) - MAX_LINES} more")
        return "\n".join(lines)

    def _line(self, record: Record) -> str:
        seq, ack = self.relative(record)
        segment = format_segment(record.segment.with_(seq=seq, ack=ack))
        connection = f"{record.connection:3} " if len(self.connections) > 1 else ""
        arrow = ">" if record.sender == "client" else "<"
        return f"{record.number:5} {record.time / 1e9:11.6f} {connection}{arrow} {segment}"

    def _repr_mimebundle_(self, **_choices: object) -> dict[str, str]:
        """What a notebook shows (IPython's protocol): the text, and the ladder of up to MAX_LINES segments."""
        from labkit import draw

        shown = {"text/plain": str(self)}
        if 0 < len(self.records) <= MAX_LINES:
            with suppress(LabkitError):  # an edit that no frame holds
                shown["image/svg+xml"] = draw(self)
        return shown

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    @property
    def link(self) -> int:
        """The link type of the capture."""
        return self.framing.link

    @property
    def client(self) -> Host:
        """The client of the first connection."""
        return self.connections[0].client

    @property
    def server(self) -> Host:
        """The server of the first connection."""
        return self.connections[0].server

    @property
    def client_isn(self) -> int:
        """The client's initial sequence number in the first connection."""
        return self.connections[0].client_isn

    @property
    def server_isn(self) -> int:
        """The server's initial sequence number in the first connection."""
        return self.connections[0].server_isn

    def relative(self, record: Record) -> tuple[int, int]:
        """The record's relative seq and ack; ack is 0 without ACK."""
        return explain.relative(record, self.connections)

    # Packets and files.

    def numbers(self) -> list[int]:
        """The number of each record's packet in a file, from 1; that of its last fragment if it is fragmented."""
        last = {owner: number for number, owner in enumerate(self._owners(), 1)}
        return [last[place] for place in range(len(self.records))]

    def _owners(self) -> list[int | None]:
        """The position of the record of each packet in a file; None for a frame without a segment."""
        found: list[int | None] = []
        owners = {frame.number: place for place, record in enumerate(self.records) for frame in record.frames}
        place = 0
        for item in trace_file.layout(self):
            if isinstance(item, Frame):
                found.append(owners.get(item.number))
            else:
                found += [place] * trace_file.count(self, item)
                place += 1
        return found

    def packets(self) -> "list[Packet]":
        """The packets of the file as Scapy packets. When you edit them, lengths and checksums follow.

        Each is made when it is first asked for, and kept.
        """
        from labkit.build.packets import packets

        return packets(self)

    def link_of(self, each: FilePacket) -> int:
        """The link type of a packet of the file."""
        interfaces = self.origin.interfaces if self.origin is not None else ()
        return interfaces[each.interface].link if each.interface < len(interfaces) else self.link

    def frames(self) -> Iterator[tuple[int, bytes, str]]:
        """Each packet of the file: (nanoseconds since 1970-01-01, octets, comment)."""
        for record, octets, _wirelen, comment in self.captured():
            yield self.start + record.time, octets, comment

    def captured(self, *, explained: bool = True, translated: bool = False) -> Iterator[tuple[Record, bytes, int, str]]:
        """Each record or fragment: the record, the octets, their length on the wire, and the comment if `explained`."""
        for each in self.file(annotated=explained, translated=translated):
            if each.record is not None:
                yield each.record, each.octets, each.wirelen, "\n\n".join(each.comments)

    def file(self, *, annotated: bool = False, translated: bool = False) -> Iterator[FilePacket]:
        """The packets of a file in their order, with the comments on them if `annotated`, as `write` has them."""
        return trace_file.packets(self, annotated=annotated, say=_ if translated else str)

    def file_frames(self) -> list[Frame]:
        """The packets of a file as they would be read from it."""
        return [
            Frame(number, each.time, self.link_of(each), each.octets, each.wirelen, each.comments, each.interface)
            for number, each in enumerate(self.file(annotated=True), 1)
        ]

    def write(
        self,
        target: str | Path | BinaryIO,
        *,
        format: str | None = None,  # noqa: A002 - the word of the field
        edition: str = "annotated",
        translated: bool = False,
    ) -> int:
        """Write the capture to a file, a stream, or "-" (standard output). Return the number of packets.

        `format` is the name of a capture format; by default the target's suffix determines it. The edition "annotated" has a
        comment on each packet and on the capture, and the names of hosts, if the format can hold them. The edition "student"
        has the packets only: no comments or other hints. Comments are English, so that a seed gives the same file on every
        machine, or with `translated` in the user's language. UsageError for an unknown edition or format, CaptureError if
        the target cannot be written.
        """
        from labkit.capture import create

        if edition not in EDITIONS:
            raise UsageError(
                _("unknown edition {edition!r}; expected one of: {known}").format(
                    edition=edition, known=listed(EDITIONS)
                )
            )
        annotated = edition == "annotated"
        first, *more = self._interfaces(annotated=annotated)
        with create(
            target,
            link=first.link,
            format=format,
            comment=self._comment(_ if translated else str) if annotated else None,
            interface_name=first.name,
            interface_description=first.description,
            snaplen=first.snaplen or MAX_PACKET_OCTETS,
            fcs=first.fcs,
            names=self._names() if annotated else None,
        ) as writer:
            for each in more:
                writer.add_interface(
                    each.link, snaplen=each.snaplen or None, name=each.name, description=each.description, fcs=each.fcs
                )
            return trace_file.write(self, writer, annotated=annotated, say=_ if translated else str)

    def _interfaces(self, *, annotated: bool) -> Sequence[Interface]:
        """The interfaces of the capture: those that it was read from, or one for each capture point."""
        if self.origin is not None and self.origin.interfaces:
            if annotated:
                return self.origin.interfaces
            return [each._replace(name="", description="") for each in self.origin.interfaces]
        taps = trace_file.taps(self) or [""]
        return [Interface(self.link, name=tap if annotated else "") for tap in taps]

    def _comment(self, say: Say = str) -> str:
        """The comment on the capture."""
        if self.origin is not None:
            return "\n\n".join(self.origin.comments)
        title = self.name
        if self.summary:
            title = say(N_("{label}: {text}")).format(label=title, text=say(self.summary))
        return title if self.seed is None else f"{title}\n" + say(N_("seed {seed}")).format(seed=self.seed)

    def _names(self) -> dict[str, str]:
        """The names of hosts by address."""
        if self.origin is not None:
            return dict(self.origin.names)
        hosts = (host for each in self.connections for host in (each.client, each.server))
        return {host.address: host.name for host in hosts if host.name}

    def explanation(self, record: Record) -> str:
        """The comment on a record: its step, the states, how seq and ack follow, and a reference."""
        seen = Explainer(self.connections)
        for earlier in self.records:
            if earlier is record:
                break
            if (earlier.tap, earlier.connection) == (record.tap, record.connection):
                seen.note(earlier)
        return seen.explain(record)
