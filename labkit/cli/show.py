"""`labkit show`: a capture as a table of its conversations, with the states of both ends."""

from itertools import chain, islice

import click

from labkit.cli._common import Command, Exit, format_option, note, profile_option
from labkit.cli._flow_filter import Network, wanted_options
from labkit.errors import UsageError
from labkit.i18n import _


@click.command("show", cls=Command)
@click.argument("capture", type=click.Path(allow_dash=True))
@profile_option
@format_option("text", "json", "jsonl", "notation")
@wanted_options
@click.option("--window", is_flag=True, help=_("Text: the window on every segment, not only on SYNs."))
def command(
    capture: str,
    profile: str,
    format_: str,
    flow: tuple[int, ...],
    host: tuple[Network, ...],
    port: tuple[int, ...],
    window: bool,
) -> int:
    """Show conversations: states of both ends, segment by segment.

    CAPTURE is a pcap or pcapng file; '-' is standard input. Each line has the time, the states of both ends, the segment
    with relative numbers, and the raw ones. States are RFC 9293's, after the segment has arrived; with --profile document
    they stand where the document's tables have them, in its words.
    """
    from labkit.analysis.flow_filter import FlowFilter
    from labkit.analysis.states import observe
    from labkit.capture import open_capture
    from labkit.report.conversation_table import FORMATS, TableStyle

    wanted = FlowFilter(flow, host, port)
    with open_capture(capture) as reader:
        style = TableStyle(profile == "document", window, reader.names, reader.interfaces)
        rows = observe(reader, wanted if flow or host or port else None)
        first = list(islice(rows, 1))
        for line in FORMATS[format_](chain(first, rows), style):
            click.echo(line)
        if reader.damage is not None:
            text = _("{capture}: {message}; shown up to there")
            note(text.format(capture=capture, message=reader.damage.message))
        elif not first and (flow or host or port):
            raise UsageError(_("{capture}: there is no conversation {what}").format(capture=capture, what=wanted))
        elif not first:
            note(_("{capture}: there is no TCP segment in it").format(capture=capture))
        return Exit.UNREADABLE if reader.damage is not None and not reader.damage.cut else Exit.OK
