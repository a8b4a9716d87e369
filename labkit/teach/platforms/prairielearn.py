"""PrairieLearn: `/grade/results/results.json` of an external grader."""

from labkit.teach.grade.task import Result
from labkit.teach.platforms._text import as_json, failed, feedback_text, headline, reasons

SUMMARY = "PrairieLearn's results.json"

MAX_OCTETS = 1_000_000
"""The job fails above 1,048,576."""


def render(result: Result, failure: str) -> str:
    """The result. A file that is not gradable costs no attempt; every test has points, without which none counts."""
    if failure or not result.was_read:
        reason = failed(failure) if failure else result.mistakes[0].what
        return as_json({"gradable": False, "score": 0, "message": reason, "format_errors": [reason]})
    tests = [
        {"name": part.name, "points": part.points, "max_points": part.of, "message": reason}
        for part, reason in zip(result.parts, reasons(result), strict=True)
    ]
    found = {
        "gradable": True,
        "score": round(min(1.0, result.share), 6),
        "message": headline(result),
        "output": feedback_text(result),
        "tests": tests,
    }
    text = as_json(found)
    if len(text) > MAX_OCTETS:
        text = as_json(
            {**found, "output": "", "tests": [{**test, "message": str(test["message"])[:1000]} for test in tests]}
        )
    return text
