"""Track each sender's TCP state from the captured segments.

`labkit.analysis.analyzer` calls `look` and `relate` before the rules, and `advance` after them. `me` is the side that sent the
segment, `peer` the other one. All are plain functions over integers, so that they can be compiled. They track, the rules judge.
"""

from labkit.analysis.damage import count_sums, is_damaged, is_dropped, replaces_damaged_syn
from labkit.analysis.extensions import advance_extensions
from labkit.analysis.former import is_former
from labkit.analysis.order import NEAR, SAME_MOMENT, ids_leave_one_out, is_too_old
from labkit.analysis.pending import (
    BEHIND,
    ECHOES,
    EDGE,
    GAP,
    SENT,
    UNSENT,
    answer,
    answer_by_octets,
    answer_reset,
    missing,
    open_pending,
)
from labkit.analysis.relations import (
    acks_a_part,
    echoes_unseen,
    exceeds_mss,
    is_duplicate_ack,
    is_fin_again,
    is_possible_echo,
    is_probe,
    is_window_probe,
    may_have_reached,
)
from labkit.analysis.side import Side
from labkit.packet.seen import ABSENT, OPT_SOUND, Seen
from labkit.tcp import seq as sn
from labkit.tcp.flags import ACK, AE, CWR, ECE, FIN, RST, SYN

WAITS, PASSED = 1, 2
"""`Side.challenge`: a SYN in the connection waits for its challenge ACK; its receiver has sent something else since."""

ASKED = 3
"""Duplicate ACKs that ask for a retransmission (RFC 5681 section 3.2)."""
ANSWERED = -1
"""`Side.same_acks` after the retransmission that duplicate ACKs ask for: further ones do not count until a new ACK (RFC 5681
section 3.2, step 6)."""

COPIES_STAMPS, COPIES_SCALE, COPIES_SACK = 1, 2, 4
"""What two copies of a SYN ACK differ in: timestamps, and with them the window scale and SACK."""

DEFAULT_MSS, DEFAULT_MSS_6 = 536, 1220
"""RFC 9293 section 3.7.1 (MUST-15): the MSS of a SYN without the option, over IPv4 and IPv6."""

FAR_WINDOWS = 16
"""How many of the peer's largest windows a number lies from SND.NXT and RCV.NXT before the receiver certainly drops the
segment."""

MAX_WINDOW = 1 << 30
"""Octets of the largest window that there can be (RFC 7323 section 2.3)."""

MAX_SACK_REACH = 1 << 24
"""How far beyond the ack a SACK block may lie that tells SND.NXT. Blocks further away have wrong edges."""

MAX_SHIFT = 14
"""RFC 7323 section 2.3: a larger shift counts as 14."""


def look(seg: Seen, me: Side, peer: Side) -> None:
    """Relate a segment to what is known of its sender, and answer open questions about earlier segments."""
    seg.former = 1 if is_former(seg, me, peer) else 0
    damaged = is_damaged(seg, me)
    seg.seg_len = seg.len + (seg.ctl & SYN != 0) + (seg.ctl & FIN != 0 and not damaged)
    seg.end = sn.add(seg.seq, seg.seg_len)
    seg.seq_offset = 0
    seg.new_octets = seg.seg_len
    seg.conflict = ABSENT
    if seg.former:
        return
    if seg.ctl & (SYN | RST) == 0 and not damaged:
        _set_first_nxt(seg, me, peer)
        if seg.ctl & ACK:
            _take_fin(seg, peer)
            _choose_copy(seg, me)
            _choose_copy(seg, peer)
            if takes_other_syn_ack(seg, me, peer):
                peer.opt_cut, peer.wscale = 1, ABSENT  # the options of the first one do not count
    relate(seg, me)
    if seg.seq_offset < 0:
        seg.new_octets = max(0, sn.diff(seg.end, me.nxt)) + missing(seg, me)
    if seg.ctl & SYN or is_dropped(seg, me, peer):
        return
    if damaged:
        answer_by_octets(seg, me)
    elif seg.ctl & RST:
        answer_reset(seg, me, peer)
    else:
        answer(seg, me, peer)


def _take_fin(seg: Seen, peer: Side) -> None:
    """Count the FIN of a segment with a wrong checksum, which the peer acknowledges: it was damaged behind the receiver."""
    if peer.fin_spoiled and not peer.has_fin and peer.nxt == peer.fin and seg.ack == sn.add(peer.fin, 1):
        peer.has_fin = 1
        peer.nxt = seg.ack
        peer.top = sn.latest(peer.top, seg.ack)


def _choose_copy(seg: Seen, side: Side) -> None:
    """Where the copies of a SYN ACK offer different options, what the first segment after them uses tells which one counts."""
    if side.copies == 0 or seg.opt_cut:
        return
    if seg.tsval < 0:
        side.stamps = 0
        if side.copies & COPIES_SCALE:
            side.wscale = ABSENT
        if side.copies & COPIES_SACK:
            side.sack_ok = 0
    side.copies = 0


def _set_first_nxt(seg: Seen, me: Side, peer: Side) -> None:
    """Take SND.NXT from the peer's ACKs and SACK blocks, where the capture begins in the middle of the conversation.

    The first segment of a side may be a keep-alive (RFC 9293 section 3.8.4), a window probe (section 3.8.6.1) or a
    retransmission. It then ends before SND.NXT.
    """
    if not me.has_nxt and not me.syn and peer.has_rcv_nxt:
        top = sn.latest(peer.rcv_nxt, peer.sack_top) if peer.has_sack_top else peer.rcv_nxt
        if sn.after(top, seg.end) and not sn.after(seg.seq, top):
            me.nxt, me.top, me.has_nxt = top, top, 1
    if seg.sack_n and seg.ctl & ACK and peer.syn == 0:
        for i in range(seg.sack_n):
            reach = sn.diff(seg.sack_right[i], seg.ack)
            if not 0 < reach < MAX_SACK_REACH:
                continue
            if not me.has_sack_top or sn.after(seg.sack_right[i], me.sack_top):
                me.sack_top, me.has_sack_top = seg.sack_right[i], 1
            begun = peer.octets == 0 or not me.has_rcv_nxt  # the peer has sent nothing new, as far as is known
            if peer.has_nxt and begun and sn.after(seg.sack_right[i], peer.nxt):
                peer.nxt, peer.top = seg.sack_right[i], seg.sack_right[i]


def relate(seg: Seen, me: Side) -> None:
    """Set the segment's distance from SND.NXT, which the answer about a pending segment may have moved."""
    if me.has_nxt and seg.ctl & (SYN | RST) == 0:
        seg.seq_offset = sn.diff(seg.seq, me.nxt)
        if seg.seq_offset >= 0:
            seg.new_octets = seg.seg_len


def beyond_any_window(seg: Seen, me: Side, peer: Side) -> bool:
    """Whether a segment without data lies so far from the peer's window that not even missing packets explain it.

    The receiver answers with an ACK and drops it (RFC 9293 section 3.10.7.4), so that its number and its FIN do not count. The
    segment acknowledges nothing that the capture does not show.
    """
    if seg.len or seg.ctl & (SYN | RST | ACK) != ACK or not me.has_nxt or not peer.has_right_edge or not me.has_rcv_nxt:
        return False
    if me.pending_n or peer.pending_n or me.missed or peer.missed:
        return False
    far = FAR_WINDOWS * max(peer.max_win, 65535) if scale_is_known(me, peer) else MAX_WINDOW
    if sn.after(seg.ack, peer.nxt) or -far <= seg.seq_offset <= far:
        return False
    distance = sn.diff(seg.seq, peer.rcv_nxt)
    return distance > far or distance < -far


def in_lock_step(me: Side, peer: Side) -> bool:
    """Whether each side waited for the other so far: the capture has both SYNs, nothing was retransmitted, and neither side
    sent new octets while others were in flight."""
    return (
        me.syn != 0
        and peer.syn != 0
        and me.piped == 0
        and peer.piped == 0
        and me.resent == 0
        and peer.resent == 0
        and me.missed == 0
        and peer.missed == 0
    )


def renumbers_its_syn(seg: Seen, me: Side, peer: Side) -> bool:
    """Whether the third segment has the number that the SYN ACK asks for, and both contradict the SYN."""
    return (
        me.third == 1
        and seg.ctl & (SYN | RST | ACK) == ACK
        and peer.last_ctl & (SYN | ACK) == SYN | ACK
        and seg.seq == peer.last_ack
        and not sn.between(sn.add(me.isn, 1), seg.seq, me.syn_end)
    )


def unacked(seg: Seen, peer: Side) -> bool:
    """Whether the capture shows no ACK for the end of the segment."""
    return peer.has_rcv_nxt == 0 or sn.after(seg.end, peer.rcv_nxt)


def advance(seg: Seen, me: Side, peer: Side) -> None:
    """Add a segment to what is known of its sender."""
    if seg.former:
        return
    if not me.seen:
        me.first_packet, me.first_time, me.first_seq, me.first_ctl = seg.number, seg.time, seg.seq, seg.ctl
    if is_damaged(seg, me) or is_dropped(seg, me, peer):
        _advance_damaged(seg, me, peer)
        return
    advance_extensions(seg, me, peer)
    me.seen += 1
    me.run += 1
    peer.run = 0
    me.probe = 1 if is_probe(seg, me, peer) or is_window_probe(seg, me, peer) else 0
    me.probed = max(me.probed, me.probe)
    if not me.has_base:
        _set_base(me, seg.seq if seg.ctl & (SYN | RST) else sn.add(seg.seq, -1))
    if not peer.has_base and seg.ctl & ACK:
        _set_base(peer, sn.add(seg.ack, -1))
    _advance_questions(seg, me, peer)
    _advance_numbers(seg, me, peer)
    if peer.challenge:
        _advance_challenge(seg, me, peer)
    if seg.seg_len and not seg.new_octets and seg.seq == peer.rcv_nxt:
        peer.same_acks = ANSWERED
    if seg.ctl & ACK and seg.ctl & RST == 0:
        _advance_ack(seg, me, peer)
    me.last_seq, me.last_len, me.last_ctl = seg.seq, seg.len, seg.ctl
    if exceeds_mss(seg, peer):
        me.oversized = 1
    _advance_last_ack(seg, me, peer)
    count_sums(seg, me)
    _advance_packet(seg, me)
    if me.third == 1 and seg.ctl & (SYN | RST) == 0:
        me.third = 2
        if me.syn < 2:  # in a simultaneous open the SYN ACK was the answer
            me.delay = time_since_syn(seg, peer)


def time_since_syn(seg: Seen, peer: Side) -> int:
    """Nanoseconds from the peer's SYN to the answer. Of a SYN that was sent again, nothing tells which copy it answers: the
    longest time counts (Karn's algorithm measures none)."""
    first = peer.resent != 0 and peer.first_ctl & SYN != 0
    return max(0, seg.time - (peer.first_time if first else peer.last_time))


def _advance_damaged(seg: Seen, me: Side, peer: Side) -> None:
    """Add what was sent under numbers that fit, with a timestamp that fits too, and nothing else."""
    if not is_dropped(seg, me, peer):
        _advance_sequence(seg, me, peer, True)
        fits = seg.tsval >= 0 and me.tsval >= 0 and may_have_reached(me, seg.tsval, seg.time)
        if fits and sn.after(seg.tsval, me.tsval):
            me.tsval = seg.tsval  # the peer may echo it, if only the capture is damaged
    me.seen += 1
    count_sums(seg, me)
    _advance_packet(seg, me)


def _advance_questions(seg: Seen, me: Side, peer: Side) -> None:
    """Note an echo or a SACK block that only missing packets explain, and forget those that this segment has answered."""
    if seg.tsval >= 0:
        peer.echo_packet = 0
    if peer.block_packet and seg.ctl & (SYN | RST) == 0 and seg.seg_len and sn.after(seg.end, peer.block_left):
        if not sn.before(seg.seq, peer.block_right):
            me.missed += 1
        peer.block_packet = 0
    if me.echo_packet == 0 and echoes_unseen(seg, me, peer) and is_possible_echo(seg, peer):
        me.echo_packet, me.echo_time, me.echo_value = seg.number, seg.time, seg.tsecr
    if me.block_packet or seg.ctl & (SYN | RST | ACK) != ACK or not peer.has_nxt or not peer.seen:
        return
    for i in range(seg.sack_n):
        left, right = seg.sack_left[i], seg.sack_right[i]
        beyond = sn.before(left, right) and sn.after(right, peer.nxt) and not sn.after(seg.ack, peer.nxt)
        if beyond and 0 < sn.diff(right, seg.ack) <= sack_reach(me, peer):
            me.block_packet, me.block_time, me.block_left, me.block_right = seg.number, seg.time, left, right


def _advance_last_ack(seg: Seen, me: Side, peer: Side) -> None:
    if seg.tsecr >= 0 and seg.ctl & ACK and not peer.seen:
        peer.least_tsval = seg.tsecr  # the capture lacks the peer's first segment
    if seg.tsval >= 0 and (me.least_tsval < 0 or sn.before(seg.tsval, me.least_tsval)):
        me.least_tsval = seg.tsval
    if seg.tsval >= 0 and (me.tsval < 0 or sn.after(seg.tsval, me.tsval)):
        me.tsval = seg.tsval
    if seg.ctl & ACK:
        me.last_ack, me.has_last_ack = seg.ack, 1


def _advance_packet(seg: Seen, me: Side) -> None:
    if me.last_id > 0 and seg.ip_id > 0 and seg.ip_id != me.last_id:
        counted = (seg.ip_id - me.last_id) & 0xFFFF == (seg.number - me.last_packet) & 0xFFFF
        me.ids_differ = max(me.ids_differ, 1) if counted else 2
    me.last_win, me.last_sum = seg.win, seg.sum
    me.last_packet, me.last_time, me.last_id = seg.number, seg.time, seg.ip_id
    if seg.ip_id > 0 and (me.newest_id <= 0 or (me.newest_id - seg.ip_id) & 0xFFFF > NEAR):
        me.newest_id = seg.ip_id


def _advance_numbers(seg: Seen, me: Side, peer: Side) -> None:
    if seg.ctl & RST:
        _advance_reset(seg, me)
    elif seg.ctl & SYN:
        _advance_syn(seg, me, peer)
    elif not beyond_any_window(seg, me, peer):
        _advance_sequence(seg, me, peer, False)


def _advance_reset(seg: Seen, me: Side) -> None:
    """Note where a side aborts. Without ACK, or with seq 0, a reset answers a segment, whose number may be old."""
    if me.rst == 0 or sn.after(seg.seq, me.rst_seq):
        me.rst_seq = seg.seq
    me.rst = max(me.rst, 2 if seg.ctl & ACK and seg.seq else 1)


def _set_base(side: Side, number: int) -> None:
    side.base, side.has_base = number, 1


def _advance_syn(seg: Seen, me: Side, peer: Side) -> None:
    if me.syn and seg.seq != me.isn:
        if (peer.seen or seg.ctl & ACK) and not replaces_damaged_syn(seg, me):
            me.resyn, me.has_resyn, me.resyn_packet = seg.seq, 1, seg.number
            me.resyn_time, me.resyn_nxt = seg.time, me.nxt
            if seg.ctl & ACK == 0 and (me.third == 2 or peer.third == 2):
                me.challenge = WAITS
            return
        me.has_nxt = 0  # the peer did not answer the first SYN, which may be damaged: this attempt replaces it
    if me.syn == 0 and me.has_nxt:
        return  # a SYN inside a connection: the flow table begins a new one if it has to
    again = me.syn == (2 if seg.ctl & ACK else 1) and seg.seq == me.isn
    if again:
        me.resent += 1
        me.resent_end = seg.end
    me.isn = seg.seq
    me.syn_packet, me.syn_time = seg.number, seg.time
    me.syn = 2 if seg.ctl & ACK else max(me.syn, 1)
    me.syn_end = sn.latest(me.syn_end, seg.end) if me.has_nxt else seg.end
    _take_options(seg, me, again)
    _set_base(me, seg.seq)
    if not me.has_nxt or sn.after(seg.end, me.nxt):
        me.nxt, me.has_nxt = seg.end, 1
    me.top = me.nxt
    if seg.ctl & ACK and peer.syn and peer.third == 0:
        peer.third = 1
        me.delay = time_since_syn(seg, peer)


def _advance_challenge(seg: Seen, me: Side, peer: Side) -> None:
    """Note how a side answers a SYN inside the connection: with a challenge ACK or a reset, or with something else, at a time
    when the SYN has certainly arrived."""
    if seg.ctl & (RST | SYN) or (seg.seg_len == 0 and not sn.after(seg.ack, peer.resyn_nxt)):
        peer.challenge = 0
    elif sn.after(seg.ack, peer.resyn_nxt) or seg.time - peer.resyn_time >= max(me.delay, SAME_MOMENT):
        peer.challenge = PASSED


def _take_options(seg: Seen, me: Side, again: bool) -> None:
    """What a SYN offers. One that is sent again may have fewer options, and yet the answer may be to the first: what either
    of them offers counts (RFC 7323 section 2.2 asks for the option on the SYN, not on each copy of it)."""
    if not again or seg.mss != ABSENT:
        # Nothing is known where the capture tool cut the options, or where a receiver would stop reading them. Receivers
        # take an MSS of 0 as none.
        none = seg.mss == 0 or (seg.mss == ABSENT and seg.opt_cut == 0 and seg.opt_fault == OPT_SOUND)
        me.default_mss = 1 if none else 0
        me.mss = seg.mss
        if me.default_mss:
            me.mss = DEFAULT_MSS if seg.version == 4 else DEFAULT_MSS_6
    if again and seg.ctl & ACK:
        _compare_copies(seg, me)
    if not again or (seg.wscale >= 0 and not me.opt_cut):
        me.wscale = seg.wscale
    me.sack_ok = max(seg.sack_ok, me.sack_ok) if again else seg.sack_ok
    me.stamps = 1 if seg.tsval >= 0 or (again and me.stamps) else 0
    # A SYN that is sent again may no longer ask for ECN (RFC 9768 section 3.1.4.1).
    me.syn_ctl = seg.ctl | (me.syn_ctl & (ECE | CWR | AE) if again else 0)
    me.tfo_len, me.opt_cut, me.syn_ecn = seg.tfo_len, max(me.opt_cut, seg.opt_cut) if again else seg.opt_cut, seg.ecn
    me.syn_echo = max(0, seg.tsecr)


def _compare_copies(seg: Seen, me: Side) -> None:
    scale = COPIES_SCALE if (seg.wscale >= 0) != (me.wscale >= 0) else 0
    if (seg.tsval >= 0) != (me.stamps != 0):
        me.copies = COPIES_STAMPS | scale | (COPIES_SACK if seg.sack_ok != me.sack_ok else 0)
    elif scale:
        me.opt_cut, me.wscale = 1, ABSENT  # nothing will tell which copy arrived


def _advance_sequence(seg: Seen, me: Side, peer: Side, damaged: bool) -> None:
    if renumbers_its_syn(seg, me, peer):
        me.nxt = seg.seq
        seg.seq_offset, seg.new_octets = 0, seg.seg_len
    if seg.seg_len and me.has_nxt and peer.has_rcv_nxt and sn.after(me.nxt, peer.rcv_nxt):
        me.piped = 1
    fin = sn.add(seg.seq, seg.len)
    low = me.has_nxt and me.pending_n == 0 and sn.before(fin, me.nxt) and not is_fin_again(seg, me)
    if seg.ctl & FIN and not damaged and not me.has_fin and low:
        # A FIN before octets that were sent has a wrong number (FIN01). It counts as if it came after them.
        fin = me.nxt
        me.nxt = sn.add(fin, 1)
    if not me.has_nxt:
        me.nxt, me.top, me.has_nxt = seg.end, seg.end, 1
        me.octets += seg.len
    elif seg.seq_offset > 0:
        open_pending(seg, me, GAP, me.nxt, seg.seq)
        _mark_gap(seg, me, peer)
        if seg.seg_len:
            me.nxt = seg.end
            me.octets += seg.len
    else:
        if seg.seg_len and not seg.new_octets:
            me.resent += 1
            me.resent_end = seg.end
        me.octets += min(seg.new_octets, seg.len)
        if sn.after(seg.end, me.nxt):
            me.nxt = seg.end
    me.top = sn.latest(me.top, seg.end)
    if seg.len and seg.new_octets and me.probe == 0 and (me.since == 0 or seg.seq_offset < 0):
        me.since = seg.time  # octets behind a gap cannot be acknowledged before it is filled
    _advance_data(seg, me, peer)
    if seg.ctl & FIN and not me.has_fin:
        me.fin, me.has_fin, me.fin_spoiled = fin, 0 if damaged else 1, 1 if damaged or is_too_old(seg, me) else 0
        me.fin_packet, me.fin_time, me.fin_data = seg.number, seg.time, 1 if seg.len else 0


def _mark_gap(seg: Seen, me: Side, peer: Side) -> None:
    """Note what is known of a segment behind a gap."""
    if ids_leave_one_out(seg, me, peer) or (peer.has_last_ack and not sn.before(peer.last_ack, seg.seq)):
        me.pending_mark[me.pending_n - 1] = SENT
    elif seg.seg_len == 0 and me.third != 1 and peer.has_rcv_nxt and seg.seq == sn.add(peer.rcv_nxt, peer.win):
        me.pending_mark[me.pending_n - 1] = EDGE


def _advance_data(seg: Seen, me: Side, peer: Side) -> None:
    if seg.len and me.early_packet == 0 and _is_early(seg, me, peer):
        me.early_packet, me.early_time = seg.number, seg.time
    if seg.len and seg.new_octets:
        again = me.probe_octet != 0 and seg.seq == me.data_seq
        me.probe_octet = 1 if me.probe and seg.len == 1 and seg.seq_offset == 0 else 2 if again else 0
        me.data_seq, me.data_len = seg.seq, seg.len
        counts = seg.tsval >= 0 and seg.seq_offset == 0 and seg.ctl & ACK and not sn.before(seg.ack, me.rcv_nxt)
        me.data_tsval = seg.tsval if counts else max(me.least_tsval, 0)


def _is_early(seg: Seen, me: Side, peer: Side) -> bool:
    """Whether the server sends data before the client's third segment, as far as the capture shows. Its ack, or its echo of a
    timestamp, may prove that it has received one. After a Fast Open it may."""
    if me.syn != 2 or peer.syn != 1 or peer.third != 1 or peer.tfo_len != ABSENT or peer.opt_cut:
        return False
    later = seg.tsecr >= 0 and peer.tsval >= 0 and sn.after(seg.tsecr, peer.tsval)
    return not later and seg.ack == peer.nxt and peer.syn_end == sn.add(peer.isn, 1)


def takes_other_syn_ack(seg: Seen, me: Side, peer: Side) -> bool:
    """Whether the third segment of a handshake acknowledges the second one of two SYN ACKs with different ISNs."""
    return me.third == 1 and peer.has_resyn != 0 and seg.ctl & SYN == 0 and seg.ack == sn.add(peer.resyn, 1)


def _advance_ack(seg: Seen, me: Side, peer: Side) -> None:
    if takes_other_syn_ack(seg, me, peer):
        # Of two SYN ACKs with different ISNs, the one that the client acknowledges counts.
        peer.isn = peer.resyn
        peer.nxt = peer.top = peer.syn_end = seg.ack
        _set_base(peer, peer.resyn)
    if peer.seen and peer.has_nxt and sn.after(seg.ack, peer.nxt):
        open_pending(seg, me, UNSENT, peer.nxt, seg.ack)
        me.pending_low[me.pending_n - 1] = sn.add(seg.ack, scaled(seg.win, seg.ctl, me, peer))
        echoes = seg.tsecr > 0 and peer.tsval >= 0 and sn.after(seg.tsecr, peer.tsval)
        if echoes or (me.block_packet and not sn.after(seg.ack, me.block_right)):
            me.pending_mark[me.pending_n - 1] = ECHOES
        me.raw_win = seg.win
        return
    me.advances = 0
    if me.third == 1 and seg.ctl & SYN == 0 and not sn.after(seg.ack, peer.isn):
        open_pending(seg, me, BEHIND, sn.add(peer.isn, 1), seg.ack)
    if acks_a_part(seg, me, peer) and sn.add(seg.ack, 1) == sn.add(peer.data_seq, peer.data_len):
        me.part_packet, me.part_time, me.part_ack = seg.number, seg.time, seg.ack
    if not me.has_rcv_nxt or sn.after(seg.ack, me.rcv_nxt):
        me.rcv_nxt, me.has_rcv_nxt = seg.ack, 1
        me.same_acks = 0
        me.advances = 1
        peer.since = 0 if not peer.has_nxt or not sn.before(seg.ack, peer.nxt) else peer.last_time
    elif is_duplicate_ack(seg, me, peer):
        me.same_acks += 1 if 0 <= me.same_acks < ASKED else 0
    if not me.advances and (sn.before(seg.ack, me.rcv_nxt) or is_too_old(seg, me)):
        # Overtaken: its window is outdated (RFC 9293 section 3.10.7.4: SND.WL1 and SND.WL2), or dropped with it by its timestamp
        # (RFC 7323 section 5.3).
        return
    me.raw_win = seg.win
    if seg.win == 0 and (me.win or not me.has_right_edge):
        me.closed_time, me.closed_nxt, me.closed_len = seg.time, seg.end, seg.seg_len
    me.win = scaled(seg.win, seg.ctl, me, peer)
    edge = sn.add(seg.ack, me.win)
    me.max_win = max(me.max_win, me.win)
    if not me.has_right_edge or sn.after(edge, me.right_edge):
        me.right_edge, me.has_right_edge = edge, 1
    elif edge != me.right_edge and not (_has_low_edge_ahead(me) and sn.after(edge, me.low_edge)):
        me.low_edge, me.has_low_edge = edge, 1


def _has_low_edge_ahead(me: Side) -> bool:
    return me.has_low_edge != 0 and sn.after(me.low_edge, me.rcv_nxt)


def scale_is_known(me: Side, peer: Side) -> bool:
    """Whether the capture has the window scale options of both SYNs, or shows that there are none."""
    if me.syn == 0 or peer.syn == 0:
        return False
    return (me.wscale >= 0 or me.opt_cut == 0) and (peer.wscale >= 0 or peer.opt_cut == 0)


def scaled(win: int, ctl: int, me: Side, peer: Side) -> int:
    """The window in octets: shifted if both SYNs offered a scale, but never on a SYN (RFC 7323 section 2.2)."""
    if ctl & SYN or me.wscale < 0 or peer.wscale < 0:
        return win
    return win << min(me.wscale, MAX_SHIFT)


def sack_reach(me: Side, peer: Side) -> int:
    """How far from its ack a side may have a SACK block: many of its windows, as it may have offered larger ones before."""
    known = scale_is_known(me, peer) and me.has_right_edge != 0
    return FAR_WINDOWS * max(me.max_win, 65535) if known else MAX_WINDOW
