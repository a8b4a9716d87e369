"""The timestamps option of one endpoint (RFC 7323 sections 3 to 5): its clock, and the peer's last one."""

from labkit.tcp import options as opt
from labkit.tcp import seq as sn
from labkit.tcp.endpoint.config import MILLISECOND
from labkit.tcp.segment import Segment

PAWS_IDLE = 24 * 86_400 * 1_000_000_000
"""After 24 days TS.Recent is invalid: a clock of a millisecond may have gone half around (section 5.5)."""


class Timestamps:
    """TS.Recent, Last.ACK.sent, and the clock, which ticks once a millisecond (section 5.4)."""

    __slots__ = ("agreed", "last_ack", "offset", "recent", "recent_at")

    def __init__(self, offset: int) -> None:
        self.agreed = False
        """Whether both sides use timestamps."""
        self.offset = offset
        self.recent = 0
        """TS.Recent (section 4.3), and when it was set."""
        self.recent_at = 0
        self.last_ack = 0
        """Last.ACK.sent, as a position."""

    def clock(self, now: int) -> int:
        """What the clock shows."""
        return sn.add(self.offset, now // MILLISECOND)

    def option(self, now: int) -> opt.Timestamps:
        """The option of a segment that goes out now."""
        return opt.Timestamps(self.clock(now), self.recent)

    def of(self, segment: Segment) -> opt.Timestamps | None:
        """The option of a segment; None where timestamps were not agreed on."""
        return segment.option(opt.Timestamps) if self.agreed else None

    def is_valid(self, now: int) -> bool:
        """Whether TS.Recent is not too old to judge by (section 5.5)."""
        return now - self.recent_at <= PAWS_IDLE

    def take(self, value: int, now: int) -> None:
        """Set TS.Recent."""
        self.recent, self.recent_at = value, now
