"""`labkit scenarios`: the list, and one scenario's text."""

import json
from importlib.resources import files
from pathlib import Path

import pytest

from labkit.build.scenario import Scenario, shipped
from labkit.cli import run


def test_lists_each_with_its_summary(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["scenarios"]) == 0
    captured = capsys.readouterr()
    rows = [line.split(maxsplit=1) for line in captured.out.splitlines()]
    assert rows == [[name, Scenario.load(name).summary] for name in shipped()]
    assert "document" in dict(rows)
    assert captured.err.count("\n") == 1


def test_the_list_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["scenarios", "--format", "json"]) == 0
    captured = capsys.readouterr()
    value = json.loads(captured.out)
    assert [each["name"] for each in value["scenarios"]] == shipped()
    assert all(each["summary"] for each in value["scenarios"])
    assert captured.err == ""


def test_the_printed_scenario_can_be_built(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["scenarios", "document"]) == 0
    text = capsys.readouterr().out
    assert text == files("labkit.build").joinpath("scenarios", "document.yaml").read_text("utf-8")
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    assert run(["build", "mine.yaml", "-o", "mine.pcap"]) == 0
    assert run(["build", "document", "-o", "document.pcap"]) == 0
    assert (tmp_path / "mine.pcap").read_bytes() == (tmp_path / "document.pcap").read_bytes()


def test_one_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["scenarios", "document", "--format", "json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["name"] == "document"
    assert value["source"].endswith("\n")
    assert Scenario.parse(value["source"]).summary == value["summary"]


@pytest.mark.parametrize(("name", "word"), [("docment", "document"), ("mine.yaml", "mine.yaml")])
def test_only_shipped_scenarios_are_printed(
    name: str,
    word: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(files("labkit.build").joinpath("scenarios", "document.yaml").read_text("utf-8"))
    assert run(["scenarios", name]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert word in captured.err
    assert captured.err.count("\n") == 1
