"""Closing a connection: the FIN, its acknowledgement, and segments after it."""

from labkit.analysis.order import SAME_MOMENT
from labkit.analysis.pending import GAP, LOST, WRONG, Resolved
from labkit.analysis.relations import is_fin_again, is_probe
from labkit.analysis.rule import RFC_ONLY, Scope, Severity, rule
from labkit.analysis.side import Side
from labkit.packet.seen import Seen
from labkit.tcp.flags import ACK, FIN, RST, SYN
from labkit.tcp.seq import add, after, before

GOOD = """
    > S  0:0(0)
    < S. 0:0(0) ack 1
    > .  1:1(0) ack 1
    > P. 1:100(99) ack 1
    < .  1:1(0) ack 100
    > F. 100:100(0) ack 1
    < .  1:1(0) ack 101
    < F. 1:1(0) ack 101
    > .  101:101(0) ack 2
"""


@rule(
    "FIN01",
    Severity.ERROR,
    "RFC 9293 3.6",
    "the FIN has seq {seg.seq} and {seg.len} bytes of data, but the sender has already sent all bytes before {me.nxt}",
    field="seq",
    expected=lambda seg, me, peer: add(me.nxt, -seg.len),
    actual="seg.seq",
    should_be="seq {expected}, so that the FIN follows the last byte",
    receiver="It closes the connection without the last bytes, or drops the segment as an old one.",
    mend="Set seq to {expected}.",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 1:100(99) ack 1
        < .  1:1(0) ack 100
        > F. 90:90(0) ack 1   # FIN01
    """,
)
def fin_before_the_last_octet(seg: Seen, me: Side, peer: Side) -> int:
    """A FIN takes the sequence number after the last byte of the stream, so no byte of its sender lies beyond it.

    A FIN that arrives late, after a retransmission, still has this number. Where the capture begins after a FIN, the host's ACKs
    have the number behind it (RFC 9293 section 3.4), and then the FIN comes again.
    """
    if seg.ctl & (FIN | SYN | RST) != FIN or me.has_fin or not me.has_nxt or me.pending_n:
        return False  # a pending segment may be at fault, not the FIN
    return before(add(seg.seq, seg.len), me.nxt) and not is_fin_again(seg, me)


@rule(
    "FIN01",
    Severity.ERROR,
    "RFC 9293 3.6",
    "the FIN has seq {actual}, but the sender never sent the bytes from {expected} on",
    field="seq",
    expected="resolved.want_seq",
    actual="resolved.seq",
    scope=Scope.PENDING,
    unless=("HS03",),
    should_be="seq {expected}, the sender's next sequence number",
    receiver="It waits for the missing bytes and does not close the connection.",
    mend="Set seq to {expected}, or add the missing data.",
    wireshark="tcp.analysis.lost_segment",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 1:100(99) ack 1
        < .  1:1(0) ack 100
        > F. 103:103(0) ack 1   # FIN01
        < .  1:1(0) ack 101
        < F. 1:1(0) ack 101
        > .  101:101(0) ack 2
    """,
)
def fin_after_a_gap(seg: Seen, me: Side, peer: Side, resolved: Resolved) -> int:
    """A FIN takes the sequence number after the last byte of the stream, without a gap before it.

    A FIN that overtakes the last data also leaves a gap, but the data soon fills it. labkit waits for later segments
    before it reports an error.
    """
    return resolved.kind == GAP and resolved.state == WRONG and resolved.ctl & FIN != 0


@rule(
    "FIN01",
    Severity.WARNING,
    "RFC 9293 3.6",
    "the FIN has seq {actual}, one more than the sender's next number {expected}, which the peer still waits for",
    field="seq",
    expected="resolved.want_seq",
    actual="resolved.seq",
    scope=Scope.PENDING,
    profiles=RFC_ONLY,
    unless=("HS03",),
    should_be="seq {expected}, the sender's next sequence number",
    receiver="It waits for the missing byte and does not close the connection.",
    mend="Set seq to {expected}.",
    wireshark="tcp.analysis.lost_segment",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 1:100(99) ack 1
        < .  1:1(0) ack 100
        > F. 101:101(0) ack 1   # FIN01
        < .  1:1(0) ack 100
    """,
)
def fin_one_too_high(seg: Seen, me: Side, peer: Side, resolved: Resolved) -> int:
    """A FIN that starts one too high at the end of a conversation counts a pure ACK, which takes no number.

    A lost segment of one byte looks the same, but is sent again.
    """
    one = resolved.seq == add(resolved.want_seq, 1) and resolved.ctl & FIN != 0
    return one and resolved.kind == GAP and resolved.state == LOST and me.resent == 0


@rule(
    "FIN02",
    Severity.ERROR,
    "RFC 9293 3.6",
    "ack {actual} does not cover the peer's FIN",
    field="ack",
    expected=lambda seg, me, peer: add(peer.fin, 1),
    actual="seg.ack",
    unless=("HS03",),
    should_be="ack {expected}, because the FIN takes one sequence number",
    receiver="It keeps its FIN unacknowledged and sends it again.",
    mend="Set ack to {expected}.",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 1:100(99) ack 1
        < P. 1:120(119) ack 100
        > .  100:100(0) ack 120
        > F. 100:100(0) ack 120
        < .  120:120(0) ack 100     # FIN02
        < F. 120:120(0) ack 101
        > .  101:101(0) ack 121
    """,
)
def fin_not_acknowledged(seg: Seen, me: Side, peer: Side) -> int:
    """A FIN takes one sequence number, so its acknowledgement is the number of the FIN plus one.

    labkit reports the fault where only the FIN can have caused the ACK: the ACK follows the FIN, carries no data and
    repeats the previous ack and window. An ACK sent before the FIN arrived is legal, and so is the answer to a keep-alive, to a
    segment that was sent again, or to a FIN that comes too late to be accepted. A receiver whose window is closed
    may drop the FIN (RFC 9293 section 3.10.7.4).
    """
    if not peer.has_fin or seg.ctl & (SYN | FIN | RST | ACK) != ACK or seg.len or seg.seq_offset or seg.sack_n:
        return False
    return (
        seg.ack == peer.fin
        and me.has_rcv_nxt != 0
        and me.rcv_nxt == peer.fin
        and peer.last_packet == peer.fin_packet
        and peer.fin_packet > me.last_packet
        # After a run of segments the ACK of the FIN may follow later, but not if this side still has to send its own FIN.
        and (peer.run == 1 or not me.has_fin)
        and peer.pending_n == 0
        and peer.fin_spoiled == 0
        and not (seg.tsecr >= 0 and peer.tsval >= 0 and before(seg.tsecr, peer.tsval))  # its echo is older than the FIN
        and peer.probed == 0  # this side answers each keep-alive
        and (peer.resent == 0 or peer.resent_end != peer.fin)  # this side answers each segment that is sent again
        and seg.win == me.raw_win
        and seg.win != 0  # a closed window does not take the FIN
        # An earlier ACK was sent before the FIN arrived.
        and seg.time - peer.fin_time >= me.delay
        and not _repeats_last_ack(seg, me)
    )


def _repeats_last_ack(seg: Seen, me: Side) -> bool:
    """Whether the sender's last segment was the same pure ACK, duplicated by the network or sent twice within a moment."""
    same = me.last_len == 0 and me.last_seq == seg.seq and me.last_ctl == seg.ctl and me.last_ack == seg.ack
    return same and (me.last_id == seg.ip_id or seg.time - me.last_time <= SAME_MOMENT)


@rule(
    "FIN02",
    Severity.ERROR,
    "RFC 9293 3.6",
    "ack {actual}, the last of the conversation, does not cover the peer's FIN",
    otherwise={
        Severity.WARNING: "ack {actual}, the last of the conversation, does not cover the peer's FIN: it is wrong, or the "
        "capture lacks the next ACK",
    },
    at="me.last",
    field="ack",
    expected=lambda seg, me, peer: add(peer.fin, 1),
    actual="me.last_ack",
    scope=Scope.SIDE,
    unless=("CK02",),
    should_be="ack {expected}, because the FIN takes one sequence number",
    receiver="It keeps its FIN unacknowledged and sends it again.",
    mend="Set ack to {expected}.",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > F. 1:1(0) ack 1
        < .  1:1(0) ack 2
        < F. 1:1(0) ack 2
        > .  2:2(0) ack 1   # FIN02
    """,
)
def last_ack_not_of_the_fin(seg: Seen, me: Side, peer: Side) -> int:
    """The last segment of a closed conversation acknowledges the last FIN.

    labkit reports the fault at the end of the conversation: the FIN of one side is acknowledged, and the last ACK of
    this side does not cover the other FIN. An ACK that was sent before the FIN arrived is legal, and so is one with a
    closed window, whose sender may drop the FIN (RFC 9293 section 3.10.7.4). A FIN that is sent again was lost. Behind an ACK
    of the last bytes, the next one may be missing. Behind a reset, nobody sends a lost FIN again; but whoever has acknowledged
    the data of its segment has the FIN too.
    """
    ends = (
        me.syn != 0
        and peer.syn != 0  # otherwise the time of an answer is not known
        and _fin_acked(me, peer)
        and peer.has_fin != 0
        and me.last_packet > peer.fin_packet
        and not (peer.last_packet > me.last_packet and peer.last_ctl & FIN)
        and me.last_ctl & (SYN | FIN | RST | ACK) == ACK
        and me.last_len == 0
        and me.last_ack == me.rcv_nxt == peer.fin
        and me.raw_win != 0
        and me.last_time - peer.fin_time >= me.delay
    )
    lost = (me.rst or peer.rst) and not peer.fin_data
    return ends and (Severity.WARNING if me.advances or lost else True)


@rule(
    "FIN03",
    Severity.ERROR,
    "RFC 9293 3.6",
    "the segment reaches {seg.end}, but the sender's FIN took number {me.fin}",
    field="seq",
    should_be="no data and no other FIN beyond number {me.fin}",
    receiver="It ignores the bytes, because nothing can follow a FIN (RFC 9293 3.10.7.4, seventh step).",
    mend="Send the data before the FIN, or remove it.",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > F. 1:1(0) ack 1
        < .  1:1(0) ack 2
        > P. 2:101(99) ack 1   # FIN03
    """,
)
def octets_after_fin(seg: Seen, me: Side, peer: Side) -> int:
    """A FIN means "no more data from sender": no byte and no other FIN has a higher number.

    The sender may send the same FIN again, alone or with the data before it.
    """
    if not me.has_fin or seg.ctl & (SYN | RST) or is_probe(seg, me, peer):
        return False
    return (seg.len > 0 or seg.ctl & FIN != 0) and after(add(seg.seq, seg.len), me.fin)


@rule(
    "FIN04",
    Severity.WARNING,
    "RFC 9293 3.6",
    "ack {actual} covers a FIN that the other side has not sent in this capture",
    at="peer.last",
    field="ack",
    expected="me.nxt",
    actual="peer.last_ack",
    document=Severity.ERROR,
    scope=Scope.SIDE,
    should_be="ack {expected}, the next sequence number of the other side",
    receiver="It answers with an ACK of its own numbers and drops the segment, unless it has sent a FIN.",
    mend="Add the missing FIN, or set ack to {expected}.",
    wireshark="tcp.analysis.ack_lost_segment",
    no_fault="is about a packet that is not there",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 1:100(99) ack 1
        < .  1:1(0) ack 100
        > F. 100:100(0) ack 1
        < .  1:1(0) ack 101
        > .  101:101(0) ack 2   # FIN04
    """,
)
def acknowledged_fin_is_missing(seg: Seen, me: Side, peer: Side) -> int:
    """Both directions end with a FIN, and the ack of a FIN is its number plus one.

    One side has closed in order and acknowledges one number more than the other has sent. Either nobody sent that
    FIN, or the capture lacks it. The document's teardown needs it.
    """
    if not (me.syn and peer.syn) or me.rst or peer.rst or me.has_fin or not me.has_nxt or not peer.has_last_ack:
        return False
    return peer.has_fin != 0 and _fin_acked(peer, me) and peer.last_ack == add(me.nxt, 1)


@rule(
    "FIN06",
    Severity.NOTE,
    "RFC 9293 3.6",
    "the close is incomplete: at least one direction has no acknowledged FIN, and nobody reset the connection",
    scope=Scope.FLOW,
    document=Severity.WARNING,
    unless=("FIN02", "FIN04", "ACK01"),
    no_fault="says what the capture lacks",
    should_be="an acknowledged FIN in both directions, or a RST",
    receiver="It keeps the connection open.",
    mend="Let both sides send a FIN and acknowledge it, or capture until they have.",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 1:100(99) ack 1
        < .  1:1(0) ack 100
        # FIN06
    """,
)
def teardown_not_complete(seg: Seen, me: Side, peer: Side) -> int:
    """A conversation ends when both sides have sent a FIN and both FINs are acknowledged, or with a RST.

    A capture that stops earlier shows no fault of TCP. The document teaches the four segments of a complete close.
    """
    if not (me.syn and peer.syn) or me.rst or peer.rst:
        return False
    return not (_fin_acked(me, peer) and _fin_acked(peer, me))


def _fin_acked(side: Side, other: Side) -> bool:
    if not side.has_fin:
        return False
    return (other.has_rcv_nxt != 0 and after(other.rcv_nxt, side.fin)) or after(other.last_ack, side.fin)


@rule(
    "FIN05",
    Severity.NOTE,
    "RFC 9293 3.6",
    "simultaneous close: both sides sent a FIN before they saw the other's, which is legal",
    receiver="It acknowledges the FIN and goes to CLOSING, then to TIME-WAIT.",
    no_fault="describes what is not a fault",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > F. 1:1(0) ack 1
        < F. 1:1(0) ack 1   # FIN05
        > .  2:2(0) ack 2
        < .  2:2(0) ack 2
    """,
)
def simultaneous_close(seg: Seen, me: Side, peer: Side) -> int:
    """Two FINs that cross also close the connection (RFC 9293 figure 13).

    Neither FIN acknowledges the other. Each side then acknowledges the FIN that it has received.
    """
    if seg.ctl & (FIN | SYN | RST) != FIN or me.has_fin or not peer.has_fin:
        return False
    return not after(seg.ack, peer.fin) and not (me.has_rcv_nxt and after(me.rcv_nxt, peer.fin))
