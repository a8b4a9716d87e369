"""`labkit build`: what is written where, and what is said about it."""

import subprocess
import sys
from pathlib import Path

import pytest

from labkit.capture import Frame, open_capture
from labkit.cli import run

SCENARIO = """\
name: elsewhere
summary: A handshake and a close
client: {address: 192.0.2.10, port: 40000..50000, isn: random}
server: {address: 192.0.2.20, port: 80, isn: 0}
steps:
  - client: connect
  - client: close
  - server: close
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test works in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def frames(path: Path | str) -> list[Frame]:
    """All frames of a capture, which must be whole."""
    with open_capture(path) as capture:
        found = list(capture)
    assert capture.damage is None
    return found


def test_writes_a_comment_on_each_packet(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["build", "document", "-o", "a.pcapng"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "labkit: a.pcapng: 10 packets, seed 0\n"
    found = frames("a.pcapng")
    assert len(found) == 10
    assert all(frame.comments for frame in found)


def test_the_student_edition_tells_nothing() -> None:
    assert run(["build", "document", "-o", "a.pcapng"]) == 0
    assert run(["build", "document", "-o", "b.pcapng", "--edition", "student"]) == 0
    annotated, plain = frames("a.pcapng"), frames("b.pcapng")
    assert [frame.data for frame in plain] == [frame.data for frame in annotated]
    assert [frame.time for frame in plain] == [frame.time for frame in annotated]
    assert not any(frame.comments for frame in plain)
    with open_capture("b.pcapng") as capture:
        list(capture)
    assert (capture.comments, capture.names) == ([], {})


@pytest.mark.parametrize(
    ("args", "name", "format_"),
    [
        (["document"], "document.pcapng", "pcapng"),
        (["document", "--format", "pcap"], "document.pcap", "pcap"),
        (["document", "-o", "x.pcap"], "x.pcap", "pcap"),
        (["document", "-o", "x.bin", "--format", "pcapng"], "x.bin", "pcapng"),
    ],
)
def test_name_and_format(args: list[str], name: str, format_: str, here: Path) -> None:
    assert run(["build", *args]) == 0
    assert [path.name for path in here.iterdir()] == [name]
    with open_capture(name) as capture:
        assert capture.format == format_
        assert len(list(capture)) == 10


def test_a_file_of_ones_own_gives_the_name(here: Path) -> None:
    (here / "mine.yaml").write_text(SCENARIO)
    assert run(["build", "mine.yaml"]) == 0
    assert run(["build", "./mine.yaml", "-o", "again.pcapng"]) == 0
    assert run(["build", "mine.yaml", "-o", "other.pcapng", "--seed", "1"]) == 0
    first = (here / "mine.pcapng").read_bytes()
    assert (here / "again.pcapng").read_bytes() == first
    assert [frame.data for frame in frames("other.pcapng")] != [frame.data for frame in frames("mine.pcapng")]


def test_standard_output_is_the_file(here: Path) -> None:
    assert run(["build", "document", "-o", "a.pcapng"]) == 0
    done = subprocess.run(
        [sys.executable, "-m", "labkit", "build", "document", "-o", "-"],
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        check=True,
    )
    assert done.stdout == (here / "a.pcapng").read_bytes()
    assert done.stderr == b"labkit: standard output: 10 packets, seed 0\n"


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["docment"], 2, ["docment", "document"]),
        (["missing.yaml"], 2, ["missing.yaml"]),
        (["broken.yaml"], 2, ["broken.yaml:2", "sumary", "summary"]),
        (["document", "-o", "a.doc"], 2, ["a.doc", ".pcapng"]),
        (["document", "-o", "a.pcap", "--format", "word"], 2, ["word", "pcapng"]),
        (["document", "-o", "nowhere/a.pcap"], 3, ["nowhere/a.pcap"]),
        (["document", "-o", "folder.pcap"], 3, ["folder.pcap"]),
    ],
)
def test_what_goes_wrong_is_one_line_and_leaves_nothing(
    args: list[str], code: int, words: list[str], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "broken.yaml").write_text(SCENARIO.replace("summary", "sumary"))
    (here / "folder.pcap").mkdir()
    assert run(["build", *args]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("labkit: ")
    assert [word for word in words if word not in line] == [], line
    assert {path.name for path in here.rglob("*")} == {"broken.yaml", "folder.pcap"}
