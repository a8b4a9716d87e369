"""Words that several platforms share."""

import json
from typing import Any

from labkit.i18n import _
from labkit.teach.grade.pages import feedback, part_reason
from labkit.teach.grade.task import Result, points_text
from labkit.teach.platforms import MAX_TEXT


def as_json(value: Any, *, indent: int | None = 2) -> str:
    """A value as JSON in ASCII, which no encoding on the way can spoil."""
    return json.dumps(value, indent=indent)


def cut(text: str) -> str:
    """A text that is not too long."""
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + " …"


def failed(failure: str) -> str:
    """What a student reads where nothing could be graded."""
    text = _("The hand-in could not be graded, which is not your fault: {reason}. Please tell your instructor.")
    return text.format(reason=cut(failure).rstrip("."))


def feedback_text(result: Result) -> str:
    """The feedback as one text."""
    return cut("\n".join(feedback(result)))


def headline(result: Result) -> str:
    """The points in one line."""
    return _("{points} of {of} points").format(points=points_text(result.points), of=points_text(result.of))


def reasons(result: Result) -> list[str]:
    """Why each part has its points."""
    return [cut(part_reason(result, at)) for at in range(len(result.parts))]
