"""Conversations as they were captured: every segment with its time, its cause, and what it did to both ends.

A trace is what a scenario becomes, and what is written to a file. It knows no Scapy until packets are asked
for.
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
"""Where to read on about a segment, by why it was sent."""

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
    """Why its endpoint sent it, a key of SECTIONS; empty where no endpoint did, and it was written by hand."""
    step: str
    """The step of the scenario that this segment comes from; what is said of it where it was written by hand."""
    client: States | None
    server: States | None
    arrived: bool = True
    """False where the path lost the segment after it was captured."""
    edits: Mapping[str, str] = field(default_factory=dict)
    """What is forced into the finished frame (`labkit.packet.frame_edits`): what a valid segment cannot say."""
    tap: str = "client"
    """The side at which it was captured."""
    ident: int | None = None
    """The IPv4 identification, counted by its sender as it sends; None: as the sender's records are counted."""
    connection: int = 0
    """Whose segment it is, as a position in `Trace.connections`."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Who a connection joins, and with which initial sequence numbers."""

    client: Host
    server: Host
    client_isn: int
    server_isn: int

    def isns(self, sender: str) -> tuple[int, int]:
        """The initial number of a sender, and of its peer."""
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
    """The records of a capture, in the order in which they were taken, and whose conversations they are.

    Most traces have one connection. Several may follow each other between the same ports, or be interleaved.
    """

    name: str
    summary: str
    seed: int | None
    """None where nothing was left to chance."""
    start: int
    """Nanoseconds since 1970-01-01 at time 0."""
    connections: tuple[Connection, ...]
    """`Record.connection` counts in it."""
    records: Sequence[Record]
    framing: Framing = PLAIN
    hops: int = 0
    """Routers that a packet has passed when it arrives: each takes one from its TTL."""
    injected: tuple[Injected, ...] = ()
    """The faults in it (`labkit.build.faults`)."""

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    @property
    def link(self) -> int:
        """The capture's link type."""
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
        """The record's seq and ack, counted from each side's initial number; ack is 0 without ACK."""
        own, peer = self.connections[record.connection].isns(record.sender)
        segment = record.segment
        # An endpoint without a connection has no ISN: a reset that it sends starts from nothing.
        start = 0 if segment.ctl & RST and segment.seq == 0 else (segment.seq - own) & sn.MASK
        return start, (segment.ack - peer) & sn.MASK if segment.ctl & ACK else 0

    # What it becomes.

    def numbers(self) -> list[int]:
        """The number of each record's packet in a file, from 1; of its last one, where it is fragmented."""
        total = 0
        return [total := total + self._count(record) for record in self.records]

    def _count(self, record: Record) -> int:
        """How many packets a record becomes."""
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
        """Octets that each fragment but the last carries: as many as there is room for behind its headers, in eights."""
        assert self.framing.fragment is not None  # noqa: S101 - where none is wanted, nobody asks
        return (self.framing.fragment - header - (8 if header == 40 else 0)) // 8 * 8

    def packets(self) -> "list[Packet]":
        """The segments as Scapy packets, to go on editing; lengths and checksums follow what is edited."""
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
        """Each record with its IPv4 identification."""
        counts: dict[str, int] = {}
        for record in self.records:
            ident = record.ident
            if ident is None:
                ident = counts[record.sender] = counts.get(record.sender, 0) + 1
            yield record, ident

    def _ends(self, record: Record) -> tuple[Host, Host]:
        """Source and target of a record, as its packet shows them where it was captured."""
        connection = self.connections[record.connection]
        source, target = connection.client, connection.server
        if record.sender == "server":
            source, target = target, source
        return (source if record.sender == record.tap else source.forwarded(self.hops)), target

    def _pieces(self, octets: bytes, ident: int, record: Record) -> list[bytes]:
        """A frame, or the frames of its fragments where the datagram is too large for one."""
        if "fragment" in record.edits:
            return cut(octets, self.link, int(record.edits["fragment"], 0), ident)
        limit = self.framing.fragment
        at = 14 + 4 * len(self.framing.vlans) if self.link == ETHERNET else 0
        if limit is None or len(octets) - at <= limit or "caplen" in record.edits:
            return [octets]
        return cut(octets, self.link, self._step(40 if octets[at] >> 4 == 6 else 20), ident)

    def frames(self) -> Iterator[tuple[int, bytes, str]]:
        """What a file holds of each packet: (nanoseconds since 1970-01-01, octets, comment)."""
        for record, octets, _wirelen, comment in self.captured():
            yield self.start + record.time, octets, comment

    def captured(self, *, explained: bool = True) -> Iterator[tuple[Record, bytes, int, str]]:
        """Each record, or each of its fragments: the octets, their length on the wire, and the comment, where it is to be
        `explained`.
        """
        seen: dict[tuple[str, int], _Seen] = {}
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
                comment = seen.setdefault((record.tap, record.connection), _Seen(self)).explain(record)
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
        """Write the capture to a file, a stream, or "-" (standard output); the number of packets in it.

        `format` is a capture format's name; without it the target's suffix decides. Edition "annotated" has a
        comment on each packet, one on the whole, and the hosts' names, where the format has room for them;
        "student" has the packets only, so that nothing tells what the exercise asks. UsageError for another
        edition or format, CaptureError where the target cannot be written.
        """
        from labkit.capture import create

        if edition not in EDITIONS:
            raise UsageError(f"edition {edition!r} is not known; there are: {', '.join(EDITIONS)}")
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
        """What is said of the whole capture."""
        title = f"{self.name}: {self.summary}" if self.summary else self.name
        return title if self.seed is None else f"{title}\nseed {self.seed}"

    def _names(self) -> dict[str, str]:
        """The hosts' names by their addresses."""
        hosts = (host for each in self.connections for host in (each.client, each.server))
        return {host.address: host.name for host in hosts if host.name}

    def explanation(self, record: Record) -> str:
        """Why the record's segment is what it is: its step, the states, how seq and ack follow, where to read
        on.
        """
        seen = _Seen(self)
        for earlier in self.records:
            if earlier is record:
                break
            if (earlier.tap, earlier.connection) == (record.tap, record.connection):
                seen.note(earlier)
        return seen.explain(record)


class _Seen:
    """What a reader knows at some point of a trace, so that the next segment can be explained from it."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.next = {"client": 0, "server": 0}
        """The relative number after the last one that each side has used."""
        self.fin: dict[str, int] = {}
        """The relative number of each side's FIN."""

    def note(self, record: Record) -> None:
        """Take account of a record."""
        start = self.trace.relative(record)[0]
        segment = record.segment
        if segment.length and not segment.ctl & RST:
            self.next[record.sender] = max(self.next[record.sender], start + segment.length)
        if segment.ctl & FIN:
            self.fin[record.sender] = start + segment.length - 1

    def explain(self, record: Record) -> str:
        """The comment on a packet, and take account of it."""
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
        """How the segment's sequence number follows."""
        segment = record.segment
        start = self.trace.relative(record)[0]
        text = f"seq {start} (raw {segment.seq})"
        expected = self.next[record.sender]
        if segment.ctl & SYN:
            text += ": the initial sequence number" + (", again" if expected else "")
        elif segment.ctl & RST and not segment.ctl & ACK and record.why == "rst" and not expected:
            text += ": the number that the segment before acknowledged"
        elif segment.ctl & RST and segment.seq == 0:
            text += ": 0, for there is no connection that could have a number"
        elif start == expected:
            text += f" = {_sum(1, start, self.fin.get(record.sender))}"
        elif record.why == "keep-alive":
            text += ": one before the next number, to provoke an answer"
        elif start < expected and not segment.length:
            text += f" = {_sum(1, start, self.fin.get(record.sender))}; what was sent beyond has not been taken"
        elif start < expected:
            text += f": sent before ({record.sender} has used all numbers below {expected})"
        else:
            text += f": ahead of {expected}: the segments between were not captured"
        taken = segment.length
        if taken and not segment.ctl & RST:
            parts = [f"{len(segment.payload)} octets"] if segment.payload else []
            parts += [name for bit, name in ((SYN, "SYN"), (FIN, "FIN")) if segment.ctl & bit]
            text += f"; {' + '.join(parts)}: takes {taken}, next seq {start + taken}"
        return text

    def _ack(self, record: Record) -> str:
        """How the segment's acknowledgement number follows from what the peer sent."""
        peer = "server" if record.sender == "client" else "client"
        number = self.trace.relative(record)[1]
        text = f"ack {number} (raw {record.segment.ack}) = {_sum(1, number, self.fin.get(peer))} of the {peer}"
        missing = self.next[peer] - number
        if missing > 0:
            text += f"; {missing} more sent, not acknowledged here"
        return text


def _sum(syn: int, number: int, fin: int | None) -> str:
    """A relative number as the sum of what it counts: `1 (SYN) + 99 octets + 1 (FIN)`."""
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
