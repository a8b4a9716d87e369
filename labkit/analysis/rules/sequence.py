"""Sequence numbers."""

from labkit.analysis.order import SAME_MOMENT, ids_count_on, is_later, overtaken
from labkit.analysis.pending import (
    AFTER_ACK,
    FILLED,
    GAP,
    MIN_RTO,
    MISSED,
    PARTLY,
    SENT,
    THIRD,
    UNPROVEN,
    WRONG,
    Resolved,
)
from labkit.analysis.relations import at_low_edge, is_probe
from labkit.analysis.rule import AS_IT_STANDS, RFC_ONLY, TAUGHT, Scope, Severity, rule
from labkit.analysis.side import Side
from labkit.analysis.tracker import beyond_any_window, in_lock_step
from labkit.packet.seen import Seen
from labkit.tcp.flags import ACK, FIN, RST, SYN
from labkit.tcp.seq import add, before

MIN_KEEP_ALIVE = 1_000_000_000
"""Nanoseconds between two keep-alives at least, as programs can set it (Linux, TCP_KEEPINTVL)."""

GOOD = """
    > S  0:0(0)
    < S. 0:0(0) ack 1
    > .  1:1(0) ack 1
    > P. 1:100(99) ack 1
    < .  1:1(0) ack 100
    > P. 100:150(50) ack 1
"""


@rule(
    "SEQ01",
    Severity.NOTE,
    "RFC 9293 3.4",
    "seq {seg.seq} leaves a gap after {me.nxt}: a segment was lost, overtaken or not captured",
    field="seq",
    expected="me.nxt",
    actual="seg.seq",
    should_be="seq {expected}, the sender's next sequence number, if no segment is missing",
    receiver="It keeps the segment if it lies in the window, and repeats its last ACK.",
    wireshark="tcp.analysis.lost_segment",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 100:150(50) ack 1   # SEQ01
        > P. 1:100(99) ack 1
        < .  1:1(0) ack 150
    """,
)
def gap_in_sequence(seg: Seen, me: Side, peer: Side) -> int:
    """A new segment starts where the previous one ended, at SND.NXT.

    The missing numbers belong to a segment that was lost before the point of capture, that was overtaken, or that the
    capture missed. Later segments show whether it is a fault. A gap that a pure ACK has already shown is reported
    once.
    """
    return seg.seq_offset > 0 and seg.seq != me.top


@rule(
    "SEQ01",
    Severity.ERROR,
    "RFC 9293 3.4",
    "seq is {actual}, but the sender never sent the bytes from {expected} on",
    field="seq",
    expected="resolved.want_seq",
    actual="resolved.seq",
    scope=Scope.PENDING,
    unless=("HS03", "SEQ02", "SEQ03", "FIN01"),
    should_be="seq {expected}, the sender's next sequence number",
    receiver="It keeps the segment if it lies in the window, and repeats its last ACK.",
    mend="Set seq to {expected}.",
    wireshark="tcp.analysis.lost_segment",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 11:110(99) ack 1   # SEQ01
        < .  1:1(0) ack 100
        > P. 100:150(50) ack 1
        < .  1:1(0) ack 150
    """,
)
def sequence_number_skips(seg: Seen, me: Side, peer: Side, resolved: Resolved) -> int:
    """A gap is a fault if nothing ever fills it and the conversation continues as if it did not exist.

    Loss, reordering and a capture that lacks packets look different: the missing bytes come later, or the peer
    acknowledges them.
    """
    return resolved.kind == GAP and resolved.state == WRONG


@rule(
    "SEQ01",
    Severity.WARNING,
    "RFC 9293 3.4",
    "seq is {actual}, but this capture never shows the bytes from {expected} on",
    field="seq",
    expected="resolved.want_seq",
    actual="resolved.seq",
    scope=Scope.PENDING,
    unless=("HS03", "SEQ02", "FIN01"),
    should_be="seq {expected}, the sender's next sequence number",
    receiver="If it lacks these bytes, it keeps the segment and asks for them.",
    mend="Set seq to {expected}, or add the missing data.",
    wireshark="tcp.analysis.lost_segment",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 101:201(100) ack 1   # SEQ01
        < .  1:1(0) ack 201
        > F. 201:201(0) ack 1
        < F. 1:1(0) ack 202
        > .  202:202(0) ack 2
    """,
)
def what_lies_between_is_missing(seg: Seen, me: Side, peer: Side, resolved: Resolved) -> int:
    """The peer acknowledges bytes that never appear: the capture lacks them, or the sequence numbers are wrong.

    In lock-step, labkit also reports a pure ACK that starts one too high, if the sender uses the skipped number soon
    after: the sender has counted its own ACK.
    """
    if resolved.kind != GAP:
        return False
    counted = resolved.mark in (THIRD, AFTER_ACK)
    if resolved.state == MISSED and counted and resolved.seq == add(resolved.want_seq, 1) and me.syn and peer.syn:
        return False  # the sender counted a pure ACK: SEQ02, SEQ03
    return (resolved.state in (MISSED, UNPROVEN) and resolved.seg_len != 0) or _counts_pure_ack(seg, me, peer, resolved)


def _counts_pure_ack(seg: Seen, me: Side, peer: Side, resolved: Resolved) -> bool:
    """Whether a pure ACK started one too high, and a later segment used the skipped number.

    After loss or reordering, a late FIN or a retransmission may use the number, whose timer began before the ACK was sent. The
    answer is therefore True only in lock-step, for a later segment that is neither old nor immediate.
    """
    return (
        resolved.state == FILLED
        and resolved.seg_len == 0
        and resolved.seq == add(resolved.want_seq, 1)
        and seg.seq == resolved.want_seq
        and in_lock_step(me, peer)
        and not (me.has_rcv_nxt and before(seg.ack, me.rcv_nxt))
        and SAME_MOMENT < seg.time - resolved.time < MIN_RTO // 2
    )


@rule(
    "SEQ01",
    Severity.WARNING,
    "RFC 9293 3.4",
    "seq is {actual}, but the bytes before {me.nxt} are already acknowledged, and this is not a retransmission",
    field="seq",
    expected="me.nxt",
    actual="seg.seq",
    profiles=RFC_ONLY,
    unless=("SEQ02", "FIN01", "HS03"),
    should_be="seq {expected}, the sender's next sequence number",
    receiver="It takes the new bytes of the segment, if any, and answers old ones with an ACK.",
    mend="Set seq to {expected}.",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 1:100(99) ack 1
        < .  1:1(0) ack 100
        > P. 90:150(60) ack 1   # SEQ01
    """,
)
def sequence_number_falls_behind(seg: Seen, me: Side, peer: Side) -> int:
    """A segment starts too low if it repeats nothing, or if new bytes follow old ones that are already acknowledged.

    A segment that was overtaken also starts low. labkit recognizes it by an older ack, an older timestamp or the same
    moment. A sender that has not received the peer's last bytes may also lack its ACK (RFC 9293 section 3.8.1).
    """
    return _falls_behind(seg, me, peer)


def _falls_behind(seg: Seen, me: Side, peer: Side) -> bool:
    return (
        seg.seq_offset < 0
        and not is_probe(seg, me, peer)
        and not at_low_edge(seg, me, peer)
        and not (seg.ctl & FIN and seg.new_octets == 1)  # what was lost is the FIN, or the ACK of the octets before it
        and seg.ctl & (SYN | RST) == 0
        and (seg.seg_len == 0 or (0 < seg.new_octets < seg.seg_len))
        and peer.has_rcv_nxt != 0
        and peer.rcv_nxt == me.nxt
        and me.resent == 0
        and not (me.probe and seg.seq_offset == -1)  # the octet of a probe is sent again with the octets behind it
        and not (me.has_rcv_nxt and before(seg.ack, me.rcv_nxt))
        and not (
            seg.new_octets and peer.data_len and peer.has_nxt and before(seg.ack, peer.nxt)
        )  # it may lack the peer's ACK
        and (seg.new_octets > 0 or not overtaken(seg, me))
    )


@rule(
    "SEQ01",
    Severity.WARNING,
    "RFC 9293 3.4",
    "seq is {actual} on an ACK without data, but its sender has already sent the bytes before {me.nxt}",
    field="seq",
    expected="me.nxt",
    actual="seg.seq",
    profiles=RFC_ONLY,
    unless=("SEQ02", "HS03"),
    should_be="seq {expected}, the sender's next sequence number",
    receiver="If it has the bytes, it takes the ACK for an old segment, answers with an ACK and drops it.",
    mend="Set seq to {expected}.",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 1:100(99) ack 1
        < P. 1:100(99) ack 1
        > .  1:1(0) ack 100   # SEQ01
        < .  100:100(0) ack 100
    """,
)
def old_number_on_an_ack(seg: Seen, me: Side, peer: Side) -> int:
    """A pure ACK has SND.NXT as its number, also while data is in flight.

    An ACK that was sent before the data has a lower number, and so has a probe. A sender whose peer has taken back a part of its
    window uses the right edge of the window. Some stacks go back to SND.UNA after a retransmission.
    """
    if seg.ctl & (SYN | RST | ACK) != ACK or seg.seg_len or seg.seq_offset >= 0 or me.data_len == 0:
        return False
    if me.resent or me.missed or me.pending_n or not peer.has_rcv_nxt or peer.rcv_nxt == me.nxt:
        return False
    edge = at_low_edge(seg, me, peer) or seg.seq == add(peer.rcv_nxt, -1)
    probe = seg.seq_offset == -1 and me.has_rcv_nxt and seg.ack == me.rcv_nxt  # whose ACK the capture may lack
    return not edge and not probe and not is_probe(seg, me, peer) and is_later(seg, me)


@rule(
    "SEQ01",
    Severity.WARNING,
    "RFC 9293 3.10.7.4",
    "seq is {actual}, far outside the peer's window from {peer.rcv_nxt} to {peer.right_edge}",
    field="seq",
    expected="me.nxt",
    actual="seg.seq",
    profiles=RFC_ONLY,
    unless=("SEQ02", "HS03"),
    should_be="seq {expected}, the sender's next sequence number",
    receiver="It answers with an ACK and drops the segment, so that its ack and its FIN do not count.",
    mend="Set seq to {expected}.",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        < P. 1:101(100) ack 1
        > .  2000000000:2000000000(0) ack 101   # SEQ01
        < P. 101:201(100) ack 1
        > .  1:1(0) ack 201
    """,
)
def sequence_number_outside_any_window(seg: Seen, me: Side, peer: Side) -> int:
    """A pure ACK and a FIN also need an acceptable sequence number: RCV.NXT, or one inside the window.

    An overtaken segment and missing packets explain a small distance. labkit reports a distance of many windows.
    """
    return beyond_any_window(seg, me, peer)


@rule(
    "SEQ02",
    Severity.ERROR,
    "RFC 9293 3.4",
    "seq is {actual}, one too high: the segment before was a pure ACK, which takes no sequence number",
    otherwise={
        Severity.WARNING: "seq is {actual}, one too high after a pure ACK: the sender counted the ACK, or the capture "
        "lacks a segment of one byte",
    },
    field="seq",
    expected="resolved.want_seq",
    actual="resolved.seq",
    profiles=RFC_ONLY,
    scope=Scope.PENDING,
    unless=("HS03", "FIN01"),
    should_be="seq {expected}, the sender's next sequence number",
    receiver="It waits for the missing byte, which never comes, and the connection hangs.",
    mend="Set seq to {expected}.",
    wireshark="tcp.analysis.lost_segment",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 2:101(99) ack 1   # SEQ02
        < .  1:1(0) ack 101
    """,
)
def pure_ack_counted(seg: Seen, me: Side, peer: Side, resolved: Resolved) -> int:
    """SYN and FIN take one sequence number each, and data takes one for each byte. A pure ACK and a RST take none.

    RFC 9293 section 3.5, on figure 6: "the ACK does not occupy sequence number space (if it did, we would wind up
    ACKing ACKs!)". If the next segment starts one higher, its sender has counted the ACK.
    """
    if resolved.kind != GAP or resolved.mark == 0 or resolved.seq != add(resolved.want_seq, 1):
        return False
    if resolved.mark in (PARTLY, SENT):
        return False
    if resolved.state == WRONG:
        return resolved.mark == AFTER_ACK
    # A capture that lacks other packets may also lack a segment of one octet, typed by hand.
    if resolved.state == MISSED and (resolved.mark == AFTER_ACK or me.third == 2) and me.syn and peer.syn:
        return True if me.missed == 1 else Severity.WARNING
    return False


@rule(
    "SEQ02",
    Severity.ERROR,
    "RFC 9293 3.4",
    "seq is {actual}, the number that the sender's own SYN or FIN has taken",
    field="seq",
    expected=lambda seg, me, peer: add(seg.seq, 1),
    actual="seg.seq",
    unless=("HS03", "FIN01", "FIN04"),
    should_be="seq {expected}, because SYN and FIN take one sequence number each",
    receiver="It takes the segment for an old one, drops the known byte and sends an ACK.",
    mend="Set seq to {expected}.",
    good="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > F. 1:1(0) ack 1
        < F. 1:1(0) ack 2
        > .  2:2(0) ack 2
    """,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > F. 1:1(0) ack 1
        < F. 1:1(0) ack 2
        > .  1:1(0) ack 2   # SEQ02
    """,
)
def syn_or_fin_not_counted(seg: Seen, me: Side, peer: Side) -> int:
    """SYN and FIN take one sequence number each, so that they can be acknowledged. The next segment starts one higher.

    A keep-alive has the same number on purpose. It acknowledges nothing new, and labkit recognizes it by that, or by another one
    right before it: an ACK between the two may be lost. A FIN may be sent beyond the window, and the ACKs after it at the right
    edge.
    """
    if seg.ctl & (SYN | RST | FIN) or at_low_edge(seg, me, peer):
        return False
    if me.has_fin and seg.seq == me.fin and seg.len == 0:
        soon = seg.time - me.last_time < MIN_KEEP_ALIVE or ids_count_on(seg, me, peer)
        again = me.probe != 0 and me.last_seq == me.fin and not soon
        return me.has_rcv_nxt != 0 and before(me.rcv_nxt, seg.ack) and seg.time > me.fin_time and not again
    opened = me.syn == 2 or me.third == 2
    return opened and seg.seq == me.isn and seg.len > 1 and me.syn_end == add(me.isn, 1)


@rule(
    "SEQ03",
    Severity.ERROR,
    "the document, rule 1; RFC 9293 3.4",
    "seq is {actual}, but the peer has acknowledged only {expected}",
    field="seq",
    expected="resolved.want_seq",
    actual="resolved.seq",
    profiles=TAUGHT,
    scope=Scope.PENDING,
    unless=("HS03", "FIN01"),
    should_be="seq {expected}, by rule 1 of the document: the peer's last ack",
    receiver="It keeps the segment and waits for the missing bytes.",
    mend="Set seq to {expected}.",
    no_fault="the document's: `sequence-number-skips` breaks it under that profile",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 2:101(99) ack 1   # SEQ03
        < .  1:1(0) ack 101
    """,
)
def seq_ahead_of_the_peers_ack(seg: Seen, me: Side, peer: Side, resolved: Resolved) -> int:
    """In lock-step, where each segment answers the one before, seq is the peer's last ack (rule 1 of the document).

    The document is the introductory text that labkit implements. If the capture begins in the middle, its first
    segment may be a keep-alive, whose number is one too low on purpose.
    """
    if resolved.kind != GAP:
        return False
    counted = (
        resolved.state == MISSED
        and resolved.mark in (THIRD, AFTER_ACK)
        and resolved.seq == add(resolved.want_seq, 1)
        and me.syn != 0
    )
    return resolved.state == WRONG or counted or _counts_pure_ack(seg, me, peer, resolved)


@rule(
    "SEQ03",
    Severity.ERROR,
    "the document, rule 1; RFC 9293 3.4",
    "seq is {actual}, but the peer's last ack is {expected}",
    otherwise={
        Severity.NOTE: "rule 1 of the document does not apply: seq {actual} is not the peer's last ack {expected}, "
        "which is legal (E4)",
    },
    field="seq",
    expected="peer.last_ack",
    actual="seg.seq",
    profiles=TAUGHT,
    unless=("HS03", "SEQ01", "SEQ02", "FIN01", "FIN03", "KA01"),
    should_be="seq {expected}, by rule 1 of the document: the peer's last ack",
    receiver="It takes the new bytes of the segment, if any, and answers old ones with an ACK.",
    mend="Set seq to {expected}.",
    no_fault="the document's: `sequence-number-skips` breaks it under that profile",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 1:100(99) ack 1
        < .  1:1(0) ack 100
        > P. 90:150(60) ack 1   # SEQ03
    """,
)
def seq_is_not_the_peers_ack(seg: Seen, me: Side, peer: Side) -> int:
    """In lock-step, where each segment answers the one before, seq is the peer's last ack (rule 1 of the document).

    The rule holds only in lock-step. A sender with several segments in flight runs ahead of the peer's last ack, and
    a retransmission starts behind it. The rule then does not apply, and a note says so.
    """
    if seg.ctl & (SYN | RST) or peer.has_last_ack == 0 or seg.seq == peer.last_ack or not me.has_nxt:
        return False
    if seg.seq_offset == 0 and (peer.has_rcv_nxt == 0 or peer.rcv_nxt == me.nxt):
        return False  # the peer's last ack is at fault, not this seq
    return True if _falls_behind(seg, me, peer) else Severity.NOTE


@rule(
    "SEQ03",
    Severity.ERROR,
    "the document, rule 1, as it stands",
    "seq {actual} breaks rule 1 of the document in its literal wording",
    field="seq",
    expected="peer.last_ack",
    actual="seg.seq",
    profiles=AS_IT_STANDS,
    should_be="seq {expected}, the peer's last ack",
    receiver="It accepts the segment, which is correct TCP.",
    mend="Leave the segment as it is: the sentence of the document is too simple.",
    no_fault="the document's: `sequence-number-skips` breaks it under that profile",
    good="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 1:100(99) ack 1
        < P. 1:120(119) ack 100
        > .  100:100(0) ack 120
    """,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 1:100(99) ack 1
        > P. 100:150(50) ack 1   # SEQ03
        < .  1:1(0) ack 150
    """,
)
def seq_is_literally_not_the_peers_ack(seg: Seen, me: Side, peer: Side) -> int:
    """This rule applies rule 1 of the document literally: "seq = the peer's last ack", whatever is in flight.

    Correct traffic breaks the sentence whenever a sender has more than one segment in flight (error E4).
    """
    return seg.ctl & ACK != 0 and seg.ctl & RST == 0 and peer.has_last_ack != 0 and seg.seq != peer.last_ack
