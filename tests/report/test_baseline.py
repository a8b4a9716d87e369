"""`labkit verify --baseline`: only new findings fail."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from labkit import Scenario, Severity, inject, verify
from labkit.analysis.findings import Group
from labkit.cli import run
from labkit.report.baseline import Baseline

TRACE = Scenario.load("document").play(seed=1)
EMPTY = bytes.fromhex("d4c3b2a1 02000400 00000000 00000000 00000400 01000000")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Captures of each kind: good, faulty, without TCP, no capture at all, and one that turns into garbage."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LANGUAGE", "en")
    (tmp_path / "f/sub").mkdir(parents=True)
    TRACE.write("f/good.pcap")
    inject(TRACE, ["ack-of-unsent-data@6"]).write("f/sub/bad.pcap")
    Path("f/empty.pcap").write_bytes(EMPTY)
    Path("f/junk.pcap").write_bytes(b"junk")
    Path("f/garbage.pcap").write_bytes(Path("f/good.pcap").read_bytes() + b"\xff" * 100)
    return tmp_path


def labkit(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = run(["verify", "--no-config", *words])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_one_command_makes_a_baseline_with_which_all_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert labkit("f", capsys=capsys)[0] == 3
    code, out, err = labkit("f", "--write-baseline", "b.json", capsys=capsys)
    assert (code, "labkit: b.json: 4 captures with known findings" in err) == (0, True)
    assert "1 FAIL" in out
    assert json.loads(Path("b.json").read_text()) == {
        "labkit-baseline": 1,
        "captures": {
            "f/empty.pcap": {"verdict": "not-judged"},
            "f/garbage.pcap": {"verdict": "unreadable"},
            "f/junk.pcap": {"verdict": "unreadable"},
            "f/sub/bad.pcap": {"findings": {"ACK01 ack-of-unsent-data": [6]}},
        },
    }
    code, out, err = labkit("f", "--baseline", "b.json", capsys=capsys)
    assert code == 0
    assert "1 finding in the baseline" in out
    assert "the baseline knows it as NOT JUDGED" in out
    assert "gone" not in err


def test_a_new_finding_fails(capsys: pytest.CaptureFixture[str]) -> None:
    labkit("f", "--write-baseline", "b.json", capsys=capsys)
    inject(TRACE, ["ack-of-unsent-data@6", "ack-goes-back@8"]).write("f/sub/bad.pcap")
    code, out, _err = labkit("f", "--baseline", "b.json", "--format", "json", capsys=capsys)
    assert code == 1
    (bad,) = [each for each in json.loads(out)["captures"] if each["path"] == "f/sub/bad.pcap"]
    assert (bad["verdict"], bad["known"]) == ("fail", 1)
    assert "ACK01" not in {each["code"] for each in bad["findings"] if each["packet"] == 6}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda: inject(TRACE, ["ack-of-unsent-data@8"]).write("f/sub/bad.pcap"), 1),
        (lambda: shutil.copy("f/sub/bad.pcap", "f/new.pcap"), 1),
        (lambda: shutil.copy("f/junk.pcap", "f/new.pcap"), 3),
        (lambda: shutil.copy("f/empty.pcap", "f/new.pcap"), 1),
        (lambda: shutil.copy("f/sub/bad.pcap", "f/junk.pcap"), 1),
        (lambda: shutil.copy("f/sub/bad.pcap", "f/empty.pcap"), 1),
        (lambda: shutil.copy("f/junk.pcap", "f/sub/bad.pcap"), 3),
        (lambda: shutil.copy("f/empty.pcap", "f/sub/bad.pcap"), 1),
        (lambda: shutil.copy("f/good.pcap", "f/sub/bad.pcap"), 0),
        (lambda: shutil.copy("f/good.pcap", "f/junk.pcap"), 0),
        (lambda: Path("f/junk.pcap").unlink(), 0),
    ],
)
def test_what_changes(change: object, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    labkit("f", "--write-baseline", "b.json", capsys=capsys)
    change()  # type: ignore[operator]
    assert labkit("f", "--baseline", "b.json", capsys=capsys)[0] == code


def test_what_is_gone_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    labkit("f", "--write-baseline", "b.json", capsys=capsys)
    shutil.copy("f/good.pcap", "f/sub/bad.pcap")
    shutil.copy("f/good.pcap", "f/junk.pcap")
    err = labkit("f", "--baseline", "b.json", capsys=capsys)[2]
    assert "labkit: 2 findings of the baseline are gone; --write-baseline writes it anew" in err
    code, _out, err = labkit("f", "--baseline", "b.json", "--write-baseline", "b.json", capsys=capsys)
    assert (code, "gone" in err) == (0, False)
    assert "f/junk.pcap" not in Path("b.json").read_text()
    assert "gone" not in labkit("f", "--baseline", "b.json", capsys=capsys)[2]


def test_paths_are_relative_to_the_file(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    labkit("f", "--write-baseline", "f/b.json", capsys=capsys)
    assert '"sub/bad.pcap"' in Path("f/b.json").read_text()
    monkeypatch.chdir("f/sub")
    assert labkit("bad.pcap", "--baseline", "../b.json", capsys=capsys)[0] == 0
    assert labkit(str(Path.cwd() / "bad.pcap"), "--baseline", "../b.json", capsys=capsys)[0] == 0


def test_limits_that_fail_and_findings_below_the_severity(capsys: pytest.CaptureFixture[str]) -> None:
    Path("f/junk.pcap").unlink()
    Path("f/garbage.pcap").unlink()
    options = ["f", "--strict", "--fail-on", "note"]
    assert labkit(*options, capsys=capsys)[0] == 1
    labkit(*options, "--write-baseline", "b.json", capsys=capsys)
    assert labkit(*options, "--baseline", "b.json", capsys=capsys)[0] == 0
    labkit("f", "--write-baseline", "c.json", capsys=capsys)
    assert "OPT06" not in Path("c.json").read_text()


def test_findings_that_are_only_counted() -> None:
    beyond = [Group("ACK01", "ack-of-unsent-data", Severity.ERROR, 5), Group("RTX01", "x", Severity.NOTE, 5)]
    verdict = replace(verify(TRACE), path="a.pcap", beyond=beyond)
    known = Baseline("b.json")
    known.add(verdict)
    assert known.write() == 1
    again = Baseline.load("b.json").apply(verdict)
    assert (again.beyond, again.known, again.outcome()) == ([beyond[1]], 5, "pass")
    more = replace(verdict, beyond=[replace(beyond[0], count=6)])
    assert Baseline.load("b.json").apply(more).outcome() == "fail"


def test_a_consequence_of_a_known_mistake_stays() -> None:
    verdict = replace(verify(inject(TRACE, ["ack-of-unsent-data@6"])), path="a.pcap")
    error = verdict.findings[0]
    notes = [replace(error, severity=Severity.NOTE, packet=packet, caused_by=0) for packet in (7, 8)]
    other = replace(error, packet=9)
    known = Baseline("b.json")
    known.add(verdict)
    found = known.apply(replace(verdict, findings=[error, *notes, other, replace(notes[0], packet=10, caused_by=3)]))
    assert [(each.packet, each.caused_by) for each in found.findings] == [(7, None), (8, None), (9, None), (10, 2)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "b.json: cannot be read: No such file or directory"),
        ("nonsense", "b.json: not a baseline; --write-baseline writes one"),
        ("[]", "b.json: not a baseline"),
        ("[" * 100_000, "b.json: not a baseline"),
        ('{"captures": {}}', "b.json: not a baseline"),
        ('{"labkit-baseline": 2, "captures": {}}', "b.json: a baseline of version 2; this labkit reads version 1"),
        ('{"labkit-baseline": 1, "captures": {"a": 5}}', "b.json: the entry of the capture a is not one that "),
        (
            '{"labkit-baseline": 1, "captures": {"a\\u001b": {"x": 1}}}',
            r"b.json: the entry of the capture a\x1b is not",
        ),
        (
            '{"labkit-baseline": 1, "captures": {"a": {"findings": {"ACK01": [1]}}}}',
            "b.json: the entry of the capture a",
        ),
        (
            '{"labkit-baseline": 1, "captures": {"a": {"findings": {"A b": [[]]}}}}',
            "b.json: the entry of the capture a",
        ),
    ],
)
def test_a_bad_file_is_named(content: str | None, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    if content is not None:
        Path("b.json").write_text(content)
    code, out, err = labkit("f/good.pcap", "--baseline", "b.json", capsys=capsys)
    assert (code, out) == (3, "")
    assert err.startswith(f"labkit: {expected}")
    assert err.count("\n") == 1


def test_another_output_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("f/good.pcap", "--annotate", "missing/a.pcapng", "--write-baseline", "b.json")
    code, _out, err = labkit(*arguments, capsys=capsys)
    assert code == 3
    assert "missing/a.pcapng: cannot be written" in err
    assert Path("b.json").exists()


def test_a_file_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    code, _out, err = labkit("f/good.pcap", "--write-baseline", "missing/b.json", capsys=capsys)
    assert code == 3
    assert "missing/b.json" in err
