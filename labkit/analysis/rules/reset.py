"""Resets: refused and aborted connections."""

from labkit.analysis.order import SAME_MOMENT, ids_count_on, ids_leave_one_out, order_of_ids, overtaken
from labkit.analysis.pending import GAP
from labkit.analysis.relations import answers_earlier_attempt, at_low_edge, repeats_ack
from labkit.analysis.rule import RFC_ONLY, Severity, rule
from labkit.analysis.side import Side
from labkit.analysis.tracker import in_lock_step, scale_is_known
from labkit.packet.seen import Seen
from labkit.tcp.flags import ACK, RST, SYN
from labkit.tcp.seq import add, after, before, between, diff

OPENED = """
    > S  0:0(0)
    < S. 0:0(0) ack 1
    > .  1:1(0) ack 1
    > R. 1:1(0) ack 1
"""


def _wrong_field(seg: Seen, me: Side, peer: Side) -> str:
    return "seq" if seg.seq and seg.ctl & ACK else "ack"


OLD_REACH = 65_536
"""How far below RCV.NXT the ack of an older segment may lie that a reset answers: a window without a scale, or the largest that
the peer has offered."""


@rule(
    "RST02",
    Severity.ERROR,
    "RFC 9293 3.5.2",
    "the reset has seq {seg.seq} and ack {seg.ack}, but the SYN that it refuses ends at {peer.syn_end}",
    field=_wrong_field,
    expected=lambda seg, me, peer: 0 if seg.seq and seg.ctl & ACK else peer.syn_end,
    actual=lambda seg, me, peer: seg.seq if seg.seq and seg.ctl & ACK else seg.ack,
    profiles=RFC_ONLY,
    should_be="seq 0 and ack {peer.syn_end}, the number after the SYN",
    receiver="In SYN-SENT it drops a reset that does not acknowledge its SYN, and sends the SYN again.",
    mend="Set seq to 0, set ACK and set ack to {peer.syn_end}.",
    good="""
        > S  0:0(0)
        < R. 0:0(0) ack 1
    """,
    bad="""
        > S  0:0(0)
        < R. 0:0(0) ack 2   # RST02
    """,
)
def reset_does_not_fit_the_syn(seg: Seen, me: Side, peer: Side) -> int:
    """A closed port answers a SYN with <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>.

    The refusing host has no sequence number of its own, so seq is 0. The ack proves that it has seen this SYN. Without
    the ACK bit nothing proves it, and the client ignores the reset (RFC 9293 section 3.10.7.3).
    """
    if seg.ctl & (RST | SYN) != RST or peer.syn != 1 or me.syn or peer.last_ctl & SYN == 0 or peer.third:
        return False
    if (me.seen and me.rst == 0) or (me.has_old and seg.ctl & ACK == 0):
        return False  # it may answer a segment of the connection before
    if seg.seq == 0 and seg.ctl & ACK and answers_earlier_attempt(seg, peer):
        return False
    return seg.seq != 0 or seg.ctl & ACK == 0 or not between(add(peer.isn, 1), seg.ack, peer.syn_end)


@rule(
    "RST02",
    Severity.WARNING,
    "RFC 9293 3.10.7.3",
    "the reset has seq {seg.seq}, but the ack that it answers is {peer.last_ack}",
    field="seq",
    expected="peer.last_ack",
    actual="seg.seq",
    profiles=RFC_ONLY,
    should_be="seq {peer.last_ack}, the ack of the segment that does not acknowledge the SYN",
    receiver="It drops a reset outside its window, and the old connection stays open.",
    mend="Set seq to {peer.last_ack}.",
    good="""
        > S  0:0(0)
        < .  700:700(0) ack 4000
        > R  4000:4000(0)
    """,
    bad="""
        > S  0:0(0)
        < .  700:700(0) ack 4000
        > R. 1:1(0) ack 701   # RST02
    """,
)
def reset_does_not_fit_the_bad_ack(seg: Seen, me: Side, peer: Side) -> int:
    """In SYN-SENT and in SYN-RECEIVED, a segment whose ack is not that of the SYN is answered by <SEQ=SEG.ACK><CTL=RST>.

    It comes from an old connection that the peer still has open. The peer takes the reset only at this number.
    """
    if seg.ctl & (RST | SYN) != RST or not me.syn or me.last_ctl & SYN == 0 or not peer.has_last_ack:
        return False
    if peer.last_ctl & (ACK | RST) != ACK or peer.last_packet < me.last_packet or (me.syn == 2 and seg.ctl & ACK):
        return False
    return not between(add(me.isn, 1), peer.last_ack, me.syn_end) and seg.seq != peer.last_ack


@rule(
    "RST03",
    Severity.ERROR,
    "RFC 9293 3.5.2",
    "the sender continues after its own RST, which aborted the connection",
    otherwise={
        Severity.WARNING: "the segment comes after its sender's own RST: the RST has overtaken it, or the sender continues",
    },
    field="flags",
    should_be="no further segment of this connection",
    receiver="It no longer knows the connection and answers with RST.",
    mend="Remove the segment, or the RST before it.",
    good="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > R. 1:1(0) ack 1
    """,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > R. 1:1(0) ack 1
        > P. 1:100(99) ack 1   # RST03
    """,
)
def goes_on_after_reset(seg: Seen, me: Side, peer: Side) -> int:
    """A RST ends the connection for its sender at once, so nothing of it can follow.

    Legal are segments that were in flight when the RST was captured, another RST, and a new SYN. IPv4 identifications show
    the order, and so does a number beyond the one at which the sender aborted. Without them the fault is a warning, except
    where a client resets the SYN ACK and then goes on. A RST that an attacker has forged in the sender's name looks like
    this fault.
    """
    if me.rst == 0 or seg.ctl & (RST | SYN):
        return False
    if seg.ctl & ACK and me.has_rcv_nxt and before(seg.ack, me.rcv_nxt):
        return False  # acknowledgments never fall: it was sent before others
    if me.has_nxt and me.rst_seq != me.nxt:
        return False  # the peer ignores or challenges a RST that is not at SND.NXT, and the connection stays open (RFC 5961)
    # Without a socket, Linux sends the identification 0, which is none of those that it counts.
    found = 0 if me.last_id == 0 else order_of_ids(seg, me)
    if found < 0:
        return False
    if after(seg.end, me.rst_seq) and me.rst == 2:
        return True
    # The client's own kernel did not expect the SYN ACK, and resets it.
    kernel = me.rst == 1 and me.third == 1 and peer.resent == 0
    if found == 0 and overtaken(seg, me):
        return False
    return True if found > 0 or kernel else Severity.WARNING


@rule(
    "RST01",
    Severity.WARNING,
    "RFC 9293 3.10.7.4, RFC 5961 3",
    "the reset has seq {actual}, at or beyond the right edge {peer.right_edge} of the peer's window",
    field="seq",
    expected="peer.rcv_nxt",
    actual="seg.seq",
    profiles=RFC_ONLY,
    should_be="seq {expected}, the number that the peer expects next",
    receiver="It drops the reset silently, and the connection stays open.",
    mend="Set seq to {expected}.",
    good=OPENED,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > R  900000:900000(0)   # RST01
    """,
)
def reset_outside_the_window(seg: Seen, me: Side, peer: Side) -> int:
    """A reset counts only if its number lies in the window: RCV.NXT =< SEG.SEQ < RCV.NXT + RCV.WND. The right edge is outside."""
    return _is_stray(seg, me, peer) and not before(seg.seq, peer.right_edge) and after(seg.seq, peer.rcv_nxt)


@rule(
    "RST01",
    Severity.WARNING,
    "RFC 9293 3.10.7.4, RFC 5961 3",
    "the reset has seq {actual}, left of the peer's window, which begins at {peer.rcv_nxt}",
    otherwise={
        Severity.NOTE: "the reset has seq {actual}, left of the peer's window, which begins at {peer.rcv_nxt}: it answers an "
        "older segment",
    },
    field="seq",
    expected="peer.rcv_nxt",
    actual="seg.seq",
    profiles=RFC_ONLY,
    should_be="seq {expected}, the number that the peer expects next",
    receiver="It drops the reset silently, and the connection stays open.",
    mend="Set seq to {expected}.",
    good=OPENED,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 1:100(99) ack 1
        < .  1:1(0) ack 100
        > R. 99:99(0) ack 1   # RST01
    """,
)
def reset_left_of_the_window(seg: Seen, me: Side, peer: Side) -> int:
    """A reset counts only if its number lies in the window. What lies below RCV.NXT is outside.

    A reset without ACK takes its number from the ack of the segment that it answers, which may have been under way for a while.
    """
    if not _is_stray(seg, me, peer) or not before(seg.seq, peer.rcv_nxt):
        return False
    return Severity.NOTE if _answers_old(seg, me, peer) else True


@rule(
    "RST01",
    Severity.WARNING,
    "RFC 5961 3",
    "the reset has seq {actual}, neither the expected {peer.rcv_nxt} nor its sender's next number",
    otherwise={
        Severity.NOTE: "the reset has seq {actual}, in the peer's window but not the expected {peer.rcv_nxt}: the "
        "peer answers with a challenge ACK",
    },
    field="seq",
    expected="peer.rcv_nxt",
    actual="seg.seq",
    profiles=RFC_ONLY,
    should_be="seq {expected}, the number that the peer expects next",
    receiver="It answers with a challenge ACK, and the connection stays open.",
    mend="Set seq to {expected}.",
    good=OPENED,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 1:100(99) ack 1
        < .  1:1(0) ack 100
        > R. 101:101(0) ack 1   # RST01
    """,
)
def reset_beside_the_expected_number(seg: Seen, me: Side, peer: Side) -> int:
    """RFC 5961 accepts a reset only at exactly RCV.NXT, so that an attacker has to guess this number.

    Elsewhere in the window the peer answers with a challenge ACK. A reset further ahead may follow data that the capture lacks.
    Some stacks also accept the right edge of a SACK block that they have sent (Linux does).
    """
    if seg.ctl & RST == 0:
        return False
    if not _is_stray(seg, me, peer):
        # The peer has answered the segment behind the gap with the number before it: RCV.NXT is not SND.NXT.
        answered = me.pending_n and peer.last_packet > me.last_packet and peer.last_ack == peer.rcv_nxt
        return Severity.NOTE if answered and _is_judged(seg, me, peer) and _ends_the_gap(seg, me, peer) else False
    if before(seg.seq, peer.rcv_nxt) or not before(seg.seq, peer.right_edge):
        return False
    one = seg.seq in (add(me.nxt, 1), add(me.nxt, -1)) and not ids_leave_one_out(seg, me, peer)
    return True if one or ids_count_on(seg, me, peer) else Severity.NOTE


def _is_judged(seg: Seen, me: Side, peer: Side) -> bool:
    """Whether enough is known of the peer's window to judge the number of a reset."""
    if (
        seg.ctl & RST == 0
        or not scale_is_known(me, peer)
        or peer.rst
        or not peer.has_right_edge
        or not peer.has_rcv_nxt
    ):
        return False
    return not peer.pending_n and not me.missed and not peer.missed


def _is_stray(seg: Seen, me: Side, peer: Side) -> bool:
    """Whether the number of a reset is neither its sender's next one nor one that the peer expects or has acknowledged last."""
    if not _is_judged(seg, me, peer) or me.pending_n:
        return False
    return seg.seq not in (me.nxt, peer.rcv_nxt, peer.last_ack) and not at_low_edge(seg, me, peer)


def _answers_old(seg: Seen, me: Side, peer: Side) -> bool:
    """Whether a reset may answer a segment of the peer that was under way while it acknowledged more: it has the ack of that
    segment, which lies on the boundary of a segment."""
    if seg.ctl & ACK or (me.syn and not after(seg.seq, me.isn)) or 0 < diff(seg.seq, me.data_seq) < me.data_len:
        return False
    return not before(seg.seq, add(peer.rcv_nxt, -max(OLD_REACH, peer.max_win)))


def _ends_the_gap(seg: Seen, me: Side, peer: Side) -> bool:
    """Whether the segment is at SND.NXT, behind octets that the peer still lacks."""
    for i in range(me.pending_n):
        if me.pending_kind[i] == GAP and me.pending_seg_len[i] and not after(peer.rcv_nxt, me.pending_low[i]):
            return seg.seq == me.nxt
    return False


@rule(
    "RST05",
    Severity.WARNING,
    "RFC 9293 3.10.7.4",
    "the ACK answers the peer's reset, which has ended the connection",
    otherwise={
        Severity.NOTE: "the segment comes after the peer's reset: the reset was lost, or its receiver goes on",
    },
    field="flags",
    no_fault="is about a segment too many",
    should_be="no further segment of this connection: nobody acknowledges a reset",
    receiver="It no longer knows the connection and answers with RST.",
    mend="Remove the segment.",
    good=OPENED,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 1:100(99) ack 1
        < .  1:1(0) ack 100
        > R. 100:100(0) ack 1
        < .  1:1(0) ack 100     # RST05
    """,
)
def goes_on_after_the_peers_reset(seg: Seen, me: Side, peer: Side) -> int:
    """A reset ends the connection for its receiver at once, and is never acknowledged.

    The reset has exactly the number that its receiver expects, and so much time has passed as an answer takes. It may have been
    lost behind the point of capture; then its receiver goes on with data. But an ACK that says nothing new, while nothing
    is in flight, answers the reset.
    """
    if seg.ctl & (SYN | RST | ACK) != ACK or peer.rst == 0 or me.rst:
        return False
    if peer.last_ctl & RST == 0 or not (me.syn and peer.syn):
        return False
    if me.has_rcv_nxt == 0 or peer.last_seq != me.rcv_nxt or me.pending_n or peer.pending_n or me.missed or peer.missed:
        return False
    if peer.last_packet < me.last_packet or seg.time - peer.last_time < max(me.delay, SAME_MOMENT):
        return False
    idle = in_lock_step(me, peer) and peer.rcv_nxt == me.nxt and me.rcv_nxt == peer.nxt
    answers = idle and repeats_ack(seg, me, peer)
    return True if answers else Severity.NOTE
