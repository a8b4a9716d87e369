"""What a sender learns from an acknowledgement: what has arrived, how long that took, what is lost.

RFC 9293 section 3.10.7.4, fifth step; RFC 6298 for the time, RFC 5681, 6582 and 6675 for losses.
"""

from typing import TYPE_CHECKING

from labkit.tcp import options as opt
from labkit.tcp import seq as sn
from labkit.tcp.segment import Segment
from labkit.tcp.state import SYN_RECEIVED, SYN_SENT

if TYPE_CHECKING:
    from labkit.tcp.endpoint.endpoint import Endpoint

OPENING = frozenset({SYN_SENT, SYN_RECEIVED})
"""The states in which a lost SYN still counts."""


def selective(end: "Endpoint", segment: Segment) -> bool:
    """Enter a SACK option into the scoreboard (RFC 6675 section 5); whether it was news."""
    option = segment.option(opt.Sack)
    if option is None:
        return False
    snd, news = end.snd, False
    ack = snd.position(segment.ack)
    for left, right in option.blocks:
        low, high = snd.position(left), snd.position(right)
        # A block below the ACK is a D-SACK, and one beyond SND.NXT is wrong: neither shows what is missing.
        if max(ack, snd.una) < low < high <= snd.high:
            news |= end.recovery.sacked.add(low, high) > 0
    return news


def arrived(end: "Endpoint", ack: int, segment: Segment, now: int, *, moved: bool) -> None:
    """An acknowledgement of everything before `ack` arrived; `moved` tells whether it moved the window."""
    snd = end.snd
    news = selective(end, segment) if end.recovery.sack else False
    if end.ecn.agreed and ack >= snd.una and end.ecn.echoes(segment) and ack > snd.una:
        marked(end, ack)
    if ack > snd.una:
        acknowledged(end, ack, segment, now)
    elif ack == snd.una and snd.high > ack and not segment.length and (news or not (moved or end.recovery.sack)):
        duplicate(end)


def acknowledged(end: "Endpoint", ack: int, segment: Segment, now: int) -> None:
    """SND.UNA <- SEG.ACK: "any segments on the retransmission queue that are thereby entirely acknowledged are removed";
    the round-trip time, the timer and the congestion window follow."""
    snd, recovery, control = end.snd, end.recovery, end.control
    acked = ack - snd.una
    measure(end, ack, segment, now)
    snd.acknowledge(ack)
    recovery.acknowledged(ack)
    if end.state not in OPENING:
        end.timers.retries = 0
    end.timers.persist_for = 0
    # RFC 6298, (5.2) and (5.3): stop the timer when all is acknowledged, else restart it.
    end.timers.rto_at = now + end.rtt.rto if snd.high > ack else None
    if control is None:
        return
    if recovery.cause is None:
        control.acked(acked, now, end.rtt.srtt or 0)
    elif ack >= recovery.point:
        if recovery.cause == "fast":
            control.recovered(snd.high - ack)
        recovery.stop()
    elif recovery.cause == "timeout":
        control.acked(acked, now, end.rtt.srtt or 0)
    elif recovery.sack:
        recovery.may_rescue()
    else:
        recovery.partial(ack, acked, end.snd.mss)


def measure(end: "Endpoint", ack: int, segment: Segment, now: int) -> None:
    """RFC 6298 section 3 (Karn's rule) or, with timestamps, RFC 7323 section 4.1."""
    stamp = end.stamps.of(segment)
    if stamp is not None and stamp.echo:
        ticks = max(sn.diff(end.stamps.clock(now), stamp.echo), 0)
        end.rtt.sample(max(ticks, 1) * 1_000_000)
    elif end.snd.timed is not None and end.snd.timed[0] <= ack:
        end.rtt.sample(now - end.snd.timed[1])
    if end.snd.timed is not None and end.snd.timed[0] <= ack:
        end.snd.timed = None


def marked(end: "Endpoint", ack: int) -> None:
    """An ACK echoes a mark (RFC 3168 section 6.1.2): react as to a loss, at most once for each window of data."""
    snd, control = end.snd, end.control
    if control is not None and end.recovery.cause is None and ack > end.ecn.reacted_to:
        control.lost(snd.high - snd.una)
        end.ecn.reduce(snd.high)


def duplicate(end: "Endpoint") -> None:
    """A duplicate ACK (RFC 5681 section 2; RFC 6675 section 2): the third one, or the scoreboard, shows a loss."""
    snd, recovery, control = end.snd, end.recovery, end.control
    if control is None or end.state in OPENING:
        return
    recovery.duplicates += 1
    if recovery.cause is not None:
        if recovery.cause == "fast" and not recovery.sack:
            recovery.inflation += snd.mss
        return
    if not recovery.sack and 0 < recovery.point >= snd.una:
        # RFC 6582 section 3.2, step 2: segments from before the last recovery cause these duplicates.
        return
    head_lost = recovery.head_lost(snd.una, snd.high, snd.mss)
    if recovery.duplicates >= 3 or head_lost:
        control.lost(snd.high - snd.una)
        recovery.start_fast(snd.una, snd.high, snd.mss)
        snd.timed = None
    elif not recovery.sack:
        # RFC 3042, limited transmit: the first two duplicates each let one new segment out.
        recovery.inflation = recovery.duplicates * snd.mss
