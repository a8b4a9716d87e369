"""TCP options as values: the kinds that labkit knows, each with the octets it stands for.

`pack` turns a tuple of options into header octets, padded to a multiple of four; `unpack` reads octets that anyone may have
written and never fails: what does not parse comes back as `Raw`, octet for octet, so that packing it again gives the same
header. Kinds and lengths: RFC 9293 section 3.2 and the registry that it names.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

KIND_END, KIND_NOP, KIND_MSS, KIND_WSCALE, KIND_SACK_OK, KIND_SACK, KIND_TS, KIND_TFO = (
    0,
    1,
    2,
    3,
    4,
    5,
    8,
    34,
)


@dataclass(frozen=True, slots=True)
class End:
    """End of the option list (RFC 9293 section 3.2). Each kind has its number, and its `width` in octets."""

    kind: ClassVar[int] = KIND_END
    width: ClassVar[int] = 1

    def pack(self) -> bytes:
        """The option's octets."""
        return b"\x00"


@dataclass(frozen=True, slots=True)
class Nop:
    """No-operation: aligns what follows (RFC 9293 section 3.2)."""

    kind: ClassVar[int] = KIND_NOP
    width: ClassVar[int] = 1

    def pack(self) -> bytes:
        """The option's octets."""
        return b"\x01"


@dataclass(frozen=True, slots=True)
class Mss:
    """Maximum segment size, in octets of payload (RFC 9293 section 3.7.1)."""

    size: int
    kind: ClassVar[int] = KIND_MSS
    width: ClassVar[int] = 4

    def pack(self) -> bytes:
        """The option's octets."""
        return b"\x02\x04" + self.size.to_bytes(2)


@dataclass(frozen=True, slots=True)
class WindowScale:
    """Window scale: the sender's windows are to be shifted left by `shift` (RFC 7323 section 2.2)."""

    shift: int
    kind: ClassVar[int] = KIND_WSCALE
    width: ClassVar[int] = 3

    def pack(self) -> bytes:
        """The option's octets."""
        return b"\x03\x03" + self.shift.to_bytes(1)


@dataclass(frozen=True, slots=True)
class SackPermitted:
    """The sender can use selective acknowledgements (RFC 2018 section 2)."""

    kind: ClassVar[int] = KIND_SACK_OK
    width: ClassVar[int] = 2

    def pack(self) -> bytes:
        """The option's octets."""
        return b"\x04\x02"


@dataclass(frozen=True, slots=True)
class Sack:
    """Selective acknowledgement: blocks of (left edge, right edge), the right edge excluded (RFC 2018 section 3)."""

    blocks: tuple[tuple[int, int], ...]
    kind: ClassVar[int] = KIND_SACK

    @property
    def width(self) -> int:
        """How many octets it takes."""
        return 2 + 8 * len(self.blocks)

    def pack(self) -> bytes:
        """The option's octets."""
        edges = b"".join(left.to_bytes(4) + right.to_bytes(4) for left, right in self.blocks)
        return bytes((KIND_SACK, 2 + len(edges))) + edges


@dataclass(frozen=True, slots=True)
class Timestamps:
    """The sender's clock, and the last one of the peer that it echoes (RFC 7323 section 3.2)."""

    value: int
    echo: int
    kind: ClassVar[int] = KIND_TS
    width: ClassVar[int] = 10

    def pack(self) -> bytes:
        """The option's octets."""
        return b"\x08\x0a" + self.value.to_bytes(4) + self.echo.to_bytes(4)


@dataclass(frozen=True, slots=True)
class FastOpen:
    """A Fast Open cookie; an empty one asks for a cookie (RFC 7413 section 4.1.1)."""

    cookie: bytes = b""
    kind: ClassVar[int] = KIND_TFO

    @property
    def width(self) -> int:
        """How many octets it takes."""
        return 2 + len(self.cookie)

    def pack(self) -> bytes:
        """The option's octets."""
        return bytes((KIND_TFO, 2 + len(self.cookie))) + self.cookie


@dataclass(frozen=True, slots=True)
class Raw:
    """Octets kept as they are: an option of a kind not named above, or one that does not parse."""

    octets: bytes

    @property
    def kind(self) -> int:
        """The option's kind octet; 0 where there is none."""
        return self.octets[0] if self.octets else KIND_END

    @property
    def width(self) -> int:
        """How many octets it takes."""
        return len(self.octets)

    def pack(self) -> bytes:
        """The option's octets."""
        return self.octets


Option = End | Nop | Mss | WindowScale | SackPermitted | Sack | Timestamps | FastOpen | Raw


def pack(options: Iterable[Option]) -> bytes:
    """The options' octets, padded with zeros (end of list) to a multiple of four; ValueError beyond 40 octets."""
    octets = b"".join(option.pack() for option in options)
    octets += bytes(-len(octets) % 4)
    if len(octets) > 40:
        raise ValueError(f"TCP options take {len(octets)} octets; a header has room for 40")
    return octets


def length(options: Iterable[Option]) -> int:
    """How many octets `pack` makes of the options."""
    octets = 0
    for option in options:
        octets += option.width
    return octets + -octets % 4


def unpack(octets: bytes) -> tuple[Option, ...]:
    """The options that `octets` hold. Zero padding after the last one is left out: `pack` writes it again."""
    found: list[Option] = []
    at = 0
    while at < len(octets):
        kind = octets[at]
        if kind == KIND_END:
            rest = octets[at:]
            # Padding that `pack` would not write the same way is kept, so that nothing is lost.
            if any(rest) or len(rest) >= 4 or len(octets) % 4:
                found.append(Raw(rest))
            break
        if kind == KIND_NOP:
            found.append(Nop())
            at += 1
            continue
        length = octets[at + 1] if at + 1 < len(octets) else 0
        if length < 2 or at + length > len(octets):
            found.append(Raw(octets[at:]))
            break
        found.append(_one(kind, octets[at : at + length]))
        at += length
    return tuple(found)


def _one(kind: int, octets: bytes) -> Option:
    """One option with a sound length octet; `Raw` where its kind is unknown or the length is not that kind's."""
    data = octets[2:]
    match kind, len(data):
        case 2, 2:
            return Mss(int.from_bytes(data))
        case 3, 1:
            return WindowScale(data[0])
        case 4, 0:
            return SackPermitted()
        case 5, size if size and size % 8 == 0:
            edges = [int.from_bytes(data[i : i + 4]) for i in range(0, size, 4)]
            return Sack(tuple(zip(edges[::2], edges[1::2], strict=True)))
        case 8, 8:
            return Timestamps(int.from_bytes(data[:4]), int.from_bytes(data[4:]))
        case 34, _:
            return FastOpen(data)
    return Raw(octets)
