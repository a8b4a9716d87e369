"""`labkit explain`: rules by code and name, and the lessons."""

import re

import pytest

from labkit.analysis.catalogue import collect
from labkit.analysis.rule import Rule
from labkit.cli import run
from labkit.teach.lessons import names, summary

EACH = pytest.mark.parametrize("rule", collect(), ids=lambda rule: f"{rule.code}-{rule.name}")


def explained(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert run(["explain", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


@EACH
def test_every_rule_is_explained(rule: Rule, capsys: pytest.CaptureFixture[str]) -> None:
    text = explained(rule.code, capsys=capsys)
    flat = " ".join(text.split())
    assert f"{rule.code} {rule.name} (" in text
    assert " ".join(rule.explanation.split()) in flat
    assert " ".join(rule.receiver.split()) in flat
    if rule.reference:
        assert f"Reference: {rule.reference}" in text
    assert f"Wireshark: {rule.wireshark or 'has no such check'}" in text
    for example in (rule.good, rule.bad):
        for line in example.splitlines():
            assert f"\n    {line}\n" in text


@EACH
def test_messages_have_dots_in_place_of_numbers(rule: Rule, capsys: pytest.CaptureFixture[str]) -> None:
    # No placeholder of the template; edits in the examples have braces of their own.
    text = explained(rule.code, capsys=capsys)
    assert not re.search(r"\{(seg|me|peer)\.", text)
    flat = " ".join(text.split())
    for template in (rule.message, *rule.otherwise.values()):
        assert re.sub(r"\{[^}]*\}", "…", template) in flat


@EACH
def test_rules_are_found_by_code_and_name(rule: Rule, capsys: pytest.CaptureFixture[str]) -> None:
    text = explained(rule.code, capsys=capsys)
    assert explained(rule.code.lower(), capsys=capsys) == text
    named = explained(rule.name, capsys=capsys)
    assert named in text
    assert explained(rule.name.replace("-", "_").upper(), capsys=capsys) == named


def test_lines_are_not_too_long(capsys: pytest.CaptureFixture[str]) -> None:
    for rule in collect():
        head, _, _ = explained(rule.code, capsys=capsys).partition("Good:")
        assert [line for line in head.splitlines() if len(line) > 110] == []


def test_without_a_topic_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    lines = explained(capsys=capsys).splitlines()
    assert lines[:-1] == [f"{name}  {summary(name)}" for name in names()]
    assert lines[-1].startswith("rules: ")
    assert lines[-1].removeprefix("rules: ").split(", ") == sorted({rule.code for rule in collect()})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["document"], ["E1  ", "E9  ", "labkit build time-wait"]),
        (["document", "e3", "E7"], ["E3  ", "E7  ", "raw seq "]),
        (["osi"], ["GET /index.html", "IPv4: 192.0.2.10 → 192.0.2.20"]),
    ],
)
def test_lessons(arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    text = explained(*arguments, capsys=capsys)
    assert [word for word in words if word not in text] == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["ACK99"], 2, ["there is no rule or lesson 'ACK99'", "did you mean 'ACK"]),
        (["ack-of-unsend-data"], 2, ["did you mean 'ack-of-unsent-data'?"]),
        (["documnet"], 2, ["did you mean 'document'?"]),
        (["qqqqqq"], 2, ["there is no rule or lesson 'qqqqqq'"]),
        (["ACK01", "more"], 2, ["'ACK01' takes no arguments"]),
        (["document", "E99"], 2, ["there is no erratum E99"]),
        (["osi", "nowhere.pcap"], 3, ["nowhere.pcap", "No such file"]),
        (["osi", "a", "b", "c"], 2, ["expected: labkit explain osi"]),
    ],
)
def test_wrong_usage(arguments: list[str], code: int, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", *arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert [word for word in words if word not in line] == [], line
