"""What a sender with RACK (RFC 8985) does when an acknowledgement arrives, or a timer expires: losses, the congestion window in a
recovery (RFC 9937), and the end of a recovery that was needless (RFC 3708, 4015, 5682).

`acks` does the same for a sender that counts duplicate acknowledgements.
"""

from typing import TYPE_CHECKING

from labkit.tcp import options as opt
from labkit.tcp import seq as sn
from labkit.tcp.endpoint import acks, output
from labkit.tcp.endpoint.congestion import Algorithm
from labkit.tcp.endpoint.rack import CWR, DISORDER, DUP_THRESH, LOSS, LOST, NEW, OPEN, PERSIST, RECOVERY, Rack
from labkit.tcp.segment import Segment

if TYPE_CHECKING:
    from labkit.tcp.endpoint.endpoint import Endpoint

TIMER_TICK = 2_000_000
"""Nanoseconds that a timer of less than a round trip waits longer, so that it does not race against an ACK."""
LEAST_DISTRUST = 10_000_000
"""Nanoseconds after which what the peer reported and took back is sent again; half of a round trip, if that is longer."""


class Ack:
    """What one acknowledgement says."""

    __slots__ = (
        *("acked", "before", "dsack", "ece", "echo", "first", "last", "news"),
        *("original", "prior", "probe", "resent", "una"),
    )

    def __init__(self, before: int, una: int, ece: bool) -> None:
        self.before = before
        """SND.UNA before it."""
        self.una = una
        self.ece = ece
        """Whether it echoes a mark of congestion."""
        self.echo: int | None = None
        """The timestamp that it echoes."""
        self.acked = False
        """Whether it acknowledges a segment."""
        self.news = False
        """Whether it reports a segment by SACK."""
        self.dsack = False
        """Whether it reports that a retransmission arrived twice."""
        self.probe = False
        """Whether the retransmission is the tail loss probe (RFC 8985 section 7.4)."""
        self.original = False
        """Whether it acknowledges or reports what was sent once, before the present state began."""
        self.resent = False
        """Whether it acknowledges a retransmission."""
        self.first: int | None = None
        """When the first segment that it acknowledges, and that was sent once, was sent; else the first that it reports."""
        self.last: int | None = None
        """When the last of these segments was sent."""
        self.prior = (0, 0)
        """Of the segment sent last among those that have arrived: which transmission it was, and what had been delivered then."""

    @property
    def unusual(self) -> bool:
        """Whether it tells of congestion, or of what arrived out of order."""
        return self.news or self.ece or self.dsack

    @property
    def advances(self) -> bool:
        """Whether it acknowledges anything."""
        return self.una > self.before


def arrived(end: "Endpoint", position: int, segment: Segment, now: int, *, moved: bool = False) -> None:
    """An acknowledgement of everything before `position` arrived; `moved` tells whether it moved the window."""
    snd, rack, control, timers = end.snd, end.rack, end.control, end.timers
    assert rack is not None and control is not None  # noqa: S101 - the caller knows
    board, old = rack.board, position < snd.una
    out, top = len(board), snd.una if board.top is None else board.top
    delivered, losses = rack.delivered, rack.losses
    ack = Ack(snd.una, max(position, snd.una), ece=end.ecn.agreed and not old and end.ecn.echoes(segment))
    stamp = end.stamps.of(segment)
    ack.echo = stamp.echo if stamp is not None and stamp.echo else None
    if ack.advances:
        if not ack.before:
            acks.measure(end, position, segment, now)
        snd.acknowledge(position)
        timers.retries = timers.persist_for = 0
    _selective(end, rack, segment, ack, now, control.mss)
    dupack = not (old or segment.length or moved)
    if not out or old:
        if ack.dsack or (old and segment.option(opt.Sack) is not None):
            _alert(end, rack, control, ack, dupack=False, now=now)
        if not old:
            _after_probe(end, rack, control, ack, dupack)
        if not out and ack.advances:
            timers.rto_at = None
        return
    reneged, restart = _cumulative(end, rack, ack, top, now, control.mss)
    rack.widen(ack.prior[1])
    _after_probe(end, rack, control, ack, dupack and not ack.acked)
    dupack = dupack and not (ack.acked or ack.dsack)
    if reneged:
        # What the peer has reported and does not acknowledge is lost, unless its ACK comes soon.
        timers.rto_at = now + max((end.rtt.srtt or 0) // 2, LEAST_DISTRUST)
        timers.reordering_at = timers.probe_at = None
    elif (dupack or ack.unusual or rack.state != OPEN or not (segment.length or moved or ack.acked)) and _alert(
        end, rack, control, ack, dupack=dupack, now=now
    ):
        restart = False
    if restart and not reneged:
        _restart(end, rack, now)
    arrivals = rack.delivered - delivered
    if rack.in_reduction:
        reduce(rack, control, arrivals, rack.losses - losses, advances=ack.advances)
    elif ack.acked or (ack.news and rack.degree > DUP_THRESH):
        _grow(end, rack, control, arrivals, now)


def _selective(end: "Endpoint", rack: Rack, segment: Segment, ack: Ack, now: int, mss: int) -> None:
    """Enter the blocks of a SACK option (RFC 2018), the first of which may be a D-SACK (RFC 2883)."""
    option = segment.option(opt.Sack)
    if option is None:
        return
    snd = end.snd
    blocks = [(snd.position(left), snd.position(right)) for left, right in option.blocks]
    acked = snd.position(segment.ack)
    first = blocks[0]
    inside = len(blocks) > 1 and blocks[1][0] <= first[0] and first[1] <= blocks[1][1]
    twice = first[0] < first[1] and (first[0] < acked or inside)
    if twice:
        _duplicated(end, rack, first, ack, mss)
    low = snd.high
    for place, (left, right) in sorted(enumerate(blocks), key=lambda each: each[1]):
        duplicate = twice and not place
        if not left < right <= snd.high or right <= ack.before or not (duplicate or left >= snd.una):
            continue
        for each in rack.board.inside(left, right):
            if duplicate and each.ever:
                rack.undo_one(each.end)
            if each.sacked:
                low = min(low, each.start) if duplicate and each.ever else low
            else:
                rack.arrived(each, now, end.rtt.least)
                if not each.ever:
                    if each.start < (snd.una if rack.board.top is None else rack.board.top):
                        low = min(low, each.start)
                    ack.original |= each.end <= rack.high
                    ack.first, ack.last = (each.time if ack.first is None else ack.first), each.time
                ack.prior = max(ack.prior, (each.order, each.delivered))
                rack.board.report(each)
                rack.delivered += 1
                ack.news = True
            if duplicate and each.resent:
                rack.board.arrived_again(each)
    if rack.state != LOSS or rack.undo_from is not None:
        rack.reordered(low, snd.una, mss)


def _duplicated(end: "Endpoint", rack: Rack, block: tuple[int, int], ack: Ack, mss: int) -> None:
    """The peer got the octets of a block twice."""
    size = block[1] - block[0]
    if size > end.snd.max_wnd:
        return
    ack.probe = size <= mss and block[1] == rack.probe_end
    count = -(-size // mss)
    if rack.duplicated(count, by_probe=ack.probe):
        ack.dsack = True
        rack.delivered += count
        if block[1] <= ack.before:
            rack.undo_one(block[1], count)


def _cumulative(end: "Endpoint", rack: Rack, ack: Ack, top: int, now: int, mss: int) -> tuple[bool, bool]:
    """What it acknowledges is done; `top` was the end of what had been reported. Whether the peer has discarded what it had
    reported, and whether the timer begins anew."""
    snd, board = end.snd, rack.board
    low = snd.high
    first = last = None
    for each in board.acknowledge(ack.una):
        ack.acked = True
        if each.ever:
            ack.resent = True
        elif not each.sacked:
            first, last = (each.time if first is None else first), each.time
            low = min(low, each.start)
            ack.original |= each.end <= rack.high
        if not each.sacked:
            rack.delivered += 1
            ack.prior = max(ack.prior, (each.order, each.delivered))
            clock = end.stamps.clock(each.time)
            if not (each.ever and ack.echo is not None and sn.before(ack.echo, clock)):
                rack.arrived(each, now, end.rtt.least)
    head = board.head
    reported = ack.first
    _measure(end, ack, now, None if ack.resent else first, last)
    if ack.acked and low < top:
        rack.reordered(low, snd.una, mss)
    late = head is not None and reported is not None and reported < head.time
    return ack.advances and head is not None and head.sacked, ack.acked or late


def _measure(end: "Endpoint", ack: Ack, now: int, first: int | None, last: int | None) -> None:
    """Take the round trip of what was sent once; else what the timestamps say (RFC 7323 section 4.1)."""
    if first is not None and last is not None:
        end.rtt.sample(now - first, now - (last if ack.last is None else ack.last))
    elif ack.first is not None and ack.last is not None:
        end.rtt.sample(now - ack.first, now - ack.last)
    elif ack.acked and ack.echo is not None:
        end.rtt.sample(max(sn.diff(end.stamps.clock(now), ack.echo), 1) * 1_000_000)
    end.snd.timed = None


def _restart(end: "Endpoint", rack: Rack, now: int) -> None:
    """Start the retransmission timer; one that waited for something else counts from when the first segment was sent."""
    timers, head = end.timers, rack.board.head
    waited = timers.reordering_at is not None or timers.probe_at is not None
    timers.probe_at = timers.reordering_at = None
    rack.plan = True
    if head is None:
        timers.rto_at = None
    else:
        timers.rto_at = max((head.time if waited else now) + end.rtt.rto, now + 1)


# What it means for congestion.


def _alert(end: "Endpoint", rack: Rack, control: Algorithm, ack: Ack, *, dupack: bool, now: int) -> bool:
    """Something is unusual: look for losses, and change the state. Whether the reordering timer now runs."""
    waits = False
    _leave(end, rack, control, ack)
    if rack.state == RECOVERY:
        if ack.advances and not _partial(end, rack, control, ack):
            return False
        if _undo_by_duplicates(end, rack, control):
            _settle(end, rack, control, ack)
    elif rack.state == LOSS:
        rack.send = _go_on_after_timeout(end, rack, control, ack, dupack=dupack)
        lost_again = rack.board.resent
        waits = _identify(end, rack, now)
        if rack.state != OPEN and rack.board.resent >= lost_again:
            return waits
    if rack.state <= DISORDER:
        _undo_by_duplicates(end, rack, control)
    waits |= _identify(end, rack, now)
    if rack.state != RECOVERY:
        if not rack.board.lost:
            _settle(end, rack, control, ack)
            return waits
        _begin_recovery(end, rack, control, marked=ack.ece)
    rack.send = LOST
    return waits


def _leave(end: "Endpoint", rack: Rack, control: Algorithm, ack: Ack) -> None:
    """End the state if all has arrived that was under way when it began."""
    if ack.ece:
        rack.prior_ssthresh = 0
    if rack.state == OPEN:
        rack.first_resent = None
    elif rack.state == CWR and ack.una > rack.high:
        control.cwnd = control.ssthresh
        rack.state = OPEN
    elif rack.state == RECOVERY and ack.una >= rack.high:
        _recovered(end, rack, control, ack)


def _identify(end: "Endpoint", rack: Rack, now: int) -> bool:
    """Mark what is lost; whether the timer for what may be lost now runs."""
    if not rack.advanced:
        return False
    rack.advanced = False
    wait = rack.find_losses(now, end.rtt.least, end.rtt.srtt or 0)
    if wait:
        end.timers.probe_at = None
        end.timers.reordering_at = now + wait + TIMER_TICK
    return wait > 0


def _settle(end: "Endpoint", rack: Rack, control: Algorithm, ack: Ack) -> None:
    """Nothing is lost: a mark of congestion counts, or something was overtaken, or nothing is unusual any more."""
    if not rack.resent_unknown:
        rack.first_resent = None
    if ack.ece and rack.state < CWR:
        rack.prior_ssthresh, rack.undo_from = 0, None
        _begin_reduction(end, rack, control)
        rack.state = CWR
    if rack.state != CWR:
        _keep_open(end, rack)


def _keep_open(end: "Endpoint", rack: Rack) -> None:
    """OPEN, or DISORDER while something may be lost."""
    board = rack.board
    state = DISORDER if board.sacked or board.lost or rack.resent_unknown else OPEN
    if state != rack.state:
        rack.state, rack.high = state, end.snd.nxt


def _begin_reduction(end: "Endpoint", rack: Rack, control: Algorithm) -> None:
    """Reduce the congestion window, step by step (RFC 9937 section 6.1)."""
    rack.high = end.snd.nxt
    rack.probe_end = None
    rack.prior_window = control.cwnd
    rack.round_delivered = rack.round_out = 0
    control.lost(control.cwnd)
    control.ssthresh -= control.ssthresh % control.mss
    control.cwnd = rack.prior_window
    if end.ecn.agreed:
        end.ecn.reduce(end.snd.nxt)


def _begin_recovery(end: "Endpoint", rack: Rack, control: Algorithm, *, marked: bool) -> None:
    """Something is lost. The window may have been reduced already, after a mark of congestion."""
    if not rack.resent_unknown:
        rack.first_resent = None
    rack.begin_undo(end.snd.una)
    reducing, rack.prior_ssthresh = rack.in_reduction, 0
    if not reducing:
        rack.prior_ssthresh = 0 if marked else _current_ssthresh(control)
        _begin_reduction(end, rack, control)
    rack.state = RECOVERY


def _current_ssthresh(control: Algorithm) -> int:
    """The slow start threshold that the present window justifies."""
    return max(control.ssthresh, control.cwnd // 2 + control.cwnd // 4)


def reduce(rack: Rack, control: Algorithm, arrivals: int, losses: int, *, advances: bool) -> None:
    """RFC 9937 section 6.2, proportional rate reduction: set the congestion window for what an ACK lets out, after `arrivals`
    segments have arrived and `losses` were found lost."""
    if arrivals <= 0:
        return
    mss, pipe = control.mss, rack.board.pipe
    threshold, before = control.ssthresh // mss, max(rack.prior_window // mss, 1)
    rack.round_delivered += arrivals
    if not rack.config.proportional_reduction:
        control.cwnd = control.ssthresh
        return
    if pipe > threshold:
        # In proportion to what has arrived.
        out = -(-threshold * rack.round_delivered // before) - rack.round_out
    else:
        # As many as have arrived, and one more where the ACK shows that a retransmission was not lost (SafeACK).
        out = max(rack.round_delivered - rack.round_out, arrivals) + (advances and not losses)
        out = min(threshold - pipe, out)
    # The first ACK lets one retransmission out, come what may.
    out = max(out, 0 if rack.round_out else 1)
    control.cwnd = (pipe + out) * mss


def _grow(end: "Endpoint", rack: Rack, control: Algorithm, arrivals: int, now: int) -> None:
    """Let the congestion window grow after `arrivals` segments have arrived, if it has held back data."""
    mss = control.mss
    starting = control.cwnd < control.ssthresh
    if not rack.limited and not (starting and control.cwnd < 2 * rack.most_out * mss):
        return
    if starting:
        window = min(control.cwnd + arrivals * mss, control.ssthresh)
        arrivals -= (window - control.cwnd) // mss
        control.cwnd = window
    if arrivals > 0:
        control.acked(arrivals * mss, now, end.rtt.least)


# Recoveries that end.


def _late_answer(rack: Rack, ack: Ack) -> int | None:
    """The timestamp that an ACK echoes, less the clock at the first retransmission; None where either is not known."""
    if ack.echo is None or rack.first_resent is None:
        return None
    return sn.diff(ack.echo, rack.first_resent)


def _undo(end: "Endpoint", rack: Rack, control: Algorithm, *, nothing_lost: bool) -> None:
    """The reduction was needless: restore the congestion window. With `nothing_lost`, no segment counts as lost any more."""
    if nothing_lost:
        rack.board.clear_losses()
    if rack.prior_ssthresh and rack.config.undo_reductions:
        control.cwnd = max(control.cwnd, rack.prior_window)
        if rack.prior_ssthresh > control.ssthresh:
            control.ssthresh = rack.prior_ssthresh
            end.ecn.reduced = False
    rack.undo_from = None
    rack.advanced = True


def _undo_by_duplicates(end: "Endpoint", rack: Rack, control: Algorithm) -> bool:
    """RFC 3708: undo a reduction once each retransmission was reported as a duplicate."""
    if rack.undo_from is None or rack.undo_left:
        return False
    rack.persist = min(rack.persist + 1, PERSIST)
    _undo(end, rack, control, nothing_lost=False)
    return True


def _partial(end: "Endpoint", rack: Rack, control: Algorithm, ack: Ack) -> bool:
    """A partial ACK in a recovery (RFC 6582 section 3.2). Return whether to look for more losses."""
    if rack.undo_from is None or not rack.was_delayed(_late_answer(rack, ack)):
        return True
    # What had been sent first has filled the gap, not a retransmission.
    rack.reordered(ack.before, end.snd.una, control.mss)
    if rack.board.resent:
        return False
    if not rack.resent_unknown:
        rack.first_resent = None
    _undo(end, rack, control, nothing_lost=True)
    _keep_open(end, rack)
    return True


def _recovered(end: "Endpoint", rack: Rack, control: Algorithm, ack: Ack) -> None:
    """All that was under way when the recovery began has arrived."""
    was = rack.state
    if rack.may_undo(_late_answer(rack, ack)):
        _undo(end, rack, control, nothing_lost=False)
    elif rack.persist:
        rack.persist -= 1
    rack.state = OPEN
    if was == RECOVERY and rack.undo_from is not None:
        control.cwnd = control.ssthresh


def _undo_timeout(end: "Endpoint", rack: Rack, control: Algorithm) -> None:
    """The timeout was spurious."""
    _undo(end, rack, control, nothing_lost=True)
    end.timers.retries = 0
    rack.state = OPEN


def _go_on_after_timeout(end: "Endpoint", rack: Rack, control: Algorithm, ack: Ack, *, dupack: bool) -> str:
    """An ACK after a timeout: what may be sent for it. RFC 5682 section 3.1, F-RTO with SACK."""
    snd = end.snd
    recovered = snd.una >= rack.high
    if ack.advances and rack.may_undo(_late_answer(rack, ack)):
        _undo_timeout(end, rack, control)
        return ""
    if rack.try_new:
        if ack.original:
            # Step 3, b: what was sent once has arrived, so not all was lost.
            _undo_timeout(end, rack, control)
            return ""
        if snd.nxt > rack.high:
            if ack.news or dupack:
                # Step 3, a: the loss was real.
                rack.try_new = False
        elif ack.advances and not recovered:
            # Step 2, b: try new data, if there is some.
            rack.high = snd.nxt
            if snd.nxt < min(snd.end, snd.edge):
                return NEW
            rack.try_new = False
    if recovered:
        _recovered(end, rack, control, ack)
        return ""
    return LOST


# Timers.


def timed_out(end: "Endpoint", now: int) -> None:
    """The retransmission timer ran out; `Timers.retries` counts this timeout."""
    snd, rack, control = end.snd, end.rack, end.control
    assert rack is not None and control is not None  # noqa: S101 - the caller knows
    first, fresh = end.timers.retries == 1, rack.state < RECOVERY
    rack.lose_all(now)
    if rack.state <= DISORDER or rack.high <= snd.una or (rack.state == LOSS and first):
        rack.prior_ssthresh = control.ssthresh if rack.in_reduction else _current_ssthresh(control)
        rack.prior_window = control.cwnd
        control.timed_out(control.cwnd)
        control.ssthresh -= control.ssthresh % control.mss
        rack.begin_undo(snd.una)
    control.cwnd = (rack.board.pipe + 1) * control.mss
    if rack.state <= DISORDER and rack.board.sacked >= DUP_THRESH:
        rack.degree = DUP_THRESH
    rack.state, rack.high = LOSS, snd.nxt
    rack.probe_end = None
    if end.ecn.agreed:
        end.ecn.reduce(snd.nxt)
    rack.try_new = end.config.detect_spurious_timeouts and (fresh or not first)
    rack.send = LOST


def overtaken(end: "Endpoint", now: int) -> None:
    """The time for segments that others have overtaken is over (RFC 8985 section 6.3)."""
    rack, control, timers = end.rack, end.control, end.timers
    assert rack is not None and control is not None  # noqa: S101 - the caller knows
    before = rack.board.pipe
    wait = rack.find_losses(now, end.rtt.least, end.rtt.srtt or 0)
    if rack.board.pipe != before:
        if rack.state != RECOVERY:
            _begin_recovery(end, rack, control, marked=False)
            reduce(rack, control, 1, 0, advances=False)
        rack.send = LOST
    if wait:
        timers.reordering_at = now + wait + TIMER_TICK
    elif rack.board.head is not None:
        timers.rto_at = max(rack.board.head.time + end.rtt.rto, now + 1)


def probed(end: "Endpoint", now: int) -> None:
    """The timer of the tail loss probe ran out (RFC 8985 section 7.3): at most one probe is under way."""
    rack, timers = end.rack, end.timers
    assert rack is not None  # noqa: S101 - the caller knows
    head = rack.board.head
    if rack.probe_end is None:
        rack.probe_is_old = output.probe_tail(end, rack, now)
        rack.probe_end = end.snd.nxt
        timers.rto_at = now + end.rtt.rto
    elif head is not None:
        timers.rto_at = max(head.time + end.rtt.rto, now + 1)


def _after_probe(end: "Endpoint", rack: Rack, control: Algorithm, ack: Ack, dupack: bool) -> None:
    """RFC 8985 section 7.4.2: whether the probe has repaired a loss that nothing else shows."""
    if rack.probe_end is None or ack.una < rack.probe_end:
        return
    if not rack.probe_is_old or ack.probe:
        rack.probe_end = None
    elif ack.una > rack.probe_end:
        _begin_reduction(end, rack, control)
        control.cwnd = control.ssthresh
        _keep_open(end, rack)
    elif dupack and not ack.advances and not ack.news:
        rack.probe_end = None
