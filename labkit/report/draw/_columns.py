"""The same numbers as `_series.read`, by columns: compiled code decodes the packets of a large capture, numpy does the rest.

Every value of `_series` follows from the values before it; here, from running sums and running maxima of whole columns. Tests
compare both.
"""

from array import array
from typing import TYPE_CHECKING, Any

from labkit.analysis.flows import End, end_of
from labkit.packet.seen import SHORT_IP, SOUND
from labkit.report.draw import _series as series
from labkit.report.draw._conversation import Conversation
from labkit.report.draw._series import MAX_SHIFT, Curve, Direction
from labkit.report.draw._subject import Subject
from labkit.tcp.segment import ACK, FIN, PSH, RST, SYN

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

FIELDS = ("number", "time", "point", "seq", "ack", "ctl", "win", "len", "wscale", "sack_n")
"""What is kept of each segment (`labkit.packet.seen.Seen`)."""

EDGES = ("sack_left", "sack_right")
"""What is kept of each segment with SACK blocks."""

LEAST = -(1 << 62)


def read(subject: Subject, conversation: Conversation) -> tuple[Direction, Direction]:
    """What the client sends, and what the server sends."""
    both = columns(subject, conversation) or series.read(subject, conversation)
    if subject.windows:
        for each in both:
            each.cwnd = series.simulated(each, subject.windows)
    return both


def columns(subject: Subject, conversation: Conversation) -> tuple[Direction, Direction] | None:
    """The same of a large capture; None where a package is missing, the capture is small, or the numbers make no sense."""
    try:
        import numpy as np  # noqa: F401
    except ImportError:
        return None
    from labkit.analysis.native.engine import feed_of

    client, server = map(end_of, conversation.ends)
    numbers = [arrow.row.number for arrow in conversation.arrows]
    with subject.open() as capture:
        feed = feed_of(capture)
        if feed is None:
            return None
        found = _segments(feed, (client, server), (min(numbers), max(numbers)), cut=subject.cut)
    if not len(found["time"]):
        return None
    try:
        both = _direction(found, 0), _direction(found, 1)
    except OverflowError:
        return None
    names = subject.names_of(conversation)
    for direction, (source, target) in zip(both, (names, names[::-1]), strict=True):
        direction.source, direction.target = source, target
    return both


def _segments(feed: Any, ends: tuple[End, End], numbers: tuple[int, int], *, cut: bool) -> "dict[str, Numbers]":
    """The columns of one conversation; `sent` is the sender, 0 the client."""
    import numpy as np

    from labkit.analysis.native.reader import Batch

    batch = Batch()
    rows: Any = np.frombuffer(memoryview(batch.segments), np.dtype(batch.segments._type_))
    parts: list[dict[str, Any]] = []
    first, last = numbers
    while feed.fill(batch):
        count = batch.row.count
        own = rows[:count]
        fault = own["fault"]
        wanted = (fault == SOUND) | (fault == SHORT_IP)
        if count and int(own["number"][0]) < first:
            wanted &= own["number"] >= first
        if not cut and count and int(own["number"][-1]) > last:
            wanted &= own["number"] <= last
        at = np.flatnonzero(wanted)
        if at.size:
            places = np.frombuffer(batch.places, np.int64, count)[at]
            sent = _senders(np.frombuffer(batch.octets.view, np.uint8), places, own, at, ends)
            mine = at[sent >= 0]
            # One column after the other: rows are long.
            parts.append({name: own[name][mine].astype(np.int64) for name in FIELDS} | {"sent": sent[sent >= 0]})
            with_blocks = mine[own["sack_n"][mine] > 0]
            parts[-1] |= {name: own[name][with_blocks].astype(np.int64) for name in EDGES}
        if not cut and count and int(own["number"][-1]) > last:
            break
    if not parts:
        return {"time": np.empty(0, np.int64)}
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return _of_one(found, last)


def _senders(octets: Any, places: Any, rows: Any, at: Any, ends: tuple[End, End]) -> Any:
    """Who sent each segment of the rows `at`: 0 the client, 1 the server, -1 somebody else."""
    import numpy as np

    size = len(ends[0][0])
    found = np.full(len(at), -1, np.int64)
    fits = rows["addr_len"][at] == size
    ports = rows["sport"][at], rows["dport"][at]
    address = [
        octets[np.where(fits, places + rows[name][at], 0)[:, None] + np.arange(size)] for name in ("src_at", "dst_at")
    ]
    for sender, ((source, sport), (target, dport)) in enumerate((ends, ends[::-1])):
        same = fits & (ports[0] == sport) & (ports[1] == dport)
        for part, wanted in zip(address, (source, target), strict=True):
            same &= (part == np.frombuffer(wanted, np.uint8)).all(axis=1)
        found[same] = sender
    return found


def _of_one(found: "dict[str, Numbers]", last: int) -> "dict[str, Numbers]":
    """Leave out the next connection of the same ports, and what other interfaces have seen; count times from the first."""
    import numpy as np

    if not len(found["time"]):
        return found
    opening = (found["number"] > last) & (found["ctl"] & (SYN | ACK) == SYN)
    end = len(opening)
    for place in np.flatnonzero(opening):
        mine = found["sent"][:place] == found["sent"][place]
        if (mine | (found["ctl"][:place] & ACK != 0)).any():
            end = int(place)
            break
    kept = np.arange(len(opening)) < end
    kept &= found["point"] == found["point"][0]
    found["time"] = found["time"] - found["time"][0]
    with_blocks = kept[found["sack_n"] > 0]
    return {name: column[with_blocks if name in EDGES else kept] for name, column in found.items()}


def _direction(rows: "dict[str, Numbers]", end: int) -> Direction:
    """What one end sends, and what the other one says of it."""
    import numpy as np

    made = Direction("", "")
    time, packet, ctl, size = rows["time"], rows["number"], rows["ctl"], rows["len"]
    own, octets = rows["sent"] == end, size + (ctl & SYN != 0) + (ctl & FIN != 0)
    acks = ~own & (ctl & ACK != 0)
    position = _positions(rows, own, acks)
    high = position + octets
    sends = own & (octets > 0) & (ctl & RST == 0)
    after = np.maximum.accumulate(np.where(sends, high, 0))
    before = np.concatenate(([0], after[:-1]))
    new = sends & (high > before)

    def mark(kind: int, where: Any, low: Any, top: Any) -> None:
        at = np.flatnonzero(where)
        if at.size:
            made.marks.put(kind, *map(_numbers, (time[at], low[at], top[at], packet[at])))

    mark(series.OPENED, own & (ctl & SYN != 0), position, position)
    mark(series.RESET, own & (ctl & RST != 0), position, position)
    mark(series.CLOSED, sends & (ctl & FIN != 0), high, high)
    mark(series.PUSHED, new & (ctl & PSH != 0), position, high)
    mark(series.DATA, new & (ctl & PSH == 0), position, high)
    late = _late(position, high, before, new, sends)
    mark(series.AGAIN, sends & ~new & ~late, position, high)
    mark(series.LATE, late, position, high)
    fresh = (new | late) & (size > 0)
    octets_new = np.where(late, size, np.minimum(high - np.maximum(before, position), size))
    made.fresh = _curve(time[fresh], octets_new[fresh])

    at = np.flatnonzero(acks)
    ack = position[at]
    shown = (after[at] == 0) | (ack <= after[at])
    acked = np.full(len(time), LEAST)
    acked[at[shown]] = ack[shown]
    acked = np.maximum.accumulate(acked)
    least = np.concatenate(([LEAST], acked[:-1]))[at]
    ahead = ack > least
    forward = ahead & shown
    window = _windows(rows, end)[at]
    edge = ack + window
    moved = np.concatenate(([True], edge[1:] != edge[:-1])) if at.size else np.empty(0, bool)
    twice = ~ahead & (ack == least) & (octets[at] == 0) & (after[at] > ack) & ~moved
    count = np.cumsum(twice)
    count = count - np.maximum.accumulate(np.where(forward, count, 0))

    def answer(kind: int, where: Any, low: Any, top: Any) -> None:
        if where.any():
            each = at[where]
            made.marks.put(kind, *map(_numbers, (time[each], low[where], top[where], packet[each])))

    marked = ahead.copy()
    marked[ahead] = np.diff(ack[ahead], prepend=LEAST) != 0
    answer(series.ACKED, marked, ack, ack)
    answer(series.DUPLICATE, twice, ack, count)
    answer(series.WINDOW, moved, edge, edge)
    answer(series.ZERO, window == 0, ack, ack)
    _sacked(rows, made, acks, position)

    progress = np.zeros(len(time), bool)
    progress[at[forward]] = True
    flight = np.where(progress, np.maximum(after - position, 0), after - np.where(acked == LEAST, 0, acked))
    made.flight = _curve(time[sends | progress], flight[sends | progress])
    made.rtt = _answers(time, high, new, sends & ~new, at[forward], ack[forward])
    return made


def _late(position: Any, high: Any, before: Any, new: Any, sends: Any) -> Any:
    """Which segments fill a gap. Only those that leave or may fill one are looked at, one after the other."""
    import numpy as np

    late = np.zeros(len(new), bool)
    gaps = series.Gaps()
    leaves = new & (before > 0) & (before < position)
    for at in np.flatnonzero(leaves | (sends & ~new)).tolist() if leaves.any() else ():
        if new[at]:
            gaps.open(int(before[at]), int(position[at]))
        else:
            late[at] = gaps.fills(int(position[at]), int(high[at]))
    return late


def _positions(rows: "dict[str, Numbers]", own: Any, acks: Any) -> "Numbers":
    """The unwrapped number of each segment that one end sends, and of each ACK of it; elsewhere what was before."""
    import numpy as np

    told = own | acks
    raw = np.where(own, rows["seq"], rows["ack"])[told]
    if not raw.size:
        return np.zeros(len(told), np.int64)
    steps = np.diff(raw, prepend=raw[:1])
    steps = (steps + (1 << 31)) % (1 << 32) - (1 << 31)
    first = int(np.flatnonzero(told)[0])
    steps[0] = 0 if own[first] and rows["ctl"][first] & SYN else 1
    every = np.zeros(len(told), np.int64)
    every[told] = steps
    found = np.cumsum(every)
    if (np.maximum.accumulate(found) - found).max() >= 1 << 31:
        raise OverflowError("numbers of which it depends on their order how often they have wrapped around")
    return found


def _windows(rows: "dict[str, Numbers]", end: int) -> "Numbers":
    """The window in octets that each segment offers to an end, by the scales that both ends have last sent."""
    import numpy as np

    shifts = []
    for side in (0, 1):
        opened = np.where((rows["sent"] == side) & (rows["ctl"] & SYN != 0), np.arange(len(rows["time"])), -1)
        latest = np.maximum.accumulate(opened)
        shifts.append(np.where(latest >= 0, rows["wscale"][latest], -1))
    both = (shifts[0] >= 0) & (shifts[1] >= 0) & (rows["ctl"] & SYN == 0)
    return np.where(both, rows["win"] << np.clip(shifts[1 - end], 0, MAX_SHIFT), rows["win"])


def _sacked(rows: "dict[str, Numbers]", made: Direction, acks: Any, position: "Numbers") -> None:
    """Add the SACK blocks of all ACKs."""
    import numpy as np

    every = np.flatnonzero(rows["sack_n"] > 0)
    mine = acks[every]
    at = every[mine]

    def edges(name: str) -> Any:
        distance = rows[name][mine] - rows["ack"][at][:, None]
        return position[at][:, None] + (distance + (1 << 31)) % (1 << 32) - (1 << 31)

    left, right = edges("sack_left"), edges("sack_right")
    there = (np.arange(left.shape[1]) < rows["sack_n"][at][:, None]) & (left < right)
    if there.any():
        time, packet = (np.broadcast_to(rows[name][at][:, None], left.shape)[there] for name in ("time", "number"))
        made.marks.put(series.SACKED, *map(_numbers, (time, left[there], right[there], packet)))


def _answers(time: Any, high: Any, new: Any, again: Any, at: Any, ack: Any) -> Curve:
    """The time from the last segment that each ACK newly covers to the ACK, unless something was sent again in between."""
    import numpy as np

    first = np.flatnonzero(new)
    count = np.minimum(np.searchsorted(high[first], ack, "right"), np.searchsorted(first, at))
    repeats = np.flatnonzero(again)
    latest = np.searchsorted(repeats, at) - 1
    cleared = np.where(latest >= 0, np.searchsorted(first, repeats[latest]) if repeats.size else 0, 0)
    earlier = np.concatenate(([0], np.maximum.accumulate(count)[:-1])) if count.size else count
    known = count > np.maximum(earlier, cleared)
    return _curve(time[at[known]], time[at[known]] - time[first[count[known] - 1]])


def _numbers(column: "Numbers") -> "array[int]":
    import numpy as np

    found = array("q")
    found.frombytes(np.ascontiguousarray(column, np.int64).tobytes())
    return found


def _curve(time: "Numbers", value: "Numbers") -> Curve:
    return Curve(_numbers(time), _numbers(value))
