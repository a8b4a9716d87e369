"""The retransmission timeout: RFC 6298, in integer nanoseconds."""

from labkit.tcp.endpoint.config import MILLISECOND, Config

GRANULARITY = MILLISECOND
"""G, the clock's tick in RFC 6298: that of the timestamp option."""


class Rtt:
    """Round-trip times as they are measured, and the timeout that follows from them."""

    __slots__ = ("least", "least_variation", "rto", "rto_max", "rto_min", "srtt", "variation")

    def __init__(self, config: Config) -> None:
        # RFC 6298, (2.1): until a round-trip time is known, RTO is 1 second.
        self.rto = config.rto_initial
        self.rto_min = config.rto_min
        self.rto_max = config.rto_max
        self.least_variation = config.rto_min if config.floor_variation else GRANULARITY
        self.srtt: int | None = None
        self.variation = 0
        self.least = 0
        """The shortest round-trip time; 0 before the first one is known."""

    def sample(self, rtt: int, shortest: int | None = None) -> None:
        """Take a measured round-trip time (not of a retransmitted segment, unless timestamps tell which). `shortest` is the
        shortest one that the same acknowledgement shows."""
        shortest = rtt if shortest is None else shortest
        self.least = min(self.least or shortest, shortest)
        if self.srtt is None:
            # (2.2): SRTT <- R, RTTVAR <- R/2
            self.srtt = rtt
            self.variation = rtt // 2
        else:
            # (2.3): RTTVAR <- 3/4 RTTVAR + 1/4 |SRTT - R'|, SRTT <- 7/8 SRTT + 1/8 R', in this order
            self.variation += (abs(self.srtt - rtt) - self.variation) // 4
            self.srtt += (rtt - self.srtt) // 8
        rto = self.srtt + max(self.least_variation, 4 * self.variation)
        self.rto = min(max(rto, self.rto_min), self.rto_max)

    def back_off(self) -> None:
        """The timer ran out: (5.5) RTO <- RTO * 2, until there is a new sample."""
        self.rto = min(self.rto * 2, self.rto_max)
