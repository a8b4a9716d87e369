"""VPL (Moodle's Virtual Programming Lab): lines of standard output."""

from labkit.teach.grade.task import Result, points_text
from labkit.teach.platforms._text import failed, feedback_text

SUMMARY = "VPL's Grade and Comment lines"


def render(result: Result, failure: str) -> str:
    """A block of comments, and the grade."""
    text = failed(failure) if failure else feedback_text(result)
    points = "0" if failure else points_text(result.points)
    return f"<|--\n{_harmless(text)}\n--|>\nGrade :=>> {points}"


def _harmless(text: str) -> str:
    """Text in which no mark of the platform stands, whatever a file's name or a payload says."""
    for mark in (":=>>", "<|--", "--|>"):
        text = text.replace(mark, mark[:-1] + " " + mark[-1])
    # A line that begins with `-` is a heading, one that begins with `>` is set as it is.
    return "\n".join(f" {line}" if line.startswith(("-", ">")) else line for line in text.splitlines())
