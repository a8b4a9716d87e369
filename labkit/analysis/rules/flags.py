"""Control bits: illegal combinations and missing bits."""

from labkit.analysis.rule import RFC_ONLY, Severity, rule
from labkit.analysis.side import Side
from labkit.packet.seen import Seen
from labkit.tcp.flags import ACK, FIN, PSH, RST, SYN, URG

RESERVED = 0xE00
"""The three reserved bits, above AE."""


@rule(
    "FL01",
    Severity.ERROR,
    "RFC 9293 3.10.7",
    "SYN and FIN are both set",
    field="flags",
    should_be="SYN alone to open a connection, or FIN with ACK to close it",
    receiver="Stacks differ: some drop the segment, others take the SYN and ignore the FIN. Firewalls drop it as a "
    "probe.",
    mend="Clear SYN or FIN.",
    good="""
        > S 0:0(0)
    """,
    bad="""
        > SF 0:0(0)   # FL01
    """,
)
def syn_with_fin(seg: Seen, me: Side, peer: Side) -> int:
    """SYN opens a connection and FIN ends one direction of it, so no TCP state sends both in one segment.

    Scanners send such segments to identify a host.
    """
    return seg.ctl & (SYN | FIN) == SYN | FIN


@rule(
    "FL02",
    Severity.ERROR,
    "RFC 9293 3.10.7",
    "SYN and RST are both set",
    otherwise={
        Severity.WARNING: "FIN and RST are both set, although a reset already ends both directions",
    },
    field="flags",
    profiles=RFC_ONLY,
    should_be="RST without SYN or FIN",
    receiver="It checks RST first and takes the segment for a reset, or drops it.",
    mend="Clear RST, or clear SYN and FIN.",
    good="""
        > S  0:0(0)
        < R. 0:0(0) ack 1
    """,
    bad="""
        > SR 0:0(0)   # FL02
    """,
)
def syn_or_fin_with_rst(seg: Seen, me: Side, peer: Side) -> int:
    """RST aborts a connection, so it goes neither with SYN, which opens one, nor with FIN, which closes one in order.

    RST with FIN is only a warning, because the FIN adds nothing to the reset.
    """
    if seg.ctl & (FIN | RST) == FIN | RST:
        return Severity.WARNING
    return seg.ctl & (SYN | RST) == SYN | RST


@rule(
    "FL03",
    Severity.ERROR,
    "RFC 9293 3.10.7.4",
    "no control bit is set",
    field="flags",
    unless=("HS01",),
    should_be="ACK set, or SYN or RST",
    receiver="A closed port answers with RST; an open port or a connection drops the segment.",
    mend="Set ACK and a valid ack number.",
    good="""
        > F. 100:100(0) ack 120
    """,
    bad="""
        > -    100:100(0)   # FL03
    """,
)
def no_control_bits(seg: Seen, me: Side, peer: Side) -> int:
    """Every TCP segment has at least one of SYN, RST and ACK set.

    A segment without any control bit is a scanner's probe (null scan) or a crafted packet.
    """
    return seg.ctl & (SYN | RST | ACK | FIN | PSH | URG) == 0


@rule(
    "FL03",
    Severity.ERROR,
    "RFC 9293 3.10.7.4",
    "FIN is set without ACK",
    field="flags",
    unless=("FL01",),
    should_be="FIN with ACK, because every segment after the first SYN acknowledges",
    receiver="It drops the segment and keeps the connection open; a closed port answers with RST.",
    mend="Set ACK and a valid ack number.",
    good="""
        > F. 100:100(0) ack 120
    """,
    bad="""
        > F    100:100(0)   # FL03
        > FPU  100:100(0)   # FL03
    """,
)
def fin_without_ack(seg: Seen, me: Side, peer: Side) -> int:
    """A TCP sends its FIN with ACK set.

    A scanner sends FIN alone (FIN scan) or with PSH and URG (Xmas scan). RFC 9293 section 3.10.7.4: "if the ACK bit
    is off, drop the segment and return".
    """
    return seg.ctl & (SYN | RST | ACK | FIN) == FIN


@rule(
    "FL04",
    Severity.ERROR,
    "RFC 9293 3.10.7.4",
    "ACK is clear",
    field="flags",
    should_be="ACK set, because only the first SYN and a RST may lack it",
    receiver="It drops the segment (the fifth check of RFC 9293 section 3.10.7.4).",
    mend="Set ACK and a valid ack number.",
    good="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 1:100(99) ack 1
    """,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P  1:100(99)   # FL04
    """,
)
def ack_bit_missing(seg: Seen, me: Side, peer: Side) -> int:
    """Every segment after the first SYN acknowledges, so its ACK bit is set and its ack field counts.

    RFC 9293 section 3.10.7.4: "if the ACK bit is off, drop the segment and return". A RST may lack ACK.
    """
    return seg.ctl & (SYN | RST | ACK | FIN) == 0 and seg.ctl & (PSH | URG) != 0


@rule(
    "FL05",
    Severity.NOTE,
    "RFC 9293 3.1",
    "the ack field is {seg.ack}, but ACK is clear",
    field="ack",
    expected=lambda seg, me, peer: 0,
    actual="seg.ack",
    profiles=RFC_ONLY,
    should_be="ack 0, because the field has no meaning without ACK",
    receiver="It ignores the field.",
    mend="Set ack to 0, or set ACK.",
    wireshark="tcp.ack.nonzero",
    good="""
        > S 0:0(0)
    """,
    bad="""
        > S 0:0(0) ack 5   # FL05
    """,
)
def ack_number_without_ack(seg: Seen, me: Side, peer: Side) -> int:
    """The ack field counts only if ACK is set; senders leave it at 0 otherwise.

    A stray value does no harm, but often shows that somebody forgot the ACK bit.
    """
    return seg.ctl & ACK == 0 and seg.ack != 0


@rule(
    "FL06",
    Severity.NOTE,
    "RFC 9293 3.1",
    "the urgent pointer is {seg.urg}, but URG is clear",
    field="urgent_pointer",
    expected=lambda seg, me, peer: 0,
    actual="seg.urg",
    profiles=RFC_ONLY,
    should_be="urgent pointer 0, because the field has no meaning without URG",
    receiver="It ignores the field.",
    mend="Set the urgent pointer to 0, or set URG.",
    wireshark="tcp.urgent_pointer.non_zero",
    good="""
        > PU. 1:100(99) ack 1 win 65535 urg 5
    """,
    bad="""
        > P. 1:100(99) ack 1 win 65535 urg 5   # FL06
    """,
)
def urgent_pointer_without_urg(seg: Seen, me: Side, peer: Side) -> int:
    """The urgent pointer counts only if URG is set; senders leave it at 0 otherwise.

    A stray value does no harm, but often shows that somebody forgot the URG bit.
    """
    return seg.ctl & URG == 0 and seg.urg != 0


@rule(
    "FL07",
    Severity.WARNING,
    "RFC 9293 3.1",
    "the reserved bits between data offset and control bits are {actual}",
    field="flags",
    expected=lambda seg, me, peer: 0,
    actual=lambda seg, me, peer: seg.ctl // 0x200,
    profiles=RFC_ONLY,
    should_be="the reserved bits {expected}",
    receiver="It ignores the bits. Firewalls drop the segment as a probe.",
    mend="Clear the reserved bits.",
    good="""
        > S 0:0(0)
    """,
    bad="""
        > S 0:0(0) {reserved=4}   # FL07
    """,
)
def reserved_bits_set(seg: Seen, me: Side, peer: Side) -> int:
    """The bits that no standard uses yet are zero in every segment that a host sends (RFC 9293 section 3.1).

    The lowest of the four bits behind the data offset is AE since RFC 9768: it is not reserved any more.
    """
    return seg.ctl & RESERVED != 0
