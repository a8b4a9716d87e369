"""Segments that a scenario writes down: the lines of a `segments` step, in the notation of `labkit.tcp.notation`.

    S  0:0(0) <mss 1460,sackOK,TS val 1000 ecr 0,nop,wscale 7>
    .  1:1(0) ack 1 <nop,nop,TS val 1001 ecr last>
    +0.050 R 1:1(0)

A line has no direction, for the step's side sends it. Its numbers count from the initial sequence numbers: `seq` from the side's
own, `ack` and the blocks of SACK from the number of the peer's last SYN. `ecr last` echoes the last timestamp of the peer, `ecr
last-7` the one of seven ticks before. A line with a time follows that many seconds after the line before it, a line without a
time as soon as another segment of the peer has arrived. The first line is sent when the step begins, or that much later.
"""

import re
from dataclasses import dataclass, replace
from typing import Any

from labkit.i18n import _
from labkit.tcp import options as opt
from labkit.tcp.endpoint import Endpoint
from labkit.tcp.notation import parse_line
from labkit.tcp.segment import ACK, Segment
from labkit.tcp.seq import add

MAX_LINES = 10_000
"""Lines of a step."""

_TIME = re.compile(r"\s*(?:(?P<sign>[+-]?)(?P<seconds>\d{1,6}(?:\.\d{1,9})?)\s+)?(?P<rest>.*)", re.DOTALL)
_LAST = re.compile(r"\becr\s+last(?:-(?P<less>\d{1,9}))?(?![-+\w])")


@dataclass(frozen=True, slots=True)
class ScriptLine:
    """One segment with relative numbers."""

    segment: Segment
    after: int | None
    """Nanoseconds after the line before; None: once the peer's next segment has arrived."""
    echoes: int | None
    """How many ticks before the peer's last timestamp it echoes; None: the echo is as written."""
    number: int
    """Its line in the step's text, from 1."""

    def resolved(self, own: int, peer: int, stamp: int) -> Segment:
        """The segment with the numbers of a connection: both initial sequence numbers, and the peer's last timestamp."""
        segment = self.segment

        def option(each: opt.Option) -> opt.Option:
            if isinstance(each, opt.Sack):
                return opt.Sack(tuple((add(peer, left), add(peer, right)) for left, right in each.blocks))
            if self.echoes is not None and isinstance(each, opt.Timestamps):
                return replace(each, echo=add(stamp, -self.echoes))
            return each

        ack = add(peer, segment.ack) if segment.ctl & ACK or segment.ack else 0
        return segment.with_(seq=add(own, segment.seq), ack=ack, options=tuple(map(option, segment.options)))


class Script:
    """The lines of a step."""

    __slots__ = ("lines",)

    def __init__(self, lines: tuple[ScriptLine, ...]) -> None:
        self.lines = lines


class LineError(ValueError):
    """A bad line of a text."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(_("line {n}: {why}").format(n=number, why=why))
        self.number, self.why = number, why


def read_lines(value: Any) -> Script:
    """The lines of a text, without those that are empty or comments. LineError for a bad one, ValueError for too many or none."""
    if not isinstance(value, str):
        raise ValueError(_("is not text; expected segments such as 'S 0:0(0) <mss 1460>', one for each line"))  # noqa: TRY004 - pydantic's
    found = []
    for number, text in enumerate(value.split("\n"), 1):
        if text.strip() and not text.lstrip().startswith("#"):
            try:
                found.append(_read(text, number))
            except ValueError as why:
                raise LineError(number, str(why)) from None
    if not 0 < len(found) <= MAX_LINES:
        raise ValueError(_("has {n} segments; expected 1 to {max_lines}").format(n=len(found), max_lines=MAX_LINES))
    return Script(tuple(found))


def _read(text: str, number: int) -> ScriptLine:
    match = _TIME.fullmatch(text)
    sign, seconds, rest = match.group("sign", "seconds", "rest") if match is not None else ("", None, text)
    if rest[:1] in ("<", ">"):
        raise ValueError(_("{text!r} has a direction; the step's side sends it").format(text=rest[:40]))
    if seconds is not None and sign != "+":
        raise ValueError(_("{time} is not after the line before; expected a time such as +0.010").format(time=seconds))
    last = _LAST.search(rest)
    time = f"{sign}{seconds} " if seconds else ""
    line = parse_line(f"{time}> {_LAST.sub('ecr 0', rest)}")
    if line.edits:
        raise ValueError(_("{{{name}}}: a step has no edits of frames").format(name=next(iter(line.edits))))
    return ScriptLine(line.segment, line.time, int(last["less"] or 0) if last is not None else None, number)


class Silent(Endpoint):
    """The endpoint of a side that only sends what the scenario writes down: it listens to nothing, and answers nothing."""

    __slots__ = ()

    def listen(self) -> None:
        """Do nothing."""

    def receive(self, segment: Segment, now: int) -> None:
        """Drop a segment."""
