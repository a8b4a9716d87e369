"""The sending half: what is queued, what is under way, and how far the peer's window reaches.

Positions count this side's sequence numbers from the ISS without wrapping: the SYN is 0, the first octet 1, the FIN follows
the last octet. `seq` and `position` translate at the border, so that nothing inside can stumble over 2**32. The names are
those of RFC 9293 section 3.3.1: `una`, `nxt`, and `edge` for SND.UNA + SND.WND.
"""

from bisect import bisect_left, bisect_right

from labkit.tcp import seq as sn
from labkit.tcp.endpoint.config import Config


class Sender:
    """SND.UNA, SND.NXT, and the octets under way and queued."""

    __slots__ = (
        "base",
        "cuts",
        "data",
        "edge",
        "end",
        "fin",
        "high",
        "iss",
        "keeps_window",
        "max_wnd",
        "more",
        "mss",
        "nxt",
        "pushes",
        "shift",
        "small",
        "timed",
        "una",
        "up",
        "wl1",
        "wl2",
    )

    def __init__(self, iss: int, config: Config) -> None:
        self.iss = iss
        self.una = 0
        self.nxt = 0
        self.high = 0
        """The position after the last one ever sent: beyond `nxt` only by the octet of a zero-window probe."""
        self.edge = 0
        self.max_wnd = 0
        self.keeps_window = config.keep_window
        self.shift = 0
        self.wl1 = 0
        self.wl2 = 0
        self.mss = min(config.max_payload, config.default_mss)
        """SendMSS, the largest payload of a segment without options."""
        self.data = bytearray()
        self.base = 1
        """The position of the first octet in `data`."""
        self.end = 1
        """The position after the last octet that the application has sent."""
        self.more = False
        """Whether the application has announced more octets, for which a segment that is not full waits."""
        self.fin: int | None = None
        """The position of the FIN, once CLOSE was called."""
        self.pushes: list[int] = []
        """Where each SEND ended: the segment with the octet before it has PSH (section 3.9.1.2)."""
        self.cuts: list[int] = []
        """Where each segment under way ends, so that a retransmission is cut as the first transmission was."""
        self.timed: tuple[int, int] | None = None
        """The segment whose round trip is being measured: its end, and when it was sent."""
        self.small = 0
        """SND.SML, the position after the last segment that was not full-sized."""
        self.up = 0
        """SND.UP, the position after the last urgent octet; nothing is urgent once it is acknowledged."""

    def seq(self, position: int) -> int:
        """The sequence number at a position."""
        return sn.add(self.iss, position)

    def position(self, number: int) -> int:
        """The position of a sequence number, the one nearest to SND.UNA."""
        return sn.unwrapped(number, self.iss, self.una)

    @property
    def fin_acked(self) -> bool:
        """Whether the peer has acknowledged the FIN."""
        return self.fin is not None and self.una > self.fin

    def write(self, data: bytes | bytearray | memoryview, urgent: bool = False, more: bool = False) -> None:
        """Queue octets that the application sends; they are pushed unless it has `more`."""
        self.data += data
        self.end += len(data)
        self.more = more
        if not more:
            self.pushes.append(self.end)
        if urgent:
            self.up = self.end

    def payload(self, low: int, high: int) -> bytes:
        """The octets at positions [low, high)."""
        return bytes(self.data[low - self.base : high - self.base])

    def pushed(self, low: int, high: int) -> bool:
        """Whether a SEND ended within positions [low, high)."""
        at = bisect_right(self.pushes, low)
        return at < len(self.pushes) and self.pushes[at] <= high

    def cut(self, low: int, high: int) -> int:
        """The end of a retransmission from `low`: that of the first transmission, at most `high`."""
        at = bisect_right(self.cuts, low)
        return min(high, self.cuts[at]) if at < len(self.cuts) else high

    def last_cut(self, low: int, high: int, room: int) -> int:
        """The start of the last segment of positions [low, high), at most `room` before its end."""
        at = bisect_left(self.cuts, high)
        return max(low, high - room, self.cuts[at - 1] if at else low)

    def sent(self, low: int, high: int, now: int) -> None:
        """Record that positions [low, high) were transmitted for the first time, or again after a probe."""
        self.cuts.append(high)
        self.nxt = high
        if self.high < high:
            self.high = high
        if self.timed is None and low != high:
            self.timed = (high, now)

    def take_back(self) -> None:
        """Send everything from SND.UNA on as if for the first time: the peer has discarded it."""
        self.nxt = self.high = self.una
        self.cuts.clear()
        self.timed = None

    def acknowledge(self, position: int) -> None:
        """The peer has everything before `position` (una < position =< high)."""
        self.una = position
        self.nxt = max(self.nxt, position)
        octets = min(position, self.end) - self.base
        if octets > 0:
            del self.data[:octets]
            self.base += octets
        del self.cuts[: bisect_right(self.cuts, position)]
        del self.pushes[: bisect_right(self.pushes, position)]

    def update_window(self, field: int, start: int, ack: int) -> bool:
        """Section 3.10.7.4, fifth step: take SEG.WND unless the segment is older than the last that was used.

        `start` and `ack` are the positions of SEG.SEQ and SEG.ACK. True where the right edge moved.
        """
        window = field << self.shift
        if self.keeps_window and self.wl1 == start and self.wl2 == ack and 0 < window < self.edge - ack:
            return False
        if self.wl1 < start or (self.wl1 == start and self.wl2 <= ack):
            self.wl1, self.wl2 = start, ack
            before, self.edge = self.edge, ack + window
            if self.max_wnd < window:
                self.max_wnd = window
            return self.edge != before
        return False
