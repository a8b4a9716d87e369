"""What the commands share: exit codes, how a line is printed, common options, what the shell completes.

A command is a module of this package whose name has no leading underscore. It exports `command`, a
`click.Command` (`cls=Command`, so that its help is translated), and imports heavy modules inside the function
that runs. That function prints results with `click.echo` or `emit_json` and notes with `note`, returns its
exit code (None is 0), and lets every LabkitError through: `labkit.cli.run` makes a line and the exit code of
it.
"""

import inspect
from collections.abc import Callable
from enum import IntEnum
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from labkit.i18n import N_, _, printable

F = TypeVar("F", bound=Callable[..., Any])

COMPLETE = "_LABKIT_COMPLETE"
"""The environment's variable by which a shell asks for completions."""


class Exit(IntEnum):
    """The exit codes of every command. Other programs rely on them."""

    OK = 0
    """Done, and nothing at or above `--fail-on` was found."""
    FINDINGS = 1
    """The capture breaks a rule, or a graded submission failed."""
    USAGE = 2
    """Wrong usage, or a scenario that does not validate."""
    UNREADABLE = 3
    """A file that cannot be read, or written, as what it should be."""
    UNAVAILABLE = 4
    """A privilege or a program is missing, or the live link failed."""
    INTERNAL = 70
    """A mistake of labkit's own (EX_SOFTWARE of sysexits.h)."""
    INTERRUPTED = 130
    """Interrupted from the keyboard, as shells number SIGINT."""
    PIPE = 141
    """The reader of the output went away, as shells number SIGPIPE."""


class Command(click.Command):
    """A command whose help, the docstring of its function, is shown in the user's language."""

    def __init__(self, name: str | None, help: str | None = None, **attributes: Any) -> None:  # noqa: A002 - click's name
        super().__init__(name, help=_(inspect.cleandoc(help)) if help else None, **attributes)


def note(message: str) -> None:
    """Print one line to standard error: progress, remarks and errors, never a result."""
    click.echo(f"labkit: {printable(message)}", err=True)


def emit_json(value: object, *, indent: int | None = 2) -> None:
    """Print a value as JSON, always in UTF-8; `indent=None` gives one line, as `jsonl` wants it."""
    import json

    # A file name that is not UTF-8 holds lone surrogates: "backslashreplace" makes JSON's escapes of those.
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    click.echo(text.encode("utf-8", "backslashreplace"))


PROFILES = {
    "rfc9293": N_("what RFC 9293 and its companions ask for"),
    "document": N_("the words of the teaching document"),
}
"""The profiles that can be asked for by name, each with what it is (`labkit.analysis.rule` has them all)."""


def format_option(*formats: str) -> Callable[[F], F]:
    """`--format`, passed as `format_`: one of `formats`, the first of which is the default."""
    return click.option(
        "--format",
        "format_",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help=_("How the result is printed."),
    )


def profile_option(function: F) -> F:
    """`--profile`, passed as `profile`: by what a capture is judged or shown."""
    return click.option(
        "--profile",
        type=click.Choice(tuple(PROFILES)),
        default=next(iter(PROFILES)),
        show_default=True,
        help=_("By what the segments are judged: the RFC, or the words of the teaching document."),
    )(function)


def captures_argument(function: F) -> F:
    """`CAPTURE...`, passed as `captures`, a tuple of one or more names; `-` is standard input.

    Whether a file is there, and what it is, is for `labkit.capture` to find out: that is exit code 3, not 2.
    """
    return click.argument("captures", metavar="CAPTURE...", nargs=-1, required=True, type=click.Path(allow_dash=True))(
        function
    )


def complete_scenarios(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What the shell offers for a scenario: the shipped ones, and the files that are there."""
    from labkit.build.scenario import shipped

    names = [CompletionItem(name) for name in shipped() if name.startswith(incomplete)]
    return names or [CompletionItem(incomplete, type="file")]


def complete_rules(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What the shell offers for a rule: its code, with its name as help."""
    from labkit.analysis.rule import collect

    # Profiles may each have a rule of the same code.
    names = {rule.code: rule.name for rule in collect() if rule.code.startswith(incomplete.upper())}
    return [CompletionItem(code, help=name) for code, name in names.items()]


def complete_formats(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What the shell offers for the format of a capture that is written."""
    from labkit.capture import formats

    return [CompletionItem(each.name) for each in formats() if each.name.startswith(incomplete)]
