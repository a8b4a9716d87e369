"""A capture -> batches of segments.

A `Feed` reads the file into its own memory. Compiled code finds and decodes the plain records there, some thousand at a time.
`labkit.capture` reads everything else: the head of the file, other blocks of a pcapng, and damaged records. So only
`labkit.capture` decides what a capture holds and where it ends.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from ctypes import sizeof
from itertools import takewhile
from typing import TYPE_CHECKING, Protocol

from labkit.analysis import flows
from labkit.analysis.moved import Moved
from labkit.analysis.native.context import AHEAD, MAX_SHARDS, BatchRow, IsnRow, new_seed
from labkit.analysis.native.packed import Library
from labkit.analysis.native.record_table import IRREGULAR, RecordTable
from labkit.analysis.native.records import Memory, read_row, record, write_row
from labkit.analysis.unread import TABLE_FULL, Unread, segment_key
from labkit.capture import Damage, Frame, Reader
from labkit.capture.base import MAX_RECORD_OCTETS
from labkit.i18n import _
from labkit.packet.decode.layer import MAX_DATAGRAM_OCTETS
from labkit.packet.decode.outcome import FRAGMENT
from labkit.packet.seen import Seen

if TYPE_CHECKING:
    from labkit.packet.reassembly import Reassembler

# Larger batches take longer: more of each leaves the processor's cache before it is judged.
CHUNK = 1 << 19
"""Octets of the file in a batch."""
OCTETS = 2 * CHUNK + MAX_RECORD_OCTETS
"""Octets of a batch: another reader may have read ahead, and the longest record fits too."""
SPARE = 1 << 20
"""Octets behind them, for reassembled datagrams."""
ROOM = CHUNK // 64
"""Segments of a batch."""
MAX_RETURNS = 64
"""After that many records that were not plain, `labkit.capture` reads the rest of the file."""
MAX_PACKETS = (1 << 32) - (1 << 24)
"""Frames after which no other batch is read: their numbers must fit four octets, and a batch holds fewer than are left."""

HEAD = struct.Struct("<5q")


class Interruption(Protocol):
    """May end the reading before the end of the capture."""

    @property
    def seen(self) -> bool:
        """Whether to stop reading."""

    def waiting(self) -> AbstractContextManager[None]:
        """Code within may be interrupted anywhere. `seen` is true afterwards."""

    def frames(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """The frames up to an interruption."""


class Never:
    """Never interrupts."""

    seen = False

    def waiting(self) -> AbstractContextManager[None]:
        """A context without effect."""
        return nullcontext()

    def frames(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """All of them."""
        return iter(frames)


class UpTo(Never):
    """Ends the reading where another reading has ended, after so many packets or those of the same batch."""

    def __init__(self, packets: int) -> None:
        self._packets = packets

    def note(self, packets: int) -> None:
        """So many were read."""
        self.seen = packets >= self._packets

    def frames(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """The first frames."""
        return takewhile(lambda _frame: not self.seen, frames)


class Batch:
    """Segments in the order of the capture, and the octets that hold them. Filled again and again."""

    def __init__(self, *, shows: bool = False, small: bool = False, shards: int = 1) -> None:
        """`shows`: compiled code fills `moved`. `small`: little of the memory will be used. `shards`: threads that judge it."""
        self.octets = Memory(OCTETS + SPARE, huge=not small)
        kind = record(Seen)
        self.seen, self._row = (Memory(size, huge=False) for size in (ROOM * sizeof(kind), sizeof(record(BatchRow))))
        places, hashes, sources, octets_before = (Memory((ROOM + AHEAD) * 8, huge=False) for _ in range(4))
        self.segments = (kind * ROOM).from_buffer(self.seen.view)
        """Rows of `Seen`, of which the first `row.count` count."""
        self.places = places.view.cast("q")
        self.hashes, self.sources = hashes.view.cast("q"), sources.view.cast("q")
        self.row = record(BatchRow).from_buffer(self._row.view)
        """The batch as compiled code reads it."""
        self.row.octets, self.row.segments, self.row.room = self.octets.address, self.seen.address, ROOM
        self.octets_before = octets_before.view.cast("q")
        usual = Memory(ROOM + AHEAD, huge=False)
        self.usual, self.row.usual = usual.view, usual.address
        self.row.places, self.row.hashes, self.row.octets_before = places.address, hashes.address, octets_before.address
        self.row.sources = sources.address
        self.moved = Memory(ROOM * sizeof(record(Moved)) if shows else 0, huge=not small)
        """Rows of `Moved`, of which the first `row.count` count."""
        self.row.moved, self.row.shows = self.moved.address, shows
        self.begun_bits = self._divide(shards)
        self.ended = Memory(2 * (flows.ROUND + ROOM) * 8 if shows else 0, huge=False)
        self.row.ended = self.ended.address
        self.address = self._row.address
        """The address of `row`."""
        self.status = 0
        """Why decoding has stopped."""

    def clear(self) -> None:
        """Take out the segments."""
        self.row.count = self.row.payload = 0
        self.row.shares[:] = self.row.isn_counts[:] = [0] * MAX_SHARDS

    def _divide(self, shards: int) -> memoryview:
        """Make the lists of shards; `BatchRow.begun_bits`."""
        room = ROOM if shards > 1 else 0
        sizes = 4 * (shards * room + AHEAD), shards * room * sizeof(record(IsnRow)), room, room // 8
        memory = own, isns, begun, bits = [Memory(size, huge=False) for size in sizes]
        row = self.row
        row.own, row.isns, row.begun, row.begun_bits = (each.address for each in memory)
        row.shards = shards
        self._lists = own.view.cast("i"), isns, begun
        return bits.view

    def share(self, number: int) -> None:
        """Give a segment, whose hash is known, to its shard."""
        if self.row.shards > 1:
            from labkit.analysis.native.segment_loop import shard_of

            shard = shard_of(self.hashes[number], self.row.shards)
            self._lists[0][shard * ROOM + self.row.shares[shard]] = number
            self.row.shares[shard] += 1


class Feed:
    """Fills batches from a capture, or from any frames, until their end or an interruption."""

    def __init__(
        self,
        capture: Reader | Iterable[Frame],
        library: Library,
        interruption: Interruption | None = None,
        chunk: int = CHUNK,
    ) -> None:
        self._chunk = chunk
        self._decode: Callable[..., int] = library.entries["decode_batch"]
        self._find: Callable[..., int] = library.entries["find_records"]
        self._interruption = interruption or Never()
        self._frames: Iterator[Frame] | None = None
        """Frames from the capture's own reader; None while compiled code looks for plain records."""
        self._tail = b""
        """Octets that were read, and not decoded yet."""
        self.damage: Damage | None = None
        """Why the reading stopped before the end of the capture, unless an interruption stopped it."""
        self._at = 0
        """Position of the tail in the file."""
        self._exhausted = self._over = False
        self._turns = 0
        self._packets = 0
        self._start, self._first = 0, True
        self._segment_count = self._payload = 0
        self._reassembler: Reassembler | None = None
        self.unread = Unread()
        """The frames that were not read so far; complete when `fill` has returned False."""
        self.seed = new_seed()
        """Of the hashes of conversations."""
        self._table = RecordTable()
        self._file = capture if self._table.describe(capture) else None
        if self._file is None:
            self._frames = self._interruption.frames(capture)
        else:
            self._tail, self._at = self._file.rest()

    @property
    def packets(self) -> int:
        """Frames that were read so far."""
        return self._packets

    def fill(self, batch: Batch) -> bool:
        """Put the next segments into a batch. It may stay without segments. False at the end of the capture."""
        before = self._packets
        self._clear(batch)
        if before >= MAX_PACKETS and not self._over:
            self._over = True
            self.damage = Damage(
                _("there are more than {n} packets; the others were not read").format(n=before), None, cut=True
            )
        while not self._over and self._packets == before:
            if self._file is not None and self._frames is None:
                self._read(self._file, batch)
            elif self._frames is not None:
                self._take(self._frames, batch)
        if self._packets == before and self._reassembler is not None:
            self.unread.add_lost(self._reassembler.lost(all_=True))
        return self._packets > before

    def read(self, batch: Batch) -> bool:
        """Put plain records into a batch, which `decode` and then `complete` make segments of. False where none follows at once:
        `fill` reads on, when the batches that were read are complete."""
        if self._over or self._file is None or self._frames is not None or self._packets >= MAX_PACKETS:
            return False
        self._clear(batch)
        row, before = batch.row, self._packets
        row.at, (row.end, ahead) = 0, self._load(self._file, batch)
        plain = self._find(batch.address) != IRREGULAR
        self._packets = row.packets
        self._keep(self._file, batch, row.end, ahead, plain=plain)
        row.at, row.end, row.packets = 0, row.at, before
        return self._packets > before

    def decode(self, batch: Batch) -> None:
        """Decode the records of a batch. It may run in any thread, at the same time for several batches."""
        batch.status = self._decode(batch.address)

    def complete(self, batch: Batch) -> bool:
        """Add to a decoded batch what depends on the batches before it. Call this in the order of the capture. False where it is
        full before its end: what it holds must be verified, and then it must be decoded and completed again."""
        self._join_all(batch)
        return bool(batch.row.at == batch.row.end)

    def _clear(self, batch: Batch) -> None:
        row = batch.row
        row.packets, row.start, row.seed, row.formats = self._packets, self._start, self.seed, self._table.address
        batch.clear()

    def _load(self, file: Reader, batch: Batch) -> tuple[int, bytes]:
        """Read octets of the file into a batch. How many it holds, and those that it has no room for."""
        view = batch.octets.view
        # Whoever opened the file has read ahead, and `engine.is_large` may have read far more than a batch holds.
        have, ahead = min(len(self._tail), self._chunk), self._tail[self._chunk :]
        view[:have] = self._tail[:have]
        with self._interruption.waiting():
            while not ahead and have < self._chunk and not self._exhausted and not self._interruption.seen:
                count = file.into(view[have : self._chunk])
                self._exhausted = count == 0
                have += count
        return have, ahead

    def _keep(self, file: Reader, batch: Batch, have: int, ahead: bytes, *, plain: bool) -> None:
        """Keep what stands behind the records of a batch for the next one."""
        at = batch.row.at
        self._tail, self._at = bytes(batch.octets.view[at:have]) + ahead, self._at + at
        if self._interruption.seen:
            self._over = True
        elif not plain and ((self._exhausted and not ahead) or not at):
            self._leave(file)

    def _read(self, file: Reader, batch: Batch) -> None:
        """Fill a batch from plain records."""
        have, ahead = self._load(file, batch)
        plain = self._segments(batch, have)
        self._keep(file, batch, have, ahead, plain=plain)

    def _leave(self, file: Reader) -> None:
        """Let the capture's own reader read the next record, which is not plain."""
        file.resume(self._tail, self._at, self._packets + 1)
        self._tail = b""
        self._frames = self._interruption.frames(file)

    def _take(self, frames: Iterator[Frame], batch: Batch) -> None:
        """Fill a batch with frames from the capture's own reader."""
        file = self._file if self._turns < MAX_RETURNS else None
        view, have = batch.octets.view, len(self._tail)
        view[:have] = self._tail
        while have < self._chunk:
            frame = next(frames, None)
            if frame is None:
                break
            start = have + HEAD.size
            HEAD.pack_into(view, have, len(frame.data), frame.wirelen, frame.time, frame.link, frame.interface)
            have = start + len(frame.data)
            view[start:have] = frame.data
            if file is not None:
                break
        self._table.frames()
        self._segments(batch, have)
        self._tail = bytes(view[batch.row.at : have])
        if not have:
            self._over = True
        elif file is not None:
            # Plain records may follow.
            self._turns += 1
            self._tail, self._at = file.rest()
            self._table.describe(file)
            self._frames = None

    def _segments(self, batch: Batch, have: int) -> bool:
        """Find the segments in the octets of a batch. Whether the next record may be a plain one."""
        batch.row.at, batch.row.end = 0, have
        self.decode(batch)
        self._join_all(batch)
        self._packets = batch.row.packets
        return batch.status != IRREGULAR

    def _join_all(self, batch: Batch) -> None:
        """Join the fragments of a decoded batch, and count."""
        row = batch.row
        spare = OCTETS
        while batch.status in (FRAGMENT, TABLE_FULL):
            self.unread.take(row)
            if batch.status == FRAGMENT:
                spare = self._join(batch, spare)
                if OCTETS + SPARE - spare < MAX_DATAGRAM_OCTETS:
                    break
            self.decode(batch)
        self.unread.take(row)
        if self._first and row.packets:
            self._start, self._first = row.start, False
        row.start, row.first, row.payload_before = self._start, self._segment_count, self._payload
        self._segment_count += row.count
        self._payload += row.payload

    def _join(self, batch: Batch, spare: int) -> int:
        """Add a fragment. The datagram that it completes is put behind the octets, at `spare`. Where there is room left."""
        row, seg = batch.row, Seen()
        segment, start = batch.segments[row.count], row.fragment_at
        read_row(segment, seg)
        if self._reassembler is None:
            from labkit.packet.reassembly import Reassembler

            self._reassembler = Reassembler()
        from labkit.analysis.native.flow_table import flow_hash, source_hash  # fragments are few

        whole = self._reassembler.segment(bytes(batch.octets.view[start : start + seg.caplen]), seg)
        self.unread.add_fragments(self._reassembler, seg, joined=whole is not None)
        if whole is None:
            return spare
        if not seg.readable:
            self.unread.add(segment_key(seg), seg.number)
        seg.joined = 1
        write_row(segment, seg)
        batch.octets.view[spare : spare + len(whole)] = whole
        batch.places[row.count], batch.hashes[row.count] = spare, flow_hash(whole, seg, self.seed)
        batch.sources[row.count] = source_hash(whole, seg, self.seed)
        batch.octets_before[row.count], batch.usual[row.count] = row.payload, 0
        row.payload += seg.data_len
        batch.share(row.count)
        row.count += 1
        return spare + len(whole)
