"""Ctrl-C at every step: whatever it meets, the reading ends, and what was read is judged."""

import signal
import sys
from collections.abc import Callable, Iterator
from dis import opmap
from types import FrameType
from typing import Any

import pytest

from labkit.jobs.interrupts import Interrupts

CHECKS = {opmap[name] for name in ("RESUME", "JUMP_BACKWARD")}
"""Where Python looks for signals, besides calls."""
OWN = sys.modules[Interrupts.__module__].__file__


def look(done: list[int], number: int) -> None:
    done.append(number)


def block(interrupts: Interrupts) -> list[int]:
    done = []
    for number in range(3):
        with interrupts.waiting():
            if not interrupts.seen:
                look(done, number)
        if interrupts.seen:
            break
    return done


def frames(interrupts: Interrupts) -> list[int]:
    return list(interrupts.frames(iter(range(3))))  # type: ignore[arg-type]


def steps(work: Callable[[Interrupts], list[int]], at: int | None) -> tuple[int, Interrupts, list[int]]:
    """Run some work, with the signal before step `at`; the number of steps."""
    interrupts, count = Interrupts(), 0

    def trace(frame: FrameType, event: str, _value: Any) -> Any:
        nonlocal count
        code = frame.f_code
        if code.co_filename not in (__file__, OWN):
            return None
        frame.f_trace_opcodes = True
        may = code.co_filename == OWN or code.co_code[frame.f_lasti] in CHECKS
        if event == "opcode" and may and code.co_name != "_handle":
            if count == at:
                sys.settrace(None)
                interrupts._handle(signal.SIGINT, frame)
            count += 1
        return trace

    # Python 3.12 has no events of opcodes unless a frame wanted them when the tracing began.
    sys._getframe().f_trace_opcodes = True
    sys.settrace(trace)
    try:
        done = work(interrupts)
    finally:
        sys.settrace(None)
    return count, interrupts, done


@pytest.mark.parametrize("work", [block, frames])
def test_a_signal_at_any_step_ends_the_reading(work: Callable[[Interrupts], list[int]]) -> None:
    count, _interrupts, done = steps(work, None)
    assert done == [0, 1, 2]
    assert count > 30
    for at in range(count):
        _count, interrupts, done = steps(work, at)
        assert interrupts.seen, at
        assert not interrupts._waiting, at
        assert done == list(range(len(done))), at


def test_the_second_signal_ends_the_program() -> None:
    interrupts = Interrupts()
    interrupts._handle(signal.SIGINT, None)
    with pytest.raises(KeyboardInterrupt):
        interrupts._handle(signal.SIGINT, None)


def test_other_exceptions_pass() -> None:
    interrupts = Interrupts()
    with pytest.raises(ZeroDivisionError), interrupts.waiting():
        raise ZeroDivisionError
    assert not interrupts.seen


def test_frames_end_where_the_signal_comes_while_they_are_awaited() -> None:
    interrupts = Interrupts()

    def slow() -> Iterator[int]:
        yield 1
        interrupts._handle(signal.SIGINT, sys._getframe())

    assert list(interrupts.frames(slow())) == [1]  # type: ignore[comparison-overlap,arg-type]
    assert interrupts.seen
