"""Selective acknowledgements."""

from labkit.analysis.rule import RFC_ONLY, Severity, rule
from labkit.analysis.side import Side
from labkit.packet.seen import Seen
from labkit.tcp.segment import ACK, RST, SYN
from labkit.tcp.seq import after, before

GOOD = """
    > S  0:0(0) <sackOK>
    < S. 0:0(0) ack 1 <sackOK>
    > .  1:1(0) ack 1
    > P. 101:201(100) ack 1
    < .  1:1(0) ack 1 <nop,nop,sack 101:201>
    > P. 1:101(100) ack 1
    < .  1:1(0) ack 201
    > P. 1:101(100) ack 1
    < .  1:1(0) ack 201 <nop,nop,sack 1:101>
"""


@rule(
    "SACK01",
    Severity.ERROR,
    "RFC 2018 2",
    "the segment carries a SACK option, but the peer's SYN did not permit it",
    field="options",
    profiles=RFC_ONLY,
    should_be="no SACK option",
    receiver="It ignores the option or drops the segment.",
    mend="Remove the SACK option, or add SACK-permitted to the peer's SYN.",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1 <sackOK>
        > .  1:1(0) ack 1
        > P. 101:201(100) ack 1
        < .  1:1(0) ack 1 <nop,nop,sack 101:201>   # SACK01
    """,
)
def sack_not_permitted(seg: Seen, me: Side, peer: Side) -> int:
    """A host sends SACK blocks only to a peer whose SYN carried SACK-permitted."""
    return seg.sack_n > 0 and peer.syn != 0 and peer.sack_ok == 0 and not peer.opt_cut


@rule(
    "SACK02",
    Severity.ERROR,
    "RFC 2018 3",
    "a SACK block is empty or reversed, or covers bytes that the peer has not sent",
    otherwise={
        Severity.WARNING: "a SACK block covers bytes of the peer that this capture does not show",
    },
    field="options",
    profiles=RFC_ONLY,
    should_be="left edge < right edge =< the peer's next sequence number",
    receiver="It ignores the block (RFC 6675) or drops the segment.",
    mend="Correct the edges of the block, or remove it.",
    good=GOOD,
    bad="""
        > S  0:0(0) <sackOK>
        < S. 0:0(0) ack 1 <sackOK>
        > .  1:1(0) ack 1
        > P. 1:101(100) ack 1
        < .  1:1(0) ack 1 <nop,nop,sack 301:401>   # SACK02
    """,
)
def impossible_sack_block(seg: Seen, me: Side, peer: Side) -> int:
    """A SACK block covers bytes that arrived beyond the ack: left edge < right edge =< SND.NXT of the peer.

    The first block may lie below the ack. It then reports bytes that arrived twice (D-SACK, RFC 2883 section 4).
    """
    if seg.sack_n == 0 or seg.ctl & ACK == 0 or seg.ctl & (SYN | RST):
        return False
    beyond = False
    for i in range(seg.sack_n):
        if not before(seg.sack_left[i], seg.sack_right[i]):
            return True
        if after(seg.sack_right[i], peer.nxt):
            beyond = True
    if beyond and peer.seen and peer.has_nxt:
        whole = me.syn and peer.syn and peer.missed == 0 and peer.pending_n == 0 and me.pending_n == 0
        return True if whole else Severity.WARNING
    return False
