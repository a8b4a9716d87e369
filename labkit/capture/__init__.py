"""Capture files, read and written as streams: pcap and pcapng, plain or (on reading) compressed with gzip.

    with open_capture("a.pcapng") as capture:
        for frame in capture:
            print(frame.number, len(frame.data))
    if capture.damage:
        print(capture.damage.message)

    with create("b.pcapng", link=1, comment="a handshake", names={"192.0.2.1": "client"}) as capture:
        capture.write(0, frame_octets, comments=["the SYN"])

To add a format, write one module of this package with a `FORMAT`; `formats` finds it.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import import_module
from io import TextIOBase
from os import PathLike
from typing import TYPE_CHECKING, BinaryIO

from labkit.capture.base import (
    MAX_PACKET_OCTETS,
    Damage,
    Description,
    Format,
    Frame,
    Interface,
    Reader,
    Writer,
    lacking,
)
from labkit.capture.memory import Frames, FramesReader, frames_of
from labkit.capture.source import Source
from labkit.errors import CaptureError, UsageError
from labkit.i18n import _, printable
from labkit.modules import modules_in

if TYPE_CHECKING:
    from pathlib import Path

    from labkit.capture.budget import Meter

__all__ = [
    "Damage",
    "Format",
    "Frame",
    "Frames",
    "Interface",
    "Reader",
    "Writer",
    "create",
    "formats",
    "frames_of",
    "is_capture",
    "lacking",
    "open_again",
    "open_capture",
]

HEAD_OCTETS = 16
"""Octets at the start of a file that identify its format."""

COMPRESSIONS = {
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bzip2",
    b"\x04\x22\x4d\x18": "lz4",
    b"PK\x03\x04": "zip",
}
"""Magic numbers of compressions that another program must undo first."""


@cache
def formats() -> tuple[Format, ...]:
    """Every format, in the order of their names."""
    return tuple(sorted(_formats(), key=lambda format_: format_.name))


def _formats() -> Iterator[Format]:
    """Every format, each of which is loaded when its turn comes."""
    for name in modules_in(__path__):
        found: Format | None = getattr(import_module(f"{__name__}.{name}"), "FORMAT", None)
        if found is not None:
            yield found


def open_capture(source: "str | Path | BinaryIO | Frames", meter: "Meter | None" = None) -> Reader:
    """Open a capture in any format; "-" is standard input. A file object is read and never closed.

    The reader never seeks, so a pipe works too. A `meter` ends the capture where a bound is reached. CaptureError, in one
    line, if the source is missing, unreadable or not a capture; UsageError for a file that is open as text.
    """
    if isinstance(source, Frames):
        return FramesReader(source)
    if isinstance(source, TextIOBase):
        raise UsageError(_("the file is open as text; expected a binary file, as from open(name, 'rb')"))
    if not isinstance(source, str | PathLike) and not hasattr(source, "read"):
        raise UsageError(_no_file(source))
    octets = Source(source, meter)
    try:
        return _recognize(octets)(octets)
    except BaseException:
        octets.close()
        raise


def open_again(capture: Reader) -> Reader | None:
    """Open a capture a second time, from its start; None for a long stream, which is gone. CaptureError as `open_capture`."""
    source, meter = capture.again(), capture.meter
    if source is None:
        return None
    if meter is not None:
        meter.rewind()
    return open_capture(source, meter)


def is_capture(path: "str | Path") -> bool:
    """Whether a file begins as a capture does, compressed or not. CaptureError if it cannot be read."""
    octets = Source(path)
    try:
        head = octets.peek(HEAD_OCTETS)
    finally:
        octets.close()
    return any(format_.matches(head) for format_ in formats())


def create(
    target: "str | Path | BinaryIO",
    *,
    link: int,
    format: str | None = None,  # noqa: A002 - the word of the field
    comment: str | None = None,
    names: Mapping[str, str] | None = None,
    nanoseconds: bool = True,
    snaplen: int = MAX_PACKET_OCTETS,
    interface_name: str = "",
    interface_description: str = "",
    fcs: int = 0,
    hardware: str = "",
    system: str = "",
    application: str = "",
) -> Writer:
    """Create a capture; "-" is standard output.

    `link` is the LINKTYPE of interface 0, and `fcs` the octets of the frame check sequence that ends its packets. `comment`
    is a comment on the capture itself; `names` maps addresses to names. A format leaves out what it has no room for
    (`Writer.annotates`). The file holds nothing of this machine and no time of its own. `format` names the format; without
    it the target's suffix decides, and a stream becomes a pcapng. UsageError for an unknown format, CaptureError if the
    target cannot be written.
    """
    if not isinstance(target, str | PathLike) and not hasattr(target, "write"):
        raise UsageError(_no_file(target))
    if not isinstance(link, int) or not 0 <= link <= 0xFFFF:
        raise UsageError(_("{name} {value} is outside 0..{limit}").format(name="link", value=link, limit=0xFFFF))
    chosen = _choose(target, format)
    description = Description(
        Interface(link, snaplen, interface_name, interface_description, fcs),
        comment or "",
        dict(names or {}),
        nanoseconds,
        hardware,
        system,
        application,
    )
    from labkit.capture.sink import Sink

    sink = Sink(target)
    try:
        return chosen.writer(sink, description)
    except BaseException:
        sink.discard()
        raise


def _no_file(value: object) -> str:
    text = _("a value of type {kind} is not a capture; expected a path or an open binary file")
    return text.format(kind=type(value).__name__)


def _recognize(octets: Source) -> Callable[[Source], Reader]:
    head = octets.peek(HEAD_OCTETS)
    for format_ in _formats():
        if format_.matches(head):
            return format_.reader
    raise CaptureError(f"{octets.name}{_(': ')}{_why_not_a_capture(head, octets)}")


def _choose(target: "str | Path | BinaryIO", name: str | None) -> Format:
    from pathlib import Path

    path = None if target == "-" or not isinstance(target, str | PathLike) else Path(target)
    if path is None or name is not None:
        name = name or "pcapng"
        known = {format_.name: format_ for format_ in formats()}
        if name not in known:
            raise UsageError(
                _("unknown capture format {name}; labkit knows {known}").format(
                    name=printable(name), known=", ".join(known)
                )
            )
        return known[name]
    suffixes = {suffix: format_ for format_ in formats() for suffix in format_.suffixes}
    if path.suffix.lower() not in suffixes:
        raise UsageError(
            _("{name}: the suffix names no capture format; use one of {known}").format(
                name=printable(str(path)), known=", ".join(suffixes)
            )
        )
    return suffixes[path.suffix.lower()]


def _why_not_a_capture(head: bytes, octets: Source) -> str:
    if not head:
        if octets.meter is not None and octets.meter.spent is not None:
            return octets.meter.spent.message
        if octets.trouble:
            return _("not a capture: {trouble}").format(trouble=octets.trouble)
        return _("not a capture: the file is empty")
    for magic, name in COMPRESSIONS.items():
        if head.startswith(magic):
            return _("not a capture but {name} data: uncompress it first").format(name=name)
    # The head may cut its last character, and no other.
    text = head.decode("utf-8", "ignore")
    if len(head) - len(text.encode()) < 4 and all(char.isprintable() or char in "\t\r\n\f" for char in text):
        shown = f'"{printable(text)}{"…" if len(head) == HEAD_OCTETS else ""}"'
    else:
        shown = _("the bytes {octets}").format(octets=head.hex(" "))
    if octets.compressed:
        return _("not a capture: uncompressed it begins with {shown}").format(shown=shown)
    return _("not a capture: it begins with {shown}").format(shown=shown)
