"""Multipath TCP (RFC 8684): one connection over several subflows, each of which is a TCP conversation."""

from labkit.analysis.extensions import is_multipath
from labkit.analysis.order import ids_leave_one_out
from labkit.analysis.rule import RFC_ONLY, Scope, Severity, rule
from labkit.analysis.side import Side
from labkit.packet.seen import MP_CAPABLE, MP_JOIN, OPT_SOUND, Seen
from labkit.tcp.flags import ACK, RST, SYN

GOOD = """
    > S  0:0(0) <mp_capable version 1 flags 0x01>
    < S. 0:0(0) ack 1 <mp_capable version 1 flags 0x01 sender 0x00000000000000a1>
    > .  1:1(0) ack 1 <mp_capable version 1 flags 0x01 sender 0x00000000000000b2 receiver 0x00000000000000a1>
    > P. 1:100(99) ack 1 <mp_capable version 1 flags 0x01 sender 0x00000000000000b2 receiver 0x00000000000000a1 length 99>
    < .  1:1(0) ack 100 <dss ack8 100>
"""

MADE = "needs a conversation that agrees on MPTCP"


@rule(
    "MP01",
    Severity.ERROR,
    "RFC 8684 3.1, 3.2",
    "the SYN ACK has MP_CAPABLE or MP_JOIN, but the SYN does not have the same",
    field="options",
    profiles=RFC_ONLY,
    should_be="MP_CAPABLE as the answer to MP_CAPABLE, and MP_JOIN to MP_JOIN",
    receiver="It ignores the option, and opens an ordinary connection.",
    mend="Remove the option from the SYN ACK, or add it to the SYN.",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1 <mp_capable version 1 flags 0x01 sender 0x00000000000000a1>   # MP01
    """,
)
def multipath_unasked(seg: Seen, me: Side, peer: Side) -> int:
    """MP_CAPABLE opens an MPTCP connection, MP_JOIN adds a subflow to one. A SYN ACK agrees to the one that the SYN offers."""
    if seg.ctl & (SYN | ACK | RST) != SYN | ACK or peer.syn == 0 or peer.opt_cut:
        return False
    return seg.mptcp & ~peer.mptcp & (MP_CAPABLE | MP_JOIN) != 0


@rule(
    "MP02",
    Severity.WARNING,
    "RFC 8684 3.1",
    "the segment has an MPTCP option, but the SYNs did not agree on MPTCP",
    field="options",
    profiles=RFC_ONLY,
    once=True,
    should_be="no MPTCP option, unless both SYNs have MP_CAPABLE or MP_JOIN",
    receiver="It ignores the option.",
    mend="Remove the option, or add MP_CAPABLE to both SYNs.",
    good=GOOD,
    bad="""
        > S  0:0(0) <mp_capable version 1 flags 0x01>
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1 <dss ack8 1>   # MP02
    """,
)
def multipath_without_agreement(seg: Seen, me: Side, peer: Side) -> int:
    """Where a SYN or SYN ACK lacks MP_CAPABLE, the connection falls back to ordinary TCP, without any of MPTCP's options."""
    if seg.mptcp == 0 or seg.ctl & (SYN | RST) or me.syn == 0 or peer.syn == 0 or me.opt_cut or peer.opt_cut:
        return False
    return (me.mptcp & peer.mptcp) & (MP_CAPABLE | MP_JOIN) == 0


@rule(
    "MP03",
    Severity.ERROR,
    "RFC 8684 3.1",
    "the second key of MP_CAPABLE is not the key on the peer's SYN ACK",
    field="options",
    profiles=RFC_ONLY,
    should_be="the sender's own key, then the key on the SYN ACK",
    receiver="It does not open an MPTCP connection: it falls back to ordinary TCP, or resets the connection.",
    mend="Copy the key of the SYN ACK.",
    no_fault=MADE,
    good=GOOD,
    bad="""
        > S  0:0(0) <mp_capable version 1 flags 0x01>
        < S. 0:0(0) ack 1 <mp_capable version 1 flags 0x01 sender 0x00000000000000a1>
        > .  1:1(0) ack 1 <mp_capable version 1 flags 0x01 sender 0x00000000000000b2 receiver 0x00000000000000a2>   # MP03
    """,
)
def multipath_key_is_wrong(seg: Seen, me: Side, peer: Side) -> int:
    """The third segment repeats both keys, so that a server need not keep a state for each SYN."""
    return (
        seg.mptcp != 0
        and seg.mp_keys == 2
        and peer.mp_keys != 0
        and seg.mp_echo != peer.mp_key
        and seg.ctl & (SYN | RST) == 0
    )


@rule(
    "MP04",
    Severity.WARNING,
    "RFC 8684 3.1",
    "the third segment lacks MP_CAPABLE or MP_JOIN, so that the connection does not use MPTCP",
    field="options",
    profiles=RFC_ONLY,
    should_be="MP_CAPABLE with both keys, or MP_JOIN with the HMAC",
    receiver="It falls back to ordinary TCP, or resets a subflow that should join.",
    mend="Add the option.",
    no_fault=MADE,
    good=GOOD,
    bad="""
        > S  0:0(0) <mp_capable version 1 flags 0x01>
        < S. 0:0(0) ack 1 <mp_capable version 1 flags 0x01 sender 0x00000000000000a1>
        > .  1:1(0) ack 1   # MP04
    """,
)
def multipath_not_confirmed(seg: Seen, me: Side, peer: Side) -> int:
    """The third segment proves that options pass in the client's direction, and gives the client's key."""
    if (
        me.third != 1
        or me.syn != 1
        or peer.syn != 2
        or seg.ctl & (SYN | RST)
        or seg.opt_cut
        or seg.opt_fault != OPT_SOUND
    ):
        return False
    agreed = (me.mptcp & peer.mptcp) & (MP_CAPABLE | MP_JOIN)
    return agreed != 0 and seg.mptcp & agreed == 0 and not ids_leave_one_out(seg, me, peer)


@rule(
    "MP05",
    Severity.NOTE,
    "RFC 8684 3.3.4",
    "the conversation is a subflow of an MPTCP connection: its windows are those of the whole connection",
    profiles=RFC_ONLY,
    scope=Scope.FLOW,
    limit="multipath",
    receiver="It counts the window from the Data ACK, over all subflows.",
    no_fault="describes what is not a fault",
    good="""
        > S  0:0(0) <mp_capable version 1 flags 0x01>
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
    """,
    bad="""
        > S  0:0(0) <mp_capable version 1 flags 0x01>
        < S. 0:0(0) ack 1 <mp_capable version 1 flags 0x01 sender 0x00000000000000a1>
        # MP05
    """,
)
def windows_of_multipath(seg: Seen, me: Side, peer: Side) -> int:
    """A receiver of MPTCP has one buffer for all subflows. So the right edge that one subflow shows may move to the left, and
    data may lie beyond it. labkit does not judge either."""
    return is_multipath(me, peer)
