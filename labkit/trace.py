"""A conversation as it was captured: every segment with its time, its cause, and what it did to both ends.

A trace is what a scenario becomes, and what is written to a file. It knows no Scapy until packets are asked
for.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from labkit import seq as sn
from labkit.edits import apply
from labkit.errors import UsageError
from labkit.linktype import ETHERNET
from labkit.segment import ACK, FIN, RST, SYN, Segment
from labkit.state import State
from labkit.wire import Host, Stamp, packet

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


@dataclass(frozen=True, slots=True)
class Record:
    """One captured segment. `time` is in nanoseconds from the trace's start.

    `client` and `server` are each end's state before and after this segment: its sender's change is what led
    to sending it, its receiver's what its arrival brought about.
    """

    number: int
    time: int
    sender: str
    segment: Segment
    why: str
    step: str
    """The step of the scenario that this segment comes from."""
    client: tuple[State, State]
    server: tuple[State, State]
    arrived: bool = True
    """False where the path lost the segment after it was captured."""
    edits: Mapping[str, str] = field(default_factory=dict)
    """What is forced into the finished frame (`labkit.edits`): what a valid segment cannot say."""
    tap: str = "client"
    """The side at which it was captured."""
    ident: int | None = None
    """The IPv4 identification, counted by its sender as it sends; None: as the sender's records are counted."""


@dataclass(frozen=True, slots=True)
class Trace:
    """The records of one conversation, in the order in which they were captured, and whose conversation it
    is.
    """

    name: str
    summary: str
    seed: int
    start: int
    """Nanoseconds since 1970-01-01 at time 0."""
    client: Host
    server: Host
    client_isn: int
    server_isn: int
    records: Sequence[Record]
    link: int = ETHERNET

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def relative(self, record: Record) -> tuple[int, int]:
        """The record's seq and ack, counted from each side's initial number; ack is 0 without ACK."""
        own, peer = self.client_isn, self.server_isn
        if record.sender == "server":
            own, peer = peer, own
        segment = record.segment
        # An endpoint without a connection has no ISN: a reset that it sends starts from nothing.
        start = 0 if segment.ctl & RST and segment.seq == 0 else (segment.seq - own) & sn.MASK
        return start, (segment.ack - peer) & sn.MASK if segment.ctl & ACK else 0

    # What it becomes.

    def packets(self) -> "list[Packet]":
        """The segments as Scapy packets, to go on editing; lengths and checksums follow what is edited."""
        return list(self._packets())

    def _packets(self) -> "Iterator[Packet]":
        counts = {"client": 0, "server": 0}
        for record in self.records:
            source, target = (self.client, self.server) if record.sender == "client" else (self.server, self.client)
            counts[record.sender] += 1
            built = packet(
                record.segment,
                source,
                target,
                ident=counts[record.sender] if record.ident is None else record.ident,
                link=self.link,
                time=self.start + record.time,
            )
            if record.edits:
                edited = type(built)(apply(bytes(built), self.link, record.edits)[0])
                edited.time = built.time
                built = edited
            yield built

    def frames(self) -> Iterator[tuple[int, bytes, str]]:
        """What a file holds of each packet: (nanoseconds since 1970-01-01, octets, comment)."""
        for time, octets, _wirelen, comment in self._frames():
            yield time, octets, comment

    def _frames(self) -> Iterator[tuple[int, bytes, int, str]]:
        """The same with the length that each packet has on the wire, before the comment."""
        seen = {tap: _Seen(self) for tap in ("client", "server")}
        counts = {"client": 0, "server": 0}
        stamps = {
            "client": Stamp(self.client, self.server, self.link),
            "server": Stamp(self.server, self.client, self.link),
        }
        for record in self.records:
            counts[record.sender] += 1
            ident = counts[record.sender] if record.ident is None else record.ident
            octets = stamps[record.sender].frame(record.segment, ident)
            wirelen = len(octets)
            if record.edits:
                octets, wirelen = apply(octets, self.link, record.edits)
            yield self.start + record.time, octets, wirelen, seen[record.tap].explain(record)

    def write(
        self,
        target: str | Path | BinaryIO,
        *,
        format: str | None = None,  # noqa: A002 - the word of the field
        edition: str = "annotated",
    ) -> None:
        """Write the capture to a file, a stream, or "-" (standard output).

        `format` is a capture format's name; without it the target's suffix decides. Edition "annotated" has a
        comment on each packet, one on the whole, and the hosts' names, where the format has room for them;
        "student" has the packets only, so that nothing tells what the exercise asks. UsageError for another
        edition or format, CaptureError where the target cannot be written.
        """
        from labkit.capture import create

        if edition not in EDITIONS:
            raise UsageError(f"edition {edition!r} is not known; there are: {', '.join(EDITIONS)}")
        annotated = edition == "annotated"
        comment = f"{self.name}: {self.summary}\nseed {self.seed}" if annotated else None
        names = {host.address: host.name for host in (self.client, self.server) if host.name} if annotated else None
        taps = list(dict.fromkeys(record.tap for record in self.records))
        with create(target, link=self.link, format=format, comment=comment, names=names) as writer:
            for tap in taps[1:]:
                writer.add_interface(self.link, name=tap if annotated else "")
            for record, (time, octets, wirelen, text) in zip(self.records, self._frames(), strict=True):
                interface = taps.index(record.tap)
                comments = (text,) if annotated else ()
                writer.write(time, octets, wirelen=wirelen, comments=comments, interface=interface)

    def explanation(self, record: Record) -> str:
        """Why the record's segment is what it is: its step, the states, how seq and ack follow, where to read
        on.
        """
        seen = _Seen(self)
        for earlier in self.records:
            if earlier is record:
                break
            if earlier.tap == record.tap:
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
        lines = [
            record.step,
            f"client {_change(record.client)}; server {_change(record.server)}",
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


def _change(states: tuple[State, State]) -> str:
    before, after = states
    return str(after) if before is after else f"{before} -> {after}"
