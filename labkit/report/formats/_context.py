"""The segments around a finding, and the one that explains its numbers.

They are read from the capture a second time, once it is known what is wrong: judging keeps no packets. A capture that
cannot be read twice (standard input) has no context.
"""

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from labkit.analysis.flows import End, end_of
from labkit.analysis.states import Row, observe
from labkit.analysis.verifier import Finding
from labkit.capture import Frame, open_capture
from labkit.errors import CaptureError
from labkit.packet.linktype import ETHERNET
from labkit.tcp.segment import FIN, SYN
from labkit.tcp.seq import add

BEFORE, AFTER = 2, 1
"""Segments of the same conversation that are shown before and after the one in question."""

FARTHEST = 200_000
"""The last packet that is shown with those around it: reading up to it takes a fraction of a second, to millions of them longer
than judging them."""

MOST = 50_000
"""Segments that are looked at: of conversations in question, which takes longer."""

MEMORY = 64
"""Segments of a conversation among which the explaining one is looked for."""


@dataclass(slots=True)
class Context:
    """What stands around one packet."""

    packet: int
    rows: list[Row]
    """The packet, with some segments before and after it."""
    history: list[Row]
    """More of what came before, the latest last."""

    @property
    def full(self) -> bool:
        """Whether enough segments after the packet are there."""
        return sum(row.number > self.packet for row in self.rows) >= AFTER


@dataclass(slots=True)
class _Flow:
    """A conversation that is being read."""

    history: deque[Row] = field(default_factory=lambda: deque(maxlen=MEMORY))
    open: list[Context] = field(default_factory=list)
    """Contexts that still wait for the segments after their packet."""


def gather(path: str, wanted: Sequence[Finding]) -> dict[int, Context]:
    """The context of each packet in question, by its number; none of those beyond FARTHEST or MOST, and none at all where the
    capture cannot be read again."""
    packets = {found.packet for found in wanted if found.packet is not None and found.packet <= FARTHEST}
    contexts: dict[int, Context] = {}
    if not packets or path == "-":
        return contexts
    ends = {(end_of(each.source), end_of(each.destination)) for each in wanted}
    ends |= {(target, source) for source, target in ends}
    flows: defaultdict[int, _Flow] = defaultdict(_Flow)
    waiting, last = 0, max(packets)
    try:
        with open_capture(path) as capture:
            rows = observe(_between(islice(capture, FARTHEST), ends), lambda flow: flow.ends in ends)
            for row in islice(rows, MOST):
                waiting += _take(row, flows[row.flow.index], packets, contexts)
                if row.number >= last and not waiting:
                    break
    except CaptureError:
        return {}
    return contexts


def _between(frames: Iterable[Frame], ends: Collection[tuple[End, End]]) -> Iterator[Frame]:
    """The frames without those that are plainly no segments between such ends: most need not be decoded for that. What is no
    whole IP datagram with TCP alone, right behind an Ethernet header, may be anything."""
    keys = {source + target + sport.to_bytes(2) + dport.to_bytes(2) for (source, sport), (target, dport) in ends}
    for frame in frames:
        data = frame.data
        if frame.link == ETHERNET:
            if data[12:15] == b"\x08\x00\x45":
                if data[23:24] == b"\x06" and not (data[20] & 0x3F or data[21]) and data[26:38] not in keys:
                    continue
            elif data[12:14] == b"\x86\xdd" and data[20:21] == b"\x06" and data[22:58] not in keys:
                continue
        yield frame


def _take(row: Row, flow: _Flow, packets: set[int], contexts: dict[int, Context]) -> int:
    """Note a segment of a conversation in question; how many more contexts wait for segments than before."""
    before = len(flow.open)
    if row.number in packets:
        history = list(flow.history)
        contexts[row.number] = Context(row.number, history[-BEFORE:], history)
        flow.open.append(contexts[row.number])
    for context in flow.open:
        context.rows.append(row)
    flow.open = [context for context in flow.open if not context.full]
    flow.history.append(row)
    return len(flow.open) - before


def because(found: Finding, context: Context) -> tuple[Row, str] | None:
    """The latest segment whose numbers give the expected value, and the sum; None where there is none."""
    if found.expected_relative is None or found.field not in {"seq", "ack"}:
        return None
    here = next((row for row in context.rows if row.number == found.packet), None)
    if here is None:
        return None
    for row in reversed(context.history):
        took = row.length + (row.ctl & SYN != 0) + (row.ctl & FIN != 0)
        theirs = (row.sender != here.sender) == (found.field == "ack")
        if theirs and add(row.seq, took) == found.expected:
            return row, _sum(row, found.expected_relative)
    return None


def _sum(row: Row, result: int) -> str:
    terms = [str(row.relative_seq)]
    if row.ctl & SYN:
        terms.append("1 (SYN)")
    if row.length:
        terms.append(f"{row.length}")
    if row.ctl & FIN:
        terms.append("1 (FIN)")
    if len(terms) == 1:
        terms.append("0")
    return f"{' + '.join(terms)} = {result}"
