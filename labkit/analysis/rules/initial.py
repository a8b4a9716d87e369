"""Initial sequence numbers: which one a connection begins with, and whether both ends go on from it."""

from labkit.analysis.pending import BEHIND, MISSED, UNSENT
from labkit.analysis.rule import RFC_ONLY, Scope, Severity, rule
from labkit.analysis.side import Side
from labkit.analysis.tracker import renumbers_its_syn
from labkit.packet.seen import ABSENT, Seen
from labkit.tcp.segment import ACK, RST, SYN
from labkit.tcp.seq import add, after, diff


@rule(
    "HS08",
    Severity.ERROR,
    "RFC 9293 3.5",
    "the SYN ACK has seq {peer.isn}, but both ends go on as though it were one less than {me.odd_ack}",
    otherwise={
        Severity.WARNING: "the SYN ACK has seq {peer.isn}, but both ends go on from {me.odd_ack}: either its number is wrong, "
        "or the capture lacks what stands between them",
    },
    at="peer.syn",
    field="seq",
    expected=lambda seg, me, peer: add(me.odd_ack, -1),
    actual="peer.isn",
    scope=Scope.PENDING,
    receiver="It acknowledges this number plus one, so that the octets that follow are old to it, or leave a gap.",
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
def syn_ack_with_another_number(seg: Seen, me: Side, peer: Side) -> int:
    """The SYN ACK says where the server's numbers begin. Where both ends then go on from another one, it is the odd one out.

    The same shows, with a higher number, where the capture lacks the server's first octets and the ACK before them.
    """
    if me.odd_mark != 1 or me.odd_state != MISSED or peer.syn != 2 or peer.seen != 1 or seg.seq != me.odd_ack:
        return False
    return True if me.odd_kind == BEHIND else Severity.WARNING if me.odd_kind == UNSENT else False


@rule(
    "HS08",
    Severity.ERROR,
    "RFC 9293 3.5",
    "the SYN has seq {me.isn}, but the SYN ACK and the third segment have its next number as {seg.seq}",
    at="me.syn",
    field="seq",
    expected=lambda seg, me, peer: add(seg.seq, -1),
    actual="me.isn",
    receiver="It acknowledges this number plus one: no SYN ACK could agree on another.",
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
    """The SYN says where the client's numbers begin. Where both ends then go on from another one, it is the odd one out."""
    return renumbers_its_syn(seg, me, peer)


@rule(
    "ST02",
    Severity.WARNING,
    "RFC 9293 3.6.1",
    "the four-tuple is used again within 2 MSL, with an ISN {seg.seq} that is not beyond {me.old_nxt}, where the old "
    "connection ended: old segments may be taken for new ones",
    otherwise={Severity.NOTE: "the four-tuple was used by another connection before in this capture"},
    field="seq",
    actual="seg.seq",
    profiles=RFC_ONLY,
    receiver="In TIME-WAIT it answers with an ACK and stays there: the connection is not opened.",
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
    """A connection may be reopened from TIME-WAIT by a SYN whose number is beyond the old connection's (MAY-2).

    With timestamps the clock decides instead (RFC 6191). After 2 MSL, or after a reset, any number will do. A SYN that
    was refused has opened nothing: that it is sent again is no reuse.
    """
    if seg.ctl & (SYN | ACK | RST) != SYN or me.has_old == 0 or me.syn != 0:
        return False
    if me.has_old == 2 and seg.tsval == ABSENT and not after(seg.seq, me.old_nxt):
        return True
    return Severity.NOTE if me.has_old != 3 else False


@rule(
    "ISN01",
    Severity.WARNING,
    "RFC 9293 3.4.1",
    "the initial sequence number can be foretold: this host began its last connection with {me.host_isn}, and this one with "
    "the same number, or the same step further as before",
    field="seq",
    actual="seg.seq",
    once=True,
    receiver="It opens the connection; whoever can foretell the number can send segments in this host's name.",
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
    """Each connection starts from a number of a clock plus a keyed hash of addresses and ports (RFC 6528).

    The document says "random". ISN 0 for every connection, the same number again, or one that grows by a constant step
    lets a stranger who cannot see the traffic forge segments.
    """
    if seg.ctl & (SYN | RST) != SYN or me.syn or me.host_isns == 0:
        return False
    step = diff(seg.seq, me.host_isn)
    if me.has_old == 2 or (step == 0 and me.has_old):
        return False  # out of TIME-WAIT, where Linux goes on from the old number; or the same attempt after a reset
    return step == 0 or (me.host_isns >= 2 and step == me.host_step)
