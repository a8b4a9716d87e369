"""The timestamps option."""

from labkit.analysis.order import ids_count_on, order_of_ids, sent_later
from labkit.analysis.relations import echoes_unseen, is_possible_echo
from labkit.analysis.rule import RFC_ONLY, Severity, rule
from labkit.analysis.side import Side
from labkit.packet.seen import ABSENT, Seen
from labkit.tcp.flags import ACK, RST, SYN
from labkit.tcp.seq import add, after, before, diff

GOOD = """
    > S  0:0(0) <nop,nop,TS val 100 ecr 0>
    < S. 0:0(0) ack 1 <nop,nop,TS val 900 ecr 100>
    > .  1:1(0) ack 1 <nop,nop,TS val 120 ecr 900>
    > P. 1:100(99) ack 1 <nop,nop,TS val 120 ecr 900>
    < .  1:1(0) ack 100 <nop,nop,TS val 920 ecr 120>
    > R. 100:100(0) ack 1
"""

MIN_SYN_TICKS = 90
"""Ticks of the timestamp clock before a SYN is sent again: one second (RFC 6298 section 2) of 10 ms ticks, less a margin."""

MAX_REUSE_TICKS = 70_000
"""Milliseconds until which Linux may open a connection in TIME-WAIT again; with a margin for the handshake."""

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
    "TSecr is {actual}, later than the peer's last TSval, and the peer has not sent it in between",
    at="peer.echo",
    field="options.timestamp.tsecr",
    expected="me.tsval",
    actual="peer.echo_value",
    profiles=RFC_ONLY,
    should_be="TSecr {expected} at most, the peer's last TSval",
    receiver="It computes a wrong round-trip time.",
    mend="Set TSecr to the TSval of the segment that this one acknowledges.",
    good=GOOD,
    bad="""
        > S  0:0(0) <nop,nop,TS val 100 ecr 0>
        < S. 0:0(0) ack 1 <nop,nop,TS val 900 ecr 105>   # TS02
        > .  1:1(0) ack 1 <nop,nop,TS val 103 ecr 900>
    """,
)
def echo_of_a_later_timestamp(seg: Seen, me: Side, peer: Side) -> int:
    """TSecr repeats a TSval of the peer, so it cannot be later than the one that the peer sends next.

    The capture may lack the segment that is echoed. Then the peer's next TSval is later, and IPv4 identifications leave one out.
    """
    if peer.echo_packet == 0 or seg.tsval == ABSENT:
        return False
    return before(seg.tsval, peer.echo_value) or ids_count_on(seg, me, peer)


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

    An older TSecr is legal: a delayed ACK echoes the earliest segment that it covers. If the capture lacks the segment that is
    echoed, its timestamp is later by no more than the time that has passed, as the peer's clock counts it.
    """
    return echoes_unseen(seg, me, peer) and not is_possible_echo(seg, peer)


@rule(
    "TS02",
    Severity.NOTE,
    "RFC 7323 4.3",
    "TSecr is {actual}, but the segment that this one acknowledges has TSval {expected}",
    field="options.timestamp.tsecr",
    expected="peer.data_tsval",
    actual="seg.tsecr",
    profiles=RFC_ONLY,
    should_be="TSecr {expected}, the TSval of the segment that this one acknowledges",
    receiver="It computes a round-trip time that is too long, and waits too long before it sends lost data again.",
    mend="Set TSecr to {expected}.",
    good=GOOD,
    bad="""
        > S  0:0(0) <nop,nop,TS val 100 ecr 0>
        < S. 0:0(0) ack 1 <nop,nop,TS val 900 ecr 100>
        > .  1:1(0) ack 1 <nop,nop,TS val 120 ecr 900>
        > P. 1:100(99) ack 1 <nop,nop,TS val 130 ecr 900>
        < .  1:1(0) ack 100 <nop,nop,TS val 920 ecr 120>   # TS02
    """,
)
def echo_of_an_earlier_segment(seg: Seen, me: Side, peer: Side) -> int:
    """An ACK echoes the TSval of the segment that it answers. Of several segments, it is that of the first one that is new.

    A receiver keeps the TSval of the segment that begins at its last ack or before (RFC 7323 section 4.3). labkit reports the
    fault where the ack answers one segment that began just there. Later copies of the segment have later timestamps. Linux does
    not look at the timestamp of a segment that came late, with an old ack, and it may send another ACK before it counts the data.
    It is a note, because some hosts echo an old TSval now and then.
    """
    if seg.tsecr < 0 or seg.ctl & (SYN | RST | ACK) != ACK or peer.data_len == 0 or me.has_rcv_nxt == 0:
        return False
    if me.rcv_nxt != peer.data_seq or not before(seg.tsecr, peer.data_tsval) or before(seg.tsecr, peer.least_tsval):
        return False
    last = peer.run != 0 and peer.last_seq == peer.data_seq and peer.last_len == peer.data_len
    if not last or not (me.stamps and peer.stamps) or peer.least_tsval < 0:
        return False
    return not before(seg.ack, add(peer.data_seq, peer.data_len)) and not after(seg.ack, peer.nxt)


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
    it, or what overtook it was a retransmission. Linux may step back by one.
    """
    if seg.tsval == ABSENT or me.tsval == ABSENT or seg.ctl & (SYN | RST) or not me.has_nxt:
        return False
    again = me.last_len > 0 and before(add(me.last_seq, me.last_len), me.top)
    if again or order_of_ids(seg, me) < 0:
        return False
    newest = seg.new_octets > 0 and seg.seq_offset >= 0 and diff(seg.seq, me.top) >= 0
    return newest and diff(seg.tsval, me.tsval) < -1 and seg.time - me.last_time < MAX_IDLE


@rule(
    "TS03",
    Severity.WARNING,
    "RFC 7323 5",
    "TSval goes back from {me.tsval} to {actual} on an ACK without data, which was sent later",
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
        > P. 1:100(99) ack 1 <nop,nop,TS val 120 ecr 900>
        < .  1:1(0) ack 100 <nop,nop,TS val 300 ecr 120>   # TS03
    """,
)
def timestamp_goes_back_on_an_ack(seg: Seen, me: Side, peer: Side) -> int:
    """A later ACK has no earlier timestamp, with or without data.

    An ACK was sent later if it acknowledges more than all before it, if its host counts IP identifications and counts on, or if
    it comes longer after them than a segment can be overtaken. A lower number agrees with an earlier timestamp: it was overtaken.
    Linux may step back by one.
    """
    if seg.tsval == ABSENT or me.tsval == ABSENT or seg.ctl & (SYN | RST | ACK) != ACK or not me.has_nxt or seg.seg_len:
        return False
    back = diff(seg.tsval, me.tsval) < -1 and seg.time - me.last_time < MAX_IDLE
    if not back or seg.seq_offset < 0 or not sent_later(seg, me):
        return False
    # Where something is lost, it may be late: time alone shows nothing.
    return after(seg.ack, me.rcv_nxt) or order_of_ids(seg, me) > 0 or not (seg.sack_n or peer.resent)


@rule(
    "TS02",
    Severity.WARNING,
    "RFC 7323 3.2",
    "TSecr is {actual}, earlier than the peer's first TSval",
    field="options.timestamp.tsecr",
    expected="peer.tsval",
    actual="seg.tsecr",
    profiles=RFC_ONLY,
    should_be="TSecr {expected}, the peer's last TSval, or that of the segment which this one acknowledges",
    receiver="It computes a wrong round-trip time.",
    mend="Set TSecr to the TSval of the segment that this one acknowledges.",
    good=GOOD,
    bad="""
        > S  0:0(0) <nop,nop,TS val 1000 ecr 0>
        < S. 0:0(0) ack 1 <nop,nop,TS val 900 ecr 0>   # TS02
    """,
)
def echo_before_the_first_timestamp(seg: Seen, me: Side, peer: Side) -> int:
    """TSecr repeats a TSval of the peer, so it cannot be earlier than the one on the peer's SYN.

    Old versions of Windows answer with TSval and TSecr 0, and start their clock with the first data. The capture may lack the
    first SYN, which was sent a second or more before the one that it shows. A host in TIME-WAIT answers a new SYN with the
    numbers and timestamps of the old connection.
    """
    if seg.tsecr == ABSENT or seg.ctl & ACK == 0 or seg.ctl & RST or peer.syn == 0 or peer.least_tsval == ABSENT:
        return False
    if peer.opt_cut:
        return False  # nobody has kept the timestamp of its SYN
    own = me.syn != 0 and not after(seg.ack, peer.nxt) and after(seg.ack, peer.isn)
    if seg.ctl & SYN == 0 and not own:
        return False
    early = diff(peer.least_tsval, seg.tsecr)
    older_syn = seg.ctl & SYN != 0 and seg.tsecr != 0 and early >= MIN_SYN_TICKS
    no_clock = seg.ctl & SYN != 0 and seg.tsecr == 0 and seg.tsval == 0
    return early > 0 and not older_syn and not no_clock


@rule(
    "TS02",
    Severity.NOTE,
    "RFC 7323 3.2",
    "TSecr is {actual} on a SYN: its sender remembers an earlier connection, or the value is wrong",
    field="options.timestamp.tsecr",
    expected=lambda seg, me, peer: 0,
    actual="seg.tsecr",
    profiles=RFC_ONLY,
    should_be="TSecr {expected}, because the field counts only with ACK",
    receiver="It ignores the value.",
    mend="Set TSecr to {expected}.",
    good=GOOD,
    bad="""
        > S  0:0(0) <nop,nop,TS val 100 ecr 77>   # TS02
    """,
)
def echo_on_a_syn(seg: Seen, me: Side, peer: Side) -> int:
    """A SYN without ACK has no timestamp to echo, so TSecr should be 0 (RFC 7323 section 3.2).

    Linux writes the peer's last timestamp there when it opens a four-tuple again that is in TIME-WAIT. The answer shows
    whether the value can be one.
    """
    return seg.ctl & (SYN | ACK | RST) == SYN and seg.tsecr > 0


@rule(
    "TS02",
    Severity.WARNING,
    "RFC 7323 3.2",
    "TSecr is {actual} on a SYN, and no TSval that its peer can have sent lately",
    at="peer.syn",
    field="options.timestamp.tsecr",
    expected=lambda seg, me, peer: 0,
    actual="peer.syn_echo",
    profiles=RFC_ONLY,
    should_be="TSecr {expected}, because the field counts only with ACK",
    receiver="It ignores the value.",
    mend="Set TSecr to {expected}.",
    good=GOOD,
    bad="""
        > S  0:0(0) <nop,nop,TS val 100 ecr 977>   # TS02
        < S. 0:0(0) ack 1 <nop,nop,TS val 900 ecr 100>
    """,
)
def echo_on_a_syn_of_nothing(seg: Seen, me: Side, peer: Side) -> int:
    """A SYN has no timestamp to echo, unless its sender opens a connection again that is in TIME-WAIT.

    Linux (6.18) does so at once from a port that the program has bound, otherwise after net.ipv4.tcp_tw_reuse_delay, and forgets
    the old connection after one minute. The peer's clock, which its own SYN shows, counts in milliseconds then.
    """
    if seg.ctl & (SYN | RST) != SYN or me.syn or peer.syn != 1 or peer.syn_echo == 0:
        return False
    return not 0 <= diff(seg.tsval, peer.syn_echo) <= MAX_REUSE_TICKS
