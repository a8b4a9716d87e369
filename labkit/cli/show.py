"""`labkit show`: show the conversations of a capture, with the states of both ends."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import click

from labkit.cli._budget import budget_options, capture_budget
from labkit.cli._common import Command, damage_code, echo, format_option, is_coloured, note, option, profile_option
from labkit.cli._flow_filter import flow_filter, flow_options, note_unmatched
from labkit.cli._paths import PATH
from labkit.i18n import N_, _

if TYPE_CHECKING:
    from labkit.analysis.flow_filter import FlowFilter, Unmatched
    from labkit.analysis.states import Lines, Row
    from labkit.analysis.verdict import Verdict
    from labkit.capture import Reader
    from labkit.capture.budget import Budget
    from labkit.report.conversation_table import TableStyle
    from labkit.report.draw._subject import Opener


@click.command(
    "show",
    cls=Command,
    section="verify",
    examples=("labkit show document.pcapng", "labkit show document.pcapng --format notation > document.pkt"),
)
@click.argument("capture", type=PATH)
@profile_option
@format_option("text", "json", "jsonl", "notation", "html")
@flow_options
@budget_options()
@option("--window", is_flag=True, help=N_("Text: show the window of every segment, not only of SYNs."))
def command(capture: str, profile: str, format_: str, window: bool, **others: Any) -> int:
    """Show conversations: states of both ends, segment by segment.

    CAPTURE is a pcap or pcapng file; '-' is standard input. Each line has the time, the states of both ends, and the
    segment with relative numbers. The states are those of RFC 9293 after the segment has arrived. With --profile document,
    they stand where the tables of the introductory text have them, under its names.
    """
    from labkit.capture import lacking, open_capture
    from labkit.capture.budget import Meter
    from labkit.report.conversation_table import TableStyle

    wanted, budget = flow_filter(others), capture_budget(others)
    if format_ == "html":
        return _page(capture, wanted, budget)
    meter = Meter(budget)
    with open_capture(capture, meter) as reader:
        style = TableStyle(profile == "document", window, reader.names, reader.interfaces, colour=is_coloured())
        rows, lines_of = _table(reader, wanted, format_, style)
        unmatched = None
        if wanted is not None:
            from labkit.analysis.flow_filter import Unmatched

            rows = _taken(rows, unmatched := Unmatched(wanted))
        first = list(islice(rows, 1))
        lines = lines_of(chain(first, rows))
        # What comes through a pipe is shown as it comes.
        while part := list(islice(lines, 1 if reader.waits else 1000)):
            echo("\n".join(part))
            if meter.over():
                break
        damage = reader.damage or reader.spent()
        if not first and wanted is not None:
            raise lacking(_("{capture}: there is no conversation {what}").format(capture=capture, what=wanted), damage)
        if damage is not None:
            text = _("{capture}: {message}; shown up to there")
            note(text.format(capture=capture, message=damage.message))
        elif not first:
            note(_("{capture}: there is no TCP segment in it that labkit can read").format(capture=capture))
        if unmatched is not None:
            note_unmatched(unmatched.options(), capture)
        return damage_code(damage)


def _taken(rows: "Iterator[Row | Lines]", unmatched: "Unmatched") -> "Iterator[Row | Lines]":
    """Pass on rows. The first one of a conversation is never among lines."""
    from labkit.analysis.states import Row

    for each in rows:
        if unmatched and isinstance(each, Row):
            unmatched.take(each.flow.index, each.flow.ends)
        yield each


def _table(
    reader: "Reader", wanted: "FlowFilter | None", format_: str, style: "TableStyle"
) -> "tuple[Iterator[Row | Lines], Callable[[Iterator[Any]], Iterator[str]]]":
    """The rows, and what makes lines of them."""
    from labkit.analysis.native.engine import observe_capture
    from labkit.analysis.states import observe
    from labkit.report.conversation_table import FORMATS, TextTable

    match format_:
        case _ if (
            reader.meter is not None and reader.meter.is_bounded
        ):  # the interpreter looks at the bounds while it reads
            return observe(reader, wanted), lambda rows: FORMATS[format_](rows, style)
        case "notation":  # which has the edits of frames too
            return observe(reader, wanted), lambda rows: FORMATS[format_](rows, style)
        case "text":
            table = TextTable(style)
            return observe_capture(reader, wanted, on_notice=note, table=table), table.lines
        case _:
            return observe_capture(reader, wanted, on_notice=note), lambda rows: FORMATS[format_](rows, style)


def _page(capture: str, wanted: "FlowFilter | None", budget: "Budget") -> int:
    """Print a page with the conversations as pictures and as tables."""
    from labkit.analysis.native.engine import verify_capture
    from labkit.cli.draw import Readings, of_capture
    from labkit.report.draw import LADDER, DrawOptions, conversations_of, picture

    def counted(opener: "Opener") -> "Verdict":
        """The verdict without findings, for the number of conversations: rows of all of them would take longer."""
        with opener() as reader:
            return replace(verify_capture(reader), findings=[])

    readings = Readings(capture, budget=budget)
    subject = of_capture(readings, None if wanted else counted, wanted, count=conversations_of(LADDER))
    for line in picture(LADDER, "html")(subject, DrawOptions()):
        echo(line)
    return readings.conclude(subject)
