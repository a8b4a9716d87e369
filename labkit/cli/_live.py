"""What the live commands share: the limits of a run, signals, and the capture and verdict of its frames."""

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from labkit.cli._common import Exit, F, echo, note, option, options
from labkit.i18n import N_, _, ngettext, printable

if TYPE_CHECKING:
    from labkit.capture import Frame
    from labkit.live.guard import Guard

lab_option = option("--lab", metavar="NAME", help=N_("Which lab, if several are up."))


class Duration(click.ParamType):  # type: ignore[type-arg]  # old versions of click have no type argument
    """A time such as 60s, 1.5s or 200ms, as seconds; a number without a unit is seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read the seconds."""
        from labkit.build.scenario.units import duration

        if isinstance(value, float):
            return value
        text = str(value)
        try:
            nanoseconds = duration(f"{text}s" if text[-1:].isdecimal() else text)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if not nanoseconds:
            self.fail(_("'{text}' must be longer than 0").format(text=text), param, ctx)
        return nanoseconds / 1e9


def for_option(default: float | None, shown: str) -> Callable[[F], F]:
    """`--for`, passed as `seconds`; `shown` is the default in words."""
    return option(
        "--for",
        "--seconds",
        "seconds",
        type=Duration(),
        metavar="TIME",
        default=default,
        show_default=shown,
        help=N_("Stop after this time: 60s, 1.5s, 200ms."),
    )


def packets_option(most: int) -> Callable[[F], F]:
    """`--packets`, with a default."""
    return option(
        "--packets",
        type=click.IntRange(min=1),
        metavar="N",
        default=most,
        show_default=True,
        help=N_("Stop after sending N packets."),
    )


def allow_interface_option(help_text: str) -> Callable[[F], F]:
    """`--allow-interface`, passed as `allow_interface`."""
    return option("--allow-interface", multiple=True, metavar="NAME", help=help_text)


guard_options = options(
    packets_option(100_000),
    for_option(60.0, "60s"),
    allow_interface_option(
        _("Allow packets on this interface in this run, even if it is neither loopback nor the lab's.")
    ),
    option(
        "--allow-network",
        multiple=True,
        metavar="NETWORK",
        help=N_("Allow packets to this network in this run. Be sure that you may send there."),
    ),
)
"""The options of a run's limits: `guard_of` makes a Guard of them."""


def guard_of(packets: int, seconds: float, allow_interface: tuple[str, ...], allow_network: tuple[str, ...]) -> "Guard":
    """The limits of a run. UsageError for an invalid network."""
    from labkit.live.guard import Guard, networks

    return Guard(frozenset(allow_interface), networks(allow_network), packets, seconds)


class Signalled:
    """The signal that ended the program, if one did."""

    def __init__(self) -> None:
        self.number = 0

    def code(self, otherwise: int) -> int:
        """The exit code, as shells number the signal; `otherwise` without a signal."""
        return 128 + self.number if self.number else otherwise


@contextmanager
def orderly() -> Iterator[Signalled]:
    """Within the block, SIGTERM and SIGHUP act like Ctrl-C, so that the program cleans up."""
    signalled = Signalled()

    def end(number: int, frame: FrameType | None) -> None:
        signalled.number = number
        interrupt = signal.getsignal(signal.SIGINT)
        if not callable(interrupt):
            raise KeyboardInterrupt
        interrupt(signal.SIGINT, frame)

    before: dict[int, Any] = {}
    with suppress(ValueError):  # not the main thread, which alone gets signals
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, end)
    try:
        yield signalled
    finally:
        for number_, handler in before.items():
            signal.signal(number_, handler)


def save(frames: Iterable["Frame"], target: str, comment: str, names: dict[str, str]) -> None:
    """Write frames to a capture file, and print how many. CaptureError and UsageError as `create` raises them."""
    from labkit.capture import create
    from labkit.packet.linktype import ETHERNET

    count = 0
    with create(target, link=ETHERNET, comment=comment, names=names) as writer:
        for frame in frames:
            writer.write(frame.time, frame.data, comments=frame.comments)
            count += 1
    text = ngettext("{file}: {count} packet", "{file}: {count} packets", count)
    note(text.format(file=_("standard output") if target == "-" else printable(target), count=count))


def verify_frames(frames: Iterable["Frame"], title: str) -> Exit:
    """Judge frames, print the verdict as `labkit verify` does, and return its exit code."""
    from labkit.analysis.severity import Severity
    from labkit.report.formats import ReportOptions, renderer
    from labkit.report.verdict import verify

    verdict = replace(verify(frames), path=title)
    for line in renderer("text")([verdict], ReportOptions(Severity.ERROR)):
        echo(line)
    return Exit.OK if verdict.ok else Exit.FINDINGS
