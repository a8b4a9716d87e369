"""A trace: the captured segments of conversations, each with its time, its cause, and the states of both ends.

The simulation of a scenario and a live conversation result in a trace, and `Trace.write` writes it to a capture file. Only
`Trace.packets` loads Scapy.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from labkit.errors import UsageError
from labkit.packet.frame_edits import apply, cut
from labkit.packet.linktype import ETHERNET
from labkit.packet.scapy_build import PLAIN, Framing, Host, Stamp, packet
from labkit.tcp import seq as sn
from labkit.tcp.segment import ACK, FIN, RST, SYN, Segment
from labkit.tcp.state import State

if TYPE_CHECKING:
    from scapy.packet import Packet

SECTIONS = {
    "syn": "RFC 9293 section 3.5 (establishing a connection), 3.4.1 (initial sequence number)",
    "syn-ack": "RFC 9293 section 3.5 (establishing a connection)",
    "data": "RFC 9293 section 3.4 (sequence numbers)",
    "ack": "RFC 9293 section 3.4 (acknowledgements are cumulative)",
    "delayed-ack": "RFC 9293 section 3.8.6.3 (delayed acknowledgements)",
    "duplicate-ack": "RFC 9293 section 3.10.7.4 (first check), RFC 5681 section 4.2",
    "challenge-ack": "RFC 5961 sections 3 to 5 (challenge ACK)",
    "window-update": "RFC 9293 section 3.8.6.2.2 (window update)",
    "fin": "RFC 9293 section 3.6 (closing a connection)",
    "rst": "RFC 9293 section 3.5.2 (reset generation)",
    "retransmission-rto": "RFC 6298 section 5 (the retransmission timer ran out)",
    "retransmission-fast": "RFC 5681 section 3.2 (fast retransmit)",
    "zero-window-probe": "RFC 9293 section 3.8.6.1 (zero-window probing)",
    "keep-alive": "RFC 9293 section 3.8.4 (keep-alive)",
}
"""References about a segment, by the reason why it was sent."""

EDITIONS = ("annotated", "student")


States = tuple[State, State]
"""The state of an end before and after a segment."""


@dataclass(frozen=True, slots=True)
class Record:
    """One captured segment. `time` is in nanoseconds from the trace's start.

    `client` and `server` are the states of both ends. The sender's state changes when it sends the segment, the receiver's
    when the segment arrives. They are None where they are unknown: in a trace written by hand.
    """

    number: int
    time: int
    sender: str
    segment: Segment
    why: str
    """Why the endpoint sent it: a key of SECTIONS. Empty for a segment that is written by hand."""
    step: str
    """The step of the scenario that caused it, or the comment on a segment that is written by hand."""
    client: States | None
    server: States | None
    arrived: bool = True
    """False if the path loses the segment after the capture point."""
    edits: Mapping[str, str] = field(default_factory=dict)
    """Edits of the finished frame (`labkit.packet.frame_edits`), for values that a valid segment cannot have."""
    tap: str = "client"
    """The side that captured it."""
    ident: int | None = None
    """The IPv4 identification. None: the number of the record among those of its sender."""
    connection: int = 0
    """The position of its connection in `Trace.connections`."""


@dataclass(frozen=True, slots=True)
class Connection:
    """The hosts of a connection, and their initial sequence numbers."""

    client: Host
    server: Host
    client_isn: int
    server_isn: int

    def isns(self, sender: str) -> tuple[int, int]:
        """The initial sequence numbers of a sender and of its peer."""
        isns = self.client_isn, self.server_isn
        return isns if sender == "client" else isns[::-1]


@dataclass(frozen=True, slots=True)
class Injected:
    """One line of a manifest: a fault in a trace."""

    fault: str
    code: str
    """The rule that the fault breaks."""
    packet: int
    """The number of the packet that breaks it."""
    inserted: bool
    """True if the fault inserted this packet, false if it changed it."""
    changed: str
    """The changed fields, or the inserted segment."""


@dataclass(frozen=True, slots=True)
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
        own, peer = self.connections[record.connection].isns(record.sender)
        segment = record.segment
        # An endpoint without a connection has no ISN: its resets have seq 0.
        start = 0 if segment.ctl & RST and segment.seq == 0 else (segment.seq - own) & sn.MASK
        return start, (segment.ack - peer) & sn.MASK if segment.ctl & ACK else 0

    # Packets and files.

    def numbers(self) -> list[int]:
        """The number of each record's packet in a file, from 1; that of its last fragment if it is fragmented."""
        total = 0
        return [total := total + self._count(record) for record in self.records]

    def _count(self, record: Record) -> int:
        """The number of packets of a record."""
        limit = self.framing.fragment
        length = 20 + len(record.segment.header) + len(record.segment.payload)
        if "fragment" in record.edits:
            return (
                -(-length // (int(record.edits["fragment"], 0) // 8 * 8))
                if length > int(record.edits["fragment"], 0)
                else 1
            )
        if limit is None or "caplen" in record.edits:
            return 1
        header = 40 if self.client.ip.version == 6 else 20
        return 1 if header + length <= limit else -(-length // self._step(header))

    def _step(self, header: int) -> int:
        """The octets in each fragment but the last: as many as fit after the headers, in multiples of eight."""
        assert self.framing.fragment is not None  # noqa: S101 - only fragmented records get here
        return (self.framing.fragment - header - (8 if header == 40 else 0)) // 8 * 8

    def packets(self) -> "list[Packet]":
        """The segments as Scapy packets. When you edit them, lengths and checksums follow."""
        return list(self._packets())

    def _packets(self) -> "Iterator[Packet]":
        for record, ident in self._numbered():
            source, target = self._ends(record)
            time = self.start + record.time
            built = packet(record.segment, source, target, ident=ident, framing=self.framing, time=time)
            octets = bytes(built) if record.edits or not self.framing.dont_fragment else b""
            if record.edits:
                octets = apply(octets, self.link, record.edits)[0]
            pieces = self._pieces(octets, ident, record) if octets else []
            if record.edits or len(pieces) > 1:
                for piece in pieces:
                    part = type(built)(piece)
                    part.time = built.time
                    yield part
            else:
                yield built

    def _numbered(self) -> Iterator[tuple[Record, int]]:
        """Each record and its IPv4 identification."""
        counts: dict[str, int] = {}
        for record in self.records:
            ident = record.ident
            if ident is None:
                ident = counts[record.sender] = counts.get(record.sender, 0) + 1
            yield record, ident

    def _ends(self, record: Record) -> tuple[Host, Host]:
        """The source and the target of a record's packet, with the TTL at the capture point."""
        connection = self.connections[record.connection]
        source, target = connection.client, connection.server
        if record.sender == "server":
            source, target = target, source
        return (source if record.sender == record.tap else source.forwarded(self.hops)), target

    def _pieces(self, octets: bytes, ident: int, record: Record) -> list[bytes]:
        """The frame, or the frames of its fragments if the datagram is too large."""
        if "fragment" in record.edits:
            return cut(octets, self.link, int(record.edits["fragment"], 0), ident)
        limit = self.framing.fragment
        at = 14 + 4 * len(self.framing.vlans) if self.link == ETHERNET else 0
        if limit is None or len(octets) - at <= limit or "caplen" in record.edits:
            return [octets]
        return cut(octets, self.link, self._step(40 if octets[at] >> 4 == 6 else 20), ident)

    def frames(self) -> Iterator[tuple[int, bytes, str]]:
        """Each packet of the file: (nanoseconds since 1970-01-01, octets, comment)."""
        for record, octets, _wirelen, comment in self.captured():
            yield self.start + record.time, octets, comment

    def captured(self, *, explained: bool = True) -> Iterator[tuple[Record, bytes, int, str]]:
        """Each record or fragment: the record, the octets, their length on the wire, and the comment if `explained`."""
        seen: dict[tuple[str, int], _Explainer] = {}
        stamps: dict[tuple[Host, Host], Stamp] = {}
        for record, ident in self._numbered():
            ends = self._ends(record)
            if ends not in stamps:
                stamps[ends] = Stamp.of(*ends, self.framing)
            octets = stamps[ends].frame(record.segment, ident)
            wirelen = len(octets)
            if record.edits:
                octets, wirelen = apply(octets, self.link, record.edits)
            comment = ""
            if explained:
                comment = seen.setdefault((record.tap, record.connection), _Explainer(self)).explain(record)
            pieces = self._pieces(octets, ident, record)
            if len(pieces) == 1:
                yield record, octets, wirelen, comment
                continue
            for number, piece in enumerate(pieces, 1):
                yield record, piece, len(piece), f"fragment {number} of {len(pieces)} of a datagram\n{comment}".strip()

    def write(
        self,
        target: str | Path | BinaryIO,
        *,
        format: str | None = None,  # noqa: A002 - the word of the field
        edition: str = "annotated",
    ) -> int:
        """Write the capture to a file, a stream, or "-" (standard output). Return the number of packets.

        `format` is the name of a capture format; by default the target's suffix determines it. The edition "annotated" has a
        comment on each packet and on the capture, and the names of hosts, if the format can hold them. The edition "student"
        has the packets only: no comments or other hints. UsageError for an unknown edition or format, CaptureError if the
        target cannot be written.
        """
        from labkit.capture import create

        if edition not in EDITIONS:
            raise UsageError(f"unknown edition {edition!r}; expected one of: {', '.join(EDITIONS)}")
        annotated = edition == "annotated"
        comment = self._comment() if annotated else None
        taps = list(dict.fromkeys(record.tap for record in self.records))
        packets = 0
        with create(
            target,
            link=self.link,
            format=format,
            comment=comment,
            interface_name=taps[0] if annotated and len(taps) > 1 else "",
            names=self._names() if annotated else None,
        ) as writer:
            for tap in taps[1:]:
                writer.add_interface(self.link, name=tap if annotated else "")
            for record, octets, wirelen, text in self.captured(explained=annotated):
                interface = taps.index(record.tap)
                comments = (text,) if annotated and text else ()
                time = self.start + record.time
                writer.write(time, octets, wirelen=wirelen, comments=comments, interface=interface)
                packets += 1
        return packets

    def _comment(self) -> str:
        """The comment on the capture."""
        title = f"{self.name}: {self.summary}" if self.summary else self.name
        return title if self.seed is None else f"{title}\nseed {self.seed}"

    def _names(self) -> dict[str, str]:
        """The names of hosts by address."""
        hosts = (host for each in self.connections for host in (each.client, each.server))
        return {host.address: host.name for host in hosts if host.name}

    def explanation(self, record: Record) -> str:
        """The comment on a record: its step, the states, how seq and ack follow, and a reference."""
        seen = _Explainer(self)
        for earlier in self.records:
            if earlier is record:
                break
            if (earlier.tap, earlier.connection) == (record.tap, record.connection):
                seen.note(earlier)
        return seen.explain(record)


class _Explainer:
    """Explain the segments at one capture point in order, each from the segments before it."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.next = {"client": 0, "server": 0}
        """The relative sequence number after the last one that each side has used."""
        self.fin: dict[str, int] = {}
        """The relative sequence number of each side's FIN."""

    def note(self, record: Record) -> None:
        """Remember a record."""
        start = self.trace.relative(record)[0]
        segment = record.segment
        if segment.length and not segment.ctl & RST:
            self.next[record.sender] = max(self.next[record.sender], start + segment.length)
        if segment.ctl & FIN:
            self.fin[record.sender] = start + segment.length - 1

    def explain(self, record: Record) -> str:
        """The comment on a record. Remember the record."""
        if not record.why:
            self.note(record)
            return record.step
        lines = [
            record.step,
            f"client {_change(record.client)}; server {_change(record.server)}"
            if record.client and record.server
            else "",
            self._seq(record),
        ]
        if record.segment.ctl & ACK:
            lines.append(self._ack(record))
        if not record.arrived:
            lines.append("the path loses this segment after the point of capture")
        lines.append(f"{record.why}: {SECTIONS[record.why]}")
        self.note(record)
        return "\n".join(line for line in lines if line)

    def _seq(self, record: Record) -> str:
        """How the sequence number follows from earlier segments."""
        segment = record.segment
        start = self.trace.relative(record)[0]
        text = f"seq {start} (raw {segment.seq})"
        expected = self.next[record.sender]
        if segment.ctl & SYN:
            text += ": the initial sequence number" + (", again" if expected else "")
        elif segment.ctl & RST and not segment.ctl & ACK and record.why == "rst" and not expected:
            text += ": the number that the previous segment acknowledged"
        elif segment.ctl & RST and segment.seq == 0:
            text += ": 0, because there is no connection"
        elif start == expected:
            text += f" = {_sum(1, start, self.fin.get(record.sender))}"
        elif record.why == "keep-alive":
            text += ": one before the next number, so that the peer must answer"
        elif start < expected and not segment.length:
            text += (
                f" = {_sum(1, start, self.fin.get(record.sender))}; the peer has not accepted the octets sent beyond"
            )
        elif start < expected:
            text += f": sent before ({record.sender} has used all numbers below {expected})"
        else:
            text += f": ahead of {expected}: the capture lacks the segments between"
        taken = segment.length
        if taken and not segment.ctl & RST:
            parts = [f"{len(segment.payload)} octets"] if segment.payload else []
            parts += [name for bit, name in ((SYN, "SYN"), (FIN, "FIN")) if segment.ctl & bit]
            text += f"; {' + '.join(parts)}: takes {taken}, next seq {start + taken}"
        return text

    def _ack(self, record: Record) -> str:
        """How the acknowledgement number follows from the peer's segments."""
        peer = "server" if record.sender == "client" else "client"
        number = self.trace.relative(record)[1]
        text = f"ack {number} (raw {record.segment.ack}) = {_sum(1, number, self.fin.get(peer))} of the {peer}"
        missing = self.next[peer] - number
        if missing > 0:
            text += f"; {missing} more sent, not yet acknowledged"
        return text


def _sum(syn: int, number: int, fin: int | None) -> str:
    """A relative number as the sum of what it counts, such as `1 (SYN) + 99 octets + 1 (FIN)`."""
    past_fin = fin is not None and number > fin
    octets = number - syn - past_fin
    parts = [f"{syn} (SYN)"]
    if octets > 0:
        parts.append(f"{octets} octets")
    if past_fin:
        parts.append("1 (FIN)")
    return " + ".join(parts)


def _change(states: States) -> str:
    before, after = states
    return str(after) if before is after else f"{before} -> {after}"
