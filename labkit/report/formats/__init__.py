"""Reports: one module for each output format, found by its name; a leading underscore marks a helper.

A format has one function, `render(verdicts, options)`. It takes verdicts as they come and yields lines, one or several at a
time (without the last line's end), as soon as it can: a long run shows its first results early, and a million findings are
never in memory at a time. It passes what a capture names, such as its path, through `labkit.i18n.printable`.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from labkit.i18n import printable
from labkit.modules import modules_in

if TYPE_CHECKING:
    from labkit.analysis.report_config import ReportConfig
    from labkit.analysis.rule import Rule
    from labkit.analysis.severity import Severity
    from labkit.analysis.verdict import Verdict


class ReportOptions(NamedTuple):
    """A user's options for a report."""

    fail_on: "Severity"
    """The lowest severity that makes a capture fail."""
    verbose: bool = False
    """Show notes in full; otherwise they are only counted."""
    max_shown: int = 5
    """Findings of one rule in one capture to show in full; the others are counted. 0 shows all."""
    quiet: bool = False
    """Show the verdicts without findings; only the text report obeys."""
    reveal: str = "full"
    """What the findings show: a level of `labkit.report.reveal`."""
    config: "ReportConfig | None" = None
    """The configuration, which every format names if it comes from a file."""

    @property
    def rules(self) -> "tuple[Rule, ...]":
        """The rules that the captures were judged by; empty: those of the verdict's profile."""
        return () if self.config is None else self.config.rules

    @property
    def config_line(self) -> str:
        """The configuration file and what it sets, on one line; empty without a file."""
        return "" if self.config is None else printable(self.config.summary)

    @property
    def allow_empty(self) -> bool:
        """Whether a capture may be empty: that nothing of it was judged does not fail it."""
        return self.config is not None and self.config.allow_empty


Render = Callable[[Iterable["Verdict"], ReportOptions], Iterator[str]]


@cache
def names() -> list[str]:
    """The output formats, `text` first."""
    return sorted(modules_in(__path__), key=lambda name: (name != "text", name))


def renderer(name: str) -> Render:
    """Return the function that renders a format; KeyError for an unknown one."""
    if name not in names():
        raise KeyError(name)
    render: Render = import_module(f"{__name__}.{name}").render
    return render
