"""What every capture format has in common: frames, damage, and the classes that readers and writers extend.

A reader streams: it holds one buffer, never the file, and never allocates what a file merely claims. A
capture that breaks off, or turns into garbage, is no exception: the frames before that place are delivered,
and `Reader.damage` says what happened. Times are integer nanoseconds since 1970-01-01 UTC, lengths are
octets.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import ClassVar, NamedTuple, Self

from labkit.capture.sink import Sink
from labkit.capture.source import Source
from labkit.errors import CaptureError
from labkit.i18n import _

MAX_PACKET_OCTETS = 262_144
"""Octets of the longest packet that Wireshark and tcpdump accept, and that is written here."""

MAX_RECORD_OCTETS = 1 << 24
"""Octets of the longest record that is read: a hostile capture can claim a small multiple of it in memory."""


class Frame(NamedTuple):
    """One packet of a capture."""

    number: int
    """As Wireshark counts: 1 is the first packet of the file, all its interfaces together."""
    time: int
    """Nanoseconds since the epoch; 0 where the capture has no time for the packet."""
    link: int
    """The LINKTYPE of its interface."""
    data: bytes
    """The octets that were captured."""
    wirelen: int
    """How many octets the packet had on the wire. What the file says: it may be less than what `data`
    holds."""
    comments: tuple[str, ...] = ()
    interface: int = 0
    """The index in `Reader.interfaces`."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Why a capture could not be read to its end."""

    message: str
    """One line that says what is wrong and where."""
    at: int | None
    """Where the record begins that could not be read: octets from the start of the (uncompressed) file. None where it is
    not the file that kept somebody from reading on."""
    cut: bool
    """True where the file just ends too early, False where what is there makes no sense."""


@dataclass(frozen=True, slots=True)
class Interface:
    """One of the interfaces that a capture was taken from. A pcap file has exactly one."""

    link: int
    snaplen: int = 0
    """Octets that were kept of each packet; 0 is no limit."""
    name: str = ""
    description: str = ""
    fcs: int = 0
    """Octets of the frame check sequence at the end of each packet, where the file says so."""


@dataclass(frozen=True, slots=True)
class Description:
    """What a new capture says about itself. A format leaves out what it has no room for."""

    interface: Interface
    comment: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    """Address to name."""
    nanoseconds: bool = True
    """Whether times are written in nanoseconds; otherwise they are rounded down to microseconds."""
    hardware: str = ""
    system: str = ""
    application: str = ""


class Reader(ABC):
    """Iterates over the frames of a capture, once and in the file's order; also a context manager.

    `damage` is None until iteration has met something that it cannot read, which ends it. `names` (address to
    name, where the capture has them), `comments` (on the capture itself) and `interfaces` grow while blocks
    that hold them go by: they are complete after the last frame. Iterating raises CaptureError only where the
    system fails to read.
    """

    format: ClassVar[str]

    def __init__(self, source: Source) -> None:
        self.damage: Damage | None = None
        self.names: dict[str, str] = {}
        self.comments: list[str] = []
        self.interfaces: list[Interface] = []
        self._source = source
        self._iterator = self._frames()

    @property
    def name(self) -> str:
        """What the capture is called in messages."""
        return self._source.name

    @property
    def compressed(self) -> bool:
        """Whether the file is compressed."""
        return self._source.compressed

    @property
    def size(self) -> int | None:
        """Octets of the file, where that is known: of a plain file that is not compressed."""
        return self._source.size

    @property
    def share(self) -> float | None:
        """How much of the file was read, from 0 to 1, compressed or not; None where its length is not known."""
        return self._source.share

    @property
    def waits(self) -> bool:
        """Whether octets may be long in coming: from a pipe, or a terminal."""
        return self._source.waits

    @abstractmethod
    def _frames(self) -> Iterator[Frame]:
        """The frames; ends with a call of `_end` or `_invalid`."""

    def __iter__(self) -> Iterator[Frame]:
        # Always the same iterator: a second loop goes on where the first one stopped.
        return self._iterator

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, if it was opened here. A reader that has reached its end is closed already."""
        self._source.close()

    @abstractmethod
    def rest(self) -> tuple[bytes, int]:
        """What was read of the file and stands behind the last frame, or before the first; and where that begins.

        With `into` and `resume` this is for who reads plain records in a way of their own, and leaves others to the reader.
        """

    @abstractmethod
    def resume(self, octets: bytes, at: int, number: int) -> None:
        """Iterate from the record on that begins at `at` in the file and is packet `number`, or stands before it.

        `octets` is what has been read of the file from there on.
        """

    def into(self, buffer: memoryview) -> int:
        """Read on in the file, past all that `rest` and the frames before it hold; how many octets were at hand, 0 at its end."""
        return self._source.into(buffer)

    def _where(self, at: int) -> str:
        if self.compressed:
            return _("byte {at} of the uncompressed data").format(at=at)
        return _("byte {at}").format(at=at)

    def _unreadable(self, message: str) -> CaptureError:
        return CaptureError(f"{self.name}: {message}")

    def _end(self, at: int, have: int, packet: int, there: str) -> None:
        """The file ends after `have` octets of the record at `at`, which is `packet` (0: no packet).

        `there` says how much of the record that is. Where `have` is 0, and the source has no trouble, this is
        the end that every capture should have.
        """
        if have and packet:
            message = _("the capture ends in the middle of packet {packet}, which begins at {where}: {there}")
        elif have:
            message = _("the capture ends in the middle of a block, which begins at {where}: {there}")
        else:
            message = _("the capture ends at {where}")
        message = message.format(packet=packet, where=self._where(at), there=there)
        trouble = self._source.trouble
        if have or trouble:
            self.damage = Damage(f"{trouble}; {message}" if trouble else message, at, cut=True)
        self.close()

    def _invalid(self, at: int, reason: str, packet: int = 0) -> None:
        """The record at `at`, which is `packet` (0: no packet), makes no sense."""
        what = _("packet {packet} at {where} cannot be read") if packet else _("the block at {where} cannot be read")
        self.damage = Damage(f"{what.format(packet=packet, where=self._where(at))}: {reason}", at, cut=False)
        self.close()


class Writer(ABC):
    """Writes packets to a new capture; a context manager.

    A file appears under its name, whole, when the writer is closed or its `with` block ends. When that block
    ends with an exception, or `abort` is called, there is no file, and one that was there before is as it
    was. CaptureError where the format cannot hold a value, or the system cannot write; BrokenPipeError where
    nobody reads a pipe.
    """

    format: ClassVar[str]
    annotates: ClassVar[bool]
    """Whether the format holds comments, names and several interfaces. One that does not leaves them out."""

    def __init__(self, sink: Sink, description: Description) -> None:
        self._sink = sink
        self._description = description

    time_at: ClassVar[int]
    """Where in a record its time stands: two little-endian numbers of 32 bits, nanoseconds // `radix` and % `radix`."""
    radix: ClassVar[int]
    data_at: ClassVar[int]
    """Where in a record the packet begins."""

    def write(
        self,
        time: int,
        data: bytes,
        *,
        wirelen: int | None = None,
        comments: Iterable[str] = (),
        interface: int = 0,
        outbound: bool | None = None,
    ) -> None:
        """Append a packet that was seen at `time`, nanoseconds since the epoch.

        `wirelen` is its length on the wire (as long as `data` where None), `interface` what `add_interface`
        returned, `outbound` whether that interface sent it (None: not known).
        """
        self._sink.write(
            self.record(time, data, wirelen=wirelen, comments=comments, interface=interface, outbound=outbound)
        )

    @abstractmethod
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
        """The octets that `write` appends. CaptureError where the format cannot hold them."""

    def append(self, records: bytes | bytearray) -> None:
        """Append records that `record` has made; with nanoseconds, others may have replaced their times (`time_at`)."""
        self._sink.write(records)

    @abstractmethod
    def add_interface(
        self, link: int, *, snaplen: int | None = None, name: str = "", description: str = "", fcs: int = 0
    ) -> int:
        """Declare one more interface, and return its index; the first one, 0, is made by `create`.

        `snaplen` is the one of the capture where None; `fcs` the octets of a frame check sequence after each packet.
        """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def close(self) -> None:
        """Finish the capture: now it is there under its name."""
        self._sink.commit()

    def abort(self) -> None:
        """Give the capture up: nothing is left of it."""
        self._sink.discard()

    def _check(self, data: bytes, wirelen: int) -> None:
        if len(data) > MAX_PACKET_OCTETS:
            raise self._unfit(
                _("a packet of {have} octets is longer than {limit}, the most that other programs read").format(
                    have=len(data), limit=MAX_PACKET_OCTETS
                )
            )
        if not len(data) <= wirelen <= 0xFFFF_FFFF:
            raise self._unfit(
                _("a packet of {have} octets cannot have had {wirelen} on the wire").format(
                    have=len(data), wirelen=wirelen
                )
            )

    def _unfit(self, message: str) -> CaptureError:
        return CaptureError(f"{self._sink.name}: {message}")


@dataclass(frozen=True, slots=True)
class Format:
    """A capture format. A module of this package that has one as `FORMAT` is found by its being there."""

    name: str
    suffixes: tuple[str, ...]
    """Of file names that are written in this format, in lower case, with the dot."""
    matches: Callable[[bytes], bool]
    """Whether a file that begins with these octets (16, or as many as there are) is in this format."""
    reader: Callable[[Source], Reader]
    """CaptureError where the head of the file cannot be read."""
    writer: Callable[[Sink, Description], Writer]
