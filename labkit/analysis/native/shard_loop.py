"""What one capture is judged with by several threads, as source for the compiler.

Each thread judges a shard: the conversations whose hash gives its number, with tables of its own. It knows its segments from
lists that decoding has made. Four things concern several conversations:

- their bounds: after a round, `plan_round` says how many conversations each shard has to finish, the oldest of all first;
- initial sequence numbers of a host: shards leave them in lists, and `compare_isns` compares those of a batch in order;
- what a rule reports once of each host, and how many findings are kept: `merge_findings` decides, in the order in which one
  thread would have found them;
- the numbers of conversations: until the end the first segment stands for the number.

So the verdict is the same for any number of threads.
"""

from labkit.analysis.native.context import (
    AHEAD,
    JUDGED,
    NONE,
    OPEN,
    OVER,
    BatchRow,
    Context,
    FindingRow,
    FlowRow,
    IsnRow,
    ShardsRow,
)
from labkit.analysis.native.flow_table import compare_isn, read_ends
from labkit.analysis.native.primitives import behind, fetch, half
from labkit.analysis.native.segment_loop import finish, finish_one, is_kept, is_reported, leave, process
from labkit.analysis.side import Side
from labkit.packet.seen import SHORT_IP, SOUND, Seen


def ask_hosts(seg: Seen, me: Side, peer: Side, flow: FlowRow, side: int, ctx: Context) -> None:
    """Ask the rules about a host's initial sequence numbers."""


def process_shard(batch: BatchRow, ctx: Context) -> int:
    """Verify a shard's segments of a batch, up to `ctx.until`, once the conversations that `plan_round` chose are finished."""
    _leave_round(batch, ctx)
    first = ctx.shard * batch.room
    while ctx.next < batch.shares[ctx.shard]:
        i = batch.own[first + ctx.next]
        if i >= ctx.until:
            break
        _prefetch(first + ctx.next, batch, ctx)
        process(i, batch, batch.moved[0], 1, ctx)
        finish_one(ctx)
        ctx.next += 1
    batch.isn_counts[ctx.shard] = ctx.isn_count
    return 0


def _prefetch(k: int, batch: BatchRow, ctx: Context) -> None:
    """Fetch memory that the shard's next segments need. Beyond its list stand others' segments, which do no harm."""
    far, near, next_ = batch.own[k + AHEAD], batch.own[k + AHEAD // 2], batch.own[k + AHEAD // 4]
    fetch(ctx.buckets, batch.hashes[far] & ctx.bucket_mask)
    slot = ~ctx.buckets[batch.hashes[near] & ctx.bucket_mask]
    if slot >= 0:
        fetch(ctx.flows, slot)
    slot = ~ctx.buckets[batch.hashes[next_] & ctx.bucket_mask]
    if slot >= 0:
        fetch(ctx.sides, 2 * slot)
        fetch(ctx.sides, 2 * slot + 1)
    fetch(batch.octets, batch.places[next_])
    fetch(batch.segments, next_)


def finish_shard(batch: BatchRow, ctx: Context) -> int:
    """Finish the conversations of a shard that are left, after `ctx.until` segments of the capture. `batch` is any batch."""
    _leave_round(batch, ctx)
    ctx.segment = ctx.until + 1
    return finish(ctx)


def _leave_round(batch: BatchRow, ctx: Context) -> None:
    ctx.forgotten += ctx.leave[OPEN]
    for chain in (OVER, OPEN):
        leave(ctx.leave[chain], chain, batch, ctx)
        ctx.leave[chain] = 0


def plan_round(shards: ShardsRow) -> int:
    """Say how many conversations of each chain each shard has to finish, so that the bounds are kept. All shards have judged
    the segments up to `shards.segment`, and wait."""
    whole = shards.contexts[shards.count + 1]
    for chain in (OVER, OPEN):
        most = whole.max_open if chain == OPEN else whole.max_over
        total = 0
        for s in range(shards.count):
            ctx = shards.contexts[s]
            ctx.segment = shards.segment
            ctx.cursor = ctx.first[chain]
            total += ctx.length[chain]
        for _i in range(total - most):
            best, least = NONE, 0
            for s in range(shards.count):
                ctx = shards.contexts[s]
                if ctx.cursor >= 0:
                    placed = ctx.flows[ctx.cursor].placed
                    if best < 0 or placed < least:
                        best, least = s, placed
            ctx = shards.contexts[best]
            ctx.leave[chain] += 1
            ctx.cursor = ctx.flows[ctx.cursor].newer
    return 0


def compare_isns(batch: BatchRow, hosts: Context) -> int:
    """Compare the initial sequence numbers that the shards have found in a batch, in the order of the capture, and put together
    where conversations begin. Returns how many there are."""
    for s in range(batch.shards):
        hosts.cursors[s] = 0
    while True:
        best, least = NONE, batch.count
        for s in range(batch.shards):
            k = hosts.cursors[s]
            if k < batch.isn_counts[s] and batch.isns[s * batch.room + k].at < least:
                best, least = s, batch.isns[s * batch.room + k].at
        if best < 0:
            break
        _compare(batch, batch.isns[best * batch.room + hosts.cursors[best]], hosts)
        hosts.cursors[best] += 1
    return _begun(batch)


def _compare(batch: BatchRow, row: IsnRow, hosts: Context) -> None:
    seg = batch.segments[row.at]
    flow = hosts.flows[0]
    hosts.sides[0] = hosts.blank_sides[0]
    hosts.sides[1] = hosts.blank_sides[1]
    me = hosts.sides[0]
    peer = hosts.sides[1]
    read_ends(behind(batch.octets, batch.places[row.at]), seg, 0, hosts)
    me.has_old, me.base, peer.base = row.has_old, row.bases[0], row.bases[1]
    compare_isn(seg, batch.sources[row.at], hosts, me)
    if seg.fault not in (SOUND, SHORT_IP):
        return
    flow.index, flow.family, flow.wanted = row.flow, seg.addr_len, row.wanted
    for i in range(4):
        flow.words[4 * row.side + i] = hosts.words[i]
        flow.words[4 - 4 * row.side + i] = hosts.words[4 + i]
    flow.ports[row.side] = seg.sport
    flow.ports[1 - row.side] = seg.dport
    hosts.segment = batch.first + row.at + 1
    hosts.phase = JUDGED
    ask_hosts(seg, me, peer, flow, row.side, hosts)


def _begun(batch: BatchRow) -> int:
    """Fill `BatchRow.begun_bits`. How many conversations begin."""
    count = 0
    for k in range((batch.count + 31) // 32):
        bits = 0
        for at in range(32 * k, 32 * k + 32):
            # Most segments begin none: look at four at a time.
            if at & 3 == 0 and half(batch.begun, at):
                for i in range(at, min(at + 4, batch.count)):
                    bits |= batch.begun[i] << (i & 31)
                    count += batch.begun[i]
        batch.begun_bits[k] = bits
    return count


def merge_findings(shards: ShardsRow) -> int:
    """Put the findings of all shards, and those about hosts, into the context of the whole capture, as one thread would have
    found them."""
    whole = shards.contexts[shards.count + 1]
    for s in range(shards.count + 1):
        shards.contexts[s].cursor = 0
    while True:
        best, least, turn = NONE, 0, 0
        for s in range(shards.count + 1):
            ctx = shards.contexts[s]
            if ctx.cursor < ctx.finding_count:
                moment = ctx.moments[ctx.cursor]
                if best < 0 or moment < least or (moment == least and ctx.turns[ctx.cursor] < turn):
                    best, least, turn = s, moment, ctx.turns[ctx.cursor]
        if best < 0:
            break
        ctx = shards.contexts[best]
        _take(ctx.findings[ctx.cursor], whole)
        ctx.cursor += 1
    return 0


def _take(found: FindingRow, whole: Context) -> None:
    code = whole.once_codes[found.rule]
    if code >= 0 and is_reported(code, found.words, found.sender, found.family, whole):
        return
    severity = found.answer if found.answer > 1 else whole.severities[found.rule]
    if is_kept(found.rule, severity, whole):
        whole.findings[whole.finding_count] = found
        whole.finding_count += 1
