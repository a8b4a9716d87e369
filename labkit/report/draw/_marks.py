"""The words and colours of segments in pictures: labels, hover texts, expected values."""

from labkit.analysis.finding import Finding
from labkit.analysis.severity import Severity
from labkit.analysis.states import Row
from labkit.i18n import N_, _, aside, listed
from labkit.report.draw._conversation import (
    DUPLICATE,
    DUPLICATE_ACK,
    KEEP_ALIVE,
    LATE,
    PROBE,
    RETRANSMISSION,
    ZERO_WINDOW,
    Arrow,
)
from labkit.report.segment_line import seconds
from labkit.tcp.notation import format_option
from labkit.tcp.options import Nop, Sack
from labkit.tcp.segment import ACK, FIN, RST, SYN, URG, control_names
from labkit.tcp.seq import diff
from labkit.tcp.state import State

KINDS = {
    RETRANSMISSION: N_("sent again"),
    DUPLICATE: N_("the same packet twice"),
    LATE: N_("fills a gap"),
    DUPLICATE_ACK: N_("duplicate ACK"),
    KEEP_ALIVE: N_("keep-alive"),
    PROBE: N_("window probe"),
    ZERO_WINDOW: N_("window closed"),
}
"""The words for kinds of segments."""

PHASES = {
    State.CLOSED: "closed",
    State.LISTEN: "closed",
    State.SYN_SENT: "opening",
    State.SYN_RECEIVED: "opening",
    State.ESTABLISHED: "established",
    State.FIN_WAIT_1: "closing",
    State.FIN_WAIT_2: "closing",
    State.CLOSE_WAIT: "closing",
    State.CLOSING: "closing",
    State.LAST_ACK: "closing",
    State.TIME_WAIT: "waiting",
}
"""The colour of each state's bar; the state's name stands beside it."""

FIELDS = ("seq", "ack", "window", "flags")
"""Fields that a label shows, so that the right value can be shown in the same place."""


def fault_of(arrow: Arrow) -> Finding | None:
    """The gravest warning or error about a segment."""
    found = [each for each in arrow.findings if each.severity >= Severity.WARNING]
    return max(found, key=lambda each: each.severity, default=None)


def follows(arrow: Arrow) -> Finding | None:
    """The finding about a number that only goes on from an earlier mistake."""
    return next((each for each in arrow.findings if each.caused_by is not None), None)


def role(arrow: Arrow) -> str:
    """The colour of a segment's arrow."""
    fault = fault_of(arrow)
    if fault is not None:
        return "fault" if fault.severity >= Severity.ERROR else "warning"
    if arrow.kind in (RETRANSMISSION, DUPLICATE, LATE):
        return "again"
    if arrow.row.ctl & (SYN | FIN | RST):
        return "control"
    return "data" if arrow.row.length else "muted"


def words(row: Row, *, fields: "dict[str, str] | None" = None) -> list[str]:
    """A segment's label in words. `fields` replaces values by the field's name."""
    values = {
        "flags": control_names(row.ctl),
        "seq": f"seq={row.relative_seq}",
        "ack": f"ack={row.relative_ack}" if row.ctl & ACK else "",
        "len": f"len={row.length}" if row.length else "",
        "window": f"win={row.window}" if row.ctl & SYN or row.window == 0 else "",
        "urgent": f"urg={row.urgent}" if row.ctl & URG else "",
        "sack": sack_text(row),
    }
    return [text for text in (values | (fields or {})).values() if text]


def sack_text(row: Row) -> str:
    """The SACK blocks with relative numbers: `sack 2921:4381`."""
    blocks = [block for option in row.options if isinstance(option, Sack) for block in option.blocks]
    base = row.ack - row.relative_ack
    shown = (f"{diff(left, base & 0xFFFF_FFFF)}:{diff(right, base & 0xFFFF_FFFF)}" for left, right in blocks)
    return f"sack {' '.join(shown)}" if blocks else ""


def label_of(arrow: Arrow) -> str:
    """The label on a segment's arrow: flags, relative numbers, length, and what is special."""
    text = " ".join(words(arrow.row))
    note = _(KINDS[arrow.kind]) if arrow.kind else ""
    if arrow.original is not None and arrow.original.number is not None:
        note = _("{what}: packet {n}").format(what=note, n=arrow.original.number)
    return aside(text, note) if note else text


def _value(row: Row, field: str) -> int:
    """The value of one of FIELDS."""
    return {"seq": row.seq, "ack": row.ack, "window": row.window, "flags": row.ctl}[field]


def expected_label(arrow: Arrow) -> str:
    """The label of the segment that was expected instead; empty if no finding says what is right, or it is not to be shown."""
    right: dict[str, str] = {}
    for each in sorted(arrow.findings, key=lambda each: each.severity):
        counts = each.severity >= Severity.WARNING or each.caused_by is not None
        # A finding may be about a field of another segment: the window that the peer offered.
        if (
            not counts
            or each.expected is None
            or each.field not in FIELDS
            or each.actual != _value(arrow.row, each.field)
        ):
            continue
        shown = each.expected if each.expected_relative is None else each.expected_relative
        if each.field == "flags":
            right["flags"] = control_names(each.expected)
        else:
            right[each.field] = f"{'win' if each.field == 'window' else each.field}={shown}"
    return " ".join(words(arrow.row, fields=right)) if right else ""


def missing_text(arrow: Arrow) -> str:
    """What a finding at a segment says of one that is not there; empty if none does."""
    found = (each.should_be for each in arrow.findings if each.field == "missing" and each.severity >= Severity.WARNING)
    return next((_("expected: {text}").format(text=text) for text in found if text), "")


def hover(arrow: Arrow, start: int) -> list[str]:
    """Everything about a segment in lines: times, raw numbers, options, what was found."""
    row = arrow.row
    lines = []
    if arrow.number is not None:
        where = _("packet {n}").format(n=arrow.number)
        if arrow.arrival_number is not None:
            where += _(", at the other point packet {n}").format(n=arrow.arrival_number)
    else:
        where = _("not in the capture")
    lines.append(f"{where}: {' '.join(words(row))}")
    raw = _("raw: seq {seq}").format(seq=row.seq)
    if row.ctl & ACK:
        raw += _(", ack {ack}").format(ack=row.ack)
    scaled = f" ({row.window_octets:,})" if row.window_octets != row.window else ""
    lines.append(f"{raw}{_(', ')}{_('window')} {row.window}{scaled}")
    options = [format_option(option) for option in row.options if not isinstance(option, Nop)]
    if options:
        lines.append(_("options: {list}").format(list=listed(options)))
    if arrow.arrives is None:
        text = (
            _("sent at {time} s, lost")
            if not arrow.surmised
            else _("sent at {time} s; its sender sends it again: lost, or its ACK was")
        )
        lines.append(text.format(time=seconds(arrow.sent - start)))
    else:
        text = _("sent at {time} s, arrives at {arrival} s")
        lines.append(text.format(time=seconds(arrow.sent - start), arrival=seconds(arrow.arrives - start)))
    if arrow.kind:
        note = _(KINDS[arrow.kind])
        if arrow.original is not None and arrow.original.number is not None:
            note = _("{what}: packet {n}").format(what=note, n=arrow.original.number)
        lines.append(note)
    for each in arrow.findings:
        lines.append(f"{_(str(each.severity))}[{each.code}] {each.name}{_(': ')}{each.message}")
        if each.should_be:
            lines.append(_("should be: {text}").format(text=each.should_be))
    return lines
