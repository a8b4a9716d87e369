"""Signed segments: the MD5 signature option (RFC 2385) and the TCP authentication option (TCP-AO, RFC 5925)."""

from labkit.analysis.rule import RFC_ONLY, Severity, rule
from labkit.analysis.side import Side
from labkit.packet.seen import AUTH_AO, AUTH_MD5, OPT_SOUND, Seen
from labkit.tcp.flags import ACK, RST, SYN

GOOD = """
    > S  0:0(0) <mss 1460,nop,nop,md5 00112233445566778899aabbccddeeff>
    < S. 0:0(0) ack 1 <mss 1460,nop,nop,md5 00112233445566778899aabbccddeeff>
    > .  1:1(0) ack 1 <nop,nop,md5 00112233445566778899aabbccddeeff>
    > P. 1:100(99) ack 1 <nop,nop,md5 00112233445566778899aabbccddeeff>
    < .  1:1(0) ack 100 <nop,nop,md5 00112233445566778899aabbccddeeff>
"""

MADE = "needs a conversation with signed segments"


@rule(
    "OPT07",
    Severity.ERROR,
    "RFC 2385 2.0, RFC 5925 7.4",
    "the segment has no signature (MD5 or TCP-AO), although the connection is signed",
    otherwise={
        Severity.WARNING: "the RST has no signature (MD5 or TCP-AO), although its sender has signed segments before",
    },
    field="options",
    profiles=RFC_ONLY,
    should_be="the option of the SYNs on every segment of the connection",
    receiver="It drops the segment without an answer.",
    mend="Sign the segment as the ones before.",
    no_fault=MADE,
    good=GOOD,
    bad="""
        > S  0:0(0) <mss 1460,nop,nop,md5 00112233445566778899aabbccddeeff>
        < S. 0:0(0) ack 1 <mss 1460,nop,nop,md5 00112233445566778899aabbccddeeff>
        > .  1:1(0) ack 1 <nop,nop,md5 00112233445566778899aabbccddeeff>
        > P. 1:100(99) ack 1   # OPT07
    """,
)
def signature_is_missing(seg: Seen, me: Side, peer: Side) -> int:
    """Once the SYNs are signed, every segment is, RST and FIN too: an unsigned one could be forged.

    A host that has no key for the connection cannot sign its RST. labkit reports the first segment of a row without a
    signature.
    """
    if seg.auth or seg.opt_cut or seg.opt_fault != OPT_SOUND:
        return False
    if me.seen and me.signed == 0:
        return False
    if me.seen == 0:
        return peer.signed != 0 and seg.ctl & ACK != 0 and seg.ctl & RST == 0
    if me.last_signed == 0:
        return False
    return Severity.WARNING if seg.ctl & RST else True


@rule(
    "OPT08",
    Severity.ERROR,
    "RFC 5925 2.2",
    "the connection uses both signature options, MD5 (kind 19) and TCP-AO (kind 29)",
    field="options",
    profiles=RFC_ONLY,
    once=True,
    should_be="one of the two, the same in both directions",
    receiver="It drops the segment without an answer.",
    mend="Configure MD5 or TCP-AO for the connection, the same on both hosts.",
    no_fault=MADE,
    good=GOOD,
    bad="""
        > S 0:0(0) <md5 00112233445566778899aabbccddeeff,ao keyid 1 rnextkeyid 1 mac 001122334455667788990011>   # OPT08
    """,
)
def two_signatures(seg: Seen, me: Side, peer: Side) -> int:
    """TCP-AO replaces MD5. A connection uses only one of the two."""
    return (seg.auth | me.signed | peer.signed) == AUTH_MD5 | AUTH_AO and seg.auth != 0


@rule(
    "OPT09",
    Severity.WARNING,
    "RFC 2385 2.0, RFC 5925 7.4",
    "a signature (MD5 or TCP-AO) appears in the middle of a connection whose SYNs have none",
    field="options",
    profiles=RFC_ONLY,
    once=True,
    should_be="the option on every segment of the connection, from the SYN on",
    receiver="It drops the segment, or ignores the option.",
    mend="Sign the SYN too, or no segment.",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1 <nop,nop,md5 00112233445566778899aabbccddeeff>   # OPT09
    """,
)
def signature_begins_late(seg: Seen, me: Side, peer: Side) -> int:
    """Both hosts need the key before the connection opens, so signatures begin with the SYN."""
    if seg.auth == 0 or (seg.ctl & SYN and seg.ctl & ACK == 0):
        return False
    if me.seen and me.syn:
        return me.signed == 0 and me.opt_cut == 0
    return seg.ctl & SYN != 0 and peer.syn != 0 and peer.signed == 0 and peer.opt_cut == 0
