"""Each format of a quiz, read back by an independent reader, with text that is full of the format's own marks."""

import csv
import json
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any
from uuid import UUID
from xml.etree import ElementTree
from zipfile import ZipFile

import pytest
from chromium import needs_node_modules

from labkit.build.scenario import Scenario
from labkit.capture import open_capture
from labkit.teach.quiz import Quiz, questions
from labkit.teach.quiz.formats import format_of, names
from labkit.teach.quiz.question import Choice, Proof, Question
from labkit.teach.quiz.subject import subject

BROWSER = Path(__file__).parents[2] / "browser"

MARKS = (
    "seq=100 ack=120 -> <script>alert(1)</script> ~{#} ::$CATEGORY: x ]]> <!-- {{#uuid}}x{{/uuid}} {% x %}",
    "%50%half = &amp; \\: \\n \\\\ `code` *bold* [link](javascript:x) | cell | 'q' \"q\" ＝x @@PLUGINFILE@@/x",
    "=HYPERLINK(1) $IMS-CC-FILEBASE$/x ---- ## 漢字 é  two  spaces",
)
"""Printable text with the marks of all formats."""


def hostile() -> Question:
    one, two, three = MARKS
    wrong = Choice(f"~{two}", f"#{three}"), Choice(f"=%100%{three}", one)
    figure = ("# not a heading", "", "    indented = {x}", "```", "</pre><b>", "end")
    proof = Proof("tcp.port == 1 && `x`", "tcp.ack", "1{x}")
    return Question("next-ack", f"{one} {two} {three}", Choice(one, two), wrong, proof, 3, False, figure)


def capture() -> bytes:
    stream = BytesIO()
    Scenario.load("fast-retransmit-sack").play(3).write(stream, format="pcapng", edition="student")
    return stream.getvalue()


CAPTURE = capture()
REAL = Quiz("fast", questions(subject("fast", BytesIO(CAPTURE)), count=40).questions, 0, CAPTURE, "fast.pcapng")
HOSTILE = Quiz(f"a/b {MARKS[0]}", (hostile(), replace(hostile(), kind="state", figure=())), 5, CAPTURE, "x.pcapng")
QUIZZES = pytest.mark.parametrize("quiz", [REAL, HOSTILE], ids=["real", "hostile"])


class Plain(HTMLParser):
    """The text of HTML without its marks, and the elements that are in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.tags = "", []
        self.attributes: list[dict[str, str | None]] = []
        self.feed(html)
        self.close()

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "br":
            self.text += "\n"
        self.tags.append(tag)
        self.attributes.append(dict(attrs))


def is_stem(html: str, question: Question) -> None:
    """Check that HTML holds a question as it is, and no marks but ours."""
    found = Plain(html)
    assert question.stem in found.text
    assert "\n".join(question.figure) in found.text
    assert set(found.tags) <= {"p", "pre", "br", "a", "code"}


def is_answer(html: str, choice: Choice) -> None:
    found = Plain(html)
    assert found.text == choice.text
    assert set(found.tags) <= {"p"}


def rendered(name: str, quiz: Quiz) -> bytes:
    octets = format_of(name).render(quiz)
    assert octets == format_of(name).render(quiz)
    return octets


def files(name: str, quiz: Quiz) -> dict[str, bytes]:
    with ZipFile(BytesIO(rendered(name, quiz))) as archive:
        assert archive.testzip() is None
        return {each: archive.read(each) for each in archive.namelist()}


def is_capture(octets: bytes) -> None:
    with open_capture(BytesIO(octets)) as reader:
        assert len(list(reader)) > 10
        assert not list(reader.comments)


@needs_node_modules
@QUIZZES
def test_gift(quiz: Quiz, tmp_path: Path) -> None:
    if not (BROWSER / "node_modules" / "gift-pegjs").is_dir():
        pytest.skip("tests/browser has no gift-pegjs: npm ci")
    (tmp_path / "x.gift").write_bytes(rendered("gift", quiz))
    script = (
        "const parsed = require(process.argv[1]).parse(require('fs').readFileSync(process.argv[2], 'utf8'));"
        "process.stdout.write(JSON.stringify(parsed));"
    )
    command = [shutil.which("node") or "node", "-e", script, str(BROWSER / "node_modules" / "gift-pegjs")]
    done = subprocess.run([*command, str(tmp_path / "x.gift")], capture_output=True, text=True, check=True)
    category, *found = json.loads(done.stdout)
    assert category == {"type": "Category", "title": f"$course$/labkit/{quiz.title.replace('/', '//')}"}
    assert len(found) == len(quiz.questions)
    for read, question in zip(found, quiz.questions, strict=True):
        assert (read["type"], read["stem"]["format"], read["hasEmbeddedAnswers"]) == ("MC", "html", False)
        is_stem(read["stem"]["text"], question)
        choices = quiz.choices(question)
        assert [each["isCorrect"] for each in read["choices"]] == [each is question.right for each in choices]
        assert [each["weight"] for each in read["choices"]] == [None] * 3
        for each, choice in zip(read["choices"], choices, strict=True):
            is_answer(each["text"]["text"], choice)
            assert choice.why.rstrip(".") in Plain(each["feedback"]["text"]).text
        assert question.proof.filter in Plain(read["globalFeedback"]["text"]).text


@QUIZZES
def test_moodle(quiz: Quiz) -> None:
    xmlschema = pytest.importorskip("xmlschema", reason="xmlschema is missing")
    octets = rendered("moodle", quiz)
    assert octets.startswith(b"<?xml")
    text = octets.decode()
    if len({each.id for each in quiz.questions}) == len(quiz.questions):
        xmlschema.XMLSchema(str(Path(__file__).with_name("moodle.xsd"))).validate(text)
    category, *found = ElementTree.fromstring(octets).findall("question")  # noqa: S314 - our own
    assert category.findtext("category/text") == f"$course$/labkit/{quiz.title.replace('/', '//')}"
    for read, question in zip(found, quiz.questions, strict=True):
        stem = read.findtext("questiontext/text") or ""
        is_stem(stem, question)
        assert {"href": f"@@PLUGINFILE@@/{quiz.file}"} in Plain(stem).attributes
        file = read.find("questiontext/file")
        assert file is not None
        assert file.get("name") == quiz.file
        answers = read.findall("answer")
        assert [each.get("fraction") for each in answers] == [
            "100" if each is question.right else "0" for each in quiz.choices(question)
        ]
        for each, choice in zip(answers, quiz.choices(question), strict=True):
            is_answer(each.findtext("text") or "", choice)
        assert UUID(read.findtext("idnumber") or "")


@QUIZZES
def test_qti(quiz: Quiz, tmp_path: Path) -> None:
    reader: Any = pytest.importorskip("qti2latex", reason="qti2latex is missing")
    found = files("qti", quiz)
    manifest = ElementTree.fromstring(found["imsmanifest.xml"])  # noqa: S314 - our own
    listed = {each.get("href") for each in manifest.iter() if each.tag.endswith("}file")}
    assert listed == set(found) - {"imsmanifest.xml"}
    identifiers = {each.get("identifier") for each in manifest.iter() if each.tag.endswith("}resource")}
    assert {each.get("identifierref") for each in manifest.iter() if each.tag.endswith("}dependency")} <= identifiers
    is_capture(found[f"web_resources/{quiz.file}"])
    for name, octets in found.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(octets)
    items = []
    for path in reader.read_qti_dir(tmp_path):
        items += reader.findall_anyns(ElementTree.parse(path).getroot(), "item")  # noqa: S314 - our own
    assert len(items) == len(quiz.questions)
    for item, question in zip(items, quiz.questions, strict=True):
        metadata = reader.get_qti_metadata(item)
        assert reader.guess_type(metadata, item) == "multiple_choice_question"
        is_stem(reader.get_item_stem(item), question)
        choices = reader.get_choices(item)
        assert metadata["original_answer_ids"].split(",") == [ident for ident, _html in choices]
        for (_ident, html), choice in zip(choices, quiz.choices(question), strict=True):
            is_answer(html, choice)
        # The reader counts the answers that have feedback as correct, too: the score tells.
        scoring = [each for each in item.iter() if each.tag.endswith("}respcondition") and each.get("continue") == "No"]
        (right,) = [reader.text_of(reader.first(reader.findall_anyns(each, "varequal"))) for each in scoring]
        assert quiz.choices(question)[int(right) - 1] is question.right
        shown = {each.get("linkrefid") for each in item.iter() if each.tag.endswith("}displayfeedback")}
        assert shown == {each.get("ident") for each in item.iter() if each.tag.endswith("}itemfeedback")}


@QUIZZES
def test_csv(quiz: Quiz) -> None:
    read = list(csv.DictReader(StringIO(rendered("csv", quiz).decode(), newline="")))
    assert len(read) == len(quiz.questions)
    for row, question in zip(read, quiz.questions, strict=True):
        assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row.values())
        plain = {key: cell.removeprefix("'") for key, cell in row.items()}
        assert plain["question"] == question.stem
        assert plain["figure"] == "\n".join(question.figure)
        assert [plain["answer"], plain["wrong_1"], plain["wrong_2"]] == [
            question.right.text,
            *(each.text for each in question.wrong),
        ]
        assert (plain["filter"], plain["value"]) == (question.proof.filter, question.proof.value)


@QUIZZES
def test_json(quiz: Quiz) -> None:
    read = json.loads(rendered("json", quiz))
    for each, question in zip(read["questions"], quiz.questions, strict=True):
        assert each["stem"] == question.stem
        assert each["proof"]["filter"] == question.proof.filter
        assert each["choices"] == [choice.text for choice in quiz.choices(question)]


@QUIZZES
def test_markdown(quiz: Quiz) -> None:
    markdown: Any = pytest.importorskip("markdown_it", reason="markdown-it-py is missing")
    html = markdown.MarkdownIt("commonmark").render(rendered("md", quiz).decode())
    found = Plain(html)
    assert set(found.tags) <= {"h1", "h2", "p", "ul", "li", "pre", "code"}
    # CommonMark joins the spaces of a line.
    text = " ".join(found.text.split())
    for question in quiz.questions:
        for each in (question.stem, *(choice.text for choice in (question.right, *question.wrong))):
            assert " ".join(each.split()) in text
        assert "\n".join(question.figure) in found.text


@QUIZZES
def test_prairielearn(quiz: Quiz) -> None:
    found = files("prairielearn", quiz)
    folders = sorted({name.partition("/")[0] for name in found})
    assert len(folders) == len(quiz.questions)
    for folder, question in zip(folders, quiz.questions, strict=True):
        info = json.loads(found[f"{folder}/info.json"])
        assert (str(UUID(info["uuid"])), info["type"]) == (question.id, "v3")
        page = found[f"{folder}/question.html"].decode()
        assert "{" not in page
        assert "}" not in page
        is_capture(found[f"{folder}/clientFilesQuestion/{quiz.file}"])
        read = Plain(page)
        assert {"file-name": quiz.file} in read.attributes
        assert question.stem in read.text
        assert "\n".join(question.figure) in read.text
        answers = [each for tag, each in zip(read.tags, read.attributes, strict=True) if tag == "pl-answer"]
        choices = quiz.choices(question)
        assert [each["correct"] for each in answers] == [str(each is question.right).lower() for each in choices]
        for each, choice in zip(answers, choices, strict=True):
            assert choice.why.rstrip(".") in (each["feedback"] or "")
            assert choice.text in read.text
        assert set(read.tags) <= {
            "pl-question-panel", "pl-multiple-choice", "pl-answer", "pl-answer-panel", "pl-file-download",
            "p", "pre", "code", "br",
        }  # fmt: skip


@QUIZZES
@pytest.mark.parametrize("name", names())
def test_the_same_quiz_gives_the_same_octets(name: str, quiz: Quiz) -> None:
    octets = format_of(name).render(quiz)
    assert octets == format_of(name).render(quiz) != format_of(name).render(replace(quiz, questions=quiz.questions[1:]))
