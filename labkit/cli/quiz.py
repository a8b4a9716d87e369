"""`labkit quiz`: questions about a capture or a scenario, for learning platforms."""

import re
import sys
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from labkit.cli._budget import budget_options, capture_budget
from labkit.cli._common import (
    Command,
    Exit,
    complete_scenarios,
    damage_code,
    echo,
    fault_option,
    note,
    option,
    output_option,
    seed_option,
)
from labkit.cli._paths import OUTPUT, standard_input
from labkit.errors import UsageError
from labkit.i18n import N_, _, listed, ngettext, printable

if TYPE_CHECKING:
    from labkit.capture.budget import Budget
    from labkit.teach.quiz import Drawn, Quiz
    from labkit.teach.quiz.formats import Format

MAX_NAME = 60
"""Characters of a quiz's title."""
MAX_STREAM = 1 << 26
"""Octets of a capture on standard input."""


def _complete_kinds(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from labkit.teach.quiz.kinds import kinds

    return [
        CompletionItem(each.name, help=N_(each.summary))
        for each in kinds().values()
        if each.name.startswith(incomplete)
    ]


def _complete_formats(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from labkit.teach.quiz.formats import names

    return [CompletionItem(each) for each in names() if each.startswith(incomplete)]


@click.command(
    "quiz",
    cls=Command,
    section="teach",
    examples=(
        "labkit quiz document",
        "labkit quiz fast-retransmit --format moodle --seed 7 --count 20 -o loss.xml",
    ),
)
@click.argument("subject", metavar="SCENARIO|CAPTURE", required=False, shell_complete=complete_scenarios)
@option(
    "--format",
    "format_",
    metavar="FORMAT",
    shell_complete=_complete_formats,
    help=N_("md, moodle, gift, qti (Canvas), prairielearn, csv or json.  [default: by the suffix of FILE, else md]"),
)
@output_option(N_("File to write, '-' is standard output; prairielearn: a new folder, or a .zip."))
@option(
    "--kinds",
    multiple=True,
    metavar="KIND[,KIND]...",
    shell_complete=_complete_kinds,
    help=N_("Ask only questions of these kinds. Repeatable.  [default: all]"),
)
@option(
    "--count",
    type=click.IntRange(min=1),
    metavar="N",
    help=N_("Ask N questions, of the kinds in turn.  [default: one of each kind]"),
)
@seed_option(N_("Seed of the scenario and of the choice; the same seed gives the same quiz."))
@fault_option
@option(
    "--relative/--raw",
    default=True,
    show_default=True,
    help=N_("Sequence numbers as Wireshark shows them, counted from the SYN, or as the header has them."),
)
@option(
    "--capture",
    "capture",
    type=OUTPUT,
    metavar="FILE.pcapng",
    help=N_("Write the capture that the questions are about, without comments or other hints."),
)
@budget_options()
@option("--list-kinds", is_flag=True, help=N_("List the kinds of questions, and what each needs."))
def command(
    subject: str | None,
    format_: str | None,
    output: str | None,
    kinds: tuple[str, ...],
    count: int | None,
    seed: int,
    faults: tuple[str, ...],
    relative: bool,
    capture: str | None,
    list_kinds: bool,
    **others: Any,
) -> int:
    """Write a quiz about a scenario or a capture, with its answers.

    SCENARIO is the name of a shipped scenario, a .yaml file, or a hand-written trace (.pkt); CAPTURE is a pcap or pcapng file,
    '-' is standard input. Each question has its answer, two wrong ones from typical mistakes, an explanation, and the display
    filter that proves the answer in Wireshark. Moodle, Canvas and PrairieLearn get the capture too, if it is small.
    """
    from labkit.teach.quiz import Quiz, questions
    from labkit.teach.quiz.subject import subject as read

    if list_kinds:
        _list()
        return Exit.OK
    if subject is None:
        raise UsageError(_("missing SCENARIO or CAPTURE; 'labkit scenarios' lists the shipped scenarios"))
    chosen = _format(format_, output)
    octets, title = _octets(subject, seed, faults)
    budget = capture_budget(others)
    source = BytesIO(octets) if octets is not None else subject
    about = read(printable(subject), source, relative=relative, budget=budget)
    drawn = questions(about, [name for text in kinds for name in text.split(",")], count, seed)
    for remark in about.remarks:
        note(f"{printable(subject)}: {remark}")
    _note_missing(drawn, count)
    name = f"{re.sub(r'[^A-Za-z0-9._-]+', '-', title)[:MAX_NAME].strip('.-') or 'capture'}.pcapng"
    played = octets if subject != "-" else None
    # Nobody knows how large the rest of a capture is that was not read to its end.
    student = played or (_student(octets, subject, budget) if about.ended else b"")
    if capture is not None:
        _write_capture(capture, student)
    _write(Quiz(printable(title)[:MAX_NAME], drawn.questions, seed, _small(student), name), chosen, output)
    return damage_code(about.damage)


def _list() -> None:
    from labkit.teach.quiz.kinds import kinds

    width = max(map(len, kinds()))
    for each in kinds().values():
        text = _("{summary}; needs {needs}").format(summary=_(each.summary), needs=_(each.needs))
        echo(f"{click.style(each.name.ljust(width), bold=True)}  {text}")


def _format(name: str | None, output: str | None) -> "Format":
    """The format to write. UsageError if there is none of this name."""
    from labkit.teach.quiz.formats import format_of, names

    if name is None:
        suffix = Path(output).suffix.lower() if output is not None and output != "-" else ".md"
        name = next((each for each in names() if format_of(each).suffix == suffix), None)
        if name is None:
            text = _("{name}: the suffix names no format; use --format: {known}")
            raise UsageError(text.format(name=printable(str(output)), known=listed(names())))
    if name not in names():
        text = _("unknown format '{name}'; expected one of {known}")
        raise UsageError(text.format(name=printable(name), known=listed(names())))
    return format_of(name)


def _octets(subject: str, seed: int, faults: tuple[str, ...]) -> tuple[bytes | None, str]:
    """The capture, and what the quiz is called; None for a capture in a file."""
    from labkit.cli.draw import is_capture

    if not is_capture(subject):
        return _played(subject, seed, faults)
    if faults:
        raise UsageError(_("--fault needs a scenario, not a capture"))
    if subject != "-":
        return None, Path(subject).stem
    octets = standard_input(MAX_STREAM)
    if len(octets) > MAX_STREAM:
        raise UsageError(_("standard input has more than 64 MiB; write it to a file"))
    return octets, "capture"


def _played(subject: str, seed: int, faults: tuple[str, ...]) -> tuple[bytes, str]:
    from dataclasses import replace

    from labkit.build.faults import inject

    if Path(subject).suffix.lower() == ".pkt":
        from labkit.build.script import load

        trace = load(subject)
    else:
        from labkit.build.scenario import Scenario

        scenario = Scenario.load(subject)
        if scenario.model.capture == "both":
            # What the client sees is enough, and each packet has one number.
            scenario = replace(scenario, model=scenario.model.model_copy(update={"capture": "client"}))
        trace = scenario.play(seed)
    stream = BytesIO()
    inject(trace, faults).write(stream, format="pcapng", edition="student")
    return stream.getvalue(), trace.name


def _student(octets: bytes | None, path: str, budget: "Budget") -> bytes:
    """The capture without comments, which may hold the answers."""
    from labkit.build.trace import Trace

    stream = BytesIO()
    trace = Trace.from_capture(BytesIO(octets) if octets is not None else path, budget)
    trace.write(stream, format="pcapng", edition="student")
    return stream.getvalue()


def _small(octets: bytes) -> bytes:
    from labkit.teach.quiz import MAX_EMBEDDED

    return octets if len(octets) <= MAX_EMBEDDED else b""


def _note_missing(drawn: "Drawn", count: int | None) -> None:
    """Say in one line which kinds cannot be asked, and why. UsageError if none can."""
    lacking: dict[str, list[str]] = {}
    for kind in drawn.missing:
        lacking.setdefault(_(kind.needs), []).append(kind.name)
    reasons = _("; ").join(
        _("{kinds} (needs {needs})").format(kinds=listed(names), needs=needs) for needs, names in lacking.items()
    )
    if not drawn.questions:
        raise UsageError(_("nothing can be asked about it: {reasons}").format(reasons=reasons))
    if reasons:
        note(_("not asked: {reasons}").format(reasons=reasons))
    if count is not None and len(drawn.questions) < count:
        text = ngettext("it allows only {n} question", "it allows only {n} questions", len(drawn.questions))
        note(text.format(n=len(drawn.questions)))


def _write_capture(path: str, octets: bytes) -> None:
    from labkit.cli._output import write_octets

    if not octets:
        raise UsageError(_("the capture is too large or damaged for --capture; give students the capture itself"))
    write_octets(path, [octets])


def _write(quiz: "Quiz", chosen: "Format", output: str | None) -> None:
    from labkit.cli._output import write_octets

    if chosen.suffix == "/" and output is None:
        output = f"{quiz.file.removesuffix('.pcapng')}-{chosen.name}"
    if chosen.files is not None and chosen.suffix == "/" and output != "-" and Path(str(output)).suffix != ".zip":
        _write_folder(quiz, chosen, str(output))
    elif output is None or output == "-":
        _print(quiz, chosen)
        return
    else:
        write_octets(output, [chosen.render(quiz)])
    text = ngettext("{file}: {n} question", "{file}: {n} questions", len(quiz.questions))
    note(text.format(file=output, n=len(quiz.questions)))


def _print(quiz: "Quiz", chosen: "Format") -> None:
    from labkit.cli._output import write_octets

    if chosen.files is None:
        echo(chosen.render(quiz).decode(), nl=False)
        return
    stream = sys.stdout
    if stream is not None and not stream.closed and stream.isatty():
        raise UsageError(_("standard output is a terminal; write the zip to a file (-o FILE) or a pipe"))
    write_octets("-", [chosen.render(quiz)])


def _write_folder(quiz: "Quiz", chosen: "Format", output: str) -> None:
    """Write a folder, whole or not at all."""
    from labkit.teach.files import write_folder

    assert chosen.files is not None  # noqa: S101 - a format with the suffix `/` has files
    write_folder(Path(output), chosen.files(quiz))
