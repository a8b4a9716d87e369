"""Loss recovery of a sender: which octets are lost, and which of them to send again.

One scoreboard serves three kinds of recovery: RFC 6582 (NewReno) where the peer has no SACK, RFC 6675 where it has, and
what follows a retransmission timeout (RFC 5681 section 3.1). Positions are those of `Sender`.
"""

from collections.abc import Iterator

from labkit.tcp.ranges import RangeSet

DUP_THRESH = 3
"""Duplicate ACKs that mean a loss (RFC 5681 section 3.2)."""


class Recovery:
    """The scoreboard. `cause` is None, "fast" or "timeout"."""

    __slots__ = (
        "cause",
        "duplicates",
        "first",
        "high_rxt",
        "inflation",
        "lost_to",
        "point",
        "rescue",
        "sack",
        "sacked",
    )

    def __init__(self) -> None:
        self.sack = False
        """Whether the peer sends SACK options."""
        self.cause: str | None = None
        self.sacked = RangeSet()
        """The positions that the peer has beyond its ACK."""
        self.duplicates = 0
        self.point = 0
        """RecoveryPoint ("recover" in RFC 6582): the recovery is over when everything before it is acknowledged."""
        self.high_rxt = 0
        """HighRxt: everything lost before it has been sent again."""
        self.lost_to = 0
        """Everything before it that the peer lacks counts as lost, whatever the scoreboard says."""
        self.inflation = 0
        """What duplicate ACKs without SACK add to the congestion window (RFC 6582 section 3.2)."""
        self.first = False
        """Whether the next retransmission is the first of a recovery, which does not wait for the window."""
        self.rescue: bool | None = None
        """Whether the end of what is under way may be sent again without a sign that it is lost, once in each recovery:
        None before a partial ACK has come, False where it is done."""

    # What ACKs and the timer report.

    def acknowledged(self, una: int) -> None:
        """Everything before `una` has arrived: forget it."""
        self.sacked.remove_before(una)
        self.duplicates = 0
        if self.cause is None:
            self.inflation = 0

    def start_fast(self, una: int, nxt: int, mss: int) -> None:
        """Three duplicate ACKs: recover until all that is under way now has been acknowledged."""
        self.cause = "fast"
        self.point = nxt
        self.high_rxt = una
        self.lost_to = una + 1
        self.first = True
        self.rescue = None
        self.inflation = 0 if self.sack else DUP_THRESH * mss

    def start_timeout(self, una: int, nxt: int) -> None:
        """The timer ran out: everything that the peer has not acknowledged is lost.

        RFC 2018 section 8: after a timeout the sender must not rely on what was SACKed.
        """
        self.sacked.clear()
        self.cause = "timeout"
        self.point = nxt
        self.high_rxt = una
        self.lost_to = nxt
        self.inflation = 0
        self.first = True

    def partial(self, una: int, acked: int, mss: int) -> None:
        """A partial ACK in a fast recovery without SACK: the next segment is lost too (RFC 6582 section 3.2, step 3)."""
        self.high_rxt = una
        self.lost_to = una + 1
        self.first = True
        self.inflation = max(self.inflation - acked, 0) + (mss if acked >= mss else 0)

    def may_rescue(self) -> None:
        """A partial ACK in a fast recovery with SACK.

        RFC 6675 would let go before what is not known to be lost. But only now a round trip has passed, after which
        whatever has arrived has been reported; before, it may just be under way.
        """
        if self.rescue is None:
            self.rescue = True

    def next_unsure(self, una: int, nxt: int) -> tuple[int, int, bool] | None:
        """What to send again though nothing says that it is lost, where nothing new can be sent: positions [start, end),
        and whether it is the rescue, of which only the last segment goes.

        Rules (3) and (4) of NextSeg (RFC 6675 section 4), once a partial ACK has come.
        """
        for start, end, octets, _ in self._gaps(una, nxt) if self.rescue is not None else ():
            if octets and max(start, self.high_rxt) < end:
                return max(start, self.high_rxt), end, False
            if not octets and self.rescue:
                return start, end, True
        return None

    def stop(self) -> None:
        """End the recovery."""
        self.cause = None
        self.inflation = 0
        self.lost_to = 0
        self.first = False

    # What follows from the scoreboard.

    def _gaps(self, una: int, nxt: int) -> Iterator[tuple[int, int, int, int]]:
        """What the peer lacks: (start, end, octets sacked above, blocks sacked above)."""
        octets = sum(right - left for left, right in self.sacked)
        blocks = len(self.sacked)
        low = una
        for left, right in self.sacked:
            if low < left:
                yield low, left, octets, blocks
            octets -= right - left
            blocks -= 1
            low = right
        if low < nxt:
            yield low, nxt, 0, 0

    def _lost_end(self, gap: tuple[int, int, int, int], mss: int) -> int:
        """The end of a gap's lost part, which begins with the gap.

        IsLost of RFC 6675 section 4: DupThresh blocks, or more than (DupThresh - 1) * SMSS octets, sacked above.
        """
        start, end, octets, blocks = gap
        if blocks >= DUP_THRESH or octets > (DUP_THRESH - 1) * mss:
            return end
        return max(start, min(end, self.lost_to))

    def head_lost(self, una: int, nxt: int, mss: int) -> bool:
        """Whether the scoreboard alone says that the first octet under way is lost (RFC 6675 section 5, step 2)."""
        if not self.sacked:
            return False
        gap = next(self._gaps(una, nxt), None)
        return gap is not None and gap[0] == una and self._lost_end(gap, mss) > una

    def pipe(self, una: int, nxt: int, mss: int) -> int:
        """An estimate of the octets in the network: SetPipe of RFC 6675 section 4."""
        if self.cause is None and not self.sacked:
            return nxt - una
        total = 0
        for gap in self._gaps(una, nxt):
            start, end = gap[0], gap[1]
            lost_end = self._lost_end(gap, mss)
            total += end - lost_end
            total += max(min(end, self.high_rxt) - start, 0)
        return total

    def next_lost(self, una: int, nxt: int, mss: int) -> tuple[int, int] | None:
        """The first octets that are lost and were not sent again: positions [start, end); None where there are none."""
        if self.cause is None:
            return None
        for gap in self._gaps(una, nxt):
            start = max(gap[0], self.high_rxt)
            end = self._lost_end(gap, mss)
            if start < end:
                # A retransmission is a whole segment, though `lost_to` may only point into it.
                return start, gap[1]
        return None
