"""Traces written by hand: read a file in the notation of `labkit.tcp.notation` as a `Trace`.

    # 192.0.2.10:40000 > 192.0.2.20:80
    0.000  > S  0:0(0) <mss 1460>
    +0.020 < S. 0:0(0) ack 1 <mss 1460>
    +0     > .  1:1(0) ack 1             # this comment goes to the packet

Each line is one packet, exactly as written; labkit only computes lengths and checksums. Two kinds of comment lines have a
meaning:

- `# CLIENT:PORT > SERVER:PORT`: the following lines belong to this conversation, up to the next such line. Conversations may
  alternate. An IPv6 address is in brackets. Without such a line, the addresses are those for documentation.
- `# start SECONDS`: the time 0, in seconds since 1970; by default the begin of 2026.

A packet without a time follows 10 ms after the previous one. `labkit show --format notation` writes such a file for any capture.
A capture that is built from it has the same segments: addresses and ports, times, the TCP header, options, payloads (as far as
the capture holds them) and wrong checksums. It lacks link layers and VLAN tags, the TTL, DSCP, identification and
fragmentation of IP headers, the interfaces of the capture, and packets without a readable TCP segment.
"""

import re
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from labkit.build.trace import Connection, Record, Trace
from labkit.errors import ScenarioError
from labkit.i18n import N_, _
from labkit.packet.frame_edits import apply
from labkit.packet.linktype import ETHERNET
from labkit.packet.scapy_build import Host
from labkit.packet.stamp import Stamp
from labkit.tcp.notation import CLIENT, Line, parse_line
from labkit.tcp.segment import SYN, Segment
from labkit.tcp.seq import add

SUFFIX = ".pkt"
MAX_FILE_SIZE = 16 << 20
"""Octets of a file."""
MAX_PAYLOADS = 256 << 20
"""Octets of all payloads together: a few characters of text can stand for a large payload."""
STEP = 10_000_000
"""Nanoseconds before a packet without a time."""
START = 1_767_225_600_000_000_000
"""The default of `# start` in nanoseconds since 1970: 2026-01-01."""
LATEST = (1 << 32) * 1_000_000_000
"""The first time that does not fit in a pcap file, in nanoseconds since 1970."""
LARGEST_DATAGRAM = 0xFFFF
ENDS = Host("192.0.2.10", 40000, "client"), Host("192.0.2.20", 80, "server", mac="02:00:00:00:00:02")
"""The hosts of a file that names none (RFC 5737)."""

_ENDS = re.compile(r"#\s*(\S+):(\d{1,10})\s+>\s+(\S+):(\d{1,10})$", re.ASCII)
_START = re.compile(r"#\s*start\s+(\d{1,11})(?:\.(\d{1,9}))?\s*$", re.ASCII)


def load(path: str | Path) -> Trace:
    """The trace in a file. ScenarioError, `FILE:LINE: message`, for a bad line."""
    from labkit.build.scenario.source import read_file

    return parse(read_file(Path(path), MAX_FILE_SIZE, N_("a file of segments")), str(path))


def parse(text: str, source: str = "<text>") -> Trace:
    """The trace in a text; error messages call it `source`. ScenarioError as from `load`."""
    if len(text) > MAX_FILE_SIZE:
        raise ScenarioError(
            _("{source}: is larger than {n} MiB; expected a file of segments").format(
                source=source, n=MAX_FILE_SIZE >> 20
            )
        )
    script = _Reader()
    for number, line in enumerate(text.split("\n"), 1):
        try:
            script.read(line)
        except ValueError as why:
            raise ScenarioError(f"{source}:{number}: {why}") from None
    if not script.records:
        raise ScenarioError(
            _("{source}: contains no segment; expected lines such as '> S 0:0(0)'").format(source=source)
        )
    return script.trace(Path(source).stem)


def start_line(start: int) -> str:
    """The line that sets the time 0 to `start` nanoseconds since 1970."""
    return f"# start {start // 1_000_000_000}.{start % 1_000_000_000:09d}"


def ends_line(client: str, server: str) -> str:
    """The line before the packets of a conversation between two `address:port`."""
    return f"# {client} > {server}"


class _Reader:
    """Read a file line by line. ValueError for a bad line."""

    def __init__(self) -> None:
        self.start = START
        self.now = 0
        self.payload = 0
        self.ends: list[tuple[Host, Host]] = []
        self.current = 0
        """The current conversation, as a position in `ends`."""
        self.records: list[Record] = []
        self._places: dict[tuple[Host, Host], int] = {}
        self._stamps: dict[tuple[Host, Host], Stamp] = {}

    def read(self, text: str) -> None:
        """Read a line."""
        stripped = text.strip()
        if not stripped:
            return
        if not stripped.startswith("#"):
            self._segment(parse_line(text))
        elif match := _ENDS.match(stripped):
            self._converse(_host(match[1], match[2]), _host(match[3], match[4]))
        elif match := _START.match(stripped):
            if self.records:
                raise ValueError(_("'# start' follows a segment; expected it before the first one"))
            self.start = int(match[1]) * 1_000_000_000 + int((match[2] or "").ljust(9, "0"))

    def _converse(self, client: Host, server: Host) -> None:
        """Begin or continue a conversation."""
        if client.ip.version != server.ip.version:
            raise ValueError(
                _("{address} and {address2} differ in their address family; expected one family").format(
                    address=client.address, address2=server.address
                )
            )
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
            raise ValueError(_("the time is before 1970 or after 2105; expected one that a capture file can hold"))
        self.payload += len(line.segment.payload)
        if self.payload > MAX_PAYLOADS:
            raise ValueError(
                _("up to this line there are more than {n} MiB of payload; expected less").format(n=MAX_PAYLOADS >> 20)
            )
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
        """Check that the line can become a frame."""
        client, server = self.ends[self.current]
        size = 20 + len(line.segment.header) + len(line.segment.payload) + (20 if client.ip.version == 4 else 0)
        if size > LARGEST_DATAGRAM:
            raise ValueError(
                _("a datagram of {size} octets; expected at most {largest_datagram}").format(
                    size=size, largest_datagram=LARGEST_DATAGRAM
                )
            )
        if line.edits:
            ends = (client, server) if line.sender == CLIENT else (server, client)
            apply(self._frame(line.segment, ends), ETHERNET, line.edits)

    def _frame(self, segment: Segment, ends: tuple[Host, Host]) -> bytes:
        if ends not in self._stamps:
            self._stamps[ends] = Stamp(*ends)
        return self._stamps[ends].frame(segment)

    def trace(self, name: str) -> Trace:
        """The trace of all lines."""
        return Trace(
            name=name,
            summary="",
            seed=None,
            start=self.start,
            connections=tuple(self._connections()),
            records=self.records,
        )

    def _connections(self) -> Iterator[Connection]:
        """Each conversation. A side's ISN is that of its first SYN, or the number before its first seq."""
        isns: dict[tuple[int, str], int] = {}
        for record in reversed(self.records):
            isns[record.connection, record.sender] = add(record.segment.seq, -1)
        for record in reversed(self.records):
            if record.segment.ctl & SYN:
                isns[record.connection, record.sender] = record.segment.seq
        for place, (client, server) in enumerate(self.ends):
            yield Connection(client, server, isns.get((place, "client"), 0), isns.get((place, "server"), 0))


def _host(address: str, port: str) -> Host:
    """The host with an address, in brackets if it is IPv6, and a port."""
    bare = address[1:-1] if address[0] + address[-1] == "[]" else address
    try:
        # A packet cannot hold a zone.
        packed = ip_address(bare.replace("%", " ")).packed
    except ValueError:
        packed = b""
    if len(packed) != (4 if bare == address else 16):
        raise ValueError(
            _("{address!r} is not an address; expected one such as 192.0.2.10 or [2001:db8::10]").format(
                address=address[:50]
            )
        )
    if int(port) > 0xFFFF:
        raise ValueError(_("{port} is not a port; expected at most 65535").format(port=port))
    # The MAC follows from the address and is locally administered.
    mac = ":".join(f"{octet:02x}" for octet in (2, 0, *packed[-4:]))
    return Host(str(ip_address(bare)), int(port), mac=mac)
