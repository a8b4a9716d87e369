"""GIFT, the plain text that Moodle and others import.

`~ = # { } :` and the backslash are escaped: an unescaped `seq=100 ack=120` would be read as two answers, `->` as a matching
question. Questions are in HTML, whose entities also keep `%50%` at the start of an answer from being read as a weight. An empty
line would end a question, so that the lines of a figure are divided by `<br>`.
"""

import re

from labkit.teach.quiz import Quiz
from labkit.teach.quiz.formats import _text as text
from labkit.teach.quiz.question import Question

SUMMARY = "GIFT"
SUFFIX = ".gift"


def render(quiz: Quiz) -> bytes:
    """The file for 'Question bank, Import, GIFT format'."""
    # The path of a category is taken as it stands, up to the end of the line.
    category = f"labkit/{quiz.title.replace('/', '//')}"
    questions = (_question(quiz, number, question) for number, question in enumerate(quiz.questions, 1))
    return "\n".join((f"$CATEGORY: $course$/{category}\n", *questions)).encode()


def escaped(content: str) -> str:
    """Text with a backslash before each mark of GIFT."""
    return re.sub(r"([\\~=#{}:])", r"\\\1", content)


def marked(content: str) -> str:
    """Plain text as HTML for GIFT."""
    return escaped(text.escape(content).replace("%", "&#37;"))


def _question(quiz: Quiz, number: int, question: Question) -> str:
    figure = f"<pre>{text.html_lines(question, '<br>')}</pre>" if question.figure else ""
    stem = escaped(f"<p>{text.about(quiz)}</p><p>{text.escape(question.stem)}</p>{figure}")
    lines = [f"::{escaped(text.title(number, question))}::[html]{stem} {{"]
    for choice in quiz.choices(question):
        mark = "=" if choice is question.right else "~"
        lines.append(f"{mark}{marked(choice.text)}#{marked(text.reason(question, choice))}")
    lines += [f"####{escaped(text.html_explanation(question))}", "}", ""]
    return "\n".join(lines)
