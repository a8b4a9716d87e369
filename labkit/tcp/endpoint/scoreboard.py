"""The segments under way of a sender that judges losses by time (RFC 8985): when each was sent, and what is known of it.

Amounts are segments, positions those of `Sender`.
"""

from collections import deque
from collections.abc import Iterator
from itertools import islice


class Sent:
    """One segment: positions [start, end), when and as which transmission of the connection it was last sent, and how many
    segments had been delivered by then."""

    __slots__ = ("delivered", "end", "ever", "lost", "order", "resent", "sacked", "start", "time")

    def __init__(self, start: int, end: int, time: int, order: int, delivered: int) -> None:
        self.start = start
        self.end = end
        self.time = time
        self.order = order
        self.delivered = delivered
        self.sacked = False
        """Whether the peer has reported it by SACK."""
        self.lost = False
        """Whether its first transmission counts as lost."""
        self.resent = False
        """Whether a retransmission of it is under way."""
        self.ever = False
        """Whether it was ever retransmitted."""

    @property
    def needed(self) -> bool:
        """Whether it is to be sent again."""
        return self.lost and not self.resent and not self.sacked


class Scoreboard:
    """All segments under way, in the order of their positions."""

    __slots__ = ("lost", "queue", "resent", "sacked", "top")

    def __init__(self) -> None:
        self.queue: deque[Sent] = deque()
        self.sacked = self.lost = self.resent = 0
        """How many segments have each mark."""
        self.top: int | None = None
        """The end of the highest segment that the peer has reported; None where it has reported none."""

    def __len__(self) -> int:
        return len(self.queue)

    def __iter__(self) -> Iterator[Sent]:
        return iter(self.queue)

    @property
    def pipe(self) -> int:
        """The segments that are in the network, as far as the sender knows."""
        return len(self.queue) - self.sacked - self.lost + self.resent

    @property
    def head(self) -> Sent | None:
        """The first segment that the peer has not acknowledged."""
        return self.queue[0] if self.queue else None

    def inside(self, low: int, high: int) -> list[Sent]:
        """The segments that lie wholly in [low, high)."""
        return [each for each in self.queue if low <= each.start and each.end <= high]

    def report(self, each: Sent) -> None:
        """The peer has reported a segment by SACK."""
        if each.lost:
            self._clear_lost(each)
            if each.resent:
                self.arrived_again(each)
        each.sacked = True
        self.sacked += 1
        if self.top is None or each.end > self.top:
            self.top = each.end

    def arrived_again(self, each: Sent) -> None:
        """The retransmission of a segment is no longer under way."""
        each.resent = False
        self.resent -= 1

    def lose(self, each: Sent) -> bool:
        """Mark the last transmission of a segment as lost; whether that is news."""
        if each.resent:
            self.arrived_again(each)
        elif each.lost:
            return False
        if not each.lost:
            each.lost = True
            self.lost += 1
        return True

    def clear_losses(self) -> None:
        """No segment counts as lost any more."""
        for each in self.queue:
            each.lost = False
        self.lost = 0

    def _clear_lost(self, each: Sent) -> None:
        each.lost = False
        self.lost -= 1

    def forget_reports(self) -> None:
        """The peer has discarded what it had reported."""
        for each in self.queue:
            each.sacked = False
        self.sacked, self.top = 0, None

    def fit(self, each: Sent, room: int) -> None:
        """Make a segment that is sent again as large as `room` octets allow, with the small ones behind it."""
        place = self.queue.index(each)
        following = 0
        for later in islice(self.queue, place + 1, None):
            if later.sacked or later.end - each.start > room:
                break
            each.end, each.ever = later.end, each.ever or later.ever
            self._uncount(later)
            later.lost = False
            following += 1
        for _count in range(following):
            del self.queue[place + 1]
        if each.end - each.start > room:
            rest = Sent(each.start + room, each.end, each.time, each.order, each.delivered)
            rest.lost, rest.ever = each.lost, each.ever
            self.lost += rest.lost
            self.queue.insert(place + 1, rest)
            each.end = rest.start

    def _uncount(self, each: Sent) -> None:
        self.sacked -= each.sacked
        self.lost -= each.lost
        self.resent -= each.resent

    def acknowledge(self, position: int) -> list[Sent]:
        """Remove the segments before `position`, and return them with their marks."""
        found = []
        while self.queue and self.queue[0].end <= position:
            each = self.queue.popleft()
            self._uncount(each)
            found.append(each)
        if self.queue and self.queue[0].start < position:
            self.queue[0].start = position
        if not self.sacked:
            self.top = None
        return found
