"""Retransmissions and segments out of order."""

from labkit.analysis.relations import is_duplicate_ack, is_probe, repeats_ack
from labkit.analysis.rule import RFC_ONLY, Severity, rule
from labkit.analysis.side import Side
from labkit.analysis.tracker import ASKED, unacked
from labkit.packet.seen import ABSENT, Seen
from labkit.tcp.flags import ACK, RST, SYN
from labkit.tcp.seq import add, after

GOOD = """
    > P. 1:100(99) ack 1
    < .  1:1(0) ack 100
"""


def _repeats_syn(seg: Seen, me: Side) -> bool:
    """Whether the segment retransmits a SYN. The SYN ACK of a simultaneous open does not: it answers the peer's SYN."""
    return me.syn != 0 and seg.seq == me.isn and (seg.ctl ^ me.syn_ctl) & ACK == 0


@rule(
    "RTX01",
    Severity.NOTE,
    "RFC 9293 3.8.1",
    "retransmission: seq {seg.seq} was sent before and is not yet acknowledged",
    unless=("FIN01", "SEQ02"),
    receiver="It takes the bytes that it has not yet received and acknowledges.",
    wireshark="tcp.analysis.retransmission",
    retransmission=True,
    no_fault="describes what is not a fault",
    good="""
        > P. 1:100(99) ack 1
        < .  1:1(0) ack 100
        > P. 100:150(50) ack 1
    """,
    bad="""
        > P. 1:100(99) ack 1
        +0.3 > P. 1:100(99) ack 1   # RTX01
        < .  1:1(0) ack 100
    """,
)
def retransmission(seg: Seen, me: Side, peer: Side) -> int:
    """The sender repeats bytes, a SYN or a FIN that the capture already shows and that nobody has acknowledged.

    This is legal: an acknowledgement did not arrive in time, or reported a gap. labkit compares sequence numbers, not
    times: bytes that appear for the first time are not a retransmission, however late they come.
    """
    if seg.ctl & SYN:
        return _repeats_syn(seg, me) and (peer.has_rcv_nxt == 0 or not after(peer.rcv_nxt, me.isn))
    if seg.ctl & RST or seg.seg_len == 0 or seg.seq_offset >= 0 or seg.new_octets == seg.seg_len:
        return False
    return not is_probe(seg, me, peer) and unacked(seg, peer)


@rule(
    "RTX02",
    Severity.ERROR,
    "RFC 9293 3.4",
    "the byte at {seg.conflict} differs from the byte sent before with the same sequence number",
    field="payload",
    should_be="the same byte as before",
    receiver="It keeps the first or the last copy; stacks differ, and attackers evade intrusion detection this way.",
    mend="Send the same payload again.",
    wireshark="tcp.segment.overlap.conflict",
    good="""
        > P. 1:100(99) ack 1
        +0.3 > P. 1:100(99) ack 1
    """,
    bad="""
        > P. 1:100(99) ack 1
        +0.3 > P. 1:100(99) ack 1 {fill=x}   # RTX02 RTX01
    """,
)
def resent_octets_differ(seg: Seen, me: Side, peer: Side) -> int:
    """A sequence number stands for one byte, so a retransmission carries the same byte.

    Keep-alives and window probes are exempt, because their byte is meaningless by design (RFC 9293 section 3.8.4). Their
    number is the last one that the peer has acknowledged, even if a FIN or data is in flight.
    """
    below = peer.has_rcv_nxt != 0 and seg.len == 1 and seg.end == peer.rcv_nxt
    # The capture may lack that ACK: one byte at the end of a longer segment is not a resend of it.
    below = below or (seg.len == 1 and me.data_len > 1 and seg.end == add(me.data_seq, me.data_len))
    return seg.conflict != ABSENT and not below and not is_probe(seg, me, peer)


@rule(
    "RTX03",
    Severity.NOTE,
    "RFC 9293 3.4",
    "out of order: seq {seg.seq} fills a gap with new bytes",
    profiles=RFC_ONLY,
    receiver="It puts the bytes in their place and acknowledges everything that is now in order.",
    wireshark="tcp.analysis.out_of_order",
    no_fault="describes what is not a fault",
    good="""
        > P. 1:100(99) ack 1
        > P. 100:150(50) ack 1
    """,
    bad="""
        > .  1:1(0) ack 1
        > P. 100:150(50) ack 1   # SEQ01
        > P. 1:100(99) ack 1     # RTX03
    """,
)
def out_of_order(seg: Seen, me: Side, peer: Side) -> int:
    """A segment fills a gap: another segment overtook it, or its first copy was lost before the point of capture.

    The capture cannot show which. It is certain that the bytes are new. A gap may also lie before a pure ACK with a
    higher number, whose sender had sent everything below.
    """
    if seg.seg_len == 0 or seg.new_octets != seg.seg_len or seg.ctl & (SYN | RST):
        return False
    return seg.seq_offset < 0 or (me.has_nxt != 0 and not after(seg.end, me.top))


@rule(
    "RTX04",
    Severity.NOTE,
    "RFC 9293 3.8.1",
    "spurious retransmission: the bytes from {seg.seq} to {seg.end} were already acknowledged",
    profiles=RFC_ONLY,
    unless=("FIN01", "SEQ02"),
    receiver="It drops the bytes and answers at once with an ACK.",
    wireshark="tcp.analysis.spurious_retransmission",
    retransmission=True,
    no_fault="describes what is not a fault",
    good="""
        > P. 1:100(99) ack 1
        < .  1:1(0) ack 100
        > P. 100:150(50) ack 1
    """,
    bad="""
        > P. 1:100(99) ack 1
        < .  1:1(0) ack 100
        > P. 1:100(99) ack 1   # RTX04
    """,
)
def spurious_retransmission(seg: Seen, me: Side, peer: Side) -> int:
    """The sender repeats bytes whose acknowledgement is already in the capture.

    The acknowledgement was lost behind the point of capture, or was still in flight when the sender's timer expired.
    """
    if seg.ctl & SYN:
        return _repeats_syn(seg, me) and peer.has_rcv_nxt != 0 and after(peer.rcv_nxt, me.isn)
    if seg.seg_len == 0 or seg.seq_offset >= 0 or seg.new_octets or seg.ctl & RST or is_probe(seg, me, peer):
        return False
    return not unacked(seg, peer)


@rule(
    "RTX06",
    Severity.NOTE,
    "RFC 5681 2",
    "duplicate ACK: ack {seg.ack} again while later bytes are in flight",
    profiles=RFC_ONLY,
    receiver="It counts duplicate ACKs; the third makes it resend the missing segment.",
    wireshark="tcp.analysis.duplicate_ack",
    no_fault="describes what is not a fault",
    good=GOOD,
    bad="""
        < .  1:1(0) ack 1
        > P. 1:100(99) ack 1
        > P. 200:300(100) ack 1
        < .  1:1(0) ack 100
        < .  1:1(0) ack 100   # RTX06
    """,
)
def duplicate_ack(seg: Seen, me: Side, peer: Side) -> int:
    """An ACK that repeats the one before it, while data is in flight, reports a segment that arrived out of order."""
    return is_duplicate_ack(seg, me, peer)


@rule(
    "RTX06",
    Severity.NOTE,
    "RFC 5681 2",
    "ack {seg.ack} again with nothing in flight; Wireshark calls it a duplicate ACK, RFC 5681 does not",
    profiles=RFC_ONLY,
    receiver="It does not count this ACK, because nothing is missing.",
    wireshark="tcp.analysis.duplicate_ack",
    no_fault="describes what is not a fault",
    good=GOOD,
    bad="""
        > P. 1:100(99) ack 1
        < .  1:1(0) ack 100
        < .  1:1(0) ack 100   # RTX06
    """,
)
def ack_repeated(seg: Seen, me: Side, peer: Side) -> int:
    """The peer's data is completely acknowledged, as far as the capture shows, and is acknowledged once more.

    A receiver answers unnecessary retransmissions so (RFC 9293 section 3.10.7.4), and some stacks send an ACK after
    each read of the application. A duplicate ACK reports a loss only while data is outstanding (condition (a) of its
    definition).
    """
    again = repeats_ack(seg, me, peer) and seg.ack == me.last_ack and me.last_ctl & SYN == 0
    return again and not is_duplicate_ack(seg, me, peer)


@rule(
    "RTX06",
    Severity.NOTE,
    "RFC 5681 3.2",
    "fast retransmission: three duplicate ACKs ask for seq {seg.seq}",
    profiles=RFC_ONLY,
    receiver="It fills the gap and acknowledges everything that it has received.",
    wireshark="tcp.analysis.fast_retransmission",
    no_fault="describes what is not a fault",
    good=GOOD,
    bad="""
        < .  1:1(0) ack 1
        > P. 1:100(99) ack 1
        > P. 100:200(100) ack 1
        > P. 200:300(100) ack 1
        > P. 300:400(100) ack 1
        > P. 400:500(100) ack 1
        < .  1:1(0) ack 100
        < .  1:1(0) ack 100       # RTX06
        < .  1:1(0) ack 100       # RTX06
        < .  1:1(0) ack 100       # RTX06
        > P. 100:200(100) ack 1   # RTX06
    """,
)
def fast_retransmission(seg: Seen, me: Side, peer: Side) -> int:
    """After three duplicate ACKs the sender resends the missing segment before its timer expires."""
    resent = seg.seg_len > 0 and seg.seq_offset < 0 and seg.new_octets == 0 and seg.ctl & (SYN | RST) == 0
    return resent and peer.same_acks >= ASKED and peer.has_rcv_nxt != 0 and seg.seq == peer.rcv_nxt


@rule(
    "RTX05",
    Severity.NOTE,
    "RFC 9293 3.8.1",
    "retransmission with new boundaries: the segment holds bytes sent before, and new ones",
    profiles=RFC_ONLY,
    unless=("SEQ01", "SEQ02", "FIN01"),
    receiver="It takes the new bytes.",
    no_fault="describes what is not a fault",
    good="""
        > P. 1:100(99) ack 1
        +0.3 > P. 1:100(99) ack 1
    """,
    bad="""
        > P. 1:100(99) ack 1
        +0.3 > P. 1:150(149) ack 1   # RTX05
    """,
)
def resend_cut_differently(seg: Seen, me: Side, peer: Side) -> int:
    """A sender may choose new segment boundaries for a retransmission, because bytes have sequence numbers and segments
    do not.
    """
    if seg.seq_offset >= 0 or seg.ctl & (SYN | RST) or is_probe(seg, me, peer):
        return False
    return 0 < seg.new_octets < seg.seg_len
