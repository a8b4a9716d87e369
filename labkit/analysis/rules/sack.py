"""Selective acknowledgements."""

from labkit.analysis.order import SAME_MOMENT
from labkit.analysis.relations import fits_one_segment
from labkit.analysis.rule import RFC_ONLY, Scope, Severity, rule
from labkit.analysis.side import Side
from labkit.analysis.tracker import DEFAULT_MSS, MAX_WINDOW, sack_reach
from labkit.packet.seen import Seen
from labkit.tcp.flags import ACK, RST, SYN
from labkit.tcp.seq import add, after, before, diff

GOOD = """
    > S  0:0(0) <sackOK>
    < S. 0:0(0) ack 1 <sackOK>
    > .  1:1(0) ack 1
    > P. 101:201(100) ack 1
    < .  1:1(0) ack 1 <nop,nop,sack 101:201>
    > P. 1:101(100) ack 1
    < .  1:1(0) ack 201
    > P. 1:101(100) ack 1
    < .  1:1(0) ack 201 <nop,nop,sack 1:101>
"""


@rule(
    "SACK01",
    Severity.ERROR,
    "RFC 2018 2",
    "the segment carries a SACK option, but the peer's SYN did not permit it",
    field="options",
    profiles=RFC_ONLY,
    should_be="no SACK option",
    receiver="It ignores the option or drops the segment.",
    mend="Remove the SACK option, or add SACK-permitted to the peer's SYN.",
    good=GOOD,
    bad="""
        > S  0:0(0)
        < S. 0:0(0) ack 1 <sackOK>
        > .  1:1(0) ack 1
        > P. 101:201(100) ack 1
        < .  1:1(0) ack 1 <nop,nop,sack 101:201>   # SACK01
    """,
)
def sack_not_permitted(seg: Seen, me: Side, peer: Side) -> int:
    """A host sends SACK blocks only to a peer whose SYN carried SACK-permitted."""
    return seg.sack_n > 0 and peer.syn != 0 and peer.sack_ok == 0 and not peer.opt_cut


@rule(
    "SACK02",
    Severity.ERROR,
    "RFC 2018 3",
    "a SACK block is empty or reversed",
    field="options",
    profiles=RFC_ONLY,
    should_be="left edge < right edge",
    receiver="It ignores the block (RFC 6675) or drops the segment.",
    mend="Correct the edges of the block, or remove it.",
    good=GOOD,
    bad="""
        > S  0:0(0) <sackOK>
        < S. 0:0(0) ack 1 <sackOK>
        > .  1:1(0) ack 1
        > P. 1:101(100) ack 1
        < .  1:1(0) ack 1 <nop,nop,sack 101:51>   # SACK02
    """,
)
def impossible_sack_block(seg: Seen, me: Side, peer: Side) -> int:
    """A SACK block covers bytes that arrived beyond the ack: left edge < right edge =< SND.NXT of the peer.

    The first block may lie below the ack. It then reports bytes that arrived twice (D-SACK, RFC 2883 section 4).
    """
    found = False
    if seg.ctl & (SYN | RST | ACK) == ACK:
        for i in range(seg.sack_n):
            found |= not before(seg.sack_left[i], seg.sack_right[i])
    return found


@rule(
    "SACK02",
    Severity.ERROR,
    "RFC 2018 3",
    "a SACK block covers bytes up to {peer.block_right}, which the peer sends only later",
    otherwise={
        Severity.WARNING: "a SACK block covers bytes up to {peer.block_right}, which this capture shows only later",
    },
    at="peer.block",
    field="options",
    profiles=RFC_ONLY,
    should_be="blocks of bytes that the peer has sent",
    receiver="It ignores the block (RFC 6675) or drops the segment.",
    mend="Correct the edges of the block, or remove it.",
    good=GOOD,
    bad="""
        > S  0:0(0) <sackOK>
        < S. 0:0(0) ack 1 <sackOK>
        > .  1:1(0) ack 1
        > P. 1:101(100) ack 1
        < .  1:1(0) ack 101 <nop,nop,sack 201:301>   # SACK02
        > P. 101:201(100) ack 1
        > P. 201:301(100) ack 1
    """,
)
def sack_before_the_bytes(seg: Seen, me: Side, peer: Side) -> int:
    """A receiver reports bytes that have arrived, so their sender has sent them before.

    If the capture lacks the bytes, their sender goes on beyond them. labkit therefore waits for the sender's next segments.
    """
    if peer.block_packet == 0 or seg.ctl & (SYN | RST) or seg.seg_len == 0 or seg.seq_offset < 0:
        return False
    inside = before(seg.seq, peer.block_right) and after(seg.end, peer.block_left)
    if not inside or seg.time - peer.block_time <= SAME_MOMENT:
        return False
    whole = me.syn and peer.syn and me.missed == 0 and peer.pending_n == 0 and me.pending_n == 0
    return True if whole else Severity.WARNING


@rule(
    "SACK02",
    Severity.ERROR,
    "RFC 2018 3",
    "a SACK block covers bytes up to {me.block_right}, which the peer never sends",
    otherwise={
        Severity.WARNING: "a SACK block covers bytes up to {me.block_right}, which this capture does not show",
    },
    at="me.block",
    field="options",
    scope=Scope.SIDE,
    profiles=RFC_ONLY,
    should_be="blocks of bytes that the peer has sent",
    receiver="It ignores the block (RFC 6675) or drops the segment.",
    mend="Correct the edges of the block, or remove it.",
    good=GOOD,
    bad="""
        > S  0:0(0) <sackOK>
        < S. 0:0(0) ack 1 <sackOK>
        > .  1:1(0) ack 1
        > P. 1:101(100) ack 1
        < .  1:1(0) ack 1 <nop,nop,sack 301:401>   # SACK02
    """,
)
def sack_of_unsent_bytes(seg: Seen, me: Side, peer: Side) -> int:
    """A SACK block ends at SND.NXT of the peer or below.

    At the end of a capture, the peer's last segment may be missing: a block that ends less than one MSS further is a warning.
    """
    if me.block_packet == 0:
        return False
    whole = me.syn and peer.syn and peer.missed == 0 and peer.pending_n == 0 and me.pending_n == 0
    return True if whole and diff(me.block_right, peer.nxt) > max(me.mss, DEFAULT_MSS) else Severity.WARNING


@rule(
    "SACK01",
    Severity.ERROR,
    "RFC 2018 2",
    "the SYN carries a SACK option",
    field="options",
    profiles=RFC_ONLY,
    should_be="SACK-permitted on a SYN, and SACK blocks only when the connection is open",
    receiver="It ignores the option.",
    mend="Remove the SACK option from the SYN.",
    good=GOOD,
    bad="""
        > S  0:0(0) <sackOK>
        < S. 0:0(0) ack 1 <sackOK,nop,nop,sack 1:101>   # SACK01
    """,
)
def sack_on_a_syn(seg: Seen, me: Side, peer: Side) -> int:
    """Only an established connection has SACK blocks, because both SYNs must first permit them."""
    return seg.sack_n > 0 and seg.ctl & (SYN | RST) == SYN


@rule(
    "SACK02",
    Severity.ERROR,
    "RFC 2018 3",
    "a SACK block lies outside of every window that this side has offered: its edges belong to other numbers",
    field="options",
    profiles=RFC_ONLY,
    should_be="blocks inside the window, or just below the ack (D-SACK)",
    receiver="It ignores the block (RFC 6675) or drops the segment.",
    mend="Rewrite the edges of SACK blocks too where sequence numbers are rewritten.",
    good=GOOD,
    bad="""
        > S  0:0(0) <sackOK>
        < S. 0:0(0) ack 1 <sackOK>
        > .  1:1(0) ack 1
        > P. 101:201(100) ack 1
        < .  1:1(0) ack 1 <nop,nop,sack 2147483749:2147483849>   # SACK02
    """,
)
def sack_block_outside_any_window(seg: Seen, me: Side, peer: Side) -> int:
    """A receiver keeps only bytes inside its window, and reports old bytes (D-SACK) of a recent window only.

    A middlebox that changes sequence numbers, but not the edges of SACK blocks, makes such blocks. No missing packet explains
    them. An old segment of a connection that used the same ports before may arrive, and its bytes are reported as D-SACK.
    """
    if seg.sack_n == 0 or seg.ctl & (SYN | RST | ACK) != ACK:
        return False
    far = sack_reach(me, peer)
    for i in range(seg.sack_n):
        left, right = diff(seg.sack_left[i], seg.ack), diff(seg.sack_right[i], seg.ack)
        if peer.has_old and i == 0 and not after(seg.sack_right[i], add(peer.old_nxt, 1)):
            continue  # a D-SACK of octets of the connection before, which came late
        if right > far or left < -far:
            return True
        # In a short connection, what lies below the SYN was never sent.
        if peer.syn and peer.octets < MAX_WINDOW and before(seg.sack_left[i], peer.isn):
            return True
    return False


@rule(
    "SACK02",
    Severity.WARNING,
    "RFC 2018 3",
    "a SACK block begins at the ack {seg.ack} or below it, but ends beyond it",
    field="options",
    profiles=RFC_ONLY,
    should_be="an ack that covers the block too, because nothing is missing below it",
    receiver="It takes the bytes of the block as received, but sends nothing again, because nothing is missing.",
    mend="Set ack to the right edge of the block, or correct the edges.",
    good=GOOD,
    bad="""
        > S  0:0(0) <sackOK>
        < S. 0:0(0) ack 1 <sackOK>
        > .  1:1(0) ack 1
        > P. 1:101(100) ack 1
        > P. 101:201(100) ack 1
        < .  1:1(0) ack 101 <nop,nop,sack 101:201>   # SACK02
    """,
)
def sack_block_touches_the_ack(seg: Seen, me: Side, peer: Side) -> int:
    """The bytes just below a block have not been received (RFC 2018 section 3). If they had, the ack would cover the block.

    A D-SACK lies below the ack as a whole, or in a block beyond it.
    """
    if seg.sack_n == 0 or seg.ctl & (SYN | RST | ACK) != ACK:
        return False
    found = False
    for i in range(seg.sack_n):
        found |= not after(seg.sack_left[i], seg.ack) and after(seg.sack_right[i], seg.ack)
    return found


@rule(
    "SACK02",
    Severity.WARNING,
    "RFC 2018 3, RFC 2883 4",
    "a SACK block that is not the first one lies below the ack {seg.ack}",
    field="options",
    profiles=RFC_ONLY,
    should_be="only the first block below the ack, as D-SACK",
    receiver="It ignores the block, which says nothing new.",
    mend="Remove the block, or move it to the first place.",
    good=GOOD,
    bad="""
        > S  0:0(0) <sackOK>
        < S. 0:0(0) ack 1 <sackOK>
        > .  1:1(0) ack 1
        > P. 1:101(100) ack 1
        < .  1:1(0) ack 101
        > P. 201:301(100) ack 1
        < .  1:1(0) ack 101 <nop,nop,sack 201:301 1:101>   # SACK02
    """,
)
def later_sack_block_below_the_ack(seg: Seen, me: Side, peer: Side) -> int:
    """Only the first block may report bytes that the ack covers: it is a D-SACK then."""
    if seg.ctl & (SYN | RST | ACK) != ACK:
        return False
    found = False
    for i in range(1, seg.sack_n):
        found |= not after(seg.sack_right[i], seg.ack)
    return found


@rule(
    "SACK02",
    Severity.WARNING,
    "RFC 2018 3, RFC 2883 4",
    "two SACK blocks touch or overlap",
    field="options",
    profiles=RFC_ONLY,
    should_be="one block for all contiguous bytes",
    receiver="It takes the bytes of both blocks as received.",
    mend="Join the blocks, or correct their edges.",
    good=GOOD,
    bad="""
        > S  0:0(0) <sackOK>
        < S. 0:0(0) ack 1 <sackOK>
        > .  1:1(0) ack 1
        > P. 101:201(100) ack 1
        > P. 201:301(100) ack 1
        < .  1:1(0) ack 1 <nop,nop,sack 201:301 101:201>   # SACK02
    """,
)
def sack_blocks_not_joined(seg: Seen, me: Side, peer: Side) -> int:
    """A block is contiguous, and the bytes just below and above it have not been received.

    The first block may lie inside another one: as D-SACK, it says which part of it arrived twice.
    """
    if seg.ctl & (SYN | RST | ACK) != ACK:
        return False
    for i in range(seg.sack_n):
        for k in range(i + 1, seg.sack_n):
            apart = after(seg.sack_left[i], seg.sack_right[k]) or after(seg.sack_left[k], seg.sack_right[i])
            inside = not before(seg.sack_left[i], seg.sack_left[k]) and not after(seg.sack_right[i], seg.sack_right[k])
            below = i == 0 and not after(seg.sack_right[0], seg.ack)
            if not apart and not (i == 0 and inside) and not below:
                return True
    return False


@rule(
    "SACK02",
    Severity.WARNING,
    "RFC 2018 3",
    "a SACK block has an edge inside the peer's segment, which has {peer.data_len} bytes from {peer.data_seq} on",
    field="options",
    profiles=RFC_ONLY,
    should_be="edges where segments begin and end: the right edge is the number after the last byte of the block",
    receiver="It takes the bytes outside of the block as lost, and sends them again.",
    mend="Set the left edge to the first byte of a segment, and the right edge to the number after its last byte.",
    good=GOOD,
    bad="""
        > S  0:0(0) <mss 1460,sackOK>
        < S. 0:0(0) ack 1 <mss 1460,sackOK>
        > .  1:1(0) ack 1
        > P. 1:101(100) ack 1
        > P. 101:201(100) ack 1
        > P. 201:301(100) ack 1
        < .  1:1(0) ack 101
        < .  1:1(0) ack 101 <nop,nop,sack 201:300>   # SACK02
        > P. 101:201(100) ack 1
        < .  1:1(0) ack 301
    """,
)
def sack_edge_inside_a_segment(seg: Seen, me: Side, peer: Side) -> int:
    """A block has whole segments, because a receiver takes a segment inside its window as a whole.

    labkit compares with the peer's last segment, as long as the peer sends nothing again, perhaps in other parts. Legal are edges
    inside a segment that the window cuts, or that is larger than the MSS, so that segmentation offload cut it.
    """
    if seg.sack_n == 0 or seg.ctl & (SYN | RST | ACK) != ACK or peer.data_len < 2 or not me.has_right_edge:
        return False
    end = add(peer.data_seq, peer.data_len)
    if peer.pending_n or peer.probe_octet or peer.resent or after(end, me.right_edge):
        return False
    for i in range(seg.sack_n):
        left, right = diff(seg.sack_left[i], peer.data_seq), diff(seg.sack_right[i], peer.data_seq)
        if not after(seg.sack_left[i], seg.ack):
            continue
        for inside in (left, right):
            if 0 < inside < peer.data_len and fits_one_segment(peer.data_len, inside, me):
                return True
    return False
