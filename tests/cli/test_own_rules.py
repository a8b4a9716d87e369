"""`--rules`: a course's rules in verify, watch, explain and rules."""

import json
from contextlib import nullcontext
from pathlib import Path
from xml.etree import ElementTree

import click
import pytest

import labkit
from labkit.analysis.native import library
from labkit.build.scenario import Scenario
from labkit.capture import open_capture
from labkit.cli import run, verify

PAGE = Path(__file__).parents[2] / "docs" / "own-rules.md"
COURSE = PAGE.read_text("utf-8").partition("```python course_rules.py\n")[2].partition("```\n")[0]
INTERPRETED = "labkit: only labkit's own rules can be compiled: interpreted, which takes longer\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test runs in its own folder, with a capture and a file of rules."""
    monkeypatch.chdir(tmp_path)
    Scenario.load("document").play().write("a.pcapng")
    (tmp_path / "course.py").write_text(COURSE)
    return tmp_path


@pytest.mark.parametrize(
    ("options", "code", "found"),
    [
        ([], 0, False),
        (["--rules", "course.py"], 1, True),
        (["--rules", "course.py", "--select", "EX01"], 1, True),
        (["--rules", "course.py", "--select", "ex,ACK"], 1, True),
        (["--rules", "course.py", "--select", "course"], 1, True),
        (["--rules", "course.py", "--ignore", "segment-too-long"], 0, False),
        (["--rules", "course.py", "--select", "ACK"], 0, False),
        (["--rules", "course.py", "--profile", "document"], 1, True),
        (["--rules", "course.py", "--config", "choices.toml"], 0, True),
        (["--rules", "course.py", "--jobs", "2", "a.pcapng"], 1, True),
    ],
)
def test_verify_applies_selects_and_ignores_them(
    options: list[str], code: int, found: bool, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "choices.toml").write_text('severity = {EX01 = "note"}\n')
    assert run(["verify", "a.pcapng", "--format", "json", *options]) == code
    for capture in json.loads(capsys.readouterr().out)["captures"]:
        assert ("EX01" in {each["code"] for each in capture["findings"]}) is found


@pytest.mark.parametrize(
    ("options", "code"), [(["--strict=long"], 1), (["--strict"], 1), (["--strict=truncated"], 0), ([], 0)]
)
def test_a_rule_may_declare_a_limit(
    options: list[str], code: int, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind = 'LimitKind("long", "{n} long packet", "{n} long packets", "nobody can read them")'
    text = COURSE.replace("Severity.ERROR", "Severity.NOTE").replace('field="len"', f'field="len", limit={kind}')
    (here / "course.py").write_text(f"from labkit.analysis.limit_kinds import LimitKind\n{text}")
    arguments = ["verify", "a.pcapng", "--rules", "course.py", "--no-config", *options]
    assert run(arguments) == code
    assert "long packet: nobody can read them" in capsys.readouterr().out.replace("packets", "packet")
    assert labkit.verify("a.pcapng", rules=["course.py"], strict=["long"]).outcome() == "fail"
    assert run(["verify", "a.pcapng", "--no-config", "--strict=long"]) == 2
    assert "there is no limit 'long'; the limits are not-read, " in capsys.readouterr().err


def test_a_file_that_has_changed_is_read_again(here: Path) -> None:
    assert not labkit.verify("a.pcapng", rules=["course.py"], select=["EX01"]).ok
    (here / "course.py").write_text(COURSE.replace("MAX_BYTES = 100", "MAX_BYTES = 1000"))
    assert labkit.verify("a.pcapng", rules=["course.py"], select=["EX01"]).ok


def test_the_reports_for_machines_list_them(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["verify", "a.pcapng", "--rules", "course.py", "--format"]
    assert run([*arguments, "junit"]) == 1
    cases = ElementTree.fromstring(capsys.readouterr().out).iter("testcase")  # noqa: S314 - labkit's own
    assert [case.find("failure") is not None for case in cases if case.get("name") == "EX01 segment-too-long"] == [True]
    assert run([*arguments, "sarif"]) == 1
    driver = json.loads(capsys.readouterr().out)["runs"][0]["tool"]["driver"]
    assert "EX01" in {each["id"] for each in driver["rules"]}


@pytest.mark.parametrize("options", [[], ["--jobs", "2", "a.pcapng"]])
def test_the_compiled_engine_leaves_them_to_the_interpreter(
    options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(library, "library", lambda _: pytest.fail("nothing is to be compiled"))
    assert run(["verify", "a.pcapng", "--rules", "course.py", "-q", "--engine", "compiled", *options]) == 1
    captured = capsys.readouterr()
    assert "1 error" in captured.out or "2 FAIL" in captured.out
    assert captured.err == INTERPRETED


def test_rules_and_explain_show_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rules", "--rules", "course.py"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("EX01")]
    assert line.split()[1:3] == ["segment-too-long", "error"]
    assert run(["rules", "--rules", "course.py", "--format", "json"]) == 0
    assert "EX01" in {each["code"] for each in json.loads(capsys.readouterr().out)["rules"]}
    assert run(["rules", "--rules", "course.py", "--format", "markdown"]) == 0
    assert "## Rules of an exercise: short segments only\n\n### EX01 segment-too-long\n" in capsys.readouterr().out
    assert run(["explain", "ex01", "--rules", "course.py"]) == 0
    assert "The exercise allows 100 bytes in a segment" in capsys.readouterr().out
    assert run(["explain", "--rules", "course.py"]) == 0
    assert ", EX01, " in capsys.readouterr().out
    assert run(["explain", "EX01"]) == 2


def test_watch_applies_them(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Link:
        def lost(self) -> int:
            return 0

    with open_capture("a.pcapng") as capture:
        passing = list(capture)
    monkeypatch.setattr("labkit.live.watch.open_link", lambda *_: nullcontext(Link()))
    monkeypatch.setattr("labkit.live.watch.frames", lambda *_, **__: passing)
    assert run(["watch", "lo", "--rules", "course.py"]) == 1
    assert "error[EX01] packet 5" in capsys.readouterr().out
    assert run(["watch", "lo", "--rules", "course.py", "--ignore", "EX01"]) == 0


def test_the_shell_completes_their_codes() -> None:
    context = click.Context(verify.command)
    context.params["extra"] = ("course.py",)
    option = next(each for each in verify.command.params if each.name == "select")
    assert "ACK,EX01" in {item.value for item in option.shell_complete(context, "ACK,EX")}


@pytest.mark.parametrize("command", [["verify", "a.pcapng"], ["watch", "lo"], ["explain", "EX01"], ["rules"]])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "wrong.py: cannot be read: No such file or directory"),
        ("x = 1\n", "wrong.py: there is no rule in it"),
        ("\nimport nowhere\n", "wrong.py, line 2: cannot be used: ModuleNotFoundError: No module named 'nowhere'"),
        (COURSE.replace("EX01", "ACK01"), "wrong.py: rule ACK01 (segment-too-long): its code is taken by "),
        (COURSE.replace("{seg.data_len}", "{seg.size}"), "wrong.py: rule EX01 (segment-too-long): 'seg.size' does not"),
    ],
)
def test_a_mistake_is_one_line(
    command: list[str], text: str | None, message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        (here / "wrong.py").write_text(text)
    assert run([*command, "--rules", "wrong.py"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith(f"labkit: {message}")
