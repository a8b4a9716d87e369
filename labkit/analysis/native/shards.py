"""Judge one large capture with several threads: one reads and decodes, and each of the others judges a part of the conversations.

`labkit.analysis.native.shard_loop` says what concerns several conversations, and how that is put together.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from ctypes import sizeof
from functools import partial
from typing import NamedTuple

from labkit.analysis.flow_filter import FlowFilter
from labkit.analysis.native.columns import columns
from labkit.analysis.native.context import MAX_SHARDS, OPEN, OVER, SEVERITIES, Context, FindingRow, FlowRow, ShardsRow
from labkit.analysis.native.native_verifier import NativeVerifier, Place
from labkit.analysis.native.packed import Library
from labkit.analysis.native.pipeline import BATCHES
from labkit.analysis.native.reader import Batch, Feed
from labkit.analysis.native.records import Memory, SideRow, record
from labkit.analysis.severity import Severity
from labkit.analysis.unread import PAIR_OCTETS
from labkit.analysis.verdict import Bounds, Verdict


class Numbers:
    """The numbers of conversations, by the segments that they begin with."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._before: list[int] = []
        self._bits: list[bytes] = []
        self.count = 0
        """Conversations so far."""

    def add(self, first: int, bits: bytes, count: int) -> None:
        """Add a batch behind `first` segments: of each a bit, which says whether one of the `count` conversations begins."""
        self._firsts.append(first)
        self._before.append(self.count)
        self._bits.append(bits)
        self.count += count

    def number(self, segment: int) -> int:
        """The number of the conversation that begins with a segment, from 1."""
        place = bisect_right(self._firsts, segment - 1) - 1
        bit = segment - 1 - self._firsts[place]
        bits = int.from_bytes(self._bits[place][: bit // 8 + 1], "little") & (1 << bit) - 1
        return self._before[place] + bits.bit_count()


class Needless(NamedTuple):
    """What would have no place in the verdict, if segments gave it from now on."""

    findings: list[Severity]
    """Of these severities: they are only counted."""
    described: bool
    """Conversations that begin, in figures."""


class ShardedVerifier:
    """Verifies one capture under a profile with several threads."""

    def __init__(
        self,
        profile: str,
        library: Library,
        shards: int,
        bounds: Bounds | None = None,
        wanted: FlowFilter | None = None,
        *,
        decoders: int = 0,
    ) -> None:
        """`shards` threads judge, `decoders` decode beside the caller's, which reads. `wanted` must not select conversations by
        their numbers, which are known at the end. MemoryError if there is too little memory."""
        bounds = bounds or Bounds()
        self._every = bounds.every
        self._entries = library.entries
        self._contexts = Memory((shards + 2) * sizeof(record(Context)), huge=False)
        self._decoders = decoders
        self._memory = [Batch(shards=shards) for _ in range(BATCHES + 1 + decoders)]
        make = partial(NativeVerifier, profile, library)
        place = partial(Place, self._contexts, shards=shards)
        self._shards = [make(bounds, wanted, place=place(number)) for number in range(shards)]
        self._hosts = make(bounds._replace(open=1, over=0, every=1), place=place(shards))
        self._whole = make(bounds, wanted, place=place(shards + 1))
        row = Memory(sizeof(record(ShardsRow)), huge=False)
        self._row = record(ShardsRow).from_buffer(row.view)
        self._row.contexts, self._row.count = self._contexts.address, shards
        self._row_address = row.address
        self._numbers = Numbers()
        self._done = 0
        """Segments that all shards have judged."""
        self._threads: list[ThreadPoolExecutor] = []
        self._free = deque(self._memory)
        self._going: deque[tuple[Batch, list[Future[int]]]] = deque()

    def run(self, feed: Feed, profile: str, on_progress: Callable[[int], None]) -> Verdict | None:
        """The verdict on a capture; None where only one thread can say what is reported once of each host. `profile` is the name
        to show. Once only: the memory of the threads is given back."""
        try:
            return self._verdict(feed, profile, on_progress)
        finally:
            for memory in (self._shards, self._memory, self._free, self._going):
                memory.clear()
            del self._hosts, self._whole

    def _verdict(self, feed: Feed, profile: str, on_progress: Callable[[int], None]) -> Verdict | None:
        with ExitStack() as stack:
            self._threads = [stack.enter_context(ThreadPoolExecutor(1)) for _ in self._shards]
            decoders = stack.enter_context(ThreadPoolExecutor(self._decoders)) if self._decoders else None
            self._read(feed, decoders, on_progress)
            self._take_back_all()
            ended = []
            for thread, each in zip(self._threads, self._shards, strict=True):
                each.context.until = self._done
                ended.append(thread.submit(self._entries["finish_shard"], self._memory[0].address, each.address))
            for future in ended:
                future.result()
        self._entries["merge_findings"](self._row_address)
        if any(each.context.crowded for each in (*self._shards, self._hosts, self._whole)):
            return None
        self._add_counters()
        self._add_conversations()
        self._number_findings()
        last = self._free[0].row
        for each in (*self._shards, self._hosts):
            each.release()
        return self._whole.verdict(last.packets, last.start, profile, feed.unread)

    def _read(self, feed: Feed, decoders: ThreadPoolExecutor | None, on_progress: Callable[[int], None]) -> None:
        """Read, decode and judge the capture. The first free batch has the counters of the capture then."""
        reading: deque[tuple[Batch, Future[None]]] = deque()
        while True:
            while decoders and len(reading) <= self._decoders and feed.read(self._next()):
                batch = self._free.popleft()
                reading.append((batch, decoders.submit(feed.decode, batch)))
            if reading:
                batch, future = reading.popleft()
                future.result()
                while not feed.complete(batch):
                    self._submit(batch)
                    self._take_back_all()
                    self._free.remove(batch)
                    batch.clear()
                    feed.decode(batch)
            elif feed.fill(self._next()):
                batch = self._free.popleft()
            else:
                return
            self._submit(batch)
            on_progress(batch.row.packets)

    def _next(self) -> Batch:
        """The next batch to fill."""
        if not self._free:
            self._take_back()
        return self._free[0]

    def _submit(self, batch: Batch) -> None:
        """Have all shards judge their parts of a batch, and keep the bounds at each end of a round in it."""
        self._going.append((batch, []))
        first, count = batch.row.first, batch.row.count
        begin: Needless | None = self._needless()
        for end in range(first // self._every * self._every + self._every, first + count + 1, self._every):
            if self._may_be_exceeded(end):
                self._submit_up_to(batch, end - first, begin)
                begin = None
                wait(self._going[-1][1][-len(self._shards) :])  # each thread takes its parts in order
                self._row.segment = end
                self._entries["plan_round"](self._row_address)
        self._submit_up_to(batch, count, begin)

    def _needless(self) -> Needless:
        """What later segments need not give: the segments up to here have given as much as one thread keeps."""
        kept = [each.table("kept") for each in self._shards]
        most = self._whole.context.max_findings
        full = [severity for severity in Severity if sum(each[severity] for each in kept) >= most[severity]]
        return Needless(
            full, described=sum(each.context.reported for each in self._shards) >= self._whole.context.max_described
        )

    def _submit_up_to(self, batch: Batch, until: int, begin: Needless | None) -> None:
        for thread, each in zip(self._threads, self._shards, strict=True):
            self._going[-1][1].append(thread.submit(self._judge, each, batch, until, begin))

    def _judge(self, each: NativeVerifier, batch: Batch, until: int, begin: Needless | None) -> int:
        context = each.context
        context.until = until
        if begin is not None:
            context.next = context.isn_count = 0
            for severity in begin.findings:
                context.max_findings[severity] = 0
            if begin.described:
                context.max_described = min(context.max_described, context.reported)
        return self._entries["process_shard"](batch.address, each.address)

    def _may_be_exceeded(self, segment: int) -> bool:
        """Whether there may be too many conversations after so many segments: each makes a chain longer by one at most."""
        whole = self._whole.context
        return any(
            sum(each.context.length[chain] for each in self._shards) + segment - self._done > most
            for chain, most in ((OPEN, whole.max_open), (OVER, whole.max_over))
        )

    def _take_back_all(self) -> None:
        while self._going:
            self._take_back()

    def _take_back(self) -> None:
        """Wait until the oldest batch is judged, do what its segments are needed for, and set it free."""
        batch, futures = self._going.popleft()
        for future in futures:
            future.result()
        row = batch.row
        count = self._entries["compare_isns"](batch.address, self._hosts.address)
        self._numbers.add(row.first, bytes(batch.begun_bits[: (row.count + 7) // 8]), count)
        self._done = row.first + row.count
        self._free.append(batch)

    def _add_counters(self) -> None:
        whole = self._whole.context
        for each in (*self._shards, self._hosts):
            for name in ("segments", "flow_count", "forgotten", "missed", "repeated", "reported"):
                setattr(whole, name, getattr(whole, name) + getattr(each.context, name))
            kept, others = self._whole.table("kept"), each.table("kept")
            kept[SEVERITIES:] = [one + other for one, other in zip(kept[SEVERITIES:], others[SEVERITIES:], strict=True)]
            for hit, other in zip(self._whole.table("hits"), each.table("hits"), strict=True):
                hit.count += other.count
                hit.packet = min(hit.packet or other.packet, other.packet or hit.packet)
        marked = 0
        for each in self._shards:
            marked |= int.from_bytes(each.memory("pairs").view, "little")
        self._whole.memory("pairs").view[:] = marked.to_bytes(PAIR_OCTETS, "little")

    def _add_conversations(self) -> None:
        """Take the first of all conversations that shards have described."""
        found = [
            (each.table("described")[place].index, each, place)
            for each in self._shards
            for place in range(min(each.context.reported, each.context.max_described))
        ]
        found.sort(key=lambda one: one[0])
        for number, (segment, each, place) in enumerate(found[: self._whole.context.max_described]):
            for name, size in (
                ("described", sizeof(record(FlowRow))),
                ("described_sides", 2 * sizeof(record(SideRow))),
            ):
                octets = each.memory(name).view[place * size : place * size + size]
                self._whole.memory(name).view[number * size : number * size + size] = octets
            self._whole.table("described")[number].index = self._numbers.number(segment)

    def _number_findings(self) -> None:
        count = self._whole.context.finding_count
        flow, size = columns(FindingRow)["flow"], sizeof(record(FindingRow))
        cells = self._whole.memory("findings").view[: count * size].cast("I")
        column = cells[flow.at // flow.size :: size // flow.size]
        numbers = {segment: self._numbers.number(segment) for segment in set(column)}
        for place, segment in enumerate(column):
            column[place] = numbers[segment]


def threads(processors: int) -> tuple[int, int]:
    """How many threads judge, and how many decode beside the one that reads: as many as there are processors, together."""
    judges = min(MAX_SHARDS, max(2, processors // 2))
    return judges, max(0, min(MAX_SHARDS, processors - 1 - judges))
