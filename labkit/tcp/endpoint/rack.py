"""Which segments are lost, judged by time (RFC 8985): whatever was sent long enough before one that has arrived.

`Rack` also counts what decides on the congestion window in a recovery: the deliveries of RFC 9937 (proportional rate
reduction), and what may prove a recovery needless (RFC 3708 by D-SACK, RFC 4015 by timestamps, RFC 5682 by new data). `by_time`
connects it to the connection. Times are nanoseconds, amounts segments, positions those of `Sender`.
"""

from labkit.tcp.endpoint.config import Config
from labkit.tcp.endpoint.scoreboard import Scoreboard, Sent

DUP_THRESH = 3
"""Segments that must have arrived behind a gap for a loss without a reordering window (RFC 5681 section 3.2)."""
MAX_DEGREE = 300
"""The most segments by which others may have been overtaken."""
PERSIST = 16
"""Recoveries without a D-SACK after which the reordering window is small again (RFC 8985 section 6.2, step 4)."""
MAX_STEPS = 255
"""Quarters of the shortest round trip in the widest reordering window."""
OPEN, DISORDER, CWR, RECOVERY, LOSS = range(5)
"""What the connection does about congestion: nothing; it waits for what was overtaken; it reduces its window after a mark; it
recovers from a loss; it recovers from a timeout."""
LOST, NEW = "lost", "new"


class Rack:
    """The segments under way, and what is known of their losses."""

    __slots__ = (
        *("board", "config", "high", "state"),
        *("advanced", "degree", "latest", "rtt", "seen_reordering"),
        *("dsack_pending", "last_widened", "persist", "steps"),
        *("delivered", "dsacks", "losses", "retransmissions", "transmissions"),
        *("first_resent", "undo_from", "undo_left"),
        *("prior_ssthresh", "prior_window", "round_delivered", "round_out"),
        *("probe_end", "probe_is_old", "try_new"),
        *("limited", "limited_to", "most_out"),
        *("in_burst", "plan", "send"),
    )

    def __init__(self, config: Config) -> None:
        self.config = config
        self.board = Scoreboard()
        self.state = OPEN
        self.high = 0
        """The position that ends the present state: what was sent by then."""
        # RFC 8985 section 6.1.
        self.latest = 0
        """RACK.segment: which transmission is the last one of those that have arrived. (Many are sent at the same time.)"""
        self.rtt = 0
        """RACK.rtt, that segment's round trip."""
        self.advanced = False
        """Whether something has arrived since losses were last looked for."""
        self.seen_reordering = False
        self.degree = DUP_THRESH
        """How many segments may overtake another one."""
        # RFC 8985 section 6.2, step 4: the reordering window.
        self.steps = 1
        self.persist = 0
        self.dsack_pending = False
        self.last_widened = 0
        """`delivered` when the window was last widened."""
        self.delivered = 1
        """All segments that have arrived, with the SYN."""
        self.losses = 0
        """All transmissions that were lost."""
        self.transmissions = 0
        """All transmissions."""
        self.retransmissions = 0
        self.dsacks = 0
        """All segments that the peer got twice."""
        # RFC 3708 and 4015: a recovery that was needless.
        self.undo_from: int | None = None
        """The first position of a recovery that may be undone; None: nothing may be undone."""
        self.undo_left = -1
        """Retransmissions of the recovery that the peer has not reported as duplicates; -1: there was none yet."""
        self.first_resent: int | None = None
        """The timestamp clock at the first retransmission of the recovery."""
        self.prior_ssthresh = 0
        """What to restore, in octets; 0: nothing."""
        self.prior_window = 0
        # RFC 9937 section 6: prr_delivered and prr_out.
        self.round_delivered = 0
        self.round_out = 0
        self.try_new = False
        """Whether a timeout may still be spurious (RFC 5682 section 3)."""
        self.probe_end: int | None = None
        """TLP.end_seq (RFC 8985 section 7.1): SND.NXT when the tail was probed; None while no probe is under way."""
        self.probe_is_old = False
        """TLP.is_retrans."""
        # RFC 9438 section 5.8, RFC 7661: a window that is not used does not grow.
        self.limited = False
        """Whether the congestion window has held back data."""
        self.limited_to = 0
        self.most_out = 0
        """The most segments under way in the present window of data."""
        self.send = ""
        """What an ACK or a timer lets out beside new data: nothing, `LOST` segments, or `NEW` data instead of them."""
        self.in_burst = 0
        """How many new segments have left at once."""
        self.plan = False
        """Whether the timer of the tail loss probe is to be set."""

    # What was sent.

    def sent(self, low: int, high: int, now: int) -> None:
        """Positions [low, high) were sent for the first time, as one segment."""
        self.transmissions += 1
        self.board.queue.append(Sent(low, high, now, self.transmissions, self.delivered))
        if self.in_reduction:
            self.round_out += 1
        self.plan = True

    def resent(self, each: Sent, now: int, clock: int) -> None:
        """A segment was sent again, when the timestamp clock showed `clock`."""
        self._again(each, now)
        if not each.resent:
            each.resent = True
            self.board.resent += 1
        if self.first_resent is None:
            self.first_resent = clock
        self.undo_left = max(self.undo_left, 0) + 1
        if self.in_reduction:
            self.round_out += 1

    def _again(self, each: Sent, now: int) -> None:
        self.transmissions += 1
        self.retransmissions += 1
        each.ever, each.time, each.order, each.delivered = True, now, self.transmissions, self.delivered

    def probed(self, last: Sent, now: int) -> None:
        """The last segment was sent again as a probe. It does not count as a retransmission."""
        self._again(last, now)

    def used(self, una: int, nxt: int, *, held_back: bool, sent: bool) -> None:
        """New data was sent, or held back by the congestion window: remember how much of the window is used."""
        if not (sent or held_back):
            return
        if una >= self.limited_to or held_back or (not self.limited and len(self.board) > self.most_out):
            self.limited, self.most_out, self.limited_to = held_back, len(self.board), nxt

    @property
    def in_reduction(self) -> bool:
        """Whether the congestion window is being reduced step by step."""
        return self.state in (CWR, RECOVERY)

    @property
    def resent_unknown(self) -> bool:
        """Whether a retransmission is under way, or the first segment was sent again."""
        head = self.board.head
        return self.board.resent > 0 or (head is not None and head.ever)

    # What has arrived.

    def arrived(self, each: Sent, now: int, least: int) -> None:
        """A segment has arrived (RFC 8985 section 6.2, steps 1 and 2). `least` is the shortest round trip so far."""
        rtt = now - each.time
        if each.ever and rtt < least:
            # Either transmission may have arrived.
            return
        self.advanced = True
        self.rtt = rtt
        self.latest = max(self.latest, each.order)

    def reordered(self, low: int, una: int, mss: int) -> None:
        """A segment that begins at `low` and was sent once has arrived late."""
        top = una if self.board.top is None else self.board.top
        if low < top:
            self.seen_reordering = True
            if top - low > self.degree * mss:
                self.degree = min(-((low - top) // mss), MAX_DEGREE)

    def duplicated(self, count: int, *, by_probe: bool) -> bool:
        """The peer got segments twice; whether this side has sent them twice."""
        self.dsacks += count
        if self.dsacks > self.retransmissions:
            return False
        if self.seen_reordering and not by_probe:
            self.dsack_pending = True
        return True

    def undo_one(self, end: int, count: int = 1) -> None:
        """The peer got a retransmission that ends at `end` beside the first transmission."""
        if self.undo_from is not None and self.undo_left > 0 and end > self.undo_from:
            self.undo_left = max(self.undo_left - count, 0)

    def widen(self, prior: int) -> None:
        """RFC 8985 section 6.2, step 4: D-SACKs widen the reordering window once in a round trip. `prior` is what had been
        delivered when the last segment that has arrived was sent; 0: none has."""
        if not prior or not self.config.adaptive_reordering:
            return
        if prior < self.last_widened:
            self.dsack_pending = False
        if self.dsack_pending:
            self.steps = min(self.steps + 1, MAX_STEPS)
            self.dsack_pending = False
            self.last_widened = self.delivered
            self.persist = PERSIST
        elif not self.persist:
            self.steps = 1

    # What is lost.

    def _window(self, least: int, srtt: int) -> int:
        """RACK.reo_wnd: how long a segment that was overtaken may be late."""
        if not self.seen_reordering and (self.state >= RECOVERY or self.board.sacked >= self.degree):
            return 0
        return min(least // 4 * self.steps, srtt)

    def find_losses(self, now: int, least: int, srtt: int) -> int:
        """RFC 8985 section 6.2, step 5: mark what is lost; return how long to wait for what may be lost, or 0."""
        window, wait = self._window(least, srtt), 0
        for each in self.board:
            if each.sacked or (each.lost and not each.resent):
                continue
            if each.order >= self.latest:
                continue
            left = self.rtt + window - (now - each.time)
            if left > 0:
                wait = max(wait, left)
            else:
                self.lose(each)
        return wait

    def lose(self, each: Sent) -> None:
        """Mark a segment as lost."""
        self.losses += self.board.lose(each)

    def lose_all(self, now: int) -> None:
        """The timer ran out: all is lost but what was sent within the last round trip (RFC 8985 section 6.3)."""
        head = self.board.head
        if head is not None and head.sacked:
            # RFC 2018 section 8: the peer has discarded what it had reported.
            self.board.forget_reports()
        for each in self.board:
            if not each.sacked and (each is head or self.rtt <= now - each.time):
                self.lose(each)

    # Whether it was needless.

    def may_undo(self, echo: int | None) -> bool:
        """Whether the recovery was needless: each retransmission arrived as a duplicate, or the peer answered what had been sent
        before all of them. `echo` is the timestamp that the peer echoes, less the clock at the first retransmission: negative
        if older; None where that is not known."""
        return self.undo_from is not None and (not self.undo_left or self.was_delayed(echo))

    def was_delayed(self, echo: int | None) -> bool:
        """Whether an ACK answers what had been sent before the first retransmission (RFC 4015)."""
        return self.first_resent is None or (echo is not None and echo < 0)

    def begin_undo(self, una: int) -> None:
        """A recovery begins that may be undone."""
        self.undo_from = una
        probes = self.probe_end is not None and self.probe_is_old
        self.undo_left = self.board.resent + probes or -1
