"""Submitty: `validation_results.json` of a custom validator."""

from labkit.teach.grade.task import Result
from labkit.teach.platforms._text import as_json, failed, feedback_text

SUMMARY = "Submitty's validation_results.json"


def render(result: Result, failure: str) -> str:
    """The result. `fail` says that the grader broke."""
    if failure:
        return as_json({"status": "fail", "message": failed(failure)})
    lines = [line for line in feedback_text(result).splitlines() if line]
    status = "success" if result.share >= 1 else "warning" if result.points else "failure"
    messages = [{"message": line, "status": "information"} for line in lines[1:]]
    data = {
        "score": round(min(1.0, result.share), 6),
        "message": [{"message": lines[0], "status": status}, *messages],
        "status": status,
    }
    return as_json({"status": "success", "data": data})
