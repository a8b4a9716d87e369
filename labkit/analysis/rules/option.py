"""TCP options: their lengths, where they may stand, and what was agreed on."""

from labkit.analysis.rule import RFC_ONLY, Severity, rule
from labkit.analysis.side import Side
from labkit.packet.seen import ABSENT, OPT_SOUND, Seen
from labkit.tcp.segment import ACK, RST, SYN

GOOD = """
    > S  0:0(0) <mss 1460,nop,wscale 7,nop,nop,TS val 1 ecr 0,sackOK,nop,nop>
    < S. 0:0(0) ack 1 <mss 1460,nop,wscale 7,nop,nop,TS val 9 ecr 1,sackOK,nop,nop>
    > .  1:1(0) ack 1 <nop,nop,TS val 2 ecr 9>
"""


@rule(
    "OPT01",
    Severity.ERROR,
    "RFC 9293 3.1",
    "an option has an illegal length: it is not the length of its kind, or it runs beyond the header",
    field="options",
    profiles=RFC_ONLY,
    receiver="It drops the segment, or stops reading options there; stacks differ.",
    wireshark="tcp.option.len.invalid",
    good=GOOD,
    bad="""
        > S 0:0(0) <raw 0203aa>   # OPT01
    """,
)
def illegal_option_length(seg: Seen, me: Side, peer: Side) -> int:
    """Each option but end-of-list and no-operation has a length, which is at least 2 and lies within the header.

    MUST-7: a receiver handles illegal lengths without crashing. MUST-68: every option has a length field, so that an
    unknown one can be skipped.
    """
    return seg.opt_fault != OPT_SOUND


@rule(
    "OPT02",
    Severity.WARNING,
    "RFC 9293 3.2",
    "MSS, window scale or SACK-permitted stands on a segment without SYN, where it says nothing",
    field="options",
    profiles=RFC_ONLY,
    receiver="It ignores the option.",
    good=GOOD,
    bad="""
        > P. 1:100(99) ack 1 <mss 1460>   # OPT02
    """,
)
def opening_option_without_syn(seg: Seen, me: Side, peer: Side) -> int:
    """MSS (RFC 9293), window scale (RFC 7323 section 2.2) and SACK-permitted (RFC 2018 section 2) belong to a SYN.

    They say what a side can do, once, when the connection opens.
    """
    return seg.ctl & SYN == 0 and (seg.mss != ABSENT or seg.wscale != ABSENT or seg.sack_ok != 0)


@rule(
    "OPT03",
    Severity.ERROR,
    "RFC 7323 1.3",
    "the SYN ACK has a window scale or timestamps that the SYN did not offer",
    field="options",
    profiles=RFC_ONLY,
    receiver="It ignores the option; if both sides do not, they misread each other's windows.",
    good=GOOD,
    bad="""
        > S  0:0(0) <mss 1460>
        < S. 0:0(0) ack 1 <mss 1460,nop,wscale 7>   # OPT03
    """,
)
def answered_what_was_not_offered(seg: Seen, me: Side, peer: Side) -> int:
    """Window scale and timestamps are sent in a SYN ACK only if the SYN had them (RFC 7323 section 1.3)."""
    if seg.ctl & (SYN | ACK | RST) != SYN | ACK or peer.syn == 0 or peer.opt_cut:
        return False
    return (seg.wscale != ABSENT and peer.wscale == ABSENT) or (seg.tsval != ABSENT and not peer.stamps)


@rule(
    "OPT04",
    Severity.WARNING,
    "RFC 7323 2.3",
    "the window scale is {seg.wscale}; more than 14 is not allowed",
    field="options.wscale.shift",
    expected=lambda seg, me, peer: 14,
    actual="seg.wscale",
    profiles=RFC_ONLY,
    receiver="It uses 14 instead, and may log it.",
    wireshark="tcp.options.wscale.shift.invalid",
    good=GOOD,
    bad="""
        > S 0:0(0) <mss 1460,nop,wscale 15>   # OPT04
    """,
)
def window_scale_too_large(seg: Seen, me: Side, peer: Side) -> int:
    """A window of more than 2**30 octets would make old and new sequence numbers indistinguishable."""
    return seg.wscale > 14


@rule(
    "OPT05",
    Severity.WARNING,
    "RFC 9293 3.1",
    "the options hold one kind twice, or something other than zeros behind the end of the list",
    field="options",
    profiles=RFC_ONLY,
    receiver="It takes the first or the last of them; what stands behind the end it ignores.",
    good=GOOD,
    bad="""
        > S 0:0(0) <mss 1460,mss 536>   # OPT05
    """,
)
def options_not_in_order(seg: Seen, me: Side, peer: Side) -> int:
    """An option stands in the list once, and behind the end of the list there are only zeros (MUST-69)."""
    return seg.opt_twice != ABSENT or seg.opt_after_end != 0


@rule(
    "OPT06",
    Severity.NOTE,
    "RFC 9293 3.7.1",
    "this SYN names no maximum segment size: the peer has to assume 536 octets (IPv4) or 1220 (IPv6)",
    field="options",
    profiles=RFC_ONLY,
    receiver="It sends small segments only.",
    good=GOOD,
    bad="""
        > S 0:0(0)   # OPT06
    """,
)
def syn_without_mss(seg: Seen, me: Side, peer: Side) -> int:
    """A SYN should say how large a segment its sender can take (SHLD-5)."""
    return seg.ctl & (SYN | RST) == SYN and seg.mss == ABSENT and seg.opt_fault == OPT_SOUND and not seg.opt_cut
