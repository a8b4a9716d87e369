"""The conversations of a bulk file: the hosts of each, its begin, its numbers, and its template.

Everything follows from the seed and the number of the conversation, in integer arithmetic, so that it is the same on every
machine. Conversations come in blocks, as columns of numbers.
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
"""Nanoseconds. Conversations begin at multiples of a tick of the ISN clock (RFC 9293 section 3.4.1)."""
MASK = 0xFFFF_FFFF
DISTINCT_GAPS = 4_096
"""Different gaps between random arrivals."""
NUMBERS = 1 << 16
"""Conversations that are counted at a time."""


@dataclass(frozen=True)
class Block:
    """Consecutive conversations. Column i is the conversation `first` + i."""

    first: int
    begin: Numbers
    """Nanoseconds from the start."""
    template: Numbers
    """The position in `Schedule.templates`."""
    place: Numbers
    """The position of the client's address among all clients' addresses."""
    fields: Numbers
    """The values for the slots: a row for each conversation, a column for each `Field`."""


class Schedule:
    """The conversations of a bulk file."""

    def __init__(self, plan: BulkPlan) -> None:
        self.plan = plan
        self.templates: list[Template] = plan.accepted + plan.refused
        """The templates of accepted conversations, then those of refused ones."""
        self._packets = np.array([template.packets for template in self.templates], np.int64)
        isns = [[-1 if isn is None else isn for isn in template.isns] for template in self.templates]
        self._isns = np.array(isns, np.int64)
        tuples = plan.addresses * plan.client_ports[1]
        self._step = max(1, int(tuples * 0.618))
        while gcd(self._step, tuples) > 1:
            self._step += 1
        self._offset = self._key("clients") % tuples
        self._tuples = tuples
        # Each gap is the middle of one of the equal parts of the exponential distribution.
        middles = [-log((number + 0.5) / DISTINCT_GAPS) if plan.poisson else 1.0 for number in range(DISTINCT_GAPS)]
        self._gaps = np.array([round(middle * plan.gap) for middle in middles], np.int64)

    def blocks(self, size: int) -> Iterator[Block]:
        """All conversations in the order of their begins, `size` at a time."""
        now = 0
        used = np.zeros(2, np.int64)
        for first in range(0, self.plan.flows, size):
            block, now, used = self._block(first, min(size, self.plan.flows - first), now, used)
            yield block

    def packets(self) -> int:
        """The number of packets of all conversations."""
        counts = np.array([len(template.rows) for template in self.templates], np.int64)
        return sum(
            int(counts[self._templates(_numbers(first, min(NUMBERS, self.plan.flows - first)))[0]].sum())
            for first in range(0, self.plan.flows, NUMBERS)
        )

    def _block(self, first: int, count: int, now: int, used: Numbers) -> tuple[Block, int, Numbers]:
        """A block, the exact time after it, and how many identifications the client and the server have used."""
        number = _numbers(first, count)
        gaps = self._gaps[self._hash("arrivals", number) % DISTINCT_GAPS]
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
        """The template and the server port of each conversation."""
        plan = self.plan
        ports = np.array(plan.ports, np.int64)[(number % len(plan.ports)).astype(np.int64)]
        drawn = self._hash("templates", number)
        accepted, refused = len(plan.accepted), len(plan.refused)
        if not refused:
            return drawn % accepted, ports
        listens = np.isin(ports, list(plan.listening))
        return np.where(listens, drawn % max(accepted, 1), accepted + drawn % refused), ports

    def _fill_clients(self, number: NDArray[np.uint64], fields: Numbers) -> Numbers:
        """Fill in the clients' addresses and ports, and return the positions of the addresses. With each server port, every
        pair of client address and port comes once.
        """
        plan = self.plan
        turn = number // len(plan.ports)
        # Below 2**63: neither factor reaches 2**36 and 2**27.
        index = ((turn * self._step + self._offset) % self._tuples).astype(np.int64)
        low, size = plan.client_ports
        place = index // size
        fields[:, Field.CLIENT_PORT] = low + index % size
        first = (plan.first or 0) & MASK
        skipped = plan.server - (plan.first or 0)
        fields[:, Field.CLIENT_ADDRESS] = first + place + (place >= skipped if 0 <= skipped <= MASK else 0)
        return place

    def _key(self, what: str) -> int:
        return int.from_bytes(blake2b(f"{self.plan.seed}/bulk {what}".encode(), digest_size=7).digest())

    def _hash(self, what: str, number: NDArray[np.uint64]) -> Numbers:
        """A pseudo-random number below 2**63 for each conversation, mixed as in SplitMix64."""
        mixed = (number + np.uint64(self._key(what))) * np.uint64(0x9E37_79B9_7F4A_7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58_476D_1CE4_E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D0_49BB_1331_11EB)
        return ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(1)).astype(np.int64)


def _numbers(first: int, count: int) -> NDArray[np.uint64]:
    """The numbers of consecutive conversations."""
    return np.arange(first, first + count, dtype=np.uint64)
