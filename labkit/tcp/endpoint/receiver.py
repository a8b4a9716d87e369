"""The receiving half: what has arrived, what is offered, and which acknowledgement is owed.

Positions count the peer's sequence numbers from its ISS without wrapping (its SYN is 0, its first octet 1), so that plain
arithmetic is right; `seq` and `position` translate at the border. RFC 9293 section 3.3.1's RCV variables are `nxt`, and
`edge` for RCV.NXT + RCV.WND.
"""

from labkit.tcp import seq as sn
from labkit.tcp.endpoint.config import MAX_FIRST_WINDOW, Config
from labkit.tcp.ranges import RangeSet

MIN_SEEN = 536
"""The payload of the largest segment, before one has arrived."""
FIRST_SPACE = 10
"""Segments of a first flight, which need no larger buffer (RFC 6928)."""
LEAST_QUICK = 2
"""Acknowledgements at once where the window has room for fewer than two segments (Linux 6.18, tcp_incr_quickack)."""
LEAST_GROWING = 128
"""The smallest segment that raises a growing window."""
SEGMENT_MEMORY = 2304
"""Octets of memory that a segment of Ethernet's size takes. Before one has arrived, half of a buffer counts as a window."""
LEAST_WASTE = 1024
"""Smaller segments take more memory than their octets, so that a window does not grow."""


class Receiver:
    """RCV.NXT and what belongs to it."""

    __slots__ = (
        "ack_at",
        "ack_why",
        "beyond",
        "blocks",
        "buffer",
        "config",
        "dsack",
        "duplicates",
        "edge",
        "fin_at",
        "first",
        "interactive",
        "irs",
        "measured",
        "mss",
        "now",
        "nxt",
        "offered",
        "pushed",
        "quick",
        "ready",
        "recent",
        "seen",
        "shift",
        "size",
        "space",
        "unacked",
        "up",
    )

    def __init__(self, config: Config) -> None:
        self.irs = 0
        self.config = config
        self.nxt = self.first = self.size = self.edge = 0
        self.first_window(config.mss, config.whole_segment_syn)
        self.shift = 0
        """`edge`: the right edge of the offered window; it never moves left (section 3.8.6). `first`: a SYN's window."""
        self.offered = 0
        """The window that the last segment offered, in octets."""
        self.ready = bytearray()
        """Octets in order that the application has not read yet."""
        self.blocks = RangeSet()
        """The positions beyond a gap whose octets have arrived."""
        self.beyond = bytearray()
        """The octets from position `nxt` on that are beyond a gap; zeros in the gaps."""
        self.recent: list[int] = []
        """Positions inside blocks, the block that changed last first: the order of SACK blocks (RFC 2018 section 4)."""
        self.dsack: tuple[int, int] | None = None
        self.fin_at: int | None = None
        """The position of the peer's FIN, once seen."""
        self.unacked = 0
        """Octets that arrived in order since the last acknowledgement."""
        self.ack_why: str | None = None
        """Why an acknowledgement is due now; None if none is."""
        self.ack_at: int | None = None
        """When the delayed acknowledgement is due."""
        self.mss = config.mss
        self.quick = -1
        """How many acknowledgements do not wait; -1 before the first data."""
        self.pushed = 0
        """1 once a segment since the last acknowledgement may have been the end of a write, 2 once a small one followed it."""
        self.interactive = False
        """Whether the application answers what it gets, so that acknowledgements wait for the answer."""
        self.now = 0
        """When the last segment with data arrived."""
        self.measured = (0, 1)
        """When the present round trip began for the application, and the position up to which it had read then."""
        self.space = FIRST_SPACE * config.mss
        """The most octets that the application has read in a round trip."""
        self.seen = MIN_SEEN
        """The payload of the largest segment so far."""
        self.duplicates = 0
        """Segments beyond the gap since RCV.NXT has moved."""
        self.up = 0
        """RCV.UP, the position after the last octet announced as urgent."""

    def first_window(self, segment: int, whole: bool) -> None:
        """Set the window of a SYN, and the buffer; `segment` is the payload of a full-sized segment, `whole` whether the
        window has only such."""
        self.first = min(self.config.window, MAX_FIRST_WINDOW)
        if whole and self.first > segment:
            self.first -= self.first % segment
        self.size = self.first if self.config.window_growth else self.config.window
        self.buffer = min(self.config.window, MAX_FIRST_WINDOW) if self.config.window_growth else self.size
        self.edge = self.nxt + self.first

    def grow(self, octets: int, pushed: bool = False) -> None:
        """A segment in order arrived: raise the window (`Config.window_growth`), and note whether it may end a write."""
        if octets < self.seen:
            self.pushed = min(self.pushed + 1, 2)
        elif pushed:
            self.pushed = max(self.pushed, 1)
        if self.seen < LEAST_WASTE <= octets and self.config.window_growth:
            # The buffer counts memory, of which large segments need less. All of what was offered may now be used.
            self.buffer = self.buffer * (octets * 256 // SEGMENT_MEMORY) // 128
            self.size = max(self.size, min(self.offered, self.buffer))
        self.seen = max(self.seen, min(octets, self.config.mss))
        most = self.config.quick_acks
        if self.quick < 0:
            self.quick = min(most, self.offered // (2 * self.seen) or LEAST_QUICK)
        if self.config.window_growth and octets >= LEAST_GROWING and self.seen >= LEAST_WASTE:
            grown = min(self.size + self.config.window_growth * self.seen, self._free())
            if grown > self.size:
                self.size = grown
                self.quick |= most > 0

    def read(self, rtt: int) -> None:
        """The application has read. A buffer that grows becomes large enough for twice what is read in a round trip of `rtt`
        nanoseconds, and for a sender that doubles its rate (Linux's dynamic right-sizing)."""
        begin, position = self.measured
        if not self.config.window_growth or not rtt or self.now - begin < rtt:
            return
        at = self.nxt - len(self.ready)
        self.measured = self.now, at
        copied, before = at - position, self.space
        if copied > before:
            self.space = copied
            window = 2 * copied + 4 * copied * (copied - before) // before
            self.buffer = max(self.buffer, min(window, self.config.window))

    def synchronise(self, irs: int) -> None:
        """The peer's SYN arrived: its ISS is `irs` (3.10.7.2: "RCV.NXT is set to SEG.SEQ+1")."""
        self.irs = irs
        self.nxt = 1
        self.edge = 1 + self.first

    def seq(self, position: int) -> int:
        """The sequence number at a position."""
        return sn.add(self.irs, position)

    def position(self, number: int) -> int:
        """The position of a sequence number, the one nearest to RCV.NXT."""
        return sn.unwrapped(number, self.irs, self.nxt)

    @property
    def ack(self) -> int:
        """RCV.NXT as a sequence number."""
        return sn.add(self.irs, self.nxt)

    # What arrives.

    def acceptable(self, start: int, length: int) -> bool:
        """The four cases of section 3.4: whether a segment's sequence numbers lie in the receive window."""
        nxt, edge = self.nxt, self.edge
        if self.config.refuse_beyond_window and length and start + length > edge and self.ready:
            return False
        if length == 0:
            return start == nxt if edge == nxt else nxt <= start < edge
        return edge > nxt and (nxt <= start < edge or nxt < start + length <= edge)

    def take(self, start: int, payload: bytes) -> int:
        """Take a segment's octets; the number of octets that became readable (3.10.7.4, seventh step).

        Cuts off octets that have arrived before or lie outside the window. Sets `dsack` for duplicates.
        """
        end = start + len(payload)
        if start == self.nxt and not self.blocks and end <= self.edge:
            self.ready += payload
            self.nxt = end
            return len(payload)
        if start < self.nxt:
            self.dsack = (start, min(end, self.nxt))
            payload = payload[self.nxt - start :]
            start = self.nxt
        payload = payload[: max(self.edge - start, 0)]
        if not payload:
            return 0
        self._insert(start, payload)
        return self._deliver()

    def _insert(self, start: int, payload: bytes) -> None:
        """Keep octets beyond a gap. Octets that arrived earlier stay."""
        end = start + len(payload)
        duplicate = next(self.blocks.overlaps(start, end), None)
        self.dsack = self.dsack or duplicate
        base = self.nxt
        if len(self.beyond) < end - base:
            self.beyond += bytes(end - base - len(self.beyond))
        for low, high in self.blocks.gaps(start, end):
            self.beyond[low - base : high - base] = payload[low - start : high - start]
        self.blocks.add(start, end)
        joined = self.blocks.at(start) or (start, end)
        self.recent = [start, *(p for p in self.recent if not joined[0] <= p < joined[1])]

    def _deliver(self) -> int:
        """Make contiguous octets readable; their number."""
        block = self.blocks.at(self.nxt)
        if block is None:
            return 0
        count = block[1] - self.nxt
        self.ready += self.beyond[:count]
        del self.beyond[:count]
        self.nxt = block[1]
        self.duplicates = 0
        self.blocks.remove_before(self.nxt)
        self.recent = [p for p in self.recent if p >= self.nxt]
        return count

    def sack_blocks(self, limit: int) -> tuple[tuple[int, int], ...]:
        """The blocks of a SACK option, at most `limit`, as sequence numbers.

        RFC 2018 section 4: the block with the newest segment first, then those reported most recently; RFC 2883 section 4:
        a duplicate, if there was one, before all.
        """
        found: list[tuple[int, int]] = []
        if self.dsack is not None:
            found.append(self.dsack)
        for position in self.recent:
            if len(found) >= limit:
                break
            block = self.blocks.at(position)
            if block is not None:
                found.append(block)
        return tuple((self.seq(left), self.seq(right)) for left, right in found)

    # What is offered, and acknowledged.

    def _room(self) -> int:
        """The free buffer as a window, after silly-window avoidance (section 3.8.6.2.2).

        A window below a full-sized segment (or half of a small buffer) is not opened at all; a larger one moves with every
        octet read, for its sender has enough to fill a segment.
        """
        free = min(self._free(), self.size)
        return free if free >= self.mss or free >= self.size // 2 else 0

    def _scaled_room(self) -> int:
        """The same after the handshake. With `round_window_up` a window without a scale has whole segments, of which one fits
        into any buffer (Linux 6.18, __tcp_select_window)."""
        room = self._room()
        if self.config.round_window_up and not self.shift:
            room -= room % min(self.seen, self.mss, max(self.buffer, 1))
        return room

    def _free(self) -> int:
        """The free octets of the buffer. A buffer that counts memory also holds what is beyond a gap."""
        beyond = sum(right - left for left, right in self.blocks) if self.blocks and self.config.window_growth else 0
        return max(self.buffer - len(self.ready) - beyond, 0)

    def offer(self, scaled: bool = True) -> int:
        """The window field of the segment that goes out now and acknowledges all that has arrived."""
        shift = self.shift if scaled else 0
        room = self._scaled_room() if scaled else min(self._room(), self.first)
        window = self.edge - self.nxt
        if window < room:
            window = room
        if self.config.round_window_up:
            window += (1 << shift) - 1
        field = window >> shift
        if field > 0xFFFF:
            field = 0xFFFF
        self.offered = field << shift
        if self.edge < self.nxt + self.offered:
            self.edge = self.nxt + self.offered
        self.unacked = 0
        self.ack_why = None
        self.ack_at = None
        self.pushed = 0
        self.dsack = None
        return field

    def update_due(self) -> bool:
        """Whether reading has opened the window enough for a window update (section 3.8.6.2.2)."""
        gain = self.nxt + self._scaled_room() - self.edge
        if gain <= 0:
            return False
        window = self.edge - self.nxt
        if self.config.update_when_doubled:
            return gain >= window and gain >= min(self.mss, self.size // 2)
        if window < self.mss:
            return gain >= min(self.mss, self.size // 2)
        return gain >= min(2 * self.mss, self.size // 2) and self.ack_at is None and self.unacked == 0

    def owe(self, why: str) -> None:
        """Make an acknowledgement due at once; the first reason counts."""
        if self.ack_why is None:
            self.ack_why = why

    def owe_delayed(self, octets: int, delay: int | None, now: int) -> None:
        """Make an acknowledgement of octets in order due, at once or after `delay` (section 3.8.6.3).

        MUST-58: an ACK for at least every second full-sized segment.
        """
        config = self.config
        self.unacked += octets
        enough = self.unacked > self.seen if config.ack_above_seen else self.unacked >= 2 * self.mss
        if enough and config.ack_needs_reader:
            enough = self._scaled_room() + (1 << self.shift) - 1 >> self.shift << self.shift >= self.offered
        quick = self.quick > 0 and not self.interactive
        if delay is None or enough or quick:
            self.quick = max(self.quick - 1, 0)
            self.owe("ack")
        elif self.ack_at is None:
            self.ack_at = now + delay
        elif config.ack_before_due and self.ack_at - now <= delay // 4:
            self.owe("delayed-ack")

    def drained(self) -> bool:
        """Whether a delayed acknowledgement need not wait, because the application has read all (`ack_when_read`)."""
        if not self.config.ack_when_read or self.ready:
            return False
        return self.unacked > self.seen or self.pushed > self.interactive

    def owe_duplicate(self, why: str, delay: int | None, now: int) -> None:
        """Make an acknowledgement of a segment out of order due: at once, or after `delay` once three were (RFC 5681 section
        4.2: SHOULD at once)."""
        self.duplicates += 1
        if delay is None or self.duplicates <= 3:
            self.owe(why)
        elif self.ack_at is None or self.ack_at > now + delay:
            self.ack_at = now + delay
