"""`labkit build`: a scenario becomes a capture file."""

from pathlib import Path

import click

from labkit.cli._common import Command, complete_formats, complete_scenarios, note
from labkit.i18n import _, ngettext

STANDARD_OUTPUT = "-"


@click.command("build", cls=Command)
@click.argument("scenario", shell_complete=complete_scenarios)
@click.option(
    "-o",
    "--output",
    type=click.Path(allow_dash=True),
    metavar="FILE",
    help=_("Where the capture goes; '-' is standard output.  [default: NAME.pcapng, or NAME.pcap]"),
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help=_("What is left to chance is drawn from it: the same seed gives the same file."),
)
@click.option(
    "--format",
    "format_",
    metavar="FORMAT",
    shell_complete=complete_formats,
    help=_("The file's format: pcapng, pcap.  [default: by the name of FILE, else pcapng]"),
)
@click.option(
    "--edition",
    type=click.Choice(["annotated", "student"]),
    default="annotated",
    show_default=True,
    help=_("With a comment on each packet, or with nothing that tells."),
)
def command(scenario: str, output: str | None, seed: int, format_: str | None, edition: str) -> None:
    """Write a scenario's packets to a capture file.

    SCENARIO is the name of a shipped one ('labkit scenarios' lists them) or a file that ends in .yaml.
    """
    from labkit.scenario import Scenario

    trace = Scenario.load(scenario).play(seed=seed)
    if output is None:
        # Not by the name that the scenario gives itself: a file must not choose where it is written.
        output = f"{Path(scenario).stem}.{format_ or 'pcapng'}"
    trace.write(output, format=format_, edition=edition)
    count = len(trace)
    note(
        ngettext("{file}: {count} packet, seed {seed}", "{file}: {count} packets, seed {seed}", count).format(
            file=_("standard output") if output == STANDARD_OUTPUT else output, count=count, seed=seed
        )
    )
