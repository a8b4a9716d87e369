"""The pcap format (draft-ietf-opsawg-pcap): a header, then records of a time, two lengths and the packet.

The reader takes both byte orders, micro- and nanoseconds, and the "modified" format of old Linux systems, whose records
carry eight octets more. The writer writes the little-endian form, with nanoseconds by default.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from labkit.capture.base import (
    MAX_PACKET_OCTETS,
    MAX_RECORD_OCTETS,
    Description,
    Format,
    Frame,
    Interface,
    Reader,
    Writer,
)
from labkit.capture.source import Source
from labkit.i18n import _

if TYPE_CHECKING:
    from labkit.capture.sink import Sink


class Variant(NamedTuple):
    """What a magic number says of the file."""

    order: str
    """The byte order, in the notation of `struct`."""
    unit: int
    """Nanoseconds per unit of the time's fraction."""
    header: int
    """Octets before each packet."""


VARIANTS = {
    bytes.fromhex("a1b2c3d4"): Variant(">", 1000, 16),
    bytes.fromhex("d4c3b2a1"): Variant("<", 1000, 16),
    bytes.fromhex("a1b23c4d"): Variant(">", 1, 16),
    bytes.fromhex("4d3cb2a1"): Variant("<", 1, 16),
    bytes.fromhex("a1b2cd34"): Variant(">", 1000, 24),
    bytes.fromhex("34cdb2a1"): Variant("<", 1000, 24),
}

HEADER = 24
"""Octets of the file's header: magic, version (two of 16 bits), two unused, snaplen, link type with FCS bits."""

SECOND = 1_000_000_000


def matches(head: bytes) -> bool:
    """Whether a file with this head is a pcap."""
    return head[:4] in VARIANTS


class PcapReader(Reader):
    """Reads a pcap, whose one interface is known from the start."""

    format = "pcap"

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._buffer = source.more(b"", HEADER)
        if len(self._buffer) < HEADER:
            raise self._unreadable(
                _("the pcap is cut short: {have} of the {want} bytes of its header are present").format(
                    have=len(self._buffer), want=HEADER
                )
            )
        self._base, self._here, self._number = 0, HEADER, 1
        """Where the buffer begins in the file, where the next record begins in the buffer, and that record's number."""
        self._variant = VARIANTS[self._buffer[:4]]
        snaplen, link = struct.unpack_from(self._variant.order + "II", self._buffer, 16)
        # Section 4 of the draft: where bit 26 is set, bits 28 to 31 count the 16-bit words of the FCS.
        fcs = (link >> 28) * 2 if link & 0x0400_0000 else 0
        self.interfaces.append(Interface(link & 0xFFFF, snaplen, fcs=fcs))

    @property
    def variant(self) -> Variant:
        """The form of the records."""
        return self._variant

    @property
    def limit(self) -> int:
        """Octets of the longest packet that the reader takes."""
        return max(MAX_PACKET_OCTETS, min(self.interfaces[0].snaplen, MAX_RECORD_OCTETS))

    def rest(self) -> tuple[bytes, int]:
        """The octets read beyond the last frame, and where they begin."""
        return self._buffer[self._here :], self._base + self._here

    def resume(self, octets: bytes, at: int, number: int) -> None:
        """Continue at a record."""
        self._buffer, self._base, self._here, self._number = octets, at, 0, number
        self._iterator = self._bounded(self._frames())

    def _frames(self) -> Iterator[Frame]:
        order, unit, header = self._variant
        unpack = struct.Struct(order + "IIII").unpack_from
        link, limit = self.interfaces[0].link, self.limit
        new = tuple.__new__
        nothing: tuple[str, ...] = ()
        buffer, base, at, number = self._buffer, self._base, self._here, self._number
        while True:
            size = len(buffer)
            want = header
            while (start := at + header) <= size:
                seconds, fraction, caplen, wirelen = unpack(buffer, at)
                if caplen > limit:
                    reason = _("its record claims {claimed} bytes, more than {limit}")
                    return self._invalid(base + at, reason.format(claimed=caplen, limit=limit), number)
                stop = start + caplen
                if stop > size:
                    want = header + caplen
                    break
                time = seconds * SECOND + fraction * unit
                self._here = stop
                yield new(Frame, (number, time, link, buffer[start:stop], wirelen, nothing, 0))
                at = stop
                number += 1
            base += at
            buffer = self._source.more(buffer[at:], want)
            self._buffer, self._base, self._here = buffer, base, 0
            at = 0
            if len(buffer) < want:
                return self._end(base, len(buffer), number, self._there(len(buffer), want))

    def _there(self, have: int, want: int) -> str:
        header = self._variant.header
        if have < header:
            message = _("{have} of the {want} bytes of its header are present")
            return message.format(have=have, want=header)
        return _("{have} of its {want} bytes are present").format(have=have - header, want=want - header)


class PcapWriter(Writer):
    """Writes a pcap, which has no room for comments, names or a second interface."""

    format = "pcap"
    annotates = False
    time_at, radix, data_at = 0, SECOND, 16

    def __init__(self, sink: "Sink", description: Description) -> None:
        super().__init__(sink, description)
        self._unit = 1 if description.nanoseconds else 1000
        self._pack = struct.Struct("<IIII").pack
        magic = 0xA1B2_3C4D if description.nanoseconds else 0xA1B2_C3D4
        interface = description.interface
        # Bit 26 says that there is a frame check sequence; bits 28 to 31 count its 16-bit words.
        link = interface.link | (0x0400_0000 | interface.fcs // 2 << 28 if interface.fcs else 0)
        sink.write(struct.pack("<IHHiIII", magic, 2, 4, 0, 0, interface.snaplen, link))

    def record(
        self,
        time: int,
        data: bytes,
        *,
        wirelen: int | None = None,
        comments: Iterable[str] = (),  # noqa: ARG002 - no room
        interface: int = 0,
        outbound: bool | None = None,  # noqa: ARG002 - no room
    ) -> bytes:
        """A packet's record. CaptureError for a time before 1970 or after 2106."""
        captured = len(data)
        length = captured if wirelen is None else wirelen
        self._check(captured, length)
        seconds, fraction = divmod(time, SECOND)
        if not 0 <= seconds <= 0xFFFF_FFFF:
            raise self._unfit(_("a pcap can hold times from 1970 to 2106, not {time} ns").format(time=time))
        if interface:
            raise self._unfit(_("a pcap has only interface 0, not {interface}").format(interface=interface))
        return self._pack(seconds, fraction // self._unit, captured, length) + data

    def add_interface(
        self,
        link: int,  # noqa: ARG002 - no room
        *,
        snaplen: int | None = None,  # noqa: ARG002
        name: str = "",  # noqa: ARG002
        description: str = "",  # noqa: ARG002
        fcs: int = 0,  # noqa: ARG002
    ) -> int:
        """Always CaptureError: a pcap has no second interface."""
        raise self._unfit(_("a pcap has one interface; a pcapng can have several"))


FORMAT = Format("pcap", (".pcap", ".cap", ".dmp"), matches, PcapReader, PcapWriter)
