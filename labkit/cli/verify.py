"""`labkit verify`: which packet of a capture breaks which rule, and why."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from labkit.cli._common import Command, Exit, captures_argument, note, profile_option
from labkit.errors import CaptureError
from labkit.i18n import _, printable
from labkit.report import Options, names, renderer

if TYPE_CHECKING:
    from labkit.rule import Severity
    from labkit.verifier import Verdict


@click.command("verify", cls=Command)
@captures_argument
@profile_option
@click.option("--literal", is_flag=True, help=_("With --profile document: its two computation rules as they stand."))
@click.option(
    "--format",
    "format_",
    type=click.Choice(names()),
    default="text",
    show_default=True,
    help=_("How the result is printed."),
)
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "note"]),
    default="error",
    show_default=True,
    help=_("The severity from which a capture fails (exit code 1)."),
)
@click.option("-v", "--verbose", is_flag=True, help=_("Text: notes in full, not only counted."))
@click.option(
    "--most",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    metavar="N",
    help=_("Text: findings of one rule that are shown in full; 0 is all."),
)
def command(
    captures: tuple[str, ...],
    profile: str,
    literal: bool,
    format_: str,
    fail_on: str,
    verbose: bool,
    most: int,
) -> int:
    """Judge captures: which packet breaks which rule, and why.

    CAPTURE is a pcap or pcapng file, also compressed with gzip; '-' is standard input. Exit code 1 where a capture
    breaks a rule, 3 where a file cannot be read.
    """
    from labkit.rule import Severity

    severity = Severity[fail_on.upper()]
    outcome = _Outcome(severity)
    options = Options(severity, verbose, most)
    judged = (outcome.seen(_judge(path, profile, literal)) for path in captures)
    for line in renderer(format_)(judged, options):
        click.echo(line)
    return outcome.code


class _Outcome:
    """The exit code that all verdicts together give: unreadable counts more than failed."""

    def __init__(self, fail_on: "Severity") -> None:
        self._fail_on = fail_on
        self.code = Exit.OK

    def seen(self, verdict: "Verdict") -> "Verdict":
        """Take a verdict into account."""
        if verdict.error is not None or (verdict.damage is not None and not verdict.damage.cut):
            self.code = Exit.UNREADABLE
        elif not verdict.passes(self._fail_on) and self.code == Exit.OK:
            self.code = Exit.FINDINGS
        if verdict.error is not None:
            note(verdict.error)
        elif verdict.damage is not None:
            text = _("{path}: {message}; judged up to there")
            note(text.format(path=verdict.path, message=verdict.damage.message))
        return verdict


def _judge(path: str, profile: str, literal: bool) -> "Verdict":
    """One capture's verdict; a file that cannot be read has one too."""
    from labkit.verifier import Verdict, verify

    try:
        with _Progress(path) as watch:
            return verify(path, profile, literal=literal, watch=watch)
    except CaptureError as error:
        return Verdict(path, profile, error=str(error))


class _Progress:
    """Shows how far a long capture is read, on a terminal only; a context manager that gives the function to call."""

    def __init__(self, path: str) -> None:
        self._path = printable(path)
        self._shown = False

    def __enter__(self) -> Callable[[int], None]:
        return self._show

    def __exit__(self, *exc: object) -> None:
        if self._shown:
            click.echo("\r\x1b[K", nl=False, err=True)

    def _show(self, packets: int) -> None:
        if sys.stderr.isatty():
            self._shown = True
            count = _("{count:,} packets").format(count=packets)
            click.echo(f"\r{self._path}: {count}", nl=False, err=True)
