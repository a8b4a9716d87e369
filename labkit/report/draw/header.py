"""The TCP header of one packet in rows of 32 bits, as RFC 9293 section 3.1 draws it, with its values; a wrong field is marked."""

from collections.abc import Iterator
from dataclasses import dataclass

import click

from labkit.analysis.findings import outlines
from labkit.analysis.severity import Severity
from labkit.i18n import N_, _, printable
from labkit.packet.seen import Seen
from labkit.report.draw import DrawOptions, _svg
from labkit.report.draw._conversation import Arrow
from labkit.report.draw._page import Drawing, drawing_formats
from labkit.report.draw._subject import Subject
from labkit.tcp.notation import format_option
from labkit.tcp.options import Nop
from labkit.tcp.segment import ACK, BITS

SUMMARY = N_("the header of a packet in rows of 32 bits, with its values: --packets N")

WIDTH = 1040.0
LEFT, TOP, BIT, ROW = 24.0, 70.0, 31.0, 52.0

FLAGS = ("CWR", "ECE", "URG", "ACK", "PSH", "RST", "SYN", "FIN")
"""The control bits from the left."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the header."""

    name: str
    bits: int
    value: str
    key: str = ""
    """What findings call it."""


@dataclass(frozen=True, slots=True)
class Header:
    """A header to draw."""

    title: str
    rows: list[list[Field]]
    wrong: dict[str, str]
    """What should be there, by the field's key; empty if it is not known or not to be shown."""


def header(subject: Subject, packet: int | None) -> Header:
    """The header of a packet; without one, of the first packet with an error, else of the first. UsageError if it is no TCP."""
    arrow = _chosen(subject, packet)
    number = packet if packet is not None else (arrow.number if arrow else None) or 1
    text = _("{capture}: packet {n} does not exist or is not a TCP segment")
    if packet is None:
        text = _("{capture}: there is no TCP segment in it that labkit can read")
    _frame, data, seg = subject.segment(lambda seg: seg.number == number, text.format(capture=subject.title, n=number))
    every = subject.verdict.findings if subject.verdict is not None else ()
    findings = [every[place] for place, each in enumerate(outlines(every)) if each.packet == number]
    wrong = {}
    values = {"seq": seg.seq, "ack": seg.ack, "window": seg.win, "checksum": seg.sum, "urgent": seg.urg}
    for each in findings:
        # A finding may be about a field of another segment: the window that the peer offered.
        here = each.actual is None or values.get(each.field, each.actual) == each.actual
        if here and (each.severity > Severity.NOTE or each.caused_by is not None):
            right = "" if each.expected is None else f"{each.expected}"
            if each.expected_relative is not None and each.expected_relative != each.expected:
                right = _("{raw}, relative {relative}").format(raw=right, relative=each.expected_relative)
            wrong[each.field.partition(".")[0]] = right
    title = _("{name}, packet {n}: TCP header").format(name=subject.title, n=number)
    return Header(title, list(_rows(seg, data, arrow)), wrong)


def _chosen(subject: Subject, packet: int | None) -> Arrow | None:
    arrows = [arrow for each in subject.conversations for arrow in each.arrows if arrow.number is not None]
    if packet is not None:
        return next((arrow for arrow in arrows if packet in (arrow.number, arrow.arrival_number)), None)
    faulty = (arrow for arrow in arrows if any(each.severity > Severity.NOTE for each in arrow.findings))
    return next(faulty, arrows[0] if arrows else None)


def _rows(seg: Seen, data: bytes, arrow: Arrow | None) -> Iterator[list[Field]]:
    seq, ack = f"{seg.seq}", f"{seg.ack}"
    if arrow is not None:
        seq = _("{raw}  (relative {relative})").format(raw=seq, relative=arrow.row.relative_seq)
        if seg.ctl & ACK:
            ack = _("{raw}  (relative {relative})").format(raw=ack, relative=arrow.row.relative_ack)
    if not seg.ctl & ACK:
        ack = _("{raw}  (does not count without ACK)").format(raw=ack)
    yield [
        Field(_("source port"), 16, f"{seg.sport}", "port"),
        Field(_("destination port"), 16, f"{seg.dport}", "port"),
    ]
    yield [Field(_("sequence number"), 32, seq, "seq")]
    yield [Field(_("acknowledgment number"), 32, ack, "ack")]
    reserved = data[seg.tcp_at + 12] & 0x0F if seg.tcp_at + 12 < len(data) else 0
    yield [
        Field(_("offset"), 4, f"{seg.doff // 4}", "offset"),
        Field(_("rsrvd"), 4, f"{reserved}", "flags"),
        *(Field(name, 1, "1" if seg.ctl & BITS[name] else "0", "flags") for name in FLAGS),
        Field(_("window"), 16, f"{seg.win}", "window"),
    ]
    yield [
        Field(_("checksum"), 16, f"{seg.sum:#06x}", "checksum"),
        Field(_("urgent pointer"), 16, f"{seg.urg}", "urgent"),
    ]
    if arrow is not None and seg.doff > 20:
        options = ", ".join(format_option(each) for each in arrow.row.options if not isinstance(each, Nop))
        yield [Field(_("options ({n} bytes)").format(n=seg.doff - 20), 32, options, "options")]
    if seg.len:
        yield [Field(_("data"), 32, _("{n} bytes").format(n=seg.len), "length")]


def _drawing(subject: Subject, options: DrawOptions) -> Drawing:
    found = header(subject, options.packet)
    return Drawing(found.title, found.title, WIDTH, TOP + ROW * len(found.rows) + 24, _drawn(found))


def _drawn(found: Header) -> Iterator[str]:
    yield _svg.label(LEFT, 26, found.title, "ink title")
    for bit in range(0, 32, 4):
        yield _svg.label(LEFT + bit * BIT + BIT / 2, TOP - 10, bit, "muted small", anchor="middle")
    yield _svg.label(LEFT + 31 * BIT + BIT / 2, TOP - 10, 31, "muted small", anchor="middle")
    for place, row in enumerate(found.rows):
        y, bit = TOP + place * ROW, 0
        for field in row:
            x, width = LEFT + bit * BIT, field.bits * BIT
            bit += field.bits
            wrong = field.key in found.wrong
            yield _svg.element(
                "rect",
                x=x,
                y=y,
                width=width,
                height=ROW,
                class_="band fault-line thick" if wrong else "paper muted-line",
            )
            style = "fault strong" if wrong else "ink strong"
            yield _svg.label(x + width / 2, y + 18, field.name, "muted small", anchor="middle")
            room = int(width / 7.4)
            value = field.value if len(field.value) <= room else f"{field.value[: room - 1]}…"
            right = found.wrong.get(field.key, "") if field.bits > 1 else ""
            yield _svg.label(x + width / 2, y + (32 if right else 38), value, style, anchor="middle")
            if right:
                text = _("should be {value}").format(value=right)
                yield _svg.label(x + width / 2, y + 47, text, "right small strong", anchor="middle")


def terminal(subject: Subject, options: DrawOptions) -> Iterator[str]:
    """Draw the header as RFC 9293 does, two characters for each bit."""
    found = header(subject, options.packet)
    yield click.style(printable(found.title), bold=True)
    yield " " + " ".join(f"{bit % 10}" for bit in range(32))
    rule = "+" + "-+" * 32
    for row in found.rows:
        yield rule
        for lines in zip(*(_cell(field, found.wrong) for field in row), strict=True):
            yield "|" + "|".join(lines) + "|"
    yield rule
    for key, right in found.wrong.items():
        if right:
            yield click.style(_("{field} should be {value}").format(field=key, value=right), fg="green")


def _cell(field: Field, wrong: dict[str, str]) -> list[str]:
    """The lines of one field: its name, and its value; a single bit has its name downwards."""
    width = 2 * field.bits - 1
    lines = ["", field.name, "", field.value]
    shown = [*field.name, field.value] if field.bits == 1 else [line[:width].center(width) for line in lines]
    if field.key in wrong:
        shown[3] = click.style(shown[3], fg="red", bold=True)
    return shown


FORMATS = {**drawing_formats(_drawing), "terminal": terminal}
