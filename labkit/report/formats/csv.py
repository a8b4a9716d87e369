"""CSV by RFC 4180: a header, one row for each finding, CRLF line ends (the CR is part of each line yielded here).

Spreadsheets take a cell that begins with `=`, `+`, `-` or `@` for a formula, and anyone can choose a capture's name. An
apostrophe, which spreadsheets do not show, therefore precedes such text. Numbers stay numbers.
"""

from collections.abc import Iterable, Iterator
from csv import writer
from dataclasses import fields
from io import StringIO

from labkit.analysis.finding import Finding
from labkit.analysis.limit_kinds import NOTHING
from labkit.analysis.verdict import Verdict
from labkit.i18n import printable
from labkit.report.formats import ReportOptions
from labkit.report.formats._records import blocks, finding_record, limit_records, not_kept

COLUMNS = ("path", *(each.name for each in fields(Finding)))
"""The row of an unreadable capture has the path, the severity `unreadable`, and the reason as its message. The row of findings
that were only counted has the severity `not_kept`, the rule's code and name, and their number as its message. If a
configuration file was used, the first row has its path, the severity `configuration`, and what it sets as its message. A limit
has a row with its kind as the name, its first packet, and the severity `limit`, `failing-limit` if it makes the capture fail, or
`not-judged` if it leaves nothing to judge."""

FORMULA_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def render(verdicts: Iterable[Verdict], options: ReportOptions) -> Iterator[str]:
    """Yield the header, and a row for each finding."""
    yield _row(COLUMNS)
    if options.config is not None and options.config_line:
        values: dict[str, object] = {
            "path": options.config.file,
            "severity": "configuration",
            "message": options.config_line,
        }
        yield _row([values.get(column) for column in COLUMNS])
    for verdict in verdicts:
        if verdict.error is not None:
            values = {"path": verdict.path, "severity": "unreadable", "message": verdict.error}
            yield _row([values.get(column) for column in COLUMNS])
        for each in limit_records(verdict):
            severity = "not-judged" if each["kind"] in NOTHING else "failing-limit" if each["fails"] else "limit"
            values = {**each, "path": verdict.path, "name": each["kind"], "severity": severity}
            yield _row([values.get(column) for column in COLUMNS])
        yield from blocks(_finding_row(verdict.path, each) for each in verdict.findings)
        for each in not_kept(verdict):
            message = f"{each['count']} more ({each['severity']})"
            values = {**each, "path": verdict.path, "severity": "not_kept", "message": message}
            yield _row([values.get(column) for column in COLUMNS])


def _finding_row(path: str, finding: Finding) -> str:
    values = {"path": path, **finding_record(finding)}
    return _row([values[column] for column in COLUMNS])


def _row(values: Iterable[object]) -> str:
    text = StringIO()
    writer(text, lineterminator="\r").writerow([_cell(value) for value in values])
    return text.getvalue()


def _cell(value: object) -> object:
    """A cell's content: text goes on one line and is never a formula."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.lstrip().startswith(FORMULA_STARTS) else text
