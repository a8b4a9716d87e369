"""Judging one capture after the other, or several at a time: progress, and what Ctrl-C does.

The first Ctrl-C ends the reading: what was read of the capture is judged as one that was cut, the captures after it are
not read, and what there is gets printed. The second one ends the program. A signal is taken between two packets, so that
no packet is judged by halves; only who waits for octets, or for another process, is interrupted at once.
"""

import signal
import sys
from bisect import bisect
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import accumulate
from os import get_terminal_size
from os.path import getsize
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING

import click

from labkit.cli._common import note
from labkit.cli._inputs import Input
from labkit.errors import CaptureError
from labkit.i18n import _, printable

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from labkit.analysis.flow_filter import FlowFilter
    from labkit.analysis.report_config import ReportConfig
    from labkit.analysis.verifier import Verdict
    from labkit.capture import Frame

FEW = 4
"""Captures below which one process judges them all, unless somebody asks for more."""

SIZE = 50
"""Captures that are sent to a process at a time, at most."""

BAR = 20
"""Characters of the bar that shows progress."""

TICK = 1
"""Seconds after which it is shown again how long something takes."""

PAUSE = 0.1
"""Seconds between two counts that are shown: a terminal far away need not keep up with what reads."""

SMALL = 4_000_000
"""Octets of all captures below which the start of other processes would cost more than it gains."""


@dataclass(frozen=True)
class Request:
    """By what captures are judged, and what is wanted of them."""

    choices: "ReportConfig"
    wanted: "FlowFilter | None" = None
    engine: str = "auto"
    """Which of `labkit.analysis.native.engine.ENGINES` judges."""
    alone: bool = True
    """Whether no other process of ours judges at the same time."""


class Interrupts:
    """Ctrl-C, while captures are judged. `seen` says whether it was pressed."""

    def __init__(self) -> None:
        self.seen = False
        self._waiting = False

    def __enter__(self) -> "Interrupts":
        # A program in the background is told to ignore the signal, and a caller may have a use of its own for it.
        self._ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        try:
            if self._ours:
                signal.signal(signal.SIGINT, self._take)
        except ValueError:
            self._ours = False  # not the main thread, which alone gets signals
        return self

    def __exit__(self, *exc: object) -> None:
        if self._ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _take(self, _number: int, _frame: FrameType | None) -> None:
        again, self.seen = self.seen, True
        if again or self._waiting:
            raise KeyboardInterrupt

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """What is done within may be interrupted at any place; that it was is no exception afterwards, but `seen`."""
        try:
            self._waiting = True
            yield
        except KeyboardInterrupt:
            self.seen = True
        finally:
            self._waiting = False

    def frames(self, frames: Iterable["Frame"]) -> Iterator["Frame"]:
        """The frames up to an interruption."""
        iterator = iter(frames)
        while not self.seen:
            try:
                self._waiting = True
                frame = next(iterator, None)
                self._waiting = False
            except KeyboardInterrupt:
                self._waiting, self.seen = False, True
                return
            if frame is None:
                return
            yield frame


def judge(
    given: Input,
    request: Request,
    interrupts: Interrupts | None = None,
    place: str = "",
    say: Callable[[str], None] | None = None,
) -> "Verdict":
    """One capture's verdict; a file that cannot be read has one too.

    `place` says which of several it is; `say` takes a line for the user.
    """
    from labkit.analysis.native import engine
    from labkit.capture import Damage, open_capture

    choices, path = request.choices, given.path
    if given.error:
        return _unjudged(path, request, given.error)
    try:
        with open_capture(path) as capture, Progress(place + printable(path), lambda: capture.share) as progress:
            verdict = engine.judge(
                capture,
                choices.profile,
                literal=choices.literal,
                watch=progress.packets,
                wanted=request.wanted,
                engine=request.engine,
                interruption=interrupts,
                say=None if say is None else partial(progress.pause, say),
                alone=request.alone,
            )
            verdict.path = path
    except CaptureError as error:
        return _unjudged(path, request, str(error))
    if interrupts is not None and interrupts.seen:
        reason = _("interrupted after packet {n}").format(n=verdict.packets)
        verdict.damage = verdict.damage or Damage(reason, None, cut=True)
    return choices.apply(verdict)


def verdicts(
    captures: Sequence[Input], request: Request, jobs: int | None, interrupts: Interrupts, cluster: str | None = None
) -> Iterator["Verdict"]:
    """The verdicts, in the order of the captures, up to an interruption.

    `jobs` None: as many processes as seem good. `cluster` is the address of a Dask scheduler, whose workers then judge.
    """
    if cluster is not None:
        yield from _by_cluster(captures, request, cluster, interrupts)
        return
    count = jobs or _jobs(captures)
    if count > 1 and len(captures) > 1 and all(each.path != "-" for each in captures):
        yield from _by_processes(captures, request, min(count, len(captures)), interrupts)
        return
    say = cache(note)  # what holds for all of them is said once
    for number, each in enumerate(captures, 1):
        if interrupts.seen:
            return
        place = bar(number, len(captures)) if len(captures) > 1 else ""
        verdict = judge(each, request, interrupts, place, say)
        if interrupts.seen and not verdict.packets and verdict.error is None:
            return  # nothing of it was read: that nothing was found says nothing
        yield verdict


def _jobs(captures: Sequence[Input]) -> int:
    """How many processes are worth their start."""
    from os import cpu_count

    return 1 if len(captures) < FEW or sum(_sizes(captures)) < SMALL else cpu_count() or 1


def _sizes(captures: Sequence[Input]) -> Iterator[int]:
    """How many octets the files have."""
    for each in captures:
        with suppress(OSError, ValueError):
            yield getsize(each.path)  # noqa: PTH202 - the path may be any string


def _by_processes(
    captures: Sequence[Input], request: Request, jobs: int, interrupts: Interrupts
) -> Iterator["Verdict"]:
    """The same by several processes."""
    from labkit.analysis.native import engine
    from labkit.jobs.processes import Processes

    # What they need is compiled by one of us, before they begin.
    with interrupts.waiting(), Progress(_("compiling")) as progress:
        engine.prepare(request.engine, max(_sizes(captures), default=0), partial(progress.pause, note))
    # Enough batches that all have something to do up to the end.
    size = max(1, min(SIZE, len(captures) // (jobs * 4)))
    with Processes(jobs) as pool:
        yield from _by_executor(captures, replace(request, alone=False), pool, jobs * 2, size, interrupts)
        if interrupts.seen:
            pool.terminate()


def _by_cluster(
    captures: Sequence[Input], request: Request, address: str, interrupts: Interrupts
) -> Iterator["Verdict"]:
    """The same by the workers of a cluster."""
    from labkit.jobs.cluster import connected

    with ExitStack() as stack:
        cluster = None
        with interrupts.waiting():
            cluster = stack.enter_context(connected(address, note))
        if cluster is not None:
            yield from _by_executor(captures, request, cluster.executor, cluster.threads * 2, SIZE, interrupts)


def _by_executor(
    captures: Sequence[Input], request: Request, executor: "Executor", ahead: int, size: int, interrupts: Interrupts
) -> Iterator["Verdict"]:
    from labkit.jobs import batches

    found = batches.verdicts(
        [each.path for each in captures if not each.error],
        partial(judge_path, request),
        executor,
        ahead=ahead,
        size=size,
    )
    with closing(found):
        for number, each in enumerate(captures, 1):
            verdict = _unjudged(each.path, request, each.error) if each.error else None
            with Progress(bar(number, len(captures)) + printable(each.path)) as progress:
                progress.show()
                if verdict is None:
                    with interrupts.waiting():
                        verdict = next(found)
            if verdict is None or interrupts.seen:
                return
            verdict.profile = request.choices.profile
            yield verdict


def judge_path(request: Request, path: str) -> "Verdict":
    """One capture's verdict, in another process."""
    return judge(Input(path), request)


def bar(number: int, total: int) -> str:
    """How far it is: `[ 17/120] ##........ `."""
    done = BAR * (number - 1) // total
    return f"[{number:>{len(str(total))}}/{total}] {'#' * done}{'.' * (BAR - done)} "


def _unjudged(path: str, request: Request, error: str) -> "Verdict":
    from labkit.analysis.verifier import Verdict

    return Verdict(path, request.choices.profile, error=error)


class Progress:
    """A line on standard error, where that is a terminal, that says what is being done; gone at the end of the block."""

    def __init__(self, what: str, share: Callable[[], float | None] | None = None) -> None:
        """`share` says how much is done, from 0 to 1, or None where nobody knows."""
        self._what = what
        self._share = share or (lambda: None)
        self._shown = False
        # Asked once: who asks gives the interpreter to other threads meanwhile.
        self._seen = sys.stderr is not None and sys.stderr.isatty()
        self._next = 0.0
        """When a count may be shown again."""
        self._go_on: Callable[[], None] | None = None
        """Ends a pause."""

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exc: object) -> None:
        self._end_pause()
        self._clear()

    def _clear(self) -> None:
        if self._shown:
            click.echo("\r\x1b[K", nl=False, err=True)

    def pause(self, say: Callable[[str], None], why: str) -> None:
        """Say why there is nothing to count for a while; from then on the line says how long that takes."""
        self._clear()
        say(why)
        if not self._seen or self._go_on is not None:
            return
        from threading import Event, Thread

        over, began = Event(), monotonic()

        def tick() -> None:
            while not over.wait(TICK):
                self.show(_(": {seconds:.0f} s").format(seconds=monotonic() - began))

        thread = Thread(target=tick, daemon=True)

        def go_on() -> None:
            over.set()
            thread.join()

        thread.start()
        self._go_on = go_on

    def _end_pause(self) -> None:
        if self._go_on is not None:
            self._go_on()
            self._go_on = None

    def packets(self, count: int) -> None:
        """Show how many packets there are by now, unless that has just been shown."""
        now = monotonic()
        if not self._seen or now < self._next:
            return
        self._end_pause()
        self._next = now + PAUSE
        share = self._share()
        done = "" if share is None else f", {share:.0%}"
        self.show(_(": {count:,} packets").format(count=count) + done)

    def show(self, more: str = "") -> None:
        """Show the line."""
        if self._seen:
            self._shown = True
            # A second line would stay.
            what = fitting(self._what, _columns() - 1 - len(more))
            click.echo(f"\r\x1b[K{what}{more}", nl=False, err=True)


def _columns() -> int:
    """Of the terminal."""
    with suppress(OSError):
        return get_terminal_size(sys.stderr.fileno()).columns or 80
    return 80


def fitting(text: str, columns: int) -> str:
    """As much of a text as fits into so many columns of a terminal, where a Chinese character takes two."""
    from unicodedata import east_asian_width

    ends = list(accumulate(2 if east_asian_width(char) in "WF" else 1 for char in text))
    return text if not ends or ends[-1] <= columns else text[: bisect(ends, columns - 3)] + "..."
