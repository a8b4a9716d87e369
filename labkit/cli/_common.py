"""What the commands share: exit codes, printing, help, common options, shell completion.

A command is a module of this package whose name has no leading underscore. It exports `command`, a `click.Command` with
`cls=Command`, and imports heavy modules inside the function that runs. That function prints results with `echo` or
`emit_json` and notes with `note`, returns its exit code (None is 0), and lets every LabkitError through: `labkit.cli.run`
turns it into a line and an exit code.
"""

import os
import re
import sys
from collections.abc import Callable, Sequence
from copy import copy
from enum import IntEnum
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

from labkit.cli._help import Formatter
from labkit.cli._paths import OUTPUT, PATH, refuse_overwriting
from labkit.i18n import N_, _, available, listed, printable, translated, unfolded

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from labkit.analysis.severity import Severity
    from labkit.analysis.verdict import Verdict
    from labkit.capture.base import Damage

F = TypeVar("F", bound=Callable[..., Any])

COLORS = ("auto", "always", "never")
"""The values of --color."""

COMPLETE = "_LABKIT_COMPLETE"
"""The environment variable by which a shell asks for completions."""


CLICK = (N_("required"),)
"""Words of click that it translates, but not by a constant, so that `scripts/translate` does not find them there."""
SECTIONS = {
    "build": N_("Build captures"),
    "verify": N_("Verify captures"),
    "live": N_("Live traffic"),
    "teach": N_("Teach and set up"),
}
"""The sections of commands in the order of `labkit --help`, with their headings."""


class Exit(IntEnum):
    """The exit codes of every command. Other programs rely on them."""

    OK = 0
    """Done, and no finding is at or above `--fail-on`."""
    FINDINGS = 1
    """The capture breaks a rule or has a limit that `--strict` names, or nothing in it could be judged."""
    USAGE = 2
    """Wrong usage, or a scenario that does not validate."""
    UNREADABLE = 3
    """A file cannot be read or written, or its format is wrong."""
    UNAVAILABLE = 4
    """A privilege or a program is missing, or the live link failed."""
    INTERNAL = 70
    """A bug in labkit (EX_SOFTWARE of sysexits.h)."""
    INTERRUPTED = 130
    """Interrupted from the keyboard, as shells number SIGINT."""
    PIPE = 141
    """The reader of the output went away, as shells number SIGPIPE."""


class Option(click.Option):
    """An option whose help is one line: to unfold a longer one, click loads `inspect`."""

    def __init__(self, *arguments: Any, help: str | None = None, **attributes: Any) -> None:  # noqa: A002 - click's name
        super().__init__(*arguments, **attributes)
        self.help = help


option = partial(click.option, cls=Option)
"""The decorator that adds an option to a command."""


def action_option(names: Sequence[str], text: str, show: Callable[[click.Context], str]) -> Option:
    """An option that shows something instead of running the command. To make such an option, click looks for a translation."""

    def act(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
        if value and not ctx.resilient_parsing:
            click.echo(show(ctx), color=ctx.color)
            ctx.exit()

    return Option(
        [*names, f"{names[-1].lstrip('-')}_"], is_flag=True, is_eager=True, expose_value=False, help=text, callback=act
    )


@cache
def help_option(text: str, *names: str) -> Option:
    """The option that shows help, which all commands share; `text` explains it."""
    return action_option(names, text, click.Context.get_help)


class BareOption(Option):
    """An option that may stand without a value, `--strict` or `--strict=truncated`; then its value is `bare`."""

    def __init__(self, *arguments: Any, bare: str, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.bare = bare


def set_color(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    """Colour the output of a command, or not; without a value, as its parent does."""
    if value is not None:
        ctx.color = {"always": True, "never": False}.get(value, False if os.environ.get("NO_COLOR") else None)


def color_option(*, hidden: bool = False) -> click.Option:
    """`--color`, which `labkit` and each of its commands have."""
    text = N_("Colour the output, also behind the command; auto: on a terminal, unless NO_COLOR is set.")
    return Option(
        ["--color"],
        type=click.Choice(COLORS),
        default=None if hidden else "auto",
        show_default=True,
        help=text,
        hidden=hidden,
        expose_value=False,
        callback=set_color,
    )


def set_language(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    """Check the value of --lang; `labkit.cli.run` has switched to the language before."""
    if value is not None and available(value) is None:
        known = listed(["en", *translated()])
        text = _("'{value}' is not a language of labkit; expected one of {known}")
        raise click.BadParameter(text.format(value=value, known=known))
    if value is not None:
        ctx.meta[_LANGUAGE] = value


_LANGUAGE = "labkit.language"


def language_asked() -> bool:
    """Whether --lang names a language. Only then is a file with comments in another language than English."""
    return _LANGUAGE in click.get_current_context().meta


def language_option(*, hidden: bool = False) -> click.Option:
    """`--lang`, which `labkit` and each of its commands have."""
    text = N_("Language of all texts, also behind the command: en or zh.  [default: LABKIT_LANG, then the locale]")
    return Option(["--lang"], metavar="LANG", help=text, hidden=hidden, expose_value=False, callback=set_language)


class Context(click.Context):
    """A command line, whose help is formatted in columns, not in characters."""

    formatter_class = Formatter


class Speaking(click.Command):
    """A command whose help is translated when it is shown, not where it is declared."""

    context_class = Context

    def get_help_option(self, ctx: click.Context) -> click.Option:
        """Return `--help`, whose help is one line too."""
        return help_option(_("Show this message and exit."), *self.get_help_option_names(ctx))

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the help in the user's language."""
        if self.help:
            formatter.write_paragraph()
            with formatter.indentation():
                formatter.write_text(_(self.help))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options with their help in the user's language."""
        declared, self.params = self.params, [copy(each) for each in self.params]
        for each in self.params:
            if isinstance(each, click.Option) and each.help:
                each.help = _(each.help)
                if isinstance(each.show_default, str):
                    each.show_default = _(each.show_default)
        try:
            super().format_options(ctx, formatter)
        finally:
            self.params = declared

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the last paragraph in the user's language."""
        if self.epilog:
            formatter.write_paragraph()
            with formatter.indentation():
                formatter.write_text(_(self.epilog))

    def get_short_help_str(self, limit: int = 45) -> str:
        """Return the first sentence of the help in the user's language; English is cut to `limit` characters."""
        text = _(self.help) if self.help else ""
        return super().get_short_help_str(limit) if text == self.help else re.split(r"。|\n\n", text)[0]


class Command(Speaking):
    """A command with translated help, which ends with examples.

    `section` is a key of SECTIONS. `examples` are command lines that work.
    """

    def __init__(
        self,
        name: str | None,
        help: str | None = None,  # noqa: A002 - click's name
        *,
        section: str = "",
        examples: Sequence[str] = (),
        **attributes: Any,
    ) -> None:
        super().__init__(name, help=unfolded(help) if help else None, **attributes)
        self.section = section
        self.examples = examples
        # The options of `labkit` itself are also understood behind the command.
        self.params += [color_option(hidden=True), language_option(hidden=True)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments. The one behind an option that stands without a value is not its value."""
        bare = {name: each.bare for each in self.params if isinstance(each, BareOption) for name in each.opts}
        end = args.index("--") if "--" in args else len(args)
        head = [f"{each}={bare[each]}" if each in bare else each for each in args[:end]]
        return super().parse_args(ctx, [*head, *args[end:]])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, unless it would write over what it reads, also by a name that it derives from another one."""
        from labkit.capture.guard import guarding, protect

        with guarding():
            protect(refuse_overwriting(ctx))
            return super().invoke(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        if self.examples:
            with formatter.section(_("Examples")):
                for line in self.examples:
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")
        super().format_epilog(ctx, formatter)


class CommandGroup(Command, click.Group):
    """A command with subcommands."""


def damage_code(*damages: "Damage | None") -> Exit:
    """The exit code of a command that has read captures. One that merely ends too early is not an error."""
    return Exit.UNREADABLE if any(each is not None and not each.cut for each in damages) else Exit.OK


def verdict_code(verdict: "Verdict", fail_on: "Severity", *, allow_empty: bool = False) -> Exit:
    """The exit code of one verdict. A capture that merely ends too early has that of the packets before.

    A capture that a baseline knows to be unreadable, or not judged, fails for findings only.
    """
    if verdict.crashed:
        return Exit.INTERNAL
    unreadable = verdict.error is not None or damage_code(verdict.damage)
    if unreadable and verdict.known_outcome != "unreadable":
        return Exit.UNREADABLE
    outcome = verdict.outcome(fail_on)
    empty = outcome == "not-judged" and not allow_empty and verdict.known_outcome != outcome
    return Exit.FINDINGS if outcome == "fail" or empty else Exit.OK


OWN = "(\x1b\\[[0-9;]{0,12}m|\r?\n|\r\\Z|\t)"
"""What labkit itself writes of control characters: colours, line ends (CSV has CR LF) and tabs."""


def echo(text: str, *, nl: bool = True, err: bool = False) -> None:
    """Print text: the only way to a terminal. Whatever could control one becomes an escape that JSON has too.

    Foreign text is made printable where it becomes part of a line (`labkit.i18n.printable`), so that it cannot forge a line or a
    colour; this is what stands behind that.
    """
    click.echo(_clean(text), nl=nl, err=err)


def is_coloured() -> bool:
    """Whether standard output is coloured, as `echo` decides it."""
    color = click.get_current_context().color
    if color is not None:
        return color
    return sys.stdout is not None and sys.stdout.isatty()  # none where it is closed


MARK = "\ufeff"
"""The byte order mark, with which a format may begin. It shows nothing."""


def _clean(text: str) -> str:
    if text.replace("\n", "").isprintable():
        return text
    if text.startswith(MARK):
        return MARK + _clean(text[1:])
    return "".join(each if at % 2 else _escaped(each) for at, each in enumerate(re.split(OWN, text)))


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    # A lone surrogate stands for an octet that is not UTF-8; `main` has the stream write its escape.
    octets = (char.encode("utf-16-be", "surrogatepass").hex() for char in text)
    return "".join(
        char if char.isprintable() else "".join(f"\\u{code[at : at + 4]}" for at in range(0, len(code), 4))
        for char, code in zip(text, octets, strict=True)
    )


def note(message: str) -> None:
    """Print one line to standard error: a remark or an error, never a result."""
    echo(f"labkit: {printable(message)}", err=True)


def emit_json(value: object) -> None:
    """Print a value as JSON in UTF-8."""
    import json

    # `echo` escapes the lone surrogates of a file name that is not UTF-8.
    text = json.dumps(value, ensure_ascii=False, indent=2)
    click.echo(_clean(text).encode())


NOT_NEGATIVE = click.IntRange(min=0)

PROFILES = ("rfc9293", "document")
"""The profiles of `labkit.analysis.severity` that a user can name."""


def options(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """One decorator for several options, which help lists in this order."""

    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def format_option(*formats: str) -> Callable[[F], F]:
    """`--format`, passed as `format_`: one of `formats`, the first of which is the default."""
    return option(
        "--format",
        "format_",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help=N_("Output format."),
    )


def profile_option(function: F) -> F:
    """`--profile`, passed as `profile`."""
    return option(
        "--profile",
        type=click.Choice(PROFILES),
        default=PROFILES[0],
        show_default=True,
        help=N_("Rule set: RFC 9293, or the introductory text that labkit implements."),
    )(function)


reveal_option = option(
    "--reveal",
    type=click.Choice(("none", "actual", "full")),
    default="full",
    show_default=True,
    help=N_("Show of a fault: none, its packet and rule; actual, also the wrong value; full, also the right one."),
)
"""`--reveal`, passed as `reveal`: a level of `labkit.report.reveal`."""

rules_option = option(
    "--rules",
    "extra",
    multiple=True,
    type=PATH,
    metavar="FILE.py",
    help=N_("Add the rules of a Python file, which labkit runs. Repeatable."),
)
"""`--rules`, passed as `extra`: what `labkit.analysis.catalogue.collect` takes."""


def output_option(text: str) -> Callable[[F], F]:
    """`-o FILE`, passed as `output`; `text` says what is written."""
    return option("-o", "--output", type=OUTPUT, metavar="FILE", help=text)


def seed_option(
    text: str = N_("Seed of the random numbers; the same seed gives the same packets."),
    type_: click.IntRange = NOT_NEGATIVE,
) -> Callable[[F], F]:
    """`--seed`, passed as `seed`."""
    return option("--seed", type=type_, default=0, show_default=True, help=text)


def most_option(most: int, text: str) -> Callable[[F], F]:
    """`--most`, passed as `most`: how many findings of each rule are shown."""
    return option("--most", type=NOT_NEGATIVE, default=most, show_default=True, metavar="N", help=text)


fault_option = option(
    "--fault", "faults", metavar="NAME[@N]", multiple=True, help=N_("Scenario: break a rule on purpose. Repeatable.")
)
"""`--fault` of a command that also takes captures, passed as `faults`."""


def complete_scenarios(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Complete a scenario: the shipped ones, else files."""
    from click.shell_completion import CompletionItem

    from labkit.build.scenario import shipped

    names = [CompletionItem(name) for name in shipped() if name.startswith(incomplete)]
    return names or [CompletionItem(incomplete, type="file")]


def complete_rules(ctx: click.Context, _param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Complete the code of a rule, with its name as help; the rules of `--rules` too."""
    from click.shell_completion import CompletionItem

    from labkit.analysis.catalogue import collect

    # Profiles may each have a rule of the same code.
    names = {
        rule.code: rule.name
        for rule in collect(ctx.params.get("extra") or ())
        if rule.code.startswith(incomplete.upper())
    }
    return [CompletionItem(code, help=name) for code, name in names.items()]


def complete_formats(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Complete the format of a capture to write."""
    from click.shell_completion import CompletionItem

    from labkit.capture import formats

    return [CompletionItem(each.name) for each in formats() if each.name.startswith(incomplete)]
