"""Lines of a table from numbers, written by compiled code: most rows of a large capture differ in nothing else.

A template is a text with placeholders in braces: the names of NUMBERS, with a width as in Python's format strings (`{number:5}`,
`{micro:06}`), `{mark}`, and `{pad:40}`, which adds spaces until there are so many octets since the mark. One template serves all
rows of a kind: with the same states, sender and control bits, and with data or none.
"""

import re
from array import array
from collections.abc import MutableSequence
from ctypes import sizeof
from dataclasses import dataclass, field
from typing import Protocol

from labkit.analysis.ends import STATES
from labkit.analysis.moved import Moved
from labkit.analysis.native.context import BatchRow, zeros
from labkit.analysis.native.packed import Library
from labkit.analysis.native.primitives import copy
from labkit.analysis.native.reader import Batch
from labkit.analysis.native.records import Memory, Pointer, record
from labkit.analysis.states import Row
from labkit.packet.seen import I32, U8, U16, Seen

NUMBERS = ("number", "seconds", "micro", "relative_seq", "relative_ack", "length", "seq", "ack", "flow")
END, TEXT, NUMBER, MARK, PAD = range(5)
"""Steps of a template. TEXT: place and size in `texts`; NUMBER: its place in NUMBERS, width, fill; PAD: width."""

LONGEST = 4096
"""Octets of a line; templates that might make longer ones are not used."""
ROOM = 1 << 20
TEMPLATES = 4096
"""Templates, of STEPS numbers each."""
STEPS = 128
CONTROL_BITS = 1 << 9
KINDS = len(STATES) ** 2 * 2 * CONTROL_BITS * 2
SPACE, ZERO, MINUS, NEWLINE = 0x20, 0x30, 0x2D, 0x0A


@dataclass(slots=True, eq=False, repr=False)
class LinesRow:
    """What `write_lines` works with."""

    kinds: Pointer[U16]
    """By kind the number of its template, from 1; 0 where there is none."""
    steps: Pointer[I32]
    texts: Pointer[U8]
    out: Pointer[U8]
    first: int = 0
    """The row of the batch to begin with; then, where it ended."""
    size: int = 0
    """Octets in `out`."""
    start: int = 0
    """The time that is shown as 0."""
    document: U8 = 0
    """1: the states of the document's tables."""
    values: list[int] = field(default_factory=zeros(len(NUMBERS)))


def write_lines(batch: BatchRow, lines: LinesRow) -> int:
    """Write the lines of rows from `first` on, up to one that needs more than a template, or to the end of the batch."""
    lines.size = 0
    while lines.first < batch.shown and lines.size <= ROOM - LONGEST:
        row = batch.moved[lines.first]
        seg = batch.segments[row.at]
        if not row.plain or seg.time < lines.start or (seg.seq == row.relative_seq and seg.ack == row.relative_ack):
            return 0
        template = lines.kinds[kind_of(seg, row, lines.document)]
        if template == 0:
            return 0
        since = seg.time - lines.start
        lines.values[0] = seg.number
        lines.values[1] = since // 1000000000
        lines.values[2] = since % 1000000000 // 1000
        lines.values[3] = row.relative_seq
        lines.values[4] = row.relative_ack
        lines.values[5] = seg.len
        lines.values[6] = seg.seq
        lines.values[7] = seg.ack
        lines.values[8] = row.flow
        _fill(template * STEPS, lines)
        lines.first += 1
    return 0


def kind_of(seg: Seen, row: Moved, document: int) -> int:
    """The kind of a row: its place in `LinesRow.kinds`."""
    client = row.shown[0] if document else row.states[0]
    server = row.shown[1] if document else row.states[1]
    return kind(client, server, row.sender, seg.ctl, int(seg.len > 0))


def kind(client: int, server: int, sender: int, ctl: int, length: int) -> int:
    """The kind of rows with these states, sender and control bits, and with data or none."""
    ends = (client * 12 + server) * 2 + sender
    return (ends * CONTROL_BITS + (ctl & (CONTROL_BITS - 1))) * 2 + length


def _fill(step: int, lines: LinesRow) -> None:
    at = lines.size
    mark = at
    while lines.steps[step] != END:
        what = lines.steps[step]
        if what == TEXT:
            copy(lines.out, at, lines.texts, lines.steps[step + 1], lines.steps[step + 2])
            at += lines.steps[step + 2]
        elif what == NUMBER:
            value = lines.values[lines.steps[step + 1]]
            at = _put(lines.out, at, value, lines.steps[step + 2], lines.steps[step + 3])
        elif what == MARK:
            mark = at
        else:
            while at - mark < lines.steps[step + 1]:
                lines.out[at] = SPACE
                at += 1
        step += 4
    lines.out[at] = NEWLINE
    lines.size = at + 1


def _put(out: MutableSequence[int], at: int, value: int, width: int, fill: int) -> int:
    """Write a decimal number, right-aligned; where the text goes on."""
    rest = abs(value)
    digits = 1
    while rest > 9:
        rest //= 10
        digits += 1
    size = digits + int(value < 0)
    while size < width:
        out[at] = fill
        at += 1
        width -= 1
    if value < 0:
        out[at] = MINUS
        at += 1
    rest = abs(value)
    for i in range(digits):
        out[at + digits - 1 - i] = ZERO + rest % 10
        rest //= 10
    return at + digits


class Table(Protocol):
    """Makes templates."""

    start: int
    """The time that is shown as 0."""
    ready: bool
    """Whether templates can be made."""
    document: bool

    def template(self, row: Row) -> str | None:
        """The template for rows like this one; None where they need more."""


PLACEHOLDER = re.compile(r"\{(\w+)(?::(0?)(\d+))?\}")


class LineWriter:
    """Templates in memory for `write_lines`."""

    def __init__(self, table: Table, library: Library) -> None:
        self._table = table
        self._kinds = Memory(KINDS * 2)
        self._steps = Memory((TEMPLATES + 1) * STEPS * 4)
        self._texts, self._out = Memory(ROOM), Memory(ROOM)
        self._row_memory = Memory(sizeof(record(LinesRow)))
        self._row = record(LinesRow).from_buffer(self._row_memory.view)
        self._row.kinds, self._row.steps = self._kinds.address, self._steps.address
        self._row.texts, self._row.out = self._texts.address, self._out.address
        self._row.document = table.document
        self._write = library.entries["write_lines"]
        self._count = 0
        self._texts_used = 0
        self._known: set[int] = set()

    def write(self, batch: Batch, first: int) -> tuple[str, int]:
        """The lines of rows from a place in a batch on, as far as there are templates, and how many they are."""
        self._row.first = first
        self._write(batch.address, self._row_memory.address)
        return str(self._out.view[: self._row.size], "utf-8"), self._row.first - first

    def learn(self, row: Row) -> None:
        """Make the template of a row's kind, unless it is there."""
        client, server = (STATES.index(state) for state in (row.shown if self._table.document else row.states))
        place = kind(client, server, row.sender, row.ctl, int(row.length > 0))
        if not self._table.ready or place in self._known or self._count == TEMPLATES:
            return
        self._known.add(place)
        self._row.start = self._table.start
        template = self._table.template(row)
        if template is not None:
            self._count += 1
            self._add(template)
            self._kinds.view.cast("H")[place] = self._count

    def _add(self, template: str) -> None:
        steps = self._steps.view.cast("i")
        at = self._count * STEPS
        end = 0
        for found in PLACEHOLDER.finditer(template):
            at = self._text(steps, at, template[end : found.start()])
            name, zero, width = found[1], found[2], int(found[3] or 0)
            if name in NUMBERS:
                step = [NUMBER, NUMBERS.index(name), width, ZERO if zero else SPACE]
            else:
                step = [MARK, 0, 0, 0] if name == "mark" else [PAD, width, 0, 0]
            steps[at : at + 4] = array("i", step)
            at += 4
            end = found.end()
        self._text(steps, at, template[end:])

    def _text(self, steps: memoryview, at: int, text: str) -> int:
        """Add a step for a piece of text."""
        octets = text.encode()
        if not octets:
            return at
        self._texts.view[self._texts_used : self._texts_used + len(octets)] = octets
        steps[at : at + 4] = array("i", [TEXT, self._texts_used, len(octets), 0])
        self._texts_used += len(octets)
        return at + 4
