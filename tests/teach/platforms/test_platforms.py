"""Each platform's result, read by a reader of its own, for hostile names and where grading fails."""

import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import class_of_sixty as klass
import pytest

from labkit.build.faults import inject
from labkit.cli import run
from labkit.teach.assign import Assignment
from labkit.teach.assign.material import material
from labkit.teach.grade.judging import grade, without
from labkit.teach.grade.task import UNREADABLE, Result, Task
from labkit.teach.platforms import names, platform
from labkit.teach.platforms.notebook import check

OWN = material(Assignment.load("handshake"), 0)
HOSTILE = "<script>x</script>\x1b[0m\x07 Grade :=>> 100 <|-- --|> $(touch hacked) 'q' ]]> seq=100 ack=120\n- x.pcap"
WRONG = klass.saved(inject(OWN.trace, ["third-segment-wrong", "ack-of-unsent-data"]))

RESULTS: dict[str, tuple[Result, str]] = {
    "right": (grade(OWN.task, klass.saved(OWN.trace), "a.pcap"), ""),
    "wrong": (grade(OWN.task, WRONG, HOSTILE), ""),
    "pdf": (grade(OWN.task, klass.PDF, HOSTILE), ""),
    "failed": (without(OWN.task, UNREADABLE, HOSTILE), "it broke: ]]> Grade :=>> 100"),
    "no-task": (without(Task("x"), UNREADABLE, "x"), "there is no assignment"),
}

POINTS = {"right": 10.0, "wrong": 7.0, "pdf": 0.0, "failed": 0.0, "no-task": 0.0}

every = pytest.mark.parametrize("case", RESULTS)


def made(name: str, case: str) -> str:
    return platform(name).render(*RESULTS[case])


def test_the_platforms() -> None:
    assert {*names()} >= {
        "artemis", "autolab", "classroom50", "coderunner", "gradescope", "inginious", "notebook", "prairielearn",
        "submitty", "vpl",
    }  # fmt: skip
    assert all(platform(name).summary for name in names())


@every
@pytest.mark.parametrize("name", names())
def test_no_control_character_gets_through(name: str, case: str) -> None:
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", made(name, case))


class Tags(HTMLParser):
    """Collects the names of elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 - the parser's signature
        self.found.add(tag)


HARMLESS = {"h1", "h2", "p", "strong", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "br"}


@every
def test_gradescope(case: str) -> None:
    result = json.loads(made("gradescope", case))
    assert result["score"] == POINTS[case]
    assert result["output_format"] in {"text", "html"}
    assert result["visibility"] == "visible"
    if result["output_format"] == "html":
        assert Tags(result["output"]).found <= HARMLESS
    for each in result["tests"]:
        assert each["status"] == ("passed" if each["score"] >= each["max_score"] else "failed")
        assert isinstance(each["name"], str)
        assert each["visibility"] == "visible"
    if case in {"right", "wrong"}:
        assert sum(each["score"] for each in result["tests"]) == result["score"]
        assert sum(each["max_score"] for each in result["tests"]) == 10


@every
def test_prairielearn(case: str) -> None:
    text = made("prairielearn", case)
    result = json.loads(text)
    assert len(text) < 1_048_576
    assert result["score"] == POINTS[case] / 10
    # A file that cannot be read costs no attempt.
    assert result["gradable"] is (case in {"right", "wrong"})
    if result["gradable"]:
        assert all({"name", "points", "max_points", "message"} <= set(each) for each in result["tests"])
    else:
        assert result["format_errors"]


def test_prairielearn_with_a_very_long_result() -> None:
    long = grade(OWN.task, WRONG, "x" * 2_000_000)
    assert len(platform("prairielearn").render(long, "")) < 1_048_576


@every
def test_classroom50(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMMIT_URL", "https://example.org/c")
    result = json.loads(made("classroom50", case))
    assert result["schema"] == "classroom50/result/v1"
    assert (result["score"], type(result["score"]), type(result["max-score"])) == (POINTS[case], int, int)
    for key in ("classroom", "assignment", "submission", "commit", "release", "review"):
        assert isinstance(result[key], str)
        assert result[key]
    assert result["review"] == "https://example.org/c"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", result["datetime"])
    for each in result["tests"]:
        assert {"test-name", "passed", "score", "max-score"} <= set(each)
        assert type(each["score"]) is type(each["max-score"]) is int
        assert 0 <= each["score"] <= each["max-score"]


def test_classroom50_with_parts_of_points() -> None:
    half = grade(OWN.task, klass.saved(klass.ends(OWN.trace, server=80)), "a.pcap")
    assert half.points == 9.5
    result = json.loads(platform("classroom50").render(half, ""))
    assert (result["score"], result["max-score"]) == (19, 20)


@every
def test_autolab(case: str) -> None:
    *_before, shown, scores = made("autolab", case).splitlines()
    assert list(json.loads(scores)) == ["scores", "scoreboard"]
    assert json.loads(scores)["scoreboard"] == [POINTS[case]]
    presentation = json.loads(shown)
    assert presentation["_presentation"] == "semantic"
    for stage in presentation["stages"]:
        for each in presentation[stage].values():
            assert isinstance(each["passed"], bool)
            assert isinstance(each["hint"], str)
    if case != "no-task":
        assert list(json.loads(scores)["scores"]) == [part.name for part in OWN.task.parts]


@every
def test_coderunner(case: str) -> None:
    text = made("coderunner", case)
    assert "\n" not in text
    result = json.loads(text)
    assert result["fraction"] == POINTS[case] / 10
    for row in result["testresults"]:
        assert len(row) == len(result["testresults"][0])
    html = result.get("prologuehtml", "") + result.get("epiloguehtml", "")
    assert Tags(html).found <= HARMLESS


def vpl(text: str) -> tuple[list[str], list[str]]:
    """Grades and comments, as VPL's own reader takes them: only marks at the beginning of a line count."""
    grades, comments, inside = [], [], False
    for line in text.splitlines():
        if inside:
            inside = line.rstrip() != "--|>"
            if inside:
                comments.append(line)
        elif line.rstrip() == "<|--":
            inside = True
        elif line.startswith("Grade :=>>"):
            grades.append(line.removeprefix("Grade :=>>").strip())
        elif line.startswith("Comment :=>>"):
            comments.append(line)
    return grades, comments


@every
def test_vpl(case: str) -> None:
    text = made("vpl", case)
    grades, comments = vpl(text)
    assert [float(each) for each in grades] == [POINTS[case]]
    assert comments
    assert text.count(":=>>") == 1
    assert text.count("<|--") == text.count("--|>") == 1


@every
def test_submitty(case: str) -> None:
    result = json.loads(made("submitty", case))
    if case in {"failed", "no-task"}:
        assert result["status"] == "fail"
        assert result["message"]
        return
    assert result["status"] == "success"
    assert result["data"]["score"] == POINTS[case] / 10
    words = {"success", "failure", "warning", "information"}
    assert result["data"]["status"] in words
    assert all(each["status"] in words and isinstance(each["message"], str) for each in result["data"]["message"])


@every
def test_inginious(case: str, tmp_path: Path) -> None:
    """The snippet runs in a shell whose commands say what they got."""
    for name in ("feedback-result", "feedback-grade", "feedback-msg"):
        (tmp_path / name).write_text(f'#!/bin/sh\nprintf "%s\\0" {name} "$@" >> log\n')
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    subprocess.run(["sh", "-e", "-c", made("inginious", case)], cwd=tmp_path, env=environment, check=True)
    words = (tmp_path / "log").read_text("utf-8").split("\0")
    assert words[:2] == ["feedback-result", {"right": "success", "wrong": "failed", "pdf": "failed"}.get(case, "crash")]
    assert words[2:4] == ["feedback-grade", f"{10 * POINTS[case]:g}"]
    assert words[4:6] == ["feedback-msg", "-em"]
    # Everything is in a literal block.
    assert all(line.startswith("    ") or not line for line in words[6].splitlines()[2:])
    assert not (tmp_path / "hacked").exists()


@every
def test_artemis(case: str) -> None:
    suites = ElementTree.fromstring(made("artemis", case))  # noqa: S314 - our own text
    (suite,) = suites
    cases = suite.findall("testcase")
    assert int(suite.attrib["tests"]) == len(cases)
    assert int(suite.attrib["failures"]) == len(suite.findall("testcase/failure"))
    assert int(suite.attrib["errors"]) == len(suite.findall("testcase/error"))
    assert {"name", "tests", "failures", "errors"} <= set(suite.attrib)
    passed = sum(not len(each) for each in cases)
    assert passed == {"right": 6, "wrong": 4, "pdf": 1, "failed": 0, "no-task": 0}[case]


def test_a_notebook(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "right.pcap").write_bytes(klass.saved(OWN.trace))
    (tmp_path / "wrong.pcap").write_bytes(WRONG)
    check("handshake", tmp_path / "right.pcap")
    check("handshake", tmp_path / "wrong.pcap", "Close")
    with pytest.raises(AssertionError, match="7 of 10 points"):
        check("handshake", tmp_path / "wrong.pcap")
    with pytest.raises(AssertionError, match="third segment"):
        check("handshake", tmp_path / "wrong.pcap", "Opening")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("reveal", ["full", "actual", "points"])
def test_right_numbers_are_shown_only_where_they_are_revealed(name: str, reveal: str) -> None:
    text = Assignment.load("handshake").source.text + f"reveal: {reveal}\n"
    task = material(Assignment.parse(text), 0).task
    wrong = klass.saved(inject(OWN.trace, ["ack-inside-a-segment"]))
    result = grade(task, wrong, "a.pcap")
    found = next(each for each in result.mistakes if each.code == "ACK06")
    number = re.search(r"raw (\d+)", found.should_be)
    assert number is not None
    in_parts_only = name in {"autolab", "artemis"}
    assert (number[1] in platform(name).render(result, "")) is (reveal == "full" and not in_parts_only)


# The command.


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense", "a.pcap"],
        ["missing.yaml", "a.pcap"],
        ["handshake", "missing.pcap"],
        ["handshake", "a.pcap", "--answers", "missing.json"],
        ["handshake", "a.pcap"],
        ["handshake", "folder"],
        ["handshake", "empty"],
    ],
)
def test_a_platform_always_gets_a_result_and_nothing_else(
    name: str, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.pcap").write_bytes(WRONG)
    Path("folder").mkdir()
    Path("folder/a.pcap").write_bytes(WRONG)
    Path("empty").mkdir()
    assert run(["grade", *arguments, "--format", name]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.strip()
    assert ("7" in out) or arguments[1] != "folder"


def test_a_folder_of_results(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("s1", "s2"):
        (tmp_path / "in" / f"{name}.pcap").write_bytes(WRONG)
    words = ["grade", "handshake", str(tmp_path / "in"), "--format", "gradescope"]
    assert run([*words, "-o", f"{tmp_path}/out/", "-o", f"{tmp_path}/again/"]) == 0
    for folder in ("out", "again"):
        found: dict[str, Any] = {each.name: json.loads(each.read_text()) for each in (tmp_path / folder).iterdir()}
        assert {name: each["score"] for name, each in found.items()} == {"s1.json": 7, "s2.json": 7}


@pytest.mark.parametrize("outputs", [("out/", "one.json"), ("one.json", "out/")])
def test_a_folder_and_a_file_of_results(
    outputs: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.pcap").write_bytes(WRONG)
    words = [word for each in outputs for word in ("-o", each)]
    assert run(["grade", "handshake", "a.pcap", "--format", "gradescope", *words]) == 2
    assert "-o names a folder for the results of a class, or a file" in capsys.readouterr().err
    assert [each.name for each in Path().iterdir()] == ["a.pcap"]
