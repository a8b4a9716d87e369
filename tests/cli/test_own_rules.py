"""`--rules`: a course's rules in verify, watch, explain and rules."""

import json
import os
from contextlib import nullcontext
from pathlib import Path
from threading import Thread
from typing import Any
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


KIND = 'LimitKind("old-clock", "{n:,} old packet", "{n:,} old packets (the first is {packet})", "they are old")'


def with_limit(limit: str, code: str = "EX01") -> str:
    """The course's file with a limit."""
    text = COURSE.replace("EX01", code).replace('field="len"', f'field="len", limit={limit}')
    return f"from labkit.analysis.limit_kinds import LimitKind\n{text}"


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        (KIND, None),
        ("{True: " + KIND + "}", None),
        (
            KIND.replace("old-clock", "truncated"),
            "the word 'truncated' is one of labkit's limits; expected another word for ",
        ),
        (
            KIND.replace("{n:,}", "{count}"),
            "the limit 'old-clock' has the text '{count} old packet'; expected one line, with",
        ),
        ("{'yes': " + KIND + "}", "there is a limit for the answer 'yes'; expected True or a Severity"),
        (
            f"[{KIND}]",
            "a limit is [LimitKind(word='old-clock', one='{n:,} old packet', many='…; expected a word, or a LimitKind",
        ),
        (
            "'old-clock'",
            "there is no limit 'old-clock'; name one of mid-stream, one-sided, truncated, checksum-offload, ",
        ),
    ],
)
def test_a_limit_that_does_not_fit_is_one_line(
    limit: str, message: str | None, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "course.py").write_text(with_limit(limit))
    code = run(["verify", "a.pcapng", "--rules", "course.py", "--no-config"])
    captured = capsys.readouterr()
    if message is None:
        assert code == 1
        assert "1 old packet: they are old" in captured.out
        return
    assert (code, captured.out) == (2, "")
    (line,) = captured.err.splitlines()
    assert line.startswith(f"labkit: course.py: rule EX01 (segment-too-long): {message}")


@pytest.mark.parametrize(("rest", "code"), [("they are old", 1), ("they are very old", 2)])
@pytest.mark.parametrize("options", [[], ["--jobs", "2", "a.pcapng"]])
def test_two_rules_that_share_a_limit_say_the_same(
    options: list[str], rest: str, code: int, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "course.py").write_text(with_limit(KIND))
    (here / "other.py").write_text(with_limit(KIND.replace("they are old", rest), "EX02"))
    arguments = ["verify", "a.pcapng", "--no-config", "--rules", "course.py", "--rules", "other.py", *options]
    assert run([*arguments, "--select", "CAP", "--strict=old-clock"]) == code
    captured = capsys.readouterr()
    if code == 1:
        assert "FAIL" in captured.out
    else:
        reason = "another rule declares the limit 'old-clock' with other texts; expected the same"
        assert captured.err == f"labkit: other.py: rule EX02 (segment-too-long): {reason}\n"


@pytest.mark.parametrize("format_", ["text", "json", "jsonl", "csv", "sarif", "junit", "html", "markdown"])
def test_every_format_shows_their_limits(format_: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "course.py").write_text(with_limit(KIND.replace("they are old", "they are <old>")))
    arguments = ["verify", "a.pcapng", "--rules", "course.py", "--no-config", "--format", format_]
    assert run([*arguments, "--strict=old-clock", "--ignore", "EX01"]) == 1
    shown = capsys.readouterr().out
    assert "old-clock" in shown
    assert (
        "1 old packet: they are &lt;old&gt;" if format_ in ("junit", "html", "markdown") else "they are <old>"
    ) in shown


@pytest.mark.parametrize(
    ("toml", "rules", "code"),
    [
        ('strict = ["old-clock"]', True, 1),
        ("strict = true", True, 1),
        ('strict = ["truncated"]', True, 0),
        ('strict = ["old-clock"]', False, 2),
    ],
)
def test_a_configuration_file_knows_their_limits(
    toml: str, rules: bool, code: int, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "course.py").write_text(with_limit(KIND))
    (here / "own.toml").write_text(f'{toml}\nseverity = {{SEQ = "error"}}\nignore = ["CAP"]\n')
    options = ["--rules", "course.py"] if rules else []
    arguments = ["verify", "a.pcapng", "--config", "own.toml", *options]
    assert run([*arguments, "--ignore", "EX"] if rules else arguments) == code
    captured = capsys.readouterr()
    assert ("own.toml: strict: there is no limit 'old-clock'; the limits are " in captured.err) is (code == 2)
    if rules:
        verdict = labkit.verify("a.pcapng", config="own.toml", rules="course.py", ignore="EX")
        assert verdict.outcome() == ("fail" if code else "pass")


@pytest.mark.parametrize("options", [[], ["--jobs", "2", "a.pcapng"]])
def test_a_named_pipe_is_read_once(options: list[str], here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(here / "pipe.py")
    writer = Thread(target=(here / "pipe.py").write_text, args=(COURSE,), daemon=True)
    writer.start()
    assert run(["verify", "a.pcapng", "--rules", "pipe.py", "--no-config", "-q", "--select", "EX01", *options]) == 1
    writer.join(10)
    assert "FAIL" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "No such file or directory"),
        ("folder", "Is a directory"),
        ("import os\nos.remove(__file__)\n" + COURSE, "No such file or directory"),  # it vanishes while labkit reads it
    ],
    ids=["absent", "folder", "vanishes"],
)
@pytest.mark.parametrize("options", [[], ["--jobs", "2", "a.pcapng"]])
def test_a_file_that_cannot_be_read_is_one_line(
    options: list[str], text: str | None, reason: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if text == "folder":
        (here / "own.py").mkdir()
    elif text is not None:
        (here / "own.py").write_text(text)
    assert run(["verify", "a.pcapng", "--rules", "own.py", "--no-config", *options]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"labkit: own.py: cannot be read: {reason}\n")


def test_they_speak_chinese_around_their_own_words(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "course.py").write_text(with_limit(KIND))
    assert run(["--lang", "zh", "verify", "a.pcapng", "--rules", "course.py", "--no-config"]) == 1
    shown = capsys.readouterr().out
    assert "1 old packet：they are old" in shown
    assert "the segment carries 119 bytes" in shown
    (here / "course.py").write_text(with_limit("7"))
    assert run(["--lang", "zh", "verify", "a.pcapng", "--rules", "course.py", "--no-config"]) == 2
    assert capsys.readouterr().err == (
        "labkit: course.py：规则 EX01 (segment-too-long)：局限是 7；应为一个名称，或一个 LimitKind\n"
    )


@pytest.mark.parametrize(
    "rules", ["course.py", Path("course.py"), ["course.py"], (Path("course.py"),), iter(["course.py"])]
)
def test_python_takes_one_file_or_several(rules: Any, here: Path) -> None:
    (here / "own.toml").write_text('select = ["EX01"]\n')
    assert [each.code for each in labkit.verify("a.pcapng", rules=rules, config="own.toml").findings] == ["EX01"]


@pytest.mark.parametrize("rules", [5, [5], [b"course.py"], True])
def test_python_takes_nothing_else_for_rules(rules: Any) -> None:
    with pytest.raises(labkit.UsageError, match=r"^rules: got .*; expected the paths of Python files$"):
        labkit.verify("a.pcapng", rules=rules)


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
    select, strict = (
        next(each for each in verify.command.params if each.name == name) for name in ("select", "strict")
    )
    assert "ACK,EX01" in {item.value for item in select.shell_complete(context, "ACK,EX")}
    Path("course.py").write_text(with_limit(KIND))
    assert {item.value for item in strict.shell_complete(context, "size,ol")} == {"size,old-clock"}


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
