"""What `linux-6.18` sends at each acknowledgement of a recovery, as its kernel was measured (`scripts/kernel-facts`)."""

import sys
import tomllib
from importlib import import_module
from pathlib import Path
from random import Random
from types import ModuleType

import pytest
from helpers import MS

from labkit.build.scenario.model import Side
from labkit.tcp import options as opt
from labkit.tcp.endpoint import Config, Endpoint
from labkit.tcp.endpoint.scoreboard import Scoreboard, Sent
from labkit.tcp.endpoint.sender import Sender
from labkit.tcp.segment import ACK, SYN, Segment

LIB = Path(__file__).parents[3] / "scripts" / "lib"
FACTS = tomllib.loads((LIB / "facts" / "linux-6.18.toml").read_text("utf-8"))


def _recoveries() -> ModuleType:
    sys.path.insert(0, str(LIB))
    try:
        return import_module("recoveries")
    finally:
        sys.path.remove(str(LIB))


recoveries = _recoveries()
GAP = recoveries.GAP


class ModelSender:
    """labkit's endpoint as a `recoveries.Sender`: a server whose client is the script."""

    def __init__(self, *, stamps: bool, **habits: object) -> None:
        self.stamps, self.size = stamps, 1448 if stamps else 1460
        config = Side(stack="linux-6.18", timestamps=stamps).config(0, ipv6=False, stamp=0)
        for name, value in habits.items():
            object.__setattr__(config, name, value)
        self.end, self.now = Endpoint(config, Random(1)), 0
        self.echo, self.first, self.ticks = 0, None, 5_000
        self.end.listen()
        stamp = (opt.Timestamps(self.ticks, 0),) if stamps else ()
        options = opt.Mss(1460), opt.SackPermitted(), *stamp, opt.Nop(), opt.WindowScale(7)
        self.end.receive(Segment(1_000, 0, SYN, 65_535, b"", options), self.now)
        self._sent()
        self.first = None
        self.now += GAP * MS
        self._arrive(0, 512, ())

    def _arrive(
        self, segments: int, window: int, blocks: tuple[tuple[int, int], ...], *, old: bool = False
    ) -> list[int]:
        self.ticks += 1
        options: tuple[opt.Option, ...] = ()
        if self.stamps:
            options = opt.Nop(), opt.Nop(), opt.Timestamps(self.ticks, self.first if old else self.echo)
        if blocks:
            options = (*options, opt.Nop(), opt.Nop(), opt.Sack(blocks))
        self.end.receive(Segment(1_001, 1 + segments * self.size, ACK, window, b"", options), self.now)
        return self._sent()

    def _sent(self) -> list[int]:
        found = [out.segment for out in self.end.segments(self.now)]
        for segment in found:
            stamp = segment.option(opt.Timestamps)
            self.echo = stamp.value if stamp else 0
            self.first = self.echo if self.first is None else self.first
        return [(segment.seq - 1) // self.size for segment in found if segment.payload]

    def write(self, segments: int) -> list[int]:
        self.end.send(bytes(segments * self.size), self.now)
        return self._sent()

    def acknowledge(self, before: int, blocks: list[tuple[int, int]], *, old: bool) -> list[int]:
        numbers = tuple((1 + low * self.size, 1 + high * self.size) for low, high in blocks)
        return self._arrive(before, 60_000, numbers, old=old)

    def wait(self, milliseconds: int) -> list[int]:
        until, found = self.now + milliseconds * MS, []
        while (due := self.end.timeout()) is not None and due <= until:
            self.now = max(due, self.now)
            self.end.handle_timeout(self.now)
            found += self._sent()
        self.now = until
        return found


@pytest.mark.parametrize("name", recoveries.SCRIPTS)
def test_each_step_sends_what_the_kernel_was_measured_to_send(name: str) -> None:
    script = recoveries.SCRIPTS[name]
    assert recoveries.play(script, ModelSender(stamps=script.stamps)) == FACTS[name]


@pytest.mark.parametrize(
    ("name", "habit"),
    [
        ("reduction", "proportional_reduction"),
        ("spurious-timeout", "detect_spurious_timeouts"),
        ("undo-timeout-by-timestamp", "undo_reductions"),
        ("undo-recovery-by-dsack", "undo_reductions"),
        ("reordering-window", "adaptive_reordering"),
        ("undo-recovery-by-timestamp", "defer_partial_bursts"),
    ],
)
def test_without_the_habit_something_else_is_sent(name: str, habit: str) -> None:
    script = recoveries.SCRIPTS[name]
    assert recoveries.play(script, ModelSender(stamps=script.stamps, **{habit: False})) != FACTS[name]


@pytest.mark.parametrize(
    ("numbers", "words"), [([], "-"), ([4], "4"), ([1, 2, 3], "1-3"), ([5, 6, 2, 9, 10], "5-6 2 9-10"), ([3, 3], "3 3")]
)
def test_segments_are_shown_in_words(numbers: list[int], words: str) -> None:
    assert recoveries.shown(numbers) == words


def board(*ends: int) -> Scoreboard:
    """A scoreboard of segments that end at these positions."""
    made = Scoreboard()
    for order, (low, high) in enumerate(zip((0, *ends), ends, strict=False)):
        made.queue.append(Sent(low, high, 0, order, 0))
    return made


def marks(made: Scoreboard) -> list[tuple[int, int, bool]]:
    return [(each.start, each.end, each.needed) for each in made]


def test_a_retransmission_takes_small_segments_along() -> None:
    made = board(100, 150, 200, 1000)
    for each in made:
        made.lose(each)
    assert made.head is not None
    made.fit(made.head, 300)
    assert marks(made) == [(0, 200, True), (200, 1000, True)]
    assert (made.lost, made.pipe) == (2, 0)


def test_a_retransmission_that_no_longer_fits_is_cut() -> None:
    made = board(1000, 1200)
    assert made.head is not None
    made.lose(made.head)
    made.fit(made.head, 988)
    assert marks(made) == [(0, 988, True), (988, 1000, True), (1000, 1200, False)]
    assert made.lost == 2


def test_what_is_reported_is_not_taken_along_and_not_lost() -> None:
    made = board(100, 200, 300)
    middle = made.queue[1]
    made.lose(middle)
    made.report(middle)
    assert (made.lost, made.sacked, made.top, made.pipe) == (0, 1, 200, 2)
    made.fit(made.queue[0], 1000)
    assert len(made) == 3
    made.forget_reports()
    assert (made.sacked, made.top) == (0, None)


def test_an_acknowledgement_inside_a_segment_leaves_its_rest() -> None:
    made = board(100, 200)
    assert [each.end for each in made.acknowledge(150)] == [100]
    assert marks(made) == [(150, 200, False)]


def test_a_lost_retransmission_is_needed_again() -> None:
    made = board(100)
    assert made.head is not None
    assert made.lose(made.head)
    assert not made.lose(made.head)
    made.head.resent, made.resent = True, 1
    assert not made.head.needed
    assert made.pipe == 1
    assert made.lose(made.head)
    assert made.head.needed
    assert made.pipe == 0


@pytest.mark.parametrize(
    ("start", "ack", "window", "keeps", "edge"),
    [
        (10, 1, 500, True, 1001),
        (10, 1, 500, False, 501),
        (10, 1, 0, True, 1),
        (10, 1, 2000, True, 2001),
        (11, 1, 500, True, 501),
        (10, 2, 500, True, 502),
        (9, 1, 2000, True, 1001),
    ],
)
def test_a_window_that_is_cut_counts_only_with_new_numbers(
    start: int, ack: int, window: int, keeps: bool, edge: int
) -> None:
    sender = Sender(0, Config(keep_window=keeps))
    sender.update_window(1000, 10, 1)
    assert sender.edge == 1001
    assert sender.update_window(window, start, ack) is (edge != 1001)
    assert sender.edge == edge
