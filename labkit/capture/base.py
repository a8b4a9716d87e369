"""What every capture format has in common: frames, damage, and the classes that readers and writers extend.

A reader streams: it holds one buffer, never the whole file, and never allocates the size that a file merely claims. A
damaged capture raises no exception: the reader delivers the frames before the damage, and `Reader.damage` describes it.
Times are integer nanoseconds since 1970-01-01 UTC, lengths are octets.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, ClassVar, NamedTuple, Self

from labkit.capture.source import Source
from labkit.errors import CaptureError, LabkitError, UsageError
from labkit.i18n import _

if TYPE_CHECKING:
    from pathlib import Path

    from labkit.capture.budget import Meter
    from labkit.capture.memory import Frames
    from labkit.capture.sink import Sink

MAX_PACKET_OCTETS = 262_144
"""Octets of the longest packet that Wireshark and tcpdump accept, and that labkit writes."""

MAX_RECORD_OCTETS = 1 << 24
"""Octets of the longest record that labkit reads: a hostile capture can make it hold a small multiple of that."""


class Frame(NamedTuple):
    """One packet of a capture."""

    number: int
    """As Wireshark counts: 1 is the first packet of the file, all its interfaces together."""
    time: int
    """Nanoseconds since the epoch; 0 if the capture gives the packet no time."""
    link: int
    """The LINKTYPE of its interface."""
    data: bytes
    """The octets that were captured."""
    wirelen: int
    """Octets of the packet on the wire, as the file claims: it may claim fewer than `data` holds."""
    comments: tuple[str, ...] = ()
    interface: int = 0
    """The index in `Reader.interfaces`."""


class Damage(NamedTuple):
    """Why a capture could not be read to its end, and where."""

    message: str
    at: int | None
    """Where the unreadable record begins, in octets from the start of the (uncompressed) file; None if the file itself is
    sound."""
    cut: bool
    """True if the file ends too early, False if its contents make no sense, or labkit did not read on."""
    kind: str = "damaged"
    """The kind of the limit that tells of it (`labkit.analysis.limits`)."""


def lacking(message: str, damage: Damage | None) -> LabkitError:
    """The error where a capture does not have what a caller looks for, which may stand in what could not be read."""
    if damage is None:
        return UsageError(message)
    return (UsageError if damage.cut else CaptureError)(f"{message}{_('; ')}{damage.message}")


class Interface(NamedTuple):
    """An interface that frames were captured on. A pcap file has exactly one."""

    link: int
    snaplen: int = 0
    """Octets kept of each packet; 0 means no limit."""
    name: str = ""
    description: str = ""
    fcs: int = 0
    """Octets of the frame check sequence that ends each packet."""


class Description(NamedTuple):
    """What a new capture says about itself. A format leaves out what it has no room for."""

    interface: Interface
    comment: str
    names: Mapping[str, str]
    """Address to name."""
    nanoseconds: bool
    """Whether times are written in nanoseconds; otherwise they are rounded down to microseconds."""
    hardware: str
    system: str
    application: str


class Reader(ABC):
    """Iterates over the frames of a capture, once and in the file's order; also a context manager.

    Iteration ends at the first record that it cannot read, and then sets `damage`. `names` (address to name), `comments`
    (on the capture itself) and `interfaces` grow during iteration and are complete after the last frame. Iteration raises
    CaptureError only if the system fails to read.
    """

    format: ClassVar[str]

    def __init__(self, source: Source) -> None:
        self.damage: Damage | None = None
        self.names: dict[str, str] = {}
        self.comments: list[str] = []
        self.interfaces: list[Interface] = []
        self.skipped: set[str] = set()
        """What the file holds besides, and a copy of it lacks: `custom blocks`, `decryption secrets`, `other blocks`."""
        self._source = source
        self._iterator = self._bounded(self._frames())

    @property
    def name(self) -> str:
        """The capture's name in messages."""
        return self._source.name

    @property
    def meter(self) -> "Meter | None":
        """What bounds the reading."""
        return self._source.meter

    @property
    def compressed(self) -> bool:
        """Whether the file is compressed."""
        return self._source.compressed

    @property
    def size(self) -> int | None:
        """Octets of a regular, uncompressed file; None for any other."""
        return self._source.size

    def again(self) -> "str | Path | BinaryIO | Frames | None":
        """What `open_capture` takes to read the same capture from its start; None for a long stream, which is gone."""
        return self._source.again()

    @property
    def share(self) -> float | None:
        """The share of the file that has been read, from 0 to 1; None if its length is unknown."""
        return self._source.share

    @property
    def waits(self) -> bool:
        """Whether a read may block for long: on a pipe or a terminal."""
        return self._source.waits

    @abstractmethod
    def _frames(self) -> Iterator[Frame]:
        """The frames. The implementation ends with a call of `_end` or `_invalid`."""

    def __iter__(self) -> Iterator[Frame]:
        # Always the same iterator: a second loop continues where the first one stopped.
        return self._iterator

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, if the reader opened it. A reader that has reached its end is closed already."""
        self._source.close()

    @abstractmethod
    def rest(self) -> tuple[bytes, int]:
        """The octets that were read beyond the last frame, and where they begin in the file.

        With `into` and `resume` a caller reads plain records by itself, and leaves all others to the reader.
        """

    @abstractmethod
    def resume(self, octets: bytes, at: int, number: int) -> None:
        """Continue the iteration at the record that begins at `at` in the file; the next packet is number `number`.

        `octets` is what the caller has read of the file from there on.
        """

    def into(self, buffer: memoryview) -> int:
        """Read on in the file, beyond what `rest` holds, into a buffer; the number of octets, 0 at the end."""
        return self._source.into(buffer)

    def _bounded(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """The frames up to a bound of the meter, which is a damage too."""
        if self.meter is None:
            return frames
        return self._metered(self.meter, frames)

    def _metered(self, meter: "Meter", frames: Iterator[Frame]) -> Iterator[Frame]:
        yield from meter.frames(frames)
        self.damage = self.damage or self.spent()
        self.close()

    def spent(self) -> "Damage | None":
        """The bound of the meter that was reached, as a damage: what comes later was not read."""
        if self.meter is None or self.meter.spent is None:
            return None
        kind, message = self.meter.spent
        return Damage(message, None, cut=False, kind=kind)

    def _where(self, at: int) -> str:
        if self.compressed:
            return _("byte {at} of the uncompressed data").format(at=at)
        return _("byte {at}").format(at=at)

    def _unreadable(self, message: str) -> CaptureError:
        return CaptureError(f"{self.name}{_(': ')}{message}")

    def _end(self, at: int, have: int, packet: int, there: str) -> None:
        """The file ends after `have` octets of the record at `at`, which is packet number `packet` (0: not a packet).

        `there` says in words how much of the record is present. A sound capture ends with `have` 0.
        """
        if have and packet:
            message = _("the capture ends in the middle of packet {packet}, which begins at {where}: {there}")
        elif have:
            message = _("the capture ends in the middle of a block, which begins at {where}: {there}")
        else:
            message = _("the capture ends at {where}")
        message = message.format(packet=packet, where=self._where(at), there=there)
        trouble = self._source.trouble
        # Where a bound was reached, the file may go on: `spent` says why nothing else was read.
        if (have or trouble) and self.spent() is None:
            self.damage = Damage(f"{trouble}{_('; ')}{message}" if trouble else message, at, cut=True)
        self.close()

    def _invalid(self, at: int, reason: str, packet: int) -> None:
        """The record at `at`, which is packet number `packet` (0: not a packet), makes no sense."""
        what = _("packet {packet} at {where} cannot be read") if packet else _("the block at {where} cannot be read")
        self.damage = Damage(f"{what.format(packet=packet, where=self._where(at))}: {reason}", at, cut=False)
        self.close()


Packet = tuple[int, bytes, str, int]
"""A packet to write: its time, its octets, the comment on it (empty: none), and its interface."""


class Writer(ABC):
    """Writes packets to a new capture; a context manager.

    The complete file appears under its name when the writer is closed or its `with` block ends. After `abort`, or an
    exception in the block, no file appears, and an older one is unchanged. CaptureError if the format cannot hold a value,
    or the system cannot write; BrokenPipeError if nobody reads the pipe.
    """

    format: ClassVar[str]
    annotates: ClassVar[bool]
    """Whether the format holds comments, names and several interfaces; otherwise it leaves them out."""

    def __init__(self, sink: "Sink", description: Description) -> None:
        self._sink = sink
        self._description = description

    time_at: ClassVar[int]
    """The offset of a record's time: two little-endian 32-bit numbers, nanoseconds // `radix` and % `radix`."""
    radix: ClassVar[int]
    data_at: ClassVar[int]
    """The offset of a record's packet."""

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

        `wirelen` is its length on the wire (None: that of `data`), `interface` an index from `add_interface`, `outbound`
        whether that interface sent it (None: unknown).
        """
        self.append(self.record(time, data, wirelen=wirelen, comments=comments, interface=interface, outbound=outbound))

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
        """The octets that `write` appends. CaptureError if the format cannot hold them."""

    def records(self, packets: Sequence[Packet]) -> bytes:
        """The octets of several packets."""
        return b"".join(map(self._single, packets))

    def _single(self, packet: Packet) -> bytes:
        time, data, comment, interface = packet
        return self.record(time, data, comments=(comment,) if comment else (), interface=interface)

    def append(self, records: bytes | bytearray) -> None:
        """Append records made by `record`; the caller may have replaced their times (`time_at`)."""
        self._sink.write(records)

    @abstractmethod
    def add_interface(
        self, link: int, *, snaplen: int | None = None, name: str = "", description: str = "", fcs: int = 0
    ) -> int:
        """Declare one more interface, and return its index; `create` has declared the first one, 0.

        `snaplen` None is that of the capture; `fcs` the octets of the frame check sequence that ends each packet.
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
        """Finish the capture: it appears under its name."""
        self._sink.commit()

    def abort(self) -> None:
        """Discard the capture."""
        self._sink.discard()

    def _check(self, captured: int, wirelen: int) -> None:
        """CaptureError for lengths that a packet cannot have."""
        if captured > MAX_PACKET_OCTETS:
            raise self._unfit(
                _("a packet of {have} bytes exceeds {limit}, the longest that other programs read").format(
                    have=captured, limit=MAX_PACKET_OCTETS
                )
            )
        if not captured <= wirelen <= 0xFFFF_FFFF:
            raise self._unfit(
                _("a packet of {have} captured bytes cannot have had {wirelen} on the wire").format(
                    have=captured, wirelen=wirelen
                )
            )

    def _unfit(self, message: str) -> CaptureError:
        return CaptureError(f"{self._sink.name}{_(': ')}{message}")


class Format(NamedTuple):
    """A capture format. `formats` finds every module of this package that has one as `FORMAT`."""

    name: str
    suffixes: tuple[str, ...]
    """File-name suffixes of the format, in lower case, with the dot."""
    matches: Callable[[bytes], bool]
    """Whether a file that begins with these octets (16, or as many as there are) is in this format."""
    reader: Callable[[Source], Reader]
    """Raises CaptureError if the head of the file cannot be read."""
    writer: "Callable[[Sink, Description], Writer]"
