"""`labkit build`: a scenario becomes a capture file."""

from pathlib import Path

import click
from click.shell_completion import CompletionItem

from labkit.cli._common import Command, complete_formats, complete_scenarios, note
from labkit.errors import UsageError
from labkit.i18n import _, ngettext

STANDARD_OUTPUT = "-"


def _complete_faults(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from labkit.faults import faults

    return [CompletionItem(fault.name, help=fault.code) for fault in faults() if fault.name.startswith(incomplete)]


@click.command("build", cls=Command)
@click.argument("scenario", required=False, shell_complete=complete_scenarios)
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
def command(
    scenario: str | None,
    output: str | None,
    seed: int,
    format_: str | None,
    edition: str,
    faults: tuple[str, ...],
    manifest: str | None,
) -> None:
    """Write a scenario's packets to a capture file.

    SCENARIO is the name of a shipped one ('labkit scenarios' lists them) or a file that ends in .yaml.
    """
    if "list" in faults:
        _list_faults()
        return
    if scenario is None:
        raise UsageError(_("which scenario? 'labkit scenarios' lists those that there are"))
    if manifest not in {None, STANDARD_OUTPUT} and manifest == output:
        raise UsageError(_("{file}: the capture and the manifest cannot be the same file").format(file=output))
    from labkit.scenario import Scenario

    trace = Scenario.load(scenario).play(seed=seed)
    injected: list[dict[str, object]] = []
    if faults:
        from labkit.faults import inject, plain

        trace, made = inject(trace, faults)
        injected = plain(made)
    if output is None:
        # Not by the name that the scenario gives itself: a file must not choose where it is written.
        output = f"{Path(scenario).stem}.{format_ or 'pcapng'}"
    trace.write(output, format=format_, edition=edition)
    if injected:
        _write_manifest(manifest, output, {"scenario": trace.name, "seed": seed, "faults": injected})
    count = len(trace)
    note(
        ngettext("{file}: {count} packet, seed {seed}", "{file}: {count} packets, seed {seed}", count).format(
            file=_("standard output") if output == STANDARD_OUTPUT else output, count=count, seed=seed
        )
    )


def _list_faults() -> None:
    from labkit.faults import faults

    width = max(len(fault.name) for fault in faults())
    for fault in faults():
        code = click.style(f"{fault.code:<5}", bold=True)
        click.echo(f"{code}  {fault.name:<{width}}  {_(fault.summary)}")


def _write_manifest(path: str | None, output: str, content: dict[str, object]) -> None:
    """The manifest goes beside the capture, or where it is asked for; nowhere by default for standard output."""
    from json import dumps

    if path is None and output == STANDARD_OUTPUT:
        return
    text = dumps({"capture": Path(output).name, **content}, indent=2) + "\n"
    if path == STANDARD_OUTPUT:
        click.echo(text, nl=False)
        return
    target = Path(path) if path else Path(output).with_suffix(".manifest.json")
    target.write_text(text, "utf-8")
    note(_("{file}: what the faults have done").format(file=target))
