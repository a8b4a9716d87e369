"""Control bits that do not go together, or that are missing."""

from labkit.analysis.rule import RFC_ONLY, Severity, rule
from labkit.analysis.side import Side
from labkit.packet.seen import Seen
from labkit.tcp.segment import ACK, FIN, PSH, RST, SYN, URG


@rule(
    "FL01",
    Severity.ERROR,
    "RFC 9293 3.10.7",
    "SYN and FIN are both set: the segment opens and closes at once",
    field="flags",
    receiver="Stacks differ: some drop it, some take the SYN and ignore the FIN. Firewalls drop it as a probe.",
    good="""
        > S 0:0(0)
    """,
    bad="""
        > SF 0:0(0)   # FL01
    """,
)
def syn_with_fin(seg: Seen, me: Side, peer: Side) -> int:
    """SYN opens a connection and FIN ends one direction of it; no state of the RFC sends both in one segment."""
    return seg.ctl & (SYN | FIN) == SYN | FIN


@rule(
    "FL02",
    Severity.ERROR,
    "RFC 9293 3.10.7",
    "SYN and RST are both set: the segment opens and aborts at once",
    otherwise={Severity.WARNING: "FIN and RST are both set: a reset ends both directions at once, FIN adds nothing"},
    field="flags",
    profiles=RFC_ONLY,
    receiver="RST is looked at first: the segment counts as a reset, or is dropped.",
    good="""
        > S  0:0(0)
        < R. 0:0(0) ack 1
    """,
    bad="""
        > SR 0:0(0)   # FL02
    """,
)
def syn_or_fin_with_rst(seg: Seen, me: Side, peer: Side) -> int:
    """RST aborts a connection: it goes neither with SYN, which opens one, nor with FIN, which closes in order."""
    if seg.ctl & (FIN | RST) == FIN | RST:
        return Severity.WARNING
    return seg.ctl & (SYN | RST) == SYN | RST


@rule(
    "FL03",
    Severity.ERROR,
    "RFC 9293 3.10.7.4",
    "no control bit is set: no state of TCP sends such a segment; it is a scanner's probe or a crafted packet",
    field="flags",
    receiver="A closed port answers with RST; an open one, or a connection, drops the segment.",
    good="""
        > F. 100:100(0) ack 120
    """,
    bad="""
        > -    100:100(0)   # FL03
    """,
)
def no_control_bits(seg: Seen, me: Side, peer: Side) -> int:
    """Every segment has at least one of SYN, RST and ACK. One without any bit is a null scan."""
    return seg.ctl & (SYN | RST | ACK | FIN | PSH | URG) == 0


@rule(
    "FL03",
    Severity.ERROR,
    "RFC 9293 3.10.7.4",
    "FIN without ACK: every segment after the opening SYN acknowledges, a FIN too",
    field="flags",
    unless=("FL01",),
    receiver="It drops the segment, for ACK is off; the connection is not closed. A closed port answers with RST.",
    good="""
        > F. 100:100(0) ack 120
    """,
    bad="""
        > F    100:100(0)   # FL03
        > FPU  100:100(0)   # FL03
    """,
)
def fin_without_ack(seg: Seen, me: Side, peer: Side) -> int:
    """FIN alone (a FIN scan), or with PSH and URG (an Xmas scan): TCP sends neither, for its FIN comes with ACK.

    RFC 9293 section 3.10.7.4: "if the ACK bit is off, drop the segment and return".
    """
    return seg.ctl & (SYN | RST | ACK | FIN) == FIN


@rule(
    "FL04",
    Severity.ERROR,
    "RFC 9293 3.10.7.4",
    "ACK is not set; only an opening SYN and a RST may do without it",
    field="flags",
    receiver="It drops the segment: the fifth check of section 3.10.7.4 asks for ACK.",
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
    """Every segment after the opening SYN acknowledges: the ACK bit is set and the ack field counts.

    RFC 9293 section 3.10.7.4: "if the ACK bit is off, drop the segment and return".
    """
    return seg.ctl & (SYN | RST | ACK | FIN) == 0 and seg.ctl & (PSH | URG) != 0


@rule(
    "FL05",
    Severity.NOTE,
    "RFC 9293 3.1",
    "the ack field is {seg.ack}, but ACK is not set: the field has no meaning",
    field="ack",
    expected=lambda seg, me, peer: 0,
    actual="seg.ack",
    profiles=RFC_ONLY,
    receiver="It ignores the field.",
    wireshark="tcp.ack.nonzero",
    good="""
        > S 0:0(0)
    """,
    bad="""
        > S 0:0(0) ack 5   # FL05
    """,
)
def ack_number_without_ack(seg: Seen, me: Side, peer: Side) -> int:
    """The acknowledgement field counts only if ACK is set; otherwise senders leave it 0."""
    return seg.ctl & ACK == 0 and seg.ack != 0


@rule(
    "FL06",
    Severity.NOTE,
    "RFC 9293 3.1",
    "the urgent pointer is {seg.urg}, but URG is not set: the field has no meaning",
    field="urgent_pointer",
    expected=lambda seg, me, peer: 0,
    actual="seg.urg",
    profiles=RFC_ONLY,
    receiver="It ignores the field.",
    wireshark="tcp.urgent_pointer.non_zero",
    good="""
        > PU. 1:100(99) ack 1 win 65535 urg 5
    """,
    bad="""
        > P. 1:100(99) ack 1 win 65535 urg 5   # FL06
    """,
)
def urgent_pointer_without_urg(seg: Seen, me: Side, peer: Side) -> int:
    """The urgent pointer counts only if URG is set; otherwise senders leave it 0."""
    return seg.ctl & URG == 0 and seg.urg != 0
