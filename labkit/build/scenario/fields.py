"""Types of a scenario's values other than numbers and times: addresses, address pools, arrivals, cookies and others.

Each reader returns the value, or raises a ValueError that says what was expected. The JSON schema of a type is for editors.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Annotated, Any

from netaddr import EUI, AddrFormatError, IPAddress, IPNetwork, IPRange, mac_unix_expanded
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from labkit.build.scenario.units import DurationRange, Range, duration, ranged
from labkit.build.scenario.units import number as read_number
from labkit.i18n import N_, _, listed, nearest
from labkit.tcp.endpoint.congestion import names as congestion_names
from labkit.tcp.stacks import names as stack_names

MAX_FAULTS = 100
"""Faults of a scenario."""
MAX_PACKET_NUMBER = 1_000_000
"""The highest packet number in `lose`, `duplicate`, `mark` and `late`."""
MAX_POOL_SIZE = 1 << 32
"""The number of addresses that are used of a larger IPv6 network."""


class Model(BaseModel):
    """The base of all parts of a scenario: unknown keys are errors, and values do not change.

    The text below a field is for the JSON schema (`labkit.build.scenario.schema.described`).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Timing(Model):
    """When a step begins."""

    after: DurationRange = Range(0, 0)
    """A think time: how long after the step before it is complete."""
    at_once: bool = False
    """Whether the step begins as soon as the previous step has begun."""


@dataclass(frozen=True, slots=True)
class Pool:
    """The addresses from `first` to `last`, both included, as numbers of one IP version."""

    first: int
    last: int
    version: int
    text: str

    def address(self, place: int, without: int | None = None) -> str:
        """The address at a position, from 0, skipping the address with the number `without`."""
        found = self.first + place
        return str(IPAddress(found + (without is not None and self.first <= without <= found), self.version))

    def size(self, without: int | None = None) -> int:
        """The number of addresses, without the address with the number `without`."""
        return min(self.last - self.first + 1, MAX_POOL_SIZE) - (
            without is not None and self.first <= without <= self.last
        )


@dataclass(frozen=True, slots=True)
class Arrivals:
    """When conversations begin: one every `gap` nanoseconds, or a Poisson process with this mean."""

    gap: int
    poisson: bool

    def times(self, count: int, seed: int) -> list[int]:
        """The arrival times; the first is 0."""
        rng = Random(f"{seed}/arrivals")
        found, now = [], 0.0
        for _number in range(count):
            found.append(int(now))
            now += rng.expovariate(1) * self.gap if self.poisson else self.gap
        return found


def _address(value: Any) -> str:
    try:
        return str(IPAddress(str(value), flags=1))
    except (AddrFormatError, ValueError) as error:
        raise ValueError(
            _("{value!r} is not an address; expected IPv4 or IPv6, such as 192.0.2.10").format(value=str(value)[:50])
        ) from error


def _pool(value: Any) -> Pool:
    """A network, a range of addresses, or one address."""
    text = str(value).strip()
    low, dash, high = text.partition("-")
    try:
        if dash:
            span = IPRange(low.strip(), high.strip(), flags=1)
            return Pool(span.first, span.last, span.version, text)
        net = IPNetwork(text)
    except (AddrFormatError, ValueError) as error:
        raise ValueError(
            _("{text!r} is not an address pool; expected one such as 198.51.100.0/24 or 10.0.0.1-10.0.0.99").format(
                text=text[:50]
            )
        ) from error
    # A host cannot have the network address or the broadcast address.
    spare = 1 if net.version == 4 and net.size > 2 else 0
    return Pool(net.first + spare, net.last - spare, net.version, text)


def _mac(value: Any) -> str:
    try:
        return str(EUI(str(value), version=48, dialect=mac_unix_expanded))
    except (AddrFormatError, ValueError) as error:
        raise ValueError(
            _("{value!r} is not a MAC; expected one such as 02:00:00:00:00:01").format(value=str(value)[:50])
        ) from error


def _isn(value: Any) -> Any:
    return None if value == "random" else ranged(read_number)(value)


def _start(value: Any) -> int:
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise ValueError(
            _("{value!r} is not a time; expected one such as 2026-01-01T00:00:00Z").format(value=str(value)[:50])
        ) from error
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    nanoseconds = int(found.timestamp()) * 1_000_000_000 + found.microsecond * 1_000
    if nanoseconds < 0:
        raise ValueError(_("{value!r} is before 1970").format(value=str(value)[:50]))
    return nanoseconds


def _congestion(value: Any) -> Any:
    if value == "off":
        return None
    if value not in congestion_names():
        raise ValueError(
            _("{value!r} is not known; expected off, or one of: {known}{nearest}").format(
                value=str(value)[:50],
                known=listed(congestion_names()),
                nearest=nearest(str(value), congestion_names()),
            )
        )
    return value


def _stack(value: Any) -> str:
    """The name of a stack."""
    known = stack_names()
    if not isinstance(value, str) or value not in known:
        text = str(value)[:40]
        raise ValueError(
            _("{text!r} is not a stack; expected one of {known}{text2}").format(
                text=text, known=listed(known), text2=nearest(text, known)
            )
        )
    return value


def _cookie(value: Any) -> Any:
    if value in ("off", "request"):
        return None if value == "off" else b""
    try:
        cookie = bytes.fromhex(str(value))
    except ValueError:
        cookie = b""
    if len(cookie) % 2 or not 4 <= len(cookie) <= 16:
        raise ValueError(
            _("{value!r} is not a cookie; expected off, request, or 4 to 16 octets in hexadecimal").format(
                value=str(value)[:50]
            )
        )
    return cookie


def _arrivals(value: Any) -> Arrivals:
    match = re.fullmatch(r"(every|poisson)\s+(.+)", str(value).strip())
    if match is None:
        raise ValueError(
            _("{value!r} is not an arrival process; expected 'every 5ms' or 'poisson 10ms'").format(
                value=str(value)[:50]
            )
        )
    return Arrivals(duration(match[2]), match[1] == "poisson")


def _listed(what: str, most: int) -> Callable[[Any], tuple[int, ...]]:
    """A reader for a list of numbers from 1 to `most` and ranges; a single one needs no brackets."""

    def read(value: Any) -> tuple[int, ...]:
        found: list[int] = []
        for each in value if isinstance(value, list | tuple) else [value]:
            span = ranged(read_number)(each)
            if not 1 <= span.low <= span.high <= most:
                wrong = span.high if span.low else span.low
                raise ValueError(
                    _("{wrong} is not {what}; expected 1 to {most}").format(wrong=wrong, what=_(what), most=most)
                )
            found += range(span.low, span.high + 1)
        return tuple(dict.fromkeys(found))

    return read


def _fault(value: Any) -> str:
    from labkit.build.faults import faults

    text = str(value)
    name, at, number = text.partition("@")
    known = [fault.name for fault in faults()]
    if name not in known:
        raise ValueError(
            _("{name!r} is not a fault; 'labkit build --fault list' lists them{name2}").format(
                name=name[:50], name2=nearest(name, known)
            )
        )
    if at and not re.fullmatch(r"[1-9]\d{0,8}", number, re.ASCII):
        raise ValueError(
            _("{number!r} is not a packet number; expected one from 1, as in {name}@6").format(
                number=number[:20], name=name
            )
        )
    return text


def _lines(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _words(pattern: str, *examples: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": list(examples)})


_SPAN = {"type": ["integer", "string"], "pattern": r"^\d+(\.\.\d+)?$"}
_LISTED = WithJsonSchema({"anyOf": [_SPAN, {"type": "array", "items": _SPAN}]})

Address = Annotated[str, BeforeValidator(_address), _words(r"^[0-9A-Fa-f.:]+$", "192.0.2.10", "2001:db8::10")]
AddressPool = Annotated[Pool, BeforeValidator(_pool), _words(r"^[0-9A-Fa-f.:/ -]+$", "198.51.100.0/24")]
Mac = Annotated[str, BeforeValidator(_mac), _words(r"^[0-9A-Fa-f:.-]+$", "02:00:00:00:00:01")]
Isn = Annotated[
    Range | None,
    BeforeValidator(_isn),
    WithJsonSchema({"type": ["integer", "string"], "pattern": r"^(random|\d+(\.\.\d+)?)$", "examples": ["random", 0]}),
]
Start = Annotated[int, BeforeValidator(_start), _words(r"^\d{4}-\d\d-\d\d", "2026-01-01T00:00:00Z")]
Congestion = Annotated[str | None, BeforeValidator(_congestion), WithJsonSchema({"enum": [*congestion_names(), "off"]})]
Stack = Annotated[str, BeforeValidator(_stack), WithJsonSchema({"enum": [*stack_names()]})]
Cookie = Annotated[
    bytes | None, BeforeValidator(_cookie), _words(r"^(off|request|([0-9A-Fa-f]{2}){4,16})$", "request", "a0b1c2d3")
]
Key = Annotated[str | None, Field(min_length=1, max_length=80)]
ArrivalProcess = Annotated[
    Arrivals, BeforeValidator(_arrivals), _words(r"^(every|poisson) +\S", "poisson 10ms", "every 5ms")
]
Ports = Annotated[tuple[int, ...], BeforeValidator(_listed(N_("a port"), 65535)), _LISTED]
Packets = Annotated[tuple[int, ...], BeforeValidator(_listed(N_("a packet number"), MAX_PACKET_NUMBER)), _LISTED]
Lines = Annotated[
    tuple[str, ...],
    BeforeValidator(_lines),
    WithJsonSchema({"type": ["string", "array"], "items": {"type": "string"}}),
]
Faults = Annotated[
    Annotated[tuple[Annotated[str, BeforeValidator(_fault)], ...], Field(max_length=MAX_FAULTS)],
    BeforeValidator(_lines),
    WithJsonSchema({"type": ["string", "array"], "items": {"type": "string", "pattern": r"^[a-z-]+(@[1-9]\d*)?$"}}),
]
Flags = Annotated[
    tuple[Annotated[str, Field(pattern=r"^tcp\.analysis\.[a-z_]+$")], ...],
    BeforeValidator(_lines),
    WithJsonSchema({"type": "array", "items": {"type": "string", "pattern": r"^tcp\.analysis\.[a-z_]+$"}}),
]
