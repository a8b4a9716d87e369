"""What lies between two endpoints: delay, and what a network does to packets. Both directions apart, and
seeded.

A path holds no packets: it is asked for each one when it is sent, and says when copies of it arrive. Times
are nanoseconds, sizes octets.
"""

from dataclasses import dataclass, field
from random import Random

CLIENT, SERVER = "client", "server"
HEADERS = {4: 40, 6: 60}
"""Octets of the IP and TCP headers without TCP options, by IP version. A path counts them in a packet's size."""


@dataclass(frozen=True, slots=True)
class Burst:
    """Losses that come together, as E. N. Gilbert modelled them: each packet may begin a burst, in which all are lost.

    ValueError for a chance outside 0..1, or a length below one.
    """

    chance: float
    """The chance that a packet, outside a burst, begins one."""
    length: float
    """How many packets a burst takes on average; how many it takes is geometrically distributed."""

    def __post_init__(self) -> None:
        if not 0 <= self.chance <= 1:
            raise ValueError(f"burst chance {self.chance} is outside 0..1")
        if self.length < 1:
            raise ValueError(f"a burst of {self.length} packets is none")


@dataclass(frozen=True, slots=True)
class Direction:
    """One direction of a path. Packets are counted from 1, in the order in which they are sent.

    ValueError for a chance outside 0..1, a negative time, or a rate that is not positive.
    """

    delay: int = 0
    """How long a packet travels."""
    jitter: int = 0
    """What is added to `delay` at most; packets do not overtake each other by it."""
    bandwidth: int | None = None
    """Bits a second; None: a packet takes no time to be sent."""
    queue: int | None = None
    """Packets that may wait for the ones before them, where there is a bandwidth; one more is dropped."""
    mark_queue: int | None = None
    """Packets that wait when one that joins them is marked as congested where it is ECN-capable (RFC 3168)."""
    loss: float = 0.0
    """The chance that a packet is lost, outside a burst."""
    burst: Burst | None = None
    lose: frozenset[int] = frozenset()
    """Packets that are lost, by number."""
    duplicate: frozenset[int] = frozenset()
    """Packets that arrive twice, by number."""
    mark: frozenset[int] = frozenset()
    """Packets that are marked as congested where they are ECN-capable (RFC 3168), by number."""
    late: dict[int, int] = field(default_factory=dict)
    """Packets that take so much longer and are overtaken, by number."""

    def __post_init__(self) -> None:
        if not 0 <= self.loss <= 1:
            raise ValueError(f"loss {self.loss} is outside 0..1")
        if min(self.delay, self.jitter, *self.late.values(), 0) < 0:
            raise ValueError("a packet cannot arrive before it was sent")
        if self.bandwidth is not None and self.bandwidth <= 0:
            raise ValueError(f"bandwidth {self.bandwidth} is not positive")


class Way:
    """One direction in use: its counter, its queue, its share of chance."""

    __slots__ = ("bursting", "busy_until", "count", "last", "marked", "plan", "rng", "waiting")

    def __init__(self, plan: Direction, rng: Random) -> None:
        self.plan = plan
        self.rng = rng
        self.count = 0
        self.busy_until = 0
        self.last = 0
        self.bursting = False
        """Whether a burst of losses goes on."""
        self.marked = False
        """Whether the path marks the packet that was carried last as congested."""
        self.waiting: list[int] = []
        """When each packet that has not left yet will have left."""

    def carry(self, size: int, now: int) -> list[int]:
        """When the copies of a packet of `size` octets arrive that is sent now; an empty list: it is lost."""
        plan = self.plan
        self.count += 1
        leaves = self._leave(size, now)
        # Drawn for every packet, so that naming one packet as lost changes nothing for the others.
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
        """When the packet has left the queue; None where the queue is full."""
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
        """Whether a burst of losses takes the packet: the one that goes on, or one that begins."""
        drawn = self.rng.random()
        self.bursting = drawn >= 1 / burst.length if self.bursting else drawn < burst.chance
        return self.bursting


class Path:
    """Both directions of a path, each with a generator of its own."""

    def __init__(self, to_server: Direction, to_client: Direction, seed: str = "") -> None:
        self.ways = {
            CLIENT: Way(to_server, Random(f"{seed}/to server")),
            SERVER: Way(to_client, Random(f"{seed}/to client")),
        }

    def carry(self, sender: str, size: int, now: int) -> list[int]:
        """When the copies of a packet arrive that `sender` ("client" or "server") sends now."""
        return self.ways[sender].carry(size, now)

    def marked(self, sender: str) -> bool:
        """Whether the path marks the packet that `sender` sent last, if it is ECN-capable."""
        return self.ways[sender].marked
