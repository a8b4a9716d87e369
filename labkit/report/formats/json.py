"""One JSON object: the profile, and each capture with its findings.

A capture may have a million findings, so they are written piece by piece.
"""

from collections.abc import Iterable, Iterator
from json import JSONEncoder, dumps

from labkit.analysis.verdict import Verdict
from labkit.report.formats import ReportOptions
from labkit.report.formats._records import blocks, conversation_record, finding_record, header, summary_record


def render(verdicts: Iterable[Verdict], options: ReportOptions) -> Iterator[str]:
    """Yield the object, one capture at a time."""
    first = True
    for verdict in verdicts:
        yield dumps(header(verdict.profile, options))[:-1] + ', "captures": [' if first else ","
        first = False
        yield dumps(summary_record(verdict, options.fail_on), indent=1)[: -len("\n}")] + ","
        described = (_indented(conversation_record(each)) for each in verdict.conversations)
        yield from _listed("conversations", len(verdict.conversations), described, ",")
        findings = (_flat(finding_record(each)) for each in verdict.findings)
        yield from _listed("findings", len(verdict.findings), findings, "")
        yield "}"
    yield "]}" if not first else dumps({**header("", options), "captures": []})


def _listed(key: str, count: int, values: Iterable[str], end: str) -> Iterator[str]:
    """Yield a key with a list of values, as `dumps` would indent it by a space."""
    if not count:
        yield f' "{key}": []{end}'
        return
    yield f' "{key}": ['
    yield from blocks(value if number == count else f"{value}," for number, value in enumerate(values, 1))
    yield f" ]{end}"


def _indented(record: dict[str, object]) -> str:
    return "  " + dumps(record, indent=1).replace("\n", "\n  ")


def _flat(record: dict[str, object]) -> str:
    """As `_indented`, for a record without lists, in a tenth of the time: `json` indents in Python."""
    return f"  {{\n   {_ONE_A_LINE(record)[1:-1]}\n  }}"


_ONE_A_LINE = JSONEncoder(separators=(",\n   ", ": ")).encode
