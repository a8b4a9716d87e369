"""`labkit verify`: which packet of a capture breaks which rule, and why."""

from collections.abc import Iterable, Iterator
from os import environ
from typing import TYPE_CHECKING, Any

import click

from labkit.analysis.native import AUTO, ENGINES
from labkit.cli._common import Command, Exit, captures_argument, note
from labkit.cli._flow_filter import wanted_options
from labkit.cli._report_config import choices_options, chosen
from labkit.errors import CaptureError, UsageError
from labkit.i18n import _, ngettext, printable
from labkit.report.formats import ReportOptions, names, renderer

if TYPE_CHECKING:
    from labkit.analysis.verifier import Verdict
    from labkit.cli._inputs import Inputs


@click.command("verify", cls=Command)
@captures_argument
@choices_options
@wanted_options
@click.option(
    "--format",
    "format_",
    type=click.Choice(names()),
    default="text",
    show_default=True,
    help=_("How the result is printed."),
)
@click.option(
    "--annotate",
    type=click.Path(),
    metavar="OUT.pcapng",
    help=_("Write the capture once more, with each finding as a comment on its packet. One capture only."),
)
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default=AUTO,
    show_default=True,
    help=_(
        "What judges: the interpreter, or compiled code, which is quicker with large captures; auto takes the quicker one."
    ),
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help=_("Captures that are judged at a time; by default one, or one for each processor where there is much to do."),
)
@click.option(
    "--cluster",
    metavar="ADDRESS",
    help=_("Let the workers of a Dask cluster judge; ADDRESS is its scheduler's, such as tcp://192.0.2.1:8786."),
)
@click.option(
    "-v", "--verbose", is_flag=True, help=_("Text: notes in full, not only counted; each conversation in figures.")
)
@click.option(
    "-q", "--quiet", is_flag=True, help=_("Text: the verdict alone; of several captures the table of them alone.")
)
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
    flow: tuple[int, ...],
    host: tuple[Any, ...],
    port: tuple[int, ...],
    format_: str,
    annotate: str | None,
    engine: str,
    jobs: int | None,
    cluster: str | None,
    verbose: bool,
    quiet: bool,
    most: int,
    **choices: Any,
) -> int:
    """Judge captures: which packet breaks which rule, and why.

    CAPTURE is a pcap or pcapng file, also compressed with gzip; '-' is standard input. Of a folder all captures in it are
    judged; a pattern in quotes may stand for many. Exit code 1 where a capture breaks a rule, 3 where a file cannot be read.
    """
    from labkit.analysis.flow_filter import FlowFilter
    from labkit.cli._inputs import expand
    from labkit.cli._judge import Interrupts, Request, verdicts

    # numpy would start threads for linear algebra, which takes longer than all else that is imported; nothing here uses any.
    environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    choice = chosen(**choices)
    wanted = FlowFilter(flow, host, port) if flow or host or port else None
    if quiet and verbose:
        raise UsageError(_("--quiet and --verbose exclude each other"))
    options = ReportOptions(choice.fail_on, verbose, most, choice.rules, quiet)
    inputs = expand(captures)
    _check(inputs, annotate)
    if cluster is not None and jobs is not None:
        raise UsageError(_("--cluster does not go with --jobs: its workers are as many as they are"))
    outcome = _Outcome(options, annotate, told=format_ == "text")
    with Interrupts() as interrupts:
        judged = verdicts(inputs.captures, Request(choice, wanted, engine), jobs, interrupts, cluster)
        for line in renderer(format_)(outcome.seen(judged), options):
            click.echo(line)
    if inputs.passed_over:
        text = ngettext(
            "{n} file that is no capture was passed over",
            "{n} files that are no captures were passed over",
            inputs.passed_over,
        )
        note(text.format(n=inputs.passed_over))
    if interrupts.seen:
        note(_("interrupted"))
        return Exit.INTERRUPTED
    if wanted is not None and not outcome.reported and outcome.code == Exit.OK:
        raise UsageError(_("there is no such conversation"))
    return outcome.code


def _check(inputs: "Inputs", target: str | None) -> None:
    """Whether the captures can be annotated as is asked. UsageError where not, before anything is judged."""
    if target is None:
        return
    from labkit.report.annotate import check

    if len(inputs.captures) != 1:
        raise UsageError(_("--annotate takes one capture, not {n}").format(n=len(inputs.captures)))
    check(inputs.captures[0].path, target)


class _Outcome:
    """What all verdicts together come to."""

    def __init__(self, options: ReportOptions, target: str | None, *, told: bool) -> None:
        self._options = options
        self._told = told
        """Whether the report itself says, in words, where a capture broke off. What is no mere cut is an error besides."""
        self._target = target
        self.code = Exit.OK
        """The exit code: unreadable counts more than failed."""
        self.reported = 0
        """Conversations of which was reported."""

    def seen(self, verdicts: "Iterable[Verdict]") -> "Iterator[Verdict]":
        """Take verdicts into account as they come, and pass them on."""
        for verdict in verdicts:
            self._take(verdict)
            if self._target is not None and verdict.error is None:
                self._annotate(verdict, self._target)
            yield verdict

    def _take(self, verdict: "Verdict") -> None:
        if verdict.error is not None or (verdict.damage is not None and not verdict.damage.cut):
            self.code = Exit.UNREADABLE
        elif not verdict.passes(self._options.fail_on) and self.code == Exit.OK:
            self.code = Exit.FINDINGS
        self.reported += verdict.reported
        if verdict.error is not None:
            note(verdict.error)
        elif verdict.damage is not None and not (self._told and verdict.damage.cut):
            text = _("{path}: {message}; judged up to there")
            note(text.format(path=verdict.path, message=verdict.damage.message))

    def _annotate(self, verdict: "Verdict", target: str) -> None:
        """Write the annotated capture. That it cannot be written does not keep the verdict back."""
        from labkit.report.annotate import annotate

        try:
            count = annotate(verdict, target, self._options)
        except CaptureError as error:
            self.code = Exit.UNREADABLE
            note(str(error))
            return
        text = ngettext("{file}: {n} packet with comments", "{file}: {n} packets with comments", count)
        note(text.format(file=printable(target), n=count))
