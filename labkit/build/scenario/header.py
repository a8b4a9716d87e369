"""The IPv4 identifications and IPv6 flow labels of one side, as its stack chooses them (`labkit.tcp.stacks.Header`)."""

from dataclasses import replace
from random import Random

from labkit.build.scenario.model import ScenarioModel, Side
from labkit.tcp import stacks
from labkit.tcp.endpoint import Endpoint, Outgoing
from labkit.tcp.segment import ACK, SYN
from labkit.tcp.stacks import Header
from labkit.tcp.state import FIN_WAIT_1, TIME_WAIT

COUNTED = ("count", "host")
"""The identifications that a host counts over all its conversations."""


def header_of(model: ScenarioModel, side: str) -> Header:
    """What the stack of a side writes into headers."""
    given: Side = getattr(model, side)
    header = stacks.load(given.stack).header
    # RFC 6864 section 4.3: the identification tells the fragments of one datagram from those of another.
    return header if model.path.fragment is None else replace(header, ident="count")


def first_ident(header: Header, secret: int, side: str) -> int:
    """What a host's count of identifications adds to."""
    return Random(f"{secret}/{side} identification").getrandbits(16) if header.ident == "host" else 0


class Numbering:
    """Chooses the identification and the flow label of each segment that one side sends in one conversation.

    `secret` is the same for all conversations of a host, `seed` this conversation's own; `used` is how many segments the host has
    sent before.
    """

    __slots__ = ("first", "header", "labels", "over", "seed", "sockets", "used")

    def __init__(self, header: Header, secret: int, seed: int, side: str, used: int) -> None:
        self.header = header
        self.first = first_ident(header, secret, side)
        self.seed = f"{seed}/{side}"
        self.used = used
        self.sockets: dict[int, int] = {}
        """The last identification of each connection."""
        self.over: set[int] = set()
        """The connections that have answered in TIME-WAIT."""
        self.labels: dict[tuple[int, int], int] = {}
        """The flow labels, by connection and by its timeouts so far."""

    def next(self, out: Outgoing, tcp: Endpoint, connection: int) -> tuple[int, int]:
        """The identification and the flow label of a segment of `tcp`."""
        self.used += 1
        label = 0 if self.header.flow_label == "zero" else self._label(out, tcp, connection)
        return self._ident(out, tcp, connection), label

    def _ident(self, out: Outgoing, tcp: Endpoint, connection: int) -> int:
        match self.header.ident:
            case "zero":
                return 0
            case "socket":
                answer = out.segment.ctl & (SYN | ACK) == SYN | ACK and not tcp.active
                if out.stateless or answer or (tcp.state is TIME_WAIT and not self._socket_answers(tcp, connection)):
                    return 0
                last = self.sockets.get(connection)
                if last is None:
                    last = Random(f"{self.seed} identification {connection}").getrandbits(16)
                self.sockets[connection] = found = (last + 1) & 0xFFFF
                return found
            case _:
                return self.first + self.used

    def _socket_answers(self, tcp: Endpoint, connection: int) -> bool:
        """Whether the socket itself answers in TIME-WAIT: the FIN that acknowledges its own FIN. In FIN-WAIT-2 and TIME-WAIT a
        smaller record stands for it, which counts nothing.
        """
        first = connection not in self.over and tcp.before is FIN_WAIT_1
        self.over.add(connection)
        return first

    def _label(self, out: Outgoing, tcp: Endpoint, connection: int) -> int:
        timeouts = tcp.timers.timeouts if self.header.flow_label == "timeout" else 0
        key = (-1, self.used) if out.stateless else (connection, timeouts)
        if key not in self.labels:
            self.labels[key] = Random(f"{self.seed} flow label {key}").randrange(1, 1 << 20)
        return self.labels[key]
