"""Conversations that a sceptic would try, and the rules' examples: the whole verdict, under both profiles, whatever the
initial sequence numbers. `scripts/verdicts` writes the verdicts down."""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from labkit.analysis.severity import DOCUMENT, RFC9293

HERE = Path(__file__).parents[1]
LIB = str(HERE.parent / "scripts" / "lib")

ISNS = [(0, 0), (2**32 - 1, 2**32 - 50), (2**32 - 101, 2**31 - 60), (2**31 - 5, 2**32 - 2)]
"""The client's and the server's: across 2**32, at exactly 0, across 2**31."""


@pytest.fixture(scope="module")
def verdicts() -> Iterator[ModuleType]:
    sys.path.insert(0, LIB)
    yield import_module("verdicts")
    sys.path.remove(LIB)


def titles(name: str) -> list[str]:
    return [line[3:] for line in (HERE / name).read_text("utf-8").splitlines() if line.startswith("== ")]


def holds(verdicts: ModuleType, path: Path, title: str, isns: list[tuple[int, int]]) -> None:
    (text, expected), *twice = [(text, lines) for each, text, lines in verdicts.blocks(path) if each == title]
    assert not twice
    assert expected.keys() == {RFC9293, DOCUMENT}
    for profile, lines in expected.items():
        for pair in isns:
            assert verdicts.judged(text, profile, pair) == lines, f"{profile}, initial numbers {pair}"


@pytest.mark.parametrize("title", titles("conversations.txt"))
def test_a_conversation(title: str, verdicts: ModuleType) -> None:
    holds(verdicts, verdicts.CONVERSATIONS, title, ISNS)


@pytest.mark.parametrize("title", titles("examples.txt"))
def test_an_example(title: str, verdicts: ModuleType) -> None:
    holds(verdicts, verdicts.EXAMPLES, title, ISNS[:1])


def test_every_example_is_there(verdicts: ModuleType) -> None:
    assert titles("examples.txt") == [title for title, _ in verdicts.examples()]
    assert len(titles("conversations.txt")) > 60
