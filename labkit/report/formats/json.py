"""One JSON object: the profile, and each capture with its findings."""

from collections.abc import Iterable, Iterator
from json import dumps

from labkit.analysis.verifier import Verdict
from labkit.report.formats import ReportOptions
from labkit.report.formats._records import header, verdict_record


def render(verdicts: Iterable[Verdict], options: ReportOptions) -> Iterator[str]:
    """Yield the object, one capture at a time."""
    first = True
    for verdict in verdicts:
        yield dumps(header(verdict.profile, options))[:-1] + ', "captures": [' if first else ","
        first = False
        yield dumps(verdict_record(verdict, options.fail_on), indent=1)
    yield "]}" if not first else dumps({**header("", options), "captures": []})
