"""What the commands share that send or listen: what a run may do, how it is ended, what becomes of its frames."""

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from labkit.cli._common import Exit, F, note
from labkit.cli._duration import for_option
from labkit.i18n import _, ngettext, printable

if TYPE_CHECKING:
    from labkit.capture import Frame
    from labkit.live.guard import Guard

lab_option = click.option("--lab", metavar="NAME", help=_("Of several labs that are up, which."))


def bounds_options(packets: int, seconds: int) -> Callable[[F], F]:
    """`--packets`, `--for`, `--allow-interface` and `--allow-network`: `guard_of` makes a Guard of them."""

    def decorate(function: F) -> F:
        for option in (
            click.option(
                "--allow-network",
                multiple=True,
                metavar="NETWORK",
                help=_("For this run, let packets go there too. Be sure whose it is."),
            ),
            click.option(
                "--allow-interface",
                multiple=True,
                metavar="NAME",
                help=_("For this run, let packets out there, though it is neither loopback nor veth."),
            ),
            for_option(float(seconds), f"{seconds}s"),
            click.option(
                "--packets",
                type=click.IntRange(min=1),
                default=packets,
                show_default=True,
                help=_("How many packets are sent at most."),
            ),
        ):
            function = option(function)
        return function

    return decorate


def guard_of(packets: int, seconds: float, allow_interface: tuple[str, ...], allow_network: tuple[str, ...]) -> "Guard":
    """What a run may do. UsageError for what is no network."""
    from labkit.live.guard import Guard, networks

    return Guard(frozenset(allow_interface), networks(allow_network), packets, seconds)


class Signalled:
    """Which signal told the program to end, if one did."""

    def __init__(self) -> None:
        self.number = 0

    def code(self, otherwise: int) -> int:
        """The exit code: as shells number that signal, or what it would be without."""
        return 128 + self.number if self.number else otherwise


@contextmanager
def orderly() -> Iterator[Signalled]:
    """Within the block, being told to end (SIGTERM, SIGHUP) is like Ctrl-C: no reason to leave things lying about."""
    told = Signalled()

    def end(number: int, frame: FrameType | None) -> None:
        told.number = number
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
        yield told
    finally:
        for number_, handler in before.items():
            signal.signal(number_, handler)


def save(frames: Iterable["Frame"], target: str, comment: str, names: dict[str, str]) -> None:
    """Write frames to a capture file, and say so. CaptureError, UsageError as `create` has them."""
    from labkit.capture import create
    from labkit.packet.linktype import ETHERNET

    count = 0
    with create(target, link=ETHERNET, comment=comment, names=names) as writer:
        for frame in frames:
            writer.write(frame.time, frame.data, comments=frame.comments)
            count += 1
    text = ngettext("{file}: {count} packet", "{file}: {count} packets", count)
    note(text.format(file=_("standard output") if target == "-" else printable(target), count=count))


def judge(frames: Iterable["Frame"], title: str) -> Exit:
    """Judge frames, and print the verdict as `labkit verify` does; the exit code that goes with it."""
    from labkit.analysis.rule import Severity
    from labkit.analysis.verifier import Verifier
    from labkit.report.formats import ReportOptions, renderer

    verdict = Verifier().run(frames)
    verdict.path = title
    for line in renderer("text")([verdict], ReportOptions(Severity.ERROR)):
        click.echo(line)
    return Exit.OK if verdict.ok else Exit.FINDINGS
