"""One JSON object: the profile, and each capture with its findings."""

from collections.abc import Iterable, Iterator
from json import dumps

from labkit.report import Options
from labkit.report._plain import head, verdict
from labkit.verifier import Verdict


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
