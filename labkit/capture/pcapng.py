"""The pcapng format (draft-ietf-opsawg-pcapng): sections of blocks, each with its length before and after it.

A section has its own byte order and its own interfaces, each with its own clock. The reader takes sections, interfaces,
packets of all three kinds (enhanced, simple, obsolete), name resolution and comments, and skips other blocks. It skips
malformed options; a malformed block ends the capture. The writer writes one little-endian section with nanosecond clocks.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from labkit.capture import pcapng_blocks as block
from labkit.capture.base import (
    MAX_PACKET_OCTETS,
    MAX_RECORD_OCTETS,
    Description,
    Format,
    Frame,
    Interface,
    Packet,
    Reader,
    Writer,
)
from labkit.capture.pcapng_blocks import PADDING, Layout, decoded, encoded, layout, option, packed, unpacked
from labkit.capture.source import Source
from labkit.i18n import N_, _, printable

if TYPE_CHECKING:
    from labkit.capture.sink import Sink

SECOND = 1_000_000_000
MAX_TIME = (1 << 62) - 1
"""The latest time in nanoseconds, in the year 2116; later ones are read as this one, and those before 1970 as 0. Differences
of differences of such times fit into a signed 64-bit integer."""

MAX_INTERFACES = MAX_NAMES = 65_536
"""Interfaces and names that the reader keeps."""
MAX_COMMENTS = 256
"""Comments on sections that the reader keeps."""
MAX_TEXT_OCTETS = 8 << 20
"""Octets of the names and descriptions of interfaces, of comments on sections and of names of hosts that the reader keeps, all
together. Further texts count as empty."""


class Clock(NamedTuple):
    """What a packet takes from its interface. Its time in nanoseconds is its stamp * `times` // `by` + `offset`."""

    link: int
    times: int
    by: int
    offset: int
    snaplen: int
    number: int
    """The interface's index in `Reader.interfaces`."""


class BlockError(Exception):
    """A malformed block. Never leaves this module."""


def matches(head: bytes) -> bool:
    """Whether a file with this head is a pcapng."""
    return head.startswith(block.SECTION_MAGIC)


class PcapngReader(Reader):
    """Reads a pcapng. A packet without a time (in a simple packet block) gets time 0."""

    format = "pcapng"

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._layout = layout("<")
        self._clocks: list[Clock] = []
        """The clocks of the section's interfaces."""
        self._texts = 0
        """Octets of texts so far."""
        self._number = 0
        """The last packet's number."""
        self._buffer = b""
        self._base = 0
        """Where the buffer begins in the file."""
        self._here = 0
        """Where the current block begins in the buffer; -1 before the first."""
        self._walk = self._blocks()
        try:
            first = next(self._walk, None)
            if first:
                self._section(*first[1:])
        except BlockError as error:
            raise self._unreadable(_("cannot read the pcapng: {reason}").format(reason=error)) from None
        if self.damage:
            raise self._unreadable(self.damage.message)

    @property
    def order(self) -> str:
        """The byte order of the section, in the notation of `struct`."""
        return self._layout.order

    @property
    def clocks(self) -> Sequence[Clock]:
        """The clocks of the section's interfaces."""
        return self._clocks

    def rest(self) -> tuple[bytes, int]:
        """The octets read beyond the current block, and where they begin."""
        if self._here < 0:
            return self._buffer, self._base
        _kind, length = self._layout.head.unpack_from(self._buffer, self._here)
        end = self._here + length
        return self._buffer[end:], self._base + end

    def resume(self, octets: bytes, at: int, number: int) -> None:
        """Continue at a block."""
        self._buffer, self._base, self._here, self._number = octets, at, -1, number - 1
        self._walk = self._blocks()
        self._iterator = self._bounded(self._frames())

    def _frames(self) -> Iterator[Frame]:
        others = {block.SECTION: self._section, block.INTERFACE: self._interface, block.NAMES: self._names}
        try:
            for kind, at, end in self._walk:
                if kind in block.PACKETS:
                    frame = self._simple(at, end) if kind == block.SIMPLE else self._timed(kind, at, end)
                    self._number += 1
                    yield frame
                elif kind in others:
                    others[kind](at, end)
                elif kind != block.STATISTICS:
                    self.skipped.add(block.SKIPPED.get(kind, N_("other blocks")))
        except BlockError as error:
            self._invalid(self._base + self._here, str(error), self._packet())

    def _packet(self) -> int:
        """The number of the packet that the current block should hold; 0 where it is another block."""
        (kind,) = self._layout.length.unpack_from(self._buffer, self._here)
        return self._number + 1 if kind in block.PACKETS else 0

    def _blocks(self) -> Iterator[tuple[int, int, int]]:
        """The type of each block, and where the whole block begins and ends in the buffer."""
        at = 0
        while True:
            buffer = self._buffer
            size = len(buffer)
            want = 12
            while at + 12 <= size:
                self._here = at
                # The type of a section header block reads the same in both byte orders.
                if buffer.startswith(block.SECTION_MAGIC, at):
                    self._layout = self._order(at)
                kind, length = self._layout.head.unpack_from(buffer, at)
                if length < 12 or length & 3 or length > MAX_RECORD_OCTETS:
                    raise BlockError(_("{length} is not a valid block length").format(length=length))
                end = at + length
                if end > size:
                    want = length
                    break
                (trailer,) = self._layout.length.unpack_from(buffer, end - 4)
                if trailer != length:
                    reason = _("its length is {length} at the start and {trailer} at the end")
                    raise BlockError(reason.format(length=length, trailer=trailer))
                yield kind, at, end
                at = end
            self._base += at
            self._buffer = self._source.more(buffer[at:], want)
            self._here = at = 0
            have = len(self._buffer)
            if have < want:
                packet = self._packet() if have >= 4 else 0
                there = _("{have} of the {want} bytes of its block are present")
                return self._end(self._base, have, packet, there.format(have=have, want=want))

    def _order(self, at: int) -> Layout:
        magic = self._buffer[at + 8 : at + 12]
        if magic not in block.ORDERS:
            raise BlockError(_("{octets} is not a byte-order magic").format(octets=magic.hex(" ")))
        return layout(block.ORDERS[magic])

    def _section(self, at: int, end: int) -> None:
        if end - at < 28:
            raise _short(end - at)
        (major,) = struct.unpack_from(self._layout.order + "H", self._buffer, at + 12)
        if major != 1:
            raise BlockError(_("unknown format version {major}").format(major=major))
        self._clocks = []
        for code, value in unpacked(self._layout, self._buffer, at + 24, end - 4):
            if code == block.COMMENT and len(self.comments) < MAX_COMMENTS:
                self.comments.append(self._text(value))

    def _interface(self, at: int, end: int) -> None:
        if end - at < 20:
            raise _short(end - at)
        if len(self.interfaces) >= MAX_INTERFACES:
            raise BlockError(_("it declares more than {most} interfaces").format(most=MAX_INTERFACES))
        link, snaplen = self._layout.interface.unpack_from(self._buffer, at + 8)
        options = dict(unpacked(self._layout, self._buffer, at + 16, end - 4))
        times, by = _resolution(options.get(block.RESOLUTION, b""))
        seconds = options.get(block.OFFSET, b"")
        offset = self._layout.offset.unpack(seconds)[0] * SECOND if len(seconds) == 8 else 0
        self._clocks.append(Clock(link, times, by, offset, snaplen, len(self.interfaces)))
        name, description = self._text(options.get(block.NAME, b"")), self._text(options.get(block.DESCRIPTION, b""))
        self.interfaces.append(Interface(link, snaplen, name, description, (options.get(block.FCS) or b"\0")[0]))

    def _text(self, value: bytes) -> str:
        """The text of an option that is kept; empty where the capture has too many of them."""
        self._texts += len(value)
        return decoded(value) if self._texts <= MAX_TEXT_OCTETS else ""

    def _clock(self, interface: int) -> Clock:
        try:
            return self._clocks[interface]
        except IndexError:
            reason = _("it names interface {interface}, but the section has {count}")
            raise BlockError(reason.format(interface=interface, count=len(self._clocks))) from None

    def _timed(self, kind: int, at: int, end: int) -> Frame:
        """The packet of an enhanced or an obsolete packet block."""
        if end - at < 32:
            raise _short(end - at)
        fields = self._layout.enhanced if kind == block.ENHANCED else self._layout.obsolete
        interface, high, low, caplen, wirelen = fields.unpack_from(self._buffer, at + 8)
        link, times, by, offset, _snaplen, index = self._clock(interface)
        start, last = at + 28, end - 4
        stop = start + caplen
        if stop > last:
            raise _crowded(caplen, last - start)
        time = (high << 32 | low) * times // by + offset
        if not 0 <= time <= MAX_TIME:
            time = MAX_TIME if time > 0 else 0
        comments: tuple[str, ...] = ()
        options = stop + (-caplen & 3)
        if options < last:
            found = unpacked(self._layout, self._buffer, options, last)
            comments = tuple(decoded(value) for code, value in found if code == block.COMMENT)
        data = self._buffer[start:stop]
        return tuple.__new__(Frame, (self._number + 1, time, link, data, wirelen, comments, index))

    def _simple(self, at: int, end: int) -> Frame:
        if end - at < 16:
            raise _short(end - at)
        clock = self._clock(0)
        (wirelen,) = self._layout.length.unpack_from(self._buffer, at + 8)
        # The block does not give the captured length; it follows from the interface's snapshot length.
        caplen = min(wirelen, clock.snaplen or wirelen)
        start = at + 12
        if start + caplen > end - 4:
            raise _crowded(caplen, end - 4 - start)
        data = self._buffer[start : start + caplen]
        return Frame(self._number + 1, 0, clock.link, data, wirelen, (), clock.number)

    def _names(self, at: int, end: int) -> None:
        from socket import AF_INET, AF_INET6, inet_ntop

        families = {block.IPV4: (AF_INET, 4), block.IPV6: (AF_INET6, 16)}
        for kind, value in unpacked(self._layout, self._buffer, at + 8, end - 4):
            if kind not in families or len(self.names) >= MAX_NAMES or self._texts >= MAX_TEXT_OCTETS:
                continue
            family, size = families[kind]
            name = value[size:].partition(b"\0")[0]
            if name:
                # No resolver gives names with control characters; such a name tries to control the terminal.
                self.names.setdefault(inet_ntop(family, value[:size]), printable(self._text(name)))


def _short(length: int) -> BlockError:
    return BlockError(_("{length} bytes are too few for its block type").format(length=length))


def _crowded(claimed: int, room: int) -> BlockError:
    reason = _("it claims {claimed} bytes, but its block has room for {room}")
    return BlockError(reason.format(claimed=claimed, room=room))


def _resolution(option: bytes) -> tuple[int, int]:
    """The factor and the divisor that turn a time stamp into nanoseconds."""
    value = option[0] if option else 6
    if value & 0x80:
        return SECOND, 1 << (value & 0x7F)
    return (10 ** (9 - value), 1) if value <= 9 else (1, 10 ** (value - 9))


class PcapngWriter(Writer):
    """Writes a pcapng."""

    format = "pcapng"
    annotates = True
    time_at, radix, data_at = 12, 1 << 32, 28

    def __init__(self, sink: "Sink", description: Description) -> None:
        super().__init__(sink, description)
        self._layout = layout("<")
        self._unit = 1 if description.nanoseconds else 1000
        self._links: list[int] = []
        options = (
            (block.COMMENT, description.comment),
            (block.HARDWARE, description.hardware),
            (block.SYSTEM, description.system),
            (block.APPLICATION, description.application),
        )
        # A section of unknown length (-1).
        head = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)
        self._block(block.SECTION, head + packed((code, encoded(text)) for code, text in options if text))
        first = description.interface
        self.add_interface(first.link, name=first.name, description=first.description, fcs=first.fcs)
        self._names = self._named(description.names) if description.names else b""
        """The block of names, until it is written: behind all interfaces, or reordercap loses packets."""

    def append(self, records: bytes | bytearray) -> None:
        """Append records made by `record`."""
        self._put_names()
        super().append(records)

    def close(self) -> None:
        """Finish the capture."""
        self._put_names()
        super().close()

    def _put_names(self) -> None:
        if self._names:
            self._sink.write(self._names)
            self._names = b""

    def add_interface(
        self, link: int, *, snaplen: int | None = None, name: str = "", description: str = "", fcs: int = 0
    ) -> int:
        """Declare one more interface. It always gets a name: some readers need one."""
        texts = ((block.NAME, name or f"interface {len(self._links)}"), (block.DESCRIPTION, description))
        options = [(code, encoded(text)) for code, text in texts if text]
        options.append((block.RESOLUTION, b"\x09" if self._unit == 1 else b"\x06"))
        if fcs:
            options.append((block.FCS, bytes((fcs,))))
        fields = self._layout.interface.pack(link, self._description.interface.snaplen if snaplen is None else snaplen)
        self._block(block.INTERFACE, fields + packed(options))
        self._links.append(link)
        return len(self._links) - 1

    def record(
        self,
        time: int,
        data: bytes,
        *,
        wirelen: int | None = None,
        comments: Iterable[str] = (),
        interface: int = 0,
        outbound: bool | None = None,
    ) -> bytes:
        """A packet's record. CaptureError for a time before 1970, or after 64 bits (in 2554)."""
        captured = len(data)
        length = captured if wirelen is None else wirelen
        if not captured <= length <= MAX_PACKET_OCTETS:
            self._check(captured, length)
        stamp = time // self._unit
        if not 0 <= stamp < 1 << 64:
            raise self._unfit(_("a pcapng can hold times from 1970 to 2554, not {time} ns").format(time=time))
        if not 0 <= interface < len(self._links):
            raise self._unfit(_("there is no interface {interface}").format(interface=interface))
        options = b"".join([option(block.COMMENT, encoded(comment)) for comment in comments])
        if outbound is not None:
            options += option(block.FLAGS, b"\2\0\0\0" if outbound else b"\1\0\0\0")
        rest = PADDING[captured & 3] + options + block.END if options else PADDING[captured & 3]
        size = 32 + captured + len(rest)
        if size > MAX_RECORD_OCTETS:
            self._fitting(size)
        head = block.RECORD.pack(block.ENHANCED, size, interface, stamp >> 32, stamp & 0xFFFF_FFFF, captured, length)
        return b"".join((head, data, rest, size.to_bytes(4, "little")))

    def records(self, packets: Sequence[Packet]) -> bytes:
        """The octets of several packets."""
        from labkit.capture._packet_blocks import packet_blocks  # reading does without it

        return packet_blocks(packets, self._unit, len(self._links), self._single)

    def _named(self, names: Mapping[str, str]) -> bytes:
        """The block of the names of hosts."""
        from socket import AF_INET, AF_INET6, inet_pton

        records = []
        for address, name in names.items():
            try:
                octets = inet_pton(AF_INET6 if ":" in address else AF_INET, address)
            except (OSError, ValueError):
                raise self._unfit(_("{address} is not an IP address").format(address=printable(address))) from None
            # A null character ends the name.
            text = encoded(name.partition("\0")[0], block.MAX_TEXT_OCTETS - len(octets) - 1)
            records.append((block.IPV4 if len(octets) == 4 else block.IPV6, octets + text + b"\0"))
        return self._framed(block.NAMES, packed(records))

    def _block(self, kind: int, body: bytes) -> None:
        self._sink.write(self._framed(kind, body))

    def _framed(self, kind: int, body: bytes) -> bytes:
        length = self._fitting(len(body) + 12)
        return self._layout.head.pack(kind, length) + body + self._layout.length.pack(length)

    def _fitting(self, length: int) -> int:
        """The length of a block, which readers accept."""
        if length > MAX_RECORD_OCTETS:
            raise self._unfit(
                _("a block of {length} bytes exceeds {limit}").format(length=length, limit=MAX_RECORD_OCTETS)
            )
        return length


FORMAT = Format("pcapng", (".pcapng", ".ntar"), matches, PcapngReader, PcapngWriter)
