"""`labkit lab`: make and use labs, each with a client, a server and a wire in network namespaces."""

import os
from typing import TYPE_CHECKING, Any

import click

from labkit.cli._common import Command, CommandGroup, Exit, echo, emit_json, format_option, note, option, options
from labkit.cli._live import orderly
from labkit.errors import LinkError
from labkit.i18n import N_, _, ngettext, printable, reason_of

if TYPE_CHECKING:
    from labkit.live.lab import Lab

ANY_ARGUMENTS = {"ignore_unknown_options": True, "allow_interspersed_args": False}
"""Of a command whose last arguments are another program's command line."""

name_option = option("--name", metavar="NAME", help=N_("Which lab, if there are several."))
end_argument = click.argument("end", type=click.Choice(["client", "server", "relay"]))


lab_options = options(
    option("--relay", is_flag=True, help=N_("Add a relay between the ends, for 'labkit relay' to carry packets.")),
    option(
        "--offload",
        type=click.Choice(["off", "on"]),
        default="off",
        show_default=True,
        help=N_("Let the interfaces complete checksums and cut large segments, as hardware does."),
    ),
    option("--mtu", type=click.IntRange(1280, 65535), default=1500, show_default=True, help=N_("MTU of the wire.")),
)
"""The properties of a new lab."""


@click.group(
    "lab",
    cls=CommandGroup,
    section="live",
    examples=("sudo labkit lab up", "labkit lab exec -- labkit play document --both --verify"),
)
def command() -> None:
    """Make, use and remove labs: a client, a server and a wire.

    Client and server are network namespaces. The client's kernel has the addresses 192.0.2.1 and 2001:db8::1, the server's
    192.0.2.2 and 2001:db8::2. Nothing leads out of the lab. Labs need root, except 'exec', which makes a lab for one
    command.
    """


@command.command("up", cls=Command, examples=("sudo labkit lab up", "sudo labkit lab up --name demo --relay"))
@name_option
@lab_options
def up(name: str | None, relay: bool, offload: str, mtu: int) -> int:
    """Make a lab that stays until 'labkit lab down'."""
    from labkit.live import lab

    with orderly() as signalled:
        try:
            with lab.up(name, relay=relay, offload=offload == "on", mtu=mtu) as made:
                for line in _lines(made):
                    note(line)
        except KeyboardInterrupt:
            # The lab has removed the parts that existed.
            note(_("interrupted"))
            return signalled.code(Exit.INTERRUPTED)
    return Exit.OK


@command.command("down", cls=Command, examples=("sudo labkit lab down", "sudo labkit lab down --all"))
@name_option
@option("--all", "every", is_flag=True, help=N_("Remove all labs that are up."))
def down(name: str | None, every: bool) -> None:
    """Remove a lab, and end the processes in it.

    This also removes the remains of a killed run. It may be repeated.
    """
    from labkit.live import lab

    for each in lab.recorded() or [None] if every else [name]:
        namespaces, processes = lab.down(each)
        if not namespaces:
            note(_("no lab is up"))
            continue
        text = ngettext(
            "removed the lab, and ended {n} process in it", "removed the lab, and ended {n} processes in it", processes
        )
        note(text.format(n=processes) if processes else _("removed the lab"))


@command.command("status", cls=Command, examples=("labkit lab status", "labkit lab status --format json"))
@name_option
@format_option("text", "json")
def status(name: str | None, format_: str) -> int:
    """Show the labs that are up, and the processes in them.

    Exit code 1 if no lab is up.
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
        echo(click.style(one_lab["name"] or _("(the lab without a name)"), bold=True))
        if not one_lab["whole"]:
            echo(f"  {one_lab['error']}")
        for end, facts in one_lab["ends"].items():
            processes = ngettext("{n} process", "{n} processes", len(facts["processes"])).format(
                n=len(facts["processes"])
            )
            numbers = f" ({', '.join(map(str, facts['processes']))})" if facts["processes"] else ""
            echo(f"  {end:<7} {' '.join(facts['addresses']):<24} {processes}{numbers}")
    if not found:
        note(_("no lab is up"))
    return Exit.OK if found else Exit.FINDINGS


@command.command(
    "run",
    cls=Command,
    context_settings=ANY_ARGUMENTS,
    examples=("sudo labkit lab run server python3 -m http.server 80", "sudo labkit lab run client ping -c 1 192.0.2.2"),
)
@name_option
@end_argument
@click.argument("words", metavar="COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
def run(name: str | None, end: str, words: tuple[str, ...]) -> None:
    """Run a command at an end of the lab.

    The exit code is the command's.
    """
    _enter(name, end)
    _execute(words)


@command.command(
    "shell", cls=Command, examples=("sudo labkit lab shell client", "sudo labkit lab shell server --name demo")
)
@name_option
@end_argument
def shell(name: str | None, end: str) -> None:
    """Open a shell at an end of the lab."""
    from labkit.live import lab

    _enter(name, end)
    _execute((lab.shell(),))


@command.command(
    "exec",
    cls=Command,
    context_settings=ANY_ARGUMENTS,
    examples=("labkit lab exec -- labkit play document --both", "labkit lab exec --relay -- bash"),
)
@lab_options
@click.argument("words", metavar="COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(relay: bool, offload: str, mtu: int, words: tuple[str, ...]) -> int:
    """Make a lab for one command, even without root.

    Within the command, 'labkit lab run', 'play', 'relay' and 'watch' find the lab. When the command ends, labkit removes
    the lab and ends all processes in it. The command has no other network. The exit code is the command's.
    """
    from labkit.live.lab_exec import run_in_new_lab

    return run_in_new_lab(words, relay=relay, offload=offload == "on", mtu=mtu)


def _enter(name: str | None, end: str) -> None:
    """Move this process to an end of a lab. LinkError where there is none."""
    from labkit.live import lab

    with lab.find(name) as found:
        found.namespace(end).enter()


def _execute(words: tuple[str, ...]) -> None:
    """Replace this process by a program."""
    try:
        os.execvp(words[0], words)  # noqa: S606 - what the user asked for
    except OSError as error:
        raise LinkError(
            _("'{program}' cannot be started: {reason}").format(program=printable(words[0]), reason=reason_of(error))
        ) from error


def _lines(lab: "Lab") -> list[str]:
    from labkit.live.wiring import KERNELS

    ends = [
        f"{end} {kernel.interface} {kernel.ipv4} {kernel.ipv6}"
        for end, kernel in KERNELS.items()
        if end in lab.namespaces
    ]
    return [_("{lab} is up: {ends}").format(lab=lab.title, ends=" ↔ ".join(ends))]
