"""JSON lines: one finding a line, with the capture that it belongs to; a capture that cannot be read is a line too."""

from collections.abc import Iterable, Iterator
from json import dumps

from labkit.report import Options
from labkit.report._plain import finding
from labkit.verifier import Verdict


def render(verdicts: Iterable[Verdict], options: Options) -> Iterator[str]:  # noqa: ARG001 - every format has them
    """A line for each finding."""
    for judged in verdicts:
        if judged.error:
            yield dumps({"path": judged.path, "error": judged.error})
        for found in judged.findings:
            yield dumps({"path": judged.path, **finding(found)})
