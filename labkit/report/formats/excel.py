"""The CSV report with a byte order mark: Excel takes a CSV file without one for the system's old code page, not for UTF-8."""

from collections.abc import Iterable, Iterator

from labkit.analysis.verdict import Verdict
from labkit.report.formats import ReportOptions, csv

MARK = "\ufeff"


def render(verdicts: Iterable[Verdict], options: ReportOptions) -> Iterator[str]:
    """Yield the lines of `csv`, the mark before the first one."""
    mark = MARK
    for line in csv.render(verdicts, options):
        yield mark + line
        mark = ""
