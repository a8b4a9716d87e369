"""Two endpoints joined in memory, on a clock of their own."""

import heapq
from collections.abc import Callable
from random import Random

from labkit.tcp.endpoint import Config, Endpoint, Notice
from labkit.tcp.segment import Segment, control_names
from labkit.tcp.state import State

MS = 1_000_000


class ConnectionPair:
    """`client` and `server` with a path of `delay` between them; `log` holds what was sent.

    `carry(name, number, segment)` says what becomes of the number-th segment (from 1) of a side: a list of
    extra delays, one for each copy that arrives; an empty list loses it. Data is read as it arrives unless
    `reading` is taken away from a side.
    """

    def __init__(
        self,
        client: Config | None = None,
        server: Config | None = None,
        delay: int = 10 * MS,
        carry: Callable[[str, int, Segment], list[int]] | None = None,
    ) -> None:
        self.now = 0
        self.delay = delay
        self.carry = carry
        self.client = Endpoint(client or Config(iss=100), Random(1))
        self.server = Endpoint(server or Config(iss=300), Random(2))
        self.ends = {"client": self.client, "server": self.server}
        self.log: list[tuple[int, str, Segment, str]] = []
        self.read = {"client": bytearray(), "server": bytearray()}
        self.reading = {"client", "server"}
        self.notices: dict[str, list[Notice]] = {"client": [], "server": []}
        self._wire: list[tuple[int, int, str, Segment]] = []
        self._counts = {"client": 0, "server": 0}

    def connect(self) -> "ConnectionPair":
        """The handshake, to its end."""
        self.server.listen()
        self.client.open(self.now)
        self.flush()
        self.run(self.now + 4 * self.delay)
        assert (self.client.state, self.server.state) == (State.ESTABLISHED, State.ESTABLISHED)
        return self

    def flush(self) -> None:
        """Put on the path what the endpoints want to send now; read what they have."""
        for name, end in self.ends.items():
            if name in self.reading:
                self.read[name] += end.read()
            for out in end.segments(self.now):
                self._send(name, out.segment, out.why)
            self.notices[name] += end.events()

    def inject(self, name: str, segment: Segment) -> None:
        """A segment arrives at a side from nowhere, now."""
        self.ends[name].receive(segment, self.now)
        self.flush()

    def run(self, until: int | None = None) -> None:
        """Let time pass: to `until`, or until nothing more happens."""
        for _ in range(200_000):
            due = [end.timeout() for end in self.ends.values()]
            times = [at for at in due if at is not None]
            if self._wire:
                times.append(self._wire[0][0])
            if not times or (until is not None and min(times) > until):
                if until is not None:
                    self.now = max(self.now, until)
                return
            self.now = max(self.now, min(times))
            self._step()
        raise AssertionError("the conversation does not end")

    def _step(self) -> None:
        if self._wire and self._wire[0][0] <= self.now:
            _, _, name, segment = heapq.heappop(self._wire)
            self.ends[name].receive(segment, self.now)
        else:
            for end in self.ends.values():
                at = end.timeout()
                if at is not None and at <= self.now:
                    end.handle_timeout(self.now)
        self.flush()

    def _send(self, name: str, segment: Segment, why: str) -> None:
        self.log.append((self.now, name, segment, why))
        self._counts[name] += 1
        copies = [0] if self.carry is None else self.carry(name, self._counts[name], segment)
        other = "server" if name == "client" else "client"
        for extra in copies:
            heapq.heappush(self._wire, (self.now + self.delay + extra, len(self.log), other, segment))

    def lines(self, since: int = 0) -> list[str]:
        """What was sent, a line each, with relative numbers: `> PSH ACK 1:100 ack 1`."""
        found = []
        for _, name, segment, _ in self.log[since:]:
            own, peer = (self.client, self.server) if name == "client" else (self.server, self.client)
            start = own.snd.position(segment.seq) if own.snd.high else segment.seq
            ack = peer.snd.position(segment.ack) if "ACK" in control_names(segment.ctl) else None
            arrow = ">" if name == "client" else "<"
            text = f"{arrow} {control_names(segment.ctl)} {start}:{start + len(segment.payload)}"
            found.append(text if ack is None else f"{text} ack {ack}")
        return found

    @property
    def states(self) -> tuple[State, State]:
        """The client's state and the server's."""
        return self.client.state, self.server.state
