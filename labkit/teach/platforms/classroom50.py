"""Classroom 50: `result.json`, which its runner takes from the working folder."""

import os
from datetime import UTC, datetime

from labkit.teach.grade.task import Result
from labkit.teach.platforms._text import as_json, failed, feedback_text, reasons

SUMMARY = "Classroom 50's result.json"

ENVIRONMENT = {
    "classroom": "CLASSROOM",
    "assignment": "ASSIGNMENT",
    "submission": "SUBMISSION_TAG",
    "commit": "COMMIT_URL",
    "release": "RELEASE_URL",
    "review": "REVIEW_URL",
}
"""The fields that the runner passes in variables of the environment. None may be empty."""

FACTORS = (1, 2, 4, 10, 20, 100)


def render(result: Result, failure: str) -> str:
    """The result. Scores are whole numbers: where the points are not, all are multiplied by the same factor."""
    known = {field: os.environ.get(name, "") for field, name in ENVIRONMENT.items()}
    known["review"] = known["review"] or known["commit"]
    known["assignment"] = known["assignment"] or result.task.name
    points = [result.points, result.of, *(number for part in result.parts for number in (part.points, part.of))]
    factor = next((each for each in FACTORS if all(each * number % 1 == 0 for number in points)), 100)
    tests = [
        {
            "test-name": part.name,
            "passed": part.passed and not failure,
            "score": 0 if failure else max(0, round(factor * part.points)),
            "max-score": round(factor * part.of),
            "message": failed(failure) if failure else reason,
        }
        for part, reason in zip(result.parts, reasons(result), strict=True)
    ]
    return as_json(
        {
            "schema": "classroom50/result/v1",
            **{field: value or "unknown" for field, value in known.items()},
            "datetime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "score": 0 if failure else round(factor * result.points),
            "max-score": round(factor * result.of),
            "tests": tests,
            "feedback": failed(failure) if failure else feedback_text(result),
        }
    )
