"""Reports: one module for each output format, found by its name; modules with a leading underscore are helpers.

A format has one function, `render(verdicts, options)`: it takes verdicts as they come and gives the lines (without line
ends) as soon as it can, so that a long run shows its results while it goes on.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labkit.analysis.rule import Rule, Severity
    from labkit.analysis.verifier import Verdict


@dataclass(frozen=True, slots=True)
class Options:
    """What a user can choose about a report."""

    fail_on: "Severity"
    """The severity from which a capture fails."""
    verbose: bool = False
    """Notes in full, not counted only."""
    most: int = 5
    """Findings of one rule in one capture that are shown in full; the others are counted. 0: all."""
    rules: "tuple[Rule, ...]" = ()
    """The rules by which is judged, for formats that name them all; none: those of the verdict's profile."""
    quiet: bool = False
    """The verdicts alone, for people: no findings."""


Render = Callable[[Iterable["Verdict"], Options], Iterator[str]]


def names() -> list[str]:
    """The output formats, `text` first."""
    found = (module.name for module in iter_modules(__path__) if not module.name.startswith("_"))
    return sorted(found, key=lambda name: (name != "text", name))


def renderer(name: str) -> Render:
    """The function that renders a format; KeyError for an unknown one."""
    if name not in names():
        raise KeyError(name)
    render: Render = import_module(f"{__name__}.{name}").render
    return render
