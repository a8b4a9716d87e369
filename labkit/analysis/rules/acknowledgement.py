"""Acknowledgement numbers."""

from labkit.analysis.pending import LATE, MISSED, UNPROVEN, UNSENT, WRONG
from labkit.analysis.rule import AS_IT_STANDS, RFC_ONLY, TAUGHT, Scope, Severity, rule
from labkit.analysis.side import Side
from labkit.analysis.tracker import acks_a_part, in_lock_step, is_probe, nothing_between, overtaken, scale_is_known
from labkit.packet.seen import ABSENT, Seen
from labkit.tcp.segment import ACK, FIN, RST, SYN
from labkit.tcp.seq import add, after, before

HALF_A_SECOND = 500_000_000

GOOD = """
    > S  0:0(0)
    < S. 0:0(0) ack 1
    > .  1:1(0) ack 1
    > P. 1:100(99) ack 1
    < P. 1:120(119) ack 100
    > .  100:100(0) ack 120
"""


@rule(
    "ACK01",
    Severity.ERROR,
    "RFC 9293 3.10.7.4",
    "ack {me.odd_ack} is beyond {me.odd_ack_want}, the next octet that the peer would send",
    otherwise={
        Severity.NOTE: "ack {me.odd_ack} is beyond {me.odd_ack_want}, the last that this capture shows of the peer: the "
        "capture lacks packets, or shows them late",
    },
    at="me.odd",
    field="ack",
    expected="me.odd_ack_want",
    actual="me.odd_ack",
    scope=Scope.PENDING,
    unless=("HS02", "HS03", "FIN04"),
    receiver="It answers with an ACK of its own numbers, and drops the segment.",
    wireshark="tcp.analysis.ack_lost_segment",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 1:100(99) ack 1
        < P. 1:120(119) ack 101   # ACK01
        > .  100:100(0) ack 120
    """,
)
def ack_of_unsent_data(seg: Seen, me: Side, peer: Side) -> int:
    """An acknowledgement covers only octets that its receiver has sent.

    Section 3.10.7.4: "If the ACK acks something not yet sent (SEG.ACK > SND.NXT), then send an ACK, drop the segment,
    and return". A capture that lacks packets shows the same, but then the peer goes on from the number that was
    acknowledged; so the verdict waits for the peer's next segment.
    """
    if me.odd_kind != UNSENT:
        return False
    return me.odd_state == WRONG or (Severity.NOTE if me.odd_state in (MISSED, LATE, UNPROVEN) else False)


@rule(
    "ACK01",
    Severity.ERROR,
    "RFC 9293 3.10.7.4",
    "ack {me.odd_ack} is beyond {me.odd_ack_want}, the end of the peer's segment, and the IP identifications show that nothing "
    "is missing in between: the segment is too short, or the ack too high (119 octets and 111 are not to be mixed, E1)",
    otherwise={
        Severity.WARNING: "ack {me.odd_ack} is beyond {me.odd_ack_want}, the end of the peer's segment, though each side waits "
        "for the other: the segment is too short (119 octets and 111 are not to be mixed, E1), or the capture lacks the next",
    },
    at="me.odd",
    field="ack",
    expected="me.odd_ack_want",
    actual="me.odd_ack",
    scope=Scope.PENDING,
    unless=("HS02", "HS03", "FIN04"),
    receiver="If it has not sent so much, it answers with an ACK of its own numbers, and drops the segment.",
    wireshark="tcp.analysis.ack_lost_segment",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 1:100(99) ack 1
        < P. 1:112(111) ack 100
        > .  100:100(0) ack 120    # ACK01
        > P. 100:150(50) ack 120   # ACK01
        < P. 120:150(30) ack 150   # SEQ01
    """,
)
def ack_of_more_than_was_answered(seg: Seen, me: Side, peer: Side) -> int:
    """Where nothing is under way but one segment of data, its acknowledgement ends where that segment ends.

    The peer goes on from the higher number, so that it may have sent more than the capture shows. Where everything else
    waits for an answer, a second segment just there is not likely: a capture that was written by hand has a segment that is
    too short. Identifications that are counted, or always the same, prove it.
    """
    if me.odd_kind != UNSENT or not _one_answer_short(seg, me, peer):
        return False
    return True if nothing_between(seg, me, peer) else Severity.WARNING


def _one_answer_short(seg: Seen, me: Side, peer: Side) -> bool:
    """Whether the side that has acknowledged too much answers one segment of data, in lock-step."""
    fin = seg.seg_len == 0 and me.odd_ack == add(me.odd_ack_want, 1)  # what is missing may be a FIN: FIN04
    return (
        me.odd_state == MISSED
        and not fin
        and in_lock_step(me, peer)
        and 0 < peer.data_len < (me.mss if me.mss > 0 else 536)  # after a full one, others may follow at once
        and me.odd_ack_want == add(peer.data_seq, peer.data_len)
        and (me.has_rcv_nxt == 0 or before(me.rcv_nxt, me.odd_ack_want))
    )


@rule(
    "ACK02",
    Severity.WARNING,
    "RFC 9293 3.10.7.4",
    "ack goes back: {seg.ack} after {me.rcv_nxt}; what was acknowledged once cannot be taken back",
    otherwise={Severity.NOTE: "ack {seg.ack} is older than {me.rcv_nxt}: this segment was overtaken on its way"},
    field="ack",
    expected=lambda seg, me, peer: me.rcv_nxt if peer.pending_n or not peer.has_nxt else peer.nxt,
    actual="seg.ack",
    unless=("HS03",),
    receiver="It ignores the ack as a duplicate (SEG.ACK =< SND.UNA).",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 1:100(99) ack 1
        < .  1:1(0) ack 100
        < P. 1:120(119) ack 50   # ACK02
    """,
)
def ack_goes_back(seg: Seen, me: Side, peer: Side) -> int:
    """Acknowledgements are cumulative: each covers all octets before it, so that the number never decreases.

    A segment that was overtaken shows an older number; its own sequence number, its timestamp or the moment of its
    arrival tells.
    """
    if seg.ctl & ACK == 0 or seg.ctl & (SYN | RST) or me.has_rcv_nxt == 0 or not before(seg.ack, me.rcv_nxt):
        return False
    return Severity.NOTE if seg.seq_offset < 0 or overtaken(seg, me) else True


@rule(
    "ACK03",
    Severity.ERROR,
    "the document, rule 2; RFC 9293 3.4",
    "ack is {seg.ack}; by the document's rule 2 it is the peer's seq {peer.last_seq} + {peer.last_len} octets (+ 1 for "
    "SYN or FIN)",
    otherwise={
        Severity.NOTE: "ack {seg.ack} does not cover the peer's last segment: the document's rule 2 does not reach this "
        "segment, for an acknowledgement may come later, or cover several segments (E4)",
    },
    field="ack",
    expected=lambda seg, me, peer: _after_last(peer),
    actual="seg.ack",
    profiles=TAUGHT,
    unless=("HS02", "HS03", "ACK01", "ACK02", "FIN02"),
    receiver="It counts the octets up to this number as delivered, and will send the rest again.",
    no_fault="the document's: `ack-inside-a-segment` breaks it under that profile",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 1:100(99) ack 1
        < P. 1:120(119) ack 99    # ACK03
        > .  100:100(0) ack 120   # SEQ03
    """,
)
def ack_is_not_the_peers_seq_plus_length(seg: Seen, me: Side, peer: Side) -> int:
    """In lock-step ack is the peer's seq plus what its segment took: L octets, and one for SYN or FIN (rule 2, mended).

    After a pure ACK nothing is added (E3). Where the peer has several segments under way, or the acknowledgement waits
    for the next segment, the rule does not reach, and a note says so.
    """
    if seg.ctl & ACK == 0 or seg.ctl & RST or peer.seen == 0 or peer.last_ctl & RST:
        return False
    want = _after_last(peer)
    if seg.ack == want or is_probe(seg, me, peer) or after(seg.ack, peer.nxt):
        return False
    partly = after(seg.ack, peer.last_seq) and before(seg.ack, want)
    in_step = (
        want == peer.nxt
        and me.has_rcv_nxt != 0
        and me.rcv_nxt == peer.last_seq
        and not after(want, add(me.right_edge, 1))
    )
    return True if partly and in_step and _one_segment(peer, me) else Severity.NOTE


def _after_last(side: Side) -> int:
    """The number after the side's last segment."""
    return add(side.last_seq, side.last_len + (side.last_ctl & SYN != 0) + (side.last_ctl & FIN != 0))


def _one_segment(sender: Side, receiver: Side) -> bool:
    """Whether the sender's last data is one segment on the wire, not many that offload had not cut yet."""
    return sender.data_len <= (receiver.mss if receiver.mss != ABSENT else 536)


@rule(
    "ACK03",
    Severity.ERROR,
    "the document, rule 2, as it stands",
    "ack is {seg.ack}; the document's rule 2, taken literally, asks for the peer's seq {peer.last_seq} + L, or + 1 where "
    "there is no data",
    field="ack",
    expected=lambda seg, me, peer: add(peer.last_seq, peer.last_len or 1),
    actual="seg.ack",
    profiles=AS_IT_STANDS,
    receiver="Nothing: the segment is correct TCP, only the document's sentence does not hold for it.",
    no_fault="the document's: `ack-inside-a-segment` breaks it under that profile",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        < P. 1:120(119) ack 1   # ACK03
    """,
)
def ack_is_literally_not_plus_one(seg: Seen, me: Side, peer: Side) -> int:
    """The document's rule 2 as it stands: "ack = the peer's seq + 1 where there is no data, or seq + L".

    Correct traffic breaks it as soon as a segment follows a pure ACK of the peer: a pure ACK takes no number (E3).
    """
    if seg.ctl & ACK == 0 or seg.ctl & RST or peer.seen == 0:
        return False
    return seg.ack != add(peer.last_seq, peer.last_len or 1)


@rule(
    "ACK06",
    Severity.WARNING,
    "RFC 9293 3.10.7.4",
    "ack {seg.ack} falls inside the peer's segment, which starts at {peer.data_seq} and has {peer.data_len} octets: a "
    "receiver takes a segment that fits its window as a whole",
    field="ack",
    expected=lambda seg, me, peer: add(peer.data_seq, peer.data_len),
    actual="seg.ack",
    profiles=RFC_ONLY,
    unless=("HS03",),
    receiver="It counts the octets up to this number as delivered, and will send the rest again.",
    good=GOOD,
    bad="""
        > S  0:0(0) <mss 1460>
        < S. 0:0(0) ack 1 <mss 1460>
        > .  1:1(0) ack 1
        > P. 1:100(99) ack 1
        < P. 1:120(119) ack 99   # ACK06
        > .  100:100(0) ack 120
    """,
)
def ack_inside_a_segment(seg: Seen, me: Side, peer: Side) -> int:
    """Acknowledgements end where segments end: a segment inside the window is taken as a whole.

    A receiver acknowledges a part of a segment only where the rest lies outside its window. Larger segments than the
    receiver's MSS are those of a capture above segmentation offload; acks inside of them are normal.
    """
    if seg.ctl & ACK == 0 or seg.ctl & (SYN | RST) or peer.data_len == 0 or me.has_rcv_nxt == 0:
        return False
    return acks_a_part(seg, me, peer)


@rule(
    "ACK06",
    Severity.ERROR,
    "RFC 9293 3.10.7.4",
    "ack {me.part_ack} leaves out the last octet of the peer's segment, which is acknowledged later without having been sent "
    "again: this side had it",
    at="me.part",
    field="ack",
    expected=lambda seg, me, peer: add(me.part_ack, 1),
    actual="me.part_ack",
    profiles=RFC_ONLY,
    unless=("HS03",),
    receiver="It counts the octets up to this number as delivered, and will send the last one again.",
    good=GOOD,
    bad="""
        > S  0:0(0) <mss 1460>
        < S. 0:0(0) ack 1 <mss 1460>
        > .  1:1(0) ack 1
        > P. 1:100(99) ack 1
        < P. 1:120(119) ack 99   # ACK06
        > .  100:100(0) ack 120
        < .  120:120(0) ack 100
    """,
)
def last_octet_not_counted(seg: Seen, me: Side, peer: Side) -> int:
    """A receiver acknowledges RCV.NXT, what it expects next. An ack one too low is told by what follows: the octet that it
    leaves out is not sent again, and yet acknowledged.

    Where anything was sent again, or is missing in the capture, it stays a warning.
    """
    if me.part_packet == 0 or seg.ctl & ACK == 0 or seg.ctl & (SYN | RST) or not me.syn or not peer.syn:
        return False
    if peer.resent or peer.missed or peer.pending_n or me.pending_n:
        return False
    return after(seg.ack, me.part_ack) and not after(seg.ack, peer.nxt)


@rule(
    "ACK04",
    Severity.WARNING,
    "RFC 5961 5",
    "ack {seg.ack} is far too old: {me.rcv_nxt} was acknowledged before, and no window of this side ever reached so far back",
    field="ack",
    expected="me.rcv_nxt",
    actual="seg.ack",
    profiles=RFC_ONLY,
    unless=("HS03", "ACK01"),
    receiver="It answers with a challenge ACK, and drops the segment: it may be forged.",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 1:100(99) ack 1
        < .  1:1(0) ack 100
        < P. 1:20(19) ack 4294800000   # ACK04 ACK02
    """,
)
def ack_far_too_old(seg: Seen, me: Side, peer: Side) -> int:
    """An old ACK is acceptable only as far back as SND.UNA less the largest window that its sender ever offered."""
    if seg.ctl & ACK == 0 or seg.ctl & (SYN | RST) or me.has_rcv_nxt == 0 or not scale_is_known(me, peer):
        return False
    return before(seg.ack, add(me.rcv_nxt, -max(me.max_win, 65535)))


@rule(
    "ACK05",
    Severity.NOTE,
    "RFC 9293 3.8.6.3",
    "this acknowledgement comes more than half a second after the data",
    profiles=RFC_ONLY,
    receiver="It may have sent the data again already.",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 1:100(99) ack 1
        +0.7 < . 1:1(0) ack 100   # ACK05
    """,
)
def acknowledged_too_late(seg: Seen, me: Side, peer: Side) -> int:
    """An ACK may be delayed, so that it can ride on data or cover two segments, but by less than 0.5 seconds (MUST-40).

    Between the point of capture and the receiver time passes too, as much as the handshake took at least; what was lost
    behind the capture looks the same.
    """
    if seg.ctl & ACK == 0 or seg.ctl & (SYN | RST) or peer.since == 0 or me.has_rcv_nxt == 0 or peer.pending_n:
        return False
    late = seg.time - peer.since - me.delay > HALF_A_SECOND
    return late and after(seg.ack, me.rcv_nxt) and peer.resent == 0
