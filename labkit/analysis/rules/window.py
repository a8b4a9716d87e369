"""The receive window: data beyond it, shrinking, probes and updates."""

from labkit.analysis.extensions import is_multipath
from labkit.analysis.order import SAME_MOMENT, overtaken
from labkit.analysis.relations import is_probe, is_window_probe
from labkit.analysis.rule import RFC_ONLY, Severity, rule
from labkit.analysis.side import Side
from labkit.analysis.tracker import MAX_SHIFT, beyond_any_window, scale_is_known, scaled
from labkit.packet.seen import Seen
from labkit.tcp.flags import ACK, FIN, RST, SYN
from labkit.tcp.seq import add, after, before


@rule(
    "WIN01",
    Severity.ERROR,
    "RFC 9293 3.10.7.4",
    "the data ends at {seg.end}, beyond {peer.right_edge}, the right edge of the peer's window",
    otherwise={
        Severity.WARNING: "the data ends at {seg.end}, beyond {peer.right_edge}, the right edge of the last window in "
        "this capture, which lacks packets",
    },
    field="window",
    expected=lambda seg, me, peer: peer.win + (add(seg.seq, seg.len) - peer.right_edge & 0xFFFFFFFF),
    actual="peer.win",
    profiles=RFC_ONLY,
    should_be="a window of {expected} bytes for this segment; the peer's is {actual}",
    receiver="It takes the bytes inside the window, drops the rest and acknowledges what it took.",
    mend="Send only what fits the window, or let the peer offer {expected} bytes before.",
    good="""
        > S  0:0(0)
        < S. 0:0(0) ack 1 win 100
        > .  1:1(0) ack 1
        > P. 1:101(100) ack 1
    """,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1 win 100
        > .  1:1(0) ack 1
        > P. 1:102(101) ack 1   # WIN01
    """,
)
def data_beyond_the_window(seg: Seen, me: Side, peer: Side) -> int:
    """A sender sends no byte beyond SND.UNA + SND.WND, because the receiver has no room for it.

    labkit compares with the right-most edge that the peer has ever offered, because a receiver may shrink its window
    while data is in flight. One byte beyond a closed window is a legal probe. The window scale is known only from
    both SYNs. A sender beyond the edge is reported once, until the window has caught up. The window of an MPTCP subflow is
    that of the whole connection (RFC 8684 section 3.3.4), so that its edge is not known.
    """
    fin = (
        seg.ctl & FIN
        and seg.seq_offset > 0
        and after(seg.seq, peer.right_edge)
        and not beyond_any_window(seg, me, peer)
    )
    if (seg.len == 0 and not fin) or seg.ctl & (SYN | RST) or peer.has_right_edge == 0 or not scale_is_known(me, peer):
        return False
    if is_multipath(me, peer):
        return False
    if seg.len == 0:
        return Severity.WARNING
    if not after(add(seg.seq, seg.len), peer.right_edge) or (seg.len == 1 and seg.seq == peer.right_edge):
        return False
    if (
        me.has_nxt
        and after(me.nxt, peer.right_edge)
        and not (seg.seq_offset == 0 and me.nxt == add(peer.right_edge, 1))
    ):
        return False
    uncertain = me.missed or me.pending_n or peer.missed or peer.pending_n or seg.seq_offset > 0
    echoes = seg.tsecr > 0 and peer.tsval >= 0 and after(seg.tsecr, peer.tsval)  # a segment that the capture lacks
    return Severity.WARNING if uncertain or echoes else True


@rule(
    "WIN01",
    Severity.WARNING,
    "RFC 9293 3.8.6.1",
    "the data ends at {seg.end}, but the peer has closed its window at {peer.rcv_nxt} before, and the sender has seen it",
    field="window",
    expected="seg.len",
    actual="peer.win",
    profiles=RFC_ONLY,
    should_be="no new data but a probe of one byte, until the window opens",
    receiver="It has no room, drops the data and acknowledges what it has.",
    mend="Wait for a window update, or let the peer offer {expected} bytes before.",
    good="""
        > S  0:0(0)
        < S. 0:0(0) ack 1 win 100
        > .  1:1(0) ack 1
        > P. 1:101(100) ack 1
        < .  1:1(0) ack 101 win 0
        +1.0 > . 101:102(1) ack 1
    """,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1 win 1000
        > .  1:1(0) ack 1
        > P. 1:101(100) ack 1
        < P. 1:51(50) ack 101 win 0        # WIN02
        > .  101:101(0) ack 51
        > P. 101:201(100) ack 51           # WIN01
    """,
)
def data_into_a_closed_window(seg: Seen, me: Side, peer: Side) -> int:
    """A sender that knows of a closed window sends no new data but a probe, even if an earlier window had more room.

    It has seen the window if it acknowledges data that came with it, or if nothing is in flight and so much time has passed as
    an answer takes.
    """
    if seg.len < 2 or seg.ctl & (SYN | RST) or seg.new_octets < seg.len or seg.seq_offset < 0 or peer.win:
        return False
    if not peer.has_rcv_nxt or not scale_is_known(me, peer) or after(add(seg.seq, seg.len), peer.right_edge):
        return False
    if me.pending_n or me.missed or peer.pending_n or peer.missed:
        return False
    acknowledged = peer.closed_len > 0 and seg.ctl & ACK != 0 and not before(seg.ack, peer.closed_nxt)
    waited = me.nxt == peer.rcv_nxt and seg.time - peer.closed_time >= max(me.delay, SAME_MOMENT)
    return acknowledged or waited


OPEN = """
    > S  0:0(0)
    < S. 0:0(0) ack 1 win 1000
    > .  1:1(0) ack 1
    > P. 1:101(100) ack 1
    < .  1:1(0) ack 101 win 900
"""

PROBED = """
    > S  0:0(0)
    < S. 0:0(0) ack 1 win 100
    > .  1:1(0) ack 1
    > P. 1:101(100) ack 1
    < .  1:1(0) ack 101 win 0
    +1.0 > . 101:102(1) ack 1       # ZWP01
    < .  1:1(0) ack 101 win 0       # ZWP01
"""

CLOSED_AND_REOPENED = """
    > S  0:0(0)
    < S. 0:0(0) ack 1 win 100
    > .  1:1(0) ack 1
    > P. 1:101(100) ack 1           # WIN03
    < .  1:1(0) ack 101 win 0       # WIN03
    < .  1:1(0) ack 101 win 5000    # WIN03
"""


@rule(
    "WIN02",
    Severity.WARNING,
    "RFC 9293 3.8.6",
    "ack {seg.ack} with window {actual} takes back room that this side has offered before",
    field="window",
    actual="seg.win",
    profiles=RFC_ONLY,
    should_be="a window whose right edge does not move to the left",
    receiver="It must tolerate this, and sends the bytes beyond the new edge later.",
    mend="Offer a larger window, so that ack + window does not decrease.",
    good=OPEN,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1 win 1000
        > .  1:1(0) ack 1
        > P. 1:101(100) ack 1
        < .  1:1(0) ack 101 win 100   # WIN02
    """,
)
def window_shrinks(seg: Seen, me: Side, peer: Side) -> int:
    """A receiver should not move the right edge of its window to the left (SHLD-14).

    A scaled window is exact only to a multiple of 2**scale. A smaller step is legal rounding. The window of a SYN is never
    scaled (RFC 7323 section 2.2), so the first scaled one may be smaller. The window of an MPTCP subflow is that of the whole
    connection, counted from the Data ACK (RFC 8684 section 3.3.4).
    """
    return takes_back(seg, me, peer)


@rule(
    "WIN02",
    Severity.NOTE,
    "RFC 9293 3.8.6",
    "stock Linux does this: it falls to a window of 0 at its ack when a program lowers SO_RCVBUF",
    field="window",
    actual="seg.win",
    profiles=RFC_ONLY,
    receiver="It tolerates this, and probes the window.",
    good=OPEN,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1 win 1000
        > .  1:1(0) ack 1
        > P. 1:101(100) ack 1
        < .  1:1(0) ack 101 win 0   # WIN02 WIN03
    """,
)
def linux_lowers_its_buffer(seg: Seen, me: Side, peer: Side) -> int:
    """A window that closes at its ack, although more was offered, is what Linux sends when the program at that end lowers its
    receive buffer (SO_RCVBUF). It drops what arrives inside the window that it offered before.
    """
    return seg.win == 0 and takes_back(seg, me, peer)


def takes_back(seg: Seen, me: Side, peer: Side) -> int:
    """Whether the right edge of a window moves to the left, by more than its scale rounds."""
    if seg.ctl & ACK == 0 or seg.ctl & (SYN | RST | FIN) or me.has_right_edge == 0:
        return False
    unit = 1 << min(max(me.wscale, 0), MAX_SHIFT)
    edge = add(seg.ack, scaled(seg.win, seg.ctl, me, peer))
    if not after(add(me.rcv_nxt, me.win + 1 - unit), edge):
        return False  # as nearly always, so that this is asked first
    if me.has_fin and peer.has_fin and seg.ack == me.rcv_nxt == add(peer.fin, 1):
        return False  # both have closed, and the FIN was acknowledged before (RFC 9293 section 3.6): Linux in TIME-WAIT
    if (me.last_ctl & SYN and me.wscale > 0) or is_multipath(me, peer) or not scale_is_known(me, peer):
        return False
    return not ((me.has_rcv_nxt and before(seg.ack, me.rcv_nxt)) or overtaken(seg, me))


@rule(
    "WIN03",
    Severity.NOTE,
    "RFC 9293 3.8.6",
    "zero window: the sender of this segment has no room for data",
    field="window",
    profiles=RFC_ONLY,
    receiver="It stops sending and probes the window from time to time.",
    wireshark="tcp.analysis.zero_window",
    no_fault="describes what is not a fault",
    good=OPEN,
    bad=CLOSED_AND_REOPENED,
)
def zero_window(seg: Seen, me: Side, peer: Side) -> int:
    """A window of zero means that the application has not yet read the data that has arrived."""
    return seg.win == 0 and seg.ctl & (SYN | FIN | RST) == 0 and seg.ctl & ACK != 0


@rule(
    "WIN03",
    Severity.NOTE,
    "RFC 9293 3.8.6",
    "window full: the data ends at {seg.end}, exactly at the right edge of the peer's window",
    field="len",
    profiles=RFC_ONLY,
    receiver="It has no room for more data until its application reads.",
    wireshark="tcp.analysis.window_full",
    no_fault="describes what is not a fault",
    good=OPEN,
    bad=CLOSED_AND_REOPENED,
)
def window_full(seg: Seen, me: Side, peer: Side) -> int:
    """The sender has used all the room that the receiver has offered."""
    if seg.len == 0 or seg.ctl & (SYN | FIN | RST) or peer.has_right_edge == 0 or not scale_is_known(me, peer):
        return False
    return add(seg.seq, seg.len) == add(peer.rcv_nxt, peer.win) and peer.win != 0


@rule(
    "WIN03",
    Severity.NOTE,
    "RFC 9293 3.8.6.2.2",
    "window update: the window is now {seg.win}, and nothing new is acknowledged",
    field="window",
    profiles=RFC_ONLY,
    receiver="It may send up to the new edge of the window.",
    wireshark="tcp.analysis.window_update",
    no_fault="describes what is not a fault",
    good=OPEN,
    bad=CLOSED_AND_REOPENED,
)
def window_update(seg: Seen, me: Side, peer: Side) -> int:
    """An ACK that acknowledges nothing new reports a changed window.

    The window of a SYN is never scaled. After a SYN, labkit reports only changes that are larger than the rounding.
    """
    if seg.ctl & (SYN | FIN | RST | ACK) != ACK or seg.len or seg.win == 0 or not me.has_nxt:
        return False
    if seg.seq_offset < 0 or (
        seg.seq_offset and seg.seq != me.last_seq
    ):  # behind a gap, the second one says what is new
        return False
    ahead = me.has_last_ack != 0 and after(me.last_ack, me.rcv_nxt)  # the capture lacks segments of the peer
    if me.has_rcv_nxt == 0 or seg.ack != (me.last_ack if ahead else me.rcv_nxt):
        return False
    if me.last_ctl & SYN == 0:
        return seg.win != me.raw_win
    unit = 1 << min(me.wscale, MAX_SHIFT) if me.wscale >= 0 and peer.wscale >= 0 else 1
    return abs(scaled(seg.win, seg.ctl, me, peer) - me.win) >= unit


@rule(
    "ZWP01",
    Severity.NOTE,
    "RFC 9293 3.8.6.1",
    "window probe: the sender asks whether the peer's closed window has opened",
    profiles=RFC_ONLY,
    receiver="It answers with an ACK and its window.",
    wireshark="tcp.analysis.zero_window_probe",
    no_fault="describes what is not a fault",
    good=OPEN,
    bad=PROBED,
)
def window_probe(seg: Seen, me: Side, peer: Side) -> int:
    """A sender with data for a closed window sends one byte from time to time, so that a lost window update cannot stop
    the connection for ever (MUST-36).

    Linux sends an old number without data instead, which the peer must also answer.
    """
    return is_window_probe(seg, me, peer)


@rule(
    "ZWP01",
    Severity.NOTE,
    "RFC 9293 3.8.6.1",
    "answer to a window probe: the window is still closed",
    profiles=RFC_ONLY,
    receiver="It waits and probes again later.",
    wireshark="tcp.analysis.zero_window_probe_ack",
    no_fault="describes what is not a fault",
    good=OPEN,
    bad=PROBED,
)
def window_probe_answer(seg: Seen, me: Side, peer: Side) -> int:
    """The answer to a window probe acknowledges nothing new and has a window of zero."""
    if (
        peer.probe == 0
        or seg.ctl & (SYN | FIN | RST | ACK) != ACK
        or seg.len
        or me.has_rcv_nxt == 0
        or is_probe(seg, me, peer)
    ):
        return False
    return seg.win == 0 and me.win == 0 and me.has_right_edge != 0 and seg.ack == me.rcv_nxt
