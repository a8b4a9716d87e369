"""`labkit lab`: a client, a server and the wire between them, in network namespaces of their own."""

import os
from typing import TYPE_CHECKING, Any

import click

from labkit.cli._common import Command, Exit, F, emit_json, format_option, note
from labkit.cli._live import orderly
from labkit.errors import LinkError
from labkit.i18n import _, ngettext, printable

if TYPE_CHECKING:
    from labkit.live.lab import Lab

ANY_ARGUMENTS = {"ignore_unknown_options": True, "allow_interspersed_args": False}
"""What follows is another program's command line."""

name_option = click.option("--name", metavar="NAME", help=_("Of several labs, which."))
end_argument = click.argument("end", type=click.Choice(["client", "server", "relay"]))


def made_option(function: F) -> F:
    """`--relay`, `--offload` and `--mtu`: what a lab is made with."""
    for option in (
        click.option(
            "--mtu", type=click.IntRange(1280, 65535), default=1500, show_default=True, help=_("Of the wire.")
        ),
        click.option(
            "--offload",
            type=click.Choice(["off", "on"]),
            default="off",
            show_default=True,
            help=_("Whether the interfaces are left to finish checksums and segments, as hardware does."),
        ),
        click.option(
            "--relay", is_flag=True, help=_("With a place between the ends, where 'labkit relay' carries the packets.")
        ),
    ):
        function = option(function)
    return function


@click.group(
    "lab",
    help=_(
        "Make, use and remove labs: a client, a server and a wire.\n\n"
        "They are network namespaces. "
        "The client's kernel has the addresses 192.0.2.1 and 2001:db8::1, the server's 192.0.2.2 and 2001:db8::2. Nothing "
        "leads out of the lab. It needs root, but for 'exec', which makes a lab for one command."
    ),
)
def command() -> None:
    """Make, use and remove labs."""


@command.command("up", cls=Command)
@name_option
@made_option
def up(name: str | None, relay: bool, offload: str, mtu: int) -> int:
    """Make a lab that stays until it is taken down."""
    from labkit.live import lab

    with orderly() as told:
        try:
            with lab.up(name, relay=relay, offload=offload == "on", mtu=mtu) as made:
                for line in _lines(made):
                    note(line)
        except KeyboardInterrupt:
            # What was made so far is gone again.
            note(_("interrupted"))
            return told.code(Exit.INTERRUPTED)
    return Exit.OK


@command.command("down", cls=Command)
@name_option
@click.option("--all", "every", is_flag=True, help=_("All labs that are up."))
def down(name: str | None, every: bool) -> None:
    """Remove a lab, and end what runs in it.

    It also removes what a killed run has left, and may be repeated.
    """
    from labkit.live import lab

    for each in lab.recorded() or [None] if every else [name]:
        namespaces, processes = lab.down(each)
        if not namespaces:
            note(_("there is no lab to take down"))
            continue
        text = ngettext(
            "the lab is down; {n} process in it was ended", "the lab is down; {n} processes in it were ended", processes
        )
        note(text.format(n=processes) if processes else _("the lab is down"))


@command.command("status", cls=Command)
@name_option
@format_option("text", "json")
def status(name: str | None, format_: str) -> int:
    """Show which labs are up, and what runs in them.

    Exit code 1 where none is.
    """
    from labkit.live import lab
    from labkit.live.system import processes_in
    from labkit.live.wiring import ENDS, KERNELS

    names = [each for each in lab.recorded() if name is None or each == name]
    found: list[dict[str, Any]] = []
    for each in names:
        try:
            with lab.find(each) as one:
                ends = {
                    end: {"addresses": [KERNELS[end].ipv4, KERNELS[end].ipv6] if end in ENDS else []}
                    | {"interface": KERNELS[end].interface if end in ENDS else None}
                    | {"processes": sorted(processes_in([space.inode]))}
                    for end, space in one.namespaces.items()
                }
                found.append({"name": each, "whole": True, "ends": ends})
        except LinkError as error:
            found.append({"name": each, "whole": False, "ends": {}, "error": str(error)})
    if format_ == "json":
        emit_json({"labs": found})
        return Exit.OK if found else Exit.FINDINGS
    for one_lab in found:
        click.echo(click.style(one_lab["name"] or _("(the lab without a name of its own)"), bold=True))
        if not one_lab["whole"]:
            click.echo(f"  {one_lab['error']}")
        for end, facts in one_lab["ends"].items():
            processes = ngettext("{n} process", "{n} processes", len(facts["processes"])).format(
                n=len(facts["processes"])
            )
            numbers = f" ({', '.join(map(str, facts['processes']))})" if facts["processes"] else ""
            click.echo(f"  {end:<7} {' '.join(facts['addresses']):<24} {processes}{numbers}")
    if not found:
        note(_("no lab is up"))
    return Exit.OK if found else Exit.FINDINGS


@command.command("run", cls=Command, context_settings=ANY_ARGUMENTS)
@name_option
@end_argument
@click.argument("words", metavar="COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
def run(name: str | None, end: str, words: tuple[str, ...]) -> None:
    """Run a command at an end of the lab.

    Its exit code is the command's.
    """
    from labkit.live import lab

    with lab.find(name) as found:
        if end not in found.namespaces:
            with found.inside(end):  # which says why not
                pass
        found.namespaces[end].enter()
        _become(words)


@command.command("shell", cls=Command)
@name_option
@end_argument
def shell(name: str | None, end: str) -> None:
    """Open a shell at an end of the lab."""
    from labkit.live import lab

    with lab.find(name) as found:
        if end not in found.namespaces:
            with found.inside(end):
                pass
        found.namespaces[end].enter()
        _become((lab.shell(),))


@command.command("exec", cls=Command, context_settings=ANY_ARGUMENTS)
@made_option
@click.argument("words", metavar="COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(relay: bool, offload: str, mtu: int, words: tuple[str, ...]) -> int:
    """Make a lab for one command, also without root.

    In the command, 'labkit lab run', 'play', 'relay' and 'watch' find the lab. It is gone when the command has ended, with
    all that still runs in it. The command has no other network. The exit code is the command's.
    """
    from labkit.live.lab_exec import run_in_new_lab

    return run_in_new_lab(words, relay=relay, offload=offload == "on", mtu=mtu)


def _become(words: tuple[str, ...]) -> None:
    """Be another program from now on."""
    try:
        os.execvp(words[0], words)  # noqa: S606 - what the user asked for
    except OSError as error:
        raise LinkError(
            _("'{program}' cannot be started: {reason}").format(program=printable(words[0]), reason=error.strerror)
        ) from error


def _lines(lab: "Lab") -> list[str]:
    """What a lab is, in a few lines."""
    from labkit.live.wiring import KERNELS

    ends = [
        f"{end} {kernel.interface} {kernel.ipv4} {kernel.ipv6}"
        for end, kernel in KERNELS.items()
        if end in lab.namespaces
    ]
    return [_("{lab} is up: {ends}").format(lab=lab.title, ends=" ↔ ".join(ends))]
