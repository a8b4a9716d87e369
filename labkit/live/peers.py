"""The ends of a live conversation, as the scenario's steps use them.

`labkit_end.LabkitEnd` is labkit's own TCP and `kernel.KernelSocket` a socket of the kernel. `ExternalPeer` is another program,
which labkit knows only through its segments.
"""

from typing import Protocol

from labkit.build.scenario.setup import Plan
from labkit.live.labkit_end import LabkitEnd


class End(Protocol):
    """One end of a conversation."""

    @property
    def connected(self) -> bool:
        """Whether the handshake is complete, as far as this end knows."""

    @property
    def delivered(self) -> int:
        """Octets that TCP has delivered to the application."""

    @property
    def peer_closed(self) -> bool:
        """Whether the peer has closed, or the connection is gone."""

    @property
    def gone(self) -> bool:
        """Whether there is no connection, or it has ended."""

    def knows(self, octets: int) -> bool:
        """Whether it knows that this many of its octets have arrived."""

    def begins(self, plan: Plan) -> bool:
        """Whether this end can begin the step now."""

    def do(self, plan: Plan, now: int) -> None:
        """Begin a step. UsageError if TCP forbids it."""


class ExternalPeer:
    """An external program at the other end. It acts on its own, and labkit infers its state from the segments."""

    def __init__(self, view: LabkitEnd) -> None:
        self._view = view

    @property
    def connected(self) -> bool:
        """Whether labkit's end is connected."""
        return self._view.connected

    @property
    def delivered(self) -> int:
        """Octets that the peer has acknowledged."""
        return self._view.acknowledged

    @property
    def peer_closed(self) -> bool:
        """Whether the peer has acknowledged the FIN, or the connection is gone."""
        return self._view.fin_acknowledged or self.gone

    @property
    def gone(self) -> bool:
        """Whether labkit's end has no connection."""
        return self._view.gone

    def knows(self, octets: int) -> bool:  # noqa: ARG002 - part of the protocol
        """Whether labkit has acknowledged all segments of the peer."""
        return not self._view.owes

    def begins(self, plan: Plan) -> bool:  # noqa: ARG002 - part of the protocol
        """Always true: an external peer acts on its own."""
        return True

    def do(self, plan: Plan, now: int) -> None:
        """Do nothing: an external peer acts on its own."""
