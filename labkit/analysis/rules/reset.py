"""Resets: how a connection is refused or aborted."""

from labkit.analysis.rule import RFC_ONLY, Severity, rule
from labkit.analysis.side import Side
from labkit.analysis.tracker import overtaken, scale_is_known
from labkit.packet.seen import Seen
from labkit.tcp.segment import ACK, RST, SYN
from labkit.tcp.seq import add, after, between


def _field(seg: Seen, me: Side, peer: Side) -> str:
    return "seq" if seg.seq else "ack"


@rule(
    "RST02",
    Severity.ERROR,
    "RFC 9293 3.5.2",
    "a reset that refuses a SYN has seq 0 and acknowledges the SYN; this one has seq {seg.seq} and ack {seg.ack}, the "
    "SYN ends at {peer.syn_end}",
    field=_field,
    expected=lambda seg, me, peer: 0 if seg.seq else peer.syn_end,
    actual=lambda seg, me, peer: seg.seq or seg.ack,
    profiles=RFC_ONLY,
    receiver="In SYN-SENT a reset counts only if it acknowledges the SYN; this one is dropped, and the SYN sent again.",
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
    """Where nobody listens, a SYN is answered with <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>.

    The refusing side knows no number of its own, so that seq is 0, and the ack shows that it has seen this SYN.
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
    "the sender goes on after its own RST, which aborted the connection",
    field="flags",
    receiver="It has no such connection any more, and answers with RST.",
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
    """A RST ends the connection for its sender at once: it has nothing more to send on it.

    What a sender had under way may be captured after its RST; another RST, or a new SYN, is no fault either. A RST that
    somebody else has forged in the sender's name looks the same as a fault.
    """
    if me.rst == 0 or seg.ctl & (RST | SYN):
        return False
    if me.has_nxt and me.rst_seq != me.nxt:
        return False  # not at SND.NXT: the peer ignores it or challenges it, and the connection lives on (RFC 5961)
    return not overtaken(seg, me) or after(seg.end, me.rst_seq)


@rule(
    "RST01",
    Severity.WARNING,
    "RFC 9293 3.5.3",
    "the reset has seq {seg.seq}, outside of the peer's window ({peer.rcv_nxt} to {peer.right_edge})",
    otherwise={
        Severity.NOTE: "the reset has seq {seg.seq}, which lies in the peer's window, but is not {peer.rcv_nxt}, the number that it "
        "expects: it is answered with a challenge ACK",
    },
    field="seq",
    expected="peer.rcv_nxt",
    actual="seg.seq",
    profiles=RFC_ONLY,
    receiver="It drops the reset without a word: the connection lives on.",
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
    """A reset counts only if its number lies in the window; RFC 5961: only if it is exactly RCV.NXT.

    Anywhere else in the window it is answered with a challenge ACK, so that a forger has to guess the exact number.
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
    # A reset that answers an old segment has the number that the segment acknowledged, and one for a lost ACK is late.
    return Severity.NOTE if between(add(peer.rcv_nxt, -65536), seg.seq, peer.right_edge) else True
