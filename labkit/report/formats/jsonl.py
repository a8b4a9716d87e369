"""JSON lines: one finding a line, with the capture that it belongs to.

That a capture cannot be read, or not to its end, is a line too: `error`, or `damage`; and what was only counted: `not_kept`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from json import dumps

from labkit.analysis.verifier import Verdict
from labkit.report.formats import Options
from labkit.report.formats._plain import finding, not_kept


def render(verdicts: Iterable[Verdict], options: Options) -> Iterator[str]:  # noqa: ARG001 - every format has them
    """A line for each finding."""
    for judged in verdicts:
        if judged.error:
            yield dumps({"path": judged.path, "error": judged.error})
        if judged.damage:
            yield dumps({"path": judged.path, "damage": asdict(judged.damage)})
        for found in judged.findings:
            yield dumps({"path": judged.path, **finding(found)})
        if judged.beyond:
            yield dumps({"path": judged.path, "not_kept": not_kept(judged)})
