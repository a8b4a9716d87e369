"""Capture files, read and written as streams: pcap and pcapng, plain or (on reading) compressed with gzip.

    with open_capture("a.pcapng") as capture:
        for frame in capture:
            ...
    if capture.damage:
        ...

    with create("b.pcapng", link=1, comment="a handshake", names={"192.0.2.1": "client"}) as capture:
        capture.write(0, frame_octets, comments=["the SYN"])

A format is one module of this package with a `FORMAT`; `formats` finds it.
"""

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from os import PathLike
from pathlib import Path
from pkgutil import iter_modules
from typing import BinaryIO

from labkit.capture.base import MAX_PACKET_OCTETS, Damage, Description, Format, Frame, Interface, Reader, Writer
from labkit.capture.sink import Sink
from labkit.capture.source import Source
from labkit.errors import CaptureError, UsageError
from labkit.i18n import _, printable

__all__ = [
    "Damage",
    "Format",
    "Frame",
    "Interface",
    "Reader",
    "Writer",
    "create",
    "formats",
    "is_capture",
    "open_capture",
]

HEAD_OCTETS = 16
"""Octets by which a format is known."""

COMPRESSIONS = {
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bzip2",
    b"\x04\x22\x4d\x18": "lz4",
    b"PK\x03\x04": "zip",
}
"""How files begin that hold a capture only after another program has uncompressed them."""


@cache
def formats() -> tuple[Format, ...]:
    """Every format there is, by name."""
    modules = (import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__))
    found = (module.FORMAT for module in modules if hasattr(module, "FORMAT"))
    return tuple(sorted(found, key=lambda format_: format_.name))


def open_capture(source: str | Path | BinaryIO) -> Reader:
    """A reader for a capture in any format; "-" is standard input. What is not a path is read, never closed.

    Nothing is sought: a pipe does. CaptureError, one line, for what is missing, unreadable or no capture.
    """
    octets = Source(source)
    try:
        return _recognize(octets)(octets)
    except BaseException:
        octets.close()
        raise


def is_capture(path: str | Path) -> bool:
    """Whether a file begins as a capture does, compressed or not. CaptureError where that cannot be seen."""
    octets = Source(path)
    try:
        head = octets.peek(HEAD_OCTETS)
    finally:
        octets.close()
    return any(format_.matches(head) for format_ in formats())


def create(
    target: str | Path | BinaryIO,
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
    """A writer for a new capture; "-" is standard output.

    `link` is the LINKTYPE of interface 0, and `fcs` how many octets of a frame check sequence end its packets.
    `comment` stands on the capture itself, `names` maps addresses to names. What a format has no room for is left out
    (`Writer.annotates`). Nothing of this machine, and no time, goes into the file. The format is the one named, or that
    of the target's suffix, or pcapng for a stream: UsageError where there is none. CaptureError where the target cannot
    be written.
    """
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
    sink = Sink(target)
    try:
        return chosen.writer(sink, description)
    except BaseException:
        sink.discard()
        raise


def _recognize(octets: Source) -> Callable[[Source], Reader]:
    """What reads a capture that begins so."""
    head = octets.peek(HEAD_OCTETS)
    for format_ in formats():
        if format_.matches(head):
            return format_.reader
    raise CaptureError(f"{octets.name}: {_stranger(head, octets)}")


def _choose(target: str | Path | BinaryIO, name: str | None) -> Format:
    """The format to write."""
    path = None if target == "-" or not isinstance(target, str | PathLike) else Path(target)
    if path is None or name is not None:
        name = name or "pcapng"
        known = {format_.name: format_ for format_ in formats()}
        if name not in known:
            raise UsageError(
                _("{name} is not a capture format; there are {known}").format(
                    name=printable(name), known=", ".join(known)
                )
            )
        return known[name]
    suffixes = {suffix: format_ for format_ in formats() for suffix in format_.suffixes}
    if path.suffix.lower() not in suffixes:
        raise UsageError(
            _("{name}: the suffix does not say which format to write; it may be {known}").format(
                name=printable(str(path)), known=", ".join(suffixes)
            )
        )
    return suffixes[path.suffix.lower()]


def _stranger(head: bytes, octets: Source) -> str:
    """Why a file that begins so is not a capture."""
    if not head:
        if octets.trouble:
            return _("not a capture: {trouble}").format(trouble=octets.trouble)
        return _("is empty, not a capture")
    for magic, name in COMPRESSIONS.items():
        if head.startswith(magic):
            return _("not a capture but {name} data: uncompress it first").format(name=name)
    # A character may be cut at the end of the head, and only there.
    text = head.decode("utf-8", "ignore")
    if len(head) - len(text.encode()) < 4 and all(char.isprintable() or char in "\t\r\n\f" for char in text):
        shown = f'"{printable(text)}{"…" if len(head) == HEAD_OCTETS else ""}"'
    else:
        shown = _("the octets {octets}").format(octets=head.hex(" "))
    if octets.compressed:
        return _("not a capture: uncompressed it begins with {shown}").format(shown=shown)
    return _("not a capture: it begins with {shown}").format(shown=shown)
