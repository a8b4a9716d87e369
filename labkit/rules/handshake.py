"""The three-way handshake."""

from labkit.doubt import UNSENT, WRONG
from labkit.rule import RFC_ONLY, Scope, Severity, rule
from labkit.segment import ACK, RST, SYN, Seen
from labkit.seq import add, before, between
from labkit.side import Side


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
    return not between(add(peer.isn, 1), seg.ack, peer.syn_end)


def _third_field(seg: Seen, me: Side, peer: Side) -> str:
    return "seq" if before(seg.seq, add(me.isn, 1)) else "ack"


def _third_expected(seg: Seen, me: Side, peer: Side) -> int:
    return add(me.isn, 1) if before(seg.seq, add(me.isn, 1)) else add(peer.isn, 1)


def _third_actual(seg: Seen, me: Side, peer: Side) -> int:
    return seg.seq if before(seg.seq, add(me.isn, 1)) else seg.ack


@rule(
    "HS03",
    Severity.ERROR,
    "RFC 9293 3.5",
    "the third segment of the handshake has seq {seg.seq} and ack {seg.ack}; each must be one more than the ISN "
    "({me.isn} and {peer.isn})",
    field=_third_field,
    expected=_third_expected,
    actual=_third_actual,
    receiver="With a wrong ack a server in SYN-RECEIVED sends a reset; with a wrong seq it acknowledges, and waits on.",
    good="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
    """,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 0   # HS03
    """,
)
def third_segment_behind(seg: Seen, me: Side, peer: Side) -> int:
    """The client answers the SYN ACK with seq = its ISN + 1 and ack = the server's ISN + 1: both SYNs are counted."""
    if me.third != 1 or seg.ctl & (SYN | RST) or seg.ctl & ACK == 0:
        return False
    return before(seg.seq, add(me.isn, 1)) or before(seg.ack, add(peer.isn, 1))


@rule(
    "HS03",
    Severity.ERROR,
    "RFC 9293 3.5",
    "the third segment of the handshake runs ahead: its seq must be the ISN + 1 ({me.odd_want}), its ack the peer's "
    "ISN + 1",
    at="me.odd",
    field=lambda seg, me, peer: "ack" if me.odd_kind == UNSENT else "seq",
    expected=lambda seg, me, peer: add(peer.isn, 1) if me.odd_kind == UNSENT else add(me.isn, 1),
    actual=lambda seg, me, peer: me.odd_ack if me.odd_kind == UNSENT else me.odd_seq,
    scope=Scope.DOUBT,
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
def third_segment_ahead(seg: Seen, me: Side, peer: Side) -> int:
    """The third segment must not skip numbers, nor acknowledge what the server has not sent.

    A capture may show such a segment though nothing is wrong: where the true third segment was lost. So it counts only
    once the conversation has gone on as though the number had been the right one.
    """
    return me.odd_mark == 1 and me.odd_state == WRONG


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
