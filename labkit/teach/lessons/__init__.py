"""The lessons of `labkit explain`: one module each, found by its name.

A lesson has SUMMARY, one line, and `lines(arguments)`, which yields its text; `arguments` are the words after its name.
"""

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module

from labkit.modules import modules_in

Lines = Callable[[Sequence[str]], Iterator[str]]


def names() -> list[str]:
    """List the lessons."""
    return modules_in(__path__)


def summary(name: str) -> str:
    """The subject of a lesson, in one line."""
    text: str = import_module(f"{__name__}.{name}").SUMMARY
    return text


def lesson(name: str) -> Lines:
    """The function that yields the lines of a lesson."""
    lines: Lines = import_module(f"{__name__}.{name}").lines
    return lines
