"""`labkit build`: a scenario, or a trace that was written by hand, becomes a capture file."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from labkit.cli._build import STANDARD_OUTPUT, built, write
from labkit.cli._build import variants as write_variants
from labkit.cli._common import Command, complete_formats, complete_scenarios
from labkit.errors import UsageError
from labkit.i18n import _

if TYPE_CHECKING:
    from labkit.build.trace import Trace

SUFFIX = ".pkt"
"""How the name of a trace by hand ends; `labkit.build.script` reads it."""


class Seed(click.IntRange):
    """A number of 0 or more, also in hexadecimal, as the answers to variants have it: 0x1f."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number."""
        if isinstance(value, str) and value[:2].lower() == "0x":
            with suppress(ValueError):
                value = int(value, 16)
        return int(super().convert(value, param, ctx))


def _complete_faults(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from labkit.build.faults import faults

    return [CompletionItem(fault.name, help=fault.code) for fault in faults() if fault.name.startswith(incomplete)]


@click.command("build", cls=Command)
@click.argument("scenario", required=False, shell_complete=complete_scenarios)
@click.option(
    "-o",
    "--output",
    type=click.Path(allow_dash=True),
    metavar="FILE",
    help=_(
        "Where the capture goes; '-' is standard output.  [default: NAME.pcapng, or NAME.pcap; a folder for variants]"
    ),
)
@click.option(
    "--seed",
    type=Seed(min=0),
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
    help=_("With a comment on each packet, or with nothing that tells.  [default: annotated; student for variants]"),
)
@click.option(
    "--fault",
    "faults",
    metavar="NAME[@N]",
    multiple=True,
    shell_complete=_complete_faults,
    help=_("Break a rule on purpose, at packet N or where it first applies; may be repeated. 'list' lists them."),
)
@click.option(
    "--manifest",
    type=click.Path(allow_dash=True),
    metavar="FILE",
    help=_("Where it is written, in JSON, what the faults have done.  [default: beside the capture, .manifest.json]"),
)
@click.option(
    "--flows",
    type=click.IntRange(min=1),
    metavar="N",
    help=_("Build so many conversations in one file, each between its own addresses and ports; without comments."),
)
@click.option(
    "--variants",
    type=click.Path(),
    metavar="ROSTER.csv",
    help=_("Build a capture of one's own for each student of a list: a CSV file with a column 'student'."),
)
@click.option(
    "--key",
    type=click.Path(),
    metavar="FILE",
    help=_("The secret that the variants' seeds follow from: a file of at least 16 octets that nobody can guess."),
)
def command(
    scenario: str | None, output: str | None, seed: int, format_: str | None, flows: int | None, **options: Any
) -> None:
    """Write a scenario's packets to a capture file.

    SCENARIO is the name of a shipped one ('labkit scenarios' lists them), a file that ends in .yaml, or a trace by hand: a
    file that ends in .pkt, with a segment a line, as 'labkit show --format notation' writes them.
    """
    if "list" in options["faults"]:
        _list_faults()
        return
    if scenario is None:
        raise UsageError(_("which scenario? 'labkit scenarios' lists those that there are"))
    by_hand = Path(scenario).suffix.lower() == SUFFIX
    for name, given in (("seed", seed), ("flows", flows), ("variants", options["variants"])):
        if by_hand and given:
            text = _("{scenario}: a trace by hand leaves nothing to chance; it has no --{name}")
            raise UsageError(text.format(scenario=scenario, name=name))
    if flows is not None:
        from labkit.cli._bulk import build_bulk

        build_bulk(scenario, flows, output, seed, format_, options)
        return
    if options["variants"] is not None:
        _build_variants(scenario, output, seed, format_, **options)
        return
    if options["key"] is not None:
        raise UsageError(_("--key goes with --variants, and means nothing without"))
    from labkit.build.faults import inject

    faults = options["faults"]
    trace = inject(_load_by_hand(scenario, faults) if by_hand else _play(scenario, seed), faults)
    if output is None:
        # Not by the name that the scenario gives itself: a file must not choose where it is written.
        output = f"{Path(scenario).stem}.{format_ or 'pcapng'}"
    count = write(trace, output, format_, options["edition"] or "annotated", options["manifest"])
    built(trace, output, format_, count)


def _play(scenario: str, seed: int) -> "Trace":
    from labkit.build.scenario import Scenario

    return Scenario.load(scenario).play(seed=seed)


def _load_by_hand(path: str, faults: tuple[str, ...]) -> "Trace":
    from labkit.build.script import load

    if not faults:
        return load(path)
    from labkit.report.trace_states import with_states

    # Some faults apply only in certain states.
    return with_states(load(path))


def _build_variants(
    scenario: str,
    output: str | None,
    seed: int,
    format_: str | None,
    *,
    edition: str | None,
    faults: tuple[str, ...],
    manifest: str | None,
    variants: str,
    key: str | None,
) -> None:
    from labkit.build.scenario import Scenario

    if seed:
        raise UsageError(_("--seed does not go with --variants: each student's seed follows from the key"))
    if manifest is not None:
        raise UsageError(_("--manifest does not go with --variants: the answers tell of the faults"))
    folder = output or f"{Path(scenario).stem}-variants"
    if folder == STANDARD_OUTPUT:
        raise UsageError(_("variants are written to a folder, not to standard output"))
    known = Scenario.load(scenario)
    write_variants(known, variants, key, folder, format_ or "pcapng", edition or "student", faults)


def _list_faults() -> None:
    from labkit.build.faults import faults

    width = max(len(fault.name) for fault in faults())
    for fault in faults():
        code = click.style(f"{fault.code:<5}", bold=True)
        click.echo(f"{code}  {fault.name:<{width}}  {_(fault.summary)}")
