"""The octets that senders have sent lately, to compare with what they send again (rule RTX02).

Bounded twice: for each side, and for all of a capture together. Older octets are forgotten, and no longer compared.
"""

from collections import deque

from labkit.packet.seen import ABSENT
from labkit.tcp.seq import add, diff

OCTETS = 65_536
PIECES = 128
"""The last octets of a side, and the segments that they may come from."""

ALL_OCTETS = 1 << 24
ALL_PIECES = 1 << 18
"""The last of all sides together. Powers of two: the compiled engine keeps them in rings."""


class Memory:
    """What is remembered of one capture."""

    def __init__(self) -> None:
        self.octets = 0
        self.pieces = 0
        self._order: deque[tuple[int, int, Octets]] = deque()

    def add(self, size: int, owner: "Octets") -> None:
        """Somebody remembers so many octets more; the oldest are forgotten where there are too many."""
        self._order.append((self.pieces, self.octets, owner))
        self.pieces += 1
        self.octets += size
        while self._order and (
            self.pieces - self._order[0][0] > ALL_PIECES or self.octets - self._order[0][1] > ALL_OCTETS
        ):
            serial, _, oldest = self._order.popleft()
            oldest.forget(serial)


class Octets:
    """What one side has sent lately, in the order of arrival."""

    __slots__ = ("_held", "_memory", "_pieces")

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._pieces: deque[tuple[int, int, bytes]] = deque()
        """Serial number, sequence number, octets."""
        self._held = 0

    def add(self, seq: int, octets: bytes) -> None:
        """Keep octets; the oldest are forgotten where there are too many."""
        self._pieces.append((self._memory.pieces, seq, octets))
        self._held += len(octets)
        self._memory.add(len(octets), self)
        while self._held > OCTETS or len(self._pieces) > PIECES:
            self._held -= len(self._pieces.popleft()[2])

    def forget(self, serial: int) -> None:
        """Forget a piece, and those before it, if it is still there."""
        while self._pieces and self._pieces[0][0] <= serial:
            self._held -= len(self._pieces.popleft()[2])

    def conflict(self, seq: int, octets: bytes) -> int:
        """The first sequence number whose octet differs from one that is held; ABSENT where none does."""
        first = len(octets)
        for _, start, held in self._pieces:
            offset = diff(seq, start)
            if offset >= len(held) or -offset >= first:
                continue
            mine = octets[max(0, -offset) : first]
            theirs = held[max(0, offset) :]
            size = min(len(mine), len(theirs))
            if mine[:size] != theirs[:size]:
                differing = next(i for i in range(size) if mine[i] != theirs[i])
                first = min(first, max(0, -offset) + differing)
        return ABSENT if first == len(octets) else add(seq, first)
