"""Gradescope: `/autograder/results/results.json`."""

from labkit import __version__
from labkit.teach.grade.pages import fragment
from labkit.teach.grade.task import Result
from labkit.teach.platforms._text import as_json, cut, failed, reasons

SUMMARY = "Gradescope's results.json"


def render(result: Result, failure: str) -> str:
    """The result. The score at the top counts, so that penalties and lateness do."""
    common = {
        "score": result.points,
        "output_format": "html",
        "test_output_format": "text",
        "test_name_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "extra_data": {"labkit": __version__, "status": result.status, "sha256": result.sha256},
    }
    if failure:
        return as_json({**common, "score": 0, "output": failed(failure), "output_format": "text", "tests": []})
    tests = [
        {
            "name": part.name,
            "number": str(number),
            "score": part.points,
            "max_score": part.of,
            "status": "passed" if part.passed else "failed",
            "output": reason,
            "visibility": "visible",
        }
        for number, (part, reason) in enumerate(zip(result.parts, reasons(result), strict=True), 1)
    ]
    return as_json({**common, "output": cut(fragment(result)), "tests": tests})
