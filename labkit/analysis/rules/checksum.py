"""Checksums of the IPv4 header and of TCP."""

from labkit.analysis.rule import RFC_ONLY, Scope, Severity, rule
from labkit.analysis.side import Side
from labkit.packet.seen import SUM_BAD, SUM_PARTIAL, SUM_ZERO, Seen

FEW = 2
"""Wrong checksums from which on it is no chance that they are alike."""


@rule(
    "CK01",
    Severity.ERROR,
    "RFC 791 3.1",
    "the IPv4 header checksum is {seg.ip_sum:#06x}; the header sums up to {seg.ip_sum_want:#06x}",
    otherwise={
        Severity.NOTE: "the IPv4 header checksum is 0: the capture was taken before the hardware filled it in",
    },
    field="ip.checksum",
    expected="seg.ip_sum_want",
    actual="seg.ip_sum",
    scope=Scope.FRAME,
    profiles=RFC_ONLY,
    receiver="It drops the datagram at once; TCP never sees it.",
    wireshark="ip.checksum_bad",
    good="""
        > S 0:0(0)
    """,
    bad="""
        > S 0:0(0) {ip.sum=0x1234}   # CK01
    """,
)
def wrong_ip_checksum(seg: Seen, me: Side, peer: Side) -> int:
    """The IPv4 header checksum is the ones' complement of the ones' complement sum of the header's 16-bit words.

    A checksum of zero is what a sending host leaves for its network card to fill in; it is seen in captures taken on
    that host, and says nothing about the wire.
    """
    if seg.ip_sum_state == SUM_ZERO:
        return Severity.NOTE
    return seg.ip_sum_state == SUM_BAD


@rule(
    "CK01",
    Severity.WARNING,
    "RFC 791 3.1",
    "none of this side's {me.ips_bad} IPv4 header checksums is right, and all are off by the same amount: an address was "
    "rewritten after they were computed, or the sender computes them wrongly",
    at="me.first",
    field="ip.checksum",
    scope=Scope.SIDE,
    sums_up=True,
    profiles=RFC_ONLY,
    receiver="If they were so on the wire, it drops the datagrams at once; but then nothing would go on.",
    wireshark="ip.checksum_bad",
    good="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
    """,
    bad="""
        > S  0:0(0) {ip.sum=+513}             # CK01
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1 {ip.sum=+513}
        > P. 1:100(99) ack 1 {ip.sum=+513}
    """,
)
def ip_checksums_all_wrong(seg: Seen, me: Side, peer: Side) -> int:
    """Where every header of a sender is wrong by one and the same amount, the capture does not tell who is to blame.

    Address translation behind the point of capture, and tools that make captures anonymous, rewrite addresses and leave
    the checksum as it was. One warning then stands for all of this side's errors.
    """
    return me.ips_good == 0 and me.ips_bad >= FEW and me.ips_alike != 0


@rule(
    "CK02",
    Severity.ERROR,
    "RFC 9293 3.1",
    "the TCP checksum is {seg.sum:#06x}; header, payload and pseudo-header sum up to {seg.sum_want:#06x}",
    field="checksum",
    expected="seg.sum_want",
    actual="seg.sum",
    scope=Scope.FRAME,
    profiles=RFC_ONLY,
    receiver="It drops the segment without a word; the sender will resend it.",
    wireshark="tcp.checksum_bad",
    good="""
        > P. 1:100(99) ack 1
    """,
    bad="""
        > P. 1:100(99) ack 1 {sum=0x1234}   # CK02
    """,
)
def wrong_tcp_checksum(seg: Seen, me: Side, peer: Side) -> int:
    """The TCP checksum covers the header, the payload and a pseudo-header with addresses, protocol and length.

    MUST-2 and MUST-3: the sender generates it and the receiver checks it. The pseudo-header catches segments that were
    delivered to the wrong host.
    """
    return seg.sum_state == SUM_BAD


@rule(
    "CK02",
    Severity.WARNING,
    "RFC 9293 3.1",
    "none of this side's {me.sums_bad} TCP checksums is right, and all are wrong alike (always 0, off by the same amount, or "
    "the same but for the length): the hardware was to fill them in, or addresses were rewritten after they were computed; "
    "or the sender computes them wrongly",
    at="me.first",
    field="checksum",
    scope=Scope.SIDE,
    sums_up=True,
    profiles=RFC_ONLY,
    receiver="If they were so on the wire, it drops the segments without a word; but then nothing would go on.",
    wireshark="tcp.checksum_bad",
    good="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
    """,
    bad="""
        > S  0:0(0) {sum=0}              # CK02
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1 {sum=0}
        > P. 1:100(99) ack 1 {sum=0}
    """,
)
def checksums_all_wrong(seg: Seen, me: Side, peer: Side) -> int:
    """Where every checksum of a sender is wrong in one and the same way, the capture does not tell who is to blame.

    Some network cards are given 0, or the pseudo-header's sum of an address that is translated later, and complete it;
    tools that make captures anonymous rewrite addresses, and leave the checksum as it was. One warning then stands for all
    of this side's errors. A single right checksum shows that this is not so.
    """
    return me.sums_good == 0 and me.sums_bad >= FEW and me.sums_alike != 0


@rule(
    "CK03",
    Severity.NOTE,
    "",
    "the TCP checksum is only the pseudo-header's sum: the capture was taken before the hardware of this host completed "
    "it; checksums of this host are not judged",
    scope=Scope.FRAME,
    once=True,
    profiles=RFC_ONLY,
    limit="checksum-offload",
    good="""
        > S 0:0(0)
    """,
    bad="""
        > S 0:0(0) {sum=partial}   # CK03
    """,
)
def partial_checksum(seg: Seen, me: Side, peer: Side) -> int:
    """Checksum offload: the host leaves the sum of the pseudo-header in the field, and its network card does the rest.

    A capture on that host shows the packet before the card has seen it. On the wire the checksum was right.
    """
    return seg.sum_state == SUM_PARTIAL
