"""`labkit watch`: judge what passes an interface, while it passes."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from labkit.cli._common import Command, Exit, format_option, note
from labkit.cli._duration import for_option
from labkit.cli._live import lab_option
from labkit.cli._report_config import choices_options, chosen
from labkit.i18n import _, ngettext, printable

if TYPE_CHECKING:
    from labkit.analysis.report_config import ReportConfig
    from labkit.analysis.rule import Severity
    from labkit.analysis.verifier import Finding, Verdict
    from labkit.capture import Frame, Writer


@click.command("watch", cls=Command)
@click.argument("interface")
@lab_option
@for_option(None, _("until Ctrl-C"))
@click.option("--capture", type=click.Path(), metavar="FILE", help=_("Where the packets are recorded."))
@click.option("-v", "--verbose", is_flag=True, help=_("Print notes as well, which otherwise are only counted."))
@click.option(
    "--most",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    metavar="N",
    help=_("Text: findings of one rule that are printed, before more of them are only counted; 0 is all."),
)
@click.option(
    "--allow-interface",
    multiple=True,
    metavar="NAME",
    help=_("Watch this interface, though it is neither loopback nor veth."),
)
@choices_options
@format_option("text", "jsonl")
def command(
    interface: str,
    lab: str | None,
    seconds: float | None,
    capture: str | None,
    verbose: bool,
    most: int,
    allow_interface: tuple[str, ...],
    format_: str,
    **choices: Any,
) -> int:
    """Judge what passes an interface, while it passes.

    INTERFACE is lo, a veth, or an end of the lab: client or server. A finding is printed as soon as nothing that comes
    later can change it. It ends at Ctrl-C, or with its time or the lab, and prints the verdict. Exit code 1 where a rule is
    broken.
    """
    from labkit.analysis.verifier import Verifier
    from labkit.live.stop import Stop
    from labkit.live.watch import frames, open_link

    choice = chosen(**choices)
    verifier = Verifier(choice.profile, literal=choice.literal)
    tell = _Teller(choice, interface, format_, verbose=verbose, most=most)
    with ExitStack() as stack:
        stop = stack.enter_context(Stop())
        link = stack.enter_context(open_link(interface, lab, allow_interface))
        passing: Iterable[Frame] = frames(link, stop, seconds=seconds)
        if capture is not None:
            passing = _recorded(passing, stack.enter_context(_create(capture, interface)))
        note(_("{interface}: watching; Ctrl-C ends it").format(interface=printable(interface)))
        verdict = verifier.run(passing, None, tell)
        lost = link.lost()
    verdict.path = interface
    choice.apply(verdict)
    tell.conclude(verdict)
    if lost:
        text = ngettext(
            "{n} packet passed too fast to be seen: what is missing may be that one",
            "{n} packets passed too fast to be seen: what is missing may be those",
            lost,
        )
        note(text.format(n=lost))
    return Exit.OK if verdict.passes(choice.fail_on) else Exit.FINDINGS


def _create(capture: str, interface: str) -> "Writer":
    """The file that packets are recorded in: there as a whole at the end, or not at all."""
    from labkit.capture import create
    from labkit.packet.linktype import ETHERNET

    return create(capture, link=ETHERNET, interface_name=interface)


def _recorded(frames: "Iterable[Frame]", writer: "Writer") -> "Iterator[Frame]":
    """The same frames, each of them written down."""
    for frame in frames:
        writer.write(frame.time, frame.data)
        yield frame


class _Teller:
    """Prints findings as they come, and the verdict in the end."""

    def __init__(self, choices: "ReportConfig", interface: str, format_: str, *, verbose: bool, most: int) -> None:
        self._choices = choices
        self._interface = interface
        self._machine = format_ == "jsonl"
        self._lines = _json_line if self._machine else _text_line
        self._verbose = verbose or self._machine
        self._most = 0 if self._machine else most
        self._said: Counter[str] = Counter()
        self._unsaid: Counter[tuple[Severity, str, str]] = Counter()

    def __call__(self, found: "Finding") -> None:
        """Print a finding, if somebody wants to hear of it."""
        from labkit.analysis.rule import Severity

        for each in self._reported(found).findings:
            brief = each.severity == Severity.NOTE and not self._verbose
            if brief or (self._most and self._said[each.code] >= self._most):
                self._unsaid[each.severity, each.code, each.name] += 1
            else:
                self._said[each.code] += 1
                click.echo(self._lines(self._interface, each))

    def _reported(self, found: "Finding") -> "Verdict":
        from labkit.analysis.verifier import Verdict

        return self._choices.apply(Verdict(self._interface, self._choices.profile, [found]))

    def conclude(self, verdict: "Verdict") -> None:
        """Print the verdict, what could not be judged, and what was not said yet."""
        from labkit.analysis.rule import Severity
        from labkit.report.formats import ReportOptions
        from labkit.report.formats.text import headline

        line = f"{printable(self._interface)}: {headline(verdict, ReportOptions(self._choices.fail_on))}"
        if self._machine:
            note(click.unstyle(line))
            return
        click.echo(line)
        for limit in verdict.limits:
            click.echo("  " + _("note: {message}").format(message=limit.message))
        said = {limit.code for limit in verdict.limits}
        for (severity, code, name), count in sorted(self._unsaid.items(), key=lambda each: (-each[0][0], each[0][1])):
            if severity > Severity.NOTE or code not in said:
                click.echo(f"  {_marked(severity, code)} {count} × {name}")


def _marked(severity: "Severity", code: str) -> str:
    """`error[ACK01]`, in the severity's colour."""
    from labkit.report.formats._colours import COLOURS

    return click.style(f"{_(str(severity))}[{code}]", fg=COLOURS[severity], bold=True)


def _text_line(_interface: str, found: "Finding") -> str:
    from labkit.report.formats._records import one_line

    time = "" if found.time is None else f"{found.time:.6f}"
    return f"{time:>12}  {_marked(found.severity, found.code)} {one_line(found)}"


def _json_line(interface: str, found: "Finding") -> str:
    from json import dumps

    from labkit.report.formats._records import finding_record

    return dumps({"path": interface, **finding_record(found)})
