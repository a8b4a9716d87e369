"""Autolab: the last two lines of standard output."""

from labkit.teach.grade.task import Result
from labkit.teach.platforms._text import as_json, failed, reasons

SUMMARY = "Autolab's last lines of standard output"

STAGE = "Grading"


def render(result: Result, failure: str) -> str:
    """The feedback by parts, and the scores. The names of the parts are those of the problems."""
    if failure:
        shown = {STAGE: {"passed": False, "hint": failed(failure)}}
    else:
        parts = zip(result.parts, reasons(result), strict=True)
        shown = {part.name: {"passed": part.passed, "hint": reason} for part, reason in parts}
    feedback = {"_presentation": "semantic", "stages": [STAGE], STAGE: shown}
    scores = {part.name: 0 if failure else part.points for part in result.parts}
    total = 0 if failure else result.points
    return f"{as_json(feedback, indent=None)}\n{as_json({'scores': scores, 'scoreboard': [total]}, indent=None)}"
