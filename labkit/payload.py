"""The octets that a sender has sent lately, to compare with what it sends again (rule RTX02).

Bounded: the last OCTETS octets in at most PIECES segments of each side; older ones are forgotten, and no longer
compared.
"""

from collections import deque

from labkit.segment import ABSENT
from labkit.seq import add, diff

OCTETS = 65_536
PIECES = 128


class Octets:
    """What one side has sent lately, as (sequence number, octets) in the order of arrival."""

    __slots__ = ("_held", "_pieces")

    def __init__(self) -> None:
        self._pieces: deque[tuple[int, bytes]] = deque()
        self._held = 0

    def add(self, seq: int, octets: bytes) -> None:
        """Keep octets; the oldest are forgotten where there are too many."""
        self._pieces.append((seq, octets))
        self._held += len(octets)
        while self._held > OCTETS or len(self._pieces) > PIECES:
            self._held -= len(self._pieces.popleft()[1])

    def conflict(self, seq: int, octets: bytes) -> int:
        """The first sequence number whose octet differs from one that is held; ABSENT where none does."""
        first = len(octets)
        for start, held in self._pieces:
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
