"""Which conversations a bulk file has: who holds each, when it begins, what it counts from, and which template it follows.

All of it follows from the seed and the conversation's number, in integers, so that it is the same everywhere. Conversations
are made in blocks, as columns of numbers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from math import gcd, log

import numpy as np
from numpy.typing import NDArray

from labkit.build.bulk.bulk_plan import PROBES, BulkPlan, Field, Template

Numbers = NDArray[np.int64]

TICK = 4_000
"""Nanoseconds. Conversations begin at multiples of it, for then the clock of initial sequence numbers (RFC 9293 section
3.4.1) has moved by a whole number."""
MASK = 0xFFFF_FFFF
STEPS = 4_096
"""Different gaps between arrivals at random."""


@dataclass(frozen=True)
class Block:
    """Conversations that follow each other. Column i is the conversation `first` + i."""

    first: int
    begin: Numbers
    """Nanoseconds from the start."""
    template: Numbers
    """Its position among the accepted templates, and behind them the refused ones."""
    place: Numbers
    """Of the client's address among the clients'."""
    fields: Numbers
    """What is added in slots (`Field`): a line for each conversation, a column for each field."""


class Plan:
    """The conversations of a bulk file."""

    def __init__(self, material: BulkPlan) -> None:
        self.material = material
        self.templates: list[Template] = material.accepted + material.refused
        self._packets = np.array([template.packets for template in self.templates], np.int64)
        isns = [[-1 if isn is None else isn for isn in template.isns] for template in self.templates]
        self._isns = np.array(isns, np.int64)
        tuples = material.addresses * material.client_ports[1]
        self._step = max(1, int(tuples * 0.618))
        while gcd(self._step, tuples) > 1:
            self._step += 1
        self._offset = self._key("clients") % tuples
        self._tuples = tuples
        # The gaps that divide the exponential distribution in equal parts, each by its middle.
        middles = [-log((number + 0.5) / STEPS) if material.poisson else 1.0 for number in range(STEPS)]
        self._gaps = np.array([round(middle * material.gap) for middle in middles], np.int64)

    def blocks(self, size: int) -> Iterator[Block]:
        """All conversations, in the order in which they begin, `size` at a time."""
        now = 0
        used = np.zeros(2, np.int64)
        for first in range(0, self.material.flows, size):
            block, now, used = self._block(first, min(size, self.material.flows - first), now, used)
            yield block

    def _block(self, first: int, count: int, now: int, used: Numbers) -> tuple[Block, int, Numbers]:
        """A block, the exact time after it, and the identifications that client and server have used by then."""
        number = np.arange(first, first + count, dtype=np.uint64)
        gaps = self._gaps[self._hash("arrivals", number) % STEPS]
        ends = now + np.cumsum(gaps)
        begin = (ends - gaps) // TICK * TICK
        template, ports = self._templates(number)
        packets = self._packets[template]
        after = used + np.cumsum(packets, axis=0)
        fields = np.empty((count, len(Field)), np.int64)
        place = self._fill_clients(number, fields)
        fields[:, Field.SERVER_PORT] = ports
        for side, seq, stamp in (("client", 0, 2), ("server", 1, 3)):
            own, given = self._hash(f"{side} isn", number) & MASK, self._isns[template, seq]
            isn = np.where(given < 0, own, given)
            fields[:, seq] = (isn + begin // TICK - PROBES[side][0]) & MASK
            fields[:, stamp] = ((self._hash(f"{side} timestamps", number) & MASK) - PROBES[side][1]) & MASK
        fields[:, Field.CLIENT_IDENT :] = (after - packets) & 0x7FFF_FFFF
        return Block(first, begin, template, place, fields), int(ends[-1]), after[-1]

    def _templates(self, number: NDArray[np.uint64]) -> tuple[Numbers, Numbers]:
        """The template of each conversation, and its port at the server."""
        material = self.material
        ports = np.array(material.ports, np.int64)[(number % len(material.ports)).astype(np.int64)]
        drawn = self._hash("templates", number)
        accepted, refused = len(material.accepted), len(material.refused)
        if not refused:
            return drawn % accepted, ports
        listens = np.isin(ports, list(material.listening))
        return np.where(listens, drawn % max(accepted, 1), accepted + drawn % refused), ports

    def _fill_clients(self, number: NDArray[np.uint64], fields: Numbers) -> Numbers:
        """The clients' addresses and ports: for each of the server's ports all that there are, in an order in which each
        comes once. The places of the addresses.
        """
        material = self.material
        turn = number // len(material.ports)
        # Below 2**63: neither factor reaches 2**36 and 2**27.
        index = ((turn * self._step + self._offset) % self._tuples).astype(np.int64)
        low, size = material.client_ports
        place = index // size
        fields[:, Field.CLIENT_PORT] = low + index % size
        first = (material.first or 0) & MASK
        skipped = material.server - (material.first or 0)
        fields[:, Field.CLIENT_ADDRESS] = first + place + (place >= skipped if 0 <= skipped <= MASK else 0)
        return place

    def _key(self, what: str) -> int:
        return int.from_bytes(blake2b(f"{self.material.seed}/bulk {what}".encode(), digest_size=7).digest())

    def _hash(self, what: str, number: NDArray[np.uint64]) -> Numbers:
        """A number below 2**63 for each conversation, as if at random (SplitMix64's way to mix bits)."""
        mixed = (number + np.uint64(self._key(what))) * np.uint64(0x9E37_79B9_7F4A_7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58_476D_1CE4_E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D0_49BB_1331_11EB)
        return ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(1)).astype(np.int64)
