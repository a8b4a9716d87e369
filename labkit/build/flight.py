"""The segments of a simulated conversation, as the simulation knows them."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from labkit.build.record import Record, States, make_record
from labkit.tcp.segment import Segment

if TYPE_CHECKING:
    from labkit.tcp.endpoint import Outgoing

NO_EDITS: Mapping[str, str] = {}
"""One for all records."""


class Flight:
    """A segment on the path, with everything that its record needs."""

    __slots__ = (
        *("base", "connection", "cwnd", "ident", "label", "marked"),
        *("out", "received", "sender", "sent", "step", "times"),
    )

    def __init__(
        self,
        sender: str,
        out: "Outgoing",
        step: str,
        sent: States,
        ident: int,
        label: int,
        connection: int,
        cwnd: int | None,
    ) -> None:
        self.sender = sender
        self.out = out
        self.step = step
        self.sent = sent
        """The sender's state before and after."""
        self.ident = ident
        self.label = label
        """The IPv6 flow label."""
        self.base = 0
        """The position of the conversation's first connection among those of the trace."""
        self.connection = connection
        """The number of its connection in the conversation."""
        self.cwnd = cwnd
        """The sender's congestion window, in octets."""
        self.received: States | None = None
        """The receiver's state before and after; None until the segment arrives."""
        self.times: Sequence[int] = ()
        """When the copies of the segment arrive."""
        self.marked = False
        """Whether the path has marked it as congested."""

    @property
    def arriving(self) -> Segment:
        """The segment as it arrives."""
        if not self.marked:
            return self.out.segment
        from labkit.build.path import marked  # traces of captures do without it

        return marked(self.out.segment)

    def seen(self, tap: str) -> Segment:
        """The segment as it is captured at a side."""
        return self.out.segment if self.sender == tap else self.arriving

    def states(self, side: str, scripted: Collection[str]) -> States | None:
        """The states of a side; None if it only sends what is written down: nobody knows them."""
        return None if side in scripted else self.sent if side == self.sender else self.received


Captured = tuple[int, str, Flight]
"""A time in nanoseconds, a capture point, and the segment that was captured there then."""


def taps_of(captured: Sequence[Captured]) -> list[str]:
    """The capture points, in the order of their first segments."""
    found: list[str] = []
    for _time, tap, _flight in captured:
        if tap not in found:
            found.append(tap)
    return found


def records_of(captured: Sequence[Captured], scripted: Collection[str]) -> tuple[Record, ...]:
    """The records of captured segments; `scripted` are the sides that only send what is written down."""
    found = []
    for number, (time, tap, flight) in enumerate(captured, 1):
        found.append(
            make_record(
                number,
                time,
                flight.sender,
                flight.seen(tap),
                flight.out.why,
                flight.step,
                flight.states("client", scripted),
                flight.states("server", scripted),
                bool(flight.times),
                NO_EDITS,
                tap,
                flight.ident,
                flight.label,
                flight.base + flight.connection,
                flight.cwnd,
            )
        )
    return tuple(found)
