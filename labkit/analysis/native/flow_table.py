"""The table of conversations in flat memory, as source for the compiler: the storage of `labkit.analysis.flows.FlowTable`.

The decisions are those of `labkit.analysis.flows`. Rows of conversations are used again. A hash table finds them:
`Context.buckets` has the complement of the first row of each bucket. Two chains order them, the open ones by their beginnings,
and those that are over by their last segments: the first of a chain gives way.
"""

from collections.abc import MutableSequence
from typing import Any

from labkit.analysis.flow_filter import is_chosen
from labkit.analysis.flows import (
    HALF_SEEN,
    MAX_POINTS,
    SAME_POINT,
    End,
    add_segment,
    begins_anew,
    compare_points,
    compares_isn,
    first_isn,
    is_over,
    likely_client,
    next_isn,
    succeed,
)
from labkit.analysis.moved import UNKNOWN
from labkit.analysis.native.context import NONE, OPEN, OVER, BatchRow, Context, FlowRow
from labkit.analysis.native.primitives import fetch
from labkit.analysis.side import Side
from labkit.analysis.unread import WHOLE, end_hash, hash_at, mark_pair, pair_bit
from labkit.packet.decode.layer import u32
from labkit.packet.seen import ABSENT, Seen
from labkit.tcp.flags import ACK


def ends_of(row: Any) -> tuple[End, End]:
    """The two ends of a conversation in memory, as `labkit.analysis.flows.Flow` has them."""
    octets = b"".join(word.to_bytes(4) for word in row.words)
    return (octets[: row.family], row.ports[0]), (octets[16 : 16 + row.family], row.ports[1])


def flow_hash(buf: bytes, seg: Seen, seed: int) -> int:
    """The hash of the segment's two ends, the same for both directions."""
    source = hash_at(buf, seg.src_at, seg.sport, seg.addr_len, seed)
    return source + hash_at(buf, seg.dst_at, seg.dport, seg.addr_len, seed) & WHOLE


def source_hash(buf: bytes, seg: Seen, seed: int) -> int:
    """The hash of the host that sends a SYN, and of its role."""
    return hash_at(buf, seg.src_at, seg.ctl & ACK, seg.addr_len, seed)


def find_flow(buf: bytes, seg: Seen, i: int, batch: BatchRow, ctx: Context) -> int:
    """The row of the segment's side: twice the row of its conversation, which may begin with it, plus its side.

    `i` is the segment's place in the batch.
    """
    read_ends(buf, seg, batch.hashes[i], ctx)
    slot = _find_point(seg, ctx)
    side = 0
    if slot < 0:
        slot = _begin(seg, ctx, -1 - slot)
    elif not _is_end(ctx, 0, ctx.flows[slot], 0):
        side = 1
    if ctx.flows[slot].segments:
        me = ctx.sides[2 * slot + side]
        peer = ctx.sides[2 * slot + 1 - side]
        if begins_anew(seg, me, peer):
            ctx.finished = slot
            take_out(ctx, slot)
            slot = _begin(seg, ctx, ctx.flows[slot].point)
            succeed(seg, ctx.sides[2 * slot], ctx.sides[2 * slot + 1], me, peer)
            side = 0
    flow = ctx.flows[slot]
    if compares_isn(seg, ctx.sides[2 * slot + side], flow.point):
        if ctx.shards > 1:
            ctx.compares = 1
        else:
            compare_isn(seg, batch.sources[i], ctx, ctx.sides[2 * slot + side])
    add_segment(flow, seg, side, ctx.sides[2 * slot], ctx.sides[2 * slot + 1])
    if flow.segments == 1:
        flow.wanted = int(is_chosen(flow.index, flow.family, flow.words, flow.ports, ctx.filter_numbers))
        flow.rank = ctx.reported
        ctx.reported += flow.wanted
    return 2 * slot + side


def read_ends(buf: bytes, seg: Seen, hashed: int, ctx: Context) -> None:
    """Put the ends of a segment, and their hash, into the context."""
    ctx.hash = hashed
    ctx.ports[0] = seg.sport
    ctx.ports[1] = seg.dport
    ctx.words[0] = u32(buf, seg.src_at)
    ctx.words[4] = u32(buf, seg.dst_at)
    if seg.addr_len == 16 or ctx.wide:
        wide = seg.addr_len == 16
        ctx.wide = wide
        for i in range(1, 4):
            ctx.words[i] = u32(buf, seg.src_at + 4 * i) if wide else 0
            ctx.words[4 + i] = u32(buf, seg.dst_at + 4 * i) if wide else 0


def _point_hash(ctx: Context, point: int) -> int:
    """The hash of the segment's ends at a point of capture."""
    return ctx.hash + point * 0x1E3779B97F4A7C15 & WHOLE


def _is_end(ctx: Context, end: int, flow: FlowRow, side: int) -> bool:
    """Whether an end of the segment (0: its source) is that side of the conversation."""
    return (
        ctx.words[4 * end] == flow.words[4 * side]
        and ctx.ports[end] == flow.ports[side]
        and ctx.words[4 * end + 3] == flow.words[4 * side + 3]
        and ctx.words[4 * end + 2] == flow.words[4 * side + 2]
        and ctx.words[4 * end + 1] == flow.words[4 * side + 1]
    )


def _has_ends(seg: Seen, ctx: Context, flow: FlowRow) -> bool:
    return seg.addr_len == flow.family and (
        (_is_end(ctx, 0, flow, 0) and _is_end(ctx, 1, flow, 1))
        or (_is_end(ctx, 0, flow, 1) and _is_end(ctx, 1, flow, 0))
    )


def _look_up(seg: Seen, ctx: Context, point: int) -> int:
    """The row of the conversation between the segment's ends at a point of capture, or NONE."""
    found = _point_hash(ctx, point)
    slot = ~ctx.buckets[found & ctx.bucket_mask]
    while slot >= 0:
        flow = ctx.flows[slot]
        if flow.hash == found and flow.point == point and _has_ends(seg, ctx, flow):
            return slot
        slot = flow.next
    return NONE


def _find_point(seg: Seen, ctx: Context) -> int:
    """The row of the segment's conversation, or -1 - N: it begins a conversation at point N."""
    half = NONE
    slot = NONE
    for point in range(MAX_POINTS):
        slot = _look_up(seg, ctx, point)
        if slot < 0:
            return half if half >= 0 else -1 - point
        flow = ctx.flows[slot]
        side = 0 if _is_end(ctx, 0, flow, 0) else 1
        match = compare_points(seg.point, flow.seen_at[side], flow.seen_at[1 - side])
        if match == SAME_POINT:
            return slot
        if match == HALF_SEEN and half < 0:
            half = slot
    return slot


def _begin(seg: Seen, ctx: Context, point: int) -> int:
    """The row of a new conversation, whose first end is the segment's source."""
    mark_begun(ctx)
    ctx.hosts_bit, ctx.ends_bit = _pair_bit(seg, ctx, 0), _pair_bit(seg, ctx, 1)
    fetch(ctx.pairs, ctx.hosts_bit >> 3)
    fetch(ctx.pairs, ctx.ends_bit >> 3)
    slot = ctx.free_row
    if slot >= 0:
        ctx.free_row = ctx.flows[slot].next
        if ctx.free_row >= 0:  # the next conversation that begins has that row
            fetch(ctx.flows, ctx.free_row)
            fetch(ctx.sides, 2 * ctx.free_row)
            fetch(ctx.sides, 2 * ctx.free_row + 1)
    else:
        slot = ctx.rows_used
        ctx.rows_used += 1
    flow = ctx.flows[slot]
    # Shards cannot count those of the others: there the segment stands for the number.
    flow.index = ctx.segment if ctx.shards > 1 else ctx.flow_count
    ctx.flow_count += 1
    flow.family = seg.addr_len
    for i in range(8):
        flow.words[i] = ctx.words[i]
    for i in range(2):
        flow.ports[i] = ctx.ports[i]
        flow.seen_at[i] = ABSENT
        flow.resent[i] = 0
        flow.states[i] = UNKNOWN
        ctx.sides[2 * slot + i] = ctx.blank_sides[i]
    flow.client = likely_client(seg.sport, seg.dport)
    flow.segments = 0
    flow.point = point
    flow.hash = _point_hash(ctx, point)
    flow.next = ~ctx.buckets[flow.hash & ctx.bucket_mask]
    ctx.buckets[flow.hash & ctx.bucket_mask] = ~slot
    _append(ctx, slot, OPEN)
    return slot


def mark_begun(ctx: Context) -> None:
    """Remember the ends of the conversation that began last. Where they stand in the table was fetched then."""
    if ctx.hosts_bit >= 0:
        mark_pair(ctx.pairs, ctx.hosts_bit)
        mark_pair(ctx.pairs, ctx.ends_bit)


def fetch_next(ctx: Context, slot: int) -> None:
    """Fetch the memory of the conversations that are finished next, from `slot` on: they have lain there for the longest time.
    Each step follows an address that a step before, for a conversation before, has brought."""
    slot = _newer(ctx, slot)
    if slot >= 0:
        head = ~ctx.buckets[ctx.flows[slot].hash & ctx.bucket_mask]
        if head >= 0:
            fetch(ctx.flows, head)
    slot = _newer(ctx, _newer(ctx, slot))
    if slot >= 0:
        fetch(ctx.buckets, ctx.flows[slot].hash & ctx.bucket_mask)
    slot = _newer(ctx, _newer(ctx, slot))
    if slot >= 0:
        fetch(ctx.sides, 2 * slot)
        fetch(ctx.sides, 2 * slot + 1)
        slot = _newer(ctx, slot)
        if slot >= 0:
            fetch(ctx.flows, slot)


def _newer(ctx: Context, slot: int) -> int:
    return ctx.flows[slot].newer if slot >= 0 else NONE


def _pair_bit(seg: Seen, ctx: Context, seed: int) -> int:
    """The place of the segment's ends in the table of pairs, as in `labkit.analysis.unread.mark_ends`: 1 with their ports, 0
    without."""
    w0, w1, w2, w3 = ctx.words[0], ctx.words[1], ctx.words[2], ctx.words[3]
    one = end_hash(seed, w0, w1, w2, w3, seg.sport * seed, seg.addr_len)
    w0, w1, w2, w3 = ctx.words[4], ctx.words[5], ctx.words[6], ctx.words[7]
    return pair_bit(one, end_hash(seed, w0, w1, w2, w3, seg.dport * seed, seg.addr_len))


def take_out(ctx: Context, slot: int) -> None:
    """Take a conversation out of the table. Its row stays as it is until `give_back`."""
    _unlink(ctx.buckets, ctx.flows, ctx.flows[slot].hash & ctx.bucket_mask, slot)
    _unchain(ctx, slot)


def give_back(ctx: Context, slot: int) -> None:
    """Let the row of a finished conversation be used again."""
    ctx.flows[slot].next = ctx.free_row
    ctx.free_row = slot


def _unlink(buckets: MutableSequence[int], rows: "MutableSequence[Any]", bucket: int, slot: int) -> None:
    """Take a row out of its bucket."""
    before = ~buckets[bucket]
    if before == slot:
        buckets[bucket] = ~rows[slot].next
        return
    while rows[before].next != slot:
        before = rows[before].next
    rows[before].next = rows[slot].next


def _append(ctx: Context, slot: int, chain: int) -> None:
    """Put a row at the end of a chain."""
    flow = ctx.flows[slot]
    flow.chain = chain
    flow.placed = ctx.segment
    flow.older = ctx.last[chain]
    flow.newer = NONE
    if flow.older >= 0:
        ctx.flows[flow.older].newer = slot
    else:
        ctx.first[chain] = slot
    ctx.last[chain] = slot
    ctx.length[chain] += 1


def _unchain(ctx: Context, slot: int) -> None:
    """Take a row out of its chain."""
    flow = ctx.flows[slot]
    if flow.older >= 0:
        ctx.flows[flow.older].newer = flow.newer
    else:
        ctx.first[flow.chain] = flow.newer
    if flow.newer >= 0:
        ctx.flows[flow.newer].older = flow.older
    else:
        ctx.last[flow.chain] = flow.older
    ctx.length[flow.chain] -= 1


def retire(ctx: Context, slot: int) -> None:
    """Move a conversation that is over to the end of the chain of those that are over."""
    if not is_over(ctx.sides[2 * slot], ctx.sides[2 * slot + 1]):
        return
    if slot == ctx.last[OVER]:
        ctx.flows[slot].placed = ctx.segment
    else:
        _unchain(ctx, slot)
        _append(ctx, slot, OVER)


def compare_isn(seg: Seen, hashed: int, ctx: Context, me: Side) -> None:
    """Compare the ISN with those of the same host. The host that was remembered first gives way. `hashed` is the segment's
    `source_hash`."""
    role = seg.ctl & ACK
    w0, w1, w2, w3 = ctx.words[0], ctx.words[1], ctx.words[2], ctx.words[3]
    bucket = hashed & ctx.host_mask
    slot = ~ctx.host_buckets[bucket]
    while slot >= 0:
        host = ctx.hosts[slot]
        known = host.hash == hashed and host.role == role
        if known and is_host(host.words, host.family, w0, w1, w2, w3, seg.addr_len):
            next_isn(seg, me, host)
            return
        slot = host.next
    slot = ctx.hosts_used % ctx.max_hosts
    host = ctx.hosts[slot]
    if ctx.hosts_used >= ctx.max_hosts:
        _unlink(ctx.host_buckets, ctx.hosts, host.hash & ctx.host_mask, slot)
    ctx.hosts_used += 1
    host.role = role
    host.hash = hashed
    host.family = seg.addr_len
    for i in range(4):
        host.words[i] = ctx.words[i]
    first_isn(seg, me, host)
    host.next = ~ctx.host_buckets[bucket]
    ctx.host_buckets[bucket] = ~slot


def is_host(words: list[int], family: int, w0: int, w1: int, w2: int, w3: int, octets: int) -> bool:
    """Whether a row's address is that one."""
    return words[0] == w0 and words[3] == w3 and words[2] == w2 and words[1] == w1 and family == octets
