"""Acknowledgement numbers."""

from labkit.analysis.order import nothing_between, order, overtaken
from labkit.analysis.pending import ECHOES, LATE, LOST, MISSED, UNPROVEN, UNSENT, WRONG, Resolved
from labkit.analysis.relations import acks_a_part, is_probe
from labkit.analysis.rule import AS_IT_STANDS, RFC_ONLY, TAUGHT, Scope, Severity, rule
from labkit.analysis.side import Side
from labkit.analysis.tracker import DEFAULT_MSS, in_lock_step, scale_is_known
from labkit.packet.seen import ABSENT, Seen
from labkit.tcp.flags import ACK, FIN, RST, SYN
from labkit.tcp.seq import add, after, before

MAX_ACK_DELAY = 500_000_000
"""Nanoseconds; RFC 9293 section 3.8.6.3, MUST-40."""

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
    "ack {actual} acknowledges bytes that the peer has not sent",
    otherwise={
        Severity.NOTE: "ack {actual} acknowledges bytes that this capture does not show: it lacks packets of the "
        "peer, or shows them late",
        Severity.WARNING: "ack {actual} acknowledges bytes that this capture does not show, and the peer sends nothing "
        "more: the capture lacks its last segment, or the ack is wrong",
    },
    field="ack",
    expected="resolved.want_ack",
    actual="resolved.ack",
    scope=Scope.PENDING,
    unless=("HS02", "HS03", "FIN04"),
    should_be="ack {expected} at most, the peer's next sequence number",
    receiver="It answers with an ACK of its own numbers and drops the segment.",
    mend="Set ack to {expected}, or add the missing bytes to the peer's data.",
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
def ack_of_unsent_data(seg: Seen, me: Side, peer: Side, resolved: Resolved) -> int:
    """An ack must not cover bytes that the peer has never sent.

    RFC 9293 section 3.10.7.4: "If the ACK acks something not yet sent (SEG.ACK > SND.NXT), then send an ACK, drop the
    segment, and return". A capture that lacks packets looks the same, but then the peer continues from the
    acknowledged number. labkit therefore waits for the peer's next segment.
    """
    if resolved.kind != UNSENT:
        return False
    former = peer.has_old != 0 and me.syn == 0 and not after(resolved.ack, add(peer.old_nxt, 1))
    if resolved.state == WRONG and former:
        return Severity.NOTE  # its sender still has the connection before, or the segment is an old one
    if resolved.state == LOST:
        return Severity.WARNING
    return resolved.state == WRONG or (Severity.NOTE if resolved.state in (MISSED, LATE, UNPROVEN) else False)


@rule(
    "ACK01",
    Severity.ERROR,
    "RFC 9293 3.10.7.4",
    "ack {actual} goes beyond the peer's segment, and the IP identifications show that no packet is missing in between",
    otherwise={
        Severity.WARNING: "ack {actual} goes beyond the peer's segment, although both sides wait for each other: the "
        "segment is too short, or the capture lacks the next one",
    },
    field="ack",
    expected="resolved.want_ack",
    actual="resolved.ack",
    scope=Scope.PENDING,
    unless=("HS02", "HS03", "FIN04"),
    should_be="ack {expected}, the end of the peer's segment",
    receiver="It answers with an ACK of its own numbers and drops the segment, unless it has sent the bytes.",
    mend="Set ack to {expected}, or make the peer's segment longer.",
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
def ack_of_more_than_was_answered(seg: Seen, me: Side, peer: Side, resolved: Resolved) -> int:
    """In lock-step, the ack of a single data segment is the number after its last byte.

    The peer continues from the higher number, so it may have sent more than the capture shows. A second segment is
    unlikely where both sides wait for each other: more often, the segment of a hand-written capture is too short (119
    and 111 bytes mixed up, error E1 of the document). Consecutive or constant IP identifications prove that no packet
    is missing.
    """
    if resolved.kind != UNSENT or not _lacks_end_of_answer(seg, me, peer, resolved):
        return False
    if seg.ctl & RST:
        return False  # a reset has the number of what was really sent
    at_once = peer.last_seq == peer.data_seq and peer.last_len > 0
    return True if at_once and nothing_between(seg, me, peer) else Severity.WARNING


def _lacks_end_of_answer(seg: Seen, me: Side, peer: Side, resolved: Resolved) -> bool:
    """Whether the ack exceeds the end of the peer's only data segment, in lock-step."""
    fin = seg.seg_len == 0 and resolved.ack == add(resolved.want_ack, 1)  # the missing number may be a FIN's: FIN04
    return (
        resolved.state == MISSED
        and resolved.mark != ECHOES
        and not fin
        and in_lock_step(me, peer)
        and 0 < peer.data_len < (me.mss if me.mss > 0 else DEFAULT_MSS)  # a full segment is often followed by another
        and resolved.want_ack == add(peer.data_seq, peer.data_len)
        and (me.has_rcv_nxt == 0 or before(me.rcv_nxt, resolved.want_ack))
    )


@rule(
    "ACK02",
    Severity.WARNING,
    "RFC 9293 3.10.7.4",
    "ack {seg.ack} goes back: this side has already acknowledged {me.rcv_nxt}",
    otherwise={
        Severity.NOTE: "ack {seg.ack} is older than {me.rcv_nxt}, because another segment overtook this one",
    },
    field="ack",
    expected=lambda seg, me, peer: me.rcv_nxt if peer.pending_n or not peer.has_nxt else peer.nxt,
    actual="seg.ack",
    unless=("HS03",),
    should_be="ack {expected}, because an acknowledgement never decreases",
    receiver="It ignores the ack as a duplicate (SEG.ACK =< SND.UNA).",
    mend="Set ack to {expected}.",
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
    """Acknowledgements are cumulative: each one covers all bytes before it, so the number never decreases.

    An older number is legal on a segment that was overtaken by a later one. labkit recognizes such a segment by its
    sequence number, its timestamp or its time of arrival.
    """
    if seg.ctl & ACK == 0 or seg.ctl & (SYN | RST) or me.has_rcv_nxt == 0 or not before(seg.ack, me.rcv_nxt):
        return False
    return Severity.NOTE if seg.seq_offset < 0 or overtaken(seg, me) else True


@rule(
    "ACK03",
    Severity.ERROR,
    "the document, rule 2; RFC 9293 3.4",
    "ack {actual} is not the number after the peer's last segment",
    otherwise={
        Severity.NOTE: "rule 2 of the document does not apply: ack {actual} does not cover the peer's last segment, "
        "which is legal (E4)",
    },
    field="ack",
    expected=lambda seg, me, peer: _end_of_last_segment(peer),
    actual="seg.ack",
    profiles=TAUGHT,
    unless=("HS02", "HS03", "ACK01", "ACK02", "FIN02"),
    should_be="ack {expected}, by rule 2 of the document: the peer's seq {peer.last_seq} plus its {peer.last_len} "
    "bytes, plus 1 for SYN or FIN",
    receiver="It takes the bytes up to this number as delivered and sends the rest again.",
    mend="Set ack to {expected}.",
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
    """In lock-step, ack is the peer's seq plus the length of its segment (rule 2 of the document, corrected).

    The document is the introductory text that labkit implements. SYN and FIN count as one byte each; a pure ACK adds
    nothing (error E3). The rule does not apply where the peer has several segments in flight or the receiver delays
    its acknowledgement (error E4); a note says so.
    """
    if seg.ctl & ACK == 0 or seg.ctl & RST or peer.seen == 0 or peer.last_ctl & RST:
        return False
    want = _end_of_last_segment(peer)
    if seg.ack == want or is_probe(seg, me, peer) or after(seg.ack, peer.nxt):
        return False
    partly = after(seg.ack, peer.last_seq) and before(seg.ack, want)
    in_step = (
        want == peer.nxt
        and me.has_rcv_nxt != 0
        and me.rcv_nxt == peer.last_seq
        and not after(want, add(me.right_edge, 1))
    )
    return True if partly and in_step and _fits_one_segment(peer, me) else Severity.NOTE


def _end_of_last_segment(side: Side) -> int:
    return add(side.last_seq, side.last_len + (side.last_ctl & SYN != 0) + (side.last_ctl & FIN != 0))


def _fits_one_segment(sender: Side, receiver: Side) -> bool:
    """Whether the sender's last data is one segment on the wire, and not several before segmentation offload."""
    return sender.data_len <= (receiver.mss if receiver.mss != ABSENT else DEFAULT_MSS)


@rule(
    "ACK03",
    Severity.ERROR,
    "the document, rule 2, as it stands",
    "ack {actual} breaks rule 2 of the document in its literal wording",
    field="ack",
    expected=lambda seg, me, peer: add(peer.last_seq, peer.last_len or 1),
    actual="seg.ack",
    profiles=AS_IT_STANDS,
    should_be="ack {expected}: the peer's seq {peer.last_seq} plus the length of its data, or plus 1 without data",
    receiver="It accepts the segment, which is correct TCP.",
    mend="Leave the segment as it is: the sentence of the document is too simple.",
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
    """This rule applies rule 2 of the document literally: "ack = the peer's seq + 1 where there is no data, or seq + L".

    Correct traffic breaks the sentence as soon as a segment follows a pure ACK of the peer, because a pure ACK takes
    no sequence number (error E3).
    """
    if seg.ctl & ACK == 0 or seg.ctl & RST or peer.seen == 0:
        return False
    return seg.ack != add(peer.last_seq, peer.last_len or 1)


@rule(
    "ACK06",
    Severity.WARNING,
    "RFC 9293 3.10.7.4",
    "ack {actual} lies inside the peer's segment, which has {peer.data_len} bytes from {peer.data_seq} on",
    field="ack",
    expected=lambda seg, me, peer: add(peer.data_seq, peer.data_len),
    actual="seg.ack",
    profiles=RFC_ONLY,
    unless=("HS03",),
    should_be="ack {expected}, the end of the peer's segment",
    receiver="It takes the bytes up to this number as delivered and sends the rest again.",
    mend="Set ack to {expected}.",
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
    """An ack lies on the boundary of a segment, because a receiver takes a segment inside its window as a whole.

    Four cases are legal. A segment may come again in other parts, the first of which may be the byte of a window probe. A
    receiver acknowledges a part of a segment if the rest lies outside its window. A capture taken above segmentation offload
    shows segments that are larger than the receiver's MSS, and acks inside them are normal.
    """
    if seg.ctl & ACK == 0 or seg.ctl & (SYN | RST) or peer.data_len == 0 or me.has_rcv_nxt == 0:
        return False
    if peer.resent and seg.ack == peer.resent_end:
        return False
    if peer.probe_octet == 2 and seg.ack == add(peer.data_seq, 1):
        return False
    return acks_a_part(seg, me, peer)


@rule(
    "ACK06",
    Severity.ERROR,
    "RFC 9293 3.10.7.4",
    "ack {actual} leaves out the last byte of the peer's segment, although this side has received it",
    at="me.part",
    field="ack",
    expected=lambda seg, me, peer: add(me.part_ack, 1),
    actual="me.part_ack",
    profiles=RFC_ONLY,
    unless=("HS03",),
    should_be="ack {expected}, the number after the last byte",
    receiver="It takes the bytes up to this number as delivered and sends the last one again.",
    mend="Set ack to {expected}.",
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
    """A receiver acknowledges RCV.NXT, the number after the last byte that it has received.

    Later segments prove that the ack was one too low: the receiver acknowledges the byte although the sender has not
    sent it again. labkit reports a warning instead if the capture lacks packets or shows any retransmission.
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
    "ack {actual} is older than any window of this side: it has already acknowledged {me.rcv_nxt}",
    field="ack",
    expected="me.rcv_nxt",
    actual="seg.ack",
    profiles=RFC_ONLY,
    unless=("HS03", "ACK01"),
    should_be="ack {expected}, the number that this side has acknowledged",
    receiver="It answers with a challenge ACK and drops the segment, which may be forged.",
    mend="Set ack to {expected}.",
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
    """An old ack is acceptable only down to SND.UNA minus the largest window that its sender has offered.

    An attacker who guesses numbers sends such acks. A delayed segment carries an ack that is only a little too old, or its
    timestamp or its IPv4 identification shows that it was sent before others.
    """
    if seg.ctl & ACK == 0 or seg.ctl & (SYN | RST) or me.has_rcv_nxt == 0 or not scale_is_known(me, peer):
        return False
    return before(seg.ack, add(me.rcv_nxt, -max(me.max_win, 65535))) and order(seg, me) >= 0


@rule(
    "ACK05",
    Severity.NOTE,
    "RFC 9293 3.8.6.3",
    "the ACK comes more than 0.5 seconds after the data",
    profiles=RFC_ONLY,
    should_be="an ACK within 0.5 seconds",
    receiver="It may already have sent the data again.",
    mend="Send the ACK earlier.",
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
    """A receiver may delay an ACK by less than 0.5 seconds (MUST-40), so that one ACK covers two segments or travels
    with data.

    labkit subtracts the time that the handshake took between the point of capture and this side. A data segment that
    was lost behind the point of capture looks the same.
    """
    if seg.ctl & ACK == 0 or seg.ctl & (SYN | RST) or peer.since == 0 or me.has_rcv_nxt == 0 or peer.pending_n:
        return False
    late = seg.time - peer.since - me.delay > MAX_ACK_DELAY
    return late and after(seg.ack, me.rcv_nxt) and peer.resent == 0
