"""The loops over segments, as source for the compiler: what `labkit.analysis.verifier.Verifier` does, in flat memory.

`decode_batch` finds and decodes the segments of a batch, `process_batch` verifies them, and `finish` ends the conversations that
are left. The functions `ask_*` and `judge_usual` are placeholders: `labkit.analysis.native.kernels` generates them from the
catalogue, and from `judge`.
"""

from labkit.analysis.damage import spoiled
from labkit.analysis.ends import begin, move, place
from labkit.analysis.moved import UNKNOWN, Moved
from labkit.analysis.native.context import (
    AHEAD,
    DISPLACED,
    EARLIER,
    JUDGED,
    LEFT_OPEN,
    LEFT_OVER,
    NONE,
    OPEN,
    OVER,
    SEVERITIES,
    SPARE_ROWS,
    BatchRow,
    Context,
    FlowRow,
)
from labkit.analysis.native.flow_table import (
    fetch_next,
    find_flow,
    flow_hash,
    give_back,
    is_host,
    mark_begun,
    retire,
    source_hash,
    take_out,
)
from labkit.analysis.native.primitives import behind, fetch
from labkit.analysis.native.record_table import IRREGULAR
from labkit.analysis.native.records import SideRow
from labkit.analysis.native.scan import step
from labkit.analysis.payload import remember
from labkit.analysis.pending import close, resolve
from labkit.analysis.side import Side
from labkit.analysis.tracker import advance, look, relate
from labkit.analysis.unread import MAX_ROWS, TABLE_FULL, count_unread, end_hash, segment_key, unread_key
from labkit.packet.decode.outcome import FRAGMENT, OTHER, TCP
from labkit.packet.decode.walk import decode
from labkit.packet.seen import ABSENT, OPT_SOUND, SHORT_IP, SOUND, SUM_BAD, Seen
from labkit.tcp.flags import ACK, PSH, SYN


def has_usual_options(seg: Seen) -> bool:
    """Whether a segment has none of the options and marks that few segments have, and its options are sound."""
    return (
        seg.sack_n == 0
        and seg.opt_fault == OPT_SOUND
        and seg.opt_cut == 0
        and seg.opt_twice == ABSENT
        and seg.opt_after_end == 0
        and seg.tfo_len == ABSENT
        and seg.auth == 0
        and seg.accecn == 0
        and seg.mptcp == 0
        and seg.urg == 0
        and seg.ecn == 0
    )


def is_usual(seg: Seen) -> bool:
    """Whether a segment is like most by itself: data or an ACK, with no option but timestamps and no wrong checksum."""
    return (
        seg.ctl & ~PSH == ACK
        and has_usual_options(seg)
        and seg.mss == ABSENT
        and seg.wscale == ABSENT
        and seg.sack_ok == 0
        and seg.fault == SOUND
        and seg.joined == 0
        and seg.sum_state & SUM_BAD == 0
        and seg.ip_sum_state & SUM_BAD == 0
    )


def is_plain(seg: Seen, me: Side, peer: Side) -> bool:
    """Whether a segment is like most: the next data or ACK in an open connection, with no option but timestamps."""
    return (
        seg.ctl & ~PSH == ACK
        and seg.seq_offset == 0
        and seg.conflict == ABSENT
        and me.has_nxt == 1
        and me.has_rcv_nxt == 1
        and me.third & 1 == 0
        and me.has_fin == 0
        and peer.has_fin == 0
        and me.rst == 0
        and peer.rst == 0
        and me.mptcp == 0
        and peer.probe == 0
        and has_usual_options(seg)
        and seg.mss == ABSENT
        and seg.wscale == ABSENT
        and seg.sack_ok == 0
    )


def opens_as_usual(seg: Seen, me: Side, peer: Side) -> bool:
    """Whether a segment without data, and without rare options, is at its place in a handshake that nobody has ended."""
    return (
        seg.seq_offset == 0
        and seg.len == 0
        and seg.conflict == ABSENT
        and has_usual_options(seg)
        and me.rst == 0
        and peer.rst == 0
        and me.has_fin == 0
        and peer.has_fin == 0
        and me.opt_cut == 0
        and peer.opt_cut == 0
    )


def is_first_syn(seg: Seen, me: Side, peer: Side) -> bool:
    """Whether a segment is a SYN that asks for a connection of which nothing was seen, without data and rare options."""
    return (
        seg.ctl == SYN
        and me.seen == 0
        and peer.seen == 0
        and me.syn == 0
        and peer.syn == 0
        and me.has_nxt == 0
        and peer.has_nxt == 0
        and me.has_rcv_nxt == 0
        and peer.has_rcv_nxt == 0
        and me.third == 0
        and peer.third == 0
        and me.wscale == ABSENT
        and peer.has_right_edge == 0
        and opens_as_usual(seg, me, peer)
    )


def is_first_syn_ack(seg: Seen, me: Side, peer: Side) -> bool:
    """Whether a segment is the first SYN ACK that answers the only SYN, without data and rare options."""
    return (
        seg.ctl == SYN | ACK
        and me.seen == 0
        and me.syn == 0
        and peer.syn == 1
        and me.has_nxt == 0
        and peer.has_nxt == 1
        and me.has_rcv_nxt == 0
        and peer.has_rcv_nxt == 0
        and me.third == 0
        and peer.third == 0
        and peer.has_right_edge == 0
        and opens_as_usual(seg, me, peer)
    )


def is_third(seg: Seen, me: Side, peer: Side) -> bool:
    """Whether a segment is the third one of a handshake, without data and rare options."""
    return (
        seg.ctl == ACK
        and me.syn == 1
        and peer.syn == 2
        and me.has_nxt == 1
        and peer.has_nxt == 1
        and me.has_rcv_nxt == 0
        and peer.has_rcv_nxt == 1
        and me.third == 1
        and opens_as_usual(seg, me, peer)
        and seg.mss == ABSENT
        and seg.wscale == ABSENT
        and seg.sack_ok == 0
    )


KINDS = {"plain": is_plain, "first_syn": is_first_syn, "first_syn_ack": is_first_syn_ack, "third": is_third}
"""Kinds of segments, the most frequent one first: for each, only the rules are asked that may find something in it."""


def ask_frame(seg: Seen, me: Side, peer: Side, flow: FlowRow, side: int, ctx: Context) -> None:
    """Ask the rules of scope FRAME."""


def ask_segment(seg: Seen, me: Side, peer: Side, flow: FlowRow, side: int, ctx: Context) -> None:
    """Ask the rules of scope SEGMENT."""


def ask_pending(seg: Seen, me: Side, peer: Side, flow: FlowRow, side: int, ctx: Context) -> None:
    """Ask the rules of scope PENDING."""


def ask_side(seg: Seen, me: Side, peer: Side, flow: FlowRow, side: int, ctx: Context) -> None:
    """Ask the rules of scope SIDE."""


def ask_flow(seg: Seen, me: Side, peer: Side, flow: FlowRow, side: int, ctx: Context) -> None:
    """Ask the rules of scope FLOW."""


def judge_usual(*_of_judge: object) -> None:
    """As `judge`, for a usual segment."""


def find_records(batch: BatchRow) -> int:
    """Find the end of the plain records of a batch, of which there are `room` at most, and count them. IRREGULAR: another record,
    or the end, follows."""
    for _i in range(batch.room):
        following, _start, _caplen, _wirelen, _time, _link, _point = step(
            batch.octets, batch.at, batch.end, batch.formats
        )
        if following < 0:
            return IRREGULAR
        batch.at = following
        batch.packets += 1
    return OTHER


def decode_batch(batch: BatchRow) -> int:
    """Decode records until one is not plain (IRREGULAR) or holds a fragment (FRAGMENT), or the batch is full.

    TABLE_FULL: the caller must take the frames that were not read.
    """
    status = OTHER
    while batch.count < batch.room:
        if batch.unread_used == MAX_ROWS:
            return TABLE_FULL
        following, start, caplen, wirelen, time, link, point = step(batch.octets, batch.at, batch.end, batch.formats)
        if following < 0:
            return IRREGULAR
        batch.at = following
        if batch.packets == 0:
            batch.start = time
        batch.packets += 1
        seg = batch.segments[batch.count]
        seg.number = batch.packets
        seg.time = time
        seg.caplen = caplen
        seg.wirelen = max(wirelen, caplen)
        seg.point = point
        seg.joined = 0
        frame = behind(batch.octets, start)
        status = decode(frame, 0, caplen, link, seg)
        if status == TCP:
            if seg.fault not in (SOUND, SHORT_IP):
                count_unread(batch, segment_key(seg), seg.number)
            batch.places[batch.count] = start
            batch.hashes[batch.count] = flow_hash(frame, seg, batch.seed)
            batch.octets_before[batch.count] = batch.payload
            batch.usual[batch.count] = is_usual(seg)
            if not batch.usual[batch.count]:
                batch.sources[batch.count] = source_hash(frame, seg, batch.seed)
            batch.payload += seg.data_len
            if batch.shards > 1:
                shard = shard_of(batch.hashes[batch.count], batch.shards)
                batch.own[shard * batch.room + batch.shares[shard]] = batch.count
                batch.shares[shard] += 1
            batch.count += 1
        elif status == FRAGMENT:
            batch.fragment_at = start
            return status
        elif status != OTHER:
            count_unread(batch, unread_key(frame, status, seg), seg.number)
            status = OTHER
    return status


def shard_of(hashed: int, shards: int) -> int:
    """The shard that judges a conversation, by its `flow_hash`."""
    return ((hashed >> 32 & 0xFFFF) * shards) >> 16


def process_batch(batch: BatchRow, ctx: Context) -> int:
    """Verify the segments of a batch."""
    batch.shown = 0
    batch.ended_count = 0
    for i in range(batch.count):
        _prefetch(i, batch, ctx)
        row = batch.moved[batch.shown]
        if batch.shows:
            _show_nothing(i, row)
        process(i, batch, row, 0, ctx)
        if ctx.finished >= 0 and batch.shows:
            row.ended = ctx.flows[ctx.finished].index
            row.plain = 0
        if batch.shows and (row.flow != ABSENT or ctx.finished >= 0):
            batch.shown += 1
        finish_one(ctx)
        ctx.left -= 1
        if ctx.left == 0:
            ctx.left = ctx.every
            _keep_bounds(batch, ctx)
    return 0


def finish_one(ctx: Context) -> None:
    """Finish the conversation that the last segment took out of the table."""
    if ctx.finished >= 0:
        ctx.phase = DISPLACED
        _finish_flow(ctx.finished, ctx)
        give_back(ctx, ctx.finished)
        ctx.finished = NONE


def _keep_bounds(batch: BatchRow, ctx: Context) -> None:
    """Finish the conversations that are beyond the bounds."""
    ctx.forgotten += max(0, ctx.length[OPEN] - ctx.max_open)
    leave(ctx.length[OVER] - ctx.max_over, OVER, batch, ctx)
    leave(ctx.length[OPEN] - ctx.max_open, OPEN, batch, ctx)


def leave(count: int, chain: int, batch: BatchRow, ctx: Context) -> None:
    """Finish the first conversations of a chain."""
    ctx.phase = LEFT_OVER if chain == OVER else LEFT_OPEN
    for _i in range(count):
        slot = ctx.first[chain]
        fetch_next(ctx, ctx.flows[slot].newer)
        take_out(ctx, slot)
        ctx.turn = ctx.flows[slot].placed
        _finish_flow(slot, ctx)
        if batch.shows:
            batch.ended[batch.ended_count] = ctx.flows[slot].index
            batch.ended_count += 1
        give_back(ctx, slot)
    ctx.turn = 0


def finish(ctx: Context) -> int:
    """Finish the conversations that are left: those that are over, then the open ones."""
    mark_begun(ctx)
    for chain in (OVER, OPEN):
        ctx.phase = LEFT_OVER if chain == OVER else LEFT_OPEN
        slot = ctx.first[chain]
        while slot >= 0:
            ctx.turn = ctx.flows[slot].placed
            _finish_flow(slot, ctx)
            slot = ctx.flows[slot].newer
    return 0


def _prefetch(i: int, batch: BatchRow, ctx: Context) -> None:
    """Fetch memory that the next segments need. Beyond the batch stand hashes of an older one, which do no harm."""
    fetch(ctx.buckets, batch.hashes[i + AHEAD] & ctx.bucket_mask)
    slot = ~ctx.buckets[batch.hashes[i + AHEAD // 2] & ctx.bucket_mask]
    if slot >= 0:
        fetch(ctx.flows, slot)
    slot = ~ctx.buckets[batch.hashes[i + AHEAD // 4] & ctx.bucket_mask]
    if slot >= 0:
        fetch(ctx.sides, 2 * slot)
        fetch(ctx.sides, 2 * slot + 1)
    fetch(batch.octets, batch.places[i + AHEAD // 4])
    if not batch.usual[i + AHEAD // 2]:
        fetch(ctx.host_buckets, batch.sources[i + AHEAD // 2] & ctx.host_mask)
    if not batch.usual[i + AHEAD // 4]:
        slot = ~ctx.host_buckets[batch.sources[i + AHEAD // 4] & ctx.host_mask]
        if slot >= 0:
            fetch(ctx.hosts, slot)


def process(i: int, batch: BatchRow, row: Moved, is_shard: int, ctx: Context) -> None:
    """Verify a segment of a batch. `row` takes what it moves, if `BatchRow.shows` is set. `is_shard`: 1 for a shard's context."""
    buf = behind(batch.octets, batch.places[i])
    seg = batch.segments[i]
    ctx.segments += 1
    ctx.segment = batch.first + i + 1
    ctx.octets_before = batch.payload_before + batch.octets_before[i]
    found = find_flow(buf, seg, i, batch, ctx)
    side = found & 1
    slot = found >> 1
    flow = ctx.flows[slot]
    me = ctx.sides[found]
    peer = ctx.sides[found ^ 1]
    if is_shard:
        batch.begun[i] = flow.index == ctx.segment
        if ctx.compares:
            _leave_isn(i, batch, me, peer, flow, side, ctx)
        ctx.phase = EARLIER
    if batch.usual[i]:
        judge_usual(buf, seg, me, peer, flow, side, batch, row, is_shard, ctx)
    else:
        judge(buf, seg, me, peer, flow, side, batch, row, is_shard, ctx)
    if seg.fault in (SOUND, SHORT_IP):
        retire(ctx, slot)


def judge(
    buf: bytes,
    seg: Seen,
    me: SideRow,
    peer: SideRow,
    flow: FlowRow,
    side: int,
    batch: BatchRow,
    row: Moved,
    is_shard: int,
    ctx: Context,
) -> None:
    """Ask the rules about a segment of a conversation, and add it to what is known of its sides."""
    if ctx.judges:
        ask_frame(seg, me, peer, flow, side, ctx)
    if seg.fault not in (SOUND, SHORT_IP):
        return
    look(seg, me, peer)
    if seg.former == 0:
        if (me.pending_n or peer.pending_n) and _resolve(seg, me, peer, flow, side, ctx):
            relate(seg, me)
        if ctx.judges and seg.data_len and not spoiled(seg):
            remember(buf, seg, me, ctx)
        if is_shard:
            ctx.phase = JUDGED
        if ctx.judges:
            ask_segment(seg, me, peer, flow, side, ctx)
    if batch.shows and flow.wanted:
        _show(seg, me, peer, flow, side, row)
        advance(seg, me, peer)
        place(seg, me, peer, row)
    else:
        advance(seg, me, peer)
    assign_cold_row(me, side, ctx)
    assign_cold_row(peer, 1 - side, ctx)


def _leave_isn(i: int, batch: BatchRow, me: Side, peer: Side, flow: FlowRow, side: int, ctx: Context) -> None:
    """Leave an initial sequence number to `labkit.analysis.native.shard_loop.compare_isns`."""
    row = batch.isns[ctx.shard * batch.room + ctx.isn_count]
    ctx.isn_count += 1
    ctx.compares = 0
    row.flow, row.at, row.side, row.wanted, row.has_old = flow.index, i, side, flow.wanted, me.has_old
    row.bases[0] = me.base
    row.bases[1] = peer.base


def _show_nothing(i: int, row: Moved) -> None:
    row.at = i
    row.flow = ABSENT
    row.plain = 0
    row.ended = ABSENT


def _show(seg: Seen, me: Side, peer: Side, flow: FlowRow, side: int, row: Moved) -> None:
    row.flow = flow.index
    if flow.states[0] == UNKNOWN:
        begin(flow, seg)
    move(flow, seg, side, flow.client, me, peer, row)


def _resolve(seg: Seen, me: Side, peer: Side, flow: FlowRow, side: int, ctx: Context) -> bool:
    found = False
    while resolve(me, ctx.resolved[0]):
        found = True
        if ctx.judges:
            ask_pending(seg, me, peer, flow, side, ctx)
    while resolve(peer, ctx.resolved[0]):
        found = True
        if ctx.judges:
            ask_pending(seg, peer, me, flow, 1 - side, ctx)
    return found


def _finish_flow(slot: int, ctx: Context) -> None:
    seg = ctx.blank_segment[0]
    flow = ctx.flows[slot]
    first = ctx.sides[2 * slot]
    second = ctx.sides[2 * slot + 1]
    close(first, second)
    close(second, first)
    _resolve(seg, first, second, flow, 0, ctx)
    if ctx.judges:
        ask_side(seg, first, second, flow, 0, ctx)
        ask_side(seg, second, first, flow, 1, ctx)
        ask_flow(seg, first, second, flow, 0, ctx)
    give_up_cold_row(first, 0, ctx)
    give_up_cold_row(second, 1, ctx)
    ctx.repeated += flow.point > 0
    ctx.missed += first.missed + second.missed
    if flow.wanted and flow.rank < ctx.max_described:
        ctx.described[flow.rank] = flow
        ctx.described_sides[2 * flow.rank] = first
        ctx.described_sides[2 * flow.rank + 1] = second


def assign_cold_row(side: SideRow, number: int, ctx: Context) -> None:
    """Give a side a cold row of its own when it has pending segments, or fields in `SELDOM`, and take the row back when it has
    neither.

    The other sides share a spare row, which holds nothing between two segments.
    """
    spare = ctx.blank_sides[number].cold_row
    if side.pending_n or side.has_seldom:
        if side.cold_row == spare:
            if ctx.cold_free_count:
                ctx.cold_free_count -= 1
                row = ctx.cold_free[ctx.cold_free_count]
            else:
                row = ctx.cold_used
                ctx.cold_used += 1
            ctx.cold_rows[row] = ctx.cold_rows[number]
            ctx.cold_rows[number] = ctx.cold_rows[SPARE_ROWS]
            side.cold_row = ctx.cold_at + row * ctx.cold_size
    elif side.cold_row != spare:
        take_cold_row(side, spare, ctx)


def give_up_cold_row(side: SideRow, number: int, ctx: Context) -> None:
    """Take the cold row of a side back, of which nothing is asked any more."""
    spare = ctx.blank_sides[number].cold_row
    if side.cold_row != spare:
        take_cold_row(side, spare, ctx)
    elif side.has_seldom:
        ctx.cold_rows[number] = ctx.cold_rows[SPARE_ROWS]


def take_cold_row(side: SideRow, spare: int, ctx: Context) -> None:
    """Let another side use the cold row of a side."""
    ctx.cold_free[ctx.cold_free_count] = (side.cold_row - ctx.cold_at) // ctx.cold_size
    ctx.cold_free_count += 1
    side.cold_row = spare


def count_hit(place: int, packet: int, ctx: Context) -> None:
    """Count an answer of a rule that reports a capture limit. `packet` is 0 where it is about no packet."""
    hit = ctx.hits[place]
    if packet and (hit.packet == 0 or packet < hit.packet):
        hit.packet = packet
    hit.count += 1


def add_finding(
    rule: int,
    answer: int,
    code: int,
    sender: int,
    packet: int,
    time: int,
    flow: FlowRow,
    me: Side,
    peer: Side,
    ctx: Context,
) -> int:
    """Add a finding; the number of its row, or NONE where it is not reported. `code` is NONE, except for a rule that reports
    once of each host."""
    own = ctx.severities[rule]
    if not own or not flow.wanted or (code >= 0 and is_reported(code, flow.words, sender, flow.family, ctx)):
        return NONE
    severity = answer if answer > 1 else own
    # Another shard may have reported the same of the host: then this one does not count.
    if ctx.shards == 1 or code < 0:
        if not is_kept(rule, severity, ctx):
            return NONE
    elif ctx.crowded:  # one thread will begin again, and there is no room for what is reported once more
        return NONE
    number = ctx.finding_count
    if ctx.shards > 1:
        ctx.moments[number] = ctx.segment * 8 + ctx.phase
        ctx.turns[number] = rule if ctx.phase == JUDGED else ctx.turn
    ctx.finding_count += 1
    found = ctx.findings[number]
    found.rule = rule
    found.answer = answer
    found.sender = sender
    found.flow = flow.index
    found.family = flow.family
    for i in range(8):
        found.words[i] = flow.words[i]
    found.ports[0] = flow.ports[0]
    found.ports[1] = flow.ports[1]
    found.packet = packet
    found.time = time
    found.bases[0] = me.base
    found.bases[1] = peer.base
    return number


def is_kept(rule: int, severity: int, ctx: Context) -> bool:
    """Count a finding, and whether it is kept."""
    kept = ctx.kept[severity] < ctx.max_findings[severity]
    ctx.kept[severity if kept else (rule + 1) * SEVERITIES + severity] += 1
    return kept


def is_reported(code: int, words: list[int], sender: int, family: int, ctx: Context) -> bool:
    """Whether a code was reported of a host. From now on it was. All keys are forgotten when there are too many."""
    at = 4 * sender
    w0, w1, w2, w3 = words[at], words[at + 1], words[at + 2], words[at + 3]
    home = end_hash(ctx.seed, w0, w1, w2, w3, code, family) & ctx.once_mask
    place = home
    while ctx.once_keys[place].used:
        key = ctx.once_keys[place]
        if key.code == code and is_host(key.words, key.family, w0, w1, w2, w3, family):
            return True
        place = (place + 1) & ctx.once_mask
    if ctx.once_count == ctx.max_once:
        for i in range(ctx.once_mask + 1):
            ctx.once_keys[i].used = 0
        ctx.once_count = 0
        ctx.crowded = 1
        place = home
    key = ctx.once_keys[place]
    key.used = 1
    key.code = code
    key.family = family
    for i in range(4):
        key.words[i] = words[at + i]
    ctx.once_count += 1
    return False
