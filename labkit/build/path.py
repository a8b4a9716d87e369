"""The path between two endpoints: delay, loss, reordering, duplication and congestion marks, for each direction.

A path holds no packets. For each packet that is sent, `carry` returns the times at which its copies arrive. A seed determines
them. Times are nanoseconds, sizes octets.
"""

from dataclasses import dataclass, field
from random import Random

from labkit.i18n import _
from labkit.tcp.options import length
from labkit.tcp.segment import CE, ECT0, ECT1, Segment

CLIENT, SERVER = "client", "server"


def datagram_size(segment: Segment, version: int) -> int:
    """The octets of a segment's datagram, which the path counts, by IP version."""
    return (40 if version == 4 else 60) + length(segment.options) + len(segment.payload)


def marked(segment: Segment) -> Segment:
    """The segment with the mark of congestion, if it is ECN-capable (RFC 3168)."""
    return segment.with_(ecn=CE) if segment.ecn in {ECT0, ECT1} else segment


@dataclass(frozen=True, slots=True)
class Burst:
    """Losses in bursts (E. N. Gilbert's model): each packet may begin a burst, which loses all its packets.

    ValueError for a chance outside 0..1 or a length below 1.
    """

    chance: float
    """The chance that a packet, outside a burst, begins one."""
    length: float
    """The mean number of packets in a burst; the number has a geometric distribution."""

    def __post_init__(self) -> None:
        if not 0 <= self.chance <= 1:
            raise ValueError(_("burst chance {chance} is outside 0..1").format(chance=f"{self.chance:g}"))
        if self.length < 1:
            raise ValueError(_("burst length {length} must be at least 1").format(length=f"{self.length:g}"))


@dataclass(frozen=True, slots=True)
class Direction:
    """One direction of a path. Packets are counted from 1, in the order in which they are sent.

    ValueError for a chance outside 0..1, a negative time, or a rate that is not positive.
    """

    delay: int = 0
    """The travel time of a packet."""
    jitter: int = 0
    """The largest random addition to `delay`. It does not reorder packets."""
    bandwidth: int | None = None
    """Bits per second; None if sending takes no time."""
    queue: int | None = None
    """How many packets may wait; the path drops further ones. It needs a bandwidth."""
    mark_queue: int | None = None
    """The queue length at which the path marks ECN-capable packets as congested (RFC 3168)."""
    loss: float = 0.0
    """The chance that the path loses a packet outside a burst."""
    burst: Burst | None = None
    lose: frozenset[int] = frozenset()
    """The numbers of lost packets."""
    duplicate: frozenset[int] = frozenset()
    """The numbers of packets that arrive twice."""
    mark: frozenset[int] = frozenset()
    """The numbers of packets that the path marks as congested if they are ECN-capable (RFC 3168)."""
    late: dict[int, int] = field(default_factory=dict)
    """The additional delay of packets that others may overtake, by packet number."""

    def __post_init__(self) -> None:
        if not 0 <= self.loss <= 1:
            raise ValueError(_("loss {loss} is outside 0..1").format(loss=f"{self.loss:g}"))
        if min(self.delay, self.jitter, *self.late.values(), 0) < 0:
            raise ValueError(_("a packet cannot arrive before it was sent"))
        if self.bandwidth is not None and self.bandwidth <= 0:
            raise ValueError(_("bandwidth {bandwidth} is not positive").format(bandwidth=self.bandwidth))


class Way:
    """One direction in use: its packet counter, its queue and its random numbers."""

    __slots__ = ("bursting", "busy_until", "count", "last", "marked", "plan", "rng", "waiting")

    def __init__(self, plan: Direction, rng: Random) -> None:
        self.plan = plan
        self.rng = rng
        self.count = 0
        self.busy_until = 0
        self.last = 0
        self.bursting = False
        """Whether a burst of losses has begun and not ended."""
        self.marked = False
        """Whether the path marks the last packet as congested."""
        self.waiting: list[int] = []
        """When each packet in the queue will have left it."""

    def carry(self, size: int, now: int) -> list[int]:
        """The arrival times of the copies of a packet of `size` octets. The list is empty if the packet is lost."""
        plan = self.plan
        self.count += 1
        leaves = self._leave(size, now)
        # Draw for every packet, so that `lose` changes nothing for other packets.
        chance = self.rng.random() if plan.loss else 1.0
        jitter = self.rng.randrange(plan.jitter + 1) if plan.jitter else 0
        in_burst = plan.burst is not None and self._in_burst(plan.burst)
        if leaves is None or chance < plan.loss or in_burst or self.count in plan.lose:
            return []
        at = leaves + plan.delay + jitter
        if self.count in plan.late:
            at += plan.late[self.count]
        else:
            at = self.last = max(at, self.last)
        return [at, at] if self.count in plan.duplicate else [at]

    def _leave(self, size: int, now: int) -> int | None:
        """When the packet has left the queue; None if the queue is full."""
        plan = self.plan
        self.marked = self.count in plan.mark
        if plan.bandwidth is None:
            return now
        self.waiting = [at for at in self.waiting if at > now]
        self.marked |= plan.mark_queue is not None and len(self.waiting) >= plan.mark_queue
        if plan.queue is not None and len(self.waiting) > plan.queue:
            return None
        self.busy_until = max(self.busy_until, now) + size * 8 * 1_000_000_000 // plan.bandwidth
        self.waiting.append(self.busy_until)
        return self.busy_until

    def _in_burst(self, burst: Burst) -> bool:
        """Whether the packet is in a burst of losses."""
        drawn = self.rng.random()
        self.bursting = drawn >= 1 / burst.length if self.bursting else drawn < burst.chance
        return self.bursting


class Path:
    """Both directions of a path. Each has its own random numbers."""

    def __init__(self, to_server: Direction, to_client: Direction, seed: str = "") -> None:
        self.ways = {
            CLIENT: Way(to_server, Random(f"{seed}/to server")),
            SERVER: Way(to_client, Random(f"{seed}/to client")),
        }

    def carry(self, sender: str, size: int, now: int) -> list[int]:
        """The arrival times of the copies of a packet from `sender` ("client" or "server")."""
        return self.ways[sender].carry(size, now)

    def marked(self, sender: str) -> bool:
        """Whether the path marks the last packet from `sender` as congested if it is ECN-capable."""
        return self.ways[sender].marked
