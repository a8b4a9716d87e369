"""Excerpts: the segments around a finding, and the earlier segment that gives the right number.

Judging keeps no packets, so the capture is read a second time when the faults are known. Standard input cannot be read twice
and has no excerpts.
"""

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import BinaryIO

from labkit.analysis.finding import Finding
from labkit.analysis.flows import end_of, possible_frames
from labkit.analysis.states import Row, observe
from labkit.capture import Frames, open_capture
from labkit.errors import CaptureError
from labkit.tcp.segment import FIN, SYN
from labkit.tcp.seq import add

BEFORE, AFTER = 2, 1
"""Segments of the same conversation to show before and after the faulty one."""

MAX_PACKET = 200_000
"""The last packet with an excerpt. Reading up to it takes a fraction of a second; reading millions takes longer than judging."""

MAX_SEGMENTS = 50_000
"""Segments of the faulty conversations to decode for excerpts."""

MAX_HISTORY = 64
"""Earlier segments of a conversation among which the right number is looked for."""


@dataclass(slots=True)
class Excerpt:
    """The segments around one packet."""

    packet: int
    rows: list[Row]
    """The packet with its neighbours."""
    history: list[Row]
    """The segments before the packet, the latest last."""

    @property
    def complete(self) -> bool:
        """True if enough segments follow the packet."""
        return sum(row.number > self.packet for row in self.rows) >= AFTER


@dataclass(slots=True)
class _Flow:
    """A conversation that is being read."""

    history: deque[Row] = field(default_factory=lambda: deque(maxlen=MAX_HISTORY))
    open: list[Excerpt] = field(default_factory=list)
    """Excerpts that still wait for the segments after their packet."""


def excerpts(source: str | BinaryIO | Frames, findings: Sequence[Finding]) -> dict[int, Excerpt]:
    """The excerpt of each finding's packet, by packet number. `source` is the capture, as `open_capture` takes it.

    Packets beyond MAX_PACKET or MAX_SEGMENTS have none, and no packet has one if the capture cannot be read again.
    """
    packets = {each.packet for each in findings if each.packet is not None and each.packet <= MAX_PACKET}
    found: dict[int, Excerpt] = {}
    if not packets or source == "-":
        return found
    ends = {(end_of(each.source), end_of(each.destination)) for each in findings}
    ends |= {(target, source) for source, target in ends}
    flows: defaultdict[int, _Flow] = defaultdict(_Flow)
    waiting, last = 0, max(packets)
    try:
        with open_capture(source) as capture:
            rows = observe(possible_frames(islice(capture, MAX_PACKET), ends), lambda flow: flow.ends in ends)
            for row in islice(rows, MAX_SEGMENTS):
                waiting += _add(row, flows[row.flow.index], packets, found)
                if row.number >= last and not waiting:
                    break
    except CaptureError:
        return {}
    return found


def _add(row: Row, flow: _Flow, packets: set[int], found: dict[int, Excerpt]) -> int:
    """Add a segment to its conversation's excerpts; return by how many the open excerpts have grown."""
    before = len(flow.open)
    if row.number in packets:
        history = list(flow.history)
        found[row.number] = Excerpt(row.number, history[-BEFORE:], history)
        flow.open.append(found[row.number])
    for excerpt in flow.open:
        excerpt.rows.append(row)
    flow.open = [excerpt for excerpt in flow.open if not excerpt.complete]
    flow.history.append(row)
    return len(flow.open) - before


def arithmetic(finding: Finding, excerpt: Excerpt) -> tuple[str, int] | None:
    """The sum that gives the expected number, `1 + 119 = 120`, and the packet of its terms.

    They are those of the latest earlier segment that ends at the expected number; None if no segment does.
    """
    if finding.expected_relative is None or finding.field not in {"seq", "ack"}:
        return None
    here = next((row for row in excerpt.rows if row.number == finding.packet), None)
    if here is None:
        return None
    for row in reversed(excerpt.history):
        seg_len = row.length + (row.ctl & SYN != 0) + (row.ctl & FIN != 0)
        of_owner = (row.sender != here.sender) == (finding.field == "ack")
        if of_owner and add(row.seq, seg_len) == finding.expected:
            return _sum(row, finding.expected_relative), row.number
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
