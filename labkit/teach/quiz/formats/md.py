"""Markdown: a sheet to print, and behind it the answers."""

import re
from collections.abc import Iterator

from labkit.i18n import _
from labkit.teach.quiz import Quiz
from labkit.teach.quiz.formats import _text as text
from labkit.teach.quiz.question import Question

SUMMARY = "Markdown: a sheet to print, and the answers behind it"
SUFFIX = ".md"
LETTERS = "ABC"


def render(quiz: Quiz) -> bytes:
    """The sheet."""
    return ("\n".join(_lines(quiz)) + "\n").encode()


def _lines(quiz: Quiz) -> Iterator[str]:
    yield f"# {escaped(quiz.title)}"
    yield ""
    yield escaped(_("These questions are about the capture {file}.").format(file=quiz.file))
    for number, question in enumerate(quiz.questions, 1):
        yield from ("", f"## {number}. {question.kind}", "", escaped(question.stem), "")
        if question.figure:
            fence = _fence("\n".join(question.figure), 3)
            yield from (fence, *question.figure, fence, "")
        for letter, choice in zip(LETTERS, quiz.choices(question), strict=True):
            yield f"- {letter}{_(': ')}{escaped(choice.text)}"
    yield from ("", f"# {_('Answers')}")
    for number, question in enumerate(quiz.questions, 1):
        yield from ("", f"## {number}. {_right(quiz, question)}{_(': ')}{escaped(question.right.text)}", "")
        for letter, choice in zip(LETTERS, quiz.choices(question), strict=True):
            yield f"- {letter}{_(': ')}{escaped(text.reason(question, choice))}"
        yield f"- {_('Filter for Wireshark: ')}{_code(question.proof.filter)}{_(': ')}{escaped(text.proof(question))}"
        if text.numbers(question):
            yield f"- {escaped(text.numbers(question))}"


def _fence(content: str, least: int) -> str:
    """Backticks that mark a text as code: more than it holds in a row."""
    return "`" * max(least, *(len(run) + 1 for run in re.findall("`+", content) or [""]))


def _code(content: str) -> str:
    mark = _fence(content, 1)
    return f"{mark} {content} {mark}" if len(mark) > 1 else f"`{content}`"


def _right(quiz: Quiz, question: Question) -> str:
    return LETTERS[quiz.choices(question).index(question.right)]


def escaped(content: str) -> str:
    """Plain text for Markdown: no mark of it has a meaning."""
    # An underscore inside of a word, as in the names of fields, has no meaning.
    return re.sub(r"([\\`*\[\]<>#|~&!$]|(?<!\w)_|_(?!\w))", r"\\\1", content)
