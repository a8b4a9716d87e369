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
from labkit.errors import InputError, ScenarioError
from labkit.teach.roster import MAX_STUDENTS, read_roster

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
        ("student\n" + "".join(f"s{number}\n" for number in range(N)), f"more than {MAX_STUDENTS} students"),
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
