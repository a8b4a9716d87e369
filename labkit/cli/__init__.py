"""The command `labkit`: one module for each subcommand, found by its name and loaded when it is used.

`main` is the program; `run` is the same without leaving Python. Errors end here: whatever happens, a user
sees one line on standard error and gets an exit code (`Exit`), never a traceback; LABKIT_DEBUG=1 shows it.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, NoReturn

import click

from labkit import __version__
from labkit.cli._common import COMPLETE, Exit, note
from labkit.errors import CaptureError, InputError, LabkitError, LinkError, MissingError, ScenarioError, UsageError
from labkit.i18n import _, nearest

CODES: dict[type[LabkitError], Exit] = {
    UsageError: Exit.USAGE,
    ScenarioError: Exit.USAGE,
    CaptureError: Exit.UNREADABLE,
    InputError: Exit.UNREADABLE,
    LinkError: Exit.UNAVAILABLE,
    MissingError: Exit.UNAVAILABLE,
}
"""The exit code of each error that a user can cause or mend."""


class Commands(click.Group):
    """A group whose subcommands are the modules beside this file: a command is there when its file is."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names of the commands, in alphabetical order."""
        return sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, its module loaded; None where there is none."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = import_module(f"{__name__}.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, but what does not exist is answered with the nearest that does."""
        name = args[0]
        if ctx.resilient_parsing or name.startswith("-") or self.get_command(ctx, name):
            return super().resolve_command(ctx, args)
        hint = nearest(name, self.list_commands(ctx))
        raise click.UsageError(_("there is no command '{name}'").format(name=name) + hint, ctx)


@click.command(
    "labkit",
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help=_("Write TCP conversations as real packets, and judge captures of them."),
    epilog=_(
        "Exit codes: 0 done, 1 a rule is broken, 2 wrong usage or scenario, 3 unreadable file, "
        "4 missing privilege or program."
    ),
    no_args_is_help=False,
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGUMENTS]...",
)
@click.version_option(__version__, prog_name="labkit", message="%(prog)s %(version)s")
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help=_("Whether to colour; 'auto' does so on a terminal, unless NO_COLOR is set."),
)
@click.pass_context
def cli(ctx: click.Context, color: str) -> int:
    """Set what holds for every command."""
    if color == "auto":
        ctx.color = False if os.environ.get("NO_COLOR") else None
    else:
        ctx.color = color == "always"
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        return Exit.USAGE
    return Exit.OK


def run(args: Sequence[str] | None = None) -> int:
    """Run one command line (`sys.argv` without one) and return its exit code.

    Nothing is raised but SystemExit, with which the shell's completion ends, and nothing is printed but what
    the command prints and, if it fails, one line on standard error.
    """
    if os.environ.get(COMPLETE):
        cli.main(args, prog_name="labkit", complete_var=COMPLETE)
    # Not `cli.main`: it takes a closed pipe for exit code 1, which here says that a rule is broken.
    try:
        with cli.make_context("labkit", list(sys.argv[1:] if args is None else args)) as ctx:
            return int(cli.invoke(ctx) or Exit.OK)
    except click.exceptions.Exit as done:
        return done.exit_code
    except (KeyboardInterrupt, click.Abort):
        note(_("interrupted"))
        return Exit.INTERRUPTED
    except Exception as error:  # the last place that can still turn a mistake into a line
        if os.environ.get("LABKIT_DEBUG"):
            from traceback import print_exception

            print_exception(error)
        return _failure(error)


def main() -> NoReturn:
    """The program `labkit`: runs the command line and exits with its code."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal or a pipe that cannot show a character gets its escape, not an error.
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure:
            reconfigure(errors="backslashreplace")
    code = run()
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        # It would fail again when Python ends, and loudly: what is left goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = code or _failure(error)
    sys.exit(code)


def _failure(error: Exception) -> Exit:
    """Print what went wrong as one line; the exit code that goes with it."""
    match error:
        case click.UsageError():
            note(_usage_line(error))
            return Exit.USAGE
        case click.ClickException():
            note(error.format_message())
            return Exit.UNREADABLE
        case LabkitError():
            note(str(error))
            return next((code for kind, code in CODES.items() if isinstance(error, kind)), Exit.USAGE)
        case BrokenPipeError():
            return Exit.PIPE
        case OSError():
            name = f"{error.filename}: " if error.filename is not None else ""
            note(f"{name}{error.strerror or error}")
            return Exit.UNREADABLE
    note(
        _("internal error: {kind}: {error} (LABKIT_DEBUG=1 shows where; please report it)").format(
            kind=type(error).__name__, error=error
        )
    )
    return Exit.INTERNAL


def _usage_line(error: click.UsageError) -> str:
    """What is wrong with a command line, and where to read how it goes: click says it in three lines."""
    what = " ".join(error.format_message().split()).rstrip(".")
    # What click calls the types of options that have a smallest value.
    what = what.replace("a valid integer range", "a valid integer").replace("a valid float range", "a valid number")
    what = what[0].lower() + what[1:] if what[1:2].islower() else what
    path = error.ctx.command_path if error.ctx else "labkit"
    return _("{what} (see '{path} --help')").format(what=what, path=path)
