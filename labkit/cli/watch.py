"""`labkit watch`: verify the packets of an interface while they pass."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from labkit.cli._common import Command, echo, format_option, most_option, note, option, verdict_code
from labkit.cli._follow import Follower
from labkit.cli._live import allow_interface_option, for_option, lab_option
from labkit.cli._paths import OUTPUT
from labkit.cli._report_config import report_config, report_options
from labkit.errors import LinkError
from labkit.i18n import N_, _, ngettext, printable

if TYPE_CHECKING:
    from labkit.analysis.finding import Finding
    from labkit.analysis.report_config import ReportConfig
    from labkit.analysis.severity import Severity
    from labkit.analysis.verdict import Verdict
    from labkit.capture import Frame, Writer


@click.command(
    "watch",
    cls=Command,
    section="live",
    examples=("labkit watch lo --for 10s", "labkit watch client --lab demo --capture wire.pcapng"),
)
@click.argument("interface")
@lab_option
@for_option(None, N_("until Ctrl-C"))
@option("--capture", type=OUTPUT, metavar="FILE", help=N_("Write the packets to FILE."))
@option("--segments", is_flag=True, help=N_("Text: print every segment too, with the states of both ends."))
@option("-v", "--verbose", is_flag=True, help=N_("Print notes too; without it they are only counted."))
@most_option(20, N_("Text: print at most N findings of each rule, and count the others; 0 prints all."))
@allow_interface_option(_("Watch this interface even if it is neither loopback nor veth."))
@report_options
@format_option("text", "jsonl")
def command(
    interface: str,
    lab: str | None,
    seconds: float | None,
    capture: str | None,
    segments: bool,
    verbose: bool,
    most: int,
    allow_interface: tuple[str, ...],
    format_: str,
    **others: Any,
) -> int:
    """Verify the packets of an interface while they pass.

    INTERFACE is lo, a veth, or an end of the lab: client or server. labkit prints a finding as soon as no later packet can
    change it. Ctrl-C, the end of --for or the end of the lab stops it; then it prints the verdict. Exit code 1 if a rule
    is broken.
    """
    from labkit.analysis.catalogue import collect
    from labkit.analysis.verifier import Verifier
    from labkit.live.stop import Stop
    from labkit.live.watch import frames, open_link

    config = report_config(**others)
    verifier = Verifier(config.profile, literal=config.literal, rules=collect(config.extra))
    printer = _FindingPrinter(config, interface, format_, verbose=verbose, most=most)
    with ExitStack() as stack:
        stop = stack.enter_context(Stop())
        link = stack.enter_context(open_link(interface, lab, allow_interface))
        failures: list[LinkError] = []
        passing: Iterable[Frame] = _up_to_failure(frames(link, stop, seconds=seconds), failures)
        if capture is not None:
            passing = _recorded(passing, stack.enter_context(_create(capture, interface)))
        if segments and format_ == "text":
            passing = stack.enter_context(Follower()).follow(passing)
        note(_("watching {interface}; Ctrl-C stops").format(interface=printable(interface)))
        verdict = verifier.run(passing, None, printer.on_finding)
        lost = link.lost()
    verdict = config.apply(replace(verdict, path=interface))
    printer.conclude(verdict)
    if lost:
        text = ngettext(
            "the kernel dropped {n} packet before labkit read it: findings about missing packets may be due to that",
            "the kernel dropped {n} packets before labkit read them: findings about missing packets may be due to that",
            lost,
        )
        note(text.format(n=lost))
    if failures:
        raise failures[0]
    return verdict_code(verdict, config.fail_on, allow_empty=config.allow_empty)


def _up_to_failure(frames: "Iterable[Frame]", failures: "list[LinkError]") -> "Iterator[Frame]":
    """The frames up to a failure of the link, which must not cost what was seen before. LinkError if that is nothing."""
    seen = False
    try:
        for frame in frames:
            seen = True
            yield frame
    except LinkError as error:
        if not seen:
            raise
        failures.append(error)


def _create(capture: str, interface: str) -> "Writer":
    from labkit.capture import create
    from labkit.packet.linktype import ETHERNET

    return create(capture, link=ETHERNET, interface_name=interface)


def _recorded(frames: "Iterable[Frame]", writer: "Writer") -> "Iterator[Frame]":
    for frame in frames:
        writer.write(frame.time, frame.data)
        yield frame


class _FindingPrinter:
    """Print findings as they come, and the verdict at the end."""

    def __init__(self, config: "ReportConfig", interface: str, format_: str, *, verbose: bool, most: int) -> None:
        self._config = config
        self._interface = interface
        self._machine = format_ == "jsonl"
        self._line = _json_line if self._machine else _text_line
        self._verbose = verbose or self._machine
        self._most = 0 if self._machine else most
        self._printed: Counter[str] = Counter()
        self._counted: Counter[tuple[Severity, str, str]] = Counter()

    def on_finding(self, found: "Finding") -> None:
        """Print a finding that is to be reported, or count it."""
        from labkit.analysis.severity import Severity
        from labkit.analysis.verdict import Verdict

        reported = self._config.apply(Verdict(self._interface, self._config.profile, [found]))
        for each in reported.findings:
            brief = each.severity == Severity.NOTE and not self._verbose
            if brief or (self._most and self._printed[each.code] >= self._most):
                self._counted[each.severity, each.code, each.name] += 1
            else:
                self._printed[each.code] += 1
                echo(self._line(self._interface, each))

    def conclude(self, verdict: "Verdict") -> None:
        """Print the verdict, the limits of the capture, and the findings that were only counted."""
        from labkit.analysis.severity import Severity
        from labkit.report.formats import ReportOptions
        from labkit.report.formats._judged import limit_text
        from labkit.report.formats.text import headline

        line = f"{printable(self._interface)}: {headline(verdict, ReportOptions(self._config.fail_on))}"
        if self._machine:
            note(click.unstyle(line))
            return
        echo(line)
        for limit in verdict.limits:
            echo("  " + _("note: {message}").format(message=limit_text(limit, verdict)))
        limits = {limit.code for limit in verdict.limits}
        for (severity, code, name), count in sorted(self._counted.items(), key=lambda each: (-each[0][0], each[0][1])):
            if severity > Severity.NOTE or code not in limits:
                echo(f"  {_label(severity, code)} {count} × {name}")


def _label(severity: "Severity", code: str) -> str:
    """`error[ACK01]`, in the severity's colour."""
    from labkit.report.formats._colours import COLOURS

    return click.style(f"{_(str(severity))}[{code}]", fg=COLOURS[severity], bold=True)


def _text_line(_interface: str, found: "Finding") -> str:
    from labkit.analysis.finding import one_line

    time = "" if found.time is None else f"{found.time:.6f}"
    return f"{time:>12}  {_label(found.severity, found.code)} {one_line(found)}"


def _json_line(interface: str, found: "Finding") -> str:
    from json import dumps

    from labkit.report.formats._records import finding_record

    return dumps({"path": interface, **finding_record(found)})
