"""What is known of a bulk file's conversations before they are written: plain values, from one process to another.

A template is one conversation of the scenario, with chances of its own. What differs in another that follows it are the
addresses, ports and numbers of `Field`; where one of them stands in a packet there is a `Slot`, and it says by how much
the checksums change.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

PROBES = {"client": (0x4000_0000, 0x5000_0000), "server": (0x8000_0000, 0x9000_0000)}
"""Sequence numbers and timestamps of a template. Far from 0: what is 0 all the same belongs to no connection."""


class Field(IntEnum):
    """What differs between two conversations by the same template."""

    CLIENT_SEQ = 0
    SERVER_SEQ = 1
    CLIENT_STAMP = 2
    SERVER_STAMP = 3
    CLIENT_ADDRESS = 4
    """Its low 32 bits, which its MAC has too."""
    CLIENT_PORT = 5
    SERVER_PORT = 6
    CLIENT_IDENT = 7
    SERVER_IDENT = 8


class Slot(NamedTuple):
    """A place in a packet where the sum of `value` and a conversation's field stands."""

    column: str
    """What it is, for a packet has at most one of each."""
    at: int
    """Octets from the beginning of the frame."""
    field: Field
    value: int
    width: int
    """Octets: 2 or 4."""
    tcp: int = 0
    """How often it counts in TCP's checksum: not at all, once, or (at an odd place) 256 times."""
    ip: int = 0
    """The same for the IPv4 header's checksum."""


class Row(NamedTuple):
    """One frame of a template."""

    octets: bytes
    wirelen: int
    time: int
    """Nanoseconds from the conversation's begin."""
    interface: int
    slots: list[Slot]
    tcp_sum_at: int
    """Where TCP's checksum stands; 0 where this is a fragment without one."""
    tcp_sum: int
    """The sum that it is taken of, without what the slots add."""
    ip_sum_at: int
    """The same for IPv4, 0 for IPv6."""
    ip_sum: int


@dataclass(frozen=True)
class Template:
    """A conversation that was played."""

    rows: list[Row]
    packets: tuple[int, int]
    """How many IPv4 identifications client and server use."""
    isns: tuple[int | None, int | None]
    """The initial sequence numbers that the scenario gives; None: each conversation has its own."""


@dataclass(frozen=True)
class BulkPlan:
    """All that is needed to write the conversations."""

    name: str
    link: int
    start: int
    interfaces: int
    seed: int
    flows: int
    accepted: list[Template]
    """What conversations with a port that accepts follow, and those with one that does not."""
    refused: list[Template]
    ports: tuple[int, ...]
    """The server's ports, which the conversations take in turn."""
    listening: frozenset[int]
    """Those that accept."""
    first: int | None
    """The first of the clients' addresses; None: there is one client, the scenario's."""
    addresses: int
    """How many of them there are."""
    server: int
    """The server's address as a number, which no client has."""
    client_ports: tuple[int, int]
    """The lowest, and how many."""
    gap: int
    """Nanoseconds between the conversations' begins; the mean, where they begin at random."""
    poisson: bool
