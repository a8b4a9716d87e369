"""TCP options: lengths, order and negotiation."""

from labkit.analysis.rule import RFC_ONLY, Severity, rule
from labkit.analysis.side import Side
from labkit.packet.seen import ABSENT, OPT_SOUND, Seen
from labkit.tcp.flags import ACK, RST, SYN

GOOD = """
    > S  0:0(0) <mss 1460,nop,wscale 7,nop,nop,TS val 1 ecr 0,sackOK,nop,nop>
    < S. 0:0(0) ack 1 <mss 1460,nop,wscale 7,nop,nop,TS val 9 ecr 1,sackOK,nop,nop>
    > .  1:1(0) ack 1 <nop,nop,TS val 2 ecr 9>
"""


@rule(
    "OPT01",
    Severity.ERROR,
    "RFC 9293 3.1",
    "an option has an illegal length",
    field="options",
    profiles=RFC_ONLY,
    should_be="the length of its kind, inside the header",
    receiver="It drops the segment or ignores the remaining options; stacks differ.",
    mend="Correct the option's length byte.",
    wireshark="tcp.option.len.invalid",
    good=GOOD,
    bad="""
        > S 0:0(0) <raw 0203aa>   # OPT01
    """,
)
def illegal_option_length(seg: Seen, me: Side, peer: Side) -> int:
    """Each option except end-of-list and no-operation has a length byte of at least 2 and lies inside the header.

    A receiver must survive illegal lengths (MUST-7). It skips an unknown option by its length (MUST-68), so a wrong
    length garbles all options behind it.
    """
    return seg.opt_fault != OPT_SOUND


@rule(
    "OPT02",
    Severity.WARNING,
    "RFC 9293 3.2",
    "MSS, window scale or SACK-permitted appears on a segment without SYN",
    field="options",
    profiles=RFC_ONLY,
    should_be="these options on a SYN only",
    receiver="It ignores the option.",
    mend="Remove the option, or move it to the SYN.",
    good=GOOD,
    bad="""
        > P. 1:100(99) ack 1 <mss 1460>   # OPT02
    """,
)
def opening_option_without_syn(seg: Seen, me: Side, peer: Side) -> int:
    """MSS (RFC 9293), window scale (RFC 7323 section 2.2) and SACK-permitted (RFC 2018 section 2) belong on a SYN.

    They tell once, when the connection opens, what a side supports.
    """
    return seg.ctl & SYN == 0 and (seg.mss != ABSENT or seg.wscale != ABSENT or seg.sack_ok != 0)


@rule(
    "OPT03",
    Severity.ERROR,
    "RFC 7323 1.3",
    "the SYN ACK has a window scale or timestamps, but the SYN did not offer them",
    field="options",
    profiles=RFC_ONLY,
    should_be="only options that the SYN offered",
    receiver="It ignores the option; if only one side ignores it, both misread each other's windows.",
    mend="Remove the option from the SYN ACK, or add it to the SYN.",
    good=GOOD,
    bad="""
        > S  0:0(0) <mss 1460>
        < S. 0:0(0) ack 1 <mss 1460,nop,wscale 7>   # OPT03
    """,
)
def answered_what_was_not_offered(seg: Seen, me: Side, peer: Side) -> int:
    """A SYN ACK carries window scale and timestamps only if the SYN had them (RFC 7323 section 1.3).

    Both sides must use the option, or neither. In a simultaneous open, the SYN ACK is the sender's own SYN, sent again with what
    that offered.
    """
    if seg.ctl & (SYN | ACK | RST) != SYN | ACK or peer.syn == 0 or peer.opt_cut:
        return False
    again = me.syn == 1 and seg.seq == me.isn
    scale = seg.wscale != ABSENT and peer.wscale == ABSENT and not (again and me.wscale != ABSENT)
    return scale or (seg.tsval != ABSENT and not peer.stamps and not (again and me.stamps))


@rule(
    "OPT04",
    Severity.WARNING,
    "RFC 7323 2.3",
    "the window scale is {actual}",
    field="options.wscale.shift",
    expected=lambda seg, me, peer: 14,
    actual="seg.wscale",
    profiles=RFC_ONLY,
    should_be="a window scale of {expected} at most",
    receiver="It uses 14 instead and may log the value.",
    mend="Set the window scale to {expected} or less.",
    wireshark="tcp.options.wscale.shift.invalid",
    good=GOOD,
    bad="""
        > S 0:0(0) <mss 1460,nop,wscale 15>   # OPT04
    """,
)
def window_scale_too_large(seg: Seen, me: Side, peer: Side) -> int:
    """A window scale is at most 14, which allows windows of up to 2**30 bytes.

    With larger windows a receiver could not tell old sequence numbers from new ones.
    """
    return seg.wscale > 14


@rule(
    "OPT05",
    Severity.WARNING,
    "RFC 9293 3.1",
    "an option appears twice, or bytes other than zero follow the end of the option list",
    field="options",
    profiles=RFC_ONLY,
    should_be="each option once, and only zeros behind the end of the list",
    receiver="It takes the first or the last copy, and ignores bytes behind the end.",
    mend="Remove the second copy, or fill the bytes behind the end with zeros.",
    good=GOOD,
    bad="""
        > S 0:0(0) <mss 1460,mss 536>   # OPT05
    """,
)
def options_not_in_order(seg: Seen, me: Side, peer: Side) -> int:
    """Each option appears once, and only zeros follow the end of the list (MUST-69).

    Stacks differ in which of two copies they take.
    """
    return seg.opt_twice != ABSENT or seg.opt_after_end != 0


@rule(
    "OPT06",
    Severity.NOTE,
    "RFC 9293 3.7.1",
    "the SYN has no MSS option",
    field="options",
    profiles=RFC_ONLY,
    should_be="the MSS option on every SYN",
    receiver="It assumes an MSS of 536 bytes (IPv4) or 1220 bytes (IPv6) and sends small segments.",
    mend="Add the MSS option to the SYN.",
    good=GOOD,
    bad="""
        > S 0:0(0)   # OPT06
    """,
)
def syn_without_mss(seg: Seen, me: Side, peer: Side) -> int:
    """A SYN should tell the largest segment that its sender can receive (SHLD-5).

    Without the option the peer must assume the default, which is legal but slow.
    """
    return seg.ctl & (SYN | RST) == SYN and seg.mss == ABSENT and seg.opt_fault == OPT_SOUND and not seg.opt_cut


@rule(
    "OPT06",
    Severity.WARNING,
    "RFC 9293 3.7.1",
    "the MSS option is 0, which leaves no room for any byte",
    field="options",
    profiles=RFC_ONLY,
    should_be="the largest segment that this side can receive",
    receiver="It takes the option as missing: 536 bytes (IPv4) or 1220 bytes (IPv6).",
    mend="Set the MSS option to the MTU less 40 bytes (IPv4) or 60 bytes (IPv6).",
    good=GOOD,
    bad="""
        > S 0:0(0) <mss 0>   # OPT06
    """,
)
def mss_of_zero(seg: Seen, me: Side, peer: Side) -> int:
    """The MSS option says how many bytes its sender can receive in one segment. 0 would forbid all data."""
    return seg.ctl & (SYN | RST) == SYN and seg.mss == 0
