"""Results in the forms of teaching platforms. Each module here is one platform, and writes the same `Result` in its form.

A module has a `SUMMARY` and a function `render(result, failure)`, which returns the text of the result. `failure` is "" or the
reason why nothing could be graded, which is labkit's fault or the instructor's, never the student's; the result is valid then,
too. Text from hand-ins is made printable before it gets here, and each module escapes what its platform takes for a command.
"""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from labkit.modules import modules_in

if TYPE_CHECKING:
    from labkit.teach.grade.task import Result

MAX_TEXT = 60_000
"""Characters of one text of a result: platforms refuse results that are too large."""


class Platform(NamedTuple):
    """A platform's form of results."""

    name: str
    summary: str
    render: "Callable[[Result, str], str]"


@cache
def names() -> tuple[str, ...]:
    """The names of the platforms. No module is loaded for it."""
    return tuple(modules_in(__path__))


def platform(name: str) -> Platform:
    """The platform with a name."""
    module = import_module(f"{__name__}.{name}")
    return Platform(name, module.SUMMARY, module.render)
