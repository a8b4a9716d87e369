"""Batches of segments, out of a capture.

A `Feed` reads the file into memory of its own, and has the plain records there found and decoded by compiled code, some
thousand at a time. All others go through `labkit.capture`: it reads the file's head and the blocks of a pcapng that are no
packets, and says what is wrong where something is. So there is one opinion of what a capture says, and of where it ends.
"""

import ctypes
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from ctypes import sizeof
from dataclasses import fields
from typing import Protocol

from labkit.analysis.native import decoding, scan
from labkit.analysis.native.judging import AHEAD
from labkit.analysis.native.loader import Library
from labkit.analysis.native.records import Memory, record
from labkit.analysis.native.table import flow_hash, seed
from labkit.capture import Damage, Frame, Reader
from labkit.capture.base import MAX_RECORD_OCTETS
from labkit.capture.pcap import PcapReader
from labkit.capture.pcapng import MAX_TIME, Clock, PcapngReader
from labkit.i18n import _
from labkit.packet.decode import FRAGMENT
from labkit.packet.reassembly import MAX_DATAGRAM_OCTETS, Reassembler
from labkit.packet.seen import Seen

CHUNK = 1 << 20
"""Octets of the file in a batch."""
OCTETS = 2 * CHUNK + MAX_RECORD_OCTETS
"""Octets that a batch has room for: what another reader has read ahead, the longest record included."""
SPARE = 1 << 20
"""Octets behind them, for datagrams that were put together of fragments."""
ROOM = CHUNK // 64
"""Segments of a batch."""
TURNS = 64
"""How often plain records are looked for anew behind others, before all of a file is left to `labkit.capture`."""
CLOCKS = 1024
"""Interfaces of a section whose packets are plain records."""
MOST = (1 << 32) - (1 << 24)
"""Frames after which no other batch is read: what counts them has four octets (`labkit.analysis.native.records`), and a batch holds
fewer than these leave."""

Plain = PcapReader | PcapngReader
"""Readers of files whose records may be plain."""

WIDEST = (1 << 63) - 1
HEAD = struct.Struct("<5q")


class Interruption(Protocol):
    """Who may want an end before the capture's."""

    @property
    def seen(self) -> bool:
        """Whether no more is to be read."""

    def waiting(self) -> AbstractContextManager[None]:
        """What is done within may be interrupted at any place, and then `seen` is true."""

    def frames(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """The frames up to an interruption."""


class Never:
    """No interruption but by an exception."""

    seen = False

    def waiting(self) -> AbstractContextManager[None]:
        """Nothing changes."""
        return nullcontext()

    def frames(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """All of them."""
        return iter(frames)


class Batch:
    """Segments in the order of the capture, and the octets that they stand in. Filled again and again."""

    def __init__(self) -> None:
        self.octets = Memory(OCTETS + SPARE)
        kind = record(Seen)
        self._records = Memory(ROOM * sizeof(kind))
        self._places, self._hashes = Memory((ROOM + AHEAD) * 8), Memory((ROOM + AHEAD) * 8)
        self.records = (kind * ROOM).from_buffer(self._records.view)
        """Rows of `Seen`, of which the first `segments` count."""
        self.places = self._places.view.cast("q")
        """For each of them where in `octets` that begins which its positions count in: the frame, or the datagram."""
        self.hashes = self._hashes.view.cast("q")
        """For each of them its `labkit.analysis.native.table.flow_hash`."""
        self.segments = 0
        self.packets = 0
        """Frames of the capture up to the end of this batch."""
        self.start = 0
        """The time of the capture's first frame."""

    @property
    def records_address(self) -> int:
        """Where `records` are."""
        return self._records.address

    @property
    def places_address(self) -> int:
        """Where `places` are."""
        return self._places.address

    @property
    def hashes_address(self) -> int:
        """Where `hashes` are."""
        return self._hashes.address


class Feed:
    """Fills batches from a capture, or from any frames, until there is nothing more, or an interruption."""

    def __init__(
        self,
        capture: Reader | Iterable[Frame],
        library: Library,
        interruption: Interruption | None = None,
        chunk: int = CHUNK,
    ) -> None:
        self._chunk = chunk
        self._entry: Callable[..., int] = library.entries["segments"]
        self._interruption = interruption or Never()
        self._frames: Iterator[Frame] | None = None
        """While the capture's own reader reads."""
        self._tail = b""
        """What stands before the rest of the file, and was not looked at."""
        self.damage: Damage | None = None
        """Why no more was read, where neither the capture nor an interruption ended it."""
        self._at = 0
        """Where the tail begins in the file."""
        self._exhausted = self._over = False
        self._turns = 0
        self._packets = 0
        self._start: int | None = None
        self._reassembler = Reassembler()
        self._told = Memory(decoding.TOLD * 8).view.cast("q")
        self._told[decoding.SEED] = seed()
        self._table = _Table()
        self._file = capture if isinstance(capture, PcapReader | PcapngReader) else None
        if self._file is None:
            self._frames = self._interruption.frames(capture)
        else:
            self._tail, self._at = self._file.rest()
            self._table.describe(self._file)

    def fill(self, batch: Batch) -> bool:
        """Put the next segments into a batch, in which there may be none; False where there are no more frames."""
        batch.segments = 0
        before = self._packets
        if before >= MOST and not self._over:
            self._over = True
            self.damage = Damage(
                _("there are more than {n} packets; the others were not read").format(n=before), None, cut=True
            )
        while not self._over and self._packets == before:
            if self._file is not None and self._frames is None:
                self._read(self._file, batch)
            elif self._frames is not None:
                self._take(self._frames, batch)
        batch.packets, batch.start = self._packets, self._start or 0
        return self._packets > before

    def _read(self, file: Plain, batch: Batch) -> None:
        """A batch of plain records."""
        view = batch.octets.view
        have = len(self._tail)
        view[:have] = self._tail
        with self._interruption.waiting():
            while have < self._chunk and not self._exhausted and not self._interruption.seen:
                count = file.into(view[have : self._chunk])
                self._exhausted = count == 0
                have += count
        at, plain = self._segments(batch, have)
        self._tail, self._at = bytes(view[at:have]), self._at + at
        if self._interruption.seen:
            self._over = True
        elif not plain and (self._exhausted or not at):
            self._leave(file)

    def _leave(self, file: Plain) -> None:
        """Leave the next record, which is not plain, to the capture's own reader."""
        file.resume(self._tail, self._at, self._packets + 1)
        self._tail = b""
        self._frames = self._interruption.frames(file)

    def _take(self, frames: Iterator[Frame], batch: Batch) -> None:
        """A batch of frames that the capture's own reader has read."""
        file = self._file if self._turns < TURNS else None
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
        at, _plain = self._segments(batch, have)
        self._tail = bytes(view[at:have])
        if not have:
            self._over = True
        elif file is not None:
            # Behind the record that was not plain, others may be.
            self._turns += 1
            self._tail, self._at = file.rest()
            self._table.describe(file)
            self._frames = None

    def _segments(self, batch: Batch, have: int) -> tuple[int, bool]:
        """Find the segments in what a batch holds. Where the next record begins, and whether it may be a plain one."""
        told = self._told
        told[decoding.AT], told[decoding.END] = 0, have
        told[decoding.PACKETS], told[decoding.SEGMENTS] = self._packets, 0
        spare = OCTETS
        while True:
            status = self._entry(
                batch.octets.address,
                self._table.address,
                batch.records_address,
                batch.places_address,
                batch.hashes_address,
                ROOM,
                ctypes.addressof(ctypes.c_char.from_buffer(told)),
            )
            if status != FRAGMENT:
                break
            spare = self._join(batch, spare)
            if OCTETS + SPARE - spare < MAX_DATAGRAM_OCTETS:
                status = 0
                break
        if self._start is None and told[decoding.PACKETS]:
            self._start = told[decoding.FIRST]
        self._packets, batch.segments = told[decoding.PACKETS], told[decoding.SEGMENTS]
        return told[decoding.AT], status != decoding.IRREGULAR

    def _join(self, batch: Batch, spare: int) -> int:
        """Add a fragment; the datagram that becomes whole with it is put behind the octets. Where there is room left."""
        told, seg = self._told, Seen()
        n, start = told[decoding.SEGMENTS], told[decoding.FRAME]
        row, names = batch.records[n], [each.name for each in fields(Seen)]
        for name in names:
            setattr(seg, name, getattr(row, name))
        whole = self._reassembler.segment(bytes(batch.octets.view[start : start + seg.caplen]), seg)
        if whole is None:
            return spare
        seg.joined = 1
        for name in names:
            setattr(row, name, getattr(seg, name))
        batch.octets.view[spare : spare + len(whole)] = whole
        batch.places[n], batch.hashes[n] = spare, flow_hash(whole, seg, told[decoding.SEED])
        told[decoding.SEGMENTS] += 1
        return spare + len(whole)


class _Table:
    """What the compiled code must know of a file's records: the table of `labkit.analysis.native.scan`."""

    def __init__(self) -> None:
        memory = Memory((1 + CLOCKS) * scan.ROW * 8)
        self.address = memory.address
        self._numbers = memory.view.cast("q")

    def frames(self) -> None:
        """Frames that were read by another reader."""
        self._numbers[scan.FORM] = scan.FRAMES

    def describe(self, capture: Plain) -> None:
        """The records that follow in a file."""
        numbers = self._numbers
        if isinstance(capture, PcapReader):
            order, unit, header = capture.variant
            link = capture.interfaces[0].link
            row = [scan.PCAP, order == ">", unit, header, capture.limit, link]
        else:
            row = [scan.PCAPNG, capture.order == ">", 0, 0, 0, min(len(capture.clocks), CLOCKS)]
            for number, clock in enumerate(capture.clocks[:CLOCKS], 1):
                for column, value in enumerate(_row(clock)):
                    numbers[number * scan.ROW + column] = value
        for column, value in enumerate(row):
            numbers[column] = value


def _row(clock: Clock) -> tuple[int, ...]:
    """An interface's row. Stamps that would not fit into 64 bits on the way to a time are the interpreter's."""
    if clock.by > WIDEST or abs(clock.offset) > WIDEST // 2:
        return 1, 1, 0, -1, clock.link, clock.number
    latest = min(WIDEST // clock.times, (MAX_TIME - max(clock.offset, 0)) * clock.by // clock.times)
    return clock.times, clock.by, clock.offset, min(latest, WIDEST), clock.link, clock.number
