"""The two ends of a conversation that is played: what the steps of a scenario need to know of each, and have it do.

`crafted.LabkitEnd` is labkit's own TCP, `kernel.Kernel` a socket of the kernel. `ExternalPeer` is a program of which only that is
known which its segments tell.
"""

from typing import Protocol

from labkit.build.scenario.setup import Plan
from labkit.tcp.state import State


class End(Protocol):
    """One end. What it says of itself is as of the last time that it was asked to `go_on`."""

    @property
    def connected(self) -> bool:
        """Whether the handshake is over, as far as this end can tell."""

    @property
    def delivered(self) -> int:
        """Octets that have become readable here."""

    @property
    def heard_end(self) -> bool:
        """Whether the peer has closed, or the connection is gone."""

    @property
    def gone(self) -> bool:
        """Whether there is no connection, or none any more."""

    def knows(self, octets: int) -> bool:
        """Whether it knows that so many octets of its own have arrived."""

    def begins(self, plan: Plan) -> bool:
        """Whether it may begin the step now, as far as that is its own affair."""

    def do(self, plan: Plan, now: int) -> None:
        """Begin a step. UsageError where TCP does not let it."""


class ExternalPeer:
    """The other end of a crafted one, seen through its segments: whatever it does, it does by itself."""

    def __init__(self, seen_by: "PeerView") -> None:
        self._witness = seen_by

    @property
    def connected(self) -> bool:
        """As the crafted end has it."""
        return self._witness.connected

    @property
    def delivered(self) -> int:
        """What it has acknowledged."""
        return self._witness.acknowledged

    @property
    def heard_end(self) -> bool:
        """Whether it has acknowledged the FIN, or the connection is gone."""
        return self._witness.fin_acknowledged or self.gone

    @property
    def gone(self) -> bool:
        """As the crafted end has it."""
        return self._witness.state is State.CLOSED

    def knows(self, octets: int) -> bool:  # noqa: ARG002 - as its siblings
        """Whether everything that has come from it was acknowledged."""
        return not self._witness.owes

    def begins(self, plan: Plan) -> bool:  # noqa: ARG002 - as its siblings
        """Nobody asks it."""
        return True

    def do(self, plan: Plan, now: int) -> None:
        """Its steps are its own affair."""


class PeerView(Protocol):
    """What a crafted end tells of its peer."""

    @property
    def state(self) -> State:
        """The crafted end's state."""

    @property
    def connected(self) -> bool:
        """Whether the handshake is over."""

    @property
    def acknowledged(self) -> int:
        """Octets that the peer has acknowledged."""

    @property
    def fin_acknowledged(self) -> bool:
        """Whether the peer has acknowledged the FIN."""

    @property
    def owes(self) -> bool:
        """Whether something that has come from the peer is yet to be acknowledged."""
