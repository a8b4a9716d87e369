"""`labkit show`: show the conversations of a capture, with the states of both ends."""

from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import click

from labkit.cli._common import Command, Exit, echo, format_option, note, profile_option
from labkit.cli._flow_filter import flow_filter, flow_options
from labkit.errors import UsageError
from labkit.i18n import N_, _

if TYPE_CHECKING:
    from labkit.analysis.flow_filter import FlowFilter


@click.command(
    "show",
    cls=Command,
    section="verify",
    examples=("labkit show document.pcapng", "labkit show document.pcapng --format notation > document.pkt"),
)
@click.argument("capture", type=click.Path(allow_dash=True))
@profile_option
@format_option("text", "json", "jsonl", "notation", "html")
@flow_options
@click.option("--window", is_flag=True, help=N_("Text: show the window of every segment, not only of SYNs."))
def command(capture: str, profile: str, format_: str, window: bool, **others: Any) -> int:
    """Show conversations: states of both ends, segment by segment.

    CAPTURE is a pcap or pcapng file; '-' is standard input. Each line has the time, the states of both ends, and the
    segment with relative numbers. The states are those of RFC 9293 after the segment has arrived. With --profile document,
    they stand where the tables of the introductory text have them, under its names.
    """
    from labkit.analysis.states import observe
    from labkit.capture import open_capture
    from labkit.report.conversation_table import FORMATS, TableStyle

    wanted = flow_filter(others)
    if format_ == "html":
        return _page(capture, wanted)
    with open_capture(capture) as reader:
        style = TableStyle(profile == "document", window, reader.names, reader.interfaces)
        rows = observe(reader, wanted)
        first = list(islice(rows, 1))
        for line in FORMATS[format_](chain(first, rows), style):
            echo(line)
        if reader.damage is not None:
            text = _("{capture}: {message}; shown up to there")
            note(text.format(capture=capture, message=reader.damage.message))
        elif not first and wanted is not None:
            raise UsageError(_("{capture}: there is no conversation {what}").format(capture=capture, what=wanted))
        elif not first:
            note(_("{capture}: there is no TCP segment in it").format(capture=capture))
        return Exit.UNREADABLE if reader.damage is not None and not reader.damage.cut else Exit.OK


def _page(capture: str, wanted: "FlowFilter | None") -> int:
    """Print a page with the conversations as pictures and as tables."""
    from labkit.cli.draw import of_capture
    from labkit.report.draw import DrawOptions, picture

    subject = of_capture(capture, None, wanted)
    for line in picture("ladder", "html")(subject, DrawOptions()):
        echo(line)
    return Exit.OK
