"""The options that choose rules and severities, and the configuration file of a course."""

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from labkit.analysis import EVERY_LIMIT
from labkit.cli._common import BareOption, complete_rules, note, option, options, profile_option, rules_option
from labkit.cli._paths import PATH
from labkit.errors import UsageError
from labkit.i18n import N_, _

if TYPE_CHECKING:
    from pathlib import Path

    from click.shell_completion import CompletionItem

    from labkit.analysis.report_config import ReportConfig


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Complete the last rule of a list."""
    from click.shell_completion import CompletionItem

    before, comma, last = incomplete.rpartition(",")
    return [CompletionItem(f"{before}{comma}{item.value}", help=item.help) for item in complete_rules(ctx, param, last)]


def _complete_limits(ctx: click.Context, _param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Complete the last limit of a list."""
    from click.shell_completion import CompletionItem

    from labkit.analysis.catalogue import collect
    from labkit.analysis.limits import words

    before, comma, last = incomplete.rpartition(",")
    known = words(collect(ctx.params.get("extra") or ()))
    return [CompletionItem(f"{before}{comma}{kind}") for kind in known if kind.startswith(last)]


report_options = options(
    profile_option,
    rules_option,
    option(
        "--literal",
        is_flag=True,
        help=N_("With --profile document: apply its two formulas for seq and ack exactly as written."),
    ),
    option(
        "--select",
        multiple=True,
        metavar="RULE,...",
        shell_complete=_complete,
        help=N_("Report only these rules: codes, names, families, or prefixes of codes (SEQ)."),
    ),
    option(
        "--ignore",
        multiple=True,
        metavar="RULE,...",
        shell_complete=_complete,
        help=N_("Do not report these rules."),
    ),
    option(
        "--fail-on",
        type=click.Choice(["error", "warning", "note"]),
        default="error",
        show_default=True,
        help=N_("Lowest severity that fails a capture (exit code 1)."),
    ),
    option(
        "--strict",
        cls=BareOption,
        bare=EVERY_LIMIT,
        multiple=True,
        metavar="[=LIMIT,...]",
        shell_complete=_complete_limits,
        help=N_("Fail a capture for any limit of what it shows, or for these (truncated,one-sided)."),
    ),
    option(
        "--allow-empty", is_flag=True, help=N_("Exit code 0 for a capture in which no TCP was judged; otherwise 1.")
    ),
    option(
        "--config",
        type=PATH,
        metavar="FILE",
        help=N_(
            "Configuration file.  [default: the nearest labkit.toml, or pyproject.toml with a table [tool.labkit]]"
        ),
    ),
    option("--no-config", is_flag=True, help=N_("Read no configuration file.")),
)
"""The options of `report_config`."""

completeness_options = options(
    option("--complete", is_flag=True, help=N_("No packet is missing in the captures: every gap is an error.")),
    option("--partial", is_flag=True, help=N_("Packets are missing in the captures: excuse what they may explain.")),
)
"""Further options of `report_config`. Without one of them, each capture tells."""


def report_config(
    *,
    profile: str,
    literal: bool,
    extra: tuple[str, ...],
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    fail_on: str,
    strict: tuple[str, ...],
    allow_empty: bool,
    config: str | None,
    no_config: bool,
    complete: bool = False,
    partial: bool = False,
    captures: Callable[[], Iterable[str]] = tuple,
) -> "ReportConfig":
    """Merge the options of the command line with the configuration file. UsageError for an unknown rule, key or value.

    `captures` returns the paths that are judged: a file that lies beside or below them does not count.
    An option replaces the file's value; `--select` also replaces the file's `ignore`, and `--profile` its `literal`.
    """
    from dataclasses import replace

    from labkit.analysis.examine import Completeness
    from labkit.analysis.report_config import SEVERITIES
    from labkit.analysis.severity import DOCUMENT

    if complete and partial:
        raise UsageError(_("--complete and --partial exclude each other"))
    base = _from_file(config, extra, captures, no_config=no_config)
    changes: dict[str, Any] = {}
    if _given("profile"):
        changes |= {"profile": profile, "literal": literal}
    if literal:
        changes["literal"] = True
    if _given("fail_on"):
        changes["fail_on"] = SEVERITIES[fail_on]
    if strict:
        changes["strict"] = _strict(strict, extra)
    if allow_empty:
        changes["allow_empty"] = True
    if complete or partial:
        changes["completeness"] = Completeness.COMPLETE if complete else Completeness.PARTIAL
    if select:
        changes |= {"select": _split("--select", select), "ignore": ()}
    if ignore:
        changes["ignore"] = _split("--ignore", ignore)
    merged = replace(base, **changes)
    if merged.literal and merged.profile != DOCUMENT:
        raise UsageError(_("--literal needs --profile document"))
    if merged.leaves_no_rule():
        raise UsageError(_("--select and --ignore leave no rule of the profile {name}").format(name=merged.profile))
    return merged


def _strict(values: tuple[str, ...], extra: tuple[str, ...]) -> bool | tuple[str, ...]:
    """The kinds of limits in the values of `--strict`; True: all of them."""
    from labkit.analysis.catalogue import collect
    from labkit.analysis.report_config import limit_kinds

    words = _words(values)
    if not words:
        raise UsageError(_("--strict= names no limit"))
    return EVERY_LIMIT in words or limit_kinds(words, collect(extra))


def _from_file(
    config: str | None, extra: tuple[str, ...], captures: Callable[[], Iterable[str]], *, no_config: bool
) -> "ReportConfig":
    from labkit.analysis.report_config import ReportConfig, load
    from labkit.capture.guard import protect

    if no_config:
        if config is not None:
            raise UsageError(_("--config and --no-config exclude each other"))
        return ReportConfig(extra=extra)
    if config is not None:
        from pathlib import Path

        return load(Path(config), extra)
    found = _found(captures)
    if found is None:
        return ReportConfig(extra=extra)
    path, content = found
    # A verdict that depends on a file which the user did not name says so.
    note(_("using the configuration in {file}").format(file=path))
    protect([str(path)])
    return load(path, extra, content)


def _found(captures: Callable[[], Iterable[str]]) -> "tuple[Path, bytes] | None":
    """The nearest configuration file that counts, with its content. A line names each nearer one that does not."""
    from labkit.analysis.report_config import candidates, read

    try:
        start = os.getcwd()  # noqa: PTH109 - no pathlib yet
    except OSError:
        return None  # the current folder is gone, or may not be read
    for path in candidates(start):
        from labkit.analysis.config_trust import refusal

        error = None
        try:
            content = read(path)
        except UsageError as failure:
            error, content = failure, b""
        reason = refusal(path, content, captures())
        if reason is None:
            if error is not None:
                raise error
            return path, content
        text = _("not using the configuration in {file}: {reason}; --config FILE or 'labkit trust FILE' makes it count")
        note(text.format(file=path, reason=reason))
    return None


def _given(name: str) -> bool:
    """Whether an option stands on the command line."""
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def _split(option: str, values: tuple[str, ...]) -> tuple[str, ...]:
    words = _words(values)
    if not words:
        raise UsageError(_("{option} names no rule").format(option=option))
    return words


def _words(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word.strip() for value in values for word in value.split(",") if word.strip())
