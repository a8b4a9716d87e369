"""CUBIC as Linux 6.18 computes it (net/ipv4/tcp_cubic.c, tcp_cong_avoid_ai): the same function as RFC 9438's, in whole segments.

The window grows by a segment for each `per` segments that have arrived, and the function is rounded in its favour.
"""

from labkit.tcp.endpoint.congestion import cubic
from labkit.tcp.endpoint.congestion.cubic import CUBIC_MILLISECONDS, MILLISECOND, C, cube_root

RECENT = 31 * MILLISECOND
"""The function is not computed again within this time, while the window is the same."""
RENO_STEP = 15
"""Eighths of a window that must arrive before Reno's window, after the same reductions, grows by a segment."""
LEAST, MOST, MOST_AT_FIRST = 2, 100, 20
"""Bounds of `per`: segments; windows, on the plateau; segments, before the first loss."""


class Control(cubic.Control):
    """With the names of the module that it extends."""

    __slots__ = ("arrived", "computed", "credit", "origin", "per", "reno")

    def __init__(self, mss: int, initial: int) -> None:
        super().__init__(mss, initial)
        self.arrived = 0
        """Segments that count for Reno's window."""
        self.credit = 0
        """Segments that count for the next growth."""
        self.computed = (0, 0)
        """When the function was last computed, and for which window."""
        self.per = LEAST
        self.reno = 0
        self.origin = 0
        """The window of the plateau, in segments."""

    def acked(self, octets: int, now: int, rtt: int) -> None:
        """New octets were acknowledged."""
        if self.cwnd < self.ssthresh:
            super().acked(octets, now, rtt)
            return
        count, window = octets // self.mss, self.cwnd // self.mss
        self._update(count, window, now, rtt)
        if self.credit >= self.per:
            self.credit, window = 0, window + 1
        grown, self.credit = divmod(self.credit + count, self.per)
        self.cwnd = (window + grown) * self.mss

    def _update(self, count: int, window: int, now: int, rtt: int) -> None:
        """Compute how many segments must arrive for the window to grow by one."""
        self.arrived += count
        when, before = self.computed
        if self.begin is not None and before == window and now - when <= RECENT:
            return
        most = self.w_max // self.mss
        self.computed = now, window
        if self.begin is None:
            self.begin, self.arrived, self.reno = now, count, window
            self.k = cube_root(max(most - window, 0) * C[1] * CUBIC_MILLISECONDS // C[0])
            self.origin = max(most, window)
        elapsed = (now - self.begin + rtt) // MILLISECOND
        rest = C[0] * abs(elapsed - self.k) ** 3 // (C[1] * CUBIC_MILLISECONDS)
        target = self.origin - rest if elapsed < self.k else self.origin + rest
        self.per = window // (target - window) if target > window else MOST * window
        if not self.w_max:
            self.per = min(self.per, MOST_AT_FIRST)
        step = window * RENO_STEP >> 3
        if self.arrived > step:
            more = (self.arrived - 1) // step
            self.arrived -= more * step
            self.reno += more
        if self.reno > window:
            self.per = min(self.per, window // (self.reno - window))
        self.per = max(self.per, LEAST)

    def lost(self, flight: int) -> None:
        """A reduction: credits are gone, too."""
        super().lost(flight)
        self.credit = 0
