"""`labkit diff`: compare two captures, conversation by conversation."""

from typing import TYPE_CHECKING, Any

import click

from labkit.cli._budget import budget_options, capture_budget
from labkit.cli._common import Command, Exit, damage_code, echo, emit_json, format_option, note, option
from labkit.cli._paths import OUTPUT, PATH
from labkit.i18n import N_, _, ngettext, printable

if TYPE_CHECKING:
    from labkit.build.trace import Trace
    from labkit.capture.budget import Budget


class Milliseconds(click.ParamType):  # type: ignore[type-arg]
    """A time with a unit, such as 5ms, in nanoseconds."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the time."""
        from labkit.build.scenario.units import duration

        if isinstance(value, int):
            return value
        try:
            return duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command(
    "diff",
    cls=Command,
    section="verify",
    examples=(
        "labkit diff client.pcapng server.pcapng",
        "labkit diff both-sides.pcapng --annotate differences.pcapng",
    ),
)
@click.argument("a", type=PATH)
@click.argument("b", required=False, type=PATH)
@option(
    "--late-by",
    type=Milliseconds(),
    default="1ms",
    show_default=True,
    metavar="TIME",
    help=N_("A packet that takes longer than the fastest one by more than TIME is delayed."),
)
@option(
    "--annotate",
    type=OUTPUT,
    metavar="FILE.pcapng",
    help=N_("Write both captures into one, with a comment on each packet that differs."),
)
@budget_options()
@format_option("text", "json")
def command(a: str, b: str | None, late_by: int, annotate: str | None, format_: str, **others: Any) -> int:
    """Compare two captures, conversation by conversation.

    A and B are captures of both ends of a path, before and after a middlebox, or of two runs of the same conversation.
    Without B, the two interfaces of A are compared. labkit lists packets that were lost, repeated, reordered, delayed or
    changed on the way, header fields that were altered, and conversations that only one capture has. The exit code is 1
    if there is a difference other than the path's own delay and hops.
    """
    from labkit.cli._progress import ProgressLine
    from labkit.report.diff import diff, points
    from labkit.report.diff.text import annotate as write_annotated
    from labkit.report.diff.text import record, render

    budget = capture_budget(others)
    with ProgressLine(_("comparing")):
        traces = points(_read(a, budget)) if b is None else (_read(a, budget), _read(b, budget))
        difference = diff(*traces, late=late_by)
    if annotate is not None:
        count = write_annotated(difference, traces, annotate)
        text = ngettext("{file}: {count:,} packet with a comment", "{file}: {count:,} packets with a comment", count)
        note(text.format(file=annotate, count=count))
    if format_ == "json":
        emit_json(record(difference))
    else:
        for line in render(difference):
            echo(line)
    damaged = damage_code(*(trace.origin.damage for trace in traces if trace.origin is not None))
    return damaged or (Exit.FINDINGS if difference.differs else Exit.OK)


def _read(path: str, budget: "Budget") -> "Trace":
    from dataclasses import replace

    from labkit.build.trace import Trace

    trace = Trace.from_capture(path, budget)
    if trace.origin is not None and trace.origin.damage is not None:
        text = _("{path}: {message}; compared up to there")
        note(text.format(path=printable(path), message=trace.origin.damage.message))
    return replace(trace, name=path)
