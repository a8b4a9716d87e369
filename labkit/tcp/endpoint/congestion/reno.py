"""Reno: slow start, congestion avoidance and what a loss does to the window. RFC 5681, counting octets (RFC 3465)."""


class Control:
    """RFC 5681 sections 3.1 and 3.2. Inflating the window by duplicate ACKs is the recovery's business."""

    __slots__ = ("counted", "cwnd", "initial", "mss", "ssthresh")

    def __init__(self, mss: int, initial: int) -> None:
        self.mss = mss
        self.initial = initial
        self.cwnd = initial
        # "The initial value of ssthresh SHOULD be set arbitrarily high" (section 3.1)
        self.ssthresh = 1 << 30
        self.counted = 0

    def acked(self, octets: int, now: int, rtt: int) -> None:  # noqa: ARG002 - only the count matters here
        """New octets were acknowledged."""
        if self.cwnd < self.ssthresh:
            # Slow start, equation (2): cwnd += min (N, SMSS)
            self.cwnd += min(octets, self.mss)
            return
        # Congestion avoidance: "increase cwnd by at most SMSS per RTT", once cwnd octets have been acknowledged
        self.counted += octets
        if self.counted >= self.cwnd:
            self.counted -= self.cwnd
            self.cwnd += self.mss

    def lost(self, flight: int) -> None:
        """Equation (4): ssthresh = max (FlightSize / 2, 2*SMSS), and cwnd with it."""
        self.ssthresh = max(flight // 2, 2 * self.mss)
        self.cwnd = self.ssthresh
        self.counted = 0

    def recovered(self, flight: int) -> None:
        """RFC 6582 section 3.2, step 3, option (1): no burst where little is under way."""
        self.cwnd = min(self.ssthresh, max(flight, self.mss) + self.mss)

    def timed_out(self, flight: int) -> None:
        """Section 3.1: the loss window is one full-sized segment."""
        self.lost(flight)
        self.cwnd = self.mss

    def idle(self) -> None:
        """Section 4.1: restart with no more than the initial window."""
        self.cwnd = min(self.cwnd, self.initial)
