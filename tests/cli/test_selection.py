"""Where some values of --flow, --host and --port select conversations and others select none, a line names these."""

from pathlib import Path

import pytest

from labkit.analysis.flow_filter import FlowFilter, Unmatched
from labkit.build.scenario import Scenario
from labkit.cli import run

IPV6 = "# [2001:db8::1]:40000 > [2001:db8::2]:443\n> S 0:0(0)\n< S. 0:0(0) ack 1\n> . 1:1(0) ack 1\n"
IPV4 = "# 192.0.2.10:40001 > 192.0.2.20:80\n> S 0:0(0)\n< S. 0:0(0) ack 1\n> . 1:1(0) ack 1\n"

COMMANDS = [
    "verify",
    "verify --format json",
    "show",
    "show --format jsonl",
    "show --format html",
    "draw",
    "draw --what states",
    "draw --what time-sequence",
]

MISSES = [
    ("--flow 0 --flow 1", ""),
    ("--flow 1", ""),
    ("--flow 0 --flow 99", "--flow 99 selects no conversation"),
    ("--flow 7 --flow 0 --flow 99", "--flow 7, --flow 99 select no conversation"),
    ("--port 80 --port 443 --port 40000", ""),
    ("--port 80 --port 81", "--port 81 selects no conversation"),
    ("--host 192.0.2.0/24 --host 2001:db8::2", ""),
    ("--host 192.0.2.20 --host 10.0.0.1 --host 10.1.0.0/16", "--host 10.0.0.1, --host 10.1.0.0/16 select no conversation"),
    ("--host 2001:db8::/32 --host ::1", "--host ::1 selects no conversation"),
    ("--flow 0 --flow 1 --port 80", "--flow 0 selects no conversation"),
    ("--flow 9 --flow 1 --port 80 --port 9 --host 192.0.2.10 --host ::1",
     "--flow 9, --host ::1, --port 9 select no conversation"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("two.pkt").write_text(IPV6 + IPV4)
    assert run(["build", "two.pkt", "-o", "two.pcap"]) == 0
    capsys.readouterr()


@pytest.mark.parametrize("command", COMMANDS)
def test_what_selects_nothing_is_named(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    for options, said in MISSES:
        code = run([*command.split(), "two.pcap", *options.split()])
        out, error = capsys.readouterr()
        assert (code, bool(out)) == (0, True), options
        assert error == (f"labkit: two.pcap: {said}\n" if said else ""), options


@pytest.mark.parametrize("command", COMMANDS)
def test_where_nothing_is_selected_the_command_says_that(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    verifies = command.startswith("verify")
    assert run([*command.split(), "two.pcap", "--flow", "98", "--flow", "99"]) == (1 if verifies else 2)
    out, error = capsys.readouterr()
    assert ("no conversation" in out, "there is no conversation 98 / 99" in error) == (verifies, not verifies)
    assert "selects" not in error


def test_of_several_captures_one_is_enough(capsys: pytest.CaptureFixture[str]) -> None:
    Scenario.load("document").play().write("one.pcap")
    for options, said in (
        ("--flow 0 --flow 1", ""),
        ("--flow 1 --flow 2", "labkit: --flow 2 selects no conversation\n"),
    ):
        run(["verify", "one.pcap", "two.pcap", "--quiet", *options.split()])
        assert capsys.readouterr().err == said


def test_a_scenario_has_conversations_too(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("document", "lossy-both-sides"):
        assert run(["draw", name, "--flow", "0", "--flow", "3"]) == 0
        assert capsys.readouterr().err == f"labkit: {name}: --flow 3 selects no conversation\n"


@pytest.mark.parametrize("engine", ["interpreted", "auto"])
def test_a_large_capture(engine: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The first packets have the conversations that are drawn, but not all that there are."""
    assert run(["build", "document", "--flows", "300", "-o", "many.pcap"]) == 0
    options = ["--flow", "0", "--flow", "299", "--flow", "300"]
    for command in COMMANDS:
        more = ["--engine", engine] if command.startswith("verify") else []
        capsys.readouterr()
        assert run([*command.split(), "many.pcap", *more, *options]) == 0
        assert "many.pcap: --flow 300 selects no conversation\n" in capsys.readouterr().err, command


def test_what_is_certain_of_very_many_conversations() -> None:
    unmatched = Unmatched(FlowFilter((3, 10), (), (80, 81)))
    unmatched.take(0, ((b"\1\2\3\4", 80), (b"\1\2\3\5", 9)))
    assert unmatched.options() == ["--flow 3", "--flow 10", "--port 81"]
    unmatched.forget(10)
    assert unmatched.options() == ["--flow 10"]
