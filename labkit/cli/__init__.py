"""The command `labkit`, and the only wing that prints or exits: one module for each subcommand, loaded when it is used.

`main` is the program; `run` does the same without leaving Python. Every error ends here: the user gets one line on
standard error and an exit code (`Exit`), never a traceback, unless LABKIT_DEBUG is set.
"""

import atexit
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from itertools import zip_longest
from threading import active_count
from typing import Any, NoReturn

import click

from labkit import __version__
from labkit.cli._common import (
    COMPLETE,
    SECTIONS,
    Exit,
    Speaking,
    action_option,
    color_option,
    echo,
    language_option,
    note,
)
from labkit.errors import CaptureError, InputError, LabkitError, LinkError, MissingError, ScenarioError, UsageError
from labkit.i18n import N_, _, available, joined, nearest, reason_of, speaking
from labkit.modules import modules_in

TOOLS = 6
"""Tools that may observe a program at a time, by `sys.monitoring`."""

CODES: dict[type[LabkitError], Exit] = {
    UsageError: Exit.USAGE,
    ScenarioError: Exit.USAGE,
    CaptureError: Exit.UNREADABLE,
    InputError: Exit.UNREADABLE,
    LinkError: Exit.UNAVAILABLE,
    MissingError: Exit.UNAVAILABLE,
}
"""The exit code of each error."""


@cache
def _names() -> list[str]:
    """The names of the commands; help asks for them once for each."""
    return sorted(name.replace("_", "-") for name in modules_in(__path__))


class Commands(Speaking, click.Group):
    """The commands: each module beside this file holds one. `check-live` is in `check_live`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """List the names of the commands, in alphabetical order."""
        return list(_names())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load the module of a command; None where there is no such command."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = import_module(f"{__name__}.{cmd_name.replace('-', '_')}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by sections, each with its summary."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        # The summaries of all sections begin in the same column.
        width = max(len(name) for name, _command in commands)
        limit = formatter.width - 6 - width
        for section, title in SECTIONS.items():
            with formatter.section(_(title)):
                formatter.write_dl(
                    [
                        (name.ljust(width), command.get_short_help_str(limit))
                        for name, command in commands
                        if getattr(command, "section", None) == section and command is not None
                    ]
                )

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve as click does, but suggest the nearest command for an unknown one."""
        name = args[0]
        if ctx.resilient_parsing or name.startswith("-") or self.get_command(ctx, name):
            return super().resolve_command(ctx, args)
        hint = nearest(name, self.list_commands(ctx))
        raise click.UsageError(_("there is no command '{name}'").format(name=name) + hint, ctx)


@click.command(
    "labkit",
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help=N_("Write TCP conversations as real packets, and verify captures of them."),
    epilog=N_(
        "'labkit COMMAND --help' shows a command's options and two examples. Exit codes: 0 done, 1 a rule is broken, "
        "2 wrong usage or scenario, 3 unreadable file, 4 missing privilege or program."
    ),
    no_args_is_help=False,
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGUMENTS]...",
)
@click.pass_context
def cli(ctx: click.Context) -> int:
    """Show the help where no command is given."""
    if ctx.invoked_subcommand is None:
        echo(ctx.get_help(), err=True)
        return Exit.USAGE
    return Exit.OK


cli.params += [
    action_option(["--version"], N_("Show the version and exit."), lambda _ctx: f"labkit {__version__}"),
    color_option(),
    language_option(),
]


def run(args: Sequence[str] | None = None) -> int:
    """Run one command line (`sys.argv` without one) and return its exit code.

    An error becomes one line on standard error and an exit code. Only shell completion raises SystemExit.
    """
    words = list(sys.argv[1:] if args is None else args)
    with speaking(_language(words)):
        if os.environ.get(COMPLETE):
            cli.main(words, prog_name="labkit", complete_var=COMPLETE)
        return _run(words)


def _language(words: Sequence[str]) -> str | None:
    """The language that --lang names, before or behind the command; None where it names none, or an unknown one."""
    found = None
    for word, value in zip_longest(words, words[1:], fillvalue=""):
        if word == "--":
            break
        name, mark, given = word.partition("=")
        if name == "--lang":
            found = available(given if mark else value)
    return found


def _run(words: list[str]) -> int:
    # Not `cli.main`: it turns a closed pipe into exit code 1, which here says that a rule is broken.
    try:
        with cli.make_context("labkit", words) as ctx:
            return int(cli.invoke(ctx) or Exit.OK)
    except click.exceptions.Exit as done:
        return done.exit_code
    except (KeyboardInterrupt, click.Abort):
        note(_("interrupted"))
        return Exit.INTERRUPTED
    except Exception as error:  # the last place that can turn an error into a line
        if os.environ.get("LABKIT_DEBUG"):
            from traceback import print_exception

            print_exception(error)
        return _failure(error)


def main() -> NoReturn:
    """Run the command line, and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        # A stream that cannot encode a character gets its escape, not an error.
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure:
            reconfigure(errors="backslashreplace")
    code = run()
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        # Python would flush again when it ends, and print that failure: discard the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = code or _failure(error)
    _leave(code)


def _leave(code: int) -> NoReturn:
    """End the program. Python would first take everything apart, which takes as long as judging thousands of packets."""
    if active_count() > 1 or _is_measured():
        sys.exit(code)  # a thread goes on
    atexit._run_exitfuncs()
    for stream in filter(None, (sys.stdout, sys.stderr)):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _is_measured() -> bool:
    """Whether a debugger, a profiler or another tool observes the program, and wants to say what it has found."""
    monitoring = getattr(sys, "monitoring", None)  # of Python 3.12
    tools = () if monitoring is None else map(monitoring.get_tool, range(TOOLS))
    return any(each is not None for each in (sys.getprofile(), sys.gettrace(), *tools))


def _failure(error: Exception) -> Exit:
    """Print an error as one line, and return its exit code."""
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
            note(f"{name}{reason_of(error)}")
            return Exit.UNREADABLE
    note(
        _("internal error: {kind}: {error} (LABKIT_DEBUG=1 shows where; please report it)").format(
            kind=type(error).__name__, error=error
        )
    )
    return Exit.INTERNAL


def _usage_line(error: click.UsageError) -> str:
    """What is wrong with a command line, in one line; click writes three."""
    what = " ".join(error.format_message().split()).rstrip(".")
    # click names the types of numbers in English, and those with a minimum as ranges.
    what = what.replace("integer range", "integer").replace("float range", "float")
    what = joined(what.replace(" integer", f" {_('integer')}").replace(" float", f" {_('number')}"))
    what = what[0].lower() + what[1:] if what[1:2].islower() else what
    path = error.ctx.command_path if error.ctx else "labkit"
    return _("{what} (see '{path} --help')").format(what=what, path=path)
