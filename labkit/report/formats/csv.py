"""CSV as RFC 4180 has it: a header, a finding a row, CRLF at the end of each (the CR is part of the lines given here).

A spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` for a formula, and a capture's name is anybody's choice:
text that begins so gets an apostrophe before it, which spreadsheets do not show. Numbers stay numbers.
"""

from collections.abc import Iterable, Iterator
from csv import writer
from dataclasses import fields
from io import StringIO

from labkit.analysis.verifier import Finding, Verdict
from labkit.i18n import printable
from labkit.report.formats import Options
from labkit.report.formats._plain import finding, not_kept

COLUMNS = ("path", *(each.name for each in fields(Finding)))
"""A row for a capture that cannot be read has its path, the severity `unreadable`, and why as its message.
So has a row for findings that were only counted: the severity `not_kept`, the rule's code and name, and how many as its message.
"""

FORMULAS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def render(verdicts: Iterable[Verdict], options: Options) -> Iterator[str]:  # noqa: ARG001 - every format has them
    """The header, and a row for each finding."""
    yield _row(COLUMNS)
    for judged in verdicts:
        if judged.error is not None:
            values: dict[str, object] = {"path": judged.path, "severity": "unreadable", "message": judged.error}
            yield _row([values.get(column) for column in COLUMNS])
        for found in judged.findings:
            values = {"path": judged.path, **finding(found)}
            yield _row([values[column] for column in COLUMNS])
        for each in not_kept(judged):
            message = f"{each['count']} more ({each['severity']})"
            values = {**each, "path": judged.path, "severity": "not_kept", "message": message}
            yield _row([values.get(column) for column in COLUMNS])


def _row(values: Iterable[object]) -> str:
    text = StringIO()
    writer(text, lineterminator="\r").writerow([_cell(value) for value in values])
    return text.getvalue()


def _cell(value: object) -> object:
    """A value as it stands in a cell: nothing for None, text on one line that is no formula."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.lstrip().startswith(FORMULAS) else text
