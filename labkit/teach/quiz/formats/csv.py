"""CSV by RFC 4180: a row for each question, with both wrong answers and their mistakes, for spreadsheets and scripts."""

import csv as table
import io
from collections.abc import Iterable

from labkit.teach.quiz import Quiz
from labkit.teach.quiz.formats import _text as text
from labkit.teach.quiz.question import Question

SUMMARY = "a row for each question, for spreadsheets and scripts"
SUFFIX = ".csv"

FORMULA_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""Spreadsheets take a cell that begins so for a formula; an apostrophe, which they do not show, precedes such text."""

COLUMNS = (
    "id", "quiz", "kind", "packet", "numbers", "question", "figure", "answer", "wrong_1", "wrong_2",
    "why", "why_not_1", "why_not_2", "filter", "field", "take", "value",
)  # fmt: skip


def render(quiz: Quiz) -> bytes:
    """The table, in UTF-8."""
    stream = io.StringIO()
    writer = table.writer(stream)
    writer.writerow(COLUMNS)
    for question in quiz.questions:
        writer.writerow(map(_cell, _row(quiz, question)))
    return stream.getvalue().encode()


def _row(quiz: Quiz, question: Question) -> Iterable[str]:
    one, other = question.wrong
    proof = question.proof
    yield from (question.id, quiz.title, question.kind, str(question.packet))
    yield "relative" if question.relative else "raw"
    yield from (question.stem, "\n".join(question.figure), question.right.text, one.text, other.text)
    yield from (text.reason(question, each) for each in (question.right, one, other))
    yield from (proof.filter, proof.field, proof.take, proof.value)


def _cell(value: str) -> str:
    return f"'{value}" if value.startswith(FORMULA_STARTS) else value
