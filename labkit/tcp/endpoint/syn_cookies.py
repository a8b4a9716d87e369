"""SYN cookies (RFC 4987 section 3.6): a listener keeps nothing of a SYN, and what its SYN ACK cannot carry is lost.

The SYN ACK's sequence number has room for the place of the peer's MSS in a short table; here it is drawn like any other, for
nobody but the listener can read it. Where both sides use timestamps, the lowest bits of the listener's clock carry the peer's
window scale, SACK and ECN; otherwise there are no options but the MSS. The SYN ACK is never sent again by itself.
"""

from typing import TYPE_CHECKING

from labkit.tcp import options as opt
from labkit.tcp import seq as sn
from labkit.tcp.endpoint import acks
from labkit.tcp.endpoint.config import MILLISECOND
from labkit.tcp.segment import Segment

if TYPE_CHECKING:
    from labkit.tcp.endpoint.endpoint import Endpoint

STAMP_BITS = 6
"""The lowest bits of the clock, in milliseconds, that carry options."""
NO_SCALE, SACK, ECN = 15, 16, 32
"""What they say: the peer's window scale or `NO_SCALE`, and two flags."""


def used(end: "Endpoint") -> bool:
    """Whether the connection begins with a cookie."""
    return end.config.syn_cookies and not end.active


def forget(end: "Endpoint") -> None:
    """Forget what a cookie cannot carry of the peer's SYN."""
    sizes = (
        end.config.cookie_sizes_ipv6 if end.config.default_mss > end.config.cookie_sizes[0] else end.config.cookie_sizes
    )
    end.snd.mss = min(end.config.max_payload, max((size for size in sizes if size <= end.snd.mss), default=sizes[0]))
    if not end.stamps.agreed:
        end.recovery.sack = end.scaling = end.ecn.agreed = False
        end.snd.shift = end.rcv.shift = 0


def stamp(end: "Endpoint", now: int) -> opt.Timestamps:
    """The timestamps of the SYN ACK. The clock goes back to the last value with the right lowest bits."""
    bits = (end.snd.shift if end.scaling else NO_SCALE) | SACK * end.recovery.sack | ECN * end.ecn.agreed
    clock = now // MILLISECOND
    value = (clock >> STAMP_BITS << STAMP_BITS) | bits
    if value > clock:
        value -= 1 << STAMP_BITS
    return opt.Timestamps(sn.add(end.stamps.offset, value), end.stamps.recent)


def recalled(end: "Endpoint", position: int, segment: Segment, now: int) -> None:
    """The handshake's last ACK has brought the cookie back. The listener does not know which window its SYN ACK offered, nor when
    that was sent: timestamps give a round trip that is up to 64 ms too long, and without them there is none."""
    end.snd.timed = None
    acks.measure(end, position, segment, now)
    if not end.stamps.agreed:
        # RFC 6298, (5.7).
        end.rtt.rto = max(end.rtt.rto_min, min(3 * end.config.rto_initial, end.rtt.rto_max))
    end.snd.acknowledge(position)
    end.timers.rto_at = None
    end.rcv.first_window(end.snd.mss, end.config.whole_segment_syn_ack)
