"""Initial sequence numbers: their choice, and whether both ends continue from them."""

from labkit.analysis.former import is_former
from labkit.analysis.pending import BEHIND, MISSED, THIRD, UNSENT, Resolved
from labkit.analysis.rule import RFC_ONLY, Scope, Severity, rule
from labkit.analysis.side import OLD_CLOSED, OLD_REFUSED, Side
from labkit.analysis.tracker import renumbers_its_syn
from labkit.packet.seen import ABSENT, SHORT_IP, SOUND, Seen
from labkit.tcp.flags import ACK, RST, SYN
from labkit.tcp.seq import add, after, diff


@rule(
    "HS08",
    Severity.ERROR,
    "RFC 9293 3.5",
    "the SYN ACK has seq {actual}, but both ends do not continue from it",
    otherwise={
        Severity.WARNING: "the SYN ACK has seq {actual}, but both ends continue from a higher number: it is wrong, or "
        "the capture lacks packets",
    },
    at="peer.syn",
    field="seq",
    expected=lambda seg, me, peer, resolved: add(resolved.ack, -1),
    actual="peer.isn",
    scope=Scope.PENDING,
    should_be="seq {expected}, one less than the number from which both ends continue",
    receiver="It acknowledges seq + 1, so later bytes look old or leave a gap.",
    mend="Set the seq of the SYN ACK to {expected}.",
    good="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        < P. 1:100(99) ack 1
    """,
    bad="""
        > S  0:0(0)
        < S. 5:5(0) ack 1      # HS08
        > .  1:1(0) ack 1
        < P. 1:100(99) ack 1
        > .  1:1(0) ack 100
    """,
)
def syn_ack_with_another_number(seg: Seen, me: Side, peer: Side, resolved: Resolved) -> int:
    """The SYN ACK tells where the server's sequence numbers begin, and both ends must continue from there.

    If both ends agree on another number, the SYN ACK is wrong. A higher number is only a warning: the capture may
    lack the server's first bytes and their ACK.
    """
    if resolved.mark != THIRD or resolved.state != MISSED or peer.syn != 2 or peer.seen != 1 or seg.seq != resolved.ack:
        return False
    return True if resolved.kind == BEHIND else Severity.WARNING if resolved.kind == UNSENT else False


@rule(
    "HS08",
    Severity.ERROR,
    "RFC 9293 3.5",
    "the SYN has seq {actual}, but the SYN ACK and the third segment continue from {seg.seq}",
    at="me.syn",
    field="seq",
    expected=lambda seg, me, peer: add(seg.seq, -1),
    actual="me.isn",
    should_be="seq {expected}, one less than the number from which both ends continue",
    receiver="It acknowledges seq + 1, so no SYN ACK could agree on another number.",
    mend="Set the seq of the SYN to {expected}.",
    good="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
    """,
    bad="""
        > S  7:7(0)            # HS08
        < S. 0:0(0) ack 1      # HS02
        > .  1:1(0) ack 1
        > P. 1:100(99) ack 1
    """,
)
def syn_with_another_number(seg: Seen, me: Side, peer: Side) -> int:
    """The SYN tells where the client's sequence numbers begin, and both ends must continue from there.

    If the SYN ACK and the third segment agree on another number, the SYN is wrong.
    """
    return renumbers_its_syn(seg, me, peer)


@rule(
    "ST02",
    Severity.WARNING,
    "RFC 9293 3.6.1",
    "the four-tuple is used again within 2 MSL, but its new ISN {actual} is not beyond {me.old_nxt}, the end of the "
    "old connection",
    otherwise={
        Severity.NOTE: "another connection used this four-tuple earlier in the capture",
    },
    field="seq",
    actual="seg.seq",
    profiles=RFC_ONLY,
    should_be="an ISN beyond {me.old_nxt}, or another port",
    receiver="In TIME-WAIT it answers with an ACK and does not open the connection.",
    mend="Choose a higher ISN or another client port, or wait for 2 MSL.",
    wireshark="tcp.analysis.reused_ports",
    good="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
    """,
    bad="""
        > S  9000:9000(0)
        < S. 0:0(0) ack 9001
        > F. 9001:9001(0) ack 1
        < F. 1:1(0) ack 9002
        > .  9002:9002(0) ack 2
        +1.0 > S 5000:5000(0)   # ST02
    """,
)
def port_reused_too_low(seg: Seen, me: Side, peer: Side) -> int:
    """A SYN may reopen a connection in TIME-WAIT only if its number is beyond the old connection's last one (MAY-2).

    Otherwise old segments could be taken for new ones. With timestamps the clock decides instead (RFC 6191). After 2
    MSL, after a reset or after a refused SYN any number is legal.
    """
    if seg.ctl & (SYN | ACK | RST) != SYN or me.has_old == 0 or me.syn != 0:
        return False
    if me.has_old == OLD_CLOSED and seg.tsval == ABSENT and not after(seg.seq, me.old_nxt):
        return True
    return Severity.NOTE if me.has_old != OLD_REFUSED else False


@rule(
    "ST03",
    Severity.NOTE,
    "RFC 9293 3.4.1",
    "a late segment: seq and ack are those of the connection before on this four-tuple, which ended at {me.old_nxt}",
    field="seq",
    scope=Scope.FRAME,
    document=Severity.WARNING,
    actual="seg.seq",
    should_be="the next numbers of this connection, if the segment belongs to it",
    receiver="It takes the segment for an old one, drops it, and answers with an ACK.",
    mend="Set seq and ack to the next numbers of this connection, unless the segment came late.",
    no_fault="the network makes it, not a mistake",
    good="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 1:100(99) ack 1
    """,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 1:100(99) ack 1
        < R. 1:1(0) ack 100
        +0.01 > S 90000:90000(0)
        < S. 70000:70000(0) ack 90001
        > .  90001:90001(0) ack 70001
        > P. 100:200(100) ack 1 {ip.id=5}   # ST03
    """,
)
def late_segment_of_the_connection_before(seg: Seen, me: Side, peer: Side) -> int:
    """A segment may arrive when the next connection between the same ports is open. It is not judged.

    The connection before was reset, so that its segments were still under way. The receiver takes them for old, drops them and
    answers with an ACK. So that their numbers do not lie in the new window, initial sequence numbers follow a clock, and a
    four-tuple waits for 2 MSL before it is used again. Where IPv4 identifications show that a host sent a segment just now, its
    numbers are wrong.
    """
    return seg.fault in (SOUND, SHORT_IP) and is_former(seg, me, peer)


@rule(
    "ISN01",
    Severity.WARNING,
    "RFC 9293 3.4.1",
    "the ISN {actual} is predictable from this host's last ISN {me.host_isn}: it is the same, or the same step further",
    field="seq",
    actual="seg.seq",
    once=True,
    should_be="an unpredictable ISN: a clock plus a keyed hash of addresses and ports (RFC 6528)",
    receiver="It opens the connection, but an attacker who predicts the ISN can forge segments of this host.",
    mend="Choose a random ISN for each connection.",
    good="""
        > S  7310:7310(0)
        < S. 911:911(0) ack 7311
        > R. 7311:7311(0) ack 912
        > S  995310:995310(0)
        < S. 11:11(0) ack 995311
    """,
    bad="""
        > S  0:0(0)
        < R. 0:0(0) ack 1
        > S  64000:64000(0)
        < R. 0:0(0) ack 64001
        > S  128000:128000(0)   # ISN01
        < R. 0:0(0) ack 128001
    """,
)
def initial_number_can_be_foretold(seg: Seen, me: Side, peer: Side) -> int:
    """Each connection starts from the value of a clock plus a keyed hash of addresses and ports (RFC 6528).

    ISN 0 for every connection, a repeated ISN or a constant step lets an attacker forge segments without seeing the
    traffic. The document demands a random number.
    """
    if seg.ctl & (SYN | RST) != SYN or me.syn or me.host_isns == 0:
        return False
    step = diff(seg.seq, me.host_isn)
    if me.has_old == OLD_CLOSED or (step == 0 and me.has_old):
        return False  # Linux continues from the old number in TIME-WAIT; a repeated attempt after a reset is legal
    return step == 0 or (me.host_isns >= 2 and step == me.host_step)
