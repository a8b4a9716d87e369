"""What a quiz is about: the conversations of one capture, with what an observer knows before each of their packets.

The answers follow from the capture alone, as a student sees it. What labkit did not judge is not asked about, and packets after
the first mistake of a conversation count only for questions about mistakes.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import BinaryIO

from labkit.analysis.examine import Completeness
from labkit.analysis.finding import Finding
from labkit.analysis.flows import End
from labkit.analysis.native.engine import verify_capture
from labkit.analysis.severity import Severity
from labkit.analysis.states import Row, flow_of, observe
from labkit.capture import Damage, Frame, lacking, open_capture
from labkit.capture.budget import Budget, Meter
from labkit.capture.memory import Frames
from labkit.errors import UsageError
from labkit.i18n import _, ngettext
from labkit.tcp.segment import ACK, FIN, RST, SYN
from labkit.tcp.seq import add, after, diff

MAX_FRAMES = 2_000
"""Packets of a capture that questions may be about: a student must be able to find them."""


@dataclass(frozen=True, slots=True)
class Step:
    """A segment, and what an observer knows of both sides before it. Numbers are raw; None where nothing is known."""

    row: Row
    nxt: tuple[int | None, int | None]
    """The next sequence number of each side."""
    acked: tuple[int | None, int | None]
    """The last acknowledgement number that each side sent."""
    last: "tuple[Step | None, Step | None]"
    """The last segment of each side with SYN, FIN or data."""
    sound: bool
    """Whether neither the segment nor one before it in its conversation is wrong."""

    @property
    def number(self) -> int:
        """The packet's number."""
        return self.row.number

    @property
    def side(self) -> int:
        """The sender: 0 is the client."""
        return self.row.sender

    @property
    def peer(self) -> int:
        """The receiver."""
        return 1 - self.row.sender

    @property
    def length(self) -> int:
        """SEG.LEN: the octets of data, and one each for SYN and FIN."""
        return self.row.length + self.has(SYN) + self.has(FIN)

    @property
    def end(self) -> int:
        """The sequence number after its last one."""
        return add(self.row.seq, self.length)

    @property
    def in_order(self) -> bool:
        """Whether it goes on where its sender was."""
        return self.nxt[self.side] == self.row.seq and not self.has(RST)

    @property
    def acks_all(self) -> bool:
        """Whether it acknowledges all that the peer has sent."""
        return self.has(ACK) and self.nxt[self.peer] == self.row.ack and not self.has(RST)

    def has(self, bits: int) -> bool:
        """Whether all of these control bits are set."""
        return self.row.ctl & bits == bits


@dataclass
class Talk:
    """One conversation."""

    stream: int
    """Its number, from 0, as Wireshark counts it."""
    steps: list[Step]
    ports: tuple[int, int]
    addresses: tuple[str, str]
    relative: bool
    """Whether questions show sequence numbers relative to the SYN."""
    alone: bool
    """Whether it is the only one of the capture."""
    ended: bool
    """Whether the capture was read to its end."""
    isns: tuple[int | None, int | None] = (None, None)
    """The initial sequence numbers; None for a side whose SYN the capture does not show."""
    mistake: Finding | None = None
    """The first mistake, if that is a wrong number in a packet."""

    @property
    def whole(self) -> bool:
        """Whether the capture shows the SYN of both sides."""
        return None not in self.isns

    @cached_property
    def sound(self) -> list[Step]:
        """The segments before the first mistake."""
        return [each for each in self.steps if each.sound]

    @cached_property
    def resent(self) -> "list[tuple[Step, Step]]":
        """Segments with data that were sent a second time, each with the first one."""
        known: dict[tuple[int, int], list[Step]] = {}
        for step in self.sound:
            if step.row.length > 1:
                known.setdefault((step.side, step.row.seq), []).append(step)
        pairs = [(copies[0], copies[1]) for copies in known.values() if len(copies) == 2]
        return [(one, two) for one, two in pairs if one.row.length == two.row.length and one.in_order]

    def shown(self, number: int, side: int) -> int:
        """A sequence number of a side as questions show it."""
        base = self.isns[side] if self.relative else 0
        return number if base is None or not self.relative else diff(number, base)

    def seq(self, step: Step) -> int:
        """The sequence number of a segment as questions show it."""
        return self.shown(step.row.seq, step.side)

    def ack(self, step: Step) -> int:
        """The acknowledgement number of a segment as questions show it."""
        return self.shown(step.row.ack, step.peer)

    def first(self, choice: Callable[[Step], bool]) -> Step | None:
        """The first sound segment that fits."""
        return next(filter(choice, self.sound), None)

    def of(self, side: int, *conditions: str) -> str:
        """A display filter for the segments of a side."""
        parts = [] if self.alone else [f"tcp.stream == {self.stream}"]
        if self.ports[0] != self.ports[1]:
            parts.append(f"tcp.srcport == {self.ports[side]}")
        else:
            parts.append(f"ip{'v6' * (':' in self.addresses[side])}.src == {self.addresses[side]}")
        return " && ".join((*parts, *conditions))

    def name(self, side: int) -> str:
        """What a side is called; with its address and port where there are several conversations."""
        word = (_("client"), _("server"))[side]
        if self.alone:
            return word
        address = self.addresses[side]
        return f"{word} {f'[{address}]' if ':' in address else address}:{self.ports[side]}"


@dataclass(slots=True)
class Subject:
    """The conversations of a capture that can be asked about."""

    title: str
    talks: list[Talk] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    """What is not asked about, and why."""
    ended: bool = True
    """Whether the capture was read to its end."""
    damage: Damage | None = None
    """Why it could not be read to its end."""


def subject(title: str, source: str | BinaryIO, *, relative: bool = True, budget: Budget | None = None) -> Subject:
    """Read what a quiz is about: a path or an open file. CaptureError if that is not a capture; UsageError if it has no
    conversation that can be asked about, or several points of capture.

    `relative` shows sequence numbers relative to the SYN, where the capture has one of both sides. Of a capture that is larger
    than `budget`, only the packets before that place are read.
    """
    with open_capture(source, Meter(budget or Budget())) as capture:
        frames = list(islice(capture, MAX_FRAMES + 1))
        damage = capture.damage
    found = Subject(title, damage=damage)
    found.ended = ended = len(frames) <= MAX_FRAMES and damage is None
    if damage is not None:
        found.remarks.append(_("{message}; the questions are about what is before").format(message=damage.message))
    elif not ended:
        frames.pop()
        found.remarks.append(_("the questions are about the first {n:,} packets").format(n=MAX_FRAMES))
    completeness = Completeness.AUTO if ended else Completeness.PARTIAL
    with open_capture(Frames(frames)) as capture:
        verdict = verify_capture(capture, alone=False, completeness=completeness)
    wrong: dict[int, list[Finding]] = {}
    for each in verdict.findings:
        if each.severity >= Severity.WARNING:
            wrong.setdefault(each.flow, []).append(each)
    for talk in _talks(_rows(frames), wrong, found, ended=ended):
        talk.relative = relative and talk.whole
        found.talks.append(talk)
    if not found.talks:
        reasons = "".join(f"{_('; ')}{each}" for each in found.remarks if damage is None)
        raise lacking(_("{name}: no TCP conversation can be asked about").format(name=title) + reasons, damage)
    if relative and not all(each.whole for each in found.talks):
        found.remarks.append(_("numbers are raw where the capture does not show the SYN of both sides"))
    return found


def _talks(rows: Sequence[Row], wrong: Mapping[int, list[Finding]], found: Subject, *, ended: bool) -> Iterator[Talk]:
    """The conversations that Wireshark sees as labkit does."""
    talks: dict[int, list[Row]] = {}
    streams: dict[int, set[int]] = {}
    for row, stream in zip(rows, _streams(rows), strict=True):
        talks.setdefault(row.flow.index, []).append(row)
        streams.setdefault(row.flow.index, set()).add(stream)
    shared = Counter(stream for own in streams.values() for stream in own)
    other: list[Row] = []
    for index, own in talks.items():
        stream, *more = streams[index]
        if more or shared[stream] > 1:
            other.append(own[0])
        else:
            yield _talk(own, wrong.get(index, []), stream, alone=len(talks) == 1, ended=ended)
    if other:
        text = ngettext(
            "{n} conversation is left out: Wireshark divides its packets in another way ({name})",
            "{n} conversations are left out: Wireshark divides their packets in another way (first {name})",
            len(other),
        )
        found.remarks.append(text.format(n=len(other), name=" > ".join(flow_of(other[0]))))


def _rows(frames: Sequence[Frame]) -> list[Row]:
    """The segments of a capture. UsageError if they were captured at several points."""
    rows = list(observe(frames))
    if any(row.flow.point for row in rows):
        raise UsageError(_("the capture has the packets of two points; expected a capture of one side"))
    return rows


def _streams(rows: Sequence[Row]) -> Iterator[int]:
    """The number of the conversation to which Wireshark counts each segment: another one begins there, between the same ports,
    with a SYN whose number differs from that of the sender's first one."""
    streams: dict[object, tuple[int, dict[End, int]]] = {}
    count = 0
    for row in rows:
        end = row.flow.ends[row.client if row.sender == 0 else 1 - row.client]
        begins = row.ctl & (SYN | ACK) == SYN
        known = streams.get(row.flow.key)
        if known is None or (begins and known[1].get(end, row.seq) != row.seq):
            known = streams[row.flow.key] = count, {}
            count += 1
        known[1].setdefault(end, row.seq if row.ctl & SYN else add(row.seq, -1))
        yield known[0]


def _talk(rows: list[Row], wrong: list[Finding], index: int, *, alone: bool, ended: bool) -> Talk:
    client = rows[0].client
    ends = (rows[0].flow.ends[client], rows[0].flow.ends[1 - client])
    names = [rows[0].flow.name(side).rpartition(":")[0].strip("[]") for side in (client, 1 - client)]
    packets = [each.packet for each in wrong if each.packet is not None]
    talk = Talk(
        stream=index,
        steps=list(_steps(rows, min(packets, default=None))),
        ports=(ends[0][1], ends[1][1]),
        addresses=(names[0], names[1]),
        relative=False,
        alone=alone,
        ended=ended,
        isns=(_isn(rows, 0), _isn(rows, 1)),
    )
    own = [each for each in wrong if each.packet is not None and each.caused_by is None]
    first = [each for each in own if each.packet == min(packets)]
    if len(first) == 1 and first[0].severity == Severity.ERROR:
        talk.mistake = first[0]
    return talk


def _isn(rows: Sequence[Row], side: int) -> int | None:
    """The number of a side's SYN; None without one, or with several numbers."""
    numbers = {row.seq for row in rows if row.sender == side and row.ctl & SYN}
    return numbers.pop() if len(numbers) == 1 else None


def _steps(rows: Sequence[Row], first_wrong: int | None) -> Iterator[Step]:
    nxt: list[int | None] = [None, None]
    acked: list[int | None] = [None, None]
    last: list[Step | None] = [None, None]
    for row in rows:
        sound = first_wrong is None or row.number < first_wrong
        step = Step(row, (nxt[0], nxt[1]), (acked[0], acked[1]), (last[0], last[1]), sound)
        yield step
        side, known = row.sender, nxt[row.sender]
        if step.length and not step.has(RST):
            if known is None or after(step.end, known):
                nxt[side] = step.end
            last[side] = step
        elif known is None and not step.has(RST):
            nxt[side] = row.seq
        if step.has(ACK):
            acked[side] = row.ack


def plain(step: Step) -> bool:
    """Whether a segment carries data and is neither SYN, FIN nor RST."""
    return step.row.length > 0 and not step.row.ctl & (SYN | FIN | RST)
