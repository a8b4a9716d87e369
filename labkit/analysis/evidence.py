"""What shows that no packet is missing in a conversation: IP identifications that count or are all the same, or lock-step."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

from labkit.analysis.entry import CLIENT, SERVER, Entry, Shown
from labkit.analysis.resent import contradicts
from labkit.analysis.tracker import ASKED
from labkit.tcp.flags import ACK, FIN, RST, SYN
from labkit.tcp.seq import add, diff

MAX_STEP = 16
"""IP identifications that are taken for counted differ by no more than this from one segment of a host to its next."""

MAX_EARLY = 2
"""Segments that may stand in the capture before one of the other host that was sent earlier."""

MAX_TAUGHT = 100
"""Segments of a conversation that a teaching exercise may have."""


MAX_OCTETS = 1 << 20
"""Octets of each side of such a conversation."""


def evidence(segments: Sequence[Shown]) -> str:
    """What shows that no packet is missing between the segments; empty where nothing does.

    `constant`: each host always has the same IP identification, not 0, as in packets made by hand. `together`: the
    identifications of both hosts count as one, without a gap; `apart`: those of each host do. `lock-step`: those of neither
    host leave one out, which says little where they are random or always 0, but a short conversation opens and closes, in
    which nobody sends anything again.
    """
    ids = [seg.ip_id for seg in segments]
    if len(ids) < 3 or len({seg.side for seg in segments}) < 2:
        return ""
    own = [[seg.ip_id for seg in segments if seg.side == side] for side in (CLIENT, SERVER)]
    if min(ids) > 0 and all(len(set(each)) == 1 < len(each) for each in own):
        return "constant"
    if min(ids) >= 0 and max(ids) and counts(ids):
        return "together"
    if min(ids) >= 0 and all(max(each) and counts(each) for each in own):
        return "apart"
    return "lock-step" if _opens_and_closes(segments) and nothing_lost(segments) else ""


def gaps(segments: Sequence[Shown]) -> list[tuple[Shown, Shown]]:
    """The neighbouring segments of a host between which its IP identifications leave some out, although they count.

    Linux has the identification 0 where it keeps no socket: such segments say nothing.
    """
    found = []
    for side in (CLIENT, SERVER):
        own = [seg for seg in segments if seg.side == side and seg.ip_id > 0]
        steps = [(after.ip_id - before.ip_id) & 0xFFFF for before, after in pairwise(own)]
        near = [0 < step <= MAX_STEP for step in steps]
        if all(near) or 2 * steps.count(1) > len(steps):
            found += [pair for pair, step in zip(pairwise(own), steps, strict=True) if 1 < step <= MAX_STEP]
    return found


def doubtful(segments: Sequence[Shown]) -> set[tuple[int, str]]:
    """Packets and codes of the errors that a missing packet may explain, where IP identifications leave one out."""
    found = set()
    ids = {seg.ip_id for seg in segments}
    why = evidence(segments)
    if (not why and max(ids) > 0) or (why in ("", "lock-step") and max(ids) < 0):
        # Data that was acknowledged later had room: the capture lacks the window update, of a side that sends such.
        windows = {side: {seg.window for seg in segments if seg.side == side} for side in (CLIENT, SERVER)}
        last = {seg.side: seg for seg in segments if seg.ctl & ACK and len(windows[seg.side]) > 1}
        for seg in segments:
            other = last.get(1 - seg.side)
            if other is not None and seg.length and seg.packet < other.packet and diff(other.ack, seg.end) >= 0:
                found.add((seg.packet, "WIN01"))
    third = next((seg for seg in segments if seg.side == CLIENT and not seg.ctl & (SYN | RST)), None)
    if third is not None and third.length <= 1 and why in ("", "lock-step"):
        again = (seg for seg in segments if seg.side == CLIENT and seg.is_pure_ack and seg.packet > third.packet)
        repeated = any((seg.seq, seg.ack) == (third.seq, third.ack) for seg in again)
        if repeated or (not why and (_sends_again(segments) or _is_disordered(segments))):
            found.add((third.packet, "HS03"))  # a keep-alive, where the third segment of the handshake is lost
    packets = [sorted(seg.packet for seg in segments if seg.side == side) for side in (CLIENT, SERVER)]
    for before, after in gaps(segments):
        # The host's next segment depends on the missing packet, and so do the peer's segments before that one; a few of
        # them may stand before the last segment too, where the capture has them in another order.
        found |= {(after.packet, code) for code in ("ACK01", "SEQ01", "SEQ02", "FIN01")}
        peers = packets[1 - after.side]
        first, end = bisect_left(peers, before.packet), bisect_left(peers, after.packet)
        near = peers[max(first - MAX_EARLY, 0) : end]
        found |= {(packet, code) for packet in near for code in ("ACK01", "SACK02", "WIN01")}
    return found


def nothing_lost(segments: Sequence[Shown]) -> bool:
    """Whether a short conversation of both sides shows no trace of loss: nothing is sent twice, and the IP identifications
    leave none out."""
    own = [[seg.ip_id for seg in segments if seg.side == side] for side in (CLIENT, SERVER)]
    whole = all(each and (counts(each) or len(set(each)) == 1 or _is_random(each)) for each in own)
    return whole and len(segments) <= MAX_TAUGHT and not _sends_again(segments) and not _is_disordered(segments)


def _is_disordered(segments: Sequence[Shown]) -> bool:
    """Whether a SACK block or a timestamp shows that segments of a side arrived in another order than it sent them in, or that
    one is missing."""
    newest = [-1, -1]
    for seg in segments:
        if seg.sack_n:
            return True
        if seg.tsval >= 0:
            if newest[seg.side] >= 0 and diff(seg.tsval, newest[seg.side]) < 0:
                return True
            newest[seg.side] = seg.tsval
    return False


def _sends_again(segments: Sequence[Shown]) -> bool:
    """Whether octets, a SYN or a FIN are sent twice under the same number. Others are not a retransmission, but after a reset a
    new attempt, and of a long conversation those that come when its numbers have gone around."""
    sent: dict[tuple[int, int], bytes] = {}
    ending: dict[tuple[int, int], Shown] = {}
    takers: set[tuple[int, int, int]] = set()
    first_seq = {seg.side: seg.seq for seg in reversed(segments)}
    again = any(seg.ctl & RST or abs(diff(seg.seq, first_seq[seg.side])) > MAX_OCTETS for seg in segments)
    for seg in segments:
        if seg.length:
            first = sent.get((seg.side, seg.seq))
            if first is None:
                sent[seg.side, seg.seq] = seg.payload
            elif again or first[: len(seg.payload)] == seg.payload[: len(first)]:
                return True
            longest = ending.get((seg.side, seg.end))
            if longest is not None and _is_part(seg, longest):
                return True
            if longest is None or longest.length < seg.length:
                ending[seg.side, seg.end] = seg
        if seg.ctl & (SYN | FIN) and not seg.ctl & RST:
            taker = seg.side, add(seg.seq, seg.length), seg.ctl & (SYN | FIN)
            if taker in takers:
                return True
            takers.add(taker)
    return False


def _is_part(seg: Shown, one: Shown) -> bool:
    """Whether a segment brings the last octets of an earlier one again, which ends where it does."""
    at = diff(seg.seq, one.seq)
    return 0 < at < one.length and one.payload[at:] == seg.payload


def _contradicts(entry: Entry, segments: Sequence[Shown]) -> bool:
    """Whether the sender of a segment sends other octets under its numbers later: then its seq is wrong, whatever is missing."""
    wrong = entry.shown
    if entry.field != "seq" or not wrong.payload:
        return False
    later = (seg for seg in segments if seg.side == wrong.side and seg.packet > wrong.packet)
    return any(contradicts(wrong, seg) for seg in later)


def _is_believed(entry: Entry, segments: Sequence[Shown]) -> bool:
    """Whether the peer acknowledges what has a wrong seq, or lies behind it."""
    wrong = entry.shown
    later = (seg for seg in segments if seg.side != wrong.side and seg.packet > wrong.packet)
    return any(diff(seg.ack, wrong.seq) > 0 for seg in later if seg.ctl & (RST | ACK) == ACK)


def _goes_back(entry: Entry, segments: Sequence[Shown]) -> bool:
    """Whether the sender of a seq that is too high has a lower one later: SND.NXT never falls, and nothing follows a FIN."""
    wrong = entry.shown
    if entry.field != "seq" or entry.off <= 0:
        return False
    for seg in segments:
        if seg.side == wrong.side and seg.packet > wrong.packet and diff(wrong.seq, seg.seq) > 1:
            if seg.is_pure_ack and diff(seg.ack, wrong.ack) > 0:
                return True
            if seg.ctl & (FIN | RST) == FIN and diff(wrong.seq, seg.end) > 0:
                return True
    return False


def proves(why: str, entry: Entry, segments: Sequence[Shown]) -> bool:
    """Whether what `evidence` found leaves no explanation of an entry by a packet that is missing or late.

    Where each host counts for itself, nothing shows what the peer sent behind its last segment, nor in which order the
    segments of both were sent.
    """
    if entry.certain:
        return True
    if entry.fault in ("syn", "second-fin"):  # nothing shows what was sent before the first packet or after the last
        return why == "constant"
    if entry.fault == "syn-ack" and why == "apart":  # a host counts from its first packet on, wherever that is
        return False
    if why == "lock-step":
        explained = entry.lossy or entry.late
        typical = entry.is_typical and not entry.late and _is_believed(entry, segments)
        return not explained or typical or _contradicts(entry, segments) or _goes_back(entry, segments)
    if why in ("constant", "together"):
        return True
    if entry.under_way:
        return False
    if entry.fault == "silent" and entry.late:
        return False  # it may answer a copy of an earlier segment, which the path has made behind the point of capture
    of = entry.peer
    if entry.fault == "never" and of is not None and not _leaves_out_fin(entry, of) and _may_lack(of, segments):
        return False
    if entry.field == "ack" and entry.off > 0:
        later = any(seg.side != entry.shown.side and seg.packet > entry.packet for seg in segments)
        return why == "apart" and later and not entry.later
    return why == "apart"


def _leaves_out_fin(entry: Entry, of: Shown) -> bool:
    """Whether an ack shows that a segment has arrived: it counts its data, and not its FIN."""
    return bool(of.ctl & FIN and of.length) and entry.actual == add(of.end, -1)


def _may_lack(sent: Shown, segments: Sequence[Shown]) -> bool:
    """Whether the receiver may not have had a segment when it sent its last ACK: that crossed it on its way, or the path loses
    segments, and the capture ends before this one comes again."""
    if segments[-1].side == sent.side or any(seg.sack_n for seg in segments) or _sends_again(segments):
        return True
    opened = next((seg for seg in segments if seg.side == CLIENT and not seg.ctl & SYN), segments[0])
    *others, last = (seg for seg in segments if seg.side != sent.side and seg.ctl & ACK)
    goes_on = all(diff(last.ack, seg.ack) > 0 for seg in others)
    asks = sum(seg.is_pure_ack and seg.ack == last.ack for seg in others) >= ASKED
    return goes_on or asks or last.time - sent.time < opened.time - segments[0].time


def _opens_and_closes(segments: Sequence[Shown]) -> bool:
    """Whether the first segment is a SYN, and both sides close, or one resets."""
    closers = {seg.side for seg in segments if seg.ctl & FIN}
    return bool(segments[0].ctl & SYN and (len(closers) == 2 or segments[-1].ctl & RST))


def _is_random(ids: Sequence[int]) -> bool:
    """Whether identifications are far from each other, so that none can be told to be missing."""
    steps = [(after - before) & 0xFFFF for before, after in pairwise(ids)]
    return len(steps) > 1 and all(MAX_STEP < step < 0x10000 - MAX_STEP for step in steps)


def counts(ids: Sequence[int]) -> bool:
    """Whether IP identifications leave none out."""
    return all((after - before) & 0xFFFF == 1 for before, after in pairwise(ids))
