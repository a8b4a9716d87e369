"""The timestamps option."""

from labkit.analysis.rule import RFC_ONLY, Severity, rule
from labkit.analysis.side import Side
from labkit.packet.seen import ABSENT, Seen
from labkit.tcp.segment import ACK, RST, SYN
from labkit.tcp.seq import after, diff

GOOD = """
    > S  0:0(0) <nop,nop,TS val 100 ecr 0>
    < S. 0:0(0) ack 1 <nop,nop,TS val 900 ecr 100>
    > .  1:1(0) ack 1 <nop,nop,TS val 120 ecr 900>
    > P. 1:100(99) ack 1 <nop,nop,TS val 120 ecr 900>
    < .  1:1(0) ack 100 <nop,nop,TS val 920 ecr 120>
    > R. 100:100(0) ack 1
"""

MAX_IDLE = 24 * 86_400 * 1_000_000_000
"""Nanoseconds: after 24 idle days timestamps are not compared (RFC 7323 section 5.5)."""


@rule(
    "TS01",
    Severity.ERROR,
    "RFC 7323 3.2",
    "the segment lacks the timestamps that both SYNs negotiated, or has timestamps that they did not negotiate",
    field="options",
    profiles=RFC_ONLY,
    should_be="timestamps on every segment after negotiation, and on none without it",
    receiver="It drops a segment that lacks negotiated timestamps. It ignores timestamps that were not negotiated.",
    mend="Add the timestamps option to the segment, or remove it.",
    good=GOOD,
    bad="""
        > S  0:0(0) <nop,nop,TS val 100 ecr 0>
        < S. 0:0(0) ack 1 <nop,nop,TS val 900 ecr 100>
        > .  1:1(0) ack 1   # TS01
    """,
)
def timestamps_as_agreed(seg: Seen, me: Side, peer: Side) -> int:
    """After both SYNs have carried timestamps, every segment except a RST carries them; otherwise no segment does.

    RFC 7323 section 3.2: "TSopt MUST be sent in every non-<RST> segment for the duration of the connection".
    """
    if seg.ctl & (SYN | RST) or me.syn == 0 or peer.syn == 0 or seg.ctl & ACK == 0:
        return False
    if seg.opt_cut or me.opt_cut or peer.opt_cut:
        return False
    agreed = me.stamps != 0 and peer.stamps != 0
    return agreed != (seg.tsval != ABSENT)


@rule(
    "TS02",
    Severity.WARNING,
    "RFC 7323 3.2",
    "TSecr is {actual}, later than the peer's last TSval",
    field="options.timestamp.tsecr",
    expected="peer.tsval",
    actual="seg.tsecr",
    profiles=RFC_ONLY,
    should_be="TSecr {expected} at most, the peer's last TSval",
    receiver="It computes a wrong round-trip time.",
    mend="Set TSecr to the TSval of the segment that this one acknowledges.",
    good=GOOD,
    bad="""
        > S  0:0(0) <nop,nop,TS val 100 ecr 0>
        < S. 0:0(0) ack 1 <nop,nop,TS val 900 ecr 5000>   # TS02
    """,
)
def echo_of_no_timestamp(seg: Seen, me: Side, peer: Side) -> int:
    """TSecr repeats a TSval of the peer, so it cannot be later than the peer's last one.

    An older TSecr is legal: a delayed ACK echoes the earliest segment that it covers.
    """
    if seg.tsval == ABSENT or seg.ctl & ACK == 0 or seg.ctl & RST or peer.tsval == ABSENT or peer.syn == 0:
        return False
    if peer.has_nxt and after(seg.ack, peer.nxt):
        return False  # the ack and the echo agree that a segment is missing in the capture
    return after(seg.tsecr, peer.tsval) and peer.missed == 0 and peer.pending_n == 0 and me.pending_n == 0


@rule(
    "TS03",
    Severity.WARNING,
    "RFC 7323 5",
    "TSval goes back from {me.tsval} to {actual} on new data",
    field="options.timestamp.tsval",
    expected="me.tsval",
    actual="seg.tsval",
    profiles=RFC_ONLY,
    should_be="TSval {expected} or later",
    receiver="It takes the segment for an old duplicate (PAWS), acknowledges it and drops it.",
    mend="Set TSval to {expected} or later.",
    good=GOOD,
    bad="""
        > S  0:0(0) <nop,nop,TS val 100 ecr 0>
        < S. 0:0(0) ack 1 <nop,nop,TS val 900 ecr 100>
        > .  1:1(0) ack 1 <nop,nop,TS val 120 ecr 900>
        > P. 1:100(99) ack 1 <nop,nop,TS val 60 ecr 900>   # TS03
    """,
)
def timestamp_goes_back(seg: Seen, me: Side, peer: Side) -> int:
    """Timestamps come from a clock, so they do not decrease from one new segment to the next.

    A segment that was overtaken legally shows an older one: its bytes lie before those of the segments that overtook
    it. Linux may step back by one.
    """
    if seg.tsval == ABSENT or me.tsval == ABSENT or seg.ctl & (SYN | RST) or not me.has_nxt:
        return False
    newest = seg.new_octets > 0 and seg.seq_offset >= 0 and diff(seg.seq, me.top) >= 0
    return newest and diff(seg.tsval, me.tsval) < -1 and seg.time - me.last_time < MAX_IDLE
