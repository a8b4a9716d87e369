"""JSON: everything that a quiz holds, for scripts."""

import json as text
from dataclasses import asdict

from labkit.teach.quiz import Quiz

SUMMARY = "JSON, for scripts"
SUFFIX = ".json"


def render(quiz: Quiz) -> bytes:
    """An object with `title`, `seed`, `capture` (its name) and `questions`; the key `choices` has the answers in their order."""
    questions = [
        {"id": each.id, **asdict(each), "choices": [choice.text for choice in quiz.choices(each)]}
        for each in quiz.questions
    ]
    value = {"title": quiz.title, "seed": quiz.seed, "capture": quiz.file, "questions": questions}
    return (text.dumps(value, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
