"""Traces written by hand: a file in the notation of `labkit.tcp.notation` becomes a `Trace`.

    # 192.0.2.10:40000 > 192.0.2.20:80
    0.000  > S  0:0(0) <mss 1460>
    +0.020 < S. 0:0(0) ack 1 <mss 1460>
    +0     > .  1:1(0) ack 1             # this comment goes to the packet

Each line is one packet, exactly as it is written: nothing is added, and nothing is mended but lengths and checksums. Two
kinds of comment line say what stands around the segments:

- `# CLIENT:PORT > SERVER:PORT`: the lines that follow are of this conversation, up to the next such line. Conversations may
  take turns. An IPv6 address stands in brackets. Without such a line, the addresses are those of documentation.
- `# start SECONDS`: the time 0, in seconds since 1970; without it, 2026 begins.

A line without a time comes 10 ms after the one before. `labkit show --format notation` writes such a file of any capture, and
what is built from that has the same segments: addresses and ports, times, all that the TCP header says, options, payloads
(where the capture was cut, what it holds of them), wrong checksums. What it does not have: link layers and VLAN tags, TTL,
DSCP, identification and fragmentation of the IP headers, the interfaces of a capture, and packets that hold no readable TCP
segment.
"""

import re
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from labkit.build.trace import Connection, Record, Trace
from labkit.errors import ScenarioError
from labkit.packet.frame_edits import apply
from labkit.packet.linktype import ETHERNET
from labkit.packet.scapy_build import Host, Stamp
from labkit.tcp.notation import CLIENT, Line, parse_line
from labkit.tcp.segment import SYN, Segment
from labkit.tcp.seq import add

SUFFIX = ".pkt"
LARGEST = 16 << 20
"""Octets of a file."""
MOST_PAYLOAD = 256 << 20
"""Octets of all payloads together: a few characters make a large one."""
STEP = 10_000_000
"""Nanoseconds between lines whose time is not given."""
START = 1_767_225_600_000_000_000
"""Nanoseconds since 1970 at time 0, where a file does not say: 2026-01-01."""
LATEST = (1 << 32) * 1_000_000_000
"""Nanoseconds since 1970 that a pcap file has room for."""
LARGEST_DATAGRAM = 0xFFFF
ENDS = Host("192.0.2.10", 40000, "client"), Host("192.0.2.20", 80, "server", mac="02:00:00:00:00:02")
"""Who talks where a file does not say (RFC 5737)."""

_ENDS = re.compile(r"#\s*(\S+):(\d{1,10})\s+>\s+(\S+):(\d{1,10})$", re.ASCII)
_START = re.compile(r"#\s*start\s+(\d{1,11})(?:\.(\d{1,9}))?\s*$", re.ASCII)


def load(path: str | Path) -> Trace:
    """The trace that a file describes. ScenarioError, `FILE:LINE: what is wrong`, where it does not."""
    from labkit.build.scenario.source import read_file

    return parse(read_file(Path(path), LARGEST, "a file of segments"), str(path))


def parse(text: str, source: str = "<text>") -> Trace:
    """The trace that a text describes; `source` is what errors call it. ScenarioError as from `load`."""
    if len(text) > LARGEST:
        raise ScenarioError(f"{source}: is larger than {LARGEST >> 20} MiB; expected a file of segments")
    script = _Script()
    for number, line in enumerate(text.split("\n"), 1):
        try:
            script.read(line)
        except ValueError as why:
            raise ScenarioError(f"{source}:{number}: {why}") from None
    if not script.records:
        raise ScenarioError(f"{source}: there is no segment in it; expected lines such as '> S 0:0(0)'")
    return script.trace(Path(source).stem)


def start_line(start: int) -> str:
    """The line that gives the time 0, in nanoseconds since 1970."""
    return f"# start {start // 1_000_000_000}.{start % 1_000_000_000:09d}"


def ends_line(client: str, server: str) -> str:
    """The line before a conversation between two `address:port`."""
    return f"# {client} > {server}"


class _Script:
    """A file as far as it has been read. Its methods raise ValueError for what is wrong with a line."""

    def __init__(self) -> None:
        self.start = START
        self.now = 0
        self.payload = 0
        self.ends: list[tuple[Host, Host]] = []
        self.current = 0
        """Whose conversation's lines are being read, as a position in `ends`."""
        self.records: list[Record] = []
        self._places: dict[tuple[Host, Host], int] = {}
        self._stamps: dict[tuple[Host, Host], Stamp] = {}

    def read(self, text: str) -> None:
        """Take up a line."""
        stripped = text.strip()
        if not stripped:
            return
        if not stripped.startswith("#"):
            self._segment(parse_line(text))
        elif match := _ENDS.match(stripped):
            self._converse(_host(match[1], match[2]), _host(match[3], match[4]))
        elif match := _START.match(stripped):
            if self.records:
                raise ValueError("the start stands behind a segment; expected it before the first one")
            self.start = int(match[1]) * 1_000_000_000 + int((match[2] or "").ljust(9, "0"))

    def _converse(self, client: Host, server: Host) -> None:
        """The lines that follow are of this conversation."""
        if client.ip.version != server.ip.version:
            raise ValueError(f"{client.address} and {server.address} are of two families; expected one")
        if (client, server) not in self._places:
            self._places[client, server] = len(self.ends)
            self.ends.append((client, server))
        self.current = self._places[client, server]

    def _segment(self, line: Line) -> None:
        if not self.ends:
            self._converse(*ENDS)
        if line.time is None:
            self.now += STEP if self.records else 0
        else:
            self.now = self.now + line.time if line.relative else line.time
        if not 0 <= self.start + self.now < LATEST:
            raise ValueError("the time lies before 1970 or after 2105; expected one that a capture file can hold")
        self.payload += len(line.segment.payload)
        if self.payload > MOST_PAYLOAD:
            raise ValueError(f"up to here there are more than {MOST_PAYLOAD >> 20} MiB of payload; expected less")
        self._check(line)
        self.records.append(
            Record(
                len(self.records) + 1,
                self.now,
                "client" if line.sender == CLIENT else "server",
                line.segment,
                "",
                line.comment,
                None,
                None,
                edits=line.edits,
                connection=self.current,
            )
        )

    def _check(self, line: Line) -> None:
        """Whether the line can become a frame."""
        client, server = self.ends[self.current]
        size = 20 + len(line.segment.header) + len(line.segment.payload) + (20 if client.ip.version == 4 else 0)
        if size > LARGEST_DATAGRAM:
            raise ValueError(f"a datagram of {size} octets; expected at most {LARGEST_DATAGRAM}")
        if line.edits:
            ends = (client, server) if line.sender == CLIENT else (server, client)
            apply(self._frame(line.segment, ends), ETHERNET, line.edits)

    def _frame(self, segment: Segment, ends: tuple[Host, Host]) -> bytes:
        if ends not in self._stamps:
            self._stamps[ends] = Stamp.of(*ends)
        return self._stamps[ends].frame(segment)

    def trace(self, name: str) -> Trace:
        """All that has been read."""
        return Trace(
            name=name,
            summary="",
            seed=None,
            start=self.start,
            connections=tuple(self._connections()),
            records=self.records,
        )

    def _connections(self) -> Iterator[Connection]:
        """Each conversation; the first SYN of a side has its initial number, or else the one before its first."""
        isns: dict[tuple[int, str], int] = {}
        for record in reversed(self.records):
            isns[record.connection, record.sender] = add(record.segment.seq, -1)
        for record in reversed(self.records):
            if record.segment.ctl & SYN:
                isns[record.connection, record.sender] = record.segment.seq
        for place, (client, server) in enumerate(self.ends):
            yield Connection(client, server, isns.get((place, "client"), 0), isns.get((place, "server"), 0))


def _host(address: str, port: str) -> Host:
    """An end by its address, which has brackets where it is IPv6, and its port."""
    bare = address[1:-1] if address[0] + address[-1] == "[]" else address
    try:
        # Without a zone, which is no part of a packet.
        packed = ip_address(bare.replace("%", " ")).packed
    except ValueError:
        packed = b""
    if len(packed) != (4 if bare == address else 16):
        raise ValueError(f"{address[:50]!r} is not an address; expected one such as 192.0.2.10 or [2001:db8::10]")
    if int(port) > 0xFFFF:
        raise ValueError(f"{port} is not a port; expected at most 65535")
    # A MAC that follows from the address: locally administered, the same on each side of whatever it talks to.
    mac = ":".join(f"{octet:02x}" for octet in (2, 0, *packed[-4:]))
    return Host(str(ip_address(bare)), int(port), mac=mac)
