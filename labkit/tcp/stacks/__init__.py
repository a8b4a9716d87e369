"""Stacks: what the TCP of a host looks like, as data. One TOML file for each; adding a stack adds a file.

A file has a `title`, a `family`, and three tables. Each line of a table is `key = [value, source]`; the source says where the
value is from: a capture, a version's source code, an RFC, or a fingerprint database.

- `settings`: keys of a side in a scenario, as a scenario writes them. A scenario may set them otherwise.
- `habits`: fields of `labkit.tcp.endpoint.Config` that no key of a scenario sets. Durations have a unit.
- `header`: what the stack writes into IP headers and numbers (`Header`).

The stack `rfc` is the default: it changes nothing of labkit's own endpoint.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any

from labkit.errors import UsageError
from labkit.i18n import nearest

DEFAULT = "rfc"
SECTIONS = ("settings", "habits", "header")
IDENTS = ("count", "host", "socket", "zero")
FLOW_LABELS = ("zero", "connection", "timeout")


@dataclass(frozen=True, slots=True)
class Header:
    """How a stack chooses what no segment says. ValueError for an impossible value."""

    ident: str = "count"
    """IPv4 identifications. `count`: 1, 2, 3, … for each host; `host`: the same, from a random number on; `socket`: a random
    number and those after it for each connection, but 0 where no socket sends: on a SYN ACK, in TIME-WAIT, and on a RST
    without a connection; `zero`: always 0 (RFC 6864 section 4.1)."""
    flow_label: str = "zero"
    """IPv6 flow labels. `connection`: a random one for each connection (RFC 6437); `timeout`: another one after each
    retransmission timeout."""
    isn_tick: int = 4_000
    """Nanoseconds in a tick of the clock of initial sequence numbers (RFC 9293 section 3.4.1)."""
    ports: tuple[int, int] | None = None
    """The range of ephemeral ports; None: 40000."""
    port_step: int = 1
    """The difference of neighbouring ephemeral ports: 2 leaves every second one to other uses."""

    def __post_init__(self) -> None:
        for name, value, known in (
            ("ident", self.ident, IDENTS),
            ("flow_label", self.flow_label, FLOW_LABELS),
        ):
            if value not in known:
                raise ValueError(f"{name} {value!r} is not known; expected one of {', '.join(known)}")
        if self.isn_tick < 1 or self.port_step < 1:
            raise ValueError("isn_tick and port_step must be at least 1")
        if self.ports is not None and not 1 <= self.ports[0] <= self.ports[1] <= 65535:
            raise ValueError(f"ports {self.ports} are outside 1..65535")


@dataclass(frozen=True, slots=True)
class Stack:
    """One stack. The mappings have plain values, as the file writes them."""

    name: str
    title: str
    """What it is, with a version."""
    family: str
    """The system that it belongs to: fingerprints tell families better than versions."""
    settings: Mapping[str, Any]
    habits: Mapping[str, Any]
    header: Header
    sources: Mapping[str, str]
    """Where each value is from, by its key."""


@cache
def names() -> tuple[str, ...]:
    """The names of all stacks, the default first."""
    found = {each.name.removesuffix(".toml") for each in files(__name__).iterdir() if each.name.endswith(".toml")}
    return (DEFAULT, *sorted(found - {DEFAULT}))


@cache
def load(name: str) -> Stack:
    """A stack by its name. UsageError if there is none of this name, ValueError for a file that is not valid."""
    if name not in names():
        raise UsageError(f"{name[:40]!r} is not a stack; expected one of {', '.join(names())}{nearest(name, names())}")
    read = tomllib.loads(files(__name__).joinpath(f"{name}.toml").read_text("utf-8"))
    title, family = read.pop("title"), read.pop("family")
    if unknown := set(read) - set(SECTIONS):
        raise ValueError(f"{name}.toml: unknown table {', '.join(sorted(unknown))}; expected {', '.join(SECTIONS)}")
    tables: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    sources: dict[str, str] = {}
    for section, table in read.items():
        for key, line in table.items():
            match line:
                case [value, str(source)] if source and key not in sources:
                    tables[section][key], sources[key] = value, source
                case _:
                    raise ValueError(f"{name}.toml: {section}.{key} is not a [value, source]")
    known = {each.name for each in fields(Header)}
    if unknown := set(tables["header"]) - known:
        raise ValueError(
            f"{name}.toml: unknown header.{', '.join(sorted(unknown))}; expected {', '.join(sorted(known))}"
        )
    header: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in tables["header"].items()
    }
    return Stack(name, title, family, tables["settings"], tables["habits"], Header(**header), sources)
