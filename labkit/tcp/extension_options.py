"""Options of TCP's extensions as values: MD5 signatures, TCP-AO, AccECN and Multipath TCP.

Each has `words`, its text in the notation, and the field names of its RFC. `read` reads octets, `parse` text.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from labkit.i18n import _
from labkit.tcp import multipath
from labkit.tcp.multipath import Multipath

KIND_MD5, KIND_AO, KIND_ACCECN_0, KIND_ACCECN_1 = 19, 29, 172, 174


@dataclass(frozen=True, slots=True)
class Md5:
    """The MD5 signature of a segment: a digest of 16 octets (RFC 2385 section 3.0). ValueError for another size."""

    digest: bytes
    kind: ClassVar[int] = KIND_MD5
    width: ClassVar[int] = 18

    def __post_init__(self) -> None:
        if len(self.digest) != 16:
            raise ValueError(_("a digest of {n} octets; expected 16").format(n=len(self.digest)))

    def pack(self) -> bytes:
        """The option's octets."""
        return bytes((KIND_MD5, 18)) + self.digest

    def words(self) -> str:
        """The option as text: `md5 00112233445566778899aabbccddeeff`."""
        return f"md5 {self.digest.hex()}"


@dataclass(frozen=True, slots=True)
class Authentication:
    """TCP-AO: the key in use, the key that the sender wants to receive next, and the MAC (RFC 5925 section 2.2)."""

    key_id: int
    next_key_id: int
    mac: bytes
    kind: ClassVar[int] = KIND_AO

    @property
    def width(self) -> int:
        """The octets that it takes."""
        return 4 + len(self.mac)

    def pack(self) -> bytes:
        """The option's octets."""
        return bytes((KIND_AO, 4 + len(self.mac), self.key_id, self.next_key_id)) + self.mac

    def words(self) -> str:
        """The option as text: `ao keyid 1 rnextkeyid 1 mac 001122334455667788990011`."""
        return f"ao keyid {self.key_id} rnextkeyid {self.next_key_id} mac {self.mac.hex()}".rstrip()


@dataclass(frozen=True, slots=True)
class AccEcn:
    """AccECN's counters of octets, 24 bits each (RFC 9768 section 3.2.3): those that arrived with ECT(0) (`e0b`), CE (`ceb`) and
    ECT(1) (`e1b`). Kind 172 starts with e0b, kind 174 with e1b; the last ones may be left out."""

    kind: int
    counters: tuple[int, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the counters, in their order."""
        return ("e0b", "ceb", "e1b") if self.kind == KIND_ACCECN_0 else ("e1b", "ceb", "e0b")

    @property
    def width(self) -> int:
        """The octets that it takes."""
        return 2 + 3 * len(self.counters)

    def pack(self) -> bytes:
        """The option's octets."""
        return bytes((self.kind, self.width)) + b"".join(counter.to_bytes(3) for counter in self.counters)

    def words(self) -> str:
        """The option as text: `accecn1 e1b 1 ceb 0 e0b 1`."""
        shown = (f" {name} {counter}" for name, counter in zip(self.names, self.counters, strict=False))
        return f"accecn{int(self.kind == KIND_ACCECN_1)}{''.join(shown)}"


Extension = Md5 | Authentication | AccEcn | Multipath


def read(octets: bytes) -> Extension | None:
    """The option with these octets, whose length octet is sound; None for another kind, and for a length that it cannot have."""
    kind, data = octets[0], octets[2:]
    match kind, len(data):
        case 19, 16:
            return Md5(data)
        case 29, size if size >= 2:
            return Authentication(data[0], data[1], data[2:])
        case 30, _:
            return multipath.read(octets)
        case ((172 | 174), (0 | 3 | 6 | 9) as size):
            return AccEcn(kind, tuple(int.from_bytes(data[i : i + 3]) for i in range(0, size, 3)))
    return None


def _md5(words: list[str]) -> Md5:
    [digest] = words
    return Md5(bytes.fromhex(digest))


def _authentication(words: list[str]) -> Authentication:
    match words:
        case ["keyid", key, "rnextkeyid", following, "mac", *mac] if len(mac) <= 1:
            octets = bytes.fromhex("".join(mac))
            return Authentication(_number(key, 0xFF), _number(following, 0xFF), octets)
    raise ValueError(_("expected ao keyid NUMBER rnextkeyid NUMBER mac OCTETS"))


def _accecn(kind: int, words: list[str]) -> AccEcn:
    option = AccEcn(kind, tuple(_number(word, 0xFFFFFF) for word in words[1::2]))
    if words[::2] != list(option.names[: len(option.counters)]):
        raise ValueError(_("expected the counters {known}, or the first of them").format(known=" ".join(option.names)))
    return option


def _number(text: str, limit: int) -> int:
    number = int(text)
    if not 0 <= number <= limit:
        raise ValueError(_("{text!r} is not a number of 0..{limit}").format(text=text[:20], limit=limit))
    return number


_PARSERS: dict[str, Callable[[list[str]], Extension]] = {
    "md5": _md5,
    "ao": _authentication,
    "accecn0": lambda words: _accecn(KIND_ACCECN_0, words),
    "accecn1": lambda words: _accecn(KIND_ACCECN_1, words),
}


def parse(words: list[str]) -> Extension | None:
    """The option with this text; None for one of another name. ValueError for fields that it does not have."""
    name, *rest = words
    if name in multipath.NUMBERS:
        return multipath.parse(words)
    return _PARSERS[name](rest) if name in _PARSERS else None
