"""What a picture shows: the conversations of a capture, or of a scenario, with the verdict on them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from itertools import islice

from labkit.analysis.flow_filter import FlowFilter, Unmatched
from labkit.analysis.flows import Flow, segments
from labkit.analysis.states import Row, observe
from labkit.analysis.verdict import Verdict
from labkit.build.trace import Trace
from labkit.capture import Frame, Reader, lacking, open_capture
from labkit.i18n import _, printable
from labkit.packet.seen import Seen
from labkit.report.draw._conversation import Conversation, conversations

MAX_FRAMES = 100_000
"""Packets that the interpreter reads for a ladder. Curves show them all."""

MAX_SEGMENTS = 20_000
"""Segments of a ladder."""

MAX_INTERPRETED = 2_000
"""Packets that the interpreter has read before compiled code begins."""

MAX_BEFORE, MAX_AFTER = 20_000, 2_000
"""Packets that are read before and after those that a user wants to see: they tell what was lost and sent again."""

Opener = Callable[[], Reader]
"""Opens the capture; each call begins at its start."""


@dataclass(slots=True)
class Subject:
    """What is drawn."""

    title: str
    open: Opener
    conversations: list[Conversation] = field(default_factory=list)
    names: Mapping[str, str] = field(default_factory=dict)
    """Names of hosts by address."""
    verdict: Verdict | None = None
    windows: Mapping[int, int] = field(default_factory=dict)
    """The simulated congestion window of each packet's sender, in octets; empty for a capture."""
    total: int = 0
    """Conversations that could be drawn; `conversations` may have only the first ones."""
    read: int = 0
    """Packets that were read for ladders."""
    cut: bool = False
    """Whether the capture has more packets."""
    unmatched: Sequence[str] = ()
    """The values of a filter that select no conversation of the packets that were read, as options."""

    def names_of(self, conversation: Conversation) -> tuple[str, str]:
        """What both ends are called: the host's name, address and port."""
        client, server = (named(end, self.names) for end in conversation.ends)
        return client, server

    def segment(self, chosen: Callable[[Seen], bool], otherwise: str) -> tuple[Frame, bytes, Seen]:
        """The first chosen segment of the capture with its frame and its octets. UsageError with the text `otherwise` if there
        is none, or CaptureError if it may stand in what could not be read."""
        seg = Seen()
        with self.open() as capture:
            for frame, data in segments(capture, seg):
                if seg.readable and chosen(seg):
                    return frame, data, seg
            raise lacking(otherwise, capture.damage or capture.spent())

    @property
    def nothing(self) -> str:
        """What an empty picture says instead."""
        if not self.conversations:
            return _("there is no TCP segment to draw")
        return _("nothing to draw: no segment of the conversation has what this picture shows")

    @property
    def start(self) -> int:
        """When the first segment leaves, in nanoseconds since 1970; 0 without segments."""
        return min((each.start for each in self.conversations), default=0)


def named(end: str, names: Mapping[str, str]) -> str:
    """An end, with the name of its host."""
    name = names.get(end.rpartition(":")[0].strip("[]"), "")
    return f"{printable(name)[:40]} {end}" if name else end


def of_capture(
    title: str,
    opener: Opener,
    verdict: Verdict | None = None,
    *,
    wanted: Callable[[Flow], bool] | None = None,
    packets: tuple[int, int] | None = None,
    lost: frozenset[int] = frozenset(),
    most: int = MAX_FRAMES,
    count: int | None = None,
    brief: int | None = None,
    judge: Callable[[], Verdict] | None = None,
) -> Subject:
    """The conversations of a capture.

    `wanted` chooses conversations, `packets` the first and last packet to draw; both are judged with everything else. `lost` are
    packets that are known to be lost behind the point of capture, `most` the packets to read, `count` the conversations. Where
    there are more segments than a ladder has, only the first `brief` are taken; where there are not, `judge` gives the verdict.
    """
    found = Subject(title, opener, verdict=verdict)
    first, last = 1, most
    if packets is not None:
        first = max(packets[0] - MAX_BEFORE, 1)
        last = min(first + most - 1, packets[1] + MAX_AFTER)
    with opener() as capture:
        rows = _rows(capture, found, wanted, None if packets else count, last)
        flows = _by_flow(rows, found, wanted, (first, last), None if packets else count)
        several = len(capture.interfaces) > 1
        found.names = dict(capture.names)
    if several:  # compiled code does not tell points of capture apart
        found.read, found.cut = 0, False
        with opener() as capture:
            flows = _by_flow(observe(_read(capture, found, last)), found, wanted, (first, last), None)
    if found.cut and brief is not None:
        flows = {index: rows[:brief] for index, rows in flows.items()}
    elif judge is not None and flows:
        found.verdict = verdict = judge()
    if packets is not None and not several:
        flows = {index: rows for index, rows in flows.items() if any(_is_in(row, packets) for row in rows)}
    found.conversations = conversations(
        flows, lambda: _frames(opener), verdict.findings if verdict is not None else (), lost
    )
    if packets is not None:
        found.conversations = [each for each in found.conversations if _narrow(each, *packets)]
        found.cut = last < packets[1]
    if several or packets is not None:
        found.total = len(found.conversations)
    return found


def _frames(opener: Opener) -> Iterator[Frame]:
    with opener() as capture:
        yield from capture


def _rows(
    capture: Reader, found: Subject, wanted: Callable[[Flow], bool] | None, count: int | None, last: int
) -> Iterator[Row]:
    """The rows of a capture up to a packet at least; of a large one by compiled code."""
    bounded = capture.meter is not None and capture.meter.is_bounded
    if last <= MAX_INTERPRETED or bounded or not (wanted is None or isinstance(wanted, FlowFilter)):
        return observe(_read(capture, found, last))
    from labkit.analysis.native.engine import observe_capture

    known = found.verdict.reported if found.verdict is not None else 1 if count == 1 else 0
    if wanted is None and count is not None and known and len(capture.interfaces) <= 1:
        found.total = known
        wanted = FlowFilter(tuple(range(count)))
    return (row for row in observe_capture(capture, wanted) if isinstance(row, Row))


def _by_flow(
    rows: Iterable[Row],
    found: Subject,
    wanted: Callable[[Flow], bool] | None,
    packets: tuple[int, int],
    count: int | None,
) -> dict[int, list[Row]]:
    """The rows of some packets by conversation: of `count` ones at most; the others are only counted."""
    flows: dict[int, list[Row]] = {}
    hidden: set[int] = set()
    others: set[int] = set()
    unmatched = Unmatched(wanted) if isinstance(wanted, FlowFilter) else None
    room = MAX_SEGMENTS if packets[0] == 1 else MAX_FRAMES
    for row in rows:
        if row.number > packets[1] or not room:
            found.cut, found.read = True, row.number - 1
            break
        index = row.flow.index
        if row.number < packets[0] or index in hidden or index in others:
            continue
        if index not in flows and wanted is not None and not wanted(row.flow):
            hidden.add(index)
            continue
        if index not in flows and unmatched is not None:
            unmatched.take(index, row.flow.ends)
        if index not in flows and len(flows) == count:
            others.add(index)
        else:
            flows.setdefault(index, []).append(row)
            room -= 1
    found.total = max(found.total, len(flows) + len(others))
    if unmatched is not None and packets[0] == 1:
        found.unmatched = unmatched.options()
    return flows


def _is_in(row: Row, packets: tuple[int, int]) -> bool:
    return packets[0] <= row.number <= packets[1]


def _read(frames: Iterable[Frame], subject: Subject, most: int) -> Iterator[Frame]:
    """Pass on the first frames."""
    iterator = iter(frames)
    for frame in islice(iterator, most):
        subject.read += 1
        yield frame
    subject.cut = next(iterator, None) is not None


def _narrow(conversation: Conversation, first: int, last: int) -> bool:
    """Keep the arrows of these packets; return whether there are any."""
    conversation.arrows = [
        arrow
        for arrow in conversation.arrows
        if any(number is not None and first <= number <= last for number in (arrow.number, arrow.arrival_number))
    ]
    return bool(conversation.arrows)


def of_trace(
    trace: Trace,
    verdict_of: Callable[[Opener], Verdict],
    both: Trace | None = None,
    *,
    wanted: Callable[[Flow], bool] | None = None,
    packets: tuple[int, int] | None = None,
) -> Subject:
    """The conversations of a simulated or hand-written trace.

    `both` is the same trace captured at both ends: it shows what arrives, and what the capture of `trace` never sees. `wanted`
    and `packets` choose as in `of_capture`.
    """
    opener = _written(trace)
    verdict = verdict_of(opener)
    lost = frozenset(
        number
        for number, record in zip(trace.numbers(), trace, strict=True)
        if not record.arrived and record.sender == record.tap
    )
    subject = of_capture(trace.name, opener, verdict, wanted=wanted, packets=packets, lost=lost)
    numbered = zip(trace.numbers(), trace, strict=True)
    subject.windows = {number: record.cwnd for number, record in numbered if record.cwnd is not None}
    if both is None or len({record.tap for record in trace}) != 1:
        return subject
    numbers = _numbers(trace, both)
    whole = of_capture(trace.name, _written(both), None)
    for conversation in whole.conversations:
        for arrow in conversation.arrows:
            own, other = numbers.get(arrow.number or 0), numbers.get(arrow.arrival_number or 0)
            arrow.number, arrow.arrival_number = own or other, None
            arrow.findings = [
                each for each in verdict.findings if each.packet is not None and each.packet == arrow.number
            ]
    pairs = {conversation.ends: conversation for conversation in subject.conversations}
    for conversation in whole.conversations:
        if conversation.ends in pairs:
            conversation.findings = pairs[conversation.ends].findings
            conversation.points = 1
    if wanted is not None or packets is not None:
        shown = {arrow.number for each in subject.conversations for arrow in each.arrows}
        whole.conversations = [
            each for each in whole.conversations if any(arrow.number in shown for arrow in each.arrows)
        ]
        whole.total = len(whole.conversations)
    if packets is not None:
        whole.conversations = [each for each in whole.conversations if _narrow(each, *packets)]
    return replace(
        whole,
        open=opener,
        verdict=verdict,
        names=subject.names,
        windows=subject.windows,
        unmatched=subject.unmatched,
    )


def _numbers(trace: Trace, both: Trace) -> dict[int, int]:
    """The packet of `trace` by the packet of `both`: those of the one point of capture, in their order."""
    tap = trace.records[0].tap
    places = (number for number, record in zip(both.numbers(), both, strict=True) if record.tap == tap)
    return dict(zip(places, trace.numbers(), strict=False))


def _written(trace: Trace) -> Opener:
    octets = BytesIO()
    trace.write(octets, format="pcapng")
    return lambda: open_capture(BytesIO(octets.getvalue()))
