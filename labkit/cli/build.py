"""`labkit build`: write the packets of a scenario, or of a hand-written trace, to a capture file."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from labkit.cli._build import build_bulk, build_variants, note_built, write, write_script
from labkit.cli._common import Command, complete_formats, complete_scenarios, echo, option, output_option, seed_option
from labkit.cli._paths import OUTPUT, PATH
from labkit.errors import UsageError
from labkit.i18n import N_, _

if TYPE_CHECKING:
    from labkit.build.trace import Trace

SUFFIX = ".pkt"
"""Suffix of a hand-written trace, which `labkit.build.script` reads."""


class Seed(click.IntRange):
    """A seed, also in hexadecimal as the answers to variants have it: 0x1f."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the number."""
        if isinstance(value, str) and value[:2].lower() == "0x":
            with suppress(ValueError):
                value = int(value, 16)
        return int(super().convert(value, param, ctx))


def _complete_faults(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from labkit.build.faults import faults

    return [CompletionItem(fault.name, help=fault.code) for fault in faults() if fault.name.startswith(incomplete)]


@click.command(
    "build",
    cls=Command,
    section="build",
    examples=(
        "labkit build document",
        "labkit build mine.yaml --seed 7 --fault ack-goes-back -o faulty.pcapng",
    ),
)
@click.argument("scenario", required=False, shell_complete=complete_scenarios)
@output_option(
    N_("File to write, or folder for --variants; '-' is standard output.  [default: NAME.pcapng or NAME.pcap]")
)
@seed_option(N_("Seed of the random numbers; the same seed gives the same file."), Seed(min=0))
@option(
    "--format",
    "format_",
    metavar="FORMAT",
    shell_complete=complete_formats,
    help=N_("File format: pcapng or pcap.  [default: by the suffix of FILE, else pcapng]"),
)
@option(
    "--edition",
    type=click.Choice(["annotated", "student"]),
    help=N_(
        "annotated: a comment on each packet; student: no comments or other hints.  "
        "[default: annotated; student for variants]"
    ),
)
@option(
    "--fault",
    "faults",
    metavar="NAME[@N]",
    multiple=True,
    shell_complete=_complete_faults,
    help=N_("Break a rule on purpose, at packet N or where it first applies. Repeatable. 'list' lists the faults."),
)
@option(
    "--manifest",
    type=OUTPUT,
    metavar="FILE",
    help=N_(
        "File for a JSON list of the injected faults, and of what the path did to packets.  "
        "[default: NAME.manifest.json beside a capture with faults]"
    ),
)
@option(
    "--as-scapy",
    is_flag=True,
    help=N_(
        "Write a Python script that makes the same packets with Scapy, instead of a capture.  [default FILE: NAME.py]"
    ),
)
@option(
    "--flows",
    type=click.IntRange(min=1),
    metavar="N",
    help=N_("Build N conversations in one file, each with its own addresses and ports, and without comments."),
)
@option(
    "--variants",
    type=PATH,
    metavar="ROSTER.csv",
    help=N_("Build an individual capture for each student in ROSTER.csv, which has a column 'student'."),
)
@option(
    "--key",
    type=PATH,
    metavar="FILE",
    help=N_("Secret from which labkit derives each student's seed: a file of at least 16 random bytes."),
)
def command(
    scenario: str | None, output: str | None, seed: int, format_: str | None, flows: int | None, **options: Any
) -> None:
    """Write a scenario's packets to a capture file.

    SCENARIO is the name of a shipped scenario ('labkit scenarios' lists them), a .yaml file, or a hand-written trace: a
    .pkt file with one segment on each line, as 'labkit show --format notation' prints it.
    """
    if "list" in options["faults"]:
        _list_faults()
        return
    if scenario is None:
        raise UsageError(_("missing SCENARIO; 'labkit scenarios' lists them"))
    by_hand = Path(scenario).suffix.lower() == SUFFIX
    for name, given in (("seed", seed), ("flows", flows), ("variants", options["variants"])):
        if by_hand and given:
            text = _("{scenario}: a hand-written trace has no random numbers and excludes --{name}")
            raise UsageError(text.format(scenario=scenario, name=name))
    as_scapy = options.pop("as_scapy")
    if as_scapy:
        _check_as_scapy(format=format_, flows=flows, **options)
    if flows is not None:
        build_bulk(scenario, flows, output, seed, format_, options)
        return
    if options["variants"] is not None:
        build_variants(scenario, output, seed, format_, options)
        return
    if options["key"] is not None:
        raise UsageError(_("--key needs --variants"))
    from labkit.build.faults import inject

    faults = options["faults"]
    trace = inject(_load_by_hand(scenario, faults) if by_hand else _play(scenario, seed), faults)
    if as_scapy:
        write_script(trace, output or f"{Path(scenario).stem}.py")
        return
    if output is None:
        # Not the name that stands in the scenario: a file must not choose where labkit writes.
        output = f"{Path(scenario).stem}.{format_ or 'pcapng'}"
    count = write(trace, output, format_, options["edition"] or "annotated", options["manifest"])
    note_built(trace, output, format_, count)


def _check_as_scapy(**others: Any) -> None:
    for name in ("flows", "variants", "key", "manifest", "format", "edition"):
        if others[name] is not None:
            raise UsageError(_("--as-scapy excludes --{name}").format(name=name))


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


def _list_faults() -> None:
    from labkit.build.faults import faults

    width = max(len(fault.name) for fault in faults())
    for fault in faults():
        code = click.style(f"{fault.code:<5}", bold=True)
        echo(f"{code}  {fault.name:<{width}}  {_(fault.summary)}")
