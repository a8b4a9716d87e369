"""The Lua view in each version of Lua that Wireshark has had, with a recorder in the place of Wireshark.

Whether Wireshark itself takes it, `test_wireshark` asks tshark, of which a machine has one version.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from labkit import Finding, Scenario, inject, verify
from labkit.report import wireshark
from labkit.report.annotate import comment

VERSIONS = ("lua5.2", "lua5.4")


def shown(lua: str, folder: Path, comments: list[str]) -> list[tuple[str, str]]:
    if shutil.which(lua) is None:
        pytest.skip(f"{lua} is not installed")
    view = folder / "labkit.lua"
    view.write_bytes(wireshark.content("plugins/labkit.lua"))
    done = subprocess.run(
        [lua, str(Path(__file__).parent / "recorder.lua"), str(view), *comments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [(name, value) for name, _tab, value in (line.partition("\t") for line in done.stdout.splitlines())]


def expected(found: Finding) -> dict[str, str]:
    values = {"severity": str(found.severity), "rule": found.code}
    raw = {"actual_raw": found.actual, "expected_raw": found.expected}
    both = (found.actual_relative, found.actual), (found.expected_relative, found.expected)
    relative = dict(
        zip(("actual", "expected"), (each if each is not None else other for each, other in both), strict=True)
    )
    numbers = {name: str(value) for name, value in (raw | relative).items() if value is not None and found.field}
    return {f"labkit.{name}": value for name, value in (values | numbers).items()}


@pytest.mark.slow
@pytest.mark.parametrize("lua", VERSIONS)
@pytest.mark.parametrize(
    "fault",
    ["ack-of-unsent-data", "ack-goes-back", "wrong-tcp-checksum", "syn-ack-acks-wrong-number", "sequence-number-skips"],
)
def test_fields_are_those_of_the_findings(lua: str, fault: str, tmp_path: Path) -> None:
    trace = inject(Scenario.load("document").play(), fault)
    findings = [each for each in verify(trace).findings if each.packet is not None]
    lines = shown(lua, tmp_path, [comment(each) for each in findings])
    parts: list[dict[str, str]] = []
    for name, value in lines:
        if name == "tree":
            parts.append({})
        else:
            parts[-1][name] = value
    assert len(parts) == len(findings) > 0
    for part, found in zip(parts, findings, strict=True):
        assert part.items() >= expected(found).items()
        assert part[f"labkit.expert.{found.severity}"].startswith(found.code)


@pytest.mark.parametrize("lua", VERSIONS)
def test_other_comments_are_left_alone(lua: str, tmp_path: Path) -> None:
    assert (
        shown(lua, tmp_path, ["", "step 1: client connect", "labkit is good", "labkit loud X1 a=1", "\n\0"[:1]]) == []
    )


@pytest.mark.parametrize("lua", VERSIONS)
def test_the_lines_of_a_comment_are_no_findings(lua: str, tmp_path: Path) -> None:
    """Wireshark 4.6 gives its first line, then each line, and then the whole."""
    whole = "labkit error ACK01 ack=1001 expected=1\nack-of-unsent-data\nlabkit error ACK02 ack=1"
    first, *_others = lines = whole.split("\n")
    found = shown(lua, tmp_path, [first, *lines, whole])
    assert [value for name, value in found if name == "labkit.rule"] == ["ACK01"]


@pytest.mark.parametrize("lua", VERSIONS)
def test_large_and_negative_numbers(lua: str, tmp_path: Path) -> None:
    lines = shown(
        lua, tmp_path, ["labkit error ACK01 ack=-1 expected=4294967295\nname\nraw: ack=4294967295 expected=0"]
    )
    assert ("labkit.actual", "-1") in lines
    assert ("labkit.expected", "4294967295") in lines
    assert ("labkit.actual_raw", "4294967295") in lines
    assert ("labkit.text", "name") in lines
