"""TCP options as values: the kinds that labkit knows, each with the octets it stands for.

`pack` turns options into header octets, padded to a multiple of four. `unpack` reads any octets and never fails: octets that
do not parse become a `Raw`, so that `pack` gives the same header again. Kinds and lengths: RFC 9293 section 3.2 and the
registry that it names.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from labkit.i18n import _
from labkit.tcp.extension_options import Extension, read

KIND_END, KIND_NOP, KIND_MSS, KIND_WSCALE, KIND_SACK_OK, KIND_SACK, KIND_TS, KIND_TFO = 0, 1, 2, 3, 4, 5, 8, 34


class _Option:
    """A kind of options: its number, the octets of its fields in their order, and its `width` in octets altogether."""

    __slots__ = ()
    kind: ClassVar[int]
    sizes: ClassVar[tuple[int, ...]] = ()
    width: ClassVar[int]
    __match_args__: ClassVar[tuple[str, ...]] = ()

    def pack(self) -> bytes:
        """The option's octets."""
        head = bytes((self.kind, self.width))[: self.width]
        if not self.sizes:
            return head
        values: list[int] = [getattr(self, name) for name in self.__match_args__]
        return head + b"".join(value.to_bytes(size) for value, size in zip(values, self.sizes, strict=True))


@dataclass(frozen=True, slots=True)
class End(_Option):
    """End of the option list (RFC 9293 section 3.2)."""

    kind = KIND_END
    width = 1


@dataclass(frozen=True, slots=True)
class Nop(_Option):
    """No-operation: aligns what follows (RFC 9293 section 3.2)."""

    kind = KIND_NOP
    width = 1


@dataclass(frozen=True, slots=True)
class Mss(_Option):
    """Maximum segment size, in octets of payload (RFC 9293 section 3.7.1)."""

    size: int
    kind = KIND_MSS
    sizes = (2,)
    width = 4


@dataclass(frozen=True, slots=True)
class WindowScale(_Option):
    """Window scale: receivers shift the sender's windows left by `shift` (RFC 7323 section 2.2)."""

    shift: int
    kind = KIND_WSCALE
    sizes = (1,)
    width = 3


@dataclass(frozen=True, slots=True)
class SackPermitted(_Option):
    """The sender can use selective acknowledgements (RFC 2018 section 2)."""

    kind = KIND_SACK_OK
    width = 2


@dataclass(frozen=True, slots=True)
class Timestamps(_Option):
    """The sender's clock, and the peer's last one that it echoes (RFC 7323 section 3.2)."""

    value: int
    echo: int
    kind = KIND_TS
    sizes = (4, 4)
    width = 10


@dataclass(frozen=True, slots=True)
class Sack:
    """Selective acknowledgement: blocks [left edge, right edge) (RFC 2018 section 3)."""

    blocks: tuple[tuple[int, int], ...]
    kind: ClassVar[int] = KIND_SACK

    @property
    def width(self) -> int:
        """The octets that it takes."""
        return 2 + 8 * len(self.blocks)

    def pack(self) -> bytes:
        """The option's octets."""
        edges = b"".join(left.to_bytes(4) + right.to_bytes(4) for left, right in self.blocks)
        return bytes((KIND_SACK, 2 + len(edges))) + edges


@dataclass(frozen=True, slots=True)
class FastOpen:
    """A Fast Open cookie; an empty one asks for a cookie (RFC 7413 section 4.1.1)."""

    cookie: bytes = b""
    kind: ClassVar[int] = KIND_TFO

    @property
    def width(self) -> int:
        """The octets that it takes."""
        return 2 + len(self.cookie)

    def pack(self) -> bytes:
        """The option's octets."""
        return bytes((KIND_TFO, 2 + len(self.cookie))) + self.cookie


@dataclass(frozen=True, slots=True)
class Raw:
    """Octets as they are: an option of another kind, or one that does not parse."""

    octets: bytes

    @property
    def kind(self) -> int:
        """The option's kind octet; 0 without octets."""
        return self.octets[0] if self.octets else KIND_END

    @property
    def width(self) -> int:
        """The octets that it takes."""
        return len(self.octets)

    def pack(self) -> bytes:
        """The option's octets."""
        return self.octets


Option = End | Nop | Mss | WindowScale | SackPermitted | Sack | Timestamps | FastOpen | Extension | Raw


ROOM = 40
"""Octets of options for which a header has room (RFC 9293 section 3.1)."""


def pack(options: Iterable[Option]) -> bytes:
    """The options' octets, padded with zeros (end of list) to a multiple of four; ValueError beyond 40 octets."""
    octets = b"".join(option.pack() for option in options)
    octets += bytes(-len(octets) % 4)
    if len(octets) > ROOM:
        raise ValueError(
            _("TCP options take {n} octets; a header has room for {room}").format(n=len(octets), room=ROOM)
        )
    return octets


def length(options: Iterable[Option]) -> int:
    """The octets that `pack` makes of the options."""
    octets = 0
    for option in options:
        octets += option.width
    return octets + -octets % 4


def unpack(octets: bytes) -> tuple[Option, ...]:
    """The options in `octets`, without zero padding after the last one: `pack` writes it again."""
    found: list[Option] = []
    at = 0
    while at < len(octets):
        kind = octets[at]
        if kind == KIND_END:
            rest = octets[at:]
            # Keep padding that `pack` would not write the same way.
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
    """One option with a sound length octet; `Raw` if the kind is unknown or the length wrong for it."""
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
    return read(octets) or Raw(octets)
