"""Functions of the interpreter in a form that compiled code runs faster, over octets at an address.

They are written as the others are, and translated like them. `behind`, `fetch`, `half` and `copy` are single operations of
`labkit.analysis.native.assembly`; here stands what they mean.
"""

import sys
from collections.abc import MutableSequence, Sequence
from typing import Any

from labkit.analysis.payload import RING_OCTETS

_FIRST, _SECOND = (1, 256) if sys.byteorder == "little" else (256, 1)
"""The weights of the two octets of a word in the processor's byte order."""


def fetch(array: object, index: int) -> None:
    """Ask the processor to bring an element from memory."""


def behind(octets: Any, at: int) -> bytes:
    """The octets from a position on. Compiled: their address."""
    return bytes(octets[at:])


def half(octets: Any, at: int) -> int:
    """Four octets as an unsigned integer, in the processor's byte order."""
    return int.from_bytes(octets[at : at + 4], sys.byteorder)


def copy(to: MutableSequence[int], place: int, source: Sequence[int], at: int, size: int) -> None:
    """Copy octets to memory that does not overlap."""
    to[place : place + size] = source[at : at + size]


def ones_sum(buf: bytes, start: int, end: int) -> int:
    """`labkit.packet.decode.layer.ones_sum`.

    Words of any even number of octets may be added: 2**16 is 1 modulo 65535. A sum in the other byte order has its octets
    swapped at the end (RFC 1071 section 2).
    """
    total = 0
    while start + 8 <= end:
        total += half(buf, start) + half(buf, start + 4)
        start += 8
    if start + 4 <= end:
        total += half(buf, start)
        start += 4
    if start + 2 <= end:
        total += buf[start] * _FIRST + buf[start + 1] * _SECOND
        start += 2
    if start < end:  # a last octet is the first one of its word
        total += buf[start] * _FIRST
    for _i in range(4):
        total = (total & 0xFFFF) + (total >> 16)  # faster than a division
    if _FIRST < _SECOND:
        total = (total & 0xFF) * _SECOND + (total >> 8)
    return total if total < 65535 else 0


def copy_octets(buf: bytes, at: int, size: int, ring: MutableSequence[int], to: int) -> None:
    """`labkit.analysis.payload.copy_octets`."""
    room = min(size, RING_OCTETS - to)
    copy(ring, to, buf, at, room)
    if room < size:
        copy(ring, 0, buf, at + room, size - room)


def first_difference(buf: bytes, at: int, ring: bytes, place: int, size: int) -> int:
    """`labkit.analysis.payload.first_difference`."""
    for i in range(size):
        if buf[at + i] != ring[(place + i) & (RING_OCTETS - 1)]:
            return i
    return size
