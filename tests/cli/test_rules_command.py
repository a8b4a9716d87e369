"""`labkit rules`: the catalogue, for people and for programs."""

import json

import pytest

from labkit.analysis.catalogue import collect
from labkit.analysis.severity import LITERAL
from labkit.cli import run

KEYS = {"code", "name", "severity", "severities", "profiles", "reference", "wireshark", "message", "explanation"}


def test_a_line_for_each_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rules"]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        [rule.code, rule.name] for rule in sorted(collect(), key=lambda rule: rule.code)
    ]
    assert all(line == line.rstrip() for line in lines)
    assert captured.err == "labkit: 'labkit explain CODE' explains a rule, with a good and a bad example\n"


def test_columns_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rules"]) == 0
    starts: set[int] = set()
    for line, rule in zip(
        capsys.readouterr().out.splitlines(), sorted(collect(), key=lambda rule: rule.code), strict=True
    ):
        starts.add(line.index(str(rule.severity), len(rule.code) + 2 + len(rule.name)) if not rule.otherwise else -1)
        assert rule.reference in line
        # Literal rules are none that the document's profile applies by itself.
        assert ("document --literal" in line) is (rule.profiles == {LITERAL})
    assert len(starts - {-1}) == 1


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rules", "--format", "json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    rules = json.loads(captured.out)["rules"]
    by_name = {(rule.code, rule.name): rule for rule in collect()}
    assert [each["code"] for each in rules] == sorted(each["code"] for each in rules)
    assert {(each["code"], each["name"]) for each in rules} == by_name.keys()
    for each in rules:
        rule = by_name[each["code"], each["name"]]
        assert each.keys() >= KEYS
        assert (each["severity"], each["reference"], each["wireshark"]) == (
            str(rule.severity),
            rule.reference,
            rule.wireshark,
        )
        assert each["severity"] in each["severities"]
        assert set(each["severities"]) <= {"error", "warning", "note"}
        assert set(each["profiles"]) == set(rule.profiles)
        assert each["good"] == rule.good


@pytest.mark.parametrize("arguments", [["--format", "word"], ["ACK01"]])
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rules", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
