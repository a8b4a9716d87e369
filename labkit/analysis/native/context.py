"""The memory of the compiled engine: its tables as dataclasses of integers, and `Context`, which has their addresses.

`labkit.analysis.native.records` lays the dataclasses out in memory.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from os import urandom

from labkit.analysis.findings import MAX_NUMBERS
from labkit.analysis.flows import HostIsns, no_points
from labkit.analysis.moved import Ends, Moved
from labkit.analysis.native.records import ColdRow, Pointer, SideRow
from labkit.analysis.payload import Piece
from labkit.analysis.pending import Resolved
from labkit.analysis.severity import Severity
from labkit.analysis.unread import MAX_ROWS
from labkit.packet.seen import I16, I32, U8, U16, U32, Seen

NONE = -1
"""No row."""

SEVERITIES = max(Severity) + 1
"""Counters for each rule, by severity."""

OPEN, OVER = 0, 1
"""The two chains of conversations, and the columns of their ends in `Context`."""

MAX_SHARDS = 8
"""Threads that judge one capture at most: more would wait for the one that reads."""

EARLIER, JUDGED, DISPLACED, LEFT_OVER, LEFT_OPEN = range(5)
"""What a shard is doing (`Context.phase`), in the order in which one thread would do it at a segment: rules about the frame and
about earlier segments; about this one; about the conversation before on its four-tuple; about conversations that are finished at
the end of a round, first those that were over."""


AHEAD = 24
"""How many segments ahead the memory of a conversation is fetched: about as long as memory takes to answer."""

SPARE_ROWS = 2
"""The cold rows of `Context.blank_sides`. Behind them stands one of which nothing is known."""

EVERY_FLOW = 0, 0, 0
"""The numbers of a `labkit.analysis.flow_filter.FlowFilter` that selects every conversation."""


def new_seed() -> int:
    """A secret number for hashes. Results do not depend on it; without it a capture could be made to fill one bucket."""
    return int.from_bytes(urandom(7))


def zeros(count: int) -> Callable[[], list[int]]:
    """Makes a column of so many integers."""
    return lambda: [0] * count


@dataclass(init=False, eq=False, repr=False)
class IsnRow:
    """An initial sequence number that a shard leaves to whoever compares those of a host."""

    flow: int = 0
    at: U32 = 0
    """The segment's place in the batch."""
    bases: list[U32] = field(default_factory=zeros(2))
    side: U8 = 0
    wanted: U8 = 0
    has_old: U8 = 0


@dataclass(init=False, eq=False, repr=False)
class BatchRow:
    """Consecutive segments of a capture, the octets that hold them, and what the decode loop needs to find them."""

    octets: Pointer[U8]
    segments: Pointer[Seen]
    moved: Pointer[Moved]
    """What segments have moved, if `shows` is set."""
    ended: Pointer[int]
    """The numbers of conversations that were finished because there were too many, if `shows` is set."""
    places: Pointer[int]
    """For each segment the position in `octets` from which its own positions count: of its frame, or of its datagram."""
    hashes: Pointer[int]
    """For each segment its `labkit.analysis.native.flow_table.flow_hash`."""
    sources: Pointer[int]
    """For each segment that is not usual, as no SYN is, its `labkit.analysis.native.flow_table.source_hash`."""
    octets_before: Pointer[int]
    """For each segment the octets of payload in the batch before it."""
    usual: Pointer[U8]
    """For each segment whether it is usual (`labkit.analysis.native.segment_loop.is_usual`)."""
    own: Pointer[I32]
    """For each shard, in rows of `room`, its segments' places in this batch."""
    isns: Pointer[IsnRow]
    """For each shard, in rows of `room`, the initial sequence numbers that it has found."""
    begun: Pointer[U8]
    """For each segment, where there are shards, whether a conversation begins with it."""
    begun_bits: Pointer[U32]
    """The same in bits."""
    formats: Pointer[int]
    """The numbers of a `labkit.analysis.native.record_table.RecordTable`."""
    shows: int = 0
    """1: fill `moved`."""
    shown: int = 0
    """Rows of `moved`."""
    ended_count: int = 0
    count: int = 0
    """Segments."""
    room: int = 0
    at: int = 0
    """Position of the next record."""
    end: int = 0
    """End of the octets that were read."""
    packets: int = 0
    """Frames of the capture up to the end of this batch."""
    first: int = 0
    """Segments of the capture before this batch."""
    payload: int = 0
    """Octets of payload in this batch."""
    payload_before: int = 0
    """Octets of payload in the capture before this batch."""
    start: int = 0
    """The time of the capture's first frame."""
    fragment_at: int = 0
    """Position of the frame that the decode loop stopped at, because it holds a fragment."""
    seed: int = 0
    """Secret number for the hashes."""
    shards: int = 1
    shares: list[int] = field(default_factory=zeros(MAX_SHARDS))
    """By shard the number of its segments, if there are several shards."""
    isn_counts: list[int] = field(default_factory=zeros(MAX_SHARDS))
    unread_used: int = 0
    """Rows of the frames that were not read (`labkit.analysis.unread.count_unread`)."""
    unread_keys: list[int] = field(default_factory=zeros(MAX_ROWS))
    unread_counts: list[int] = field(default_factory=zeros(MAX_ROWS))
    unread_firsts: list[int] = field(default_factory=zeros(MAX_ROWS))


@dataclass(init=False, eq=False, repr=False)
class FlowRow(Ends):
    """A conversation: `labkit.analysis.flows.Flow` without its sides, which are the rows 2 * slot and 2 * slot + 1 of theirs."""

    index: int = 0
    hash: int = 0
    next: I32 = NONE
    """The next row in the same bucket, or the next free row."""
    older: I32 = NONE
    newer: I32 = NONE
    placed: U32 = 0
    """The segment at which it was put at the end of its chain."""
    chain: U8 = OPEN
    """The chain that the row is in."""
    wanted: U8 = 0
    """1: its findings are reported."""
    rank: U32 = 0
    """Reported conversations that began before it."""
    family: U8 = 0
    """Octets of an address."""
    words: list[U32] = field(default_factory=zeros(8))
    """Both addresses, four numbers each; the first end is the sender of the first segment."""
    ports: list[U16] = field(default_factory=zeros(2))
    client: U8 = 0
    segments: U32 = 0
    point: I32 = 0
    seen_at: list[I32] = field(default_factory=no_points)
    resent: list[U32] = field(default_factory=zeros(2))
    """Findings of retransmission rules, by side."""


@dataclass(init=False, eq=False, repr=False)
class HostRow(HostIsns):
    """The initial sequence numbers of a host, and its key: address, and 0 as a client or ACK as a server."""

    role: int = 0
    hash: int = 0
    family: U8 = 0
    words: list[U32] = field(default_factory=zeros(4))
    next: I32 = NONE


@dataclass(init=False, eq=False, repr=False)
class OnceKey:
    """A rule's code that was reported once of a host."""

    used: int = 0
    code: int = 0
    family: U8 = 0
    words: list[U32] = field(default_factory=zeros(4))


@dataclass(init=False, eq=False, repr=False)
class FindingRow:
    """What a rule has found: all that its message needs."""

    rule: I16 = 0
    """Its position in the catalogue."""
    answer: I16 = 0
    """What its predicate answered."""
    sender: U8 = 0
    """The side whose segment it is about."""
    field_name: U8 = 0
    """The field's name, for a rule that chooses among several: a position in `labkit.analysis.native.kernels.words`."""
    flow: U32 = 0
    family: U8 = 0
    words: list[U32] = field(default_factory=zeros(8))
    ports: list[U16] = field(default_factory=zeros(2))
    packet: U32 = 0
    """0 for a finding about the whole conversation."""
    time: int = 0
    bases: list[U32] = field(default_factory=zeros(2))
    """The numbers that are shown as 0: of the side that the rule was asked about, and of the other one."""
    expected: int = 0
    actual: int = 0
    values: list[int] = field(default_factory=zeros(MAX_NUMBERS))
    """The numbers that the message shows (`Rule.numbers`)."""


@dataclass(init=False, eq=False, repr=False)
class HitCount:
    """How often a rule's predicate gave one of its answers, and the first packet."""

    count: int = 0
    packet: int = 0


@dataclass(init=False, eq=False, repr=False)
class Context:
    """Addresses of the tables, counters, and the segment that is being looked up: of one thread."""

    flows: Pointer[FlowRow]
    sides: Pointer[SideRow]
    cold_rows: Pointer[ColdRow]
    cold_free: Pointer[I32]
    """A stack of cold rows that were given back."""
    blank_sides: Pointer[SideRow]
    """A first and a second side of which nothing is known. Their cold rows serve all sides that need none of their own."""
    blank_segment: Pointer[Seen]
    resolved: Pointer[Resolved]
    """One row: the segment that the rules of scope PENDING judge."""
    buckets: Pointer[I32]
    """The complement of the first row of each bucket of the hash table of conversations: 0, as memory is given, means none."""
    hosts: Pointer[HostRow]
    host_buckets: Pointer[I32]
    once_keys: Pointer[OnceKey]
    findings: Pointer[FindingRow]
    moments: Pointer[int]
    turns: Pointer[U32]
    """By what shards' findings are put in order: the segment at which each was found and the phase, and then its turn."""
    once_codes: Pointer[I32]
    """By rule the number of its code, if it reports once of each host; NONE for another rule."""
    order: Pointer[U32]
    """The places of the findings in the order of a verdict (`labkit.analysis.native.order`)."""
    spare: Pointer[U32]
    grades: Pointer[I32]
    """Of each finding: its rule, times SEVERITIES, plus its severity."""
    asked: Pointer[U8]
    ranks: Pointer[I32]
    """Each rule's place in the order of codes."""
    depends: Pointer[U8]
    counts: Pointer[int]
    """By grade the findings that the verdict has."""
    hits: Pointer[HitCount]
    severities: Pointer[U8]
    """Each rule's severity in the profile; 0: the rule is not reported."""
    kept: Pointer[int]
    """By severity the findings that are kept; then for each rule, by severity, those that are only counted."""
    pieces: Pointer[Piece]
    ring: Pointer[U8]
    described: Pointer[FlowRow]
    """The first reported conversations, once they are finished."""
    described_sides: Pointer[SideRow]
    pairs: Pointer[U8]
    """The table of `labkit.analysis.unread.mark_pair`."""
    filter_numbers: Pointer[int]
    """`labkit.analysis.flow_filter.FlowFilter.numbers`."""

    # Conversations.
    hosts_bit: int = NONE
    ends_bit: int = NONE
    """The places in the table of pairs of the conversation that began last, which are not marked yet."""
    flow_count: int = 0
    """Conversations so far."""
    forgotten: int = 0
    """Open conversations that gave way to others."""
    max_open: int = 0
    max_over: int = 0
    first: list[int] = field(default_factory=lambda: [NONE, NONE])
    """The first row of each chain: the oldest open conversation, and the one that is over and has been silent for longest."""
    last: list[int] = field(default_factory=lambda: [NONE, NONE])
    length: list[int] = field(default_factory=zeros(2))
    rows_used: int = 0
    free_row: int = NONE
    bucket_mask: int = 0
    finished: int = NONE
    """The row that the last segment took out of the table, because it begins the next connection on that four-tuple."""
    every: int = 0
    """Segments from one look at the bounds to the next."""
    left: int = 0
    """Segments up to the next look."""

    # Cold rows.
    cold_used: int = 0
    cold_free_count: int = 0
    cold_at: int = 0
    """The address of the first cold row."""
    cold_size: int = 0
    """Octets of a cold row."""

    # Hosts.
    hosts_used: int = 0
    max_hosts: int = 0
    host_mask: int = 0
    once_count: int = 0
    max_once: int = 0
    once_mask: int = 0

    # Hashing, and the ends of the segment that is being looked up: its source, then its destination.
    seed: int = 0
    hash: int = 0
    words: list[int] = field(default_factory=zeros(8))
    wide: int = 0
    """1: `words` are those of IPv6 addresses. Those of IPv4 addresses have zeros behind the first word of each."""
    ports: list[int] = field(default_factory=zeros(2))

    judges: int = 1
    """0: no rule is asked, where only states are shown."""

    # Shards (`labkit.analysis.native.shard_loop`).
    shards: int = 1
    shard: int = 0
    next: int = 0
    """The place in `BatchRow.own` of the shard's next segment."""
    until: int = 0
    """The place in the batch where to stop."""
    leave: list[int] = field(default_factory=zeros(2))
    """By chain the number of conversations to finish first."""
    cursor: int = 0
    phase: int = EARLIER
    turn: int = 0
    compares: int = 0
    """1: the segment has the initial sequence number of a new connection, which the shard does not compare."""
    isn_count: int = 0
    cursors: list[int] = field(default_factory=zeros(MAX_SHARDS))
    crowded: int = 0
    """1: hosts and codes were forgotten (`max_once`), so that only one thread can say what was reported before."""

    # Results.
    segments: int = 0
    finding_count: int = 0
    max_findings: list[int] = field(default_factory=zeros(SEVERITIES))
    """By severity the number of findings that are kept."""
    missed: int = 0
    """Gaps that were acknowledged: the capture lacks packets."""
    repeated: int = 0
    """Conversations that the capture shows again, at another point."""
    reported: int = 0
    max_described: int = 0

    # The payload that is kept, as in `labkit.analysis.payload.PayloadStore`.
    segment: int = 0
    octets_before: int = 0
    newest: int = 0
    lap: int = 0
    place: int = 0
    top: int = 0


@dataclass(init=False, eq=False, repr=False)
class ShardsRow:
    """The contexts of all shards; behind them those of the hosts, and of the whole capture."""

    contexts: Pointer[Context]
    count: int = 0
    """Shards."""
    segment: int = 0
    """Segments of the capture up to the end of a round."""
