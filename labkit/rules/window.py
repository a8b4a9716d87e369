"""The window: how much the receiver is ready to take."""

from labkit.rule import RFC_ONLY, Severity, rule
from labkit.segment import RST, SYN, Seen
from labkit.seq import add, after
from labkit.side import Side


@rule(
    "WIN01",
    Severity.ERROR,
    "RFC 9293 3.10.7.4",
    "the data ends at {seg.end}, beyond {peer.edge}, the right edge of the window that the peer has offered",
    otherwise={
        Severity.WARNING: "the data ends at {seg.end}, beyond {peer.edge}, the right edge of the last window that this "
        "capture shows; it lacks packets of the peer, and maybe the one that opened the window",
    },
    field="len",
    expected=lambda seg, me, peer: max(0, seg.len - (add(seg.seq, seg.len) - peer.edge & 0xFFFFFFFF)),
    actual="seg.len",
    profiles=RFC_ONLY,
    receiver="It takes the octets up to the edge, drops the rest and acknowledges what it took.",
    good="""
        > S  0:0(0)
        < S. 0:0(0) ack 1 win 100
        > .  1:1(0) ack 1
        > P. 1:101(100) ack 1
    """,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1 win 100
        > .  1:1(0) ack 1
        > P. 1:102(101) ack 1   # WIN01
    """,
)
def data_beyond_the_window(seg: Seen, me: Side, peer: Side) -> int:
    """A sender sends no octet beyond SND.UNA + SND.WND: the receiver has said that it has no room for it.

    What counts is the right-most edge that the peer ever offered, for a receiver may shrink its window while data is
    under way. One octet beyond a closed window is a probe. The scale of the window is known only from both SYNs.
    """
    if seg.len == 0 or seg.ctl & (SYN | RST) or peer.has_edge == 0 or me.syn == 0 or peer.syn == 0:
        return False
    if not after(add(seg.seq, seg.len), peer.edge) or (seg.len == 1 and seg.seq == peer.edge):
        return False
    in_doubt = me.missed or me.doubt_n or peer.missed or peer.doubt_n or seg.delta > 0
    return Severity.WARNING if in_doubt else True
