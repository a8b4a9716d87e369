"""An external program at the other end of a live conversation."""

from collections.abc import Callable

from labkit.live.labkit_end import LabkitEnd


class Independent:
    """What an `End` of the steps does that acts on its own: nothing."""

    step = ""
    reading = True
    heard = 0

    def serves(self, connection: int) -> bool:  # noqa: ARG002 - part of the protocol
        """Always true."""
        return True

    def _ignore(self, *_arguments: object, **_options: object) -> None:
        """Do nothing."""

    connect = send = close = abort = crash = flush = _ignore

    def script(self, line: object, now: int) -> Callable[[], bool]:  # noqa: ARG002 - part of the protocol
        """Do nothing."""
        return lambda: True


class ExternalPeer(Independent):
    """An external program, as an `End` of the scenario's steps: it acts on its own, and labkit sees only its segments."""

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
        """Whether the peer has acknowledged labkit's FIN, or the connection is gone."""
        return self._view.fin_acknowledged or self.gone

    @property
    def gone(self) -> bool:
        """Whether labkit's end has no connection."""
        return self._view.gone

    def knows(self, octets: int) -> bool:  # noqa: ARG002 - part of the protocol
        """Whether labkit has acknowledged all segments of the peer."""
        return not self._view.owes
