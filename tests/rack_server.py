"""A server that judges losses by time (RFC 8985), with segments under way, and a peer that is a script."""

from random import Random

from helpers import MS

from labkit.tcp.endpoint import Config, Endpoint
from labkit.tcp.options import Mss, Sack, SackPermitted, Timestamps
from labkit.tcp.segment import ACK, ECE, SYN, Segment
from labkit.tcp.segment import CWR as REDUCED
from labkit.tcp.seq import MASK, add

SIZE = 1000
"""Octets of a segment."""
RTT = 20 * MS
HABITS = {
    "reordering_timer": True,
    "adaptive_reordering": True,
    "proportional_reduction": True,
    "undo_reductions": True,
}
HABITS |= {"detect_spurious_timeouts": True, "tail_loss_probe": True}


def server(count: int, *, ecn: bool = False, stamps: bool = False, **habits: object) -> Endpoint:
    """A server with this number of segments under way; positions count from its SYN's, the number before the wrap."""
    config = Config(iss=MASK, ecn=ecn, timestamps=stamps, timestamp_offset=0, nagle=False, **HABITS | habits)
    end = Endpoint(config, Random(1))
    end.listen()
    options = (Mss(SIZE + (12 if stamps else 0)), SackPermitted(), *([Timestamps(1, 0)] if stamps else []))
    bits = ECE | REDUCED if ecn else 0
    end.receive(Segment(seq=100, ctl=SYN | bits, window=60_000, options=options), -RTT)
    end.segments(-RTT)
    acknowledge(end, 1, 0)
    for _ in range(count):
        end.send(bytes(SIZE), 0)
    end.segments(0)
    assert [each.start for each in end.rack.board] == [1 + number * SIZE for number in range(count)]
    return end


def acknowledge(end: Endpoint, position: int, now: int, *blocks: tuple[int, int], **more: object) -> None:
    """An ACK of everything before a position, with these SACK blocks and fields."""
    options = (Timestamps(2, 0),) if end.stamps.agreed else ()
    if blocks:
        options += (Sack(tuple((add(MASK, low), add(MASK, high)) for low, high in blocks)),)
    known = {"seq": 101, "ctl": ACK, "window": 60_000, "options": options} | more
    end.receive(Segment(ack=add(MASK, position), **known), now)


def at(number: int) -> int:
    """The position of the first octet of a segment."""
    return 1 + number * SIZE
