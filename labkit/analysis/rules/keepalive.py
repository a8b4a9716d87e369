"""Keep-alives and their answers."""

from labkit.analysis.relations import SECOND, at_low_edge, is_probe
from labkit.analysis.rule import RFC_ONLY, Severity, rule
from labkit.analysis.side import Side
from labkit.packet.seen import Seen
from labkit.tcp.flags import ACK, FIN, RST, SYN
from labkit.tcp.seq import before


@rule(
    "KA01",
    Severity.NOTE,
    "RFC 9293 3.8.4",
    "keep-alive: seq {seg.seq} is one before the sender's next number {me.nxt}",
    receiver="It answers at once with an ACK of the number that it expects next.",
    wireshark="tcp.analysis.keep_alive",
    no_fault="describes what is not a fault",
    good="""
        > P. 1:100(99) ack 1
        < .  1:1(0) ack 100
        > P. 100:150(50) ack 1
    """,
    bad="""
        > P. 1:100(99) ack 1
        < .  1:1(0) ack 100
        +60.0 > . 99:99(0) ack 1   # KA01
        < .  1:1(0) ack 100        # KA01
    """,
)
def keep_alive(seg: Seen, me: Side, peer: Side) -> int:
    """A keep-alive carries the number before SND.NXT, with no data or one meaningless byte, on an idle connection.

    The old number is intended: it lies outside the window, so the peer must answer with an ACK.
    """
    return is_probe(seg, me, peer) and (peer.has_right_edge == 0 or peer.win != 0)


@rule(
    "KA01",
    Severity.NOTE,
    "RFC 9293 3.8.4",
    "answer to a keep-alive: ack {seg.ack} again",
    receiver="It knows that the peer is still there.",
    wireshark="tcp.analysis.keep_alive_ack",
    no_fault="describes what is not a fault",
    good="""
        > P. 1:100(99) ack 1
        < .  1:1(0) ack 100
    """,
    bad="""
        > P. 1:100(99) ack 1
        < .  1:1(0) ack 100
        +60.0 > . 99:99(0) ack 1   # KA01
        < .  1:1(0) ack 100        # KA01
    """,
)
def keep_alive_answer(seg: Seen, me: Side, peer: Side) -> int:
    """The answer to a keep-alive is an ACK that acknowledges nothing new."""
    if peer.probe == 0 or seg.ctl & (SYN | FIN | RST | ACK) != ACK or seg.len or seg.seq_offset or me.has_rcv_nxt == 0:
        return False
    return seg.ack == me.rcv_nxt and seg.win == me.raw_win and me.win != 0


@rule(
    "KA02",
    Severity.WARNING,
    "RFC 9293 3.8.4",
    "keep-alive with seq {seg.seq}, although the peer has acknowledged only {peer.rcv_nxt}: data is outstanding",
    field="seq",
    actual="seg.seq",
    profiles=RFC_ONLY,
    no_fault="needs data that stays unacknowledged for a second",
    should_be="no keep-alive before the peer has acknowledged all data",
    receiver="It answers with an ACK, as it would answer the data if that came again.",
    mend="Send the outstanding data again. Send keep-alives only while nothing is outstanding.",
    good="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 1:100(99) ack 1
        < .  1:1(0) ack 100
        +60.0 > . 99:99(0) ack 1
        < .  1:1(0) ack 100
    """,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 1:100(99) ack 1
        +60.0 > . 99:99(0) ack 1   # KA02
        < .  1:1(0) ack 100
    """,
)
def keep_alive_with_data_outstanding(seg: Seen, me: Side, peer: Side) -> int:
    """A keep-alive asks whether the peer is still there. Data that waits for its acknowledgement is sent again and asks the same
    (MUST-26).

    An ACK with this number that was sent before the data, and was overtaken by it, comes sooner than a second after it, or the
    data is one byte.
    """
    if seg.seq_offset != -1 or seg.len or seg.ctl & (SYN | FIN | RST | ACK) != ACK or not me.has_nxt or me.has_fin:
        return False
    if not peer.has_rcv_nxt or not before(peer.rcv_nxt, me.nxt) or peer.win == 0 or me.data_len < 2:
        return False
    if me.pending_n or peer.pending_n or me.missed or peer.missed or peer.rst or at_low_edge(seg, me, peer):
        return False
    return seg.time - me.last_time >= SECOND
