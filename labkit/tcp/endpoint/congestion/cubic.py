"""CUBIC: the window is a cubic function of the time since the last loss, whatever the round-trip time. RFC 9438.

All arithmetic is in whole octets and milliseconds, so that a conversation is the same on every machine.
"""

MILLISECOND = 1_000_000

BETA = 7, 10
"""beta_cubic, the part of the window that remains after a loss (section 4.6)."""
C = 4, 10
"""In segments per cubic second (section 5.1)."""
ALPHA = 9, 17
"""alpha_cubic = 3 * (1 - beta_cubic) / (1 + beta_cubic) (section 4.3)."""
CUBIC_MILLISECONDS = 1_000_000_000
"""In a cubic second."""
PRECISION = 1 << 16
"""Units of W_est per octet: it grows by less than an octet with each ACK."""


class Control:
    """Sections 4.2 to 4.10, with the names of section 4.1.2. Slow start is that of RFC 5681."""

    __slots__ = ("begin", "cwnd", "est", "initial", "k", "mss", "prior", "rest", "ssthresh", "w_max")

    def __init__(self, mss: int, initial: int) -> None:
        self.mss = mss
        self.initial = initial
        self.cwnd = initial
        self.ssthresh = 1 << 30
        self.w_max = 0
        """The window before the last reduction."""
        self.prior = 0
        """cwnd_prior, the same without what fast convergence takes from it."""
        self.begin: int | None = None
        """t_epoch, when this congestion avoidance began; None: it has not."""
        self.k = 0
        """Milliseconds until the window is `w_max` again."""
        self.est = 0
        """W_est, what Reno would have reached, times PRECISION."""
        self.rest = 0
        """The remainder of octets that were too few for the window to grow by one."""

    def acked(self, octets: int, now: int, rtt: int) -> None:
        """New octets were acknowledged."""
        if self.cwnd < self.ssthresh:
            self.cwnd += min(octets, self.mss)
            return
        if self.begin is None:
            self._begin(now)
        assert self.begin is not None  # noqa: S101 - _begin has set it
        elapsed = (now - self.begin) // MILLISECOND
        # Section 4.3: as fast as Reno where that is faster, and from cwnd_prior on by a segment each round trip.
        above, below = ALPHA if self.est < self.prior * PRECISION else (1, 1)
        self.est += PRECISION * above * octets * self.mss // (below * self.cwnd)
        if self.window(elapsed) < self.est // PRECISION:
            self.cwnd = max(self.cwnd, self.est // PRECISION)
            return
        # Section 4.4 and 4.5: towards where the function will be after a round trip, by at most half of the window.
        target = min(max(self.window(elapsed + rtt // MILLISECOND), self.cwnd), self.cwnd * 3 // 2)
        grown, self.rest = divmod((target - self.cwnd) * octets + self.rest, self.cwnd)
        self.cwnd += grown

    def window(self, elapsed: int) -> int:
        """W_cubic(t) = C*(t-K)^3 + W_max (equation 1) in octets, after `elapsed` milliseconds of congestion avoidance."""
        return self.w_max + C[0] * self.mss * (elapsed - self.k) ** 3 // (C[1] * CUBIC_MILLISECONDS)

    def _begin(self, now: int) -> None:
        """Congestion avoidance begins: K = cubic root of ((W_max - cwnd_epoch) / C) (equation 2)."""
        self.begin = now
        # Section 4.8, and section 4.10 for a slow start that ended by itself: the function begins at its plateau.
        self.w_max = max(self.w_max, self.cwnd)
        self.k = cube_root((self.w_max - self.cwnd) * C[1] * CUBIC_MILLISECONDS // (C[0] * self.mss))
        self.est = self.cwnd * PRECISION
        self.rest = 0

    def lost(self, flight: int) -> None:
        """Section 4.6, multiplicative decrease, and section 4.7, fast convergence."""
        above, below = BETA
        self.prior = self.cwnd
        self.w_max = self.cwnd * (below + above) // (2 * below) if self.cwnd < self.w_max else self.cwnd
        self.ssthresh = max(flight * above // below, 2 * self.mss)
        self.cwnd = self.ssthresh
        self.begin = None

    def recovered(self, flight: int) -> None:
        """RFC 6582 section 3.2, step 3, option (1): no burst where little is under way."""
        self.cwnd = min(self.ssthresh, max(flight, self.mss) + self.mss)

    def timed_out(self, flight: int) -> None:
        """Section 4.8: the loss window; the function begins anew where slow start ends."""
        self.lost(flight)
        self.cwnd = self.mss
        self.w_max = 0

    def idle(self) -> None:
        """Section 4.2.1 and RFC 5681 section 4.1; the time without data does not count (section 5.8)."""
        self.cwnd = min(self.cwnd, self.initial)
        self.begin = None


def cube_root(number: int) -> int:
    """The greatest integer whose cube is at most `number` (not negative)."""
    low, high = 0, 1 << (number.bit_length() // 3 + 1)
    while low < high:
        middle = (low + high + 1) // 2
        if middle**3 <= number:
            low = middle
        else:
            high = middle - 1
    return low
