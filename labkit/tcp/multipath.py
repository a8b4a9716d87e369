"""Multipath TCP's option (kind 30) as a value: its subtypes and their fields (RFC 8684 section 3).

All subtypes share the first octets: kind, length, four bits of subtype and four bits of a field, and with most of them one
octet more. `SUBTYPES` declares the rest. An option that does not have the form of its subtype is no `Multipath`: its octets stay
as they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from labkit.i18n import _, listed

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

KIND_MPTCP = 30

SIZES = MappingProxyType(
    {
        "sender": 8, "receiver": 8, "length": 2, "checksum": 2, "token": 4, "nonce": 4, "hmac8": 8, "hmac20": 20,
        "ack4": 4, "ack8": 8, "dsn4": 4, "dsn8": 8, "ssn": 4, "ipv4": 4, "ipv6": 16, "port": 2, "hmac": 8, "key": 8,
    }
)  # fmt: skip
"""Octets of the fields behind the first three or four octets. `ack4` and `ack8` are a Data ACK of four or eight octets, `dsn4`
and `dsn8` the data sequence number of a mapping, `ssn` its first relative subflow sequence number, `length` its octets."""

DSS, FIN = 2, 0x10
DSS_FLAGS = MappingProxyType({"ack4": 1, "ack8": 3, "dsn4": 4, "dsn8": 12})
"""The flags of DSS that say which of its fields are there."""

HEXADECIMAL = frozenset({"flags", "sender", "receiver", "token", "nonce", "hmac", "hmac8", "hmac20", "key", "checksum"})


@dataclass(frozen=True, slots=True)
class Subtype:
    """The form of a subtype: the field in the four bits beside it, that in the fourth octet, and the lists of fields that may
    follow. An empty name is a field that is 0."""

    name: str
    bits: str
    octet: str | None
    forms: tuple[str, ...]


_MAPPINGS = tuple(f"{dsn} ssn length{checksum}" for dsn in ("dsn4", "dsn8") for checksum in ("", " checksum"))

SUBTYPES: Mapping[int, Subtype] = MappingProxyType(
    {
        0: Subtype(
            "mp_capable",
            "version",
            "flags",
            ("", "sender", "sender receiver", "sender receiver length", "sender receiver length checksum"),
        ),
        1: Subtype("mp_join", "flags", "id", ("token nonce", "hmac8 nonce", "hmac20")),
        2: Subtype(
            "dss",
            "",
            "flags",
            ("", "ack4", "ack8", *_MAPPINGS, *(f"{ack} {each}" for ack in ("ack4", "ack8") for each in _MAPPINGS)),
        ),
        3: Subtype(
            "add_addr",
            "flags",
            "id",
            tuple(f"{ip}{port}{hmac}" for ip in ("ipv4", "ipv6") for port in ("", " port") for hmac in ("", " hmac")),
        ),
        4: Subtype("remove_addr", "", None, ()),
        5: Subtype("mp_prio", "flags", None, ("",)),
        6: Subtype("mp_fail", "", "", ("dsn8",)),
        7: Subtype("mp_fastclose", "", "", ("key",)),
        8: Subtype("mp_tcprst", "flags", "reason", ("",)),
    }
)
"""RFC 8684 sections 3.1 to 3.7, by the numbers of section 8.2."""

NUMBERS = {subtype.name: number for number, subtype in SUBTYPES.items()}
REMOVE_ADDR = NUMBERS["remove_addr"]


@dataclass(frozen=True, slots=True)
class Multipath:
    """An option of Multipath TCP: its subtype, and its fields in their order on the wire.

    ValueError for fields that the subtype does not have, and for numbers that do not fit.
    """

    subtype: str
    fields: tuple[tuple[str, int], ...] = ()
    kind: ClassVar[int] = KIND_MPTCP

    def __post_init__(self) -> None:
        self.pack()

    @property
    def width(self) -> int:
        """The octets that it takes."""
        return len(self.pack())

    def pack(self) -> bytes:
        """The option's octets."""
        number = NUMBERS.get(self.subtype)
        if number is None:
            raise ValueError(
                _("{subtype!r} is not a subtype of MPTCP; expected one of {known}").format(
                    subtype=self.subtype, known=listed(NUMBERS)
                )
            )
        form, values = SUBTYPES[number], dict(self.fields)
        if len(values) != len(self.fields):
            raise ValueError(_("{subtype} has a field twice; expected each once").format(subtype=self.subtype))
        bits = values.pop(form.bits, 0) if form.bits else 0
        octet = values.pop(form.octet, 0) if form.octet else 0
        if number == REMOVE_ADDR:
            rest = _addresses(values)
        else:
            if " ".join(values) not in form.forms:
                expected = _(" or ").join(repr(each) for each in form.forms if each)
                text = (
                    _("{subtype} has the fields {known!r}; expected {expected}")
                    if expected
                    else _("{subtype} has the fields {known!r}; expected no other field")
                )
                raise ValueError(text.format(subtype=self.subtype, known=" ".join(values), expected=expected))
            if number == DSS:
                octet = _dss_flags(octet, values)
            rest = b"".join(_octets(name, value, SIZES[name]) for name, value in values.items())
        head = _octets(form.bits, number << 4 | bits, 1) if 0 <= bits < 16 else _octets(form.bits, -1, 1)
        if form.octet is not None:
            head += _octets(form.octet, octet, 1)
        return bytes((KIND_MPTCP, 2 + len(head) + len(rest))) + head + rest

    def words(self) -> str:
        """The option as text: `dss fin ack8 7 dsn8 1 ssn 1 length 99`."""
        shown = [self.subtype]
        for name, value in self.fields:
            if self.subtype == "dss" and name == "flags":
                shown.append("fin")
            elif name in ("ipv4", "ipv6"):
                shown += [name, str(_family(name)(value))]
            else:
                digits = 2 * SIZES.get(name, 1)
                shown += [name, f"0x{value:0{digits}x}" if name in HEXADECIMAL else str(value)]
        return " ".join(shown)


def read(octets: bytes) -> Multipath | None:
    """The option with these octets; None if they do not have the form of a subtype."""
    if len(octets) < 3 or octets[2] >> 4 not in SUBTYPES:
        return None
    number, bits = octets[2] >> 4, octets[2] & 15
    form = SUBTYPES[number]
    fields = [(form.bits, bits)] if form.bits and bits else []
    at = 3
    if form.octet is not None and len(octets) > 3:
        at = 4
        octet = octets[3] & FIN if number == DSS else octets[3]
        if form.octet and octet:
            fields.append((form.octet, octet))
    for shape in ("id " * (len(octets) - 3),) if number == REMOVE_ADDR else form.forms:
        names = _numbered(shape) if number == REMOVE_ADDR else shape.split()
        sizes = [SIZES.get(name, 1) for name in names]
        if at + sum(sizes) != len(octets):
            continue
        values, start = [], at
        for name, size in zip(names, sizes, strict=True):
            values.append((name, int.from_bytes(octets[start : start + size])))
            start += size
        try:
            made = Multipath(form.name, (*fields, *values))
        except ValueError:
            continue
        if made.pack() == octets:
            return made
    return None


def parse(words: list[str]) -> Multipath:
    """The option that `words` gave, as a list of words; ValueError for others."""
    name, *rest = words
    fields: list[tuple[str, int]] = []
    if name == "dss" and rest[:1] == ["fin"]:
        fields.append(("flags", FIN))
        rest = rest[1:]
    if len(rest) % 2:
        raise ValueError(_("{name} {rest} has no value").format(name=name, rest=rest[-1]))
    for field, text in zip(rest[::2], rest[1::2], strict=True):
        if field in ("ipv4", "ipv6"):
            fields.append((field, int(_family(field)(text))))
        else:
            fields.append((field, int(text, 16 if text.startswith("0x") else 10)))
    return Multipath(name, tuple(fields))


def _family(field: str) -> "type[IPv4Address | IPv6Address]":
    """The addresses that a field holds."""
    from ipaddress import IPv4Address, IPv6Address

    return IPv4Address if field == "ipv4" else IPv6Address


def _octets(name: str, value: int, size: int) -> bytes:
    if not 0 <= value < 1 << 8 * size:
        raise ValueError(_("{name} does not fit; expected a number of {size} octets").format(name=name, size=size))
    return value.to_bytes(size)


def _dss_flags(fin: int, values: Mapping[str, int]) -> int:
    if fin & ~FIN:
        raise ValueError(_("dss has no other flag than fin, because the fields give them"))
    return fin | sum(DSS_FLAGS.get(name, 0) for name in values)


def _numbered(shape: str) -> list[str]:
    return [f"id{n}" for n, _ in enumerate(shape.split(), 1)]


def _addresses(values: Mapping[str, int]) -> bytes:
    """The identifiers of REMOVE_ADDR: `id1`, `id2`, and so on."""
    if list(values) != _numbered("id " * len(values)) or not values:
        raise ValueError(_("remove_addr has the fields id1, id2, and so on"))
    return b"".join(_octets(name, value, 1) for name, value in values.items())
