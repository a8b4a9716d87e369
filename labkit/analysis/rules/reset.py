"""Resets: refused and aborted connections."""

from labkit.analysis.rule import RFC_ONLY, Severity, rule
from labkit.analysis.side import Side
from labkit.analysis.tracker import overtaken, scale_is_known
from labkit.packet.seen import Seen
from labkit.tcp.segment import ACK, RST, SYN
from labkit.tcp.seq import add, after, between


def _wrong_field(seg: Seen, me: Side, peer: Side) -> str:
    return "seq" if seg.seq else "ack"


@rule(
    "RST02",
    Severity.ERROR,
    "RFC 9293 3.5.2",
    "the reset has seq {seg.seq} and ack {seg.ack}, but the SYN that it refuses ends at {peer.syn_end}",
    field=_wrong_field,
    expected=lambda seg, me, peer: 0 if seg.seq else peer.syn_end,
    actual=lambda seg, me, peer: seg.seq or seg.ack,
    profiles=RFC_ONLY,
    should_be="seq 0 and ack {peer.syn_end}, the number after the SYN",
    receiver="In SYN-SENT it drops a reset that does not acknowledge its SYN, and sends the SYN again.",
    mend="Set seq to 0, set ACK and set ack to {peer.syn_end}.",
    good="""
        > S  0:0(0)
        < R. 0:0(0) ack 1
    """,
    bad="""
        > S  0:0(0)
        < R. 0:0(0) ack 2   # RST02
    """,
)
def reset_does_not_fit_the_syn(seg: Seen, me: Side, peer: Side) -> int:
    """A closed port answers a SYN with <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>.

    The refusing host has no sequence number of its own, so seq is 0. The ack proves that it has seen this SYN.
    """
    if seg.ctl & (RST | SYN) != RST or peer.syn != 1 or me.syn or peer.last_ctl & SYN == 0 or peer.third:
        return False
    if me.seen and me.rst == 0:
        return False
    return seg.seq != 0 or seg.ctl & ACK == 0 or not between(add(peer.isn, 1), seg.ack, peer.syn_end)


@rule(
    "RST03",
    Severity.ERROR,
    "RFC 9293 3.5.2",
    "the sender continues after its own RST, which aborted the connection",
    field="flags",
    should_be="no further segment of this connection",
    receiver="It no longer knows the connection and answers with RST.",
    mend="Remove the segment, or the RST before it.",
    good="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > R. 1:1(0) ack 1
    """,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > R. 1:1(0) ack 1
        > P. 1:100(99) ack 1   # RST03
    """,
)
def goes_on_after_reset(seg: Seen, me: Side, peer: Side) -> int:
    """A RST ends the connection for its sender at once, so nothing of it can follow.

    Legal are segments that were in flight when the RST was captured, another RST, and a new SYN. A RST that an
    attacker has forged in the sender's name looks like this fault.
    """
    if me.rst == 0 or seg.ctl & (RST | SYN):
        return False
    if me.has_nxt and me.rst_seq != me.nxt:
        return False  # the peer ignores or challenges a RST that is not at SND.NXT, and the connection stays open (RFC 5961)
    return not overtaken(seg, me) or after(seg.end, me.rst_seq)


@rule(
    "RST01",
    Severity.WARNING,
    "RFC 9293 3.5.3",
    "the reset has seq {actual}, outside the peer's window from {peer.rcv_nxt} to {peer.right_edge}",
    otherwise={
        Severity.NOTE: "the reset has seq {actual}, in the peer's window but not the expected {peer.rcv_nxt}: the "
        "peer answers with a challenge ACK",
    },
    field="seq",
    expected="peer.rcv_nxt",
    actual="seg.seq",
    profiles=RFC_ONLY,
    should_be="seq {expected}, the number that the peer expects next",
    receiver="It drops the reset silently, and the connection stays open.",
    mend="Set seq to {expected}.",
    good="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > R. 1:1(0) ack 1
    """,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > R  900000:900000(0)   # RST01
    """,
)
def reset_outside_the_window(seg: Seen, me: Side, peer: Side) -> int:
    """A reset counts only if its number lies in the window. RFC 5961 accepts it only at exactly RCV.NXT.

    Elsewhere in the window the peer answers with a challenge ACK, so that an attacker has to guess the exact number.
    """
    if (
        seg.ctl & RST == 0
        or not scale_is_known(me, peer)
        or peer.has_right_edge == 0
        or peer.has_rcv_nxt == 0
        or peer.rst
    ):
        return False
    if me.pending_n or peer.pending_n or me.missed or peer.missed:
        return False
    if seg.seq in (me.nxt, peer.rcv_nxt, peer.last_ack):
        return False
    # A reset that answers an old segment takes its seq from that segment's ack.
    return Severity.NOTE if between(add(peer.rcv_nxt, -65536), seg.seq, peer.right_edge) else True
