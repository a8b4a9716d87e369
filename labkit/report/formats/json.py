"""One JSON object: the profile, and each capture with its findings."""

from collections.abc import Iterable, Iterator
from json import dumps

from labkit.analysis.verifier import Verdict
from labkit.report.formats import Options
from labkit.report.formats._plain import head, verdict


def render(verdicts: Iterable[Verdict], options: Options) -> Iterator[str]:
    """The object, a capture at a time."""
    first = True
    for judged in verdicts:
        if first:
            yield dumps(head(judged.profile))[:-1] + ', "captures": ['
        else:
            yield ","
        first = False
        yield dumps(verdict(judged, options.fail_on), indent=1)
    yield "]}" if not first else dumps({**head(""), "captures": []})
