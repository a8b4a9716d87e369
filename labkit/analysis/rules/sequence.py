"""Sequence numbers: where a segment starts, and how much it takes."""

from labkit.analysis.pending import FILLED, GAP, MISSED, SAME_MOMENT, UNPROVEN, WRONG
from labkit.analysis.rule import AS_IT_STANDS, RFC_ONLY, TAUGHT, Scope, Severity, rule
from labkit.analysis.side import Side
from labkit.analysis.tracker import in_lock_step, is_probe, overtaken
from labkit.packet.seen import Seen
from labkit.tcp.segment import ACK, FIN, RST, SYN
from labkit.tcp.seq import add, before

SHORTEST_RTO = 200_000_000
"""Nanoseconds: what comes sooner is nothing that was lost, and sent again."""

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
    "seq {seg.seq} leaves a gap: the sender's next number is {me.nxt}; a segment was lost, overtaken or not captured",
    field="seq",
    expected="me.nxt",
    actual="seg.seq",
    receiver="It keeps the segment, if it lies in the window, and acknowledges again what it has in order.",
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
    """A new segment starts where the one before it ended: at SND.NXT.

    Numbers that are left out belong to a segment that was lost before it came to the capture, that was overtaken, or
    that the capture missed. Whether it is a fault shows later. A gap that a pure ACK has shown already is not found again.
    """
    return seg.seq_offset > 0 and seg.seq != me.top


@rule(
    "SEQ01",
    Severity.ERROR,
    "RFC 9293 3.4",
    "seq is {me.odd_seq}, but the sender's next number is {me.odd_want}: the conversation goes on from there, and the "
    "numbers between them were never sent",
    at="me.odd",
    field="seq",
    expected="me.odd_want",
    actual="me.odd_seq",
    scope=Scope.PENDING,
    unless=("HS03", "SEQ02", "SEQ03", "FIN01"),
    receiver="It keeps the segment, if it lies in the window, and acknowledges again what it has in order.",
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
def sequence_number_skips(seg: Seen, me: Side, peer: Side) -> int:
    """A gap is a fault where nothing ever fills it and the conversation goes on as though it were not there.

    Loss, reordering and capture drops leave other traces: the missing octets come later, or they are acknowledged.
    """
    return me.odd_kind == GAP and me.odd_state == WRONG


@rule(
    "SEQ01",
    Severity.WARNING,
    "RFC 9293 3.4",
    "seq is {me.odd_seq}, the sender's next number is {me.odd_want}: what lies between was not sent before, as far as this "
    "capture shows, and is not sent again as something that was lost",
    at="me.odd",
    field="seq",
    expected="me.odd_want",
    actual="me.odd_seq",
    scope=Scope.PENDING,
    unless=("HS03", "SEQ02", "FIN01"),
    receiver="If it has not got what lies between, it keeps the segment and asks for that.",
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
def what_lies_between_is_missing(seg: Seen, me: Side, peer: Side) -> int:
    """Octets that never show up, and are acknowledged all the same, are missing in the capture; or the numbers are wrong.

    In lock-step, a pure ACK that starts one too high, with the number used soon after, has counted itself.
    """
    if me.odd_kind != GAP:
        return False
    if me.odd_state == MISSED and me.odd_mark and me.odd_seq == add(me.odd_want, 1) and me.syn and peer.syn:
        return False  # a pure ACK was counted: SEQ02, SEQ03
    return (me.odd_state in (MISSED, UNPROVEN) and me.odd_seg_len != 0) or _ack_counted(seg, me, peer)


def _ack_counted(seg: Seen, me: Side, peer: Side) -> bool:
    """Whether the doubt is about a pure ACK that starts one too high: later, and in no haste, the number was used.

    Where segments are lost or overtaken, the number may have been used before, by a FIN that comes late, or again. So it
    is told only where nothing speaks for that: in lock-step, and where the later segment is no older one.
    """
    return (
        me.odd_state == FILLED
        and me.odd_seg_len == 0
        and me.odd_seq == add(me.odd_want, 1)
        and seg.seq == me.odd_want
        and in_lock_step(me, peer)
        and not (me.has_rcv_nxt and before(seg.ack, me.rcv_nxt))
        and SAME_MOMENT < seg.time - me.odd_time < SHORTEST_RTO
    )


@rule(
    "SEQ01",
    Severity.WARNING,
    "RFC 9293 3.4",
    "seq {seg.seq} lies before {me.nxt}, the sender's next number, though all before it is acknowledged and nothing is "
    "sent again",
    field="seq",
    expected="me.nxt",
    actual="seg.seq",
    profiles=RFC_ONLY,
    unless=("SEQ02", "FIN01", "HS03"),
    receiver="It takes what is new in the segment, if anything, and answers an old one with an ACK.",
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
    """A segment with nothing old to send again, or with new octets after old ones that are acknowledged, starts too low.

    A segment that was overtaken starts low as well; an older ack, an older timestamp or the same moment tells.
    """
    return _falls_behind(seg, me, peer)


def _falls_behind(seg: Seen, me: Side, peer: Side) -> bool:
    return (
        seg.seq_offset < 0
        and not is_probe(seg, me, peer)
        and seg.ctl & (SYN | RST) == 0
        and (seg.seg_len == 0 or (0 < seg.new_octets < seg.seg_len))
        and peer.has_rcv_nxt != 0
        and peer.rcv_nxt == me.nxt
        and me.resent == 0
        and not (me.probe and seg.seq_offset == -1)  # the octet of a probe goes again with those behind it
        and not (me.has_rcv_nxt and before(seg.ack, me.rcv_nxt))
        and (seg.new_octets > 0 or not overtaken(seg, me))
    )


@rule(
    "SEQ02",
    Severity.ERROR,
    "RFC 9293 3.4",
    "seq is {me.odd_seq}, one more than the sender's next number {me.odd_want}: its segment before was a pure ACK, "
    "which takes no sequence number",
    otherwise={
        Severity.WARNING: "seq is {me.odd_seq}, one more than the sender's next number {me.odd_want}, after a pure ACK: "
        "either the ACK was counted, which takes no number, or a segment of one octet is missing",
    },
    at="me.odd",
    field="seq",
    expected="me.odd_want",
    actual="me.odd_seq",
    profiles=RFC_ONLY,
    scope=Scope.PENDING,
    unless=("HS03", "FIN01"),
    receiver="It waits for the octet that is missing, which never comes: the connection hangs.",
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
def pure_ack_counted(seg: Seen, me: Side, peer: Side) -> int:
    """SYN and FIN take one sequence number each, data takes one for each octet; a pure ACK and a RST take none.

    Section 3.5, on figure 6: "the ACK does not occupy sequence number space (if it did, we would wind up ACKing ACKs!)".
    The sender whose next segment starts one higher has counted its ACK.
    """
    if me.odd_kind != GAP or me.odd_mark == 0 or me.odd_seq != add(me.odd_want, 1):
        return False
    if me.odd_state == WRONG:
        return me.odd_mark == 2
    # In a capture that lacks other packets too, an octet typed by hand may well have been one of them.
    if me.odd_state == MISSED and (me.odd_mark == 2 or me.third == 2) and me.syn and peer.syn:
        return True if me.missed == 1 else Severity.WARNING
    return False


@rule(
    "SEQ02",
    Severity.ERROR,
    "RFC 9293 3.4",
    "seq {seg.seq} is the number that the sender's own SYN or FIN took: the next segment starts one higher",
    field="seq",
    expected=lambda seg, me, peer: add(seg.seq, 1),
    actual="seg.seq",
    unless=("HS03", "FIN01", "FIN04"),
    receiver="It takes the segment for an old one: it drops the octet it knows, and acknowledges.",
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
    """SYN and FIN take one sequence number each, so that they can be acknowledged; what follows starts one higher.

    A keep-alive has the same number on purpose. It acknowledges nothing new, which tells it apart.
    """
    if seg.ctl & (SYN | RST | FIN):
        return False
    if me.has_fin and seg.seq == me.fin and seg.len == 0:
        return me.has_rcv_nxt != 0 and before(me.rcv_nxt, seg.ack) and seg.time > me.fin_time
    opened = me.syn == 2 or me.third == 2
    return opened and seg.seq == me.isn and seg.len > 1 and me.syn_end == add(me.isn, 1)


@rule(
    "SEQ03",
    Severity.ERROR,
    "the document, rule 1; RFC 9293 3.4",
    "seq is {me.odd_seq}; by the document's rule 1 it is the peer's last ack, {me.odd_want}",
    at="me.odd",
    field="seq",
    expected="me.odd_want",
    actual="me.odd_seq",
    profiles=TAUGHT,
    scope=Scope.PENDING,
    unless=("HS03", "FIN01"),
    receiver="It keeps the segment and waits for the octets that are missing.",
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
def seq_ahead_of_the_peers_ack(seg: Seen, me: Side, peer: Side) -> int:
    """In lock-step, where each segment answers the one before, seq is what the peer acknowledged last (rule 1).

    Where the capture begins in the middle, its first segment may be a keep-alive, whose number is one too low on purpose.
    """
    if me.odd_kind != GAP:
        return False
    counted = me.odd_state == MISSED and me.odd_mark != 0 and me.odd_seq == add(me.odd_want, 1) and me.syn != 0
    return me.odd_state == WRONG or counted or _ack_counted(seg, me, peer)


@rule(
    "SEQ03",
    Severity.ERROR,
    "the document, rule 1; RFC 9293 3.4",
    "seq is {seg.seq}; by the document's rule 1 it is the peer's last ack, {peer.last_ack}",
    otherwise={
        Severity.NOTE: "seq is {seg.seq}, not the peer's last ack {peer.last_ack}: the document's rule 1 does not reach "
        "this segment, for the sender has other segments under way or sends one again (E4)",
    },
    field="seq",
    expected="peer.last_ack",
    actual="seg.seq",
    profiles=TAUGHT,
    unless=("HS03", "SEQ01", "SEQ02", "FIN01", "FIN03", "KA01"),
    receiver="It takes what is new in the segment, if anything, and answers an old one with an ACK.",
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
    """In lock-step, where each segment answers the one before, seq is what the peer acknowledged last (rule 1).

    The document's rule holds only there. A sender with several segments under way runs ahead of the peer's last ack,
    and a retransmission starts behind it: the rule then does not reach the segment, and a note says so.
    """
    if seg.ctl & (SYN | RST) or peer.has_last_ack == 0 or seg.seq == peer.last_ack or not me.has_nxt:
        return False
    if seg.seq_offset == 0 and (peer.has_rcv_nxt == 0 or peer.rcv_nxt == me.nxt):
        return False  # the peer's last ack is the odd one, not this seq
    return True if _falls_behind(seg, me, peer) else Severity.NOTE


@rule(
    "SEQ03",
    Severity.ERROR,
    "the document, rule 1, as it stands",
    "seq is {seg.seq}, the peer's last ack is {peer.last_ack}: the document's rule 1, taken literally, is broken",
    field="seq",
    expected="peer.last_ack",
    actual="seg.seq",
    profiles=AS_IT_STANDS,
    receiver="Nothing: the segment is correct TCP, only the document's sentence does not hold for it.",
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
    """The document's rule 1 as it stands: "seq = the peer's last ack", whatever is under way.

    Correct traffic breaks it whenever a sender has more than one segment under way (E4): that is the lesson.
    """
    return seg.ctl & ACK != 0 and seg.ctl & RST == 0 and peer.has_last_ack != 0 and seg.seq != peer.last_ack
