"""The plan of a bulk file, before it is written: plain values that one process can send to another.

A template is one simulated conversation of the scenario. Other conversations that follow it differ in the values of `Field`.
A `Slot` is a place in a packet that holds such a value, and knows how it changes the checksums.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

PROBES = {"client": (0x4000_0000, 0x5000_0000), "server": (0x8000_0000, 0x9000_0000)}
"""Initial sequence numbers and timestamps of a template, far from 0: a field that is 0 is not one of these numbers."""


class Field(IntEnum):
    """A value that differs between two conversations of the same template."""

    CLIENT_SEQ = 0
    SERVER_SEQ = 1
    CLIENT_STAMP = 2
    SERVER_STAMP = 3
    CLIENT_ADDRESS = 4
    """The low 32 bits, which the MAC contains too."""
    CLIENT_PORT = 5
    SERVER_PORT = 6
    CLIENT_IDENT = 7
    SERVER_IDENT = 8


class Slot(NamedTuple):
    """A place in a packet that holds the sum of `value` and a field of the conversation."""

    column: str
    """The kind of slot. A packet has at most one of each kind."""
    at: int
    """Octets from the beginning of the frame."""
    field: Field
    value: int
    width: int
    """2 or 4 octets."""
    tcp: int = 0
    """The factor in the TCP checksum: 0, 1, or 256 at an odd offset."""
    ip: int = 0
    """The factor in the IPv4 header checksum."""


class TemplateRow(NamedTuple):
    """One frame of a template."""

    octets: bytes
    wirelen: int
    time: int
    """Nanoseconds from the conversation's begin."""
    interface: int
    slots: list[Slot]
    tcp_sum_at: int
    """The offset of the TCP checksum; 0 in a fragment without it."""
    tcp_sum: int
    """The sum under the TCP checksum, without the slots."""
    ip_sum_at: int
    """The offset of the IPv4 header checksum; 0 for IPv6."""
    ip_sum: int


@dataclass(frozen=True)
class Template:
    """A simulated conversation."""

    rows: list[TemplateRow]
    packets: tuple[int, int]
    """How many IPv4 identifications the client and the server use."""
    isns: tuple[int | None, int | None]
    """The initial sequence numbers that the scenario gives; None if each conversation has its own."""


@dataclass(frozen=True)
class BulkPlan:
    """Everything that `write` needs."""

    name: str
    link: int
    start: int
    interfaces: int
    seed: int
    flows: int
    accepted: list[Template]
    """The templates of conversations with a listening port, and those with a port that refuses."""
    refused: list[Template]
    ports: tuple[int, ...]
    """The server's ports. The conversations take turns."""
    listening: frozenset[int]
    """The server's ports that listen."""
    first: int | None
    """The first client address; None if the scenario has one client."""
    addresses: int
    """The number of client addresses."""
    server: int
    """The server's address as a number; clients skip it."""
    client_ports: tuple[int, int]
    """The lowest port, and the number of ports."""
    gap: int
    """Nanoseconds between arrivals; their mean for a Poisson process."""
    poisson: bool
