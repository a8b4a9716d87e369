"""What the live commands share: the limits of a run, signals, and the capture and verdict of its frames."""

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

lab_option = click.option("--lab", metavar="NAME", help=_("Which lab, if several are up."))


def packets_option(most: int) -> Callable[[F], F]:
    """`--packets`, with a default."""
    return click.option(
        "--packets",
        type=click.IntRange(min=1),
        metavar="N",
        default=most,
        show_default=True,
        help=_("Stop after sending N packets."),
    )


def guard_options(packets: int, seconds: int) -> Callable[[F], F]:
    """`--packets`, `--for`, `--allow-interface` and `--allow-network`: `guard_of` makes a Guard of them."""

    def decorate(function: F) -> F:
        for option in (
            click.option(
                "--allow-network",
                multiple=True,
                metavar="NETWORK",
                help=_("Allow packets to this network in this run. Be sure that you may send there."),
            ),
            click.option(
                "--allow-interface",
                multiple=True,
                metavar="NAME",
                help=_("Allow packets on this interface in this run, even if it is neither loopback nor veth."),
            ),
            for_option(float(seconds), f"{seconds}s"),
            packets_option(packets),
        ):
            function = option(function)
        return function

    return decorate


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
    from labkit.analysis.rule import Severity
    from labkit.analysis.verifier import Verifier
    from labkit.report.formats import ReportOptions, renderer

    verdict = Verifier().run(frames)
    verdict.path = title
    for line in renderer("text")([verdict], ReportOptions(Severity.ERROR)):
        click.echo(line)
    return Exit.OK if verdict.ok else Exit.FINDINGS
