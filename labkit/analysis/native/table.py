"""The conversations of a capture in flat memory: what `labkit.analysis.flows.FlowTable` is to the interpreter.

Written as the rules are, in integers and fields, to be translated and compiled. Conversations stand in rows that are used
again; `heads` leads from a hash to the first row of a chain; `older` and `newer` chain the open ones in the order in which
they began, and those that are over in the order of their last segments, so that the first of a chain can give way.
"""

from dataclasses import dataclass
from os import urandom
from typing import Any

from labkit.analysis.flow_filter import FlowFilter
from labkit.analysis.flows import POINTS, End, asking, begins_anew, inherit, is_over, remember_syn
from labkit.analysis.native.records import Rows
from labkit.analysis.side import Side
from labkit.packet.seen import ABSENT, Seen
from labkit.tcp.segment import ACK, RST, SYN
from labkit.tcp.seq import diff

NONE = -1
"""No row."""

NETWORK = 9
"""Numbers of a network that is wanted."""

WHOLE = 0x3FFF_FFFF_FFFF_FFFF
"""The bits of a hash."""


@dataclass(slots=True)
class Conversation:
    """A row of the table: `labkit.analysis.flows.Flow`, without its sides. They stand in the rows 2 * row and 2 * row + 1 of theirs."""

    index: int = 0
    hash: int = 0
    next: int = NONE
    """The next row with the same hash."""
    older: int = NONE
    newer: int = NONE
    wanted: int = 0
    """1 where it is reported."""
    over: int = 0
    """1 where it is in the chain of those that are over."""
    family: int = 0
    """Octets of an address."""
    # The ends: addresses as four numbers of 32 bits. The first end has sent the first segment.
    a0: int = 0
    a1: int = 0
    a2: int = 0
    a3: int = 0
    a_port: int = 0
    b0: int = 0
    b1: int = 0
    b2: int = 0
    b3: int = 0
    b_port: int = 0
    client: int = 0
    segments: int = 0
    point: int = 0
    a_seen_at: int = ABSENT
    b_seen_at: int = ABSENT
    a_resent: int = 0
    b_resent: int = 0
    a_piece: int = 0
    """The serial number of the last piece of payload that is remembered of the side, from 1; 0 where there is none."""
    b_piece: int = 0


@dataclass(slots=True)
class Host:
    """What is remembered of a host's initial sequence numbers, as a client or as a server."""

    role: int = 0
    family: int = 0
    w0: int = 0
    w1: int = 0
    w2: int = 0
    w3: int = 0
    last: int = 0
    step: int = 0
    count: int = 0
    next: int = NONE


@dataclass(slots=True)
class State:
    """All numbers that are no rows."""

    count: int = 0
    """Conversations so far."""
    open: int = 0
    most: int = 0
    ended: int = 0
    """Conversations that are over, and remembered."""
    most_ended: int = 0
    rows: int = 0
    """Rows that were ever used."""
    free: int = NONE
    oldest: int = NONE
    newest: int = NONE
    quietest: int = NONE
    """Of those that are over the one that has been silent for longest."""
    latest: int = NONE
    mask: int = 0
    """Of the hash, for `heads`."""
    forgotten: int = 0
    """Conversations that had to give way."""
    over_a: int = NONE
    over_b: int = NONE
    over_c: int = NONE
    """Rows of conversations that were taken out, and must be finished in this order: the one that a new one takes the place
    of, the one that gives way to it, and the one that gives way to another that is over."""

    doubts: int = 0
    """Rows beside sides that were ever used (`labkit.analysis.native.records`)."""
    doubts_free: int = NONE
    doubts_at: int = 0
    """Their address."""

    hosts: int = 0
    """Hosts that were ever remembered; `most_hosts` of them are at a time."""
    most_hosts: int = 0
    hosts_mask: int = 0

    seed: int = 0
    """Of what is hashed here."""

    # The segment that is being looked up.
    hash: int = 0
    s0: int = 0
    s1: int = 0
    s2: int = 0
    s3: int = 0
    d0: int = 0
    d1: int = 0
    d2: int = 0
    d3: int = 0

    # What was found.
    segments: int = 0
    events: int = 0
    most_kept: int = 0
    """Findings of one severity that are kept."""
    lacking: int = 0
    """Gaps that were acknowledged."""
    again: int = 0
    """Conversations that stand in the capture again, from another interface."""
    reported: int = 0
    """Conversations that are wanted."""
    described: int = 0
    describable: int = 0

    said: int = 0
    """Codes and hosts of which something was said."""
    said_most: int = 0
    said_mask: int = 0

    # The payload that is remembered.
    pieces: int = 0
    """Pieces so far: the serial number of the last one."""
    octets: int = 0
    """Octets so far."""


def ends(row: Any) -> tuple[End, End]:
    """The two ends of a conversation, as `labkit.analysis.flows.Flow` has them, of its columns in a row of this table or another one."""
    found = []
    for end in "ab":
        words = b"".join(getattr(row, f"{end}{number}").to_bytes(4) for number in range(4))
        found.append((words[: row.family], getattr(row, f"{end}_port")))
    return found[0], found[1]


def seed() -> int:
    """A number to hash with, another one each time: what is found does not depend on it, how long it takes could."""
    return int.from_bytes(urandom(7))


def word(buf: bytes, at: int) -> int:
    """Four octets as a number."""
    return buf[at] * 0x1000000 + buf[at + 1] * 0x10000 + buf[at + 2] * 0x100 + buf[at + 3]


def find(
    buf: bytes,
    seg: Seen,
    hashed: int,
    t: State,
    rows: Rows[Conversation],
    sides: Rows[Side],
    heads: list[int],
    hosts: Rows[Host],
    host_heads: list[int],
) -> int:
    """The row of the segment's conversation times two, plus the side that sent it. A new one begins where it opens one.
    `hashed` is its `flow_hash`."""
    _read_ends(buf, seg, t)
    t.hash = hashed
    slot = _at_point(seg, t, rows, heads)
    side = 0
    if slot < 0:
        slot = _begin(seg, t, rows, sides, heads, -1 - slot)
    elif not _is_first(seg, t, rows[slot]):
        side = 1
    flow = rows[slot]
    if seg.ctl & SYN and flow.segments:
        me = sides[2 * slot + side]
        peer = sides[2 * slot + 1 - side]
        if begins_anew(seg, me, peer):
            t.over_a = slot
            _take_out(t, rows, heads, slot)
            slot = _begin(seg, t, rows, sides, heads, flow.point)
            inherit(sides[2 * slot], me, peer, seg.time)
            inherit(sides[2 * slot + 1], peer, me, seg.time)
            if seg.ctl & ACK and peer.has_resyn:
                remember_syn(sides[2 * slot + 1], peer.resyn, peer.resyn_packet)
            side = 0
    flow = rows[slot]
    flow.segments += 1
    if side:
        flow.b_seen_at = seg.point
    else:
        flow.a_seen_at = seg.point
    if seg.ctl & SYN and flow.point == 0:
        _compare(seg, t, hosts, host_heads, sides[2 * slot + side])
    if seg.ctl & SYN and sides[2 * slot].syn == 0 and sides[2 * slot + 1].syn == 0:
        flow.client = 1 - side if seg.ctl & ACK else side
    return 2 * slot + side


def _read_ends(buf: bytes, seg: Seen, t: State) -> None:
    """The addresses, as numbers."""
    source = seg.src_at
    target = seg.dst_at
    t.s0 = word(buf, source)
    t.d0 = word(buf, target)
    if seg.addr_len == 4:
        t.s1 = t.s2 = t.s3 = t.d1 = t.d2 = t.d3 = 0
        return
    t.s1 = word(buf, source + 4)
    t.s2 = word(buf, source + 8)
    t.s3 = word(buf, source + 12)
    t.d1 = word(buf, target + 4)
    t.d2 = word(buf, target + 8)
    t.d3 = word(buf, target + 12)


def mixed(number: int) -> int:
    """The number with its bits mixed (the finaliser of splitmix64, over 62 bits)."""
    number = (number ^ number >> 30) * 0x3F58476D1CE4E5B9 & WHOLE
    number = (number ^ number >> 27) * 0x14D049BB133111EB & WHOLE
    return number ^ number >> 31


def end_hash(seed: int, w0: int, w1: int, w2: int, w3: int, port: int, octets: int) -> int:
    """A number for an address of so many octets and a port. Who does not know the seed cannot find ends with the same one."""
    number = mixed(seed + w0 * 0x10000 + port)
    if octets == 16:
        number = mixed(mixed(mixed(number ^ w1) ^ w2) ^ w3)
    return number


def flow_hash(buf: bytes, seg: Seen, seed: int) -> int:
    """A number for the segment's two ends, the same for both directions."""
    source = seg.src_at
    target = seg.dst_at
    if seg.addr_len == 4:
        one = end_hash(seed, word(buf, source), 0, 0, 0, seg.sport, 4)
        return one + end_hash(seed, word(buf, target), 0, 0, 0, seg.dport, 4) & WHOLE
    one = end_hash(
        seed,
        word(buf, source),
        word(buf, source + 4),
        word(buf, source + 8),
        word(buf, source + 12),
        seg.sport,
        16,
    )
    other = end_hash(
        seed,
        word(buf, target),
        word(buf, target + 4),
        word(buf, target + 8),
        word(buf, target + 12),
        seg.dport,
        16,
    )
    return one + other & WHOLE


def _hash(t: State, point: int) -> int:
    """That of the segment that is being looked up, at one point of capture."""
    return t.hash + point * 0x1E3779B97F4A7C15 & WHOLE


def _is_first(seg: Seen, t: State, row: Conversation) -> bool:
    """Whether the segment was sent by the conversation's first end."""
    return t.s0 == row.a0 and seg.sport == row.a_port and t.s3 == row.a3 and t.s2 == row.a2 and t.s1 == row.a1


def _is_between(seg: Seen, t: State, row: Conversation) -> bool:
    """Whether the conversation is between the segment's two ends."""
    if seg.addr_len != row.family:
        return False
    if _is_first(seg, t, row) and (
        t.d0 == row.b0 and seg.dport == row.b_port and t.d3 == row.b3 and t.d2 == row.b2 and t.d1 == row.b1
    ):
        return True
    return (
        t.s0 == row.b0
        and seg.sport == row.b_port
        and t.s3 == row.b3
        and t.s2 == row.b2
        and t.s1 == row.b1
        and t.d0 == row.a0
        and seg.dport == row.a_port
        and t.d3 == row.a3
        and t.d2 == row.a2
        and t.d1 == row.a1
    )


def _look_up(seg: Seen, t: State, rows: Rows[Conversation], heads: list[int], point: int) -> int:
    """The row of the conversation at one point of capture; NONE where there is none."""
    found = _hash(t, point)
    slot = heads[found & t.mask]
    while slot >= 0:
        row = rows[slot]
        if row.hash == found and row.point == point and _is_between(seg, t, row):
            return slot
        slot = row.next
    return NONE


def _at_point(seg: Seen, t: State, rows: Rows[Conversation], heads: list[int]) -> int:
    """The row of the segment's conversation; -1 - N where none is there, and one at point N begins."""
    half = NONE
    last = NONE
    for number in range(POINTS):
        slot = _look_up(seg, t, rows, heads, number)
        if slot < 0:
            return half if half >= 0 else -1 - number
        row = rows[slot]
        first = _is_first(seg, t, row)
        mine = row.a_seen_at if first else row.b_seen_at
        other = row.b_seen_at if first else row.a_seen_at
        if mine == seg.point or (mine == ABSENT and other == seg.point):
            return slot
        if mine == ABSENT and half < 0:
            half = slot
        last = slot
    return last


def _begin(seg: Seen, t: State, rows: Rows[Conversation], sides: Rows[Side], heads: list[int], point: int) -> int:
    """The row of a new conversation, whose first end is the segment's sender."""
    if t.open >= t.most:
        t.over_b = t.oldest
        t.forgotten += 1
        _take_out(t, rows, heads, t.oldest)
    slot = t.free
    if slot >= 0:
        t.free = rows[slot].next
    else:
        slot = t.rows
        t.rows += 1
    row = rows[slot]
    row.index = t.count
    t.count += 1
    row.family = seg.addr_len
    row.a0, row.a1, row.a2, row.a3, row.a_port = t.s0, t.s1, t.s2, t.s3, seg.sport
    row.b0, row.b1, row.b2, row.b3, row.b_port = t.d0, t.d1, t.d2, t.d3, seg.dport
    row.client = asking(seg.sport, seg.dport)
    row.segments = row.a_resent = row.b_resent = row.a_piece = row.b_piece = 0
    row.point = point
    row.a_seen_at = row.b_seen_at = ABSENT
    row.hash = _hash(t, point)
    row.next = heads[row.hash & t.mask]
    heads[row.hash & t.mask] = slot
    row.over = 0
    _append(t, rows, slot)
    clear(sides[2 * slot], 0, t)
    clear(sides[2 * slot + 1], 1, t)
    return slot


def clear(side: Side, spare: int, t: State) -> None:
    """Make a side what `Side()` is: written by the builder of the kernels, from the dataclass."""


def is_wanted(row: Conversation, chosen: list[int]) -> bool:
    """What `labkit.analysis.flow_filter.FlowFilter` answers, whose numbers `chosen` are: see `numbers_of`."""
    flows = chosen[0]
    found = flows == 0
    for i in range(flows):
        found = found or chosen[1 + i] == row.index
    at = 1 + flows
    if not found:
        return False
    hosts = chosen[at]
    found = hosts == 0
    for i in range(hosts):
        found = found or _is_in(row, chosen, at + 1 + i * NETWORK)
    at += 1 + hosts * NETWORK
    if not found:
        return False
    ports = chosen[at]
    found = ports == 0
    for i in range(ports):
        found = found or row.a_port == chosen[at + 1 + i] or row.b_port == chosen[at + 1 + i]
    return found


def _is_in(row: Conversation, chosen: list[int], at: int) -> bool:
    """Whether one end is in the network whose numbers begin there."""
    if row.family != chosen[at]:
        return False
    m0, m1, m2, m3 = chosen[at + 5], chosen[at + 6], chosen[at + 7], chosen[at + 8]
    w0, w1, w2, w3 = chosen[at + 1], chosen[at + 2], chosen[at + 3], chosen[at + 4]
    if row.a0 & m0 == w0 and row.a1 & m1 == w1 and row.a2 & m2 == w2 and row.a3 & m3 == w3:
        return True
    return row.b0 & m0 == w0 and row.b1 & m1 == w1 and row.b2 & m2 == w2 and row.b3 & m3 == w3


def numbers_of(wanted: FlowFilter) -> list[int]:
    """How many conversations, and their numbers; how many networks, and for each NETWORK numbers: octets of an address, those
    of the network as four words, and those of its mask; how many ports, and their numbers."""
    numbers = [len(wanted.flows), *wanted.flows, len(wanted.hosts)]
    for host in wanted.hosts:
        octets = len(host.network_address.packed)
        for address in (host.network_address, host.netmask):
            words = [int.from_bytes(address.packed[at : at + 4]) for at in range(0, octets, 4)]
            numbers += [*([octets] if address is host.network_address else []), *words, *[0] * (4 - len(words))]
    # No conversation has a number that 64 bits do not hold; cut down to these, it could be another's.
    return [max(NONE, min(each, WHOLE)) for each in (*numbers, len(wanted.ports), *wanted.ports)]


def _take_out(t: State, rows: Rows[Conversation], heads: list[int], slot: int) -> None:
    """Take a conversation out of the table. Its row stays as it is until it is given back."""
    row = rows[slot]
    place = row.hash & t.mask
    if heads[place] == slot:
        heads[place] = row.next
    else:
        before = heads[place]
        while rows[before].next != slot:
            before = rows[before].next
        rows[before].next = row.next
    _unchain(t, rows, slot)


def _append(t: State, rows: Rows[Conversation], slot: int) -> None:
    """Put a row at the end of its chain."""
    row = rows[slot]
    row.newer = NONE
    if row.over:
        row.older = t.latest
        t.latest = slot
        t.ended += 1
        if row.older < 0:
            t.quietest = slot
    else:
        row.older = t.newest
        t.newest = slot
        t.open += 1
        if row.older < 0:
            t.oldest = slot
    if row.older >= 0:
        rows[row.older].newer = slot


def _unchain(t: State, rows: Rows[Conversation], slot: int) -> None:
    """Take a row out of its chain."""
    row = rows[slot]
    if row.older >= 0:
        rows[row.older].newer = row.newer
    elif row.over:
        t.quietest = row.newer
    else:
        t.oldest = row.newer
    if row.newer >= 0:
        rows[row.newer].older = row.older
    elif row.over:
        t.latest = row.older
    else:
        t.newest = row.older
    if row.over:
        t.ended -= 1
    else:
        t.open -= 1


def retire(t: State, rows: Rows[Conversation], sides: Rows[Side], heads: list[int], slot: int) -> None:
    """After a segment of a conversation was added to what is known: whether it is over now."""
    if not is_over(sides[2 * slot], sides[2 * slot + 1]):
        return
    if slot != t.latest:
        _unchain(t, rows, slot)
        rows[slot].over = 1
        _append(t, rows, slot)
    if t.ended > t.most_ended:
        t.over_c = t.quietest
        _take_out(t, rows, heads, t.quietest)


def give_back(t: State, rows: Rows[Conversation], slot: int) -> None:
    """The row of a conversation that was taken out, and finished, may be used again."""
    rows[slot].next = t.free
    t.free = slot


def _compare(seg: Seen, t: State, hosts: Rows[Host], heads: list[int], me: Side) -> None:
    """What this host's ISNs were before, as a client or as a server."""
    if me.syn or seg.ctl & RST:
        return
    role = seg.ctl & ACK
    place = end_hash(t.seed, t.s0, t.s1, t.s2, t.s3, role, seg.addr_len) & t.hosts_mask
    slot = heads[place]
    while slot >= 0:
        host = hosts[slot]
        if (
            host.w0 == t.s0
            and host.w1 == t.s1
            and host.w2 == t.s2
            and host.w3 == t.s3
            and host.role == role
            and host.family == seg.addr_len
        ):
            me.host_isn, me.host_step, me.host_isns = host.last, host.step, host.count
            host.step = diff(seg.seq, host.last)
            host.last = seg.seq
            host.count += 1
            return
        slot = host.next
    slot = t.hosts % t.most_hosts
    if t.hosts >= t.most_hosts:
        _forget_host(t, hosts, heads, slot)
    t.hosts += 1
    host = hosts[slot]
    host.role, host.family = role, seg.addr_len
    host.w0, host.w1, host.w2, host.w3 = t.s0, t.s1, t.s2, t.s3
    host.last, host.step, host.count = seg.seq, 0, 1
    host.next = heads[place]
    heads[place] = slot


def _forget_host(t: State, hosts: Rows[Host], heads: list[int], slot: int) -> None:
    """Take the host that was remembered first out of its chain."""
    host = hosts[slot]
    place = end_hash(t.seed, host.w0, host.w1, host.w2, host.w3, host.role, host.family) & t.hosts_mask
    if heads[place] == slot:
        heads[place] = host.next
        return
    before = heads[place]
    while hosts[before].next != slot:
        before = hosts[before].next
    hosts[before].next = host.next
