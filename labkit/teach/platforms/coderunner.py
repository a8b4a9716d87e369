"""CodeRunner (Moodle): the JSON of a combinator template grader."""

from html import escape

from labkit.teach.grade.pages import fragment
from labkit.teach.grade.task import Result, points_text
from labkit.teach.platforms._text import as_json, cut, failed, reasons

SUMMARY = "CodeRunner's combinator grader"


def render(result: Result, failure: str) -> str:
    """The result, with a table of the parts. The platform shows cells as they are only where the column says so."""
    if failure:
        return as_json(
            {"fraction": 0, "prologuehtml": f"<p>{escape(failed(failure))}</p>", "testresults": []}, indent=None
        )
    rows: list[list[object]] = [["iscorrect", "Part", "Points", "Why"]]
    for part, reason in zip(result.parts, reasons(result), strict=True):
        rows.append([int(part.passed), part.name, f"{points_text(part.points)}/{points_text(part.of)}", reason])
    found = {
        "fraction": round(min(1.0, result.share), 6),
        "testresults": rows,
        "columnformats": ["%s", "%s", "%s"],
        "epiloguehtml": cut(fragment(result)),
    }
    return as_json(found, indent=None)
