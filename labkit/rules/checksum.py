"""Checksums of the IPv4 header and of TCP."""

from labkit.rule import RFC_ONLY, Scope, Severity, rule
from labkit.segment import SUM_BAD, SUM_PARTIAL, SUM_ZERO, Seen
from labkit.side import Side


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
    "CK03",
    Severity.NOTE,
    "",
    "the TCP checksum is only the pseudo-header's sum: the capture was taken before the hardware of this host completed "
    "it; checksums of this host are not judged",
    scope=Scope.FRAME,
    once=True,
    profiles=RFC_ONLY,
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
