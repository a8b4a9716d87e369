"""`labkit verify`: report which packet of a capture breaks which rule, and why."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from os import environ
from os.path import abspath
from typing import TYPE_CHECKING, Any

import click

from labkit.analysis.native import AUTO, ENGINES
from labkit.cli._budget import budget_options, capture_budget
from labkit.cli._common import (
    Command,
    Exit,
    format_option,
    most_option,
    note,
    option,
    output_option,
    reveal_option,
    verdict_code,
)
from labkit.cli._flow_filter import Selection, flow_filter, flow_options
from labkit.cli._output import write_lines
from labkit.cli._paths import OUTPUT, PATH, PathType
from labkit.cli._report_config import completeness_options, report_config, report_options
from labkit.errors import CaptureError, UsageError
from labkit.i18n import N_, _, listed, ngettext, printable
from labkit.report.formats import ReportOptions, names, renderer

if TYPE_CHECKING:
    from labkit.analysis.flow_filter import FlowFilter
    from labkit.analysis.verdict import Verdict
    from labkit.cli._progress import ProgressLine
    from labkit.jobs.inputs import Input
    from labkit.report.baseline import Baseline

MAX_SKIPPED = 3
"""Skipped files that the note names."""


@click.command(
    "verify",
    cls=Command,
    section="verify",
    examples=("labkit verify document.pcapng", "labkit verify hand-ins/ --fail-on warning --quiet"),
)
@click.argument("captures", metavar="CAPTURE...", nargs=-1, required=True, type=PATH)
@report_options
@completeness_options
@flow_options
@format_option(*names())
@reveal_option
@output_option(
    N_("Write the report to FILE; for --format html and several captures, to a folder with a page for each.")
)
@option(
    "--annotate",
    type=OUTPUT,
    metavar="OUT.pcapng",
    help=N_("Write a copy of the capture, with each finding as a comment on its packet. One capture only."),
)
@option("--baseline", type=PATH, metavar="FILE", help=N_("Fail for new findings only: those in FILE are known."))
@option(
    "--write-baseline",
    type=PathType(is_output=True, replaces="baseline"),
    metavar="FILE",
    help=N_("Write what fails the captures to FILE, for --baseline; the exit code is 0."),
)
@option(
    "--engine",
    type=click.Choice(ENGINES),
    default=AUTO,
    show_default=True,
    help=N_("Verification engine; auto uses compiled code for large captures."),
)
@option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help=N_("Verify N captures at a time.  [default: 1; for large inputs, one for each processor]"),
)
@budget_options()
@option(
    "--cluster",
    metavar="ADDRESS",
    help=N_("Verify on the workers of a Dask cluster; ADDRESS is its scheduler, such as tcp://192.0.2.1:8786."),
)
@option("-v", "--verbose", is_flag=True, help=N_("Text: show notes in full, and figures for each conversation."))
@option("-q", "--quiet", is_flag=True, help=N_("Text: show the verdict only; for several captures, their table."))
@most_option(5, N_("Text: show at most N findings of each rule in full; 0 shows all."))
def command(
    captures: tuple[str, ...],
    format_: str,
    reveal: str,
    output: str | None,
    annotate: str | None,
    baseline: str | None,
    write_baseline: str | None,
    engine: str,
    jobs: int | None,
    cluster: str | None,
    verbose: bool,
    quiet: bool,
    most: int,
    **others: Any,
) -> int:
    """Verify captures: which packet breaks which rule, and why.

    CAPTURE is a pcap or pcapng file, also compressed with gzip; '-' is standard input. For a folder, labkit verifies every
    capture in it. A pattern in quotation marks may match many files. Exit code 1 if a capture breaks a rule, or if nothing
    in it could be judged; 3 if a file cannot be read.
    """
    from labkit.capture.guard import protect
    from labkit.cli._progress import ProgressLine
    from labkit.jobs.dispatch import Dispatcher
    from labkit.jobs.inputs import expand
    from labkit.jobs.interrupts import Interrupts
    from labkit.jobs.judging import Request

    # numpy would start threads for linear algebra, which takes longer than all other imports; labkit uses none of it.
    environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    wanted, budget = flow_filter(others), capture_budget(others)
    inputs = expand(captures)
    protect(each.path for each in inputs.captures)
    config = report_config(**others, captures=lambda: (*captures, *(each.path for each in inputs.captures)))
    if quiet and verbose:
        raise UsageError(_("--quiet and --verbose exclude each other"))
    options = ReportOptions(config.fail_on, verbose, most, quiet, reveal, config)
    if annotate is not None:
        _check_annotate(inputs.captures, annotate)
    if cluster is not None and jobs is not None:
        raise UsageError(_("--cluster excludes --jobs: the cluster sets the number of workers"))
    outcome = _Outcome(options, annotate, wanted, shows_damage=format_ == "text")
    if baseline is not None or write_baseline is not None:
        outcome.use_baseline(baseline, write_baseline)
    if cluster is not None:  # its workers run elsewhere
        config = replace(config, extra=tuple(map(abspath, config.extra)))
    request = Request(config, wanted, engine, budget)
    with (
        Interrupts() as interrupts,
        ProgressLine(_("preparing")) as progress,
        closing(Dispatcher(inputs.captures, request, interrupts, progress).verdicts(jobs, cluster)) as judged,
    ):
        verdicts = outcome.record(judged, progress)
        if format_ == "html" and output not in (None, "-") and len(inputs.captures) > 1:
            _write_folder(verdicts, options, str(output), [each.path for each in inputs.captures])
        else:
            write_lines(output, renderer(format_)(verdicts, options))
    _note_skipped(inputs.skipped)
    if interrupts.seen:
        note(_("interrupted"))
        return Exit.INTERRUPTED
    return outcome.conclude()


def _check_annotate(captures: "list[Input]", target: str) -> None:
    """UsageError, before any capture is read, where the capture cannot be annotated."""
    from labkit.report.annotate import check

    if len(captures) != 1:
        raise UsageError(_("--annotate takes one capture, not {n}").format(n=len(captures)))
    check(captures[0].path, target)


def _note_skipped(skipped: list[str]) -> None:
    if skipped:
        text = ngettext(
            "skipped {n} file that is not a capture", "skipped {n} files that are not captures", len(skipped)
        )
        more = ["..."] if len(skipped) > MAX_SKIPPED else []
        files = listed([*sorted(map(printable, skipped))[:MAX_SKIPPED], *more])
        note(f"{text.format(n=len(skipped))}{_(': ')}{files}")


def _write_folder(verdicts: "Iterable[Verdict]", options: ReportOptions, folder: str, paths: list[str]) -> None:
    """Write a page for each capture, and an index. Other files of the folder stay."""
    from pathlib import Path

    from labkit.capture.sink import make_folder
    from labkit.report.formats.html import render_folder

    place = Path(folder)
    make_folder(place)
    for name, lines in render_folder(verdicts, options, paths):
        write_lines(str(place / name), lines)
    note(_("{file}: the table of all captures").format(file=printable(str(place / "index.html"))))


class _Outcome:
    """The exit code of all verdicts together, and the notes on each."""

    def __init__(
        self, options: ReportOptions, target: str | None, wanted: "FlowFilter | None", *, shows_damage: bool
    ) -> None:
        self._options = options
        self._selection = Selection(wanted) if wanted is not None else None
        self._shows_damage = shows_damage
        """Whether the report itself says where a capture was cut."""
        self._target = target
        self.code = Exit.OK
        """An unreadable capture outranks one that fails."""
        self._unwritten = False
        """Whether the annotated capture could not be written."""
        self._known: Baseline | None = None
        self._new: Baseline | None = None

    def use_baseline(self, known: str | None, new: str | None) -> None:
        """Leave out the findings of the baseline in a file, and collect those for a new one. InputError for a bad file."""
        from labkit.report.baseline import Baseline

        self._known = Baseline.load(known) if known is not None else None
        self._new = Baseline(new) if new is not None else None

    def conclude(self) -> int:
        """Write the new baseline, if one is wanted; return the exit code."""
        if self._selection is not None:
            self._selection.conclude()
        if self._known is not None and self._known.gone and self._new is None:
            text = ngettext(
                "{n} finding of the baseline is gone; --write-baseline writes it anew",
                "{n} findings of the baseline are gone; --write-baseline writes it anew",
                self._known.gone,
            )
            note(text.format(n=self._known.gone))
        if self._new is None:
            return self.code
        count = self._new.write()
        text = ngettext("{file}: {n} capture with known findings", "{file}: {n} captures with known findings", count)
        note(text.format(file=printable(self._new.path), n=count))
        return Exit.UNREADABLE if self._unwritten else Exit.OK

    def record(self, verdicts: "Iterable[Verdict]", progress: "ProgressLine") -> "Iterator[Verdict]":
        """Record verdicts as they come, and pass on what the user wants to be shown of them."""
        from labkit.report.reveal import reveal

        for verdict in verdicts:
            progress.clear()
            if self._new is not None:
                self._new.add(verdict)
            if self._known is not None:
                verdict = self._known.apply(verdict)
            verdict = reveal(verdict, self._options.reveal)
            self._add(verdict)
            if self._target is not None and verdict.error is None:
                self._annotate(verdict, self._target)
            yield verdict

    def _add(self, verdict: "Verdict") -> None:
        if self._selection is not None:
            self._selection.take(verdict)
        code = verdict_code(verdict, self._options.fail_on, allow_empty=self._options.allow_empty)
        self.code = max(self.code, code)
        if verdict.error is not None:
            note(verdict.error)
        elif verdict.damage is not None and not (self._shows_damage and verdict.damage.cut):
            text = _("{path}: {message}; judged up to there")
            note(text.format(path=verdict.path, message=verdict.damage.message))

    def _annotate(self, verdict: "Verdict", target: str) -> None:
        """Write the annotated capture. The verdict is reported even if this fails."""
        from labkit.report.annotate import annotate

        try:
            count, skipped = annotate(verdict, target, self._options)
        except CaptureError as error:
            self.code, self._unwritten = Exit.UNREADABLE, True
            note(str(error))
            return
        text = ngettext("{file}: {n} packet with comments", "{file}: {n} packets with comments", count)
        note(text.format(file=printable(target), n=count))
        if skipped:
            what = listed(sorted(map(_, skipped)))
            note(
                _("{file}: without what the capture holds besides packets: {what}").format(
                    file=printable(target), what=what
                )
            )
