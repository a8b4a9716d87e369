"""Congestion control: how much may be under way. One algorithm a file; `load` finds it by the file's name.

A module here defines `Control`, a class with the methods of `Algorithm`. The endpoint tells it what happened (acknowledged,
lost, timed out, idle) and reads `cwnd`. Amounts are octets.
"""

from functools import cache
from importlib import import_module
from typing import Protocol

from labkit.errors import UsageError
from labkit.modules import modules_in


class Algorithm(Protocol):
    """What the endpoint needs of a congestion control (RFC 5681's names)."""

    cwnd: int
    ssthresh: int
    mss: int

    def acked(self, octets: int, now: int, rtt: int) -> None:
        """New octets were acknowledged, outside of a recovery. `rtt` is the smoothed round-trip time in nanoseconds, 0
        where there is none yet."""

    def lost(self, flight: int) -> None:
        """A loss was detected by duplicate ACKs, or the network marked a packet, with `flight` octets under way."""

    def recovered(self, flight: int) -> None:
        """The recovery that `lost` began is over."""

    def timed_out(self, flight: int) -> None:
        """The retransmission timer ran out for the first time with `flight` octets under way."""

    def idle(self) -> None:
        """Nothing was sent for longer than the retransmission timeout."""


@cache
def names() -> tuple[str, ...]:
    """The algorithms that there are."""
    return tuple(modules_in(__path__))


def load(name: str, mss: int, initial: int) -> Algorithm:
    """A fresh control by name, for segments of `mss` octets and a first window of `initial` octets."""
    if name not in names():
        raise UsageError(f"congestion control {name!r} is not known; there are: {', '.join(names())}")
    control: Algorithm = import_module(f"{__name__}.{name}").Control(mss, initial)
    return control
