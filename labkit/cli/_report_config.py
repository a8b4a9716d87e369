"""The options by which somebody chooses what is reported, and the file that holds a course's choices."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from labkit.cli._common import complete_rules, note, profile_option
from labkit.errors import UsageError
from labkit.i18n import _

if TYPE_CHECKING:
    from labkit.analysis.report_config import ReportConfig

F = TypeVar("F", bound=Callable[..., Any])


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What the shell offers for the last of some rules."""
    before, comma, last = incomplete.rpartition(",")
    return [CompletionItem(f"{before}{comma}{item.value}", help=item.help) for item in complete_rules(ctx, param, last)]


def choices_options(function: F) -> F:
    """The options of `chosen`, with its names."""
    options = (
        profile_option,
        click.option(
            "--literal", is_flag=True, help=_("With --profile document: its two computation rules as they stand.")
        ),
        click.option(
            "--select",
            multiple=True,
            metavar="RULE,...",
            shell_complete=_complete,
            help=_("Report these rules only: codes, names, families, or how codes begin (SEQ)."),
        ),
        click.option(
            "--ignore",
            multiple=True,
            metavar="RULE,...",
            shell_complete=_complete,
            help=_("Do not report these rules."),
        ),
        click.option(
            "--fail-on",
            type=click.Choice(["error", "warning", "note"]),
            default="error",
            show_default=True,
            help=_("The severity from which a capture fails (exit code 1)."),
        ),
        click.option(
            "--config",
            type=click.Path(),
            metavar="FILE",
            help=_("The file of choices; otherwise labkit.toml, or [tool.labkit] in pyproject.toml, here or above."),
        ),
        click.option("--no-config", is_flag=True, help=_("Read no file of choices.")),
    )
    for option in reversed(options):
        function = option(function)
    return function


def chosen(
    *,
    profile: str,
    literal: bool,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    fail_on: str,
    config: str | None,
    no_config: bool,
) -> "ReportConfig":
    """What the command line chooses, and beneath it the file. UsageError for a rule, a key or a value that is none.

    An option of the command line takes the place of the file's; `--select` that of the file's `ignore` as well, and
    `--profile` that of its `literal`.
    """
    from dataclasses import replace

    from labkit.analysis.report_config import SEVERITIES
    from labkit.analysis.rule import DOCUMENT

    base = _from_file(config, no_config)
    changes: dict[str, Any] = {}
    if _given("profile"):
        changes |= {"profile": profile, "literal": literal}
    if literal:
        changes["literal"] = True
    if _given("fail_on"):
        changes["fail_on"] = SEVERITIES[fail_on]
    if select:
        changes |= {"select": _split("--select", select), "ignore": ()}
    if ignore:
        changes["ignore"] = _split("--ignore", ignore)
    choices = replace(base, **changes)
    if choices.literal and choices.profile != DOCUMENT:
        raise UsageError(_("the literal rules belong to the profile 'document'"))
    if not choices.rules:
        raise UsageError(_("no rule of the profile {name} is selected").format(name=choices.profile))
    return choices


def _from_file(config: str | None, no_config: bool) -> "ReportConfig":
    from labkit.analysis.report_config import ReportConfig, find, load

    if no_config:
        if config is not None:
            raise UsageError(_("--config and --no-config exclude each other"))
        return ReportConfig()
    if config is not None:
        return load(Path(config))
    try:
        path = find(Path.cwd())
    except OSError:
        path = None  # the present folder is gone, or may not be seen
    if path is None:
        return ReportConfig()
    # A verdict that depends on a file that nobody has named says so.
    note(_("choices of {file}").format(file=path))
    return load(path)


def _given(name: str) -> bool:
    """Whether the command line has an option."""
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def _split(option: str, values: tuple[str, ...]) -> tuple[str, ...]:
    words = tuple(word.strip() for value in values for word in value.split(",") if word.strip())
    if not words:
        raise UsageError(_("{option} names no rule").format(option=option))
    return words
