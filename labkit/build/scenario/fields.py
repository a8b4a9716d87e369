"""The values of a scenario that are neither numbers nor times: addresses, pools of them, tags, arrivals, and the like.

Each reader gives the value, or says in a ValueError what was expected; the JSON schema beside it is for editors.
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
from labkit.i18n import nearest
from labkit.tcp.endpoint.congestion import names as congestion_names

MOST_FAULTS = 100
MOST_PACKETS = 1_000_000
"""The highest number by which a packet of the path is named."""
LARGEST_POOL = 1 << 32
"""Addresses of a pool that are used; an IPv6 network has more."""


class Model(BaseModel):
    """The base of all that a scenario consists of: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, use_attribute_docstrings=True)


class Timing(Model):
    """What every step can say about when it begins."""

    after: DurationRange = Range(0, 0)
    """A think time: how long after the step before it is complete."""
    at_once: bool = False
    """Whether it only waits until the step before it has begun."""


@dataclass(frozen=True, slots=True)
class Pool:
    """The addresses from `first` to `last`, both included, as numbers of one IP version."""

    first: int
    last: int
    version: int
    text: str

    def address(self, place: int, without: int | None = None) -> str:
        """The address at a place, counted from 0 and passing over the number `without`."""
        found = self.first + place
        return str(IPAddress(found + (without is not None and self.first <= without <= found), self.version))

    def size(self, without: int | None = None) -> int:
        """How many addresses there are, the number `without` not counted."""
        return min(self.last - self.first + 1, LARGEST_POOL) - (
            without is not None and self.first <= without <= self.last
        )


@dataclass(frozen=True, slots=True)
class Arrivals:
    """When conversations begin: one every `gap` nanoseconds, or at random with this mean between them."""

    gap: int
    poisson: bool

    def times(self, count: int, seed: int) -> list[int]:
        """The times, the first of which is 0."""
        rng = Random(f"{seed}/arrivals")
        found, now = [], 0.0
        for _ in range(count):
            found.append(int(now))
            now += rng.expovariate(1) * self.gap if self.poisson else self.gap
        return found


def _address(value: Any) -> str:
    try:
        return str(IPAddress(str(value), flags=1))
    except (AddrFormatError, ValueError) as error:
        raise ValueError(f"{str(value)[:50]!r} is not an address; expected IPv4 or IPv6, such as 192.0.2.10") from error


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
            f"{text[:50]!r} is no pool of addresses; expected one such as 198.51.100.0/24 or 10.0.0.1-10.0.0.99"
        ) from error
    # Neither a network's own address nor its broadcast address is a host's.
    spare = 1 if net.version == 4 and net.size > 2 else 0
    return Pool(net.first + spare, net.last - spare, net.version, text)


def _mac(value: Any) -> str:
    try:
        return str(EUI(str(value), version=48, dialect=mac_unix_expanded))
    except (AddrFormatError, ValueError) as error:
        raise ValueError(f"{str(value)[:50]!r} is not a MAC; expected one such as 02:00:00:00:00:01") from error


def _isn(value: Any) -> Any:
    return None if value == "random" else ranged(read_number)(value)


def _start(value: Any) -> int:
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise ValueError(f"{str(value)[:50]!r} is not a time; expected one such as 2026-01-01T00:00:00Z") from error
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    nanoseconds = int(found.timestamp()) * 1_000_000_000 + found.microsecond * 1_000
    if nanoseconds < 0:
        raise ValueError(f"{str(value)[:50]!r} is before 1970")
    return nanoseconds


def _congestion(value: Any) -> Any:
    if value == "off":
        return None
    if value not in congestion_names():
        raise ValueError(
            f"{str(value)[:50]!r} is not known; expected off, or one of: {', '.join(congestion_names())}"
            f"{nearest(str(value), congestion_names())}"
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
        raise ValueError(f"{str(value)[:50]!r} is no cookie; expected off, request, or 4 to 16 octets in hexadecimal")
    return cookie


def _arrivals(value: Any) -> Arrivals:
    match = re.fullmatch(r"(every|poisson)\s+(.+)", str(value).strip())
    if match is None:
        raise ValueError(f"{str(value)[:50]!r} is no arrival process; expected 'every 5ms' or 'poisson 10ms'")
    return Arrivals(duration(match[2]), match[1] == "poisson")


def _listed(what: str, most: int) -> Callable[[Any], tuple[int, ...]]:
    """A reader for numbers from 1 to `most`, and ranges of them, as one list; one alone needs no brackets."""

    def read(value: Any) -> tuple[int, ...]:
        found: list[int] = []
        for each in value if isinstance(value, list | tuple) else [value]:
            span = ranged(read_number)(each)
            if not 1 <= span.low <= span.high <= most:
                wrong = span.high if span.low else span.low
                raise ValueError(f"{wrong} is not {what}; expected 1 to {most}")
            found += range(span.low, span.high + 1)
        return tuple(dict.fromkeys(found))

    return read


def _fault(value: Any) -> str:
    from labkit.build.faults import faults

    text = str(value)
    name, at, number = text.partition("@")
    known = [fault.name for fault in faults()]
    if name not in known:
        raise ValueError(f"{name[:50]!r} is no fault; 'labkit build --fault list' lists them{nearest(name, known)}")
    if at and not re.fullmatch(r"[1-9]\d{0,8}", number, re.ASCII):
        raise ValueError(f"{number[:20]!r} is no packet's number; expected one from 1, as in {name}@6")
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
Cookie = Annotated[
    bytes | None, BeforeValidator(_cookie), _words(r"^(off|request|([0-9A-Fa-f]{2}){4,16})$", "request", "a0b1c2d3")
]
ArrivalProcess = Annotated[
    Arrivals, BeforeValidator(_arrivals), _words(r"^(every|poisson) +\S", "poisson 10ms", "every 5ms")
]
Ports = Annotated[tuple[int, ...], BeforeValidator(_listed("a port", 65535)), _LISTED]
Packets = Annotated[tuple[int, ...], BeforeValidator(_listed("a packet's number", MOST_PACKETS)), _LISTED]
Lines = Annotated[
    tuple[str, ...],
    BeforeValidator(_lines),
    WithJsonSchema({"type": ["string", "array"], "items": {"type": "string"}}),
]
Faults = Annotated[
    Annotated[tuple[Annotated[str, BeforeValidator(_fault)], ...], Field(max_length=MOST_FAULTS)],
    BeforeValidator(_lines),
    WithJsonSchema({"type": ["string", "array"], "items": {"type": "string", "pattern": r"^[a-z-]+(@[1-9]\d*)?$"}}),
]
Flags = Annotated[
    tuple[Annotated[str, Field(pattern=r"^tcp\.analysis\.[a-z_]+$")], ...],
    BeforeValidator(_lines),
    WithJsonSchema({"type": "array", "items": {"type": "string", "pattern": r"^tcp\.analysis\.[a-z_]+$"}}),
]
