"""The three-way handshake."""

from labkit.analysis.pending import GAP, SAME_MOMENT, WRONG
from labkit.analysis.rule import RFC_ONLY, Scope, Severity, rule
from labkit.analysis.side import Side
from labkit.analysis.tracker import renumbers_its_syn
from labkit.packet.seen import ABSENT, Seen
from labkit.tcp.segment import ACK, RST, SYN
from labkit.tcp.seq import add, before, between

FIRST_RTO = 900_000_000
"""Nanoseconds: a SYN is not sent again sooner (RFC 6298 section 2 says one second)."""


@rule(
    "HS01",
    Severity.ERROR,
    "RFC 9293 3.5",
    "the connection is opened by a segment without SYN, and yet answered with SYN ACK (ack = its seq + 1)",
    at="peer.first",
    field="flags",
    receiver="A listening TCP answers with RST: a segment with ACK cannot belong to a connection that it knows.",
    good="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
    """,
    bad="""
        > .  0:0(0) ack 1   # HS01
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
    """,
)
def opened_without_syn(seg: Seen, me: Side, peer: Side) -> int:
    """A connection opens with a SYN that has no ACK: it says where the client's numbers begin, and nothing else.

    Found when the SYN ACK arrives: it acknowledges one more than the seq of the segment that stands where the SYN
    should be, which only a SYN (it takes one number) makes true.
    """
    return (
        seg.ctl & (SYN | ACK | RST) == SYN | ACK
        and peer.seen == 1
        and peer.first_ctl & (SYN | RST) == 0
        and seg.ack == add(peer.first_seq, 1)
    )


@rule(
    "HS01",
    Severity.ERROR,
    "RFC 9293 3.5",
    "the SYN ACK stands before the SYN that it acknowledges",
    at="peer.first",
    field="flags",
    receiver="A closed port answers a SYN ACK with RST; so does a listening one.",
    good="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
    """,
    bad="""
        < S. 0:0(0) ack 1   # HS01
        > S  0:0(0)
        > .  1:1(0) ack 1
    """,
)
def answered_before_asked(seg: Seen, me: Side, peer: Side) -> int:
    """A SYN ACK answers a SYN, and comes after it.

    A capture may show them the other way round within a moment; and where the first SYN was missed, the one that shows is
    sent again, a second later at least (RFC 6298 section 2).
    """
    if seg.ctl & (SYN | ACK | RST) != SYN or me.seen or peer.seen != 1 or peer.syn != 2 or peer.last_ack != seg.end:
        return False
    return SAME_MOMENT < seg.time - peer.first_time < FIRST_RTO


@rule(
    "HS02",
    Severity.ERROR,
    "RFC 9293 3.10.7.3",
    "the SYN ACK acknowledges {seg.ack}; the SYN it answers has seq {peer.isn}, so that ack must be one more",
    field="ack",
    expected=lambda seg, me, peer: add(peer.isn, 1),
    actual="seg.ack",
    receiver="A client in SYN-SENT answers with a reset (seq = this ack) and stays where it is.",
    good="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
    """,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 2   # HS02
    """,
)
def syn_ack_acks_wrong_number(seg: Seen, me: Side, peer: Side) -> int:
    """The SYN ACK acknowledges the client's SYN: ack is the client's initial sequence number plus one.

    A SYN that carries data (TCP Fast Open) may be acknowledged up to the end of its data.
    """
    if seg.ctl & (SYN | ACK | RST) != SYN | ACK or peer.syn == 0:
        return False
    if peer.has_resyn and seg.ack == add(peer.resyn, 1):
        return False
    if me.syn and seg.seq != me.isn and peer.third == 2:
        return False  # SYN does not belong on this segment at all: HS07
    return not between(add(peer.isn, 1), seg.ack, peer.syn_end)


@rule(
    "HS03",
    Severity.ERROR,
    "RFC 9293 3.5",
    "the third segment of the handshake has seq {seg.seq}; it must be one more than the client's ISN {me.isn}",
    field="seq",
    expected=lambda seg, me, peer: add(me.isn, 1),
    actual="seg.seq",
    receiver="It takes the segment for an old one: it acknowledges, and waits on for the true one.",
    good="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
    """,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  0:0(0) ack 1   # HS03
    """,
)
def third_segment_behind(seg: Seen, me: Side, peer: Side) -> int:
    """The client answers the SYN ACK with seq = its ISN + 1: its SYN is counted."""
    if me.third != 1 or seg.ctl & (SYN | RST) or seg.ctl & ACK == 0:
        return False
    return before(seg.seq, add(me.isn, 1)) and not renumbers_its_syn(seg, me, peer)


@rule(
    "HS03",
    Severity.ERROR,
    "RFC 9293 3.5",
    "the third segment of the handshake does not fit the two before it: its seq must be the client's ISN + 1, and its ack "
    "the server's ISN + 1",
    at="me.odd",
    field=lambda seg, me, peer: "seq" if me.odd_kind == GAP else "ack",
    expected=lambda seg, me, peer: add(me.isn, 1) if me.odd_kind == GAP else add(peer.isn, 1),
    actual=lambda seg, me, peer: me.odd_seq if me.odd_kind == GAP else me.odd_ack,
    scope=Scope.PENDING,
    receiver="With a wrong ack a server in SYN-RECEIVED sends a reset; with a wrong seq it acknowledges, and waits on.",
    good="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
    """,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 2      # HS03
        > P. 1:100(99) ack 1
        < .  1:1(0) ack 100
    """,
)
def third_segment_does_not_fit(seg: Seen, me: Side, peer: Side) -> int:
    """The third segment must not skip numbers, nor acknowledge more or less than the server's SYN.

    A capture may show such a segment though nothing is wrong with it: where the true third segment was lost, or where it
    is the SYN ACK that has a wrong number. So it counts only once the conversation has gone on as though the number had
    been the right one.
    """
    return me.odd_mark == 1 and me.odd_state == WRONG


@rule(
    "HS03",
    Severity.ERROR,
    "RFC 9293 3.5",
    "the third segment of the handshake stands before the SYN ACK that it acknowledges",
    at="peer.last",
    field="ack",
    actual="peer.last_ack",
    receiver="A server in SYN-RECEIVED has not sent its number yet: nobody could know it.",
    good="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
    """,
    bad="""
        > S  0:0(0)
        > .  1:1(0) ack 1   # HS03
        < S. 0:0(0) ack 1
    """,
)
def third_segment_before_the_second(seg: Seen, me: Side, peer: Side) -> int:
    """The client acknowledges the server's SYN once it has seen it.

    A capture may show them the other way round within a moment; and where the first SYN ACK was missed, the one that
    shows is sent again, a second later at least (RFC 6298 section 2).
    """
    if seg.ctl & (SYN | ACK | RST) != SYN | ACK or me.seen or peer.syn != 1 or not peer.has_last_ack:
        return False
    return peer.last_ack == seg.end and SAME_MOMENT < seg.time - peer.last_time < FIRST_RTO


@rule(
    "HS04",
    Severity.WARNING,
    "RFC 9293 3.8.1",
    "a SYN is sent again with another initial sequence number: {seg.seq} after {me.isn}",
    field="seq",
    expected="me.isn",
    actual="seg.seq",
    profiles=RFC_ONLY,
    receiver="In SYN-RECEIVED it takes the second SYN for one outside the window, and answers with a challenge ACK.",
    wireshark="tcp.analysis.reused_ports",
    good="""
        > S 0:0(0)
        +1.0 > S 0:0(0)
    """,
    bad="""
        > S  0:0(0)
        < S. 500:500(0) ack 1
        +1.0 < S. 900:900(0) ack 1   # HS04
    """,
)
def syn_resent_with_other_isn(seg: Seen, me: Side, peer: Side) -> int:
    """A SYN that is sent again is the same SYN: a retransmission keeps its sequence number.

    A new attempt from the same port takes a new number, and is a new connection. Two SYNs with different numbers
    while the first is still unanswered, or two different answers to one SYN, are neither.
    """
    if seg.ctl & (SYN | RST) != SYN or me.syn == 0 or seg.seq == me.isn:
        return False
    return me.third == 0 and peer.third < 2 and me.octets == 0 and (seg.ctl & ACK != 0) == (me.syn == 2)


@rule(
    "HS05",
    Severity.WARNING,
    "RFC 9293 3.5",
    "the SYN ACK carries {seg.len} octets of data, though the SYN did not ask for TCP Fast Open",
    field="len",
    expected=lambda seg, me, peer: 0,
    actual="seg.len",
    receiver="It may keep the octets until the connection is established, or drop them.",
    good="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        < P. 1:20(19) ack 1
    """,
    bad="""
        > S  0:0(0)
        < S. 0:19(19) ack 1   # HS05
    """,
)
def data_before_established(seg: Seen, me: Side, peer: Side) -> int:
    """Data is delivered only once the connection is established, so that stacks send none before.

    Section 3.5 allows data on a SYN where the receiver holds it back: unusual, and no error.

    TCP Fast Open (RFC 7413) is the exception: with its option on the SYN both SYNs may carry data.
    """
    if seg.ctl & (SYN | ACK | RST) != SYN | ACK or seg.len == 0 or peer.syn == 0:
        return False
    return peer.tfo_len == ABSENT and not peer.opt_cut


@rule(
    "HS06",
    Severity.NOTE,
    "RFC 9293 3.5",
    "simultaneous open: both sides have sent a SYN before they saw the other's; that is legal",
    receiver="It answers with a SYN ACK that has the number of its own SYN.",
    no_fault="describes what is no fault",
    good="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
    """,
    bad="""
        > S  0:0(0)
        < S  0:0(0)         # HS06
        > S. 0:0(0) ack 1
        < S. 0:0(0) ack 1
    """,
)
def simultaneous_open(seg: Seen, me: Side, peer: Side) -> int:
    """Two SYNs that cross open one connection, not two (figure 7). The document does not know it."""
    return seg.ctl & (SYN | ACK | RST) == SYN and me.syn == 0 and me.seen == 0 and peer.syn == 1 and peer.third == 0


@rule(
    "HS07",
    Severity.NOTE,
    "RFC 5961 4",
    "a SYN in the middle of a connection: its sender has forgotten the connection, or somebody forges it",
    receiver="It answers with a challenge ACK; a host that has forgotten the connection answers that with a reset.",
    wireshark="tcp.analysis.reused_ports",
    unless=("HS04",),
    good="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
    """,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 1:100(99) ack 1
        < .  1:1(0) ack 100
        > S  5000:5000(0)     # HS07
        < .  1:1(0) ack 100
        > R  100:100(0)
    """,
)
def syn_in_a_connection(seg: Seen, me: Side, peer: Side) -> int:
    """A SYN with a new number on a connection that both sides have established.

    A host that has crashed does so when it opens the same four-tuple again (RFC 9293 figure 9): the challenge ACK finds
    the half-open connection out. Nothing is wrong with it, but it is rare.
    """
    return (
        seg.ctl & (SYN | ACK | RST) == SYN and me.syn != 0 and seg.seq != me.isn and (me.third == 2 or peer.third == 2)
    )


@rule(
    "TFO01",
    Severity.WARNING,
    "RFC 7413 4.2",
    "the SYN carries {seg.len} octets of data without a Fast Open cookie",
    field="len",
    expected=lambda seg, me, peer: 0,
    actual="seg.len",
    profiles=RFC_ONLY,
    receiver="It acknowledges only the SYN, or keeps the octets until the connection is established.",
    good="""
        > S  0:20(20) <mss 1460,FO a1b2c3d4,nop,nop>
        < S. 0:0(0) ack 21 <mss 1460>
    """,
    bad="""
        > S 0:20(20) <mss 1460>   # TFO01
    """,
)
def data_on_syn_without_cookie(seg: Seen, me: Side, peer: Side) -> int:
    """A SYN may carry data only with a cookie that the server gave before; else anybody could make it work in vain.

    RFC 9293 allows data on a SYN, to be delivered once the connection is established, but nobody does that.
    """
    return seg.ctl & (SYN | ACK | RST) == SYN and seg.len > 0 and seg.tfo_len <= 0 and not seg.opt_cut


@rule(
    "HS07",
    Severity.ERROR,
    "RFC 9293 3.10.7.4",
    "SYN is set, with seq {seg.seq}, though this side has sent its SYN before, with {me.isn}: both ends are past it",
    field="flags",
    unless=("HS02", "HS04"),
    receiver="It answers with a challenge ACK, and ignores the rest (RFC 5961 section 4).",
    good="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
    """,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > S. 1:1(0) ack 1   # HS07
        > P. 1:100(99) ack 1
    """,
)
def syn_past_the_handshake(seg: Seen, me: Side, peer: Side) -> int:
    """A side sends SYN once; it may send the same one again, but with the same number."""
    if seg.ctl & (SYN | ACK | RST) != SYN | ACK or me.syn == 0 or seg.seq == me.isn:
        return False
    return me.syn == 1 or peer.third == 2
