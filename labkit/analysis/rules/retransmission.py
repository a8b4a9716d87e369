"""Octets that are sent more than once."""

from labkit.analysis.rule import RFC_ONLY, Severity, rule
from labkit.analysis.side import Side
from labkit.analysis.tracker import is_duplicate_ack, is_probe, repeats_ack, unacked
from labkit.packet.seen import ABSENT, Seen
from labkit.tcp.segment import ACK, RST, SYN
from labkit.tcp.seq import after


def _syn_again(seg: Seen, me: Side) -> bool:
    """Whether a SYN is sent again. The SYN ACK of a simultaneous open is not: it answers the peer's SYN."""
    return me.syn != 0 and seg.seq == me.isn and (seg.ctl ^ me.syn_ctl) & ACK == 0


@rule(
    "RTX01",
    Severity.NOTE,
    "RFC 9293 3.8.1",
    "retransmission: seq {seg.seq} was sent before, and is not acknowledged yet",
    unless=("FIN01", "SEQ02"),
    receiver="It takes what it had not got yet, and acknowledges.",
    wireshark="tcp.analysis.retransmission",
    retransmission=True,
    no_fault="describes what is no fault",
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
    """Octets (or a SYN or FIN) that were seen before and are not acknowledged yet are sent again.

    Nothing is wrong with it: the sender heard no acknowledgement in time, or heard of a hole. It is told by the octets,
    not by the clock: what was never seen before is no retransmission, however late it comes.
    """
    if seg.ctl & SYN:
        return _syn_again(seg, me) and (peer.has_rcv_nxt == 0 or not after(peer.rcv_nxt, me.isn))
    if seg.ctl & RST or seg.seg_len == 0 or seg.seq_offset >= 0 or seg.new_octets == seg.seg_len:
        return False
    return not is_probe(seg, me, peer) and unacked(seg, peer)


@rule(
    "RTX02",
    Severity.ERROR,
    "RFC 9293 3.4",
    "the octet at {seg.conflict} differs from the one that was sent under this number before",
    field="payload",
    receiver="It keeps the octets that came first, or those that came last: stacks differ, and intrusion detection "
    "is evaded this way.",
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
    """A sequence number stands for one octet: whoever sends it again sends the same octet.

    Keep-alives and window probes are excepted: the octet that they carry is garbage by design.
    """
    return seg.conflict != ABSENT and not is_probe(seg, me, peer)


@rule(
    "RTX03",
    Severity.NOTE,
    "RFC 9293 3.4",
    "out of order: seq {seg.seq} fills a gap with octets that were never seen before",
    profiles=RFC_ONLY,
    receiver="It puts the octets where they belong, and acknowledges all that is in order now.",
    wireshark="tcp.analysis.out_of_order",
    no_fault="describes what is no fault",
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
    """A segment fills a gap: it was overtaken, or its first copy was lost before it came to the capture.

    Which of the two it was the capture cannot show; that its octets are new to it is certain. A gap may also lie between
    SND.NXT and a pure ACK with a higher number, whose sender had sent all before it.
    """
    if seg.seg_len == 0 or seg.new_octets != seg.seg_len or seg.ctl & (SYN | RST):
        return False
    return seg.seq_offset < 0 or (me.has_nxt != 0 and not after(seg.end, me.top))


@rule(
    "RTX04",
    Severity.NOTE,
    "RFC 9293 3.8.1",
    "spurious retransmission: all octets from {seg.seq} to {seg.end} were acknowledged before",
    profiles=RFC_ONLY,
    unless=("FIN01", "SEQ02"),
    receiver="It drops the octets, and answers with an ACK at once.",
    wireshark="tcp.analysis.spurious_retransmission",
    retransmission=True,
    no_fault="describes what is no fault",
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
    """Octets are sent again though their acknowledgement is in the capture already.

    The acknowledgement was lost behind the capture, or it was under way when the sender's timer ran out.
    """
    if seg.ctl & SYN:
        return _syn_again(seg, me) and peer.has_rcv_nxt != 0 and after(peer.rcv_nxt, me.isn)
    if seg.seg_len == 0 or seg.seq_offset >= 0 or seg.new_octets or seg.ctl & RST or is_probe(seg, me, peer):
        return False
    return not unacked(seg, peer)


@rule(
    "RTX06",
    Severity.NOTE,
    "RFC 5681 2",
    "duplicate ACK: {seg.ack} once more, while later octets are under way",
    profiles=RFC_ONLY,
    receiver="It counts them: the third makes it resend the segment that is missing.",
    wireshark="tcp.analysis.duplicate_ack",
    no_fault="describes what is no fault",
    good="""
        > P. 1:100(99) ack 1
        < .  1:1(0) ack 100
    """,
    bad="""
        < .  1:1(0) ack 1
        > P. 1:100(99) ack 1
        > P. 200:300(100) ack 1
        < .  1:1(0) ack 100
        < .  1:1(0) ack 100   # RTX06
    """,
)
def duplicate_ack(seg: Seen, me: Side, peer: Side) -> int:
    """An ACK that repeats the one before it while data is under way: something arrived, but not what was expected."""
    return is_duplicate_ack(seg, me, peer)


@rule(
    "RTX06",
    Severity.NOTE,
    "RFC 5681 2",
    "an ACK of {seg.ack} once more, with nothing under way: Wireshark calls it a duplicate ACK, which by the RFC it is not",
    profiles=RFC_ONLY,
    receiver="It does not count it: nothing is missing.",
    wireshark="tcp.analysis.duplicate_ack",
    no_fault="describes what is no fault",
    good="""
        > P. 1:100(99) ack 1
        < .  1:1(0) ack 100
    """,
    bad="""
        > P. 1:100(99) ack 1
        < .  1:1(0) ack 100
        < .  1:1(0) ack 100   # RTX06
    """,
)
def ack_repeated(seg: Seen, me: Side, peer: Side) -> int:
    """All that the peer has sent, as far as the capture shows, is acknowledged, and is acknowledged once more.

    What arrives twice is answered so (a resend that was not needed: RFC 9293 section 3.10.7.4), and some stacks answer each
    read of the application. A duplicate ACK tells of a loss only while data is outstanding (condition (a) of the definition).
    """
    again = repeats_ack(seg, me, peer) and seg.ack == me.last_ack and me.last_ctl & SYN == 0
    return again and not is_duplicate_ack(seg, me, peer)


@rule(
    "RTX06",
    Severity.NOTE,
    "RFC 5681 3.2",
    "fast retransmission: three duplicate ACKs ask for {seg.seq}",
    profiles=RFC_ONLY,
    receiver="It fills the gap, and acknowledges all that it has.",
    wireshark="tcp.analysis.fast_retransmission",
    no_fault="describes what is no fault",
    good="""
        > P. 1:100(99) ack 1
        < .  1:1(0) ack 100
    """,
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
    """After three duplicate ACKs the sender resends the segment that they ask for, before its timer runs out."""
    resent = seg.seg_len > 0 and seg.seq_offset < 0 and seg.new_octets == 0 and seg.ctl & (SYN | RST) == 0
    return resent and peer.same_acks >= 3 and peer.has_rcv_nxt != 0 and seg.seq == peer.rcv_nxt


@rule(
    "RTX05",
    Severity.NOTE,
    "RFC 9293 3.8.1",
    "a resend that is cut differently: octets that were sent before, and new ones, in one segment",
    profiles=RFC_ONLY,
    unless=("SEQ01", "SEQ02", "FIN01"),
    receiver="It takes what is new.",
    no_fault="describes what is no fault",
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
    """A sender may cut what it sends again as it likes: only the octets have numbers, not the segments."""
    if seg.seq_offset >= 0 or seg.ctl & (SYN | RST) or is_probe(seg, me, peer):
        return False
    return 0 < seg.new_octets < seg.seg_len
