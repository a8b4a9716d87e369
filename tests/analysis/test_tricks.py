"""No trick hides a wrong packet in silence: the verifier finds the fault, or a limit names what it did not judge."""

import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from io import BytesIO
from pathlib import Path
from types import ModuleType

import pytest
from tricks import TRICKS, Trick, written

from labkit import verify
from labkit.analysis.finding import Finding
from labkit.analysis.verdict import Verdict
from labkit.build.faults import faults
from labkit.build.faults.base import Fault
from labkit.build.trace import Trace
from labkit.capture import Frame

LIB = str(Path(__file__).parents[2] / "scripts" / "lib")
BASES = ("document", "talk-mss-ipv6-client-low", "talk-all-ipv4-server-wraps")

HARMLESS = {
    ("time-goes-back", "one place earlier"): "the file is in the order of its times again",
    ("captured-twice", "one place later"): "an ACK that is sent again after other segments is legal",
}
"""Tricks that mend a fault."""


@pytest.fixture(scope="module", name="matrix")
def _matrix() -> Iterator[ModuleType]:
    sys.path.insert(0, LIB)
    yield import_module("faults_page")
    sys.path.remove(LIB)


def frames_of(trace: Trace) -> list[Frame]:
    captured = enumerate(trace.captured(explained=False), 1)
    return [Frame(n, trace.start + record.time, 1, data, size) for n, (record, data, size, _why) in captured]


def judged(trick: Trick, frames: list[Frame], at: int) -> Verdict:
    changed = trick(frames, at)
    return verify(BytesIO(changed if isinstance(changed, bytes) else written(changed)))


def silent(verdict: Verdict, expected: set[str]) -> bool:
    """Whether a capture passes, and nothing is said of it but what is said of the conversation without a fault."""
    return verdict.ok and not verdict.limits and {each.code for each in verdict.findings} <= expected


@cache
def cases(matrix: ModuleType, fault: Fault, base: str) -> list[tuple[list[Frame], int, set[str]]]:
    """The frames of a fault's capture, the place of the wrong one, and what is found without the fault."""
    return [
        (frames_of(trace), trace.injected[0].packet - 1, {each.code for each in usual(matrix, name)})
        for name, trace in matrix.faulty(fault, [base])
        if not matrix._hidden(fault, name, trace)
    ]


@cache
def usual(matrix: ModuleType, name: str) -> tuple[Finding, ...]:
    """What is found in a conversation without a fault."""
    return tuple(matrix.judged(matrix.sound(name)).findings)


def hidden_by(matrix: ModuleType, tricks: list[str], base: str, some: slice) -> list[tuple[str, str]]:
    return [
        (fault.name, name)
        for fault in faults()[some]
        for frames, at, codes in cases(matrix, fault, base)
        for name in tricks
        if (fault.name, name) not in HARMLESS
        if silent(judged(TRICKS[name], frames, at), codes)
    ]


@pytest.mark.parametrize(("number", "name"), list(enumerate(TRICKS)), ids=list(TRICKS))
def test_no_trick_hides_a_wrong_packet(number: int, name: str, matrix: ModuleType) -> None:
    assert hidden_by(matrix, [name], "document", slice(number % 6, None, 6)) == []


@pytest.mark.slow
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("name", TRICKS)
def test_no_trick_hides_any_fault(name: str, base: str, matrix: ModuleType) -> None:
    assert hidden_by(matrix, [name], base, slice(None)) == []
