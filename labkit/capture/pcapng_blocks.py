"""The vocabulary of pcapng (draft-ietf-opsawg-pcapng): block types, options, and the fields of blocks."""

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from labkit.i18n import N_

SECTION, INTERFACE, OBSOLETE, SIMPLE, NAMES, STATISTICS, ENHANCED = 0x0A0D0D0A, 1, 2, 3, 4, 5, 6
"""Block types."""

PACKETS = (ENHANCED, SIMPLE, OBSOLETE)
SECTION_MAGIC = SECTION.to_bytes(4, "big")
ORDERS = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}
"""The byte-order magic of a section, and what `struct` calls that order."""

SKIPPED = {
    0xA: N_("decryption secrets"),
    0xBAD: N_("custom blocks"),
    0x4000_0BAD: N_("custom blocks"),
}
"""Blocks that the reader skips, by their type."""

COMMENT = 1
"""The option that every block may have, more than once. The others belong to one kind of block each."""
HARDWARE, SYSTEM, APPLICATION = 2, 3, 4
NAME, DESCRIPTION, RESOLUTION, FCS, OFFSET = 2, 3, 9, 13, 14
FLAGS = 2
IPV4, IPV6 = 1, 2
"""Records of a name resolution block."""

MAX_TEXT_OCTETS = 65_535
"""Octets of a text, whose length field has 16 bits."""


class Layout(NamedTuple):
    """The fields of blocks, in one section's byte order."""

    order: str
    head: struct.Struct
    length: struct.Struct
    option: struct.Struct
    enhanced: struct.Struct
    """Interface, the time's high and low half, octets captured, octets on the wire."""
    obsolete: struct.Struct
    """The same fields with a shorter interface; labkit skips the drop count after it."""
    interface: struct.Struct
    offset: struct.Struct


def layout(order: str) -> Layout:
    """The fields of blocks in a byte order, "<" or ">"."""
    formats = ("II", "I", "HH", "IIIII", "HxxIIII", "HxxI", "q")
    return Layout(order, *(struct.Struct(order + each) for each in formats))


def unpacked(layout_: Layout, buffer: bytes, at: int, end: int) -> Iterator[tuple[int, bytes]]:
    """The codes and values of the options in buffer[at:end], up to their end or the first that does not fit.

    The records of a name resolution block have the same form: type, length, value, padding; type 0 ends them.
    """
    unpack = layout_.option.unpack_from
    while at + 4 <= end:
        code, length = unpack(buffer, at)
        at += 4
        if code == 0 or at + length > end:
            return
        yield code, buffer[at : at + length]
        at += length + (-length & 3)


RECORD = struct.Struct("<7I")
"""A packet's block up to its octets: type, length, interface, time, captured length, length on the wire."""
OPTION = struct.Struct("<HH")
PADDING = (b"", bytes(3), bytes(2), bytes(1))
"""What follows octets, by the lowest two bits of their number."""


END = bytes(4)
"""What ends options."""


def option(code: int, value: bytes) -> bytes:
    """The octets of one option (or name record)."""
    return OPTION.pack(code, len(value)) + value + PADDING[len(value) & 3]


def packed(options: Iterable[tuple[int, bytes]]) -> bytes:
    """The octets of options (or of name records) and their end mark; empty without options."""
    octets = b"".join(option(code, value) for code, value in options)
    return octets + END if octets else b""


def encoded(text: str, limit: int = MAX_TEXT_OCTETS) -> bytes:
    """The text as UTF-8, cut between two characters to at most `limit` octets."""
    octets = text.encode("utf-8", "replace")
    return octets if len(octets) <= limit else octets[:limit].decode("utf-8", "ignore").encode()


def decoded(value: bytes) -> str:
    """The text of an option, whatever its octets."""
    return value.decode("utf-8", "replace")
