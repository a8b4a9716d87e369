"""Small files that stand for a lot: each is refused or read within a bound of memory, and costs no other file's verdict."""

import gzip
import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from blocks import Blocks

from labkit.build.scenario import Scenario
from labkit.build.scenario.source import MAX_EVENTS, parse
from labkit.cli import run
from labkit.errors import InputError, ScenarioError
from labkit.teach.roster import MAX_CLASS, MAX_STUDENTS, read_roster

B = Blocks("<")
TEXT = b"\x1b]0;x\x07" * 8000
N = 1_000_000


def packed(pieces: Iterable[bytes]) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(map(packer.compress, pieces)) + packer.flush()


BOMBS: dict[str, Callable[[], bytes]] = {
    "interfaces": lambda: packed([B.section(), *[B.interface(1, 0, (2, TEXT), (3, TEXT))] * 16_384]),
    "comments": lambda: packed([B.section((1, TEXT), (1, TEXT))] * 16_384),
    "sections": lambda: packed([(B.section() + B.interface()) * 400_000]),
    "remarks": lambda: packed([B.section() + B.interface(), *[B.enhanced(options=((1, TEXT),))] * 8000]),
    "members": lambda: gzip.compress(b"", mtime=0) * 250_000,
}

MEASURED = """
import re, resource, sys
from pathlib import Path
from labkit.cli import run
code = run(sys.argv[1:])
# Linux counts for a process what its parent used when it was started, but not in VmHWM.
status = Path("/proc/self/status")
own = int(re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1]) if status.exists() else 0
print(max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss), file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_bombs_in_a_folder_with_good_captures(tmp_path: Path) -> None:
    for name, make in BOMBS.items():
        (tmp_path / f"m-{name}.pcapng").write_bytes(make())
    for name in ("a", "z"):
        Scenario.load("document").play(1).write(tmp_path / f"{name}.pcapng", edition="student")
    command = [sys.executable, "-c", MEASURED, "verify", str(tmp_path), "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "LANGUAGE": "en"}, check=False)
    found = {Path(each["path"]).stem: each["verdict"] for each in json.loads(done.stdout)["captures"]}
    assert done.returncode == 3
    assert (found.pop("a"), found.pop("z")) == ("pass", "pass")
    assert set(found) == {f"m-{name}" for name in BOMBS}
    assert set(found.values()) <= {"unreadable", "not-judged"}
    assert "\x1b" not in done.stdout + done.stderr
    kilobytes = int(done.stderr.split()[-1])
    if sys.platform == "linux":
        assert kilobytes < 300_000, f"{kilobytes} kB"


@pytest.mark.parametrize(
    "text",
    [
        "steps: [" + "[]," * (N // 3) + "]", "{" + "a:," * (N // 3) + "}", "steps:\n" + "- close: client\n" * (N // 16),
        "[" * N, "- " * (N // 2), "? " * (N // 2), "!!" + "a" * N, "a: &" + "a" * N, "a: *" + "a" * N,
        "%TAG ! " + "a" * N + "\n---\na: 1", "%YAML " + "1" * N + "\n---\na: 1", "%x\na: 1",
        "a: 0x" + "1" * N, "a: 1." + "1" * N, "k" * N + ": 1", "# x\n" * (N // 4), "a: &a [x]\nb: [*a, *a]",
    ],
)  # fmt: skip
def test_a_large_scenario_is_refused_in_one_short_line(text: str) -> None:
    """A reading whose time grows with the square of the size would meet the timeout of the test."""
    with pytest.raises(ScenarioError) as caught:
        parse(text, "a.yaml")
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)


def test_a_scenario_may_have_as_many_steps_as_it_says() -> None:
    source = parse("steps:\n" + "- client\n" * (MAX_EVENTS // 2), "a.yaml")
    assert len(source.data["steps"]) == MAX_EVENTS // 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("student\n" + "s\n" * (MAX_STUDENTS + 1), f"more than {MAX_STUDENTS:,} students"),
        ("student\n" * N, "repeats line 2"),
        ("student\n" + "\n" * 5 * N, "more than 4,194,304 lines"),
        ("student\nann\n" + "," * 11_000, "more than 10,000 columns"),
        ("," * N * 2, "a row has more than 1,048,576 characters"),
        ("student\n" + "x" * 100 * N, "a row has more than 1,048,576 characters"),
        ('student\n"' + "x\n" * N, "a cell has more than"),
        ("student\n" + "x" * N, "a cell has more than"),
        ("x" * N + "\nann\n", "a cell has more than"),
        ("student\n" + ("y" * 190 + "\n") * 2, "repeats line 2"),
    ],
)
def test_a_large_roster_is_refused_in_one_short_line(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        read_roster(tmp_path / "a.csv")
    assert len(str(caught.value)) < len(str(tmp_path)) + 300


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process's memory is read from /proc")
def test_a_roster_of_a_million_rows_is_streamed(tmp_path: Path) -> None:
    with (tmp_path / "a.csv").open("w") as file:
        file.writelines(["Student ID,Name\n", *(f"s{number},Student Number {number}\n" for number in range(N))])
    program = """
import re, sys
from pathlib import Path
from labkit.teach.roster import ID_COLUMNS, read_roster
found = read_roster(sys.argv[1], None, ID_COLUMNS)
files = sum(each.file == each.id for each in found.students)
print(len(found.students), files, re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "a.csv")], capture_output=True, text=True, check=True
    )
    students, files, kilobytes = map(int, done.stdout.split())
    assert (students, files) == (N, N)
    assert kilobytes < 200_000


@pytest.mark.parametrize(
    "words",
    [
        ["assign", "build", "handshake", "--roster"],
        ["grade", "handshake", "key.bin", "--answers", "k.json", "--roster"],
    ],
)
def test_a_class_is_smaller_than_a_roster(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An answer key and a table of grades are held in memory."""
    monkeypatch.chdir(tmp_path)
    Path("key.bin").write_bytes(bytes(32))
    Path("few.csv").write_text("student\nann\n")
    Path("many.csv").write_text("student\n" + "".join(f"s{number}\n" for number in range(MAX_CLASS + 1)))
    assert run(["assign", "build", "handshake", "--roster", "few.csv", "-o", "out", "--answers", "k.json"]) == 0
    capsys.readouterr()
    assert run([*words, "many.csv"]) == 3
    said = capsys.readouterr().err
    assert f"many.csv:{MAX_CLASS + 2}: more than {MAX_CLASS:,} students" in said
    assert said.count("\n") == 1
    assert read_roster("many.csv").students


def test_cells_that_need_too_much_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labkit.teach.roster.MAX_HELD", 1 << 20)
    (tmp_path / "a.csv").write_text("student\n" + "".join(f"s{number},{'x,' * 99}\n" for number in range(500)))
    found = read_roster(tmp_path / "a.csv")
    assert len(found.students) == 500
    with pytest.raises(InputError, match="need more than 1 MiB; leave out columns"):
        found.held()
