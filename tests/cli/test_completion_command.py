"""Shell completion: the scripts and the completed words."""

import shutil
import subprocess

import click
import pytest

from labkit.analysis.catalogue import collect
from labkit.build.scenario import shipped
from labkit.cli import _common, run


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_accepts_the_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    if shell == "bash" and not shutil.which("bash"):
        pytest.skip("click asks bash for its version")
    assert run(["completion", shell]) == 0
    text = capsys.readouterr().out
    assert f"_LABKIT_COMPLETE={shell}_complete" in text
    if program := shutil.which(shell):
        subprocess.run([program, "-n", "-c", text] if shell == "bash" else [program, "-n"], check=True, input=b"")


def words(line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The completions for the end of a bash command line."""
    monkeypatch.setenv("_LABKIT_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - (not line.endswith(" "))))
    with pytest.raises(SystemExit) as end:
        run([])
    assert end.value.code == 0
    return [row.partition(",")[2] for row in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("labkit bu", ["build"]),
        ("labkit build --ed", ["--edition"]),
        ("labkit build document --edition s", ["student"]),
        ("labkit build document --format pcapn", ["pcapng"]),
        ("labkit scenarios document-1", ["document-111"]),
        ("labkit completion z", ["zsh"]),
    ],
)
def test_completes(
    line: str, offered: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words(line, monkeypatch, capsys) == offered


def test_completes_every_shipped_scenario(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert words("labkit build ", monkeypatch, capsys) == shipped()


def test_an_unknown_scenario_may_be_a_file() -> None:
    context = click.Context(click.Command("build"))
    (item,) = _common.complete_scenarios(context, click.Argument(["scenario"]), "./mi")
    assert (item.type, item.value) == ("file", "./mi")


@pytest.mark.parametrize("start", ["", "ack", "ACK0"])
def test_rule_codes_complete_in_any_case(start: str) -> None:
    context = click.Context(click.Command("explain"))
    items = _common.complete_rules(context, click.Argument(["rule"]), start)
    codes = {rule.code for rule in collect() if rule.code.startswith(start.upper())}
    assert [item.value for item in items] == list(dict.fromkeys(item.value for item in items))
    assert {item.value for item in items} == codes
    assert "ACK01" in codes
