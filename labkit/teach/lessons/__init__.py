"""Lessons that `labkit explain` gives: one module each, found by its name.

A lesson has SUMMARY, one line, and `lines(arguments)`, which gives its text; `arguments` are the words after its name.
"""

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pkgutil import iter_modules

Lines = Callable[[Sequence[str]], Iterator[str]]


def names() -> list[str]:
    """The lessons that there are."""
    return sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))


def summary(name: str) -> str:
    """What a lesson is about, in a line."""
    text: str = import_module(f"{__name__}.{name}").SUMMARY
    return text


def lesson(name: str) -> Lines:
    """The function that gives a lesson's lines."""
    lines: Lines = import_module(f"{__name__}.{name}").lines
    return lines
