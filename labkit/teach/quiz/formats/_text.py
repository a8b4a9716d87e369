"""Words and marks that several formats share."""

import html
from xml.etree import ElementTree

from labkit.i18n import _
from labkit.teach.quiz import Quiz
from labkit.teach.quiz.question import Choice, Question


def escape(content: str) -> str:
    """Plain text as HTML, between tags."""
    return html.escape(content, quote=False)


def attribute(content: str) -> str:
    """Plain text as HTML, in double quotes."""
    return html.escape(content)


def html_stem(question: Question, about: str) -> str:
    """The question with its figure as HTML; `about` is a paragraph in HTML before it."""
    figure = f"<pre>{html_lines(question)}</pre>" if question.figure else ""
    return f"{f'<p>{about}</p>' if about else ''}<p>{escape(question.stem)}</p>{figure}"


def html_lines(question: Question, between: str = "\n") -> str:
    """The lines of a figure as HTML."""
    return between.join(map(escape, question.figure))


def about(quiz: Quiz, link: str = "") -> str:
    """What the questions are about, as HTML; `link` is the address of the capture."""
    name = escape(quiz.file)
    shown = f'<a href="{attribute(link)}">{name}</a>' if link else name
    return escape(_("This question is about the capture {file}.")).format(file=shown)


def reason(question: Question, choice: Choice) -> str:
    """What a student reads about an answer."""
    if choice is question.right:
        return _("Right: {why}.").format(why=choice.why.rstrip("."))
    return _("Wrong: {why}.").format(why=choice.why.rstrip("."))


def explanation(question: Question) -> str:
    """Why the answer is right."""
    return _("The answer is {answer}: {why}.").format(answer=question.right.text, why=question.right.why.rstrip("."))


def proof(question: Question) -> str:
    """Where Wireshark shows the answer."""
    how = {
        "first": _("{field} of the first packet that the filter selects: {value}"),
        "last": _("{field} of the last packet that the filter selects: {value}"),
        "count": _("the number of packets that the filter selects: {value}"),
        "sum": _("the sum of {field} over the packets that the filter selects: {value}"),
    }[question.proof.take]
    return how.format(field=question.proof.field, value=question.proof.value)


def numbers(question: Question) -> str:
    """How Wireshark must be set for the filter to find what it is to find; empty where it is so by default."""
    return "" if question.relative else _("Wireshark: switch off 'Relative sequence numbers' in the preferences of TCP")


def html_explanation(question: Question) -> str:
    """Why the answer is right, and the proof, as HTML."""
    off = numbers(question)
    return (
        f"<p>{escape(explanation(question))}</p>"
        f"<p>{escape(_('Filter for Wireshark: '))}<code>{escape(question.proof.filter)}</code><br>"
        f"{escape(proof(question))}{f'<br>{escape(off)}' if off else ''}</p>"
    )


def title(number: int, question: Question) -> str:
    """The name of a question in a list of questions."""
    return f"{number:02} {question.kind}"


def document(root: ElementTree.Element) -> bytes:
    """An XML document in UTF-8, from its first octet."""
    ElementTree.indent(root)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + bytes(ElementTree.tostring(root, "utf-8")) + b"\n"
