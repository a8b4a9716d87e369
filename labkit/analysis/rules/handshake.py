"""The three-way handshake."""

from labkit.analysis.damage import replaces_damaged_syn
from labkit.analysis.order import SAME_MOMENT, ids_leave_one_out
from labkit.analysis.pending import GAP, THIRD, WRONG, Resolved
from labkit.analysis.relations import answers_earlier_attempt
from labkit.analysis.rule import RFC_ONLY, Scope, Severity, rule
from labkit.analysis.side import Side
from labkit.analysis.tracker import PASSED, renumbers_its_syn
from labkit.packet.seen import ABSENT, Seen
from labkit.tcp.flags import ACK, RST, SYN
from labkit.tcp.seq import add, after, before, between

MIN_SYN_RTO = 900_000_000
"""Nanoseconds before a SYN is retransmitted: one second (RFC 6298 section 2), less a margin for the clock."""

GOOD = """
    > S  0:0(0)
    < S. 0:0(0) ack 1
    > .  1:1(0) ack 1
"""


@rule(
    "HS01",
    Severity.ERROR,
    "RFC 9293 3.5",
    "the first segment of the connection has no SYN, but the SYN ACK acknowledges it as one",
    at="peer.first",
    field="flags",
    should_be="SYN set, without ACK",
    receiver="A listening TCP answers with RST, because a segment with ACK must belong to a known connection.",
    mend="Set SYN and clear ACK on the first segment.",
    good=GOOD,
    bad="""
        > .  0:0(0) ack 1   # HS01
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
    """,
)
def opened_without_syn(seg: Seen, me: Side, peer: Side) -> int:
    """A connection opens with a SYN without ACK, which tells where the client's sequence numbers begin.

    labkit reports the fault when the SYN ACK arrives: its ack is one more than the seq of the first segment, and only
    a SYN takes that one number. A capture that begins later shows no such ack.
    """
    return (
        seg.ctl & (SYN | ACK | RST) == SYN | ACK
        and peer.seen == 1
        and peer.syn == 0
        and peer.first_ctl & (SYN | RST) == 0
        and seg.ack == add(peer.first_seq, 1)
    )


@rule(
    "HS01",
    Severity.ERROR,
    "RFC 9293 3.5",
    "the SYN ACK comes before the SYN that it acknowledges",
    at="peer.first",
    field="flags",
    should_be="the SYN first, then the SYN ACK",
    receiver="A host that has sent no SYN answers a SYN ACK with RST.",
    mend="Put the SYN before the SYN ACK.",
    good=GOOD,
    bad="""
        < S. 0:0(0) ack 1   # HS01
        > S  0:0(0)
        > .  1:1(0) ack 1
    """,
)
def answered_before_asked(seg: Seen, me: Side, peer: Side) -> int:
    """A SYN ACK answers a SYN and comes after it.

    A capture may swap the two within a moment. If it misses the first SYN, it shows the retransmitted one after the
    SYN ACK, at least a second later (RFC 6298 section 2), or with a later timestamp. Both are legal.
    """
    if seg.ctl & (SYN | ACK | RST) != SYN or me.seen or peer.seen != 1 or peer.syn != 2 or peer.last_ack != seg.end:
        return False
    if seg.tsval >= 0 and peer.syn_echo and after(seg.tsval, peer.syn_echo):
        return False
    return SAME_MOMENT < seg.time - peer.first_time < MIN_SYN_RTO


@rule(
    "HS02",
    Severity.ERROR,
    "RFC 9293 3.10.7.3",
    "the SYN ACK has ack {actual}, but the SYN has seq {peer.isn}",
    field="ack",
    expected=lambda seg, me, peer: add(peer.isn, 1),
    actual="seg.ack",
    should_be="ack {expected}, because the SYN takes one sequence number",
    receiver="In SYN-SENT it answers with a reset (seq = this ack) and keeps waiting.",
    mend="Set ack to {expected}.",
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
    """The SYN ACK acknowledges the client's SYN: its ack is the client's initial sequence number plus one.

    A SYN with data (TCP Fast Open) may be acknowledged up to the end of its data. A client that gave up an attempt and made
    another one from the same port still gets the answer to the first.
    """
    if seg.ctl & (SYN | ACK | RST) != SYN | ACK or peer.syn == 0:
        return False
    if (peer.has_resyn and seg.ack == add(peer.resyn, 1)) or answers_earlier_attempt(seg, peer):
        return False
    if me.syn and seg.seq != me.isn and peer.third == 2:
        return False  # this segment must not have SYN at all: HS07
    return not between(add(peer.isn, 1), seg.ack, peer.syn_end)


@rule(
    "HS03",
    Severity.ERROR,
    "RFC 9293 3.5",
    "the third segment of the handshake has seq {actual}, but the SYN has already taken number {me.isn}",
    field="seq",
    expected=lambda seg, me, peer: add(me.isn, 1),
    actual="seg.seq",
    should_be="seq {expected}, because the SYN takes one sequence number",
    receiver="It takes the segment for an old one, acknowledges it and keeps waiting for the right one.",
    mend="Set seq to {expected}.",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  0:0(0) ack 1   # HS03
    """,
)
def third_segment_behind(seg: Seen, me: Side, peer: Side) -> int:
    """The client answers the SYN ACK with seq = its initial sequence number + 1, because its SYN takes one number."""
    if me.third != 1 or seg.ctl & (SYN | RST) or seg.ctl & ACK == 0:
        return False
    # If the capture lacks the third segment, the first one that it shows may be a keep-alive.
    probe = seg.seq == me.isn and seg.len <= 1 and seg.time - peer.last_time > MIN_SYN_RTO
    return before(seg.seq, add(me.isn, 1)) and not probe and not renumbers_its_syn(seg, me, peer)


@rule(
    "HS03",
    Severity.ERROR,
    "RFC 9293 3.5",
    "the third segment of the handshake has the number {actual}, which does not follow from the SYN and the SYN ACK",
    field=lambda seg, me, peer, resolved: "seq" if resolved.kind == GAP else "ack",
    expected=lambda seg, me, peer, resolved: add(me.isn, 1) if resolved.kind == GAP else add(peer.isn, 1),
    actual=lambda seg, me, peer, resolved: resolved.seq if resolved.kind == GAP else resolved.ack,
    scope=Scope.PENDING,
    should_be="{expected}: seq is the client's ISN + 1, and ack is the server's ISN + 1",
    receiver="In SYN-RECEIVED it answers a wrong ack with a reset; after a wrong seq it sends an ACK and keeps "
    "waiting.",
    mend="Set the number to {expected}.",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 2      # HS03
        > P. 1:100(99) ack 1
        < .  1:1(0) ack 100
    """,
)
def third_segment_does_not_fit(seg: Seen, me: Side, peer: Side, resolved: Resolved) -> int:
    """The third segment neither skips numbers nor acknowledges more or less than the server's SYN.

    The same shows if the capture lacks the real third segment, or if the SYN ACK has the wrong number. labkit
    therefore reports the fault only when the conversation continues from the right number.
    """
    return resolved.mark == THIRD and resolved.state == WRONG


@rule(
    "HS03",
    Severity.ERROR,
    "RFC 9293 3.5",
    "the third segment of the handshake, with ack {actual}, comes before the SYN ACK that it acknowledges",
    at="peer.last",
    field="ack",
    actual="peer.last_ack",
    should_be="the SYN ACK first, then its acknowledgement",
    receiver="It answers with a reset, because nobody can know its initial sequence number yet.",
    mend="Put the third segment after the SYN ACK.",
    good=GOOD,
    bad="""
        > S  0:0(0)
        > .  1:1(0) ack 1   # HS03
        < S. 0:0(0) ack 1
    """,
)
def third_segment_before_the_second(seg: Seen, me: Side, peer: Side) -> int:
    """The client acknowledges the server's SYN after it has received it.

    A capture may swap the two within a moment. If it misses the first SYN ACK, it shows the retransmitted one after
    the third segment, at least a second later (RFC 6298 section 2), or with a later timestamp. Both are legal.
    """
    if seg.ctl & (SYN | ACK | RST) != SYN | ACK or me.seen or peer.syn != 1 or not peer.has_last_ack:
        return False
    if seg.tsval >= 0 and me.least_tsval >= 0 and after(seg.tsval, me.least_tsval):
        return False  # the third segment echoes an earlier SYN ACK
    return peer.last_ack == seg.end and SAME_MOMENT < seg.time - peer.last_time < MIN_SYN_RTO


@rule(
    "HS03",
    Severity.ERROR,
    "RFC 9293 3.5",
    "the third segment of the handshake comes before the SYN ACK, and its ack {actual} does not acknowledge it",
    at="peer.last",
    field="ack",
    expected=lambda seg, me, peer: seg.end,
    actual="peer.last_ack",
    should_be="ack {expected}, because the server's SYN takes one sequence number; and the SYN ACK first",
    receiver="It answers with a reset, because it has not sent what the segment acknowledges.",
    mend="Set ack to {expected}, and put the segment after the SYN ACK.",
    good=GOOD,
    bad="""
        > S  0:0(0)
        > .  1:1(0) ack 2   # HS03
        < S. 0:0(0) ack 1
    """,
)
def third_segment_acknowledges_nothing(seg: Seen, me: Side, peer: Side) -> int:
    """A capture may swap the SYN ACK and its acknowledgement, but the number must fit.

    If the capture misses the first SYN ACK, it shows the retransmitted one, at least a second later (RFC 6298 section
    2), which may have another number.
    """
    if seg.ctl & (SYN | ACK | RST) != SYN | ACK or me.seen or peer.syn != 1 or not peer.has_last_ack:
        return False
    return peer.last_ack != seg.end and peer.last_ctl & (SYN | RST) == 0 and seg.time - peer.last_time < MIN_SYN_RTO


@rule(
    "HS04",
    Severity.WARNING,
    "RFC 9293 3.8.1",
    "the repeated SYN has seq {actual}, but the first one has {me.isn}",
    field="seq",
    expected="me.isn",
    actual="seg.seq",
    profiles=RFC_ONLY,
    should_be="seq {expected}, because a retransmission keeps its sequence number",
    receiver="In SYN-RECEIVED it takes the second SYN for one outside the window and answers with a challenge ACK.",
    mend="Set seq to {expected}, or use another port for a new connection.",
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
    """A retransmitted SYN has the same sequence number as the first one.

    A new attempt from the same port after a failed one is a new connection and takes a new number, which is legal.
    The fault is a second number while the first SYN is still unanswered, or two different answers to one SYN.
    """
    if seg.ctl & (SYN | RST) != SYN or me.syn == 0 or seg.seq == me.isn or replaces_damaged_syn(seg, me):
        return False
    return me.third == 0 and peer.third < 2 and me.octets == 0 and (seg.ctl & ACK != 0) == (me.syn == 2)


@rule(
    "HS05",
    Severity.WARNING,
    "RFC 9293 3.5",
    "the SYN ACK carries {actual} bytes of data, but the SYN did not ask for TCP Fast Open",
    field="len",
    expected=lambda seg, me, peer: 0,
    actual="seg.len",
    should_be="no data on the SYN ACK",
    receiver="It keeps the bytes until the connection is established, or drops them.",
    mend="Send the data after the handshake, or add the Fast Open option to the SYN.",
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
    """Stacks send data only after the handshake, because TCP delivers it only on an established connection.

    RFC 9293 section 3.5 allows data on a SYN if the receiver holds it back, so this is unusual but no error. With the
    option of TCP Fast Open (RFC 7413) on the SYN, both SYNs may carry data.
    """
    if seg.ctl & (SYN | ACK | RST) != SYN | ACK or seg.len == 0 or peer.syn == 0:
        return False
    return peer.tfo_len == ABSENT and not peer.opt_cut


@rule(
    "HS06",
    Severity.NOTE,
    "RFC 9293 3.5",
    "simultaneous open: both sides sent a SYN before they saw the other's, which is legal",
    receiver="It answers with a SYN ACK that has the sequence number of its own SYN.",
    no_fault="describes what is not a fault",
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
    """Two SYNs that cross open one connection, not two (RFC 9293 figure 7).

    The document does not mention this case.
    """
    return seg.ctl & (SYN | ACK | RST) == SYN and me.syn == 0 and me.seen == 0 and peer.syn == 1 and peer.third == 0


@rule(
    "HS07",
    Severity.NOTE,
    "RFC 5961 4",
    "a SYN arrives in an established connection: its sender has forgotten the connection, or somebody forges it",
    receiver="It answers with a challenge ACK, which a host without this connection answers with a reset.",
    wireshark="tcp.analysis.reused_ports",
    unless=("HS04",),
    good=GOOD,
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
    """A SYN with a new number arrives on a connection that both sides have established.

    A host does this after a crash, when it opens the same four-tuple again (RFC 9293 figure 9). The challenge ACK
    then finds the half-open connection. This is legal, but rare.
    """
    return (
        seg.ctl & (SYN | ACK | RST) == SYN and me.syn != 0 and seg.seq != me.isn and (me.third == 2 or peer.third == 2)
    )


@rule(
    "TFO01",
    Severity.WARNING,
    "RFC 7413 4.2",
    "the SYN carries {actual} bytes of data without a Fast Open cookie",
    field="len",
    expected=lambda seg, me, peer: 0,
    actual="seg.len",
    profiles=RFC_ONLY,
    should_be="no data on the SYN",
    receiver="It acknowledges only the SYN, or keeps the bytes until the connection is established.",
    mend="Send the data after the handshake, or add a Fast Open cookie to the SYN.",
    good="""
        > S  0:20(20) <mss 1460,FO a1b2c3d4,nop,nop>
        < S. 0:0(0) ack 21 <mss 1460>
    """,
    bad="""
        > S 0:20(20) <mss 1460>   # TFO01
    """,
)
def data_on_syn_without_cookie(seg: Seen, me: Side, peer: Side) -> int:
    """A SYN carries data only with a cookie that the server has issued before (TCP Fast Open).

    Without the cookie, an attacker with a forged address could make the server work. RFC 9293 allows data on a SYN,
    delivered after the handshake, but no common stack sends it.
    """
    return seg.ctl & (SYN | ACK | RST) == SYN and seg.len > 0 and seg.tfo_len <= 0 and not seg.opt_cut


@rule(
    "HS07",
    Severity.ERROR,
    "RFC 9293 3.10.7.4",
    "SYN is set with seq {seg.seq}, but this side has already sent its SYN with {me.isn}",
    field="flags",
    unless=("HS02", "HS04"),
    should_be="SYN clear",
    receiver="It answers with a challenge ACK and ignores the rest (RFC 5961 section 4).",
    mend="Clear SYN.",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > S. 1:1(0) ack 1   # HS07
        > P. 1:100(99) ack 1
    """,
)
def syn_past_the_handshake(seg: Seen, me: Side, peer: Side) -> int:
    """A side sends one SYN for each connection.

    It may retransmit this SYN, but only with the same sequence number.
    """
    if seg.ctl & (SYN | ACK | RST) != SYN | ACK or me.syn == 0 or seg.seq == me.isn:
        return False
    return me.syn == 1 or peer.third == 2


@rule(
    "HS07",
    Severity.WARNING,
    "RFC 5961 4",
    "nobody challenges the SYN with seq {actual} in an established connection, although the peer goes on",
    at="me.resyn",
    field="flags",
    actual="me.resyn",
    scope=Scope.SIDE,
    profiles=RFC_ONLY,
    should_be="a challenge ACK of the peer, with its SND.NXT and RCV.NXT",
    receiver="It must answer at once with a challenge ACK, whatever the number of the SYN.",
    mend="Remove the SYN, or add the challenge ACK after it.",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > S  5000:5000(0)     # HS07
        > P. 1:100(99) ack 1
        < .  1:1(0) ack 100
    """,
)
def syn_in_a_connection_not_challenged(seg: Seen, me: Side, peer: Side) -> int:
    """A synchronized host answers every SYN with a challenge ACK, so that a forged SYN cannot reset the connection.

    The same shows if the SYN was lost behind the point of capture.
    """
    return me.has_resyn != 0 and me.challenge == PASSED


@rule(
    "HS01",
    Severity.WARNING,
    "RFC 9293 3.10.7.3",
    "the answer to the SYN acknowledges it with ack {seg.ack}, but has no SYN",
    field="flags",
    profiles=RFC_ONLY,
    unless=("FL02",),
    should_be="SYN and ACK set",
    receiver="In SYN-SENT it drops the segment and waits for a SYN ACK.",
    mend="Set SYN, or add the SYN ACK before the segment.",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < .  0:0(0) ack 1   # HS01
    """,
)
def answered_without_syn(seg: Seen, me: Side, peer: Side) -> int:
    """In SYN-SENT, a good ACK without SYN tells nothing: the server's sequence numbers begin with its SYN.

    If the capture lacks the SYN ACK, the client has acknowledged it before the server goes on. If that was lost, the server
    answers the SYN that comes again with such an ACK (RFC 9293 section 3.10.7.4).
    """
    if seg.ctl & (SYN | RST | ACK) != ACK or me.seen or peer.syn != 1 or peer.has_last_ack:
        return False
    if peer.resent and seg.seg_len == 0:
        return False
    return between(add(peer.isn, 1), seg.ack, peer.syn_end)


@rule(
    "HS05",
    Severity.WARNING,
    "RFC 9293 3.10.2",
    "the server sends data before the client's third segment",
    at="peer.early",
    field="len",
    expected=lambda seg, me, peer: 0,
    profiles=RFC_ONLY,
    should_be="no data in SYN-RECEIVED, before the handshake is complete",
    receiver="It takes the data if it has received the SYN ACK, or drops it.",
    mend="Send the data after the third segment, or use TCP Fast Open.",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        < P. 1:20(19) ack 1   # HS05
        > .  1:1(0) ack 20
    """,
)
def data_before_the_third_segment(seg: Seen, me: Side, peer: Side) -> int:
    """In SYN-RECEIVED a server queues its data until the client's third segment arrives (SEND call, RFC 9293 section 3.10.2).

    Only after a SYN with data and a Fast Open cookie may it answer earlier (RFC 7413). labkit reports the fault at the client's
    next segment, if its identification does not show that the capture lacks the third one.
    """
    if me.third != 1 or peer.early_packet == 0 or seg.ctl & (SYN | RST | ACK) != ACK:
        return False
    return not ids_leave_one_out(seg, me, peer)
