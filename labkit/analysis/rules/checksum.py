"""Checksums of the IPv4 header and of TCP."""

from labkit.analysis.damage import is_rewritten
from labkit.analysis.rule import RFC_ONLY, Scope, Severity, rule
from labkit.analysis.side import Side
from labkit.packet.seen import SUM_BAD, SUM_PARTIAL, SUM_ZERO, Seen

MIN_SAMPLE = 2
"""Wrong checksums that must agree before one warning replaces their errors."""


@rule(
    "CK01",
    Severity.ERROR,
    "RFC 791 3.1",
    "the IPv4 header checksum is {seg.ip_sum:#06x}",
    otherwise={
        Severity.WARNING: "the IPv4 header checksum is {seg.ip_sum:#06x}, wrong by the same amount as that of TCP: an "
        "address was rewritten",
        Severity.NOTE: "the IPv4 header checksum is 0, because the capture was taken before the network card filled "
        "it in",
    },
    field="ip.checksum",
    expected="seg.ip_sum_want",
    actual="seg.ip_sum",
    scope=Scope.FRAME,
    profiles=RFC_ONLY,
    should_be="checksum {seg.ip_sum_want:#06x}, the complement of the sum over the header",
    receiver="It drops the datagram before TCP sees it.",
    mend="Set the IPv4 checksum to {seg.ip_sum_want:#06x}, or let Scapy compute it (del packet[IP].chksum).",
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

    A checksum of 0 in a capture of the sending host is legal: its network card fills in the field later.
    """
    if seg.ip_sum_state == SUM_ZERO:
        return Severity.NOTE
    return Severity.WARNING if is_rewritten(seg) else seg.ip_sum_state == SUM_BAD


@rule(
    "CK01",
    Severity.WARNING,
    "RFC 791 3.1",
    "all {me.ips_bad} IPv4 header checksums of this side are wrong by the same amount",
    at="me.first",
    field="ip.checksum",
    scope=Scope.SIDE,
    sums_up=True,
    profiles=RFC_ONLY,
    should_be="the complement of the sum over each header",
    receiver="It drops the datagrams if they arrive like this, so the conversation could not continue.",
    mend="Compute the checksums again after rewriting addresses, for example with Scapy (del packet[IP].chksum).",
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
    """Every IPv4 header checksum of a sender is wrong by the same amount.

    Address translation and tools that anonymize captures rewrite addresses without the checksum; a faulty sender
    looks the same. One warning therefore replaces all errors of this side.
    """
    return me.ips_good == 0 and me.ips_bad >= MIN_SAMPLE and me.ips_alike != 0


@rule(
    "CK02",
    Severity.ERROR,
    "RFC 9293 3.1",
    "the TCP checksum is {seg.sum:#06x}",
    otherwise={
        Severity.WARNING: "the TCP checksum is {seg.sum:#06x}, wrong by the same amount as that of the IPv4 header: an address "
        "was rewritten",
    },
    field="checksum",
    expected="seg.sum_want",
    actual="seg.sum",
    scope=Scope.FRAME,
    profiles=RFC_ONLY,
    should_be="checksum {seg.sum_want:#06x}, the complement of the sum over pseudo-header, header and payload",
    receiver="It drops the segment silently, and the sender sends it again.",
    mend="Set the TCP checksum to {seg.sum_want:#06x}, or let Scapy compute it (del packet[TCP].chksum).",
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

    The sender must generate it and the receiver must check it (MUST-2, MUST-3). The pseudo-header detects segments
    that were delivered to the wrong host. Somebody who rewrites an address, which both checksums cover, without them makes both
    wrong by the same amount.
    """
    return Severity.WARNING if is_rewritten(seg) else seg.sum_state == SUM_BAD


@rule(
    "CK02",
    Severity.WARNING,
    "RFC 9293 3.1",
    "all {me.sums_bad} TCP checksums of this side are wrong in the same way",
    at="me.first",
    field="checksum",
    scope=Scope.SIDE,
    sums_up=True,
    profiles=RFC_ONLY,
    should_be="the complement of the sum over each pseudo-header, header and payload",
    receiver="It drops the segments if they arrive like this, so the conversation could not continue.",
    mend="Capture on another host, or compute the checksums again, for example with Scapy (del packet[TCP].chksum).",
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
    """Every TCP checksum of a sender is wrong in the same way: always 0, or by the same amount apart from the length.

    Some network cards complete a checksum field that the host leaves at 0 or at a partial sum. Address translation
    and tools that anonymize captures rewrite addresses without the checksum. A faulty sender looks the same, so one
    warning replaces all errors of this side. A single correct checksum rules out these explanations.
    """
    return me.sums_good == 0 and me.sums_bad >= MIN_SAMPLE and me.sums_alike != 0


@rule(
    "CK03",
    Severity.NOTE,
    "",
    "the TCP checksum covers only the pseudo-header, because the capture was taken before the network card completed "
    "it",
    scope=Scope.FRAME,
    once=True,
    profiles=RFC_ONLY,
    limit="checksum-offload",
    mend="Capture on another host, or switch off checksum offload on this one (ethtool -K).",
    good="""
        > S 0:0(0)
    """,
    bad="""
        > S 0:0(0) {sum=partial}   # CK03
    """,
)
def partial_checksum(seg: Seen, me: Side, peer: Side) -> int:
    """With checksum offload the host writes only the sum of the pseudo-header, and its network card completes the
    checksum.

    A capture on this host shows the packet before the card has seen it. The checksum on the wire was correct. labkit
    does not judge the checksums of this host.
    """
    return seg.sum_state == SUM_PARTIAL
