"""Moodle XML: a category, and multiple-choice questions that carry the capture along.

Moodle wants `<?xml` as the very first octets, UTF-8, and fractions of its list: 100 and 0.
"""

from base64 import b64encode
from xml.etree import ElementTree as Xml

from labkit.teach.quiz import Quiz
from labkit.teach.quiz.formats import _text as text
from labkit.teach.quiz.question import Question

SUMMARY = "Moodle XML"
SUFFIX = ".xml"


def render(quiz: Quiz) -> bytes:
    """The file for 'Question bank, Import, Moodle XML format'."""
    root = Xml.Element("quiz")
    category = Xml.SubElement(root, "question", type="category")
    # A slash divides a category from its parent; two of them stand for one.
    _text(category, "category", f"$course$/labkit/{quiz.title.replace('/', '//')}")
    _text(category, "info", "", format="html")
    for number, question in enumerate(quiz.questions, 1):
        _question(root, quiz, number, question)
    return text.document(root)


def _question(root: Xml.Element, quiz: Quiz, number: int, question: Question) -> None:
    node = Xml.SubElement(root, "question", type="multichoice")
    _text(node, "name", text.title(number, question))
    link = f"@@PLUGINFILE@@/{quiz.file}" if quiz.capture else ""
    stem = _text(node, "questiontext", text.html_stem(question, text.about(quiz, link)), format="html")
    if quiz.capture:
        file = Xml.SubElement(stem, "file", name=quiz.file, path="/", encoding="base64")
        file.text = b64encode(quiz.capture).decode()
    _text(node, "generalfeedback", text.html_explanation(question), format="html")
    values = {"defaultgrade": "1.0000000", "penalty": "0.3333333", "hidden": "0", "idnumber": question.id}
    values |= {"single": "true", "shuffleanswers": "true", "answernumbering": "abc"}
    for name, value in values.items():
        Xml.SubElement(node, name).text = value
    for choice in quiz.choices(question):
        fraction = "100" if choice is question.right else "0"
        answer = _text(node, "answer", f"<p>{text.escape(choice.text)}</p>", fraction=fraction, format="html")
        _text(answer, "feedback", f"<p>{text.escape(text.reason(question, choice))}</p>", format="html")
    tags = Xml.SubElement(node, "tags")
    for tag in ("labkit", question.kind):
        _text(tags, "tag", tag)


def _text(parent: Xml.Element, name: str, value: str, **attributes: str) -> Xml.Element:
    """Add an element whose text Moodle wants in a `<text>`."""
    node = Xml.SubElement(parent, name, attributes)
    Xml.SubElement(node, "text").text = value
    return node
