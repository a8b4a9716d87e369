"""`labkit draw`: draw the conversations of a capture or a scenario."""

import re
from collections.abc import Callable
from io import BytesIO
from itertools import islice
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
    fault_option,
    note,
    option,
    output_option,
    profile_option,
    reveal_option,
    seed_option,
)
from labkit.cli._flow_filter import flow_filter, flow_options, note_unmatched
from labkit.cli._paths import PATH, standard_input
from labkit.errors import CaptureError, UsageError
from labkit.i18n import N_, _, listed
from labkit.report.draw import (
    CONVERTED,
    LADDER,
    SUFFIXES,
    DrawOptions,
    conversations_of,
    formats,
    names,
    needs_all,
    picture,
)

if TYPE_CHECKING:
    from labkit.analysis.verdict import Verdict
    from labkit.build.trace import Trace
    from labkit.capture import Damage, Reader
    from labkit.capture.budget import Budget
    from labkit.report.draw._subject import Opener, Subject

MAX_STREAM = 1 << 28
"""Octets of a capture on standard input, which is read more than once."""

RECORD = 100
"""Octets that a packet takes in memory beside its own, at least."""

FEW = 500
"""Packets in which the conversation of a curve is looked for first."""

MAX_LINKED = 20_000
"""Packets of a capture whose page of curves has the findings and the ladder too, if there is no compiled code."""

TERMINAL = "terminal"

SCENARIOS = (".yaml", ".yml", ".pkt")
CAPTURES = (".pcap", ".pcapng", ".cap", ".gz")
"""Suffixes that tell what a file is; another name is a capture if there is such a file, and else a scenario."""


def _complete_formats(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    known = formats(ctx.params.get("what") or LADDER)
    return [CompletionItem(each) for each in known if each.startswith(incomplete)]


def _packets(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """Read a range of packets, `100-200` or `100`."""
    if value is None:
        return None
    match = re.fullmatch(r"([0-9]{1,15})(?:-([0-9]{1,15}))?", value)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= first <= last:
        raise click.BadParameter(_("'{value}' is not a range of packets (100-200)").format(value=value))
    return first, last


@click.command(
    "draw",
    cls=Command,
    section="verify",
    examples=("labkit draw document.pcapng", "labkit draw lossy-both-sides -o loss.svg"),
)
@click.argument("subject", metavar="CAPTURE|SCENARIO", shell_complete=complete_scenarios)
@click.argument("other", metavar="[CAPTURE]", required=False, type=PATH)
@option("--what", type=click.Choice(names()), default=LADDER, show_default=True, help=N_("The picture to draw."))
@option(
    "--format",
    "format_",
    metavar="FORMAT",
    shell_complete=_complete_formats,
    help=N_("svg, html, terminal, mermaid, dot, xpl, png or pdf.  [default: by the suffix of FILE, else terminal]"),
)
@output_option(N_("File to write; '-' is standard output."))
@profile_option
@flow_options
@option("--packets", callback=_packets, metavar="A-B", help=N_("Only packets A to B; nothing is folded."))
@option("--whole", is_flag=True, help=N_("Draw every segment, and fold nothing."))
@reveal_option
@budget_options()
@seed_option(N_("Scenario: the seed of its random numbers."))
@fault_option
def command(
    subject: str,
    other: str | None,
    what: str,
    format_: str | None,
    output: str | None,
    profile: str,
    packets: tuple[int, int] | None,
    whole: bool,
    reveal: str,
    seed: int,
    faults: tuple[str, ...],
    **others: Any,
) -> int:
    """Draw the conversations of a capture or a scenario.

    CAPTURE is a pcap or pcapng file; '-' is standard input. SCENARIO is the name of a shipped scenario, a .yaml file, or a
    hand-written trace (.pkt). The pictures are 'ladder' (both ends with their states, and the segments between them) and
    others that --what names. A fault is red; a dashed arrow shows the segment that was expected. Two captures of one
    conversation, one at each end, are drawn as one; packets are counted in the order of their times.
    """
    from labkit.report.reveal import reveal as revealed

    chosen = _format(what, format_, output)
    draw = picture(what, "svg" if chosen in CONVERTED else chosen)

    def verdict_of(opener: "Opener") -> "Verdict":
        from labkit.analysis.native.engine import verify_capture

        with opener() as capture:
            return revealed(verify_capture(capture, profile), reveal)

    wanted, budget = flow_filter(others), capture_budget(others)
    readings: Readings | None = None
    if other is not None or is_capture(subject):
        few = not needs_all(what)
        linked = few and chosen == "html"
        judged = verdict_of if linked or not few else None
        readings = Readings(subject, other, budget)
        drawn = of_capture(
            readings,
            judged,
            wanted,
            packets,
            few=few,
            linked=linked,
            count=conversations_of(what),
        )
        if faults or seed:
            raise UsageError(_("--seed and --fault need a scenario, not a capture"))
    else:
        drawn = _of_scenario(subject, verdict_of, seed, faults, wanted=wanted, packets=packets)
        _check_any(subject, drawn, wanted, packets, None)
    options = DrawOptions(whole=whole or packets is not None, packet=packets[0] if packets else None)
    _write(draw(drawn, options), chosen, output)
    if output not in (None, "-"):
        note(_("{file}: {what} of {name} as {format}").format(file=output, what=what, name=subject, format=chosen))
    return readings.conclude(drawn) if readings is not None else Exit.OK


def _format(what: str, format_: str | None, output: str | None) -> str:
    """The format to draw in. UsageError if the picture does not have it."""
    known = formats(what)
    if format_ is None and output is not None and output != "-":
        suffix = Path(output).suffix.lower()
        format_ = SUFFIXES.get(suffix)
        if format_ is None:
            text = _("{name}: the suffix names no format; use --format or one of {known}")
            raise UsageError(text.format(name=output, known=listed(SUFFIXES)))
    format_ = format_ or (TERMINAL if TERMINAL in known else known[0])
    if format_ not in known:
        text = _("the picture {name} has no format {format}; it has: {known}")
        raise UsageError(text.format(name=what, format=format_, known=listed(known)))
    return format_


def is_capture(subject: str) -> bool:
    """Whether the subject is a capture: standard input, or a file that is not a scenario."""
    suffix = Path(subject).suffix.lower()
    if suffix in SCENARIOS:
        return False
    return subject == "-" or suffix in CAPTURES or Path(subject).exists()


class Readings:
    """Opens a capture, or two as one, as often as it is read, and remembers why it could not be read to its end."""

    def __init__(self, path: str, other: str | None = None, budget: "Budget | None" = None) -> None:
        """`path` may be standard input; then it is read now, and so are two captures. `budget` bounds each reading."""
        self.path = path
        self._other = other
        self._budget = budget
        self._readers: list[Reader] = []
        self._damages: list[Damage] = []
        self._octets = _standard_input() if path == "-" and other is None else None
        if other is not None:
            self._octets, self._damages = _joined(path, other)

    def __call__(self) -> "Reader":
        """Open it once more."""
        from labkit.capture import open_capture
        from labkit.capture.budget import Meter

        source = self.path if self._octets is None else BytesIO(self._octets)
        reader = open_capture(source, Meter(self._budget) if self._budget else None)
        self._readers.append(reader)
        return reader

    @property
    def damage(self) -> "Damage | None":
        """Why one of the readings did not reach the end. The beginning of a capture may have been enough."""
        return next(filter(None, (each.damage or each.spent() for each in self._readers)), None)

    def conclude(self, drawn: "Subject") -> Exit:
        """Say why the picture ends where it does, or is empty; return the exit code."""
        damage = self.damage
        if damage is not None:
            note(_("{capture}: {message}; drawn up to there").format(capture=self.path, message=damage.message))
        elif self._other is not None and not drawn.cut and all(each.points == 1 for each in drawn.conversations):
            text = _("{one} and {other}: no conversation that is drawn is in both")
            note(text.format(one=self.path, other=self._other))
        elif not drawn.conversations:
            note(_("{capture}: there is no TCP segment in it that labkit can read").format(capture=self.path))
        return damage_code(damage, *self._damages)


def of_capture(
    opener: Readings,
    verdict_of: "Callable[[Opener], Verdict] | None",
    wanted: Any,
    packets: tuple[int, int] | None = None,
    *,
    few: bool = False,
    linked: bool = False,
    count: int | None = None,
) -> "Subject":
    """The conversations of a capture; UsageError if nothing of it is selected.

    `few` reads only the beginning of a capture, if what is selected is there. With `linked`, there is a verdict if a ladder can
    show the whole conversation; without compiled code, if the capture has at most MAX_LINKED packets. `count` is the most
    conversations.
    """
    from labkit.analysis.native.engine import feed_of
    from labkit.report.draw import _subject

    if linked:
        with opener() as capture:
            few = next(islice(capture, MAX_LINKED, None), None) is not None
        with opener() as capture:
            few = few and feed_of(capture) is None
    whole = not few or packets is not None
    verdict = verdict_of(opener) if verdict_of and not linked else None
    for most in (_subject.MAX_FRAMES,) if whole else (FEW, _subject.MAX_FRAMES):
        drawn = _subject.of_capture(
            opener.path,
            opener,
            verdict,
            wanted=wanted,
            packets=packets,
            most=most,
            count=count,
            brief=FEW if linked else None,
            judge=(lambda: verdict_of(opener)) if verdict_of and linked and whole else None,
        )
        if drawn.conversations and not (drawn.cut and drawn.unmatched):
            break
    _check_any(opener.path, drawn, wanted, packets, opener.damage)
    return drawn


def _check_any(
    name: str, drawn: "Subject", wanted: Any, packets: tuple[int, int] | None, damage: "Damage | None"
) -> None:
    """UsageError if nothing is selected, or CaptureError if that may stand in what could not be read; a note if only some options
    select nothing."""
    from labkit.capture import lacking

    if not drawn.conversations and wanted is not None:
        raise lacking(_("{capture}: there is no conversation {what}").format(capture=name, what=wanted), damage)
    if not drawn.conversations and packets is not None:
        raise lacking(_("{capture}: there is no TCP segment in these packets").format(capture=name), damage)
    if not drawn.cut:
        note_unmatched(drawn.unmatched, name)


def _joined(*paths: str) -> "tuple[bytes, list[Damage]]":
    """Captures at several points as one capture, with an interface for each, and why they could not be read to their end.

    UsageError if one has several interfaces itself.
    """
    from labkit.capture import create, open_capture

    frames, interfaces, damages, room = [], [], [], MAX_STREAM
    names: dict[str, str] = {}
    for number, path in enumerate(paths):
        if path == "-":
            raise UsageError(_("two captures are read from files; expected no '-'"))
        with open_capture(path) as capture:
            for frame in capture:
                room -= len(frame.data) + RECORD
                if room < 0:
                    raise CaptureError(
                        _("{capture}: the captures have more than {n:,} bytes; select some packets first").format(
                            capture=path, n=MAX_STREAM
                        )
                    )
                frames.append(frame._replace(interface=number))
            if len(capture.interfaces) != 1:
                text = _("{capture} has {n} interfaces; of two captures, each must have one")
                raise UsageError(text.format(capture=path, n=len(capture.interfaces)))
            interfaces.append(capture.interfaces[0])
            names |= capture.names
            if capture.damage:
                damages.append(capture.damage)
                note(_("{capture}: {message}; drawn up to there").format(capture=path, message=capture.damage.message))
    target = BytesIO()
    with create(
        target, link=interfaces[0].link, format="pcapng", names=names, interface_name=paths[0], fcs=interfaces[0].fcs
    ) as out:
        for path, interface in zip(paths[1:], interfaces[1:], strict=True):
            out.add_interface(interface.link, name=path, fcs=interface.fcs)
        for frame in sorted(frames, key=lambda each: each.time):
            wirelen = max(frame.wirelen, len(frame.data))
            out.write(frame.time, frame.data, wirelen=wirelen, comments=frame.comments, interface=frame.interface)
    return target.getvalue(), damages


def _standard_input() -> bytes:
    octets = standard_input(MAX_STREAM)
    if len(octets) > MAX_STREAM:
        text = _("standard input: a capture of more than {n:,} bytes; draw it from a file")
        raise CaptureError(text.format(n=MAX_STREAM))
    return octets


def _of_scenario(
    subject: str, verdict_of: "Callable[[Opener], Verdict]", seed: int, faults: tuple[str, ...], **selected: Any
) -> "Subject":
    from labkit.build.faults import inject
    from labkit.report.draw._subject import of_trace

    if Path(subject).suffix.lower() == ".pkt":
        from labkit.build.script import load

        return of_trace(inject(load(subject), faults), verdict_of, **selected)
    from labkit.build.scenario import Scenario

    scenario = Scenario.load(subject)
    trace = inject(scenario.play(seed=seed), faults)
    both: Trace | None = None
    if not trace.injected:
        from dataclasses import replace

        both = replace(scenario, model=scenario.model.model_copy(update={"capture": "both"})).play(seed=seed)
    return of_trace(trace, verdict_of, both, **selected)


def _write(lines: Any, format_: str, output: str | None) -> None:
    from labkit.cli._output import converted, refuse_terminal, write_lines, write_octets

    if format_ in CONVERTED:
        refuse_terminal(output)
        write_octets(output or "-", [converted("\n".join(lines), format_)])
        return
    write_lines(output, lines)
