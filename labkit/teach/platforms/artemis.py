"""Artemis, and whatever else reads JUnit's XML: one test case for each part."""

from xml.sax.saxutils import escape, quoteattr

from labkit.teach.grade.task import Result
from labkit.teach.platforms._text import failed, reasons

SUMMARY = "JUnit XML, as Artemis takes it"


def render(result: Result, failure: str) -> str:
    """The result. A part without all its points is a failure; where nothing could be graded, each is an error."""
    suite = quoteattr(result.task.name)
    cases, failures = [], 0
    for part, reason in zip(result.parts, reasons(result), strict=True):
        inner = ""
        if failure:
            inner = f"<error message={quoteattr(failed(failure))}/>"
        elif not part.passed:
            failures += 1
            inner = f"<failure message={quoteattr(reason)}>{escape(reason)}</failure>"
        cases.append(f'    <testcase classname={suite} name={quoteattr(part.name)} time="0">{inner}</testcase>')
    errors = len(cases) if failure else 0
    counts = f'tests="{len(cases)}" failures="{failures}" errors="{errors}" skipped="0"'
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    inside = "\n".join(cases)
    return (
        f'{head}\n<testsuites>\n  <testsuite name={suite} {counts} time="0">\n{inside}\n  </testsuite>\n</testsuites>'
    )
