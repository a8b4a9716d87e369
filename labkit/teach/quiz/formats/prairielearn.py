"""PrairieLearn: a folder for each question, with `info.json`, `question.html` and the capture, to be put into `questions/`.

PrairieLearn fills in `question.html` as a template of Mustache: braces are written as entities.
"""

import json
from collections.abc import Mapping

from labkit.teach.quiz import Quiz
from labkit.teach.quiz.formats import _text as text
from labkit.teach.quiz.question import Question

SUMMARY = "PrairieLearn: a folder for each question"
SUFFIX = "/"


def files(quiz: Quiz) -> Mapping[str, bytes]:
    """The files by path."""
    found: dict[str, bytes] = {}
    for number, question in enumerate(quiz.questions, 1):
        folder = f"{number:02}-{question.kind}"
        found[f"{folder}/info.json"] = _info(quiz, question).encode()
        found[f"{folder}/question.html"] = _page(quiz, question).encode()
        if quiz.capture:
            found[f"{folder}/clientFilesQuestion/{quiz.file}"] = quiz.capture
    return found


def _info(quiz: Quiz, question: Question) -> str:
    info = {
        "uuid": question.id,
        "title": f"{quiz.title}: {question.kind}",
        "topic": "TCP",
        "tags": ["labkit", question.kind],
        "type": "v3",
        "singleVariant": True,
    }
    return json.dumps(info, indent=2) + "\n"


def _page(quiz: Quiz, question: Question) -> str:
    figure = f"\n  <pre>{text.html_lines(question)}</pre>" if question.figure else ""
    link = ""
    if quiz.capture:
        link = f'\n  <p><pl-file-download file-name="{text.attribute(quiz.file)}"></pl-file-download></p>'
    answers = "\n".join(
        f'  <pl-answer correct="{str(choice is question.right).lower()}" '
        f'feedback="{text.attribute(text.reason(question, choice))}">{text.escape(choice.text)}</pl-answer>'
        for choice in quiz.choices(question)
    )
    page = (
        f"<pl-question-panel>\n  <p>{text.about(quiz)}</p>{link}\n  <p>{text.escape(question.stem)}</p>{figure}\n"
        f'</pl-question-panel>\n<pl-multiple-choice answers-name="answer">\n{answers}\n</pl-multiple-choice>\n'
        f"<pl-answer-panel>\n  {text.html_explanation(question)}\n</pl-answer-panel>\n"
    )
    return page.replace("{", "&#123;").replace("}", "&#125;")
